/* JSON lines: golden output, and what input is taken for. */
#include "face/json_proto.h"

#include <stdbool.h>
#include <string.h>

#include "unit.h"

/* What follows of a message of no room and no place of its own. */
#define PLAIN_REST "\"room\":\"lobby\",\"id\":null,\"own\":false,\"late\":false,\"missed\":false"

static Message make_message(MessageKind kind, const char *content, size_t len)
{
    static char sender[] = "ann";
    static char room[] = MESSAGE_LOBBY;
    return (Message){
        .refs = 1,
        .kind = kind,
        .sender = sender,
        .room = room,
        .content = (char *)(uintptr_t)content,
        .content_len = len,
        .time_ms = INT64_C(1795363200123),
        .second_of_day = 17 * 3600,
    };
}

static void assert_message(MessageKind kind, const char *content, size_t len, const char *expected)
{
    AUTO_STRBUF StrBuf out = {0};
    Message message = make_message(kind, content, len);
    json_add_message(&out, &message, 0);
    assert_string_equal(strbuf_text(&out), expected);
}

static void message_is_one_object_of_ascii(void **state)
{
    (void)state;
    assert_message(MESSAGE_TEXT, "hi \"é\"\n\033[2J", 12,
                   "{\"type\":\"message\",\"time\":\"2026-11-22T16:00:00.123Z\","
                   "\"clock\":\"17:00:00\",\"sender\":\"ann\",\"fingerprint\":null,"
                   "\"content\":\"hi \\\"\\u00E9\\\"\\n\\u001B[2J\",\"kind\":\"text\"," PLAIN_REST
                   "}\n");
    assert_message(MESSAGE_ACTION, "/me waves", 9,
                   "{\"type\":\"message\",\"time\":\"2026-11-22T16:00:00.123Z\","
                   "\"clock\":\"17:00:00\",\"sender\":\"ann\",\"fingerprint\":null,"
                   "\"content\":\"waves\",\"kind\":\"action\"," PLAIN_REST "}\n");
    /* The core lets no such thing in; were it to, the object would still be one. */
    assert_message(MESSAGE_TEXT, "\xff", 1,
                   "{\"type\":\"message\",\"time\":\"2026-11-22T16:00:00.123Z\","
                   "\"clock\":\"17:00:00\",\"sender\":\"ann\",\"fingerprint\":null,"
                   "\"content\":\"<FF>\",\"kind\":\"text\"," PLAIN_REST "}\n");
}

static Message make_placed(MessageKind kind, const char *content)
{
    Message message = make_message(kind, content, strlen(content));
    message.room = (char *)(uintptr_t) "@bób";
    strcpy(message.place, "5f3a91-18");
    message.own = true;
    message.late = true;
    message.missed = true;
    return message;
}

#define PLACED                                                                                     \
    "\"time\":\"2026-11-22T16:00:00.123Z\",\"clock\":\"17:00:00\",\"sender\":\"ann\","             \
    "\"fingerprint\":null,"
#define PLACED_REST                                                                                \
    "\"room\":\"@b\\u00F3b\",\"id\":\"5f3a91-18\",\"own\":true,\"late\":true,\"missed\":true"

