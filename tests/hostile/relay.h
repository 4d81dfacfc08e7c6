/* A member that does not play by the rules: it links two nodes, carries the frames of each to the
 * other, and on the word "go" does what its trick says. */
#pragma once

#include "base/mem.h"
#include "core/event.h"
#include "core/frame.h"
#include "core/members.h"
#include "io/gate.h"
#include "io/rpc.h"

#include <chat.pb-c.h>
#include <stdbool.h>

enum { ENDS_MAX = 2, SEEN_MAX = 64, KEPT_RUNS_MAX = 256 };

typedef struct Relay Relay;
typedef struct Trick Trick;

/* One of the two nodes. */
typedef struct End {
    Relay *relay;
    size_t index;
    char host[64];
    uint16_t port;
    GateCall *dialling;
    RpcChannel *channel;
    RpcStream *stream;
    GatePeer peer;
    Bytes *hello; /* its first frame, as it came; NULL: not yet */
    bool sending;
    Bytes **queue;
    size_t queue_count;
} End;

/* The newest event of a stream that was carried. */
typedef struct Seen {
    StreamId stream;
    uint64_t seq;
    EventHash hash;
} Seen;

struct Relay {
    const Trick *trick;
    bool going;
    bool greeted;
    Gate *gate;
    Rpc *rpc;
    uv_timer_t redial;
    EventSigner signer;
    EventSigner stolen; /* of somebody else's identity, where a trick takes one */
    Members *members;   /* of which it knows the founder and the network alone */
    uint8_t network[EVENT_NETWORK_BYTES];
    NodeId node_id;
    uint64_t epoch;
    End ends[ENDS_MAX];
    size_t ends_count;
    Seen seen[SEEN_MAX];
    size_t seen_count;
    Bytes *kept[KEPT_RUNS_MAX]; /* frames of one run each, from the first end */
    size_t kept_count;
    /* Of tricks. */
    Bytes *held;
    bool done;
    LogEvent *own[ENDS_MAX]; /* what each end is to be given of a stream of our own making */
};

struct Trick {
    const char *name;
    /* Its own hello, signed as it should be, before it is sent. */
    void (*hello)(Relay *relay, const End *to, Chat__LinkHello *hello);
    /* After "go". False: the frame is not carried on. It may be changed: bytes in it belong to it,
     * from mem_alloc. */
    bool (*frame)(Relay *relay, const End *from, End *to, Chat__Frame *frame);
    void (*go)(Relay *relay);
    /* After "go", in place of gRPC: a connection to the last node, once it has let us in. It is
     * closed after, and dialled again. */
    void (*speak)(int fd);
};

/* Ended by one without a name. */
extern const Trick TRICKS[];

void end_send(End *end, Bytes *frame); /* takes the reference */
void end_redial(End *end);
void end_send_frame(End *end, const Chat__Frame *frame);
Seen *relay_seen(Relay *relay, const uint8_t origin[EVENT_KEY_BYTES]);
/* Signs a hello for a connection. */
void relay_sign_hello(const Relay *relay, const uint8_t binding[GATE_BINDING_BYTES],
                      uint8_t ret_signature[EVENT_SIGNATURE_BYTES]);
/* For the test that has started it. */
[[gnu::format(printf, 1, 2)]] void relay_tell(const char *format, ...);
