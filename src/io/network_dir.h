/* What a data directory knows of its private network.
 *
 *   network       which network it is, and the proof that this node is a member of it; where the
 *                 file is not there, the node is in open mode
 *   nodes.json    the nodes to link to, by default
 *   program.pem   key and certificate that programs see, made when first needed
 *
 * All of it is for the node's owner alone (io/private_file.h): who knows what is in `network` can
 * ask the network's nodes whether they are of it, and who has program.pem can pass for this
 * node. */
#pragma once

#include "base/mem.h"
#include "core/event.h"
#include "core/message.h"

#include <stdint.h>

enum {
    NETWORK_FILE_MAX_BYTES = 64 * 1024, /* a genesis, and a proof of 16 KiB in base64 */
    NETWORK_NODES_MAX = 68,             /* of an invitation and a welcome */
    PROGRAM_PEM_MAX_BYTES = 16 * 1024,
};

typedef struct NetworkFile {
    Bytes *genesis;
    Bytes *proof;  /* an encoded MemberProof; the founder's has no bytes */
    uint16_t port; /* on which the node listened last */
    char name[MESSAGE_SENDER_MAX_BYTES + 1]; /* of who has made it, or joined; "": not known */
} NetworkFile;

/* A zeroed one is fine. */
void network_file_done(NetworkFile *network);

/* On failure of all of these the caller owns *ret_error, one line for a person. */

/* ERR_NOT_FOUND: open mode; nothing is said. ERR_DENIED: others may use the file. ERR_INVALID: it
 * is not what network_file_save writes. ERR_LIMIT, ERR_IO. */
Err network_file_load(const char *directory, NetworkFile *ret_network, char **ret_error);
/* Replaces the file. The directory must exist. */
Err network_file_save(const char *directory, const NetworkFile *network, char **ret_error);

/* The path of the directory's nodes.json; the caller owns it. */
char *network_nodes_path(const char *directory);
/* Writes it: "host:port" each; equal ones once, and at most NETWORK_NODES_MAX; what is none is left
 * out. */
Err network_write_nodes(const char *directory, const char *const *nodes, size_t count,
                        char **ret_error);

/* program.pem, made where it is missing. The caller owns *ret_pem, and wipes it. */
Err network_program_pem(const char *directory, char **ret_pem, char **ret_error);

/* The key of the identity that the directory has; none is made. ERR_NOT_FOUND: there is none. */
Err network_own_key(const char *directory, uint8_t ret_key[EVENT_KEY_BYTES], char **ret_error);
