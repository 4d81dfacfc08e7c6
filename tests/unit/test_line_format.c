/* The lines people read. */
#include "face/line_format.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "unit.h"

static const LineFormat PLAIN = {.utc_offset_s = 0};
static const LineFormat COLORED = {.color = true};

static Message make_message(MessageKind kind, const char *sender, const char *content)
{
    static char lobby[] = MESSAGE_LOBBY;
    return (Message){
        .refs = 1,
        .kind = kind,
        .sender = (char *)(uintptr_t)sender,
        .room = lobby,
        .content = (char *)(uintptr_t)content,
        .content_len = strlen(content),
        .second_of_day = 16 * 3600 + 61,
    };
}

static void assert_message(const Message *message, const LineFormat *format, const char *expected)
{
    AUTO_STRBUF StrBuf out = {0};
    line_format_message(&out, format, message);
    assert_string_equal(strbuf_text(&out), expected);
}

static void message_is_time_name_and_text(void **state)
{
    (void)state;
    Message message = make_message(MESSAGE_TEXT, "ann", "hi");
    assert_message(&message, &PLAIN, "[16:01:01] ann: hi\n");
    message = make_message(MESSAGE_ACTION, "ann", "/me waves");
    assert_message(&message, &PLAIN, "[16:01:01] * ann waves\n");
    message = make_message(MESSAGE_TEXT, "ann", "/me waves");
    assert_message(&message, &PLAIN, "[16:01:01] ann: /me waves\n");
}

static Message make_in_room(MessageKind kind, const char *room, const char *content)
{
    Message message = make_message(kind, "ann", content);
    message.room = (char *)(uintptr_t)room;
    return message;
}

static void room_is_named_where_it_is_not_the_lobby(void **state)
{
    (void)state;
    Message message = make_in_room(MESSAGE_TEXT, "dev", "hi");
    assert_message(&message, &PLAIN, "[16:01:01] #dev ann: hi\n");
    message = make_in_room(MESSAGE_ACTION, "dev", "/me waves");
    assert_message(&message, &PLAIN, "[16:01:01] #dev * ann waves\n");
    message = make_in_room(MESSAGE_TEXT, "\033[2J", "hi");
    assert_message(&message, &PLAIN, "[16:01:01] #␛[2J ann: hi\n");
}

static void direct_message_names_the_two(void **state)
{
    (void)state;
    Message message = make_in_room(MESSAGE_TEXT, "@bob", "psst");
    assert_message(&message, &PLAIN, "[16:01:01] ann -> bob: psst\n");
    message = make_in_room(MESSAGE_ACTION, "@bob", "/me nods");
    assert_message(&message, &PLAIN, "[16:01:01] * ann -> bob nods\n");
    message = make_in_room(MESSAGE_TEXT, "@b\033[2J", "psst");
    assert_message(&message, &PLAIN, "[16:01:01] ann -> b␛[2J: psst\n");
}

static void coming_and_going_is_told(void **state)
{
    (void)state;
    Message message = make_in_room(MESSAGE_JOIN, "dev", "");
    assert_message(&message, &PLAIN, "[16:01:01] * ann joins #dev\n");
    message.kind = MESSAGE_PART;
    assert_message(&message, &PLAIN, "[16:01:01] * ann leaves #dev\n");
    message = make_in_room(MESSAGE_JOIN, MESSAGE_LOBBY, "not shown");
    assert_message(&message, &PLAIN, "[16:01:01] * ann joins #lobby\n");
}

static void late_message_says_so(void **state)
{
    (void)state;
    Message message = make_message(MESSAGE_TEXT, "ann", "hi");
    message.late = true;
    message.incomplete = true;
    message.missed = true;
    assert_message(&message, &PLAIN, "[16:01:01 late] ann: hi\n");
}

/* ---- history ---- */

/* 2026-11-22T16:01:01Z */
static const int64_t SAID_MS = INT64_C(1795363261000);
enum { HOUR_MS = 3600 * 1000 };

static Message make_old(const char *content)
{
    Message message = make_message(MESSAGE_TEXT, "ann", content);
    message.time_ms = SAID_MS;
    strcpy(message.place, "5f3a91-17");
    return message;
}

