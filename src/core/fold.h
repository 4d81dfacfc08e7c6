/* From the log to what is shown, pure: which of the events that have come may be shown now, in what
 * order, and which of them come late.
 *
 *   applied ---> waits for its causes (EventFields.after) ---> waits until it is due ---> shown
 *                and for those before it in its stream         (hlc.h: a clock that lies)
 *
 * The shown order is event_compare's: an event that belongs before one that was shown in its room
 * is shown all the same, and marked as late. */
#pragma once

#include "core/event.h"

typedef struct Fold Fold;

enum {
    /* Waiting in memory, in all; past it the oldest is shown without what it waits for. Enough for
     * catching up on some hundred streams at once. */
    FOLD_WAITING_MAX = 8192,
    /* A cause that nobody sends is waited for so long: it may be lost with the only disk that held
     * it. */
    FOLD_CAUSE_WAIT_MS = 10 * 1000,
    /* Events whose clock is ahead, in memory; those past it stay in the store. */
    FOLD_EARLY_MAX = 1024,
};

typedef struct FoldShown {
    LogEvent *event; /* with a reference of its own */
    bool late;       /* one that belongs behind it was shown before, in its room */
    bool incomplete; /* a cause of it has not come in time */
    size_t link;     /* as given to fold_apply */
} FoldShown;

typedef struct FoldOut {
    FoldShown *items;
    size_t count;
    size_t cap;
    uint64_t wake_at_ms; /* monotonic; 0: only when something comes */
} FoldOut;

void fold_out_reset(FoldOut *out); /* keeps the memory */
void fold_out_done(FoldOut *out);

Fold *fold_new(void);
/* NULL is fine. */
void fold_free(Fold *fold);

/* A stream of which everything up to hi was shown in an earlier life. */
void fold_set_shown(Fold *fold, const StreamId *stream, uint64_t hi);

/* Events of one stream, in its order: each is given once, none is left out. Takes references.
 * Adds to out, which the caller has reset. */
void fold_apply(Fold *fold, LogEvent *const *events, size_t count, size_t link, uint64_t mono_ms,
                int64_t wall_ms, FoldOut *out);
/* At out.wake_at_ms. */
void fold_timer(Fold *fold, uint64_t mono_ms, int64_t wall_ms, FoldOut *out);

/* What an event that is said now comes after: the heads of up to EVENT_AFTER_MAX streams, the
 * newest, that were shown since the last call and are not covered by each other. own: the stream
 * that will hold it, which needs no mention. */
size_t fold_take_after(Fold *fold, const StreamId *own, EventPlace ret_after[EVENT_AFTER_MAX]);

/* Events that wait, for their causes or until they are due. */
size_t fold_waiting(const Fold *fold);
