/* Real replicas in the simulated world. */
#include "sim_world.h"

int64_t node_wall_ms(const World *world, int at)
{
    if (node_is_hostile(world, at, FAULT_CLOCK_LIAR)) {
        return WALL_MS + (int64_t)world->now_ms + LIE_MS;
    }
    return WALL_MS + (int64_t)world->now_ms + world->nodes[at].skew_ms;
}

int edge_other(const Edge *edge, int node)
{
    return edge->a == node ? edge->b : edge->a;
}

static bool verify_nothing(const LogEvent *event)
{
    return event->is_signed;
}

static uint64_t latency_of(World *world, const Edge *edge)
{
    const SimConfig *config = &world->config;
    return edge->clog_ms +
           (config->faults ? world_between(world, config->latency_min_ms, config->latency_max_ms)
                           : edge->latency_ms);
}

/* When the last byte of it has been sent. */
static uint64_t leaves_at(World *world, Edge *edge, int direction, size_t bytes)
{
    if (!world->config.faults) {
        return world->now_ms;
    }
    uint64_t from = world->now_ms;
    from = edge->free_ms[direction] > from ? edge->free_ms[direction] : from;
    from = edge->blocked_until > from ? edge->blocked_until : from;
    edge->free_ms[direction] = from + bytes / LINK_BYTES_PER_MS;
    return edge->free_ms[direction];
}

static void send_frame(World *world, int at, size_t link, Bytes *frame)
{
    Edge *edge = &world->edges[world->nodes[at].edges[link]];
    int direction = edge->a == at ? 0 : 1;
    world->report.frames++;
    check_frame(world, at, frame);
    uint64_t left = leaves_at(world, edge, direction, bytes_len(frame));
    uint64_t arrival = left + latency_of(world, edge);
    if (arrival < edge->last_arrival[direction]) {
        arrival = edge->last_arrival[direction];
    }
    edge->last_arrival[direction] = arrival;
    bool deaf = world->config.mutation == MUTATION_DEAF_LINK && world->healing &&
                (edge->a == 0 || edge->b == 0);
    if (edge->up && !edge->cut && !deaf && !edge->deaf[direction]) {
        Task task = {.kind = TASK_FRAME,
                     .node = edge_other(edge, at),
                     .link = (size_t)world->nodes[at].edges[link],
                     .life = edge->life,
                     .frame = hostile_frame(world, at, frame)};
        hostile_post(world, at, arrival - world->now_ms, &task);
    }
    world_post(world, left - world->now_ms + edge->clog_ms / 4,
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
        check_written(world, at, output->events[i]);
    }
    pending_add(node, pending);
    node->last_ticket = output->ticket;
    Task done = {.kind = TASK_STORED, .node = at, .life = node->life, .ticket = output->ticket};
    uint32_t slowest = world->config.disk_max_ms > 0 ? world->config.disk_max_ms : DISK_MAX_MS;
    uint64_t delay = world_between(world, DISK_MIN_MS, slowest) + node->disk_slow_ms;
    if (world->config.mutation == MUTATION_ACK_BEFORE_DISK) {
        done.from = 1; /* only said */
        world_post(world, 0, done);
        done.from = 2; /* only done */
        delay += 500;
    }
    world_post(world, delay, done);
}

static void apply_events(World *world, int at, int from, const ReplicaOutput *output)
{
    int twice = world->config.mutation == MUTATION_APPLY_TWICE && at == 1 ? 2 : 1;
    for (int n = 0; n < twice; n++) {
        for (size_t i = 0; i < output->events_count; i++) {
            const LogEvent *event = output->events[i];
            if (world->config.private_network) {
                private_check_applied(world, at, event);
                private_take(world, at, event);
                world->nodes[at].has_said |= from < 0;
            }
            check_shown(world, at, from, event);
            world_trace(world, "apply", at, event->fields.seq, event->fields.hlc);
        }
    }
    if (!node_is_hostile(world, at, FAULT_EQUIVOCATOR)) {
        shown_apply(world, at, output, node_wall_ms(world, at));
    }
}

