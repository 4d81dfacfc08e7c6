/* Which events wait, for what, and when they have waited enough.
 *
 *   fold_apply --+-- nothing to wait for ------------------------------------------> fold_show
 *                |                                                                       ^
 *                +--> queue of its stream, first: BLOCKED --cause shown--> EARLY -due-> READY
 *                                                  (or given up)
 *
 * Only the first of a queue is looked at, and a BLOCKED one stands with one of its causes at a
 * time: so showing an event costs as much as it sets free. READY ones go in the order of
 * event_compare, so that as few as possible come late. */
#include "core/fold_state.h"

#include <string.h>
#include <utlist.h>

/* ---- heaps ---- */

static FoldQueue *queue_at_place(const HeapNode *node)
{
    return HEAP_OWNER(node, FoldQueue, place);
}

static const EventFields *first_fields(const FoldQueue *queue)
{
    return &queue->events->event->fields;
}

static bool needs_less(const HeapNode *a, const HeapNode *b)
{
    return queue_at_place(a)->need < queue_at_place(b)->need;
}

static bool is_due_before(const HeapNode *a, const HeapNode *b)
{
    return first_fields(queue_at_place(a))->hlc < first_fields(queue_at_place(b))->hlc;
}

static bool is_shown_before(const HeapNode *a, const HeapNode *b)
{
    return event_compare(first_fields(queue_at_place(a)), first_fields(queue_at_place(b))) < 0;
}

static bool waits_longer(const HeapNode *a, const HeapNode *b)
{
    const FoldQueue *queue_a = HEAP_OWNER(a, FoldQueue, deadline);
    const FoldQueue *queue_b = HEAP_OWNER(b, FoldQueue, deadline);
    if (queue_a->deadline_ms != queue_b->deadline_ms) {
        return queue_a->deadline_ms < queue_b->deadline_ms;
    }
    return event_compare(first_fields(queue_a), first_fields(queue_b)) < 0;
}

static bool ends_later(const HeapNode *a, const HeapNode *b)
{
    return HEAP_OWNER(a, FoldQueue, last)->events->prev->due_hlc >
           HEAP_OWNER(b, FoldQueue, last)->events->prev->due_hlc;
}

/* ---- streams ---- */

static FoldStream *stream_get(Fold *fold, const StreamTag *tag)
{
    FoldStream *stream = fold_stream(fold, tag);
    if (stream == NULL) {
        stream = mem_new(FoldStream);
        stream->tag = *tag;
        stream->limit = UINT64_MAX;
        HASH_ADD(hh, fold->streams, tag, sizeof(stream->tag), stream);
    }
    return stream;
}

/* One that is only named, by nobody any more: anybody may make up as many as he likes. */
static void stream_forget_if_unknown(Fold *fold, FoldStream *stream)
{
    if (stream->shown == 0 && stream->queue == NULL && stream->waiters == NULL &&
        stream->limit == UINT64_MAX) {
        HASH_DEL(fold->streams, stream);
        mem_free(stream);
    }
}

/* Is that place shown, or as much before it as there will ever be? */
static bool is_met(const FoldStream *cause, uint64_t seq)
{
    return cause->shown >= (seq < cause->limit ? seq : cause->limit);
}

/* What comes before it in its own stream is shown before it anyway, and itself it cannot wait
 * for. */
static const EventPlace *first_unmet(const Fold *fold, const FoldStream *stream,
                                     const EventFields *fields)
{
    for (size_t i = 0; i < fields->after_count; i++) {
        const EventPlace *place = &fields->after[i];
        if (memcmp(&place->stream, &stream->tag, sizeof(stream->tag)) == 0) {
            continue;
        }
        const FoldStream *cause = fold_stream(fold, &place->stream);
        if (cause == NULL || !is_met(cause, place->seq)) {
            return place;
        }
    }
    return NULL;
}

/* ---- the first of a queue ---- */

/* Counts from when the event came: its causes have had that time, whether or not it stood first, so
 * that many events after one lost stream do not wait one after the other. And from when the stream
 * it waits for last went on: while that is catching up, it is worth waiting for. */
static uint64_t deadline_of(const FoldQueue *queue)
{
    uint64_t came_ms = queue->events->came_ms;
    uint64_t progress_ms = queue->cause->progress_ms;
    return (progress_ms > came_ms ? progress_ms : came_ms) + FOLD_CAUSE_WAIT_MS;
}

