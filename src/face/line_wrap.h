/* Breaks lines that are wider than the screen and indents their further rows.
 *
 *     [16:00:00] ann: a text that is padded with just so many spaces that it goes on
 *         [16:00:01] bob: yes        <- ann's, and it does not look like bob's
 *
 * A terminal's own wrapping puts the rest at the screen's edge, where everybody else's lines begin;
 * with the right number of spaces in it, one message looks like two. */
#pragma once

#include "base/strbuf.h"

enum {
    LINE_WRAP_INDENT = 4,
    /* Of less, an indent would leave too little; then the terminal wraps. */
    LINE_WRAP_MIN_COLUMNS = 16,
};

/* Adds text, whole lines of printable characters and colours ("\033[...m"), to out. A row ends
 * behind the last space of its second half, or else where it is full. */
void line_wrap(StrBuf *out, const char *text, size_t len, size_t columns);
