/* Streams: found and made, their newest events in memory, what they sum up to. */
#include "core/replica_state.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

enum {
    /* Looked at for one that may make room; the next goes on from there. A frame may tell of a
     * thousand new streams, and each must be cheap to refuse. */
    RECYCLE_LOOKS = 256,
};

void index_list_add(IndexList *list, size_t index)
{
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? list->cap * 2 : 8;
        list->items = mem_resize(list->items, list->cap, sizeof(size_t));
    }
    list->items[list->count++] = index;
}

void index_list_done(IndexList *list)
{
    mem_free(list->items);
    *list = (IndexList){0};
}

Stream *stream_find(const Replica *replica, const StreamId *id)
{
    Stream *stream;
    HASH_FIND(hh, replica->by_id, id, sizeof(*id), stream);
    return stream;
}

static Origin *origin_get(Replica *replica, const uint8_t *key)
{
    Origin *origin;
    HASH_FIND(hh, replica->origins, key, EVENT_KEY_BYTES, origin);
    if (origin == NULL) {
        origin = mem_new(Origin);
        memcpy(origin->key, key, EVENT_KEY_BYTES);
        HASH_ADD(hh, replica->origins, key, EVENT_KEY_BYTES, origin);
    }
    return origin;
}

void stream_note_newest(Stream *stream)
{
    Origin *origin = stream->origin;
    if (origin->newest == NULL || origin->newest->id.epoch < stream->id.epoch) {
        origin->newest = stream;
    }
}

bool stream_is_newest(const Stream *stream)
{
    return stream->origin->newest == stream;
}

void stream_free(Stream *stream)
{
    for (size_t i = 0; i < stream->window_count; i++) {
        event_unref(stream->window[(stream->window_start + i) % stream->window_cap]);
    }
    for (size_t i = 0; i < stream->suspect.count; i++) {
        event_unref(stream->suspect.events[i]);
    }
    mem_free(stream->suspect.events);
    mem_free(stream->window);
    mem_free(stream);
}

