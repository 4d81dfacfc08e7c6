/* What a store goes through before it is open: afterwards there are connections, and all that is
 * known of the log without a further look at it.
 *
 *   to write   who this node is -> log.db: sound? -> readers -> writer
 *                                      | no
 *                                      `-> set aside, a new one -> sound
 *   to read    log.db as it is -> what this process may read -> readers
 *
 * Sound: the tables, the heads, what says who is a member, the journal. How closely it is looked at
 * depends on the marks in the directory, so that a node that was stopped properly starts at once.
 * The words and the journal can be had anew from the events: where only they are damaged, the log
 * stays. */
#include "io/store_impl.h"

#include "base/log.h"

#include <string.h>

static bool load_heads(Store *store, Db *db)
{
    sqlite3_stmt *rows = db_statement(db, SQL_HEADS);
    size_t cap = 0;
    int code = rows == NULL ? SQLITE_ERROR : SQLITE_ROW;
    while (rows != NULL && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(rows, 1) != EVENT_KEY_BYTES ||
            sqlite3_column_bytes(rows, 5) != EVENT_HASH_BYTES) {
            code = SQLITE_CORRUPT;
            break;
        }
        if (store->heads_count == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            store->heads = mem_resize(store->heads, cap, sizeof(*store->heads));
        }
        StoreHead *head = &store->heads[store->heads_count++];
        memcpy(head->stream.origin, sqlite3_column_blob(rows, 1), EVENT_KEY_BYTES);
        head->stream.epoch = u64_of_sql(sqlite3_column_int64(rows, 2));
        head->lo = (uint64_t)sqlite3_column_int64(rows, 3);
        head->hi = (uint64_t)sqlite3_column_int64(rows, 4);
        memcpy(head->hash.bytes, sqlite3_column_blob(rows, 5), EVENT_HASH_BYTES);
    }
    if (rows != NULL) {
        sqlite3_reset(rows);
    }
    return code == SQLITE_DONE;
}

/* The words too may be what was damaged: they can be had anew from the events. */
static bool make_words_anew(Store *store, Db *db, char **ret_error)
{
    uint64_t take = 0;
    Seals *seals = seals_new(store->seed); /* all that can be read, indexed or not */
    for (size_t i = 0; i < store->control_count; i++) {
        (void)seals_take(seals, store->control[i], &take);
    }
    int code = db_use_seals(db, seals);
    if (code == SQLITE_OK) {
        code = sqlite3_exec(db->sqlite, "INSERT INTO words(words) VALUES('rebuild')", NULL, NULL,
                            NULL);
    }
    int back = db_use_seals(db, store->seals);
    code = code == SQLITE_OK ? back : code;
    seals_free(seals);
    if (code != SQLITE_OK) {
        store_say(ret_error, "%s", sqlite3_errstr(code));
    }
    return code == SQLITE_OK;
}

/* The journal too can be had anew, in another order: no cursor means anything then, and those who
 * subscribe begin again. Where it is good it stays. */
static Err load_journal(Store *store, Db *db, SchemaCheck check, char **ret_error)
{
    AUTO_FREE char *what = NULL;
    bool good = check != SCHEMA_CHECK_ALL || journal_check(db, &what);
    int code = good ? journal_load(store, db) : SQLITE_MISMATCH;
    if (code == SQLITE_MISMATCH) {
        log_warning("%s: %s: it is made anew", store->file,
                    what != NULL ? what : "the journal's end is not what was stored");
        code = journal_make_anew(db);
        code = code == SQLITE_OK ? journal_load(store, db) : code;
    }
    if (code == SQLITE_OK) {
        return ERR_OK;
    }
    if (db_is_corrupt(code)) {
        store_say(ret_error, "its journal: %s", sqlite3_errstr(code));
        return ERR_INVALID;
    }
    store_say(ret_error, "cannot open %s: its journal: %s", store->file, db_reason(db, code));
    return db_err(db, code);
}

