/* What this node itself says: signed in groups, durable before anybody hears of it. */
#include "core/replica_state.h"

#include <string.h>

enum { EPOCH_RANDOM_BITS = 16, EPOCH_RANDOM_MASK = 0xffff };

uint64_t replica_next_epoch(uint64_t stored, int64_t wall_ms, uint64_t random)
{
    uint64_t stored_ms = stored >> EPOCH_RANDOM_BITS;
    uint64_t ms = (uint64_t)wall_ms;
    if (stored_ms >= ms) {
        ms = stored_ms + 1 + (random >> EPOCH_RANDOM_BITS & EPOCH_RANDOM_MASK);
    }
    return ms << EPOCH_RANDOM_BITS | (random & EPOCH_RANDOM_MASK);
}

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
    replica->group_bytes -= bytes;
    event_sign(replica->group[count - 1], &replica->config.signer);
    stream_store(step, replica->own, replica->group, count, NO_LINK, true);
    replica->storing_own = true;
    replica->storing = mem_array(count, sizeof(LogEvent *));
    replica->storing_count = count;
    memcpy(replica->storing, replica->group, count * sizeof(LogEvent *));
    replica->group_count -= count;
    memmove(replica->group, replica->group + count, replica->group_count * sizeof(LogEvent *));
}

void own_stored(RStep *step)
{
    Replica *replica = step->replica;
    Stream *own = replica->own;
    bool first = own->applied == 0;
    stream_advance(step, own, replica->storing, replica->storing_count, NO_LINK);
    stream_set_durable(replica, own, own->applied, &own->last_hash);
    for (size_t i = 0; i < replica->storing_count; i++) {
        event_unref(replica->storing[i]);
    }
    mem_free(TAKE(replica->storing));
    replica->storing_count = 0;
    replica->storing_own = false;
    if (first) {
        stream_tell_all(step);
    }
    own_store_group(step);
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
    replica->group_bytes += frame_event_bytes(event);
    if (!step->input->more) {
        own_store_group(step);
    }
}

void own_said(RStep *step)
{
    own_store_group(step);
}
