/* Values to bytes and back, and bytes that are neither. */
#include "io/wire.h"
#include "unit.h"

#include <chat.pb-c.h>
#include <string.h>

static const NodeId OWN = {.bytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

static Message *some_message(void)
{
    MessageDraft draft = {
        .sender = "ann",
        .sender_len = 3,
        .content = "/me waves",
        .content_len = 9,
        .timestamp = "10:00:00",
        .timestamp_len = 8,
        .id = (const uint8_t *)"0123456789abcdef",
        .id_len = 16,
        .time_ms = 1234567890123,
        .kind = MESSAGE_ACTION,
    };
    return message_new(&draft, 0, 0);
}

static void request_comes_back_as_it_went(void **state)
{
    (void)state;
    WireArena *arena = wire_arena_new();
    Message *message = some_message();
    Bytes *bytes = wire_request(message);
    assert_ptr_equal(wire_request(message), bytes);
    MessageDraft draft;
    assert_int_equal(wire_decode_message(arena, bytes_data(bytes), bytes_len(bytes), &draft),
                     ERR_OK);
    assert_string_equal(draft.sender, "ann");
    assert_int_equal(draft.sender_len, 3);
    assert_string_equal(draft.content, "/me waves");
    assert_int_equal(draft.content_len, 9);
    assert_string_equal(draft.timestamp, "10:00:00");
    assert_int_equal(draft.id_len, 16);
    assert_memory_equal(draft.id, "0123456789abcdef", 16);
    assert_int_equal(draft.time_ms, 1234567890123);
    assert_int_equal(draft.kind, MESSAGE_ACTION);
    message_unref(message);
    wire_arena_free(arena);
}

static void response_succeeds_and_has_the_classic_fields(void **state)
{
    (void)state;
    Message *message = some_message();
    Bytes *bytes = wire_response(message);
    Chat__MessageResponse *response =
        chat__message_response__unpack(NULL, bytes_len(bytes), bytes_data(bytes));
    assert_non_null(response);
    assert_string_equal(response->sender, "ann");
    assert_string_equal(response->content, "/me waves");
    assert_string_equal(response->timestamp, "10:00:00");
    assert_true(response->success);
    chat__message_response__free_unpacked(response, NULL);
    message_unref(message);
}

static void classic_fields_have_their_numbers(void **state)
{
    (void)state;
    /* MessageRequest { sender = 1 "a", content = 2 "b", timestamp = 3 "c" } by hand. */
    static const uint8_t bytes[] = {0x0a, 1, 'a', 0x12, 1, 'b', 0x1a, 1, 'c'};
    WireArena *arena = wire_arena_new();
    MessageDraft draft;
    assert_int_equal(wire_decode_message(arena, bytes, sizeof(bytes), &draft), ERR_OK);
    assert_string_equal(draft.sender, "a");
    assert_string_equal(draft.content, "b");
    assert_string_equal(draft.timestamp, "c");
    assert_int_equal(draft.id_len, 0);
    wire_arena_free(arena);
}

static void nul_inside_a_string_does_not_hide_the_rest(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x0a, 1, 'a', 0x12, 5, 'b', 0, 'x', 'y', 'z'};
    WireArena *arena = wire_arena_new();
    MessageDraft draft;
    assert_int_equal(wire_decode_message(arena, bytes, sizeof(bytes), &draft), ERR_OK);
    assert_int_equal(draft.content_len, 5);
    const char *reason = "";
    assert_int_equal(message_check(&draft, &reason), ERR_INVALID);
    wire_arena_free(arena);
}

static void unknown_fields_are_passed_over(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x0a, 1,    'a', 0xf8, 0x07, 0x96, 0x01, /* 127: varint */
                                    0xfa, 0x07, 2,   'z',  'z',              /* 127: bytes */
                                    0x12, 1,    'b'};
    WireArena *arena = wire_arena_new();
    MessageDraft draft;
    assert_int_equal(wire_decode_message(arena, bytes, sizeof(bytes), &draft), ERR_OK);
    assert_int_equal(draft.content_len, 1);
    assert_string_equal(draft.content, "b");
    wire_arena_free(arena);
}

