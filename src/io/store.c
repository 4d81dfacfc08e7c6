/* The store's life, and the owner thread's side of what is asked of it. */
#include "io/store_impl.h"

#include "base/log.h"

#include <assert.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

/* Each event in a batch costs this besides its bytes. */
enum { EVENT_COST_BYTES = sizeof(LogEvent) + 64 };

/* ---- jobs ---- */

void queue_init(JobQueue *queue)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_cond_init(&queue->wake, &attributes);
    pthread_condattr_destroy(&attributes);
}

void queue_done(JobQueue *queue)
{
    pthread_mutex_destroy(&queue->mutex);
    pthread_cond_destroy(&queue->wake);
}

static void job_deliver(Mail *mail, bool ok)
{
    (void)ok;
    Job *job = (Job *)(void *)mail;
    job->finish(job);
}

bool queue_offer(JobQueue *queue, Job *job)
{
    job->mail.deliver = job_deliver;
    job->next = NULL;
    pthread_mutex_lock(&queue->mutex);
    bool open = !queue->closing;
    if (open) {
        if (queue->first == NULL) {
            queue->first = job;
        } else {
            queue->last->next = job;
        }
        queue->last = job;
    }
    pthread_mutex_unlock(&queue->mutex);
    if (open) { /* now, so that who wakes does not find the mutex taken, and sleeps again */
        pthread_cond_signal(&queue->wake);
    }
    return open;
}

void queue_push(JobQueue *queue, Job *job)
{
    if (!queue_offer(queue, job)) {
        log_error("the store was asked for something after store_close");
        abort();
    }
}

void queue_close(JobQueue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closing = true;
    pthread_cond_signal(&queue->wake);
    pthread_mutex_unlock(&queue->mutex);
}

Job *queue_pop(JobQueue *queue)
{
    Job *job = queue->first;
    queue->first = job->next;
    job->next = NULL;
    return job;
}

void store_thread_start(pthread_t *thread, void *(*run)(void *), void *context)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        log_error("the store's thread cannot start: %s", strerror(error));
        abort();
    }
}

/* ---- what helpers have to tell ---- */

typedef struct StateMail {
    Mail mail;
    Store *store;
    char *text;
} StateMail;

static void state_deliver(Mail *mail, bool ok)
{
    (void)ok;
    StateMail *state = (StateMail *)(void *)mail;
    Store *store = state->store;
    mem_free(store->degraded);
    store->degraded = TAKE(state->text);
    mem_free(state);
    if (store->state_changed != NULL) {
        store->state_changed(store->state_context);
    }
}

void store_post_state(Store *store, char *text)
{
    StateMail *state = mem_new(StateMail);
    state->mail.deliver = state_deliver;
    state->store = store;
    state->text = text;
    loop_post(store->loop, &state->mail);
}

void store_post_damage(Store *store, const char *where)
{
    if (atomic_exchange(&store->damaged, true)) {
        return;
    }
    log_error("%s is damaged (%s): the next start checks all of it", store->file, where);
    if (!store->read_only) {
        dir_mark(&store->dir, "damaged");
    }
}

/* ---- opening ---- */

static void store_free(Store *store)
{
    explicit_bzero(store->seed, sizeof(store->seed));
    seals_free(store->seals);
    store_heads_drop(store);
    dir_close(&store->dir);
    mem_free(store->file);
    mem_free(store->notice);
    mem_free(store->degraded);
    mem_free(store->lives);
    mem_free(store);
}

static void writer_ended(Mail *mail, bool ok)
{
    (void)ok;
    store_helper_ended((Store *)(void *)((char *)mail - offsetof(Store, writer_end)));
}

static void start(Store *store)
{
    store->writer_end.deliver = writer_ended;
    store->helpers = READER_COUNT;
    for (size_t i = 0; i < READER_COUNT; i++) {
        store->readers[i].store = store;
        reader_launch(&store->readers[i]);
    }
    if (store->writer != NULL) {
        store->helpers++;
        writer_start(store->writer);
    }
    if (store->unchecked) {
        check_start(store);
    }
}

