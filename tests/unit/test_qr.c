/* The picture has libqrencode's dots, with a light field around. */
#include "base/strbuf.h"
#include "face/qr.h"
#include "unit.h"

#include <qrencode.h>
#include <stdio.h>
#include <string.h>

static const char LINE[] =
    "CHAT1-BIQOEMZCNVTAYEMLDEV5LBJUN4FLDVVLZDQL5WXFHJEKY573S62N3TISCBUGZJELIEC"
    "SBLNCNVHAAMXRIVGRSWE2PMF2EAIAAARA6MJZGIXDALRSFYZDUNJQHE4TCIQPLNTGIMBQHI5"
    "DEXJ2GUYDSOJRFICKPFUJ2A";

typedef struct Picture {
    bool dark[400][400];
    size_t rows;
    size_t columns;
} Picture;

/* Reads the half blocks back: a dot for each, and whether blocks are dark or light. */
static void read_picture(const char *text, bool color, Picture *ret_picture)
{
    static const struct {
        const char *block;
        bool upper;
        bool lower;
    } blocks[] = {{"\u2588", true, true},
                  {"\u2580", true, false},
                  {"\u2584", false, true},
                  {" ", false, false}};
    size_t column = 0;
    memset(ret_picture, 0, sizeof(*ret_picture));
    while (*text != '\0') {
        if (*text == '\n') {
            assert_true(ret_picture->columns == 0 || ret_picture->columns == column);
            ret_picture->columns = column;
            ret_picture->rows += 2;
            column = 0;
            text++;
        } else if (*text == '\033') {
            assert_true(color);
            text = strchr(text, 'm') + 1;
        } else {
            size_t i = 0;
            while (strncmp(text, blocks[i].block, strlen(blocks[i].block)) != 0) {
                assert_true(++i < 4);
            }
            ret_picture->dark[ret_picture->rows][column] = blocks[i].upper == color;
            ret_picture->dark[ret_picture->rows + 1][column] = blocks[i].lower == color;
            text += strlen(blocks[i].block);
            column++;
        }
    }
}

static void assert_picture(const char *line, bool color)
{
    static Picture picture;
    AUTO_STRBUF StrBuf out = {0};
    QRcode *code = QRcode_encodeString(line, 0, QR_ECLEVEL_L, QR_MODE_8, 1);
    assert_non_null(code);
    size_t side = (size_t)code->width + 2 * QR_MARGIN;
    qr_write(&out, line, color);
    assert_int_equal(qr_columns(line), side);
    read_picture(out.text, color, &picture);
    assert_int_equal(picture.columns, side);
    assert_int_equal(picture.rows, side + side % 2);
    size_t dark = 0;
    for (size_t row = 0; row < side; row++) {
        for (size_t column = 0; column < side; column++) {
            size_t y = row - QR_MARGIN;
            size_t x = column - QR_MARGIN;
            size_t width = (size_t)code->width;
            bool inside = y < width && x < width; /* below zero is very large */
            bool expected = inside && (code->data[y * width + x] & 1) != 0;
            assert_int_equal(picture.dark[row][column], expected);
            dark += expected ? 1 : 0;
        }
    }
    assert_true(dark > 100);
    QRcode_free(code);
}

static void picture_has_the_librarys_dots(void **state)
{
    (void)state;
    assert_picture("CHAT1-A", true);
    assert_picture("CHAT1-A", false);
    assert_picture(LINE, true);
    assert_picture(LINE, false);
}

static void capitals_and_digits_take_few_dots(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf small = {0};
    for (const char *at = LINE; *at != '\0'; at++) {
        strbuf_add_char(&small, *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at);
    }
    assert_true(qr_columns(LINE) < qr_columns(small.text));
    assert_true(qr_columns(LINE) <= 80);
}

static void what_cannot_be_shown_is_left_out(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    AUTO_STRBUF StrBuf text = {0};
    for (int i = 0; i < 5000; i++) {
        strbuf_add_char(&text, 'A');
    }
    qr_write(&out, "", true);
    qr_write(&out, text.text, true);
    assert_int_equal(out.len, 0);
    assert_int_equal(qr_columns(""), 0);
    assert_int_equal(qr_columns(text.text), 0);
}

static void only_a_terminal_gets_it(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    FILE *file = tmpfile();
    assert_false(qr_write_for(&out, LINE, true, fileno(file)));
    assert_int_equal(out.len, 0);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picture_has_the_librarys_dots),
        cmocka_unit_test(capitals_and_digits_take_few_dots),
        cmocka_unit_test(what_cannot_be_shown_is_left_out),
        cmocka_unit_test(only_a_terminal_gets_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
