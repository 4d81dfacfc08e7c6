/* Reads of the store, with the core's words around them. */
#include "io/log_reader.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { RETRY_MS = 200 };

typedef struct Job Job;
struct Job {
    LogReader *reader;
    size_t mesh;
    bool is_query;
    StoreRun run;
    Query query;
    LogEvent **held; /* the first of two pages */
    size_t held_count;
    Job *prev;
    Job *next;
};

struct LogReader {
    LogReaderOptions options;
    Job *later; /* reads that are to be tried again */
    uv_timer_t retry;
};

static void reader_retry(uv_timer_t *timer);

LogReader *log_reader_new(const LogReaderOptions *options)
{
    LogReader *reader = mem_new(LogReader);
    reader->options = *options;
    uv_timer_init(loop_uv(options->loop), &reader->retry);
    reader->retry.data = reader;
    return reader;
}

static void reader_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void log_reader_free(LogReader *reader)
{
    if (reader == NULL) {
        return;
    }
    Job *job;
    Job *next;
    DL_FOREACH_SAFE(reader->later, job, next) {
        DL_DELETE(reader->later, job);
        mem_free(job);
    }
    uv_close((uv_handle_t *)&reader->retry, reader_closed);
}

static void report(const Job *job, Event event)
{
    const LogReaderOptions *options = &job->reader->options;
    options->report(options->context, &event);
}

/* ---- runs for peers ---- */

static void job_later(Job *job)
{
    LogReader *reader = job->reader;
    DL_APPEND(reader->later, job);
    if (!uv_is_active((uv_handle_t *)&reader->retry)) {
        uv_timer_start(&reader->retry, reader_retry, RETRY_MS, 0);
    }
}

static void read_done(void *context, const StoreEvents *result)
{
    Job *job = context;
    /* Nothing there: it was cut off meanwhile, and is not to be waited for. */
    bool gone = result->err == ERR_NOT_FOUND || (result->err == ERR_OK && result->count == 0);
    if (result->err != ERR_OK && !gone) {
        log_debug("a run could not be read: %s", err_text(result->err));
        job_later(job);
        return;
    }
    report(job, (Event){.kind = EVENT_READ_DONE,
                        .mesh = job->mesh,
                        .stream = job->run.stream,
                        .from = job->run.from,
                        .events = result->events,
                        .events_count = result->count});
    mem_free(job);
}

static void read_now(Job *job)
{
    if (store_read_run(job->reader->options.store, &job->run, read_done, job) != ERR_OK) {
        job_later(job);
    }
}

void log_reader_read(LogReader *reader, const Action *action)
{
    Job *job = mem_new(Job);
    job->reader = reader;
    job->mesh = action->mesh;
    job->run = (StoreRun){
        .stream = action->stream,
        .from = action->from,
        .max_bytes = REPLICA_FRAME_EVENTS_BYTES,
        .whole_groups = true,
    };
    read_now(job);
}

/* ---- queries ---- */

static const char *trouble(Err err)
{
    return err == ERR_OK ? NULL : err_text(err);
}

static void job_drop_held(Job *job);

static void page_done(void *context, const StoreEvents *result)
{
    Job *job = context;
    report(job, (Event){.kind = EVENT_ANSWER,
                        .query = &job->query,
                        .text = trouble(result->err),
                        .events = result->events,
                        .events_count = result->count,
                        .more = result->more});
    job_drop_held(job);
    mem_free(job);
}

static Err ask_for_page(Job *job, const char *room, size_t max_events, StoreReadDone done)
{
    return store_read_page(job->reader->options.store,
                           &(StorePage){.room = room,
                                        .room_len = strlen(room),
                                        .since_hlc = job->query.since_hlc,
                                        .max_events = max_events},
                           done, job);
}

/* ---- two pages in one order ---- */

static int by_shown_order(const void *a, const void *b)
{
    const LogEvent *x = *(LogEvent *const *)a;
    const LogEvent *y = *(LogEvent *const *)b;
    return event_compare(&x->fields, &y->fields);
}

static void job_drop_held(Job *job)
{
    for (size_t i = 0; i < job->held_count; i++) {
        event_unref(job->held[i]);
    }
    mem_free(TAKE(job->held));
    job->held_count = 0;
}

