/* gRPC as this program needs it, over the C core: nothing outside rpc*.c sees <grpc/...>.
 *
 *   owner thread   rpc_..._... --> grpc_call_start_batch
 *   owner thread   loop_turn --> grpc_completion_queue_next --> the callbacks below
 *
 * Every callback comes on the owner thread from the loop, never from inside a call to this
 * interface. What is cancelled or closed calls back no more. */
#pragma once

#include "base/mem.h"
#include "io/loop.h"

enum {
    /* The largest message anyone may send us. A line has 8 KiB; the room above it is so that a
     * longer one is refused with our words rather than the library's. */
    RPC_MESSAGE_MAX_BYTES = 256 * 1024,
    /* How long a closed stream may take to deliver what was sent on it, and how it ended. Shorter
     * than a closing server waits, which cuts without a status. */
    RPC_STREAM_LINGER_MS = 400,
};

/* Status codes of the gRPC specification (doc/statuscodes.md). */
typedef enum RpcCode {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_UNAUTHENTICATED = 16,
} RpcCode;

/* What a request that fails so is answered with. */
int rpc_code_of(Err err);

typedef struct Rpc Rpc;

/* Starts the library; from now on the loop waits in its queue. */
Rpc *rpc_open(Loop *loop);
/* Once every server and channel is closed: waits for the last completions, and up to
 * RPC_STREAM_LINGER_MS for what closed streams still have to send, then done. */
void rpc_close(Rpc *rpc, void (*done)(void *context), void *context);

/* ---- client ---- */

typedef struct RpcChannel RpcChannel;
typedef struct RpcCall RpcCall;

/* How a call ended. Borrowed for the time of the callback. */
typedef struct RpcResult {
    int code; /* RpcCode, or whatever else the peer sends */
    const char *text;
    const uint8_t *data; /* the answer; NULL where there is none */
    size_t len;
    uint32_t elapsed_us;
} RpcResult;

typedef void (*RpcDone)(void *context, const RpcResult *result);

/* Connects at the first call; never retries by itself (a failed attempt fails the calls on it).
 * keepalive: finds a silent peer within 3.5 s by HTTP/2 pings, which a classic server would answer
 * with "too many pings". */
RpcChannel *rpc_channel_open(Rpc *rpc, const char *host, uint16_t port, bool keepalive);
/* Over a connection that somebody else has made: a connected stream socket, which is taken over.
 * Closed when the channel is, and all its calls are over. It never connects again. */
RpcChannel *rpc_channel_adopt(Rpc *rpc, int fd, bool keepalive);
/* lost is called once, when a channel that is connected is no longer. */
void rpc_channel_watch(RpcChannel *channel, void (*lost)(void *context), void *context);
/* Calls on it are to be cancelled before. */
void rpc_channel_close(RpcChannel *channel);

/* Takes a reference to request. The call is valid until done returns. */
RpcCall *rpc_unary(RpcChannel *channel, const char *method, Bytes *request, uint32_t deadline_ms,
                   RpcDone done, void *context);
/* A stream of answers, which are read and dropped: it shows that the peer is there. */
RpcCall *rpc_hold_stream(RpcChannel *channel, const char *method, Bytes *request, RpcDone done,
                         void *context);
/* done is not called any more. NULL is fine. */
void rpc_call_cancel(RpcCall *call);

/* ---- streams of messages both ways ---- */

typedef struct RpcStream RpcStream;

/* After rpc_stream_close none of them is called. */
typedef struct RpcStreamEvents {
    /* One message; borrowed for the call. They come one at a time and in order; the next is read
     * from the network only after this has returned, so that flow control holds the peer back. */
    void (*received)(void *context, const uint8_t *data, size_t len);
    /* The message given to rpc_stream_send is on its way; the next may be sent. */
    void (*sent)(void *context);
    /* At a server: the client sends no more, and waits for what is still to come: say the end with
     * rpc_stream_close. NULL: it is said at once, with RPC_OK. */
    void (*half_closed)(void *context);
    /* It is over, by the peer or the network: status code and text, borrowed. The stream is gone
     * when this returns; nothing more is called. At a server: RPC_OK, "it closed the stream";
     * RPC_RESOURCE_EXHAUSTED, "its message is too long"; RPC_CANCELLED, "it is gone". */
    void (*ended)(void *context, int code, const char *text);
} RpcStreamEvents;

/* Client: opens the stream, which connects the channel where it is not. events is borrowed for the
 * stream's life. A message may be sent at once. */
RpcStream *rpc_stream_open(RpcChannel *channel, const char *method, const RpcStreamEvents *events,
                           void *context);
/* Server, in RpcMethod.open: takes the stream. */
void rpc_stream_accept(RpcStream *stream, const RpcStreamEvents *events, void *context);
/* One at a time: once opened or accepted, then after each sent. Takes a reference. The peer ends a
 * stream with a message above RPC_MESSAGE_MAX_BYTES with RPC_RESOURCE_EXHAUSTED. */
void rpc_stream_send(RpcStream *stream, Bytes *message);
/* Reads no more messages from the network until it is called with false: flow control holds the
 * peer back. From within received: at once; else one more may come. Only once the stream was
 * opened or accepted. */
