/* Private networks: what must hold at every step, and at the end by what the founder knows then. */
#include "sim_world.h"

static const Members *truth(const World *world)
{
    return world->nodes[private_founder(world)].members;
}

bool private_agrees(const World *world, int at)
{
    const Members *members = world->nodes[at].members;
    for (int i = 0; i < world->config.nodes; i++) {
        const uint8_t *key = world->nodes[i].key;
        if (members_state(members, key) != members_state(truth(world), key)) {
            return false;
        }
    }
    return true;
}

void private_tell_differences(const World *world)
{
    static const char *const names[] = {"none", "good", "revoked"};
    for (int i = 0; i < world->config.nodes; i++) {
        const Node *node = &world->nodes[i];
        for (int j = 0; j < world->config.nodes; j++) {
            MemberState here = members_state(node->members, world->nodes[j].key);
            MemberState there = members_state(truth(world), world->nodes[j].key);
            if (here != there) {
                fprintf(world->config.trace,
                        "node %d (%s) has node %d for %s, and the founder for %s\n", i,
                        names[members_state(truth(world), node->key)], j, names[here],
                        names[there]);
            }
        }
    }
}

/* When a step, and what follows from it for who is a member, is over. */
void private_check_cuts_hold(World *world, int at)
{
    const Node *node = &world->nodes[at];
    const StreamId *id;
    for (size_t i = 0; (id = replica_stream_at(node->replica, i)) != NULL; i++) {
        uint64_t limit = members_cut(node->members, id, NULL);
        if (replica_applied(node->replica, id) > limit ||
            replica_durable(node->replica, id) > limit) {
            world_fail(world,
                       "node %d holds number %" PRIu64 " of a stream that counts up to %" PRIu64,
                       at, replica_applied(node->replica, id), limit);
        }
    }
}

/* At at it is applied: does it count, as far as that node knows? What comes in one frame with the
 * news is cut when all of the frame is taken (private_check_cuts_hold). */
void private_check_applied(World *world, int at, const LogEvent *event)
{
    const Node *node = &world->nodes[at];
    if (!node->members_changed &&
        event->fields.seq > members_cut(node->members, &event->fields.stream, NULL)) {
        world_fail(world, "node %d applies number %" PRIu64 " of a stream past its cut", at,
                   event->fields.seq);
    }
}

static bool is_member(const World *world, int at)
{
    return truth(world) == NULL || members_state(truth(world), world->nodes[at].key) == MEMBER_GOOD;
}

bool private_counts(const World *world, int at)
{
    return is_member(world, at) && (!world->config.churn || world->nodes[at].is_reached);
}

/* From one who passes on what it has. */
static bool reaches(const World *world, int from, int to)
{
    return world->nodes[from].is_reached && !world->nodes[to].is_reached && is_member(world, to) &&
           !node_is_hostile(world, from, FAULT_MUTE | FAULT_CENSOR);
}

void private_note_reached(World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        world->nodes[i].is_reached = i == private_founder(world);
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < world->edges_count; i++) {
            const Edge *edge = &world->edges[i];
            bool forth = reaches(world, edge->a, edge->b);
            if (forth || reaches(world, edge->b, edge->a)) {
                world->nodes[forth ? edge->b : edge->a].is_reached = true;
                more = true;
            }
        }
    }
}

bool private_has_revoked(const World *world)
{
    bool has = false;
    for (int i = 0; i < world->config.nodes && truth(world) != NULL && !has; i++) {
        has = members_state(truth(world), world->nodes[i].key) == MEMBER_REVOKED;
    }
    return has;
}

bool private_event_counts(const World *world, const StreamId *stream, uint64_t seq)
{
    return truth(world) == NULL || members_cut(truth(world), stream, NULL) >= seq;
}

bool private_is_cut(const World *world, int at, const StreamId *stream)
{
    return members_cut(world->nodes[at].members, stream, NULL) != UINT64_MAX;
}

/* Its author is none of those who count: those who went part him from them. */
static bool is_parted(const World *world, const StreamId *stream)
{
    bool counts = false;
    for (int i = 0; i < world->config.nodes && !counts; i++) {
        counts = private_counts(world, i) &&
                 memcmp(world->nodes[i].key, stream->origin, EVENT_KEY_BYTES) == 0;
    }
    return world->config.churn && !counts;
}

/* Whoever may replace a disk takes with it what nobody else holds; those who are none of the
 * network any more do not give it back. */
bool private_is_lost(const World *world, const StreamId *stream, uint64_t seq)
{
    unsigned losing = FAULT_DISK_LOST | FAULT_RESTORE | FAULT_CLONE | FAULT_MUTE;
    bool may = private_has_revoked(world) && (world->swarm & losing) != 0;
    if (!may && !churn_has_cut(world, stream) && !is_parted(world, stream)) {
        return false;
    }
    for (int i = 0; i < world->config.nodes; i++) {
        if (private_counts(world, i) && !node_is_hostile(world, i, FAULT_MUTE) &&
            disk_holds(world->nodes[i].disk, stream, seq)) {
            return false;
        }
    }
    return true;
}

void private_check_end(World *world)
{
    for (int i = 0; i < world->config.nodes; i++) {
        if (!private_counts(world, i) || node_is_hostile(world, i, FAULT_MUTE)) {
            continue; /* nobody has waited for a mute one */
        }
        for (const DiskStream *stream = world->nodes[i].disk; stream != NULL;
             stream = stream->hh.next) {
            EventHash hash;
            uint64_t limit = members_cut(truth(world), &stream->id, &hash);
            bool other = stream->count == limit &&
                         memcmp(&stream->events[limit - 1]->hash, &hash, sizeof(hash)) != 0;
            if (stream->count > limit || other) {
                world_fail(world,
                           "node %d has number %zu of a stream on its disk, which counts up to "
                           "%" PRIu64 "%s",
                           i, stream->count, limit, other ? ", and another one" : "");
            }
        }
    }
}
