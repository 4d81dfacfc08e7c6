/* Four cores and a classic node in one mesh, over a network that is slow, cuts links and lets a
 * node die: everybody sees every line once and in order.
 *
 * Everything is drawn from one seed; a failure prints it, and CHAT_SEED=... repeats that run. */
#include "core_world.h"
#include "unit.h"

#include <inttypes.h>

enum {
    NODES = 4,   /* of ours; the mesh names them all to each other */
    MORTAL = 3,  /* this one dies and comes back */
    KIM = NODES, /* a classic node, which calls all of ours */
    SPEAKERS = NODES + 1,
    LINES = 40, /* that each says */
    TROUBLE_MS = 20000,
    HEALED_MS = 60000,
    STEP_MS = 100,
    SEEDS = 40,
};

static const char *const SPEAKER_NAMES[SPEAKERS] = {"ann", "bob", "cyd", "dan", "kim"};

typedef struct Random {
    World *world;
    uint64_t random;
    int said[SPEAKERS];
    bool kim_heard[LINES + 1]; /* by at least one of ours */
    bool seen[NODES][SPEAKERS][LINES + 1];
    bool in_life[NODES][SPEAKERS][LINES + 1]; /* shown in this life */
    int last_shown[NODES][SPEAKERS];          /* in this life */
    StrBuf failure;
} Random;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(World *world)
{
    Random *run = world->context;
    uint64_t z = (run->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool chance(Random *run, unsigned percent)
{
    return run->world->now_ms < TROUBLE_MS && draw(run->world) % 100 < percent;
}

static uint64_t delay_ms(World *world)
{
    /* Some come long after everybody has given them up. */
    return chance(world->context, 1) ? 1000 + draw(world) % 2000 : 1 + draw(world) % 50;
}

/* A node's own lines keep their order, whatever happens; but what the mortal one could not tell in
 * its last life may come behind the first words of the next, and is marked then, where that is more
 * than a moment. Kim's come by several nodes. */
static void shown(World *world, size_t at, const Message *message)
{
    Random *run = world->context;
    size_t speaker = 0;
    while (strcmp(SPEAKER_NAMES[speaker], message->sender) != 0) {
        speaker++;
    }
    int number = 0;
    sscanf(message->content, "line %d", &number);
    bool *seen = &run->in_life[at][speaker][number];
    int64_t age_ms = TRACE_WALL_MS + (int64_t)world->now_ms - hlc_time_ms(message->hlc);
    bool may_be_behind = speaker == KIM || message->late || (speaker == MORTAL && age_ms <= 1000);
    bool in_order = may_be_behind || number > run->last_shown[at][speaker];
    if (*seen || !in_order) {
        strbuf_addf(&run->failure, "%s saw line %d of %s %s\n", WORLD_NAMES[at], number,
                    SPEAKER_NAMES[speaker], *seen ? "twice" : "too late");
    }
    *seen = true;
    run->seen[at][speaker][number] = true;
    run->last_shown[at][speaker] = number;
}

/* A classic node calls all of ours it can reach, one after the other. */
static void kim_speaks(Random *run)
{
    World *world = run->world;
    char content[32];
    char clock[9];
    int number = ++run->said[KIM];
    snprintf(content, sizeof(content), "line %d", number);
    message_clock_text((int64_t)world->now_ms, 0, clock);
    for (size_t i = 0; i < NODES; i++) {
        if (!world->nodes[i].alive || i == MORTAL || chance(run, 20)) {
            continue; /* those hear it from the others */
        }
        if (chance(run, 10)) { /* stamps each call anew, and a second has turned */
            message_clock_text((int64_t)world->now_ms + 1000, 0, clock);
        }
        MessageDraft draft = trace_draft(SPEAKER_NAMES[KIM], content, clock);
        world->nodes[i].trace.unanswered++;
        world_step(world, i, (Event){.kind = EVENT_RECEIVED, .draft = &draft});
        run->kim_heard[number] = true;
    }
}

static void speak(Random *run, size_t speaker)
{
    if (run->said[speaker] == LINES) {
        return;
    }
    if (speaker == KIM) {
        kim_speaks(run);
    } else if (run->world->nodes[speaker].alive) {
        char content[32];
        int len = snprintf(content, sizeof(content), "line %d", ++run->said[speaker]);
        world_step(run->world, speaker,
                   (Event){.kind = EVENT_LINE, .text = content, .text_len = (size_t)len});
    }
}

static void make_trouble(Random *run)
{
    World *world = run->world;
    for (size_t i = 0; i < NODES; i++) {
        for (size_t j = i + 1; j < NODES; j++) {
            if (!world->cut[i][j] && chance(run, 2)) {
                world_cut(world, i, j);
            } else if (world->cut[i][j] && (chance(run, 8) || world->now_ms >= TROUBLE_MS)) {
                world_heal(world, i, j);
            }
        }
    }
    bool alive = world->nodes[MORTAL].alive;
    if (alive && chance(run, 1)) {
        world_kill(world, MORTAL);
    } else if (!alive && (chance(run, 10) || world->now_ms >= TROUBLE_MS)) {
        memset(run->in_life[MORTAL], 0, sizeof(run->in_life[MORTAL]));
        memset(run->last_shown[MORTAL], 0, sizeof(run->last_shown[MORTAL]));
        world_start(world, MORTAL);
    }
}

/* What came to a node's disk and waited for its causes when the node died is in its history. */
static bool is_on_disk(const World *world, size_t at, size_t speaker, int line)
{
    char body[32];
    size_t len = (size_t)snprintf(body, sizeof(body), "line %d", line);
    for (size_t i = 0; i < world->nodes[at].durable; i++) {
        const EventFields *fields = &world->nodes[at].trace.disk[i]->fields;
        if (fields->body_len == len && memcmp(fields->body, body, len) == 0 &&
            memcmp(fields->sender, SPEAKER_NAMES[speaker], fields->sender_len) == 0) {
            return true;
        }
    }
    return false;
}

/* What the mortal one said just before it died may have died with it. */
static void check(Random *run)
{
    for (size_t at = 0; at < NODES; at++) {
        for (size_t speaker = 0; speaker < SPEAKERS; speaker++) {
            for (int line = 1; line <= run->said[speaker] && speaker != MORTAL; line++) {
                bool expected = speaker != KIM || run->kim_heard[line];
                bool has = run->seen[at][speaker][line] ||
                           (at == MORTAL && is_on_disk(run->world, at, speaker, line));
                if (expected && !has) {
                    strbuf_addf(&run->failure, "%s never saw line %d of %s\n", WORLD_NAMES[at],
                                line, SPEAKER_NAMES[speaker]);
                }
            }
        }
        if (core_links_up(world_core(run->world, at)) != NODES - 1) {
            strbuf_addf(&run->failure, "%s is not linked to all\n", WORLD_NAMES[at]);
        }
        for (size_t i = 0; i < NODES - 1; i++) {
            LinkView view;
            core_link(world_core(run->world, at), i, run->world->now_ms, &view);
            if (!view.meshed || view.peer_lacks + view.here_lacks > 0) {
                strbuf_addf(&run->failure, "%s and %s do not know that they hold the same\n",
                            WORLD_NAMES[at], view.host);
            }
        }
    }
}

static bool run_seed(uint64_t seed)
{
    static const char *const dials[NODES] = {"bcd", "acd", "abd", "abc"};
    Random run = {.world = world_new(dials, NODES), .random = seed};
    World *world = run.world;
    world->context = &run;
    world->draw = draw;
    world->delay_ms = delay_ms;
    world->shown = shown;
    world->quiet = true;
    for (size_t i = 0; i < NODES; i++) {
        world->nodes[i].disk_delay_ms = 1 + draw(world) % 30;
        world_start(world, i);
    }
    while (world->now_ms < HEALED_MS) {
        bool talks = world->now_ms < TROUBLE_MS + 5000;
        for (size_t speaker = 0; speaker < SPEAKERS && talks; speaker++) {
            if (draw(world) % 100 < 20) {
                speak(&run, speaker);
            }
        }
        if (world->now_ms < TROUBLE_MS + 500) {
            make_trouble(&run);
        }
        world_run(world, world->now_ms + STEP_MS);
    }
    check(&run);
    bool ok = run.failure.len == 0;
    if (!ok) {
        fprintf(stderr, "CHAT_SEED=%" PRIu64 "\n%s", seed, run.failure.text);
    }
    strbuf_done(&run.failure);
    world_free(world);
    return ok;
}

static void everybody_sees_every_line_once_and_in_order(void **state)
{
    (void)state;
    const char *one = getenv("CHAT_SEED");
    if (one != NULL) {
        assert_true(run_seed(strtoull(one, NULL, 0)));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        assert_true(run_seed(seed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_sees_every_line_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
