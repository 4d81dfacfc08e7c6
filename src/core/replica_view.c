/* Questions that others may ask. */
#include "core/replica_state.h"

#include <string.h>

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

bool replica_head(const Replica *replica, const StreamId *stream, StreamHead *ret_head)
{
    const Stream *found = stream_find(replica, stream);
    if (found == NULL || found->applied == 0) {
        return false;
    }
    *ret_head =
        (StreamHead){.stream = found->id, .hi = found->applied, .last_hash = found->last_hash};
    return true;
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
        ret_view->here_lacks +=
            lacks(stream->applied, peer_hi < stream->limit ? peer_hi : stream->limit);
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

bool replica_may_say(const Replica *replica)
{
    StreamId own;
    replica_own(replica, &own);
    const ReplicaConfig *config = &replica->config;
    bool counts = replica->own != NULL  ? stream_counts_whole(replica->own)
                  : config->cut != NULL ? config->cut(config->cut_context, &own, NULL) == UINT64_MAX
                                        : true;
    return counts && replica->group_bytes < REPLICA_SAID_MAX_BYTES;
}

bool replica_is_frozen(const Replica *replica, const StreamId *stream)
{
    const Stream *found = stream_find(replica, stream);
    return found != NULL && stream_is_frozen(found);
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
        missing += stream_goal(stream) - stream->applied;
    }
    return missing;
}

static void raise_to(size_t *most, size_t value)
{
    *most = value > *most ? value : *most;
}

ReplicaLoad replica_load(const Replica *replica)
{
    ReplicaLoad load = {
        .storing_bytes = replica->storing_bytes,
        .said_bytes = replica->group_bytes,
        .windows_bytes = replica->windows_bytes,
        .proofs = replica->proofs_count,
    };
    for (size_t i = 0; i < replica->links_cap; i++) {
        const ReplicaLink *link = &replica->links[i];
        raise_to(&load.ready, link->ready.count);
        raise_to(&load.to_say, link->to_say.count);
        raise_to(&load.presences, link->presences_count);
        load.unreturned = link->unreturned > load.unreturned ? link->unreturned : load.unreturned;
        load.credit = link->credit > load.credit ? link->credit : load.credit;
    }
    return load;
}

bool replica_stream_view(const Replica *replica, size_t index, ReplicaStreamView *ret_view)
{
    if (index >= replica->streams_count) {
        return false;
    }
    const Stream *stream = replica->streams[index];
    *ret_view = (ReplicaStreamView){
        .id = stream->id,
        .applied = stream->applied,
        .upstream = stream->upstream,
        .behind = stream->behind,
    };
    for (size_t i = 0; i < replica->links_cap && stream->behind && !ret_view->elsewhere; i++) {
        const ReplicaLink *link = &replica->links[i];
        ret_view->elsewhere = i != stream->upstream && link->up && index < link->streams_cap &&
                              link->streams[index].peer_hi > stream->applied;
    }
    return true;
}
