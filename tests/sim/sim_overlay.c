/* Who is linked to whom. */
#include "sim_world.h"

static void add_edge(World *world, int a, int b)
{
    world->edges = mem_resize(world->edges, world->edges_count + 1, sizeof(Edge));
    world->edges[world->edges_count] = (Edge){
        .a = a,
        .b = b,
        .latency_ms =
            world_between(world, world->config.latency_min_ms, world->config.latency_max_ms),
    };
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
void overlay_make(World *world)
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
