/* The reader thread: one read after the other, on a connection of its own, so that a read never
 * waits for a commit and the owner thread never waits for the disk. Decoding is done here too. */
#include "io/store_reader.h"

#include <inttypes.h>
#include <sodium.h>
#include <string.h>

size_t read_limit(size_t asked, size_t max)
{
    return asked == 0 || asked > max ? max : asked;
}

Err read_failed(Store *store, Db *db, int code)
{
    if (db_is_corrupt(code)) {
        store_post_damage(store, sqlite3_errstr(code));
    }
    Err err = db_err(db, code);
    return err == ERR_OK ? ERR_IO : err;
}

Err read_damaged(Store *store, int64_t row)
{
    AUTO_FREE char *where = NULL;
    store_say(&where, "event %" PRId64 " of stream %" PRId64,
              row & ((INT64_C(1) << STORE_SEQ_BITS) - 1), row >> STORE_SEQ_BITS);
    store_post_damage(store, where);
    return ERR_IO;
}

/* ---- answers ---- */

void answer_add(Answer *answer, LogEvent *event)
{
    if (answer->count == answer->cap) {
        answer->cap = answer->cap == 0 ? 16 : answer->cap * 2;
        answer->events = mem_resize(answer->events, answer->cap, sizeof(LogEvent *));
    }
    answer->bytes += bytes_len(event->bytes);
    answer->events[answer->count++] = event;
}

static void answer_cut(Answer *answer, size_t count)
{
    while (answer->count > count) {
        LogEvent *event = answer->events[--answer->count];
        answer->bytes -= bytes_len(event->bytes);
        event_unref(event);
    }
}

void answer_done(Answer *answer)
{
    answer_cut(answer, 0);
    mem_free(TAKE(answer->events));
}

/* ---- a read that gives events ---- */

static void read_finish(Job *job)
{
    Read *read = (Read *)job;
    job->store->reads--;
    if (read->err != ERR_OK) {
        answer_cut(&read->answer, 0);
    }
    StoreEvents result = {
        .err = read->err,
        .events = read->answer.events,
        .count = read->answer.count,
        .more = read->more,
    };
    read->done(read->context, &result);
    answer_done(&read->answer);
    mem_free(read);
}

Err read_push(Store *store, Read *read, void (*run)(Job *, Db *), StoreReadDone done, void *context)
{
    read->done = done;
    read->context = context;
    read->job.run = run;
    read->job.finish = read_finish;
    Err err = reader_push(store, &read->job, &store->readers[READER_LOG].queue);
    if (err != ERR_OK) {
        mem_free(read);
    }
    return err;
}

/* ---- runs ---- */

typedef struct Found {
    int64_t id; /* 0: no such stream */
    uint64_t lo;
    uint64_t hi;
} Found;

