/* The replica's door, its streams, and what this node itself says. */
#include "core/replica_state.h"

#include <stdio.h>
#include <string.h>

enum { EPOCH_RANDOM_BITS = 16, EPOCH_RANDOM_MASK = 0xffff };

/* ---- outputs ---- */

ReplicaOutput *rstep_add(RStep *step, ReplicaOutputKind kind)
{
    ReplicaOutputs *outputs = step->outputs;
    if (outputs->count == outputs->cap) {
        outputs->cap = outputs->cap > 0 ? outputs->cap * 2 : 16;
        outputs->items = mem_resize(outputs->items, outputs->cap, sizeof(ReplicaOutput));
    }
    ReplicaOutput *output = &outputs->items[outputs->count++];
    *output = (ReplicaOutput){.kind = kind};
    return output;
}

void replica_outputs_reset(ReplicaOutputs *outputs)
{
    for (size_t i = 0; i < outputs->count; i++) {
        ReplicaOutput *output = &outputs->items[i];
        for (size_t j = 0; j < output->events_count; j++) {
            event_unref(output->events[j]);
        }
        mem_free(output->events);
        bytes_unref(output->frame);
        mem_free(output->reason);
        mem_free(output->hello);
        mem_free(output->presences);
    }
    outputs->count = 0;
    outputs->wake_at_ms = 0;
}

void replica_outputs_done(ReplicaOutputs *outputs)
{
    replica_outputs_reset(outputs);
    mem_free(TAKE(outputs->items));
    outputs->cap = 0;
}

static void output_events(ReplicaOutput *output, LogEvent *const *events, size_t count)
{
    output->events = mem_array(count, sizeof(LogEvent *));
    output->events_count = count;
    for (size_t i = 0; i < count; i++) {
        output->events[i] = event_ref(events[i]);
    }
}

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

/* ---- streams ---- */

Stream *stream_find(const Replica *replica, const StreamId *id)
{
    Stream *stream;
    HASH_FIND(hh, replica->by_id, id, sizeof(*id), stream);
    return stream;
}

static void note_newest(Replica *replica, Stream *stream)
{
    Origin *origin;
    HASH_FIND(hh, replica->origins, stream->id.origin, EVENT_KEY_BYTES, origin);
    if (origin == NULL) {
        origin = mem_new(Origin);
        memcpy(origin->key, stream->id.origin, EVENT_KEY_BYTES);
        HASH_ADD(hh, replica->origins, key, EVENT_KEY_BYTES, origin);
    }
    if (origin->newest == NULL || origin->newest->id.epoch < stream->id.epoch) {
        origin->newest = stream;
    }
}

bool stream_is_newest(const Replica *replica, const Stream *stream)
{
    Origin *origin;
    HASH_FIND(hh, replica->origins, stream->id.origin, EVENT_KEY_BYTES, origin);
    return origin != NULL && origin->newest == stream;
}

