/* The writer thread: takes every batch that waits, writes them in one transaction, answers each.
 *
 *   batch batch batch -> BEGIN | check and insert, event by event; its share of the journal
 *                                  a refused batch takes its rows back (store_batch.c)
 *                              | heads | COMMIT -> answers
 *                                              \\ failed: all as before
 *
 * While one transaction is on its way to the disk the next batches gather: so the more there is to
 * do, the more share a commit, and one alone waits for nobody. The heads of all streams are kept in
 * memory (some 200 bytes each): what comes is checked against them, and only what is here already
 * needs a look at the disk. */
#include "io/store_writer.h"

#include "base/log.h"

#include <string.h>
#include <time.h>

enum {
    COMMIT_MAX_BYTES = 1024 * 1024, /* a transaction's worth: beyond, joining saves nothing more */
    WAL_IDLE_MS = 20,
    PROBE_MS = 1000,
    /* How long nothing comes before the index is written. A few lines may gather; where many wait,
     * the gaps of a steady load of 1,000 a second still let it keep up. But not those of a burst:
     * it costs more than the events themselves, and they are what somebody waits for. */
    INDEX_IDLE_MS = 100,
    INDEX_IDLE_MANY_MS = 5,
    BURST_MS = 250,
    BURST_EVENTS = 1000, /* in that time */
    /* What a search waits for: some 30 ms. Where more is missing, after much came at once, it finds
     * what is indexed so far, and says how much is not. */
    INDEX_SEARCH_EVENTS = 2 * INDEX_EVENTS,
    INDEX_SEARCH_STEP = INDEX_EVENTS / 4,
    /* Beyond, appending slows down to what the index takes: it must not fall behind for ever. */
    INDEX_BACKLOG_MAX = 500 * 1000,
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
};
/* ---- heads ---- */

Head *writer_head(Writer *writer, const StreamId *stream)
{
    Head *head = NULL;
    HASH_FIND(hh, writer->heads, stream, sizeof(*stream), head);
    return head;
}

/* ---- one transaction ---- */

