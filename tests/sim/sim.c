/* The world: time, network, disks, faults, and what must always hold. */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <uthash.h>

enum {
    FAULT_EVERY_MS = 250,
    DISK_MIN_MS = 1,
    DISK_MAX_MS = 15,
    START_WALL_MS = 1000,
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 800,
    LIE_MS = 10 * 86400000,
    HOSTILE = 0, /* where a seed has a hostile node, it is this one */
};

static const int64_t WALL_MS = INT64_C(1700000000000);

/* ---- types ---- */

typedef enum TaskKind {
    TASK_FRAME,
    TASK_SENT,
    TASK_STORED,
    TASK_READ,
    TASK_TIMER,
    TASK_CONNECT,
    TASK_SAY,
    TASK_FAULT,
    TASK_RESTART,
    TASK_CLIENT_READ,
    TASK_PARTITION,
} TaskKind;

typedef struct Task {
    uint64_t at_ms;
    uint64_t order;
    TaskKind kind;
    int node;
    size_t link;
    uint32_t life;      /* of the node, or of the edge */
    uint64_t generation;
    uint64_t ticket;
    StreamId stream;
    uint64_t from;
    Bytes *frame;
} Task;

typedef struct DiskStream {
    StreamId id;
    LogEvent **events; /* seq 1 is events[0] */
    size_t count;
    size_t cap;
    UT_hash_handle hh;
} DiskStream;

typedef struct Pending {
    uint64_t ticket;
    LogEvent **events;
    size_t count;
    struct Pending *next;
} Pending;

typedef struct Edge {
    int a;
    int b;
    bool up;
    bool cut;
    uint32_t life;
    uint32_t clog_ms;
    uint64_t last_arrival[2]; /* by direction: what was sent first comes first */
} Edge;

typedef struct Applied {
    StreamId id;
    uint64_t seq;
    UT_hash_handle hh;
} Applied;

typedef struct Node {
    Replica *replica; /* NULL: down */
    uint8_t seed[EVENT_SEED_BYTES];
    uint32_t life;
    uint64_t timer_generation;
    uint64_t epoch;
    int64_t skew_ms;
    uint32_t disk_slow_ms;
    DiskStream *disk;
    DiskStream *backup;
    bool has_backup;
    Pending *pending;
    size_t *edges; /* by link */
    size_t edges_count;
    Applied *applied; /* in this life */
    uint64_t say_count;
} Node;

/* What everybody may know of an event. */
typedef struct Known {
    struct {
        StreamId stream;
        uint64_t seq;
    } key;
    EventHash hash;
    bool acknowledged;
    bool excused; /* the only disk that held it is gone */
    uint64_t said_ms;
    size_t index;
    UT_hash_handle hh;
} Known;

typedef struct ClientRead {
    uint64_t at_ms;
    int node;
} ClientRead;

typedef struct World {
    SimConfig config;
    ClientRead *reads;
    size_t reads_count;
    uint32_t *applied_ms; /* by known index, node; 0: not yet */
    size_t applied_cap;
    uint64_t random;
    uint64_t now_ms;
    uint64_t order;
    Task *heap;
    size_t heap_count;
    size_t heap_cap;
    Node *nodes;
    Edge *edges;
    size_t edges_count;
    Known *known;
    size_t known_count;
    uint8_t *hops; /* by known index, node */
    size_t hops_cap;
    bool healing;
    int lines_left;
    double latency_sum;
    uint64_t latency_count;
    unsigned swarm; /* which faults this seed has */
    SimReport report;
} World;

enum {
    FAULT_CUT = 1,
    FAULT_PARTITION = 2,
    FAULT_CRASH = 4,
    FAULT_CLOG = 8,
    FAULT_SLOW_DISK = 16,
    FAULT_CLOCK = 32,
    FAULT_RESTORE = 64,
    FAULT_FORGER = 128,     /* one node damages what it passes on */
    FAULT_CLOCK_LIAR = 256, /* one node stamps its lines ten days ahead */
    FAULTS_ALL = 511,
};

/* ---- chance, failure, trace ---- */

static uint64_t world_random(World *world) /* SplitMix64 */
{
    uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t between(World *world, uint64_t min, uint64_t max)
{
    return min + world_random(world) % (max - min + 1);
}

static bool chance(World *world, unsigned per_mille)
{
    return world_random(world) % 1000 < per_mille;
}

[[gnu::format(printf, 2, 3)]] static void fail(World *world, const char *format, ...)
{
    if (!world->report.ok) {
        return; /* the first one counts */
    }
    world->report.ok = false;
    va_list args;
    va_start(args, format);
    vsnprintf(world->report.failure, sizeof(world->report.failure), format, args);
    va_end(args);
}

static void trace(World *world, const char *what, int node, uint64_t a, uint64_t b)
{
    uint64_t words[] = {world->now_ms, (uint64_t)what[0] << 8 | (uint64_t)what[1], (uint64_t)node,
                        a, b};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        world->report.trace_hash = (world->report.trace_hash ^ words[i]) * UINT64_C(0x100000001b3);
    }
    if (world->config.trace != NULL) {
        fprintf(world->config.trace, "%8" PRIu64 " ms  node %d  %s  %" PRIu64 " %" PRIu64 "\n",
                world->now_ms, node, what, a, b);
    }
}

