/* What comes from a program or a member that has passed the gate. However it is cut, the same
 * frames are found in it; a walk that is to end before some frame goes to it and no further. */
#include "fuzz.h"
#include "io/gate_frames.h"

#include <stdlib.h>
#include <string.h>

/* So few frames that no call among them waits. */
enum { MAX_BYTES = 1000 * GATE_FRAME_HEAD_BYTES };

static void must_be(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static bool same(const GateFrames *a, const GateFrames *b)
{
    return a->count == b->count && a->skip == b->skip && a->head_len == b->head_len &&
           memcmp(a->levels.milli, b->levels.milli, sizeof(a->levels.milli)) == 0;
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    GateFrames whole;
    GateFrames cut;
    GateFrames few;
    GateLevels all[3] = {0};
    if (size < 2 || size > MAX_BYTES) {
        return 0;
    }
    size_t piece = (size_t)data[0] + 1;
    bool preface = (data[1] & 1) != 0;
    uint64_t most = data[1] >> 1;
    data += 2;
    size -= 2;
    gate_frames_init(&whole, preface, 0);
    gate_frames_init(&cut, preface, 0);
    gate_frames_init(&few, preface, 0);
    must_be(gate_frames_walk(&whole, &all[0], data, size, UINT64_MAX, 0) == size);
    for (size_t at = 0; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        must_be(gate_frames_walk(&cut, &all[1], data + at, len, UINT64_MAX, 0) == len);
    }
    must_be(same(&whole, &cut));
    size_t walked = gate_frames_walk(&few, &all[2], data, size, most, 0);
    must_be(walked <= size && few.count <= most && (walked == size || few.count == most));
    must_be(gate_frames_walk(&few, &all[2], data + walked, size - walked, UINT64_MAX, 0) ==
            size - walked);
    must_be(same(&whole, &few));
    (void)gate_frames_excess(&whole, &all[0]);
    return 0;
}
