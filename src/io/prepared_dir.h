/* A data directory that is about to become a node's of a private network: made where it is missing,
 * with an identity, locked, and holding nothing yet. Or one of a node that is to be let in again,
 * since who had let it in was removed. */
#pragma once

#include "core/event.h"
#include "io/loop.h"
#include "io/network_dir.h"

typedef struct PreparedDir PreparedDir;

/* inviter: whose invitation is to be used; NULL: none, a network is to be made. Blocks: some ms,
 * and with a long log some more. On failure the caller owns *ret_error, one line for a person.
 * ERR_EXISTS: it has a network from which it was removed, or of which the inviter is not known to
 * be, or any, where there is no inviter; or it has a conversation. ERR_IN_USE, ERR_DENIED,
 * ERR_IO...: as of store_open. */
Err prepared_dir_open(const char *directory, const uint8_t inviter[EVENT_KEY_BYTES],
                      PreparedDir **ret_prepared, char **ret_error);
/* The network of which it was; NULL: none. */
const NetworkFile *prepared_dir_network(const PreparedDir *prepared);
/* EVENT_SEED_BYTES. */
const uint8_t *prepared_dir_seed(const PreparedDir *prepared);
/* For what is done meanwhile. It runs until loop_turn is called no more. */
Loop *prepared_dir_loop(const PreparedDir *prepared);
/* What was begun on the loop is to be over. */
void prepared_dir_close(PreparedDir *prepared);
