/* Lines without ids, told by several. */
#include "core/classic.h"
#include "unit.h"

#include <string.h>

static const int64_t NOON_MS = INT64_C(1700049600000); /* 12:00:00 UTC */
static const int32_t NOON = 12 * 3600;
static const NodeId ANN = {.bytes = {1}};
static const NodeId BOB = {.bytes = {2}};

static bool told(ClassicLines *lines, const char *content, int32_t second, int64_t time_ms,
                 const NodeId *source)
{
    MessageDraft draft = {
        .sender = "kim", .sender_len = 3, .content = content, .content_len = strlen(content)};
    return classic_line_is_new(lines, &draft, second, time_ms, source);
}

static void line_told_by_many_is_one(void **state)
{
    (void)state;
    ClassicLines *lines = classic_lines_new();
    assert_true(told(lines, "hi", NOON, NOON_MS, &ANN));
    assert_false(told(lines, "hi", NOON, NOON_MS, NULL));
    assert_false(told(lines, "hi", NOON, NOON_MS, &BOB));
    assert_true(told(lines, "ho", NOON, NOON_MS, NULL));
    classic_lines_free(lines);
}

static void equal_lines_in_one_second_are_as_many_as_each_tells(void **state)
{
    (void)state;
    ClassicLines *lines = classic_lines_new();
    assert_true(told(lines, "ha", NOON, NOON_MS, NULL));
    assert_true(told(lines, "ha", NOON, NOON_MS, NULL));
    assert_false(told(lines, "ha", NOON, NOON_MS, &ANN));
    assert_false(told(lines, "ha", NOON, NOON_MS, &ANN));
    assert_true(told(lines, "ha", NOON, NOON_MS, &ANN)); /* a third, which we have not heard yet */
    assert_false(told(lines, "ha", NOON, NOON_MS, NULL));
    classic_lines_free(lines);
}

static void stamp_may_turn_between_two_calls(void **state)
{
    (void)state;
    const struct {
        int32_t first;
        int32_t second;
        bool is_new;
    } rows[] = {
        {NOON, NOON + 1, false}, {NOON + 1, NOON, false}, {NOON, NOON + 2, false},
        {NOON, NOON + 3, true},  {86399, 0, false},       {1, 86399, false},
        {86397, 0, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ClassicLines *lines = classic_lines_new();
        assert_true(told(lines, "hi", rows[i].first, NOON_MS, &ANN));
        assert_int_equal(told(lines, "hi", rows[i].second, NOON_MS, NULL), rows[i].is_new);
        classic_lines_free(lines);
    }
}

static void line_that_was_long_on_its_way_is_still_the_same(void **state)
{
    (void)state;
    ClassicLines *lines = classic_lines_new();
    assert_true(told(lines, "hi", NOON, NOON_MS, NULL));
    for (int i = 0; i < CLASSIC_LINES_MAX / 2; i++) {
        assert_true(told(lines, "ha", NOON + i, NOON_MS + i * 1000, NULL));
    }
    /* ann heard it at the same time, and could not reach us until now. */
    assert_false(told(lines, "hi", NOON, NOON_MS + 2000, &ANN));
    classic_lines_free(lines);
}

static void same_words_at_the_same_hour_of_the_next_day_are_new(void **state)
{
    (void)state;
    const int64_t day_ms = INT64_C(86400000);
    ClassicLines *lines = classic_lines_new();
    assert_true(told(lines, "good morning", NOON, NOON_MS, NULL));
    assert_true(told(lines, "good morning", NOON, NOON_MS + day_ms, &ANN));
    assert_false(told(lines, "good morning", NOON, NOON_MS + day_ms, NULL));
    classic_lines_free(lines);
}

static void memory_is_bounded_and_the_oldest_goes_first(void **state)
{
    (void)state;
    ClassicLines *lines = classic_lines_new();
    char content[] = "0000";
    for (int i = 0; i <= CLASSIC_LINES_MAX; i++) {
        memcpy(content,
               (char[]){(char)('a' + i % 16), (char)('a' + i / 16 % 16), (char)('a' + i / 256 % 16),
                        (char)('a' + i / 4096)},
               4);
        assert_true(told(lines, content, NOON, NOON_MS, NULL));
    }
    assert_false(told(lines, "baaa", NOON, NOON_MS, &ANN));
    assert_true(told(lines, "aaaa", NOON, NOON_MS, &ANN));
    classic_lines_free(lines);
}

static void sources_are_bounded(void **state)
{
    (void)state;
    ClassicLines *lines = classic_lines_new();
    assert_true(told(lines, "hi", NOON, NOON_MS, NULL));
    for (int i = 0; i < 4 * CLASSIC_SOURCES_MAX; i++) {
        NodeId node = {.bytes = {3, (uint8_t)i}};
        assert_false(told(lines, "hi", NOON, NOON_MS, &node));
    }
    classic_lines_free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_told_by_many_is_one),
        cmocka_unit_test(equal_lines_in_one_second_are_as_many_as_each_tells),
        cmocka_unit_test(stamp_may_turn_between_two_calls),
        cmocka_unit_test(line_that_was_long_on_its_way_is_still_the_same),
        cmocka_unit_test(same_words_at_the_same_hour_of_the_next_day_are_new),
        cmocka_unit_test(memory_is_bounded_and_the_oldest_goes_first),
        cmocka_unit_test(sources_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
