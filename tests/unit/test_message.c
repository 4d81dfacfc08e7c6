/* The rules for a line, row by row. */
#include "core/message.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static MessageDraft draft_of(const char *sender, const char *content, const char *timestamp)
{
    return (MessageDraft){
        .sender = sender,
        .sender_len = strlen(sender),
        .content = content,
        .content_len = strlen(content),
        .timestamp = timestamp,
        .timestamp_len = strlen(timestamp),
    };
}

static void each_broken_rule_is_named(void **state)
{
    (void)state;
    static char long_sender[MESSAGE_SENDER_MAX_BYTES + 2];
    static char long_content[MESSAGE_CONTENT_MAX_BYTES + 2];
    static char long_stamp[MESSAGE_TIMESTAMP_MAX_BYTES + 2];
    memset(long_sender, 'a', sizeof(long_sender) - 1);
    memset(long_content, 'a', sizeof(long_content) - 1);
    memset(long_stamp, 'a', sizeof(long_stamp) - 1);
    const struct {
        const char *sender;
        const char *content;
        const char *timestamp;
        const char *reason; /* its beginning; NULL: nothing is wrong */
    } rows[] = {
        {"ann", "hi", "12:00:00", NULL},
        {"ann", "hi", "", NULL},
        {"ann", "hi", "2026-11-22T16:00:00+01:00", NULL},
        {"Zo\xc3\xab \xf0\x9f\x91\x8b", "two\nlines\tand a \x1b", "", NULL},
        {long_sender + 1, long_content + 1, long_stamp + 1, NULL},
        {"", "hi", "", "sender is empty"},
        {"   ", "hi", "", "sender is empty"},
        {long_sender, "hi", "", "sender is longer than 64 bytes"},
        {"an\nn", "hi", "", "sender holds control characters"},
        {"an\xc2\x9bn", "hi", "", "sender holds control characters"},
        {"an\xe2\x80\xaen", "hi", "", "sender holds control characters"},
        {"an\xffn", "hi", "", "sender is not valid UTF-8"},
        {"ann", "", "", "content is empty"},
        {"ann", long_content, "", "content is longer than 8192 bytes"},
        {"ann", "\xed\xa0\x80", "", "content is not valid UTF-8"},
        {"ann", "hi", long_stamp, "timestamp is longer than 64 bytes"},
        {"ann", "hi", "12\x1b[2J", "timestamp holds control characters"},
        {"ann", "hi", "\xff", "timestamp is not valid UTF-8"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        MessageDraft draft = draft_of(rows[i].sender, rows[i].content, rows[i].timestamp);
        const char *reason = "";
        Err err = message_check(&draft, &reason);
        if (rows[i].reason == NULL) {
            assert_int_equal(err, ERR_OK);
            continue;
        }
        assert_int_equal(err, ERR_INVALID);
        assert_memory_equal(reason, rows[i].reason, strlen(rows[i].reason));
    }
}

static void what_clients_add_has_rules_too(void **state)
{
    (void)state;
    uint8_t bytes[64] = {1};
    const struct {
        size_t id_len;
        int64_t time_ms;
        Err err;
    } rows[] = {
        {32, 0, ERR_OK},      {0, INT64_C(1) << 53, ERR_OK}, {33, 0, ERR_INVALID},
        {0, -1, ERR_INVALID}, {0, INT64_MAX, ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        MessageDraft draft = draft_of("ann", "hi", "");
        draft.id = bytes;
        draft.id_len = rows[i].id_len;
        draft.time_ms = rows[i].time_ms;
        const char *reason = "";
        assert_int_equal(message_check(&draft, &reason), rows[i].err);
    }
}

static void hidden_nul_is_refused(void **state)
{
    (void)state;
    MessageDraft draft = draft_of("ann", "hi", "");
    const char *reason = "";
    draft.content = "hi\0there";
    draft.content_len = 8;
    assert_int_equal(message_check(&draft, &reason), ERR_INVALID);
    draft = draft_of("ann", "hi", "");
    draft.sender = "ann\0x";
    draft.sender_len = 5;
    assert_int_equal(message_check(&draft, &reason), ERR_INVALID);
}

static void moment_is_shown_in_the_zone_of_the_node(void **state)
{
    (void)state;
    MessageDraft draft = draft_of("ann", "hi", "09:00:00");
    draft.time_ms = INT64_C(1700000000000); /* 22:13:20 UTC */
    Message *message = message_new(&draft, 0, 3600);
    assert_int_equal(message->second_of_day, 23 * 3600 + 13 * 60 + 20);
    assert_false(message->clock_told);
    assert_string_equal(message->timestamp, "09:00:00");
    message_unref(message);
}

static void bare_clock_is_shown_as_it_was_told(void **state)
{
    (void)state;
    MessageDraft draft = draft_of("kim", "hi", "09:00:01");
    Message *message = message_new(&draft, INT64_C(1700000000000), 0);
    assert_true(message->clock_told);
    assert_int_equal(message->second_of_day, 9 * 3600 + 1);
    message_unref(message);
}

static void what_is_no_clock_is_shown_at_its_arrival(void **state)
{
    (void)state;
    static const char *const stamps[] = {"", "now", "25:00:00", "09:60:00", "9:00:00", "09:00:001"};
    for (size_t i = 0; i < sizeof(stamps) / sizeof(stamps[0]); i++) {
        MessageDraft draft = draft_of("kim", "hi", stamps[i]);
        Message *message = message_new(&draft, INT64_C(1700000000000), -3600);
        assert_false(message->clock_told);
        assert_int_equal(message->second_of_day, 21 * 3600 + 13 * 60 + 20);
        assert_string_equal(message->timestamp, i == 0 ? "21:13:20" : stamps[i]);
        message_unref(message);
    }
}

static void action_is_shown_without_its_prefix(void **state)
{
    (void)state;
    MessageDraft draft = draft_of("ann", "/me waves", "");
    draft.kind = MESSAGE_ACTION;
    Message *message = message_new(&draft, 1, 0);
    assert_string_equal(message_shown_content(message), "waves");
    message_unref(message);
    draft.kind = MESSAGE_TEXT;
    message = message_new(&draft, 1, 0);
    assert_string_equal(message_shown_content(message), "/me waves");
    message_unref(message);
}

static void clock_text_wraps_around_midnight(void **state)
{
    (void)state;
    char text[9];
    message_clock_text(0, 0, text);
    assert_string_equal(text, "00:00:00");
    message_clock_text(0, -3600, text);
    assert_string_equal(text, "23:00:00");
    message_clock_text(INT64_C(86399999), 0, text);
    assert_string_equal(text, "23:59:59");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_broken_rule_is_named),
        cmocka_unit_test(what_clients_add_has_rules_too),
        cmocka_unit_test(hidden_nul_is_refused),
        cmocka_unit_test(moment_is_shown_in_the_zone_of_the_node),
        cmocka_unit_test(bare_clock_is_shown_as_it_was_told),
        cmocka_unit_test(what_is_no_clock_is_shown_at_its_arrival),
        cmocka_unit_test(action_is_shown_without_its_prefix),
        cmocka_unit_test(clock_text_wraps_around_midnight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
