/* Connections to log.db: settings, statements, and what their errors mean. */
#include "io/store_impl.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

enum {
    BUSY_MS = 2000, /* only a `sqlite3` shell or a backup that ends can make us wait */
    KIB = 1024,
};

static const char *const SQL_TEXTS[] = {
#define SQL_TEXT_ROW(name, text) text,
    STORE_SQL_TABLE(SQL_TEXT_ROW)
#undef SQL_TEXT_ROW
};

/* ---- connections ---- */

/* trusted_schema and DBCONFIG_DEFENSIVE: a restored file may have been made by anyone. mmap stays
 * off: an error of the disk would be a signal, not a code. */
static const char SETTINGS[] =
    "PRAGMA trusted_schema = OFF;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA wal_autocheckpoint = 0;" /* the writer does it, after answering */
    "PRAGMA journal_size_limit = 67108864;"
    "PRAGMA cache_size = -8192;" /* KiB */
    "PRAGMA temp_store = MEMORY;";

/* Before the library is used for the first time. What it counts of its memory nobody reads here,
 * and counting takes a mutex for each piece. */
static void settle_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int db_open(Db *db, const char *path, DbMode mode)
{
    static pthread_once_t settled = PTHREAD_ONCE_INIT;
    pthread_once(&settled, settle_library);
    memset(db, 0, sizeof(*db));
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                SQLITE_OPEN_EXRESCODE | (mode == DB_CREATE ? SQLITE_OPEN_CREATE : 0);
    int code = sqlite3_open_v2(path, &db->sqlite, flags, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(db->sqlite, BUSY_MS);
        sqlite3_db_config(db->sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        code = sqlite3_exec(db->sqlite, SETTINGS, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK && mode == DB_READ) {
        code = sqlite3_exec(db->sqlite, "PRAGMA query_only = ON", NULL, NULL, NULL);
    }
    if (code == SQLITE_OK) {
        code = db_learn_words(db->sqlite);
    }
    return code;
}

void db_close(Db *db)
{
    for (size_t i = 0; i < SQL_COUNT; i++) {
        sqlite3_finalize(TAKE(db->statements[i]));
    }
    sqlite3_close(TAKE(db->sqlite));
}

/* ---- statements ---- */

sqlite3_stmt *db_statement(Db *db, StoreSql sql)
{
    sqlite3_stmt **statement = &db->statements[sql];
    if (*statement != NULL) {
        sqlite3_reset(*statement);
        sqlite3_clear_bindings(*statement);
    } else if (sqlite3_prepare_v3(db->sqlite, SQL_TEXTS[sql], -1, SQLITE_PREPARE_PERSISTENT,
                                  statement, NULL) != SQLITE_OK) {
        return NULL;
    }
    return *statement;
}

int db_finish(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    sqlite3_reset(statement);
    return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : code;
}

int db_run(Db *db, StoreSql sql)
{
    sqlite3_stmt *statement = db_statement(db, sql);
    return statement == NULL ? sqlite3_extended_errcode(db->sqlite) : db_finish(statement);
}

int64_t db_number(Db *db, const char *sql, int64_t fallback)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->sqlite, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW) {
        fallback = sqlite3_column_int64(statement, 0);
    }
    sqlite3_finalize(statement);
    return fallback;
}

/* ---- errors ---- */

bool db_is_corrupt(int code)
{
    return (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
}

/* errno of what has failed. A failed COMMIT leaves none in the connection, but the -wal's file has
 * it. */
static int db_errno(Db *db)
{
    int error = sqlite3_system_errno(db->sqlite);
    sqlite3_file *wal = NULL;
    if (error == 0 &&
        sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_JOURNAL_POINTER, &wal) == SQLITE_OK &&
        wal != NULL && wal->pMethods != NULL) {
        wal->pMethods->xFileControl(wal, SQLITE_FCNTL_LAST_ERRNO, &error);
    }
    return error;
}

/* SQLite knows ENOSPC, from writing alone; a quota, RLIMIT_FSIZE and a file system that turned
 * read-only come as errors of input and output. */
Err db_err(Db *db, int code)
{
    int error = db_errno(db);
    switch (code & 0xff) {
    case SQLITE_OK:
        return ERR_OK;
    case SQLITE_FULL:
        return ERR_UNAVAILABLE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        return error != 0 ? dir_err(error) : ERR_IO;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

const char *db_reason(Db *db, int code)
{
    int error = db_errno(db);
    int primary = code & 0xff;
    if (primary == SQLITE_FULL || (primary == SQLITE_IOERR && error == ENOSPC)) {
        return "the disk is full";
    }
    bool has_errno = (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && error != 0;
    return has_errno ? strerrordesc_np(error) : sqlite3_errstr(code);
}

/* ---- rows ---- */

LogEvent *db_event(sqlite3_stmt *row)
{
    int64_t id = sqlite3_column_int64(row, 0);
    int signature_len = sqlite3_column_bytes(row, 1);
    const uint8_t *signature = sqlite3_column_blob(row, 1);
    const void *data = sqlite3_column_blob(row, 2);
    int len = sqlite3_column_bytes(row, 2);
    if (data == NULL || len > EVENT_MAX_BYTES ||
        (signature != NULL && signature_len != EVENT_SIGNATURE_BYTES)) {
        return NULL;
    }
    Bytes *bytes = bytes_new(data, (size_t)len);
    LogEvent *event = NULL;
    const char *reason = NULL;
    Err err = event_decode(bytes, signature, &event, &reason);
    bytes_unref(bytes);
    if (err != ERR_OK) {
        return NULL;
    }
    if (event->fields.seq != ((uint64_t)id & ((UINT64_C(1) << STORE_SEQ_BITS) - 1))) {
        event_unref(event);
        return NULL;
    }
    return event;
}