static void assert_history(const Message *message, Kept kept, const char *snippet,
                           const char *expected)
{
    AUTO_STRBUF StrBuf out = {0};
    line_format_history(&out, &PLAIN, message, kept, snippet, SAID_MS + HOUR_MS);
    assert_string_equal(strbuf_text(&out), expected);
}

static void history_has_the_place_and_a_date_that_is_not_todays(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    Message message = make_old("hi");
    assert_history(&message, (Kept){0}, NULL, "5f3a91-17  [16:01:01] ann: hi\n");
    line_format_history(&out, &PLAIN, &message, (Kept){0}, NULL, SAID_MS + 8 * HOUR_MS);
    assert_string_equal(out.text, "5f3a91-17  [2026-11-22 16:01:01] ann: hi\n");
    strbuf_clear(&out);
    LineFormat east = {.utc_offset_s = 8 * 3600}; /* it is the 23rd there, then and now */
    message.second_of_day = 61;
    line_format_history(&out, &east, &message, (Kept){0}, NULL, SAID_MS + 8 * HOUR_MS);
    assert_string_equal(out.text, "5f3a91-17  [00:01:01] ann: hi\n");
    strbuf_clear(&out);
    line_format_history(&out, &east, &message, (Kept){0}, NULL, SAID_MS - HOUR_MS);
    assert_string_equal(out.text, "5f3a91-17  [2026-11-23 00:01:01] ann: hi\n");
}

static void history_holds_all_kinds_of_lines(void **state)
{
    (void)state;
    Message message = make_old("psst");
    message.place[0] = '\0';
    message.room = (char *)(uintptr_t) "@bob";
    assert_history(&message, (Kept){0}, NULL, "[16:01:01] ann -> bob: psst\n");
    message.room = (char *)(uintptr_t) "dev";
    message.kind = MESSAGE_PART;
    assert_history(&message, (Kept){0}, NULL, "[16:01:01] * ann leaves #dev\n");
    message = make_old("/me waves");
    message.kind = MESSAGE_ACTION;
    assert_history(&message, (Kept){0}, "", "5f3a91-17  [16:01:01] * ann waves\n");
    assert_history(&message, (Kept){0}, "\x02waves\x03", "5f3a91-17  [16:01:01] * ann *waves*\n");
}

static void own_history_says_how_far_it_is(void **state)
{
    (void)state;
    Message message = make_old("hi");
    assert_history(&message, (Kept){2, 3}, NULL, "5f3a91-17  [16:01:01] ann: hi\n");
    message.own = true;
    assert_history(&message, (Kept){0, 0}, NULL, "5f3a91-17  [16:01:01] ann: hi\n");
    assert_history(&message, (Kept){0, 3}, NULL,
                   "5f3a91-17  [16:01:01] ann: hi  (kept here only)\n");
    assert_history(&message, (Kept){2, 3}, NULL,
                   "5f3a91-17  [16:01:01] ann: hi  (kept by 2 of 3)\n");
    assert_history(&message, (Kept){3, 3}, NULL,
                   "5f3a91-17  [16:01:01] ann: hi  (kept by all 3)\n");
}

static const struct {
    const char *snippet;
    const char *plain;
    const char *colored;
} SNIPPETS[] = {
    {"a \x02"
     "b\x03 c \x02"
     "d\x03",
     "a *b* c *d*", "a \033[1mb\033[0m c \033[1md\033[0m"},
    /* What a sender wrote. */
    {"\x02left open", "*left open*", "\033[1mleft open\033[0m"},
    {"\x03"
     "never open\x03",
     "␃never open␃", "␃never open␃"},
    {"\x02\x02two\x03\x03", "*␂two*␃", "\033[1m␂two\033[0m␃"},
    {"\x02\033[2J\n\x03\xff", "*␛[2J␊*<FF>", "\033[1m␛[2J␊\033[0m<FF>"},
};

