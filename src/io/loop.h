/* The one thread that owns everything, and the mailbox through which other threads reach it.
 *
 *   pump thread --- loop_post(item) --> [stack] --> uv_async --> item->deliver on the owner thread
 */
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
