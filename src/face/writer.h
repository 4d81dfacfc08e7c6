/* Writes to a standard descriptor of any kind without ever blocking the loop: what does not go
 * out at once is kept and goes when the other side reads on.
 *
 * It is not a queue: callers add only when it is idle (or little more), so that what it keeps is
 * bounded; the bus's ring is the queue. */
#pragma once

#include "io/loop.h"

#include <stddef.h>

typedef struct Writer Writer;

typedef struct WriterEvents {
    /* Everything that was added has gone out, after some of it had to wait. */
    void (*on_idle)(void *context);
    /* Nobody will ever read it (EPIPE, a hang-up, a full disk); what is added is dropped from now
     * on. Comes from the loop, never from inside writer_add. */
    void (*on_broken)(void *context, int error);
} WriterEvents;

/* events is borrowed for the writer's life. Ignores SIGPIPE, for the whole process. */
Writer *writer_open(Loop *loop, int fd, const WriterEvents *events, void *context);
/* Writes at once what can be written at once. */
void writer_add(Writer *writer, const char *text, size_t len);
/* Bytes that wait. */
size_t writer_pending(const Writer *writer);
/* errno of what broke it, before on_broken says so; 0: nothing did. */
int writer_error(const Writer *writer);
/* loop_mono_ms of when bytes last went out. */
uint64_t writer_progress_ms(const Writer *writer);
/* Drops what waits. Then done, and the writer is freed. NULL: done is called at once. */
void writer_close(Writer *writer, void (*done)(void *context), void *context);
