/* PRAGMA quick_check after an unclean stop, while the node runs already: a second for a million
 * events, in which nobody should wait for the node.
 *
 *   store_open: each stream's last event is there, and hashes to what the stream says
 *      |            -- what a torn write would have hit
 *      +--> this thread: every page --> good: the next proper end leaves the mark `clean`
 *                                  \--> corrupt: told, and marked `damaged`: the next open looks at
 *                                       all of it, and sets it aside
 *
 * It is not set aside at once: links and faces hold what they have read of this log, and what is
 * damaged shows, where it is read, as an error of that read alone. */
#include "io/store_impl.h"

#include "base/log.h"

#include <string.h>

struct Check {
    Job job;
    pthread_t thread;
    pthread_mutex_t mutex;
    sqlite3 *running; /* under mutex, as stopped: a connection that may be interrupted, or NULL */
    bool stopped;
    int code;
    char *what; /* is wrong, with a corrupt code */
};

/* ---- the thread ---- */

/* From here until end_check an interrupt takes hold: SQLite forgets one that comes while a
 * connection has no statement under way, so one is kept so. */
static bool begin_check(Check *check, Db *db)
{
    sqlite3_stmt *under_way = db_statement(db, SQL_HEADS);
    pthread_mutex_lock(&check->mutex);
    bool go = !check->stopped && under_way != NULL;
    if (go) {
        (void)sqlite3_step(under_way);
        check->running = db->sqlite;
    }
    pthread_mutex_unlock(&check->mutex);
    return go;
}

static void end_check(Check *check)
{
    pthread_mutex_lock(&check->mutex);
    check->running = NULL;
    pthread_mutex_unlock(&check->mutex);
}

static void *check_main(void *context)
{
    Check *check = context;
    Store *store = check->job.store;
    Db db;
    check->code = db_open(&db, store->file, DB_READ);
    if (check->code == SQLITE_OK) {
        check->code = SQLITE_INTERRUPT;
        if (begin_check(check, &db)) {
            check->code = schema_quick_check(&db, &check->what);
            end_check(check);
        }
    }
    db_close(&db);
    if (db_is_corrupt(check->code)) {
        store_post_damage(store, check->what != NULL ? check->what : sqlite3_errstr(check->code));
    }
    loop_post(store->loop, &check->job.mail);
    return NULL;
}

/* ---- the owner's side ---- */

static void tell(Store *store, const char *what)
{
    store_say(&store->notice,
              "%s is damaged (%s): the next start sets it aside, and fetches the history again "
              "from the other nodes",
              store->file, what);
    if (store->state_changed != NULL) {
        store->state_changed(store->state_context);
    }
}

static void check_deliver(Mail *mail, bool ok)
{
    (void)ok;
    Check *check = (Check *)(void *)mail;
    Store *store = check->job.store;
    pthread_join(check->thread, NULL);
    store->check = NULL;
    store->unchecked = check->code != SQLITE_OK;
    if (db_is_corrupt(check->code)) {
        tell(store, check->what != NULL ? check->what : sqlite3_errstr(check->code));
    } else if (store->unchecked && !check->stopped) {
        log_warning("%s could not be checked: %s", store->file, sqlite3_errstr(check->code));
    }
    mem_free(check->what);
    pthread_mutex_destroy(&check->mutex);
    mem_free(check);
    store_helper_ended(store);
}

void check_start(Store *store)
{
    Check *check = mem_new(Check);
    check->job.store = store;
    check->job.mail.deliver = check_deliver;
    pthread_mutex_init(&check->mutex, NULL);
    store->check = check;
    store->helpers++;
    store_thread_start(&check->thread, check_main, check);
}

void check_stop(Check *check)
{
    pthread_mutex_lock(&check->mutex);
    check->stopped = true;
    if (check->running != NULL) {
        sqlite3_interrupt(check->running);
    }
    pthread_mutex_unlock(&check->mutex);
}
