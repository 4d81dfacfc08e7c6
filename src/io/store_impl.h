/* What the store's files share. Nobody else includes this.
 *
 *   store.c         life, and the owner thread's side of every call
 *   store_open.c    what is done before it is open
 *   store_writer.c  the writer thread: group commit    store_index.c  and then the index
 *   store_batch.c   one batch of it
 *   store_share.c   and the journal                  store_cut.c     and what counts no more
 *   store_reader.c  the reader thread: runs, export  store_shown.c   and what goes by time
 *   store_journal.c what a row of the journal says; reading and checking it
 *   store_search.c  another reader: search           store_query.c   what it asks FTS5 for
 *   store_words.c   what a word is, for FTS5
 *   store_db.c      connections, statements, errors
 *   store_control.c what says who is a member, and gives keys, at open
 *   store_schema.c  tables, checks                   store_dir.c     the directory's other files
 *   store_backup.c  backup and restore               store_check.c   quick_check while it runs */
#pragma once

#include "base/strbuf.h"
#include "io/store.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

/* ---- store_db.c ---- */

/* clang-format off */
#define STORE_SQL_TABLE(X)                                                                         \
    X(SQL_BEGIN, "BEGIN IMMEDIATE")                                                                \
    X(SQL_BEGIN_READ, "BEGIN")                                                                     \
    X(SQL_COMMIT, "COMMIT")                                                                        \
    X(SQL_ROLLBACK, "ROLLBACK")                                                                    \
    X(SQL_PROBE, "UPDATE probe SET count = count + 1")                                             \
    X(SQL_HEADS, "SELECT id, origin, epoch, lo, hi, hash FROM streams ORDER BY origin, epoch")     \
    X(SQL_HEADS_ALL, "SELECT id, origin, epoch, lo, hi, hash, indexed, shown FROM streams"         \
                     " ORDER BY id")                                                               \
    X(SQL_HEAD, "SELECT id, lo, hi, hash FROM streams WHERE origin = ?1 AND epoch = ?2")           \
    X(SQL_HEAD_PUT, "INSERT INTO streams(id, origin, epoch, lo, hi, hash, indexed, shown)"         \
                    " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?4 - 1, ?7)"                                  \
                    " ON CONFLICT(id) DO UPDATE SET hi = excluded.hi, hash = excluded.hash,"       \
                    " shown = excluded.shown")                                                     \
    X(SQL_LIVES, "SELECT life, first FROM lives ORDER BY rowid")                                   \
    X(SQL_LIFE_ADD, "INSERT INTO lives(life, first) VALUES(?1, ?2)")                               \
    X(SQL_LIVES_CUT, "DELETE FROM lives WHERE rowid <= (SELECT max(rowid) FROM lives) - ?1")       \
    X(SQL_JOURNAL_ADD, "INSERT INTO journal(position, runs) VALUES(?1, ?2)")                       \
    X(SQL_JOURNAL_LAST, "SELECT position, runs FROM journal ORDER BY position DESC LIMIT 1")       \
    X(SQL_JOURNAL, "SELECT position, runs FROM journal WHERE position >="                          \
                   " (SELECT coalesce(max(position), 0) FROM journal WHERE position <= ?1)"        \
                   " ORDER BY position")                                                           \
    X(SQL_STREAM_ENDS, "SELECT lo, hi FROM streams WHERE id = ?1")                                 \
    X(SQL_INDEXED_PUT, "UPDATE streams SET indexed = ?2 WHERE id = ?1")                            \
    X(SQL_ROOM, "SELECT id FROM rooms WHERE name = ?1")                                            \
    X(SQL_ROOM_ADD, "INSERT INTO rooms(name) VALUES(?1)")                                          \
    X(SQL_EVENT_ADD, "INSERT INTO events(id, room, hlc, signature, bytes, kind)"                   \
                     " VALUES(?1, ?2, ?3, ?4, ?5, ?6)")                                            \
    X(SQL_EVENT_DROP, "DELETE FROM events WHERE id = ?1")                                          \
    X(SQL_EVENT, "SELECT id, signature, bytes FROM events WHERE id = ?1")                          \
    X(SQL_RUN, "SELECT id, signature, bytes, room FROM events WHERE id BETWEEN ?1 AND ?2"         \
               " ORDER BY id")                                                                     \
    X(SQL_PAGE, "SELECT e.id, e.signature, e.bytes FROM events e"                                  \
                " JOIN streams s ON s.id = e.id >> 40"                                             \
                " WHERE e.room = ?1 AND e.hlc BETWEEN ?2 AND ?3"                                   \
                " AND (e.hlc, s.origin, s.epoch, e.id & 0xffffffffff) < (?3, ?4, ?5, ?6)"          \
                " ORDER BY e.hlc DESC, s.origin DESC, s.epoch DESC, e.id DESC LIMIT ?7")           \
    X(SQL_KINDS, "SELECT e.id, e.signature, e.bytes FROM events e INDEXED BY events_kinds"         \
                 " JOIN streams s ON s.id = e.id >> 40"                                            \
                 " WHERE e.kind IS NOT NULL AND ((?1 >> e.kind) & 1) <> 0"                         \
                 " AND (?2 IS NULL OR s.origin = ?2)"                                              \
                 " ORDER BY e.hlc DESC, s.origin DESC, s.epoch DESC, e.id DESC LIMIT ?3")          \
    X(SQL_ROOMS, "SELECT name, (SELECT max(hlc) FROM events WHERE room = rooms.id) AS last"        \
                 " FROM rooms WHERE last IS NOT NULL ORDER BY last DESC, name LIMIT ?1")           \
    X(SQL_CONTROL, "SELECT id, signature, bytes FROM events INDEXED BY events_kinds"               \
                   " WHERE kind IS NOT NULL AND kind BETWEEN ?1 AND ?2")                           \
    X(SQL_STREAMS_OF, "SELECT id, epoch, lo, hi FROM streams WHERE origin = ?1 ORDER BY id")       \
    X(SQL_NOT_BEFORE, "SELECT e.id FROM rooms r CROSS JOIN events e INDEXED BY events_shown"       \
                      " ON e.room = r.id WHERE e.hlc >= ?1")                                       \
    X(SQL_ROOM_EVENTS, "SELECT id, signature, bytes, room FROM events WHERE room = ?1")            \
    X(SQL_HLC_SPAN, "SELECT min(hlc), max(hlc) FROM events WHERE id BETWEEN ?1 AND ?2")            \
    X(SQL_DOCS_OF, "SELECT id, event FROM docs WHERE id BETWEEN ?1 AND ?2"                         \
                   " AND event BETWEEN ?3 AND ?4")                                                 \
    X(SQL_DOC_DROP, "DELETE FROM docs WHERE id = ?1")                                              \
    X(SQL_WORDS_DROP, "INSERT INTO words(words, rowid, room, sender, body)"                        \
                      " VALUES('delete', ?1, ?2, ?3, ?4)")                                         \
    X(SQL_EVENTS_DROP, "DELETE FROM events WHERE id BETWEEN ?1 AND ?2")                            \
    X(SQL_HEAD_CUT, "UPDATE streams SET hi = ?2, hash = ?3, indexed = min(indexed, ?2),"           \
                    " shown = min(shown, ?2) WHERE id = ?1")                                       \
    X(SQL_HEAD_DROP, "DELETE FROM streams WHERE id = ?1")                                          \
    X(SQL_CUT_ADD, "INSERT OR IGNORE INTO cuts(stream) VALUES(?1)")                                \
    X(SQL_CUT, "SELECT stream FROM cuts WHERE stream = ?1")                                        \
    X(SQL_CUTS, "SELECT stream FROM cuts")                                                         \
    X(SQL_DOC_LAST, "SELECT max(id) FROM docs WHERE id < ?1")                                      \
    X(SQL_DOC_ADD, "INSERT INTO docs(id, event) VALUES(?1, ?2)")                                   \
    X(SQL_WORDS_ADD, "INSERT INTO words(rowid, room, sender, body) VALUES(?1, ?2, ?3, ?4)")        \
    X(SQL_MATCHES, "SELECT words.rowid, d.event, e.hlc"                                            \
                   " FROM words CROSS JOIN docs d ON d.id = words.rowid"                           \
                   " CROSS JOIN events e ON e.id = d.event"                                        \
                   " WHERE words MATCH ?1 AND words.rowid < ?2 ORDER BY words.rowid DESC")         \
    X(SQL_SNIPPET, "SELECT snippet(words, 2, '" STORE_MATCH_OPEN "', '" STORE_MATCH_CLOSE "',"     \
                   " '\xe2\x80\xa6', 24) FROM words WHERE words MATCH ?1 AND rowid = ?2")

