/* Clients and their cursors. */
#include "io/chat_servicer.h"

#include "base/log.h"
#include "io/node_servicer.h"
#include "io/publisher.h"
#include "io/subscriber.h"
#include "io/wire.h"
#include "io/wire_batch.h"

#include <inttypes.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum {
    /* Messages that leave in one write. With more, little gets cheaper; and where thousands of
     * clients are behind, each round of all of them is one message more that nobody gets yet. */
    HELD_BACK_MAX = 64,
};

typedef struct Client {
    ChatServicer *servicer;
    RpcServerCall *call;
    char client_id[CLIENT_ID_MAX_BYTES + 1]; /* "": anonymous, and in no map */
    ClientRole role;
    bool follows; /* a node's stream carries nothing */
    bool sending;
    unsigned held_back; /* messages in the library's buffer */
    Follower follower;
    struct Client *next;
    struct Client *prev;
    UT_hash_handle hh;
} Client;

struct ChatServicer {
    Node *node;
    RpcServer *server;
    WireArena *arena;
    Publishers *publishers;
    NodeServicer *node_servicer;
    Authority *authority;
    AuthorityWatcher tokens;
    Client *clients; /* all of them */
    Client *by_id;
    uint32_t clients_count;
    uint32_t clients_max; /* subscribers among them */
    Subscribers *subscribers;
    void (*done)(void *context);
    void *context;
};

/* ---- SendMessage and Hello ---- */

static void refuse_bytes(RpcServerCall *call)
{
    rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT,
                           "the request is not what proto/chat.proto says");
}

static void refuse_node_id(RpcServerCall *call)
{
    rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT,
                           "node_id must have 16 bytes; leave it out where you are no node");
}

/* A call that waits for its line to be on the disk. */
typedef struct Saying {
    NodeReceipt receipt;
    RpcServerCall *call;
    const MessageDraft *draft; /* while the call is being served; then NULL */
} Saying;

static void saying_answer(NodeReceipt *receipt, Err err, Message *message, const char *text)
{
    Saying *saying = (Saying *)receipt;
    if (err != ERR_OK) {
        rpc_server_call_answer(saying->call, NULL, rpc_code_of(err), text);
    } else if (message != NULL) {
        rpc_server_call_answer(saying->call, wire_response(message), RPC_OK, "");
    } else {
        /* A repeat, which is known at once. */
        Bytes *echo = saying->draft != NULL ? wire_echo(saying->draft) : NULL;
        rpc_server_call_answer(saying->call, echo, RPC_OK, "");
        bytes_unref(echo);
    }
    saying->call = NULL;
    if (saying->draft == NULL) {
        mem_free(saying);
    }
}

static void serve_send_message(void *context, RpcServerCall *call, const uint8_t *request,
                               size_t len)
{
    ChatServicer *servicer = context;
    MessageDraft draft;
    ClientRole role;
    AUTO_FREE char *text = NULL;
    if (!authority_call(servicer->authority, call, USE_SPEAK, &role)) {
        return;
    }
    if (wire_decode_message(servicer->arena, request, len, &draft) != ERR_OK) {
        refuse_bytes(call);
        return;
    }
    if (authority_check_sender(&role, &draft, &text) != ERR_OK) {
        rpc_server_call_answer(call, NULL, RPC_PERMISSION_DENIED, text);
        return;
    }
    Saying *saying = mem_new(Saying);
    saying->receipt.done = saying_answer;
    saying->call = call;
    saying->draft = &draft;
    node_receive(servicer->node, &draft, &saying->receipt);
    saying->draft = NULL;
    if (saying->call == NULL) {
        mem_free(saying);
    }
}

static void serve_publish(void *context, RpcStream *stream)
{
    ChatServicer *servicer = context;
    ClientRole role;
    if (authority_stream(servicer->authority, stream, USE_SPEAK, &role)) {
        publishers_open(servicer->publishers, stream, &role);
    }
}

static void serve_link(void *context, RpcStream *stream)
{
    ChatServicer *servicer = context;
    ClientRole role;
    if (authority_stream(servicer->authority, stream, USE_LINK, &role)) {
        node_accept_link(servicer->node, stream);
    }
}

static void serve_hello(void *context, RpcServerCall *call, const uint8_t *request, size_t len)
{
    ChatServicer *servicer = context;
    ClientRole role;
    WireHello hello;
    if (!authority_call(servicer->authority, call, USE_LINK, &role)) {
        return;
    }
    if (wire_decode_hello(servicer->arena, request, len, &hello) != ERR_OK) {
        refuse_bytes(call);
        return;
    }
    if (hello.node_id_len != NODE_ID_BYTES) {
        refuse_node_id(call);
        return;
    }
    Bytes *answer = wire_hello(node_id(servicer->node), node_name(servicer->node));
    rpc_server_call_answer(call, answer, RPC_OK, "");
    bytes_unref(answer);
}

/* ---- StreamMessages ---- */

