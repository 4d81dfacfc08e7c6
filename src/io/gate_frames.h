/* What goes to gRPC, frame by frame (RFC 9113 section 4.1), and how many of some kinds come in a
 * second: the library (1.51.1) is older than the repairs for streams that are reset as soon as they
 * are opened (CVE-2023-44487), and each costs it 20 to 55 us. What only floods do ends the
 * connection; calls, which honest programs make too, are held back to a rate that leaves room for
 * others.
 *
 * Only heads are looked at, wherever pieces are cut; what is no HTTP/2 is for the library to
 * refuse. Nothing here allocates, and nothing fails. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GATE_FRAME_HEAD_BYTES = 9,
    GATE_FRAME_KINDS = 5, /* that have a cap */
    /* How long calls wait that come before their time: then some 50 of one connection may go. */
    GATE_PAUSE_MS = 10,
};

/* Thousandths of a frame of each kind; they leak at its rate. */
typedef struct GateLevels {
    uint64_t leaked_ms;
    uint64_t milli[GATE_FRAME_KINDS];
} GateLevels;

typedef struct GateFrames {
    uint64_t count; /* of all kinds that have begun */
    uint32_t skip;  /* bytes before the next head */
    uint8_t head[GATE_FRAME_HEAD_BYTES];
    uint8_t head_len;
    GateLevels levels;
    uint64_t anyhow_milli; /* thousandths of calls that went although all together make too many */
} GateFrames;

/* preface: who sends begins with 24 bytes that are no frame (section 3.4). */
void gate_frames_init(GateFrames *frames, bool preface, uint64_t now_ms);
/* Goes over what comes next, but never into a frame behind most frames, nor into a call that comes
 * before its time: how much of it that is. all: where the frames of all connections are counted;
 * zeroed at first. */
size_t gate_frames_walk(GateFrames *frames, GateLevels *all, const uint8_t *data, size_t len,
                        uint64_t most, uint64_t now_ms);
/* No call of one who makes many may go now, of whatever connection. */
bool gate_frames_calls_full(GateLevels *all, uint64_t now_ms);
/* NULL, or (static) what came too often by then: over this connection, or over all together, where
 * this one has a part in it. */
const char *gate_frames_excess(const GateFrames *frames, const GateLevels *all);
