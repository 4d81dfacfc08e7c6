/* Private networks: who is let in, who is revoked, and what must hold then.
 *
 *   founder's stream:  MEMBER MEMBER ... REVOKE            truth: what the founder knows at the end
 *   another's stream:              MEMBER (let in late)
 *
 * Each node has the real members of the core, fed by what it applies and by the proofs that are
 * shown where an edge comes up. The one who is revoked goes on in half of the worlds: it writes
 * past its cut and in new epochs, with a clock that goes back, and passes on all it has; it does
 * not want to hear of it. The founder is honest, and its disk is not lost: what it alone holds
 * counts. In some worlds members come and go all the time (sim_churn.c). */
#include "sim_world.h"

enum {
    NEWS_MIN_MS = 4000, /* of the revocation */
    BACK_DATED_MS = 3600 * 1000,
    LATE_MIN_MS = 2000,
    WITNESS_MS = 2000,
    CUTS_MAX = 64,
    LET_IN_AGAIN_MS = 1000,
    CUT_MAX_MS = 400, /* until the disk has deleted it */
};

int private_founder(const World *world)
{
    return world->config.nodes - 1;
}

/* ReplicaConfig.cut */
uint64_t private_cut(void *context, const StreamId *stream, EventHash *ret_hash)
{
    const CutContext *cut = context;
    const Node *node = &cut->world->nodes[cut->at];
    if (cut->world->config.mutation == MUTATION_TAKES_PAST_CUT) {
        uint64_t limit = members_cut(node->members, stream, ret_hash);
        return limit > 0 ? UINT64_MAX : 0;
    }
    return members_cut(node->members, stream, ret_hash);
}

/* ---- proofs ---- */

static ProofOfKey *proof_row(const World *world, const uint8_t *key)
{
    for (size_t i = 0; i < world->proofs_count; i++) {
        if (memcmp(world->proofs[i].key, key, EVENT_KEY_BYTES) == 0) {
            return &world->proofs[i];
        }
    }
    return NULL;
}

static const Bytes *proof_of(const World *world, const uint8_t *key)
{
    const ProofOfKey *row = proof_row(world, key);
    return row != NULL ? row->proof : NULL;
}

/* In place of the one that it had. */
static void proof_put(World *world, const uint8_t *key, Bytes *proof)
{
    ProofOfKey *row = proof_row(world, key);
    if (row == NULL) {
        world->proofs = mem_resize(world->proofs, world->proofs_count + 1, sizeof(*world->proofs));
        row = &world->proofs[world->proofs_count++];
        *row = (ProofOfKey){.proof = NULL};
        memcpy(row->key, key, EVENT_KEY_BYTES);
    }
    bytes_unref(row->proof);
    row->proof = proof;
}

static void show_proof(World *world, int at, const uint8_t *key)
{
    Node *node = &world->nodes[at];
    const Bytes *proof = proof_of(world, key);
    const char *reason = "";
    if (proof == NULL || members_state(node->members, key) != MEMBER_NONE) {
        return;
    }
    node->members_changed |= members_take_proof(node->members, key, bytes_data(proof),
                                                bytes_len(proof), &reason) == ERR_OK;
}

/* ---- a node's life ---- */

void private_start(World *world, int at)
{
    Node *node = &world->nodes[at];
    const char *reason = "";
    members_free(node->members);
    if (members_new(bytes_data(world->genesis), bytes_len(world->genesis), &node->members,
                    &reason) != ERR_OK) {
        world_fail(world, "a genesis is none: %s", reason);
        return;
    }
    show_proof(world, at, node->key); /* of the file that it keeps */
    for (const DiskStream *stream = node->disk; stream != NULL; stream = stream->hh.next) {
        for (size_t i = 0; i < stream->count; i++) {
            private_take(world, at, stream->events[i]);
        }
    }
    node->members_changed = false;
}

/* So that nobody here waits for what was cut off. */
static void tell_cuts_of(World *world, int at, const uint8_t *key)
{
    size_t count = 0;
    const MemberCut *cuts = members_cuts(world->nodes[at].members, key, &count);
    for (size_t i = 0; i < count; i++) {
        StreamId stream = {.epoch = cuts[i].epoch};
        memcpy(stream.origin, key, EVENT_KEY_BYTES);
        shown_cut(world, at, &stream);
    }
}

