/* A node's place in its private network: the gate, for which the core decides who may pass, and the
 * invitations.
 *
 *   gate --- somebody knocks, asks to join ---> EVENT_KNOCK, EVENT_ADMIT ---> core
 *   gate <-- let in, turned away, welcome ----- ACTION_... <-----------------+
 *   gate --- entered: a descriptor that speaks HTTP/2 ---> the server */
#pragma once

#include "core/core.h"
#include "io/gate.h"
#include "io/node.h"

typedef struct NodeGate NodeGate;

typedef struct NodeGateOptions {
    Node *node;
    const NodeNetwork *network; /* borrowed until it returns */
    const NodeConfig *nodes;    /* borrowed until it returns */
    size_t nodes_count;
    const char *data_dir;
    const uint8_t *seed;   /* EVENT_SEED_BYTES */
    const uint8_t *number; /* of the network, EVENT_NETWORK_BYTES */
    uint32_t connections_max;
    /* Lets the core answer; never from within a step. */
    void (*step)(Node *node, Event *event);
} NodeGateOptions;

/* As gate_open. */
Err node_gate_open(const NodeGateOptions *options, NodeGate **ret_gate, char **ret_text);
void node_gate_close(NodeGate *gate, void (*done)(void *context), void *context);
/* After node_gate_close is done. NULL is fine. */
void node_gate_free(NodeGate *gate);

Gate *node_gate_gate(NodeGate *gate);
void node_gate_on_entered(NodeGate *gate, NodeEntered entered, void *context);
Err node_gate_listen(NodeGate *gate, const char *address, char **ret_text);
/* LET_IN, TURN_AWAY, WELCOME, CUT_KEY, PROOF. */
void node_gate_do(NodeGate *gate, const Action *action);
/* Makes an invitation, and adds what to tell of it to ret_text: its line, or (not ERR_OK) why there
 * is none. */
Err node_gate_invite(NodeGate *gate, const Action *action, StrBuf *ret_text);
