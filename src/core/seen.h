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
    /* A repeat comes within seconds, or when a link that was cut is back: some hours of talk. */
    SEEN_IDS_MAX = 16384,
    /* Not less: who forgets how often a line was said, has forgotten the id it had as well. */
    SEEN_CLASSIC_MAX = SEEN_IDS_MAX,
};

Seen *seen_new(void);
/* NULL is fine. */
void seen_free(Seen *seen);

/* True the first time; then number, and all below it, is seen. */
bool seen_from_node(Seen *seen, const NodeId *origin, uint64_t number);

/* True the first time. */
bool seen_id(Seen *seen, const MessageId *id);

/* The id of a line that came without one from what may be a classic node: BLAKE2b-128 of sender,
 * content, timestamp, the day, and of how many equal lines came straight to this node before. The
 * n-th equal line has the same id at every node that the classic node calls, so a line passed on
 * and the same line heard directly meet.
 *
 * second_of_day is what the timestamp says, in a zone not known. Its day is the one that brings it
 * nearest to wall_ms: the same at all nodes, also around midnight, for every zone less than twelve
 * hours from UTC. */
void seen_classic_id(Seen *seen, const MessageDraft *draft, int32_t second_of_day, int64_t wall_ms,
                     MessageId *ret_id);