static void freeze(World *world, int at, const ReplicaOutput *output)
{
    Node *node = &world->nodes[at];
    world_trace(world, "freeze", at, output->stream.epoch, output->frame != NULL);
    if (!check_is_equivocal(world, &output->stream)) {
        world_fail(world, "node %d froze the stream of an honest node", at);
    }
    if (world->config.private_network) {
        private_witness_later(world, at);
    }
    if (output->frame != NULL && node->proofs_count < PROOFS_MAX) {
        node->proofs[node->proofs_count++] = bytes_ref(output->frame);
    }
}

static void node_do(World *world, int at, int from, ReplicaOutput *output)
{
    switch (output->kind) {
    case REPLICA_STORE:
        store_events(world, at, output);
        return;
    case REPLICA_READ:
        world_post(world, 1,
                   (Task){.kind = TASK_READ,
                          .node = at,
                          .life = world->nodes[at].life,
                          .link = output->link,
                          .stream = output->stream,
                          .from = output->from});
        return;
    case REPLICA_SEND:
        world_trace(world, "send", at, output->link, bytes_len(output->frame));
        send_frame(world, at, output->link, output->frame);
        return;
    case REPLICA_DROP:
        world_trace(world, "drop", at, output->link, 0);
        if (!node_is_hostile(world,
                             edge_other(&world->edges[world->nodes[at].edges[output->link]], at),
                             FAULTS_RUDE) &&
            !node_is_hostile(world, at, FAULTS_RUDE)) {
            world_fail(world, "node %d drops an honest peer: %s", at, output->reason);
        }
        edge_down(world, world->nodes[at].edges[output->link]);
        return;
    case REPLICA_APPLY:
        apply_events(world, at, from, output);
        return;
    case REPLICA_FROZEN:
        freeze(world, at, output);
        return;
    case REPLICA_CUT:
        private_cut_disk(world, at, &output->stream, output->from);
        shown_cut(world, at, &output->stream);
        return;
    case REPLICA_GREETED:
    case REPLICA_HEARD:
        return;
    }
}

/* One that is posted already and comes early enough will do; it looks again when it comes. */
static void node_set_timer(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (node->timer_ms == 0 || node->wake_ms < node->timer_ms) {
        node->timer_ms = node->wake_ms;
        world_post(world, node->wake_ms - world->now_ms, (Task){.kind = TASK_TIMER, .node = at});
    }
}

void node_fold_timer(World *world, int at)
{
    shown_timer(world, at, node_wall_ms(world, at));
}

void node_timer(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (node->timer_ms != world->now_ms) {
        return; /* an earlier one has taken its place */
    }
    node->timer_ms = 0;
    if (node->wake_ms > world->now_ms) {
        node_set_timer(world, at);
    } else {
        node_step(world, at, (ReplicaInput){.kind = REPLICA_TIMER});
    }
}

void node_step(World *world, int at, ReplicaInput input)
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
    if (world->config.mutation == MUTATION_STOPPED_CLOCK && at == 1 && world->now_ms > 5000) {
        input.mono_ms = START_WALL_MS + 5000;
    }
    input.random = world_random(world);
    ReplicaOutputs outputs = {0};
    replica_step(node->replica, &input, &outputs);
    world->report.steps++;
    check_bounds(world, at);
    uint32_t life = node->life;
    node->depth++;
    for (size_t i = 0; i < outputs.count && node->life == life; i++) {
        node_do(world, at, from, &outputs.items[i]);
        if ((world->swarm & FAULT_CRASH_POINT) && !world->healing && world_chance(world, 1)) {
            node_crash(world, at); /* between this and the next */
        }
    }
    if (node->life == life) {
        uint64_t now = world->now_ms + START_WALL_MS;
        node->wake_ms =
            outputs.wake_at_ms > now ? outputs.wake_at_ms - START_WALL_MS : world->now_ms;
        if (world->config.mutation == MUTATION_STOPPED_CLOCK) {
            node->wake_ms += 100; /* its own clock never gets there */
        }
        node_set_timer(world, at);
    }
    replica_outputs_done(&outputs);
    node->depth--;
    if (world->config.private_network && node->depth == 0 && node->replica != NULL) {
        private_settle(world, at);
        if (node->has_said) {
            node->has_said = false;
            private_said(world, at);
        }
    }
}

