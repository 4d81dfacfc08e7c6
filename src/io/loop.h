/* The one thread that owns everything, and the mailbox through which other threads reach it.
 *
 *   store's threads --- loop_post(item) --> [stack] --> item->deliver on the owner thread
 *   descriptors, timers --- libuv --> their callbacks on the owner thread
 *
 * Where nothing else is to be waited for, the owner waits in libuv. gRPC's completions can only be
 * waited for in gRPC: while it is open the owner waits there (LoopWaiter), so that a completion
 * costs no trip through another thread; a helper thread then watches libuv's descriptors, and
 * kicks the owner when one of them is ready. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

typedef struct Loop Loop;

/* Embedded in whatever is waiting for a result; at most once in the mailbox at a time. */
typedef struct Mail Mail;
struct Mail {
    Mail *next;
    void (*deliver)(Mail *mail, bool ok); /* on the owner thread */
    bool ok;
};

/* Never NULL; aborts where the kernel has no descriptors left at start. */
Loop *loop_new(void);
/* Every handle on uv() must be closed and loop_run have returned. */
void loop_free(Loop *loop);
uv_loop_t *loop_uv(Loop *loop);

/* Any thread. The mail must live until it is delivered. */
void loop_post(Loop *loop, Mail *mail);

/* Where the owner waits instead of in libuv. */
typedef struct LoopWaiter {
    /* Waits at most timeout_ms (-1: as long as it takes) and delivers what has come. */
    void (*wait)(void *context, int timeout_ms);
    /* From any thread: wait returns, now or the next time. */
    void (*kick)(void *context);
    void *context;
} LoopWaiter;

/* For wait: something has come, and what is posted from now on needs no kick. */
void loop_awake(Loop *loop);
/* The owner thread, not from within wait; NULL: libuv again. No thread may post meanwhile. */
void loop_set_waiter(Loop *loop, const LoopWaiter *waiter);

/* Waits until something comes, unless may_wait is false, and delivers it. False: no handle is
 * left. */
bool loop_turn(Loop *loop, bool may_wait);
/* Runs until loop_stop and until every handle but the loop's own is closed. */
void loop_run(Loop *loop);
void loop_stop(Loop *loop);

/* Monotonic, and Unix time, in milliseconds. Not cached. */
uint64_t loop_mono_ms(void);
int64_t loop_wall_ms(void);
/* Seconds east of UTC at that moment, as TZ says. */
int32_t loop_utc_offset_s(int64_t wall_ms);

/* The same for who asks at each line: a zone changes at a quarter of an hour, and not in between.
 * All zeros to begin with. */
typedef struct UtcOffset {
    bool known;
    int64_t quarter; /* of an hour since 1970, that it was asked for last */
    int32_t offset_s;
} UtcOffset;

int32_t utc_offset_s(UtcOffset *kept, int64_t wall_ms);
