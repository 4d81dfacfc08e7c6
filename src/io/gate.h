/* The gate of a private network: TLS 1.3 on every connection that leaves or enters this machine,
 * and who may pass.
 *
 *   TCP --> TLS 1.3 (OpenSSL) --ALPN--+-- "chat_node/1": tag, proof, verdict ---+
 *                                     +-- "h2": a program with a token ---------+--> a plain
 *                                                                     descriptor, for gRPC
 *
 * A thread of its own carries bytes between the encrypted connection and one end of a socket pair;
 * the other end is gRPC's. So a flood of handshakes takes nothing from the owner thread, and TLS is
 * OpenSSL's own, with nothing experimental.
 *
 * Nobody who dials the mesh comes to the HTTP/2 of the library before he was let in. A program
 * shows its token there: so, where there are tokens, a stranger gets as far as that too, on trial.
 * GATE_TRIAL_FRAMES of his go to gRPC, and what follows waits until the owner vouches for him; if
 * nobody does, his deadline ends it. All that is open is cut off where it sends frames of which
 * honest programs send few in numbers that hold up others (io/gate_frames.h).
 *
 * A node's certificate is self-signed with its identity (RFC 8410), made at each start and for
 * ever good: what counts is the key, and its holder proves to have it in the handshake. Programs
 * get one with an ECDSA key of its own (P-256), since not every TLS library takes Ed25519.
 *
 * All functions are for the owner thread, and all callbacks come on it, from the loop. */
#pragma once

#include "core/event.h"
#include "io/loop.h"

typedef struct Gate Gate;
typedef struct GateKnock GateKnock; /* somebody who waits for a verdict */

enum {
    GATE_BINDING_BYTES = 32,
    GATE_MESSAGE_MAX_BYTES = 64 * 1024,
    GATE_ADDRESS_MAX_BYTES = 64, /* "127.0.0.1:3456" as text */
    /* Until somebody has passed, without the owner's time to think: an ocean, a slow phone, and a
     * lost packet. */
    GATE_DEADLINE_MS = 10 * 1000,
    /* That have not passed yet: in all (the oldest makes room), and from one address (an IPv6 /64
     * counts as one). */
    GATE_WAITING_MAX = 512,
    GATE_WAITING_OF_ADDRESS_MAX = 32,
    /* Handshakes a second that one address may begin, and in one burst. */
    GATE_RATE_OF_ADDRESS = 50,
    GATE_BURST_OF_ADDRESS = 100,
    /* What of a program goes to gRPC before a good token was seen: several calls at once, the first
     * with the longest headers and line. At some 50 us a stream no more than 3 ms. */
    GATE_TRIAL_FRAMES = 64,
    GATE_TRIAL_BYTES = 64 * 1024,
    /* One that came in vain counts as so many more handshakes: it took more than TLS. */
    GATE_TRIAL_HANDSHAKES = 4,
    /* How long an address stays out from which somebody was cut off. */
    GATE_BAR_MS = 10 * 1000,
};

typedef enum GateKind {
    GATE_MEMBER,  /* the verdict was: let in */
    GATE_PROGRAM, /* TLS alone: its token is to be looked at with each call; see gate_vouch */
} GateKind;

/* Who is at the other end. */
typedef struct GatePeer {
    GateKind kind;
    uint64_t id;                         /* of the connection; never another's, never 0 */
    bool dialled;                        /* by us */
    uint8_t key[EVENT_KEY_BYTES];        /* of a member; it has proved to hold it */
    uint8_t binding[GATE_BINDING_BYTES]; /* the exporter, RFC 9266: equal at both ends, and nowhere
                                            else */
    char address[GATE_ADDRESS_MAX_BYTES];
} GatePeer;

typedef struct GateJoin {
    uint8_t secret[16];
    char name[64 + 1];
    uint16_t port;
} GateJoin;

typedef struct GateEvents {
    /* Somebody with the network's tag shows a proof (an encoded MemberProof; borrowed). To be
     * answered once with gate_let_in or gate_refuse, now or later, also where he has gone
     * meanwhile. Of those who dialled and of those whom we have dialled. */
    void (*knocked)(void *context, GateKnock *knock, const GatePeer *peer, const uint8_t *proof,
                    size_t len);
    /* Somebody has an invitation. To be answered with gate_welcome or gate_refuse. */
    void (*asked)(void *context, GateKnock *knock, const GatePeer *peer, const GateJoin *join);
    /* Somebody who dialled us has passed: fd, which is to be taken over, speaks HTTP/2. */
    void (*entered)(void *context, int fd, const GatePeer *peer);
    /* For the log, and counted; not more often than once in ten seconds. text is borrowed. */
    void (*refused)(void *context, const char *text);
    /* One that had passed flooded, and its connection was ended: who it was, and how. For the log;
     * each is told of. text is borrowed. May be NULL. */
    void (*cut_off)(void *context, const char *text);
} GateEvents;

