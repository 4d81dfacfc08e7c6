/* What the writer thread's two files share: committing (store_writer.c) and, later and by itself,
 * making what was committed findable (store_index.c). All of it is the writer thread's. */
#pragma once

#include "io/store_impl.h"

#include <uthash.h>

typedef struct Head Head;
struct Head {
    StreamId stream; /* the key; no padding within */
    int64_t id;
    uint64_t lo;
    uint64_t hi; /* 0: new in this transaction */
    EventHash hash;
    uint64_t indexed; /* up to here the search knows it; lo - 1: nothing yet */
    bool touched;     /* in this transaction */
    bool is_behind;
    Head *next_behind;
    UT_hash_handle hh;
};
_Static_assert(sizeof(StreamId) == EVENT_KEY_BYTES + sizeof(uint64_t), "hashed as bytes");

/* How to take back what a transaction, or one batch of it, did to the heads: one for each event. */
typedef struct Undo {
    Head *head;
    uint64_t hi;
    EventHash hash;
} Undo;

struct Writer {
    Store *store;
    Db db;
    pthread_t thread;
    JobQueue queue;
    Head *heads;
    int64_t last_stream_id;
    bool degraded;
    uint64_t commits;
    int wal_pages;
    bool wal_is_long; /* or cannot be made so */

    /* Of the transaction; kept for the next, so that none allocates. */
    Undo *undo;
    size_t undo_count, undo_cap;
    /* The room asked for last: most events are of the same. */
    char room[EVENT_ROOM_MAX_BYTES];
    size_t room_len;
    int64_t room_id;

    /* Streams of which the search does not know all. */
    Head *behind;
    Head **behind_end;
    uint64_t backlog; /* events in them */
    bool index_broken;
    bool idle; /* nothing has come for a while, and nothing since */
};

/* A code that writing gave, or SQLITE_OK: what store_degraded says follows it. */
void writer_set_degraded(Writer *writer, int code);
void writer_roll_back(Writer *writer);

/* ---- store_index.c ---- */

enum {
    /* Events a transaction: fewer make the index slow to write, and with more an append that comes
     * meanwhile waits longer (some 15 ms as it is). */
    INDEX_EVENTS = 512,
};

/* The head has count more events, committed. */
void index_note(Writer *writer, Head *head, uint64_t count);
/* One transaction's worth of the backlog, at most max events. False: there is no more, or it
 * failed. */
bool index_some(Writer *writer, size_t max);
