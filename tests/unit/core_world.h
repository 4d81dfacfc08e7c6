/* A few cores that dial each other, in virtual time, as readable traces. What lies between them is
 * in core_pipes.h. */
#pragma once

#include "core_pipes.h"

/* ---- what a core asks for ---- */

static inline void world_step(World *world, size_t at, Event event);

/* Whole groups, about a frame of them. */
static inline void world_read(World *world, size_t at, const Action *action)
{
    const WorldNode *node = &world->nodes[at];
    size_t count = 0;
    size_t whole = 0;
    size_t bytes = 0;
    LogEvent **events = mem_array(node->durable, sizeof(LogEvent *));
    for (size_t i = 0; i < node->durable && bytes < REPLICA_FRAME_EVENTS_BYTES; i++) {
        LogEvent *event = node->trace.disk[i];
        if (stream_id_compare(&event->fields.stream, &action->stream) == 0 &&
            event->fields.seq == action->from + count) {
            events[count++] = event;
            bytes += bytes_len(event->bytes);
            whole = event->is_signed ? count : whole;
        }
    }
    world_step(world, at,
               (Event){.kind = EVENT_READ_DONE,
                       .mesh = action->mesh,
                       .stream = action->stream,
                       .from = action->from,
                       .events = events,
                       .events_count = whole});
    mem_free(events);
}

/* The last of the lobby, which the core asks for at its start; other questions are for the test. */
static inline void world_query(World *world, size_t at, const Query *query)
{
    const WorldNode *node = &world->nodes[at];
    size_t count = 0;
    LogEvent **events = mem_array(query->count, sizeof(LogEvent *));
    for (size_t i = 0; i < node->durable && query->kind == QUERY_RECENT; i++) {
        size_t back = node->durable - i;
        count += back <= query->count;
        if (back <= query->count) {
            events[count - 1] = node->trace.disk[i];
        }
    }
    if (query->kind == QUERY_RECENT) {
        world_step(
            world, at,
            (Event){.kind = EVENT_ANSWER, .query = query, .events = events, .events_count = count});
    }
    mem_free(events);
}

static inline void world_leave(World *world, size_t at);

static inline void world_do(World *world, size_t at, const Action *action)
{
    WorldNode *node = &world->nodes[at];
    size_t pipe;
    size_t end;
    switch (action->kind) {
    case ACTION_SHOW:
        if (world->shown != NULL) {
            world->shown(world, at, action->message);
        }
        return;
    case ACTION_CONNECT: {
        bool answers = world_reachable(world, at, node->peers[action->link]);
        node->generation[action->link]++;
        world_post_link(world, at, action->link, answers ? EVENT_LINK_ANSWERED : EVENT_LINK_DOWN,
                        "refused");
        return;
    }
    case ACTION_DISCONNECT:
        node->generation[action->link]++;
        return;
    case ACTION_PROBE:
        world_post_link(world, at, action->link, EVENT_LINK_ANSWERED, "");
        return;
    case ACTION_MESH_OPEN:
        world_open_pipe(world, at, action->link);
        return;
    case ACTION_MESH_CLOSE:
        if (world_find_end(world, at, action->mesh, &pipe, &end)) {
            world_close_end(world, pipe, end, action->text);
        }
        return;
    case ACTION_FRAME:
        world_send(world, at, action);
        return;
    case ACTION_PROOF:
        bytes_unref(node->renewed);
        node->renewed = bytes_ref(action->frame);
        return;
    case ACTION_QUIT:
        world_leave(world, at);
        return;
    default:
        return;
    }
}

/* Every line of it behind the node's name. */
static inline void world_tell(World *world, size_t at, const char *text)
{
    while (*text != '\0' && !world->quiet) {
        size_t len = strcspn(text, "\n") + 1;
        strbuf_addf(&world->text, "%s| ", WORLD_NAMES[at]);
        strbuf_add(&world->text, text, len);
        text += len;
    }
}

