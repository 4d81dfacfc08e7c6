/* Virtual time, chance, and the trace. */
#include "sim_world.h"

#include <stdarg.h>

uint64_t world_random(World *world) /* SplitMix64 */
{
    uint64_t z = (world->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t world_between(World *world, uint64_t min, uint64_t max)
{
    return min + world_random(world) % (max - min + 1);
}

bool world_chance(World *world, unsigned per_mille)
{
    return world_random(world) % 1000 < per_mille;
}

[[gnu::format(printf, 2, 3)]] void world_fail(World *world, const char *format, ...)
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

void world_trace(World *world, const char *what, int node, uint64_t a, uint64_t b)
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

void world_post(World *world, uint64_t delay_ms, Task task)
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

Task world_take(World *world)
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
