/* What the store costs, beside bare SQLite with the same settings on the same disk.
 *
 *   bench_store [EVENTS [DIRECTORY]]      1,000,000 and a new directory under /tmp
 *
 * Times are wall time. */
#include "store_events.h"

#include "io/store_impl.h"

#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    SMALL_SECONDS = 2,
    BATCH = 256,
};

/* ---- the store, waited for ---- */

static Loop *loop;

static Store *open_store(const char *directory)
{
    StoreOptions options = {.directory = directory};
    Store *store = NULL;
    char *error = NULL;
    if (store_open(&options, loop, &store, &error) != ERR_OK) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    return store;
}

static void on_closed(void *context)
{
    *(bool *)context = true;
}

static void close_store(Store *store)
{
    bool closed = false;
    store_close(store, on_closed, &closed);
    while (!closed) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
}

typedef struct Flow {
    Store *store;
    uint64_t waiting;
    uint64_t done;
    bool stop;
    bool no_journal;
    uint64_t position; /* the journal's last, with what waits */
} Flow;

static Err give(Flow *flow, LogEvent *const events[], size_t count, StoreAppendDone done)
{
    StoreBatch batch = {
        .events = events,
        .count = count,
        .flags = flow->no_journal ? 0 : STORE_JOURNAL,
        .position = flow->position + 1,
    };
    Err err = store_append(flow->store, &batch, done, flow);
    flow->position += err == ERR_OK && !flow->no_journal ? count : 0;
    return err;
}

static void one_more(Flow *flow);

static void on_small(void *context, const StoreAppended *result)
{
    Flow *flow = context;
    if (result->err != ERR_OK) {
        fprintf(stderr, "append: %s\n", err_text(result->err));
        exit(1);
    }
    flow->waiting--;
    flow->done++;
    if (!flow->stop) {
        one_more(flow);
    }
}

static void one_more(Flow *flow)
{
    LogEvent *event = some_event(&authors[draw(AUTHORS)]);
    flow->waiting++;
    if (give(flow, &event, 1, on_small) != ERR_OK) {
        exit(1);
    }
    event_unref(event);
}

/* So many writers, each with one event on its way to the disk at a time. */
static void small_batches(const char *directory, unsigned writers, bool journal)
{
    static uint64_t epoch = 1000;
    make_authors(++epoch);
    Flow flow = {.store = open_store(directory), .no_journal = !journal};
    flow.position = store_position(flow.store);
    StoreStats before = store_stats(flow.store);
    double start = now_s();
    for (unsigned i = 0; i < writers; i++) {
        one_more(&flow);
    }
    while (now_s() - start < SMALL_SECONDS) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    double seconds = now_s() - start;
    uint64_t done = flow.done;
    flow.stop = true;
    while (flow.waiting > 0) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    StoreStats stats = store_stats(flow.store);
    printf("  store, %4u writers, one event each%s  %9.0f events/s  (%.1f a commit)\n", writers,
           journal ? " " : "*", (double)done / seconds,
           (double)(stats.events - before.events) / (double)(stats.commits - before.commits));
    close_store(flow.store);
}

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a;
    double right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void on_filled(void *context, const StoreAppended *result);

/* One after the other, with and without a share of the journal in turn, so that whatever else the
 * machine does slows both. */
static void lone_commits(const char *directory)
{
    enum { COMMITS = 4000 };
    static double us[2][COMMITS];
    make_authors(1000);
    Flow flow = {.store = open_store(directory)};
    flow.position = store_position(flow.store);
    for (size_t i = 0; i < (size_t)2 * COMMITS; i++) {
        LogEvent *event = some_event(&authors[i % 2]);
        flow.no_journal = i % 2 == 0;
        flow.waiting++;
        double start = now_s();
        if (give(&flow, &event, 1, on_filled) != ERR_OK) {
            exit(1);
        }
        while (flow.waiting > 0) {
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        }
        us[i % 2][i / 2] = (now_s() - start) * 1e6;
        event_unref(event);
    }
    close_store(flow.store);
    for (size_t i = 0; i < 2; i++) {
        qsort(us[i], COMMITS, sizeof(double), compare_doubles);
    }
    printf("  a lone commit, median                %9.0f us with a share of the journal, "
           "%.0f us without\n",
           us[1][COMMITS / 2], us[0][COMMITS / 2]);
}

/* ---- bare SQLite: bytes by key, nothing else, so many rows a transaction ---- */

