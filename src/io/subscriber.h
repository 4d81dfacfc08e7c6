/* ChatService.Subscribe: one reader of the feed for each open stream.
 *
 *   feed_next --> what has gathered, as one message --> sent --> feed_next --> ...
 *
 * One message is in flight; a client that does not read is a place in the feed and nothing more. */
#pragma once

#include "io/authority.h"
#include "io/wire.h"

typedef struct Subscribers Subscribers;

Subscribers *subscribers_new(Node *node);
/* None may be left. NULL is fine. */
void subscribers_free(Subscribers *subscribers);
/* Opens the stream of who was let in as role, or answers with what is wrong. The arena is for the
 * request. */
void subscribers_serve(Subscribers *subscribers, WireArena *arena, RpcServerCall *call,
                       const ClientRole *role, const uint8_t *request_bytes, size_t len);
/* Tokens have changed: streams whose own is gone end. */
void subscribers_look_again(Subscribers *subscribers, Authority *authority);
size_t subscribers_count(const Subscribers *subscribers);
/* Ends all of them. */
void subscribers_end(Subscribers *subscribers, int code, const char *text);