static inline void world_step(World *world, size_t at, Event event)
{
    WorldNode *node = &world->nodes[at];
    node->trace.mono_ms = world->now_ms;
    node->trace.random = world->draw != NULL ? world->draw(world) : ++world->random;
    node->trace.disk_stands_still = node->trace.disk_stands_still || node->disk_delay_ms > 0;
    world_tell(world, at, trace_step(&node->trace, event));
    if (node->trace.ticket == 0) {
        node->durable = node->trace.disk_count;
    } else if (node->disk_delay_ms > 0 && !node->disk_writing) {
        node->disk_writing = true;
        world_post(world, (Letter){.kind = LETTER_STORED, .node = at},
                   world->now_ms + node->disk_delay_ms);
    }
    /* What is done may step again: on a copy. */
    Actions actions = node->trace.actions;
    node->trace.actions = (Actions){.wake_at_ms = actions.wake_at_ms};
    for (size_t i = 0; i < actions.count && node->alive; i++) {
        world_do(world, at, &actions.items[i]);
    }
    for (size_t i = 0; i < actions.count && node->alive; i++) {
        if (actions.items[i].kind == ACTION_READ) {
            world_read(world, at, &actions.items[i]);
        } else if (actions.items[i].kind == ACTION_QUERY) {
            world_query(world, at, actions.items[i].query);
        }
    }
    actions_done(&actions);
}

/* ---- what arrives ---- */

/* In a private network, of every connection. */
static const uint8_t WORLD_BINDING[LINK_BINDING_BYTES] = {1, 2, 3};

static inline void world_link_letter(World *world, const Letter *letter)
{
    const WorldNode *node = &world->nodes[letter->node];
    if (!node->alive || letter->life != node->life ||
        letter->generation != node->generation[letter->link]) {
        return;
    }
    const WorldNode *peer = &world->nodes[letter->peer];
    NodeId id = world_id(world, letter->peer);
    EventSigner peer_signer = trace_signer(WORLD_NAMES[letter->peer]);
    bool private = world->nodes[letter->node].genesis != NULL;
    Event event = {
        .kind = letter->event,
        .link = letter->link,
        .key = private ? peer_signer.public_key : NULL,
        .binding = private ? WORLD_BINDING : NULL,
        .text = letter->text,
        .text_len = strlen(letter->text),
        .node_id = id.bytes,
        .node_id_len = sizeof(id.bytes),
        .peer_name = peer->alive ? core_name(peer->trace.core) : "",
        .rtt_us = 1000,
    };
    if (letter->event == EVENT_LINK_ANSWERED &&
        !world_reachable(world, letter->node, letter->peer)) {
        event.kind = EVENT_LINK_DOWN;
    }
    world_step(world, letter->node, event);
}

static inline void world_pipe_letter(World *world, const Letter *letter)
{
    Pipe *pipe = &world->pipes[letter->pipe];
    PipeEnd *end = &pipe->ends[letter->end];
    if (letter->generation != pipe->generation || !end->open || !world->nodes[end->node].alive) {
        return;
    }
    if (letter->event == EVENT_SENT) {
        end->sending = false;
    } else if (letter->event == EVENT_MESH_DOWN) {
        end->open = false;
    }
    bool private = world->nodes[end->node].genesis != NULL;
    EventSigner dialler = trace_signer(WORLD_NAMES[pipe->ends[0].node]);
    world_step(world, end->node,
               (Event){
                   .kind = letter->event,
                   .mesh = end->mesh,
                   .key = private ? dialler.public_key : NULL,
                   .binding = private ? WORLD_BINDING : NULL,
                   .text = letter->text,
                   .text_len = strlen(letter->text),
                   .data = letter->frame != NULL ? bytes_data(letter->frame) : NULL,
                   .len = letter->frame != NULL ? bytes_len(letter->frame) : 0,
               });
}

static inline void world_stored_letter(World *world, const Letter *letter)
{
    WorldNode *node = &world->nodes[letter->node];
    if (!node->alive || letter->life != node->life) {
        return;
    }
    uint64_t ticket = node->trace.ticket;
    node->disk_writing = false;
    node->trace.ticket = 0;
    node->durable = node->trace.disk_count;
    world_step(world, letter->node, (Event){.kind = EVENT_STORED, .ticket = ticket});
}

static inline Letter *world_next_letter(World *world, uint64_t until_ms)
{
    Letter *next = NULL;
    for (size_t i = 0; i < WORLD_LETTERS_MAX; i++) {
        Letter *letter = &world->letters[i];
        if (letter->used && letter->at_ms <= until_ms &&
            (next == NULL || letter->at_ms < next->at_ms ||
             (letter->at_ms == next->at_ms && letter->order < next->order))) {
            next = letter;
        }
    }
    return next;
}

