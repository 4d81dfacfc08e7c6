/* Hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks", 2014,
 * figure 5), in 64 bits: 48 of Unix milliseconds, 16 of counter.
 *
 * A stamp orders what happened: an effect is always later than its cause, and stamps stay close to
 * wall time. A peer's stamp more than HLC_AHEAD_MAX_MS ahead of ours does not move our clock: a
 * liar delays only himself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    HLC_COUNTER_BITS = 16,
    /* Clocks that nobody keeps drift by seconds; a minute is a mistake, or a lie. */
    HLC_AHEAD_MAX_MS = 60 * 1000,
};

typedef struct Hlc {
    uint64_t last; /* the highest stamp given or taken */
} Hlc;

static inline int64_t hlc_time_ms(uint64_t stamp)
{
    return (int64_t)(stamp >> HLC_COUNTER_BITS);
}

/* A stamp for something that happens now; higher than every one before. wall_ms is not negative and
 * below 2^48. */
uint64_t hlc_now(Hlc *clock, int64_t wall_ms);

/* Takes note of a stamp that came from elsewhere. False, and the clock is as before, where it is
 * too far ahead. */
bool hlc_observe(Hlc *clock, uint64_t stamp, int64_t wall_ms);

/* May something with that stamp be shown, or is it not yet due? */
bool hlc_is_due(uint64_t stamp, int64_t wall_ms);
/* The wall time from which on it is due. */
static inline int64_t hlc_due_at_ms(uint64_t stamp)
{
    return hlc_time_ms(stamp) - HLC_AHEAD_MAX_MS + 1;
}
