/* The order in which events are passed on to subscribers: each gets the next position, and is
 * passed on once that is on the disk.
 *
 *   others' events, as the fold passes them --> 17 18 19          share of the next batch
 *   own events, as they go to the disk      -->          20 21    share of their own batch
 *                                               released as the batches are committed
 *
 * An own event has its place before anybody is shown it: in the transaction that makes it durable
 * the journal says where it stands. So what a subscriber was given never changes its position, not
 * after a kill either. */
#pragma once

#include "core/message.h"
#include "io/store.h"

typedef struct Journal Journal;

/* What a batch carries for the journal. */
typedef struct JournalShare {
    StorePassed *passed; /* owned by who took it */
    size_t passed_count;
    uint64_t position; /* of the first */
    uint64_t last;     /* of the last; position - 1: none has one */
} JournalShare;

/* message is NULL where there is nothing to pass on. */
typedef void (*JournalRelease)(void *context, uint64_t position, Message *message);

/* position: the last that was given. */
Journal *journal_new(uint64_t position, JournalRelease release, void *context);
/* NULL is fine. */
void journal_free(Journal *journal);

/* Another node's event has passed the fold; message is NULL where it is nothing to show. Takes a
 * reference. */
void journal_pass(Journal *journal, const StreamId *stream, uint64_t seq, Message *message);
/* Something was passed and is in no share yet. */
bool journal_waits(const Journal *journal);
/* All that waits, and behind it own_count own events, which go to the disk with it. */
JournalShare journal_take(Journal *journal, size_t own_count);

/* Everything up to that position is on the disk: what is known of it is released. */
void journal_durable(Journal *journal, uint64_t position);
/* The next own event has been shown: they come in the order in which they were given places. */
void journal_own(Journal *journal, Message *message);
/* All own events that are durable have been given; where one was not, it is released without a
 * message, so that the others do not wait for ever. */
void journal_settle(Journal *journal);
