/* Streams of lines.
 *
 *   answered <= told-to-be <= taken      a window of PUBLISHER_UNTOLD_MAX lines, a bit for each:
 *                                        they may be answered out of their order
 *
 * A stream ends in one way: it takes no more (the caller has closed its side, has sent what is no
 * request, or the node leaves), all that was taken is answered and told, then comes the status. */
#include "io/publisher.h"

#include "base/log.h"
#include "io/wire.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <utlist.h>

enum { BITS_PER_BYTE = 8 };

typedef struct Publisher {
    Publishers *group; /* until the stream is over */
    Node *node;
    RpcStream *stream; /* NULL: it is over */
    ClientRole role;
    unsigned refs;     /* the stream, each line that is not answered, the mail, who is in here */
    WireBatch batch;   /* what is left of the request */
    Bytes *rest;       /* holds it, where it has to wait */
    uint64_t taken;    /* lines; they are numbered from 1 on */
    uint64_t answered; /* all up to here */
    uint64_t told;
    uint8_t marks[PUBLISHER_UNTOLD_MAX / BITS_PER_BYTE]; /* of the answered beyond */
    StrBuf refused;                                      /* rows to be told */
    bool sending;
    bool taking;
    bool ending; /* takes no more requests */
    int end_code;
    const char *end_text; /* static */
    NodeWaiter room;
    NodeWaiter after_step;
    Mail next_turn;
    bool mailed;
    struct Publisher *prev;
    struct Publisher *next;
} Publisher;

struct Publishers {
    Node *node;
    Authority *authority;
    WireArena *arena;
    Publisher *publishers;
    unsigned count;
    bool closed;
};

/* A line that waits for its answer. */
typedef struct Said {
    NodeReceipt receipt;
    Publisher *publisher;
    uint64_t number;
} Said;

static void publisher_unref(Publisher *publisher)
{
    if (--publisher->refs > 0) {
        return;
    }
    bytes_unref(publisher->rest);
    strbuf_done(&publisher->refused);
    mem_free(publisher);
}

/* The stream is no more. */
static void publisher_over(Publisher *publisher)
{
    Publishers *group = publisher->group;
    log_info("a publisher is gone: %" PRIu64 " lines taken, %" PRIu64 " answered", publisher->taken,
             publisher->answered);
    DL_DELETE(group->publishers, publisher);
    group->count--;
    publisher->group = NULL;
    publisher->stream = NULL;
    node_wait_end(&publisher->room);
    node_wait_end(&publisher->after_step);
    publisher_unref(publisher);
}

/* ---- answers ---- */

static void mark_answered(Publisher *publisher, uint64_t number)
{
    uint64_t at = number % PUBLISHER_UNTOLD_MAX;
    publisher->marks[at / BITS_PER_BYTE] |= (uint8_t)(1U << at % BITS_PER_BYTE);
    while (publisher->answered < publisher->taken) {
        at = (publisher->answered + 1) % PUBLISHER_UNTOLD_MAX;
        uint8_t bit = (uint8_t)(1U << at % BITS_PER_BYTE);
        if ((publisher->marks[at / BITS_PER_BYTE] & bit) == 0) {
            return;
        }
        publisher->marks[at / BITS_PER_BYTE] &= (uint8_t)~bit;
        publisher->answered++;
    }
}

static void refuse(Publisher *publisher, uint64_t number, int code, const char *text)
{
    wire_add_refusal(&publisher->refused, number, code, text);
    mark_answered(publisher, number);
}

static bool has_to_tell(const Publisher *publisher)
{
    return publisher->answered > publisher->told || publisher->refused.len > 0;
}

static void publisher_tell(Publisher *publisher)
{
    if (publisher->sending || !has_to_tell(publisher)) {
        return;
    }
    Bytes *response = wire_publish_response(publisher->answered, &publisher->refused);
    publisher->told = publisher->answered;
    strbuf_clear(&publisher->refused);
    publisher->sending = true;
    rpc_stream_send(publisher->stream, response);
    bytes_unref(response);
}

static bool has_rest(const Publisher *publisher)
{
    return publisher->batch.at < publisher->batch.len;
}

static void drop_rest(Publisher *publisher)
{
    publisher->batch = (WireBatch){0};
    bytes_unref(TAKE(publisher->rest));
}

static void publisher_end(Publisher *publisher, int code, const char *text)
{
    publisher->ending = true;
    publisher->end_code = code;
    publisher->end_text = text;
}