typedef struct GateOptions {
    Loop *loop;
    const uint8_t *seed;    /* EVENT_SEED_BYTES: the identity */
    const uint8_t *network; /* EVENT_NETWORK_BYTES; NULL: to join one, gate_join alone */
    /* Of programs: a key and a certificate as PEM, from gate_program_certificate; NULL: none. */
    const char *program_pem;
    uint32_t connections_max; /* open at once, in all */
    const GateEvents *events;
    void *context;
} GateOptions;

/* ERR_IO, ERR_INVALID (program_pem): *ret_text, the caller's, says more. */
Err gate_open(const GateOptions *options, Gate **ret_gate, char **ret_text);
/* Closes all that has not passed, and what has passed when gRPC closes its ends; then done. No
 * event comes any more; calls end with ERR_UNAVAILABLE. Knocks are not to be answered after done.
 * Its thread posts to the loop until then: rpc_close comes after it. */
void gate_close(Gate *gate, void (*done)(void *context), void *context);

/* What this node shows: an encoded MemberProof, a reference is taken. Before gate_listen, and when
 * it has another. */
void gate_set_proof(Gate *gate, Bytes *proof);
/* Are there tokens? Without one programs are refused in the handshake. */
void gate_serve_programs(Gate *gate, bool serve);
/* As rpc_server_listen. */
Err gate_listen(Gate *gate, const char *address, uint16_t port, char **ret_text);

void gate_let_in(GateKnock *knock);
/* text: for the person at the other end. */
void gate_refuse(GateKnock *knock, const char *text);
void gate_welcome(GateKnock *knock, const uint8_t *genesis, size_t genesis_len,
                  const uint8_t *proof, size_t proof_len, const char *const *nodes,
                  size_t nodes_count);

typedef struct GateCall GateCall;
/* How dialling ended (ERR_DENIED: turned away by one of the two; ERR_NOT_FOUND: no such name;
 * ERR_INVALID, ERR_IO, ERR_UNAVAILABLE): ERR_OK, a descriptor to be taken over, and who is there;
 * or text, for a person ("connection refused: nothing listens there"). */
typedef void (*GateDialled)(void *context, Err err, int fd, const GatePeer *peer, const char *text);
/* Resolves, connects (each address in turn), shakes hands, and passes: `knocked` is asked for the
 * verdict on the other side. */
GateCall *gate_dial(Gate *gate, const char *host, uint16_t port, GateDialled done, void *context);

typedef struct GateWelcomed {
    const uint8_t *genesis;
    size_t genesis_len;
    const uint8_t *proof; /* an encoded MemberProof */
    size_t proof_len;
    const char *const *nodes;
    size_t nodes_count;
} GateWelcomed;
/* ERR_DENIED: refused, text says why; ERR_INVALID: the key there is not the inviter's; ERR_IO. */
typedef void (*GateJoined)(void *context, Err err, const GateWelcomed *welcomed, const char *text);
GateCall *gate_join(Gate *gate, const char *host, uint16_t port,
                    const uint8_t inviter[EVENT_KEY_BYTES], const GateJoin *join, GateJoined done,
                    void *context);
/* done is not called any more. NULL is fine. */
void gate_call_cancel(GateCall *call);

/* A call on that connection of a program showed a good token: it is on trial no more. Cheap when it
 * is said again with each call; one that is gone is fine. */
void gate_vouch(Gate *gate, uint64_t id);

/* Ends every connection with that key, passed or not: it was revoked. */
void gate_cut(Gate *gate, const uint8_t key[EVENT_KEY_BYTES]);

typedef struct GateStats {
    size_t waiting;   /* have not passed yet, or are on trial */
    size_t passed;    /* are open; also those on trial */
    uint64_t refused; /* since the start: by a verdict, in the handshake, by a cap */
} GateStats;
GateStats gate_stats(const Gate *gate);

/* A new key and self-signed certificate for programs, as PEM (key first); the caller frees and
 * wipes it. */
char *gate_program_certificate(void);
