/* The log inside the core: the replica, and the fold behind it.
 *
 *   log_say --> replica --> ACTION_STORE ... EVENT_STORED --> APPLY --+
 *   EVENT_FRAME --> replica --> APPLY --------------------------------+--> fold --> lines_shown */
#include "core/core_state.h"

#include <string.h>
#include <utlist.h>

/* ---- what the replica asks for ---- */

static bool is_own_stream(const Core *core, const StreamId *stream)
{
    StreamId own;
    replica_own(core->replica, &own);
    return stream_id_compare(&own, stream) == 0;
}

static void store_events(Step *step, ReplicaOutput *output)
{
    Action *action = step_add(step, ACTION_STORE);
    action->ticket = output->ticket;
    action->own = is_own_stream(step->core, &output->events[0]->fields.stream);
    action->events_count = output->events_count;
    action->events = TAKE(output->events);
    output->events_count = 0;
}

/* Before it is known in which rooms this node's person is, nobody can say what is for them. A disk
 * that writes and does not answer is waited for until as much waits here as may wait in the
 * fold. */
static void show(Step *step, FoldOut *out)
{
    if (step->core->rooms_asked && out->count < FOLD_WAITING_MAX) {
        return;
    }
    for (size_t i = 0; i < out->count; i++) {
        lines_shown(step, &out->items[i]);
    }
    fold_out_reset(out);
}

/* What a step of the fold has said. */
static void release(Step *step, FoldOut *out)
{
    step->core->fold_wake_ms = out->wake_at_ms;
    show(step, out);
}

void log_rooms_known(Step *step)
{
    step->core->rooms_asked = false;
    show(step, &step->core->fold_out);
}

void log_cut(Step *step, const StreamId *stream)
{
    Core *core = step->core;
    uint64_t hi = core->members != NULL ? members_cut(core->members, stream, NULL) : UINT64_MAX;
    fold_cut(core->fold, stream, hi, step->event->mono_ms, step->event->wall_ms, &core->fold_out);
    release(step, &core->fold_out);
}

/* Own lines are due whatever the clock has done since they were stamped. */
static void apply_events(Step *step, const ReplicaOutput *output)
{
    Core *core = step->core;
    int64_t wall_ms = step->event->wall_ms;
    if (output->link == REPLICA_LINKS_MAX) {
        int64_t stamp_ms = hlc_time_ms(output->events[output->events_count - 1]->fields.hlc);
        wall_ms = stamp_ms > wall_ms ? stamp_ms : wall_ms;
    }
    network_applied(step, output->events, output->events_count);
    if (output->link != REPLICA_LINKS_MAX) {
        sync_applied(step, output->events, output->events_count);
    }
    sealed_apply(core, output->events, output->events_count);
    fold_apply(core->fold, output->events, output->events_count, output->link, step->event->mono_ms,
               wall_ms, &core->fold_out);
    release(step, &core->fold_out);
}

/* It comes again with each proof; one telling is enough. */
static void tell_frozen(Step *step, const LogEvent *event)
{
    char place[40];
    message_place_text(&event->fields.stream, event->fields.seq, place, sizeof(place));
    if (strcmp(step->core->frozen_told, place) == 0) {
        return;
    }
    memcpy(step->core->frozen_told, place, sizeof(place));
    network_witness_later(step); /* whom it has let in may not be known to all */
    if (memcmp(event->fields.stream.origin, step->core->key, EVENT_KEY_BYTES) == 0) {
        step_notice(step, NOTICE_WARNING,
                    "this node's key has signed two different events for one place (%s): a copy of "
                    "its data directory, or of this machine, is running. What was said here lately "
                    "may be missing at others; what is said from now on is not. End the copy, or, "
                    "if it is not yours, have this node removed and join with a new data directory",
                    place);
        return;
    }
    step_notice(step, NOTICE_WARNING,
                "the node at which %.*s wrote has signed two different events for one place (%s): "
                "nothing more of that stream is taken",
                (int)event->fields.sender_len, event->fields.sender, place);
}

static void log_output(Step *step, ReplicaOutput *output)
{
    Action *action;
    switch (output->kind) {
    case REPLICA_STORE:
        store_events(step, output);
        return;
    case REPLICA_READ:
        action = step_add(step, ACTION_READ);
        action->mesh = output->link;
        action->stream = output->stream;
        action->from = output->from;
        return;
    case REPLICA_SEND:
        action = step_add(step, ACTION_FRAME);
        action->mesh = output->link;
        action->frame = TAKE(output->frame);
        return;
    case REPLICA_DROP:
        mesh_dropped(step, output->link, output->reason);
        return;
    case REPLICA_APPLY:
        apply_events(step, output);
        return;
    case REPLICA_FROZEN:
        tell_frozen(step, output->events[0]);
        return;
    case REPLICA_CUT:
        action = step_add(step, ACTION_CUT);
        action->stream = output->stream;
        action->from = output->from;
        if (core_keyring(step->core) != NULL) {
            keyring_cut(step->core->keyring, &output->stream, output->from);
        }
        if (step->core->members != NULL) {
            members_cut_events(step->core->members, &output->stream, output->from);
        }
        log_cut(step, &output->stream);
        if (memcmp(output->stream.origin, step->core->key, EVENT_KEY_BYTES) == 0) {
            log_cut_pending(step, &output->stream, output->from);
        }
        return;
    case REPLICA_GREETED:
        mesh_greeted(step, output->link, output->hello);
        return;
    case REPLICA_HEARD:
        mesh_heard(step, output->link, output->presences, output->presences_count);
        return;
    }
}

