/* Bytes in, lines out. Pure; memory stays within the longest line allowed and one piece added. */
#pragma once

#include "base/strbuf.h"

#include <stdint.h>

typedef struct LineSplitter {
    StrBuf bytes;
    size_t start;   /* of the line being looked for */
    size_t scanned; /* no line ends before this */
    size_t max_bytes;
    size_t skipped; /* bytes of an over-long line that are gone already */
    uint64_t number;
    bool ended;
} LineSplitter;

typedef struct InputLine {
    const char *text; /* without its end, "\n" or "\r\n"; valid until the next call; no NUL */
    size_t len;
    uint64_t number; /* counting from 1, empty lines too */
    bool too_long;   /* more than max_bytes: text is empty, len tells the size */
} InputLine;

void line_splitter_init(LineSplitter *splitter, size_t max_bytes);
void line_splitter_done(LineSplitter *splitter);
/* Best when line_splitter_next has returned false: then memory is bounded. */
void line_splitter_add(LineSplitter *splitter, const char *data, size_t len);
/* Nothing more comes: a last line without an end counts. */
void line_splitter_end(LineSplitter *splitter);
/* False where no whole line is there. */
bool line_splitter_next(LineSplitter *splitter, InputLine *ret_line);
