/* What comes from links. */
#include "core/replica_state.h"

#include <stdio.h>
#include <string.h>

static ReplicaLink *link_grow(Replica *replica, size_t link)
{
    if (link >= replica->links_cap) {
        size_t cap = replica->links_cap > 0 ? replica->links_cap : 8;
        while (cap <= link) {
            cap *= 2;
        }
        replica->links = mem_resize(replica->links, cap, sizeof(ReplicaLink));
        memset(replica->links + replica->links_cap, 0,
               (cap - replica->links_cap) * sizeof(ReplicaLink));
        replica->links_cap = cap;
    }
    return &replica->links[link];
}

void link_clear(ReplicaLink *link)
{
    uint32_t life = link->life + 1;
    mem_free(link->streams);
    mem_free(link->presences);
    index_list_done(&link->ready);
    index_list_done(&link->to_say);
    memset(link, 0, sizeof(*link));
    link->life = life;
}

void receive_link_up(RStep *step, size_t index)
{
    ReplicaLink *link = link_grow(step->replica, index);
    link_clear(link);
    link->up = true;
    link->news = true; /* the hello */
    link->credit = REPLICA_CREDIT_BYTES;
}

void receive_link_down(RStep *step, size_t index)
{
    if (index >= step->replica->links_cap || !step->replica->links[index].up) {
        return;
    }
    link_clear(&step->replica->links[index]);
    pull_link_lost(step, index);
}

/* ---- hello ---- */

static bool same_network(const uint8_t *a, const uint8_t *b)
{
    return a == b || (a != NULL && b != NULL && memcmp(a, b, EVENT_NETWORK_BYTES) == 0);
}

/* The peer's own stream comes best from the peer itself. */
static void follow_peer(RStep *step, size_t index, bool in_any_case)
{
    const ReplicaLink *link = &step->replica->links[index];
    StreamId id = {.epoch = link->peer_epoch};
    memcpy(id.origin, link->key, EVENT_KEY_BYTES);
    Stream *stream = stream_get(step->replica, &id);
    if (stream == NULL || stream->upstream == index) {
        return;
    }
    if (in_any_case || pull_hub(step->replica) == NO_LINK) {
        pull_from(step, stream, index);
    } else {
        pull_stream(step, stream);
    }
}

static void receive_hello(RStep *step, size_t index, const FrameHello *hello)
{
    Replica *replica = step->replica;
    ReplicaLink *link = &replica->links[index];
    link->greeted = true;
    link->peer_epoch = hello->epoch;
    memcpy(link->key, hello->key, EVENT_KEY_BYTES);
    ReplicaOutput *output = rstep_add(step, REPLICA_GREETED);
    output->link = index;
    output->hello = mem_alloc(sizeof(*hello));
    *output->hello = *hello;
    output->hello->network = NULL;
    /* Both ends compare the two roots that were said, whatever has come since: so where one finds
     * that nothing need be told, the other does. */
    bool equal = hello->root == (link->hello_sent ? link->hello_root : replica->root);
    for (size_t i = 0; i < replica->streams_count; i++) {
        const Stream *stream = replica->streams[i];
        LinkStream *on_link = link_stream(link, stream);
        uint64_t said_hi = link->hello_sent ? on_link->told_hi : stream->durable;
        on_link->told_hi = equal ? said_hi : 0;
        on_link->peer_hi = equal ? said_hi : 0;
    }
    link->have_due = true;
    link->news = true;
    follow_peer(step, index, false);
    if (pull_hub(replica) == index) {
        pull_all_from(step, index);
    }
    for (size_t i = 0; i < replica->streams_count; i++) {
        pull_stream(step, replica->streams[i]);
    }
}

/* False, and the link is gone, where they cannot talk. */
static bool greet(RStep *step, size_t index, const FrameIn *frame)
{
    ReplicaLink *link = &step->replica->links[index];
    if (link->greeted) {
        if (frame->has_hello) {
            link_drop(step, index, "it said hello twice");
        }
        return !frame->has_hello;
    }
    if (!frame->has_hello) {
        link_drop(step, index, "it did not say hello");
        return false;
    }
    if (frame->hello.version < REPLICA_VERSION) {
        link_drop(step, index, "it speaks a version that is too old");
        return false;
    }
    if (!same_network(frame->hello.network, step->replica->config.network)) {
        link_drop(step, index, "it belongs to another network");
        return false;
    }
    receive_hello(step, index, &frame->hello);
    return true;
}

/* ---- events ---- */