/* ---- time: a binary heap ---- */

static bool task_before(const Task *a, const Task *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void post(World *world, uint64_t delay_ms, Task task)
{
    task.at_ms = world->now_ms + delay_ms;
    task.order = world->order++;
    if (world->heap_count == world->heap_cap) {
        world->heap_cap = world->heap_cap > 0 ? world->heap_cap * 2 : 1024;
        world->heap = mem_resize(world->heap, world->heap_cap, sizeof(Task));
    }
    size_t at = world->heap_count++;
    while (at > 0 && task_before(&task, &world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = task;
}

static Task take(World *world)
{
    Task first = world->heap[0];
    Task last = world->heap[--world->heap_count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= world->heap_count) {
            break;
        }
        if (child + 1 < world->heap_count &&
            task_before(&world->heap[child + 1], &world->heap[child])) {
            child++;
        }
        if (!task_before(&world->heap[child], &last)) {
            break;
        }
        world->heap[at] = world->heap[child];
        at = child;
    }
    world->heap[at] = last;
    return first;
}

/* ---- disks ---- */

static DiskStream *disk_find(DiskStream *disk, const StreamId *id)
{
    DiskStream *stream;
    HASH_FIND(hh, disk, id, sizeof(*id), stream);
    return stream;
}

static void disk_append(World *world, int at, DiskStream **disk, LogEvent *event)
{
    DiskStream *stream = disk_find(*disk, &event->fields.stream);
    if (stream == NULL) {
        stream = mem_new(DiskStream);
        stream->id = event->fields.stream;
        HASH_ADD(hh, *disk, id, sizeof(stream->id), stream);
    }
    if (event->fields.seq != stream->count + 1) {
        fail(world, "node %d stores number %" PRIu64 " of a stream after %zu", at,
             event->fields.seq, stream->count);
        return;
    }
    if (stream->count == stream->cap) {
        stream->cap = stream->cap > 0 ? stream->cap * 2 : 8;
        stream->events = mem_resize(stream->events, stream->cap, sizeof(LogEvent *));
    }
    stream->events[stream->count++] = event_ref(event);
}

static void disk_free(DiskStream **disk)
{
    DiskStream *stream;
    DiskStream *next;
    HASH_ITER(hh, *disk, stream, next)
    {
        HASH_DEL(*disk, stream);
        for (size_t i = 0; i < stream->count; i++) {
            event_unref(stream->events[i]);
        }
        mem_free(stream->events);
        mem_free(stream);
    }
}

static DiskStream *disk_copy(World *world, DiskStream *disk)
{
    DiskStream *copy = NULL;
    DiskStream *stream;
    DiskStream *next;
    HASH_ITER(hh, disk, stream, next)
    {
        for (size_t i = 0; i < stream->count; i++) {
            disk_append(world, -1, &copy, stream->events[i]);
        }
    }
    return copy;
}

static bool disk_holds(DiskStream *disk, const StreamId *id, uint64_t seq)
{
    const DiskStream *stream = disk_find(disk, id);
    return stream != NULL && stream->count >= seq;
}

static void pending_free(Node *node)
{
    while (node->pending != NULL) {
        Pending *pending = node->pending;
        node->pending = pending->next;
        for (size_t i = 0; i < pending->count; i++) {
            event_unref(pending->events[i]);
        }
        mem_free(pending->events);
        mem_free(pending);
    }
}

static void disk_commit(World *world, int at, uint64_t ticket)
{
    Node *node = &world->nodes[at];
    while (node->pending != NULL && node->pending->ticket <= ticket) {
        Pending *pending = node->pending;
        node->pending = pending->next;
        for (size_t i = 0; i < pending->count; i++) {
            disk_append(world, at, &node->disk, pending->events[i]);
            event_unref(pending->events[i]);
        }
        mem_free(pending->events);
        mem_free(pending);
    }
}

/* ---- what everybody may know: checks on what is shown ---- */

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
        fail(world, "node %d shows number %" PRIu64 " of a stream after %" PRIu64, at, fields->seq,
             applied->seq);
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

static void note_hop(World *world, int at, int from, const Known *known)
{
    uint8_t *hops = &world->hops[known->index * (size_t)world->config.nodes];
    hops[at] = from < 0 ? 0 : (uint8_t)(hops[from] + 1);
    if (hops[at] > world->report.last_hop) {
        world->report.last_hop = hops[at];
    }
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

static bool is_hostile(const World *world, int at, unsigned how)
{
    return at == HOSTILE && (world->swarm & how) != 0;
}

/* Event came to node at, from a peer (or -1: it is its own, and durable). */
static void check_shown(World *world, int at, int from, const LogEvent *event)
{
    check_contiguous(world, at, &event->fields);
    Known *known = known_of(world, event);
    bool own = from < 0;
    if (known == NULL && own) {
        known = known_add(world, event);
    }
    if (known == NULL) {
        fail(world, "node %d shows an event that nobody wrote", at);
        return;
    }
    if (memcmp(&known->hash, &event->hash, sizeof(EventHash)) != 0) {
        fail(world, "two events are signed for number %" PRIu64 " of one stream",
             event->fields.seq);
    }
    known->acknowledged = known->acknowledged || own;
    bool clocks_jump = (world->swarm & FAULT_CLOCK) != 0;
    if (own && !clocks_jump && !is_hostile(world, at, FAULT_CLOCK_LIAR) &&
        hlc_time_ms(event->fields.hlc) >
            WALL_MS + (int64_t)world->now_ms + HLC_AHEAD_MAX_MS + 1) {
        fail(world, "node %d stamps its own line more than a minute ahead", at);
    }
    note_hop(world, at, from, known);
}

/* ---- nodes ---- */

static int64_t node_wall_ms(const World *world, int at)
{
    if (is_hostile(world, at, FAULT_CLOCK_LIAR)) {
        return WALL_MS + (int64_t)world->now_ms + LIE_MS;
    }
    return WALL_MS + (int64_t)world->now_ms + world->nodes[at].skew_ms;
}

static int edge_other(const Edge *edge, int node)
{
    return edge->a == node ? edge->b : edge->a;
}

static bool verify_once(const LogEvent *event);
static bool verify_nothing(const LogEvent *event)
{
    return event->is_signed;
}

static void node_step(World *world, int at, ReplicaInput input);

static uint64_t latency_of(World *world, const Edge *edge)
{
    return between(world, world->config.latency_min_ms, world->config.latency_max_ms) +
           edge->clog_ms;
}

/* One bit of what it passes on, or of its own words. */
static Bytes *damage(World *world, Bytes *frame)
{
    Bytes *copy = bytes_new(bytes_data(frame), bytes_len(frame));
    size_t bit = world_random(world) % (8 * bytes_len(frame));
    bytes_fill(copy)[bit / 8] ^= (uint8_t)(1U << bit % 8);
    return copy;
}

static void send_frame(World *world, int at, size_t link, Bytes *frame)
{
    Edge *edge = &world->edges[world->nodes[at].edges[link]];
    int direction = edge->a == at ? 0 : 1;
    world->report.frames++;
    uint64_t arrival = world->now_ms + latency_of(world, edge);
    if (arrival < edge->last_arrival[direction]) {
        arrival = edge->last_arrival[direction];
    }
    edge->last_arrival[direction] = arrival;
    bool deaf = world->config.mutation == MUTATION_DEAF_LINK && world->healing &&
                (edge->a == 0 || edge->b == 0);
    if (edge->up && !edge->cut && !deaf) {
        Bytes *carried = bytes_ref(frame);
        if (is_hostile(world, at, FAULT_FORGER) && !world->healing && chance(world, 200)) {
            bytes_unref(carried);
            carried = damage(world, frame);
        }
        post(world, arrival - world->now_ms,
             (Task){.kind = TASK_FRAME,
                    .node = edge_other(edge, at),
                    .link = (size_t)world->nodes[at].edges[link],
                    .life = edge->life,
                    .frame = carried});
    }
    post(world, edge->clog_ms / 4,
         (Task){.kind = TASK_SENT, .node = at, .link = link, .life = edge->life});
}

static void store_events(World *world, int at, const ReplicaOutput *output)
{
    Node *node = &world->nodes[at];
    Pending *pending = mem_new(Pending);
    pending->ticket = output->ticket;
    pending->count = output->events_count;
    pending->events = mem_array(pending->count, sizeof(LogEvent *));
    for (size_t i = 0; i < pending->count; i++) {
        pending->events[i] = event_ref(output->events[i]);
    }
    Pending **last = &node->pending;
    while (*last != NULL) {
        last = &(*last)->next;
    }
    *last = pending;
    Task done = {
        .kind = TASK_STORED, .node = at, .life = node->life, .ticket = output->ticket};
    uint32_t slowest = world->config.disk_max_ms > 0 ? world->config.disk_max_ms : DISK_MAX_MS;
    uint64_t delay = between(world, DISK_MIN_MS, slowest) + node->disk_slow_ms;
    if (world->config.mutation == MUTATION_ACK_BEFORE_DISK) {
        done.from = 1; /* only said */
        post(world, 0, done);
        done.from = 2; /* only done */
        delay += 500;
    }
    post(world, delay, done);
}

static void edge_down(World *world, size_t index);

static void apply_events(World *world, int at, int from, const ReplicaOutput *output)
{
    int twice = world->config.mutation == MUTATION_APPLY_TWICE && at == 1 ? 2 : 1;
    for (int n = 0; n < twice; n++) {
        for (size_t i = 0; i < output->events_count; i++) {
            const LogEvent *event = output->events[i];
            bool own = memcmp(event->fields.stream.origin, world->nodes[at].seed, 0) == 0 &&
                       from < 0;
            check_shown(world, at, own ? -1 : from, event);
            trace(world, "apply", at, event->fields.seq, event->fields.hlc);
        }
    }
}

static void node_do(World *world, int at, int from, ReplicaOutput *output)
{
    switch (output->kind) {
    case REPLICA_STORE:
        store_events(world, at, output);
        return;
    case REPLICA_READ:
        post(world, 1,
             (Task){.kind = TASK_READ,
                    .node = at,
                    .life = world->nodes[at].life,
                    .link = output->link,
                    .stream = output->stream,
                    .from = output->from});
        return;
    case REPLICA_SEND:
        trace(world, "send", at, output->link, bytes_len(output->frame));
        send_frame(world, at, output->link, output->frame);
        return;
    case REPLICA_DROP:
        trace(world, "drop", at, output->link, 0);
        if (!is_hostile(world, edge_other(&world->edges[world->nodes[at].edges[output->link]], at),
                        FAULT_FORGER)) {
            fail(world, "node %d drops an honest peer: %s", at, output->reason);
        }
        edge_down(world, world->nodes[at].edges[output->link]);
        return;
    case REPLICA_APPLY:
        apply_events(world, at, from, output);
        return;
    case REPLICA_FROZEN:
        fail(world, "node %d froze the stream of an honest node", at);
        return;
    }
}

static void node_step(World *world, int at, ReplicaInput input)
{
    Node *node = &world->nodes[at];
    if (node->replica == NULL) {
        return;
    }
    int from = -1;
    if (input.kind == REPLICA_FRAME) {
        from = edge_other(&world->edges[node->edges[input.link]], at);
    }
    input.mono_ms = world->now_ms + START_WALL_MS;
    input.wall_ms = node_wall_ms(world, at);
    if (world->config.mutation == MUTATION_CLOCK_DRAGGED && input.kind == REPLICA_FRAME) {
        input.wall_ms += LIE_MS;
    }
    input.random = world_random(world);
    ReplicaOutputs outputs = {0};
    replica_step(node->replica, &input, &outputs);
    world->report.steps++;
    for (size_t i = 0; i < outputs.count; i++) {
        node_do(world, at, from, &outputs.items[i]);
    }
    node->timer_generation++;
    if (outputs.wake_at_ms != 0 && node->replica != NULL) {
        uint64_t now = world->now_ms + START_WALL_MS;
        post(world, outputs.wake_at_ms > now ? outputs.wake_at_ms - now : 0,
             (Task){.kind = TASK_TIMER, .node = at, .generation = node->timer_generation});
    }
    replica_outputs_done(&outputs);
}

static size_t link_of(const World *world, int node, size_t edge)
{
    size_t link = 0;
    while (world->nodes[node].edges[link] != edge) {
        link++;
    }
    return link;
}

static void edge_tell(World *world, size_t index, ReplicaInputKind kind)
{
    const Edge *edge = &world->edges[index];
    int ends[] = {edge->a, edge->b};
    for (int i = 0; i < 2; i++) {
        node_step(world, ends[i],
                  (ReplicaInput){.kind = kind, .link = link_of(world, ends[i], index)});
    }
}

static void edge_down(World *world, size_t index)
{
    Edge *edge = &world->edges[index];
    if (!edge->up) {
        return;
    }
    edge->up = false;
    edge->life++;
    world->report.cuts++;
    edge_tell(world, index, REPLICA_LINK_DOWN);
    post(world, between(world, RECONNECT_MIN_MS, RECONNECT_MAX_MS),
         (Task){.kind = TASK_CONNECT, .link = index});
}

static void edge_connect(World *world, size_t index)
{
    Edge *edge = &world->edges[index];
    if (edge->up) {
        return;
    }
    if (edge->cut || world->nodes[edge->a].replica == NULL ||
        world->nodes[edge->b].replica == NULL) {
        post(world, between(world, RECONNECT_MIN_MS, RECONNECT_MAX_MS),
             (Task){.kind = TASK_CONNECT, .link = index});
        return;
    }
    edge->up = true;
    edge->last_arrival[0] = world->now_ms;
    edge->last_arrival[1] = world->now_ms;
    edge_tell(world, index, REPLICA_LINK_UP);
}

static uint64_t own_highest_epoch(const Node *node, const uint8_t *key)
{
    uint64_t highest = 0;
    for (const DiskStream *stream = node->disk; stream != NULL; stream = stream->hh.next) {
        if (memcmp(stream->id.origin, key, EVENT_KEY_BYTES) == 0 && stream->id.epoch > highest) {
            highest = stream->id.epoch;
        }
    }
    return highest;
}

static void node_start(World *world, int at)
{
    Node *node = &world->nodes[at];
    ReplicaConfig config = {
        .coalesce_ms = world->config.coalesce_ms,
        .have_interval_ms = world->config.have_interval_ms,
        .have_fanout = world->config.have_fanout,
        .frugal = world->config.frugal,
        .verify = world->config.mutation == MUTATION_NO_VERIFY ? verify_nothing : verify_once,
    };
    event_signer_init(&config.signer, node->seed);
    uint64_t stored = own_highest_epoch(node, config.signer.public_key);
    config.epoch = replica_next_epoch(stored, node_wall_ms(world, at), world_random(world));
    if (world->config.mutation == MUTATION_SAME_EPOCH && node->epoch != 0) {
        config.epoch = node->epoch;
    }
    node->epoch = config.epoch;

    size_t count = HASH_COUNT(node->disk);
    StreamHead *heads = mem_array(count, sizeof(StreamHead));
    size_t i = 0;
    for (const DiskStream *stream = node->disk; stream != NULL; stream = stream->hh.next, i++) {
        heads[i] = (StreamHead){.stream = stream->id,
                                .hi = stream->count,
                                .last_hash = stream->events[stream->count - 1]->hash};
    }
    node->replica = replica_new(&config, heads, count);
    mem_free(heads);
    node->life++;
    trace(world, "start", at, node->epoch, count);
}

static void applied_free(Node *node)
{
    Applied *applied;
    Applied *next;
    HASH_ITER(hh, node->applied, applied, next)
    {
        HASH_DEL(node->applied, applied);
        mem_free(applied);
    }
}

static void node_crash(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (node->replica == NULL) {
        return;
    }
    trace(world, "crash", at, 0, 0);
    world->report.crashes++;
    replica_free(TAKE(node->replica));
    pending_free(node);
    applied_free(node);
    node->life++;
    node->timer_generation++;
    for (size_t i = 0; i < node->edges_count; i++) {
        edge_down(world, node->edges[i]);
    }
    post(world, between(world, 100, 3000), (Task){.kind = TASK_RESTART, .node = at});
}

/* What this disk alone holds goes with it: nobody can keep that promise. */
static void excuse_lost(World *world, int at)
{
    for (Known *known = world->known; known != NULL; known = known->hh.next) {
        bool elsewhere = false;
        for (int i = 0; i < world->config.nodes && !elsewhere; i++) {
            DiskStream *disk = i == at ? world->nodes[i].backup : world->nodes[i].disk;
            elsewhere = disk_holds(disk, &known->key.stream, known->key.seq);
        }
        known->excused = known->excused || !elsewhere;
    }
}

static void node_restore(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (!node->has_backup || node->replica == NULL) {
        return;
    }
    node_crash(world, at);
    excuse_lost(world, at);
    disk_free(&node->disk);
    node->disk = disk_copy(world, node->backup);
    world->report.restores++;
    trace(world, "restore", at, 0, 0);
}

/* ---- faults ---- */

static void fault_round(World *world)
{
    int victim = (int)(world_random(world) % (uint64_t)world->config.nodes);
    Node *node = &world->nodes[victim];
    Edge *edge = &world->edges[world_random(world) % world->edges_count];
    if ((world->swarm & FAULT_CUT) && chance(world, 300)) {
        edge_down(world, (size_t)(edge - world->edges));
    }
    if ((world->swarm & FAULT_PARTITION) && chance(world, 150)) {
        edge->cut = !edge->cut;
        edge_down(world, (size_t)(edge - world->edges));
    }
    if ((world->swarm & FAULT_CRASH) && chance(world, 150)) {
        node_crash(world, victim);
    }
    if ((world->swarm & FAULT_CLOG) && chance(world, 200)) {
        edge->clog_ms = chance(world, 500) ? (uint32_t)between(world, 100, 3000) : 0;
    }
    if ((world->swarm & FAULT_SLOW_DISK) && chance(world, 200)) {
        node->disk_slow_ms = chance(world, 500) ? (uint32_t)between(world, 50, 1000) : 0;
    }
    if ((world->swarm & FAULT_CLOCK) && chance(world, 100)) {
        node->skew_ms = (int64_t)between(world, 0, 2 * 86400000) - 86400000;
    }
    if ((world->swarm & FAULT_RESTORE) && chance(world, 50)) {
        if (!node->has_backup) {
            node->backup = disk_copy(world, node->disk);
            node->has_backup = true;
        } else {
            node_restore(world, victim);
        }
    }
}

/* Splits the nodes into two halves, or makes them whole. */
static void partition(World *world, bool split)
{
    for (size_t i = 0; i < world->edges_count; i++) {
        Edge *edge = &world->edges[i];
        edge->cut = split && edge->a % 2 != edge->b % 2;
        if (edge->cut) {
            edge_down(world, i);
        }
    }
}

static void heal(World *world)
{
    world->healing = true;
    for (size_t i = 0; i < world->edges_count; i++) {
        world->edges[i].cut = false;
        world->edges[i].clog_ms = 0;
    }
    for (int i = 0; i < world->config.nodes; i++) {
        world->nodes[i].disk_slow_ms = 0;
    }
}

/* ---- running ---- */

static void say(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (node->replica == NULL) {
        return;
    }
    char body[64];
    snprintf(body, sizeof(body), "line %" PRIu64 " of %d", ++node->say_count, at);
    EventFields fields = {
        .room = "lobby",
        .room_len = 5,
        .kind = LOG_TEXT,
        .sender = "sim",
        .sender_len = 3,
        .body = (const uint8_t *)body,
        .body_len = strlen(body),
    };
    node_step(world, at, (ReplicaInput){.kind = REPLICA_SAY, .fields = &fields});
}

static void read_done(World *world, const Task *task)
{
    Node *node = &world->nodes[task->node];
    DiskStream *stream = disk_find(node->disk, &task->stream);
    size_t count = 0;
    size_t end = 0;
    size_t bytes = 0;
    size_t from = (size_t)task->from - 1;
    while (stream != NULL && from + count < stream->count &&
           bytes < REPLICA_FRAME_EVENTS_BYTES) {
        const LogEvent *event = stream->events[from + count++];
        bytes += bytes_len(event->bytes);
        end = event->is_signed ? count : end;
    }
    node_step(world, task->node,
              (ReplicaInput){.kind = REPLICA_READ_DONE,
                             .link = task->link,
                             .stream = task->stream,
                             .from = task->from,
                             .events = end > 0 ? &stream->events[from] : NULL,
                             .events_count = end});
}

static void stored(World *world, const Task *task)
{
    if (task->from != 1) {
        disk_commit(world, task->node, task->ticket);
    }
    if (task->from != 2) {
        node_step(world, task->node,
                  (ReplicaInput){.kind = REPLICA_STORED, .ticket = task->ticket});
    }
}

static void run_task(World *world, const Task *task)
{
    Node *node = &world->nodes[task->node];
    switch (task->kind) {
    case TASK_FRAME: {
        const Edge *edge = &world->edges[task->link];
        if (edge->up && edge->life == task->life) {
            node_step(world, task->node,
                      (ReplicaInput){.kind = REPLICA_FRAME,
                                     .link = link_of(world, task->node, task->link),
                                     .data = bytes_data(task->frame),
                                     .len = bytes_len(task->frame)});
        }
        bytes_unref(task->frame);
        return;
    }
    case TASK_SENT:
        if (world->edges[node->edges[task->link]].life == task->life) {
            node_step(world, task->node,
                      (ReplicaInput){.kind = REPLICA_SENT, .link = task->link});
        }
        return;
    case TASK_STORED:
        if (node->life == task->life) {
            stored(world, task);
        }
        return;
    case TASK_READ:
        if (node->life == task->life) {
            read_done(world, task);
        }
        return;
    case TASK_TIMER:
        if (node->timer_generation == task->generation) {
            node_step(world, task->node, (ReplicaInput){.kind = REPLICA_TIMER});
        }
        return;
    case TASK_CONNECT:
        edge_connect(world, task->link);
        return;
    case TASK_SAY:
        say(world, task->node);
        return;
    case TASK_FAULT:
        if (!world->healing) {
            fault_round(world);
            post(world, FAULT_EVERY_MS, (Task){.kind = TASK_FAULT});
        }
        return;
    case TASK_RESTART:
        node_start(world, task->node);
        return;
    case TASK_CLIENT_READ:
        world->reads = mem_resize(world->reads, world->reads_count + 1, sizeof(ClientRead));
        world->reads[world->reads_count++] =
            (ClientRead){.at_ms = world->now_ms, .node = task->node};
        return;
    case TASK_PARTITION:
        partition(world, task->from != 0);
        return;
    }
}

static bool all_equal(const World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        const Node *node = &world->nodes[i];
        if (node->replica == NULL || node->pending != NULL ||
            replica_root(node->replica) != replica_root(world->nodes[0].replica)) {
            return false;
        }
    }
    return true;
}

/* For the reader of a trace: who lacks what. */
static void tell_differences(World *world)
{
    for (const Known *known = world->known; known != NULL; known = known->hh.next) {
        for (int i = 0; i < world->config.nodes; i++) {
            const Node *node = &world->nodes[i];
            if (world->config.trace != NULL && !known->excused &&
                (node->replica == NULL ||
                 replica_durable(node->replica, &known->key.stream) < known->key.seq)) {
                fprintf(world->config.trace,
                        "node %d lacks %02x/%" PRIx64 "/%" PRIu64 " (acknowledged: %d, behind: %"
                        PRIu64 ", applied: %" PRIu64 ")\n",
                        i, known->key.stream.origin[0], known->key.stream.epoch, known->key.seq,
                        known->acknowledged,
                        node->replica != NULL ? replica_behind(node->replica) : 0,
                        node->replica != NULL ? replica_applied(node->replica, &known->key.stream)
                                              : 0);
            }
        }
    }
}

static void check_end(World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        Node *node = &world->nodes[i];
        for (const Known *known = world->known; known != NULL; known = known->hh.next) {
            if (known->acknowledged && !known->excused &&
                !disk_holds(node->disk, &known->key.stream, known->key.seq)) {
                fail(world, "node %d lacks an acknowledged event, number %" PRIu64 " of a stream",
                     i, known->key.seq);
            }
        }
    }
}

static void run_until(World *world, uint64_t until_ms)
{
    while (world->report.ok && world->heap_count > 0 && world->heap[0].at_ms <= until_ms) {
        Task task = take(world);
        world->now_ms = task.at_ms;
        run_task(world, &task);
    }
    world->now_ms = until_ms;
}

/* ---- the overlay ---- */

static void add_edge(World *world, int a, int b)
{
    world->edges = mem_resize(world->edges, world->edges_count + 1, sizeof(Edge));
    world->edges[world->edges_count] = (Edge){.a = a, .b = b};
    int ends[] = {a, b};
    for (int i = 0; i < 2; i++) {
        Node *node = &world->nodes[ends[i]];
        node->edges = mem_resize(node->edges, node->edges_count + 1, sizeof(size_t));
        node->edges[node->edges_count++] = world->edges_count;
    }
    world->edges_count++;
}

static bool has_edge(const World *world, int a, int b)
{
    for (size_t i = 0; i < world->nodes[a].edges_count; i++) {
        if (edge_other(&world->edges[world->nodes[a].edges[i]], a) == b) {
            return true;
        }
    }
    return false;
}

/* A ring, so that it is connected; then random edges up to the degree. */
static void make_overlay(World *world)
{
    int nodes = world->config.nodes;
    int degree = world->config.degree;
    if (degree == 0) {
        for (int a = 0; a < nodes; a++) {
            for (int b = a + 1; b < nodes; b++) {
                add_edge(world, a, b);
            }
        }
        return;
    }
    for (int a = 0; a < nodes; a++) {
        if (!has_edge(world, a, (a + 1) % nodes) && a != (a + 1) % nodes) {
            add_edge(world, a, (a + 1) % nodes);
        }
    }
    for (int tries = 0; tries < 20 * nodes * degree; tries++) {
        int a = (int)(world_random(world) % (uint64_t)nodes);
        int b = (int)(world_random(world) % (uint64_t)nodes);
        if (a != b && world->nodes[a].edges_count < (size_t)degree &&
            world->nodes[b].edges_count < (size_t)degree && !has_edge(world, a, b)) {
            add_edge(world, a, b);
        }
    }
}

/* One Ed25519 check for each event in the world, not for each node. */
typedef struct Verified {
    EventHash hash;
    uint8_t signature[EVENT_SIGNATURE_BYTES];
    UT_hash_handle hh;
} Verified;

static Verified *verified_events;

static bool verify_once(const LogEvent *event)
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

static void world_free(World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        Node *node = &world->nodes[i];
        if (node->replica != NULL) {
            ReplicaStats stats = replica_stats(node->replica);
            world->report.applied += stats.events_applied;
            world->report.repeated += stats.events_repeated;
            world->report.repairs += stats.repairs;
        }
        replica_free(node->replica);
        pending_free(node);
        applied_free(node);
        disk_free(&node->disk);
        disk_free(&node->backup);
        mem_free(node->edges);
    }
    while (world->heap_count > 0) {
        bytes_unref(take(world).frame);
    }
    Known *known;
    Known *next;
    HASH_ITER(hh, world->known, known, next)
    {
        HASH_DEL(world->known, known);
        mem_free(known);
    }
    Verified *verified;
    Verified *next_verified;
    HASH_ITER(hh, verified_events, verified, next_verified)
    {
        HASH_DEL(verified_events, verified);
        mem_free(verified);
    }
    mem_free(world->hops);
    mem_free(world->applied_ms);
    mem_free(world->reads);
    mem_free(world->heap);
    mem_free(world->nodes);
    mem_free(world->edges);
}

