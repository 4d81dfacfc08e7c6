/* Log lines on their way to a face: any thread puts them in, the owner thread takes them out.
 *
 *   any thread -> log sink -> [at most LOG_QUEUE_MAX_LINES] -> loop_post -> on_ready -> take */
#pragma once

#include "base/log.h"
#include "io/loop.h"

typedef struct LogQueue LogQueue;

/* A screen or two: who logs faster than a terminal shows loses the rest, and is told how many. */
enum { LOG_QUEUE_MAX_LINES = 64 };

/* Becomes the log's sink. on_ready is called on the owner thread when there is something. */
LogQueue *log_queue_open(Loop *loop, void (*on_ready)(void *context), void *context);
/* NULL where there is none; else the caller frees it. */
char *log_queue_take(LogQueue *queue);
/* Standard error is the log's again; then done, from the loop perhaps, and the queue is freed. */
void log_queue_close(LogQueue *queue, void (*done)(void *context), void *context);