static void client_free(Client *client)
{
    ChatServicer *servicer = client->servicer;
    if (client->follows) {
        bus_unfollow(node_bus(servicer->node), &client->follower);
    }
    if (client->client_id[0] != '\0') {
        HASH_DEL(servicer->by_id, client);
    }
    DL_DELETE(servicer->clients, client);
    servicer->clients_count--;
    mem_free(client);
}

static void client_end(Client *client, int code, const char *text)
{
    log_info("client \"%s\": stream ended: %s", client->client_id, text);
    rpc_server_call_end(client->call, code, text);
    client_free(client);
}

static void client_fell_off(Client *client, uint64_t lost)
{
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text,
                "read too slowly: %" PRIu64 " lines fell out of the window of %d; open the stream "
                "again to go on from now",
                lost, BUS_MAX_ITEMS);
    client_end(client, RPC_RESOURCE_EXHAUSTED, text.text);
}

/* Sends the next message, if there is one and none is on its way. */
static void client_pump(Client *client)
{
    Bus *bus = node_bus(client->servicer->node);
    while (!client->sending) {
        const BusItem *item = NULL;
        uint64_t lost = 0;
        if (bus_next(bus, &client->follower, &item, &lost) != ERR_OK) {
            client_fell_off(client, lost);
            return;
        }
        if (item == NULL) {
            return;
        }
        if (bus_item_is_public(item)) {
            client->sending = true;
            bool more = client->held_back < HELD_BACK_MAX && bus_has_public(bus, &client->follower);
            client->held_back = more ? client->held_back + 1 : 0;
            rpc_server_call_send(client->call, wire_response(item->message), more);
        }
    }
}

static void client_wake(Follower *follower)
{
    client_pump(follower->owner);
}

static void client_sent(void *context)
{
    Client *client = context;
    client->sending = false;
    client_pump(client);
}

static void client_gone(void *context)
{
    Client *client = context;
    log_info("client \"%s\": gone", client->client_id);
    client_free(client);
}

static Client *find_client(ChatServicer *servicer, const char *client_id, size_t len)
{
    Client *client = NULL;
    HASH_FIND(hh, servicer->by_id, client_id, (unsigned)len, client);
    return client;
}

static void client_open(ChatServicer *servicer, RpcServerCall *call, const ClientRole *role,
                        const WireStreamRequest *request)
{
    Client *client = mem_new(Client);
    client->servicer = servicer;
    client->call = call;
    client->role = *role;
    client->follows = request->node_id_len == 0;
    client->follower.owner = client;
    client->follower.wake = client_wake;
    memcpy(client->client_id, request->client_id, request->client_id_len);
    if (request->client_id_len > 0) {
        HASH_ADD(hh, servicer->by_id, client_id[0], (unsigned)request->client_id_len, client);
    }
    DL_APPEND(servicer->clients, client);
    servicer->clients_count++;
    rpc_server_call_open(call, client_sent, client_gone, client);
    if (client->follows) {
        bus_follow(node_bus(servicer->node), &client->follower);
    }
    log_info("client \"%s\": stream opened, %u open", client->client_id,
             (unsigned)servicer->clients_count);
}

static void refuse_client_id(RpcServerCall *call, const char *reason)
{
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text, "client_id %s", reason);
    rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT, text.text);
}

static void refuse_too_many(ChatServicer *servicer, RpcServerCall *call)
{
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text, "this node serves %u clients, as many as it may; try again later",
                (unsigned)servicer->clients_max);
    rpc_server_call_answer(call, NULL, RPC_RESOURCE_EXHAUSTED, text.text);
}

static bool is_full(const ChatServicer *servicer)
{
    return servicer->clients_count + subscribers_count(servicer->subscribers) >=
           servicer->clients_max;
}

/* A program ends no stream but those of its own token. */
static bool is_same_client(const ClientRole *a, const ClientRole *b)
{
    return a->kind == b->kind && strcmp(a->token.name, b->token.name) == 0;
}

static void serve_stream_messages(void *context, RpcServerCall *call, const uint8_t *data,
                                  size_t len)
{
    ChatServicer *servicer = context;
    ClientRole role;
    WireStreamRequest request;
    const char *reason = "";
    if (wire_decode_stream_request(servicer->arena, data, len, &request) != ERR_OK) {
        refuse_bytes(call);
        return;
    }
    /* A node's has no lines: it only shows that this one is there. */
    ClientUse use = request.node_id_len > 0 ? USE_LINK : USE_READ;
    if (!authority_call(servicer->authority, call, use, &role)) {
        return;
    }
    if (request.node_id_len != 0 && request.node_id_len != NODE_ID_BYTES) {
        refuse_node_id(call);
        return;
    }
    if (message_check_label(request.client_id, request.client_id_len, &reason) != ERR_OK) {
        refuse_client_id(call, reason);
        return;
    }
    Client *before = find_client(servicer, request.client_id, request.client_id_len);
    if (before != NULL && request.client_id_len > 0) {
        if (!is_same_client(&before->role, &role)) {
            rpc_server_call_answer(call, NULL, RPC_PERMISSION_DENIED,
                                   "this client_id belongs to a stream that is not yours: take "
                                   "another one");
            return;
        }
        client_end(before, RPC_ABORTED, "another stream was opened with this client_id");
    }
    if (is_full(servicer)) {
        refuse_too_many(servicer, call);
        return;
    }
    client_open(servicer, call, &role, &request);
}

