/* Which client's line has been said already: so that everybody sees it once.
 *
 * A client may try again after a lost answer, or speak through two nodes at once; its lines carry
 * an id then. (What nodes tell each other has its place in the log and cannot come twice; for lines
 * without ids there is classic.h.) The window is bounded; the oldest goes first. */
#pragma once

#include "core/message.h"

typedef struct Seen Seen;

enum {
    /* A repeat comes within seconds, or when a link that was cut is back: some hours of talk. */
    SEEN_IDS_MAX = 16384,
};

Seen *seen_new(void);
/* NULL is fine. */
void seen_free(Seen *seen);

/* True the first time. */
bool seen_id(Seen *seen, const MessageId *id);
/* It was not said after all. */
void seen_forget_id(Seen *seen, const MessageId *id);
