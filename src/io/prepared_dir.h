/* A data directory that is about to become a node's of a private network: made where it is missing,
 * with an identity, locked, and holding nothing yet. */
#pragma once

#include "core/event.h"
#include "io/loop.h"

typedef struct PreparedDir PreparedDir;

/* Blocks: some ms. On failure the caller owns *ret_error, one line for a person.
 * ERR_EXISTS: it has a network, or a conversation. ERR_IN_USE, ERR_DENIED, ERR_IO...: as of
 * store_open. */
Err prepared_dir_open(const char *directory, PreparedDir **ret_prepared, char **ret_error);
/* EVENT_SEED_BYTES. */
const uint8_t *prepared_dir_seed(const PreparedDir *prepared);
/* For what is done meanwhile. It runs until loop_turn is called no more. */
Loop *prepared_dir_loop(const PreparedDir *prepared);
/* What was begun on the loop is to be over. */
void prepared_dir_close(PreparedDir *prepared);
