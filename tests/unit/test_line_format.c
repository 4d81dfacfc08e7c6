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
    return (Message){
        .refs = 1,
        .kind = kind,
        .sender = (char *)(uintptr_t)sender,
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
                                           "-- 3  [::1]:50053  up  classic  12.3 ms\n"
                                           "--    1 line waits\n"
                                           "-- 4  no.such.example:50054  waiting\n"
                                           "--    no address for this name\n"
                                           "--    next try in 3.2 s, 1000 lines wait\n"
                                           "--    7 lines found the queue full\n"
                                           "-- 5  c␛[m:1  connecting\n"
                                           "-- connected 2/4\n");
    size_t start = 0;
    for (size_t at = 0; at < out.len; at++) {
        if (out.text[at] == '\n') {
            assert_true(text_width(out.text + start, at - start) <= 40);
            start = at + 1;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_time_name_and_text),
        cmocka_unit_test(time_not_told_is_that_of_this_zone),
        cmocka_unit_test(foreign_text_is_made_safe),
        cmocka_unit_test(a_name_has_one_color),
        cmocka_unit_test(notice_lines_each_have_the_mark),
        cmocka_unit_test(lost_lines_are_counted),
        cmocka_unit_test(list_is_numbered_and_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
