/* What the parent, the one that is killed, and the one that looks at what is left have in common;
 * store_crash.c tells what they do. */
#pragma once

#include "io/store_impl.h"

#include <inttypes.h>

enum {
    STREAMS = 17,
    UNSHOWN_EVERY = 7, /* of the others' events, this one is nothing to show */
    POSITIONS_MAX = 1 << 20,
};

typedef enum AckKind {
    ACK_STORED,    /* all of this stream up to seq is durable */
    ACK_PLACES,    /* its events first..seq that are to be shown have the positions from this on */
    ACK_CUT_ASKED, /* what is past seq is to go: nothing is known of it yet */
    ACK_CUT,       /* it is gone */
} AckKind;

/* What the pipe says. */
typedef struct Ack {
    AckKind kind;
    uint64_t stream;
    uint64_t seq;
    uint64_t first;
    uint64_t position;
} Ack;

/* Which event a position was acknowledged to be; seq 0: it was not. */
typedef struct Place {
    uint32_t stream;
    uint32_t seq;
} Place;

typedef struct Cut {
    bool asked;
    bool done;
    uint64_t hi;
} Cut;

/* What one directory has promised. */
typedef struct Promises {
    bool has_cuts;
    uint64_t acked[STREAMS];
    Cut cuts[STREAMS];
    Place *places;
    uint8_t seed[EVENT_SEED_BYTES];
} Promises;

static inline bool is_shown(uint64_t stream, uint64_t seq)
{
    return stream == 0 || seq % UNSHOWN_EVERY != 0;
}

uint64_t count_places(const Place *places);
uint64_t draw(uint64_t below);
[[gnu::noreturn, gnu::format(printf, 1, 2)]] void broken(const char *format, ...);

/* ---- authors, and where they stand in the log that was opened ---- */

typedef struct Author {
    EventSigner signer;
    StreamId stream;
    uint64_t seq;
    EventHash last;
} Author;

void authors_of(const Store *store, Author authors[STREAMS]);
Store *open_or_die(const char *directory, Loop *loop);

/* ---- the children ---- */

void live(const char *directory, const Promises *promises, int pipe);
void look(const char *directory, const Promises *promises);
