/* Frames: values to bytes and back, and bytes that are neither. */
#include "core/frame.h"
#include "unit.h"

#include <string.h>

static LogEvent *make_event(uint64_t seq, const EventHash *prev, const EventSigner *signer)
{
    EventFields fields = {
        .stream.epoch = 7,
        .seq = seq,
        .prev_hash = *prev,
        .hlc = seq << 16,
        .room = "lobby",
        .room_len = 5,
        .kind = LOG_TEXT,
        .sender = "ann",
        .sender_len = 3,
        .body = (const uint8_t *)"hello",
        .body_len = 5,
    };
    memcpy(fields.stream.origin, signer->public_key, EVENT_KEY_BYTES);
    return event_new(&fields);
}

typedef struct Sample {
    EventSigner signer;
    LogEvent *events[2];
    FrameRun run;
    FrameHello hello;
    FrameHave have;
    FrameWant want;
    FrameWant stop;
    FrameOut out;
    Bytes *bytes;
} Sample;

static void sample_init(Sample *sample)
{
    static const uint8_t seed[EVENT_SEED_BYTES] = {1};
    memset(sample, 0, sizeof(*sample));
    event_signer_init(&sample->signer, seed);
    sample->events[0] = make_event(1, &(EventHash){0}, &sample->signer);
    sample->events[1] = make_event(2, &sample->events[0]->hash, &sample->signer);
    event_sign(sample->events[1], &sample->signer);
    sample->run = (FrameRun){.events = sample->events, .count = 2};
    sample->hello = (FrameHello){.version = 1, .epoch = 7, .root = 99};
    memset(sample->hello.key, 5, EVENT_KEY_BYTES);
    sample->have = (FrameHave){.stream = sample->events[0]->fields.stream, .lo = 1, .hi = 2};
    sample->want = (FrameWant){.stream = sample->have.stream, .from = 3};
    sample->stop = (FrameWant){.stream = sample->have.stream};
    sample->out = (FrameOut){
        .hello = &sample->hello,
        .haves = &sample->have,
        .haves_count = 1,
        .wants = &sample->want,
        .wants_count = 1,
        .stops = &sample->stop,
        .stops_count = 1,
        .runs = &sample->run,
        .runs_count = 1,
        .credit = 4096,
        .ping = 11,
        .pong = 12,
        .root = 13,
    };
    sample->bytes = frame_encode(&sample->out);
}

static void sample_done(Sample *sample)
{
    event_unref(sample->events[0]);
    event_unref(sample->events[1]);
    bytes_unref(sample->bytes);
}

static void frame_comes_back_as_it_went(void **state)
{
    (void)state;
    Sample sample;
    sample_init(&sample);
    FrameIn in;
    const char *reason = "";
    assert_int_equal(frame_decode(bytes_data(sample.bytes), bytes_len(sample.bytes), &in, &reason),
                     ERR_OK);
    assert_true(in.has_hello);
    assert_int_equal(in.hello.epoch, 7);
    assert_null(in.hello.network);
    assert_int_equal(in.haves_count, 1);
    assert_int_equal(in.haves[0].hi, 2);
    assert_int_equal(in.wants_count, 1);
    assert_int_equal(in.wants[0].from, 3);
    assert_int_equal(in.stops_count, 1);
    assert_int_equal(in.runs_count, 1);
    assert_int_equal(in.runs[0].count, 2);
    assert_memory_equal(&in.runs[0].events[1]->hash, &sample.events[1]->hash, sizeof(EventHash));
    assert_false(in.runs[0].events[0]->is_signed);
    assert_true(event_signature_is_good(in.runs[0].events[1]));
    assert_int_equal(in.events_bytes,
                     frame_event_bytes(sample.events[0]) + frame_event_bytes(sample.events[1]));
    assert_int_equal(in.credit, 4096);
    assert_int_equal(in.ping, 11);
    assert_int_equal(in.pong, 12);
    assert_int_equal(in.root, 13);
    assert_false(in.has_bye);
    frame_done(&in);
    sample_done(&sample);
}

