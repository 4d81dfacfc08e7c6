/* Four cores and a classic node in one mesh, in virtual time, over a network that loses answers,
 * delivers late, cuts links and lets a node die: everybody sees every line once and in order.
 *
 *   core --ACTION_SEND--> [latency] --EVENT_RECEIVED--> core
 *        <--EVENT_DELIVERED-- [latency] -- or the answer is lost: EVENT_LINK_DOWN
 *
 * Everything is drawn from one seed; a failure prints it, and CHAT_SEED=... repeats that run. */
#include "core/core.h"
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    NODES = 4,   /* of ours; the mesh names them all to each other */
    MORTAL = 3,  /* this one dies and comes back */
    KIM = NODES, /* a classic node, which calls all of ours */
    SPEAKERS = NODES + 1,
    LINES = 40, /* that each says */
    TROUBLE_MS = 20000,
    HEALED_MS = 60000,
    MAIL_MAX = 1024,
    SEEDS = 200,
};

typedef enum LetterKind { LETTER_REQUEST, LETTER_EVENT, LETTER_SPEAK, LETTER_TIMER } LetterKind;

/* Something that will happen. */
typedef struct Letter {
    bool used;
    LetterKind kind;
    uint64_t at_ms;
    uint64_t order; /* of equal times */
    int from;
    int to;
    uint64_t generation; /* EVENT: of the link it is for; TIMER: of the node's timer */
    EventKind event;
    int life;         /* REQUEST: of the sender */
    Message *message; /* REQUEST */
} Letter;

typedef struct SimNode {
    Core *core;
    int life; /* makes its id */
    uint64_t generation[NODES];
    uint64_t timer_generation;
    int said;
    int last_shown[SPEAKERS];  /* in this life */
    bool kim_shown[LINES + 1]; /* in this life */
    bool seen[SPEAKERS][LINES + 1];
} SimNode;

