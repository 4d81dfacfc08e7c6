/* Every trick of tests/sanitiser/cases.json, put through all that shows text: lines, history,
 * notices, lists, the line being typed, JSON, the log, the messages about nodes.json.
 *
 * In "raw" and "shown", \xNN is a byte and \\ a backslash; a text may be a list of texts and of
 * [text, how often]. */
#include "base/log.h"
#include "base/text.h"
#include "face/json_proto.h"
#include "face/line_format.h"
#include "face/line_view.h"
#include "io/nodes_json.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

enum { FILE_MAX_BYTES = 256 * 1024, CASES_LEAST = 100 };

typedef struct Case {
    const char *name; /* borrowed from the file's */
    StrBuf raw;
    StrBuf shown;
} Case;

typedef struct Cases {
    json_t *file;
    Case *items;
    size_t count;
} Cases;

/* ---- the file ---- */

static void add_unescaped(StrBuf *out, const char *text)
{
    while (*text != '\0') {
        char hex[3] = {0};
        if (text[0] == '\\' && text[1] == 'x') {
            memcpy(hex, text + 2, 2);
            strbuf_add_char(out, (char)strtol(hex, NULL, 16));
            text += 4;
        } else {
            text += text[0] == '\\' ? 1 : 0;
            strbuf_add_char(out, *text++);
        }
    }
}

static void add_text(StrBuf *out, const json_t *value)
{
    if (json_is_string(value)) {
        add_unescaped(out, json_string_value(value));
        return;
    }
    assert_true(json_is_array(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *part = json_array_get(value, i);
        const json_t *text = json_is_array(part) ? json_array_get(part, 0) : part;
        json_int_t times = json_is_array(part) ? json_integer_value(json_array_get(part, 1)) : 1;
        assert_true(json_is_string(text) && times > 0);
        for (json_int_t n = 0; n < times; n++) {
            add_unescaped(out, json_string_value(text));
        }
    }
}

static int cases_load(void **state)
{
    Cases *cases = mem_new(Cases);
    json_error_t error;
    cases->file = json_load_file(CHAT_SOURCE "/tests/sanitiser/cases.json", 0, &error);
    if (cases->file == NULL) {
        fprintf(stderr, "cases.json:%d: %s\n", error.line, error.text);
        return 1;
    }
    cases->count = json_array_size(cases->file);
    cases->items = mem_array(cases->count, sizeof(Case));
    for (size_t i = 0; i < cases->count; i++) {
        const json_t *row = json_array_get(cases->file, i);
        cases->items[i].name = json_string_value(json_object_get(row, "name"));
        add_text(&cases->items[i].raw, json_object_get(row, "raw"));
        add_text(&cases->items[i].shown, json_object_get(row, "shown"));
    }
    *state = cases;
    return cases->count >= CASES_LEAST ? 0 : 1;
}

static int cases_free(void **state)
{
    Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        strbuf_done(&cases->items[i].raw);
        strbuf_done(&cases->items[i].shown);
    }
    mem_free(cases->items);
    json_decref(cases->file);
    mem_free(cases);
    return 0;
}

/* ---- what a screen may get ---- */

static bool is_mark(const char *text, size_t len)
{
    return text_width(text, len) == 0;
}

/* One line of a screen: no control, no marks past the eighth on one character. */
static void assert_line(const Case *of, const char *text, size_t len)
{
    size_t marks = 0;
    if (!text_is_utf8(text, len) || text_has_controls(text, len)) {
        fail_msg("%s: \"%.*s\" acts on a screen", of->name, (int)len, text);
    }
    for (size_t at = 0; at < len;) {
        size_t used = text_char_len(text + at, len - at);
        marks = is_mark(text + at, used) ? marks + 1 : 0;
        if (marks > TEXT_MARKS_MAX) {
            fail_msg("%s: \"%.*s\" is a tower", of->name, (int)len, text);
        }
        at += used;
    }
}

/* What was made of a case is that many lines, and holds it as it is to be shown. */
static void assert_shown(const Case *of, const StrBuf *out, size_t lines)
{
    size_t count = 0;
    const char *at = strbuf_text(out);
    assert_int_equal(strlen(at), out->len);
    while (*at != '\0') {
        size_t len = strcspn(at, "\n");
        assert_line(of, at, len);
        assert_int_equal(at[len], '\n');
        at += len + 1;
        count++;
    }
    if (count != lines || strstr(strbuf_text(out), strbuf_text(&of->shown)) == NULL) {
        fail_msg("%s: %zu lines, not %zu: \"%s\"", of->name, count, lines, strbuf_text(out));
    }
}