static Err find_stream(Store *store, Db *db, const StreamId *stream, Found *found)
{
    *found = (Found){0};
    sqlite3_stmt *find = db_statement(db, SQL_HEAD);
    if (find == NULL) {
        return read_failed(store, db, sqlite3_extended_errcode(db->sqlite));
    }
    sqlite3_bind_blob(find, 1, stream->origin, EVENT_KEY_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(find, 2, sql_of_u64(stream->epoch));
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        found->id = sqlite3_column_int64(find, 0);
        found->lo = (uint64_t)sqlite3_column_int64(find, 1);
        found->hi = (uint64_t)sqlite3_column_int64(find, 2);
    }
    sqlite3_reset(find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? ERR_OK : read_failed(store, db, code);
}

typedef struct Limits {
    size_t events;
    size_t bytes;
    bool whole_groups;
} Limits;

/* Seqs first..last of a stream into answer. Each is checked to be the next in the chain. */
static Err read_rows(Store *store, Db *db, const StreamId *stream, const Found *found,
                     uint64_t first, uint64_t last, const Limits *limits, Answer *answer,
                     bool *ret_more)
{
    sqlite3_stmt *run = db_statement(db, SQL_RUN);
    if (run == NULL) {
        return read_failed(store, db, sqlite3_extended_errcode(db->sqlite));
    }
    sqlite3_bind_int64(run, 1, event_row(found->id, first));
    sqlite3_bind_int64(run, 2, event_row(found->id, last));
    size_t start = answer->count;
    size_t whole = 0; /* how many of them are whole groups */
    Err err = ERR_OK;
    int code = SQLITE_DONE;
    uint64_t seq = first;
    while (err == ERR_OK && (code = sqlite3_step(run)) == SQLITE_ROW) {
        size_t len = (size_t)sqlite3_column_bytes(run, 2);
        bool full = answer->count > 0 &&
                    (answer->count >= limits->events || answer->bytes + len > limits->bytes);
        if (full && !(limits->whole_groups && whole == 0)) {
            *ret_more = true;
            break;
        }
        LogEvent *event = db_event(run);
        const LogEvent *before = answer->count > start ? answer->events[answer->count - 1] : NULL;
        if (event == NULL || event->fields.seq != seq ||
            stream_id_compare(&event->fields.stream, stream) != 0 ||
            (before != NULL &&
             memcmp(&event->fields.prev_hash, &before->hash, sizeof(EventHash)) != 0)) {
            err = read_damaged(store, event_row(found->id, seq));
            event_unref(event);
            break;
        }
        answer_add(answer, event);
        seq++;
        whole = event->is_signed ? answer->count : whole;
        if (full && event->is_signed) { /* the one group that is larger than the limits */
            *ret_more = seq <= last;
            code = SQLITE_DONE;
            break;
        }
    }
    sqlite3_reset(run);
    if (err == ERR_OK && code != SQLITE_ROW && code != SQLITE_DONE) {
        err = read_failed(store, db, code);
    }
    if (err == ERR_OK && code == SQLITE_DONE && !*ret_more && seq <= last) {
        err = read_damaged(store, event_row(found->id, seq)); /* it is not there */
    }
    if (err == ERR_OK && limits->whole_groups && whole > 0) {
        answer_cut(answer, whole);
    }
    return err;
}

static void run_run(Job *job, Db *db)
{
    Read *read = (Read *)job;
    const StoreRun *run = &read->run;
    Found found;
    read->err = find_stream(job->store, db, &run->stream, &found);
    if (read->err != ERR_OK) {
        return;
    }
    if (found.id == 0 || run->from < found.lo) {
        read->err = found.id == 0 ? ERR_NOT_FOUND : ERR_GONE;
        return;
    }
    if (run->from > found.hi) {
        return;
    }
    Limits limits = {
        .events = read_limit(run->max_events, STORE_READ_MAX_EVENTS),
        .bytes = read_limit(run->max_bytes, STORE_READ_MAX_BYTES),
        .whole_groups = run->whole_groups,
    };
    read->err = read_rows(job->store, db, &run->stream, &found, run->from, found.hi, &limits,
                          &read->answer, &read->more);
}

Err store_read_run(Store *store, const StoreRun *run, StoreReadDone done, void *context)
{
    Read *read = mem_new(Read);
    read->run = *run;
    return read_push(store, read, run_run, done, context);
}

/* ---- export ---- */

typedef struct ExportStream {
    StreamId stream;
    Found found;
} ExportStream;

struct StoreExport {
    Store *store;
    /* All below: the reader's while a read is on its way, else the owner's. */
    crypto_generichash_state hash;
    ExportStream *streams; /* as they were at the first read */
    size_t count;
    size_t at;
    uint64_t seq; /* the next of streams[at]; 0: its first */
    bool begun;
};

StoreExport *store_export_new(Store *store)
{
    StoreExport *export = mem_new(StoreExport);
    export->store = store;
    crypto_generichash_init(&export->hash, NULL, 0, EVENT_HASH_BYTES);
    return export;
}

void store_export_free(StoreExport *export)
{
    if (export != NULL) {
        mem_free(export->streams);
        mem_free(export);
    }
}

static Err export_begin(StoreExport *export, Db *db)
{
    sqlite3_stmt *rows = db_statement(db, SQL_HEADS);
    if (rows == NULL) {
        return read_failed(export->store, db, sqlite3_extended_errcode(db->sqlite));
    }
    int code = SQLITE_ROW;
    size_t cap = 0;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (export->count == cap) {
            cap = cap == 0 ? 64 : cap * 2;
            export->streams = mem_resize(export->streams, cap, sizeof(*export->streams));
        }
        ExportStream *stream = &export->streams[export->count++];
        stream->found.id = sqlite3_column_int64(rows, 0);
        memcpy(stream->stream.origin, sqlite3_column_blob(rows, 1), EVENT_KEY_BYTES);
        stream->stream.epoch = u64_of_sql(sqlite3_column_int64(rows, 2));
        stream->found.lo = (uint64_t)sqlite3_column_int64(rows, 3);
        stream->found.hi = (uint64_t)sqlite3_column_int64(rows, 4);
    }
    sqlite3_reset(rows);
    export->begun = code == SQLITE_DONE;
    return export->begun ? ERR_OK : read_failed(export->store, db, code);
}

