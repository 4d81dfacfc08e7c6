/* Readers of the feed at the other end of gRPC streams. */
#include "io/subscriber.h"

#include "base/log.h"
#include "core/rooms.h"
#include "io/wire_batch.h"

#include <inttypes.h>
#include <string.h>
#include <utlist.h>

typedef struct Subscriber {
    Subscribers *all;
    RpcServerCall *call;
    ClientRole role;
    bool sending;
    FeedReader reader;
    struct Subscriber *next;
    struct Subscriber *prev;
} Subscriber;

struct Subscribers {
    Node *node;
    Subscriber *list;
    size_t count;
};

typedef struct RoomNames {
    char text[FEED_ROOMS_MAX][EVENT_ROOM_MAX_BYTES + 1];
    const char *names[FEED_ROOMS_MAX];
    size_t count;
} RoomNames;

Subscribers *subscribers_new(Node *node)
{
    Subscribers *subscribers = mem_new(Subscribers);
    subscribers->node = node;
    return subscribers;
}

void subscribers_free(Subscribers *subscribers)
{
    mem_free(subscribers);
}

size_t subscribers_count(const Subscribers *subscribers)
{
    return subscribers->count;
}

static void subscriber_free(Subscriber *subscriber)
{
    Subscribers *all = subscriber->all;
    feed_unfollow(node_feed(all->node), &subscriber->reader);
    DL_DELETE(all->list, subscriber);
    all->count--;
    mem_free(subscriber);
}

static void subscriber_end(Subscriber *subscriber, int code, const char *text)
{
    log_info("subscriber: stream ended: %s", text);
    rpc_server_call_end(subscriber->call, code, text);
    subscriber_free(subscriber);
}

void subscribers_end(Subscribers *subscribers, int code, const char *text)
{
    while (subscribers->list != NULL) {
        subscriber_end(subscribers->list, code, text);
    }
}

void subscribers_look_again(Subscribers *subscribers, Authority *authority)
{
    Subscriber *subscriber;
    Subscriber *next;
    DL_FOREACH_SAFE(subscribers->list, subscriber, next) {
        if (!authority_holds(authority, &subscriber->role)) {
            subscriber_end(subscriber, RPC_UNAUTHENTICATED, AUTHORITY_REVOKED);
        }
    }
}

/* Sends what there is, unless something is on its way. */
static void subscriber_pump(Subscriber *subscriber)
{
    if (subscriber->sending) {
        return;
    }
    FeedPart part;
    switch (feed_next(node_feed(subscriber->all->node), &subscriber->reader, &part)) {
    case FEED_PART:
        subscriber->sending = true;
        rpc_server_call_send_part(subscriber->call, part.bytes, part.offset, part.len);
        return;
    case FEED_WAIT:
        return;
    case FEED_FAILED:
        subscriber_end(subscriber, RPC_INTERNAL, "this node cannot read its log");
        return;
    }
}

static void subscriber_wake(FeedReader *reader)
{
    subscriber_pump(reader->owner);
}

static void subscriber_sent(void *context)
{
    Subscriber *subscriber = context;
    subscriber->sending = false;
    subscriber_pump(subscriber);
}

static void subscriber_gone(void *context)
{
    log_info("subscriber: gone");
    subscriber_free(context);
}

/* ---- opening ---- */

/* False: answered. */
static bool take_rooms(RpcServerCall *call, const WireSubscribe *request, RoomNames *ret_rooms)
{
    AUTO_STRBUF StrBuf text = {0};
    if (request->rooms_count > FEED_ROOMS_MAX) {
        strbuf_addf(&text, "%zu rooms are too many: %d can be followed by one stream",
                    request->rooms_count, FEED_ROOMS_MAX);
        rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT, text.text);
        return false;
    }
    for (size_t i = 0; i < request->rooms_count; i++) {
        const char *reason = "";
        const char *name = request->rooms[i];
        if (room_name_parse(name, strlen(name), ret_rooms->text[i], &reason) != ERR_OK) {
            strbuf_addf(&text, "rooms, number %zu: %s", i + 1, reason);
            rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT, text.text);
            return false;
        }
        ret_rooms->names[i] = ret_rooms->text[i];
    }
    ret_rooms->count = request->rooms_count;
    if (ret_rooms->count == 0) {
        ret_rooms->names[ret_rooms->count++] = MESSAGE_LOBBY;
    }
    return true;
}

/* False: answered. */
static bool take_position(Node *node, RpcServerCall *call, const WireSubscribe *request,
                          uint64_t *ret_position)
{
    *ret_position = feed_position(node_feed(node));
    if (request->from_start) {
        *ret_position = 0;
        return true;
    }
    if (request->life == 0) {
        return true;
    }
    if (!node_knows_cursor(node, request->life, request->position)) {
        rpc_server_call_answer(call, NULL, RPC_OUT_OF_RANGE,
                               "life and position are not of this node's journal: subscribe anew, "
                               "and take what you lack from another node");
        return false;
    }
    *ret_position = request->position;
    return true;
}

void subscribers_serve(Subscribers *subscribers, WireArena *arena, RpcServerCall *call,
                       const ClientRole *role, const uint8_t *request_bytes, size_t len)
{
    Node *node = subscribers->node;
    WireSubscribe request;
    RoomNames rooms;
    uint64_t position = 0;
    if (wire_decode_subscribe(arena, request_bytes, len, &request) != ERR_OK) {
        rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT,
                               "the request is not what proto/chat.proto says");
        return;
    }
    if (!take_rooms(call, &request, &rooms) || !take_position(node, call, &request, &position)) {
        return;
    }
    Subscriber *subscriber = mem_new(Subscriber);
    subscriber->all = subscribers;
    subscriber->call = call;
    subscriber->role = *role;
    subscriber->reader.wake = subscriber_wake;
    subscriber->reader.owner = subscriber;
    DL_APPEND(subscribers->list, subscriber);
    subscribers->count++;
    rpc_server_call_open(call, subscriber_sent, subscriber_gone, subscriber);
    feed_follow(node_feed(node), &subscriber->reader, rooms.names, rooms.count, position);
    Bytes *first = wire_subscribed(node_life(node), position);
    subscriber->sending = true;
    rpc_server_call_send(call, first, false);
    bytes_unref(first);
    log_info("subscriber: stream opened behind position %" PRIu64 ", %zu open", position,
             subscribers->count);
}
