/* The dialogue of proto/chat.proto (GateMessage), inside TLS and before anything of HTTP/2.
 *
 *   dials:   tag ------------------------> AWAITS_TAG --verdict--> proof --> AWAITS_COME_IN --> in
 *            join -----------------------> AWAITS_WELCOME
 *   dialled: AWAITS_FIRST --tag--> tag, proof --> AWAITS_PROOF --verdict--> come_in, and in
 *                        `--join-------------------------------verdict--> welcome
 *
 * The tag shows that the other side knows the network's number, on this very connection: until it
 * was right nothing is said that tells of the network. Each message is read by its length and no
 * further, so what follows it is left for gRPC. */
#include "io/gate_internal.h"

#include "base/strbuf.h"
#include "base/text.h"
#include "core/members.h"

#include <openssl/err.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    SIDE_DIALS = 1,
    SIDE_DIALLED = 2,
    /* What a stranger may make this node keep: a tag, or a join with its name. */
    FIRST_MAX_BYTES = 1024,
    PROOF_MAX_BYTES = MEMBER_PROOF_MAX_BYTES + 1024,
    BITS_PER_BYTE = 8,
};

#define TAG_DOMAIN "chat_node gate 1"

static const char WORDS_OTHER_NETWORK[] = "it does not belong to this network";
static const char WORDS_NONSENSE[] = "what it says makes no sense";

/* ---- tags ---- */

static void tag_of(const GateConn *conn, uint8_t side, uint8_t ret_tag[WIRE_GATE_TAG_BYTES])
{
    uint8_t text[sizeof(TAG_DOMAIN) - 1 + 1 + GATE_BINDING_BYTES];
    uint8_t *at = text;
    memcpy(at, TAG_DOMAIN, sizeof(TAG_DOMAIN) - 1);
    at += sizeof(TAG_DOMAIN) - 1;
    *at++ = side;
    memcpy(at, conn->peer.binding, GATE_BINDING_BYTES);
    crypto_generichash(ret_tag, WIRE_GATE_TAG_BYTES, text, sizeof(text), conn->gate->network,
                       EVENT_NETWORK_BYTES);
}

static bool tag_is_right(const GateConn *conn, const uint8_t *tag)
{
    uint8_t right[WIRE_GATE_TAG_BYTES];
    if (tag == NULL || !conn->gate->has_network) {
        return false;
    }
    tag_of(conn, conn->peer.dialled ? SIDE_DIALLED : SIDE_DIALS, right);
    return sodium_memcmp(tag, right, sizeof(right)) == 0;
}

/* ---- saying ---- */

/* Behind what is still to be said. */
static void say_bytes(GateConn *conn, const Bytes *bytes)
{
    size_t len = bytes_len(bytes);
    GateRest rest = conn->up;
    size_t before = rest.len - rest.at;
    uint8_t *data = mem_resize(NULL, before + sizeof(conn->head) + len, 1);
    if (before > 0) {
        memcpy(data, rest.data + rest.at, before);
    }
    for (size_t i = 0; i < sizeof(conn->head); i++) {
        data[before + i] = (uint8_t)(len >> (BITS_PER_BYTE * (sizeof(conn->head) - 1 - i)));
    }
    memcpy(data + before + sizeof(conn->head), bytes_data(bytes), len);
    gate_rest_free(&conn->up);
    conn->up = (GateRest){.data = data, .len = before + sizeof(conn->head) + len};
}

static bool say(GateConn *conn, const WireGate *message)
{
    Bytes *bytes = NULL;
    if (wire_gate_encode(conn->gate->arena, message, &bytes) != ERR_OK) {
        return false;
    }
    say_bytes(conn, bytes);
    sodium_memzero(bytes_fill(bytes), bytes_len(bytes)); /* a join's secret */
    bytes_unref(bytes);
    return true;
}

