/* Layout first, then the part of it that is shown.
 *
 *   prompt + text -> rows (safe text, width) + the cursor's row and column -> window -> bytes */
#include "face/line_view.h"

#include "base/text.h"

#include <string.h>

typedef struct Row {
    size_t start; /* in Layout.text */
    size_t width;
} Row;

typedef struct Layout {
    StrBuf text;
    Row *rows;
    size_t count;
    size_t cap;
    size_t columns;
    size_t cursor_row;
    size_t cursor_column;
} Layout;

static Row *layout_row(Layout *layout)
{
    return &layout->rows[layout->count - 1];
}

static void layout_new_row(Layout *layout)
{
    if (layout->count == layout->cap) {
        layout->cap = layout->cap > 0 ? 2 * layout->cap : 8;
        layout->rows = mem_resize(layout->rows, layout->cap, sizeof(Row));
    }
    layout->rows[layout->count++] = (Row){.start = layout->text.len};
}

/* One printable character, of at most two columns. */
static void layout_add_char(Layout *layout, const char *text, size_t len)
{
    size_t width = text_width(text, len);
    if (layout_row(layout)->width + width > layout->columns) {
        layout_new_row(layout);
    }
    strbuf_add(&layout->text, text, len);
    layout_row(layout)->width += width;
}

/* Any character, which may be shown as several. */
static void layout_add(Layout *layout, const char *text, size_t len)
{
    AUTO_STRBUF StrBuf safe = {0};
    text_sanitise(&safe, text, len);
    for (size_t at = 0; at < safe.len;) {
        size_t used = text_char_len(safe.text + at, safe.len - at);
        layout_add_char(layout, safe.text + at, used);
        at += used;
    }
}

static void layout_mark_cursor(Layout *layout)
{
    if (layout_row(layout)->width >= layout->columns) {
        layout_new_row(layout); /* the cursor has no room behind the last column */
    }
    layout->cursor_row = layout->count - 1;
    layout->cursor_column = layout_row(layout)->width;
}

static void layout_fill(Layout *layout, const LineToDraw *line)
{
    layout_new_row(layout);
    layout_add(layout, line->prompt, strlen(line->prompt));
    for (size_t at = 0; at < line->len;) {
        if (at == line->cursor) {
            layout_mark_cursor(layout);
        }
        size_t used = text_char_len(line->text + at, line->len - at);
        layout_add(layout, line->text + at, used);
        at += used;
    }
    if (line->cursor >= line->len) {
        layout_mark_cursor(layout);
    }
}

void line_view_done(LineView *view)
{
    mem_free(view->widths);
    *view = (LineView){0};
}

void line_view_forget(LineView *view)
{
    view->shown = false;
    view->count = 0;
    view->cursor_row = 0;
    view->cursor_column = 0;
}

void line_view_resize(LineView *view, size_t columns, size_t rows)
{
    view->columns = columns > 0 ? columns : 1;
    view->rows = rows > 0 ? rows : 1;
    if (!view->shown) {
        return;
    }
    /* Where the cursor's row begins after each row above it was wrapped to the new width. */
    size_t above = 0;
    for (size_t i = 0; i < view->cursor_row && i < view->count; i++) {
        size_t width = view->widths[i] > 0 ? view->widths[i] : 1;
        above += (width + view->columns - 1) / view->columns;
    }
    view->cursor_row = above + view->cursor_column / view->columns;
    view->count = 0; /* the widths are no longer true */
}

void line_view_erase(LineView *view, StrBuf *out)
{
    if (!view->shown) {
        return;
    }
    strbuf_add_char(out, '\r');
    if (view->cursor_row > 0) {
        strbuf_addf(out, "\033[%zuA", view->cursor_row);
    }
    strbuf_add_string(out, "\033[J");
    line_view_forget(view);
}

static void move_to_cursor(StrBuf *out, size_t rows_up, size_t column)
{
    strbuf_add_char(out, '\r');
    if (rows_up > 0) {
        strbuf_addf(out, "\033[%zuA", rows_up);
    }
    if (column > 0) {
        strbuf_addf(out, "\033[%zuC", column);
    }
}

/* Rows first to first + count - 1 of the layout are put on the screen. */
static void draw_window(LineView *view, StrBuf *out, const Layout *layout, size_t first,
                        size_t count)
{
    if (count > view->cap) {
        view->widths = mem_resize(view->widths, count, sizeof(*view->widths));
        view->cap = count;
    }
    for (size_t i = 0; i < count; i++) {
        const Row *row = &layout->rows[first + i];
        size_t end = first + i + 1 < layout->count ? row[1].start : layout->text.len;
        strbuf_add_string(out, i > 0 ? "\r\n" : "");
        strbuf_add(out, strbuf_text(&layout->text) + row->start, end - row->start);
        view->widths[i] = row->width;
    }
    view->count = count;
    view->shown = true;
    view->cursor_row = layout->cursor_row - first;
    view->cursor_column = layout->cursor_column;
    move_to_cursor(out, count - 1 - view->cursor_row, view->cursor_column);
}

void line_view_draw(LineView *view, StrBuf *out, const LineToDraw *line)
{
    Layout layout = {.columns = view->columns};
    layout_fill(&layout, line);
    line_view_erase(view, out);
    size_t room = view->rows / 2 > 0 ? view->rows / 2 : 1;
    size_t count = layout.count < room ? layout.count : room;
    size_t first = layout.count - count;
    if (layout.cursor_row < first) {
        first = layout.cursor_row;
    }
    draw_window(view, out, &layout, first, count);
    strbuf_done(&layout.text);
    mem_free(layout.rows);
}