static void bare(const char *directory, unsigned rows)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/bare-%u.db", directory, rows);
    sqlite3 *db = NULL;
    if (sqlite3_open(path, &db) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", path, sqlite3_errmsg(db));
        exit(1);
    }
    sqlite3_exec(db,
                 "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                 "CREATE TABLE t(id INTEGER PRIMARY KEY, bytes BLOB)",
                 NULL, NULL, NULL);
    sqlite3_stmt *add = NULL;
    sqlite3_prepare_v2(db, "INSERT INTO t(bytes) VALUES(?1)", -1, &add, NULL);
    char row[330]; /* an event and its signature */
    randombytes_buf(row, sizeof(row));
    uint64_t done = 0;
    double start = now_s();
    while (now_s() - start < SMALL_SECONDS) {
        sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);
        for (unsigned i = 0; i < rows; i++) {
            sqlite3_bind_blob(add, 1, row, sizeof(row), SQLITE_STATIC);
            sqlite3_step(add);
            sqlite3_reset(add);
            done++;
        }
        sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    printf("  bare SQLite, %4u rows a transaction  %9.0f rows/s\n", rows,
           (double)done / (now_s() - start));
    sqlite3_finalize(add);
    sqlite3_close(db);
    unlink(path);
}

/* ---- a large log ---- */

static void on_filled(void *context, const StoreAppended *result)
{
    Flow *flow = context;
    if (result->err != ERR_OK) {
        fprintf(stderr, "append: %s\n", err_text(result->err));
        exit(1);
    }
    flow->waiting--;
}

static void fill(const char *directory, uint64_t count)
{
    make_authors(1);
    hlc_step = (UINT64_C(365 * 86400) * 1000 << HLC_COUNTER_BITS) / count;
    Flow flow = {.store = open_store(directory)};
    flow.position = store_position(flow.store);
    LogEvent *events[BATCH];
    double start = now_s();
    double making = 0;
    for (uint64_t i = 0; i < count;) {
        double begin = now_s();
        size_t size = 0;
        for (; size < BATCH && i < count; i++) {
            events[size++] = some_event(&authors[draw(AUTHORS)]);
        }
        making += now_s() - begin;
        while (give(&flow, events, size, on_filled) != ERR_OK) {
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        }
        flow.waiting++;
        for (size_t j = 0; j < size; j++) {
            event_unref(events[j]);
        }
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    }
    while (flow.waiting > 0) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    double seconds = now_s() - start;
    close_store(flow.store);
    char path[300];
    struct stat status = {0};
    snprintf(path, sizeof(path), "%s/log.db", directory);
    stat(path, &status);
    printf("  %" PRIu64 " events in batches of %d  %9.0f events/s  (making them: %.1f of %.1f s)\n",
           count, BATCH, (double)count / seconds, making, seconds);
    printf("  log.db                              %9.0f bytes an event\n",
           (double)status.st_size / (double)count);
}

typedef struct Waited {
    bool done;
    bool more;
    size_t count;
    uint64_t seq;
    uint64_t unsearched;
} Waited;

static void on_hits(void *context, const StoreHits *result)
{
    Waited *waited = context;
    waited->count = result->count;
    waited->unsearched = result->unsearched;
    waited->done = true;
    if (result->err != ERR_OK) {
        fprintf(stderr, "search: %s\n", err_text(result->err));
    }
}

static void on_events(void *context, const StoreEvents *result)
{
    Waited *waited = context;
    waited->count += result->count;
    waited->more = result->more;
    waited->done = true;
    if (result->count > 0) {
        waited->seq = result->events[result->count - 1]->fields.seq;
    }
    if (result->err != ERR_OK) {
        fprintf(stderr, "read: %s\n", err_text(result->err));
    }
}

static void wait_for(Waited *waited)
{
    while (!waited->done) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
}

static void search(Store *store, const char *what, const char *words, const char *room)
{
    StoreSearch asked = {.words = words, .room = room, .max_hits = 20};
    double ms[2];
    Waited waited = {0};
    for (int i = 0; i < 2; i++) {
        double start = now_s();
        waited = (Waited){0};
        if (store_search(store, &asked, on_hits, &waited) != ERR_OK) {
            exit(1);
        }
        wait_for(&waited);
        ms[i] = (now_s() - start) * 1e3;
    }
    printf("  search: %-28s%9.1f ms, again %.1f ms (%zu hits)\n", what, ms[0], ms[1], waited.count);
}

/* Until all that was stored is in the search too. */
static void wait_for_index(Store *store)
{
    StoreSearch asked = {.words = "nothing"};
    Waited waited = {.unsearched = 1};
    double start = now_s();
    uint64_t missing = 0;
    while (waited.unsearched > 0) {
        waited = (Waited){0};
        usleep(20000);
        if (store_search(store, &asked, on_hits, &waited) != ERR_OK) {
            exit(1);
        }
        wait_for(&waited);
        missing = waited.unsearched > missing ? waited.unsearched : missing;
    }
    printf("  indexing what was behind, %7" PRIu64 "   %9.0f events/s\n", missing,
           (double)missing / (now_s() - start));
}

