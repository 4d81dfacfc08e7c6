/* Lines of classic nodes, heard more than once.
 *
 *           +--> ann --passes on--+
 *   kim ----+                     v
 *           +------------------> bob     hears it twice, shows it once
 *
 * A classic node calls every node it knows, with no id, and may stamp each call anew. So a line is
 * known by its text and by who told it: of equal texts with stamps at most CLASSIC_STAMP_SECONDS
 * apart, each source tells each line once. A source is the classic node itself, or a node of ours
 * that passes on what it has heard. "ha" twice in one second is told twice by every source, and is
 * two lines. */
#pragma once

#include "core/message.h"

typedef struct ClassicLines ClassicLines;

enum {
    /* Between the first and the last call of one line. */
    CLASSIC_STAMP_SECONDS = 2,
    /* Between our nodes' clocks. A stamp has no date: this tells yesterday's line from today's. */
    CLASSIC_SKEW_MS = 5 * 60 * 1000,
    CLASSIC_LINES_MAX = 4096,
    /* Nodes that passed on the same line. Past it, one more is taken for a repeat. */
    CLASSIC_SOURCES_MAX = 32,
};

ClassicLines *classic_lines_new(void);
/* NULL is fine. */
void classic_lines_free(ClassicLines *lines);

/* Takes note that source (NULL: a caller that is no node of ours) told this line, whose stamp says
 * second_of_day, and which came to the first of our nodes at time_ms (Unix time). True where nobody
 * else had told it. */
bool classic_line_is_new(ClassicLines *lines, const MessageDraft *draft, int32_t second_of_day,
                         int64_t time_ms, const NodeId *source);