typedef struct Sim {
    uint64_t random;
    uint64_t now_ms;
    uint64_t order;
    SimNode nodes[NODES];
    int kim_said;
    bool kim_heard[LINES + 1]; /* by at least one of ours */
    Letter letters[MAIL_MAX];
    bool cut[NODES][NODES];
    StrBuf failure;
} Sim;

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t sim_random(Sim *sim)
{
    uint64_t z = (sim->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool sim_chance(Sim *sim, unsigned percent)
{
    return sim->now_ms < TROUBLE_MS && sim_random(sim) % 100 < percent;
}

static uint64_t sim_latency(Sim *sim)
{
    /* Some answers and requests come long after everybody has given them up. */
    return sim_chance(sim, 3) ? 3000 + sim_random(sim) % 4000 : 1 + sim_random(sim) % 50;
}

static Letter *sim_post(Sim *sim, Letter letter, uint64_t delay_ms)
{
    for (size_t i = 0; i < MAIL_MAX; i++) {
        if (!sim->letters[i].used) {
            letter.used = true;
            letter.at_ms = sim->now_ms + delay_ms;
            letter.order = sim->order++;
            sim->letters[i] = letter;
            return &sim->letters[i];
        }
    }
    abort();
}

static NodeId sim_id(const Sim *sim, int node)
{
    NodeId id;
    memset(&id, 0, sizeof(id));
    id.bytes[0] = (uint8_t)(node + 1);
    id.bytes[1] = (uint8_t)sim->nodes[node].life;
    return id;
}

static const char *const NAMES[SPEAKERS] = {"ann", "bob", "cyd", "dan", "kim"};

/* ---- what a node shows ---- */

static void sim_shown(Sim *sim, int at, const Message *message)
{
    SimNode *node = &sim->nodes[at];
    int speaker = 0;
    while (strcmp(NAMES[speaker], message->sender) != 0) {
        speaker++;
    }
    int number = 0;
    sscanf(message->content, "line %d", &number);
    /* A classic node's line may come straight or by another node: how often it comes counts. */
    bool wrong = speaker == KIM ? node->kim_shown[number] : number <= node->last_shown[speaker];
    node->kim_shown[number] = node->kim_shown[number] || speaker == KIM;
    if (wrong) {
        strbuf_addf(&sim->failure, "%s saw line %d of %s after line %d\n", NAMES[at], number,
                    NAMES[speaker], node->last_shown[speaker]);
    }
    node->last_shown[speaker] = number;
    node->seen[speaker][number] = true;
}

static void sim_step(Sim *sim, int at, Event event);

static bool sim_reachable(const Sim *sim, int from, int to)
{
    return !sim->cut[from][to] && sim->nodes[to].core != NULL;
}

static void sim_answer(Sim *sim, int at, int link, EventKind kind)
{
    sim_post(sim,
             (Letter){.kind = LETTER_EVENT,
                      .to = at,
                      .from = link,
                      .generation = sim->nodes[at].generation[link],
                      .event = kind},
             sim_latency(sim));
}

static void sim_do(Sim *sim, int at, const Action *action)
{
    int to = (int)action->link;
    switch (action->kind) {
    case ACTION_SHOW:
        sim_shown(sim, at, action->message);
        return;
    case ACTION_CONNECT:
        sim->nodes[at].generation[to]++;
        sim_answer(sim, at, to, sim_reachable(sim, at, to) ? EVENT_LINK_ANSWERED : EVENT_LINK_DOWN);
        return;
    case ACTION_DISCONNECT:
        sim->nodes[at].generation[to]++;
        return;
    case ACTION_SEND:
        sim_post(sim,
                 (Letter){.kind = LETTER_REQUEST,
                          .from = at,
                          .to = to,
                          .generation = sim->nodes[at].generation[to],
                          .life = sim->nodes[at].life,
                          .message = message_ref(action->message)},
                 sim_latency(sim));
        return;
    default:
        return;
    }
}

static void sim_step(Sim *sim, int at, Event event)
{
    SimNode *node = &sim->nodes[at];
    Actions actions = {0};
    event.mono_ms = sim->now_ms;
    event.wall_ms = INT64_C(1700000000000) + (int64_t)sim->now_ms;
    event.random = sim_random(sim);
    core_step(node->core, &event, &actions);
    for (size_t i = 0; i < actions.count; i++) {
        sim_do(sim, at, &actions.items[i]);
    }
    node->timer_generation++;
    if (actions.wake_at_ms != 0) {
        uint64_t delay = actions.wake_at_ms > sim->now_ms ? actions.wake_at_ms - sim->now_ms : 0;
        sim_post(sim,
                 (Letter){.kind = LETTER_TIMER, .to = at, .generation = node->timer_generation},
                 delay);
    }
    actions_done(&actions);
}

/* ---- what happens ---- */

static void sim_start_node(Sim *sim, int at)
{
    static const NodeConfig configs[NODES] = {
        {.host = "ann", .port = 1},
        {.host = "bob", .port = 1},
        {.host = "cyd", .port = 1},
        {.host = "dan", .port = 1},
    };
    SimNode *node = &sim->nodes[at];
    node->life++;
    memset(node->last_shown, 0, sizeof(node->last_shown));
    memset(node->kim_shown, 0, sizeof(node->kim_shown));
    /* The list names the node itself too: it finds out by Hello. */
    node->core = core_new(&(CoreConfig){
        .node_id = sim_id(sim, at), .name = NAMES[at], .nodes = configs, .nodes_count = NODES});
    sim_step(sim, at, (Event){.kind = EVENT_START});
}

static void sim_kill_node(Sim *sim, int at)
{
    core_free(sim->nodes[at].core);
    sim->nodes[at].core = NULL;
    for (int i = 0; i < NODES; i++) {
        sim->nodes[at].generation[i]++; /* what was on its way to it is lost */
    }
    sim->nodes[at].timer_generation++;
    for (int i = 0; i < NODES; i++) { /* and its peers notice */
        if (i != at && sim->nodes[i].core != NULL) {
            sim_answer(sim, i, at, EVENT_LINK_DOWN);
        }
    }
}

static void sim_request(Sim *sim, const Letter *letter)
{
    /* What was sent arrives, even if its sender has hung up since; or is lost with the link, or
     * with its sender. */
    bool arrives = sim_reachable(sim, letter->from, letter->to) && !sim_chance(sim, 4) &&
                   letter->life == sim->nodes[letter->from].life;
    bool waits = letter->generation == sim->nodes[letter->from].generation[letter->to];
    const Message *message = letter->message;
    if (arrives) {
        NodeId id = sim_id(sim, letter->from);
        MessageDraft draft = {
            .sender = message->sender,
            .sender_len = strlen(message->sender),
            .content = message->content,
            .content_len = message->content_len,
            .timestamp = message->timestamp,
            .timestamp_len = strlen(message->timestamp),
            .id = message->id.bytes,
            .id_len = message->id.len,
            .time_ms = message->time_ms,
            .heard = message->heard,
            .node_id = id.bytes,
            .node_id_len = sizeof(id.bytes),
            .node_seq = message->node_seq,
        };
        sim_step(sim, letter->to, (Event){.kind = EVENT_RECEIVED, .draft = &draft});
    }
    if (waits) {
        bool answered = arrives && !sim_chance(sim, 4);
        sim_answer(sim, letter->from, letter->to, answered ? EVENT_DELIVERED : EVENT_LINK_DOWN);
    }
}

static void sim_event(Sim *sim, const Letter *letter)
{
    int at = letter->to;
    if (sim->nodes[at].core == NULL ||
        letter->generation != sim->nodes[at].generation[letter->from]) {
        return;
    }
    NodeId id = sim_id(sim, letter->from);
    Event event = {
        .kind = letter->event,
        .link = (size_t)letter->from,
        .text = "lost",
        .text_len = 4,
        .node_id = id.bytes,
        .node_id_len = sizeof(id.bytes),
        .peer_name = NAMES[letter->from],
        .rtt_us = 1000,
    };
    if (letter->event == EVENT_LINK_ANSWERED && sim->nodes[letter->from].core == NULL) {
        event.kind = EVENT_LINK_DOWN;
    }
    sim_step(sim, at, event);
}

/* A classic node calls all of ours it can reach, one after the other. */
static void sim_kim_speaks(Sim *sim)
{
    char content[32];
    char clock[9];
    int number = ++sim->kim_said;
    snprintf(content, sizeof(content), "line %d", number);
    message_clock_text((int64_t)sim->now_ms, 0, clock);
    for (int i = 0; i < NODES; i++) {
        if (sim->nodes[i].core == NULL || sim_chance(sim, 20) || (i == MORTAL)) {
            continue; /* those hear it from the others */
        }
        if (sim_chance(sim, 10)) { /* stamps each call anew, and a second has turned */
            message_clock_text((int64_t)sim->now_ms + 1000, 0, clock);
        }
        MessageDraft draft = {.sender = NAMES[KIM],
                              .sender_len = strlen(NAMES[KIM]),
                              .content = content,
                              .content_len = strlen(content),
                              .timestamp = clock,
                              .timestamp_len = strlen(clock)};
        sim_step(sim, i, (Event){.kind = EVENT_RECEIVED, .draft = &draft});
        sim->kim_heard[number] = true;
    }
}

static void sim_speak(Sim *sim, int speaker)
{
    if (speaker == KIM) {
        sim_kim_speaks(sim);
        return;
    }
    SimNode *node = &sim->nodes[speaker];
    if (node->core == NULL) {
        return;
    }
    char content[32];
    int len = snprintf(content, sizeof(content), "line %d", ++node->said);
    sim_step(sim, speaker, (Event){.kind = EVENT_LINE, .text = content, .text_len = (size_t)len});
}

static void sim_trouble(Sim *sim)
{
    for (int i = 0; i < NODES; i++) {
        for (int j = 0; j < NODES; j++) {
            bool was = sim->cut[i][j];
            sim->cut[i][j] = i != j && (was ? !sim_chance(sim, 30) && sim->now_ms < TROUBLE_MS
                                            : sim_chance(sim, 5));
            if (sim->cut[i][j] && !was && sim->nodes[i].core != NULL) {
                sim_answer(sim, i, j, EVENT_LINK_DOWN);
            }
        }
    }
    bool alive = sim->nodes[MORTAL].core != NULL;
    if (alive && sim_chance(sim, 5)) {
        sim_kill_node(sim, MORTAL);
    } else if (!alive && (sim_chance(sim, 30) || sim->now_ms >= TROUBLE_MS)) {
        sim_start_node(sim, MORTAL);
    }
}

static Letter *sim_next(Sim *sim, uint64_t until_ms)
{
    Letter *next = NULL;
    for (size_t i = 0; i < MAIL_MAX; i++) {
        Letter *letter = &sim->letters[i];
        if (letter->used && letter->at_ms <= until_ms &&
            (next == NULL || letter->at_ms < next->at_ms ||
             (letter->at_ms == next->at_ms && letter->order < next->order))) {
            next = letter;
        }
    }
    return next;
}

static void sim_run(Sim *sim, uint64_t until_ms)
{
    Letter *letter;
    while ((letter = sim_next(sim, until_ms)) != NULL) {
        Letter now = *letter;
        letter->used = false;
        sim->now_ms = now.at_ms;
        if (now.kind == LETTER_REQUEST) {
            sim_request(sim, &now);
        } else if (now.kind == LETTER_EVENT) {
            sim_event(sim, &now);
        } else if (now.kind == LETTER_SPEAK) {
            sim_speak(sim, now.from);
        } else if (now.generation == sim->nodes[now.to].timer_generation) {
            sim_step(sim, now.to, (Event){.kind = EVENT_TIMER});
        }
        message_unref(now.message);
    }
    sim->now_ms = until_ms;
}

/* ---- what must hold at the end ---- */

static void sim_check(Sim *sim)
{
    for (int at = 0; at < NODES; at++) {
        for (int speaker = 0; speaker < SPEAKERS; speaker++) {
            /* What the mortal one said just before it died may have died with it. */
            int said = speaker == KIM ? sim->kim_said : sim->nodes[speaker].said;
            for (int line = 1; line <= said && speaker != MORTAL; line++) {
                bool expected = speaker != KIM || sim->kim_heard[line];
                if (expected && !sim->nodes[at].seen[speaker][line]) {
                    strbuf_addf(&sim->failure, "%s never saw line %d of %s\n", NAMES[at], line,
                                NAMES[speaker]);
                }
            }
        }
        if (core_links_up(sim->nodes[at].core) != NODES - 1) {
            strbuf_addf(&sim->failure, "%s is not linked to all\n", NAMES[at]);
        }
    }
}

static bool sim_seed(uint64_t seed)
{
    Sim *sim = mem_new(Sim);
    sim->random = seed;
    for (int i = 0; i < NODES; i++) {
        sim_start_node(sim, i);
    }
    for (int speaker = 0; speaker < SPEAKERS; speaker++) {
        for (int i = 0; i < LINES; i++) {
            sim_post(sim, (Letter){.kind = LETTER_SPEAK, .from = speaker},
                     sim_random(sim) % (TROUBLE_MS + 2000));
        }
    }
    for (uint64_t at = 500; at <= TROUBLE_MS + 500; at += 500) {
        sim_run(sim, at);
        sim_trouble(sim);
    }
    sim_run(sim, HEALED_MS);
    sim_check(sim);

    bool ok = sim->failure.len == 0;
    if (!ok) {
        fprintf(stderr, "CHAT_SEED=%" PRIu64 "\n%s", seed, sim->failure.text);
    }
    for (int i = 0; i < NODES; i++) {
        core_free(sim->nodes[i].core);
    }
    for (size_t i = 0; i < MAIL_MAX; i++) {
        if (sim->letters[i].used) {
            message_unref(sim->letters[i].message);
        }
    }
    strbuf_done(&sim->failure);
    mem_free(sim);
    return ok;
}

static void everybody_sees_every_line_once_and_in_order(void **state)
{
    (void)state;
    const char *one = getenv("CHAT_SEED");
    if (one != NULL) {
        assert_true(sim_seed(strtoull(one, NULL, 0)));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        assert_true(sim_seed(seed));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_sees_every_line_once_and_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