static void read_all(Store *store)
{
    StoreExport *export = store_export_new(store);
    Waited waited = {.more = true};
    double start = now_s();
    while (waited.more) {
        waited.done = false;
        if (store_export_next(export, 0, on_events, &waited) != ERR_OK) {
            exit(1);
        }
        wait_for(&waited);
    }
    printf("  export of all                       %9.0f events/s\n",
           (double)waited.count / (now_s() - start));
    store_export_free(export);
}

static void on_journal(void *context, const StoreJournal *result)
{
    Waited *waited = context;
    waited->count += result->count;
    waited->more = result->count > 0;
    waited->seq = result->next;
    waited->done = true;
    if (result->err != ERR_OK) {
        fprintf(stderr, "journal: %s\n", err_text(result->err));
    }
}

static void read_journal(Store *store)
{
    Waited waited = {.more = true, .seq = 1};
    double start = now_s();
    while (waited.more) {
        waited.done = false;
        if (store_read_journal(store, waited.seq, 0, 0, on_journal, &waited) != ERR_OK) {
            exit(1);
        }
        wait_for(&waited);
    }
    printf("  the journal, all of it              %9.0f events/s\n",
           (double)waited.count / (now_s() - start));
}

static void read_one_stream(Store *store)
{
    Waited waited = {.more = true};
    double start = now_s();
    while (waited.more) {
        waited.done = false;
        StoreRun run = {.stream = authors[0].stream,
                        .from = waited.seq + 1,
                        .max_bytes = EVENT_GROUP_MAX_BYTES,
                        .whole_groups = true};
        if (store_read_run(store, &run, on_events, &waited) != ERR_OK) {
            exit(1);
        }
        wait_for(&waited);
    }
    printf("  runs of 64 KiB of one stream        %9.0f events/s\n",
           (double)waited.count / (now_s() - start));
}

static void read_page(Store *store)
{
    Waited waited = {0};
    double start = now_s();
    StorePage page = {.room = "lobby", .room_len = 5, .max_events = 50};
    if (store_read_page(store, &page, on_events, &waited) != ERR_OK) {
        exit(1);
    }
    wait_for(&waited);
    printf("  last 50 of a room                   %9.2f ms\n", (now_s() - start) * 1e3);
}

static void read_kinds(Store *store)
{
    Waited waited = {0};
    double start = now_s();
    const int kinds[] = {LOG_JOIN, LOG_PART};
    StoreKinds asked = {.kinds = kinds, .kinds_count = 2};
    if (store_read_kinds(store, &asked, on_events, &waited) != ERR_OK) {
        exit(1);
    }
    wait_for(&waited);
    printf("  last %4zu joins and parts of all     %9.2f ms\n", waited.count,
           (now_s() - start) * 1e3);
}

static void on_rooms(void *context, const StoreRooms *result)
{
    Waited *waited = context;
    waited->count = result->count;
    waited->done = true;
}

static void read_rooms(Store *store)
{
    Waited waited = {0};
    double start = now_s();
    if (store_read_rooms(store, on_rooms, &waited) != ERR_OK) {
        exit(1);
    }
    wait_for(&waited);
    printf("  list of %zu rooms                     %9.2f ms\n", waited.count,
           (now_s() - start) * 1e3);
}

static void on_backup(void *context, Err err, const char *text)
{
    *(bool *)context = true;
    if (err != ERR_OK) {
        fprintf(stderr, "%s\n", text);
    }
}

static void back_up(Store *store, const char *directory)
{
    char path[300];
    bool done = false;
    snprintf(path, sizeof(path), "%s/backup", directory);
    double start = now_s();
    if (store_backup(store, path, on_backup, &done) != ERR_OK) {
        exit(1);
    }
    while (!done) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    printf("  backup                              %9.2f s\n", now_s() - start);
    start = now_s();
    char restored[310];
    char *text = NULL;
    snprintf(restored, sizeof(restored), "%s/restored", directory);
    if (store_restore(restored, path, &text) != ERR_OK) {
        fprintf(stderr, "%s\n", text);
    }
    mem_free(text);
    printf("  restore, all checked                %9.2f s\n", now_s() - start);
    unlink(path);
}

