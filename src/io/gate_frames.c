#include "io/gate_frames.h"

enum {
    PREFACE_BYTES = 24,
    KIND_AT = 3,
    MILLI = 1000,
    /* Who has a part in what all do that is nearly nothing is left in peace. */
    PART = 10,
    CALLS = 4,         /* their row */
    CALLS_ANYHOW = 20, /* of one connection in a second, and at once, whatever the others do */
};

typedef struct KindRow {
    uint8_t kind;     /* section 6 */
    uint32_t rate;    /* a second; thousandths of a frame a millisecond */
    uint32_t burst;   /* at once */
    uint32_t times;   /* all connections together may do what so many may at most */
    const char *ends; /* the connection, with these words; NULL: what is too much waits */
} KindRow;

/* What honest programs stay far below: they reset a stream where somebody does not want to wait
 * any more, and say their settings once. Both ends answer pings, and some libraries send one with
 * each round trip to measure it. Headers fit into one frame.
 *
 * Calls have no such line: who sends each line by a call of its own makes as many as are answered,
 * at 35 us each. All together take a third of a processor then; who makes few calls does not wait
 * for those who make many. */
static const KindRow KINDS[GATE_FRAME_KINDS] = {
    {0x3, 200, 1000, 4, "it resets streams again and again"},
    {0x4, 100, 200, 4, "it changes its settings again and again"},
    {0x6, 2000, 5000, 4, "it pings again and again"},
    {0x9, 100, 200, 4, "its headers do not end"},
    [CALLS] = {0x1, 5000, 1000, 2, NULL},
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

/* Of all there is one: somebody else may have looked at it a moment later already. */
static uint64_t passed_ms(const GateLevels *levels, uint64_t now_ms)
{
    return now_ms > levels->leaked_ms ? now_ms - levels->leaked_ms : 0;
}

static void leak(GateLevels *levels, uint64_t now_ms, bool of_all)
{
    uint64_t ms = passed_ms(levels, now_ms);
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        uint64_t rate = (uint64_t)KINDS[i].rate * (of_all ? KINDS[i].times : 1);
        uint64_t leaked = ms * rate;
        levels->milli[i] -= levels->milli[i] < leaked ? levels->milli[i] : leaked;
    }
    levels->leaked_ms += ms;
}

static bool call_must_wait(GateFrames *frames, const GateLevels *all)
{
    const KindRow *row = &KINDS[CALLS];
    uint64_t burst = (uint64_t)row->burst * MILLI;
    if (frames->levels.milli[CALLS] + MILLI > burst) {
        return true;
    }
    if (all->milli[CALLS] + MILLI <= burst * row->times) {
        return false;
    }
    if (frames->anyhow_milli + MILLI > CALLS_ANYHOW * MILLI) {
        return true;
    }
    frames->anyhow_milli += MILLI;
    return false;
}

size_t gate_frames_walk(GateFrames *frames, GateLevels *all, const uint8_t *data, size_t len,
                        uint64_t most, uint64_t now_ms)
{
    size_t at = 0;
    uint64_t anyhow = passed_ms(&frames->levels, now_ms) * CALLS_ANYHOW;
    frames->anyhow_milli -= frames->anyhow_milli < anyhow ? frames->anyhow_milli : anyhow;
    leak(&frames->levels, now_ms, false);
    leak(all, now_ms, true);
    while (at < len) {
        if (frames->skip > 0) {
            size_t left = len - at;
            size_t skipped = frames->skip < left ? frames->skip : left;
            frames->skip -= (uint32_t)skipped;
            at += skipped;
            continue;
        }
        if ((frames->head_len == 0 && frames->count >= most) ||
            (frames->head_len == KIND_AT && data[at] == KINDS[CALLS].kind &&
             call_must_wait(frames, all))) {
            return at;
        }
        frames->head[frames->head_len++] = data[at++];
        if (frames->head_len == GATE_FRAME_HEAD_BYTES) {
            frame_begins(frames, all);
        }
    }
    return at;
}

bool gate_frames_calls_full(GateLevels *all, uint64_t now_ms)
{
    leak(all, now_ms, true);
    return all->milli[CALLS] + MILLI > (uint64_t)KINDS[CALLS].burst * MILLI * KINDS[CALLS].times;
}

const char *gate_frames_excess(const GateFrames *frames, const GateLevels *all)
{
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        uint64_t burst = (uint64_t)KINDS[i].burst * MILLI;
        uint64_t own = frames->levels.milli[i];
        bool floods = own > burst || (all->milli[i] > burst * KINDS[i].times && own > burst / PART);
        if (floods && KINDS[i].ends != NULL) {
            return KINDS[i].ends;
        }
    }
    return NULL;
}