/* ---- the sinks ---- */

static const LineFormat PLAIN = {.color = false};

static bool has_nul(const Case *of)
{
    return memchr(of->raw.text, '\0', of->raw.len) != NULL;
}

static Message make_message(const Case *of)
{
    static char lobby[] = MESSAGE_LOBBY;
    static char ann[] = "ann";
    return (Message){.refs = 1,
                     .sender = ann,
                     .room = lobby,
                     .content = of->raw.text,
                     .content_len = of->raw.len,
                     .second_of_day = 0};
}

static void text_becomes_what_the_corpus_says(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        AUTO_STRBUF StrBuf out = {0};
        AUTO_STRBUF StrBuf again = {0};
        text_sanitise(&out, of->raw.text, of->raw.len);
        assert_line(of, out.text, out.len);
        if (out.len != of->shown.len || memcmp(out.text, of->shown.text, out.len) != 0) {
            fail_msg("%s: \"%s\", not \"%s\"", of->name, out.text, of->shown.text);
        }
        text_sanitise(&again, out.text, out.len);
        assert_string_equal(again.text, out.text);
    }
}

static void line_shows_and_does_nothing(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        AUTO_STRBUF StrBuf out = {0};
        Message message = make_message(of);
        line_format_message(&out, &PLAIN, &message);
        assert_shown(of, &out, 1);
        strbuf_clear(&out);
        line_format_history(&out, &PLAIN, &message, (Kept){0}, NULL, 0);
        assert_shown(of, &out, 1);
    }
}

static void names_and_rooms_show_and_do_nothing(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        if (has_nul(of)) {
            continue; /* no C string holds one */
        }
        AUTO_STRBUF StrBuf out = {0};
        Message message = make_message(of);
        message.sender = of->raw.text;
        message.room = of->raw.text;
        line_format_message(&out, &PLAIN, &message);
        assert_shown(of, &out, 1);
        strbuf_clear(&out);
        message.kind = MESSAGE_JOIN;
        snprintf(message.place, sizeof(message.place), "%.20s", of->raw.text);
        line_format_history(&out, &PLAIN, &message, (Kept){0}, NULL, 0);
        assert_shown(of, &out, 1);
    }
}

static void what_a_search_found_shows_and_does_nothing(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        if (has_nul(of) || strpbrk(of->raw.text, "\001\002") != NULL) {
            continue; /* the marks of matches; test_line_format has them */
        }
        AUTO_STRBUF StrBuf out = {0};
        Message message = make_message(of);
        line_format_history(&out, &PLAIN, &message, (Kept){0}, of->raw.text, 0);
        assert_shown(of, &out, 1);
    }
}

static void notice_is_told_line_by_line(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        if (has_nul(of) || strchr(of->raw.text, '\n') != NULL) {
            continue; /* a notice of ours may have lines */
        }
        AUTO_STRBUF StrBuf out = {0};
        line_format_notice(&out, &PLAIN, NOTICE_ERROR, of->raw.text);
        assert_shown(of, &out, 1);
    }
}

static void list_shows_and_does_nothing(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        if (has_nul(of)) {
            continue;
        }
        AUTO_STRBUF StrBuf out = {0};
        LinkView link = {.host = "localhost",
                         .port = 1,
                         .state = LINK_WAITING,
                         .peer_name = of->raw.text,
                         .down_reason = of->raw.text};
        line_format_list_row(&out, &PLAIN, 1, &link);
        assert_shown(of, &out, 3);
    }
}

/* What is drawn of the line being typed, without the view's own moves. */
static void line_being_typed_shows_and_does_nothing(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        AUTO_STRBUF StrBuf out = {0};
        LineView view = {0};
        line_view_resize(&view, 20000, 24);
        line_view_draw(
            &view, &out,
            &(LineToDraw){
                .prompt = "", .text = of->raw.text, .len = of->raw.len, .cursor = of->raw.len});
        size_t from = out.text[0] == '\r' ? 1 : 0;
        from += strncmp(out.text + from, "\033[J", 3) == 0 ? 3 : 0;
        size_t to = out.len;
        /* Behind it: to the cursor's column. */
        for (size_t at = from; at < out.len; at++) {
            if (out.text[at] == '\r') {
                to = at;
                break;
            }
        }
        if (!text_is_utf8(out.text + from, to - from) ||
            text_has_controls(out.text + from, to - from)) {
            fail_msg("%s: typed, it acts: \"%s\"", of->name, out.text);
        }
        line_view_done(&view);
    }
}

/* ---- JSON: escapes keep all that is text; what is none is shown as on a screen ---- */