static int write_head(Writer *writer, Head *head)
{
    if (head->touched) {
        return SQLITE_OK;
    }
    head->touched = true;
    sqlite3_stmt *put = db_statement(&writer->db, SQL_HEAD_PUT);
    if (put == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(put, 1, head->id);
    sqlite3_bind_blob(put, 2, head->stream.origin, EVENT_KEY_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(put, 3, sql_of_u64(head->stream.epoch));
    sqlite3_bind_int64(put, 4, (int64_t)head->lo);
    sqlite3_bind_int64(put, 5, (int64_t)head->hi);
    sqlite3_bind_blob(put, 6, head->hash.bytes, EVENT_HASH_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(put, 7, (int64_t)head->shown);
    return db_finish(put);
}

static int write_heads(Writer *writer)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < writer->undo_count && code == SQLITE_OK; i++) {
        code = write_head(writer, writer->undo[i].head);
    }
    for (size_t i = 0; i < writer->shown_count && code == SQLITE_OK; i++) {
        code = write_head(writer, writer->shown_undo[i].head);
    }
    for (size_t i = 0; i < writer->undo_count; i++) {
        writer->undo[i].head->touched = false;
    }
    for (size_t i = 0; i < writer->shown_count; i++) {
        writer->shown_undo[i].head->touched = false;
    }
    return code;
}

static int write_batches(Writer *writer, Job *first)
{
    int code = SQLITE_OK;
    for (Job *job = first; job != NULL && code == SQLITE_OK; job = job->next) {
        code = batch_write(writer, (Batch *)job);
    }
    return code;
}

static int write_probe(Writer *writer, Job *none)
{
    (void)none;
    return db_run(&writer->db, SQL_PROBE);
}

/* In a transaction; write may be NULL. On failure writer_roll_back is the caller's, once it has
 * asked the connection what was wrong. */
static int transact(Writer *writer, int (*write)(Writer *, Job *), Job *first)
{
    int code = db_run(&writer->db, SQL_BEGIN);
    if (code == SQLITE_OK && writer->life_waits) {
        code = share_begin_life(writer);
    }
    if (code == SQLITE_OK && write != NULL) {
        code = write(writer, first);
    }
    code = code == SQLITE_OK ? share_end(writer) : code;
    code = code == SQLITE_OK ? write_heads(writer) : code;
    code = code == SQLITE_OK ? db_run(&writer->db, SQL_COMMIT) : code;
    if (code != SQLITE_OK) {
        return code;
    }
    for (size_t i = 0; i < writer->undo_count; i++) {
        index_note(writer, writer->undo[i].head, 1);
    }
    writer->undo_count = 0;
    share_settle(writer);
    return SQLITE_OK;
}

void writer_set_degraded(Writer *writer, int code)
{
    if (code == SQLITE_OK) {
        if (writer->degraded) {
            writer->degraded = false;
            log_info("%s: writing works again", writer->store->file);
            store_post_state(writer->store, NULL);
        }
        return;
    }
    char *text = NULL;
    store_say(&text, "cannot write %s: %s", writer->store->file, db_reason(&writer->db, code));
    if (!writer->degraded) {
        log_error("%s (SQLite error %d)", text, code);
    }
    writer->degraded = true;
    if (db_is_corrupt(code)) {
        store_post_damage(writer->store, text);
    }
    store_post_state(writer->store, text);
}

/* Where there is nothing to roll back, nothing is. */
void writer_roll_back(Writer *writer)
{
    if (!sqlite3_get_autocommit(writer->db.sqlite)) {
        (void)db_run(&writer->db, SQL_ROLLBACK);
    }
    share_take_back(writer); /* before the heads that it speaks of are gone */
    batch_take_back(writer, 0);
}

/* In whole spans of BURST_MS: how many the last one had is known a span long. */
static void count_burst(Writer *writer, const Job *first)
{
    uint64_t now_ms = loop_mono_ms();
    if (now_ms >= writer->burst_at_ms + BURST_MS) {
        writer->burst_events = writer->span_events;
        writer->span_events = 0;
        writer->burst_at_ms = now_ms;
    }
    for (const Job *job = first; job != NULL; job = job->next) {
        writer->span_events += ((const Batch *)job)->count;
    }
}

/* What a life begins with speaks of streams as they are, and is written before one is cut. */
static int commit_cut(Writer *writer, Job *job)
{
    int code = writer->life_waits ? transact(writer, NULL, NULL) : SQLITE_OK;
    code = code == SQLITE_OK ? transact(writer, cut_write, job) : code;
    if (code == SQLITE_OK) {
        cut_settle(writer, (Batch *)job);
    }
    return code;
}

static void commit(Writer *writer, Job *first)
{
    bool is_cut = ((const Batch *)first)->is_cut;
    int code = is_cut ? commit_cut(writer, first) : transact(writer, write_batches, first);
    Err err = db_err(&writer->db, code); /* before a rollback makes the connection forget */
    writer_set_degraded(writer, code);
    if (code == SQLITE_OK) {
        writer->commits++;
        count_burst(writer, first);
    } else {
        writer_roll_back(writer);
        writer->room_len = 0; /* it may have been new */
    }
    for (Job *job = first, *next = NULL; job != NULL; job = next) {
        Batch *batch = (Batch *)job;
        next = job->next;
        if (code != SQLITE_OK) {
            batch->result = (StoreAppended){.err = err};
        }
        batch->commits = writer->commits;
        loop_post(writer->store->loop, &job->mail); /* from here on the owner's */
    }
}

/* ---- between transactions ---- */

static void probe(Writer *writer)
{
    int code = transact(writer, write_probe, NULL);
    writer_set_degraded(writer, code);
    if (code != SQLITE_OK) {
        writer_roll_back(writer);
    }
}

static void index_idle(Writer *writer)
{
    index_some(writer, INDEX_EVENTS);
}

static struct timespec in_ms(int64_t ms)
{
    struct timespec when;
    clock_gettime(CLOCK_MONOTONIC, &when);
    int64_t ns = when.tv_nsec + ms * NS_PER_MS;
    when.tv_sec += ns / NS_PER_S;
    when.tv_nsec = ns % NS_PER_S;
    return when;
}

/* Under the queue's mutex: do those that wait have a reason not to wait any longer? */
static bool is_urgent(const JobQueue *queue)
{
    size_t events = 0;
    for (const Job *job = queue->first; job != NULL; job = job->next) {
        const Batch *batch = (const Batch *)job;
        if (job->run != NULL) {
            return true;
        }
        events += batch->count;
        if ((batch->flags & STORE_LAZY) == 0 || events >= STORE_LAZY_EVENTS) {
            return true;
        }
    }
    return queue->closing;
}

/* Neither a search, nor what has a transaction of its own. */
static bool may_join(const Job *job)
{
    return job != NULL && job->run == NULL && !((const Batch *)job)->is_cut;
}

static Job *take_batches(JobQueue *queue)
{
    Job *first = queue_pop(queue);
    size_t bytes = ((Batch *)first)->bytes;
    Job *last = first;
    while (!((Batch *)first)->is_cut && may_join(queue->first) &&
           bytes + ((Batch *)queue->first)->bytes <= COMMIT_MAX_BYTES) {
        last->next = queue_pop(queue);
        last = last->next;
        bytes += ((Batch *)last)->bytes;
    }
    return first;
}

/* A search comes through here, so that it finds what was appended before it. Where that is much, it
 * brings it on by a little: who searches without a pause would otherwise never leave the gap in
 * which it is done. */
static void index_for_search(Writer *writer, Job *job)
{
    bool little = writer->backlog <= INDEX_SEARCH_EVENTS;
    index_some(writer, little ? INDEX_SEARCH_EVENTS : INDEX_SEARCH_STEP);
    job->backlog = writer->backlog;
    if (!queue_offer(&writer->store->readers[READER_SEARCH].queue, job)) { /* closing */
        loop_post(writer->store->loop, &job->mail);
    }
}

static void take_next(Writer *writer)
{
    JobQueue *queue = &writer->queue;
    writer->idle = false;
    if (queue->first->run != NULL) {
        Job *job = queue_pop(queue);
        pthread_mutex_unlock(&queue->mutex);
        index_for_search(writer, job);
    } else {
        Job *first = take_batches(queue);
        pthread_mutex_unlock(&queue->mutex);
        commit(writer, first);
        if (writer->backlog > INDEX_BACKLOG_MAX) {
            index_some(writer, 2 * INDEX_EVENTS);
        }
    }
    pthread_mutex_lock(&queue->mutex);
}

/* Nothing came for so long. */
static bool stays_idle(JobQueue *queue, int64_t ms)
{
    struct timespec deadline = in_ms(ms);
    return pthread_cond_timedwait(&queue->wake, &queue->mutex, &deadline) != 0 &&
           queue->first == NULL && !queue->closing;
}

static bool is_burst(const Writer *writer)
{
    return writer->burst_events >= BURST_EVENTS &&
           loop_mono_ms() < writer->burst_at_ms + 2 * BURST_MS;
}

/* Under the queue's mutex, which is let go of while anything is written. */
static void work(Writer *writer)
{
    JobQueue *queue = &writer->queue;
    void (*chore)(Writer *) = NULL;
    if (queue->first != NULL && writer->wal_pages < CHECKPOINT_MUST_PAGES) {
        struct timespec deadline = in_ms(STORE_LAZY_MS);
        while (!is_urgent(queue) &&
               pthread_cond_timedwait(&queue->wake, &queue->mutex, &deadline) == 0) {
        }
        take_next(writer);
    } else if (writer->wal_pages >= CHECKPOINT_PAGES) {
        chore = wal_checkpoint;
    } else if (writer->degraded) {
        chore = stays_idle(queue, PROBE_MS) ? probe : NULL;
    } else if (writer->commits > 0 && !writer->wal_is_long) {
        chore = stays_idle(queue, WAL_IDLE_MS) ? wal_lengthen : NULL;
    } else if (writer->behind != NULL && !writer->index_broken) {
        bool many = writer->backlog >= INDEX_EVENTS && !is_burst(writer);
        writer->idle = writer->idle || stays_idle(queue, many ? INDEX_IDLE_MANY_MS : INDEX_IDLE_MS);
        chore = writer->idle ? index_idle : NULL;
    } else {
        pthread_cond_wait(&queue->wake, &queue->mutex);
    }
    if (chore != NULL) {
        pthread_mutex_unlock(&queue->mutex);
        chore(writer);
        pthread_mutex_lock(&queue->mutex);
    }
}

static void *writer_main(void *context)
{
    Writer *writer = context;
    JobQueue *queue = &writer->queue;
    pthread_mutex_lock(&queue->mutex);
    while (!queue->closing || queue->first != NULL) {
        work(writer);
    }
    pthread_mutex_unlock(&queue->mutex);
    db_close(&writer->db);
    loop_post(writer->store->loop, &writer->store->writer_end);
    return NULL;
}

/* ---- the owner's side ---- */

/* On the owner thread, before the writer's begins. The store's heads were read from the same table,
 * so that a failure to read them has shown before. */
static void load_heads(Writer *writer)
{
    sqlite3_stmt *rows = db_statement(&writer->db, SQL_HEADS_ALL);
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        Head *head = mem_new(Head);
        head->id = sqlite3_column_int64(rows, 0);
        memcpy(head->stream.origin, sqlite3_column_blob(rows, 1), EVENT_KEY_BYTES);
        head->stream.epoch = u64_of_sql(sqlite3_column_int64(rows, 2));
        head->lo = (uint64_t)sqlite3_column_int64(rows, 3);
        head->hi = (uint64_t)sqlite3_column_int64(rows, 4);
        memcpy(head->hash.bytes, sqlite3_column_blob(rows, 5), EVENT_HASH_BYTES);
        head->indexed = (uint64_t)sqlite3_column_int64(rows, 6);
        head->shown = (uint64_t)sqlite3_column_int64(rows, 7);
        HASH_ADD(hh, writer->heads, stream, sizeof(head->stream), head);
        index_note(writer, head, head->hi - head->indexed);
        if (head->id > writer->last_stream_id) {
            writer->last_stream_id = head->id;
        }
    }
    if (rows != NULL) {
        sqlite3_reset(rows);
    }
}

