/* Moments as people write them. */
#include "base/moment.h"
#include "unit.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { HOUR_S = 3600 };

static const int64_t S = 1000;
static const int64_t NOW_S = 1795363200; /* 2026-11-22T16:00:00Z, a Sunday */

static void assert_moment(const char *text, int32_t utc_offset_s, int64_t expected_s)
{
    int64_t ms = -1;
    if (moment_parse(text, strlen(text), NOW_S * S + 123, utc_offset_s, &ms) != ERR_OK) {
        fail_msg("\"%s\" was not understood", text);
    }
    if (ms != expected_s * S) {
        fail_msg("\"%s\" is %lld, not %lld", text, (long long)ms, (long long)(expected_s * S));
    }
}

static void dates_begin_at_midnight_of_the_writers_clock(void **state)
{
    (void)state;
    assert_moment("2026-11-22", 0, NOW_S - 16 * HOUR_S);
    assert_moment("2026-11-22", HOUR_S, NOW_S - 17 * HOUR_S);
    assert_moment("2026-11-22", -5 * HOUR_S, NOW_S - 11 * HOUR_S);
    assert_moment("1970-01-01", 0, 0);
    assert_moment("2000-02-29", 0, 951782400);
    assert_moment("2026-1-5", 0, 1767571200);
}

static void dates_may_have_a_time(void **state)
{
    (void)state;
    assert_moment("2026-11-22 16:00", 0, NOW_S);
    assert_moment("2026-11-22 9:05", 0, NOW_S - 7 * HOUR_S + 300);
    assert_moment("2026-11-22 16:00:07", HOUR_S, NOW_S - HOUR_S + 7);
    assert_moment("2026-11-22T16:00", 0, NOW_S);
}

/* As --json writes it. */
static void dates_may_name_their_zone(void **state)
{
    (void)state;
    assert_moment("2026-11-22T16:00:00.123Z", 5 * HOUR_S, NOW_S);
    assert_moment("2026-11-22T17:30:00+01:30", 5 * HOUR_S, NOW_S);
    assert_moment("2026-11-22t11:00:00-05:00", 5 * HOUR_S, NOW_S);
}

static void clock_alone_is_today(void **state)
{
    (void)state;
    assert_moment("16:00", 0, NOW_S);
    assert_moment("0:00", 0, NOW_S - 16 * HOUR_S);
    assert_moment("23:59:59", 0, NOW_S + 8 * HOUR_S - 1);
    /* Where it is tomorrow already. */
    assert_moment("1:00", 10 * HOUR_S, NOW_S - HOUR_S);
}

static void so_long_ago(void **state)
{
    (void)state;
    assert_moment("0s", 0, NOW_S);
    assert_moment("45s", 0, NOW_S - 45);
    assert_moment("30m", 0, NOW_S - 1800);
    assert_moment("2h", HOUR_S, NOW_S - 2 * HOUR_S);
    assert_moment("3d", 0, NOW_S - INT64_C(72) * HOUR_S);
    assert_moment("1w", 0, NOW_S - INT64_C(168) * HOUR_S);
}

static void nothing_is_before_1970(void **state)
{
    (void)state;
    assert_moment("999999w", 0, 0);
    assert_moment("0000-01-01", 0, 0);
    assert_moment("1970-01-01", HOUR_S, 0);
}

static void days_agree_with_the_calendar(void **state)
{
    (void)state;
    static const char *const days[] = {"1999-12-31", "2000-01-01", "2000-03-01", "2100-02-28",
                                       "2100-03-01", "2400-02-29", "2400-03-01", "9999-12-31"};
    static const int64_t seconds[] = {946598400,  946684800,   951868800,   4107456000,
                                      4107542400, 13574563200, 13574649600, 253402214400};
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        assert_moment(days[i], 0, seconds[i]);
    }
}

static void else_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        " ",
        "yesterday",
        "2026",
        "2026-13-01",
        "2026-02-29",
        "2100-02-29",
        "2026-00-10",
        "2026-11-00",
        "2026-11-31",
        "26-11-21",
        "2026-11-21 ",
        "2026-11-21 16",
        "24:00",
        "12:60",
        "12:5",
        "12:00:60",
        "12:00:",
        "12:00:00.",
        "2",
        "h",
        "-2h",
        "2x",
        "2hh",
        "1234567d",
        "2 h",
        "12:00Z",
        "2026-11-21 1:00Y",
        "2026-11-211:0",
        "2026-11-21 1:00+1",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int64_t ms = -7;
        if (moment_parse(wrong[i], strlen(wrong[i]), NOW_S * S, 0, &ms) != ERR_INVALID) {
            fail_msg("\"%s\" was understood, as %lld", wrong[i], (long long)ms);
        }
        assert_int_equal(ms, -7);
    }
}

/* Not the NUL: it is a part of a line. */
static void the_length_ends_it(void **state)
{
    (void)state;
    static const char text[] = "16:00:00 and more";
    for (size_t len = 0; len < sizeof(text); len++) {
        char *copy = malloc(len > 0 ? len : 1); /* of that size, for AddressSanitizer */
        memcpy(copy, text, len);
        int64_t ms = 0;
        bool whole = len == sizeof("16:00") - 1 || len == sizeof("16:00:00") - 1;
        assert_int_equal(moment_parse(copy, len, NOW_S * S, 0, &ms), whole ? ERR_OK : ERR_INVALID);
        free(copy);
    }
}

static void assert_written(int64_t time_ms, const char *expected)
{
    char text[MOMENT_TEXT_BYTES];
    moment_text(time_ms, text);
    assert_string_equal(text, expected);
}

static void written_as_rfc_3339(void **state)
{
    (void)state;
    assert_written(NOW_S * S + 7, "2026-11-22T16:00:00.007Z");
    assert_written(0, "1970-01-01T00:00:00.000Z");
    assert_written(-1, "1970-01-01T00:00:00.000Z");
    assert_written(INT64_MAX, "9999-12-31T23:59:59.999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_begin_at_midnight_of_the_writers_clock),
        cmocka_unit_test(dates_may_have_a_time),
        cmocka_unit_test(dates_may_name_their_zone),
        cmocka_unit_test(clock_alone_is_today),
        cmocka_unit_test(so_long_ago),
        cmocka_unit_test(nothing_is_before_1970),
        cmocka_unit_test(days_agree_with_the_calendar),
        cmocka_unit_test(else_is_refused),
        cmocka_unit_test(the_length_ends_it),
        cmocka_unit_test(written_as_rfc_3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
