/* One outgoing link: the channel to a peer, the stream that shows it is there, the line that is on
 * its way. The core says when to do what; this does it and reports what came of it.
 *
 *   connect --> (gate -->) channel --> Hello --> reports LINK_ANSWERED
 *                            then holds StreamMessages open and watches the channel
 *   send    --> SendMessage --> DELIVERED | REFUSED | LINK_DOWN
 *   anything lost --> LINK_DOWN, with the reason in words
 *
 * After disconnect nothing is reported until the next connect. */
#pragma once

#include "core/core.h"
#include "io/gate.h"
#include "io/rpc.h"
#include "io/wire.h"

typedef struct NodeConnection NodeConnection;

enum {
    /* To connect and answer Hello: an ocean and a slow phone fit in. */
    NODE_CONNECTION_HELLO_MS = 5000,
    /* A peer that takes longer for one line is as good as away. */
    NODE_CONNECTION_SEND_MS = 5000,
    /* Of a peer that is up, asked to see that it still is. */
    NODE_CONNECTION_PROBE_MS = 2000,
};

typedef struct NodeConnectionOptions {
    Rpc *rpc;
    WireArena *arena;
    NodeConfig config;
    NodeId own_id;
    Gate *gate; /* of a private network; NULL: plaintext */
    /* Fills what an event needs beside the time; link is the one given here. Called from the loop
     * only. The strings are borrowed for the call. */
    void (*report)(void *context, Event *event);
    void *context;
    size_t link;
} NodeConnectionOptions;

NodeConnection *node_connection_new(const NodeConnectionOptions *options);
/* Disconnects, and frees. */
void node_connection_free(NodeConnection *connection);

/* name: of the person here, for the peer's /list. */
void node_connection_connect(NodeConnection *connection, bool classic, const char *name);
void node_connection_disconnect(NodeConnection *connection);
/* NULL while disconnected. */
RpcChannel *node_connection_channel(const NodeConnection *connection);
void node_connection_probe(NodeConnection *connection);
/* One at a time. */
void node_connection_send(NodeConnection *connection, Message *message);
