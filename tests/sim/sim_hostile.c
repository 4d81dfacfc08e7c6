/* Hostile nodes: real replicas, and a liar between them and their links. */
#include "sim_world.h"

enum {
    LIES_AT_ONCE = 8,
    LIES_MAX = 2000, /* streams that do not exist, in one seed */
    FLOOD_LINE_BYTES = 1000,
    SWAP_MAX_MS = 60,
};

/* One bit of what it passes on, or of its own words. */
static Bytes *damage(World *world, Bytes *frame)
{
    Bytes *copy = bytes_new(bytes_data(frame), bytes_len(frame));
    size_t bit = world_random(world) % (8 * bytes_len(frame));
    bytes_fill(copy)[bit / 8] ^= (uint8_t)(1U << bit % 8);
    return copy;
}

static bool is_of(const FrameRun *run, const uint8_t *key)
{
    return memcmp(run->events[0]->fields.stream.origin, key, EVENT_KEY_BYTES) == 0;
}

/* It holds everything, and gives nothing but its own. */
static size_t keep_own(const World *world, int at, FrameRun *runs, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_of(&runs[i], world->nodes[at].key)) {
            runs[left++] = runs[i];
        }
    }
    return left;
}

/* What the founder says is held back: nobody is to hear of a revocation. */
static size_t drop_founders(const World *world, FrameRun *runs, size_t count)
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_of(&runs[i], world->nodes[private_founder(world)].key)) {
            runs[left++] = runs[i];
        }
    }
    return left;
}

/* As if the end of each run were the end of a stream that was cut. */
static void strip(FrameRun *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        runs[i].events[runs[i].count - 1]->is_signed = false;
    }
}

/* A stream that exists, far beyond its end, or one that does not, of somebody who may exist. */
static FrameHave lie(World *world)
{
    FrameHave have = {.lo = 1, .hi = world_random(world) >> world_random(world) % 64 | 1};
    const Node *node = &world->nodes[world_random(world) % (uint64_t)world->config.nodes];
    memcpy(have.stream.origin, node->key, EVENT_KEY_BYTES);
    have.stream.epoch = node->epoch | 1;
    if (world_chance(world, 500) && world->lies < LIES_MAX) {
        world->lies++;
        have.stream.epoch = world_random(world) | 1;
        have.stream.origin[0] ^= world_chance(world, 500) ? 1 : 0;
    }
    return have;
}

/* An event that its author did not write, beside what it wrote: nobody may believe it. */
static LogEvent *slander(const World *world, int at, const LogEvent *true_one)
{
    EventSigner signer;
    EventFields fields = true_one->fields;
    fields.body = (const uint8_t *)"slander";
    fields.body_len = strlen("slander");
    LogEvent *event = event_new(&fields);
    event_signer_init(&signer, world->nodes[at].seed);
    event_sign(event, &signer);
    event->verified = false;
    return event;
}

static Bytes *rewrite(World *world, int at, Bytes *frame)
{
    FrameIn in;
    const char *reason = "";
    if (frame_decode(bytes_data(frame), bytes_len(frame), &in, &reason) != ERR_OK) {
        world_fail(world, "node %d sends what is no frame: %s", at, reason);
        return bytes_ref(frame);
    }
    FrameRun *runs = mem_array(in.runs_count, sizeof(FrameRun));
    FrameHave *haves = mem_array(in.haves_count + LIES_AT_ONCE, sizeof(FrameHave));
    memcpy(runs, in.runs, in.runs_count * sizeof(FrameRun));
    memcpy(haves, in.haves, in.haves_count * sizeof(FrameHave));
    FrameOut out = {
        .hello = in.has_hello ? &in.hello : NULL,
        .haves = haves,
        .haves_count = in.haves_count,
        .wants = in.wants,
        .wants_count = in.wants_count,
        .stops = in.stops,
        .stops_count = in.stops_count,
        .runs = runs,
        .runs_count = in.runs_count,
        .presences = in.presences,
        .presences_count = in.presences_count,
        .credit = in.credit,
        .ping = in.ping,
        .pong = in.pong,
        .root = in.root,
        .proofs = in.proofs,
        .proofs_count = in.proofs_count,
        .bye = in.has_bye ? in.bye : NULL,
    };
    if (node_is_hostile(world, at, FAULT_MUTE)) {
        out.runs_count = keep_own(world, at, runs, out.runs_count);
    }
    if (node_is_hostile(world, at, FAULT_CENSOR) && !world->healing) {
        out.runs_count = drop_founders(world, runs, out.runs_count);
    }
    if (node_is_hostile(world, at, FAULT_STRIPPER) && !world->healing && world_chance(world, 300)) {
        strip(runs, out.runs_count);
    }
    if (node_is_hostile(world, at, FAULT_HAVE_LIAR) && !in.has_hello && world_chance(world, 300)) {
        for (int i = 0; i < LIES_AT_ONCE; i++) {
            haves[out.haves_count++] = lie(world);
        }
    }
    LogEvent *lies[1] = {NULL};
    FrameProof proof = {.b = {.events = lies, .count = 1}};
    if (node_is_hostile(world, at, FAULT_FORGER) && !world->healing && in.runs_count > 0 &&
        !is_of(&in.runs[0], world->nodes[at].key)) {
        proof.a = in.runs[0];
        lies[0] = slander(world, at, in.runs[0].events[0]);
        out.proofs = &proof;
        out.proofs_count = 1;
    }
    if (world->config.mutation == MUTATION_NO_PROOFS) {
        out.proofs_count = 0;
    }
    Bytes *bytes = frame_encode(&out);
    event_unref(lies[0]);
    mem_free(runs);
    mem_free(haves);
    frame_done(&in);
    return bytes;
}

Bytes *hostile_frame(World *world, int at, Bytes *frame)
{
    if (node_is_hostile(world, at, FAULT_FORGER) && !world->healing && world_chance(world, 200)) {
        return damage(world, frame);
    }
    bool slanders = node_is_hostile(world, at, FAULT_FORGER) && !world->healing;
    if (node_is_hostile(world, at, FAULT_MUTE | FAULT_HAVE_LIAR | FAULTS_PRIVATE) ||
        (slanders && world_chance(world, 100)) || world->config.mutation == MUTATION_NO_PROOFS) {
        return rewrite(world, at, frame);
    }
    return bytes_ref(frame);
}

void hostile_post(World *world, int at, uint64_t delay_ms, const Task *task)
{
    if (node_is_hostile(world, at, FAULT_REPEATER) && !world->healing) {
        if (world_chance(world, 100)) {
            bytes_ref(task->frame);
            world_post(world, delay_ms + world_between(world, 0, SWAP_MAX_MS), *task);
        }
        if (world_chance(world, 50)) {
            delay_ms += world_between(world, 1, SWAP_MAX_MS);
        }
    }
    world_post(world, delay_ms, *task);
}

void hostile_flood(World *world)
{
    if (world->healing) {
        return;
    }
    for (int i = 0; i < FLOOD_AT_ONCE; i++) {
        node_say(world, HOSTILE,
                 world->config.mutation == MUTATION_SAY_ANYWAY ? EVENT_BODY_MAX_BYTES
                                                               : FLOOD_LINE_BYTES);
    }
    world_post(world, FLOOD_EVERY_MS, (Task){.kind = TASK_FLOOD});
}
