/* Events: encoded once, hashed, signed, decoded, checked. */
#include "core/event.h"
#include "unit.h"

#include <string.h>

static EventSigner signer_of(uint8_t byte)
{
    uint8_t seed[EVENT_SEED_BYTES];
    memset(seed, byte, sizeof(seed));
    EventSigner signer;
    event_signer_init(&signer, seed);
    return signer;
}

static EventFields some_fields(const EventSigner *signer)
{
    EventFields fields = {
        .stream.epoch = 7,
        .seq = 1,
        .hlc = UINT64_C(1700000000000) << 16,
        .room = "lobby",
        .room_len = 5,
        .kind = LOG_TEXT,
        .sender = "ann",
        .sender_len = 3,
        .body = (const uint8_t *)"hello",
        .body_len = 5,
    };
    memcpy(fields.stream.origin, signer->public_key, EVENT_KEY_BYTES);
    return fields;
}

static void event_comes_back_as_it_went(void **state)
{
    (void)state;
    EventSigner signer = signer_of(1);
    EventFields fields = some_fields(&signer);
    fields.seq = 2;
    memset(fields.prev_hash.bytes, 9, EVENT_HASH_BYTES);
    memset(fields.after[0].stream.bytes, 8, STREAM_TAG_BYTES);
    fields.after[0].seq = 17;
    fields.id = (const uint8_t *)"an id";
    fields.id_len = 5;
    fields.stamp = "16:00:00";
    fields.stamp_len = 8;
    fields.heard = true;
    fields.after_count = 1;
    fields.network = (const uint8_t *)"0123456789abcdef";
    LogEvent *made = event_new(&fields);
    event_sign(made, &signer);

    LogEvent *read = NULL;
    const char *reason = "";
    assert_int_equal(event_decode(made->bytes, made->signature, &read, &reason), ERR_OK);
    assert_true(event_signature_is_good(read));
    assert_memory_equal(&read->hash, &made->hash, sizeof(EventHash));
    assert_int_equal(stream_id_compare(&read->fields.stream, &fields.stream), 0);
    assert_int_equal(read->fields.seq, 2);
    assert_memory_equal(&read->fields.prev_hash, &fields.prev_hash, sizeof(EventHash));
    assert_int_equal(read->fields.hlc, fields.hlc);
    assert_string_equal(read->fields.room, "lobby");
    assert_int_equal(read->fields.kind, LOG_TEXT);
    assert_string_equal(read->fields.sender, "ann");
    assert_int_equal(read->fields.body_len, 5);
    assert_memory_equal(read->fields.body, "hello", 5);
    assert_int_equal(read->fields.after_count, 1);
    assert_memory_equal(&read->fields.after[0], &fields.after[0], sizeof(EventPlace));
    assert_int_equal(read->fields.id_len, 5);
    assert_memory_equal(read->fields.id, "an id", 5);
    assert_string_equal(read->fields.stamp, "16:00:00");
    assert_true(read->fields.heard);
    assert_memory_equal(read->fields.network, "0123456789abcdef", 16);
    event_unref(made);
    event_unref(read);
}

static void every_flipped_bit_of_the_bytes_breaks_the_signature(void **state)
{
    (void)state;
    EventSigner signer = signer_of(1);
    EventFields fields = some_fields(&signer);
    LogEvent *made = event_new(&fields);
    event_sign(made, &signer);
    size_t len = bytes_len(made->bytes);
    for (size_t bit = 0; bit < len * 8; bit++) {
        Bytes *bytes = bytes_new(bytes_data(made->bytes), len);
        bytes_fill(bytes)[bit / 8] ^= (uint8_t)(1 << bit % 8);
        LogEvent *read = NULL;
        const char *reason = "";
        if (event_decode(bytes, made->signature, &read, &reason) == ERR_OK) {
            assert_false(event_signature_is_good(read));
            event_unref(read);
        }
        bytes_unref(bytes);
    }
    event_unref(made);
}

static void signature_of_another_is_none(void **state)
{
    (void)state;
    EventSigner ann = signer_of(1);
    EventSigner bob = signer_of(2);
    EventFields fields = some_fields(&ann);
    LogEvent *event = event_new(&fields);
    assert_false(event_signature_is_good(event));
    event_sign(event, &bob);
    assert_false(event_signature_is_good(event));
    event_sign(event, &ann);
    assert_true(event_signature_is_good(event));
    event_unref(event);
}

static void every_cut_is_refused_or_another_event(void **state)
{
    (void)state;
    EventSigner signer = signer_of(1);
    EventFields fields = some_fields(&signer);
    LogEvent *made = event_new(&fields);
    event_sign(made, &signer);
    for (size_t len = 0; len < bytes_len(made->bytes); len++) {
        Bytes *bytes = bytes_new(bytes_data(made->bytes), len);
        LogEvent *read = NULL;
        const char *reason = "";
        if (event_decode(bytes, made->signature, &read, &reason) == ERR_OK) {
            assert_false(event_signature_is_good(read));
            event_unref(read);
        }
        bytes_unref(bytes);
    }
    event_unref(made);
}

/* Bytes of an event whose rules are broken by hand: made good, then changed. */
static Err decode_hex(const char *bytes, size_t len, const char **reason)
{
    Bytes *copy = bytes_new(bytes, len);
    LogEvent *read = NULL;
    Err err = event_decode(copy, NULL, &read, reason);
    event_unref(read);
    bytes_unref(copy);
    return err;
}

static void what_breaks_a_rule_is_refused(void **state)
{
    (void)state;
    const char *reason = "";
    assert_int_equal(decode_hex("", 0, &reason), ERR_LIMIT); /* version 0 */
    assert_int_equal(decode_hex("\x08\x02", 2, &reason), ERR_LIMIT);
    assert_int_equal(decode_hex("\x08\x01", 2, &reason), ERR_INVALID);
    assert_int_equal(decode_hex("\xff\xff\xff", 3, &reason), ERR_INVALID);
    static char large[EVENT_MAX_BYTES + 1];
    assert_int_equal(decode_hex(large, sizeof(large), &reason), ERR_LIMIT);
}

static void shown_order_is_by_time_then_stream_then_number(void **state)
{
    (void)state;
    EventSigner ann = signer_of(1);
    EventFields a = some_fields(&ann);
    EventFields b = a;
    assert_int_equal(event_compare(&a, &b), 0);
    b.seq = 2;
    assert_true(event_compare(&a, &b) < 0);
    a.stream.epoch = 8;
    assert_true(event_compare(&a, &b) > 0);
    b.stream.origin[0] = 0xff;
    a.stream.origin[0] = 0x01;
    assert_true(event_compare(&a, &b) < 0);
    a.hlc++;
    assert_true(event_compare(&a, &b) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_comes_back_as_it_went),
        cmocka_unit_test(every_flipped_bit_of_the_bytes_breaks_the_signature),
        cmocka_unit_test(signature_of_another_is_none),
        cmocka_unit_test(every_cut_is_refused_or_another_event),
        cmocka_unit_test(what_breaks_a_rule_is_refused),
        cmocka_unit_test(shown_order_is_by_time_then_stream_then_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
