/* The broadcast challenge of the Gossip Glomers, 3d and 3e. */
#include "sim_world.h"

enum { CHALLENGE_START_MS = 3000, PARTITION_MS = 5000 };

void challenge_post(World *world)
{
    const SimConfig *config = &world->config;
    uint64_t count = (uint64_t)config->operations_per_s * config->operations_for_s;
    for (uint64_t i = 0; i < count; i++) {
        int node = (int)(world_random(world) % (uint64_t)config->nodes);
        world_post(world, CHALLENGE_START_MS + i * 1000 / config->operations_per_s,
                   (Task){.kind = i % 2 == 0 ? TASK_SAY : TASK_CLIENT_READ, .node = node});
    }
    uint64_t end = CHALLENGE_START_MS + config->operations_for_s * 1000;
    for (uint64_t at = CHALLENGE_START_MS + PARTITION_MS; config->partitions && at < end;
         at += 2 * (uint64_t)PARTITION_MS) {
        world_post(world, at, (Task){.kind = TASK_PARTITION, .from = 1});
        world_post(world, at + PARTITION_MS, (Task){.kind = TASK_PARTITION});
    }
    world->config.trouble_ms = end + 5000; /* reads go on until all have all */
    for (uint64_t at = end; at < world->config.trouble_ms; at += 20) {
        world_post(world, at,
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

void challenge_report(World *world)
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
            everywhere[known->index] =
                took > everywhere[known->index] ? took : everywhere[known->index];
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
