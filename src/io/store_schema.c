/* The tables of log.db: made, recognised, checked.
 *
 *   streams   id <- (origin, epoch)   lo, hi, hash of hi, indexed, shown   a row each, read at open
 *   rooms     id <- name
 *   events    stream << 40 | seq  ->  the bytes, as signed     a run of a stream lies side by side
 *             index (room, hlc): pages in the shown order
 *             index (hlc, kind), of the few kinds that are looked for by kind (joins, topics, what
 *             says who is a member): a text costs it nothing
 *   docs      day << 32 | n -> event                           what the search knows a text by
 *   words     FTS5 over the view texts, which decodes the events: a text is stored once
 *   journal   position -> runs: (stream, first seq, count) as varints   a row for each commit
 *   lives     life, and the first position it may give out; a row for each open
 *   cuts      streams of which something was deleted: the journal may still tell of it
 *
 * No column for what can be had from the bytes: the hash is computed where it is needed. But kind
 * is one, where an index needs it, and NULL elsewhere.
 *
 * Format 1 had neither kind nor its index, and no index of how words start. Format 2 had no
 * journal, and no streams.shown. Format 3 had no cuts, and knew of no private networks. They are
 * brought up to date when a node opens them, in one transaction: two seconds for a million events,
 * once. */
#include "io/store_impl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    APPLICATION_ID = 0x63686c67, /* "chlg" */
    SCHEMA_VERSION = 4,
    JOURNAL_VERSION = 3,
};

#define JOURNAL_TABLES                                                                             \
    "CREATE TABLE journal(position INTEGER PRIMARY KEY, runs BLOB NOT NULL) STRICT;"               \
    "CREATE TABLE lives(life INTEGER NOT NULL, first INTEGER NOT NULL) STRICT;"

#define CUTS_TABLE "CREATE TABLE IF NOT EXISTS cuts(stream INTEGER PRIMARY KEY) STRICT;"

#define KINDS_INDEX "CREATE INDEX events_kinds ON events(hlc, kind) WHERE kind IS NOT NULL;"

/* char(57344) || room: words_room. event_field's 0 and 1: WORDS_SENDER, WORDS_BODY.
 * columnsize=0: no table of lengths, which only ranking by relevance would need.
 * prefix: QUERY_START_CHARS. It makes the file a seventh larger, and without it a common start of a
 * word costs 100 ms and more in a million texts. */
#define SEARCH_TABLES                                                                              \
    "CREATE VIEW texts AS SELECT d.id AS id, char(57344) || e.room AS room,"                       \
    " event_field(e.bytes, 0) AS sender, event_field(e.bytes, 1) AS body"                          \
    " FROM docs d JOIN events e ON e.id = d.event;"                                                \
    "CREATE VIRTUAL TABLE words USING fts5(room, sender, body, content='texts',"                   \
    " content_rowid='id', columnsize=0, prefix='3', tokenize='chat');"

