#include "io/gate_frames.h"

enum {
    PREFACE_BYTES = 24,
    KIND_AT = 3,
    MILLI = 1000,
};

typedef struct KindRow {
    uint8_t kind;   /* section 6 */
    uint32_t rate;  /* a second; thousandths of a frame a millisecond */
    uint32_t burst; /* at once */
    const char *words;
} KindRow;

/* What honest programs stay far below: they reset a stream where somebody does not want to wait
 * any more, and say their settings once. Both ends answer pings, and some libraries send one with
 * each round trip to measure it. Headers fit into one frame. */
static const KindRow KINDS[GATE_FRAME_KINDS] = {
    {0x3, 200, 1000, "it resets streams again and again"},
    {0x4, 100, 200, "it changes its settings again and again"},
    {0x6, 2000, 5000, "it pings again and again"},
    {0x9, 100, 200, "its headers do not end"},
};

void gate_frames_init(GateFrames *frames, bool preface, uint64_t now_ms)
{
    *frames = (GateFrames){.skip = preface ? PREFACE_BYTES : 0, .leaked_ms = now_ms};
}

static void frame_begins(GateFrames *frames)
{
    const uint8_t *head = frames->head;
    frames->skip = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
    frames->head_len = 0;
    frames->count++;
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        if (KINDS[i].kind == head[KIND_AT]) {
            frames->level_milli[i] += MILLI;
        }
    }
}

static void leak(GateFrames *frames, uint64_t now_ms)
{
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        uint64_t leaked = (now_ms - frames->leaked_ms) * KINDS[i].rate;
        uint64_t *level = &frames->level_milli[i];
        *level = *level > leaked ? *level - leaked : 0;
    }
    frames->leaked_ms = now_ms;
}

size_t gate_frames_walk(GateFrames *frames, const uint8_t *data, size_t len, uint64_t most,
                        uint64_t now_ms)
{
    size_t at = 0;
    leak(frames, now_ms);
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
            frame_begins(frames);
        }
    }
    return at;
}

const char *gate_frames_excess(const GateFrames *frames)
{
    for (size_t i = 0; i < GATE_FRAME_KINDS; i++) {
        if (frames->level_milli[i] > (uint64_t)KINDS[i].burst * MILLI) {
            return KINDS[i].words;
        }
    }
    return NULL;
}
