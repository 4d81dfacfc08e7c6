/* The store: the log of every stream that this node holds, in one SQLite file, log.db, in its data
 * directory. What is in it is durable: WAL, synchronous=FULL, group commit.
 *
 *   owner thread                     helper threads, each with a connection of its own
 *   store_append  --- batch ------>  writer: all batches that wait, in one transaction; then fsync
 *                                    (the events, and their share of the journal)
 *   store_read_*  --- job -------->  reader: decodes, checks
 *   store_search  --- job -------->  writer (indexes what is new), then a reader for searches alone
 *   callback      <-- loop_post ---
 *
 * The owner thread never touches the disk between store_open and the end of store_close. Every
 * function here is for the owner thread alone, and every callback comes on it, from the loop, never
 * from within the call. What was asked first is answered first, among writes, reads, searches; a
 * read that is asked for after a batch was acknowledged sees that batch.
 *
 * A stream is kept without holes: lo..hi, each event chained to the one before. An event and the
 * mark that it has been seen are one row.
 *
 * The journal is the order in which the node has passed events on, to those who subscribe: each has
 * a position, 1, 2, 3 and so on, which means the same event for as long as there is this log.db. A
 * life begins with each open: a number by chance, kept with the first position that it may give
 * out. So a cursor (life, position) of a future that was lost, because a backup was put back or
 * a disk cloned, is known for what it is.
 *
 * The directory holds: log.db (with -wal and -shm while in use), lock, identity (the node's secret
 * seed), clean (there while nobody has the store open, after a proper end), damaged (there once it
 * was found that something is not what was stored), log.db.corrupt-TIME (set aside, never touched
 * again). */
#pragma once

#include "core/event.h"
#include "io/loop.h"

typedef struct Store Store;

enum {
    /* Bytes of events given to store_append and not yet committed. A writer that is this far behind
     * has a disk that hangs; at 50 MB a second it is a sixth of a second's work. */
    STORE_PENDING_MAX_BYTES = 8 * 1024 * 1024,
    /* Reads waiting: one for each link and stream being caught up on, and some for people. */
    STORE_READS_MAX = 4096,
    /* One answer: a frame is 256 KiB, and an export is no faster with more. */
    STORE_READ_MAX_BYTES = 1024 * 1024,
    STORE_READ_MAX_EVENTS = 4096,
    STORE_SEARCH_MAX_HITS = 200,
    STORE_SEARCH_MAX_BYTES = 256, /* of the words searched for: a line somebody typed */
    STORE_PREFIX_MIN_CHARS = 3,   /* fewer letters start too many words to be of use */
    /* What a batch with STORE_LAZY waits for others to share its commit with. */
    STORE_LAZY_MS = 10,
    STORE_LAZY_EVENTS = 256,
    /* ROOM_KEY events in memory, from open until store_heads_drop. A new key for a room of 500
     * people is 64 KiB: 4,000 of those, or half a million entries of one person. */
    STORE_ROOM_KEYS_MAX_BYTES = 256 * 1024 * 1024,
    /* More in one stream are refused (a row's key has 40 bits for it): 35,000 years at one a
     * second. */
    STORE_SEQ_BITS = 40,
    /* Lives that are kept: a node that is started anew each hour has a year of them. Cursors of
     * older ones are not known any more. */
    STORE_LIVES_MAX = 10000,
};

/* ---- life ---- */

typedef struct StoreOptions {
    const char *directory; /* made, with its parents, where missing (mode 0700) */
    /* Only reads, beside a node that may be running: takes no lock, makes and mends nothing. */
    bool read_only;
    size_t room_keys_max_bytes; /* 0: STORE_ROOM_KEYS_MAX_BYTES */
    /* store_degraded or store_notice has changed; may be NULL. */
    void (*state_changed)(void *context);
    void *context;
} StoreOptions;

/* Opens the store, or makes it. Blocks: some ms; some more after an unclean stop, when each
 * stream's last event is looked at, and all else is checked while the store is used; and some
 * seconds for a million events where the last run found damage.
 * What the streams hold and the journal does not (a kill -9 came between, or the file is from
 * before there was one) is in the journal when this returns, the streams one after the other; where
 * the disk refuses, it is with the first commit that works.
 * On failure the caller owns *ret_error, one line for a person. *ret_store: ended by store_close.
 * ERR_IN_USE: a process holds the directory; the text says which. ERR_DENIED: it cannot be written.
 * ERR_EXISTS: log.db is another program's file. ERR_LIMIT: it was written by a newer version, or,
 * with read_only, by an older one (a node that opens such a file brings it up to date).
 * ERR_NOT_FOUND: read_only, and there is none. ERR_INVALID: the identity file is not one; it is
 * never replaced. ERR_IO: all else.
 * A corrupt log.db is not an error, except with read_only: it is set aside, a new one is begun, and
 * store_notice tells. */