#define SQL_ENUM_ROW(name, text) name,
typedef enum StoreSql { STORE_SQL_TABLE(SQL_ENUM_ROW) SQL_COUNT } StoreSql;
#undef SQL_ENUM_ROW
/* clang-format on */

/* A connection, used by one thread. */
typedef struct Db {
    sqlite3 *sqlite;
    sqlite3_stmt *statements[SQL_COUNT]; /* made when first used */
} Db;

typedef enum DbMode {
    DB_CREATE, /* the file too, 0600 */
    DB_WRITE,
    DB_READ,
} DbMode;

/* With the settings that all connections share. SQLite's code; on failure db is closed. */
int db_open(Db *db, const char *path, DbMode mode);
void db_close(Db *db);
/* Reset, nothing bound. NULL: it cannot be made; the connection knows why. */
sqlite3_stmt *db_statement(Db *db, StoreSql sql);
/* For statements that give no rows. SQLite's code, SQLITE_DONE made SQLITE_OK. */
int db_run(Db *db, StoreSql sql);
int db_finish(sqlite3_stmt *statement);
/* One number; fallback where there is none. */
int64_t db_number(Db *db, const char *sql, int64_t fallback);

/* What went wrong last, as an Err: see store_append. */
Err db_err(Db *db, int code);
/* The same, for a person: "the disk is full". Static. */
const char *db_reason(Db *db, int code);
bool db_is_corrupt(int code);

