/* Streams both ways and answers that are put off: a server and its clients in one process, over
 * the loopback interface. */
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
    char *peer;
    RpcServerCall *deferred;
    RpcResult result; /* of a unary call */
    bool answered;
    bool server_closed;
    bool rpc_closed;
    uint64_t started_ms;
} World;

/* ---- messages: their number, then bytes that follow from it ---- */

static size_t size_mixed(unsigned n)
{
    return n % 500 == 499 ? 200 * KIB : n % 10 == 9 ? 2000 : 4 + n % 100;
}

static size_t size_64_kib(unsigned n)
{
    (void)n;
    return (size_t)64 * KIB;
}

static Bytes *message_of(const End *end, unsigned n)
{
    size_t len = end->size_of(n);
    Bytes *bytes = bytes_new_empty(len);
    memset(bytes_fill(bytes), (int)(n & 0xFF), len);
    memcpy(bytes_fill(bytes), &n, sizeof(n));
    return bytes;
}

static bool is_message(const End *end, unsigned n, const uint8_t *data, size_t len)
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

static void end_send(End *end, unsigned n)
{
    Bytes *message = message_of(end, n);
    rpc_stream_send(end->stream, message);
    bytes_unref(message);
}

static void end_start(End *end)
{
    if (end->to_send > 0) {
        end_send(end, 0);
    }
}

static void end_close(End *end, int code, const char *text)
{
    rpc_stream_close(TAKE(end->stream), code, text);
}

static void on_received(void *context, const uint8_t *data, size_t len)
{
    End *end = context;
    end->out_of_order |= !is_message(end, end->received, data, len);
    end->received++;
    if (end->holds != NULL) {
        uv_sem_wait(end->holds);
    }
    if (end->close_in == CLOSE_IN_RECEIVED) {
        end_close(end, RPC_ABORTED, "closed in received");
    }
}

static void on_sent(void *context)
{
    End *end = context;
    end->sent++;
    if (end->close_in == CLOSE_IN_SENT) {
        end_close(end, RPC_ABORTED, "closed in sent");
    } else if (end->sent < end->to_send) {
        end_send(end, end->sent);
    }
}

static void on_ended(void *context, int code, const char *text)
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

static const RpcStreamEvents EVENTS = {.received = on_received, .sent = on_sent, .ended = on_ended};

/* ---- the server's methods ---- */

static void serve_stream(void *context, RpcStream *stream)
{
    World *world = context;
    End *end = &world->at_server;
    world->streams_opened++;
    if (world->refuses) {
        rpc_stream_close(stream, RPC_RESOURCE_EXHAUSTED, "too many streams");
        return;
    }
    mem_free(world->peer);
    world->peer = rpc_stream_peer(stream);
    end->stream = stream;
    rpc_stream_accept(stream, &EVENTS, end);
    end_start(end);
}

static void serve_deferred(void *context, RpcServerCall *call, const uint8_t *data, size_t len)
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

static void too_long(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static void wait_until(World *world, const bool *flag)
{
    while (!*flag) {
        uv_run(loop_uv(world->loop), UV_RUN_ONCE);
    }
}

static void wait_count(World *world, const unsigned *count, unsigned wanted)
{
    while (*count < wanted) {
        uv_run(loop_uv(world->loop), UV_RUN_ONCE);
    }
}

static void pause_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* The loop goes on meanwhile. */
static void wait_ms(World *world, uint64_t ms)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(loop_uv(world->loop), &timer);
    timer.data = &over;
    uv_timer_start(&timer, pause_over, ms, 0);
    wait_until(world, &over);
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop_uv(world->loop), UV_RUN_NOWAIT);
}

/* A socket that listens on a port nobody else has. */
static int listen_anywhere(uint16_t *ret_port)
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

static World *world_new(void)
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

static void world_serve(World *world)
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

static void world_connect(World *world)
{
    world->channel = rpc_channel_open(world->rpc, "127.0.0.1", world->port, true);
}

static void world_open(World *world)
{
    End *end = &world->at_client;
    end->stream = rpc_stream_open(world->channel, "/test/Stream", &EVENTS, end);
    end_start(end);
}

