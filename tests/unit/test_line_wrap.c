/* Long lines keep away from the screen's edge. */
#include "face/line_wrap.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "unit.h"

static const struct {
    const char *text;
    const char *rows; /* on a screen of 20 columns */
} LINES[] = {
    {"", ""},
    {"\n", "\n"},
    {"short\nlines\n", "short\nlines\n"},
    {"just as wide as it is\n", "just as wide as it \n    is\n"},
    {"exactly 20 columns .\n", "exactly 20 columns .\n"},
    {"exactly 20 columns . and more\n", "exactly 20 columns .\n    and more\n"},
    {"onewordthatislongerthananyrow\n", "onewordthatislongert\n    hananyrow\n"},
    {"ann: awordthatislongerthanarow\n", "ann: awordthatislong\n    erthanarow\n"},
    {"one two three four five six seven eight\n",
     "one two three four \n    five six seven \n    eight\n"},
    /* Neither half of a wide character, nor a mark without its letter. */
    {"0123456789 12345678日本\n", "0123456789 \n    12345678日本\n"},
    {"0123456789-12345678日本\n", "0123456789-12345678\n    日本\n"},
    {"0123456789-12345678e\xcc\x81!\n", "0123456789-12345678e\xcc\x81\n    !\n"},
    /* Many terminals take two columns for it. */
    {"0123456789-1234567☂\xef\xb8\x8f.\n", "0123456789-1234567☂\xef\xb8\x8f\n    .\n"},
    /* A colour takes no columns, and goes where its text goes. */
    {"\033[1m0123456789-12345678\033[0m9ab\n", "\033[1m0123456789-12345678\033[0m9\n    ab\n"},
    {"0123456789 \033[1m0123456789\033[0m\n", "0123456789 \n    \033[1m0123456789\033[0m\n"},
    {"no end of a line, but wrapped", "no end of a line, \n    but wrapped"},
};

static void long_lines_go_on_behind_an_indent(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        AUTO_STRBUF StrBuf out = {0};
        line_wrap(&out, LINES[i].text, strlen(LINES[i].text), 20);
        assert_string_equal(strbuf_text(&out), LINES[i].rows);
    }
}

static void padding_does_not_make_a_line_of_somebody_elses(void **state)
{
    (void)state;
    for (size_t columns = LINE_WRAP_MIN_COLUMNS; columns <= 100; columns++) {
        for (size_t padding = 0; padding <= 2 * columns; padding++) {
            AUTO_STRBUF StrBuf line = {0};
            AUTO_STRBUF StrBuf out = {0};
            strbuf_addf(&line, "[16:00:00] ann: a%*s[16:00:01] bob: yes\n", (int)padding, "");
            line_wrap(&out, line.text, line.len, columns);
            assert_null(strstr(out.text, "\n["));
            for (const char *row = out.text; *row != '\0'; row += strcspn(row, "\n") + 1) {
                assert_true(text_width(row, strcspn(row, "\n")) <= columns);
            }
        }
    }
}

static void screen_of_hardly_any_width_is_left_to_itself(void **state)
{
    (void)state;
    static const char text[] = "one two three four\n";
    for (size_t columns = 0; columns < LINE_WRAP_MIN_COLUMNS; columns++) {
        AUTO_STRBUF StrBuf out = {0};
        line_wrap(&out, text, sizeof(text) - 1, columns);
        assert_string_equal(out.text, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_lines_go_on_behind_an_indent),
        cmocka_unit_test(padding_does_not_make_a_line_of_somebody_elses),
        cmocka_unit_test(screen_of_hardly_any_width_is_left_to_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
