/* Stamps that respect cause and effect. */
#include "core/hlc.h"

static uint64_t stamp_of(int64_t wall_ms)
{
    return (uint64_t)wall_ms << HLC_COUNTER_BITS;
}

/* The counter runs over into the milliseconds: after 65,536 stamps in one of them, the next one is
 * borrowed. */
uint64_t hlc_now(Hlc *clock, int64_t wall_ms)
{
    uint64_t wall = stamp_of(wall_ms);
    clock->last = wall > clock->last ? wall : clock->last + 1;
    return clock->last;
}

bool hlc_is_due(uint64_t stamp, int64_t wall_ms)
{
    return stamp < stamp_of(wall_ms + HLC_AHEAD_MAX_MS);
}

bool hlc_observe(Hlc *clock, uint64_t stamp, int64_t wall_ms)
{
    if (!hlc_is_due(stamp, wall_ms)) {
        return false;
    }
    if (stamp > clock->last) {
        clock->last = stamp;
    }
    return true;
}