static void snippet_shows_its_matches_and_nothing_acts(void **state)
{
    (void)state;
    Message message = make_old("the whole");
    for (size_t i = 0; i < sizeof(SNIPPETS) / sizeof(SNIPPETS[0]); i++) {
        AUTO_STRBUF StrBuf expected = {0};
        AUTO_STRBUF StrBuf out = {0};
        strbuf_addf(&expected, "5f3a91-17  [16:01:01] ann: %s\n", SNIPPETS[i].plain);
        assert_history(&message, (Kept){0}, SNIPPETS[i].snippet, expected.text);
        strbuf_clear(&expected);
        strbuf_addf(&expected, "ann\033[0m: %s\n", SNIPPETS[i].colored);
        line_format_history(&out, &COLORED, &message, (Kept){0}, SNIPPETS[i].snippet, SAID_MS);
        assert_string_equal(strstr(out.text, "ann"), expected.text);
    }
}

static void time_not_told_is_that_of_this_zone(void **state)
{
    (void)state;
    Message message = make_message(MESSAGE_TEXT, "ann", "hi");
    message.second_of_day = -1;
    message.time_ms = 1000LL * 3600 * 23;
    LineFormat format = {.utc_offset_s = 2 * 3600};
    assert_message(&message, &format, "[01:00:00] ann: hi\n");
}

static void foreign_text_is_made_safe(void **state)
{
    (void)state;
    Message message = make_message(MESSAGE_TEXT, "a\033[2J", "\033]0;x\007\n[16:00:00] bob: hi");
    assert_message(&message, &PLAIN, "[16:01:01] a␛[2J: ␛]0;x␇␊[16:00:00] bob: hi\n");
    AUTO_STRBUF StrBuf out = {0};
    line_format_notice(&out, &PLAIN, NOTICE_ERROR, "peer said \033[1m");
    assert_string_equal(strbuf_text(&out), "-- peer said ␛[1m\n");
}

static void a_name_has_one_color(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf one = {0};
    AUTO_STRBUF StrBuf two = {0};
    Message message = make_message(MESSAGE_TEXT, "ann", "hi");
    line_format_message(&one, &COLORED, &message);
    line_format_message(&two, &COLORED, &message);
    assert_string_equal(strbuf_text(&one), strbuf_text(&two));
    assert_non_null(strstr(one.text, "\033[38;5;"));
    assert_non_null(strstr(one.text, "mann\033[0m: hi\n"));
    assert_memory_equal(one.text, "[16:01:01] \033", 12);
}

static void notice_lines_each_have_the_mark(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    line_format_notice(&out, &PLAIN, NOTICE_INFO, "one\ntwo\n");
    line_format_notice(&out, &PLAIN, NOTICE_INFO, "");
    line_format_notice(&out, &COLORED, NOTICE_INFO, "three");
    line_format_notice(&out, &COLORED, NOTICE_ERROR, "four");
    assert_string_equal(strbuf_text(&out),
                        "-- one\n-- two\n-- \n-- three\n\033[31m-- four\033[0m\n");
}

static void lost_lines_are_counted(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    line_format_lost(&out, &PLAIN, 1, "the terminal");
    line_format_lost(&out, &PLAIN, 17, "the terminal");
    assert_string_equal(strbuf_text(&out),
                        "-- 1 line was not shown: the terminal was too slow\n"
                        "-- 17 lines were not shown: the terminal was too slow\n");
}

static void assert_narrow(const StrBuf *out)
{
    size_t start = 0;
    for (size_t at = 0; at < out->len; at++) {
        if (out->text[at] == '\n') {
            assert_true(text_width(out->text + start, at - start) <= 40);
            start = at + 1;
        }
    }
}

static const LinkView LINKS[] = {
    {.host = "localhost", .port = 50051, .state = LINK_SELF, .peer_name = "", .down_reason = ""},
    {.host = "localhost",
     .port = 50052,
     .state = LINK_UP,
     .peer_name = "bob",
     .rtt_us = 312,
     .down_reason = ""},
    {.host = "::1",
     .port = 50053,
     .state = LINK_UP,
     .peer_name = "",
     .classic = true,
     .rtt_us = 12345,
     .queued_lines = 1,
     .down_reason = ""},
    {.host = "no.such.example",
     .port = 50054,
     .state = LINK_WAITING,
     .peer_name = "",
     .down_reason = "no address for this name",
     .retry_in_ms = 3210,
     .queued_lines = 1000,
     .refused_lines = 7},
    {.host = "c\033[m", .port = 1, .state = LINK_CONNECTING, .peer_name = "", .down_reason = ""},
};

