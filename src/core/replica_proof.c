/* Authors who signed two different events for one place.
 *
 *        ... - 6 - 7 - 8*         * signed: it vouches, by the chain, for all before it
 *            \ 6'- 7'*            two runs, 6..8* and 6'..7'*, convince anybody
 *
 * Whoever sees it freezes that stream, and passes the two runs on; whoever is told of them
 * checks them and does the same, so nobody needs to believe anybody. An honest author signs one
 * chain for an epoch, so nothing proves anything against it: not what a forger sends, and not
 * what it lost.
 *
 * What holds then: all come to know that the stream is frozen; nothing more of it is taken or
 * given; below the first place where its author's chains part, what any two nodes hold of it is
 * equal. From there on each keeps what it took first, and these parts may differ in length and
 * content, for ever. Who comes later holds none of it. So the streams of such an author do not
 * count in the root, and that there is a proof counts instead: then roots are equal where all
 * know of it. The author's other streams go on, told by HAVE alone; everybody else's are not
 * touched. Where it is this node's own stream, what it says next is in another (own_leave). One
 * proof for each author travels; what is proven of another of its streams freezes that stream where
 * it is seen. */
#include "core/replica_state.h"

#include <string.h>

/* ---- runs ---- */

static void run_free(FrameRun *run)
{
    for (size_t i = 0; i < run->count; i++) {
        event_unref(run->events[i]);
    }
    mem_free(run->events);
    *run = (FrameRun){0};
}

static FrameRun run_copy(LogEvent *const *events, size_t count)
{
    FrameRun run = {.events = mem_array(count, sizeof(LogEvent *)), .count = count};
    for (size_t i = 0; i < count; i++) {
        run.events[i] = event_ref(events[i]);
    }
    return run;
}

/* The least of the events, from their beginning on, that ends with a good signature; may be
 * none. */
static FrameRun run_cut(const Replica *replica, LogEvent *const *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        LogEvent *event = events[i];
        event->verified = event->verified || (event->is_signed && replica->config.verify(event));
        if (event->verified) {
            return run_copy(events, i + 1);
        }
    }
    return (FrameRun){0};
}

static size_t run_bytes(const FrameRun *run)
{
    size_t bytes = 0;
    for (size_t i = 0; i < run->count; i++) {
        bytes += frame_event_bytes(run->events[i]);
    }
    return bytes;
}

/* The hash that the run names for a number from the one before its first to its last. */
static const EventHash *run_hash(const FrameRun *run, uint64_t seq)
{
    uint64_t first = run->events[0]->fields.seq;
    return seq < first ? &run->events[0]->fields.prev_hash : &run->events[seq - first]->hash;
}

static bool runs_conflict(const FrameRun *a, const FrameRun *b)
{
    uint64_t a_first = a->events[0]->fields.seq;
    uint64_t b_first = b->events[0]->fields.seq;
    uint64_t seq = (a_first > b_first ? a_first : b_first) - 1;
    uint64_t a_last = a_first + a->count - 1;
    uint64_t b_last = b_first + b->count - 1;
    uint64_t last = a_last < b_last ? a_last : b_last;
    for (seq = seq > 0 ? seq : 1; seq <= last; seq++) {
        if (memcmp(run_hash(a, seq), run_hash(b, seq), sizeof(EventHash)) != 0) {
            return true;
        }
    }
    return false;
}

static bool run_is_sound(const Replica *replica, const FrameRun *run)
{
    LogEvent *last = run->events[run->count - 1];
    return run_chain_holds(run, 1, &run->events[0]->hash) && run_is_of_network(replica, run) &&
           replica->config.verify(last);
}

static bool proof_is_good(const Replica *replica, const FrameRun *a, const FrameRun *b)
{
    return runs_conflict(a, b) && run_is_sound(replica, a) && run_is_sound(replica, b);
}

/* ---- what follows from it ---- */

/* proof: NULL: none. */
static void tell_frozen(RStep *step, const Stream *stream, LogEvent *event, const Proof *proof)
{
    ReplicaOutput *output = rstep_add(step, REPLICA_FROZEN);
    output->stream = stream->id;
    rstep_events(output, &event, 1);
    if (proof != NULL) {
        FrameProof row = {.a = proof->a, .b = proof->b};
        output->frame = frame_encode(&(FrameOut){.proofs = &row, .proofs_count = 1});
    }
}

static void freeze(RStep *step, Stream *stream)
{
    if (stream == step->replica->own) {
        own_leave(step); /* nobody takes it any more: a copy of this node runs somewhere */
    }
    if (!stream->frozen) {
        stream->frozen = true;
        pull_end(step, stream);
    }
}

/* Takes the runs over. The first proof against an author goes to everybody; NULL: it is another, or
 * too large, or one too many. */
static const Proof *keep(RStep *step, Stream *stream, FrameRun *a, FrameRun *b, size_t link)
{
    Replica *replica = step->replica;
    bool fits = run_bytes(a) + run_bytes(b) <= FRAME_PROOF_MAX_BYTES;
    if (!fits || stream->origin->convicted || replica->proofs_count == REPLICA_PROOFS_MAX) {
        run_free(a);
        run_free(b);
        return NULL;
    }
    replica->proofs =
        mem_resize(replica->proofs, replica->proofs_count + 1, sizeof(*replica->proofs));
    Proof *proof = &replica->proofs[replica->proofs_count++];
    *proof = (Proof){
        .origin = stream->origin,
        .a = *a,
        .b = *b,
        .link = link,
        .link_life = link < replica->links_cap ? replica->links[link].life : 0,
    };
    *a = *b = (FrameRun){0};
    origin_convict(replica, stream->origin);
    for (size_t i = 0; i < replica->links_cap; i++) {
        replica->links[i].news = true;
    }
    return proof;
}

