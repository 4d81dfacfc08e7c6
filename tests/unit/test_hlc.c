/* The hybrid logical clock. */
#include "core/hlc.h"
#include "unit.h"

static const int64_t NOW_MS = INT64_C(1700000000000);

static void stamps_rise_whatever_the_wall_clock_does(void **state)
{
    (void)state;
    Hlc clock = {0};
    uint64_t last = 0;
    const int64_t walls[] = {NOW_MS, NOW_MS, NOW_MS - 86400000, NOW_MS + 5, NOW_MS + 5, 0};
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        uint64_t stamp = hlc_now(&clock, walls[i]);
        assert_true(stamp > last);
        last = stamp;
    }
}

static void stamp_stays_close_to_wall_time(void **state)
{
    (void)state;
    Hlc clock = {0};
    for (int i = 0; i < 200000; i++) { /* more than one millisecond has room for */
        hlc_now(&clock, NOW_MS);
    }
    assert_in_range(hlc_time_ms(clock.last), NOW_MS, NOW_MS + 4);
    hlc_now(&clock, NOW_MS + 1000);
    assert_int_equal(hlc_time_ms(clock.last), NOW_MS + 1000);
}

static void effect_is_later_than_its_cause(void **state)
{
    (void)state;
    Hlc ahead = {0};
    Hlc behind = {0};
    uint64_t cause = hlc_now(&ahead, NOW_MS + 30000);
    assert_true(hlc_observe(&behind, cause, NOW_MS));
    assert_true(hlc_now(&behind, NOW_MS) > cause);
}

static void liar_does_not_drag_the_clock(void **state)
{
    (void)state;
    Hlc clock = {0};
    hlc_now(&clock, NOW_MS);
    uint64_t before = clock.last;
    uint64_t lie = (uint64_t)(NOW_MS + HLC_AHEAD_MAX_MS) << HLC_COUNTER_BITS;
    assert_false(hlc_observe(&clock, lie, NOW_MS));
    assert_false(hlc_observe(&clock, UINT64_MAX, NOW_MS));
    assert_int_equal(clock.last, before);
    assert_true(hlc_observe(&clock, lie - 1, NOW_MS));
    assert_false(hlc_is_due(lie, NOW_MS));
    assert_true(hlc_is_due(lie, NOW_MS + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stamps_rise_whatever_the_wall_clock_does),
        cmocka_unit_test(stamp_stays_close_to_wall_time),
        cmocka_unit_test(effect_is_later_than_its_cause),
        cmocka_unit_test(liar_does_not_drag_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
