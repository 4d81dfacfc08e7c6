/* Batches on their way to the store. */
#include "io/log_writer.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>
#include <utlist.h>

enum { RETRY_MS = 1000 };

typedef struct Batch Batch;
struct Batch {
    LogWriter *writer;
    LogEvent **events;
    size_t count;
    uint64_t ticket; /* 0: a share alone */
    JournalShare share;
    unsigned flags;
    bool is_cut;
    StreamId cut_stream;
    uint64_t cut_hi;
    bool given; /* the store has it, and will answer */
    bool done;
    Batch *prev;
    Batch *next;
};

struct LogWriter {
    LogWriterOptions options;
    Batch *batches;
    size_t given;
    bool failed; /* one was not taken: none is given before all the others are answered */
    bool broken;
    bool closed;
    /* Nothing can be written, and that was told. A disk that is full takes a small write and not
     * the next large one: so it is well again once all that waited at the last failure is on it. */
    bool told_bad;
    uint64_t bad_until;
    uv_timer_t retry;
};

LogWriter *log_writer_new(const LogWriterOptions *options)
{
    LogWriter *writer = mem_new(LogWriter);
    writer->options = *options;
    uv_timer_init(loop_uv(options->loop), &writer->retry);
    writer->retry.data = writer;
    return writer;
}

static void batch_free(LogWriter *writer, Batch *batch)
{
    DL_DELETE(writer->batches, batch);
    for (size_t i = 0; i < batch->count; i++) {
        event_unref(batch->events[i]);
    }
    mem_free(batch->events);
    mem_free(batch->share.passed);
    mem_free(batch);
}

static void writer_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void log_writer_free(LogWriter *writer)
{
    if (writer == NULL) {
        return;
    }
    while (writer->batches != NULL) {
        batch_free(writer, writer->batches);
    }
    uv_close((uv_handle_t *)&writer->retry, writer_closed);
}

static void appended(void *context, const StoreAppended *result);
static void cut_done(void *context, Err err);

/* Once all before it is on the disk: what failed, and goes again, would come after it. */
static void give_cut(LogWriter *writer, Batch *batch)
{
    if (writer->given == 0 && writer->batches == batch) {
        batch->given = true;
        writer->given++;
        store_cut(writer->options.store, &batch->cut_stream, batch->cut_hi, cut_done, batch);
    }
}

static void give_more(LogWriter *writer)
{
    Batch *batch;
    if (writer->failed || writer->broken || writer->closed) {
        return;
    }
    uv_timer_stop(&writer->retry);
    DL_FOREACH(writer->batches, batch) {
        if (batch->is_cut && !batch->done) {
            give_cut(writer, batch);
            return; /* what follows may take the place of what it deletes */
        }
        if (batch->given || batch->done) {
            continue;
        }
        StoreBatch given = {
            .events = batch->events,
            .count = batch->count,
            .flags = batch->flags,
            .passed = batch->share.passed,
            .passed_count = batch->share.passed_count,
            .position = batch->share.position,
        };
        Err err = store_append(writer->options.store, &given, appended, batch);
        if (err != ERR_OK) {
            return; /* ERR_LIMIT: as others are answered */
        }
        batch->given = true;
        writer->given++;
    }
}

static void tell_state(LogWriter *writer, const char *text)
{
    writer->told_bad = text != NULL;
    writer->options.report(writer->options.context,
                           &(Event){.kind = EVENT_STORE_STATE, .text = text});
}

static void tell_if_well(LogWriter *writer)
{
    if (writer->told_bad && !writer->broken && writer->bad_until == 0 &&
        store_degraded(writer->options.store) == NULL) {
        tell_state(writer, NULL);
    }
}

