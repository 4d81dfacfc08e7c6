/* The fold against random conversations, with all that must hold checked by brute force. A failure
 * prints its seed, and CHAT_SEED=... repeats that run. */
#include "core/fold.h"
#include "unit.h"

#include <inttypes.h>
#include <string.h>

static const int64_t WALL_MS = INT64_C(1700000000000);

enum { STREAMS = 12, PER_STREAM = 100, ALL = STREAMS * PER_STREAM, ROOMS = 3, SEEDS = 40 };

typedef struct Random {
    uint64_t state;
} Random;

/* SplitMix64 (Steele, Lea, Flood, 2014). */
static unsigned below(Random *random, unsigned limit)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ (z >> 31)) % limit);
}

static StreamId stream_of(unsigned number)
{
    return (StreamId){.origin = {1, (uint8_t)number}, .epoch = 1};
}

/* A conversation: each event may name what was said before it in other streams. Some streams'
 * clocks are ahead by ahead_ms; the others do not follow those further than hlc.h lets them, and
 * have not seen what was not due. */
typedef struct World {
    StreamTag tags[STREAMS];
    LogEvent *events[STREAMS][PER_STREAM];
    unsigned said[STREAMS];
} World;

static const char *const ROOM_NAMES[ROOMS] = {"lobby", "garden", "cellar"};

static void world_say(World *world, Random *random, unsigned by, int64_t now_ms, int64_t ahead_ms)
{
    Hlc clock = {0};
    if (world->said[by] > 0) {
        clock.last = world->events[by][world->said[by] - 1]->fields.hlc;
    }
    EventPlace after[EVENT_AFTER_MAX];
    size_t count = 0;
    for (unsigned tries = below(random, EVENT_AFTER_MAX + 1); tries > 0; tries--) {
        unsigned other = below(random, STREAMS);
        unsigned seq = world->said[other] > 0 ? 1 + below(random, world->said[other]) : 0;
        if (seq > 0 && other != by &&
            hlc_observe(&clock, world->events[other][seq - 1]->fields.hlc, now_ms)) {
            after[count++] = (EventPlace){.stream = world->tags[other], .seq = seq};
        }
    }
    bool is_ahead = by % 4 == 3;
    uint64_t hlc = hlc_now(&clock, now_ms + (is_ahead ? ahead_ms : 0));
    EventFields fields = {
        .stream = stream_of(by),
        .seq = world->said[by] + 1,
        .prev_hash.bytes = {world->said[by] > 0},
        .hlc = hlc,
        .room = ROOM_NAMES[below(random, ROOMS)],
        .kind = LOG_TEXT,
        .sender = "ann",
        .sender_len = 3,
        .after_count = count,
    };
    fields.room_len = strlen(fields.room);
    memcpy(fields.after, after, count * sizeof(EventPlace));
    world->events[by][world->said[by]++] = event_new(&fields);
}

static World *world_new(Random *random, int64_t ahead_ms)
{
    World *world = mem_new(World);
    for (unsigned i = 0; i < STREAMS; i++) {
        StreamId stream = stream_of(i);
        world->tags[i] = stream_tag(&stream);
    }
    int64_t now_ms = WALL_MS;
    for (unsigned left = ALL; left > 0;) {
        unsigned by = below(random, STREAMS);
        if (world->said[by] < PER_STREAM) {
            world_say(world, random, by, now_ms, ahead_ms);
            left--;
        }
        now_ms += below(random, 30);
    }
    return world;
}

static void world_free(World *world)
{
    for (unsigned i = 0; i < ALL; i++) {
        event_unref(world->events[i / PER_STREAM][i % PER_STREAM]);
    }
    mem_free(world);
}

/* What must hold of everything that is shown, by brute force. */
typedef struct Checker {
    const World *world;
    unsigned shown[STREAMS];
    const LogEvent *order[ALL];
    unsigned count;
    unsigned incomplete;
} Checker;

static bool misses_cause(const Checker *checker, const EventFields *fields)
{
    for (size_t i = 0; i < fields->after_count; i++) {
        unsigned stream = 0;
        while (memcmp(&checker->world->tags[stream], &fields->after[i].stream, sizeof(StreamTag)) !=
               0) {
            stream++;
        }
        if (checker->shown[stream] < fields->after[i].seq) {
            return true;
        }
    }
    return false;
}

static bool belongs_before_one_shown(const Checker *checker, const EventFields *fields)
{
    for (unsigned i = 0; i < checker->count; i++) {
        const EventFields *other = &checker->order[i]->fields;
        if (event_compare(fields, other) < 0 && strcmp(other->room, fields->room) == 0) {
            return true;
        }
    }
    return false;
}