static void message_tells_its_room_and_its_place(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    static const struct {
        MessageKind kind;
        const char *name;
    } kinds[] = {{MESSAGE_TEXT, "text"}, {MESSAGE_JOIN, "join"}, {MESSAGE_PART, "part"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        AUTO_STRBUF StrBuf expected = {0};
        Message message = make_placed(kinds[i].kind, "hi");
        strbuf_clear(&out);
        strbuf_addf(&expected,
                    "{\"type\":\"message\"," PLACED
                    "\"content\":\"hi\",\"kind\":\"%s\"," PLACED_REST "}\n",
                    kinds[i].name);
        json_add_message(&out, &message, 0);
        assert_string_equal(out.text, expected.text);
    }
}

static void history_is_a_message_and_how_far_it_is(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    Message message = make_placed(MESSAGE_ACTION, "/me waves");
    json_add_history(&out, &message, (Kept){2, 3}, "\x02waves\x03", 0);
    assert_string_equal(out.text,
                        "{\"type\":\"history\"," PLACED
                        "\"content\":\"waves\",\"kind\":\"action\"," PLACED_REST
                        ",\"snippet\":\"\\u0002waves\\u0003\",\"kept_by\":2,\"known\":3}\n");
    strbuf_clear(&out);
    message.own = false;
    json_add_history(&out, &message, (Kept){2, 3}, NULL, 0);
    assert_non_null(strstr(out.text, ",\"snippet\":null,\"kept_by\":null,\"known\":null}\n"));
}

static void kept_names_the_message_by_its_place(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    Message message = make_placed(MESSAGE_TEXT, "hi");
    json_add_kept(&out, &message, (Kept){2, 3});
    assert_string_equal(out.text,
                        "{\"type\":\"kept\",\"id\":\"5f3a91-18\",\"by\":2,\"known\":3}\n");
}

static void time_out_of_range_is_still_a_time(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    Message message = make_message(MESSAGE_TEXT, "x", 1);
    message.time_ms = INT64_MAX;
    json_add_message(&out, &message, 0);
    assert_non_null(strstr(out.text, "\"9999-12-31T23:59:59.999Z\""));
    strbuf_clear(&out);
    message.time_ms = INT64_MIN;
    json_add_message(&out, &message, 0);
    assert_non_null(strstr(out.text, "\"1970-01-01T00:00:00.000Z\""));
}

#define UNLINKED                                                                                   \
    "\"link\":null,\"peer_lacks\":null,\"here_lacks\":null,\"events_per_s\":null,\"incoming\":"    \
    "false"

static void list_tells_all_of_each_node(void **state)
{
    (void)state;
    const LinkView links[] = {
        {.host = "localhost",
         .port = 50052,
         .state = LINK_UP,
         .peer_name = "bob",
         .rtt_us = 312,
         .down_reason = "",
         .fingerprint = "3f2a-91bc-04d7-be11"},
        {.host = "h",
         .port = 1,
         .state = LINK_WAITING,
         .peer_name = "",
         .down_reason = "refused",
         .retry_in_ms = 3200,
         .queued_lines = 4,
         .refused_lines = 5},
        {.host = "c",
         .port = 2,
         .state = LINK_UP,
         .classic = true,
         .peer_name = "",
         .down_reason = ""},
        {.host = "t", .port = 3, .state = LINK_TWIN, .peer_name = "", .down_reason = "node 1"},
    };
    AUTO_STRBUF StrBuf out = {0};
    json_add_list(&out, links, 4, 2, 3);
    assert_string_equal(
        strbuf_text(&out),
        "{\"type\":\"list\",\"nodes\":["
        "{\"number\":1,\"host\":\"localhost\",\"port\":50052,\"state\":\"up\",\"kind\":\"node\","
        "\"name\":\"bob\",\"fingerprint\":\"3f2a-91bc-04d7-be11\",\"rtt_us\":312,"
        "\"reason\":null,\"retry_in_ms\":null,"
        "\"waiting_lines\":0,\"refused_lines\":0," UNLINKED "},"
        "{\"number\":2,\"host\":\"h\",\"port\":1,\"state\":\"waiting\",\"kind\":\"unknown\","
        "\"name\":null,\"fingerprint\":null,\"rtt_us\":null,\"reason\":\"refused\",\"retry_in_ms\":"
        "3200,"
        "\"waiting_lines\":4,\"refused_lines\":5," UNLINKED "},"
        "{\"number\":3,\"host\":\"c\",\"port\":2,\"state\":\"up\",\"kind\":\"classic\","
        "\"name\":null,\"fingerprint\":null,\"rtt_us\":null,\"reason\":null,\"retry_in_ms\":null,"
        "\"waiting_lines\":0,\"refused_lines\":0," UNLINKED "},"
        "{\"number\":4,\"host\":\"t\",\"port\":3,\"state\":\"twin\",\"kind\":\"unknown\","
        "\"name\":null,\"fingerprint\":null,\"rtt_us\":null,\"reason\":\"node "
        "1\",\"retry_in_ms\":null,"
        "\"waiting_lines\":0,\"refused_lines\":0," UNLINKED "}"
        "],\"connected\":2,\"total\":3}\n");
}

static void list_tells_how_the_logs_stand(void **state)
{
    (void)state;
    static const struct {
        LinkView link;
        const char *rest;
    } rows[] = {
        {{.incoming = true},
         "\"link\":\"in step\",\"peer_lacks\":0,\"here_lacks\":0,"
         "\"events_per_s\":0,\"incoming\":true}"},
        {{.peer_lacks = 2},
         "\"link\":\"ahead\",\"peer_lacks\":2,\"here_lacks\":0,"
         "\"events_per_s\":0,\"incoming\":false}"},
        {{.peer_lacks = 2, .here_lacks = 3, .events_per_s = 4},
         "\"link\":\"behind\",\"peer_lacks\":2,\"here_lacks\":3,"
         "\"events_per_s\":4,\"incoming\":false}"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        AUTO_STRBUF StrBuf out = {0};
        LinkView link = rows[i].link;
        link.host = "h";
        link.peer_name = "";
        link.down_reason = "";
        link.state = LINK_UP;
        link.meshed = true;
        json_add_list(&out, &link, 1, 1, 1);
        assert_non_null(strstr(out.text, rows[i].rest));
    }
}

static void the_rest_is_one_object_each(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf out = {0};
    json_add_notice(&out, NOTICE_INFO, "hi");
    json_add_notice(&out, NOTICE_WARNING, "\x9b");
    json_add_notice(&out, NOTICE_ERROR, "é");
    json_add_lost(&out, 12);
    json_add_error(&out, 7, "no");
    assert_string_equal(strbuf_text(&out),
                        "{\"type\":\"notice\",\"level\":\"info\",\"text\":\"hi\"}\n"
                        "{\"type\":\"notice\",\"level\":\"warning\",\"text\":\"<9B>\"}\n"
                        "{\"type\":\"notice\",\"level\":\"error\",\"text\":\"\\u00E9\"}\n"
                        "{\"type\":\"lost\",\"count\":12}\n"
                        "{\"type\":\"error\",\"line\":7,\"text\":\"no\"}\n");
}

static const struct {
    const char *input;
    const char *line; /* NULL: refused */
} INPUTS[] = {
    {"{\"type\":\"message\",\"content\":\"hi\"}", "hi"},
    {" {\"content\":\"/list\",\"type\":\"message\"} ", "//list"},
    {"{\"type\":\"message\",\"content\":\"//x\"}", "///x"},
    {"{\"type\":\"message\",\"content\":\"/me waves\"}", "//me waves"},
    {"{\"type\":\"message\",\"content\":\"\\u00e9\\n\\ud83d\\ude00\"}", "é\n😀"},
    {"{\"type\":\"message\",\"content\":\"hi\",\"more\":1}", "hi"},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"dev\"}", "/to dev hi"},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"lobby\"}", "/to lobby hi"},
    {"{\"type\":\"message\",\"content\":\"/list\",\"room\":\"dev\"}", "/to dev /list"},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"@bob\"}", "/msg bob hi"},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"@\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"a b\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":\"a\\tb\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"hi\",\"room\":null}", NULL},
    {"{\"type\":\"message\",\"content\":\"\",\"room\":\"dev\"}", NULL},
    {"{\"type\":\"command\",\"line\":\"/list\"}", "/list"},
    {"{\"type\":\"command\",\"line\":\"/nick bob\"}", "/nick bob"},
    {"{\"type\":\"command\",\"line\":\"list\"}", NULL},
    {"{\"type\":\"command\",\"line\":\"//list\"}", NULL},
    {"{\"type\":\"command\",\"line\":\"\"}", NULL},
    {"{\"type\":\"command\",\"line\":7}", NULL},
    {"{\"type\":\"command\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"\"}", NULL},
    {"{\"type\":\"message\",\"content\":[\"hi\"]}", NULL},
    {"{\"type\":\"message\",\"content\":\"\\u0000\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"\\ud83d\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"\xff\"}", NULL},
    {"{\"type\":\"message\",\"content\":\"a\",\"content\":\"b\"}", NULL},
    {"{\"type\":\"quit\"}", NULL},
    {"{}", NULL},
    {"[]", NULL},
    {"\"hi\"", NULL},
    {"7", NULL},
    {"hi", NULL},
    {"{\"type\":\"message\",\"content\":\"hi\"} x", NULL},
    {"{", NULL},
};

