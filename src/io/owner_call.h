/* A command to the node that runs on a data directory, by its Unix socket: NodeService.Run. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define OWNER_SOCKET_NAME "socket" /* in the data directory */

typedef struct OwnerAnswer {
    bool ok;
    char **lines; /* owned; not sanitised */
    size_t lines_count;
} OwnerAnswer;

/* A zeroed one is fine. */
void owner_answer_done(OwnerAnswer *answer);

/* Blocks until the node has answered, 30 s at most; sodium_init and so on are the caller's, and no
 * other loop may run in the process. On failure the caller owns *ret_error, one line for a person.
 * ERR_NOT_FOUND: no node runs there. ERR_DENIED: it runs as another user. ERR_UNAVAILABLE: it did
 * not answer, or refused. ERR_LIMIT: line is too long. ERR_IO. */
Err owner_call(const char *directory, const char *line, OwnerAnswer *ret_answer, char **ret_error);
