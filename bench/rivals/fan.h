/* One room, many subscribers, one who publishes: what bench_fan's loop and its protocols share.
 *
 *   fan.c              options, the loop, the figures
 *   fan_deliveries.c   what came: lost, twice, late, how long it took
 *   proto_*.c          the words of each protocol
 *
 * Each payload is plain text: a kind, its number in hexadecimal digits, and padding:
 *
 *   M0000002axxxxxxxx...    a message      P00000000xxxxxxxx...   a probe: is the way open? */
#pragma once

#include "connection.h"
#include "grpc.h"
#include "h2.h"
#include "histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NUMBER_DIGITS = 8,
    PAYLOAD_MIN = 1 + NUMBER_DIGITS,
    PAYLOAD_MAX = 4096,
    WINDOW_MAX = 1 << 16, /* messages on their way, at most half of it */
};

typedef struct Fan Fan;

/* A subscriber, or the one who publishes. */
typedef struct Client {
    Connection connection;
    Fan *fan;
    int id; /* from 0; the publisher's is the count of subscribers */
    bool publishes;
    bool slow; /* reads nothing once it has joined, and is not counted */
    bool joined;
    bool heard;        /* a probe */
    unsigned step;     /* of a protocol's greeting */
    uint32_t expected; /* the next message's number */
    uint8_t *skipped;  /* which of the last WINDOW_MAX did not come yet; made at the first gap */

    /* Of gRPC. */
    H2 h2;
    GrpcReader reader;
    uint64_t position;  /* in the node's journal, of the message that came last */
    uint32_t stream;    /* of a Publish */
    Buffer gathered;    /* messages for one PublishRequest */
    uint64_t published; /* on that stream */
    uint64_t answered;
    unsigned calls; /* unary, not answered yet */
} Client;

typedef struct Protocol {
    const char *name;
    uint16_t port; /* where its servers mostly listen */
    /* Says what joins the room, as far as can be said before the server speaks. */
    void (*hello)(Client *client);
    /* Bytes used: whole pieces only. May write into them. */
    size_t (*parse)(Client *client, char *bytes, size_t len);
    /* One payload of options.payload_bytes. */
    void (*publish)(Client *client, const char *payload);
    /* NULL: there always is. */
    bool (*has_room)(const Client *client);
    /* Called before the connection is flushed; NULL: nothing to do. */
    void (*gather)(Client *client);
} Protocol;

extern const Protocol PROTO_TCP;
extern const Protocol PROTO_IRC;
extern const Protocol PROTO_NATS;
extern const Protocol PROTO_REDIS;
extern const Protocol PROTO_MQTT;
extern const Protocol PROTO_XMPP;
extern const Protocol PROTO_GRPC;
extern const Protocol PROTO_GRPC_BATCH;
extern const Protocol PROTO_GRPC_BATCH_UNARY;

typedef struct FanOptions {
    const Protocol *protocol;
    Address address;
    int subscribers;
    int slow; /* of them */
    size_t payload_bytes;
    double rate; /* messages a second; 0: as fast as the window allows */
    double seconds;
    double warm_up_seconds;
    double patience_seconds; /* without a delivery, then the rest is lost */
    uint64_t messages;       /* instead of seconds; 0: none */
    uint32_t window;         /* messages on their way */
    unsigned calls;          /* of gRPC: not answered, at most; 0: the protocol's default */
    int joining;             /* connections that join at once */
    unsigned limit_s;        /* of the whole run */
    bool busy;               /* polls without sleeping: the server pays for no wake-up */
    bool prose;
    int pid; /* the server's, 0: not told */
    int core;
    const char *label;
    const char *service;
    const char *token; /* with TLS: of $CHAT_TOKEN */
} FanOptions;

struct Fan {
    FanOptions options;
    Client *clients; /* the subscribers, then the publisher */
    Client *publisher;
    int poll;
    char *scratch;
    char payload[PAYLOAD_MAX];
    char authority[64];

    uint32_t next;  /* number to publish */
    uint32_t first; /* not with every counted subscriber yet */
    uint32_t arrived[WINDOW_MAX];
    uint64_t sent_ns[WINDOW_MAX];

    uint64_t read_ns; /* when the bytes that are looked at were read */
    uint64_t last_delivery_ns;
    Histogram latency;
    uint64_t deliveries;
    uint64_t malformed;
    uint64_t twice;
    uint64_t late;
    uint64_t call_errors;
    int joined;
    int heard;
    int closed;
};

/* Subscribers that read. */
static inline int fan_counted(const Fan *fan)
{
    return fan->options.subscribers - fan->options.slow;
}

/* ---- what a protocol tells ---- */

/* It is in the room. More than once is fine. */
void client_joined(Client *client);
/* One payload came. */
void client_delivered(Client *client, const char *payload, size_t len);
/* A line that does not belong there. */
void client_malformed(Client *client);