static Err open_sound(Store *store, Db *db, SchemaCheck check, char **ret_error)
{
    Err err = schema_open(db, store->file, check, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    if (db_use_seals(db, store->seals) != SQLITE_OK || !load_heads(store, db)) {
        store_say(ret_error, "its list of streams cannot be read");
        err = ERR_INVALID;
    } else if (!control_load(store, db)) {
        store_say(ret_error, "what it says of members cannot be read");
        err = ERR_INVALID;
    } else if (check == SCHEMA_CHECK_ALL && !make_words_anew(store, db, ret_error)) {
        err = ERR_INVALID;
    } else {
        err = load_journal(store, db, check, ret_error);
    }
    if (err != ERR_OK) {
        store_heads_drop(store);
        db_close(db);
    }
    return err;
}

/* A corrupt file is set aside, and a new one begun. */
static Err open_log(Store *store, Db *db, char **ret_error)
{
    SchemaCheck check = dir_has(&store->dir, "damaged") ? SCHEMA_CHECK_ALL
                        : dir_has(&store->dir, "clean") ? SCHEMA_CHECK_NONE
                                                        : SCHEMA_CHECK_HEADS;
    dir_unmark(&store->dir, "clean");
    store->unchecked = check == SCHEMA_CHECK_HEADS;
    Err err = open_sound(store, db, check, ret_error);
    if (err != ERR_INVALID) {
        return err;
    }
    store->unchecked = false;
    AUTO_FREE char *what = TAKE(*ret_error);
    AUTO_FREE char *aside = NULL;
    err = dir_set_aside(&store->dir, "corrupt", &aside);
    if (err != ERR_OK) {
        store_say(ret_error, "%s is damaged (%s), and %s", store->file, what, aside);
        return err;
    }
    dir_unmark(&store->dir, "damaged");
    store_say(&store->notice,
              "%s was damaged (%s): it is kept as %s, and the history is fetched again from the "
              "other nodes",
              store->file, what, aside);
    log_error("%s", store->notice);
    err = open_sound(store, db, SCHEMA_CHECK_NONE, ret_error);
    return err == ERR_INVALID ? ERR_IO : err;
}

static Err open_readers(Store *store, ReaderKind first, char **ret_error)
{
    int code = SQLITE_OK;
    for (int i = (int)first; i < READER_COUNT && code == SQLITE_OK; i++) {
        code = db_open(&store->readers[i].db, store->file, DB_READ);
        code = code == SQLITE_OK ? db_use_seals(&store->readers[i].db, store->seals) : code;
    }
    if (code == SQLITE_OK) {
        return ERR_OK;
    }
    store_say(ret_error, "cannot open %s: %s", store->file, sqlite3_errstr(code));
    for (int i = 0; i < READER_COUNT; i++) {
        db_close(&store->readers[i].db);
    }
    return ERR_IO;
}

Err open_for_writing(Store *store, char **ret_error)
{
    Err err = dir_identity(&store->dir, store->seed, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    store->has_seed = true;
    store->seals = seals_new(store->seed);
    Db db;
    err = open_log(store, &db, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    dir_sync(&store->dir);
    dir_unmark(&store->dir, "damaged");
    err = open_readers(store, READER_LOG, ret_error);
    if (err != ERR_OK) {
        db_close(&db);
        return err;
    }
    store->writer = writer_new(store, &db);
    return ERR_OK;
}

/* What the node that writes can read, this process can, if it may read who the node is. */
static void read_seals(Store *store)
{
    uint64_t take = 0;
    store->has_seed = dir_read_identity(&store->dir, store->seed);
    store->seals = seals_new(store->has_seed ? store->seed : NULL);
    for (size_t i = 0; i < store->control_count; i++) {
        (void)seals_take(store->seals, store->control[i], &take);
    }
}

Err open_for_reading(Store *store, char **ret_error)
{
    Db *db = &store->readers[READER_LOG].db;
    Err err = schema_open_read(db, store->file, ret_error);
    if (err == ERR_OK && schema_is_old(db)) {
        store_say(ret_error, "%s was written by an older chat_node: start the node once",
                  store->file);
        err = ERR_LIMIT;
    } else if (err == ERR_OK && !load_heads(store, db)) {
        store_say(ret_error, "%s is damaged: its list of streams cannot be read", store->file);
        err = ERR_IO;
    } else if (err == ERR_OK && !control_load(store, db)) {
        store_say(ret_error, "%s is damaged: what it says of members cannot be read", store->file);
        err = ERR_IO;
    } else if (err == ERR_OK && journal_load(store, db) != SQLITE_OK) {
        store_say(ret_error, "%s is damaged: its journal cannot be read", store->file);
        err = ERR_IO;
    }
    if (err != ERR_OK) {
        db_close(db);
    }
    read_seals(store);
    err = err == ERR_OK ? open_readers(store, READER_LOG + 1, ret_error) : err;
    return err == ERR_INVALID ? ERR_IO : err;
}
