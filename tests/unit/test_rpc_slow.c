/* Streams whose receiver is slow: its peer has a thread of its own. */
#include "rpc_world.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_server_holds_a_client_back_which_still_leaves_in_time),
        cmocka_unit_test(slow_client_holds_a_server_back_and_learns_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
