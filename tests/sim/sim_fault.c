/* What goes wrong. */
#include "sim_world.h"

void applied_free(Node *node)
{
    Applied *applied;
    Applied *next;
    HASH_ITER(hh, node->applied, applied, next) {
        HASH_DEL(node->applied, applied);
        mem_free(applied);
    }
}

void node_crash(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (node->replica == NULL) {
        return;
    }
    world_trace(world, "crash", at, 0, 0);
    world->report.crashes++;
    replica_free(TAKE(node->replica));
    pending_free(node);
    applied_free(node);
    silences_free(node);
    shown_end(node);
    node->life++;
    node->timer_ms = 0;
    for (size_t i = 0; i < node->edges_count; i++) {
        edge_down(world, node->edges[i]);
    }
    world_post(world, world_between(world, 100, 3000), (Task){.kind = TASK_RESTART, .node = at});
}

/* What a disk that is replaced alone held goes with it: nobody can keep that promise. A mute node
 * does not count: what it alone holds, nobody will see. */
static void excuse_lost(World *world, int at, DiskStream *replacement)
{
    for (Known *known = world->known; known != NULL; known = known->hh.next) {
        bool elsewhere = false;
        for (int i = 0; i < world->config.nodes && !elsewhere; i++) {
            DiskStream *disk = i == at ? replacement : world->nodes[i].disk;
            elsewhere = !node_is_hostile(world, i, FAULT_MUTE) &&
                        disk_holds(disk, &known->key.stream, known->key.seq);
        }
        known->excused = known->excused || !elsewhere;
    }
}

/* A backup, or nothing, or what another node holds. */
static void disk_replace(World *world, int at, DiskStream *replacement)
{
    Node *node = &world->nodes[at];
    node_crash(world, at);
    excuse_lost(world, at, replacement);
    DiskStream *copy = disk_copy(world, replacement);
    proofs_forget(node);
    disk_free(&node->disk);
    node->disk = copy;
    world->report.restores++;
    world_trace(world, "replace", at, HASH_COUNT(copy), 0);
}

void fault_lose_disk(World *world, int at)
{
    if (world->nodes[at].replica != NULL) {
        disk_replace(world, at, NULL);
    }
}

/* From here on two nodes write with one key, on disks that were equal once. */
static void node_clone(World *world, int at)
{
    Node *node = &world->nodes[at];
    int original = (int)(world_random(world) % (uint64_t)world->config.nodes);
    if (original == at || original <= TWIN || at <= TWIN || world->clones == CLONES_MAX ||
        node->replica == NULL) {
        return;
    }
    if (world->config.private_network &&
        (world->config.churn || original == private_founder(world) || original == world->revoked ||
         at == world->revoked || at == world->late || original == world->late)) {
        return;
    }
    world->clones++;
    disk_replace(world, at, world->nodes[original].disk);
    memcpy(node->seed, world->nodes[original].seed, EVENT_SEED_BYTES);
    node->epoch = 0;
    disk_free(&node->backup);
    node->has_backup = false;
}

static void disk_faults(World *world, int victim)
{
    Node *node = &world->nodes[victim];
    if ((world->swarm & FAULT_SLOW_DISK) && world_chance(world, 200)) {
        node->disk_slow_ms =
            world_chance(world, 500) ? (uint32_t)world_between(world, 50, 1000) : 0;
    }
    if ((world->swarm & FAULT_DISK_FULL) && world_chance(world, 200)) {
        node->disk_full = world_chance(world, 400);
    }
    if (world->config.private_network && victim == private_founder(world)) {
        return; /* what it alone holds is what counts */
    }
    if ((world->swarm & FAULT_DISK_LOST) && world_chance(world, 25) && node->replica != NULL) {
        disk_replace(world, victim, NULL);
    }
    if ((world->swarm & FAULT_CLONE) && world_chance(world, 50)) {
        node_clone(world, victim);
    }
    if ((world->swarm & FAULT_RESTORE) && world_chance(world, 50)) {
        if (!node->has_backup) {
            node->backup = disk_copy(world, node->disk);
            node->has_backup = true;
        } else if (node->replica != NULL) {
            disk_replace(world, victim, node->backup);
        }
    }
}

static void edge_faults(World *world, size_t index)
{
    Edge *edge = &world->edges[index];
    if ((world->swarm & FAULT_CUT) && world_chance(world, 300)) {
        edge_down(world, index);
    }
    if ((world->swarm & FAULT_PARTITION) && world_chance(world, 150)) {
        edge->cut = !edge->cut;
        edge_down(world, index);
    }
    if ((world->swarm & FAULT_CLOG) && world_chance(world, 200)) {
        edge->clog_ms = world_chance(world, 500) ? (uint32_t)world_between(world, 100, 3000) : 0;
    }
    if ((world->swarm & FAULT_BLOCK) && world_chance(world, 200)) {
        edge->blocked_until = world->now_ms + world_between(world, 1000, 6000);
    }
    if ((world->swarm & FAULT_ONE_WAY) && world_chance(world, 200) && edge->up) {
        edge->deaf[world_random(world) % 2] = true;
        world_post(world, world_between(world, KEEPALIVE_MIN_MS, KEEPALIVE_MAX_MS),
                   (Task){.kind = TASK_LINK_DEAD, .link = index, .life = edge->life});
    }
}

void fault_round(World *world)
{
    int victim = (int)(world_random(world) % (uint64_t)world->config.nodes);
    edge_faults(world, world_random(world) % world->edges_count);
    if ((world->swarm & FAULT_CRASH) && world_chance(world, 150)) {
        node_crash(world, victim);
    }
    if ((world->swarm & FAULT_CLOCK) && world_chance(world, 100)) {
        world->nodes[victim].skew_ms = (int64_t)world_between(world, 0, 2 * 86400000) - 86400000;
    }
    disk_faults(world, victim);
}

/* Splits the nodes into two halves, or makes them whole. */
void world_part(World *world, bool split)
{
    for (size_t i = 0; i < world->edges_count; i++) {
        Edge *edge = &world->edges[i];
        edge->cut = split && edge->a % 2 != edge->b % 2;
        if (edge->cut) {
            edge_down(world, i);
        }
    }
}

void world_heal(World *world)
{
    world->healing = true;
    for (size_t i = 0; i < world->edges_count; i++) {
        world->edges[i].cut = false;
        world->edges[i].clog_ms = 0;
        world->edges[i].blocked_until = 0;
    }
    for (int i = 0; i < world->config.nodes; i++) {
        world->nodes[i].disk_slow_ms = 0;
        world->nodes[i].disk_full = false;
    }
}