void private_tell_cuts(World *world, int at)
{
    const Members *members = world->nodes[at].members;
    for (size_t i = 0; i < members_count(members); i++) {
        tell_cuts_of(world, at, members_at(members, i)->key);
    }
}

static bool is_deaf_to(const Node *node, const LogEvent *event)
{
    uint8_t key[EVENT_KEY_BYTES];
    return event->fields.kind == LOG_REVOKE && node->is_defiant &&
           members_about(node->members, event, key) && memcmp(key, node->key, EVENT_KEY_BYTES) == 0;
}

void private_take(World *world, int at, const LogEvent *event)
{
    Node *node = &world->nodes[at];
    uint8_t key[EVENT_KEY_BYTES];
    if (is_deaf_to(node, event) || !members_take(node->members, event)) {
        return;
    }
    node->members_changed = true;
    bool tells = event->fields.kind == LOG_REVOKE && node->fold != NULL;
    if (tells && members_about(node->members, event, key)) {
        tell_cuts_of(world, at, key);
    }
}

bool private_is_good(const Node *node, const Node *other)
{
    return members_state(node->members, other->key) == MEMBER_GOOD;
}

/* It knows that it was revoked, and links with nobody. */
static bool keeps_out(const World *world, const Node *node)
{
    MemberState state = members_state(node->members, node->key);
    bool mutant = world->config.mutation == MUTATION_UNKNOWN_KEEP_OUT && state == MEMBER_NONE;
    return world->config.churn && (state == MEMBER_REVOKED || mutant);
}

/* The gate of both: may these two link? */
bool private_may_link(World *world, int a, int b)
{
    Node *one = &world->nodes[a];
    Node *other = &world->nodes[b];
    show_proof(world, a, other->key);
    show_proof(world, b, one->key);
    private_settle(world, a);
    private_settle(world, b);
    return one->replica != NULL && other->replica != NULL && private_is_good(one, other) &&
           private_is_good(other, one) && !keeps_out(world, one) && !keeps_out(world, other);
}

/* What it shows is by what it knows. */
static void renew_proof(World *world, int at)
{
    const Node *node = &world->nodes[at];
    const ProofOfKey *row = proof_row(world, node->key);
    Bytes *proof = row != NULL ? members_proof(node->members, node->key) : NULL;
    if (proof != NULL) {
        proof_put(world, node->key, proof);
    }
}

void private_settle(World *world, int at)
{
    Node *node = &world->nodes[at];
    while (node->replica != NULL && node->members_changed) {
        node->members_changed = false;
        node_step(world, at, (ReplicaInput){.kind = REPLICA_MEMBERS});
        if (node->replica == NULL) {
            return;
        }
        private_check_cuts_hold(world, at);
        renew_proof(world, at);
        private_witness_later(world, at);
        for (size_t i = 0; i < node->edges_count; i++) {
            const Edge *edge = &world->edges[node->edges[i]];
            const Node *other = &world->nodes[edge_other(edge, at)];
            if (edge->up && (!private_is_good(node, other) || keeps_out(world, node))) {
                edge_down(world, node->edges[i]);
            }
        }
    }
}

/* ---- what is said ---- */

static void say(World *world, int at, int kind, const Bytes *body)
{
    EventFields fields = {
        .room = shown_room(0),
        .room_len = strlen(shown_room(0)),
        .kind = kind,
        .sender = "sim",
        .sender_len = 3,
        .body = bytes_data(body),
        .body_len = bytes_len(body),
    };
    node_step(world, at, (ReplicaInput){.kind = REPLICA_SAY, .fields = &fields});
}

void private_let_in(World *world, int by, int who)
{
    const Node *node = &world->nodes[by];
    EventSigner signer;
    event_signer_init(&signer, node->seed);
    Bytes *body = membership_new(node->members, &signer, world->nodes[who].key, "sim", NULL, 0,
                                 WALL_MS + (int64_t)world->now_ms);
    say(world, by, LOG_MEMBER, body);
    bytes_unref(body);
}

