/* The mesh links' streams: MeshService.Link, dialled by us on a peer's connection or accepted from
 * others. What the frames say is the core's business.
 *
 *   open   --> rpc_stream_open --+--> EVENT_FRAME, EVENT_SENT
 *   accept --> EVENT_MESH_UP ----+--> EVENT_MESH_DOWN, with the reason in words
 *
 * They have the core's numbers: those we dial that of their link, those accepted the next that is
 * free. After close nothing is reported of a number until it is used anew. */
#pragma once

#include "core/core.h"
#include "io/rpc.h"

typedef struct MeshLinks MeshLinks;

typedef struct MeshLinksOptions {
    size_t outgoing; /* numbers below are for open */
    size_t count;    /* of all numbers */
    /* Fills what an event needs beside the time. Called from the loop only. */
    void (*report)(void *context, Event *event);
    void *context;
} MeshLinksOptions;

MeshLinks *mesh_links_new(const MeshLinksOptions *options);
/* Closes what is open. NULL is fine. */
void mesh_links_free(MeshLinks *links);

/* The number must be free. The channel must outlive the stream. */
void mesh_links_open(MeshLinks *links, size_t number, RpcChannel *channel);
/* From RpcMethod.open. Closed at once where no number is free. */
void mesh_links_accept(MeshLinks *links, RpcStream *stream);
/* One frame at a time. Nothing happens where the number is not in use. */
void mesh_links_send(MeshLinks *links, size_t number, Bytes *frame);
/* Says goodbye, where nothing is on its way, and closes. */
void mesh_links_close(MeshLinks *links, size_t number, const char *text);
void mesh_links_close_all(MeshLinks *links, const char *text);
