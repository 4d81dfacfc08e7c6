/* nodes.json: the nodes to link to.
 *
 *   [
 *     {"host": "localhost", "port": 50051},
 *     {"host": "192.168.1.20", "port": 50051}
 *   ]
 *
 * The same file may serve every node of a mesh: an entry that is this node itself is left out. Two
 * entries for one address are joined, with a warning; so is a key that is not known. All else that
 * is wrong is an error with its place, "nodes.json:3:14: ...": line and column count from 1, and a
 * column is a character, not a byte. */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"
#include "core/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* LINKS_MAX entries take about 10 KiB; a hundred times that is some other file. */
    NODES_JSON_MAX_BYTES = 1024 * 1024,
};

/* Where this node itself listens. */
typedef struct NodesJsonSelf {
    uint16_t port;
    const char *listen; /* what --listen names; NULL: the default, loopback */
} NodesJsonSelf;

typedef struct NodesJson {
    NodeConfig *nodes;  /* in the file's order; hosts as written, less an IPv6 address's brackets */
    size_t nodes_count; /* at most LINKS_MAX */
    size_t self_count;  /* entries left out because they are this node */
    bool made;          /* the file was missing and has been made with the defaults */
    char **warnings;    /* whole messages, safe to show */
    size_t warnings_count;
} NodesJson;

/* Reads the file at path. Where there is none it is made, whole or not at all, with localhost
 * 50051, 50052 and 50053; where it cannot be made, that is a warning and the three are used all the
 * same.
 *
 * On success the caller owns *ret_nodes (nodes_json_done). On failure it owns *ret_error: one line
 * that says where and what is wrong and what to do, safe to show.
 * ERR_INVALID: the contents break a rule. ERR_LIMIT: over NODES_JSON_MAX_BYTES or LINKS_MAX.
 * ERR_DENIED, ERR_IO: the file is there and cannot be read. */
Err nodes_json_load(const char *path, const NodesJsonSelf *self, NodesJson *ret_nodes,
                    char **ret_error);

/* The same for a text in memory; name stands in the messages for the file's. */
Err nodes_json_parse(const char *name, const char *text, size_t len, const NodesJsonSelf *self,
                     NodesJson *ret_nodes, char **ret_error);

/* Adds a warning: takes the text, which must be safe to show, and leaves message empty. */
void nodes_json_warn(NodesJson *nodes, StrBuf *message);

/* Frees what the struct holds. A zeroed one is fine. */
void nodes_json_done(NodesJson *nodes);