/* Does each name the hash of the one before? */
static bool chain_holds(const FrameRun *run, size_t from, const EventHash *before)
{
    for (size_t i = from; i < run->count; i++) {
        const EventHash *prev = i == from ? before : &run->events[i - 1]->hash;
        if (memcmp(&run->events[i]->fields.prev_hash, prev, sizeof(*prev)) != 0) {
            return false;
        }
    }
    return true;
}

/* A run's last signature covers, by the chain, all that is before it. */
static bool run_is_signed(RStep *step, const FrameRun *run)
{
    LogEvent *last = run->events[run->count - 1];
    last->verified = step->replica->config.verify(last);
    return last->verified;
}

/* Its author has signed two different events for one place: nothing more of it is taken. */
static void freeze(RStep *step, Stream *stream, LogEvent *proof)
{
    stream->frozen = true;
    ReplicaOutput *output = rstep_add(step, REPLICA_FROZEN);
    output->events = mem_array(1, sizeof(LogEvent *));
    output->events[0] = event_ref(proof);
    output->events_count = 1;
}

/* How many of the run's events are here already. False where one of them is another event. */
static bool count_repeats(const Stream *stream, const FrameRun *run, size_t *ret_count)
{
    size_t count = 0;
    while (count < run->count && run->events[count]->fields.seq <= stream->applied) {
        const LogEvent *here = stream_window_at(stream, run->events[count]->fields.seq);
        if (here != NULL &&
            memcmp(&here->hash, &run->events[count]->hash, sizeof(EventHash)) != 0) {
            return false;
        }
        count++;
    }
    *ret_count = count;
    return true;
}

static bool wrong_network(const Replica *replica, const FrameRun *run)
{
    for (size_t i = 0; i < run->count; i++) {
        if (!same_network(run->events[i]->fields.network, replica->config.network)) {
            return true;
        }
    }
    return false;
}

static void measure_rate(ReplicaLink *link, size_t events, uint64_t mono_ms)
{
    uint64_t window_ms = mono_ms - link->rate_from_ms;
    link->rate_events += events;
    if (link->rate_from_ms == 0 || window_ms >= 2 * RATE_WINDOW_MS) {
        link->rate_from_ms = mono_ms; /* the first after a pause: too short to tell */
        link->rate_events = events;
        link->events_per_s = (uint32_t)events;
    } else if (window_ms >= RATE_WINDOW_MS) {
        link->events_per_s = (uint32_t)(link->rate_events * 1000 / window_ms);
        link->rate_from_ms = mono_ms;
        link->rate_events = 0;
    }
}

/* False, and the link is gone, where the run breaks a rule. */
static bool receive_run(RStep *step, size_t index, const FrameRun *run)
{
    Replica *replica = step->replica;
    const EventFields *first = &run->events[0]->fields;
    Stream *stream = stream_find(replica, &first->stream);
    LinkStream *on_link = stream != NULL ? link_stream(&replica->links[index], stream) : NULL;
    if (on_link == NULL || !on_link->wanted) {
        return true; /* on its way when we said STOP */
    }
    size_t repeats = 0;
    bool same = count_repeats(stream, run, &repeats);
    replica->stats.events_repeated += repeats;
    if (stream->frozen || (same && repeats == run->count)) {
        return true;
    }
    if (first->seq > stream->applied + 1) {
        /* Sent for an earlier WANT: what is between comes for the next one, or by others. */
        return true;
    }
    const EventHash *before = repeats > 0 ? &run->events[repeats - 1]->hash : &stream->last_hash;
    bool fits = same && chain_holds(run, repeats, before) &&
                memcmp(before, &stream->last_hash, sizeof(*before)) == 0;
    if (!chain_holds(run, 1, &run->events[0]->hash) || wrong_network(replica, run) ||
        !run_is_signed(step, run)) {
        link_drop(step, index, "it sent events that their author did not sign");
        return false;
    }
    if (!fits) {
        freeze(step, stream, run->events[run->count - 1]);
        return true;
    }
    measure_rate(&replica->links[index], run->count - repeats, step->input->mono_ms);
    stream_apply(step, stream, run->events + repeats, run->count - repeats, index);
    return true;
}

/* ---- all else ---- */

/* Somebody holds more of the stream that we are about to write than we do: it was written in a life
 * that this disk knows nothing of. Before the first word there is still time for another. */
static void leave_used_epoch(RStep *step, const Stream *stream, uint64_t hi)
{
    Replica *replica = step->replica;
    if (replica->said == 0 && hi > 0 && stream->id.epoch == replica->config.epoch &&
        memcmp(stream->id.origin, replica->config.signer.public_key, EVENT_KEY_BYTES) == 0) {
        replica->config.epoch =
            replica_next_epoch(stream->id.epoch, step->input->wall_ms, step->input->random);
    }
}