/* The node whose timer is next; count: none until then. At most one a millisecond. */
static inline size_t world_next_timer(const World *world, uint64_t until_ms, uint64_t *ret_at_ms)
{
    size_t next = world->count;
    for (size_t i = 0; i < world->count; i++) {
        const WorldNode *node = &world->nodes[i];
        uint64_t at_ms = node->trace.actions.wake_at_ms;
        if (!node->alive || at_ms == 0) {
            continue;
        }
        at_ms = at_ms > node->no_timer_before_ms ? at_ms : node->no_timer_before_ms;
        at_ms = at_ms > world->now_ms ? at_ms : world->now_ms;
        if (at_ms <= until_ms && (next == world->count || at_ms < *ret_at_ms)) {
            next = i;
            *ret_at_ms = at_ms;
        }
    }
    return next;
}

static inline void world_take_letter(World *world, Letter *waiting)
{
    Letter letter = *waiting;
    waiting->used = false;
    switch (letter.kind) {
    case LETTER_LINK:
        world_link_letter(world, &letter);
        break;
    case LETTER_PIPE:
        world_pipe_letter(world, &letter);
        break;
    case LETTER_STORED:
        world_stored_letter(world, &letter);
        break;
    }
    bytes_unref(letter.frame);
}

static inline void world_run(World *world, uint64_t until_ms)
{
    for (;;) {
        uint64_t timer_ms = 0;
        Letter *letter = world_next_letter(world, until_ms);
        size_t timer = world_next_timer(world, until_ms, &timer_ms);
        if (letter != NULL && (timer == world->count || letter->at_ms <= timer_ms)) {
            world->now_ms = letter->at_ms > world->now_ms ? letter->at_ms : world->now_ms;
            world_take_letter(world, letter);
        } else if (timer < world->count) {
            world->now_ms = timer_ms;
            world->nodes[timer].no_timer_before_ms = timer_ms + 1;
            world_step(world, timer, (Event){.kind = EVENT_TIMER});
        } else {
            break;
        }
    }
    world->now_ms = until_ms;
}

/* ---- what the test does ---- */

/* dials[i]: the first letters of those that node i has in its nodes.json. */
static inline World *world_new(const char *const *dials, size_t count)
{
    World *world = mem_new(World);
    world->now_ms = 1000;
    world->count = count;
    for (size_t i = 0; i < count; i++) {
        WorldNode *node = &world->nodes[i];
        for (const char *letter = dials[i]; *letter != '\0'; letter++) {
            size_t peer = (size_t)(*letter - 'a');
            NodeConfig *config = &node->configs[node->peers_count];
            snprintf(config->host, sizeof(config->host), "%s", WORLD_NAMES[peer]);
            config->port = 1;
            node->peers[node->peers_count++] = peer;
        }
    }
    return world;
}

static inline size_t world_heads(const WorldNode *node, StreamHead *heads)
{
    size_t count = 0;
    for (size_t i = 0; i < node->durable; i++) {
        const LogEvent *event = node->trace.disk[i];
        size_t at = 0;
        while (at < count && stream_id_compare(&heads[at].stream, &event->fields.stream) != 0) {
            at++;
        }
        count = at == count ? count + 1 : count;
        heads[at] = (StreamHead){
            .stream = event->fields.stream, .hi = event->fields.seq, .last_hash = event->hash};
    }
    return count;
}

/* Takes over what its disk has of an earlier life. */
static inline void world_start(World *world, size_t at)
{
    WorldNode *node = &world->nodes[at];
    StreamHead *heads = mem_array(node->durable + 1, sizeof(StreamHead));
    CoreTrace before = node->trace;
    node->life++;
    CoreConfig config = {
        .node_id = world_id(world, at),
        .name = WORLD_NAMES[at],
        .nodes = node->configs,
        .nodes_count = node->peers_count,
        .epoch = 6 + (uint64_t)node->life,
        .heads = heads,
        .heads_count = world_heads(node, heads),
        .recap = node->recap,
    };
    if (node->genesis != NULL) {
        config.genesis = bytes_data(node->genesis);
        config.genesis_len = bytes_len(node->genesis);
        const Bytes *proof = node->renewed != NULL ? node->renewed : node->proof;
        config.proof = proof != NULL ? bytes_data(proof) : NULL;
        config.proof_len = proof != NULL ? bytes_len(proof) : 0;
        config.control_events = before.disk; /* of other kinds too: they are passed over */
        config.control_count = node->durable;
    }
    if (world->configure != NULL) {
        world->configure(world, at, &config);
    }
    node->trace = trace_new_of(config);
    mem_free(heads);
    node->trace.disk = before.disk;
    node->trace.disk_cap = before.disk_cap;
    node->trace.disk_count = node->durable;
    for (size_t i = node->durable; i < before.disk_count; i++) {
        event_unref(before.disk[i]); /* it was not written in time */
    }
    node->alive = true;
    node->disk_writing = false;
    node->no_timer_before_ms = 0;
    world_step(world, at, (Event){.kind = EVENT_START});
}

