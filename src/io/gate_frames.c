#include "io/gate_frames.h"

enum {
    PREFACE_BYTES = 24,
    KIND_AT = 3,
    MILLI = 1000,
    /* All connections together may do what so many may at most. Who has a part in it that is
     * nearly nothing is left in peace. */
    ALL_TIMES = 4,
    PART = 10,
};

typedef struct KindRow {
    uint8_t kind;   /* section 6 */
    uint32_t rate;  /* a second; thousandths of a frame a millisecond */
    uint32_t burst; /* at once */
    const char *words;
} KindRow;

/* What honest programs stay far below: they reset a stream where somebody does not want to wait
 * any more, and say their settings once. Both ends answer pings, and some libraries send one with
 * each round trip to measure it. Headers fit into one frame. Who waits for answers makes no more
 * calls than the node answers, and as many more as may be open at once (10,100). */
static const KindRow KINDS[GATE_FRAME_KINDS] = {
    {0x3, 200, 1000, "it resets streams again and again"},
    {0x4, 100, 200, "it changes its settings again and again"},
    {0x6, 2000, 5000, "it pings again and again"},
    {0x9, 100, 200, "its headers do not end"},
    {0x1, 20000, 20000, "it makes more calls than a node answers"},
};

void gate_frames_init(GateFrames *frames, bool preface, uint64_t now_ms)
{
    *frames = (GateFrames){.skip = preface ? PREFACE_BYTES : 0, .levels = {.leaked_ms = now_ms}};
}

static void frame_begins(GateFrames *frames, GateLevels *all)
{
    const uint8_t *head = frames->head;
    frames->skip = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    frames->head_len = 0;
    frames->count++;
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        if (KINDS[i].kind == head[KIND_AT]) {
            frames->levels.milli[i] += MILLI;
            all->milli[i] += MILLI;
        }
    }
}

static void leak(GateLevels *levels, uint64_t now_ms, uint64_t times)
{
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        uint64_t leaked = (now_ms - levels->leaked_ms) * KINDS[i].rate * times;
        levels->milli[i] -= levels->milli[i] < leaked ? levels->milli[i] : leaked;
    }
    levels->leaked_ms = now_ms;
}

size_t gate_frames_walk(GateFrames *frames, GateLevels *all, const uint8_t *data, size_t len,
                        uint64_t most, uint64_t now_ms)
{
    size_t at = 0;
    leak(&frames->levels, now_ms, 1);
    leak(all, now_ms, ALL_TIMES);
    while (at < len) {
        if (frames->skip > 0) {
            size_t left = len - at;
            size_t skipped = frames->skip < left ? frames->skip : left;
            frames->skip -= (uint32_t)skipped;
            at += skipped;
            continue;
        }
        if (frames->head_len == 0 && frames->count >= most) {
            return at;
        }
        frames->head[frames->head_len++] = data[at++];
        if (frames->head_len == GATE_FRAME_HEAD_BYTES) {
            frame_begins(frames, all);
        }
    }
    return at;
}

const char *gate_frames_excess(const GateFrames *frames, const GateLevels *all)
{
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        uint64_t burst = (uint64_t)KINDS[i].burst * MILLI;
        uint64_t own = frames->levels.milli[i];
        if (own > burst || (all->milli[i] > burst * ALL_TIMES && own > burst / PART)) {
            return KINDS[i].words;
        }
    }
    return NULL;
}