static void receive_haves(RStep *step, size_t index, const FrameIn *frame)
{
    Replica *replica = step->replica;
    for (size_t i = 0; i < frame->haves_count; i++) {
        const FrameHave *have = &frame->haves[i];
        Stream *stream = stream_get(replica, &have->stream);
        if (stream == NULL) {
            continue; /* REPLICA_STREAMS_MAX: no new ones are taken in */
        }
        LinkStream *on_link = link_stream(&replica->links[index], stream);
        if (have->hi > on_link->peer_hi) {
            on_link->peer_hi = have->hi;
        }
        leave_used_epoch(step, stream, have->hi);
        pull_target(step, stream, have->hi);
    }
}

static void receive_wants(RStep *step, size_t index, const FrameIn *frame)
{
    Replica *replica = step->replica;
    ReplicaLink *link = &replica->links[index];
    for (size_t i = 0; i < frame->stops_count; i++) {
        Stream *stream = stream_find(replica, &frame->stops[i].stream);
        if (stream != NULL) {
            link_stream(link, stream)->next = 0;
        }
    }
    for (size_t i = 0; i < frame->wants_count; i++) {
        const FrameWant *want = &frame->wants[i];
        Stream *stream = stream_get(replica, &want->stream);
        if (stream == NULL) {
            continue;
        }
        LinkStream *on_link = link_stream(link, stream);
        if (!link->is_child) {
            link->is_child = true; /* a frugal one, then, takes from us only, and gives to us */
            follow_peer(step, index, true);
        }
        on_link->next = want->from;
        if (want->from > 1 && want->from - 1 > on_link->peer_hi) {
            on_link->peer_hi = want->from - 1; /* that far it has it */
        }
        send_wake_stream(replica, stream);
    }
}

static void receive_numbers(RStep *step, size_t index, const FrameIn *frame)
{
    Replica *replica = step->replica;
    ReplicaLink *link = &replica->links[index];
    link->credit += frame->credit < REPLICA_CREDIT_BYTES ? frame->credit : REPLICA_CREDIT_BYTES;
    if (frame->credit > 0) {
        link->news = true;
    }
    if (frame->ping != 0) {
        link->pong = frame->ping;
        link->news = true;
        if (frame->root != replica->root && !replica->news && replica->behind == NULL) {
            link->have_due = true; /* quiet, and yet different: tell all */
            for (size_t i = 0; i < link->streams_cap; i++) {
                link->streams[i].told_hi = 0;
            }
        }
    }
    if (frame->pong != 0 && frame->pong == link->ping) {
        uint64_t rtt_ms = step->input->mono_ms - link->ping_sent_ms;
        link->rtt_ms = (uint32_t)(rtt_ms < REPAIR_MAX_MS ? rtt_ms : REPAIR_MAX_MS);
        link->rtt_known = true;
        link->ping = 0;
    }
}

static void receive_presences(RStep *step, size_t index, const FrameIn *frame)
{
    if (frame->presences_count == 0) {
        return;
    }
    ReplicaOutput *output = rstep_add(step, REPLICA_HEARD);
    output->link = index;
    output->presences = mem_array(frame->presences_count, sizeof(FramePresence));
    output->presences_count = frame->presences_count;
    memcpy(output->presences, frame->presences, frame->presences_count * sizeof(FramePresence));
}

static void take_frame(RStep *step, size_t index, const FrameIn *frame)
{
    if (!greet(step, index, frame)) {
        return;
    }
    if (frame->has_bye) {
        char reason[sizeof(frame->bye) + sizeof("it said goodbye: ")];
        snprintf(reason, sizeof(reason), "it said goodbye: %s", frame->bye);
        link_drop(step, index, reason);
        return;
    }
    receive_numbers(step, index, frame);
    receive_presences(step, index, frame);
    for (size_t i = 0; i < frame->runs_count; i++) {
        if (!receive_run(step, index, &frame->runs[i])) {
            return;
        }
    }
    receive_wants(step, index, frame);
    receive_haves(step, index, frame);
}

void receive_frame(RStep *step, size_t index)
{
    if (index >= step->replica->links_cap || !step->replica->links[index].up) {
        return;
    }
    FrameIn frame;
    const char *reason = "";
    if (frame_decode(step->input->data, step->input->len, &frame, &reason) != ERR_OK) {
        link_drop(step, index, reason);
        return;
    }
    take_frame(step, index, &frame);
    frame_done(&frame);
}