/* All that are done and have none before them that is not. */
static void report_done(LogWriter *writer)
{
    uint64_t ticket = 0;
    uint64_t position = 0;
    if (writer->batches == NULL || !writer->batches->done) {
        return;
    }
    while (writer->batches != NULL && writer->batches->done) {
        Batch *batch = writer->batches;
        ticket = batch->ticket != 0 ? batch->ticket : ticket;
        position = batch->share.last > position ? batch->share.last : position;
        batch_free(writer, batch);
    }
    writer->options.journaled(writer->options.context, position);
    if (ticket != 0) {
        writer->bad_until = ticket >= writer->bad_until ? 0 : writer->bad_until;
        writer->options.report(writer->options.context,
                               &(Event){.kind = EVENT_STORED, .ticket = ticket});
        tell_if_well(writer);
    }
    writer->options.settled(writer->options.context);
}

static void try_again(uv_timer_t *timer)
{
    LogWriter *writer = timer->data;
    if (writer->given == 0) {
        writer->failed = false;
        give_more(writer);
    }
}

/* Where it is not the disk that refuses, the events do not fit what the store holds. Only a log.db
 * that was changed behind our back makes them so: nothing more is written, and all know. */
static void note_failure(LogWriter *writer, const Batch *batch, Err err)
{
    bool first = batch == writer->batches;
    writer->failed = true;
    const Batch *last = NULL;
    const Batch *one;
    DL_FOREACH(writer->batches, one) {
        last = one->ticket != 0 ? one : last;
    }
    writer->bad_until = last != NULL ? last->ticket : 0;
    if (first && (err == ERR_EXISTS || err == ERR_GONE || err == ERR_INVALID)) {
        uint64_t seq = batch->count > 0 ? batch->events[0]->fields.seq : 0;
        log_error("the log does not go on where this node is (%s, from number %" PRIu64 " on)",
                  err_text(err), seq);
        writer->broken = true;
        tell_state(writer, "the log on the disk is not the one that this node has written and "
                           "read: stop the node and start it again");
    }
}

static void appended(void *context, const StoreAppended *result)
{
    Batch *batch = context;
    LogWriter *writer = batch->writer;
    batch->given = false;
    writer->given--;
    batch->done = result->err == ERR_OK;
    if (!batch->done) {
        note_failure(writer, batch, result->err);
    }
    report_done(writer);
    if (writer->failed && !writer->broken) {
        uv_timer_start(&writer->retry, try_again, RETRY_MS, RETRY_MS);
    }
    give_more(writer);
}

static void cut_done(void *context, Err err)
{
    appended(context, &(StoreAppended){.err = err});
}

static void add_batch(LogWriter *writer, Batch *batch)
{
    batch->writer = writer;
    DL_APPEND(writer->batches, batch);
    give_more(writer);
}

void log_writer_add(LogWriter *writer, Action *action, const JournalShare *share)
{
    Batch *batch = mem_new(Batch);
    batch->count = action->events_count;
    batch->events = TAKE(action->events);
    action->events_count = 0;
    batch->ticket = action->ticket;
    batch->flags = action->own ? STORE_JOURNAL : STORE_LAZY;
    batch->share = *share;
    add_batch(writer, batch);
}

void log_writer_cut(LogWriter *writer, const StreamId *stream, uint64_t hi)
{
    Batch *batch = mem_new(Batch);
    batch->is_cut = true;
    batch->cut_stream = *stream;
    batch->cut_hi = hi;
    add_batch(writer, batch);
}

void log_writer_add_share(LogWriter *writer, const JournalShare *share, bool in_time)
{
    Batch *batch = mem_new(Batch);
    batch->flags = in_time ? 0 : STORE_LAZY;
    batch->share = *share;
    add_batch(writer, batch);
}

void log_writer_state_changed(LogWriter *writer)
{
    const char *text = store_degraded(writer->options.store);
    if (writer->broken) {
        return;
    }
    if (text != NULL) {
        tell_state(writer, text);
    } else {
        tell_if_well(writer);
    }
    try_again(&writer->retry);
}

void log_writer_close(LogWriter *writer)
{
    writer->closed = true;
}