/* Integers that sort in SQLite as the unsigned ones do. */
static inline int64_t sql_of_u64(uint64_t number)
{
    return (int64_t)(number ^ UINT64_C(1) << 63);
}

static inline uint64_t u64_of_sql(int64_t number)
{
    return (uint64_t)number ^ UINT64_C(1) << 63;
}

/* An event's row: the stream's number here, and seq. So a stream's events lie side by side. */
static inline int64_t event_row(int64_t stream, uint64_t seq)
{
    return (int64_t)((uint64_t)stream << STORE_SEQ_BITS | seq);
}

enum {
    STREAM_ID_MAX = (1 << 23) - 1, /* so that a row stays positive */
    /* A text's number in the search: day << 32 | count within the day. Numbers that lie close
     * together make the index small; that they rise with the day lets a search for a common word
     * stop after the newest day that has enough. */
    DOC_DAY_SHIFT = 32,
};

/* The event of a row (SQL_EVENT, SQL_RUN, SQL_PAGE): decoded, and checked to be of that row.
 * NULL: it is damaged. */
LogEvent *db_event(sqlite3_stmt *row);

/* ---- store_control.c ---- */

/* Into store->control; what was left out, into store->notice. False: it cannot be read. */
bool control_load(Store *store, Db *db);

/* ---- store_sealed.c ---- */

/* What this node can read of what is sealed, for the store's threads: each asks in its turn. */
typedef struct Seals Seals;

/* seed: NULL: nothing sealed can be read. */
Seals *seals_new(const uint8_t *seed);
void seals_free(Seals *seals); /* NULL is fine */
void seals_forget(Seals *seals);
/* A ROOM_KEY event. True: it has brought keys; *ret_take is for seals_opens_since. */
bool seals_take(Seals *seals, const LogEvent *event, uint64_t *ret_take);
/* keyring_unseal; without keys a plain event alone. */
LogEvent *seals_open(Seals *seals, LogEvent *event);
bool seals_opens_since(Seals *seals, const LogEvent *event, uint64_t take);
/* event_field opens what is sealed from now on. SQLite's code. */
int db_use_seals(Db *db, Seals *seals);

/* ---- store_words.c ---- */