static void list_is_numbered_and_says_why(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    for (size_t i = 0; i < sizeof(LINKS) / sizeof(LINKS[0]); i++) {
        line_format_list_row(&out, &PLAIN, i + 1, &LINKS[i]);
    }
    line_format_list_end(&out, 2, 4);
    assert_string_equal(strbuf_text(&out), "-- 1  localhost:50051  self\n"
                                           "-- 2  localhost:50052  up  bob  312 us\n"
                                           "--    linking\n"
                                           "-- 3  [::1]:50053  up  classic  12.3 ms\n"
                                           "--    1 line waits\n"
                                           "-- 4  no.such.example:50054  waiting\n"
                                           "--    no address for this name\n"
                                           "--    next try in 3.2 s, 1000 lines wait\n"
                                           "--    7 lines found the queue full\n"
                                           "-- 5  c␛[m:1  connecting\n"
                                           "-- connected 2/4\n");
    assert_narrow(&out);
}

static const struct {
    LinkView link;
    const char *row;
} STANDINGS[] = {
    {{.host = "h", .meshed = true}, "-- 7  h:50052  up  in step\n"},
    {{.host = "h", .meshed = true, .events_per_s = 7}, "-- 7  h:50052  up  in step\n"},
    {{.host = "h", .meshed = true, .here_lacks = 12}, "-- 7  h:50052  up  behind by 12\n"},
    {{.host = "h", .meshed = true, .here_lacks = 12, .events_per_s = 3400},
     "-- 7  h:50052  up  behind by 12, 3400/s\n"},
    {{.host = "h", .meshed = true, .peer_lacks = 12}, "-- 7  h:50052  up  gets 12 more\n"},
    {{.host = "h", .meshed = true, .here_lacks = 120000, .peer_lacks = 5, .events_per_s = 3400},
     "-- 7  h:50052  up\n--    behind by 120000, 3400/s\n--    gets 5 more\n"},
    {{.host = "h"}, "-- 7  h:50052  up  linking\n"},
    {{.host = "h", .classic = true}, "-- 7  h:50052  up  classic\n"},
    {{.host = "[::1]:3456", .meshed = true, .incoming = true},
     "-- 7  from [::1]:3456  up  in step\n"},
    /* 40 columns, then 41. */
    {{.host = "host-of-twelve", .meshed = true, .rtt_us = 99},
     "-- 7  host-of-twelve:50052  up  99 us\n--    in step\n"},
    {{.host = "host-of-8", .meshed = true, .rtt_us = 9},
     "-- 7  host-of-8:50052  up  9 us  in step\n"},
    {{.host = "host-of-09", .meshed = true, .rtt_us = 9},
     "-- 7  host-of-09:50052  up  9 us\n--    in step\n"},
};

static void list_says_how_the_logs_stand(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(STANDINGS) / sizeof(STANDINGS[0]); i++) {
        AUTO_STRBUF StrBuf out = {0};
        LinkView link = STANDINGS[i].link;
        link.port = link.incoming ? 0 : 50052;
        link.state = LINK_UP;
        link.peer_name = "";
        link.down_reason = "";
        line_format_list_row(&out, &PLAIN, 7, &link);
        assert_string_equal(out.text, STANDINGS[i].row);
        assert_narrow(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_time_name_and_text),
        cmocka_unit_test(room_is_named_where_it_is_not_the_lobby),
        cmocka_unit_test(direct_message_names_the_two),
        cmocka_unit_test(coming_and_going_is_told),
        cmocka_unit_test(late_message_says_so),
        cmocka_unit_test(history_has_the_place_and_a_date_that_is_not_todays),
        cmocka_unit_test(history_holds_all_kinds_of_lines),
        cmocka_unit_test(own_history_says_how_far_it_is),
        cmocka_unit_test(snippet_shows_its_matches_and_nothing_acts),
        cmocka_unit_test(time_not_told_is_that_of_this_zone),
        cmocka_unit_test(foreign_text_is_made_safe),
        cmocka_unit_test(a_name_has_one_color),
        cmocka_unit_test(notice_lines_each_have_the_mark),
        cmocka_unit_test(lost_lines_are_counted),
        cmocka_unit_test(list_is_numbered_and_says_why),
        cmocka_unit_test(list_says_how_the_logs_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
