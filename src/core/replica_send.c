/* What goes to links: one frame at a time, of all that is to be said by then. */
#include "core/replica_state.h"

#include <string.h>

enum {
    RUN_EVENTS_MAX = 1024,
    RUNS_MAX = 256,
    ROWS_STEP = 16,
    /* Of those that are seldom many: with FRAME_ROWS_MAX of the others, and events or a proof, a
     * frame keeps within FRAME_MAX_BYTES. */
    FEW_ROWS_MAX = 256,
};

/* A frame being put together. */
typedef struct Draft {
    FrameOut out;
    FrameHello hello;
    FrameProof proof;
    FrameHave *haves; /* each grows by ROWS_STEP up to FRAME_ROWS_MAX */
    FrameWant *wants;
    FrameWant *stops;
    FrameRun *runs;
    LogEvent **events; /* of all runs; runs point into it only when it grows no more */
    size_t events_count;
    size_t bytes;
} Draft;

/* Room for one more row. */
static void *row_room(void *rows, size_t count, size_t size)
{
    return count % ROWS_STEP == 0 ? mem_resize(rows, count + ROWS_STEP, size) : rows;
}

static void draft_done(Draft *draft)
{
    mem_free(draft->haves);
    mem_free(draft->wants);
    mem_free(draft->stops);
    mem_free(draft->runs);
    mem_free(draft->events);
}

void send_wake_stream(Replica *replica, const Stream *stream)
{
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        if (!link->up || !link->greeted) {
            continue;
        }
        LinkStream *on_link = link_stream(link, stream);
        if (on_link->next == 0 || on_link->next > stream->applied) {
            continue;
        }
        link->news = true;
        if (!on_link->ready) {
            on_link->ready = true;
            index_list_add(&link->ready, stream->index);
        }
    }
}

/* A newer telling of the same node takes the place of one that still waits. */
static void tell_on(ReplicaLink *link, const FramePresence *presence)
{
    size_t at = 0;
    while (at < link->presences_count &&
           memcmp(&link->presences[at].node_id, &presence->node_id, sizeof(NodeId)) != 0) {
        at++;
    }
    if (at == link->presences_count) {
        if (at == PRESENCES_WAITING_MAX) {
            return;
        }
        if (at == link->presences_cap) {
            link->presences_cap = link->presences_cap > 0 ? link->presences_cap * 2 : 8;
            link->presences =
                mem_resize(link->presences, link->presences_cap, sizeof(FramePresence));
        }
        link->presences_count++;
    }
    link->presences[at] = *presence;
    link->news = true;
}

void send_tell(RStep *step)
{
    const ReplicaInput *input = step->input;
    Replica *replica = step->replica;
    for (size_t i = 0; i < replica->links_cap; i++) {
        bool asked = input->link == i || (input->link == REPLICA_LINKS_MAX && input->except != i);
        if (!asked || !replica->links[i].up) {
            continue;
        }
        for (size_t j = 0; j < input->presences_count; j++) {
            tell_on(&replica->links[i], &input->presences[j]);
        }
    }
}

/* ---- the parts of a frame ---- */

static void add_hello(const Replica *replica, ReplicaLink *link, Draft *draft)
{
    link->hello_sent = true;
    link->hello_root = replica->root;
    for (size_t i = 0; i < replica->streams_count && !link->greeted; i++) {
        link_stream(link, replica->streams[i])->told_hi = replica->streams[i]->durable;
    }
    draft->hello = (FrameHello){
        .version = REPLICA_VERSION,
        .network = replica->config.network,
        .epoch = replica->config.epoch,
        .root = replica->root,
    };
    memcpy(draft->hello.key, replica->config.signer.public_key, EVENT_KEY_BYTES);
    draft->hello.node_id = replica->config.node_id;
    memcpy(draft->hello.name, replica->name, sizeof(draft->hello.name));
    hello_bind(replica, link, &draft->hello);
    draft->out.hello = &draft->hello;
}