/* What was said is on the disk: who was let in is given its proof. */
void private_said(World *world, int at)
{
    const Node *node = &world->nodes[at];
    for (int i = 0; i < world->config.nodes; i++) {
        Node *other = &world->nodes[i];
        bool waits = proof_of(world, other->key) == NULL || other->waits_for == at + 1;
        Bytes *proof =
            waits && private_is_good(node, other) ? members_proof(node->members, other->key) : NULL;
        if (proof != NULL) {
            other->waits_for = 0;
            proof_put(world, other->key, proof);
            if (i == world->late && at == world->late_inviter && world->late_is_lost) {
                world_post(world, 0, (Task){.kind = TASK_LOSE_DISK, .node = at});
            }
            show_proof(world, i, other->key);
            private_settle(world, i);
        }
    }
}

void private_witness_later(World *world, int at)
{
    Node *node = &world->nodes[at];
    if (!node->looks_later) {
        node->looks_later = true;
        world_post(world, world_between(world, WITNESS_MS, 2 * WITNESS_MS),
                   (Task){.kind = TASK_WITNESS, .node = at});
    }
}

static bool is_lost(void *context, const StreamId *stream)
{
    const Node *node = context;
    return replica_is_frozen(node->replica, stream);
}

void private_witness(World *world, int at)
{
    Node *node = &world->nodes[at];
    node->looks_later = false;
    if (world->config.mutation == MUTATION_NO_WITNESS) {
        return;
    }
    for (int i = 0; i < world->config.nodes; i++) {
        bool is_own = memcmp(world->nodes[i].key, node->key, EVENT_KEY_BYTES) == 0;
        bool can = node->replica != NULL && replica_may_say(node->replica) && !is_own &&
                   members_state(node->members, node->key) == MEMBER_GOOD;
        Bytes *body =
            can ? members_untold(node->members, world->nodes[i].key, is_lost, node) : NULL;
        if (body != NULL) {
            world_trace(world, "witness", at, (uint64_t)i, 0);
            say(world, at, LOG_MEMBER, body);
            bytes_unref(body);
        } else if (!can && !is_own) {
            private_witness_later(world, at);
            return;
        }
    }
}

void private_let_in_late(World *world)
{
    int by = world->late_inviter;
    const Node *node = &world->nodes[by];
    bool can = node->replica != NULL && replica_may_say(node->replica) &&
               members_state(node->members, node->key) == MEMBER_GOOD;
    if (can) {
        private_let_in(world, by, world->late);
    }
    if (proof_of(world, world->nodes[world->late].key) == NULL && !world->healing) {
        world_post(world, 500, (Task){.kind = TASK_LET_IN});
    }
}

/* Of a stream of the one who is revoked: up to where the founder has it, or less. */
static bool cut_of(World *world, const DiskStream *stream, bool since, MemberCut *ret_cut)
{
    const Node *founder = &world->nodes[private_founder(world)];
    uint64_t hi = replica_durable(founder->replica, &stream->id);
    hi = since && hi > 0 ? world_random(world) % (hi + 1) : hi;
    if (hi == 0 || hi > stream->count) {
        return false;
    }
    *ret_cut =
        (MemberCut){.epoch = stream->id.epoch, .seq = hi, .hash = stream->events[hi - 1]->hash};
    return true;
}

/* Streams of which nothing counts, as the core names them. */
static size_t name_others(const Node *founder, const Node *victim, MemberCut *cuts, size_t count)
{
    const StreamId *id;
    for (size_t i = 0; (id = replica_stream_at(founder->replica, i)) != NULL; i++) {
        bool of_it = memcmp(id->origin, victim->key, EVENT_KEY_BYTES) == 0;
        for (size_t at = 0; at < count; at++) {
            of_it = of_it && cuts[at].epoch != id->epoch;
        }
        if (of_it && count < CUTS_MAX) {
            cuts[count++] = (MemberCut){.epoch = id->epoch};
        }
    }
    return count;
}

/* The founder answers for those whom they leave in. */
static void say_adopted(World *world, const uint8_t *key, const MemberCut *cuts, size_t count)
{
    const Node *founder = &world->nodes[private_founder(world)];
    EventSigner signer;
    event_signer_init(&signer, founder->seed);
    Bytes **bodies = NULL;
    size_t bodies_count = 0;
    members_adopt(founder->members, &signer, key, cuts, count, &bodies, &bodies_count);
    for (size_t i = 0; i < bodies_count; i++) {
        say(world, private_founder(world), LOG_MEMBER, bodies[i]);
        bytes_unref(bodies[i]);
    }
    mem_free(bodies);
}