/* Says what is to be said, and waits for the answer. */
static void await(GateConn *conn, ConnAwaits awaits)
{
    conn->stage = STAGE_TALK;
    conn->awaits = awaits;
    gate_watch(conn->gate, &conn->tcp, EPOLLIN | (conn->up.data != NULL ? (uint32_t)EPOLLOUT : 0));
    gate_conn_again(conn); /* the answer may be in TLS's buffer already */
}

/* Says why not, and goes. text: to the person there; words: to us. */
static void send_away(GateConn *conn, const char *text, const char *words)
{
    (void)!say(conn, &(WireGate){.refusal = text});
    gate_conn_fail_kindly(conn, ERR_DENIED, words);
}

static void say_proof(GateConn *conn, const uint8_t *tag, ConnAwaits awaits)
{
    Bytes *proof = conn->gate->proof;
    if (proof == NULL ||
        !say(conn,
             &(WireGate){.tag = tag, .proof = bytes_data(proof), .proof_len = bytes_len(proof)})) {
        gate_conn_fail(conn, ERR_INVALID, "this node has nothing to show that it is a member");
        return;
    }
    await(conn, awaits);
}

/* ---- passing ---- */

static void pass(GateConn *conn)
{
    Gate *gate = conn->gate;
    int fd = gate_pump_begin(conn);
    if (fd < 0) {
        gate_conn_fail(conn, ERR_IO, "this process has no descriptor left");
        return;
    }
    gate_frames_init(&conn->frames, !conn->peer.dialled, loop_mono_ms());
    conn->on_trial = conn->peer.kind == GATE_PROGRAM;
    if (!conn->on_trial) { /* else it waits for gate_vouch */
        gate_conn_waits_no_more(conn);
        gate_conn_deadline(conn, 0);
    }
    conn->stage = STAGE_PASSED;
    atomic_fetch_add(&gate->count_passed, 1);
    GatePost post = {.kind = POST_ENTERED, .id = conn->id, .fd = fd, .peer = conn->peer};
    if (conn->dial != NULL) {
        post.kind = POST_DIALLED;
        post.err = ERR_OK;
        gate_dial_free(TAKE(conn->dial));
    }
    gate_post(gate, &post);
}

/* The owner's time is not the other side's. */
static void ask_owner(GateConn *conn, const GatePost *post)
{
    uint64_t now_ms = loop_mono_ms();
    conn->stage = STAGE_VERDICT;
    conn->left_ms = conn->deadline_ms > now_ms ? conn->deadline_ms - now_ms : 1;
    gate_conn_deadline(conn, 0);
    gate_watch(conn->gate, &conn->tcp, EPOLLRDHUP);
    gate_post(conn->gate, post);
}

void gate_talk_begin(GateConn *conn)
{
    GateDial *dial = conn->dial;
    if (conn->peer.kind == GATE_PROGRAM) {
        pass(conn);
    } else if (dial == NULL) {
        await(conn, AWAITS_FIRST);
    } else if (dial->joins) {
        if (sodium_memcmp(conn->peer.key, dial->inviter, EVENT_KEY_BYTES) != 0) {
            gate_conn_fail(conn, ERR_INVALID,
                           "the node there has another key than the invitation names");
            return;
        }
        (void)!say(conn, &(WireGate){.join_secret = dial->join.secret,
                                     .join_name = dial->join.name,
                                     .join_port = dial->join.port});
        await(conn, AWAITS_WELCOME);
    } else {
        uint8_t tag[WIRE_GATE_TAG_BYTES];
        tag_of(conn, SIDE_DIALS, tag);
        (void)!say(conn, &(WireGate){.tag = tag});
        await(conn, AWAITS_TAG);
    }
}

/* ---- hearing ---- */

