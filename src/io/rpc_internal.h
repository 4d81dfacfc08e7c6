/* What rpc*.c share: the library's types, tags, slices of our bytes. For rpc*.c alone. */
#pragma once

#include "io/rpc.h"

#include <grpc/grpc.h>
#include <stddef.h>

typedef struct RpcPeers RpcPeers;

struct Rpc {
    Loop *loop;
    grpc_completion_queue *queue;
    /* A call that goes nowhere: batches on it wake the owner. */
    grpc_channel *nowhere;
    grpc_call *bell;
    RpcStream *lingering; /* closed, but not over; the one to be cut next is the first */
    uv_timer_t linger;
    bool closing;
    void (*done)(void *context);
    void *context;
};

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
/* What the library does between taking a tag and giving it back is hidden from ThreadSanitizer: it
 * is told that one comes before the other. */
#define TAG_GIVEN(tag) __tsan_release(tag)
#define TAG_BACK(tag) __tsan_acquire(tag)
#else
#define TAG_GIVEN(tag) ((void)(tag))
#define TAG_BACK(tag) ((void)(tag))
#endif

/* Starts a batch whose completion is delivered to mail. A batch is refused only where this program
 * breaks the library's rules: that is a bug, and aborts. */
void rpc_start_batch(grpc_call *call, const grpc_op *ops, size_t count, Mail *mail);

/* A slice, and a message, that hold a reference to bytes until the library is done with them. */
grpc_slice rpc_slice_of(Bytes *bytes);
grpc_byte_buffer *rpc_buffer_of(Bytes *bytes);
grpc_byte_buffer *rpc_buffer_of_part(Bytes *bytes, size_t offset, size_t len);
/* The buffer's bytes in one piece; free with grpc_slice_unref. */
grpc_slice rpc_buffer_read(grpc_byte_buffer *buffer);

/* A status' words, which the other side chose: one line, not long, safe to show. The caller's. */
char *rpc_status_words(grpc_slice text);

/* Channel arguments common to both sides; returns how many were written. */
size_t rpc_common_args(grpc_arg *args);
grpc_arg rpc_int_arg(const char *key, int value);

/* Something came or went that takes memory: what malloc keeps of it goes back to the system when it
 * is quiet again. A call weighs 1; a connection may have made the library take any amount. */
enum { RPC_TRIM_WEIGHT = 64 };
void rpc_server_busy(RpcServer *server, size_t weight);

/* A stream counts as one of the server's calls: the server closes after it. */
void rpc_server_hold(RpcServer *server);
void rpc_server_release(RpcServer *server);

/* rpc_server_call.c: takes the call. */
RpcServerCall *rpc_server_call_new(RpcServer *server, grpc_call *grpc);

/* A call on the channel, owned by the caller. */
grpc_call *rpc_channel_call(RpcChannel *channel, const char *method, gpr_timespec deadline);
Rpc *rpc_channel_rpc(RpcChannel *channel);

/* rpc_stream.c: hands a call, which it takes, to method->open. */
void rpc_stream_serve(Rpc *rpc, RpcServer *server, grpc_call *call, const RpcMethod *method,
                      void *context);
/* The streams' part of rpc_open and rpc_close: waits for those that linger, then calls
 * rpc_streams_closed, which is in rpc.c. */
void rpc_streams_init(Rpc *rpc);
void rpc_streams_close(Rpc *rpc);
void rpc_streams_closed(Rpc *rpc);

/* A connection that was accepted: the server takes fd. peer: NULL for one with an address, at a
 * listener of this program. */
void rpc_server_take(RpcServer *server, int fd, const RpcPeer *peer);
const RpcPeers *rpc_server_peers(const RpcServer *server);
/* The first value of key, NULL where there is none; the server's, until it is asked again. */
const char *rpc_server_metadata(RpcServer *server, const char *key);

/* rpc_peers.c: who is at which descriptor. */
RpcPeers *rpc_peers_new(void);
void rpc_peers_free(RpcPeers *peers);
/* Of each new connection, so that nothing is left of one that had the same number. NULL: one with
 * an address. */
void rpc_peers_set(RpcPeers *peers, int fd, const RpcPeer *peer);
/* RPC_PEER_NOBODY where the connection is gone. */
void rpc_peers_find(const RpcPeers *peers, grpc_call *call, RpcPeer *ret_peer);

/* rpc_listener.c: a listening socket that feeds a server. */
typedef struct RpcListener RpcListener;

typedef struct RpcListenerOptions {
    RpcServer *server; /* must outlive the listener's last accept: close the listener first */
    const char *path;  /* of a Unix socket; NULL: address and port */
    const char *address;
    uint16_t port;
    uint32_t connections_max; /* above this many open descriptors, connections are turned away */
} RpcListenerOptions;

/* As rpc_server_listen and rpc_server_listen_unix. */
Err rpc_listener_open(Loop *loop, const RpcListenerOptions *options, RpcListener **ret_listener,
                      char **ret_text);
void rpc_listener_start(RpcListener *listener);
/* Accepts nothing more; freed by the loop. */
void rpc_listener_close(RpcListener *listener);
