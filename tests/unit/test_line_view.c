/* The line being typed, as a terminal gets it: drawn on a small screen that the test plays. */
#include "face/line_view.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum { SCREEN_ROWS = 12, SCREEN_BYTES = 200 };

/* Just enough of a terminal: one byte a column, and it fails on what a view must not send. */
typedef struct Screen {
    char cells[SCREEN_ROWS][SCREEN_BYTES];
    size_t columns;
    size_t row;
    size_t column;
} Screen;

static size_t play_escape(Screen *screen, const char *text)
{
    char *end = NULL;
    assert_memory_equal(text, "\033[", 2);
    unsigned long count = strtoul(text + 2, &end, 10);
    switch (*end) {
    case 'A':
        assert_true(screen->row >= count);
        screen->row -= count;
        break;
    case 'C':
        screen->column += count;
        assert_true(screen->column < screen->columns);
        break;
    case 'J':
        memset(screen->cells[screen->row] + screen->column, 0, SCREEN_BYTES - screen->column);
        for (size_t row = screen->row + 1; row < SCREEN_ROWS; row++) {
            memset(screen->cells[row], 0, SCREEN_BYTES);
        }
        break;
    default:
        fail_msg("unknown sequence");
    }
    return (size_t)(end - text) + 1;
}

static void play(Screen *screen, const StrBuf *bytes)
{
    const char *text = strbuf_text(bytes);
    while (*text != '\0') {
        if (*text == '\033') {
            text += play_escape(screen, text);
        } else if (*text == '\r') {
            screen->column = 0;
            text++;
        } else if (*text == '\n') {
            screen->row++;
            assert_true(screen->row < SCREEN_ROWS);
            text++;
        } else {
            assert_true((unsigned char)*text >= 0x20);
            assert_true(screen->column < screen->columns);
            screen->cells[screen->row][screen->column++] = *text++;
        }
    }
}

static void draw(LineView *view, Screen *screen, const char *text, size_t cursor)
{
    AUTO_STRBUF StrBuf out = {0};
    LineToDraw line = {.prompt = "> ", .text = text, .len = strlen(text), .cursor = cursor};
    line_view_draw(view, &out, &line);
    play(screen, &out);
}

static void line_stands_behind_its_prompt(void **state)
{
    (void)state;
    LineView view = {0};
    Screen screen = {.columns = 10};
    line_view_resize(&view, 10, 8);
    draw(&view, &screen, "hello", 2);
    assert_string_equal(screen.cells[0], "> hello");
    assert_int_equal(screen.column, 4);
    draw(&view, &screen, "hi", 2);
    assert_string_equal(screen.cells[0], "> hi");
    line_view_done(&view);
}

static void long_line_takes_rows_and_gives_them_back(void **state)
{
    (void)state;
    LineView view = {0};
    Screen screen = {.columns = 10, .row = 3};
    memcpy(screen.cells[2], "above", 6);
    line_view_resize(&view, 10, 8);
    draw(&view, &screen, "abcdefgh", 8); /* fills the first row: the cursor is on the next */
    assert_string_equal(screen.cells[3], "> abcdefgh");
    assert_int_equal(screen.row, 4);
    assert_int_equal(screen.column, 0);
    draw(&view, &screen, "abcdefghijklmnopqrstuvwx", 3);
    assert_string_equal(screen.cells[4], "ijklmnopqr");
    assert_string_equal(screen.cells[5], "stuvwx");
    assert_int_equal(screen.row, 3);
    assert_int_equal(screen.column, 5);
    draw(&view, &screen, "abcdefghijklmnopqrstuvwx", 24);
    AUTO_STRBUF StrBuf out = {0};
    line_view_erase(&view, &out);
    play(&screen, &out);
    assert_string_equal(screen.cells[2], "above");
    assert_string_equal(screen.cells[3], "");
    assert_string_equal(screen.cells[4], "");
    assert_int_equal(screen.row, 3);
    line_view_done(&view);
}

static void line_longer_than_the_screen_shows_its_cursor(void **state)
{
    (void)state;
    LineView view = {0};
    Screen screen = {.columns = 10};
    char text[2001];
    for (size_t i = 0; i < 2000; i++) {
        text[i] = (char)('a' + i % 26);
    }
    text[2000] = '\0';
    line_view_resize(&view, 10, 8);
    for (size_t cursor = 0; cursor <= 2000; cursor += 125) {
        draw(&view, &screen, text, cursor);
        assert_true(screen.row < 4);
        char under = screen.cells[screen.row][screen.column];
        assert_int_equal(under, text[cursor]);
    }
    line_view_done(&view);
}

static void drawing_leaves_no_trace_whatever_was_there(void **state)
{
    (void)state;
    static const char text[] = "one two three four five six seven eight nine";
    LineView view = {0};
    Screen screen = {.columns = 10};
    line_view_resize(&view, 10, 20);
    for (size_t from = 0; from < sizeof(text); from++) {
        for (size_t to = 0; to < sizeof(text); to++) {
            Screen fresh = {.columns = 10};
            LineView other = {0};
            char first[sizeof(text)] = "";
            char second[sizeof(text)] = "";
            memcpy(first, text, from);
            memcpy(second, text, to);
            draw(&view, &screen, first, from / 2);
            draw(&view, &screen, second, to / 3);
            line_view_resize(&other, 10, 20);
            draw(&other, &fresh, second, to / 3);
            assert_memory_equal(&screen, &fresh, sizeof(screen));
            line_view_done(&other);
        }
    }
    line_view_done(&view);
}

static void controls_in_the_line_are_shown(void **state)
{
    (void)state;
    LineView view = {0};
    AUTO_STRBUF StrBuf out = {0};
    line_view_resize(&view, 40, 10);
    LineToDraw line = {.prompt = "> ", .text = "\033[2J\xc2\x9b\xff", .len = 7, .cursor = 7};
    line_view_draw(&view, &out, &line);
    assert_string_equal(out.text, "> ␛[2J<U+009B><FF>\r\033[18C");
    line_view_done(&view);
}

static void wide_character_is_not_cut_in_two(void **state)
{
    (void)state;
    LineView view = {0};
    AUTO_STRBUF StrBuf out = {0};
    line_view_resize(&view, 5, 10);
    LineToDraw line = {.prompt = "> ", .text = "日本", .len = 6, .cursor = 6};
    line_view_draw(&view, &out, &line);
    assert_string_equal(out.text, "> 日\r\n本\r\033[2C");
    line_view_done(&view);
}

static void narrower_screen_has_wrapped_what_was_shown(void **state)
{
    (void)state;
    LineView view = {0};
    AUTO_STRBUF StrBuf out = {0};
    line_view_resize(&view, 20, 10);
    LineToDraw line = {.prompt = "> ", .text = "abcdefghijklmnop", .len = 16, .cursor = 16};
    line_view_draw(&view, &out, &line);
    strbuf_clear(&out);
    line_view_resize(&view, 10, 10); /* 18 columns are two rows now */
    line_view_erase(&view, &out);
    assert_string_equal(out.text, "\r\033[1A\033[J");
    line_view_done(&view);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_stands_behind_its_prompt),
        cmocka_unit_test(long_line_takes_rows_and_gives_them_back),
        cmocka_unit_test(line_longer_than_the_screen_shows_its_cursor),
        cmocka_unit_test(drawing_leaves_no_trace_whatever_was_there),
        cmocka_unit_test(controls_in_the_line_are_shown),
        cmocka_unit_test(wide_character_is_not_cut_in_two),
        cmocka_unit_test(narrower_screen_has_wrapped_what_was_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