/* ---- the broadcast challenge ---- */

enum { CHALLENGE_START_MS = 3000, PARTITION_MS = 5000 };

static void challenge_post(World *world)
{
    const SimConfig *config = &world->config;
    uint64_t count = (uint64_t)config->operations_per_s * config->operations_for_s;
    for (uint64_t i = 0; i < count; i++) {
        int node = (int)(world_random(world) % (uint64_t)config->nodes);
        post(world, CHALLENGE_START_MS + i * 1000 / config->operations_per_s,
             (Task){.kind = i % 2 == 0 ? TASK_SAY : TASK_CLIENT_READ, .node = node});
    }
    uint64_t end = CHALLENGE_START_MS + config->operations_for_s * 1000;
    for (uint64_t at = CHALLENGE_START_MS + PARTITION_MS; config->partitions && at < end;
         at += 2 * (uint64_t)PARTITION_MS) {
        post(world, at, (Task){.kind = TASK_PARTITION, .from = 1});
        post(world, at + PARTITION_MS, (Task){.kind = TASK_PARTITION});
    }
    world->config.trouble_ms = end + 5000; /* reads go on until all have all */
    for (uint64_t at = end; at < world->config.trouble_ms; at += 20) {
        post(world, at,
             (Task){.kind = TASK_CLIENT_READ,
                    .node = (int)(world_random(world) % (uint64_t)config->nodes)});
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void challenge_report(World *world)
{
    size_t count = world->known_count;
    size_t nodes = (size_t)world->config.nodes;
    uint64_t *stable = mem_array(count, sizeof(uint64_t));
    uint64_t *everywhere = mem_array(count, sizeof(uint64_t));
    for (const Known *known = world->known; known != NULL; known = known->hh.next) {
        const uint32_t *applied = &world->applied_ms[known->index * nodes];
        uint64_t last_absent = known->said_ms;
        for (size_t i = 0; i < world->reads_count; i++) {
            const ClientRead *read = &world->reads[i];
            uint32_t at_ms = applied[read->node];
            if (read->at_ms > last_absent && (at_ms == 0 || at_ms > read->at_ms)) {
                last_absent = read->at_ms;
            }
        }
        stable[known->index] = last_absent - known->said_ms;
        for (size_t i = 0; i < nodes; i++) {
            uint64_t took = applied[i] - known->said_ms;
            everywhere[known->index] = took > everywhere[known->index] ? took
                                                                       : everywhere[known->index];
        }
    }
    qsort(stable, count, sizeof(uint64_t), compare_u64);
    qsort(everywhere, count, sizeof(uint64_t), compare_u64);
    SimReport *report = &world->report;
    report->stable_median_ms = stable[count / 2];
    report->stable_max_ms = stable[count - 1];
    report->everywhere_median_ms = everywhere[count / 2];
    report->everywhere_max_ms = everywhere[count - 1];
    report->frames_per_operation =
        (double)report->frames /
        ((double)world->config.operations_per_s * world->config.operations_for_s);
    mem_free(stable);
    mem_free(everywhere);
}

SimReport sim_run(const SimConfig *config)
{
    World world = {.config = *config, .random = config->seed, .report = {.ok = true}};
    world.nodes = mem_array((size_t)config->nodes, sizeof(Node));
    make_overlay(&world);
    world.swarm = config->faults ? (unsigned)(world_random(&world) & FAULTS_ALL) : 0;
    for (int i = 0; i < config->nodes; i++) {
        for (size_t j = 0; j < EVENT_SEED_BYTES; j++) {
            world.nodes[i].seed[j] = (uint8_t)world_random(&world);
        }
        node_start(&world, i);
    }
    for (size_t i = 0; i < world.edges_count; i++) {
        post(&world, between(&world, 0, 200), (Task){.kind = TASK_CONNECT, .link = i});
    }
    for (int i = 0; i < config->lines && config->operations_per_s == 0; i++) {
        post(&world, between(&world, 1000, config->trouble_ms),
             (Task){.kind = TASK_SAY, .node = i % config->writers});
    }
    if (config->operations_per_s > 0) {
        challenge_post(&world);
    }
    post(&world, FAULT_EVERY_MS, (Task){.kind = TASK_FAULT});
    run_until(&world, world.config.trouble_ms);
    heal(&world);
    uint64_t healed = world.now_ms;
    while (world.report.ok && world.now_ms < healed + config->heal_ms &&
           (world.now_ms < healed + 100 || !all_equal(&world))) {
        run_until(&world, world.now_ms + 100);
    }
    world.report.healed_ms = world.now_ms - healed;
    if (world.report.ok && !all_equal(&world)) {
        tell_differences(&world);
        fail(&world, "the nodes are not equal %" PRIu64 " ms after the trouble",
             config->heal_ms);
    }
    if (world.report.ok) {
        check_end(&world);
    }
    if (world.report.ok && config->operations_per_s > 0) {
        challenge_report(&world);
    }
    world.report.mean_latency_ms =
        world.latency_count > 0 ? world.latency_sum / (double)world.latency_count : 0;
    SimReport report;
    world_free(&world);
    report = world.report;
    return report;
}

const char *sim_mutation_name(SimMutation mutation)
{
    static const char *const names[MUTATIONS_COUNT] = {
        [MUTATION_NONE] = "none",
        [MUTATION_ACK_BEFORE_DISK] = "ack-before-disk",
        [MUTATION_APPLY_TWICE] = "apply-twice",
        [MUTATION_SAME_EPOCH] = "same-epoch",
        [MUTATION_DEAF_LINK] = "deaf-link",
        [MUTATION_NO_VERIFY] = "no-verify",
        [MUTATION_CLOCK_DRAGGED] = "clock-dragged",
    };
    return names[mutation];
}
