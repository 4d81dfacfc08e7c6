/* What this node itself says: signed in groups, durable before anybody hears of it. */
#include "core/replica_state.h"

#include <string.h>

enum {
    EPOCH_RANDOM_BITS = 16,
    EPOCH_RANDOM_MASK = 0xffff,
    OWN_GROUPS_MAX = 4, /* with the store: one being written, and some for its next commit */
};

uint64_t replica_next_epoch(uint64_t stored, int64_t wall_ms, uint64_t random)
{
    uint64_t stored_ms = stored >> EPOCH_RANDOM_BITS;
    uint64_t ms = (uint64_t)wall_ms;
    if (stored_ms >= ms) {
        ms = stored_ms + 1 + (random >> EPOCH_RANDOM_BITS & EPOCH_RANDOM_MASK);
    }
    return ms << EPOCH_RANDOM_BITS | (random & EPOCH_RANDOM_MASK);
}

/* How many of those that wait make the next group. */
static size_t next_group(const Replica *replica, size_t *ret_bytes)
{
    size_t count = 0;
    size_t bytes = 0;
    while (count < replica->group_count && count < replica->config.group_max &&
           bytes + frame_event_bytes(replica->group[count]) <= EVENT_GROUP_MAX_BYTES) {
        bytes += frame_event_bytes(replica->group[count++]);
    }
    *ret_bytes = bytes;
    return count;
}

/* Signs it, and gives it to the store. */
static void store_group(RStep *step, size_t count)
{
    Replica *replica = step->replica;
    event_sign(replica->group[count - 1], &replica->config.signer);
    Batch *batch = stream_store(step, replica->own, replica->group, count, NO_LINK);
    batch->own = mem_array(count, sizeof(LogEvent *)); /* with the references of the others */
    batch->own_count = count;
    memcpy(batch->own, replica->group, count * sizeof(LogEvent *));
    replica->storing_own++;
    replica->group_count -= count;
    memmove(replica->group, replica->group + count, replica->group_count * sizeof(LogEvent *));
}

/* Signs and stores what has been said since the last group. While one is written, what is said
 * meanwhile becomes the next, which waits: it may grow. One that is full does not wait, so that the
 * store has something to go on with. */
static void own_store_groups(RStep *step)
{
    Replica *replica = step->replica;
    while (replica->group_count > 0 && replica->storing_own < OWN_GROUPS_MAX) {
        bool full = replica->group_count >= replica->config.group_max ||
                    replica->group_bytes > EVENT_GROUP_MAX_BYTES;
        if (replica->storing_own > 0 && !full) {
            return;
        }
        size_t bytes = 0;
        size_t count = next_group(replica, &bytes);
        replica->group_bytes -= bytes;
        store_group(step, count);
    }
}

void own_stored(RStep *step, Batch *batch)
{
    Replica *replica = step->replica;
    if (batch->own_count > 0) { /* all of it may have been cut off meanwhile */
        Stream *stream = stream_find(replica, &batch->stream);
        bool first = stream->applied == 0;
        stream_advance(step, stream, batch->own, batch->own_count, NO_LINK);
        stream_set_durable(replica, stream, stream->applied, &stream->last_hash);
        if (first) {
            stream_tell_all(step);
        }
    }
    own_cut_batch(batch, 0);
    mem_free(TAKE(batch->own));
    replica->storing_own--;
    own_store_groups(step);
}

void own_cut_batch(Batch *batch, uint64_t hi)
{
    while (batch->own_count > 0 && batch->own[batch->own_count - 1]->fields.seq > hi) {
        event_unref(batch->own[--batch->own_count]);
    }
}

void own_end(RStep *step)
{
    Replica *replica = step->replica;
    for (size_t i = 0; i < replica->group_count; i++) {
        event_unref(replica->group[i]);
    }
    replica->group_count = 0;
    replica->group_bytes = 0;
    replica->config.epoch =
        replica_next_epoch(replica->own->id.epoch, step->input->wall_ms, step->input->random);
    replica->own = NULL;
    replica->said = 0;
    replica->said_hash = (EventHash){0};
    event_unref(TAKE(replica->last_said));
}

void own_leave(RStep *step)
{
    Replica *replica = step->replica;
    if (replica->group_count > 0) {
        ReplicaOutput *output = rstep_add(step, REPLICA_CUT);
        output->stream = replica->own->id;
        output->from = replica->said - replica->group_count;
    }
    own_end(step);
}

void own_say(RStep *step)
{
    Replica *replica = step->replica;
    EventFields fields = *step->input->fields;
    if (replica->own == NULL) {
        StreamId id = {.epoch = replica->config.epoch};
        memcpy(id.origin, replica->config.signer.public_key, EVENT_KEY_BYTES);
        replica->config.streams_max++; /* it has a place in any case */
        replica->own = stream_get(replica, &id);
        stream_note_newest(replica->own);
    }
    if (!stream_counts_whole(replica->own)) {
        return; /* revoked: nobody would take it */
    }
    fields.network = replica->config.network;
    fields.stream = replica->own->id;
    fields.seq = ++replica->said;
    fields.prev_hash = replica->said_hash;
    fields.hlc = hlc_now(&replica->clock, step->input->wall_ms);
    LogEvent *event = event_new(&fields);
    replica->said_hash = event->hash;
    event_unref(replica->last_said);
    replica->last_said = event_ref(event);
    if (replica->group_count == replica->group_cap) {
        replica->group_cap = replica->group_cap > 0 ? replica->group_cap * 2 : 16;
        replica->group = mem_resize(replica->group, replica->group_cap, sizeof(LogEvent *));
    }
    replica->group[replica->group_count++] = event;
    replica->group_bytes += frame_event_bytes(event);
    if (!step->input->more) {
        own_store_groups(step);
    }
}

const LogEvent *replica_last_said(const Replica *replica)
{
    return replica->last_said;
}

void own_said(RStep *step)
{
    own_store_groups(step);
}