/* Makes the tokenizer "chat" and the function event_field known. SQLite's code. */
int db_learn_words(sqlite3 *sqlite);
/* What event_field knows of an encoded event. */
typedef enum WordsField { WORDS_SENDER, WORDS_BODY, WORDS_KIND } WordsField;
bool words_wanted(const EventFields *fields);

/* A room in the search: a word that nobody types by chance, so that the room's name among other
 * words is not looked for in every text of the room. */
enum { WORDS_ROOM_BYTES = 24 };
void words_room(char name[WORDS_ROOM_BYTES], int64_t room);

/* The tokenizer outside of a table, for one thread. */
typedef struct Splitter Splitter;
typedef int (*TokenDone)(void *context, int flags, const char *token, int len, int start, int end);
Splitter *splitter_new(sqlite3 *sqlite); /* NULL: it cannot be made */
void splitter_free(Splitter *splitter);  /* NULL is fine */
/* Calls done for each word, until it gives another code than SQLITE_OK, which is then returned. */
int splitter_run(Splitter *splitter, const char *text, size_t len, TokenDone done, void *context);

/* ---- store_query.c ---- */

/* Of each word: what `words` has an index of (its option prefix). */
enum { QUERY_START_CHARS = STORE_PREFIX_MIN_CHARS };

typedef struct Query Query;
typedef enum QueryForm { QUERY_EXACT, QUERY_LOOSE } QueryForm;

/* Of words as in StoreSearch; for the connection's thread. */
Query *query_new(Db *db, const char *words);
void query_free(Query *query);
/* There is nothing to search for. */
bool query_is_empty(const Query *query);
/* Would QUERY_LOOSE be another expression, and is query_fits all that it leaves to be seen? */
bool query_can_be_loose(const Query *query);
void query_write(const Query *query, QueryForm form, StrBuf *out);
void query_add_term(StrBuf *out, const char *columns, const char *text);
/* Has a text that QUERY_LOOSE found a word for every start? */
bool query_fits(const Query *query, const EventFields *fields);
/* The expression that finds the same words in this one text. */
void query_write_for(const Query *query, const EventFields *fields, StrBuf *out);

/* Is it one of those that store_read_kinds finds? */
static inline bool kind_is_kept_apart(int kind)
{
    return kind == LOG_JOIN || kind == LOG_PART || kind == LOG_NICK || kind == LOG_TOPIC ||
           kind == LOG_ROOM_KEY || kind == LOG_MEMBER || kind == LOG_REVOKE;
}

/* ---- store_schema.c ---- */

typedef enum SchemaCheck {
    SCHEMA_CHECK_NONE,
    SCHEMA_CHECK_HEADS, /* schema_check_heads */
    SCHEMA_CHECK_ALL,   /* every page, and then schema_check_chains */
} SchemaCheck;

/* Opens file for writing, makes or checks what is in it.
 * ERR_INVALID: it is corrupt; *ret_error says how it shows. Else as store_open. */
Err schema_open(Db *db, const char *file, SchemaCheck check, char **ret_error);
/* Nothing is made: an earlier format stays what it is. Else the same; also ERR_NOT_FOUND. */
Err schema_open_read(Db *db, const char *file, char **ret_error);
/* Is it of an earlier format? schema_open brings such a file up to date. */
bool schema_is_old(Db *db);
/* Or is it from before there was one? */
bool schema_has_journal(Db *db);
/* PRAGMA quick_check. SQLite's code; with a corrupt one (db_is_corrupt) *ret_error says what it
 * found. */
int schema_quick_check(Db *db, char **ret_error);
/* Every stream's last event is what the stream says. False: *ret_error says where not. */
bool schema_check_heads(Db *db, char **ret_error);
/* Every stream whole, every event in its place in the chain. False: *ret_error says where not. */
bool schema_check_chains(Db *db, char **ret_error);

/* ---- store_journal.c ---- */

enum {
    /* Of one row. A transaction that has more makes more rows: so a read that begins in the middle
     * of one has little to pass over. */
    JOURNAL_ROW_RUNS = 1024,
};

