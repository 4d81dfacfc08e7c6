/* A few cores that dial each other, in virtual time, as readable traces.
 *
 *   core --CONNECT-----> letter --LINK_ANSWERED, or LINK_DOWN where the way is cut--> core
 *        --MESH_OPEN---> pipe with two ends -------------MESH_UP--> the other core
 *        --FRAME-------> letter --FRAME--> the other end;   --SENT--> this one
 *        --MESH_CLOSE--> letter --FRAME with a goodbye, MESH_DOWN--> the other end
 *
 * Letters arrive at once, in order, unless the test draws a delay for each. Node 0 is ann, 1 bob,
 * and so on; a node that dies keeps what its disk has, and comes back with another id and epoch. */
#pragma once

#include "core_trace.h"

#include <stdlib.h>

enum { WORLD_NODES_MAX = 5, WORLD_LETTERS_MAX = 4096, WORLD_PIPES_MAX = 256 };

static const char *const WORLD_NAMES[] = {"ann", "bob", "cyd", "dan", "eve", "kim"};

typedef enum LetterKind {
    LETTER_LINK,   /* event, for a link of the node */
    LETTER_PIPE,   /* event, for an end of a pipe */
    LETTER_STORED, /* a slow disk has written */
} LetterKind;

/* Something that will happen. */
typedef struct Letter {
    bool used;
    LetterKind kind;
    EventKind event;
    uint64_t at_ms;
    uint64_t order; /* of equal times */
    size_t node;
    int life; /* of the node */
    size_t link;
    size_t peer; /* LETTER_LINK: where it leads */
    size_t pipe;
    size_t end;
    uint64_t generation; /* of the link or the pipe */
    Bytes *frame;
    char text[64];
} Letter;

typedef struct PipeEnd {
    size_t node;
    size_t mesh;
    bool open;
    bool sending;
    uint64_t last_at_ms; /* of the last letter to it: what follows comes later */
} PipeEnd;

/* A mesh link; the first end has dialled. */
typedef struct Pipe {
    uint64_t generation;
    PipeEnd ends[2];
} Pipe;

typedef struct WorldNode {
    CoreTrace trace;
    bool alive;
    bool recap;
    int life; /* makes its id */
    /* Of a private network; NULL: open mode. Proof: its own. */
    const Bytes *genesis;
    Bytes *proof;
    Bytes *renewed; /* in its place; owned */
    NodeConfig configs[WORLD_NODES_MAX];
    size_t peers[WORLD_NODES_MAX]; /* that the entries lead to */
    size_t peers_count;
    uint64_t generation[WORLD_NODES_MAX]; /* of the links */
    uint64_t no_timer_before_ms;
    size_t durable;         /* of what is on its disk */
    uint64_t disk_delay_ms; /* 0: writes at once */
    bool disk_writing;
} WorldNode;

typedef struct World {
    WorldNode nodes[WORLD_NODES_MAX];
    size_t count;
    uint64_t now_ms;
    uint64_t order;
    uint64_t random; /* counted up, or drawn by the test */
    Letter letters[WORLD_LETTERS_MAX];
    Pipe pipes[WORLD_PIPES_MAX];
    bool cut[WORLD_NODES_MAX][WORLD_NODES_MAX];
    StrBuf text; /* since the last call */
    bool quiet;
    size_t frames; /* since the test has set it to 0 */
    void *context;
    /* Of the next letter; NULL: none. */
    uint64_t (*delay_ms)(struct World *world);
    uint64_t (*draw)(struct World *world);
    void (*shown)(struct World *world, size_t node, const Message *message);
    /* Adds to what a node starts with. */
    void (*configure)(struct World *world, size_t node, CoreConfig *config);
} World;

/* Of this life. */
static inline NodeId world_id(const World *world, size_t at)
{
    NodeId id = trace_node_id((uint8_t)WORLD_NAMES[at][0]);
    id.bytes[1] = (uint8_t)world->nodes[at].life;
    return id;
}

/* ---- letters ---- */

static inline Letter *world_post(World *world, Letter letter, uint64_t at_ms)
{
    for (size_t i = 0; i < WORLD_LETTERS_MAX; i++) {
        if (!world->letters[i].used) {
            letter.used = true;
            letter.at_ms = at_ms;
            letter.order = world->order++;
            letter.life = world->nodes[letter.node].life;
            world->letters[i] = letter;
            return &world->letters[i];
        }
    }
    abort();
}

static inline uint64_t world_delay(World *world)
{
    return world->delay_ms != NULL ? world->delay_ms(world) : 0;
}

