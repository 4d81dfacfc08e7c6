/* The replica's door. */
#include "core/replica_state.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

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

void rstep_events(ReplicaOutput *output, LogEvent *const *events, size_t count)
{
    output->events = mem_array(count, sizeof(LogEvent *));
    output->events_count = count;
    for (size_t i = 0; i < count; i++) {
        output->events[i] = event_ref(events[i]);
    }
}

static void give_credit(ReplicaLink *link, const Batch *batch, uint64_t mono_ms)
{
    uint64_t took_ms = mono_ms - batch->given_ms;
    uint64_t bytes = batch->bytes;
    if (took_ms > CREDIT_SLOW_MS &&
        link->credit_kept + bytes <= REPLICA_CREDIT_BYTES - CREDIT_LEAST_BYTES) {
        link->credit_kept += bytes;
        bytes = 0;
    } else if (took_ms < CREDIT_QUICK_MS) {
        uint64_t more = link->credit_kept < bytes ? link->credit_kept : bytes;
        link->credit_kept -= more;
        bytes += more;
    }
    link->credit_owed += bytes;
    link->news = link->news || link->credit_owed >= CREDIT_RETURN_BYTES;
}

static void stored(RStep *step)
{
    Replica *replica = step->replica;
    while (replica->batches != NULL && replica->batches->ticket <= step->input->ticket) {
        Batch *batch = replica->batches;
        replica->batches = batch->next;
        if (batch->own != NULL) {
            own_stored(step, batch);
        } else if (batch->hi > 0) { /* and not of what was cut off meanwhile */
            stream_set_durable(replica, stream_find(replica, &batch->stream), batch->hi,
                               &batch->hi_hash);
        }
        if (batch->link != NO_LINK && batch->link_life == replica->links[batch->link].life) {
            give_credit(&replica->links[batch->link], batch, step->input->mono_ms);
        }
        replica->storing_bytes -= batch->bytes;
        mem_free(batch);
    }
}

/* ---- life ---- */

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
    own->group_max = config->group_max > 0 ? config->group_max : EVENT_GROUP_MAX;
    own->windows_bytes = config->windows_bytes > 0 ? config->windows_bytes : REPLICA_WINDOWS_BYTES;
    own->streams_max = config->streams_max > 0 ? config->streams_max : REPLICA_STREAMS_MAX;
    own->streams_of_origin_max = config->streams_of_origin_max > 0 ? config->streams_of_origin_max
                                                                   : REPLICA_STREAMS_OF_ORIGIN_MAX;
    own->streams_max += heads_count; /* they have a place in any case */
    for (size_t i = 0; i < heads_count; i++) {
        Stream *stream = stream_get(replica, &heads[i].stream);
        assert(stream != NULL);
        stream->applied = heads[i].hi;
        stream->origin->begun++;
        stream->last_hash = heads[i].last_hash;
        stream_note_newest(stream);
        stream_set_durable(replica, stream, heads[i].hi, &heads[i].last_hash);
        stream->news = false;
    }
    replica->news = false;
    replica->members_due = config->cut != NULL;
    return replica;
}

void replica_free(Replica *replica)
{
    if (replica == NULL) {
        return;
    }
    for (size_t i = 0; i < replica->streams_count; i++) {
        HASH_DEL(replica->by_id, replica->streams[i]);
        stream_free(replica->streams[i]);
    }
    for (size_t i = 0; i < replica->group_count; i++) {
        event_unref(replica->group[i]);
    }
    for (size_t i = 0; i < replica->links_cap; i++) {
        link_clear(&replica->links[i]);
    }
    mem_free(replica->links);
    proofs_free(replica);
    Origin *origin;
    Origin *next;
    HASH_ITER(hh, replica->origins, origin, next) {
        HASH_DEL(replica->origins, origin);
        mem_free(origin);
    }
    while (replica->batches != NULL) {
        Batch *batch = replica->batches;
        replica->batches = batch->next;
        for (size_t i = 0; i < batch->own_count; i++) {
            event_unref(batch->own[i]);
        }
        mem_free(batch->own);
        mem_free(batch);
    }
    event_unref(replica->last_said);
    mem_free(replica->group);
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
    if (replica->members_due) { /* what an earlier life has left past its cut */
        members_review(&step);
    }
    switch (input->kind) {
    case REPLICA_SAY:
        own_say(&step);
        break;
    case REPLICA_SAID:
        own_said(&step);
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
    case REPLICA_MEMBERS:
        members_review(&step);
        break;
    case REPLICA_RENAME:
        snprintf(replica->name, sizeof(replica->name), "%s", input->name);
        break;
    case REPLICA_TIMER:
        break;
    }
    pull_timer(&step);
    send_pump_all(&step);
    windows_trim(replica);
    outputs->wake_at_ms = pull_wake_at(replica);
}
