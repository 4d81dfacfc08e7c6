/* What each node's people see: a fold stands between what is applied and what is shown. */
#include "sim_world.h"

enum { SHOWN_AT_LAST_MS = 2 * FOLD_CAUSE_WAIT_MS + 5000, CUT_CAUSES_MAX = 100 };

static const char *const ROOMS[SHOWN_ROOMS] = {"lobby", "den"};

const char *shown_room(uint64_t number)
{
    return ROOMS[number % SHOWN_ROOMS];
}

static size_t room_of(const EventFields *fields)
{
    size_t room = 0;
    while (room < SHOWN_ROOMS - 1 && (strlen(ROOMS[room]) != fields->room_len ||
                                      memcmp(ROOMS[room], fields->room, fields->room_len) != 0)) {
        room++;
    }
    return room;
}

static Shown *shown_get(Node *node, const StreamTag *tag)
{
    Shown *shown;
    HASH_FIND(hh, node->shown, tag, sizeof(*tag), shown);
    if (shown == NULL) {
        shown = mem_new(Shown);
        shown->tag = *tag;
        shown->limit = UINT64_MAX;
        HASH_ADD(hh, node->shown, tag, sizeof(shown->tag), shown);
    }
    return shown;
}

void shown_begin(Node *node)
{
    node->fold = fold_new();
    for (const DiskStream *stream = node->disk; stream != NULL; stream = stream->hh.next) {
        StreamTag tag = stream_tag(&stream->id);
        fold_set_shown(node->fold, &stream->id, stream->count);
        shown_get(node, &tag)->seq = stream->count;
    }
}

void shown_end(Node *node)
{
    Shown *shown;
    Shown *next;
    HASH_ITER(hh, node->shown, shown, next) {
        HASH_DEL(node->shown, shown);
        mem_free(shown);
    }
    for (size_t i = 0; i < SHOWN_ROOMS; i++) {
        event_unref(TAKE(node->last_shown[i]));
    }
    fold_free(TAKE(node->fold));
    node->fold_at_ms = 0;
}

/* Was all that it comes after shown here before, but for what was cut off? */
static bool causes_are_shown(Node *node, const EventFields *fields)
{
    for (size_t i = 0; i < fields->after_count; i++) {
        const Shown *cause = shown_get(node, &fields->after[i].stream);
        uint64_t seq = fields->after[i].seq;
        if (cause->seq < (seq < cause->limit ? seq : cause->limit)) {
            return false;
        }
    }
    return true;
}

/* Does it belong behind what was shown in its room? */
static bool is_late(const Node *node, const EventFields *fields)
{
    const LogEvent *last = node->last_shown[room_of(fields)];
    return last != NULL && event_compare(fields, &last->fields) < 0;
}

/* More that is early than a fold holds (FOLD_EARLY_MAX): what it lets go counts as shown there. */
static bool may_drop(const World *world)
{
    return (world->swarm & (FAULT_CLOCK | FAULT_CLOCK_LIAR)) != 0 &&
           (world->swarm & FAULT_FLOODER) != 0;
}

static void check_one(World *world, int at, const FoldShown *item)
{
    Node *node = &world->nodes[at];
    const EventFields *fields = &item->event->fields;
    StreamTag tag = stream_tag(&fields->stream);
    Shown *shown = shown_get(node, &tag);
    bool may_skip = may_drop(world);
    if (fields->seq <= shown->seq || (fields->seq > shown->seq + 1 && !may_skip)) {
        world_fail(world, "node %d lets its people see number %" PRIu64 " after %" PRIu64, at,
                   fields->seq, shown->seq);
    }
    bool is_whole = causes_are_shown(node, fields);
    if (!item->incomplete && !may_skip && !is_whole) {
        world_fail(world, "node %d shows an effect before its cause", at);
    }
    if (item->incomplete && !may_skip && is_whole) {
        world_fail(world, "node %d shows as incomplete what lacks nothing that counts", at);
    }
    if (item->late != is_late(node, fields)) {
        world_fail(world, "node %d shows what is %s as %s", at, item->late ? "in time" : "late",
                   item->late ? "late" : "in time");
    }
    shown->seq = fields->seq;
    LogEvent **last = &node->last_shown[room_of(fields)];
    if (!is_late(node, fields)) {
        event_unref(*last);
        *last = event_ref(item->event);
    }
}