static inline void world_post_link(World *world, size_t node, size_t link, EventKind kind,
                                   const char *text)
{
    Letter letter = {
        .kind = LETTER_LINK,
        .event = kind,
        .node = node,
        .link = link,
        .peer = world->nodes[node].peers[link],
        .generation = world->nodes[node].generation[link],
    };
    snprintf(letter.text, sizeof(letter.text), "%s", text);
    world_post(world, letter, world->now_ms + world_delay(world));
}

/* In the order of the calls. */
static inline void world_post_pipe(World *world, size_t pipe, size_t end, EventKind kind,
                                   Bytes *frame, const char *text)
{
    PipeEnd *to = &world->pipes[pipe].ends[end];
    uint64_t at_ms = world->now_ms + world_delay(world);
    to->last_at_ms = at_ms > to->last_at_ms ? at_ms : to->last_at_ms;
    Letter letter = {
        .kind = LETTER_PIPE,
        .event = kind,
        .node = to->node,
        .pipe = pipe,
        .end = end,
        .generation = world->pipes[pipe].generation,
        .frame = frame,
    };
    snprintf(letter.text, sizeof(letter.text), "%s", text);
    world_post(world, letter, to->last_at_ms);
}

static inline bool world_reachable(const World *world, size_t from, size_t to)
{
    return !world->cut[from][to] && world->nodes[to].alive;
}

/* ---- pipes ---- */

static inline bool world_find_end(const World *world, size_t node, size_t mesh, size_t *ret_pipe,
                                  size_t *ret_end)
{
    for (size_t i = 0; i < 2 * WORLD_PIPES_MAX; i++) {
        const PipeEnd *end = &world->pipes[i / 2].ends[i % 2];
        if (end->open && end->node == node && end->mesh == mesh) {
            *ret_pipe = i / 2;
            *ret_end = i % 2;
            return true;
        }
    }
    return false;
}

static inline void world_open_pipe(World *world, size_t from, size_t link)
{
    size_t to = world->nodes[from].peers[link];
    size_t pipe = 0;
    while (world->pipes[pipe].ends[0].open || world->pipes[pipe].ends[1].open) {
        if (++pipe == WORLD_PIPES_MAX) {
            abort();
        }
    }
    size_t mesh = world->nodes[to].peers_count; /* the first that is free */
    size_t other_pipe;
    size_t other_end;
    while (world_find_end(world, to, mesh, &other_pipe, &other_end)) {
        mesh++;
    }
    bool reachable = world_reachable(world, from, to);
    world->pipes[pipe] = (Pipe){
        .generation = world->pipes[pipe].generation + 1,
        .ends = {{.node = from, .mesh = link, .open = true},
                 {.node = to, .mesh = mesh, .open = reachable}},
    };
    if (reachable) {
        world_post_pipe(world, pipe, 1, EVENT_MESH_UP, NULL, WORLD_NAMES[from]);
    } else {
        world_post_pipe(world, pipe, 0, EVENT_MESH_DOWN, NULL, "refused");
    }
}

/* As io does it: a goodbye, unless a frame is on its way. */
static inline void world_close_end(World *world, size_t pipe, size_t end, const char *text)
{
    PipeEnd *ends = world->pipes[pipe].ends;
    if (!ends[end].sending) {
        Bytes *bye = frame_encode(&(FrameOut){.bye = text});
        world_post_pipe(world, pipe, 1 - end, EVENT_FRAME, bye, "");
    }
    ends[end].open = false;
    world_post_pipe(world, pipe, 1 - end, EVENT_MESH_DOWN, NULL, text);
}

static inline void world_send(World *world, size_t node, const Action *action)
{
    size_t pipe;
    size_t end;
    if (!world_find_end(world, node, action->mesh, &pipe, &end) ||
        world->pipes[pipe].ends[end].sending) {
        return;
    }
    world->frames++;
    world->pipes[pipe].ends[end].sending = true;
    world_post_pipe(world, pipe, 1 - end, EVENT_FRAME, bytes_ref(action->frame), "");
    world_post_pipe(world, pipe, end, EVENT_SENT, NULL, "");
}

/* What is on its way is lost; both ends notice. */
static inline void world_break_pipes(World *world, size_t a, size_t b, const char *text)
{
    for (size_t i = 0; i < WORLD_PIPES_MAX; i++) {
        Pipe *pipe = &world->pipes[i];
        bool between = (pipe->ends[0].node == a && pipe->ends[1].node == b) ||
                       (pipe->ends[0].node == b && pipe->ends[1].node == a);
        if (!between) {
            continue;
        }
        pipe->generation++;
        for (size_t end = 0; end < 2; end++) {
            if (pipe->ends[end].open) {
                world_post_pipe(world, i, end, EVENT_MESH_DOWN, NULL, text);
            }
        }
    }
}