static void load_cuts(Writer *writer)
{
    sqlite3_stmt *rows = db_statement(&writer->db, SQL_CUTS);
    while (rows != NULL && sqlite3_step(rows) == SQLITE_ROW) {
        int64_t id = sqlite3_column_int64(rows, 0);
        writer->last_stream_id = id > writer->last_stream_id ? id : writer->last_stream_id;
    }
    if (rows != NULL) {
        sqlite3_reset(rows);
    }
}

/* What cannot be written now comes with the first transaction that works. */
static void begin_life(Writer *writer)
{
    share_open(writer);
    int code = transact(writer, NULL, NULL);
    if (code != SQLITE_OK) {
        writer_set_degraded(writer, code);
        writer_roll_back(writer);
    }
}

Writer *writer_new(Store *store, Db *db)
{
    Writer *writer = mem_new(Writer);
    writer->store = store;
    writer->db = *db;
    memset(db, 0, sizeof(*db));
    queue_init(&writer->queue);
    wal_watch(writer);
    load_heads(writer);
    load_cuts(writer);
    index_open(writer);
    begin_life(writer);
    return writer;
}

void writer_start(Writer *writer)
{
    store_thread_start(&writer->thread, writer_main, writer);
}

static void heads_free(Head **heads)
{
    Head *head = NULL;
    Head *next = NULL;
    HASH_ITER(hh, *heads, head, next) {
        HASH_DELETE(hh, *heads, head);
        mem_free(head);
    }
}

void writer_free(Writer *writer)
{
    pthread_join(writer->thread, NULL);
    heads_free(&writer->heads);
    heads_free(&writer->gone);
    queue_done(&writer->queue);
    mem_free(writer->undo);
    mem_free(writer->shown_undo);
    strbuf_done(&writer->row.runs);
    mem_free(writer);
}

JobQueue *writer_queue(Writer *writer)
{
    return &writer->queue;
}
