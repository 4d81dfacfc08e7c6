/* A text as a QR code (ISO/IEC 18004) made of half blocks: two rows of dots in one line of text.
 *
 *   dark dots and a light field around, by colours; or, without colours, the other way round:
 *   blocks are light, so that it reads on the dark screen that most terminals are */
#pragma once

#include "base/strbuf.h"

#include <stdbool.h>

enum { QR_MARGIN = 4 }; /* light dots around it: section 6.3.8 */

/* Columns that the picture of text takes; 0: there is none, it is empty or too long. */
size_t qr_columns(const char *text);
/* Adds the picture, each line ended. Adds nothing where qr_columns is 0. */
void qr_write(StrBuf *out, const char *text, bool color);
/* The same where fd is a terminal that shows UTF-8 and is wide enough; false: it is not, and
 * nothing was added. */
bool qr_write_for(StrBuf *out, const char *text, bool color, int fd);