static World *world_with_server(void)
{
    World *world = world_new();
    world_serve(world);
    world_connect(world);
    return world;
}

static void flag_set(void *flag)
{
    *(bool *)flag = true;
}

static void world_close_server(World *world)
{
    rpc_server_close(TAKE(world->server), flag_set, &world->server_closed);
    wait_until(world, &world->server_closed);
}

static void world_close_channel(World *world)
{
    if (world->channel != NULL) {
        rpc_channel_close(TAKE(world->channel));
    }
}

static void world_free(World *world)
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
    mem_free(world->peer);
    mem_free(world);
}

static void assert_ended(const End *end, int code, const char *text)
{
    assert_true(end->ended);
    assert_string_equal(end->text, text);
    assert_int_equal(end->code, code);
}

/* ---- messages ---- */

static void messages_arrive_in_order_both_ways(void **state)
{
    (void)state;
    World *world = world_with_server();
    world->at_client.to_send = MANY;
    world->at_server.to_send = MANY;
    world_open(world);
    wait_count(world, &world->at_server.received, MANY);
    wait_count(world, &world->at_client.received, MANY);
    wait_count(world, &world->at_client.sent, MANY);
    assert_false(world->at_server.out_of_order);
    assert_false(world->at_client.out_of_order);
    assert_false(world->at_client.ended);
    world_free(world);
}

static void server_tells_where_a_client_comes_from(void **state)
{
    (void)state;
    World *world = world_with_server();
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    assert_memory_equal(world->peer, "ipv4:127.0.0.1:", strlen("ipv4:127.0.0.1:"));
    world_free(world);
}

static void empty_message_is_a_message(void **state)
{
    (void)state;
    World *world = world_with_server();
    world_open(world);
    Bytes *empty = bytes_new("", 0);
    rpc_stream_send(world->at_client.stream, empty);
    bytes_unref(empty);
    wait_count(world, &world->at_server.received, 1);
    assert_false(world->at_server.ended);
    world_free(world);
}

static void over_long_message_ends_the_stream(void **state)
{
    (void)state;
    Bytes *bytes = bytes_new_empty(RPC_MESSAGE_MAX_BYTES + 1);
    memset(bytes_fill(bytes), 'x', bytes_len(bytes));
    World *world = world_with_server();
    world_open(world);
    rpc_stream_send(world->at_client.stream, bytes);
    wait_until(world, &world->at_client.ended);
    wait_until(world, &world->at_server.ended);
    assert_int_equal(world->at_client.code, RPC_RESOURCE_EXHAUSTED);
    assert_ended(&world->at_server, RPC_RESOURCE_EXHAUSTED, "its message is too long");

    world->at_client.ended = false;
    world->at_server.ended = false;
    world_open(world);
    wait_count(world, &world->streams_opened, 2);
    rpc_stream_send(world->at_server.stream, bytes);
    wait_until(world, &world->at_client.ended);
    wait_until(world, &world->at_server.ended);
    assert_int_equal(world->at_client.code, RPC_RESOURCE_EXHAUSTED);
    assert_ended(&world->at_server, RPC_CANCELLED, "it is gone");
    assert_int_equal(world->at_client.received + world->at_server.received, 0);
    bytes_unref(bytes);
    world_free(world);
}

/* ---- a slow receiver, and its peer in a thread of its own ---- */

typedef struct Thread {
    uv_thread_t thread;
    uv_sem_t started;
    uv_sem_t holds; /* the slow one, in received */
    uv_sem_t told;  /* the client knows how it ended */
    uint16_t port;
    bool went_well;
} Thread;

static void thread_start(Thread *thread, uv_thread_cb run)
{
    *thread = (Thread){0};
    uv_sem_init(&thread->started, 0);
    uv_sem_init(&thread->holds, 0);
    uv_sem_init(&thread->told, 0);
    uv_thread_create(&thread->thread, run, thread);
    uv_sem_wait(&thread->started);
}

static void thread_end(Thread *thread)
{
    uv_thread_join(&thread->thread);
    uv_sem_destroy(&thread->started);
    uv_sem_destroy(&thread->holds);
    uv_sem_destroy(&thread->told);
    assert_true(thread->went_well);
}