/* The most it ever was. */
static long peak_kib(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* ---- kill -9 ---- */

/* What the child does until it is killed. */
static int append_for_ever(const char *directory)
{
    make_authors(2);
    Flow flow = {.store = open_store(directory)};
    flow.position = store_position(flow.store);
    for (unsigned i = 0; i < 64; i++) {
        one_more(&flow);
    }
    loop_run(loop);
    return 1;
}

static void open_after_kill(const char *directory)
{
    pid_t child = fork();
    if (child == 0) {
        execl("/proc/self/exe", "bench_store", "--append-for-ever", directory, (char *)NULL);
        _exit(1);
    }
    sleep(SMALL_SECONDS);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    char wal[300];
    struct stat status = {0};
    snprintf(wal, sizeof(wal), "%s/log.db-wal", directory);
    stat(wal, &status);
    double start = now_s();
    Store *store = open_store(directory);
    printf("  open after kill -9                  %9.2f ms  (-wal of %.1f MB)\n",
           (now_s() - start) * 1e3, (double)status.st_size / 1e6);
    while (store->check != NULL) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    printf("    and all of it checked after       %9.2f ms  (%s)\n", (now_s() - start) * 1e3,
           store->unchecked ? "not good" : "good");
    close_store(store);
}

static void large(const char *directory, uint64_t count)
{
    fill(directory, count);
    double start = now_s();
    Store *store = open_store(directory);
    printf("  open                                %9.2f ms\n", (now_s() - start) * 1e3);
    wait_for_index(store);
    char common[16];
    char rare[16];
    snprintf(common, sizeof(common), "w%x", 1 * 2654435761U >> 8);
    snprintf(rare, sizeof(rare), "w%x", 15000 * 2654435761U >> 8);
    char both[40];
    snprintf(both, sizeof(both), "%s %s", common, rare);
    char phrase[40];
    snprintf(phrase, sizeof(phrase), "\"%s %s\"", common, common);
    search(store, "the commonest word", common, NULL);
    search(store, "a rare word", rare, NULL);
    search(store, "both", both, NULL);
    search(store, "a phrase of common words", phrase, NULL);
    search(store, "the commonest, in its room", common, "lobby");
    search(store, "a word that is not there", "nowhere", NULL);
    search(store, "the room's name", "lobby", NULL);
    search(store, "wf0*", "wf0*", NULL);
    search(store, "w9e* (the commonest's start)", "w9e*", NULL);
    search(store, "w9e37* (and longer)", "w9e37*", NULL);
    search(store, "author* (in every name)", "author*", NULL);
    search(store, "wf0* and the commonest", "wf0* w9e3779", NULL);
    read_page(store);
    read_kinds(store);
    read_rooms(store);
    read_one_stream(store);
    read_all(store);
    read_journal(store);
    back_up(store, directory);
    close_store(store);
    open_after_kill(directory);
}

/* ---- many streams ---- */

static void many_streams(const char *directory, uint64_t count)
{
    Flow flow = {.store = open_store(directory)};
    flow.position = store_position(flow.store);
    for (uint64_t i = 0; i < count; i++) {
        Author *author = &authors[0];
        author->stream.epoch = i + 1;
        author->seq = 0;
        author->last = (EventHash){0};
        LogEvent *event = some_event(author);
        flow.waiting++;
        if (give(&flow, &event, 1, on_filled) != ERR_OK) {
            exit(1);
        }
        event_unref(event);
        uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    }
    while (flow.waiting > 0) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    close_store(flow.store);
    double start = now_s();
    Store *store = open_store(directory);
    double ms = (now_s() - start) * 1e3;
    size_t heads = 0;
    store_heads(store, &heads);
    printf("  open with %zu streams            %9.2f ms\n", heads, ms);
    close_store(store);
}

int main(int argc, char **argv)
{
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    char base[200] = "/tmp/chat-bench-XXXXXX";
    if (argc > 2) {
        snprintf(base, sizeof(base), "%s", argv[2]);
        mkdir(base, 0700);
    } else if (mkdtemp(base) == NULL) {
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (sodium_init() < 0) {
        return 1;
    }
    loop = loop_new();
    if (argc > 2 && strcmp(argv[1], "--append-for-ever") == 0) {
        return append_for_ever(argv[2]);
    }
    char directory[260];
    printf("in %s\ndurable events, many small batches\n", base);
    bare(base, 1);
    bare(base, 8); /* as many as the store puts into a transaction by itself, below */
    bare(base, 128);
    bare(base, 512);
    snprintf(directory, sizeof(directory), "%s/lone", base);
    lone_commits(directory);
    unsigned writers[] = {1, 16, 256, 1024};
    for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
        snprintf(directory, sizeof(directory), "%s/small", base);
        small_batches(directory, writers[i], true);
        small_batches(directory, writers[i], false);
    }
    printf("  (*: without a share of the journal)\n");
    printf("a large log\n");
    snprintf(directory, sizeof(directory), "%s/large", base);
    large(directory, count);
    printf("many streams\n");
    snprintf(directory, sizeof(directory), "%s/streams", base);
    many_streams(directory, 10000);
    printf("peak memory of all this               %9ld KiB\n(%s is left there: remove it)\n",
           peak_kib(), base);
    return 0;
}
