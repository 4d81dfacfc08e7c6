/* Those who say much at a time: ChatService.Publish, a stream of lines and a stream of answers.
 *
 *   request --> line by line --> node_receive --> the disk --> answered, refused
 *      |            |                                              |
 *      |            `-- stops: too many wait for the disk          `-- one answer on its way: what
 *      `-- the next is read when all of this one is taken              comes meanwhile joins
 *                                                                      the next
 */
#pragma once

#include "io/authority.h"

typedef struct Publishers Publishers;

enum {
    /* Streams at once. Each may hold a request of RPC_MESSAGE_MAX_BYTES that waits: 64 MiB in all.
     * Who has more writers than that lets some of them share a stream. */
    PUBLISHERS_MAX = 256,
    /* Lines of one stream that its caller has not been told of: a few commits' worth. A caller who
     * does not read its answers gets no further. */
    PUBLISHER_UNTOLD_MAX = 2048,
    /* Of refusals that wait to be told. */
    PUBLISHER_REFUSED_MAX_BYTES = 64 * 1024,
    /* Taken from one stream before others have their turn: a millisecond or two. */
    PUBLISHER_TURN_LINES = 256,
};

Publishers *publishers_new(Node *node, Authority *authority);
/* From RpcMethod.open: takes the stream of who was let in as that, or closes it with
 * RESOURCE_EXHAUSTED. */
void publishers_open(Publishers *publishers, RpcStream *stream, const ClientRole *role);
/* Tokens have changed: those that are gone say nothing more. */
void publishers_look_again(Publishers *publishers);
/* Takes nothing more; each stream ends with UNAVAILABLE once it is told of what is answered. The
 * node has answered all it was given. */
void publishers_close(Publishers *publishers);
/* After the streams are over: those that linger are cut by the server's end. */
void publishers_free(Publishers *publishers);