static void queue_block(Fold *fold, FoldQueue *queue, const EventPlace *place)
{
    queue->state = QUEUE_BLOCKED;
    queue->cause = stream_get(fold, &place->stream);
    queue->need = place->seq;
    queue->deadline_ms = deadline_of(queue);
    heap_add(&queue->cause->waiters, &queue->place, needs_less);
    heap_add(&fold->deadlines, &queue->deadline, waits_longer);
}

/* Finds out what the first waits for. */
static void queue_settle(FoldStep *step, FoldQueue *queue)
{
    Fold *fold = step->fold;
    const EventFields *fields = first_fields(queue);
    const EventPlace *unmet = queue->given_up ? NULL : first_unmet(fold, queue->stream, fields);
    if (unmet != NULL) {
        queue_block(fold, queue, unmet);
    } else if (!hlc_is_due(fields->hlc, step->wall_ms)) {
        queue->state = QUEUE_EARLY;
        heap_add(&fold->early, &queue->place, is_due_before);
    } else {
        queue->state = QUEUE_READY;
        heap_add(&fold->ready, &queue->place, is_shown_before);
    }
}

/* The first waits for nothing now, until it is settled again. */
static void queue_unsettle(Fold *fold, FoldQueue *queue)
{
    switch (queue->state) {
    case QUEUE_BLOCKED:
        heap_remove(&queue->cause->waiters, &queue->place, needs_less);
        heap_remove(&fold->deadlines, &queue->deadline, waits_longer);
        stream_forget_if_unknown(fold, TAKE(queue->cause));
        break;
    case QUEUE_EARLY:
        heap_remove(&fold->early, &queue->place, is_due_before);
        break;
    case QUEUE_READY:
        heap_remove(&fold->ready, &queue->place, is_shown_before);
        break;
    }
}

/* ---- queues ---- */

static void lasts_remove(Fold *fold, FoldQueue *queue)
{
    if (queue->events != NULL && queue->events->prev->early) {
        heap_remove(&fold->lasts, &queue->last, ends_later);
    }
}

static void lasts_add(Fold *fold, FoldQueue *queue)
{
    if (queue->events != NULL && queue->events->prev->early) {
        heap_add(&fold->lasts, &queue->last, ends_later);
    }
}

static void queue_add(FoldStep *step, FoldStream *stream, LogEvent *event, size_t link)
{
    Fold *fold = step->fold;
    bool first = stream->queue == NULL;
    if (first) {
        stream->queue = mem_new(FoldQueue);
        stream->queue->stream = stream;
    }
    FoldQueue *queue = stream->queue;
    Waiting *waiting = mem_new(Waiting);
    waiting->event = event_ref(event);
    waiting->link = link;
    waiting->came_ms = step->mono_ms;
    waiting->passes = event->fields.seq;
    waiting->due_hlc = event->fields.hlc;
    if (!first && queue->events->prev->due_hlc > waiting->due_hlc) {
        waiting->due_hlc = queue->events->prev->due_hlc;
    }
    waiting->early = !hlc_is_due(waiting->due_hlc, step->wall_ms);
    lasts_remove(fold, queue);
    DL_APPEND(queue->events, waiting);
    lasts_add(fold, queue);
    fold->waiting_count++;
    fold->early_count += waiting->early ? 1 : 0;
    if (first) {
        queue_settle(step, queue);
    }
}

/* Takes it out of the queue; the event's reference is the caller's. */
static LogEvent *queue_take(Fold *fold, FoldQueue *queue, Waiting *waiting)
{
    lasts_remove(fold, queue);
    DL_DELETE(queue->events, waiting);
    lasts_add(fold, queue);
    fold->waiting_count--;
    fold->early_count -= waiting->early ? 1 : 0;
    LogEvent *event = waiting->event;
    mem_free(waiting);
    return event;
}

static void queue_free(FoldQueue *queue)
{
    queue->stream->queue = NULL;
    mem_free(queue);
}

/* ---- shown ---- */

static void free_waiters(FoldStep *step, FoldStream *stream)
{
    while (stream->waiters != NULL && is_met(stream, queue_at_place(stream->waiters)->need)) {
        FoldQueue *queue = queue_at_place(stream->waiters);
        queue_unsettle(step->fold, queue);
        queue_settle(step, queue);
    }
}

/* The stream is shown up to seq: sets free who has waited for that. */
static void stream_passes(FoldStep *step, FoldStream *stream, uint64_t seq)
{
    stream->shown = seq;
    stream->progress_ms = step->mono_ms;
    free_waiters(step, stream);
}