static void input_is_taken_or_explained(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(INPUTS) / sizeof(INPUTS[0]); i++) {
        AUTO_STRBUF StrBuf line = {0};
        AUTO_STRBUF StrBuf reason = {0};
        Err err = json_parse_input(INPUTS[i].input, strlen(INPUTS[i].input), &line, &reason);
        assert_int_equal(err, INPUTS[i].line != NULL ? ERR_OK : ERR_INVALID);
        assert_string_equal(strbuf_text(&line), INPUTS[i].line != NULL ? INPUTS[i].line : "");
        assert_true((reason.len > 0) == (err != ERR_OK));
    }
}

static void every_beginning_of_an_object_is_refused(void **state)
{
    (void)state;
    const char *input = INPUTS[4].input;
    for (size_t len = 0; len < strlen(input); len++) {
        AUTO_STRBUF StrBuf line = {0};
        AUTO_STRBUF StrBuf reason = {0};
        assert_int_equal(json_parse_input(input, len, &line, &reason), ERR_INVALID);
        assert_int_equal(line.len, 0);
    }
}

static void long_content_is_refused_with_its_size(void **state)
{
    (void)state;
    for (size_t len = MESSAGE_CONTENT_MAX_BYTES; len <= MESSAGE_CONTENT_MAX_BYTES + 1; len++) {
        AUTO_STRBUF StrBuf input = {0};
        AUTO_STRBUF StrBuf line = {0};
        AUTO_STRBUF StrBuf reason = {0};
        strbuf_addf(&input, "{\"type\":\"message\",\"content\":\"%0*d\"}", (int)len, 0);
        bool fits = len <= MESSAGE_CONTENT_MAX_BYTES;
        assert_int_equal(json_parse_input(input.text, input.len, &line, &reason),
                         fits ? ERR_OK : ERR_INVALID);
        assert_true(fits || strstr(reason.text, "8193") != NULL);
    }
}