static void release_slow_one(Thread *thread)
{
    for (unsigned i = 0; i < MANY; i++) {
        uv_sem_post(&thread->holds);
    }
}

static void wait_until_held_back(World *world, const End *end)
{
    unsigned before = 0;
    wait_count(world, &end->sent, 1);
    while (before < end->sent) {
        before = end->sent;
        wait_ms(world, 200);
    }
}

static void thread_listens(Thread *thread, World *world)
{
    world->at_server.size_of = size_64_kib;
    world_serve(world);
    thread->port = world->port;
    uv_sem_post(&thread->started);
}

static void run_slow_server(void *context)
{
    Thread *thread = context;
    World *world = world_new();
    world->at_server.holds = &thread->holds;
    thread_listens(thread, world);
    wait_until(world, &world->at_server.ended);
    thread->went_well = !world->at_server.out_of_order && world->at_server.received > 0;
    world_free(world);
}

static World *world_towards(const Thread *thread)
{
    World *world = world_new();
    world->port = thread->port;
    world->at_client.size_of = size_64_kib;
    world_connect(world);
    return world;
}

static void slow_server_holds_a_client_back_which_still_leaves_in_time(void **state)
{
    (void)state;
    Thread thread;
    thread_start(&thread, run_slow_server);
    World *world = world_towards(&thread);
    world->at_client.to_send = MANY;
    world_open(world);
    wait_until_held_back(world, &world->at_client);
    /* The window grows with what the connection carries, to some MiB. */
    assert_in_range(world->at_client.sent, 1, 500);
    uint64_t closing_ms = loop_mono_ms();
    world_free(world);
    assert_in_range(loop_mono_ms() - closing_ms, RPC_STREAM_LINGER_MS, 3000);
    release_slow_one(&thread);
    thread_end(&thread);
}

static void run_server_of_slow_client(void *context)
{
    Thread *thread = context;
    World *world = world_new();
    world->at_server.to_send = MANY;
    thread_listens(thread, world);
    wait_until_held_back(world, &world->at_server);
    thread->went_well = world->at_server.sent < 500 && !world->at_server.ended;
    end_close(&world->at_server, RPC_RESOURCE_EXHAUSTED, "too slow");
    wait_ms(world, RPC_STREAM_LINGER_MS + 100);
    release_slow_one(thread);
    while (uv_sem_trywait(&thread->told) != 0) {
        wait_ms(world, 10);
    }
    world_free(world);
}

static void slow_client_holds_a_server_back_and_learns_its_status(void **state)
{
    (void)state;
    Thread thread;
    thread_start(&thread, run_server_of_slow_client);
    World *world = world_towards(&thread);
    world->at_client.holds = &thread.holds;
    world_open(world);
    wait_until(world, &world->at_client.ended);
    assert_ended(&world->at_client, RPC_RESOURCE_EXHAUSTED, "too slow");
    assert_false(world->at_client.out_of_order);
    uv_sem_post(&thread.told);
    thread_end(&thread);
    world_free(world);
}

/* ---- ends ---- */

static void server_close_tells_the_client_code_and_text(void **state)
{
    (void)state;
    World *world = world_with_server();
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    end_close(&world->at_server, RPC_ABORTED, "another link took over");
    wait_until(world, &world->at_client.ended);
    assert_ended(&world->at_client, RPC_ABORTED, "another link took over");
    assert_false(world->at_server.ended);
    world_free(world);
}

static void server_refuses_a_stream(void **state)
{
    (void)state;
    World *world = world_with_server();
    world->refuses = true;
    world->at_client.to_send = 3;
    world_open(world);
    wait_until(world, &world->at_client.ended);
    assert_ended(&world->at_client, RPC_RESOURCE_EXHAUSTED, "too many streams");
    world_free(world);
}

