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

static void node_crash(World *world, int at)
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
    node->life++;
    node->timer_ms = 0;
    for (size_t i = 0; i < node->edges_count; i++) {
        edge_down(world, node->edges[i]);
    }
    world_post(world, world_between(world, 100, 3000), (Task){.kind = TASK_RESTART, .node = at});
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
    world_trace(world, "restore", at, 0, 0);
}

void fault_round(World *world)
{
    int victim = (int)(world_random(world) % (uint64_t)world->config.nodes);
    Node *node = &world->nodes[victim];
    Edge *edge = &world->edges[world_random(world) % world->edges_count];
    if ((world->swarm & FAULT_CUT) && world_chance(world, 300)) {
        edge_down(world, (size_t)(edge - world->edges));
    }
    if ((world->swarm & FAULT_PARTITION) && world_chance(world, 150)) {
        edge->cut = !edge->cut;
        edge_down(world, (size_t)(edge - world->edges));
    }
    if ((world->swarm & FAULT_CRASH) && world_chance(world, 150)) {
        node_crash(world, victim);
    }
    if ((world->swarm & FAULT_CLOG) && world_chance(world, 200)) {
        edge->clog_ms = world_chance(world, 500) ? (uint32_t)world_between(world, 100, 3000) : 0;
    }
    if ((world->swarm & FAULT_SLOW_DISK) && world_chance(world, 200)) {
        node->disk_slow_ms =
            world_chance(world, 500) ? (uint32_t)world_between(world, 50, 1000) : 0;
    }
    if ((world->swarm & FAULT_CLOCK) && world_chance(world, 100)) {
        node->skew_ms = (int64_t)world_between(world, 0, 2 * 86400000) - 86400000;
    }
    if ((world->swarm & FAULT_RESTORE) && world_chance(world, 50)) {
        if (!node->has_backup) {
            node->backup = disk_copy(world, node->disk);
            node->has_backup = true;
        } else {
            node_restore(world, victim);
        }
    }
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
    }
    for (int i = 0; i < world->config.nodes; i++) {
        world->nodes[i].disk_slow_ms = 0;
    }
}
