/* Heads are found wherever the bytes are cut, and what comes too often is seen. */
#include "io/gate_frames.h"

#include "unit.h"

#include <string.h>

enum { PREFACE = 24, HEAD = GATE_FRAME_HEAD_BYTES };

typedef struct Wire {
    uint8_t data[64 * 1024];
    size_t len;
} Wire;

static void add_frame(Wire *wire, uint8_t kind, size_t len)
{
    assert_true(wire->len + HEAD + len <= sizeof(wire->data));
    uint8_t *at = wire->data + wire->len;
    memset(at, 0x3, HEAD + len); /* a payload full of what would be resets */
    at[0] = 0;
    at[1] = (uint8_t)(len >> 8);
    at[2] = (uint8_t)len;
    at[3] = kind;
    wire->len += HEAD + len;
}

static void frames_are_counted_wherever_they_are_cut(void **state)
{
    (void)state;
    static Wire wire;
    GateLevels all = {0};
    wire.len = PREFACE;
    memset(wire.data, 0x3, PREFACE);
    add_frame(&wire, 0x4, 6);
    add_frame(&wire, 0x1, 300);
    add_frame(&wire, 0x0, 5000);
    add_frame(&wire, 0x3, 4);
    add_frame(&wire, 0x4, 0);
    add_frame(&wire, 0x4, 0);
    for (size_t piece = 1; piece < 40; piece++) {
        GateFrames frames;
        gate_frames_init(&frames, true, 0);
        for (size_t at = 0; at < wire.len; at += piece) {
            size_t len = wire.len - at < piece ? wire.len - at : piece;
            assert_int_equal(gate_frames_walk(&frames, &all, wire.data + at, len, UINT64_MAX, 0),
                             len);
        }
        assert_int_equal(frames.count, 6);
        assert_int_equal(frames.levels.milli[0], 1000);
        assert_int_equal(frames.levels.milli[1], 3000);
        assert_null(gate_frames_excess(&frames, &all));
    }
}

static void walk_ends_before_the_frame_that_is_one_too_many(void **state)
{
    (void)state;
    static Wire wire;
    GateFrames frames;
    GateLevels all = {0};
    wire.len = 0;
    add_frame(&wire, 0x0, 100);
    add_frame(&wire, 0x1, 50);
    size_t two = wire.len;
    add_frame(&wire, 0x3, 4);
    gate_frames_init(&frames, false, 0);
    assert_int_equal(gate_frames_walk(&frames, &all, wire.data, 60, 2, 0), 60); /* amid the first */
    assert_int_equal(gate_frames_walk(&frames, &all, wire.data + 60, wire.len - 60, 2, 0),
                     two - 60);
    assert_int_equal(gate_frames_walk(&frames, &all, wire.data + two, wire.len - two, 2, 0), 0);
    assert_int_equal(frames.count, 2);
    assert_int_equal(gate_frames_walk(&frames, &all, wire.data + two, wire.len - two, 3, 0),
                     HEAD + 4);
    assert_int_equal(frames.count, 3);
}

/* count frames of a kind, of len bytes, at that time: what is said of it. */
static const char *say(GateFrames *frames, uint8_t kind, size_t len, unsigned count,
                       uint64_t now_ms)
{
    static Wire wire;
    GateLevels all = {0}; /* as if it were alone */
    const char *words = NULL;
    for (unsigned i = 0; i < count; i++) {
        wire.len = 0;
        add_frame(&wire, kind, len);
        (void)gate_frames_walk(frames, &all, wire.data, wire.len, UINT64_MAX, now_ms);
        words = gate_frames_excess(frames, &all);
    }
    return words;
}