Stream *stream_get(Replica *replica, const StreamId *id)
{
    Stream *stream = stream_find(replica, id);
    if (stream != NULL || replica->streams_count == REPLICA_STREAMS_MAX) {
        return stream;
    }
    if (replica->streams_count == replica->streams_cap) {
        replica->streams_cap = replica->streams_cap > 0 ? replica->streams_cap * 2 : 16;
        replica->streams = mem_resize(replica->streams, replica->streams_cap, sizeof(Stream *));
    }
    stream = mem_new(Stream);
    stream->id = *id;
    stream->index = replica->streams_count;
    stream->upstream = NO_LINK;
    replica->streams[replica->streams_count++] = stream;
    HASH_ADD(hh, replica->by_id, id, sizeof(stream->id), stream);
    note_newest(replica, stream);
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
static uint64_t head_sum(const StreamId *id, uint64_t hi)
{
    uint64_t sum = hi;
    uint64_t word = 0;
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

void stream_set_durable(Replica *replica, Stream *stream, uint64_t hi)
{
    if (hi <= stream->durable) {
        return;
    }
    if (stream->durable > 0) {
        replica->root -= head_sum(&stream->id, stream->durable);
    }
    replica->root += head_sum(&stream->id, hi);
    stream->durable = hi;
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

static void window_drop_oldest(Stream *stream)
{
    LogEvent *oldest = stream->window[stream->window_start];
    stream->window_bytes -= frame_event_bytes(oldest);
    event_unref(oldest);
    stream->window_start = (stream->window_start + 1) % stream->window_cap;
    stream->window_count--;
}

static void window_add(Stream *stream, LogEvent *event)
{
    if (stream->window_count == stream->window_cap && stream->window_cap < REPLICA_WINDOW_EVENTS) {
        size_t cap = stream->window_cap > 0 ? stream->window_cap * 2 : 8;
        LogEvent **window = mem_array(cap, sizeof(LogEvent *));
        for (size_t i = 0; i < stream->window_count; i++) {
            window[i] = stream->window[(stream->window_start + i) % stream->window_cap];
        }
        mem_free(stream->window);
        stream->window = window;
        stream->window_cap = cap;
        stream->window_start = 0;
    }
    size_t bytes = frame_event_bytes(event);
    while (stream->window_count == stream->window_cap ||
           (stream->window_count > 0 && stream->window_bytes + bytes > REPLICA_WINDOW_BYTES)) {
        window_drop_oldest(stream);
    }
    stream->window_bytes += bytes;
    size_t at = (stream->window_start + stream->window_count) % stream->window_cap;
    stream->window[at] = event_ref(event);
    stream->window_count++;
}

static void store(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link,
                  bool own)
{
    Replica *replica = step->replica;
    Batch *batch = mem_new(Batch);
    batch->ticket = ++replica->tickets;
    batch->link = link;
    batch->link_life = link != NO_LINK ? replica->links[link].life : 0;
    batch->stream = stream->id;
    batch->hi = events[count - 1]->fields.seq;
    batch->own = own;
    for (size_t i = 0; i < count; i++) {
        batch->bytes += frame_event_bytes(events[i]);
    }
    if (replica->batches == NULL) {
        replica->batches = batch;
    } else {
        replica->last_batch->next = batch;
    }
    replica->last_batch = batch;
    ReplicaOutput *output = rstep_add(step, REPLICA_STORE);
    output_events(output, events, count);
    output->ticket = batch->ticket;
}

static void advance(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link)
{
    for (size_t i = 0; i < count; i++) {
        window_add(stream, events[i]);
        stream->applied = events[i]->fields.seq;
        stream->last_hash = events[i]->hash;
        hlc_observe(&step->replica->clock, events[i]->fields.hlc, step->input->wall_ms);
    }
    step->replica->stats.events_applied += count;
    ReplicaOutput *output = rstep_add(step, REPLICA_APPLY);
    output->link = link;
    output_events(output, events, count);
    send_wake_stream(step->replica, stream);
}

/* Nobody may know it yet: all are told, and at once. */
static void tell_of_new_stream(RStep *step)
{
    step->replica->have_at_ms = step->input->mono_ms;
    step->replica->news_for_all = true;
}

void stream_apply(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link)
{
    bool first = stream->applied == 0;
    advance(step, stream, events, count, link);
    store(step, stream, events, count, link, false);
    pull_progress(step, stream);
    if (first) {
        tell_of_new_stream(step);
    }
}

/* ---- what this node says ---- */

/* Signs and stores what has been said since the last group. One at a time: while it is written,
 * what is said meanwhile becomes the next. */
static void own_store_group(RStep *step)
{
    Replica *replica = step->replica;
    if (replica->storing_own || replica->group_count == 0) {
        return;
    }
    size_t count = 0;
    size_t bytes = 0;
    while (count < replica->group_count && count < EVENT_GROUP_MAX &&
           bytes + frame_event_bytes(replica->group[count]) <= EVENT_GROUP_MAX_BYTES) {
        bytes += frame_event_bytes(replica->group[count++]);
    }
    event_sign(replica->group[count - 1], &replica->config.signer);
    store(step, replica->own, replica->group, count, NO_LINK, true);
    replica->storing_own = true;
    replica->storing = mem_array(count, sizeof(LogEvent *));
    replica->storing_count = count;
    memcpy(replica->storing, replica->group, count * sizeof(LogEvent *));
    replica->group_count -= count;
    memmove(replica->group, replica->group + count, replica->group_count * sizeof(LogEvent *));
}

static void own_stored(RStep *step)
{
    Replica *replica = step->replica;
    Stream *own = replica->own;
    bool first = own->applied == 0;
    advance(step, own, replica->storing, replica->storing_count, NO_LINK);
    stream_set_durable(replica, own, own->applied);
    for (size_t i = 0; i < replica->storing_count; i++) {
        event_unref(replica->storing[i]);
    }
    mem_free(TAKE(replica->storing));
    replica->storing_count = 0;
    replica->storing_own = false;
    if (first) {
        tell_of_new_stream(step);
    }
    own_store_group(step);
}

static void say(RStep *step)
{
    Replica *replica = step->replica;
    EventFields fields = *step->input->fields;
    if (replica->own == NULL) {
        StreamId id = {.epoch = replica->config.epoch};
        memcpy(id.origin, replica->config.signer.public_key, EVENT_KEY_BYTES);
        replica->own = stream_get(replica, &id);
    }
    fields.network = replica->config.network;
    fields.stream = replica->own->id;
    fields.seq = ++replica->said;
    fields.prev_hash = replica->said_hash;
    fields.hlc = hlc_now(&replica->clock, step->input->wall_ms);
    LogEvent *event = event_new(&fields);
    replica->said_hash = event->hash;
    if (replica->group_count == replica->group_cap) {
        replica->group_cap = replica->group_cap > 0 ? replica->group_cap * 2 : 16;
        replica->group = mem_resize(replica->group, replica->group_cap, sizeof(LogEvent *));
    }
    replica->group[replica->group_count++] = event;
    own_store_group(step);
}

static void stored(RStep *step)
{
    Replica *replica = step->replica;
    while (replica->batches != NULL && replica->batches->ticket <= step->input->ticket) {
        Batch *batch = replica->batches;
        replica->batches = batch->next;
        if (batch->own) {
            own_stored(step);
        } else {
            stream_set_durable(replica, stream_find(replica, &batch->stream), batch->hi);
        }
        if (batch->link != NO_LINK && batch->link_life == replica->links[batch->link].life) {
            ReplicaLink *link = &replica->links[batch->link];
            link->credit_owed += batch->bytes;
            link->news = link->news || link->credit_owed >= CREDIT_RETURN_BYTES;
        }
        mem_free(batch);
    }
}

/* ---- life ---- */

uint64_t replica_next_epoch(uint64_t stored, int64_t wall_ms, uint64_t random)
{
    uint64_t stored_ms = stored >> EPOCH_RANDOM_BITS;
    uint64_t ms = (uint64_t)wall_ms;
    if (stored_ms >= ms) {
        ms = stored_ms + 1 + (random >> EPOCH_RANDOM_BITS & EPOCH_RANDOM_MASK);
    }
    return ms << EPOCH_RANDOM_BITS | (random & EPOCH_RANDOM_MASK);
}

Replica *replica_new(const ReplicaConfig *config, const StreamHead *heads, size_t heads_count)
{
    Replica *replica = mem_new(Replica);
    replica->config = *config;
    ReplicaConfig *own = &replica->config;
    own->have_interval_ms =
        config->have_interval_ms > 0 ? config->have_interval_ms : HAVE_INTERVAL_MS;
    own->have_fanout = config->have_fanout > 0 ? config->have_fanout : HAVE_FANOUT;
    own->verify = config->verify != NULL ? config->verify : event_signature_is_good;
    snprintf(replica->name, sizeof(replica->name), "%s", config->name != NULL ? config->name : "");
    own->name = NULL;
    for (size_t i = 0; i < heads_count; i++) {
        Stream *stream = stream_get(replica, &heads[i].stream);
        stream->applied = heads[i].hi;
        stream->last_hash = heads[i].last_hash;
        stream_set_durable(replica, stream, heads[i].hi);
        stream->news = false;
    }
    replica->news = false;
    return replica;
}

void replica_free(Replica *replica)
{
    if (replica == NULL) {
        return;
    }
    for (size_t i = 0; i < replica->streams_count; i++) {
        Stream *stream = replica->streams[i];
        for (size_t j = 0; j < stream->window_count; j++) {
            event_unref(stream->window[(stream->window_start + j) % stream->window_cap]);
        }
        HASH_DEL(replica->by_id, stream);
        mem_free(stream->window);
        mem_free(stream);
    }
    for (size_t i = 0; i < replica->group_count; i++) {
        event_unref(replica->group[i]);
    }
    for (size_t i = 0; i < replica->storing_count; i++) {
        event_unref(replica->storing[i]);
    }
    for (size_t i = 0; i < replica->links_cap; i++) {
        link_clear(&replica->links[i]);
    }
    mem_free(replica->links);
    Origin *origin;
    Origin *next;
    HASH_ITER(hh, replica->origins, origin, next) {
        HASH_DEL(replica->origins, origin);
        mem_free(origin);
    }
    while (replica->batches != NULL) {
        Batch *batch = replica->batches;
        replica->batches = batch->next;
        mem_free(batch);
    }
    mem_free(replica->group);
    mem_free(replica->storing);
    mem_free(replica->streams);
    event_signer_done(&replica->config.signer);
    mem_free(replica);
}

void link_drop(RStep *step, size_t link, const char *reason)
{
    receive_link_down(step, link);
    ReplicaOutput *output = rstep_add(step, REPLICA_DROP);
    output->link = link;
    output->reason = mem_copy_string(reason);
}

void replica_step(Replica *replica, const ReplicaInput *input, ReplicaOutputs *outputs)
{
    RStep step = {.replica = replica, .input = input, .outputs = outputs};
    switch (input->kind) {
    case REPLICA_SAY:
        say(&step);
        break;
    case REPLICA_STORED:
        stored(&step);
        break;
    case REPLICA_READ_DONE:
        send_read_done(&step);
        break;
    case REPLICA_LINK_UP:
        receive_link_up(&step, input->link);
        break;
    case REPLICA_LINK_DOWN:
        receive_link_down(&step, input->link);
        break;
    case REPLICA_FRAME:
        receive_frame(&step, input->link);
        break;
    case REPLICA_SENT:
        replica->links[input->link].in_flight = false;
        break;
    case REPLICA_TELL:
        send_tell(&step);
        break;
    case REPLICA_RENAME:
        snprintf(replica->name, sizeof(replica->name), "%s", input->name);
        break;
    case REPLICA_TIMER:
        break;
    }
    pull_timer(&step);
    send_pump_all(&step);
    outputs->wake_at_ms = pull_wake_at(replica);
}

/* ---- questions ---- */

uint64_t replica_applied(const Replica *replica, const StreamId *stream)
{
    const Stream *found = stream_find(replica, stream);
    return found != NULL ? found->applied : 0;
}

uint64_t replica_durable(const Replica *replica, const StreamId *stream)
{
    const Stream *found = stream_find(replica, stream);
    return found != NULL ? found->durable : 0;
}

size_t replica_kept_by(const Replica *replica, const StreamId *stream, uint64_t seq)
{
    size_t count = 0;
    for (size_t i = 0; i < replica->links_cap; i++) {
        count += replica_link_holds(replica, i, stream, seq);
    }
    return count;
}

static uint64_t lacks(uint64_t has, uint64_t asks)
{
    return asks > has ? asks - has : 0;
}

void replica_link(const Replica *replica, size_t link, uint64_t mono_ms, ReplicaLinkView *ret_view)
{
    *ret_view = (ReplicaLinkView){.greeted = false};
    const ReplicaLink *on = link < replica->links_cap ? &replica->links[link] : NULL;
    if (on == NULL || !on->up || !on->greeted) {
        return;
    }
    ret_view->greeted = true;
    ret_view->rtt_ms = on->rtt_ms;
    ret_view->rtt_known = on->rtt_known;
    ret_view->events_per_s = mono_ms < on->rate_from_ms + 2 * RATE_WINDOW_MS ? on->events_per_s : 0;
    for (size_t i = 0; i < replica->streams_count; i++) {
        const Stream *stream = replica->streams[i];
        uint64_t peer_hi = i < on->streams_cap ? on->streams[i].peer_hi : 0;
        ret_view->peer_lacks += lacks(peer_hi, stream->durable);
        ret_view->here_lacks += lacks(stream->applied, peer_hi);
    }
}

bool replica_link_holds(const Replica *replica, size_t link, const StreamId *stream, uint64_t seq)
{
    const Stream *found = stream_find(replica, stream);
    const ReplicaLink *on = link < replica->links_cap ? &replica->links[link] : NULL;
    return found != NULL && on != NULL && on->up && found->index < on->streams_cap &&
           on->streams[found->index].peer_hi >= seq;
}

void replica_own(const Replica *replica, StreamId *ret_stream)
{
    memcpy(ret_stream->origin, replica->config.signer.public_key, EVENT_KEY_BYTES);
    ret_stream->epoch = replica->own != NULL ? replica->own->id.epoch : replica->config.epoch;
}

uint64_t replica_said(const Replica *replica)
{
    return replica->said;
}

const StreamId *replica_stream_at(const Replica *replica, size_t index)
{
    return index < replica->streams_count ? &replica->streams[index]->id : NULL;
}

uint64_t replica_root(const Replica *replica)
{
    return replica->root;
}

size_t replica_streams_count(const Replica *replica)
{
    return replica->streams_count;
}

ReplicaStats replica_stats(const Replica *replica)
{
    return replica->stats;
}

uint64_t replica_behind(const Replica *replica)
{
    uint64_t missing = 0;
    for (const Stream *stream = replica->behind; stream != NULL; stream = stream->next) {
        missing += stream->target - stream->applied;
    }
    return missing;
}