static void show_ready(FoldStep *step, FoldQueue *queue)
{
    Fold *fold = step->fold;
    FoldStream *stream = queue->stream;
    uint64_t passes = queue->events->passes;
    size_t link = queue->events->link;
    /* What was given up may have come since. */
    bool incomplete = queue->given_up && first_unmet(fold, stream, first_fields(queue)) != NULL;
    queue_unsettle(fold, queue);
    queue->given_up = false;
    fold_show(step, stream, queue_take(fold, queue, queue->events), link, incomplete);
    if (queue->events == NULL) {
        queue_free(queue);
    } else {
        queue_settle(step, queue);
    }
    stream_passes(step, stream, passes);
}

/* before: only those that belong before it; NULL: all. */
static void show_all_ready(FoldStep *step, const EventFields *before)
{
    while (step->fold->ready != NULL) {
        FoldQueue *queue = queue_at_place(step->fold->ready);
        if (before != NULL && event_compare(first_fields(queue), before) >= 0) {
            break;
        }
        show_ready(step, queue);
    }
}

/* ---- caps ---- */

/* Does not wait for causes any more; it may still have to wait until it is due. */
static void queue_give_up(FoldStep *step, FoldQueue *queue)
{
    queue_unsettle(step->fold, queue);
    queue->given_up = true;
    queue_settle(step, queue);
    show_all_ready(step, NULL);
}

/* The last is not shown: the stream passes it together with the one before. */
static void queue_drop_last(FoldStep *step, FoldQueue *queue)
{
    Fold *fold = step->fold;
    FoldStream *stream = queue->stream;
    Waiting *last = queue->events->prev;
    uint64_t passes = last->passes;
    bool first = last == queue->events;
    if (first) {
        queue_unsettle(fold, queue);
    }
    event_unref(queue_take(fold, queue, last));
    if (first) {
        queue_free(queue);
        stream_passes(step, stream, passes);
        show_all_ready(step, NULL);
    } else {
        queue->events->prev->passes = passes;
    }
}

/* What waits of it past hi goes, as if it had not come. */
static void queue_cut(FoldStep *step, FoldQueue *queue, uint64_t hi)
{
    Fold *fold = step->fold;
    bool first = false;
    while (!first && queue->events->prev->event->fields.seq > hi) {
        Waiting *last = queue->events->prev;
        first = last == queue->events;
        if (first) {
            queue_unsettle(fold, queue);
        }
        event_unref(queue_take(fold, queue, last));
    }
    if (first) {
        queue_free(queue);
    }
}

/* One has been added to the stream's queue. */
static void keep_caps(FoldStep *step, FoldStream *stream)
{
    Fold *fold = step->fold;
    if (fold->early_count <= FOLD_EARLY_MAX && fold->waiting_count <= FOLD_WAITING_MAX) {
        return;
    }
    show_all_ready(step, NULL);
    /* Some queue ends early: else the one that was added would not have passed the cap. */
    while (fold->early_count > FOLD_EARLY_MAX) {
        queue_drop_last(step, HEAP_OWNER(fold->lasts, FoldQueue, last));
    }
    while (fold->waiting_count > FOLD_WAITING_MAX) {
        if (fold->deadlines != NULL) {
            queue_give_up(step, HEAP_OWNER(fold->deadlines, FoldQueue, deadline));
        } else {
            /* None waits for a cause, and more than the early ones wait until they are due: this
             * node's clock has gone back. */
            queue_drop_last(step, stream->queue);
        }
    }
}

/* ---- time ---- */

static void show_due(FoldStep *step)
{
    Fold *fold = step->fold;
    while (fold->early != NULL) {
        FoldQueue *queue = queue_at_place(fold->early);
        if (!hlc_is_due(first_fields(queue)->hlc, step->wall_ms)) {
            break;
        }
        queue_unsettle(fold, queue);
        queue_settle(step, queue);
    }
    show_all_ready(step, NULL);
}

static void give_up_overdue(FoldStep *step)
{
    Fold *fold = step->fold;
    while (fold->deadlines != NULL) {
        FoldQueue *queue = HEAP_OWNER(fold->deadlines, FoldQueue, deadline);
        if (queue->deadline_ms > step->mono_ms) {
            break;
        }
        uint64_t deadline_ms = deadline_of(queue);
        if (deadline_ms > step->mono_ms) {
            heap_remove(&fold->deadlines, &queue->deadline, waits_longer);
            queue->deadline_ms = deadline_ms;
            heap_add(&fold->deadlines, &queue->deadline, waits_longer);
        } else {
            queue_give_up(step, queue);
        }
    }
}

