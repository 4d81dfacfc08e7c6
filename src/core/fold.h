/* From the log to what is shown, pure: which of the events that have come may be shown now, in what
 * order, and which of them come late.
 *
 *   applied ---> waits for its causes (EventFields.after) ---> waits until it is due ---> shown
 *                and for those before it in its stream         (hlc.h: a clock that lies)
 *
 * The shown order is event_compare's: an event that belongs before one that was shown in its room
 * is shown all the same, and marked as late. Events that are set free together come in that order;
 * nothing waits for the sake of it.
 *
 * Streams are known by their tags. All that have had an event are remembered, some 140 bytes each;
 * how many there may be is the replica's to say (REPLICA_STREAMS_MAX). */
#pragma once

#include "core/event.h"

typedef struct Fold Fold;

enum {
    /* Waiting in memory, in all; past it the one that has waited longest for a cause is shown
     * without. Enough for catching up on some hundred streams at once. */
    FOLD_WAITING_MAX = 8192,
    /* A cause that nobody sends is waited for so long: it may be lost with the only disk that held
     * it. Counted from when the event came, so that many events after one lost stream do not wait
     * one after the other; and anew whenever the stream with the cause goes on, since that one is
     * catching up then. */
    FOLD_CAUSE_WAIT_MS = 10 * 1000,
    /* Events whose clock is ahead (or one before them in their stream), in memory. Past it the one
     * that would be due last is dropped: it stays in the store, is never among what is shown, and
     * its stream passes it together with the one before it, so that nothing waits for it. By that
     * choice a clock that is years ahead cannot take the place of one that is minutes ahead. */
    FOLD_EARLY_MAX = 1024,
    /* Whose last event is remembered. The room that was silent longest is forgotten: what comes
     * next in it is not late, whatever was shown there before. */
    FOLD_ROOMS_MAX = 4096,
    /* Streams to be named by own events; the one that was silent longest goes unnamed. An event
     * names three, and who has not spoken for long need not name all that he missed. */
    FOLD_FRESH_MAX = 256,
};

typedef struct FoldShown {
    LogEvent *event; /* with a reference of its own */
    StreamTag tag;   /* of its stream */
    bool late;       /* one that belongs behind it was shown before, in its room */
    bool incomplete; /* a cause of it has not come in time, and is not shown yet */
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

/* A stream of which everything up to hi was shown in an earlier life. Before any of its events
 * comes, and before any that names it. */
void fold_set_shown(Fold *fold, const StreamId *stream, uint64_t hi);

/* Events of one stream, in its order: each is given once, none is left out. Takes references.
 * Adds to out, which the caller has reset. mono_ms does not go back; wall_ms may. */
void fold_apply(Fold *fold, LogEvent *const *events, size_t count, size_t link, uint64_t mono_ms,
                int64_t wall_ms, FoldOut *out);
/* At out.wake_at_ms. */
void fold_timer(Fold *fold, uint64_t mono_ms, int64_t wall_ms, FoldOut *out);

/* Nothing of that stream past hi counts any more (0: nothing at all; UINT64_MAX: all of it does):
 * what waits of it is not shown, and who comes after such an event does not wait for it, nor is it
 * incomplete without it. What comes of it all the same, or comes again, is shown, and takes that
 * back. out as with fold_apply. */
void fold_cut(Fold *fold, const StreamId *id, uint64_t hi, uint64_t mono_ms, int64_t wall_ms,
              FoldOut *out);

/* At the end: what waits for its causes is shown without, since it will not be shown in another
 * life. */
void fold_give_up(Fold *fold, uint64_t mono_ms, int64_t wall_ms, FoldOut *out);

/* What an event that is said now comes after: the heads of up to EVENT_AFTER_MAX streams, the
 * newest, that were shown since the last call and are not covered by each other: not named, at that
 * place or a later one of its stream, by one that was shown. Those that find no room are for the
 * next call. own: the stream that will hold it, which needs no mention. */
size_t fold_take_after(Fold *fold, const StreamId *own, EventPlace ret_after[EVENT_AFTER_MAX]);

/* Events that wait, for their causes or until they are due. */
size_t fold_waiting(const Fold *fold);
