/* A link's calls, and their failures in words. */
#include "io/node_connection.h"

#include <stdio.h>
#include <string.h>

struct NodeConnection {
    NodeConnectionOptions options;
    RpcChannel *channel; /* NULL while disconnected */
    GateCall *dialling;  /* in a private network, before there is a channel */
    GatePeer peer;       /* who has passed, there */
    uint64_t generation; /* of channel; tells whether a report has led to another */
    bool established;    /* Hello was answered: the stream is held, the channel watched */
    char name[MESSAGE_SENDER_MAX_BYTES + 1]; /* of the person here */
    RpcCall *hello;
    RpcCall *stream;
    RpcCall *sending;
};

NodeConnection *node_connection_new(const NodeConnectionOptions *options)
{
    NodeConnection *connection = mem_new(NodeConnection);
    connection->options = *options;
    return connection;
}

void node_connection_free(NodeConnection *connection)
{
    node_connection_disconnect(connection);
    mem_free(connection);
}

void node_connection_disconnect(NodeConnection *connection)
{
    gate_call_cancel(TAKE(connection->dialling));
    if (connection->channel == NULL) {
        return;
    }
    rpc_call_cancel(TAKE(connection->hello));
    rpc_call_cancel(TAKE(connection->stream));
    rpc_call_cancel(TAKE(connection->sending));
    rpc_channel_close(TAKE(connection->channel));
    connection->established = false;
    connection->generation++;
}

static void report(NodeConnection *connection, Event *event)
{
    event->link = connection->options.link;
    connection->options.report(connection->options.context, event);
}

/* ---- why a link is down, in words ---- */

typedef struct Reason {
    const char *sign; /* in the library's text */
    const char *words;
} Reason;

static const Reason REASONS[] = {
    {"Connection refused", "connection refused: nothing listens there"},
    {"keepalive watchdog timeout", "it does not answer any more"},
    {"No route to host", "no route to that host"},
    {"Network is unreachable", "the network is unreachable"},
    {"Connection timed out", "no answer"},
    {"Connection reset by peer", "the connection was reset"},
    {"Broken pipe", "the connection was cut"},
    {"Socket closed", "it closed the connection"},
    {"FD shutdown", "no answer"},
    {"http1.x server", "what listens there speaks HTTP/1, not gRPC"},
    {"DNS resolution failed", "the host name is not known"},
    {"Name or service not known", "the host name is not known"},
    {"Trying to connect an http1.x server", "what listens there speaks HTTP/1, not gRPC"},
    {"GOAWAY", "it closed the connection"},
    {"the node is leaving", "it left"},
};

static const char *reason_of(const RpcResult *result)
{
    if (result->code == RPC_DEADLINE_EXCEEDED) {
        return "no answer in time";
    }
    if (result->code == RPC_OK) {
        return "it ended the connection";
    }
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++) {
        if (strstr(result->text, REASONS[i].sign) != NULL) {
            return REASONS[i].words;
        }
    }
    return result->text[0] != '\0' ? result->text : "it ended the connection";
}

static void report_down(NodeConnection *connection, const char *reason)
{
    report(connection,
           &(Event){.kind = EVENT_LINK_DOWN, .text = reason, .text_len = strlen(reason)});
}

static void stream_ended(void *context, const RpcResult *result)
{
    NodeConnection *connection = context;
    connection->stream = NULL;
    report_down(connection, reason_of(result));
}

/* The held stream ends in the same moment, or a little later where the peer drains it, and its
 * status says why. */
static void channel_lost(void *context)
{
    NodeConnection *connection = context;
    if (connection->stream == NULL) {
        report_down(connection, "it closed the connection");
    }
}

/* ---- connecting ---- */

static void hello_done(void *context, const RpcResult *result);

static void say_hello(NodeConnection *connection, uint32_t deadline_ms)
{
    Bytes *request = wire_hello(&connection->options.own_id, connection->name);
    connection->hello =
        rpc_unary(connection->channel, WIRE_HELLO, request, deadline_ms, hello_done, connection);
    bytes_unref(request);
}

/* The link stands: holds the peer's stream, which ends when the peer does. */
static void establish(NodeConnection *connection)
{
    connection->established = true;
    Bytes *request = wire_stream_request(&connection->options.own_id);
    connection->stream = rpc_hold_stream(connection->channel, WIRE_STREAM_MESSAGES, request,
                                         stream_ended, connection);
    bytes_unref(request);
    rpc_channel_watch(connection->channel, channel_lost, connection);
    /* The first Hello took a connection's time; this one takes a round trip. */
    say_hello(connection, NODE_CONNECTION_PROBE_MS);
}

