/* Backup of a running store, and putting one back.
 *
 *   backup:   log.db --sqlite3_backup, one snapshot--> draft --fsync--> FILE
 *   restore:  FILE --check--> draft --fsync--> exchanged with log.db -> log.db.replaced-TIME
 *
 * A backup has a thread of its own: on the reader's, the node's reads would wait for it. */
#include "io/store_impl.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP_PAGES = 256 }; /* 1 MiB between two looks at whether to stop */

struct Backup {
    Job job;
    StoreBackupDone done;
    void *context;
    pthread_t thread;
    atomic_bool stopped;
    char *path;
    char *draft;
    Err err;
    char *text;
};

/* ---- copying ---- */

/* On failure ret_text says which side it was. stopped may be NULL. */
static Err copy_pages(Db *to, const char *to_name, Db *from, const char *from_name,
                      const atomic_bool *stopped, char **ret_text)
{
    sqlite3_backup *copy = sqlite3_backup_init(to->sqlite, "main", from->sqlite, "main");
    int code = copy == NULL ? sqlite3_extended_errcode(to->sqlite) : SQLITE_OK;
    while (code == SQLITE_OK) {
        if (stopped != NULL && atomic_load(stopped)) {
            sqlite3_backup_finish(copy);
            store_say(ret_text, "the node stopped before the copy was whole");
            return ERR_UNAVAILABLE;
        }
        code = sqlite3_backup_step(copy, STEP_PAGES);
    }
    Err err = code == SQLITE_DONE ? ERR_OK : db_err(to, code);
    if (code != SQLITE_DONE) {
        store_say(ret_text, "cannot copy %s to %s: %s", from_name, to_name, db_reason(to, code));
        err = err == ERR_OK ? ERR_IO : err;
    }
    if (copy != NULL) {
        sqlite3_backup_finish(copy);
    }
    return err;
}

