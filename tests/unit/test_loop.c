/* A turn of the loop, and its clocks: what is kept of the zone is what the zone says. */
#include "io/loop.h"
#include "unit.h"

#include <stdlib.h>
#include <time.h>

static void set_zone(const char *zone)
{
    setenv("TZ", zone, 1);
    tzset();
}

static void kept_offset_follows_the_zone(void **state)
{
    (void)state;
    enum { STEP_MS = 7 * 60 * 1000 };
    set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    const int64_t around[] = {0, INT64_C(1711846800000) /* the end of March 2024 */,
                              INT64_C(1729990800000) /* of October */};
    UtcOffset kept = {0};
    for (size_t i = 0; i < sizeof(around) / sizeof(around[0]); i++) {
        for (int64_t at = around[i]; at < around[i] + 60 * STEP_MS; at += STEP_MS) {
            assert_int_equal(utc_offset_s(&kept, at), loop_utc_offset_s(at));
        }
    }
    assert_int_equal(utc_offset_s(&kept, around[0]), 3600);
    assert_int_equal(utc_offset_s(&kept, around[1] + 60 * STEP_MS), 7200);
}

static void count_up(uv_timer_t *timer)
{
    int *count = timer->data;
    (*count)++;
}

/* A timer that was due before the turn began: seen on a full machine, where the wait that came
 * after it was taken for frames that never came. */
static void turn_that_has_served_a_timer_does_not_wait_on(void **state)
{
    (void)state;
    enum { DUE_MS = 1, LATE_MS = 20, MUCH_LATER_MS = 10 * 1000 };
    Loop *loop = loop_new();
    uv_timer_t due;
    uv_timer_t later;
    int served = 0;
    int served_later = 0;
    uv_timer_init(loop_uv(loop), &due);
    uv_timer_init(loop_uv(loop), &later);
    due.data = &served;
    later.data = &served_later;
    uv_timer_start(&due, count_up, DUE_MS, 0);
    uv_timer_start(&later, count_up, MUCH_LATER_MS, 0);
    uv_sleep(LATE_MS);

    assert_true(loop_turn(loop, true));
    assert_int_equal(served, 1);
    assert_int_equal(served_later, 0);
    uint64_t before_ms = loop_mono_ms();
    uv_timer_start(&due, count_up, LATE_MS, 0);
    while (served < 2) {
        loop_turn(loop, true);
    }
    assert_in_range(loop_mono_ms() - before_ms, LATE_MS - 2, MUCH_LATER_MS / 2);

    uv_close((uv_handle_t *)&due, NULL);
    uv_close((uv_handle_t *)&later, NULL);
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_offset_follows_the_zone),
        cmocka_unit_test(turn_that_has_served_a_timer_does_not_wait_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
