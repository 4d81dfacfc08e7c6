/* What must always hold. */
#include "sim_world.h"

static Known *known_of(World *world, const LogEvent *event)
{
    Known *known;
    Known key;
    memset(&key, 0, sizeof(key));
    key.key.stream = event->fields.stream;
    key.key.seq = event->fields.seq;
    HASH_FIND(hh, world->known, &key.key, sizeof(key.key), known);
    return known;
}

static Known *known_add(World *world, const LogEvent *event)
{
    Known *known = mem_new(Known);
    memset(&known->key, 0, sizeof(known->key));
    known->key.stream = event->fields.stream;
    known->key.seq = event->fields.seq;
    known->hash = event->hash;
    known->said_ms = world->now_ms;
    known->index = world->known_count++;
    HASH_ADD(hh, world->known, key, sizeof(known->key), known);
    size_t need = world->known_count * (size_t)world->config.nodes;
    if (need > world->hops_cap) {
        size_t cap = 2 * need;
        world->hops = mem_resize(world->hops, cap, 1);
        memset(world->hops + world->hops_cap, 0, cap - world->hops_cap);
        world->hops_cap = cap;
    }
    return known;
}

static void check_contiguous(World *world, int at, const EventFields *fields)
{
    Node *node = &world->nodes[at];
    Applied *applied;
    HASH_FIND(hh, node->applied, &fields->stream, sizeof(StreamId), applied);
    if (applied == NULL) {
        applied = mem_new(Applied);
        applied->id = fields->stream;
        const DiskStream *stream = disk_find(node->disk, &fields->stream);
        applied->seq = stream != NULL && fields->seq > stream->count ? stream->count : 0;
        HASH_ADD(hh, node->applied, id, sizeof(applied->id), applied);
    }
    if (fields->seq != applied->seq + 1) {
        world_fail(world, "node %d shows number %" PRIu64 " of a stream after %" PRIu64, at,
                   fields->seq, applied->seq);
    }
    applied->seq = fields->seq;
}

static void note_applied(World *world, int at, const Known *known)
{
    size_t need = world->known_count * (size_t)world->config.nodes;
    if (need > world->applied_cap) {
        size_t cap = 2 * need;
        world->applied_ms = mem_resize(world->applied_ms, cap, sizeof(uint32_t));
        memset(world->applied_ms + world->applied_cap, 0,
               (cap - world->applied_cap) * sizeof(uint32_t));
        world->applied_cap = cap;
    }
    world->applied_ms[known->index * (size_t)world->config.nodes + (size_t)at] =
        (uint32_t)world->now_ms;
}

static void note_hop(World *world, int at, int from, Known *known)
{
    uint8_t *hops = &world->hops[known->index * (size_t)world->config.nodes];
    hops[at] = from < 0 ? 0 : (uint8_t)(hops[from] + 1);
    if (hops[at] > world->report.last_hop) {
        world->report.last_hop = hops[at];
    }
    known->last_hop = hops[at] > known->last_hop ? hops[at] : known->last_hop;
    known->last_ms = world->now_ms;
    uint64_t latency = world->now_ms - known->said_ms;
    if (world->config.operations_per_s > 0) {
        note_applied(world, at, known);
    }
    if (from >= 0) {
        world->latency_sum += (double)latency;
        world->latency_count++;
        if (latency > world->report.max_latency_ms) {
            world->report.max_latency_ms = latency;
        }
    }
}

bool node_is_hostile(const World *world, int at, unsigned how)
{
    return (at == HOSTILE && (world->swarm & how) != 0) ||
           (at == TWIN && (world->swarm & how & FAULT_EQUIVOCATOR) != 0);
}

/* Is it a stream of one who signs two histories? */
bool check_is_equivocal(const World *world, const StreamId *id)
{
    return (world->swarm & FAULT_EQUIVOCATOR) != 0 &&
           memcmp(id->origin, world->nodes[HOSTILE].key, EVENT_KEY_BYTES) == 0;
}