static void show(World *world, int at, FoldOut *out)
{
    Node *node = &world->nodes[at];
    for (size_t i = 0; i < out->count; i++) {
        FoldShown *item = &out->items[i];
        if (world->config.mutation == MUTATION_NEVER_LATE) {
            item->late = false;
        }
        if (world->config.mutation == MUTATION_SHOWS_NOT_ALL && world_chance(world, 5)) {
            continue;
        }
        world_trace(world, "show", at, item->event->fields.seq, item->late);
        check_one(world, at, item);
    }
    uint64_t wake_ms = out->wake_at_ms > START_WALL_MS ? out->wake_at_ms - START_WALL_MS : 0;
    if (wake_ms > world->now_ms && (node->fold_at_ms == 0 || wake_ms < node->fold_at_ms)) {
        node->fold_at_ms = wake_ms;
        world_post(world, wake_ms - world->now_ms,
                   (Task){.kind = TASK_FOLD, .node = at, .life = node->life});
    }
    fold_out_done(out);
}

void shown_apply(World *world, int at, const ReplicaOutput *output, int64_t wall_ms)
{
    Node *node = &world->nodes[at];
    FoldOut out = {0};
    StreamTag tag = stream_tag(&output->events[0]->fields.stream);
    Shown *shown = shown_get(node, &tag);
    if (output->events[output->events_count - 1]->fields.seq > shown->limit) {
        shown->limit = UINT64_MAX; /* it counts again */
    }
    fold_apply(node->fold, output->events, output->events_count, output->link,
               world->now_ms + START_WALL_MS, wall_ms, &out);
    if (world->config.mutation != MUTATION_EFFECT_FIRST) {
        show(world, at, &out);
        return;
    }
    fold_out_done(&out);
    for (size_t i = 0; i < output->events_count; i++) {
        FoldShown item = {.event = output->events[i],
                          .late = is_late(node, &output->events[i]->fields)};
        check_one(world, at, &item);
    }
}

void shown_cut(World *world, int at, const StreamId *stream)
{
    Node *node = &world->nodes[at];
    FoldOut out = {0};
    StreamTag tag = stream_tag(stream);
    shown_get(node, &tag)->limit = members_cut(node->members, stream, NULL);
    fold_cut(node->fold, stream, members_cut(node->members, stream, NULL),
             world->now_ms + START_WALL_MS, node_wall_ms(world, at), &out);
    show(world, at, &out);
}

void shown_timer(World *world, int at, int64_t wall_ms)
{
    Node *node = &world->nodes[at];
    if (node->fold_at_ms > world->now_ms) {
        return; /* an earlier one has come in between, and posted the next */
    }
    FoldOut out = {0};
    node->fold_at_ms = 0;
    fold_timer(node->fold, world->now_ms + START_WALL_MS, wall_ms, &out);
    show(world, at, &out);
}

/* A stream of which the node's people have not seen all; NULL: none. */
static const DiskStream *stream_not_shown(World *world, int at)
{
    Node *node = &world->nodes[at];
    for (const DiskStream *stream = node->disk; stream != NULL; stream = stream->hh.next) {
        StreamTag tag = stream_tag(&stream->id);
        uint64_t seq = shown_get(node, &tag)->seq;
        bool is_cut = world->config.private_network && private_is_cut(world, at, &stream->id);
        /* What was shown may have been cut, and not all of it have come again. */
        bool was_cut = seq > stream->count && churn_has_cut(world, &stream->id);
        if (!is_cut && !was_cut && seq != stream->count) {
            return stream;
        }
    }
    return NULL;
}

/* Logs are equal: when all of it is shown everywhere, all see the same, and sorted the same way.
 * What waits for a cause that is lost waits anew while the cause's stream goes on: twice will
 * do. */
void check_all_shown(World *world)
{
    if ((world->swarm & (FAULT_CLOCK | FAULT_CLOCK_LIAR)) != 0) {
        return; /* some of it is not due yet */
    }
    /* Causes that were cut off never come: line after line waits for its own. */
    uint64_t rounds = private_has_revoked(world) ? CUT_CAUSES_MAX : 1;
    uint64_t end_ms = world->now_ms + rounds * SHOWN_AT_LAST_MS;
    for (int i = 0; i < world->config.nodes && world->report.ok; i++) {
        if (node_is_hostile(world, i, FAULT_EQUIVOCATOR) ||
            (world->config.private_network && !private_counts(world, i))) {
            continue;
        }
        while (stream_not_shown(world, i) != NULL && world->now_ms < end_ms) {
            run_until(world, world->now_ms + 1000);
        }
        const DiskStream *stream = stream_not_shown(world, i);
        if (stream != NULL) {
            StreamTag tag = stream_tag(&stream->id);
            world_fail(world, "node %d shows %" PRIu64 " of the %zu events of stream %" PRIu64, i,
                       shown_get(&world->nodes[i], &tag)->seq, stream->count, stream->id.epoch);
        }
    }
}
