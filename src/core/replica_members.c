/* How far streams count, in a private network: all of a member's, nothing of a stranger's, and of
 * one who was revoked what is up to the cuts that the revocation names.
 *
 *        1 - 2 - 3* - 4 - 5 | 6* - 7 - 8*        * signed    | the cut: 5, and its hash
 *        counts, and is kept | dropped, here and everywhere
 *
 * Who counts is for ReplicaConfig.cut to say; here is what follows. It depends on what is known,
 * not on the order in which it came: what was taken before a revocation was heard of goes again,
 * and who lacks something of what counts goes on asking for it. What peers tell of streams that do
 * not count is remembered, so that nobody has to tell it again when they do.
 *
 * The hash in the cut vouches for that event, and through the chain for all before it. So the end
 * of what counts may lie within a group, without a signature of its own; and where the author has
 * signed two histories, that one counts which the cut names. Who holds another drops it. */
#include "core/replica_state.h"

#include <string.h>

/* ---- questions ---- */

bool stream_counts_whole(const Stream *stream)
{
    return stream->limit == UINT64_MAX;
}

bool stream_is_frozen(const Stream *stream)
{
    return stream->frozen && stream_counts_whole(stream);
}

bool stream_is_closed(const Stream *stream)
{
    return stream->applied >= stream->limit || stream_is_frozen(stream);
}

uint64_t stream_goal(const Stream *stream)
{
    return stream->target < stream->limit ? stream->target : stream->limit;
}

static bool same_hash(const EventHash *a, const EventHash *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

bool stream_ends_with(const Stream *stream, const LogEvent *event)
{
    return !stream_counts_whole(stream) && event->fields.seq == stream->limit &&
           same_hash(&event->hash, &stream->limit_hash);
}

void members_judge(Replica *replica, Stream *stream)
{
    const ReplicaConfig *config = &replica->config;
    stream->limit = UINT64_MAX;
    if (config->cut != NULL) {
        stream->limit = config->cut(config->cut_context, &stream->id, &stream->limit_hash);
        origin_limit(replica, stream->origin, !stream_counts_whole(stream));
    }
}

/* ---- cutting ---- */

/* Is there more: here, on its way to the disk, or said and not given to it yet? */
static bool holds_past(const Replica *replica, const Stream *stream, uint64_t hi)
{
    bool past = stream->applied > hi || (stream == replica->own && replica->said > hi);
    for (const Batch *batch = replica->batches; batch != NULL && !past; batch = batch->next) {
        past = batch->hi > hi && stream_id_compare(&batch->stream, &stream->id) == 0;
    }
    return past;
}

/* What is on its way to the disk still gets there, and is deleted then: when it is told to be
 * durable, that is true of what is left of it. */
static void cut_batches(Replica *replica, const Stream *stream, uint64_t hi, const EventHash *hash)
{
    for (Batch *batch = replica->batches; batch != NULL; batch = batch->next) {
        if (batch->hi > hi && stream_id_compare(&batch->stream, &stream->id) == 0) {
            batch->hi = hi;
            batch->hi_hash = *hash;
            own_cut_batch(batch, hi);
        }
    }
}

static void cut_to(RStep *step, Stream *stream, uint64_t hi)
{
    static const EventHash none;
    Replica *replica = step->replica;
    const EventHash *hash = hi > 0 ? &stream->limit_hash : &none;
    cut_batches(replica, stream, hi, hash);
    stream_lower(replica, stream, hi, hash);
    for (size_t i = 0; i < replica->links_cap; i++) {
        ReplicaLink *link = &replica->links[i];
        if (link->up && stream->index < link->streams_cap) {
            LinkStream *on_link = &link->streams[stream->index];
            on_link->told_hi = on_link->told_hi < hi ? on_link->told_hi : hi;
            on_link->doubt = 0;
        }
    }
    ReplicaOutput *output = rstep_add(step, REPLICA_CUT);
    output->stream = stream->id;
    output->from = hi;
}

void members_forget(RStep *step, Stream *stream)
{
    stream->limit_unseen = false;
    if (stream->applied > 0) {
        cut_to(step, stream, 0);
    }
}

/* Is what is held at the limit what the cut names? It is on the disk alone. */
static void look_at_limit(RStep *step, Stream *stream)
{
    stream->limit_unseen = true;
    ReplicaOutput *output = rstep_add(step, REPLICA_READ);
    output->link = REPLICA_LINKS_MAX;
    output->stream = stream->id;
    output->from = stream->limit;
}

void members_read_done(RStep *step, Stream *stream)
{
    const ReplicaInput *input = step->input;
    if (input->from != stream->limit || stream->applied != stream->limit) {
        return;
    }
    stream->limit_unseen = false;
    if (input->events_count > 0 && !stream_ends_with(stream, input->events[0])) {
        members_forget(step, stream);
        pull_review(step, stream);
    }
}

static void cut_to_limit(RStep *step, Stream *stream)
{
    uint64_t limit = stream->limit;
    const LogEvent *end = limit > 0 ? stream_window_at(stream, limit) : NULL;
    bool unseen = limit > 0 && end == NULL && stream->applied > limit;
    cut_to(step, stream, end == NULL || stream_ends_with(stream, end) ? limit : 0);
    if (unseen) {
        look_at_limit(step, stream);
    }
}

/* ---- what follows ---- */

static void review(RStep *step, Stream *stream)
{
    Replica *replica = step->replica;
    uint64_t limit = stream->limit;
    if (holds_past(replica, stream, limit)) {
        cut_to_limit(step, stream);
    } else if (limit > 0 && stream->applied == limit &&
               !same_hash(&stream->last_hash, &stream->limit_hash)) {
        members_forget(step, stream);
    }
    if (stream == replica->own && !stream_counts_whole(stream)) {
        own_end(step);
    }
    pull_review(step, stream);
}

void members_review(RStep *step)
{
    Replica *replica = step->replica;
    bool all = replica->members_due;
    replica->members_due = false;
    for (size_t i = 0; i < replica->streams_count; i++) {
        Stream *stream = replica->streams[i];
        uint64_t limit = stream->limit;
        EventHash hash = stream->limit_hash;
        members_judge(replica, stream);
        if (all || limit != stream->limit ||
            (!stream_counts_whole(stream) && !same_hash(&hash, &stream->limit_hash))) {
            review(step, stream);
        }
    }
}