static bool is_linked(const Replica *replica, const uint8_t *key)
{
    for (size_t i = 0; i < replica->links_cap; i++) {
        const ReplicaLink *link = &replica->links[i];
        if (link->up && link->greeted && memcmp(link->key, key, EVENT_KEY_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

/* Own ones are applied when they are stored: until then nothing of them shows. */
static bool own_is_being_stored(const Replica *replica, const Stream *stream)
{
    const Batch *batch = replica->storing_own > 0 ? replica->batches : NULL;
    while (batch != NULL &&
           (batch->own_count == 0 || stream_id_compare(&batch->stream, &stream->id) != 0)) {
        batch = batch->next;
    }
    return batch != NULL;
}

/* Nothing of it has ever come: somebody has told of it, and may have lied. One that a peer says it
 * writes has its place while that peer is there. */
static bool may_be_recycled(const Replica *replica, const Stream *stream)
{
    return stream->applied == 0 && !stream->frozen && stream != replica->own &&
           !own_is_being_stored(replica, stream) &&
           (stream->origin->newest != stream || !is_linked(replica, stream->origin->key));
}

/* Who invents streams may invent authors too. */
static void origin_release(Replica *replica, const Stream *stream)
{
    Origin *origin = stream->origin;
    origin->newest = origin->newest != stream ? origin->newest : NULL;
    origin->streams--;
    if (origin->streams == 0 && !origin->convicted) {
        HASH_DEL(replica->origins, origin);
        mem_free(origin);
    }
}

bool stream_is_too_many(const Replica *replica, const Stream *stream)
{
    return stream->applied == 0 && stream != replica->own &&
           stream->origin->begun >= replica->config.streams_of_origin_max;
}

/* Where as many are known as may be, one that may not exist makes room. On its links it is asked
 * for no more; a WANT of it that waits there becomes a STOP of the new one, and does no harm. */
static Stream *recycle(Replica *replica, const StreamId *id)
{
    size_t looks = replica->streams_count < RECYCLE_LOOKS ? replica->streams_count : RECYCLE_LOOKS;
    for (size_t n = 0; n < looks; n++) {
        Stream *stream = replica->streams[replica->recycle_turn++ % replica->streams_count];
        if (!may_be_recycled(replica, stream)) {
            continue;
        }
        if (stream->behind) {
            DL_DELETE(replica->behind, stream);
        }
        for (size_t i = 0; i < replica->links_cap; i++) {
            ReplicaLink *link = &replica->links[i];
            if (stream->index < link->streams_cap) {
                LinkStream *on_link = &link->streams[stream->index];
                *on_link = (LinkStream){.ready = on_link->ready, .to_say = on_link->to_say};
            }
        }
        HASH_DEL(replica->by_id, stream);
        origin_release(replica, stream);
        size_t index = stream->index;
        stream_free(stream);
        stream = mem_new(Stream);
        stream->id = *id;
        stream->index = index;
        replica->streams[index] = stream;
        return stream;
    }
    return NULL;
}

static Stream *add(Replica *replica, const StreamId *id)
{
    if (replica->streams_count == replica->streams_cap) {
        replica->streams_cap = replica->streams_cap > 0 ? replica->streams_cap * 2 : 16;
        replica->streams = mem_resize(replica->streams, replica->streams_cap, sizeof(Stream *));
    }
    Stream *stream = mem_new(Stream);
    stream->id = *id;
    stream->index = replica->streams_count;
    replica->streams[replica->streams_count++] = stream;
    return stream;
}

Stream *stream_get(Replica *replica, const StreamId *id)
{
    Stream *stream = stream_find(replica, id);
    if (stream != NULL) {
        return stream;
    }
    if (replica->streams_count < replica->config.streams_max) {
        stream = add(replica, id);
    } else {
        stream = recycle(replica, id);
    }
    if (stream != NULL) {
        stream->upstream = NO_LINK;
        stream->origin = origin_get(replica, id->origin);
        stream->origin->streams++;
        HASH_ADD(hh, replica->by_id, id, sizeof(stream->id), stream);
        members_judge(replica, stream);
    }
    return stream;
}

LinkStream *link_stream(ReplicaLink *link, const Stream *stream)
{
    if (stream->index >= link->streams_cap) {
        size_t cap = link->streams_cap > 0 ? link->streams_cap : 16;
        while (cap <= stream->index) {
            cap *= 2;
        }
        link->streams = mem_resize(link->streams, cap, sizeof(LinkStream));
        memset(link->streams + link->streams_cap, 0,
               (cap - link->streams_cap) * sizeof(LinkStream));
        link->streams_cap = cap;
    }
    return &link->streams[stream->index];
}

/* Mixes a head into the root: SplitMix64's finisher over words that differ for each head. Equal
 * sets of heads have equal sums; it is a hint, and no proof of anything. */
static uint64_t head_sum(const StreamId *id, uint64_t hi, const EventHash *hash)
{
    uint64_t word = 0;
    memcpy(&word, hash->bytes, sizeof(word));
    uint64_t sum = hi ^ word;
    for (size_t i = 0; i <= EVENT_KEY_BYTES; i += sizeof(word)) {
        if (i < EVENT_KEY_BYTES) {
            memcpy(&word, id->origin + i, sizeof(word));
        } else {
            word = id->epoch;
        }
        sum = (sum ^ word) * UINT64_C(0xbf58476d1ce4e5b9);
        sum = (sum ^ (sum >> 27)) * UINT64_C(0x94d049bb133111eb);
        sum ^= sum >> 31;
    }
    return sum;
}

static uint64_t stream_sum(const Stream *stream)
{
    return stream->durable > 0 ? head_sum(&stream->id, stream->durable, &stream->durable_hash) : 0;
}

bool origin_is_proven(const Origin *origin)
{
    return origin->convicted && !origin->limited;
}

/* How far each node came with an author of two histories may differ for ever: what counts is that
 * all know. But where its streams were cut, all hold the history that the cut names. */
static uint64_t origin_sum(const Replica *replica, const Origin *origin)
{
    static const EventHash none;
    StreamId all = {.epoch = 0}; /* no stream has this epoch */
    if (origin_is_proven(origin)) {
        memcpy(all.origin, origin->key, EVENT_KEY_BYTES);
        return head_sum(&all, 1, &none);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < replica->streams_count; i++) {
        const Stream *stream = replica->streams[i];
        sum += stream->origin == origin ? stream_sum(stream) : 0;
    }
    return sum;
}

void origin_convict(Replica *replica, Origin *origin)
{
    replica->root -= origin_sum(replica, origin);
    origin->convicted = true;
    replica->root += origin_sum(replica, origin);
}

void origin_limit(Replica *replica, Origin *origin, bool limited)
{
    if (origin->limited == limited) {
        return;
    }
    if (!origin->convicted) {
        origin->limited = limited; /* and the root is what it was */
        return;
    }
    replica->root -= origin_sum(replica, origin);
    origin->limited = limited;
    replica->root += origin_sum(replica, origin);
    for (size_t i = 0; i < replica->links_cap && !limited; i++) {
        replica->links[i].proofs_told = 0; /* the one against it was left out */
        replica->links[i].news = true;
    }
}

static void set_durable(Replica *replica, Stream *stream, uint64_t hi, const EventHash *hash)
{
    bool counts = !origin_is_proven(stream->origin);
    replica->root -= counts ? stream_sum(stream) : 0;
    stream->durable = hi;
    stream->durable_hash = *hash;
    replica->root += counts ? stream_sum(stream) : 0;
}

void stream_set_durable(Replica *replica, Stream *stream, uint64_t hi, const EventHash *hash)
{
    if (hi <= stream->durable) {
        return;
    }
    set_durable(replica, stream, hi, hash);
    stream->news = true;
    replica->news = true;
}

LogEvent *stream_window_at(const Stream *stream, uint64_t seq)
{
    if (seq > stream->applied || seq + stream->window_count <= stream->applied) {
        return NULL;
    }
    size_t back = (size_t)(stream->applied - seq);
    size_t at = stream->window_start + stream->window_count - 1 - back;
    return stream->window[at % stream->window_cap];
}

static void window_drop_first(Replica *replica, Stream *stream)
{
    LogEvent *first = stream->window[stream->window_start];
    stream->window_bytes -= frame_event_bytes(first);
    replica->windows_bytes -= frame_event_bytes(first);
    event_unref(first);
    stream->window_start = (stream->window_start + 1) % stream->window_cap;
    stream->window_count--;
}

static void window_drop_last(Replica *replica, Stream *stream)
{
    size_t at = (stream->window_start + --stream->window_count) % stream->window_cap;
    LogEvent *last = stream->window[at];
    stream->window_bytes -= frame_event_bytes(last);
    replica->windows_bytes -= frame_event_bytes(last);
    event_unref(last);
}

void stream_lower(Replica *replica, Stream *stream, uint64_t hi, const EventHash *hash)
{
    while (stream->window_count > 0 && stream->applied > hi) {
        window_drop_last(replica, stream);
        stream->applied--;
    }
    if (stream->applied >= hi) {
        stream->applied = hi;
        stream->last_hash = *hash;
    }
    if (stream->durable > hi) {
        set_durable(replica, stream, hi, hash);
    }
}

/* What is not durable yet can be had from nowhere else. */
static bool window_may_drop(const Stream *stream)
{
    return stream->window_count > 0 &&
           stream->window[stream->window_start]->fields.seq <= stream->durable;
}

static void window_grow(Stream *stream)
{
    size_t cap = stream->window_cap > 0 ? stream->window_cap * 2 : 8;
    LogEvent **window = mem_array(cap, sizeof(LogEvent *));
    for (size_t i = 0; i < stream->window_count; i++) {
        assert(stream->window_cap > 0);
        window[i] = stream->window[(stream->window_start + i) % stream->window_cap];
    }
    mem_free(stream->window);
    stream->window = window;
    stream->window_cap = cap;
    stream->window_start = 0;
}

static void window_add(Replica *replica, Stream *stream, LogEvent *event)
{
    size_t bytes = frame_event_bytes(event);
    while (window_may_drop(stream) && (stream->window_count >= REPLICA_WINDOW_EVENTS ||
                                       stream->window_bytes + bytes > REPLICA_WINDOW_BYTES)) {
        window_drop_first(replica, stream);
    }
    if (stream->window_count == stream->window_cap) {
        window_grow(stream);
    }
    size_t at = (stream->window_start + stream->window_count) % stream->window_cap;
    stream->window[at] = event_ref(event);
    stream->window_count++;
    stream->window_bytes += bytes;
    replica->windows_bytes += bytes;
}

/* Stream after stream gives up what the store holds too, until the rest is little enough. */
void windows_trim(Replica *replica)
{
    for (size_t n = 0;
         n < replica->streams_count && replica->windows_bytes > replica->config.windows_bytes;
         n++) {
        Stream *stream = replica->streams[replica->windows_turn++ % replica->streams_count];
        while (window_may_drop(stream)) {
            window_drop_first(replica, stream);
        }
        if (stream->window_count == 0) {
            mem_free(TAKE(stream->window));
            stream->window_cap = 0;
            stream->window_start = 0;
        }
    }
}

Batch *stream_store(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link)
{
    Replica *replica = step->replica;
    Batch *batch = mem_new(Batch);
    batch->ticket = ++replica->tickets;
    batch->given_ms = step->input->mono_ms;
    batch->link = link;
    batch->link_life = link != NO_LINK ? replica->links[link].life : 0;
    batch->stream = stream->id;
    batch->hi = events[count - 1]->fields.seq;
    batch->hi_hash = events[count - 1]->hash;
    for (size_t i = 0; i < count; i++) {
        batch->bytes += frame_event_bytes(events[i]);
    }
    replica->storing_bytes += batch->bytes;
    if (replica->batches == NULL) {
        replica->batches = batch;
    } else {
        replica->last_batch->next = batch;
    }
    replica->last_batch = batch;
    ReplicaOutput *output = rstep_add(step, REPLICA_STORE);
    rstep_events(output, events, count);
    output->ticket = batch->ticket;
    return batch;
}

void stream_advance(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link)
{
    for (size_t i = 0; i < count; i++) {
        window_add(step->replica, stream, events[i]);
        stream->applied = events[i]->fields.seq;
        stream->last_hash = events[i]->hash;
        hlc_observe(&step->replica->clock, events[i]->fields.hlc, step->input->wall_ms);
    }
    stream_note_newest(stream);
    step->replica->stats.events_applied += count;
    ReplicaOutput *output = rstep_add(step, REPLICA_APPLY);
    output->link = link;
    rstep_events(output, events, count);
    send_wake_stream(step->replica, stream);
}

void stream_tell_all(RStep *step)
{
    step->replica->have_at_ms = step->input->mono_ms;
    step->replica->news_for_all = true;
    if (step->replica->config.frugal && step->replica->border_at_ms == 0) {
        step->replica->border_at_ms = step->input->mono_ms + BORDER_WAIT_MS;
    }
}

void stream_apply(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link)
{
    bool first = stream->applied == 0;
    stream->origin->begun += first;
    stream_advance(step, stream, events, count, link);
    (void)stream_store(step, stream, events, count, link);
    pull_progress(step, stream);
    if (first) {
        stream_tell_all(step);
    }
}