static void room_comes_and_goes_and_the_lobby_is_none(void **state)
{
    (void)state;
    /* MessageRequest { sender "a", content "b", room = 22 "dev" } by hand. */
    static const uint8_t bytes[] = {0x0a, 1, 'a', 0x12, 1, 'b', 0xb2, 0x01, 3, 'd', 'e', 'v'};
    WireArena *arena = wire_arena_new();
    MessageDraft draft;
    assert_int_equal(wire_decode_message(arena, bytes, sizeof(bytes), &draft), ERR_OK);
    assert_int_equal(draft.room_len, 3);
    assert_memory_equal(draft.room, "dev", 3);
    Message *messages[] = {message_new(&draft, 0, 0), some_message()};
    static const char *const rooms[] = {"dev", ""};
    for (int i = 0; i < 2; i++) {
        Bytes *encoded = wire_response(messages[i]);
        Chat__MessageResponse *response =
            chat__message_response__unpack(NULL, bytes_len(encoded), bytes_data(encoded));
        assert_string_equal(response->room, rooms[i]);
        chat__message_response__free_unpacked(response, NULL);
        message_unref(messages[i]);
    }
    wire_arena_free(arena);
}

/* ---- many at a time ---- */

static void batch_gives_one_message_after_the_other(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x0a, 3,    0x0a, 1, 'a',             /* { sender "a" } */
                                    0x78, 0x96, 0x01,                     /* 15: varint */
                                    0x0a, 0,                              /* { } */
                                    0x7d, 1,    2,    3, 4,               /* 15: fixed32 */
                                    0x79, 1,    2,    3, 4,   5, 6, 7, 8, /* 15: fixed64 */
                                    0x7a, 1,    'z',                      /* 15: bytes */
                                    0x08, 1,                              /* 1, but no message */
                                    0x0a, 3,    0x12, 1, 'b'};            /* { content "b" } */
    static const size_t lens[] = {3, 0, 3};
    WireBatch batch = {.data = bytes, .len = sizeof(bytes)};
    bool found = false;
    const uint8_t *data = NULL;
    size_t len = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(wire_batch_next(&batch, &found, &data, &len), ERR_OK);
        assert_true(found);
        assert_int_equal(len, lens[i]);
    }
    assert_int_equal(data[2], 'b');
    assert_int_equal(wire_batch_next(&batch, &found, &data, &len), ERR_OK);
    assert_false(found);
}

static void batch_that_is_none_is_survived(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0x0a, 3, 0x0a, 1,    'a', 0x78, 0x96, 0x01, 0x7d, 1,
                                    2,    3, 4,    0x79, 1,   2,    3,    4,    5,    6,
                                    7,    8, 0x7a, 1,    'z', 0x0a, 3,    0x12, 1,    'b'};
    for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
        uint8_t *copy = mem_alloc(cut); /* so that ASan sees a read past the end */
        memcpy(copy, bytes, cut);
        for (size_t bit = 0; bit < cut * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            WireBatch batch = {.data = copy, .len = cut};
            bool found = true;
            const uint8_t *data = NULL;
            size_t len = 0;
            while (found && wire_batch_next(&batch, &found, &data, &len) == ERR_OK) {
                assert_true(!found || data + len <= copy + cut);
            }
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        mem_free(copy);
    }
    static const uint8_t endless[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    WireBatch batch = {.data = endless, .len = sizeof(endless)};
    bool found = false;
    const uint8_t *data = NULL;
    size_t len = 0;
    assert_int_equal(wire_batch_next(&batch, &found, &data, &len), ERR_INVALID);
}