static void heard_join(GateConn *conn, const WireGate *message)
{
    if (!conn->gate->has_network) {
        send_away(conn, "this node is of no network", "it wants to join, and there is no network");
        return;
    }
    GatePost post = {.kind = POST_ASKED, .id = conn->id, .peer = conn->peer};
    memcpy(post.join.secret, message->join_secret, sizeof(post.join.secret));
    snprintf(post.join.name, sizeof(post.join.name), "%s", message->join_name);
    post.join.port = message->join_port;
    ask_owner(conn, &post);
    sodium_memzero(&post.join, sizeof(post.join));
}

static void heard_first(GateConn *conn, const WireGate *message)
{
    if (message->join_secret != NULL) {
        heard_join(conn, message);
    } else if (tag_is_right(conn, message->tag)) {
        uint8_t tag[WIRE_GATE_TAG_BYTES];
        tag_of(conn, SIDE_DIALLED, tag);
        say_proof(conn, tag, AWAITS_PROOF);
    } else {
        send_away(conn, "this node does not belong to your network", WORDS_OTHER_NETWORK);
    }
}

static void heard_proof(GateConn *conn, const WireGate *message)
{
    if (conn->peer.dialled && !tag_is_right(conn, message->tag)) {
        gate_conn_fail(conn, ERR_DENIED, WORDS_OTHER_NETWORK);
    } else if (message->proof == NULL) {
        gate_conn_fail(conn, ERR_INVALID, WORDS_NONSENSE);
    } else {
        ask_owner(conn, &(GatePost){.kind = POST_KNOCKED,
                                    .id = conn->id,
                                    .peer = conn->peer,
                                    .bytes = bytes_new(message->proof, message->proof_len)});
    }
}

static void heard_welcome(GateConn *conn, const WireGate *message)
{
    if (message->genesis == NULL) {
        gate_conn_fail(conn, ERR_INVALID, WORDS_NONSENSE);
        return;
    }
    gate_post(conn->gate, &(GatePost){.kind = POST_JOINED,
                                      .id = conn->id,
                                      .err = ERR_OK,
                                      .bytes = bytes_new(conn->in.data, conn->in.len)});
    gate_dial_free(TAKE(conn->dial));
    gate_last_word(conn);
}

/* The other side's words, for a screen. */
static void heard_refusal(GateConn *conn, const char *refusal)
{
    StrBuf text = {0};
    size_t len = strlen(refusal);
    if (conn->dial == NULL) {
        strbuf_add_string(&text, "it would not come in: ");
    } else if (!conn->dial->joins) {
        strbuf_add_string(&text, "it does not let this node in: ");
    }
    if (len > WIRE_GATE_REFUSAL_MAX_BYTES) {
        len = WIRE_GATE_REFUSAL_MAX_BYTES;
        while (len > 0 && ((uint8_t)refusal[len] & 0xc0) == 0x80) {
            len--; /* not within a character */
        }
    }
    text_sanitise(&text, refusal, len);
    gate_conn_fail(conn, ERR_DENIED, strbuf_text(&text));
    strbuf_done(&text);
}

static void heard(GateConn *conn, const WireGate *message)
{
    if (message->refusal != NULL && message->refusal[0] != '\0') {
        heard_refusal(conn, message->refusal);
        return;
    }
    switch (conn->awaits) {
    case AWAITS_FIRST:
        heard_first(conn, message);
        break;
    case AWAITS_TAG:
    case AWAITS_PROOF:
        heard_proof(conn, message);
        break;
    case AWAITS_COME_IN:
        if (message->come_in) {
            pass(conn);
        } else {
            gate_conn_fail(conn, ERR_INVALID, WORDS_NONSENSE);
        }
        break;
    case AWAITS_WELCOME:
        heard_welcome(conn, message);
        break;
    }
}

/* ---- verdicts ---- */

static void let_in(GateConn *conn)
{
    if (conn->peer.dialled) {
        say_proof(conn, NULL, AWAITS_COME_IN);
        return;
    }
    (void)!say(conn, &(WireGate){.come_in = true});
    pass(conn); /* what is said goes out before what gRPC says */
}