static void check(Checker *checker, const FoldOut *out, int64_t wall_ms)
{
    for (size_t i = 0; i < out->count; i++) {
        const FoldShown *shown = &out->items[i];
        const EventFields *fields = &shown->event->fields;
        unsigned stream = fields->stream.origin[1];
        assert_int_equal(fields->seq, checker->shown[stream] + 1);
        assert_true(hlc_is_due(fields->hlc, wall_ms));
        assert_int_equal(shown->incomplete, misses_cause(checker, fields));
        assert_int_equal(shown->late, belongs_before_one_shown(checker, fields));
        assert_int_equal(shown->link, stream);
        checker->incomplete += shown->incomplete ? 1 : 0;
        checker->shown[stream]++;
        checker->order[checker->count++] = shown->event; /* the world holds it */
    }
}

/* A node to which all of it comes, and passes of time. */
typedef struct Node {
    Fold *fold;
    FoldOut out;
    uint64_t mono_ms;
    int64_t wall_ms;
    unsigned given[STREAMS];
    Checker checker;
} Node;

static void pass(Node *node, uint64_t ms)
{
    node->mono_ms += ms;
    node->wall_ms += (int64_t)ms;
    fold_out_reset(&node->out);
    fold_timer(node->fold, node->mono_ms, node->wall_ms, &node->out);
    check(&node->checker, &node->out, node->wall_ms);
}

static unsigned give_some(Node *node, const World *world, Random *random)
{
    unsigned stream = below(random, STREAMS);
    unsigned left = PER_STREAM - node->given[stream];
    unsigned count = 1 + below(random, 8);
    count = count < left ? count : left;
    fold_out_reset(&node->out);
    fold_apply(node->fold, &world->events[stream][node->given[stream]], count, stream,
               node->mono_ms, node->wall_ms, &node->out);
    check(&node->checker, &node->out, node->wall_ms);
    assert_true(node->out.wake_at_ms == 0 || node->out.wake_at_ms > node->mono_ms);
    node->given[stream] += count;
    return count;
}

/* Everything, each stream in its order, and else in any. Returns how many were incomplete. */
static unsigned deliver(const World *world, Random *random, unsigned step_ms)
{
    Node node = {.fold = fold_new(), .mono_ms = 5000, .wall_ms = WALL_MS, .checker.world = world};
    for (unsigned left = ALL; left > 0;) {
        left -= give_some(&node, world, random);
        if (step_ms > 0) {
            pass(&node, below(random, step_ms));
        }
    }
    while (node.out.wake_at_ms != 0) {
        pass(&node, node.out.wake_at_ms - node.mono_ms);
    }
    assert_int_equal(node.checker.count, ALL);
    assert_int_equal(fold_waiting(node.fold), 0);
    fold_out_done(&node.out);
    fold_free(node.fold);
    return node.checker.incomplete;
}

/* ---- the runs ---- */

/* Returns how many were incomplete. */
static unsigned for_each_seed(unsigned (*run)(uint64_t seed))
{
    const char *one = getenv("CHAT_SEED");
    if (one != NULL) {
        return run(strtoull(one, NULL, 0));
    }
    unsigned incomplete = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("CHAT_SEED=%" PRIu64 "\n", seed);
        incomplete += run(seed);
    }
    return incomplete;
}

/* Two nodes: the same is shown at both, since all of it is at each. */
static unsigned run_at_once(uint64_t seed)
{
    Random random = {seed};
    World *world = world_new(&random, 0);
    unsigned incomplete = deliver(world, &random, 0);
    incomplete += deliver(world, &random, 0);
    world_free(world);
    return incomplete;
}

static unsigned run_in_time(uint64_t seed)
{
    Random random = {seed};
    World *world = world_new(&random, HLC_AHEAD_MAX_MS + 20000);
    unsigned incomplete = deliver(world, &random, seed % 2 == 0 ? 100 : 2000);
    world_free(world);
    return incomplete;
}

static void everything_is_shown_once_after_its_causes_in_any_order_of_arrival(void **state)
{
    (void)state;
    assert_int_equal(for_each_seed(run_at_once), 0);
}

static void nothing_is_shown_early_or_lost_while_time_passes(void **state)
{
    (void)state;
    unsigned incomplete = for_each_seed(run_in_time);
    assert_true(incomplete > 0 || getenv("CHAT_SEED") != NULL); /* else time has played no part */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_shown_once_after_its_causes_in_any_order_of_arrival),
        cmocka_unit_test(nothing_is_shown_early_or_lost_while_time_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