/* Node at gives the event to its disk: is it one that it has signed? */
void check_written(World *world, int at, const LogEvent *event)
{
    const Node *node = &world->nodes[at];
    if (memcmp(event->fields.stream.origin, node->key, EVENT_KEY_BYTES) != 0 ||
        check_is_equivocal(world, &event->fields.stream)) {
        return;
    }
    const Known *known = known_of(world, event);
    if (known == NULL) {
        known_add(world, event);
    } else if (known != NULL && memcmp(&known->hash, &event->hash, sizeof(EventHash)) != 0) {
        world_fail(world, "two events are signed for number %" PRIu64 " of one stream",
                   event->fields.seq);
    }
}

/* Event came to node at, from a peer (or -1: it is its own, and durable). */
void check_shown(World *world, int at, int from, const LogEvent *event)
{
    check_contiguous(world, at, &event->fields);
    if (check_is_equivocal(world, &event->fields.stream)) {
        return; /* it may have any content */
    }
    Known *known = known_of(world, event);
    bool own = from < 0;
    if (own && !disk_holds(world->nodes[at].disk, &event->fields.stream, event->fields.seq)) {
        world_fail(world, "node %d acknowledges a line that its disk does not hold", at);
    }
    if (known == NULL) {
        world_fail(world, "node %d shows an event that nobody wrote", at);
        return;
    }
    if (memcmp(&known->hash, &event->hash, sizeof(EventHash)) != 0) {
        world_fail(world, "two events are signed for number %" PRIu64 " of one stream",
                   event->fields.seq);
    }
    if (own) {
        known->acknowledged = true;
        known->said_ms = world->now_ms;
    }
    bool clocks_jump = (world->swarm & FAULT_CLOCK) != 0;
    if (own && !clocks_jump && !node_is_hostile(world, at, FAULT_CLOCK_LIAR) &&
        hlc_time_ms(event->fields.hlc) > WALL_MS + (int64_t)world->now_ms + HLC_AHEAD_MAX_MS + 1) {
        world_fail(world, "node %d stamps its own line more than a minute ahead", at);
    }
    note_hop(world, at, from, known);
}

/* One Ed25519 check for each event in the world, not for each node. */
typedef struct Verified {
    EventHash hash;
    uint8_t signature[EVENT_SIGNATURE_BYTES];
    UT_hash_handle hh;
} Verified;

static Verified *verified_events;

bool check_verify_once(const LogEvent *event)
{
    Verified *verified;
    HASH_FIND(hh, verified_events, &event->hash, sizeof(EventHash), verified);
    if (verified != NULL && event->is_signed &&
        memcmp(verified->signature, event->signature, EVENT_SIGNATURE_BYTES) == 0) {
        return true;
    }
    if (!event_signature_is_good(event)) {
        return false;
    }
    if (verified == NULL) {
        verified = mem_new(Verified);
        verified->hash = event->hash;
        memcpy(verified->signature, event->signature, EVENT_SIGNATURE_BYTES);
        HASH_ADD(hh, verified_events, hash, sizeof(EventHash), verified);
    }
    return true;
}

void check_forget(void)
{
    Verified *verified;
    Verified *next_verified;
    HASH_ITER(hh, verified_events, verified, next_verified) {
        HASH_DEL(verified_events, verified);
        mem_free(verified);
    }
}

/* Does every node that can be counted on hold it? */
static int node_that_lacks(const World *world, const Known *known)
{
    for (int i = 0; i < world->config.nodes; i++) {
        if (world->config.private_network && !private_counts(world, i)) {
            continue;
        }
        if (!node_is_hostile(world, i, FAULT_MUTE) &&
            !disk_holds(world->nodes[i].disk, &known->key.stream, known->key.seq)) {
            return i;
        }
    }
    return -1;
}

