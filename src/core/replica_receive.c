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
    const ReplicaInput *input = step->input;
    ReplicaLink *link = link_grow(step->replica, index);
    link_clear(link);
    link->up = true;
    link->dialled = input->dialled;
    link->is_bound = input->binding != NULL && input->peer_key != NULL;
    if (link->is_bound) {
        memcpy(link->binding, input->binding, BINDING_BYTES);
        memcpy(link->peer_key, input->peer_key, EVENT_KEY_BYTES);
    }
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

bool same_network(const uint8_t *a, const uint8_t *b)
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
    if (stream == NULL || stream->upstream == index || pull_is_own(step->replica, stream)) {
        return;
    }
    if (!stream_is_frozen(stream)) {
        stream_note_newest(stream);
    }
    if (stream_is_closed(stream)) {
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
        bool known = equal && !origin_is_proven(stream->origin); /* of these, roots say nothing */
        uint64_t said_hi = link->hello_sent ? on_link->told_hi : stream->durable;
        on_link->told_hi = known ? said_hi : 0;
        on_link->peer_hi = known ? said_hi : 0;
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
    const char *wrong = hello_check(step->replica, link, &frame->hello);
    if (wrong != NULL) {
        link_drop(step, index, wrong);
        return false;
    }
    receive_hello(step, index, &frame->hello);
    return true;
}

/* ---- events ---- */

/* Does each name the hash of the one before? */
bool run_chain_holds(const FrameRun *run, size_t from, const EventHash *before)
{
    for (size_t i = from; i < run->count; i++) {
        const EventHash *prev = i == from ? before : &run->events[i - 1]->hash;
        if (memcmp(&run->events[i]->fields.prev_hash, prev, sizeof(*prev)) != 0) {
            return false;
        }
    }
    return true;
}

static size_t run_bytes(const FrameRun *run, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += frame_event_bytes(run->events[i]);
    }
    return bytes;
}

/* A run's last signature covers, by the chain, all that is before it. In one that is longer than
 * RUN_MAX_BYTES the others must be good too, or it could not be passed on in parts. */
static bool run_is_signed(RStep *step, const FrameRun *run)
{
    bool each = run_bytes(run, run->count) > RUN_MAX_BYTES;
    if (!run->events[run->count - 1]->is_signed) {
        return false;
    }
    for (size_t i = each ? 0 : run->count - 1; i < run->count; i++) {
        LogEvent *event = run->events[i];
        event->verified = event->is_signed && step->replica->config.verify(event);
        if (event->is_signed && !event->verified) {
            return false;
        }
    }
    return true;
}

/* What this node holds at that place; NULL: not in memory, or nothing. */
static const EventHash *hash_here(const Stream *stream, uint64_t seq)
{
    const LogEvent *here = stream_window_at(stream, seq);
    if (here != NULL) {
        return &here->hash;
    }
    return seq == stream->applied && seq > 0 ? &stream->last_hash : NULL;
}

static bool differs(const EventHash *here, const EventHash *there)
{
    return here != NULL && memcmp(here, there, sizeof(*here)) != 0;
}

typedef struct RunFit {
    size_t repeats;    /* events that are here already */
    uint64_t conflict; /* the first place where another event is here than it names; 0: none */
} RunFit;

static RunFit run_fit(const Stream *stream, const FrameRun *run)
{
    RunFit fit = {0};
    uint64_t before = run->events[0]->fields.seq - 1;
    if (before > 0 && before <= stream->applied &&
        differs(hash_here(stream, before), &run->events[0]->fields.prev_hash)) {
        fit.conflict = before;
    }
    while (fit.repeats < run->count && run->events[fit.repeats]->fields.seq <= stream->applied) {
        const LogEvent *event = run->events[fit.repeats++];
        if (fit.conflict == 0 && differs(hash_here(stream, event->fields.seq), &event->hash)) {
            fit.conflict = event->fields.seq;
        }
    }
    return fit;
}

