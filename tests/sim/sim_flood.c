/* Beside a flood: what the same lines would cost if every node sent them on to all its links.
 *
 * A flood is as fast as the network lets anything be, and wastes the most: its times are those
 * of the shortest paths, its waste is known from the overlay alone. */
#include "sim_world.h"

enum { FLOOD_LINES = 30 };

typedef struct Arrival {
    uint64_t at_ms;
    int node;
    int hop;
} Arrival;

typedef struct Flood {
    Arrival *heap;
    size_t count;
    size_t cap;
} Flood;

static void flood_push(Flood *flood, Arrival arrival)
{
    if (flood->count == flood->cap) {
        flood->cap = flood->cap > 0 ? flood->cap * 2 : 1024;
        flood->heap = mem_resize(flood->heap, flood->cap, sizeof(Arrival));
    }
    size_t at = flood->count++;
    while (at > 0 && arrival.at_ms < flood->heap[(at - 1) / 2].at_ms) {
        flood->heap[at] = flood->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    flood->heap[at] = arrival;
}

static Arrival flood_pop(Flood *flood)
{
    Arrival first = flood->heap[0];
    Arrival last = flood->heap[--flood->count];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= flood->count) {
            break;
        }
        if (child + 1 < flood->count && flood->heap[child + 1].at_ms < flood->heap[child].at_ms) {
            child++;
        }
        if (last.at_ms <= flood->heap[child].at_ms) {
            break;
        }
        flood->heap[at] = flood->heap[child];
        at = child;
    }
    flood->heap[at] = last;
    return first;
}

/* One line from one node: the time and the hop of the last first arrival. */
static Arrival flood_line(World *world, int author)
{
    bool *has = mem_array((size_t)world->config.nodes, sizeof(bool));
    Flood flood = {0};
    Arrival last = {0};
    flood_push(&flood, (Arrival){.node = author});
    while (flood.count > 0) {
        Arrival arrival = flood_pop(&flood);
        if (has[arrival.node]) {
            continue;
        }
        has[arrival.node] = true;
        last.at_ms = arrival.at_ms;
        last.hop = arrival.hop > last.hop ? arrival.hop : last.hop;
        const Node *node = &world->nodes[arrival.node];
        for (size_t i = 0; i < node->edges_count; i++) {
            const Edge *edge = &world->edges[node->edges[i]];
            flood_push(&flood, (Arrival){.at_ms = arrival.at_ms + edge->latency_ms,
                                         .node = edge_other(edge, arrival.node),
                                         .hop = arrival.hop + 1});
        }
    }
    mem_free(flood.heap);
    mem_free(has);
    return last;
}

static uint64_t repeats_of_all(const World *world)
{
    uint64_t repeats = 0;
    for (int i = 0; i < world->config.nodes; i++) {
        repeats += replica_stats(world->nodes[i].replica).events_repeated;
    }
    return repeats;
}

void flood_begin(World *world)
{
    world->steady_from_ms = world->now_ms;
    world->steady_repeats = repeats_of_all(world);
}

void flood_report(World *world)
{
    SimReport *report = &world->report;
    double receivers = world->config.nodes - 1;
    uint64_t lines = 0;
    uint64_t last_sum = 0;
    for (const Known *known = world->known; known != NULL; known = known->hh.next) {
        if (known->said_ms >= world->steady_from_ms) {
            lines++;
            last_sum += known->last_ms - known->said_ms;
            report->steady_hop =
                known->last_hop > report->steady_hop ? known->last_hop : report->steady_hop;
        }
    }
    if (lines == 0) {
        return;
    }
    report->redundancy =
        (double)(repeats_of_all(world) - world->steady_repeats) / ((double)lines * receivers);
    report->steady_last_ms = (double)last_sum / (double)lines;
    uint64_t flood_sum = 0;
    for (int i = 0; i < FLOOD_LINES; i++) {
        Arrival last = flood_line(world, i % world->config.writers);
        flood_sum += last.at_ms;
        report->flood_hop = last.hop > report->flood_hop ? last.hop : report->flood_hop;
    }
    report->flood_last_ms = (double)flood_sum / FLOOD_LINES;
    report->flood_redundancy = (2.0 * (double)world->edges_count - receivers) / receivers - 1.0;
}