static void hello_answered(NodeConnection *connection, const RpcResult *result)
{
    WireHello hello = {.name = ""};
    Event event = {.kind = EVENT_LINK_ANSWERED,
                   .rtt_us = connection->established ? result->elapsed_us : 0};
    event.classic = result->code == RPC_UNIMPLEMENTED;
    if (!event.classic &&
        (result->data == NULL || wire_decode_hello(connection->options.arena, result->data,
                                                   result->len, &hello) != ERR_OK)) {
        report_down(connection, "its answer to Hello makes no sense");
        return;
    }
    event.node_id = hello.node_id;
    event.node_id_len = hello.node_id_len;
    event.peer_name = hello.name;
    if (connection->options.gate != NULL) {
        event.key = connection->peer.key;
        event.binding = connection->peer.binding;
    }

    uint64_t generation = connection->generation;
    report(connection, &event);
    if (connection->generation == generation && !connection->established) {
        establish(connection);
    }
}

static void hello_done(void *context, const RpcResult *result)
{
    NodeConnection *connection = context;
    connection->hello = NULL;
    if (result->code == RPC_OK || result->code == RPC_UNIMPLEMENTED) {
        hello_answered(connection, result);
    } else {
        report_down(connection, reason_of(result));
    }
}

/* The gate has shaken hands, and each side has let the other in; or not. */
static void dialled(void *context, Err err, int fd, const GatePeer *peer, const char *text)
{
    NodeConnection *connection = context;
    connection->dialling = NULL;
    if (err != ERR_OK) {
        report(connection, &(Event){.kind = EVENT_LINK_DOWN,
                                    .text = text,
                                    .text_len = strlen(text),
                                    .refused = err == ERR_DENIED});
        return;
    }
    connection->peer = *peer;
    connection->channel = rpc_channel_adopt(connection->options.rpc, fd, true);
    say_hello(connection, NODE_CONNECTION_HELLO_MS);
}

void node_connection_connect(NodeConnection *connection, bool classic, const char *name)
{
    const NodeConfig *config = &connection->options.config;
    node_connection_disconnect(connection);
    snprintf(connection->name, sizeof(connection->name), "%s", name);
    connection->generation++;
    if (connection->options.gate != NULL) {
        connection->dialling =
            gate_dial(connection->options.gate, config->host, config->port, dialled, connection);
        return;
    }
    connection->channel =
        rpc_channel_open(connection->options.rpc, config->host, config->port, !classic);
    say_hello(connection, NODE_CONNECTION_HELLO_MS);
}

RpcChannel *node_connection_channel(const NodeConnection *connection)
{
    return connection->channel;
}

void node_connection_probe(NodeConnection *connection)
{
    if (connection->established && connection->hello == NULL) {
        say_hello(connection, NODE_CONNECTION_PROBE_MS);
    }
}

/* ---- sending ---- */

/* Codes after which the same line may be taken later; with all others it never will be. */
static bool may_try_again(int code)
{
    return code == RPC_UNAVAILABLE || code == RPC_DEADLINE_EXCEEDED || code == RPC_CANCELLED ||
           code == RPC_ABORTED || code == RPC_UNIMPLEMENTED;
}

static void send_done(void *context, const RpcResult *result)
{
    NodeConnection *connection = context;
    connection->sending = NULL;
    bool success = true;
    if (result->code != RPC_OK) {
        if (may_try_again(result->code)) {
            report_down(connection, reason_of(result));
            return;
        }
        success = false;
    } else if (result->data == NULL || wire_decode_success(connection->options.arena, result->data,
                                                           result->len, &success) != ERR_OK) {
        success = false;
    }
    if (success) {
        report(connection, &(Event){.kind = EVENT_DELIVERED, .rtt_us = result->elapsed_us});
        return;
    }
    const char *text = result->text[0] != '\0' ? result->text : "it gave no reason";
    report(connection, &(Event){.kind = EVENT_REFUSED, .text = text, .text_len = strlen(text)});
}

void node_connection_send(NodeConnection *connection, Message *message)
{
    connection->sending = rpc_unary(connection->channel, WIRE_SEND_MESSAGE, wire_request(message),
                                    NODE_CONNECTION_SEND_MS, send_done, connection);
}