Err store_open(const StoreOptions *options, Loop *loop, Store **ret_store, char **ret_error);

/* Commits what waits, answers every callback that is due, then calls closed (never from within) and
 * frees the store. The loop must run until then. Nothing may be asked of the store after this call;
 * a backup that runs is given up. */
void store_close(Store *store, void (*closed)(void *context), void *context);

/* What a person should know, or NULL: a corrupt file was set aside, and where; or there are more
 * keys of sealed rooms than are read; or the check after an unclean stop, which runs while the
 * store is used, found that the next open will have to. */
const char *store_notice(const Store *store);

/* EVENT_SEED_BYTES: who this node is; made at the first open. With read_only NULL where it may not
 * be read. Wiped at the end. */
const uint8_t *store_seed(const Store *store);

typedef struct StoreHead {
    StreamId stream;
    uint64_t lo; /* the first and the last event kept; lo..hi has no hole */
    uint64_t hi;
    EventHash hash; /* of hi */
} StoreHead;

/* All streams as they were at open, ordered by stream_id_compare. The store's until
 * store_heads_drop, which frees them (88 bytes a stream). */
const StoreHead *store_heads(const Store *store, size_t *ret_count);
void store_heads_drop(Store *store);
/* All control events (LOG_MEMBER, LOG_REVOKE, LOG_ROOM_KEY) as they were at open; the store's until
 * store_heads_drop. Of ROOM_KEY events STORE_ROOM_KEYS_MAX_BYTES: past it whoever has written most
 * of them goes without his newest, and store_notice tells. */
LogEvent *const *store_control_events(const Store *store, size_t *ret_count);
/* The highest epoch of that origin among them; 0: none. */
uint64_t store_epoch_max(const Store *store, const uint8_t origin[EVENT_KEY_BYTES]);

/* This open's life; read_only: that of the last one that wrote, 0 where there was none. */
uint64_t store_life(const Store *store);
/* Of the last event in the journal, at open; 0: none. The first batch goes on after it. */
uint64_t store_position(const Store *store);
/* Is a cursor one of this journal: of a life that it knows, and a position that was durable in that
 * life, or in one before? Position 0, before all, is one of every life that is known. */
bool store_knows_cursor(const Store *store, uint64_t life, uint64_t position);

/* NULL while writing works; else why it does not, for a person: "cannot write ...: the disk is
 * full". Appends may still be tried. Where none is, the store tries by itself every second, and
 * says through state_changed when it works again. */
const char *store_degraded(const Store *store);

typedef struct StoreStats {
    uint64_t commits; /* transactions */
    uint64_t batches; /* committed */
    uint64_t events;  /* committed, duplicates not counted */
    size_t pending_bytes;
} StoreStats;

StoreStats store_stats(const Store *store);

/* ---- writing ---- */

enum {
    /* May wait STORE_LAZY_MS or until STORE_LAZY_EVENTS are there: others' events, which are safe
     * with their author. */
    STORE_LAZY = 1 << 0,
    /* A stream that is new here may start after seq 1: the peers no longer keep the rest. */
    STORE_STARTS_LATE = 1 << 1,
    /* The events go into the journal, after those that were passed. */
    STORE_JOURNAL = 1 << 2,
};

typedef struct StorePassed {
    StreamId stream;
    uint64_t seq;
    bool shown; /* false: the node has passed it, but it is nothing to show: no position */
} StorePassed;

typedef struct StoreBatch {
    LogEvent *const *events; /* may be none, where something was passed */
    size_t count;
    unsigned flags;
    /* In their order; borrowed until store_append returns. Those that follow one another in their
     * stream, and are equally shown, cost nothing, and others STORE_PASSED_COST_BYTES. */
    const StorePassed *passed;
    size_t passed_count;
    uint64_t position; /* of the first of them that has one, or of the first event */
} StoreBatch;

/* What is counted against STORE_PENDING_MAX_BYTES. */
enum { STORE_PASSED_COST_BYTES = 64 };

typedef struct StoreAppended {
    Err err;
    size_t at;    /* on failure: which event of the batch; count: it is its share of the journal */
    size_t added; /* on success: how many were new; the others were here already */
} StoreAppended;

typedef void (*StoreAppendDone)(void *context, const StoreAppended *result);