static void a_burst_is_fine_and_what_goes_on_is_not(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind;
        uint8_t len;
        unsigned rate, burst;
        const char *words;
    } rows[] = {{0x3, 4, 200, 1000, "it resets streams again and again"},
                {0x4, 0, 100, 200, "it changes its settings again and again"},
                {0x6, 8, 2000, 5000, "it pings again and again"},
                {0x9, 1, 100, 200, "its headers do not end"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        GateFrames frames;
        gate_frames_init(&frames, false, 5000);
        assert_null(say(&frames, rows[i].kind, rows[i].len, rows[i].burst, 5000));
        assert_string_equal(say(&frames, rows[i].kind, rows[i].len, 1, 5000), rows[i].words);
        /* A second later there is room for so many again, and for no more. */
        assert_null(say(&frames, rows[i].kind, rows[i].len, rows[i].rate - 1, 6000));
        assert_string_equal(say(&frames, rows[i].kind, rows[i].len, 2, 6000), rows[i].words);
        /* A burst at once behind a long silence is not forgiven for the silence. */
        gate_frames_init(&frames, false, 0);
        assert_string_equal(say(&frames, rows[i].kind, rows[i].len, rows[i].burst + 1, 1U << 30),
                            rows[i].words);
        /* A minute of the rate. */
        gate_frames_init(&frames, false, 0);
        for (uint64_t second = 1; second <= 60; second++) {
            assert_null(say(&frames, rows[i].kind, rows[i].len, rows[i].rate, second * 1000));
        }
    }
}

static void say_resets(GateFrames *frames, GateLevels *all, unsigned count)
{
    static Wire wire;
    wire.len = 0;
    for (unsigned i = 0; i < count; i++) {
        add_frame(&wire, 0x3, 4);
    }
    (void)gate_frames_walk(frames, all, wire.data, wire.len, UINT64_MAX, 0);
}

static void many_who_each_do_less_are_seen_together(void **state)
{
    (void)state;
    GateLevels all = {0};
    GateFrames many[6];
    GateFrames honest;
    gate_frames_init(&honest, false, 0);
    for (size_t i = 0; i < 6; i++) {
        gate_frames_init(&many[i], false, 0);
        say_resets(&many[i], &all, 900);
        assert_int_equal(gate_frames_excess(&many[i], &all) != NULL, i >= 4);
    }
    assert_non_null(gate_frames_excess(&many[0], &all));
    say_resets(&honest, &all, 100);
    assert_null(gate_frames_excess(&honest, &all));
    /* Two seconds later there is room again. */
    (void)gate_frames_walk(&many[1], &all, NULL, 0, UINT64_MAX, 2000);
    assert_null(gate_frames_excess(&many[1], &all));
}

/* How many of the calls that a wire is full of go then. */
static size_t calls_that_go(GateFrames *frames, GateLevels *all, size_t piece, uint64_t now_ms)
{
    enum { CALLS = 4000 };
    static Wire wire;
    uint64_t before = frames->count;
    wire.len = 0;
    for (int i = 0; i < CALLS; i++) {
        add_frame(&wire, 0x1, 5);
    }
    size_t skip =
        before == 0 ? 0 : 3; /* length: what went before the kind, when it was held back */
    size_t at = skip;
    size_t went = piece;
    while (went == piece && at < wire.len) {
        size_t len = wire.len - at < piece ? wire.len - at : piece;
        went = gate_frames_walk(frames, all, wire.data + at, len, UINT64_MAX, now_ms);
        assert_null(gate_frames_excess(frames, all));
        at += went;
    }
    assert_true(at < wire.len);
    assert_int_equal(at, (frames->count - before) * (HEAD + 5) + 3); /* before a kind */
    return frames->count - before;
}

static void calls_wait_for_their_time_wherever_they_are_cut(void **state)
{
    (void)state;
    for (size_t piece = 1; piece < 70; piece++) {
        GateFrames frames;
        GateLevels all = {0};
        gate_frames_init(&frames, false, 0);
        assert_int_equal(calls_that_go(&frames, &all, piece, 0), 1000);
        assert_int_equal(calls_that_go(&frames, &all, piece, 0), 0);
        assert_int_equal(calls_that_go(&frames, &all, piece, GATE_PAUSE_MS), 50);
        assert_int_equal(calls_that_go(&frames, &all, piece, GATE_PAUSE_MS), 0);
        assert_int_equal(calls_that_go(&frames, &all, piece, 10000), 1000);
    }
}

