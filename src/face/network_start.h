/* Before a node starts: makes its private network or joins one, where that was asked for, and reads
 * which one it is of.
 *
 *   START_INIT  identity, genesis --> file `network` --> an invitation
 *   START_JOIN  the invitation's addresses --> gate_join --> nodes.json, file `network`
 *   then        `network`, program.pem --> NetworkStart
 *
 * It has loops of its own, which are gone when it returns. */
#pragma once

#include "face/settings.h"
#include "io/network_dir.h"

typedef struct NetworkStart {
    bool is_private;
    char *directory;     /* the data directory */
    char *nodes_path;    /* what settings name; else that of the mode */
    NetworkFile network; /* of a private one: genesis and proof */
    char *program_pem;   /* of a private one; wiped by network_start_done */
    char *network_name;  /* of a private one */
    char *invitation;    /* INIT: the line to be shown; else NULL */
} NetworkStart;

/* The name by which the node has come into its network, where it is started again; false: it is not
 * known. */
bool network_start_name(const Settings *settings, char ret_name[MESSAGE_SENDER_MAX_BYTES + 1]);

/* name: of the person at this node, by which a newcomer is let in. On failure the caller owns
 * *ret_error, for a person, of one line or more.
 * ERR_INVALID: what was typed is wrong. ERR_EXISTS: the directory holds another conversation.
 * ERR_IN_USE: a node runs there. ERR_DENIED: joining was refused. ERR_UNAVAILABLE: no address of
 * the invitation was reached. ERR_IO. */
Err network_start_open(const Settings *settings, const char *name, NetworkStart *ret_start,
                       char **ret_error);
/* A zeroed one is fine. */
void network_start_done(NetworkStart *start);
