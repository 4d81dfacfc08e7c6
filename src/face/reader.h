/* Reads a standard descriptor of any kind (terminal, pipe, socket, file, /dev/null) on the loop.
 * Files are read in libuv's thread pool: a slow disk delays nobody. */
#pragma once

#include "io/loop.h"

#include <stddef.h>

typedef struct Reader Reader;

typedef struct ReaderEvents {
    /* Borrowed for the call. After reader_stop one more may come: a file's read under way. */
    void (*on_data)(void *context, const char *data, size_t len);
    /* Nothing more will come; error is an errno, 0 for the plain end. */
    void (*on_end)(void *context, int error);
} ReaderEvents;

enum { READER_CHUNK_BYTES = 64 * 1024 };

/* Stopped at first. events is borrowed for the reader's life. Where the descriptor is not open,
 * on_end tells so once it is started. */
Reader *reader_open(Loop *loop, int fd, const ReaderEvents *events, void *context);
void reader_start(Reader *reader);
void reader_stop(Reader *reader);
/* No event comes any more; then done, and the reader is freed. NULL: done is called at once. */
void reader_close(Reader *reader, void (*done)(void *context), void *context);