/* Events of one stream that follow one another: so many positions. */
typedef struct JournalRun {
    int64_t stream; /* the stream's row */
    uint64_t first; /* seq */
    uint64_t count;
} JournalRun;

/* A row: positions position .. position + count - 1, told by runs. */
typedef struct JournalRow {
    uint64_t position;
    uint64_t count;
    const uint8_t *at; /* the runs that are still to come; the statement's until its next step */
    const uint8_t *end;
} JournalRow;

void journal_put_run(StrBuf *runs, const JournalRun *run);
/* Of a statement that gives position and runs. False: it is nonsense. */
bool journal_row_of(sqlite3_stmt *statement, JournalRow *ret_row);
bool journal_next_run(JournalRow *row, JournalRun *ret_run);

/* The lives, and the last position, into store. SQLite's code; SQLITE_MISMATCH: they are nonsense,
 * and store is as it was. */
int journal_load(Store *store, Db *db);
/* Every position once, and its event there. False: *ret_error says where not. Also true of a file
 * from before there was a journal. */
bool journal_check(Db *db, char **ret_error);
/* Empties it, so that it is written anew from what the streams hold; lives are forgotten, since no
 * cursor means anything now. SQLite's code. */
int journal_make_anew(Db *db);

/* ---- store_dir.c ---- */

typedef struct DataDir {
    char *path;
    int lock_fd; /* -1: not held */
} DataDir;

Err dir_open(DataDir *dir, const char *path, bool lock, char **ret_error);
void dir_close(DataDir *dir);
char *dir_file(const DataDir *dir, const char *name);
bool dir_has(const DataDir *dir, const char *name);
/* Marks: empty files. Durable when these return; a mark that cannot be made is logged. */
void dir_mark(const DataDir *dir, const char *name);
void dir_unmark(const DataDir *dir, const char *name);
void dir_sync(const DataDir *dir);
Err dir_identity(const DataDir *dir, uint8_t seed[EVENT_SEED_BYTES], char **ret_error);
/* Makes none. False: there is none that this process may read. */
bool dir_read_identity(const DataDir *dir, uint8_t seed[EVENT_SEED_BYTES]);
/* DIR/log.db.WORD-TIME, where nothing is yet; the caller's. */
char *dir_free_name(const DataDir *dir, const char *word);
/* log.db, and its -wal, to such a name. *ret_name: the new name, the caller's. */
Err dir_set_aside(const DataDir *dir, const char *word, char **ret_name);
/* errno as an Err. */
Err dir_err(int error);

[[gnu::format(printf, 2, 3)]] void store_say(char **ret_text, const char *format, ...);

/* ---- store_open.c ---- */

/* With store->dir open: all else that is known of the log, and the connections; to write, the
 * writer too. No thread runs yet. As store_open: on failure nothing is left but what is freed with
 * the store. */
Err open_for_writing(Store *store, char **ret_error);
Err open_for_reading(Store *store, char **ret_error);

/* ---- jobs ---- */

/* Made by the owner, run by a helper, finished and freed by the owner. */
typedef struct Job Job;
struct Job {
    Mail mail; /* first: a Job is found by its mail */
    Job *next;
    Store *store;
    void (*run)(Job *job, Db *db); /* on the reader; NULL: a Batch */
    uint64_t backlog;              /* of a search: events it could not look at */
    void (*finish)(Job *job);      /* on the owner: the callback; frees the job */
};

typedef struct JobQueue {
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* CLOCK_MONOTONIC */
    Job *first;          /* under mutex, as all below */
    Job *last;
    bool closing;
} JobQueue;

void queue_init(JobQueue *queue);
void queue_done(JobQueue *queue);
void queue_push(JobQueue *queue, Job *job);
/* False: it is closing, and the job is the caller's as before. */
bool queue_offer(JobQueue *queue, Job *job);
void queue_close(JobQueue *queue);
/* Under the mutex. */
Job *queue_pop(JobQueue *queue);

/* Of what a batch says was passed: those that follow one another, as one. */
typedef struct PassedRun {
    StreamId stream;
    uint64_t first;
    uint64_t count;
    bool shown;
} PassedRun;
_Static_assert(sizeof(PassedRun) == STORE_PASSED_COST_BYTES, "as store.h says");