void rpc_stream_pause(RpcStream *stream, bool paused);
/* Ends it from this side; valid at any time, also in each of the callbacks. NULL is fine.
 * What was sent before goes out first. A peer that has not taken it after RPC_STREAM_LINGER_MS is
 * cut off, and what it has not read by then is lost to it.
 * At a server the client gets the status, cut off or not; only a cut while the server itself closes
 * takes the connection, and the status, with it. At a client code and text are sent to nobody. */
void rpc_stream_close(RpcStream *stream, int code, const char *text);

/* ---- server ---- */

/* Who is at the other end of a connection, and so of each call on it. */
typedef enum RpcPeerKind {
    RPC_PEER_NOBODY,  /* it has gone already; may nothing */
    RPC_PEER_LOCAL,   /* came in at a listener of this server: on the loopback interface in open
                        mode, or at the Unix socket with the owner's rights */
    RPC_PEER_MEMBER,  /* let in by the gate */
    RPC_PEER_PROGRAM, /* through the gate, to show a token with each call */
} RpcPeerKind;

typedef struct RpcPeer {
    RpcPeerKind kind;
    uint8_t key[32];     /* of a member */
    uint8_t binding[32]; /* of a member: its connection's exporter */
    bool dialled;        /* by us */
    uint64_t gate_id;    /* of one that came through the gate: GatePeer.id */
    char address[64];    /* "127.0.0.1:3456", "[::1]:3456", "unix"; "unknown" */
} RpcPeer;

/* Of a stream that a client has opened, as long as it is not closed. */
void rpc_stream_peer_info(const RpcStream *stream, RpcPeer *ret_peer);

typedef struct RpcServer RpcServer;
typedef struct RpcServerCall RpcServerCall;

/* A method takes one request (start) or a stream of messages (open): exactly one of them is set. */
typedef struct RpcMethod {
    const char *path; /* "/chat.ChatService/SendMessage" */
    /* Opens the call at once, or answers it, at once or later. Nothing tells that its client has
     * gone meanwhile: the answer then goes nowhere. request is borrowed. */
    void (*start)(void *context, RpcServerCall *call, const uint8_t *request, size_t len);
    /* Accepts the stream, or closes it, at once. */
    void (*open)(void *context, RpcStream *stream);
} RpcMethod;

typedef struct RpcServerOptions {
    const RpcMethod *methods; /* borrowed for the server's life */
    size_t methods_count;
    uint32_t streams_max;     /* concurrent calls on one connection */
    uint32_t connections_max; /* open descriptors above which connections are turned away */
    void *context;
} RpcServerOptions;

RpcServer *rpc_server_new(Rpc *rpc, const RpcServerOptions *options);
/* address: IPv4 or IPv6, without brackets.
 * ERR_IN_USE, ERR_DENIED, ERR_INVALID (not an address of this machine), ERR_IO; *ret_text (freed by
 * the caller) says more. */
Err rpc_server_listen(RpcServer *server, const char *address, uint16_t port, char **ret_text);
/* At a path of the file system, mode 0600, for this process's user and root alone; removed when the
 * server closes. Also: ERR_EXISTS, something that is no socket is there. */
Err rpc_server_listen_unix(RpcServer *server, const char *path, char **ret_text);
void rpc_server_start(RpcServer *server);
/* Serves a connection that somebody else has accepted: a connected stream socket, which is taken
 * over. Not before rpc_server_start; once the server closes it is closed at once. */
void rpc_server_adopt(RpcServer *server, int fd, const RpcPeer *peer);
/* Takes no new calls; open ones get half a second to end, then are cut. Then done, which waits for
 * every call that is still to be answered: whoever puts off answers gives all of them before, or
 * soon after. An answer after the cut does no harm. */
void rpc_server_close(RpcServer *server, void (*done)(void *context), void *context);

/* Of a call that has not been answered. */
void rpc_server_call_peer_info(const RpcServerCall *call, RpcPeer *ret_peer);
/* In RpcMethod.start or open: what the client's metadata (HTTP/2 headers) says for key, which is in
 * small letters; NULL: nothing. Borrowed until the next question. */
const char *rpc_server_call_metadata(const RpcServerCall *call, const char *key);
const char *rpc_stream_metadata(const RpcStream *stream, const char *key);

/* Ends a call that was not opened: response (a reference is taken; may be NULL) where code is
 * RPC_OK. */
void rpc_server_call_answer(RpcServerCall *call, Bytes *response, int code, const char *text);

/* Makes it a stream. sent: the message given to rpc_server_call_send is on its way, the next may
 * come. gone: the client has left; the call is not to be used after. */
void rpc_server_call_open(RpcServerCall *call, void (*sent)(void *context),
                          void (*gone)(void *context), void *context);
/* One at a time. more: another follows at once, so this one may wait in a buffer for it. Takes a
 * reference. */
void rpc_server_call_send(RpcServerCall *call, Bytes *message, bool more);
/* The same with a part of bytes; what is behind the part may still be written to. */
void rpc_server_call_send_part(RpcServerCall *call, Bytes *bytes, size_t offset, size_t len);
/* Ends the stream with a status, also past a message that the client does not read. Neither sent
 * nor gone is called after. */
void rpc_server_call_end(RpcServerCall *call, int code, const char *text);