void private_say_revocation(World *world, int who)
{
    const Node *founder = &world->nodes[private_founder(world)];
    const Node *victim = &world->nodes[who];
    MemberCut cuts[CUTS_MAX];
    size_t count = 0;
    bool since = world_chance(world, 400);
    bool ban = world_chance(world, 200);
    for (const DiskStream *stream = founder->disk; stream != NULL && !ban && count < CUTS_MAX;
         stream = stream->hh.next) {
        bool of_it = memcmp(stream->id.origin, victim->key, EVENT_KEY_BYTES) == 0;
        count += of_it && cut_of(world, stream, since, &cuts[count]);
    }
    count = name_others(founder, victim, cuts, count);
    uint64_t id = world_random(world);
    Bytes **parts = NULL;
    size_t parts_count = 0;
    say_adopted(world, victim->key, cuts, count);
    if (revocation_new(victim->key, (const uint8_t *)&id, cuts, count, &parts, &parts_count) ==
        ERR_OK) {
        for (size_t i = 0; i < parts_count; i++) {
            say(world, private_founder(world), LOG_REVOKE, parts[i]);
            bytes_unref(parts[i]);
        }
        mem_free(parts);
    }
    world_trace(world, "revoke", who, count, since);
}

void private_revoked_goes_on(World *world, int who)
{
    world->report.revocations++;
    if (!world->nodes[who].is_defiant) {
        return;
    }
    world->nodes[who].skew_ms -= BACK_DATED_MS;
    world_post(world, world_between(world, 100, 4000), (Task){.kind = TASK_NEW_EPOCH, .node = who});
    for (int i = 0; i < 10; i++) {
        world_post(world, world_between(world, 0, 8000), (Task){.kind = TASK_SAY, .node = who});
    }
}

void private_revoke(World *world)
{
    const Node *founder = &world->nodes[private_founder(world)];
    const Node *victim = &world->nodes[world->revoked];
    if (members_state(founder->members, victim->key) == MEMBER_REVOKED) {
        private_revoked_goes_on(world, world->revoked);
        return;
    }
    if (founder->replica != NULL && replica_may_say(founder->replica) &&
        private_is_good(founder, victim)) {
        private_say_revocation(world, world->revoked);
    }
    if (!world->healing) { /* a crash may take it */
        world_post(world, 300, (Task){.kind = TASK_REVOKE});
    }
}

/* ---- cuts on the disk ---- */

void private_cut_disk(World *world, int at, const StreamId *stream, uint64_t hi)
{
    Node *node = &world->nodes[at];
    world_trace(world, "cut", at, stream->epoch, hi);
    churn_note_cut(world, stream);
    members_cut_events(node->members, stream, hi);
    world->report.streams_cut++;
    Applied *applied;
    HASH_FIND(hh, node->applied, stream, sizeof(*stream), applied);
    if (applied != NULL && applied->seq > hi) {
        applied->seq = hi;
    } else if (applied == NULL) { /* it was on the disk before this life, and may come anew */
        applied = mem_new(Applied);
        applied->id = *stream;
        applied->seq = hi;
        HASH_ADD(hh, node->applied, id, sizeof(applied->id), applied);
    }
    if (world->config.mutation == MUTATION_KEEPS_CUT) {
        return;
    }
    Pending *pending = mem_new(Pending);
    pending->ticket = node->last_ticket;
    pending->is_cut = true;
    pending->stream = *stream;
    pending->hi = hi;
    pending_add(node, pending);
    world_post(world, world_between(world, 1, CUT_MAX_MS),
               (Task){.kind = TASK_CUT, .node = at, .life = node->life, .ticket = pending->ticket});
}

/* ---- the world ---- */

/* With the one who is revoked, or where he is: whom he lets in, and who has his key. */
static bool goes(const World *world, int at)
{
    return at == world->revoked || at == world->late ||
           (at == TWIN && node_is_hostile(world, at, FAULT_EQUIVOCATOR));
}