static void add_wants(Replica *replica, ReplicaLink *link, Draft *draft)
{
    size_t left = 0;
    for (size_t i = 0; i < link->to_say.count; i++) {
        const Stream *stream = replica->streams[link->to_say.items[i]];
        LinkStream *on_link = link_stream(link, stream);
        if (draft->out.wants_count == FRAME_ROWS_MAX || draft->out.stops_count == FEW_ROWS_MAX) {
            link->to_say.items[left++] = stream->index;
            continue;
        }
        on_link->to_say = false;
        uint64_t from = on_link->doubt > 0 ? on_link->doubt : stream->applied + 1;
        if (on_link->wanted) {
            draft->wants = row_room(draft->wants, draft->out.wants_count, sizeof(FrameWant));
            draft->wants[draft->out.wants_count++] =
                (FrameWant){.stream = stream->id, .from = from};
            on_link->doubt = 0;
        } else {
            draft->stops = row_room(draft->stops, draft->out.stops_count, sizeof(FrameWant));
            draft->stops[draft->out.stops_count++] = (FrameWant){.stream = stream->id};
        }
    }
    link->to_say.count = left;
}

/* One in a frame, which then holds no events and no HAVEs. */
static bool add_proof(Replica *replica, size_t index, Draft *draft)
{
    const Proof *proof = proof_next(replica, &replica->links[index], index);
    if (proof != NULL) {
        draft->proof = (FrameProof){.a = proof->a, .b = proof->b};
        draft->out.proofs = &draft->proof;
        draft->out.proofs_count = 1;
    }
    return proof != NULL;
}

static void add_haves(Replica *replica, ReplicaLink *link, Draft *draft)
{
    if (!link->have_due) {
        return;
    }
    link->have_due = false;
    for (size_t i = 0; i < replica->streams_count; i++) {
        const Stream *stream = replica->streams[i];
        LinkStream *on_link = link_stream(link, stream);
        if (stream->durable <= on_link->told_hi || stream_is_frozen(stream)) {
            continue;
        }
        if (draft->out.haves_count == FRAME_ROWS_MAX) {
            link->have_due = true; /* the rest with the next frame */
            return;
        }
        on_link->told_hi = stream->durable;
        draft->haves = row_room(draft->haves, draft->out.haves_count, sizeof(FrameHave));
        draft->haves[draft->out.haves_count++] =
            (FrameHave){.stream = stream->id,
                        .lo = 1,
                        .hi = stream->durable,
                        .head = event_hash_head(&stream->durable_hash)};
    }
}

/* The run of whole groups from next on that fits; 0: none is in memory. A run ends with a signature
 * that has been found good: others may have been damaged on their way here, which no hash tells.
 * Or it ends where a revoked author's stream was cut, within a group. */
static size_t find_run(Replica *replica, const Stream *stream, uint64_t next, size_t room_events,
                       size_t room_bytes)
{
    size_t bytes = 0;
    size_t good = 0;
    for (size_t count = 1; count <= room_events; count++) {
        LogEvent *event = stream_window_at(stream, next + count - 1);
        if (event == NULL) {
            break;
        }
        bytes += frame_event_bytes(event);
        if (bytes > room_bytes && good > 0) {
            break;
        }
        if (event->is_signed && !event->verified && bytes <= room_bytes &&
            stream_window_at(stream, next + count) != NULL) {
            continue; /* a later one will do */
        }
        if (event->is_signed && !event->verified) {
            event->verified = replica->config.verify(event);
        }
        good = event->verified || stream_ends_with(stream, event) ? count : good;
    }
    return good;
}

static void add_run(Draft *draft, const Stream *stream, uint64_t next, size_t count)
{
    draft->runs = row_room(draft->runs, draft->out.runs_count, sizeof(FrameRun));
    draft->runs[draft->out.runs_count++] = (FrameRun){.count = count};
    for (size_t i = 0; i < count; i++) {
        LogEvent *event = stream_window_at(stream, next + i);
        draft->events = row_room(draft->events, draft->events_count, sizeof(LogEvent *));
        draft->events[draft->events_count++] = event;
        draft->bytes += frame_event_bytes(event);
    }
}

static void ask_store(RStep *step, size_t index, const Stream *stream, LinkStream *on_link)
{
    on_link->reading = true;
    ReplicaOutput *output = rstep_add(step, REPLICA_READ);
    output->link = index;
    output->stream = stream->id;
    output->from = on_link->next;
}