Err store_open(const StoreOptions *options, Loop *loop, Store **ret_store, char **ret_error)
{
    Store *store = mem_new(Store);
    char *error = NULL;
    store->loop = loop;
    store->read_only = options->read_only;
    store->room_keys_max_bytes =
        options->room_keys_max_bytes > 0 ? options->room_keys_max_bytes : STORE_ROOM_KEYS_MAX_BYTES;
    store->state_changed = options->state_changed;
    store->state_context = options->context;
    Err err = dir_open(&store->dir, options->directory, !options->read_only, &error);
    if (err == ERR_OK) {
        store->file = dir_file(&store->dir, "log.db");
        err = store->read_only ? open_for_reading(store, &error) : open_for_writing(store, &error);
    }
    if (err != ERR_OK) {
        store_free(store);
        *ret_error = error;
        return err;
    }
    mem_free(error);
    start(store);
    *ret_store = store;
    return ERR_OK;
}

/* ---- closing ---- */

void store_close(Store *store, void (*closed)(void *context), void *context)
{
    store->closed = closed;
    store->closed_context = context;
    if (store->backup != NULL) {
        backup_stop(store->backup);
    }
    if (store->check != NULL) {
        check_stop(store->check);
    }
    for (size_t i = 0; i < READER_COUNT; i++) {
        queue_close(&store->readers[i].queue);
    }
}

/* Mail comes in the order in which it was posted: with its last word all of a helper's answers have
 * been given. */
void store_helper_ended(Store *store)
{
    store->helpers--;
    if (store->helpers == 1 && store->writer != NULL && store->closed != NULL) {
        /* Last of all, and alone: the connection that is closed last folds the -wal into log.db. */
        queue_close(writer_queue(store->writer));
    }
    if (store->helpers > 0) {
        return;
    }
    for (size_t i = 0; i < READER_COUNT; i++) {
        reader_done(&store->readers[i]);
    }
    if (store->writer != NULL) {
        writer_free(store->writer);
    }
    if (!store->read_only && !store->unchecked && !atomic_load(&store->damaged)) {
        dir_mark(&store->dir, "clean");
    }
    void (*closed)(void *) = store->closed;
    void *context = store->closed_context;
    store_free(store);
    closed(context);
}

/* ---- what it is like ---- */

const char *store_notice(const Store *store)
{
    return store->notice;
}

const uint8_t *store_seed(const Store *store)
{
    return store->has_seed ? store->seed : NULL;
}

const StoreHead *store_heads(const Store *store, size_t *ret_count)
{
    *ret_count = store->heads_count;
    return store->heads;
}

void store_heads_drop(Store *store)
{
    mem_free(TAKE(store->heads));
    store->heads_count = 0;
    for (size_t i = 0; i < store->control_count; i++) {
        event_unref(store->control[i]);
    }
    mem_free(TAKE(store->control));
    store->control_count = 0;
}

LogEvent *const *store_control_events(const Store *store, size_t *ret_count)
{
    *ret_count = store->control_count;
    return store->control;
}

uint64_t store_epoch_max(const Store *store, const uint8_t origin[EVENT_KEY_BYTES])
{
    uint64_t max = 0;
    for (size_t i = 0; i < store->heads_count; i++) {
        const StreamId *stream = &store->heads[i].stream;
        if (memcmp(stream->origin, origin, EVENT_KEY_BYTES) == 0 && stream->epoch > max) {
            max = stream->epoch;
        }
    }
    return max;
}

uint64_t store_life(const Store *store)
{
    return store->lives_count > 0 ? store->lives[store->lives_count - 1].life : 0;
}

uint64_t store_position(const Store *store)
{
    return store->position;
}

bool store_knows_cursor(const Store *store, uint64_t life, uint64_t position)
{
    uint64_t come_to = atomic_load(&store->durable);
    for (size_t i = store->lives_count; i > 0; i--) {
        if (store->lives[i - 1].life == life) {
            return position <= come_to;
        }
        come_to = store->lives[i - 1].first - 1;
    }
    return false;
}