/* Tells what there is to tell, and ends the stream where that was all. */
static void publisher_settle(Publisher *publisher)
{
    if (publisher->stream == NULL || publisher->taking) {
        return;
    }
    publisher_tell(publisher);
    bool all = publisher->told == publisher->taken && !publisher->sending && !has_rest(publisher);
    if (publisher->ending && all) {
        rpc_stream_close(publisher->stream, publisher->end_code, publisher->end_text);
        publisher_over(publisher);
    }
}

/* ---- lines ---- */

static void said_done(NodeReceipt *receipt, Err err, Message *message, const char *text)
{
    (void)message;
    Said *said = (Said *)receipt;
    Publisher *publisher = said->publisher;
    if (publisher->stream == NULL) {
        /* nobody to tell */
    } else if (err != ERR_OK) {
        refuse(publisher, said->number, rpc_code_of(err), text);
    } else {
        mark_answered(publisher, said->number);
    }
    if (publisher->stream != NULL && !publisher->taking) {
        node_wait_step(publisher->node, &publisher->after_step);
    }
    mem_free(said);
    publisher_unref(publisher);
}

static void publisher_say(Publisher *publisher, const uint8_t *data, size_t len)
{
    MessageDraft draft;
    uint64_t number = ++publisher->taken;
    if (wire_decode_message(publisher->group->arena, data, len, &draft) != ERR_OK) {
        refuse(publisher, number, RPC_INVALID_ARGUMENT,
               "the message is not what proto/chat.proto says");
        return;
    }
    AUTO_FREE char *text = NULL;
    if (authority_check_sender(&publisher->role, &draft, &text) != ERR_OK) {
        refuse(publisher, number, RPC_PERMISSION_DENIED, text);
        return;
    }
    draft.once = true;
    Said *said = mem_new(Said);
    said->receipt.done = said_done;
    said->publisher = publisher;
    said->number = number;
    publisher->refs++;
    node_receive(publisher->node, &draft, &said->receipt);
}

static bool has_much_to_tell(const Publisher *publisher)
{
    return publisher->taken - publisher->told >= PUBLISHER_UNTOLD_MAX ||
           publisher->refused.len >= PUBLISHER_REFUSED_MAX_BYTES;
}

static void turn_over(Publisher *publisher)
{
    if (!publisher->mailed) {
        publisher->mailed = true;
        publisher->refs++;
        loop_post(node_loop(publisher->node), &publisher->next_turn);
    }
}

/* Must it stop here? Whoever makes it stop wakes it. */
static bool must_stop(Publisher *publisher, size_t lines)
{
    if (has_much_to_tell(publisher)) {
        publisher_tell(publisher); /* and on from publisher_sent */
        if (has_much_to_tell(publisher)) {
            return true;
        }
    }
    if (node_wait_room(publisher->node, &publisher->room)) {
        return true;
    }
    if (lines >= PUBLISHER_TURN_LINES) {
        turn_over(publisher);
        return true;
    }
    return false;
}

static void take_lines(Publisher *publisher)
{
    for (size_t lines = 0; publisher->stream != NULL && has_rest(publisher); lines++) {
        if (must_stop(publisher, lines)) {
            return;
        }
        bool found = false;
        const uint8_t *data = NULL;
        size_t len = 0;
        if (wire_batch_next(&publisher->batch, &found, &data, &len) != ERR_OK) {
            publisher_end(publisher, RPC_INVALID_ARGUMENT,
                          "the request is not what proto/chat.proto says");
            drop_rest(publisher);
        } else if (found) {
            publisher_say(publisher, data, len);
        }
    }
}

/* What cannot be taken now is kept, and the stream not read until it is. */
static void keep_rest(Publisher *publisher)
{
    if (!has_rest(publisher)) {
        drop_rest(publisher);
    } else if (publisher->rest == NULL) {
        WireBatch *batch = &publisher->batch;
        publisher->rest = bytes_new(batch->data + batch->at, batch->len - batch->at);
        *batch =
            (WireBatch){.data = bytes_data(publisher->rest), .len = bytes_len(publisher->rest)};
    }
    if (publisher->stream != NULL) {
        rpc_stream_pause(publisher->stream, has_rest(publisher) || publisher->ending);
    }
}

static void publisher_take(Publisher *publisher)
{
    if (publisher->taking || publisher->stream == NULL || !has_rest(publisher)) {
        return;
    }
    publisher->taking = true;
    publisher->refs++;
    take_lines(publisher);
    keep_rest(publisher);
    publisher->taking = false;
    publisher_settle(publisher);
    publisher_unref(publisher);
}

