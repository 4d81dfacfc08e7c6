/* Lines from bytes, in pieces of any size. */
#include "face/line_splitter.h"

#include <stdbool.h>
#include <string.h>

#include "unit.h"

enum { MAX_BYTES = 8 };

/* Each line as "number:text|", an over-long one as "number!size|". */
static void take_all(LineSplitter *splitter, StrBuf *out)
{
    InputLine line;
    while (line_splitter_next(splitter, &line)) {
        if (line.too_long) {
            strbuf_addf(out, "%d!%d|", (int)line.number, (int)line.len);
        } else {
            strbuf_addf(out, "%d:%.*s|", (int)line.number, (int)line.len, line.text);
        }
    }
}

static void assert_splits(const char *input, size_t len, size_t piece, const char *expected)
{
    LineSplitter splitter;
    AUTO_STRBUF StrBuf out = {0};
    line_splitter_init(&splitter, MAX_BYTES);
    for (size_t at = 0; at < len; at += piece) {
        line_splitter_add(&splitter, input + at, len - at < piece ? len - at : piece);
        take_all(&splitter, &out);
        assert_true(splitter.bytes.len - splitter.start <= MAX_BYTES + 1);
    }
    line_splitter_end(&splitter);
    take_all(&splitter, &out);
    take_all(&splitter, &out);
    line_splitter_done(&splitter);
    assert_string_equal(strbuf_text(&out), expected);
}

static const struct {
    const char *input;
    const char *expected;
} SAMPLES[] = {
    {"", ""},
    {"a", "1:a|"},
    {"a\n", "1:a|"},
    {"a\nb", "1:a|2:b|"},
    {"a\r\nb\r\n", "1:a|2:b|"},
    {"\n\na\n", "1:|2:|3:a|"},
    {"a\rb\n", "1:a\rb|"},
    {"\r\n", "1:|"},
    {"12345678\n", "1:12345678|"},
    {"12345678\r\n", "1:12345678|"},
    {"123456789\nok\n", "1!9|2:ok|"},
    {"123456789\r\nok\n", "1!9|2:ok|"},
    {"1234567890123456789012345\nok", "1!25|2:ok|"},
    {"1234567890123456789012345\r\nok", "1!25|2:ok|"},
    {"1234567890123456789012345", "1!25|"},
    {"123456789012\n\n1234567890\n", "1!12|2:|3!10|"},
};

static void lines_are_found_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(SAMPLES) / sizeof(SAMPLES[0]); i++) {
        size_t len = strlen(SAMPLES[i].input);
        for (size_t piece = 1; piece <= len + 1; piece++) {
            assert_splits(SAMPLES[i].input, len, piece, SAMPLES[i].expected);
        }
    }
}

static void endless_line_keeps_little(void **state)
{
    (void)state;
    LineSplitter splitter;
    InputLine line;
    char piece[1000];
    memset(piece, 'x', sizeof(piece));
    line_splitter_init(&splitter, MAX_BYTES);
    for (int i = 0; i < 1000; i++) {
        line_splitter_add(&splitter, piece, sizeof(piece));
        assert_false(line_splitter_next(&splitter, &line));
    }
    assert_true(splitter.bytes.cap < 4 * sizeof(piece));
    line_splitter_add(&splitter, "\n", 1);
    assert_true(line_splitter_next(&splitter, &line));
    assert_true(line.too_long);
    assert_int_equal(line.len, 1000 * sizeof(piece));
    line_splitter_done(&splitter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_found_in_pieces_of_any_size),
        cmocka_unit_test(endless_line_keeps_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