/* True where the stream may have more for this link. */
static bool add_stream_events(RStep *step, size_t index, Draft *draft, const Stream *stream)
{
    Replica *replica = step->replica;
    LinkStream *on_link = link_stream(&replica->links[index], stream);
    if (on_link->next == 0 || on_link->next > stream->applied || on_link->reading) {
        return false;
    }
    if (stream_window_at(stream, on_link->next) == NULL) {
        ask_store(step, index, stream, on_link);
        return false;
    }
    size_t count = find_run(replica, stream, on_link->next, RUN_EVENTS_MAX - draft->events_count,
                            REPLICA_FRAME_EVENTS_BYTES - draft->bytes);
    if (count == 0) {
        return draft->events_count > 0; /* no room in this frame: in the next */
    }
    add_run(draft, stream, on_link->next, count);
    on_link->next += count;
    return on_link->next <= stream->applied;
}

static void add_events(RStep *step, size_t index, Draft *draft)
{
    ReplicaLink *link = &step->replica->links[index];
    size_t count = link->ready.count;
    size_t taken = 0;
    while (taken < count && draft->bytes < REPLICA_FRAME_EVENTS_BYTES &&
           draft->out.runs_count < RUNS_MAX && draft->events_count < RUN_EVENTS_MAX &&
           (int64_t)draft->bytes < link->credit) {
        const Stream *stream = step->replica->streams[link->ready.items[taken++]];
        if (add_stream_events(step, index, draft, stream)) {
            index_list_add(&link->ready, stream->index); /* to the end: in turn */
        } else {
            link_stream(link, stream)->ready = false;
        }
    }
    link->ready.count -= taken;
    if (taken > 0) {
        memmove(link->ready.items, link->ready.items + taken, link->ready.count * sizeof(size_t));
    }
    link->credit -= (int64_t)draft->bytes;
}

static void add_numbers(ReplicaLink *link, const Replica *replica, Draft *draft)
{
    if (link->credit_owed >= CREDIT_RETURN_BYTES) {
        draft->out.credit = link->credit_owed;
        link->unreturned -= link->credit_owed;
        link->credit_owed = 0;
    }
    if (link->ping_due) {
        link->ping_due = false;
        draft->out.ping = link->ping;
        draft->out.root = replica->root;
    }
    draft->out.pong = link->pong;
    link->pong = 0;
}

/* Those that fit; they stay where they are until the frame is encoded. */
static void add_presences(const ReplicaLink *link, Draft *draft)
{
    draft->out.presences = link->presences;
    draft->out.presences_count =
        link->presences_count < FEW_ROWS_MAX ? link->presences_count : FEW_ROWS_MAX;
}

static void presences_sent(ReplicaLink *link, size_t count)
{
    if (count == 0) {
        return;
    }
    link->presences_count -= count;
    memmove(link->presences, link->presences + count,
            link->presences_count * sizeof(FramePresence));
    if (link->presences_count == 0) {
        mem_free(TAKE(link->presences));
        link->presences_cap = 0;
    }
}

static void send_draft(RStep *step, size_t index, Draft *draft)
{
    ReplicaLink *link = &step->replica->links[index];
    LogEvent **at = draft->events;
    for (size_t i = 0; i < draft->out.runs_count && at != NULL; i++) {
        draft->runs[i].events = at;
        at += draft->runs[i].count;
    }
    draft->out.haves = draft->haves;
    draft->out.wants = draft->wants;
    draft->out.stops = draft->stops;
    draft->out.runs = draft->runs;
    ReplicaOutput *output = rstep_add(step, REPLICA_SEND);
    output->link = index;
    output->frame = frame_encode(&draft->out);
    link->in_flight = true;
    link->last_sent_ms = step->input->mono_ms;
    step->replica->stats.frames_sent++;
}

static bool draft_is_empty(const Draft *draft)
{
    const FrameOut *out = &draft->out;
    return out->hello == NULL &&
           out->haves_count + out->wants_count + out->stops_count + out->runs_count +
                   out->presences_count ==
               0 &&
           out->proofs_count == 0 && out->credit == 0 && out->ping == 0 && out->pong == 0;
}