const char *store_degraded(const Store *store)
{
    return store->degraded;
}

StoreStats store_stats(const Store *store)
{
    return store->stats;
}

/* ---- appending ---- */

static void batch_finish(Job *job)
{
    Batch *batch = (Batch *)job;
    StoreStats *stats = &job->store->stats;
    stats->pending_bytes -= batch->bytes;
    stats->commits = batch->commits;
    if (batch->is_cut) {
        batch->cut_done(batch->context, batch->result.err);
    } else if (batch->result.err == ERR_OK) {
        stats->batches++;
        stats->events += batch->result.added;
    }
    if (batch->done != NULL) {
        batch->done(batch->context, &batch->result);
    }
    for (size_t i = 0; i < batch->count; i++) {
        event_unref(batch->events[i]);
    }
    mem_free(batch->events);
    mem_free(batch->passed);
    mem_free(batch);
}

/* Does the next one go on where this one is? */
static bool follows(const StorePassed *passed, const StorePassed *next)
{
    return next->seq == passed->seq + 1 && next->shown == passed->shown &&
           memcmp(&next->stream, &passed->stream, sizeof(StreamId)) == 0;
}

static size_t count_runs(const StoreBatch *batch)
{
    size_t count = batch->passed_count > 0;
    for (size_t i = 1; i < batch->passed_count; i++) {
        count += !follows(&batch->passed[i - 1], &batch->passed[i]);
    }
    return count;
}

static void copy_passed(Batch *batch, const StoreBatch *from, size_t runs)
{
    batch->passed = mem_array(runs, sizeof(*batch->passed));
    for (size_t i = 0; i < from->passed_count; i++) {
        const StorePassed *passed = &from->passed[i];
        if (i > 0 && follows(&from->passed[i - 1], passed)) {
            batch->passed[batch->passed_count - 1].count++;
            continue;
        }
        batch->passed[batch->passed_count++] = (PassedRun){
            .stream = passed->stream,
            .first = passed->seq,
            .count = 1,
            .shown = passed->shown,
        };
    }
}

Err store_append(Store *store, const StoreBatch *asked, StoreAppendDone done, void *context)
{
    if (store->writer == NULL) {
        return ERR_DENIED;
    }
    size_t runs = count_runs(asked);
    size_t bytes = sizeof(Batch) + runs * STORE_PASSED_COST_BYTES;
    for (size_t i = 0; i < asked->count; i++) {
        bytes += bytes_len(asked->events[i]->bytes) + EVENT_COST_BYTES;
    }
    if (bytes > STORE_PENDING_MAX_BYTES - store->stats.pending_bytes) {
        return ERR_LIMIT;
    }
    store->stats.pending_bytes += bytes;
    Batch *batch = mem_new(Batch);
    batch->job.store = store;
    batch->job.finish = batch_finish;
    batch->events = mem_array(asked->count, sizeof(LogEvent *));
    for (size_t i = 0; i < asked->count; i++) {
        batch->events[i] = event_ref(asked->events[i]);
    }
    batch->count = asked->count;
    if (runs > 0) {
        copy_passed(batch, asked, runs);
    }
    batch->position = asked->position;
    batch->bytes = bytes;
    batch->flags = asked->flags;
    batch->done = done;
    batch->context = context;
    queue_push(writer_queue(store->writer), &batch->job);
    return ERR_OK;
}

void store_cut(Store *store, const StreamId *stream, uint64_t hi, StoreCutDone done, void *context)
{
    assert(store->writer != NULL);
    Batch *batch = mem_new(Batch);
    batch->job.store = store;
    batch->job.finish = batch_finish;
    batch->bytes = sizeof(Batch);
    store->stats.pending_bytes += batch->bytes;
    batch->is_cut = true;
    batch->cut_stream = *stream;
    batch->cut_hi = hi;
    batch->cut_done = done;
    batch->context = context;
    queue_push(writer_queue(store->writer), &batch->job);
}
