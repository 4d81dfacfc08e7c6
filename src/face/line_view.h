/* Draws the line being typed, with its prompt, at the bottom of the screen, and takes it away
 * again so that something can be printed above. Pure: it makes the bytes a terminal is to get.
 *
 *     [16:00:01] bob: hi           <- printed, the terminal's own
 *     > a line that is longer tha  <- drawn, row by row, never left to the terminal's wrapping
 *     n the screen is wide_
 *
 * readline draws too, but leaves the end of a line that is longer than the screen out of sight, and
 * passes on controls that were pasted. Here a long line is a window of at most half the screen's
 * rows around the cursor, and each character passes the sanitiser.
 *
 * The sequences used are those of the VT100: CR, CUU, CUF, ED. */
#pragma once

#include "base/strbuf.h"

typedef struct LineView {
    size_t columns;
    size_t rows;
    /* What is on the screen. */
    bool shown;
    size_t *widths; /* of its rows */
    size_t count;
    size_t cap;
    size_t cursor_row;
    size_t cursor_column;
} LineView;

typedef struct LineToDraw {
    const char *prompt;
    const char *text;
    size_t len;
    size_t cursor; /* bytes of text before it */
} LineToDraw;

void line_view_done(LineView *view);

/* The screen's size, at first and when it changes. What is shown has been wrapped anew by most
 * terminals then: the view takes that into account, and must be drawn again. */
void line_view_resize(LineView *view, size_t columns, size_t rows);

/* Adds what takes the line off the screen; the cursor stands where it began. */
void line_view_erase(LineView *view, StrBuf *out);

/* Adds what draws the line in place of the old one. */
void line_view_draw(LineView *view, StrBuf *out, const LineToDraw *line);

/* The cursor was moved to the start of an empty row by others: nothing is shown. */
void line_view_forget(LineView *view);