/* Would the others be parted without them? */
static bool are_parted(const World *world)
{
    AUTO_FREE bool *reached = mem_array((size_t)world->config.nodes, sizeof(bool));
    reached[private_founder(world)] = true;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < world->edges_count; i++) {
            const Edge *edge = &world->edges[i];
            int to = reached[edge->a] ? edge->b : edge->a;
            if (reached[edge->a] != reached[edge->b] && !goes(world, to)) {
                reached[to] = true;
                more = true;
            }
        }
    }
    for (int i = 0; i < world->config.nodes; i++) {
        if (!reached[i] && !goes(world, i)) {
            return true;
        }
    }
    return false;
}

static void choose(World *world)
{
    int nodes = world->config.nodes;
    world->revoked = (int)(world_random(world) % (uint64_t)(nodes - 1));
    bool is_defiant = world_chance(world, 600);
    world->late = -1;
    /* Those who are away must not part those who are left. */
    if ((world->swarm & (FAULT_MUTE | FAULT_EQUIVOCATOR)) != 0) {
        world->revoked = HOSTILE;
    }
    int late = (int)(world_random(world) % (uint64_t)(nodes - 1));
    int inviter = (int)(world_random(world) % (uint64_t)nodes);
    if (late > TWIN && late != world->revoked && inviter != late && world_chance(world, 600)) {
        world->late = late;
        world->late_inviter = inviter;
    }
    if (world_chance(world, 100)) {
        world->revoked = -1; /* nobody */
    }
    if (world->revoked >= 0) {
        world->nodes[world->revoked].is_defiant = is_defiant;
    }
    bool goes_too = world->late >= 0 && world->revoked >= 0 &&
                    memcmp(world->nodes[world->late_inviter].seed,
                           world->nodes[world->revoked].seed, EVENT_SEED_BYTES) == 0;
    if (goes_too && are_parted(world)) {
        world->late = -1;
    }
    world->late_is_lost = (world->swarm & FAULT_DISK_LOST) != 0 && world_chance(world, 500) &&
                          world->late_inviter != private_founder(world);
}

void private_begin(World *world)
{
    const uint8_t salt[16] = {1};
    EventSigner signer;
    const char *reason = "";
    if (world->config.churn) {
        churn_begin(world);
    } else {
        choose(world);
    }
    event_signer_init(&signer, world->nodes[private_founder(world)].seed);
    if (genesis_new("sim", signer.public_key, salt, WALL_MS, &world->genesis, &reason) != ERR_OK) {
        world_fail(world, "no network: %s", reason);
    }
}

/* Those who are to be in from the beginning; a crash may have come before it was on the disk. */
void private_let_rest_in(World *world)
{
    const Node *founder = &world->nodes[private_founder(world)];
    bool missing = false;
    for (int i = 0; i < private_founder(world); i++) {
        const Node *node = &world->nodes[i];
        bool has_twins_key = i == TWIN && node_is_hostile(world, i, FAULT_EQUIVOCATOR);
        if (i == world->late || node->begins_outside || has_twins_key ||
            proof_of(world, node->key) != NULL) {
            continue;
        }
        missing = true;
        if (founder->replica != NULL && replica_may_say(founder->replica) &&
            members_state(founder->members, node->key) == MEMBER_NONE) {
            private_let_in(world, private_founder(world), i);
        }
    }
    if (missing) {
        world_post(world, LET_IN_AGAIN_MS, (Task){.kind = TASK_LET_REST_IN});
    }
}

void private_let_all_in(World *world)
{
    private_let_rest_in(world);
    if (world->late >= 0) {
        world_post(world, world_between(world, LATE_MIN_MS, world->config.trouble_ms / 2),
                   (Task){.kind = TASK_LET_IN});
    }
    if (world->revoked >= 0) {
        world_post(world, world_between(world, NEWS_MIN_MS, world->config.trouble_ms * 3 / 4),
                   (Task){.kind = TASK_REVOKE});
    }
    if (world->config.churn) {
        world_post(world, CHURN_EVERY_MS, (Task){.kind = TASK_CHURN});
    }
}

void private_done(World *world)
{
    churn_done(world);
    for (size_t i = 0; i < world->proofs_count; i++) {
        bytes_unref(world->proofs[i].proof);
    }
    mem_free(world->proofs);
    bytes_unref(world->genesis);
    for (int i = 0; i < world->config.nodes; i++) {
        members_free(world->nodes[i].members);
    }
}
