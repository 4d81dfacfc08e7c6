/* What the writer thread's files share: committing (store_writer.c), of that each batch
 * (store_batch.c) and the journal (store_share.c), and, later and by itself, making what was
 * committed findable (store_index.c). All of it is the writer thread's. */
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
    uint64_t shown;   /* up to here the node has passed it; lo - 1: nothing yet */
    bool was_cut;     /* in this life: what was passed may be more than there is */
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

/* The same, of what the journal did to a head. */
typedef struct ShownUndo {
    Head *head;
    uint64_t shown;
} ShownUndo;

/* The row of the journal that is being made. */
typedef struct Row {
    StrBuf runs;
    unsigned runs_count;
    uint64_t first;     /* its position */
    uint64_t positions; /* of those runs */
    JournalRun open;    /* not among them yet: it may become longer; count 0: none */
} Row;

struct Writer {
    Store *store;
    Db db;
    pthread_t thread;
    JobQueue queue;
    Head *heads;
    Head *gone;             /* of which all was cut, in this life */
    int64_t last_stream_id; /* also of those that are gone for long */
    bool degraded;
    uint64_t commits;
    /* Events of the span that goes on, which began then, and of the last one. */
    uint64_t burst_at_ms;
    size_t span_events;
    size_t burst_events;
    int wal_pages;
    bool wal_is_long; /* or cannot be made so */

    /* Of the transaction; kept for the next, so that none allocates. */
    Undo *undo;
    size_t undo_count, undo_cap;
    ShownUndo *shown_undo;
    size_t shown_count, shown_cap;
    Row row;
    uint64_t position; /* the journal's last, with those of this transaction */
    uint64_t durable;
    bool life_waits; /* this open's life, and what the journal lacks, could not be written yet */
    /* The room asked for last: most events are of the same. */
    char room[EVENT_ROOM_MAX_BYTES];
    size_t room_len;
    int64_t room_id;

    /* Streams of which the search does not know all. */
    Head *behind;
    Head **behind_end;
    uint64_t backlog; /* events in them */
    bool index_broken;
    bool seals_stale; /* they know of what is not committed */
    bool idle;        /* nothing has come for a while, and nothing since */
};

/* A code that writing gave, or SQLITE_OK: what store_degraded says follows it. */
void writer_set_degraded(Writer *writer, int code);
void writer_roll_back(Writer *writer);
/* NULL: there is none. */
Head *writer_head(Writer *writer, const StreamId *stream);

/* ---- store_batch.c ---- */

/* The batch's events, and its share of the journal, or nothing of it. SQLite's code; what is wrong
 * with the batch itself is in its result. */
int batch_write(Writer *writer, Batch *batch);
/* Moves the heads back to where they were when so many were in writer->undo. */
void batch_take_back(Writer *writer, size_t mark);

/* ---- store_share.c ---- */

/* Before the writer's first transaction: it has the heads. */
void share_open(Writer *writer);
/* First in each transaction while life_waits. SQLite's code. */
int share_begin_life(Writer *writer);
/* Does the journal go on with this batch, and is what it says was passed stored? Once its events
 * are written. */
bool share_fits(Writer *writer, const Batch *batch);
/* The batch's share, of which some waits for share_end, before the commit. SQLite's code. */
int share_write(Writer *writer, const Batch *batch);
int share_end(Writer *writer);
/* After a transaction: it is committed; it is not. */
void share_settle(Writer *writer);
void share_take_back(Writer *writer);

/* ---- store_wal.c ---- */

enum {
    CHECKPOINT_PAGES = 1000,      /* 4 MB of -wal, SQLite's own measure: when there is time */
    CHECKPOINT_MUST_PAGES = 8000, /* whatever else waits */
};

/* Writer.wal_pages is told from now on. */
void wal_watch(Writer *writer);
/* Moves what is in the -wal into log.db. */
void wal_checkpoint(Writer *writer);
/* Makes the -wal longer by a piece, ahead of the commits that would have to; then, or where that
 * cannot be, wal_is_long. */
void wal_lengthen(Writer *writer);

/* ---- store_cut.c ---- */

/* In its transaction. SQLite's code. */
int cut_write(Writer *writer, Job *job);
/* It is committed. */
void cut_settle(Writer *writer, const Batch *batch);
/* Of what was passed and is not stored any more: the stream under whose number it was. NULL: it
 * never was. */
const Head *cut_head_of(const Writer *writer, const PassedRun *run);

/* ---- store_index.c ---- */

enum {
    /* Events a transaction: fewer make the index slow to write, and with more an append that comes
     * meanwhile waits longer (some 15 ms as it is). */
    INDEX_EVENTS = 512,
};

/* Learns the keys of what is indexed already. Once the heads are known, and no thread runs yet. */
void index_open(Writer *writer);
/* The head has count more events, committed. */
void index_note(Writer *writer, Head *head, uint64_t count);
/* Of the head only what is up to hi is there any more. */
void index_cut(Writer *writer, Head *head, uint64_t hi);
/* One transaction's worth of the backlog, at most max events. False: there is no more, or it
 * failed. */
bool index_some(Writer *writer, size_t max);