/* Stores a batch, whole or not at all, in the order given; done comes after the commit. Batches are
 * committed in the order in which they come. Takes a reference to each event, which must not change
 * any more (event_sign before this). An event that is here already, equal, is fine.
 * Its share of the journal is what it says was passed and is shown, and then, with STORE_JOURNAL,
 * all its events. In the same transaction: who was given a position by a batch that was
 * acknowledged has it for ever. What was passed may be in this very batch.
 * ERR_LIMIT: STORE_PENDING_MAX_BYTES are waiting; nothing was taken and done will not come.
 * ERR_DENIED: opened read_only.
 * To done: ERR_EXISTS: another event has that stream and seq, or that place in the chain: `at`
 * names the newcomer, which was not stored. ERR_INVALID: it would leave a hole, or its seq is past
 * STORE_SEQ_BITS; or (`at` is count) its position is not the journal's next, as after a batch that
 * failed, or what was passed is not stored. ERR_GONE: it is below the stream's lo. ERR_UNAVAILABLE:
 * the disk or a quota is full.
 * ERR_DENIED: the file system has become read-only. ERR_IO: else. The last three: see
 * store_degraded; batches that shared the transaction get the same. */
Err store_append(Store *store, const StoreBatch *asked, StoreAppendDone done, void *context);

typedef void (*StoreCutDone)(void *context, Err err);

/* Deletes what is stored of a stream past hi (0: all of it), for search too; what of it was in the
 * journal leaves its position empty. In the order of the batches; done comes after the commit. A
 * stream that does not reach so far is left as it is; asking twice does no harm. done may not be
 * NULL. Not with read_only. Errors as to StoreAppendDone. */
void store_cut(Store *store, const StreamId *stream, uint64_t hi, StoreCutDone done, void *context);

/* ---- reading ---- */

typedef struct StoreEvents {
    Err err;
    LogEvent *const *events; /* the store's until the callback returns: event_ref what you keep */
    size_t count;
    bool more; /* there are more than the limits let through */
} StoreEvents;

typedef void (*StoreReadDone)(void *context, const StoreEvents *result);

/* Limits of 0, or above STORE_READ_MAX_*, mean STORE_READ_MAX_*. Every read returns:
 * ERR_LIMIT: STORE_READS_MAX are waiting; done will not come.
 * And may give to done: ERR_IO: the disk failed, or an event is not what was stored
 * (store_degraded). */

typedef struct StoreRun {
    StreamId stream;
    uint64_t from; /* seq */
    size_t max_events;
    size_t max_bytes; /* of encoded events */
    /* Ends with the end of a group: the last that fits, or, where the first alone is larger, that
     * one, whole. */
    bool whole_groups;
} StoreRun;

/* A run of one stream, in order; empty where `from` is past its end.
 * To done: ERR_NOT_FOUND: no such stream. ERR_GONE: from is below lo. */
Err store_read_run(Store *store, const StoreRun *run, StoreReadDone done, void *context);

typedef struct StorePage {
    const char *room;
    size_t room_len; /* at most EVENT_ROOM_MAX_BYTES */
    /* The page ends before this place in the shown order (event_compare); NULL: at the end. */
    const EventFields *before; /* only hlc, stream and seq are read */
    uint64_t since_hlc;        /* nothing older than this */
    size_t max_events;
} StorePage;

/* The last events of a room before a place, oldest first; borrowed fields are read before it
 * returns. */
Err store_read_page(Store *store, const StorePage *page, StoreReadDone done, void *context);

typedef struct StoreJournal {
    Err err;
    LogEvent *const *events;   /* the store's until the callback returns, as the positions */
    const uint64_t *positions; /* rising; one is left out where its event is not stored any more */
    size_t count;
    uint64_t next; /* go on here; from, where the journal ends before it */
} StoreJournal;

typedef void (*StoreJournalDone)(void *context, const StoreJournal *result);

/* The journal from a position on (0 is taken for 1). */
Err store_read_journal(Store *store, uint64_t from, size_t max_events, size_t max_bytes,
                       StoreJournalDone done, void *context);

enum { STORE_KINDS_MAX = 8 };

typedef struct StoreKinds {
    const int *kinds; /* LogKind values, STORE_KINDS_MAX at most; read before it returns */
    size_t kinds_count;
    const uint8_t *origin; /* EVENT_KEY_BYTES; NULL: of all */
    size_t max_events;
} StoreKinds;

/* The newest events of these kinds, in the shown order (event_compare), oldest first; `more` tells
 * of older ones. For what is found by kind (joins, parts, nicks, topics, and the three of private
 * networks), however many texts lie between them.
 * ERR_INVALID: other kinds than those, or too many. */
Err store_read_kinds(Store *store, const StoreKinds *kinds, StoreReadDone done, void *context);

/* Streams of one origin: as many as a replica takes (REPLICA_STREAMS_OF_ORIGIN_MAX). */
enum { STORE_CUTS_MAX = 10000 };

/* Of each stream of an origin the last event before the first one with that stamp or a later one,
 * where it has one. Who writes an earlier stamp behind a later one gains nothing by it. In the
 * order in which the streams came here. Costs a look at each event since then, and at none before.
 * To done, besides: ERR_LIMIT: STORE_CUTS_MAX. */
