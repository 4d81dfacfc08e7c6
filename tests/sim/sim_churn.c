/* Private networks in which members come and go all the time.
 *
 *   outside --let in by any member--> inside --the founder revokes--> revoked, for good
 *      ^                                |
 *      +---- who let it in goes --------+      and may be let in again, by somebody else
 *
 * Who is parted from the founder by those who went does not count at the end. Who was let in and
 * has nothing to show for it yet, since a crash came in between, asks again. What all have deleted
 * while its author did not count is lost, also where he counts again. */
#include "sim_world.h"

enum {
    OUTSIDE_PER_MILLE = 400,
    DEFIANT_PER_MILLE = 300,
    LET_IN_PER_MILLE = 400,
    REVOKE_PER_MILLE = 100,
};

void churn_begin(World *world)
{
    world->revoked = -1;
    world->late = -1;
    for (int i = 0; i < private_founder(world); i++) {
        world->nodes[i].begins_outside = world_chance(world, OUTSIDE_PER_MILLE);
        world->nodes[i].is_defiant = world_chance(world, DEFIANT_PER_MILLE);
    }
}

static int any_node(World *world)
{
    return (int)(world_random(world) % (uint64_t)world->config.nodes);
}

static bool may_act(const Node *node)
{
    return node->replica != NULL && replica_may_say(node->replica) && private_is_good(node, node);
}

static void let_somebody_in(World *world)
{
    int by = any_node(world);
    int who = any_node(world);
    const Node *node = &world->nodes[by];
    Node *guest = &world->nodes[who];
    const char *reason = "";
    bool asks = members_state(guest->members, guest->key) == MEMBER_NONE;
    if (asks && may_act(node) && members_state(node->members, guest->key) == MEMBER_NONE &&
        members_may_invite(node->members, node->key, &reason)) {
        world_trace(world, "let in", who, (uint64_t)by, 0);
        guest->waits_for = 1 + by;
        private_let_in(world, by, who);
    }
}

static void revoke_somebody(World *world)
{
    int who = any_node(world);
    const Node *founder = &world->nodes[private_founder(world)];
    if (who != private_founder(world) && may_act(founder) &&
        private_is_good(founder, &world->nodes[who]) &&
        world->report.revocations < (uint64_t)world->config.nodes / 2) {
        private_say_revocation(world, who);
    }
}

/* The founder has it on its disk. */
static void let_revoked_go_on(World *world)
{
    const Node *founder = &world->nodes[private_founder(world)];
    for (int i = 0; i < private_founder(world); i++) {
        Node *node = &world->nodes[i];
        if (!node->went_on && members_state(founder->members, node->key) == MEMBER_REVOKED) {
            node->went_on = true;
            private_revoked_goes_on(world, i);
        }
    }
}

void churn_round(World *world)
{
    if (!world->healing && world_chance(world, LET_IN_PER_MILLE)) {
        let_somebody_in(world);
    }
    if (!world->healing && world_chance(world, REVOKE_PER_MILLE)) {
        revoke_somebody(world);
    }
    let_revoked_go_on(world);
    int teller = any_node(world);
    if (world->nodes[teller].replica != NULL) {
        private_said(world, teller);
    }
    world_post(world, CHURN_EVERY_MS, (Task){.kind = TASK_CHURN});
}

void churn_note_cut(World *world, const StreamId *stream)
{
    Applied *cut = NULL;
    HASH_FIND(hh, world->cut, stream, sizeof(*stream), cut);
    if (world->config.churn && cut == NULL) {
        cut = mem_new(Applied);
        cut->id = *stream;
        HASH_ADD(hh, world->cut, id, sizeof(cut->id), cut);
    }
}

bool churn_has_cut(const World *world, const StreamId *stream)
{
    const Applied *cut = NULL;
    HASH_FIND(hh, world->cut, stream, sizeof(*stream), cut);
    return cut != NULL;
}

void churn_done(World *world)
{
    Applied *cut;
    Applied *next;
    HASH_ITER(hh, world->cut, cut, next) {
        HASH_DEL(world->cut, cut);
        mem_free(cut);
    }
}