static const char SCHEMA[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE streams(id INTEGER PRIMARY KEY, origin BLOB NOT NULL, epoch INTEGER NOT NULL,"
    " lo INTEGER NOT NULL, hi INTEGER NOT NULL, hash BLOB NOT NULL, indexed INTEGER NOT NULL,"
    " shown INTEGER NOT NULL DEFAULT 0, UNIQUE(origin, epoch)) STRICT;"
    "CREATE TABLE rooms(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;"
    "CREATE TABLE events(id INTEGER PRIMARY KEY, room INTEGER NOT NULL, hlc INTEGER NOT NULL,"
    " signature BLOB, bytes BLOB NOT NULL, kind INTEGER) STRICT;"
    "CREATE INDEX events_shown ON events(room, hlc);" KINDS_INDEX
    "CREATE TABLE docs(id INTEGER PRIMARY KEY, event INTEGER NOT NULL) STRICT;" SEARCH_TABLES
        JOURNAL_TABLES CUTS_TABLE
    /* What is written to find out whether writing works again. */
    "CREATE TABLE probe(count INTEGER NOT NULL) STRICT;"
    "INSERT INTO probe VALUES(0);"
    "PRAGMA application_id = 1667787879;" /* APPLICATION_ID */
    "PRAGMA user_version = 4;"
    "COMMIT;";

/* 3 to 6: kind_is_kept_apart. event_field's 2: WORDS_KIND. The writer fills the search anew, when
 * it has nothing else to do. */
static const char FROM_1[] = "ALTER TABLE events ADD COLUMN kind INTEGER;"
                             "UPDATE events SET kind = event_field(bytes, 2)"
                             " WHERE event_field(bytes, 2) BETWEEN 3 AND 6;"
                             "DROP TABLE words;"
                             "DROP VIEW texts;"
                             "DELETE FROM docs;"
                             "UPDATE streams SET indexed = lo - 1;" KINDS_INDEX SEARCH_TABLES;

/* What is in the log goes into the journal with the open that follows. */
static const char FROM_2[] = "ALTER TABLE streams ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;"
                             "UPDATE streams SET shown = lo - 1;" JOURNAL_TABLES;

/* 7 to 9: of private networks. A node that knew nothing of these has passed them on as well. */
static const char FROM_3[] =
    CUTS_TABLE "UPDATE events SET kind = event_field(bytes, 2)"
               " WHERE kind IS NULL AND event_field(bytes, 2) BETWEEN 7 AND 9;";

/* ---- making and recognising ---- */

/* With which mode the file is made, its -wal and -shm are too. */
static int make_file(const char *file)
{
    FILE *made = fopen(file, "axe"); /* fails where there is one */
    if (made == NULL) {
        return errno == EEXIST ? 0 : errno;
    }
    int error = fchmod(fileno(made), 0600) == 0 ? 0 : errno;
    fclose(made);
    return error;
}

/* ERR_INVALID: corrupt. */
static Err say_failure(Db *db, const char *file, int code, char **ret_error)
{
    if (db_is_corrupt(code)) {
        store_say(ret_error, "%s", sqlite3_errstr(code));
        return ERR_INVALID;
    }
    store_say(ret_error, "cannot open %s: %s", file, db_reason(db, code));
    Err err = db_err(db, code);
    return err == ERR_OK ? ERR_IO : err;
}

static Err recognise(Db *db, const char *file, char **ret_error)
{
    int64_t id = db_number(db, "PRAGMA application_id", -1);
    int64_t version = db_number(db, "PRAGMA user_version", -1);
    if (id != APPLICATION_ID) {
        store_say(ret_error,
                  "%s is an SQLite file of another program, not a chat_node log: move it away, or "
                  "name another directory with --data",
                  file);
        return ERR_EXISTS;
    }
    if (version > SCHEMA_VERSION) {
        store_say(ret_error,
                  "%s was written by a newer chat_node (format %lld; this one knows %d): run that "
                  "version, or name another directory with --data",
                  file, (long long)version, SCHEMA_VERSION);
        return ERR_LIMIT;
    }
    /* Neither is ever made by us: who made this file wants something of who opens it. */
    if (db_number(db,
                  "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"
                  " OR (type = 'view' AND name <> 'texts')",
                  0) != 0) {
        store_say(ret_error, "%s holds triggers or views that chat_node never makes: it is refused",
                  file);
        return ERR_EXISTS;
    }
    return ERR_OK;
}

bool schema_is_old(Db *db)
{
    return db_number(db, "PRAGMA user_version", -1) < SCHEMA_VERSION;
}

bool schema_has_journal(Db *db)
{
    return db_number(db, "PRAGMA user_version", -1) >= JOURNAL_VERSION;
}

int schema_quick_check(Db *db, char **ret_error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->sqlite, "PRAGMA quick_check(1)", -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    const char *answer =
        code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : sqlite3_errstr(code);
    if (code == SQLITE_ROW) {
        code = answer != NULL && strcmp(answer, "ok") == 0 ? SQLITE_OK : SQLITE_CORRUPT;
    }
    if (db_is_corrupt(code)) {
        const char *line = answer != NULL ? strrchr(answer, '\n') : NULL; /* below a heading */
        store_say(ret_error, "%s", line != NULL ? line + 1 : answer != NULL ? answer : "no answer");
    }
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

/* Without it log.db would be rewritten in place, and a reader would keep the writer waiting. */
static int into_wal_mode(Db *db)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db->sqlite, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code == SQLITE_ROW) {
        const char *mode = (const char *)sqlite3_column_text(statement, 0);
        code = mode != NULL && strcmp(mode, "wal") == 0 ? SQLITE_OK : SQLITE_CANTOPEN;
    }
    sqlite3_finalize(statement);
    return code;
}

static Err check_found(Db *db, const char *file, SchemaCheck check, char **ret_error)
{
    int code = check == SCHEMA_CHECK_ALL ? schema_quick_check(db, ret_error) : SQLITE_OK;
    if (code != SQLITE_OK) {
        return db_is_corrupt(code) ? ERR_INVALID : say_failure(db, file, code, ret_error);
    }
    bool good = check == SCHEMA_CHECK_ALL     ? schema_check_chains(db, ret_error)
                : check == SCHEMA_CHECK_HEADS ? schema_check_heads(db, ret_error)
                                              : true;
    return good ? ERR_OK : ERR_INVALID;
}

static int bring_up_to_date(Db *db)
{
    int64_t version = db_number(db, "PRAGMA user_version", -1);
    AUTO_STRBUF StrBuf steps = {0};
    strbuf_addf(&steps, "BEGIN IMMEDIATE; %s %s %s PRAGMA user_version = %d; COMMIT;",
                version < 2 ? FROM_1 : "", version < JOURNAL_VERSION ? FROM_2 : "", FROM_3,
                SCHEMA_VERSION);
    return sqlite3_exec(db->sqlite, strbuf_text(&steps), NULL, NULL, NULL);
}

static Err open_and_check(Db *db, const char *file, SchemaCheck check, char **ret_error)
{
    int code = db_open(db, file, DB_CREATE);
    if (code != SQLITE_OK) {
        return say_failure(db, file, code, ret_error);
    }
    int64_t tables = -1;
    sqlite3_stmt *statement = NULL;
    code =
        sqlite3_prepare_v2(db->sqlite, "SELECT count(*) FROM sqlite_schema", -1, &statement, NULL);
    code = code == SQLITE_OK ? sqlite3_step(statement) : code;
    if (code == SQLITE_ROW) {
        tables = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    if (tables < 0) {
        return say_failure(db, file, code, ret_error);
    }
    /* Before anything is written: a foreign file stays as it is. */
    Err err = tables > 0 ? recognise(db, file, ret_error) : ERR_OK;
    err = err == ERR_OK && tables > 0 ? check_found(db, file, check, ret_error) : err;
    if (err != ERR_OK) {
        return err;
    }
    code = into_wal_mode(db);
    if (code == SQLITE_OK && tables == 0) {
        code = sqlite3_exec(db->sqlite, SCHEMA, NULL, NULL, NULL);
    } else if (code == SQLITE_OK && schema_is_old(db)) {
        code = bring_up_to_date(db);
    }
    return code == SQLITE_OK ? ERR_OK : say_failure(db, file, code, ret_error);
}

Err schema_open(Db *db, const char *file, SchemaCheck check, char **ret_error)
{
    memset(db, 0, sizeof(*db));
    int error = make_file(file);
    if (error != 0) {
        store_say(ret_error, "cannot make %s: %s", file, strerror(error));
        Err err = dir_err(error);
        return err == ERR_NOT_FOUND ? ERR_IO : err;
    }
    Err err = open_and_check(db, file, check, ret_error);
    if (err != ERR_OK) {
        db_close(db);
    }
    return err;
}

Err schema_open_read(Db *db, const char *file, char **ret_error)
{
    memset(db, 0, sizeof(*db));
    if (access(file, F_OK) != 0) {
        store_say(ret_error, "cannot open %s: %s", file, strerror(errno));
        return errno == ENOENT ? ERR_NOT_FOUND : dir_err(errno);
    }
    int code = db_open(db, file, DB_READ);
    if (code == SQLITE_OK) {
        /* Reads the file for the first time, so that what is wrong with it shows here. */
        code = sqlite3_exec(db->sqlite, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
    }
    Err err =
        code == SQLITE_OK ? recognise(db, file, ret_error) : say_failure(db, file, code, ret_error);
    if (err == ERR_INVALID) {
        AUTO_FREE char *what = TAKE(*ret_error);
        store_say(ret_error, "%s is damaged (%s)", file, what);
    }
    if (err != ERR_OK) {
        db_close(db);
    }
    return err;
}

/* ---- chains: their last events, or event by event ---- */

typedef struct Chain {
    int64_t id;
    StreamId stream;
    uint64_t lo;
    uint64_t hi;
    EventHash hash;
} Chain;

static bool chain_of(sqlite3_stmt *row, Chain *chain)
{
    if (sqlite3_column_bytes(row, 1) != EVENT_KEY_BYTES ||
        sqlite3_column_bytes(row, 5) != EVENT_HASH_BYTES) {
        return false;
    }
    chain->id = sqlite3_column_int64(row, 0);
    memcpy(chain->stream.origin, sqlite3_column_blob(row, 1), EVENT_KEY_BYTES);
    chain->stream.epoch = u64_of_sql(sqlite3_column_int64(row, 2));
    chain->lo = (uint64_t)sqlite3_column_int64(row, 3);
    chain->hi = (uint64_t)sqlite3_column_int64(row, 4);
    memcpy(chain->hash.bytes, sqlite3_column_blob(row, 5), EVENT_HASH_BYTES);
    return chain->lo >= 1 && chain->lo <= chain->hi && chain->hi >> STORE_SEQ_BITS == 0;
}

static bool head_is_there(Db *db, const Chain *chain)
{
    sqlite3_stmt *find = db_statement(db, SQL_EVENT);
    if (find == NULL) {
        return false;
    }
    sqlite3_bind_int64(find, 1, event_row(chain->id, chain->hi));
    LogEvent *event = sqlite3_step(find) == SQLITE_ROW ? db_event(find) : NULL;
    bool same = event != NULL && stream_id_compare(&event->fields.stream, &chain->stream) == 0 &&
                memcmp(&event->hash, &chain->hash, sizeof(EventHash)) == 0;
    event_unref(event);
    sqlite3_reset(find);
    return same;
}

bool schema_check_heads(Db *db, char **ret_error)
{
    sqlite3_stmt *heads = db_statement(db, SQL_HEADS);
    int code = heads == NULL ? SQLITE_ERROR : SQLITE_ROW;
    bool good = true;
    while (good && heads != NULL && (code = sqlite3_step(heads)) == SQLITE_ROW) {
        Chain chain;
        good = chain_of(heads, &chain) && head_is_there(db, &chain);
        if (!good) {
            store_say(ret_error, "the last event of stream %lld is not what was stored",
                      (long long)sqlite3_column_int64(heads, 0));
        }
    }
    if (heads != NULL) {
        sqlite3_reset(heads);
    }
    if (good && code != SQLITE_DONE) {
        store_say(ret_error, "its list of streams cannot be read");
    }
    return good && code == SQLITE_DONE;
}

static bool chain_is_whole(Db *db, const Chain *chain, int64_t *events)
{
    sqlite3_stmt *run = db_statement(db, SQL_RUN);
    if (run == NULL) {
        return false;
    }
    sqlite3_bind_int64(run, 1, event_row(chain->id, 0));
    sqlite3_bind_int64(run, 2, event_row(chain->id + 1, 0) - 1);
    uint64_t seq = chain->lo;
    EventHash last = {0};
    bool whole = true;
    while (whole && sqlite3_step(run) == SQLITE_ROW) {
        LogEvent *event = db_event(run);
        whole = event != NULL && event->fields.seq == seq &&
                stream_id_compare(&event->fields.stream, &chain->stream) == 0 &&
                (seq == chain->lo || memcmp(&event->fields.prev_hash, &last, sizeof(last)) == 0);
        if (whole) {
            last = event->hash;
            seq++;
            (*events)++;
        }
        event_unref(event);
    }
    sqlite3_reset(run);
    return whole && seq == chain->hi + 1 && memcmp(&last, &chain->hash, sizeof(last)) == 0;
}

bool schema_check_chains(Db *db, char **ret_error)
{
    int64_t events = 0;
    bool good = true;
    sqlite3_stmt *heads = db_statement(db, SQL_HEADS);
    int code = heads == NULL ? SQLITE_ERROR : SQLITE_ROW;
    while (good && heads != NULL && (code = sqlite3_step(heads)) == SQLITE_ROW) {
        Chain chain;
        good = chain_of(heads, &chain) && chain_is_whole(db, &chain, &events);
        if (!good) {
            store_say(ret_error, "the chain of stream %lld is broken",
                      (long long)sqlite3_column_int64(heads, 0));
        }
    }
    if (heads != NULL) {
        sqlite3_reset(heads);
    }
    if (good &&
        (code != SQLITE_DONE || events != db_number(db, "SELECT count(*) FROM events", -1))) {
        store_say(ret_error, "there are events of no stream");
        good = false;
    }
    return good;
}