static void publish_response_has_its_rows(void **state)
{
    (void)state;
    char words[400]; /* a character is not cut in two */
    memset(words, 'w', sizeof(words));
    memcpy(words + 199, "\xc3\xab", sizeof("\xc3\xab"));
    StrBuf refused = {0};
    wire_add_refusal(&refused, 7, 3, "sender is empty");
    wire_add_refusal(&refused, 1000, 14, words);
    wire_add_refusal(&refused, 1001, 14, "no \xff UTF-8");
    Bytes *bytes = wire_publish_response(12345, &refused);
    Chat__PublishResponse *response =
        chat__publish_response__unpack(NULL, bytes_len(bytes), bytes_data(bytes));
    assert_non_null(response);
    assert_int_equal(response->answered, 12345);
    assert_int_equal(response->n_refused, 3);
    assert_int_equal(response->refused[0]->number, 7);
    assert_int_equal(response->refused[0]->code, 3);
    assert_string_equal(response->refused[0]->text, "sender is empty");
    assert_int_equal(strlen(response->refused[1]->text), 199);
    assert_string_equal(response->refused[2]->text, "no <FF> UTF-8");
    chat__publish_response__free_unpacked(response, NULL);
    bytes_unref(bytes);
    strbuf_done(&refused);
}

static void every_cut_and_every_flipped_bit_is_survived(void **state)
{
    (void)state;
    WireArena *arena = wire_arena_new();
    Message *message = some_message();
    Bytes *bytes = wire_request(message);
    size_t len = bytes_len(bytes);
    MessageDraft draft;
    for (size_t cut = 0; cut <= len; cut++) {
        uint8_t *copy = mem_alloc(cut); /* so that ASan sees a read past the end */
        memcpy(copy, bytes_data(bytes), cut);
        for (size_t bit = 0; bit < cut * 8; bit++) {
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            if (wire_decode_message(arena, copy, cut, &draft) == ERR_OK) {
                const char *reason = "";
                (void)!message_check(&draft, &reason);
            }
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        mem_free(copy);
    }
    message_unref(message);
    wire_arena_free(arena);
}

static void what_eats_memory_is_refused(void **state)
{
    (void)state;
    /* Two bytes a field that is not known, each kept by protobuf-c in a record of its own. */
    static uint8_t bytes[256 * 1024];
    for (size_t i = 0; i < sizeof(bytes); i += 2) {
        bytes[i] = 0x78;
        bytes[i + 1] = 0x01;
    }
    WireArena *arena = wire_arena_new();
    MessageDraft draft;
    assert_int_equal(wire_decode_message(arena, bytes, sizeof(bytes), &draft), ERR_INVALID);
    wire_arena_free(arena);
}

static void hello_and_stream_request_come_back(void **state)
{
    (void)state;
    WireArena *arena = wire_arena_new();
    Bytes *bytes = wire_hello(&OWN, "Zo\xc3\xab");
    WireHello hello;
    assert_int_equal(wire_decode_hello(arena, bytes_data(bytes), bytes_len(bytes), &hello), ERR_OK);
    assert_memory_equal(hello.node_id, OWN.bytes, 16);
    assert_string_equal(hello.name, "Zo\xc3\xab");
    bytes_unref(bytes);

    bytes = wire_stream_request(&OWN);
    WireStreamRequest request;
    assert_int_equal(
        wire_decode_stream_request(arena, bytes_data(bytes), bytes_len(bytes), &request), ERR_OK);
    assert_int_equal(request.node_id_len, 16);
    assert_string_equal(request.client_id, "node-0102030405060708090a0b0c0d0e0f10");
    assert_int_equal(request.client_id_len, strlen(request.client_id));
    bytes_unref(bytes);
    wire_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_comes_back_as_it_went),
        cmocka_unit_test(response_succeeds_and_has_the_classic_fields),
        cmocka_unit_test(classic_fields_have_their_numbers),
        cmocka_unit_test(nul_inside_a_string_does_not_hide_the_rest),
        cmocka_unit_test(unknown_fields_are_passed_over),
        cmocka_unit_test(room_comes_and_goes_and_the_lobby_is_none),
        cmocka_unit_test(batch_gives_one_message_after_the_other),
        cmocka_unit_test(batch_that_is_none_is_survived),
        cmocka_unit_test(publish_response_has_its_rows),
        cmocka_unit_test(every_cut_and_every_flipped_bit_is_survived),
        cmocka_unit_test(what_eats_memory_is_refused),
        cmocka_unit_test(hello_and_stream_request_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