size_t edge_link_at(const World *world, int node, size_t edge)
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
    uint8_t binding[32] = {(uint8_t)index, (uint8_t)edge->life, (uint8_t)(edge->life >> 8)};
    for (int i = 0; i < 2; i++) {
        bool bound = world->config.private_network;
        node_step(world, ends[i],
                  (ReplicaInput){.kind = kind,
                                 .link = edge_link_at(world, ends[i], index),
                                 .dialled = i == 0,
                                 .binding = bound ? binding : NULL,
                                 .peer_key = bound ? world->nodes[ends[1 - i]].key : NULL});
    }
}

void edge_down(World *world, size_t index)
{
    Edge *edge = &world->edges[index];
    if (!edge->up) {
        return;
    }
    edge->up = false;
    edge->life++;
    edge->deaf[0] = false;
    edge->deaf[1] = false;
    world->report.cuts++;
    edge_tell(world, index, REPLICA_LINK_DOWN);
    world_post(world, world_between(world, RECONNECT_MIN_MS, RECONNECT_MAX_MS),
               (Task){.kind = TASK_CONNECT, .link = index});
}

void edge_connect(World *world, size_t index)
{
    Edge *edge = &world->edges[index];
    if (edge->up) {
        return;
    }
    if (edge->cut || world->nodes[edge->a].replica == NULL ||
        world->nodes[edge->b].replica == NULL ||
        (world->config.private_network && !private_may_link(world, edge->a, edge->b))) {
        world_post(world, world_between(world, RECONNECT_MIN_MS, RECONNECT_MAX_MS),
                   (Task){.kind = TASK_CONNECT, .link = index});
        return;
    }
    edge->up = true;
    for (int i = 0; i < 2; i++) {
        edge->last_arrival[i] = world->now_ms;
        edge->free_ms[i] = world->now_ms;
    }
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

/* Each life of the one goes with one of the other. */
static uint64_t equivocal_epoch(const World *world, int at)
{
    const Node *node = &world->nodes[at];
    StreamId id = {.epoch = ((uint64_t)WALL_MS << 16) + node->starts};
    memcpy(id.origin, node->key, EVENT_KEY_BYTES);
    while (disk_find(node->disk, &id) != NULL) {
        id.epoch += 1000;
    }
    return id.epoch;
}

/* Some have kept what they knew of such authors, and some learn it again. */
static void load_proofs(World *world, Node *node)
{
    for (size_t i = 0; i < node->proofs_count; i++) {
        if (world_chance(world, 500) &&
            replica_load_proofs(node->replica, bytes_data(node->proofs[i]),
                                bytes_len(node->proofs[i])) != ERR_OK) {
            world_fail(world, "a proof that was kept is not taken back");
        }
    }
    proofs_forget(node);
}

void node_start(World *world, int at)
{
    Node *node = &world->nodes[at];
    ReplicaConfig config = {
        .coalesce_ms = world->config.coalesce_ms,
        .have_interval_ms = world->config.have_interval_ms,
        .have_fanout = world->config.have_fanout,
        .frugal = world->config.frugal,
        /* Small ones in some seeds, so that several are on their way to the disk at once. */
        .group_max = world->config.seed % 4 == 1 ? 1 + (size_t)at % 3 : 0,
        .verify = world->config.mutation == MUTATION_NO_VERIFY ? verify_nothing : check_verify_once,
    };
    event_signer_init(&config.signer, node->seed);
    memcpy(node->key, config.signer.public_key, EVENT_KEY_BYTES);
    uint64_t stored = own_highest_epoch(node, config.signer.public_key);
    config.epoch = replica_next_epoch(stored, node_wall_ms(world, at), world_random(world));
    if (node_is_hostile(world, at, FAULT_EQUIVOCATOR)) {
        config.epoch = equivocal_epoch(world, at);
    }
    if (world->config.mutation == MUTATION_SAME_EPOCH && node->epoch != 0) {
        config.epoch = node->epoch;
    }
    node->epoch = config.epoch;
    node->starts++;
    if ((world->swarm & FAULT_CUT) != 0) {
        config.windows_bytes = SMALL_WINDOWS_BYTES;
    }
    config.streams_max = FEW_STREAMS;
    if (world->config.mutation == MUTATION_BIG_WINDOWS) {
        config.windows_bytes = 2 * SMALL_WINDOWS_BYTES;
    }

    if (world->config.private_network) {
        private_start(world, at);
        world->cuts[at] = (CutContext){.world = world, .at = at};
        config.network = members_network(node->members);
        config.cut = private_cut;
        config.cut_context = &world->cuts[at];
    }
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
    load_proofs(world, node);
    shown_begin(node);
    if (world->config.private_network) {
        private_tell_cuts(world, at);
    }
    node->life++;
    world_trace(world, "start", at, node->epoch, count);
    if (world->config.private_network) { /* as the core does */
        node_step(world, at, (ReplicaInput){.kind = REPLICA_TIMER});
    }
}

/* len: of the line; 0: a short one. */
void node_say(World *world, int at, size_t len)
{
    Node *node = &world->nodes[at];
    if (node->replica == NULL ||
        (!replica_may_say(node->replica) && world->config.mutation != MUTATION_SAY_ANYWAY)) {
        return;
    }
    char body[EVENT_BODY_MAX_BYTES] = "";
    int least = snprintf(body, sizeof(body), "line %" PRIu64 " of %d", ++node->say_count, at);
    EventFields fields = {
        .room = shown_room(node->say_count),
        .room_len = strlen(shown_room(node->say_count)),
        .kind = LOG_TEXT,
        .sender = "sim",
        .sender_len = 3,
        .body = (const uint8_t *)body,
        .body_len = len > (size_t)least ? len : (size_t)least,
    };
    StreamId own = {0};
    replica_own(node->replica, &own);
    fields.after_count = fold_take_after(node->fold, &own, fields.after);
    node_step(world, at, (ReplicaInput){.kind = REPLICA_SAY, .fields = &fields});
}

void node_read_done(World *world, const Task *task)
{
    Node *node = &world->nodes[task->node];
    DiskStream *stream = disk_find(node->disk, &task->stream);
    size_t count = 0;
    size_t end = 0;
    size_t bytes = 0;
    size_t from = (size_t)task->from - 1;
    while (stream != NULL && from + count < stream->count && bytes < REPLICA_FRAME_EVENTS_BYTES) {
        const LogEvent *event = stream->events[from + count++];
        bytes += bytes_len(event->bytes);
        end = event->is_signed ? count : end;
    }
    end = end == 0 ? count : end; /* what a cut has left of a group */
    node_step(world, task->node,
              (ReplicaInput){.kind = REPLICA_READ_DONE,
                             .link = task->link,
                             .stream = task->stream,
                             .from = task->from,
                             .events = end > 0 ? &stream->events[from] : NULL,
                             .events_count = end});
}

void node_stored(World *world, const Task *task)
{
    if (world->nodes[task->node].disk_full) {
        world_post(world, DISK_MAX_MS, *task); /* tries again */
        return;
    }
    if (task->from != 1) {
        disk_commit(world, task->node, task->ticket);
    }
    if (task->from != 2) {
        node_step(world, task->node,
                  (ReplicaInput){.kind = REPLICA_STORED, .ticket = task->ticket});
    }
}
