/* The world, run. */
#include "sim_world.h"

/* Tells everybody of somebody, for nothing. */
static void chatter(World *world)
{
    const FramePresence presence = {.version = world->now_ms};
    for (int i = 0; i < world->config.nodes; i++) {
        node_step(world, i,
                  (ReplicaInput){.kind = REPLICA_TELL,
                                 .link = REPLICA_LINKS_MAX,
                                 .except = REPLICA_LINKS_MAX,
                                 .presences = &presence,
                                 .presences_count = 1});
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
                                     .link = edge_link_at(world, task->node, task->link),
                                     .data = bytes_data(task->frame),
                                     .len = bytes_len(task->frame)});
        }
        bytes_unref(task->frame);
        return;
    }
    case TASK_SENT:
        if (world->edges[node->edges[task->link]].life == task->life) {
            node_step(world, task->node, (ReplicaInput){.kind = REPLICA_SENT, .link = task->link});
        }
        return;
    case TASK_STORED:
        if (node->life == task->life) {
            node_stored(world, task);
        }
        return;
    case TASK_READ:
        if (node->life == task->life) {
            node_read_done(world, task);
        }
        return;
    case TASK_TIMER:
        if (node->replica != NULL) {
            node_timer(world, task->node);
        }
        return;
    case TASK_CONNECT:
        edge_connect(world, task->link);
        return;
    case TASK_SAY:
        node_say(world, task->node, 0);
        return;
    case TASK_FAULT:
        if (!world->healing) {
            fault_round(world);
            world_post(world, FAULT_EVERY_MS, (Task){.kind = TASK_FAULT});
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
        world_part(world, task->from != 0);
        return;
    case TASK_LINK_DEAD:
        if (world->edges[task->link].life == task->life) {
            edge_down(world, task->link);
        }
        return;
    case TASK_FOLD:
        if (node->life == task->life) {
            node_fold_timer(world, task->node);
        }
        return;
    case TASK_CHECK:
        check_silence(world);
        if (world->config.mutation == MUTATION_CHATTER) {
            chatter(world);
        }
        world_post(world, SILENCE_EVERY_MS, (Task){.kind = TASK_CHECK});
        return;
    case TASK_FLOOD:
        hostile_flood(world);
        return;
    case TASK_LET_IN:
        private_let_in_late(world);
        return;
    case TASK_LET_REST_IN:
        private_let_rest_in(world);
        return;
    case TASK_LOSE_DISK:
        fault_lose_disk(world, task->node);
        return;
    case TASK_WITNESS:
        private_witness(world, task->node);
        return;
    case TASK_REVOKE:
        private_revoke(world);
        return;
    case TASK_CHURN:
        churn_round(world);
        return;
    case TASK_NEW_EPOCH:
        node_crash(world, task->node);
        return;
    case TASK_CUT:
        if (node->life == task->life && node->disk_full) {
            world_post(world, DISK_MAX_MS, *task);
        } else if (node->life == task->life) {
            disk_commit(world, task->node, task->ticket);
        }
        return;
    }
}

void run_until(World *world, uint64_t until_ms)
{
    while (world->report.ok && world->heap_count > 0 && world->heap[0].at_ms <= until_ms) {
        Task task = world_take(world);
        world->now_ms = task.at_ms;
        run_task(world, &task);
    }
    world->now_ms = until_ms;
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
        silences_free(node);
        shown_end(node);
        proofs_forget(node);
        disk_free(&node->disk);
        disk_free(&node->backup);
        mem_free(node->edges);
    }
    while (world->heap_count > 0) {
        bytes_unref(world_take(world).frame);
    }
    Known *known;
    Known *next;
    HASH_ITER(hh, world->known, known, next) {
        HASH_DEL(world->known, known);
        mem_free(known);
    }
    private_done(world);
    check_forget();
    mem_free(world->cuts);
    mem_free(world->hops);
    mem_free(world->applied_ms);
    mem_free(world->reads);
    mem_free(world->heap);
    mem_free(world->nodes);
    mem_free(world->edges);
}

/* Each fault in half of the seeds, but hostility in fewer, and now and then that alone: what it
 * does must not hide behind the rest. */
static unsigned draw_faults(World *world)
{
    if (!world->config.faults) {
        return 0;
    }
    unsigned swarm = (unsigned)(world_random(world) & FAULTS_ALL);
    unsigned hostile = (unsigned)(world_random(world) & FAULTS_HOSTILE);
    hostile &= (unsigned)world_random(world);
    swarm = (swarm & ~(unsigned)FAULTS_HOSTILE) | hostile;
    if (world_chance(world, 100)) {
        swarm = hostile;
    }
    if (world->config.mutation == MUTATION_NO_PROOFS) {
        swarm |= FAULT_EQUIVOCATOR;
    }
    if (world->config.private_network) {
        uint64_t some = world_random(world);
        some &= world_random(world);
        swarm |= (unsigned)(some & FAULTS_PRIVATE);
    }
    if (world->config.mutation == MUTATION_SAY_ANYWAY) {
        swarm |= FAULT_FLOODER;
    }
    return swarm;
}

