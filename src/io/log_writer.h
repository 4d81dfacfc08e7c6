/* Between the core's STORE actions and the store: what is on its way to the disk, in order, and
 * what has to wait because the disk takes nothing.
 *
 *   ACTION_STORE --> [batches, oldest first] --> store_append --> EVENT_STORED, in the same order
 *                          ^                          |
 *                          +--- the disk is full -----+   all that failed goes again, in order,
 *                                                         every second until it is taken */
#pragma once

#include "core/core.h"
#include "io/journal.h"

typedef struct LogWriter LogWriter;

typedef struct LogWriterOptions {
    Loop *loop;
    Store *store;
    void (*report)(void *context, Event *event);
    /* Before what it stored is reported: the journal is on the disk up to there. */
    void (*journaled)(void *context, uint64_t position);
    /* After it was reported. */
    void (*settled)(void *context);
    void *context;
} LogWriterOptions;

LogWriter *log_writer_new(const LogWriterOptions *options);
/* Once the store is closed. The loop frees it. NULL is fine. */
void log_writer_free(LogWriter *writer);

/* Takes the action's events, and the share of the journal, which is written with them; own events
 * come behind it in the journal. */
void log_writer_add(LogWriter *writer, Action *action, const JournalShare *share);
/* Deletes what is past hi of that stream (ACTION_CUT), after all that was added before, and before
 * all that comes: tried again, as all else, until the disk takes it. */
void log_writer_cut(LogWriter *writer, const StreamId *stream, uint64_t hi);
/* A share alone. in_time: somebody waits for it. */
void log_writer_add_share(LogWriter *writer, const JournalShare *share, bool in_time);
/* The store's state has changed (StoreOptions.state_changed): tells the core, and goes on where it
 * can. */
void log_writer_state_changed(LogWriter *writer);
/* Before the store is closed: what it has not been given by now is not written. */
void log_writer_close(LogWriter *writer);
