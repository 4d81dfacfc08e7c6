/* Who has said what already: so that everybody sees every line once.
 *
 * Three ways a line can come twice, three memories:
 *
 *   a node tries again after a lost answer    origin (node id) -> highest number seen. Nodes call in
 *                                             order, so whatever is not above it is a repeat,
 *                                             however long ago it was.
 *   a client tries again, or speaks through   a window of the last ids
 *   two nodes at once
 *   a classic node calls every node it        the line's own hash makes the same id everywhere, see
 *   knows, and those pass it on               seen_classic_id
 *
 * All of it is bounded; the oldest goes first. */
#pragma once

#include "core/message.h"

typedef struct Seen Seen;

enum {
    /* 4,096 starts of nodes: a hundred nodes restarted forty times. */
    SEEN_ORIGINS_MAX = 4096,
    /* A repeat comes within seconds; a busy room says some hundred lines in that time. */
    SEEN_IDS_MAX = 16384,
    SEEN_CLASSIC_MAX = 4096,
    /* Whoever tries again does it within minutes. */
    SEEN_IDS_MS = 10 * 60 * 1000,
    /* A classic stamp has seconds and no date: an equal line later than this is another day's, and
     * counts from one. Longer than SEEN_IDS_MS, so that its id is forgotten everywhere by then. */
    SEEN_CLASSIC_MS = 30 * 60 * 1000,
};

Seen *seen_new(void);
/* NULL is fine. */
void seen_free(Seen *seen);

/* True the first time; then number, and all below it, is seen. */
bool seen_from_node(Seen *seen, const NodeId *origin, uint64_t number);

/* True the first time within SEEN_IDS_MS. */
bool seen_id(Seen *seen, const MessageId *id, uint64_t mono_ms);

/* The id of a line that came without one from what may be a classic node: BLAKE2b-128 of sender,
 * content, timestamp and of how many equal lines came straight to this node before. The n-th equal
 * line has the same id at every node that the classic node calls, so a line passed on and the same
 * line heard directly meet. */
void seen_classic_id(Seen *seen, const MessageDraft *draft, uint64_t mono_ms, MessageId *ret_id);