static bool must_be_held(const World *world, const Known *known)
{
    const StreamId *stream = &known->key.stream;
    bool counts =
        !world->config.private_network || (private_event_counts(world, stream, known->key.seq) &&
                                           !private_is_lost(world, stream, known->key.seq));
    return known->acknowledged && !known->excused && counts;
}

bool check_all_equal(World *world)
{
    uint64_t root = 0;
    bool root_known = false;
    if (world->config.churn) {
        private_note_reached(world);
    }
    for (int i = 0; i < world->config.nodes; i++) {
        const Node *node = &world->nodes[i];
        if (world->config.private_network && !private_counts(world, i)) {
            continue;
        }
        if (node->replica == NULL || node->pending != NULL) {
            return false;
        }
        if (node_is_hostile(world, i, FAULT_MUTE)) {
            continue; /* it may hold what it gives nobody */
        }
        if (root_known && replica_root(node->replica) != root) {
            return false;
        }
        if (world->config.private_network && !private_agrees(world, i)) {
            return false;
        }
        root = replica_root(node->replica);
        root_known = true;
    }
    for (const Known *known = world->known; known != NULL && (world->swarm & FAULT_MUTE) != 0;
         known = known->hh.next) {
        if (must_be_held(world, known) && node_that_lacks(world, known) >= 0) {
            return false; /* and so roots do not tell all */
        }
    }
    return true;
}

/* What each node holds, of those that count. */
static void tell_heads(const World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        const Replica *replica = world->nodes[i].replica;
        const StreamId *id;
        if (replica == NULL || (world->config.private_network && !private_counts(world, i))) {
            continue;
        }
        fprintf(world->config.trace, "node %d has root %016" PRIx64 ":", i, replica_root(replica));
        for (size_t j = 0; (id = replica_stream_at(replica, j)) != NULL; j++) {
            uint64_t durable = replica_durable(replica, id);
            if (durable > 0 || replica_is_frozen(replica, id)) {
                fprintf(world->config.trace, " %02x/%" PRIx64 "/%" PRIu64 "%s", id->origin[0],
                        id->epoch, durable, replica_is_frozen(replica, id) ? " frozen" : "");
            }
        }
        fprintf(world->config.trace, "\n");
    }
}

/* For the reader of a trace: who lacks what. */
void check_tell_differences(World *world)
{
    bool is_private = world->config.private_network;
    if (world->config.trace == NULL) {
        return;
    }
    if (is_private) {
        private_tell_differences(world);
    }
    tell_heads(world);
    for (const Known *known = world->known; known != NULL; known = known->hh.next) {
        for (int i = 0; i < world->config.nodes; i++) {
            const Node *node = &world->nodes[i];
            if (is_private && (!private_counts(world, i) ||
                               !private_event_counts(world, &known->key.stream, known->key.seq))) {
                continue;
            }
            if (!known->excused &&
                (node->replica == NULL ||
                 replica_durable(node->replica, &known->key.stream) < known->key.seq)) {
                fprintf(
                    world->config.trace,
                    "node %d lacks %02x/%" PRIx64 "/%" PRIu64 " (acknowledged: %d, behind: %" PRIu64
                    ", applied: %" PRIu64 ")\n",
                    i, known->key.stream.origin[0], known->key.stream.epoch, known->key.seq,
                    known->acknowledged, node->replica != NULL ? replica_behind(node->replica) : 0,
                    node->replica != NULL ? replica_applied(node->replica, &known->key.stream) : 0);
            }
        }
    }
}

void check_end(World *world)
{
    for (const Known *known = world->known; known != NULL; known = known->hh.next) {
        int lacking = must_be_held(world, known) ? node_that_lacks(world, known) : -1;
        if (lacking >= 0) {
            world_fail(world, "node %d lacks an acknowledged event, number %" PRIu64 " of a stream",
                       lacking, known->key.seq);
        }
    }
}
