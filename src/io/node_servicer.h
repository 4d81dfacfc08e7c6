/* NodeService: the node's commands, for its owner on the Unix socket. */
#pragma once

#include "io/authority.h"

enum {
    RUN_LINE_MAX_BYTES = 8 * 1024,
    /* Of an answer: a message that is longer is not read by the other side. */
    RUN_LINES_MAX_BYTES = 200 * 1024,
};

typedef struct NodeServicer NodeServicer;

NodeServicer *node_servicer_new(Node *node, Authority *authority);
/* None of its calls may wait for an answer: the node has answered all it was given. NULL is
 * fine. */
void node_servicer_free(NodeServicer *servicer);
/* Run: answers, now or when the command has. */
void node_servicer_run(NodeServicer *servicer, RpcServerCall *call, const uint8_t *request,
                       size_t len);