/* ---- the servicer ---- */

static void serve_subscribe(void *context, RpcServerCall *call, const uint8_t *request, size_t len)
{
    ChatServicer *servicer = context;
    ClientRole role;
    if (!authority_call(servicer->authority, call, USE_READ, &role)) {
        return;
    }
    if (is_full(servicer)) {
        refuse_too_many(servicer, call);
    } else {
        subscribers_serve(servicer->subscribers, servicer->arena, call, &role, request, len);
    }
}

static void serve_run(void *context, RpcServerCall *call, const uint8_t *request, size_t len)
{
    ChatServicer *servicer = context;
    node_servicer_run(servicer->node_servicer, call, request, len);
}

/* Streams whose token was revoked end. */
static void tokens_changed(AuthorityWatcher *watcher)
{
    ChatServicer *servicer = CONTAINER_OF(watcher, ChatServicer, tokens);
    Client *client;
    Client *next;
    DL_FOREACH_SAFE(servicer->clients, client, next) {
        if (!authority_holds(servicer->authority, &client->role)) {
            client_end(client, RPC_UNAUTHENTICATED, AUTHORITY_REVOKED);
        }
    }
    subscribers_look_again(servicer->subscribers, servicer->authority);
    publishers_look_again(servicer->publishers);
}

static const RpcMethod METHODS[] = {
    {.path = WIRE_SEND_MESSAGE, .start = serve_send_message},
    {.path = WIRE_STREAM_MESSAGES, .start = serve_stream_messages},
    {.path = WIRE_SUBSCRIBE, .start = serve_subscribe},
    {.path = WIRE_PUBLISH, .open = serve_publish},
    {.path = WIRE_HELLO, .start = serve_hello},
    {.path = WIRE_LINK, .open = serve_link},
    {.path = WIRE_RUN, .start = serve_run},
};

ChatServicer *chat_servicer_new(Rpc *rpc, Node *node, const ChatServicerOptions *options)
{
    ChatServicer *servicer = mem_new(ChatServicer);
    servicer->node = node;
    servicer->clients_max = options->clients_max;
    servicer->arena = wire_arena_new();
    servicer->subscribers = subscribers_new(node);
    servicer->authority = options->authority;
    servicer->publishers = publishers_new(node, servicer->authority);
    servicer->node_servicer = node_servicer_new(node, servicer->authority);
    servicer->tokens.changed = tokens_changed;
    authority_watch(servicer->authority, &servicer->tokens);
    /* One program may hold all its clients' streams on one connection, as gRPC does by itself; and
     * still call SendMessage. */
    servicer->server = rpc_server_new(rpc, &(RpcServerOptions){
                                               .methods = METHODS,
                                               .methods_count = sizeof(METHODS) / sizeof(*METHODS),
                                               .streams_max = options->clients_max + 100,
                                               .connections_max = options->clients_max + 1000,
                                               .context = servicer,
                                           });
    return servicer;
}

Err chat_servicer_listen(ChatServicer *servicer, const char *address, uint16_t port,
                         char **ret_text)
{
    return rpc_server_listen(servicer->server, address, port, ret_text);
}

Err chat_servicer_listen_unix(ChatServicer *servicer, const char *path, char **ret_text)
{
    return rpc_server_listen_unix(servicer->server, path, ret_text);
}

void chat_servicer_adopt(ChatServicer *servicer, int fd, const RpcPeer *peer)
{
    rpc_server_adopt(servicer->server, fd, peer);
}

void chat_servicer_start(ChatServicer *servicer)
{
    rpc_server_start(servicer->server);
}

static void servicer_closed(void *context)
{
    ChatServicer *servicer = context;
    subscribers_free(servicer->subscribers);
    wire_arena_free(servicer->arena);
    publishers_free(servicer->publishers);
    node_servicer_free(servicer->node_servicer);
    servicer->done(servicer->context);
    mem_free(servicer);
}

void chat_servicer_close(ChatServicer *servicer, void (*done)(void *context), void *context)
{
    servicer->done = done;
    servicer->context = context;
    authority_unwatch(servicer->authority, &servicer->tokens);
    publishers_close(servicer->publishers);
    while (servicer->clients != NULL) {
        client_end(servicer->clients, RPC_UNAVAILABLE, "the node is leaving");
    }
    subscribers_end(servicer->subscribers, RPC_UNAVAILABLE, "the node is leaving");
    rpc_server_close(servicer->server, servicer_closed, servicer);
}
