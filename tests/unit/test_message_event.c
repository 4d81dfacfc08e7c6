/* What an event says, as a message that can be shown whatever its author wrote. */
#include "core/message.h"
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t WALL_MS = INT64_C(1700000000000); /* 22:13:20 UTC */

static EventFields fields_of(int kind, const char *body, size_t len)
{
    EventFields fields = {
        .stream = {.epoch = 7},
        .seq = 17,
        .prev_hash = {.bytes = {1}},
        .hlc = (uint64_t)WALL_MS << HLC_COUNTER_BITS,
        .room = "lobby",
        .room_len = 5,
        .kind = kind,
        .sender = "ann",
        .sender_len = 3,
        .body = (const uint8_t *)body,
        .body_len = len,
    };
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){1});
    memcpy(fields.stream.origin, signer.public_key, EVENT_KEY_BYTES);
    return fields;
}

static Message *message_of(const EventFields *fields)
{
    LogEvent *event = event_new(fields);
    Message *message = message_of_event(event, 0);
    event_unref(event);
    return message;
}

static void text_says_what_was_said(void **state)
{
    (void)state;
    EventFields fields = fields_of(LOG_TEXT, "hi", 2);
    fields.id = (const uint8_t *)"0123";
    fields.id_len = 4;
    Message *message = message_of(&fields);
    char place[40];
    message_place_text(&fields.stream, 17, place, sizeof(place));
    assert_int_equal(message->kind, MESSAGE_TEXT);
    assert_string_equal(message->sender, "ann");
    assert_string_equal(message->room, "lobby");
    assert_string_equal(message->content, "hi");
    assert_string_equal(message->timestamp, "22:13:20");
    assert_string_equal(message->place, place);
    assert_int_equal(message->second_of_day, 22 * 3600 + 13 * 60 + 20);
    assert_int_equal(message->id.len, 4);
    assert_true(message->hlc == fields.hlc);
    assert_false(message->own);
    message_unref(message);
}

static void action_is_on_the_wire_with_its_prefix(void **state)
{
    (void)state;
    EventFields fields = fields_of(LOG_ACTION, "waves", 5);
    Message *message = message_of(&fields);
    assert_int_equal(message->kind, MESSAGE_ACTION);
    assert_string_equal(message->content, "/me waves");
    assert_string_equal(message_shown_content(message), "waves");
    message_unref(message);
}

static void joins_and_parts_have_no_words(void **state)
{
    (void)state;
    static const struct {
        int log;
        MessageKind kind;
    } rows[] = {{LOG_JOIN, MESSAGE_JOIN}, {LOG_PART, MESSAGE_PART}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EventFields fields = fields_of(rows[i].log, "", 0);
        fields.room = "games";
        Message *message = message_of(&fields);
        assert_int_equal(message->kind, rows[i].kind);
        assert_string_equal(message->room, "games");
        assert_string_equal(message->content, "");
        message_unref(message);
    }
}

static void kind_of_a_later_version_is_not_shown(void **state)
{
    (void)state;
    EventFields fields = fields_of(99, "?", 1);
    assert_null(message_of(&fields));
    fields = fields_of(LOG_TOPIC, "?", 1);
    assert_null(message_of(&fields));
}

/* An author may write any bytes as a body; what is shown and sent on is text. */
static void body_that_is_no_text_is_made_one(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t len;
    } rows[] = {{"a\xff"
                 "b",
                 3},
                {"a\0b", 3},
                {"\xed\xa0\x80", 3}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EventFields fields = fields_of(LOG_TEXT, rows[i].body, rows[i].len);
        Message *message = message_of(&fields);
        const char *reason = "";
        MessageDraft draft = {
            .sender = message->sender,
            .sender_len = strlen(message->sender),
            .content = message->content,
            .content_len = message->content_len,
        };
        assert_int_equal(strlen(message->content), message->content_len);
        assert_int_equal(message_check(&draft, &reason), ERR_OK);
        message_unref(message);
    }
}

static void heard_line_shows_the_clock_of_who_said_it(void **state)
{
    (void)state;
    EventFields fields = fields_of(LOG_TEXT, "hi", 2);
    fields.heard = true;
    fields.stamp = "09:00:01";
    fields.stamp_len = 8;
    Message *message = message_of(&fields);
    assert_true(message->heard);
    assert_true(message->clock_told);
    assert_int_equal(message->second_of_day, 9 * 3600 + 1);
    assert_string_equal(message->timestamp, "09:00:01");
    message_unref(message);
}

static void place_is_read_as_it_was_written(void **state)
{
    (void)state;
    StreamId stream = {.origin = {1, 2, 3}, .epoch = 9};
    for (uint64_t seq = 1; seq < UINT64_C(1000000000000000000); seq *= 10) {
        char text[40];
        uint32_t number = 0;
        uint64_t read = 0;
        message_place_text(&stream, seq, text, sizeof(text));
        assert_true(message_place_parse(text, strlen(text), &number, &read));
        assert_int_equal(number, message_place_stream(&stream));
        assert_true(read == seq);
    }
}

static void what_is_no_place_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "5f3a91",
        "5f3a91-",
        "5f3a91-0",
        "5f3a9-17",
        "5f3a911-7",
        "5f3a9x-17",
        "5F3A91-17",
        "5f3a91-1x",
        "5f3a91 17",
        "5f3a91--1",
        "-17",
        "5f3a91-1234567890123456789",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint32_t stream = 0;
        uint64_t seq = 0;
        assert_false(message_place_parse(texts[i], strlen(texts[i]), &stream, &seq));
    }
}

static void lobby_and_persons_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *room;
        bool lobby;
        bool direct;
    } rows[] = {{"lobby", true, false}, {"games", false, false}, {"@bob", false, true}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EventFields fields = fields_of(LOG_TEXT, "hi", 2);
        fields.room = rows[i].room;
        fields.room_len = strlen(rows[i].room);
        Message *message = message_of(&fields);
        assert_int_equal(message_is_in_lobby(message), rows[i].lobby);
        assert_int_equal(message_is_direct(message), rows[i].direct);
        message_unref(message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_says_what_was_said),
        cmocka_unit_test(action_is_on_the_wire_with_its_prefix),
        cmocka_unit_test(joins_and_parts_have_no_words),
        cmocka_unit_test(kind_of_a_later_version_is_not_shown),
        cmocka_unit_test(body_that_is_no_text_is_made_one),
        cmocka_unit_test(heard_line_shows_the_clock_of_who_said_it),
        cmocka_unit_test(place_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_place_is_refused),
        cmocka_unit_test(lobby_and_persons_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
