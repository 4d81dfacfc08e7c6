/* What the parts of the fold share. For src/core/fold*.c alone. */
#pragma once

#include "base/heap.h"
#include "core/fold.h"

#include <uthash.h>

/* One event that waits. */
typedef struct Waiting {
    LogEvent *event; /* with a reference */
    size_t link;
    uint64_t came_ms;
    uint64_t due_hlc; /* the highest up to it in its queue: it cannot be due before those */
    uint64_t passes;  /* shown with it: itself, and those behind it that were dropped */
    bool early;       /* its clock, or one before it, was ahead when it came */
    struct Waiting *prev;
    struct Waiting *next;
} Waiting;

typedef enum QueueState {
    QUEUE_BLOCKED, /* its first waits for a cause */
    QUEUE_EARLY,   /* ... until it is due */
    QUEUE_READY,   /* ... for its turn in this step */
} QueueState;

typedef struct FoldStream FoldStream;

/* Those of one stream that wait; only while there are any. */
typedef struct FoldQueue {
    FoldStream *stream;
    Waiting *events; /* first to last */
    QueueState state;
    bool given_up;     /* the first is not waiting for causes any more */
    FoldStream *cause; /* BLOCKED: until this one is shown */
    uint64_t need;     /* ... up to here */
    uint64_t deadline_ms;
    HeapNode place;    /* by state: in cause's waiters, in Fold.early or in Fold.ready */
    HeapNode deadline; /* BLOCKED: in Fold.deadlines */
    HeapNode last;     /* in Fold.lasts, where its last is early */
} FoldQueue;

struct FoldStream {
    UT_hash_handle hh;
    StreamTag tag;
    uint64_t shown;
    uint64_t limit;       /* nothing past it will come; UINT64_MAX: none is known */
    uint64_t progress_ms; /* when shown last rose */
    FoldQueue *queue;     /* NULL: nothing waits */
    HeapNode *waiters;    /* queues whose first waits for this stream; the lowest need is first */
    bool fresh;           /* in Fold.fresh: to be named in the next own event */
    uint64_t fresh_seq;
    uint64_t fresh_hlc;
    FoldStream *prev;
    FoldStream *next;
};

/* The last in order of what was shown in a room. */
typedef struct FoldRoom {
    char name[EVENT_ROOM_MAX_BYTES];
    EventFields highest; /* what event_compare looks at; the rest is not set */
    struct FoldRoom *prev;
    struct FoldRoom *next;
    UT_hash_handle hh;
} FoldRoom;

struct Fold {
    FoldStream *streams;
    HeapNode *deadlines; /* all BLOCKED queues, the first to be given up first */
    HeapNode *early;     /* all EARLY queues, the first to be due first */
    HeapNode *ready;     /* in the order of event_compare */
    HeapNode *lasts;     /* queues that end early, the last to be due first */
    size_t waiting_count;
    size_t early_count;
    FoldStream *fresh; /* the longest without news first */
    size_t fresh_count;
    FoldRoom *rooms;
    FoldRoom *rooms_used; /* the longest unused first */
    KeptTag own;          /* of the last call of fold_take_after, and of fold_apply */
    KeptTag applied;
};

typedef struct FoldStep {
    Fold *fold;
    FoldOut *out;
    uint64_t mono_ms;
    int64_t wall_ms;
} FoldStep;

static inline FoldStream *fold_stream(const Fold *fold, const StreamTag *tag)
{
    FoldStream *stream;
    HASH_FIND(hh, fold->streams, tag, sizeof(*tag), stream);
    return stream;
}

/* fold_shown.c */
/* Puts it out, and takes note. Takes over a reference. */
void fold_show(FoldStep *step, FoldStream *stream, LogEvent *event, size_t link, bool incomplete);
void fold_shown_free(Fold *fold);
