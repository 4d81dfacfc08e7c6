/* Streams both ways, their ends, and answers that are put off. */
#include "rpc_world.h"

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
    assert_int_equal(world->peer.kind, RPC_PEER_LOCAL);
    assert_memory_equal(world->peer.address, "127.0.0.1:", strlen("127.0.0.1:"));
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

/* Also where the server is sending without an end, and the channel is closed at once. A full
 * machine may need longer than a closed stream lingers, which then is cut: that round says
 * nothing. */
static void what_was_sent_before_a_client_closes_arrives(void **state)
{
    (void)state;
    enum { ROUNDS = 100, IN_TIME_MIN = 10 };
    World *world = world_with_server();
    unsigned in_time = 0;
    for (unsigned i = 1; i <= ROUNDS; i++) {
        world->at_client = (End){.size_of = size_mixed, .to_send = i % 5 + 1};
        world->at_server = (End){.size_of = size_mixed, .to_send = UINT32_MAX};
        world_open(world);
        wait_count(world, &world->at_client.sent, world->at_client.to_send);
        uint64_t closed_ms = loop_mono_ms();
        end_close(&world->at_client, RPC_CANCELLED, "");
        rpc_channel_close(TAKE(world->channel));
        wait_until(world, &world->at_server.ended);
        if (loop_mono_ms() - closed_ms < RPC_STREAM_LINGER_MS) {
            in_time++;
            assert_int_equal(world->at_server.received, world->at_client.to_send);
            assert_ended(&world->at_server, RPC_OK, "it closed the stream");
        }
        world_connect(world);
    }
    assert_in_range(in_time, IN_TIME_MIN, ROUNDS);
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
    for (unsigned where = CLOSE_IN_RECEIVED; where <= CLOSE_IN_ENDED; where++) {
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

/* ---- one side that goes on ---- */

static void server_sends_on_after_the_client_has_closed_its_side(void **state)
{
    (void)state;
    World *world = world_with_server();
    world->sends_on = true;
    world->at_client.to_send = 3;
    world_open(world);
    wait_count(world, &world->at_client.sent, 3);
    end_close(&world->at_client, RPC_OK, "");
    wait_until(world, &world->at_server.half_closed);
    assert_int_equal(world->at_server.received, 3);
    for (unsigned i = 0; i < 10; i++) {
        end_send(&world->at_server, i);
        wait_count(world, &world->at_server.sent, i + 1);
    }
    assert_false(world->at_server.ended);
    end_close(&world->at_server, RPC_OK, "");
    world_free(world);
}

static void server_hears_of_a_client_that_goes_after_it_closed_its_side(void **state)
{
    (void)state;
    World *world = world_with_server();
    world->sends_on = true;
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    end_close(&world->at_client, RPC_OK, "");
    wait_until(world, &world->at_server.half_closed);
    wait_until(world, &world->at_server.ended); /* the client cuts it after a moment */
    assert_ended(&world->at_server, RPC_CANCELLED, "it is gone");
    world_free(world);
}

static void too_long_a_message_is_no_end_of_one_side(void **state)
{
    (void)state;
    Bytes *bytes = bytes_new_empty(RPC_MESSAGE_MAX_BYTES + 1);
    memset(bytes_fill(bytes), 'x', bytes_len(bytes));
    World *world = world_with_server();
    world->sends_on = true;
    world_open(world);
    rpc_stream_send(world->at_client.stream, bytes);
    bytes_unref(bytes);
    wait_until(world, &world->at_server.ended);
    assert_ended(&world->at_server, RPC_RESOURCE_EXHAUSTED, "its message is too long");
    assert_false(world->at_server.half_closed);
    world_free(world);
}

static void paused_stream_holds_its_peer_back_and_loses_nothing(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    World *world = world_with_server();
    world->sends_on = true;
    world->at_client.size_of = size_64_kib;
    world->at_server.size_of = size_64_kib;
    world->at_client.to_send = COUNT;
    world->at_server.pauses = true;
    world_open(world);
    for (unsigned i = 1; i <= 3; i++) {
        wait_count(world, &world->at_server.received, i);
        wait_ms(world, 50);
        assert_int_equal(world->at_server.received, i);
        assert_true(world->at_client.sent < COUNT);
        rpc_stream_pause(world->at_server.stream, false);
        rpc_stream_pause(world->at_server.stream, false);
    }
    wait_count(world, &world->at_server.received, 4);
    rpc_stream_pause(world->at_server.stream, false);
    rpc_stream_pause(world->at_server.stream, true); /* one more may come */
    wait_ms(world, 50);
    assert_in_range(world->at_server.received, 4, 5);
    world->at_server.pauses = false;
    rpc_stream_pause(world->at_server.stream, false);
    wait_count(world, &world->at_client.sent, COUNT);
    end_close(&world->at_client, RPC_OK, "");
    wait_until(world, &world->at_server.half_closed);
    assert_int_equal(world->at_server.received, COUNT);
    assert_false(world->at_server.out_of_order);
    end_close(&world->at_server, RPC_OK, "");
    world_free(world);
}

static void paused_stream_hears_that_its_peer_is_gone(void **state)
{
    (void)state;
    World *world = world_with_server();
    world->sends_on = true;
    world->at_client.to_send = 10;
    world->at_server.pauses = true;
    world_open(world);
    wait_count(world, &world->at_server.received, 1);
    end_close(&world->at_client, RPC_CANCELLED, "");
    world_close_channel(world);
    wait_until(world, &world->at_server.ended);
    assert_ended(&world->at_server, RPC_CANCELLED, "it is gone");
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
        loop_turn(world->loop, true);
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
        cmocka_unit_test(server_sends_on_after_the_client_has_closed_its_side),
        cmocka_unit_test(server_hears_of_a_client_that_goes_after_it_closed_its_side),
        cmocka_unit_test(too_long_a_message_is_no_end_of_one_side),
        cmocka_unit_test(paused_stream_holds_its_peer_back_and_loses_nothing),
        cmocka_unit_test(paused_stream_hears_that_its_peer_is_gone),
        cmocka_unit_test(answer_may_come_later),
        cmocka_unit_test(answer_to_a_client_that_has_gone_does_no_harm),
        cmocka_unit_test(server_that_closes_waits_for_an_answer_that_comes_after_the_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