static void messages_arrive_before_the_status(void **state)
{
    (void)state;
    World *world = world_with_server();
    for (unsigned i = 1; i <= 100; i++) {
        world->at_client.ended = false;
        world->at_client.received = 0;
        world->at_server.to_send = 1;
        world->at_server.sent = 0;
        world_open(world);
        wait_count(world, &world->streams_opened, i);
        int code = i % 2 == 0 ? RPC_OK : RPC_ABORTED;
        end_close(&world->at_server, code, "that is all"); /* its message is on its way */
        wait_until(world, &world->at_client.ended);
        assert_int_equal(world->at_client.received, 1);
        assert_ended(&world->at_client, code, "that is all");
    }
    world_free(world);
}

static void client_close_ends_it_at_the_server(void **state)
{
    (void)state;
    World *world = world_with_server();
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    end_close(&world->at_client, RPC_CANCELLED, "enough");
    wait_until(world, &world->at_server.ended);
    assert_ended(&world->at_server, RPC_OK, "it closed the stream");
    assert_false(world->at_client.ended);
    world_free(world);
}

/* Also where the server is sending without an end, and the channel is closed at once. */
static void what_was_sent_before_a_client_closes_arrives(void **state)
{
    (void)state;
    World *world = world_with_server();
    for (unsigned i = 1; i <= 100; i++) {
        world->at_client = (End){.size_of = size_mixed, .to_send = i % 5 + 1};
        world->at_server = (End){.size_of = size_mixed, .to_send = UINT32_MAX};
        world_open(world);
        wait_count(world, &world->at_client.sent, world->at_client.to_send);
        end_close(&world->at_client, RPC_CANCELLED, "");
        rpc_channel_close(TAKE(world->channel));
        wait_until(world, &world->at_server.ended);
        assert_int_equal(world->at_server.received, world->at_client.to_send);
        assert_ended(&world->at_server, RPC_OK, "it closed the stream");
        world_connect(world);
    }
    world_free(world);
}

static void unknown_method_is_unimplemented(void **state)
{
    (void)state;
    World *world = world_with_server();
    End *end = &world->at_client;
    end->to_send = 2;
    end->stream = rpc_stream_open(world->channel, "/test/Nothing", &EVENTS, end);
    end_start(end);
    wait_until(world, &end->ended);
    assert_int_equal(end->code, RPC_UNIMPLEMENTED);
    world_free(world);
}

static void refused_connection_is_unavailable(void **state)
{
    (void)state;
    World *world = world_new();
    close(listen_anywhere(&world->port));
    world_connect(world);
    world->at_client.to_send = 2;
    world_open(world);
    wait_until(world, &world->at_client.ended);
    assert_int_equal(world->at_client.code, RPC_UNAVAILABLE);
    printf("TEXT %s\n", world->at_client.text);
    assert_int_equal(world->at_client.sent, 0);
    world_free(world);
}

static void silent_peer_does_not_hold_up_a_client_that_leaves(void **state)
{
    (void)state;
    World *world = world_new();
    int fd = listen_anywhere(&world->port);
    world_connect(world);
    world->at_client.to_send = 2;
    world_open(world);
    wait_ms(world, 50);
    world_free(world);
    close(fd);
}

static void close_in_any_callback_is_safe(void **state)
{
    (void)state;
    for (int where = CLOSE_IN_RECEIVED; where <= CLOSE_IN_ENDED; where++) {
        for (int who = 0; who < 2; who++) {
            World *world = world_with_server();
            End *closer = who == 0 ? &world->at_client : &world->at_server;
            End *other = who == 0 ? &world->at_server : &world->at_client;
            closer->close_in = where;
            closer->to_send = 5;
            other->to_send = 5;
            world_open(world);
            if (where == CLOSE_IN_ENDED) {
                wait_count(world, &world->at_server.sent, 5);
                wait_count(world, &world->at_client.sent, 5);
                end_close(other, RPC_OK, "");
                wait_until(world, &closer->ended);
            } else {
                wait_until(world, &other->ended);
                assert_false(closer->ended);
                assert_int_equal(other->code, who == 0 ? RPC_OK : RPC_ABORTED);
            }
            world_free(world);
        }
    }
}

