/* Frames of a link (proto/chat.proto, Frame): values to bytes and back. */
#pragma once

#include "core/event.h"
#include "core/message.h"

enum {
    /* Two whole groups at their largest, and what goes beside them. */
    FRAME_MAX_BYTES = 256 * 1024,
    /* Rows of one kind in one frame. */
    FRAME_ROWS_MAX = 1000,
    /* A group of each of two runs. */
    FRAME_PROOF_MAX_BYTES = 128 * 1024,
    FRAME_PROOFS_MAX = 16,
};

typedef struct FrameHello {
    uint32_t version;
    const uint8_t *network; /* EVENT_NETWORK_BYTES, or NULL */
    uint8_t key[EVENT_KEY_BYTES];
    uint64_t epoch;
    uint64_t root;
    NodeId node_id;
    char name[MESSAGE_SENDER_MAX_BYTES + 1]; /* "" where it is none that may be shown */
    bool is_bound;
    uint8_t binding[EVENT_SIGNATURE_BYTES]; /* of a private network: replica_hello.c */
} FrameHello;

/* Who is at a node (proto/chat.proto, Presence). */
typedef struct FramePresence {
    NodeId node_id;
    uint8_t key[EVENT_KEY_BYTES];
    uint64_t version;
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    bool gone;
} FramePresence;

typedef struct FrameHave {
    StreamId stream;
    uint64_t lo;
    uint64_t hi;
    uint64_t head; /* event_hash_head of hi; 0: not told */
} FrameHave;

/* WANT, and STOP (whose from is 0). */
typedef struct FrameWant {
    StreamId stream;
    uint64_t from;
} FrameWant;

/* A run of events of one stream. One that comes may end without a signature: whether its end is
 * vouched for in another way (the cut of a revoked member) is not for here to know. */
typedef struct FrameRun {
    LogEvent **events;
    size_t count;
} FrameRun;

/* Two runs of one stream that name different events for one place. */
typedef struct FrameProof {
    FrameRun a;
    FrameRun b;
} FrameProof;

/* To be sent: everything borrowed. */
typedef struct FrameOut {
    const FrameHello *hello; /* NULL: none */
    const FrameHave *haves;
    size_t haves_count;
    const FrameWant *wants;
    size_t wants_count;
    const FrameWant *stops;
    size_t stops_count;
    const FrameRun *runs;
    size_t runs_count;
    const FramePresence *presences;
    size_t presences_count;
    const FrameProof *proofs;
    size_t proofs_count;
    uint64_t credit;
    uint64_t ping;
    uint64_t pong;
    uint64_t root;
    const char *bye; /* NULL: none */
} FrameOut;

/* One reference; the caller owns it. */
Bytes *frame_encode(const FrameOut *frame);

/* As it came: owned, freed by frame_done. */
typedef struct FrameIn {
    FrameHello hello;
    bool has_hello;
    FrameHave *haves;
    size_t haves_count;
    FrameWant *wants;
    size_t wants_count;
    FrameWant *stops;
    size_t stops_count;
    FrameRun *runs; /* each of one stream with rising seq, its events decoded; not yet verified */
    size_t runs_count;
    FramePresence *presences;
    size_t presences_count;
    FrameProof *proofs; /* runs as above; whether they prove anything is not looked at */
    size_t proofs_count;
    size_t events_bytes; /* of all runs, as credit counts them */
    uint64_t credit;
    uint64_t ping;
    uint64_t pong;
    uint64_t root;
    bool has_bye;
    char bye[128];
    uint8_t network[EVENT_NETWORK_BYTES];
} FrameIn;

/* ERR_INVALID, ERR_LIMIT: *ret_reason (static) says what is wrong with it. */
Err frame_decode(const uint8_t *data, size_t len, FrameIn *ret_frame, const char **ret_reason);
void frame_done(FrameIn *frame);

/* The first 8 bytes of it, least significant first. */
uint64_t event_hash_head(const EventHash *hash);

/* What an event weighs in credit. */
size_t frame_event_bytes(const LogEvent *event);