/* All links of others to it end; its core is gone, its disk stays. */
static inline void world_end(World *world, size_t at, const char *text)
{
    WorldNode *node = &world->nodes[at];
    core_free(TAKE(node->trace.core));
    actions_done(&node->trace.actions);
    strbuf_done(&node->trace.text);
    node->alive = false;
    for (size_t i = 0; i < world->count; i++) {
        const WorldNode *other = &world->nodes[i];
        for (size_t link = 0; link < other->peers_count && other->alive; link++) {
            if (other->peers[link] == at) {
                world_post_link(world, i, link, EVENT_LINK_DOWN, text);
            }
        }
    }
}

static inline void world_leave(World *world, size_t at)
{
    for (size_t i = 0; i < 2 * WORLD_PIPES_MAX; i++) {
        const PipeEnd *end = &world->pipes[i / 2].ends[i % 2];
        if (end->open && end->node == at) {
            world_close_end(world, i / 2, i % 2, MESH_BYE_LEAVING);
        }
    }
    world_end(world, at, MESH_BYE_LEAVING);
}

static inline void world_kill(World *world, size_t at)
{
    for (size_t i = 0; i < 2 * WORLD_PIPES_MAX; i++) {
        PipeEnd *end = &world->pipes[i / 2].ends[i % 2];
        if (end->open && end->node == at) {
            end->open = false;
            world->pipes[i / 2].generation++;
            world_post_pipe(world, i / 2, 1 - i % 2, EVENT_MESH_DOWN, NULL, "died");
        }
    }
    world_end(world, at, "died");
}

/* Both ways; what is on its way is lost. */
static inline void world_cut(World *world, size_t a, size_t b)
{
    const size_t ends[2] = {a, b};
    world->cut[a][b] = world->cut[b][a] = true;
    world_break_pipes(world, a, b, "cut");
    for (size_t i = 0; i < 2; i++) {
        const WorldNode *node = &world->nodes[ends[i]];
        for (size_t link = 0; link < node->peers_count && node->alive; link++) {
            if (node->peers[link] == ends[1 - i]) {
                world_post_link(world, ends[i], link, EVENT_LINK_DOWN, "cut");
            }
        }
    }
}

static inline void world_heal(World *world, size_t a, size_t b)
{
    world->cut[a][b] = world->cut[b][a] = false;
}

/* What happened at all nodes until so much time has passed. */
static inline const char *world_wait(World *world, uint64_t ms)
{
    strbuf_clear(&world->text);
    world_run(world, world->now_ms + ms);
    return strbuf_text(&world->text);
}

/* What happened at once, at all nodes. */
static inline const char *world_line(World *world, size_t at, const char *text)
{
    strbuf_clear(&world->text);
    world_step(world, at, (Event){.kind = EVENT_LINE, .text = text, .text_len = strlen(text)});
    world_run(world, world->now_ms);
    return strbuf_text(&world->text);
}

/* One after the other, each with all that follows from it. */
static inline const char *world_start_all(World *world)
{
    strbuf_clear(&world->text);
    for (size_t i = 0; i < world->count; i++) {
        world_start(world, i);
        world_run(world, world->now_ms);
    }
    return strbuf_text(&world->text);
}

static inline Core *world_core(const World *world, size_t at)
{
    return world->nodes[at].trace.core;
}

static inline void world_free(World *world)
{
    for (size_t i = 0; i < world->count; i++) {
        trace_done(&world->nodes[i].trace);
        bytes_unref(world->nodes[i].renewed);
    }
    for (size_t i = 0; i < WORLD_LETTERS_MAX; i++) {
        if (world->letters[i].used) {
            bytes_unref(world->letters[i].frame);
        }
    }
    strbuf_done(&world->text);
    mem_free(world);
}