static void second_page_done(void *context, const StoreEvents *result)
{
    Job *job = context;
    size_t count = job->held_count + result->count;
    AUTO_FREE LogEvent **events = mem_array(count, sizeof(LogEvent *));
    for (size_t i = 0; i < count; i++) {
        events[i] = i < job->held_count ? job->held[i] : result->events[i - job->held_count];
    }
    if (count > 0) {
        qsort(events, count, sizeof(LogEvent *), by_shown_order);
    }
    page_done(job, &(StoreEvents){.err = result->err, .events = events, .count = count});
}

static void first_page_done(void *context, const StoreEvents *result)
{
    Job *job = context;
    if (result->err != ERR_OK) {
        page_done(job, result);
        return;
    }
    job->held = mem_array(result->count, sizeof(LogEvent *));
    job->held_count = result->count;
    for (size_t i = 0; i < result->count; i++) {
        job->held[i] = event_ref(result->events[i]);
    }
    if (ask_for_page(job, job->query.other_room, STORE_READ_MAX_EVENTS, second_page_done) !=
        ERR_OK) {
        page_done(job, &(StoreEvents){.err = ERR_LIMIT});
    }
}

/* ---- the others ---- */

static void search_done(void *context, const StoreHits *result)
{
    Job *job = context;
    AUTO_FREE LogEvent **events = mem_array(result->count, sizeof(LogEvent *));
    AUTO_FREE const char **snippets = mem_array(result->count, sizeof(char *));
    for (size_t i = 0; i < result->count; i++) {
        events[i] = result->hits[i].event;
        snippets[i] = result->hits[i].snippet;
    }
    report(job, (Event){.kind = EVENT_ANSWER,
                        .query = &job->query,
                        .text = trouble(result->err),
                        .events = events,
                        .snippets = snippets,
                        .events_count = result->count,
                        .more = result->more});
    mem_free(job);
}

static void rooms_done(void *context, const StoreRooms *result)
{
    Job *job = context;
    AUTO_FREE RoomRow *rows = mem_array(result->count, sizeof(RoomRow));
    for (size_t i = 0; i < result->count; i++) {
        rows[i] = (RoomRow){.name = result->rooms[i].name,
                            .name_len = result->rooms[i].name_len,
                            .last_hlc = result->rooms[i].last_hlc};
    }
    report(job, (Event){.kind = EVENT_ANSWER,
                        .query = &job->query,
                        .text = trouble(result->err),
                        .rooms = rows,
                        .rooms_count = result->count});
    mem_free(job);
}

static Err ask(Store *store, Job *job)
{
    static const int joins[] = {LOG_JOIN, LOG_PART};
    const Query *query = &job->query;
    switch (query->kind) {
    case QUERY_JOINS:
        return store_read_kinds(
            store, &(StoreKinds){.kinds = joins, .kinds_count = 2, .max_events = query->count},
            page_done, job);
    case QUERY_RECENT:
    case QUERY_HISTORY:
        return query->other_room[0] != '\0'
                   ? ask_for_page(job, query->room, STORE_READ_MAX_EVENTS, first_page_done)
                   : ask_for_page(job, query->room, query->count, page_done);
    case QUERY_SEARCH:
        return store_search(store, &(StoreSearch){.words = query->words, .max_hits = query->count},
                            search_done, job);
    case QUERY_WHY:
        return store_read_run(
            store, &(StoreRun){.stream = query->stream, .from = query->seq, .max_events = 1},
            page_done, job);
    case QUERY_ROOMS:
        return store_read_rooms(store, rooms_done, job);
    case QUERY_CUTS:
        return store_read_cuts(store, query->stream.origin, query->since_hlc, page_done, job);
    }
    return ERR_INVALID;
}

static void ask_now(Job *job)
{
    if (ask(job->reader->options.store, job) != ERR_OK) {
        job_later(job);
    }
}

void log_reader_query(LogReader *reader, const Query *query)
{
    Job *job = mem_new(Job);
    job->reader = reader;
    job->is_query = true;
    job->query = *query;
    ask_now(job);
}

/* ---- again ---- */

static void reader_retry(uv_timer_t *timer)
{
    LogReader *reader = timer->data;
    Job *jobs = TAKE(reader->later);
    Job *job;
    Job *next;
    DL_FOREACH_SAFE(jobs, job, next) {
        DL_DELETE(jobs, job);
        if (job->is_query) {
            ask_now(job);
        } else {
            read_now(job);
        }
    }
}