typedef struct Batch {
    Job job;
    LogEvent **events;
    size_t count;
    PassedRun *passed;
    size_t passed_count;
    uint64_t position;
    size_t bytes; /* as counted against STORE_PENDING_MAX_BYTES */
    unsigned flags;
    StoreAppendDone done;
    void *context;
    StoreAppended result;
    uint64_t commits; /* the writer's count so far, for StoreStats */
    /* Of store_cut: no events, and alone in its transaction. */
    bool is_cut;
    StreamId cut_stream;
    uint64_t cut_hi;
    EventHash cut_hash; /* of hi: the writer's */
    StoreCutDone cut_done;
} Batch;

/* store_writer.c. Ends when its queue is closing and empty, and posts store->writer_end. */
typedef struct Writer Writer;
Writer *writer_new(Store *store, Db *db); /* takes over the connection */
void writer_start(Writer *writer);
void writer_free(Writer *writer); /* joins */
JobQueue *writer_queue(Writer *writer);

/* store_reader.c. Two of them: a word that starts half of all words keeps FTS5 busy for seconds,
 * and links that catch up must not wait for that. */
typedef struct Reader {
    Store *store;
    JobQueue queue;
    Db db;
    pthread_t thread;
    Mail end; /* posted when the queue is closing and empty */
} Reader;

typedef enum ReaderKind { READER_LOG, READER_SEARCH, READER_COUNT } ReaderKind;

void reader_launch(Reader *reader);
/* Joins. */
void reader_done(Reader *reader);
/* By way of that queue. ERR_LIMIT, and the job is the caller's as before. */
Err reader_push(Store *store, Job *job, JobQueue *queue);

/* An answer with events, which it owns. */
typedef struct Answer {
    LogEvent **events;
    size_t count;
    size_t cap;
    size_t bytes;
} Answer;

void answer_add(Answer *answer, LogEvent *event);
void answer_done(Answer *answer);

/* store_backup.c. Its thread ends soon and posts its job's mail, which joins it. */
typedef struct Backup Backup;
void backup_stop(Backup *backup);

/* store_check.c. As with a backup; ends by itself, or soon after check_stop. */
typedef struct Check Check;
void check_start(Store *store);
void check_stop(Check *check);

/* A life, and the first position that it may give out. */
typedef struct StoreLife {
    uint64_t life;
    uint64_t first;
} StoreLife;

struct Store {
    Loop *loop;
    DataDir dir;
    char *file; /* log.db */
    bool read_only;
    uint8_t seed[EVENT_SEED_BYTES];
    char *notice;
    StoreHead *heads;
    size_t heads_count;
    LogEvent **control; /* store_control_events */
    Seals *seals;
    bool has_seed;
    size_t control_count;
    size_t room_keys_max_bytes;
    StoreLife *lives; /* the oldest first; the last one is this open's, unless read_only */
    size_t lives_count;
    uint64_t position; /* of the journal's end, at open */
    /* Up to which position the journal is on the disk. */
    _Atomic uint64_t durable;

    void (*state_changed)(void *context);
    void *state_context;
    char *degraded; /* the owner's copy */
    StoreStats stats;
    unsigned reads; /* not yet answered; each finish takes one off */
    Backup *backup; /* the one that runs */
    Check *check;   /* while it runs */
    /* After an unclean stop, until the check has found the file good: it is not `clean`. */
    bool unchecked;

    Writer *writer;
    Mail writer_end;
    Reader readers[READER_COUNT];
    unsigned helpers; /* threads that have not said their last word */
    void (*closed)(void *context);
    void *closed_context;

    atomic_bool damaged; /* an event was found that is not what was stored */
};

/* With all signals blocked: they are the loop's. */
void store_thread_start(pthread_t *thread, void *(*run)(void *), void *context);
/* From any helper: store_degraded will be this text (taken over; NULL: all is well). */
void store_post_state(Store *store, char *text);
/* From any helper: an event is damaged. Marked on disk, so that the next open looks closer. */
void store_post_damage(Store *store, const char *where);
/* On the owner: a helper has said its last word. */
void store_helper_ended(Store *store);