/* Whether its end is where a stream was cut is for the replica to know. */
static void run_may_end_without_a_signature(void **state)
{
    (void)state;
    Sample sample;
    sample_init(&sample);
    sample.run.count = 1;
    Bytes *bytes = frame_encode(&sample.out);
    FrameIn in;
    const char *reason = "";
    assert_int_equal(frame_decode(bytes_data(bytes), bytes_len(bytes), &in, &reason), ERR_OK);
    assert_int_equal(in.runs[0].count, 1);
    assert_false(in.runs[0].events[0]->is_signed);
    frame_done(&in);
    bytes_unref(bytes);
    sample_done(&sample);
}

static void proof_of_a_run_without_a_signature_at_its_end_is_refused(void **state)
{
    (void)state;
    Sample sample;
    sample_init(&sample);
    sample.run.count = 1;
    FrameProof proof = {.a = sample.run, .b = sample.run};
    Bytes *bytes = frame_encode(&(FrameOut){.proofs = &proof, .proofs_count = 1});
    FrameIn in;
    const char *reason = "";
    assert_int_equal(frame_decode(bytes_data(bytes), bytes_len(bytes), &in, &reason), ERR_INVALID);
    assert_string_equal(reason, "a proof of a run that does not end with a signature");
    bytes_unref(bytes);
    sample_done(&sample);
}

static void binding_of_a_hello_comes_back_as_it_went(void **state)
{
    (void)state;
    Sample sample;
    sample_init(&sample);
    FrameHello hello = *sample.out.hello;
    hello.is_bound = true;
    memset(hello.binding, 7, sizeof(hello.binding));
    Bytes *bytes = frame_encode(&(FrameOut){.hello = &hello});
    FrameIn in;
    const char *reason = "";
    assert_int_equal(frame_decode(bytes_data(bytes), bytes_len(bytes), &in, &reason), ERR_OK);
    assert_true(in.hello.is_bound);
    assert_memory_equal(in.hello.binding, hello.binding, sizeof(hello.binding));
    frame_done(&in);
    bytes_unref(bytes);
    sample_done(&sample);
}

static void run_with_a_gap_is_refused(void **state)
{
    (void)state;
    Sample sample;
    sample_init(&sample);
    LogEvent *third = make_event(3, &sample.events[1]->hash, &sample.signer);
    event_sign(third, &sample.signer);
    LogEvent *events[] = {sample.events[0], third};
    sample.run = (FrameRun){.events = events, .count = 2};
    Bytes *bytes = frame_encode(&sample.out);
    FrameIn in;
    const char *reason = "";
    assert_int_equal(frame_decode(bytes_data(bytes), bytes_len(bytes), &in, &reason), ERR_INVALID);
    assert_string_equal(reason, "a run with a gap, or of two streams");
    bytes_unref(bytes);
    event_unref(third);
    sample_done(&sample);
}

static void every_cut_and_every_flipped_bit_is_survived(void **state)
{
    (void)state;
    Sample sample;
    sample_init(&sample);
    size_t len = bytes_len(sample.bytes);
    uint8_t *copy = mem_alloc(len);
    FrameIn in;
    const char *reason = "";
    for (size_t bit = 0; bit < len * 8; bit++) {
        memcpy(copy, bytes_data(sample.bytes), len);
        copy[bit / 8] ^= (uint8_t)(1U << bit % 8);
        if (frame_decode(copy, len, &in, &reason) == ERR_OK) {
            frame_done(&in);
        }
    }
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = mem_alloc(cut); /* so that ASan sees a read past its end */
        memcpy(exact, bytes_data(sample.bytes), cut);
        if (frame_decode(exact, cut, &in, &reason) == ERR_OK) {
            frame_done(&in);
        }
        mem_free(exact);
    }
    mem_free(copy);
    sample_done(&sample);
}

static void frame_over_its_cap_is_refused(void **state)
{
    (void)state;
    static uint8_t large[FRAME_MAX_BYTES + 1];
    FrameIn in;
    const char *reason = "";
    assert_int_equal(frame_decode(large, sizeof(large), &in, &reason), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_comes_back_as_it_went),
        cmocka_unit_test(run_may_end_without_a_signature),
        cmocka_unit_test(proof_of_a_run_without_a_signature_at_its_end_is_refused),
        cmocka_unit_test(binding_of_a_hello_comes_back_as_it_went),
        cmocka_unit_test(run_with_a_gap_is_refused),
        cmocka_unit_test(every_cut_and_every_flipped_bit_is_survived),
        cmocka_unit_test(frame_over_its_cap_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