bool run_is_of_network(const Replica *replica, const FrameRun *run)
{
    for (size_t i = 0; i < run->count; i++) {
        if (!same_network(run->events[i]->fields.network, replica->config.network)) {
            return false;
        }
    }
    return true;
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

/* What is not stored has taken none of the room that credit stands for. */
static void return_credit(ReplicaLink *link, size_t bytes)
{
    link->credit_owed += bytes;
    link->news = link->news || link->credit_owed >= CREDIT_RETURN_BYTES;
}

/* The stream that the run goes on with; NULL: it is not asked for here, or is of no use. */
static Stream *run_stream(RStep *step, size_t index, const FrameRun *run)
{
    const EventFields *first = &run->events[0]->fields;
    Stream *stream = stream_find(step->replica, &first->stream);
    if (stream == NULL || stream_is_closed(stream) ||
        !link_stream(&step->replica->links[index], stream)->wanted) {
        return NULL; /* on its way when we said STOP */
    }
    if (stream_is_too_many(step->replica, stream)) {
        return NULL;
    }
    /* Beyond the next: sent for an earlier WANT. What is between comes for the later one, or by
     * others. */
    return first->seq <= stream->applied + 1 ? stream : NULL;
}

/* Of the run, what counts of its stream. */
static FrameRun part_that_counts(const Stream *stream, const FrameRun *run)
{
    FrameRun part = *run;
    uint64_t first = run->events[0]->fields.seq;
    uint64_t left = stream->limit - (first - 1); /* the stream is not closed: first <= limit */
    part.count = left < part.count ? (size_t)left : part.count;
    return part;
}

/* What a peer sends that knows of a cut, and we do not: the end of it is not signed, and good as
 * soon as we know. Until then, what ends with a signature. */
static FrameRun part_that_is_signed(const FrameRun *run)
{
    FrameRun part = *run;
    while (part.count > 0 && !part.events[part.count - 1]->is_signed) {
        part.count--;
    }
    return part;
}

typedef enum RunVerdict {
    RUN_GOOD,
    RUN_BAD,   /* nobody who is honest sends this */
    RUN_OTHER, /* it leads to another event at the limit than the cut names */
} RunVerdict;

static RunVerdict judge_run(RStep *step, const Stream *stream, const FrameRun *part,
                            const FrameRun *run)
{
    const LogEvent *last = part->events[part->count - 1];
    if (!run_chain_holds(run, 1, &run->events[0]->hash) || !run_is_of_network(step->replica, run)) {
        return RUN_BAD;
    }
    if (stream_ends_with(stream, last)) {
        return RUN_GOOD;
    }
    bool is_other = last->fields.seq == stream->limit;
    if (!run_is_signed(step, is_other ? run : part)) {
        return RUN_BAD;
    }
    return is_other ? RUN_OTHER : RUN_GOOD;
}

/* A revoked author has signed two histories, and the cut names the one that counts. This run is of
 * the other one, and then so is what is here, if the run goes on from that. Or they differ before
 * the cut, and which is the one will show when the rest has come: this peer has more. */
static void other_history(RStep *step, Stream *stream, size_t index, RunVerdict verdict, RunFit fit)
{
    if (verdict == RUN_GOOD) {
        members_forget(step, stream);
        pull_from(step, stream, index);
        return;
    }
    link_stream(&step->replica->links[index], stream)->failures = UINT8_MAX;
    if (fit.conflict == 0) {
        members_forget(step, stream);
    }
    pull_stop(step, stream);
    pull_review(step, stream);
}

/* Somebody else writes with this node's key, in this very stream: a machine that was copied while
 * it ran, or a thief. What is on its way to the disk has these places there, so not yet. */
static bool own_is_left(RStep *step, const Stream *stream)
{
    if (stream == step->replica->own && step->replica->storing_own == 0) {
        own_leave(step);
    }
    return stream != step->replica->own;
}

/* False, and the link is gone, where the run breaks a rule. */
static bool receive_run(RStep *step, size_t index, const FrameRun *run)
{
    Replica *replica = step->replica;
    ReplicaLink *link = &replica->links[index];
    Stream *stream = run_stream(step, index, run);
    FrameRun part = stream != NULL ? part_that_counts(stream, run) : *run;
    bool is_end = stream != NULL && stream_ends_with(stream, part.events[part.count - 1]);
    if (stream != NULL && replica->config.cut != NULL && part.count == run->count && !is_end) {
        part = part_that_is_signed(run);
    }
    if (part.count == 0) {
        return_credit(link, run_bytes(run, run->count));
        return true;
    }
    RunFit fit = stream != NULL ? run_fit(stream, &part) : (RunFit){.repeats = part.count};
    replica->stats.events_repeated += stream != NULL ? fit.repeats : 0;
    if (fit.repeats == part.count && fit.conflict == 0) {
        return_credit(link, run_bytes(run, run->count));
        if (stream != NULL && stream == replica->own) {
            pull_stop(step, stream); /* it was doubted for nothing */
        }
        return true;
    }
    RunVerdict verdict = judge_run(step, stream, &part, run);
    if (verdict == RUN_BAD) {
        link_drop(step, index, "it sent events that their author did not sign");
        return false;
    }
    bool limited = !stream_counts_whole(stream);
    if (verdict == RUN_OTHER || (fit.conflict != 0 && limited)) {
        return_credit(link, run_bytes(run, run->count));
        other_history(step, stream, index, verdict, fit);
        return true;
    }
    if (!own_is_left(step, stream)) {
        return_credit(link, run_bytes(run, run->count));
        return true;
    }
    if (fit.conflict != 0) {
        return_credit(link, run_bytes(run, run->count));
        proof_found(step, stream, &part, fit.conflict);
        return true;
    }
    return_credit(link, run_bytes(run, run->count) - run_bytes(&part, part.count));
    return_credit(link, run_bytes(&part, fit.repeats));
    measure_rate(link, part.count - fit.repeats, step->input->mono_ms);
    link_stream(link, stream)->failures = 0;
    stream_apply(step, stream, part.events + fit.repeats, part.count - fit.repeats, index);
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

/* The peer holds another event there than we do, or more of our own stream than we have said; or
 * lies: let us see it. */
static void doubt(RStep *step, size_t index, Stream *stream, const FrameHave *have)
{
    const Replica *replica = step->replica;
    const EventHash *here = have->hi <= stream->applied ? hash_here(stream, have->hi) : NULL;
    bool is_other = here != NULL && have->head != 0 && have->head != event_hash_head(here);
    bool is_more = stream == replica->own && have->hi > replica->said;
    if (is_other || is_more) {
        link_stream(&replica->links[index], stream)->doubt = is_other ? have->hi : 0;
        pull_from(step, stream, index);
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
        if (stream_is_frozen(stream)) {
            continue;
        }
        leave_used_epoch(step, stream, have->hi);
        if (!stream_is_closed(stream)) {
            doubt(step, index, stream, have);
        }
        pull_target(step, stream, have->hi, index);
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
        if (stream == NULL || stream_is_frozen(stream)) {
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

/* Quiet, and yet different: tells all. But a liar may see to it that nothing is ever quiet. */
static void compare_roots(const Replica *replica, ReplicaLink *link, uint64_t root)
{
    if (root == replica->root) {
        link->unequal_pings = 0;
        return;
    }
    bool quiet = !replica->news && replica->behind == NULL;
    if (quiet || ++link->unequal_pings == UNEQUAL_PINGS_MAX) {
        link->unequal_pings = 0;
        link->have_due = true;
        if (replica->config.cut != NULL) {
            link->proofs_told = 0; /* it may have come before its author was known to be a member */
        }
        for (size_t i = 0; i < link->streams_cap; i++) {
            link->streams[i].told_hi = 0;
        }
    }
}

static void receive_numbers(RStep *step, size_t index, const FrameIn *frame)
{
    Replica *replica = step->replica;
    ReplicaLink *link = &replica->links[index];
    if (frame->credit > 0) {
        int64_t more = frame->credit < REPLICA_CREDIT_BYTES ? (int64_t)frame->credit
                                                            : (int64_t)REPLICA_CREDIT_BYTES;
        link->credit += more;
        link->credit = link->credit < REPLICA_CREDIT_BYTES ? link->credit : REPLICA_CREDIT_BYTES;
        link->news = true;
    }
    if (frame->ping != 0) {
        link->pong = frame->ping;
        link->news = true;
        compare_roots(replica, link, frame->root);
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
    ReplicaLink *link = &step->replica->links[index];
    link->unreturned += frame->events_bytes;
    if (link->unreturned > REPLICA_CREDIT_BYTES + FRAME_MAX_BYTES) {
        link_drop(step, index, "it sent more than it was given credit for");
        return;
    }
    receive_numbers(step, index, frame);
    receive_presences(step, index, frame);
    for (size_t i = 0; i < frame->runs_count; i++) {
        if (!receive_run(step, index, &frame->runs[i])) {
            return;
        }
    }
    if (!proof_receive(step, index, frame)) {
        return;
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
