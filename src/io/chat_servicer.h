/* The node's gRPC services: ChatService, MeshService's two ends, and NodeService for its owner.
 *
 *   SendMessage    --> node_receive --> bus
 *   StreamMessages <-- follower of the bus, one message in flight, its bytes shared by all
 *
 * A client that reads slowly stands still at its cursor; off the ring's end, its stream ends with
 * RESOURCE_EXHAUSTED. One that vanishes is noticed by the transport. */
#pragma once

#include "io/authority.h"

typedef struct ChatServicer ChatServicer;

enum {
    /* At 31 KiB each in the library, 10,000 clients take 310 MB: what a small machine can give. */
    CLIENTS_MAX_DEFAULT = 10000,
};

typedef struct ChatServicerOptions {
    uint32_t clients_max; /* open StreamMessages, nodes' included */
    Authority *authority; /* borrowed, for longer than the servicer is there */
} ChatServicerOptions;

ChatServicer *chat_servicer_new(Rpc *rpc, Node *node, const ChatServicerOptions *options);
/* As rpc_server_listen. */
Err chat_servicer_listen(ChatServicer *servicer, const char *address, uint16_t port,
                         char **ret_text);
/* As rpc_server_listen_unix: for the owner's programs and chat_node's own commands. */
Err chat_servicer_listen_unix(ChatServicer *servicer, const char *path, char **ret_text);
void chat_servicer_start(ChatServicer *servicer);
/* As rpc_server_adopt: what the gate has let in. */
void chat_servicer_adopt(ChatServicer *servicer, int fd, const RpcPeer *peer);
/* Ends every stream with UNAVAILABLE, then calls done; the servicer is freed. */
void chat_servicer_close(ChatServicer *servicer, void (*done)(void *context), void *context);
