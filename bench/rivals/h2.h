/* HTTP/2 (RFC 9113), as far as a gRPC client needs it: bytes in, bytes out.
 *
 * What comes: windows as large as they may be, so nobody waits for this side; DATA is handed on as
 * it comes, also in parts of a frame; PING and SETTINGS are answered. What goes: a request at once
 * (small ones, whose bodies fit any window), or the body of one long request, as the peer's windows
 * and frame size let it. All requests of a connection are of one method: their header fields stand
 * in HPACK's table after the first (RFC 7541). */
#pragma once

#include "connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct H2Hooks {
    /* The peer's first SETTINGS have come. */
    void (*on_ready)(void *context);
    void (*on_data)(void *context, uint32_t stream, const char *bytes, size_t len);
    /* The peer has ended the stream, or reset it. words: what can be read of its trailers. */
    void (*on_end)(void *context, uint32_t stream, const char *words);
} H2Hooks;

typedef struct H2 {
    Connection *connection;
    const H2Hooks *hooks;
    void *context;
    const char *authority; /* "127.0.0.1:50051" */
    const char *service;   /* "chat.ChatService" */
    const char *token;     /* goes with each request, as RFC 6750 has it; NULL: none */

    /* What comes. */
    bool small_windows;   /* the protocol's defaults: whoever does not read holds the peer back */
    uint32_t data_stream; /* a DATA frame that is not all there yet */
    size_t data_left;     /* of it, padding included */
    size_t data_padding;
    bool data_ends;
    uint64_t eaten;       /* bytes of DATA that the windows were not opened for again */
    uint32_t long_stream; /* the one that stays open; its window is opened again too */

    /* What goes. */
    bool ready;
    bool table_used; /* the header fields are in it */
    bool no_table;
    uint32_t next_stream;
    uint32_t frame_max;
    uint32_t streams_max;
    int64_t window;         /* of the connection */
    int64_t stream_window;  /* of the long request */
    int64_t initial_window; /* of a new stream */
    uint32_t body_stream;   /* the long request; 0: none */
    Buffer body;            /* of it, that waits */
} H2;

/* Says hello; the caller flushes. connection, authority and service outlive it. */
void h2_start(H2 *h2);
/* What came; bytes used. Flushes its answers. */
size_t h2_read(H2 *h2, char *bytes, size_t len);

/* A request whose body is one gRPC message; its stream. */
uint32_t h2_request(H2 *h2, const char *method, const void *message, size_t len);
/* Is there window for a body so long, and may one more stream be open? */
bool h2_takes(const H2 *h2, size_t len, unsigned open);
/* A request with a body that goes on; its stream. Once a connection. */
uint32_t h2_open(H2 *h2, const char *method);
/* One gRPC message of that body, as its two parts. */
void h2_send(H2 *h2, const void *message, size_t len);
