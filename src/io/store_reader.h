/* What the reader thread's files share: runs and the export, which go along streams
 * (store_reader.c), and what goes by time (store_shown.c). */
#pragma once

#include "io/store_impl.h"

/* A read that gives events. */
typedef struct Read {
    Job job;
    StoreReadDone done;
    void *context;
    Answer answer;
    Err err;
    bool more;
    union {
        StoreRun run;
        struct {
            char room[EVENT_ROOM_MAX_BYTES];
            size_t room_len;
            uint64_t hlc;
            StreamId stream;
            uint64_t seq;
            uint64_t since_hlc;
            size_t max_events;
        } page;
        struct {
            unsigned mask; /* 1 << kind */
            bool has_origin;
            uint8_t origin[EVENT_KEY_BYTES];
            size_t max_events;
        } kinds;
        struct {
            uint8_t origin[EVENT_KEY_BYTES];
            uint64_t hlc;
        } cuts;
        struct {
            StoreExport *export;
            size_t max_bytes;
        } part;
    };
} Read;

/* By way of the reader's queue. On failure read is gone. */
Err read_push(Store *store, Read *read, void (*run)(Job *, Db *), StoreReadDone done,
              void *context);
/* What asked, brought within a limit; 0 asks for all of it. */
size_t read_limit(size_t asked, size_t max);
/* Reading has failed with this code: what to answer. Said once on the way. */
Err read_failed(Store *store, Db *db, int code);
/* The event of that row is not what was stored. */
Err read_damaged(Store *store, int64_t row);