/* One file, without a -wal beside it, and on the disk. */
static Err seal_copy(Db *to, const char *name, char **ret_text)
{
    int code = sqlite3_exec(to->sqlite, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        Err err = db_err(to, code);
        store_say(ret_text, "cannot write %s: %s", name, db_reason(to, code));
        return err == ERR_OK ? ERR_IO : err;
    }
    assert(name != NULL);
    int fd = open(name, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        Err err = dir_err(errno);
        store_say(ret_text, "cannot write %s: %s", name, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return err;
    }
    close(fd);
    return ERR_OK;
}

/* A new file beside where the whole one will be, mode 0600; its name ends as mkstemp(3) chooses. */
static Err new_draft(char **ret_draft, const char *path, char **ret_text)
{
    store_say(ret_draft, "%s.XXXXXX", path);
    int fd = mkostemp(*ret_draft, O_CLOEXEC);
    if (fd < 0) {
        Err err = dir_err(errno);
        store_say(ret_text, "cannot make a file beside %s: %s", path, strerror(errno));
        mem_free(TAKE(*ret_draft));
        return err == ERR_NOT_FOUND ? ERR_IO : err;
    }
    close(fd);
    return ERR_OK;
}

static void sync_directory_of(const char *path)
{
    AUTO_FREE char *copy = mem_copy_string(path);
    char *slash = strrchr(copy, '/');
    DataDir dir = {.path = copy};
    if (slash == NULL) {
        dir.path = (char[]){"."};
    } else {
        slash[slash == copy ? 1 : 0] = '\0';
    }
    dir_sync(&dir);
}

/* ---- backup ---- */

static Err back_up(Backup *backup)
{
    Db from;
    Db to;
    Err err = new_draft(&backup->draft, backup->path, &backup->text);
    if (err != ERR_OK) {
        return err;
    }
    int from_code = db_open(&from, backup->job.store->file, DB_READ);
    int to_code = db_open(&to, backup->draft, DB_WRITE);
    /* The snapshot is held from here to the end: the copy is of one moment, and does not begin anew
     * whenever something is written. */
    if (from_code == SQLITE_OK) {
        from_code =
            sqlite3_exec(from.sqlite, "BEGIN; SELECT count(*) FROM streams", NULL, NULL, NULL);
    }
    if (from_code != SQLITE_OK || to_code != SQLITE_OK) {
        store_say(&backup->text, "cannot copy to %s: %s", backup->draft,
                  sqlite3_errstr(to_code != SQLITE_OK ? to_code : from_code));
        err = ERR_IO;
    } else {
        err = copy_pages(&to, backup->draft, &from, backup->job.store->file, &backup->stopped,
                         &backup->text);
    }
    err = err == ERR_OK ? seal_copy(&to, backup->draft, &backup->text) : err;
    db_close(&to);
    db_close(&from);
    if (err == ERR_OK && link(backup->draft, backup->path) != 0) { /* never over another file */
        err = dir_err(errno);
        store_say(&backup->text, "cannot make %s: %s", backup->path, strerror(errno));
    }
    return err;
}

static void *backup_main(void *context)
{
    Backup *backup = context;
    backup->err = back_up(backup);
    if (backup->draft != NULL) {
        unlink(backup->draft);
    }
    sync_directory_of(backup->path);
    loop_post(backup->job.store->loop, &backup->job.mail);
    return NULL;
}

static void backup_free(Backup *backup)
{
    mem_free(backup->path);
    mem_free(backup->draft);
    mem_free(backup->text);
    mem_free(backup);
}

static void backup_deliver(Mail *mail, bool ok)
{
    (void)ok;
    Backup *backup = (Backup *)(void *)mail;
    Store *store = backup->job.store;
    pthread_join(backup->thread, NULL);
    store->backup = NULL;
    backup->done(backup->context, backup->err, backup->text);
    backup_free(backup);
    store_helper_ended(store);
}

void backup_stop(Backup *backup)
{
    atomic_store(&backup->stopped, true);
}

Err store_backup(Store *store, const char *path, StoreBackupDone done, void *context)
{
    if (store->backup != NULL) {
        return ERR_LIMIT;
    }
    Backup *backup = mem_new(Backup);
    backup->job.store = store;
    backup->job.mail.deliver = backup_deliver;
    backup->done = done;
    backup->context = context;
    backup->path = mem_copy_string(path);
    store->backup = backup;
    store->helpers++;
    store_thread_start(&backup->thread, backup_main, backup);
    return ERR_OK;
}

/* ---- restore ---- */

static Err check_backup(const char *path, Db *db, char **ret_text)
{
    Err err = schema_open_read(db, path, ret_text);
    if (err != ERR_OK) {
        return err;
    }
    AUTO_FREE char *what = NULL;
    int64_t tables = db_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'streams'", 0);
    if (tables != 1 || schema_quick_check(db, &what) != SQLITE_OK ||
        !schema_check_chains(db, &what) || !journal_check(db, &what)) {
        store_say(ret_text, "%s is damaged (%s): it is not put back", path,
                  what != NULL ? what : "it has no streams");
        db_close(db);
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* With an old -wal beside it, the new file would be taken for what that belongs to. */
static Err fold_wal(const DataDir *dir, const char *file, char **ret_text)
{
    AUTO_FREE char *wal = dir_file(dir, "log.db-wal");
    if (access(wal, F_OK) != 0) {
        return ERR_OK;
    }
    Db db;
    int code = db_open(&db, file, DB_WRITE);
    if (code == SQLITE_OK) {
        code = sqlite3_wal_checkpoint_v2(db.sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    }
    db_close(&db);
    if (code == SQLITE_OK && access(wal, F_OK) != 0) {
        return ERR_OK;
    }
    AUTO_FREE char *aside = NULL;
    Err err = dir_set_aside(dir, "corrupt", &aside);
    if (err != ERR_OK) {
        store_say(ret_text, "%s", aside);
    }
    return err;
}

/* draft into the place of log.db. Exchanged, not renamed over: what was there is kept, and at every
 * moment one of the two is log.db. */
static Err put_into_place(const DataDir *dir, const char *draft, const char *file, char **ret_text)
{
    Err err = fold_wal(dir, file, ret_text);
    if (err != ERR_OK) {
        return err;
    }
    bool had_one = access(file, F_OK) == 0;
    if (renameat2(AT_FDCWD, draft, AT_FDCWD, file, had_one ? RENAME_EXCHANGE : RENAME_NOREPLACE)) {
        store_say(ret_text, "cannot replace %s: %s", file, strerror(errno));
        return dir_err(errno);
    }
    dir_sync(dir);
    if (!had_one) {
        store_say(ret_text, "restored %s", file);
        return ERR_OK;
    }
    AUTO_FREE char *kept = dir_free_name(dir, "replaced");
    if (rename(draft, kept) != 0) {
        store_say(&kept, "%s", draft);
    }
    dir_sync(dir);
    store_say(ret_text, "restored %s; what it held before is kept as %s", file, kept);
    return ERR_OK;
}

static Err restore(const DataDir *dir, const char *path, char **ret_text)
{
    AUTO_FREE char *file = dir_file(dir, "log.db");
    AUTO_FREE char *draft = NULL;
    Db from;
    Db to;
    Err err = check_backup(path, &from, ret_text);
    if (err != ERR_OK) {
        return err;
    }
    err = new_draft(&draft, file, ret_text);
    if (err == ERR_OK) {
        int code = db_open(&to, draft, DB_WRITE);
        err = code == SQLITE_OK ? copy_pages(&to, draft, &from, path, NULL, ret_text) : ERR_IO;
        err = err == ERR_OK ? seal_copy(&to, draft, ret_text) : err;
        db_close(&to);
    }
    db_close(&from);
    if (err == ERR_OK) {
        dir_unmark(dir, "clean"); /* looked at once more when it is opened */
        dir_unmark(dir, "damaged");
        err = put_into_place(dir, draft, file, ret_text);
    }
    if (err != ERR_OK && draft != NULL) {
        unlink(draft);
    }
    return err;
}

Err store_restore(const char *directory, const char *path, char **ret_text)
{
    DataDir dir;
    char *text = NULL;
    Err err = dir_open(&dir, directory, true, &text);
    err = err == ERR_OK ? restore(&dir, path, &text) : err;
    dir_close(&dir);
    *ret_text = text != NULL ? text : mem_copy_string(err_text(err));
    return err;
}
