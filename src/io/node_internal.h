/* What the parts of the node share. For src/io/node*.c alone. */
#pragma once

#include "io/log_reader.h"
#include "io/log_writer.h"
#include "io/mesh_links.h"
#include "io/node.h"
#include "io/node_connection.h"
#include "io/node_gate.h"
#include "io/pace.h"
#include "io/passing.h"

typedef struct Deferred {
    EventKind kind;
    char *text;
    size_t text_len;
    struct Deferred *next;
} Deferred;

enum { RANDOMS = 32 };

struct Node {
    Loop *loop;
    Core *core;
    Bus *bus;
    Passing *passing;
    Rpc *rpc;
    Store *store;
    char *store_notice; /* the last one told */
    LogWriter *log_writer;
    LogReader *log_reader;
    MeshLinks *mesh_links;
    NodeGate *gate; /* NULL in open mode */
    Pace *pace;
    WireArena *arena;
    NodeId id;
    uv_timer_t timer;
    Mail said; /* posted by the first line that a turn of the loop brings */
    bool said_posted;
    uint64_t timer_at_ms; /* what it is set to, while it is active */
    UtcOffset utc_offset;
    uint64_t randoms[RANDOMS];
    size_t randoms_count;
    char *data_dir;
    NodeConnection **connections;
    size_t connections_count;
    Actions actions;
    bool stepping;
    Deferred *deferred;
    void (*input_ready)(void *context);
    void *input_context;
    NodeWaiter *wait_step;
    NodeWaiter *wait_room;
    bool waking;
    const NodeWaiter *woken; /* whose turn it is; compared only: it may be gone */
    void (*on_ready)(void *context);
    void *ready_context;
    NodeQuit on_quit;
    void *quit_context;
    void (*closed)(void *context);
    void *closed_context;
};

typedef struct StepResult {
    bool quit;
    int exit_code;
} StepResult;

/* node.c: lets the core answer an event, and does what it says; from inside a step, when that is
 * over. */
void node_step(Node *node, Event *event);
/* At once: never from inside a step. */
StepResult node_step_and_after(Node *node, Event *event);

/* node_actions.c */
void node_do(Node *node, Action *action, const Event *event, StepResult *result);
/* What was passed in this step, and goes with no own events. */
void node_store_passed(Node *node);
