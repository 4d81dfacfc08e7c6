/* The loop's clocks: what is kept of the zone is what the zone says. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_offset_follows_the_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