void log_input(Step *step, ReplicaInput input)
{
    Core *core = step->core;
    /* The memory of the last time; where this is called from within itself, some of its own. */
    ReplicaOutputs outputs = core->replica_outputs;
    core->replica_outputs = (ReplicaOutputs){0};
    input.mono_ms = step->event->mono_ms;
    input.wall_ms = step->event->wall_ms;
    input.random = step->event->random;
    replica_step(core->replica, &input, &outputs);
    core->replica_wake_ms = outputs.wake_at_ms;
    /* What is durable goes out to others first, and to this node's own screen then: they have the
     * longer way. */
    bool sends_first = input.kind == REPLICA_STORED;
    for (size_t i = 0; i < outputs.count && sends_first; i++) {
        if (outputs.items[i].kind == REPLICA_SEND) {
            log_output(step, &outputs.items[i]);
        }
    }
    for (size_t i = 0; i < outputs.count; i++) {
        if (!sends_first || outputs.items[i].kind != REPLICA_SEND) {
            log_output(step, &outputs.items[i]);
        }
    }
    replica_outputs_reset(&outputs);
    replica_outputs_done(&core->replica_outputs);
    core->replica_outputs = outputs;
}

void log_timer(Step *step)
{
    Core *core = step->core;
    log_input(step, (ReplicaInput){.kind = REPLICA_TIMER});
    fold_timer(core->fold, step->event->mono_ms, step->event->wall_ms, &core->fold_out);
    release(step, &core->fold_out);
}

void log_show_all(Step *step)
{
    Core *core = step->core;
    core->rooms_asked = false; /* nothing waits any more */
    fold_give_up(core->fold, step->event->mono_ms, step->event->wall_ms, &core->fold_out);
    release(step, &core->fold_out);
}

/* ---- the store's state ---- */

void log_store_state(Step *step)
{
    Core *core = step->core;
    const char *text = step->event->text;
    bool was_bad = core->store_reason != NULL;
    mem_free(TAKE(core->store_reason));
    if (text != NULL) {
        core->store_reason = mem_copy_string(text);
        log_reject_pending(step, text);
    }
    if (text != NULL && !was_bad) {
        step_notice(step, NOTICE_ERROR,
                    "%s. What others say is still shown and passed on; new lines are refused until "
                    "there is room",
                    text);
    } else if (text == NULL && was_bad) {
        step_notice(step, NOTICE_INFO, "the disk takes writes again");
    }
}

/* ---- how far own lines are ---- */

/* It was linked with this node once, and is not now: away, or on its way back; not removed. */
static bool is_missed(const Core *core, const Link *link)
{
    static const uint8_t no_key[EVENT_KEY_BYTES];
    return link_counts(link) && !link->classic &&
           memcmp(link->peer_key, no_key, EVENT_KEY_BYTES) != 0 &&
           network_counts(core, link->peer_key) && !mesh_is_linked(core, link->peer_key);
}

/* Those nodes that are there, and those that have been: of our kind only. */
Kept log_kept(const Core *core, const StreamId *stream, uint64_t seq)
{
    Kept kept = {0};
    for (size_t i = 0; i < core->mesh_count; i++) {
        if (core->mesh[i].up && core->mesh[i].greeted) {
            kept.known++;
            kept.by += replica_link_holds(core->replica, i, stream, seq);
        }
    }
    for (size_t i = 0; i < core->links_count; i++) {
        kept.known += is_missed(core, &core->links[i]);
    }
    return kept;
}

void log_check_kept(Step *step)
{
    Core *core = step->core;
    if (core->kept_message == NULL) {
        return;
    }
    Kept kept = log_kept(core, &core->kept_stream, core->kept_seq);
    if (kept.by == core->kept.by && kept.known == core->kept.known) {
        return;
    }
    core->kept = kept;
    Action *action = step_add(step, ACTION_KEPT);
    action->message = message_ref(core->kept_message);
    action->kept = kept;
    if (kept.known > 0 && kept.by == kept.known) {
        message_unref(TAKE(core->kept_message)); /* all there is to tell of it */
    }
}
