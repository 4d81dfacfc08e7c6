/* A server and its clients in one process and one loop, over the loopback interface; each end of a
 * stream does what it is told and counts what it sees. */
#pragma once

#include "base/strbuf.h"
#include "io/rpc.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TEST_MAX_MS = 30 * 1000, /* also under sanitizers */
    MANY = 10000,
    KIB = 1024,
};

/* What one end of a stream does and has seen. */
typedef struct End {
    RpcStream *stream;
    unsigned to_send; /* by itself, one after the other */
    unsigned sent;
    unsigned received;
    size_t (*size_of)(unsigned n);
    bool out_of_order;
    enum { CLOSE_NEVER, CLOSE_IN_RECEIVED, CLOSE_IN_SENT, CLOSE_IN_ENDED } close_in;
    uv_sem_t *holds; /* waits for it in received */
    bool pauses;     /* in received */
    bool half_closed;
    bool ended;
    int code;
    char text[300];
} End;

typedef struct World {
    Loop *loop;
    Rpc *rpc;
    RpcServer *server;
    uint16_t port;
    RpcChannel *channel;
    uv_timer_t deadline;
    End at_client;
    End at_server;
    unsigned streams_opened; /* at the server */
    bool refuses;
    bool sends_on; /* after the client has closed its side */
    RpcPeer peer;
    char agent[100]; /* the client's metadata, "user-agent" */
    bool authorized; /* it has some */
    RpcServerCall *deferred;
    RpcResult result; /* of a unary call */
    bool answered;
    bool server_closed;
    bool rpc_closed;
    uint64_t started_ms;
} World;

/* ---- messages: their number, then bytes that follow from it ---- */

static inline size_t size_mixed(unsigned n)
{
    return n % 500 == 499 ? 200 * KIB : n % 10 == 9 ? 2000 : 4 + n % 100;
}

static inline size_t size_64_kib(unsigned n)
{
    (void)n;
    return (size_t)64 * KIB;
}

static inline Bytes *message_of(const End *end, unsigned n)
{
    size_t len = end->size_of(n);
    Bytes *bytes = bytes_new_empty(len);
    memset(bytes_fill(bytes), (int)(n & 0xFF), len);
    memcpy(bytes_fill(bytes), &n, sizeof(n));
    return bytes;
}

static inline bool is_message(const End *end, unsigned n, const uint8_t *data, size_t len)
{
    if (len != end->size_of(n)) {
        return false;
    }
    Bytes *wanted = message_of(end, n);
    bool same = memcmp(data, bytes_data(wanted), len) == 0;
    bytes_unref(wanted);
    return same;
}

/* ---- an end ---- */

static inline void end_send(End *end, unsigned n)
{
    Bytes *message = message_of(end, n);
    rpc_stream_send(end->stream, message);
    bytes_unref(message);
}

static inline void end_start(End *end)
{
    if (end->to_send > 0) {
        end_send(end, 0);
    }
}

static inline void end_close(End *end, int code, const char *text)
{
    rpc_stream_close(TAKE(end->stream), code, text);
}

static inline void on_received(void *context, const uint8_t *data, size_t len)
{
    End *end = context;
    end->out_of_order |= !is_message(end, end->received, data, len);
    end->received++;
    if (end->holds != NULL) {
        uv_sem_wait(end->holds);
    }
    if (end->pauses) {
        rpc_stream_pause(end->stream, true);
    }
    if (end->close_in == CLOSE_IN_RECEIVED) {
        end_close(end, RPC_ABORTED, "closed in received");
    }
}

static inline void on_sent(void *context)
{
    End *end = context;
    end->sent++;
    if (end->close_in == CLOSE_IN_SENT) {
        end_close(end, RPC_ABORTED, "closed in sent");
    } else if (end->sent < end->to_send) {
        end_send(end, end->sent);
    }
}

static inline void on_ended(void *context, int code, const char *text)
{
    End *end = context;
    assert_false(end->ended);
    end->ended = true;
    end->code = code;
    snprintf(end->text, sizeof(end->text), "%s", text);
    if (end->close_in == CLOSE_IN_ENDED) {
        rpc_stream_close(end->stream, RPC_ABORTED, "closed in ended");
    }
    end->stream = NULL;
}

static inline void on_half_closed(void *context)
{
    End *end = context;
    assert_false(end->half_closed);
    end->half_closed = true;
}

static const RpcStreamEvents EVENTS = {.received = on_received, .sent = on_sent, .ended = on_ended};
static const RpcStreamEvents EVENTS_OF_BOTH_SIDES = {
    .received = on_received, .sent = on_sent, .half_closed = on_half_closed, .ended = on_ended};

