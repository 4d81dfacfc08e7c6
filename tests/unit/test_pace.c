/* Frames that wait for a slow face, on a real loop. */
#include "io/pace.h"
#include "unit.h"

#include <string.h>

enum { FRAMES_MAX = 64, TEST_MS = 10 * 1000 };

typedef struct World {
    Loop *loop;
    Bus *bus;
    Pace *pace;
    Follower face;
    uv_timer_t watchdog;
    char delivered[FRAMES_MAX + 1];
    size_t count;
} World;

static void deliver(void *context, size_t mesh, const uint8_t *data, size_t len)
{
    World *world = context;
    assert_int_equal(len, 1);
    assert_int_equal(mesh, data[0] == 'x' ? 1 : 0);
    world->delivered[world->count++] = (char)data[0];
}

static void wake(Follower *follower)
{
    (void)follower; /* it reads when the test says so */
}

static void too_late(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the frames did not come");
}

static void world_init(World *world)
{
    *world = (World){.loop = loop_new(), .bus = bus_new()};
    world->pace = pace_new(&(PaceOptions){
        .loop = world->loop, .bus = world->bus, .deliver = deliver, .context = world});
    world->face.wake = wake;
    world->face.paced = true;
    bus_follow(world->bus, &world->face);
    uv_timer_init(loop_uv(world->loop), &world->watchdog);
    uv_timer_start(&world->watchdog, too_late, TEST_MS, 0);
}

static void world_done(World *world)
{
    pace_free(world->pace);
    uv_close((uv_handle_t *)&world->watchdog, NULL);
    loop_stop(world->loop);
    loop_run(world->loop);
    bus_unfollow(world->bus, &world->face);
    bus_free(world->bus);
    loop_free(world->loop);
}

static void put_behind(World *world, size_t items)
{
    for (size_t i = 0; i < items; i++) {
        bus_notice(world->bus, NOTICE_INFO, "n", 0);
    }
}

static void read_on(World *world, size_t items)
{
    const BusItem *item = NULL;
    uint64_t lost = 0;
    for (size_t i = 0; i < items; i++) {
        assert_int_equal(bus_next(world->bus, &world->face, &item, &lost), ERR_OK);
    }
}

static void take(World *world, const char *frames)
{
    for (; *frames != '\0'; frames++) {
        pace_take(world->pace, *frames == 'x' ? 1 : 0, (const uint8_t *)frames, 1);
    }
}

/* Until so many frames were delivered in all. */
static void run_until(World *world, size_t count)
{
    while (world->count < count) {
        loop_turn(world->loop, true);
    }
}

static void frames_pass_at_once_while_the_face_is_near(void **state)
{
    (void)state;
    World world;
    world_init(&world);
    put_behind(&world, PACE_ITEMS - 1);
    take(&world, "abc");
    assert_string_equal(world.delivered, "abc");
    world_done(&world);
}

static void frames_wait_for_a_face_that_is_behind_and_come_in_order(void **state)
{
    (void)state;
    World world;
    world_init(&world);
    put_behind(&world, PACE_ITEMS + 10);
    take(&world, "abc");
    assert_string_equal(world.delivered, "");
    read_on(&world, 100);
    take(&world, "d"); /* behind the others, though the face is near now */
    assert_string_equal(world.delivered, "");
    run_until(&world, 4);
    assert_string_equal(world.delivered, "abcd");
    world_done(&world);
}

static void face_that_has_stopped_reading_holds_up_nobody(void **state)
{
    (void)state;
    World world;
    world_init(&world);
    put_behind(&world, PACE_ITEMS + 10);
    uint64_t before_ms = loop_mono_ms();
    take(&world, "abc");
    run_until(&world, 3);
    uint64_t took_ms = loop_mono_ms() - before_ms;
    assert_in_range(took_ms, PACE_STALLED_MS - 50, 5 * PACE_STALLED_MS);
    take(&world, "d"); /* and still reads nothing */
    assert_string_equal(world.delivered, "abcd");
    world_done(&world);
}

static void frames_of_a_link_that_is_gone_are_void(void **state)
{
    (void)state;
    World world;
    world_init(&world);
    put_behind(&world, PACE_ITEMS + 10);
    take(&world, "axbx");
    pace_forget(world.pace, 1);
    read_on(&world, 100);
    run_until(&world, 2);
    assert_string_equal(world.delivered, "ab");
    world_done(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_pass_at_once_while_the_face_is_near),
        cmocka_unit_test(frames_wait_for_a_face_that_is_behind_and_come_in_order),
        cmocka_unit_test(face_that_has_stopped_reading_holds_up_nobody),
        cmocka_unit_test(frames_of_a_link_that_is_gone_are_void),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