static void draw_seed(World *world, int at)
{
    for (size_t j = 0; j < EVENT_SEED_BYTES; j++) {
        world->nodes[at].seed[j] = (uint8_t)world_random(world);
    }
    if (at > 0 && node_is_hostile(world, at, FAULT_EQUIVOCATOR)) {
        memcpy(world->nodes[at].seed, world->nodes[HOSTILE].seed, EVENT_SEED_BYTES);
    }
}

SimReport sim_run(const SimConfig *config)
{
    World world = {.config = *config, .random = config->seed, .report = {.ok = true}};
    world.nodes = mem_array((size_t)config->nodes, sizeof(Node));
    overlay_make(&world);
    world.swarm = draw_faults(&world);
    if (config->private_network) {
        world.cuts = mem_array((size_t)config->nodes, sizeof(CutContext));
        for (int i = 0; i < config->nodes; i++) {
            draw_seed(&world, i);
        }
        private_begin(&world);
    }
    for (int i = 0; i < config->nodes; i++) {
        if (!config->private_network) {
            draw_seed(&world, i);
        }
        node_start(&world, i);
        if (node_is_hostile(&world, i, FAULT_EQUIVOCATOR)) {
            node_say(&world, i, 0); /* before the one hears of the other */
        }
    }
    if (config->private_network) {
        private_let_all_in(&world);
    }
    for (size_t i = 0; i < world.edges_count; i++) {
        world_post(&world, world_between(&world, 0, 200), (Task){.kind = TASK_CONNECT, .link = i});
    }
    for (int i = 0; i < config->lines && config->operations_per_s == 0; i++) {
        /* Everybody says something early, so that the trees are there in the second half. */
        uint64_t latest = i < config->writers ? config->trouble_ms / 4 : config->trouble_ms;
        world_post(&world, world_between(&world, 1000, latest),
                   (Task){.kind = TASK_SAY, .node = i % config->writers});
    }
    if (config->operations_per_s > 0) {
        challenge_post(&world);
    }
    world_post(&world, SILENCE_EVERY_MS, (Task){.kind = TASK_CHECK});
    if (world.swarm & FAULT_FLOODER) {
        world_post(&world, 1000, (Task){.kind = TASK_FLOOD});
    }
    world_post(&world, FAULT_EVERY_MS, (Task){.kind = TASK_FAULT});
    run_until(&world, world.config.trouble_ms / 2);
    if (!config->faults) {
        flood_begin(&world);
    }
    run_until(&world, world.config.trouble_ms);
    world_heal(&world);
    uint64_t healed = world.now_ms;
    while (world.report.ok && world.now_ms < healed + config->heal_ms &&
           (world.now_ms < healed + 100 || !check_all_equal(&world))) {
        run_until(&world, world.now_ms + 100);
    }
    world.report.healed_ms = world.now_ms - healed;
    if (world.report.ok && !check_all_equal(&world)) {
        check_tell_differences(&world);
        world_fail(&world, "the nodes are not equal %" PRIu64 " ms after the trouble",
                   config->heal_ms);
    }
    if (world.report.ok) {
        check_end(&world);
    }
    if (world.report.ok && config->private_network) {
        private_check_end(&world);
    }
    if (world.report.ok && config->faults) {
        check_quiet(&world);
    }
    if (world.report.ok && config->faults) {
        check_all_shown(&world);
    }
    if (world.report.ok && config->operations_per_s > 0) {
        challenge_report(&world);
    }
    if (world.report.ok && !config->faults) {
        flood_report(&world);
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
        [MUTATION_NO_PROOFS] = "no-proofs",
        [MUTATION_SAY_ANYWAY] = "say-anyway",
        [MUTATION_BIG_WINDOWS] = "big-windows",
        [MUTATION_STOPPED_CLOCK] = "stopped-clock",
        [MUTATION_EFFECT_FIRST] = "effect-first",
        [MUTATION_NEVER_LATE] = "never-late",
        [MUTATION_SHOWS_NOT_ALL] = "shows-not-all",
        [MUTATION_CHATTER] = "chatter",
        [MUTATION_TAKES_PAST_CUT] = "takes-past-cut",
        [MUTATION_KEEPS_CUT] = "keeps-cut",
        [MUTATION_NO_WITNESS] = "no-witness",
        [MUTATION_UNKNOWN_KEEP_OUT] = "unknown-keep-out",
    };
    return names[mutation];
}
