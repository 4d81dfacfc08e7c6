/* One row is laid out at a time; what stands behind its last space moves on to the next. */
#include "face/line_wrap.h"

#include "base/text.h"

#include <stdbool.h>
#include <string.h>

static const char EMOJI_STYLE[] = "\xef\xb8\x8f"; /* U+FE0F: many terminals widen what it follows */

typedef struct Row {
    StrBuf text;
    size_t width;
    size_t break_at; /* behind the last space, in bytes; 0: none that serves */
    size_t break_width;
} Row;

/* Bytes of the colour that text starts with. */
static size_t color_len(const char *text, size_t len)
{
    const char *end = text[0] == '\033' ? memchr(text, 'm', len) : NULL;
    return end != NULL ? (size_t)(end - text) + 1 : 0;
}

static size_t columns_of(const char *text, size_t len)
{
    bool widens = len == sizeof(EMOJI_STYLE) - 1 && memcmp(text, EMOJI_STYLE, len) == 0;
    return widens ? 1 : text_width(text, len);
}

static void row_end(Row *row, StrBuf *out)
{
    size_t keep = row->break_at > 0 ? row->break_at : row->text.len;
    size_t moved_width = row->break_at > 0 ? row->width - row->break_width : 0;
    strbuf_add(out, strbuf_text(&row->text), keep);
    strbuf_addf(out, "\n%*s", LINE_WRAP_INDENT, "");
    strbuf_drop_front(&row->text, keep);
    row->width = LINE_WRAP_INDENT + moved_width;
    row->break_at = 0;
}

/* One character that takes width columns. */
static void row_add(Row *row, StrBuf *out, const char *text, size_t len, size_t width,
                    size_t columns)
{
    bool full = row->width + width > columns;
    if (full && *text == ' ') {
        row->break_at = 0;
        row_end(row, out); /* in the space's place */
        return;
    }
    if (full) {
        row_end(row, out);
    }
    strbuf_add(&row->text, text, len);
    row->width += width;
    if (*text == ' ' && row->width > columns / 2) {
        row->break_at = row->text.len;
        row->break_width = row->width;
    }
}

static void wrap_line(StrBuf *out, const char *text, size_t len, size_t columns)
{
    Row row = {0};
    for (size_t at = 0; at < len;) {
        size_t used = color_len(text + at, len - at);
        size_t width = 0;
        if (used == 0) {
            used = text_char_len(text + at, len - at);
            width = columns_of(text + at, used);
        }
        row_add(&row, out, text + at, used, width, columns);
        at += used;
    }
    strbuf_add(out, strbuf_text(&row.text), row.text.len);
    strbuf_done(&row.text);
}

void line_wrap(StrBuf *out, const char *text, size_t len, size_t columns)
{
    if (columns < LINE_WRAP_MIN_COLUMNS) {
        strbuf_add(out, text, len);
        return;
    }
    for (size_t at = 0; at < len;) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - (text + at)) : len - at;
        wrap_line(out, text + at, line, columns);
        at += line;
        if (end != NULL) {
            strbuf_add_char(out, '\n');
            at++;
        }
    }
}