const Proof *proof_next(Replica *replica, ReplicaLink *link, size_t index)
{
    while (link->proofs_told < replica->proofs_count) {
        const Proof *proof = &replica->proofs[link->proofs_told++];
        bool from_there = proof->link == index && proof->link_life == link->life;
        if (!from_there && !proof->origin->limited) {
            return proof;
        }
    }
    return NULL;
}

void proofs_free(Replica *replica)
{
    for (size_t i = 0; i < replica->proofs_count; i++) {
        run_free(&replica->proofs[i].a);
        run_free(&replica->proofs[i].b);
    }
    mem_free(replica->proofs);
}

/* ---- seen here ---- */

/* This node's side of it, from memory; none: the store has to be asked. */
static FrameRun run_from_window(const Replica *replica, const Stream *stream, uint64_t seq)
{
    if (stream_window_at(stream, seq) == NULL) {
        return (FrameRun){0};
    }
    size_t count = (size_t)(stream->applied - seq) + 1;
    LogEvent **events = mem_array(count, sizeof(LogEvent *));
    for (size_t i = 0; i < count; i++) {
        events[i] = stream_window_at(stream, seq + i);
    }
    FrameRun run = run_cut(replica, events, count);
    mem_free(events);
    return run;
}

void proof_found(RStep *step, Stream *stream, const FrameRun *run, uint64_t seq)
{
    const Replica *replica = step->replica;
    uint64_t first = run->events[0]->fields.seq;
    size_t skip = seq > first ? (size_t)(seq - first) : 0;
    FrameRun there = run_cut(replica, run->events + skip, run->count - skip);
    FrameRun here = run_from_window(replica, stream, seq);
    LogEvent *event = run->events[skip];
    freeze(step, stream);
    if (there.count > 0 && here.count > 0) {
        tell_frozen(step, stream, event, keep(step, stream, &here, &there, NO_LINK));
        return;
    }
    tell_frozen(step, stream, event, NULL);
    run_free(&here);
    stream->suspect = there;
    ReplicaOutput *output = rstep_add(step, REPLICA_READ);
    output->link = REPLICA_LINKS_MAX;
    output->stream = stream->id;
    output->from = seq;
}

void proof_read_done(RStep *step)
{
    const ReplicaInput *input = step->input;
    Stream *stream = stream_find(step->replica, &input->stream);
    if (stream != NULL && stream->limit_unseen) {
        members_read_done(step, stream);
    }
    if (stream == NULL || stream->suspect.count == 0) {
        return;
    }
    FrameRun there = stream->suspect;
    stream->suspect = (FrameRun){0};
    FrameRun here = run_cut(step->replica, input->events, input->events_count);
    if (here.count > 0 && proof_is_good(step->replica, &here, &there)) {
        LogEvent *event = event_ref(there.events[0]);
        const Proof *proof = keep(step, stream, &here, &there, NO_LINK);
        if (proof != NULL) {
            tell_frozen(step, stream, event, proof);
        }
        event_unref(event);
    }
    run_free(&here);
    run_free(&there);
}

/* ---- told ---- */

/* False where it proves nothing. One that is known already is not looked at, nor one against who is
 * no member: what counts of its streams, if anything, is one history. */
static bool receive_one(RStep *step, size_t index, const FrameProof *proof)
{
    Replica *replica = step->replica;
    Stream *stream = stream_get(replica, &proof->a.events[0]->fields.stream);
    if (stream == NULL || stream->origin->limited ||
        (stream->frozen && stream->origin->convicted)) {
        return true;
    }
    if (!proof_is_good(replica, &proof->a, &proof->b)) {
        return false;
    }
    bool news = !stream->frozen;
    freeze(step, stream);
    FrameRun a = run_copy(proof->a.events, proof->a.count);
    FrameRun b = run_copy(proof->b.events, proof->b.count);
    const Proof *kept = keep(step, stream, &a, &b, index);
    if (news || kept != NULL) {
        tell_frozen(step, stream, proof->b.events[0], kept);
    }
    return true;
}

bool proof_receive(RStep *step, size_t index, const FrameIn *frame)
{
    for (size_t i = 0; i < frame->proofs_count; i++) {
        if (!receive_one(step, index, &frame->proofs[i])) {
            link_drop(step, index, "it sent a proof that proves nothing");
            return false;
        }
    }
    return true;
}

Err replica_load_proofs(Replica *replica, const uint8_t *data, size_t len)
{
    FrameIn frame;
    const char *reason = "";
    Err err = frame_decode(data, len, &frame, &reason);
    if (err != ERR_OK) {
        return err;
    }
    ReplicaOutputs outputs = {0};
    ReplicaInput input = {.kind = REPLICA_TIMER};
    RStep step = {.replica = replica, .input = &input, .outputs = &outputs};
    for (size_t i = 0; err == ERR_OK && i < frame.proofs_count; i++) {
        err = receive_one(&step, NO_LINK, &frame.proofs[i]) ? ERR_OK : ERR_INVALID;
    }
    replica_outputs_done(&outputs);
    frame_done(&frame);
    return err;
}