static void server_that_closes_ends_open_streams_in_time(void **state)
{
    (void)state;
    World *world = world_with_server();
    world->at_client.to_send = UINT32_MAX;
    world->at_server.to_send = UINT32_MAX;
    world_open(world);
    wait_count(world, &world->at_client.received, 100);
    uint64_t closing_ms = loop_mono_ms();
    world_close_server(world);
    assert_in_range(loop_mono_ms() - closing_ms, 0, 3000);
    assert_ended(&world->at_server, RPC_CANCELLED, "it is gone");
    wait_until(world, &world->at_client.ended);
    assert_int_equal(world->at_client.code, RPC_UNAVAILABLE);
    world_free(world);
}

/* ---- answers that are put off ---- */

static void on_answer(void *context, const RpcResult *result)
{
    World *world = context;
    world->result.code = result->code;
    world->result.len = result->len;
    world->answered = true;
}

static RpcCall *ask(World *world, uint32_t deadline_ms)
{
    Bytes *request = bytes_new("?", 1);
    RpcCall *call =
        rpc_unary(world->channel, "/test/Deferred", request, deadline_ms, on_answer, world);
    bytes_unref(request);
    while (world->deferred == NULL) {
        uv_run(loop_uv(world->loop), UV_RUN_ONCE);
    }
    return call;
}

static void answer(World *world)
{
    Bytes *response = bytes_new("yes", 3);
    rpc_server_call_answer(TAKE(world->deferred), response, RPC_OK, "");
    bytes_unref(response);
}

static void answer_may_come_later(void **state)
{
    (void)state;
    World *world = world_with_server();
    ask(world, TEST_MAX_MS);
    wait_ms(world, 20);
    assert_false(world->answered);
    answer(world);
    wait_until(world, &world->answered);
    assert_int_equal(world->result.code, RPC_OK);
    assert_int_equal(world->result.len, 3);
    world_free(world);
}

static void answer_to_a_client_that_has_gone_does_no_harm(void **state)
{
    (void)state;
    World *world = world_with_server();
    rpc_call_cancel(ask(world, TEST_MAX_MS));
    wait_ms(world, 20);
    answer(world);
    ask(world, 20);
    wait_until(world, &world->answered);
    assert_int_equal(world->result.code, RPC_DEADLINE_EXCEEDED);
    answer(world);
    rpc_call_cancel(ask(world, TEST_MAX_MS));
    world_close_channel(world);
    wait_ms(world, 20);
    answer(world);
    world_free(world);
}

static void server_that_closes_waits_for_an_answer_that_comes_after_the_cut(void **state)
{
    (void)state;
    World *world = world_with_server();
    ask(world, TEST_MAX_MS);
    rpc_server_close(TAKE(world->server), flag_set, &world->server_closed);
    wait_until(world, &world->answered); /* by the cut */
    assert_int_equal(world->result.code, RPC_UNAVAILABLE);
    wait_ms(world, 100);
    assert_false(world->server_closed);
    answer(world);
    wait_until(world, &world->server_closed);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_arrive_in_order_both_ways),
        cmocka_unit_test(server_tells_where_a_client_comes_from),
        cmocka_unit_test(empty_message_is_a_message),
        cmocka_unit_test(over_long_message_ends_the_stream),
        cmocka_unit_test(slow_server_holds_a_client_back_which_still_leaves_in_time),
        cmocka_unit_test(slow_client_holds_a_server_back_and_learns_its_status),
        cmocka_unit_test(server_close_tells_the_client_code_and_text),
        cmocka_unit_test(server_refuses_a_stream),
        cmocka_unit_test(messages_arrive_before_the_status),
        cmocka_unit_test(client_close_ends_it_at_the_server),
        cmocka_unit_test(what_was_sent_before_a_client_closes_arrives),
        cmocka_unit_test(unknown_method_is_unimplemented),
        cmocka_unit_test(refused_connection_is_unavailable),
        cmocka_unit_test(silent_peer_does_not_hold_up_a_client_that_leaves),
        cmocka_unit_test(close_in_any_callback_is_safe),
        cmocka_unit_test(server_that_closes_ends_open_streams_in_time),
        cmocka_unit_test(answer_may_come_later),
        cmocka_unit_test(answer_to_a_client_that_has_gone_does_no_harm),
        cmocka_unit_test(server_that_closes_waits_for_an_answer_that_comes_after_the_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
