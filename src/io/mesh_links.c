/* Streams by number. */
#include "io/mesh_links.h"

#include "base/log.h"
#include "core/frame.h"
#include "io/wire.h"

#include <stdio.h>
#include <string.h>

typedef struct MeshStream {
    MeshLinks *links;
    size_t number;
    RpcStream *stream; /* NULL: free */
    bool sending;
} MeshStream;

struct MeshLinks {
    MeshLinksOptions options;
    MeshStream *streams;
};

MeshLinks *mesh_links_new(const MeshLinksOptions *options)
{
    MeshLinks *links = mem_new(MeshLinks);
    links->options = *options;
    links->streams = mem_array(options->count, sizeof(MeshStream));
    for (size_t i = 0; i < options->count; i++) {
        links->streams[i].links = links;
        links->streams[i].number = i;
    }
    return links;
}

void mesh_links_free(MeshLinks *links)
{
    if (links == NULL) {
        return;
    }
    mesh_links_close_all(links, "the node is leaving");
    mem_free(links->streams);
    mem_free(links);
}

static void report(MeshStream *mesh, Event event)
{
    event.mesh = mesh->number;
    mesh->links->options.report(mesh->links->options.context, &event);
}

static void on_received(void *context, const uint8_t *data, size_t len)
{
    report(context, (Event){.kind = EVENT_FRAME, .data = data, .len = len});
}

static void on_sent(void *context)
{
    MeshStream *mesh = context;
    mesh->sending = false;
    report(mesh, (Event){.kind = EVENT_SENT});
}

static void on_ended(void *context, int code, const char *text)
{
    MeshStream *mesh = context;
    mesh->stream = NULL;
    const char *reason = text[0] != '\0' ? text : "it ended the stream";
    report(mesh, (Event){.kind = EVENT_MESH_DOWN,
                         .classic = code == RPC_UNIMPLEMENTED,
                         .text = reason,
                         .text_len = strlen(reason)});
}

static const RpcStreamEvents EVENTS = {
    .received = on_received,
    .sent = on_sent,
    .ended = on_ended,
};

void mesh_links_open(MeshLinks *links, size_t number, RpcChannel *channel)
{
    MeshStream *mesh = &links->streams[number];
    mesh->sending = false;
    mesh->stream = rpc_stream_open(channel, WIRE_LINK, &EVENTS, mesh);
}

void mesh_links_accept(MeshLinks *links, RpcStream *stream)
{
    size_t number = links->options.outgoing;
    while (number < links->options.count && links->streams[number].stream != NULL) {
        number++;
    }
    if (number == links->options.count) {
        log_warning("a node that wants to link was turned away: there are as many as may be");
        rpc_stream_close(stream, RPC_RESOURCE_EXHAUSTED,
                         "this node is linked with as many others as it may");
        return;
    }
    MeshStream *mesh = &links->streams[number];
    RpcPeer peer;
    rpc_stream_peer_info(stream, &peer);
    mesh->stream = stream;
    mesh->sending = false;
    rpc_stream_accept(stream, &EVENTS, mesh);
    report(mesh,
           (Event){.kind = EVENT_MESH_UP, .text = peer.address, .text_len = strlen(peer.address)});
}

void mesh_links_send(MeshLinks *links, size_t number, Bytes *frame)
{
    MeshStream *mesh = &links->streams[number];
    if (mesh->stream != NULL && !mesh->sending) {
        mesh->sending = true;
        rpc_stream_send(mesh->stream, frame);
    }
}

void mesh_links_close(MeshLinks *links, size_t number, const char *text)
{
    MeshStream *mesh = &links->streams[number];
    if (mesh->stream == NULL) {
        return;
    }
    if (!mesh->sending) {
        Bytes *bye = frame_encode(&(FrameOut){.bye = text});
        rpc_stream_send(mesh->stream, bye);
        bytes_unref(bye);
    }
    rpc_stream_close(TAKE(mesh->stream), RPC_OK, text);
}

void mesh_links_close_all(MeshLinks *links, const char *text)
{
    for (size_t i = 0; i < links->options.count; i++) {
        mesh_links_close(links, i, text);
    }
}