/* A busy link's news wait a little, so that what follows goes in the same frame. */
static bool must_wait(RStep *step, ReplicaLink *link)
{
    uint32_t coalesce_ms = step->replica->config.coalesce_ms;
    if (coalesce_ms == 0 || !link->hello_sent) {
        return false;
    }
    uint64_t at = link->last_sent_ms + coalesce_ms;
    if (at <= step->input->mono_ms) {
        link->send_at_ms = 0;
        return false;
    }
    link->send_at_ms = at;
    return true;
}

void send_pump(RStep *step, size_t index)
{
    Replica *replica = step->replica;
    ReplicaLink *link = &replica->links[index];
    if (!link->up || link->in_flight || !link->news || must_wait(step, link)) {
        return;
    }
    Draft draft = {0};
    if (!link->hello_sent) {
        add_hello(replica, link, &draft);
    }
    if (link->greeted) {
        add_wants(replica, link, &draft);
        if (!add_proof(replica, index, &draft)) {
            add_haves(replica, link, &draft);
            add_events(step, index, &draft);
        }
        add_numbers(link, replica, &draft);
        add_presences(link, &draft);
    }
    bool more =
        link->greeted && (draft.out.proofs_count > 0 || link->have_due || link->to_say.count > 0 ||
                          link->presences_count > draft.out.presences_count ||
                          (link->ready.count > 0 && link->credit > 0));
    if (!draft_is_empty(&draft)) {
        send_draft(step, index, &draft);
        presences_sent(link, draft.out.presences_count);
    }
    link->news = more;
    draft_done(&draft);
}

void send_pump_all(RStep *step)
{
    for (size_t i = 0; i < step->replica->links_cap; i++) {
        send_pump(step, i);
    }
}

/* How many of the events make a run: as many as fit, and end with a good signature. What was stored
 * with a good one may hold others, before it, that were damaged on their way here. */
static size_t count_good(const Replica *replica, const Stream *stream, LogEvent *const *events,
                         size_t count)
{
    size_t bytes = 0;
    size_t fit = 0;
    while (fit < count && bytes + frame_event_bytes(events[fit]) <= RUN_MAX_BYTES) {
        bytes += frame_event_bytes(events[fit++]);
    }
    while (fit > 0) {
        LogEvent *last = events[fit - 1];
        last->verified = last->verified || (last->is_signed && replica->config.verify(last));
        if (last->verified || stream_ends_with(stream, last)) {
            break;
        }
        fit--;
    }
    return fit;
}

/* What was cut off while the store was asked is not held any more. */
static size_t count_held(const Stream *stream, const ReplicaInput *input)
{
    size_t count = input->events_count;
    while (count > 0 && input->events[count - 1]->fields.seq > stream->applied) {
        count--;
    }
    return count;
}

/* Events from the store go out by themselves: they are not in the window. */
void send_read_done(RStep *step)
{
    Replica *replica = step->replica;
    const ReplicaInput *input = step->input;
    Stream *stream = stream_find(replica, &input->stream);
    if (input->link == REPLICA_LINKS_MAX) {
        proof_read_done(step);
        return;
    }
    if (stream == NULL || input->link >= replica->links_cap) {
        return;
    }
    ReplicaLink *link = &replica->links[input->link];
    LinkStream *on_link = link->up ? link_stream(link, stream) : NULL;
    if (on_link == NULL || !on_link->reading) {
        return;
    }
    on_link->reading = false;
    size_t count = count_held(stream, input);
    if (count == 0 && input->events_count == 0 && on_link->next == input->from) {
        on_link->next = 0; /* the store does not have it: the peer will ask another for it */
        return;
    }
    if (on_link->next != input->from || count == 0 || link->in_flight || link->credit <= 0) {
        send_wake_stream(replica, stream); /* it wants something else by now, or later */
        return;
    }
    count = count_good(replica, stream, input->events, count);
    if (count == 0) {
        on_link->next = 0; /* it will ask another for it */
        return;
    }
    FrameRun run = {.events = (LogEvent **)(uintptr_t)input->events, .count = count};
    Draft draft = {.runs = &run, .out.runs_count = 1};
    for (size_t i = 0; i < count; i++) {
        draft.bytes += frame_event_bytes(input->events[i]);
    }
    link->credit -= (int64_t)draft.bytes;
    on_link->next += count;
    send_draft(step, input->link, &draft);
    send_wake_stream(replica, stream);
}