static void long_room_is_refused_with_its_size(void **state)
{
    (void)state;
    for (int len = EVENT_ROOM_MAX_BYTES; len <= EVENT_ROOM_MAX_BYTES + 1; len++) {
        AUTO_STRBUF StrBuf input = {0};
        AUTO_STRBUF StrBuf line = {0};
        AUTO_STRBUF StrBuf reason = {0};
        strbuf_addf(&input, "{\"type\":\"message\",\"content\":\"hi\",\"room\":\"%0*d\"}", len, 0);
        bool fits = len <= EVENT_ROOM_MAX_BYTES;
        assert_int_equal(json_parse_input(input.text, input.len, &line, &reason),
                         fits ? ERR_OK : ERR_INVALID);
        assert_true(fits || strstr(reason.text, "65") != NULL);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf input = {0};
    AUTO_STRBUF StrBuf line = {0};
    AUTO_STRBUF StrBuf reason = {0};
    for (int i = 0; i < JSON_LINE_MAX_BYTES; i++) {
        strbuf_add_char(&input, '[');
    }
    assert_int_equal(json_parse_input(input.text, input.len, &line, &reason), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_one_object_of_ascii),
        cmocka_unit_test(message_tells_its_room_and_its_place),
        cmocka_unit_test(history_is_a_message_and_how_far_it_is),
        cmocka_unit_test(kept_names_the_message_by_its_place),
        cmocka_unit_test(time_out_of_range_is_still_a_time),
        cmocka_unit_test(list_tells_all_of_each_node),
        cmocka_unit_test(list_tells_how_the_logs_stand),
        cmocka_unit_test(the_rest_is_one_object_each),
        cmocka_unit_test(input_is_taken_or_explained),
        cmocka_unit_test(every_beginning_of_an_object_is_refused),
        cmocka_unit_test(long_content_is_refused_with_its_size),
        cmocka_unit_test(long_room_is_refused_with_its_size),
        cmocka_unit_test(deep_nesting_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