/* ---- the server's methods ---- */

static inline void serve_stream(void *context, RpcStream *stream)
{
    World *world = context;
    End *end = &world->at_server;
    world->streams_opened++;
    if (world->refuses) {
        rpc_stream_close(stream, RPC_RESOURCE_EXHAUSTED, "too many streams");
        return;
    }
    rpc_stream_peer_info(stream, &world->peer);
    world->authorized = rpc_stream_metadata(stream, "authorization") != NULL;
    const char *agent = rpc_stream_metadata(stream, "user-agent");
    snprintf(world->agent, sizeof(world->agent), "%s", agent != NULL ? agent : "");
    end->stream = stream;
    rpc_stream_accept(stream, world->sends_on ? &EVENTS_OF_BOTH_SIDES : &EVENTS, end);
    end_start(end);
}

static inline void serve_deferred(void *context, RpcServerCall *call, const uint8_t *data,
                                  size_t len)
{
    (void)data;
    (void)len;
    World *world = context;
    world->deferred = call;
}

static const RpcMethod METHODS[] = {
    {.path = "/test/Stream", .open = serve_stream},
    {.path = "/test/Deferred", .start = serve_deferred},
};

/* ---- the world ---- */

static inline void too_long(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static inline void wait_until(World *world, const bool *flag)
{
    while (!*flag) {
        loop_turn(world->loop, true);
    }
}

static inline void wait_count(World *world, const unsigned *count, unsigned wanted)
{
    while (*count < wanted) {
        loop_turn(world->loop, true);
    }
}

static inline void pause_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* The loop goes on meanwhile. */
static inline void wait_ms(World *world, uint64_t ms)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(loop_uv(world->loop), &timer);
    timer.data = &over;
    uv_timer_start(&timer, pause_over, ms, 0);
    wait_until(world, &over);
    uv_close((uv_handle_t *)&timer, NULL);
    loop_turn(world->loop, false);
}

/* A socket that listens on a port nobody else has. */
static inline int listen_anywhere(uint16_t *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline World *world_new(void)
{
    World *world = mem_new(World);
    world->at_client.size_of = size_mixed;
    world->at_server.size_of = size_mixed;
    world->loop = loop_new();
    world->rpc = rpc_open(world->loop);
    uv_timer_init(loop_uv(world->loop), &world->deadline);
    uv_timer_start(&world->deadline, too_long, TEST_MAX_MS, 0);
    world->started_ms = loop_mono_ms();
    return world;
}

static inline void world_serve(World *world)
{
    char *text = NULL;
    world->server = rpc_server_new(world->rpc, &(RpcServerOptions){
                                                   .methods = METHODS,
                                                   .methods_count = 2,
                                                   .streams_max = 100,
                                                   .connections_max = 100,
                                                   .context = world,
                                               });
    /* Somebody else may take the port between the two; then it is another. */
    do {
        mem_free(TAKE(text));
        close(listen_anywhere(&world->port));
    } while (rpc_server_listen(world->server, "127.0.0.1", world->port, &text) != ERR_OK);
    rpc_server_start(world->server);
}

static inline void world_connect(World *world)
{
    world->channel = rpc_channel_open(world->rpc, "127.0.0.1", world->port, true);
}

static inline void world_open(World *world)
{
    End *end = &world->at_client;
    end->stream = rpc_stream_open(world->channel, "/test/Stream", &EVENTS, end);
    end_start(end);
}

static inline World *world_with_server(void)
{
    World *world = world_new();
    world_serve(world);
    world_connect(world);
    return world;
}

static inline void flag_set(void *flag)
{
    *(bool *)flag = true;
}

static inline void world_close_server(World *world)
{
    rpc_server_close(TAKE(world->server), flag_set, &world->server_closed);
    wait_until(world, &world->server_closed);
}

static inline void world_close_channel(World *world)
{
    if (world->channel != NULL) {
        rpc_channel_close(TAKE(world->channel));
    }
}

static inline void world_free(World *world)
{
    end_close(&world->at_client, RPC_CANCELLED, "the test is over");
    world_close_channel(world);
    if (world->server != NULL) {
        world_close_server(world);
    }
    rpc_close(world->rpc, flag_set, &world->rpc_closed);
    wait_until(world, &world->rpc_closed);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    loop_stop(world->loop);
    loop_run(world->loop);
    loop_free(world->loop);
    mem_free(world);
}

static inline void assert_ended(const End *end, int code, const char *text)
{
    assert_true(end->ended);
    assert_string_equal(end->text, text);
    assert_int_equal(end->code, code);
}