static void export_hash(StoreExport *export, const LogEvent *event)
{
    size_t len = bytes_len(event->bytes);
    uint8_t head[4] = {(uint8_t)len, (uint8_t)(len >> 8), (uint8_t)(len >> 16),
                       (uint8_t)(len >> 24)};
    uint8_t is_signed = event->is_signed ? 1 : 0;
    crypto_generichash_update(&export->hash, head, sizeof(head));
    crypto_generichash_update(&export->hash, bytes_data(event->bytes), len);
    crypto_generichash_update(&export->hash, &is_signed, 1);
    if (event->is_signed) {
        crypto_generichash_update(&export->hash, event->signature, EVENT_SIGNATURE_BYTES);
    }
}

static void run_export(Job *job, Db *db)
{
    Read *read = (Read *)job;
    StoreExport *export = read->part.export;
    Limits limits = {
        .events = STORE_READ_MAX_EVENTS,
        .bytes = read_limit(read->part.max_bytes, STORE_READ_MAX_BYTES),
    };
    read->err = export->begun ? ERR_OK : export_begin(export, db);
    while (read->err == ERR_OK && export->at < export->count) {
        const ExportStream *stream = &export->streams[export->at];
        uint64_t first = export->seq > 0 ? export->seq : stream->found.lo;
        size_t start = read->answer.count;
        bool full = false;
        read->err = read_rows(job->store, db, &stream->stream, &stream->found, first,
                              stream->found.hi, &limits, &read->answer, &full);
        if (full) {
            export->seq = first + (read->answer.count - start);
            break;
        }
        export->at++;
        export->seq = 0;
    }
    read->more = export->at < export->count;
    for (size_t i = 0; i < read->answer.count && read->err == ERR_OK; i++) {
        export_hash(export, read->answer.events[i]);
    }
}

Err store_export_next(StoreExport *export, size_t max_bytes, StoreReadDone done, void *context)
{
    Read *read = mem_new(Read);
    read->part.export = export;
    read->part.max_bytes = max_bytes;
    return read_push(export->store, read, run_export, done, context);
}

void store_export_hash(const StoreExport *export, uint8_t ret_hash[EVENT_HASH_BYTES])
{
    crypto_generichash_state copy = export->hash;
    crypto_generichash_final(&copy, ret_hash, EVENT_HASH_BYTES);
}

/* ---- the thread ---- */

Err reader_push(Store *store, Job *job, JobQueue *queue)
{
    if (store->reads >= STORE_READS_MAX) {
        return ERR_LIMIT;
    }
    store->reads++;
    job->store = store;
    queue_push(queue, job);
    return ERR_OK;
}

static void *reader_main(void *context)
{
    Reader *reader = context;
    JobQueue *queue = &reader->queue;
    pthread_mutex_lock(&queue->mutex);
    while (!queue->closing || queue->first != NULL) {
        if (queue->first == NULL) {
            pthread_cond_wait(&queue->wake, &queue->mutex);
            continue;
        }
        Job *job = queue_pop(queue);
        pthread_mutex_unlock(&queue->mutex);
        job->run(job, &reader->db);
        loop_post(reader->store->loop, &job->mail);
        pthread_mutex_lock(&queue->mutex);
    }
    pthread_mutex_unlock(&queue->mutex);
    db_close(&reader->db);
    loop_post(reader->store->loop, &reader->end);
    return NULL;
}

static void reader_ended(Mail *mail, bool ok)
{
    (void)ok;
    store_helper_ended(((Reader *)(void *)((char *)mail - offsetof(Reader, end)))->store);
}

void reader_launch(Reader *reader)
{
    queue_init(&reader->queue);
    reader->end.deliver = reader_ended;
    store_thread_start(&reader->thread, reader_main, reader);
}

void reader_done(Reader *reader)
{
    pthread_join(reader->thread, NULL);
    queue_done(&reader->queue);
}