static void calls_of_many_wait_for_each_other_and_few_calls_do_not(void **state)
{
    (void)state;
    enum { PIECE = 1 << 20 };
    GateLevels all = {0};
    GateFrames many[4];
    GateFrames honest;
    for (size_t i = 0; i < 4; i++) {
        gate_frames_init(&many[i], false, 0);
    }
    gate_frames_init(&honest, false, 0);
    assert_int_equal(calls_that_go(&many[0], &all, PIECE, 0), 1000);
    assert_int_equal(calls_that_go(&many[1], &all, PIECE, 0), 1000);
    assert_true(gate_frames_calls_full(&all, 0));
    assert_int_equal(calls_that_go(&many[2], &all, PIECE, 0), 20);
    assert_int_equal(calls_that_go(&honest, &all, PIECE, 0), 20);
    /* All have made 40 calls more than there was room for, which takes 4 ms; then one goes each
     * tenth of a millisecond. */
    assert_true(gate_frames_calls_full(&all, 4));
    assert_int_equal(calls_that_go(&many[2], &all, PIECE, 4), 0);
    assert_false(gate_frames_calls_full(&all, 6));
    assert_int_equal(calls_that_go(&many[2], &all, PIECE, 6), 20);
    /* In a second there is room for each one's own burst. */
    assert_int_equal(calls_that_go(&many[3], &all, PIECE, 1000), 1000);
    assert_int_equal(calls_that_go(&honest, &all, PIECE, 1000), 1000);
    assert_int_equal(calls_that_go(&many[0], &all, PIECE, 1000), 20);
    assert_int_equal(calls_that_go(&many[0], &all, PIECE, 1000), 0);
}

/* Who looks first may have asked for the time last. */
static void time_that_goes_back_makes_no_room(void **state)
{
    (void)state;
    GateFrames frames;
    GateLevels all = {0};
    gate_frames_init(&frames, false, 1000);
    assert_int_equal(calls_that_go(&frames, &all, 1 << 20, 1000), 1000);
    assert_int_equal(calls_that_go(&frames, &all, 1 << 20, 999), 0);
    GateFrames other;
    gate_frames_init(&other, false, 1000);
    assert_int_equal(calls_that_go(&other, &all, 1 << 20, 1000), 1000);
    assert_true(gate_frames_calls_full(&all, 1000));
    assert_true(gate_frames_calls_full(&all, 990));
    assert_true(gate_frames_calls_full(&all, 1000));
    assert_false(gate_frames_calls_full(&all, 1001));
}

static void what_carries_lines_has_no_cap(void **state)
{
    (void)state;
    GateFrames frames;
    gate_frames_init(&frames, false, 0);
    assert_null(say(&frames, 0x0, 90, 100000, 0)); /* DATA */
    assert_null(say(&frames, 0x8, 4, 100000, 0));  /* WINDOW_UPDATE */
    assert_int_equal(frames.count, 200000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_counted_wherever_they_are_cut),
        cmocka_unit_test(walk_ends_before_the_frame_that_is_one_too_many),
        cmocka_unit_test(a_burst_is_fine_and_what_goes_on_is_not),
        cmocka_unit_test(many_who_each_do_less_are_seen_together),
        cmocka_unit_test(calls_wait_for_their_time_wherever_they_are_cut),
        cmocka_unit_test(calls_of_many_wait_for_each_other_and_few_calls_do_not),
        cmocka_unit_test(time_that_goes_back_makes_no_room),
        cmocka_unit_test(what_carries_lines_has_no_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