static void assert_json(const Case *of, const StrBuf *out, const char *key)
{
    for (size_t at = 0; at + 1 < out->len; at++) {
        if (out->text[at] < ' ' || out->text[at] == 0x7f) {
            fail_msg("%s: bare controls or more than ASCII: %s", of->name, out->text);
        }
    }
    assert_int_equal(out->text[out->len - 1], '\n');
    json_t *object = json_loadb(out->text, out->len, JSON_ALLOW_NUL, NULL);
    assert_non_null(object);
    const json_t *value = json_object_get(object, key);
    const StrBuf *wanted = text_is_utf8(of->raw.text, of->raw.len) ? &of->raw : &of->shown;
    if (json_string_length(value) != wanted->len ||
        memcmp(json_string_value(value), wanted->text, wanted->len) != 0) {
        fail_msg("%s: \"%s\" is not what was said", of->name, out->text);
    }
    json_decref(object);
}

static void json_is_ascii_and_decodes_to_what_was_said(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        AUTO_STRBUF StrBuf out = {0};
        Message message = make_message(of);
        json_add_message(&out, &message, 0);
        assert_json(of, &out, "content");
        strbuf_clear(&out);
        json_add_history(&out, &message, (Kept){0}, NULL, 0);
        assert_json(of, &out, "content");
        if (has_nul(of)) {
            continue;
        }
        strbuf_clear(&out);
        message.sender = of->raw.text;
        json_add_message(&out, &message, 0);
        assert_json(of, &out, "sender");
        strbuf_clear(&out);
        json_add_notice(&out, NOTICE_INFO, of->raw.text);
        assert_json(of, &out, "text");
        strbuf_clear(&out);
        json_add_error(&out, 1, of->raw.text);
        assert_json(of, &out, "text");
        strbuf_clear(&out);
        json_add_history(&out, &message, (Kept){0}, of->raw.text, 0);
        assert_json(of, &out, "snippet");
    }
}

/* ---- the log, and nodes.json ---- */

static void take_log(void *context, LogLevel level, const char *text)
{
    (void)level;
    strbuf_add_string(context, text);
    strbuf_add_char(context, '\n');
}

static void log_line_shows_and_does_nothing(void **state)
{
    const Cases *cases = *state;
    for (size_t i = 0; i < cases->count; i++) {
        const Case *of = &cases->items[i];
        if (has_nul(of)) {
            continue;
        }
        AUTO_STRBUF StrBuf out = {0};
        log_set_sink(take_log, &out);
        log_error("it said: %s", of->raw.text);
        log_set_sink(NULL, NULL);
        assert_shown(of, &out, 1);
    }
}

static void bad_nodes_json_is_told_on_one_line(void **state)
{
    const Cases *cases = *state;
    static const char *const forms[] = {"[{\"host\": \"%s\", \"port\": 1}]",
                                        "[{\"%s\": 1, \"port\": 1}]", "[%s]", "%s"};
    for (size_t i = 0; i < cases->count * (sizeof(forms) / sizeof(forms[0])); i++) {
        const Case *of = &cases->items[i / 4];
        AUTO_STRBUF StrBuf text = {0};
        NodesJson nodes = {0};
        char *error = NULL;
        const char *form = forms[i % 4];
        const char *place = strstr(form, "%s");
        strbuf_add(&text, form, (size_t)(place - form));
        strbuf_add(&text, of->raw.text, of->raw.len);
        strbuf_add_string(&text, place + 2);
        NodesJsonSelf self = {.port = 50051};
        if (nodes_json_parse("nodes.json", text.text, text.len, &self, &nodes, &error) != ERR_OK) {
            assert_line(of, error, strlen(error));
        }
        for (size_t n = 0; n < nodes.warnings_count; n++) {
            assert_line(of, nodes.warnings[n], strlen(nodes.warnings[n]));
        }
        nodes_json_done(&nodes);
        mem_free(error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_what_the_corpus_says),
        cmocka_unit_test(line_shows_and_does_nothing),
        cmocka_unit_test(names_and_rooms_show_and_do_nothing),
        cmocka_unit_test(what_a_search_found_shows_and_does_nothing),
        cmocka_unit_test(notice_is_told_line_by_line),
        cmocka_unit_test(list_shows_and_does_nothing),
        cmocka_unit_test(line_being_typed_shows_and_does_nothing),
        cmocka_unit_test(json_is_ascii_and_decodes_to_what_was_said),
        cmocka_unit_test(log_line_shows_and_does_nothing),
        cmocka_unit_test(bad_nodes_json_is_told_on_one_line),
    };
    return cmocka_run_group_tests(tests, cases_load, cases_free);
}
