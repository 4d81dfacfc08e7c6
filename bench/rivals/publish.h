/* Some connections that say lines, and wait until the server has taken responsibility for each:
 * what bench_publish's loop and its protocols share. */
#pragma once

#include "connection.h"
#include "grpc.h"
#include "h2.h"
#include "histogram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IN_FLIGHT_MAX = 4096,
    PAYLOAD_MAX = 4096,
};

typedef struct Bench Bench;
typedef struct Writer Writer;

typedef struct Protocol {
    const char *name;
    uint16_t port;
    void (*hello)(Writer *writer);
    /* Bytes used: whole pieces only. */
    size_t (*parse)(Writer *writer, char *bytes, size_t len);
    /* One message, with this number: 0, 1, 2 ... on each connection. */
    void (*publish)(Writer *writer, uint64_t number, const char *payload, size_t len);
    /* Called before the connection is flushed; NULL: nothing to do. */
    void (*gather)(Writer *writer);
    /* NULL: there always is. */
    bool (*has_room)(const Writer *writer);
} Protocol;

extern const Protocol PUBLISH_GRPC;
extern const Protocol PUBLISH_GRPC_BATCH;
extern const Protocol PUBLISH_NATS;
extern const Protocol PUBLISH_REDIS;

struct Writer {
    Connection connection;
    Bench *bench;
    unsigned id;
    bool ready;
    uint64_t sent;
    uint64_t done; /* of them, acknowledged or refused */
    uint64_t sent_ns[IN_FLIGHT_MAX];

    /* Of gRPC. */
    H2 h2;
    GrpcReader reader;
    bool said[IN_FLIGHT_MAX]; /* its answer has come: it did not only end */
    uint32_t stream;          /* of a Publish */
    Buffer gathered;
};

typedef struct BenchOptions {
    const Protocol *protocol;
    Address address;
    unsigned writers;
    unsigned in_flight; /* of each */
    size_t payload_bytes;
    double seconds;
    double warm_up_seconds;
    unsigned limit_s;
    int pid;
    const char *label;
    const char *service;
} BenchOptions;

struct Bench {
    BenchOptions options;
    Writer *writers;
    int poll;
    char *scratch;
    char authority[64];
    uint64_t read_ns; /* when the bytes that are looked at were read */
    unsigned ready;

    Histogram latency;
    uint64_t acknowledged;
    uint64_t refused;
    unsigned closed;
};

/* ---- what a protocol tells ---- */

/* It may say lines now. */
void writer_ready(Writer *writer);
/* The message with this number is in the server's hands, or was refused. */
void writer_acknowledged(Writer *writer, uint64_t number);
void writer_refused(Writer *writer, uint64_t number, const char *why);
