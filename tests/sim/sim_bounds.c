/* Nothing grows past its cap, nobody waits for ever, and it is quiet when all is said. */
#include "sim_world.h"

enum {
    REPAIR_LONGEST_MS = 5000,
    SILENCE_MAX_MS = 3 * REPAIR_LONGEST_MS,
    SETTLE_MS = 15000,
    QUIET_MS = 20000,
    /* In QUIET_MS, on one link: each side pings twice, and answers twice; some more, for the
     * edges of the interval and round trips that are measured after a link came. */
    QUIET_FRAMES = 14,
    LINK_BYTES_MAX = REPLICA_CREDIT_BYTES + FRAME_MAX_BYTES,
};

void check_frame(World *world, int at, const Bytes *frame)
{
    if (bytes_len(frame) > FRAME_MAX_BYTES) {
        world_fail(world, "node %d sends a frame of %zu bytes", at, bytes_len(frame));
    }
}

void check_bounds(World *world, int at)
{
    const Node *node = &world->nodes[at];
    ReplicaLoad load = replica_load(node->replica);
    size_t streams = replica_streams_count(node->replica);
    size_t windows = (world->swarm & FAULT_CUT) != 0 ? SMALL_WINDOWS_BYTES : REPLICA_WINDOWS_BYTES;
    size_t storing = node->edges_count * LINK_BYTES_MAX + EVENT_GROUP_MAX_BYTES;
    const struct {
        const char *what;
        uint64_t value;
        uint64_t most;
    } bounds[] = {
        {"streams to be sent on one link", load.ready, streams},
        {"WANTs and STOPs to be sent on one link", load.to_say, streams},
        {"presences", load.presences, 4096},
        {"bytes of events from one link", load.unreturned, LINK_BYTES_MAX},
        {"bytes of credit", load.credit > 0 ? (uint64_t)load.credit : 0, REPLICA_CREDIT_BYTES},
        {"bytes on their way to the disk", load.storing_bytes, storing},
        {"bytes said", load.said_bytes, REPLICA_SAID_MAX_BYTES + EVENT_MAX_BYTES},
        {"bytes in memory", load.windows_bytes, windows + load.storing_bytes},
        {"proofs", load.proofs, REPLICA_PROOFS_MAX},
        {"streams", streams, FEW_STREAMS + HASH_COUNT(node->disk) + 2},
    };
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        if (bounds[i].value > bounds[i].most) {
            world_fail(world, "node %d holds %" PRIu64 " %s, of at most %" PRIu64, at,
                       bounds[i].value, bounds[i].what, bounds[i].most);
        }
    }
}

static void silence_look(World *world, int at, const ReplicaStreamView *view)
{
    Node *node = &world->nodes[at];
    Silence *silence;
    HASH_FIND(hh, node->silences, &view->id, sizeof(StreamId), silence);
    if (silence == NULL) {
        silence = mem_new(Silence);
        silence->id = view->id;
        silence->upstream = REPLICA_LINKS_MAX;
        HASH_ADD(hh, node->silences, id, sizeof(StreamId), silence);
    }
    if (!view->elsewhere || view->applied != silence->applied ||
        view->upstream != silence->upstream) {
        silence->applied = view->applied;
        silence->upstream = view->upstream;
        silence->since_ms = world->now_ms;
    }
    if (world->now_ms - silence->since_ms > SILENCE_MAX_MS) {
        world_fail(world, "node %d waits %" PRIu64 " ms for one that sends nothing", at,
                   world->now_ms - silence->since_ms);
    }
}

void check_silence(World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        const Replica *replica = world->nodes[i].replica;
        ReplicaStreamView view;
        for (size_t j = 0; replica != NULL && replica_stream_view(replica, j, &view); j++) {
            silence_look(world, i, &view);
        }
    }
}

void silences_free(Node *node)
{
    Silence *silence;
    Silence *next;
    HASH_ITER(hh, node->silences, silence, next) {
        HASH_DEL(node->silences, silence);
        mem_free(silence);
    }
}

/* All have all: what is said from here on is that one is there. */
void check_quiet(World *world)
{
    if ((world->swarm & FAULTS_RESTLESS) != 0) {
        return;
    }
    run_until(world, world->now_ms + SETTLE_MS);
    uint64_t before = world->report.frames;
    run_until(world, world->now_ms + QUIET_MS);
    uint64_t frames = world->report.frames - before;
    if (frames > QUIET_FRAMES * world->edges_count) {
        world_fail(world, "%" PRIu64 " frames on %zu links, when all is said", frames,
                   world->edges_count);
    }
}