static void refuse(GateConn *conn, const char *text)
{
    StrBuf words = {0};
    strbuf_addf(&words, conn->peer.dialled ? "this node does not let it in: %s" : "%s", text);
    send_away(conn, text, strbuf_text(&words));
    strbuf_done(&words);
}

/* Also of a connection that has gone on without a verdict: of that, nothing. */
void gate_talk_verdict(GateConn *conn, GateCommand *command)
{
    if (conn->stage != STAGE_VERDICT) {
        return;
    }
    bool asked = conn->awaits == AWAITS_FIRST;
    gate_conn_deadline(conn, loop_mono_ms() + conn->left_ms);
    if (command->kind == COMMAND_REFUSE) {
        refuse(conn, command->text);
    } else if (command->kind == COMMAND_WELCOME && asked) {
        say_bytes(conn, command->bytes);
        gate_last_word(conn);
    } else if (command->kind == COMMAND_LET_IN && !asked) {
        let_in(conn);
    } else {
        gate_conn_fail(conn, ERR_INVALID, "this node has lost its way");
    }
}

/* ---- reading ---- */

static size_t longest(const GateConn *conn)
{
    switch (conn->awaits) {
    case AWAITS_FIRST:
        return FIRST_MAX_BYTES;
    case AWAITS_WELCOME:
        return GATE_MESSAGE_MAX_BYTES;
    default:
        return PROOF_MAX_BYTES;
    }
}

/* The length is there: room for the message, or false. */
static bool begin_message(GateConn *conn)
{
    size_t len = 0;
    for (size_t i = 0; i < sizeof(conn->head); i++) {
        len = len << BITS_PER_BYTE | conn->head[i];
    }
    if (len == 0 || len > longest(conn)) {
        return false;
    }
    conn->in = (GateRest){.data = mem_resize(NULL, len, 1), .len = len};
    return true;
}

/* Some more of the message. 1, or as SSL_read_ex has it. */
static int read_some(GateConn *conn)
{
    size_t count = 0;
    ERR_clear_error();
    if (conn->head_len < sizeof(conn->head)) {
        int result = SSL_read_ex(conn->ssl, conn->head + conn->head_len,
                                 sizeof(conn->head) - conn->head_len, &count);
        conn->head_len += count;
        return result;
    }
    int result =
        SSL_read_ex(conn->ssl, conn->in.data + conn->in.at, conn->in.len - conn->in.at, &count);
    conn->in.at += count;
    return result;
}

static void take_message(GateConn *conn)
{
    WireGate message;
    if (wire_gate_decode(conn->gate->arena, conn->in.data, conn->in.len, &message) != ERR_OK) {
        gate_conn_fail(conn, ERR_INVALID, WORDS_NONSENSE);
        return;
    }
    conn->head_len = 0;
    heard(conn, &message);
    if (conn->in.data != NULL) {
        sodium_memzero(conn->in.data, conn->in.len);
        gate_rest_free(&conn->in);
    }
}

static void read_failed(GateConn *conn, int result)
{
    int error = SSL_get_error(conn->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return;
    }
    char text[GATE_TEXT_MAX_BYTES];
    gate_tls_words(conn, result, text);
    gate_conn_fail_kindly(conn, ERR_IO, text);
}

void gate_talk_readable(GateConn *conn)
{
    if (conn->up.data != NULL && gate_pump_flush_up(conn)) {
        gate_watch(conn->gate, &conn->tcp, EPOLLIN);
    }
    while (!conn->dead && conn->stage == STAGE_TALK) {
        int result = read_some(conn);
        if (result != 1) {
            read_failed(conn, result);
            return;
        }
        if (conn->in.data == NULL && conn->head_len == sizeof(conn->head) && !begin_message(conn)) {
            gate_conn_fail(conn, ERR_INVALID, WORDS_NONSENSE);
            return;
        }
        if (conn->in.data != NULL && conn->in.at == conn->in.len) {
            take_message(conn);
        }
    }
}