Err store_read_cuts(Store *store, const uint8_t origin[EVENT_KEY_BYTES], uint64_t hlc,
                    StoreReadDone done, void *context);

/* Rooms in one answer: more than anybody looks through, and with the longest names 1 MB. */
enum { STORE_ROOMS_MAX = 10000 };

typedef struct StoreRoom {
    const char *name; /* UTF-8, name_len bytes; a 0 follows */
    size_t name_len;
    uint64_t last_hlc; /* of its last event */
} StoreRoom;

typedef struct StoreRooms {
    Err err;
    const StoreRoom *rooms; /* the store's until the callback returns */
    size_t count;
} StoreRooms;

typedef void (*StoreRoomsDone)(void *context, const StoreRooms *result);

/* Every room of which there is an event, the one with the newest event first, names in order of
 * their bytes where those are equally new; STORE_ROOMS_MAX at most, the others are left out. Costs
 * a few us a room, however long the log is. */
Err store_read_rooms(Store *store, StoreRoomsDone done, void *context);

typedef struct StoreSearch {
    /* Every word must be in the text or in its sender's name. Case and accents do not count.
     * "two words" in quotes stand side by side; wor* is how a word starts
     * (STORE_PREFIX_MIN_CHARS; less is taken for a whole word). */
    const char *words;
    const char *room;   /* NULL: all */
    const char *sender; /* NULL: all */
    uint64_t until_hlc; /* nothing newer than this; 0: no such limit */
    size_t max_hits;
} StoreSearch;

/* Stand around each match in a snippet. Bytes that a sender may have written too: they decorate. */
#define STORE_MATCH_OPEN "\x02"
#define STORE_MATCH_CLOSE "\x03"

typedef struct StoreHit {
    LogEvent *event;
    char *snippet; /* about 24 words around the matches; UTF-8, not sanitised */
} StoreHit;

typedef struct StoreHits {
    Err err;
    const StoreHit *hits; /* the store's until the callback returns */
    size_t count;
    bool more;
    /* Events stored and not searched yet: 0, except for seconds after very many came at once, and
     * with read_only. */
    uint64_t unsearched;
} StoreHits;

typedef void (*StoreSearchDone)(void *context, const StoreHits *result);

/* Newest first. Text, /me and topics are searched, with all that was appended before (but see
 * unsearched). Beside another process (read_only) nothing is indexed: what that one has not come
 * to yet, or left when it ended, is counted in unsearched. Where more than two thousand texts of
 * one day match, those of them that came first may be passed over.
 * ERR_LIMIT: as for reads, or the words pass STORE_SEARCH_MAX_BYTES. ERR_INVALID: not UTF-8.
 * To done, besides: ERR_UNAVAILABLE: the store was closed before its turn. */
Err store_search(Store *store, const StoreSearch *asked, StoreSearchDone done, void *context);

/* ---- export: all of the log, in the order of (stream, seq) ---- */

typedef struct StoreExport StoreExport;

/* Begins with the streams' ends as they are at the first read: what comes later is not in it. */
StoreExport *store_export_new(Store *store);
/* One read at a time. NULL is fine. */
void store_export_free(StoreExport *export);
/* The next events; result.more is false with the last ones. */
Err store_export_next(StoreExport *export, size_t max_bytes, StoreReadDone done, void *context);
/* BLAKE2b-256 of what was given out so far: of each event its length (4 bytes, least first), its
 * bytes, whether it is signed (1 byte) and its signature. Two nodes with equal logs get equal
 * hashes. */
void store_export_hash(const StoreExport *export, uint8_t ret_hash[EVENT_HASH_BYTES]);

/* ---- backup ---- */

/* text: on failure, why, for a person; else NULL. */
typedef void (*StoreBackupDone)(void *context, Err err, const char *text);

/* A copy of log.db as it is now, in a file of its own, mode 0600, while reading and writing go on.
 * There whole, or not at all. The identity is not in it.
 * ERR_LIMIT: one is running; done will not come.
 * To done: ERR_EXISTS: there is a file at path. ERR_UNAVAILABLE: disk full, or the store was
 * closed.
 * ERR_DENIED, ERR_IO. */
Err store_backup(Store *store, const char *path, StoreBackupDone done, void *context);

/* Puts the backup at path into the place of directory's log.db; the store that was there is kept,
 * as log.db.replaced-TIME. All of the backup is checked first, every event's place in its chain and
 * in the journal too. No store may be open there. Blocks (some seconds for a million events).
 * The caller owns *ret_text: on success what was done, on failure why not.
 * ERR_IN_USE, ERR_DENIED, ERR_EXISTS, ERR_LIMIT: as store_open. ERR_NOT_FOUND: no such backup.
 * ERR_INVALID: it is damaged. ERR_UNAVAILABLE: disk full. ERR_IO. */
Err store_restore(const char *directory, const char *path, char **ret_text);
