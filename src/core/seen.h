/* Who has said what already: so that everybody sees every line once.
 *
 * Two ways a line can come twice, two memories (a third, for lines without ids, is classic.h):
 *
 *   a node tries again after a lost answer    origin (node id) -> highest number seen. Nodes
 *                                             call in order, so whatever is not above it is a
 *                                             repeat, however long ago it was.
 *   a client tries again, or speaks through   a window of the last ids
 *   two nodes at once
 *
 * Both are bounded; the oldest goes first. */
#pragma once

#include "core/message.h"

typedef struct Seen Seen;

enum {
    /* 4,096 starts of nodes: a hundred nodes restarted forty times. */
    SEEN_ORIGINS_MAX = 4096,
    /* A repeat comes within seconds, or when a link that was cut is back: some hours of talk. */
    SEEN_IDS_MAX = 16384,
};

Seen *seen_new(void);
/* NULL is fine. */
void seen_free(Seen *seen);

/* True the first time; then number, and all below it, is seen. */
bool seen_from_node(Seen *seen, const NodeId *origin, uint64_t number);

/* True the first time. */
bool seen_id(Seen *seen, const MessageId *id);
