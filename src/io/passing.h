/* From what the core has passed to what subscribers read: the journal, which gives it a position,
 * and the feed, which hands it out once that is on the disk.
 *
 *   ACTION_PASSED --> journal --> share of a batch --> log_writer
 *                        |                                 |
 *                        +--> feed --> subscribers <-------+  durable
 *
 * Subscribers are woken once for all that a commit has made durable. */
#pragma once

#include "core/core.h"
#include "io/feed.h"
#include "io/journal.h"

typedef struct Passing Passing;

Passing *passing_new(Store *store);
/* Once the store is closed; no subscriber may be left. NULL is fine. */
void passing_free(Passing *passing);
Feed *passing_feed(Passing *passing);

/* An ACTION_PASSED. */
void passing_take(Passing *passing, const Action *action);
/* Has anything been taken that is in no share yet? */
bool passing_waits(const Passing *passing);
/* The share of a batch with so many own events: journal_take. */
JournalShare passing_share(Passing *passing, size_t own_count);
/* The journal is on the disk up to there. */
void passing_durable(Passing *passing, uint64_t position);
/* After what was stored was reported. */
void passing_settled(Passing *passing);