/* ---- who wakes it ---- */

static void publisher_room(NodeWaiter *waiter)
{
    publisher_take(CONTAINER_OF(waiter, Publisher, room));
}

static void publisher_next_turn(Mail *mail, bool ok)
{
    (void)ok;
    Publisher *publisher = CONTAINER_OF(mail, Publisher, next_turn);
    publisher->mailed = false;
    publisher_take(publisher);
    publisher_unref(publisher);
}

/* Told of lines, it may take more. */
static void publisher_go_on(Publisher *publisher)
{
    publisher->refs++;
    publisher_settle(publisher);
    publisher_take(publisher);
    publisher_unref(publisher);
}

static void publisher_after_step(NodeWaiter *waiter)
{
    publisher_go_on(CONTAINER_OF(waiter, Publisher, after_step));
}

static void publisher_received(void *context, const uint8_t *data, size_t len)
{
    Publisher *publisher = context;
    if (!publisher->ending) {
        publisher->batch = (WireBatch){.data = data, .len = len};
        publisher_take(publisher);
    }
}

static void publisher_sent(void *context)
{
    Publisher *publisher = context;
    publisher->sending = false;
    publisher_go_on(publisher);
}

static void publisher_half_closed(void *context)
{
    Publisher *publisher = context;
    if (!publisher->ending) {
        publisher_end(publisher, RPC_OK, "");
    }
    publisher_settle(publisher);
}

static void publisher_ended(void *context, int code, const char *text)
{
    (void)code;
    log_info("a publisher's stream ended: %s", text);
    publisher_over(context);
}

static const RpcStreamEvents EVENTS = {
    .received = publisher_received,
    .sent = publisher_sent,
    .half_closed = publisher_half_closed,
    .ended = publisher_ended,
};

/* ---- all of them ---- */

Publishers *publishers_new(Node *node, Authority *authority)
{
    Publishers *publishers = mem_new(Publishers);
    publishers->node = node;
    publishers->authority = authority;
    publishers->arena = wire_arena_new();
    return publishers;
}

void publishers_open(Publishers *publishers, RpcStream *stream, const ClientRole *role)
{
    if (publishers->closed) {
        rpc_stream_close(stream, RPC_UNAVAILABLE, "the node is leaving");
        return;
    }
    if (publishers->count == PUBLISHERS_MAX) {
        AUTO_STRBUF StrBuf text = {0};
        strbuf_addf(&text, "%d streams publish here, as many as may; share one, or try again later",
                    PUBLISHERS_MAX);
        rpc_stream_close(stream, RPC_RESOURCE_EXHAUSTED, text.text);
        return;
    }
    Publisher *publisher = mem_new(Publisher);
    publisher->group = publishers;
    publisher->node = publishers->node;
    publisher->stream = stream;
    publisher->role = *role;
    publisher->refs = 1;
    publisher->room.wake = publisher_room;
    publisher->after_step.wake = publisher_after_step;
    publisher->next_turn.deliver = publisher_next_turn;
    DL_APPEND(publishers->publishers, publisher);
    publishers->count++;
    rpc_stream_accept(stream, &EVENTS, publisher);
    log_info("a publisher's stream opened, %u open", publishers->count);
}

/* What was taken is answered and told all the same. */
static void publisher_stop(Publisher *publisher, int code, const char *text)
{
    publisher_end(publisher, code, text);
    drop_rest(publisher);
    publisher_settle(publisher);
}

void publishers_look_again(Publishers *publishers)
{
    Publisher *publisher;
    Publisher *next;
    DL_FOREACH_SAFE(publishers->publishers, publisher, next) {
        if (!authority_holds(publishers->authority, &publisher->role)) {
            publisher_stop(publisher, RPC_UNAUTHENTICATED, AUTHORITY_REVOKED);
        }
    }
}

void publishers_close(Publishers *publishers)
{
    Publisher *publisher;
    Publisher *next;
    publishers->closed = true;
    DL_FOREACH_SAFE(publishers->publishers, publisher, next) {
        publisher_stop(publisher, RPC_UNAVAILABLE, "the node is leaving");
    }
}

void publishers_free(Publishers *publishers)
{
    if (publishers == NULL) {
        return;
    }
    wire_arena_free(publishers->arena);
    mem_free(publishers);
}