static uint64_t wake_at(const FoldStep *step)
{
    const Fold *fold = step->fold;
    uint64_t wake_at_ms = 0;
    if (fold->deadlines != NULL) {
        wake_at_ms = HEAP_OWNER(fold->deadlines, FoldQueue, deadline)->deadline_ms;
    }
    if (fold->early != NULL) {
        int64_t due_ms = hlc_due_at_ms(first_fields(queue_at_place(fold->early))->hlc);
        uint64_t at_ms = step->mono_ms + (uint64_t)(due_ms - step->wall_ms);
        wake_at_ms = wake_at_ms == 0 || at_ms < wake_at_ms ? at_ms : wake_at_ms;
    }
    return wake_at_ms;
}

/* ---- the doors ---- */

static void apply_one(FoldStep *step, FoldStream *stream, LogEvent *event, size_t link)
{
    const EventFields *fields = &event->fields;
    show_all_ready(step, fields);
    if (fields->seq > stream->limit) {
        stream->limit = UINT64_MAX; /* it counts again */
    }
    uint64_t given = stream->queue != NULL ? stream->queue->events->prev->passes : stream->shown;
    if (fields->seq <= given) {
        return; /* of a stream that was cut, and counts again: nobody is shown it twice */
    }
    if (stream->queue == NULL && hlc_is_due(fields->hlc, step->wall_ms) &&
        first_unmet(step->fold, stream, fields) == NULL) {
        fold_show(step, stream, event_ref(event), link, false);
        stream_passes(step, stream, fields->seq);
    } else {
        queue_add(step, stream, event, link);
        keep_caps(step, stream);
    }
}

void fold_apply(Fold *fold, LogEvent *const *events, size_t count, size_t link, uint64_t mono_ms,
                int64_t wall_ms, FoldOut *out)
{
    FoldStep step = {.fold = fold, .out = out, .mono_ms = mono_ms, .wall_ms = wall_ms};
    show_due(&step);
    if (count > 0) {
        const StreamId *id = &events[0]->fields.stream;
        FoldStream *stream = stream_get(fold, stream_tag_kept(&fold->applied, id));
        for (size_t i = 0; i < count; i++) {
            apply_one(&step, stream, events[i], link);
        }
        show_all_ready(&step, NULL);
    }
    give_up_overdue(&step);
    out->wake_at_ms = wake_at(&step);
}

void fold_timer(Fold *fold, uint64_t mono_ms, int64_t wall_ms, FoldOut *out)
{
    fold_apply(fold, NULL, 0, 0, mono_ms, wall_ms, out);
}

void fold_give_up(Fold *fold, uint64_t mono_ms, int64_t wall_ms, FoldOut *out)
{
    FoldStep step = {.fold = fold, .out = out, .mono_ms = mono_ms, .wall_ms = wall_ms};
    show_due(&step);
    while (fold->deadlines != NULL) {
        queue_give_up(&step, HEAP_OWNER(fold->deadlines, FoldQueue, deadline));
    }
    out->wake_at_ms = wake_at(&step);
}

void fold_cut(Fold *fold, const StreamId *id, uint64_t hi, uint64_t mono_ms, int64_t wall_ms,
              FoldOut *out)
{
    FoldStep step = {.fold = fold, .out = out, .mono_ms = mono_ms, .wall_ms = wall_ms};
    StreamTag tag = stream_tag(id);
    show_due(&step);
    FoldStream *stream = stream_get(fold, &tag);
    stream->limit = hi;
    if (stream->queue != NULL) {
        queue_cut(&step, stream->queue, hi);
    }
    free_waiters(&step, stream);
    show_all_ready(&step, NULL);
    out->wake_at_ms = wake_at(&step);
}

void fold_set_shown(Fold *fold, const StreamId *stream, uint64_t hi)
{
    StreamTag tag = stream_tag(stream);
    if (hi > 0) {
        stream_get(fold, &tag)->shown = hi;
    }
}

size_t fold_waiting(const Fold *fold)
{
    return fold->waiting_count;
}

Fold *fold_new(void)
{
    return mem_new(Fold);
}

static void stream_free(Fold *fold, FoldStream *stream)
{
    FoldQueue *queue = stream->queue;
    while (queue != NULL && queue->events != NULL) {
        Waiting *waiting = queue->events;
        DL_DELETE(queue->events, waiting);
        event_unref(waiting->event);
        mem_free(waiting);
    }
    mem_free(queue);
    HASH_DEL(fold->streams, stream);
    mem_free(stream);
}

void fold_free(Fold *fold)
{
    if (fold == NULL) {
        return;
    }
    FoldStream *stream;
    FoldStream *next;
    HASH_ITER(hh, fold->streams, stream, next) {
        stream_free(fold, stream);
    }
    fold_shown_free(fold);
    mem_free(fold);
}
