/* JSON lines through jansson. */
#include "face/json_proto.h"

#include "base/text.h"
#include "face/line_format.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { MS_PER_S = 1000, DELETE = 0x7f };

static const char *const LEVEL_NAMES[] = {
    [NOTICE_INFO] = "info", [NOTICE_WARNING] = "warning", [NOTICE_ERROR] = "error"};

static const char *const KIND_NAMES[] = {[MESSAGE_TEXT] = "text",
                                         [MESSAGE_ACTION] = "action",
                                         [MESSAGE_JOIN] = "join",
                                         [MESSAGE_PART] = "part"};

static const char FORMS[] = "write {\"type\":\"message\",\"content\":\"hi\"} or "
                            "{\"type\":\"command\",\"line\":\"/list\"}";

/* Takes object over. */
static void add_object(StrBuf *out, json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(object);
    if (text == NULL) {
        return;
    }
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == DELETE) { /* the one control that jansson takes for a printable character */
            strbuf_add_string(out, "\\u007F");
        } else {
            strbuf_add_char(out, *at);
        }
    }
    strbuf_add_char(out, '\n');
    mem_free(text);
}

/* What is not UTF-8 is shown as the sanitiser shows it. */
static json_t *make_string(const char *text, size_t len)
{
    if (text_is_utf8(text, len)) {
        return json_stringn(text, len);
    }
    AUTO_STRBUF StrBuf safe = {0};
    text_sanitise(&safe, text, len);
    return json_stringn(strbuf_text(&safe), safe.len);
}

static json_t *make_c_string(const char *text)
{
    return make_string(text, strlen(text));
}

static json_t *string_or_null(const char *text)
{
    return text[0] != '\0' ? make_c_string(text) : json_null();
}

static json_t *number_or_null(bool known, uint64_t number)
{
    return known ? json_integer((json_int_t)number) : json_null();
}

/* RFC 3339. A time past its four-digit years is shown as the last of them. */
static json_t *make_time(int64_t time_ms)
{
    static const int64_t last_ms = INT64_C(253402300799999);
    time_ms = time_ms < 0 ? 0 : (time_ms > last_ms ? last_ms : time_ms);
    time_t second = (time_t)(time_ms / MS_PER_S);
    struct tm utc;
    char date[sizeof("2026-11-22T16:00:00")];
    gmtime_r(&second, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    return json_sprintf("%s.%03dZ", date, (int)(time_ms % MS_PER_S));
}

static void set_message(json_t *object, const Message *message, int32_t utc_offset_s)
{
    char clock[9];
    line_format_clock(message, utc_offset_s, clock);
    const char *content = message_shown_content(message);
    size_t len = message->content_len - (size_t)(content - message->content);
    json_object_set_new(object, "time", make_time(message->time_ms));
    json_object_set_new(object, "clock", json_string(clock));
    json_object_set_new(object, "sender", make_c_string(message->sender));
    json_object_set_new(object, "fingerprint", string_or_null(message->fingerprint));
    json_object_set_new(object, "content", make_string(content, len));
    json_object_set_new(object, "kind", json_string(KIND_NAMES[message->kind]));
    json_object_set_new(object, "room", make_c_string(message->room));
    json_object_set_new(object, "id", string_or_null(message->place));
    json_object_set_new(object, "own", json_boolean(message->own));
    json_object_set_new(object, "late", json_boolean(message->late));
    json_object_set_new(object, "missed", json_boolean(message->missed));
}

void json_add_message(StrBuf *out, const Message *message, int32_t utc_offset_s)
{
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("message"));
    set_message(object, message, utc_offset_s);
    add_object(out, object);
}

void json_add_history(StrBuf *out, const Message *message, Kept kept, const char *snippet,
                      int32_t utc_offset_s)
{
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("history"));
    set_message(object, message, utc_offset_s);
    json_object_set_new(object, "snippet", string_or_null(snippet != NULL ? snippet : ""));
    json_object_set_new(object, "kept_by", number_or_null(message->own, kept.by));
    json_object_set_new(object, "known", number_or_null(message->own, kept.known));
    add_object(out, object);
}

void json_add_kept(StrBuf *out, const Message *message, Kept kept)
{
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("kept"));
    json_object_set_new(object, "id", string_or_null(message->place));
    json_object_set_new(object, "by", json_integer((json_int_t)kept.by));
    json_object_set_new(object, "known", json_integer((json_int_t)kept.known));
    add_object(out, object);
}

void json_add_notice(StrBuf *out, NoticeLevel level, const char *text)
{
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("notice"));
    json_object_set_new(object, "level", json_string(LEVEL_NAMES[level]));
    json_object_set_new(object, "text", make_c_string(text));
    add_object(out, object);
}

/* Whether it is of the older kind is known once it has answered. */
static const char *link_kind(const LinkView *link)
{
    if (link->classic) {
        return "classic";
    }
    bool answered = link->state == LINK_UP || link->peer_name[0] != '\0';
    return answered ? "node" : "unknown";
}

/* How the logs stand to each other, where that is known; "behind" is this node. */
static json_t *make_standing(const LinkView *link)
{
    if (!link->meshed) {
        return json_null();
    }
    const char *ahead = link->peer_lacks > 0 ? "ahead" : "in step";
    return json_string(link->here_lacks > 0 ? "behind" : ahead);
}

static json_t *make_link(const LinkView *link, size_t number)
{
    bool waiting = link->state == LINK_WAITING;
    json_t *object = json_object();
    json_object_set_new(object, "number", json_integer((json_int_t)number));
    json_object_set_new(object, "host", make_c_string(link->host));
    json_object_set_new(object, "port", json_integer(link->port));
    json_object_set_new(object, "state", json_string(link_state_name(link->state)));
    json_object_set_new(object, "kind", json_string(link_kind(link)));
    json_object_set_new(object, "name", string_or_null(link->peer_name));
    json_object_set_new(object, "fingerprint", string_or_null(link->fingerprint));
    json_object_set_new(object, "rtt_us", number_or_null(link->rtt_us > 0, link->rtt_us));
    json_object_set_new(object, "reason", string_or_null(link->down_reason));
    json_object_set_new(object, "retry_in_ms", number_or_null(waiting, link->retry_in_ms));
    json_object_set_new(object, "waiting_lines", json_integer((json_int_t)link->queued_lines));
    json_object_set_new(object, "refused_lines", json_integer((json_int_t)link->refused_lines));
    json_object_set_new(object, "link", make_standing(link));
    json_object_set_new(object, "peer_lacks", number_or_null(link->meshed, link->peer_lacks));
    json_object_set_new(object, "here_lacks", number_or_null(link->meshed, link->here_lacks));
    json_object_set_new(object, "events_per_s", number_or_null(link->meshed, link->events_per_s));
    json_object_set_new(object, "incoming", json_boolean(link->incoming));
    return object;
}

void json_add_list(StrBuf *out, const LinkView *links, size_t count, size_t connected, size_t total)
{
    json_t *nodes = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(nodes, make_link(&links[i], i + 1));
    }
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("list"));
    json_object_set_new(object, "nodes", nodes);
    json_object_set_new(object, "connected", json_integer((json_int_t)connected));
    json_object_set_new(object, "total", json_integer((json_int_t)total));
    add_object(out, object);
}

void json_add_lost(StrBuf *out, uint64_t count)
{
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("lost"));
    json_object_set_new(object, "count", json_integer((json_int_t)count));
    add_object(out, object);
}

void json_add_error(StrBuf *out, uint64_t line, const char *text)
{
    json_t *object = json_object();
    json_object_set_new(object, "type", json_string("error"));
    json_object_set_new(object, "line", json_integer((json_int_t)line));
    json_object_set_new(object, "text", make_c_string(text));
    add_object(out, object);
}

static Err fail(StrBuf *reason, const char *what)
{
    strbuf_addf(reason, "%s: %s", what, FORMS);
    return ERR_INVALID;
}

/* Adds the command that says what follows in that room: its name is one word of the line, so
 * nothing in it may end the word or the line. */
static Err add_room_command(const json_t *value, StrBuf *line, StrBuf *reason)
{
    const char *room = json_string_value(value);
    size_t len = json_string_length(value);
    bool direct = room != NULL && room[0] == '@';
    if (room == NULL || len == (direct ? 1 : 0)) {
        return fail(reason, "\"room\" must be a room's name or \"@\" and a person's");
    }
    if (len > EVENT_ROOM_MAX_BYTES) {
        strbuf_addf(reason, "\"room\" has %zu bytes, and %d is the most: use a shorter name", len,
                    EVENT_ROOM_MAX_BYTES);
        return ERR_INVALID;
    }
    if (text_has_controls(room, len) || strchr(room, ' ') != NULL) {
        return fail(reason, "\"room\" holds a space or a control character, it must be one word");
    }
    strbuf_addf(line, direct ? "/msg %s " : "/to %s ", direct ? room + 1 : room);
    return ERR_OK;
}

static Err parse_message(const json_t *object, StrBuf *line, StrBuf *reason)
{
    const json_t *room = json_object_get(object, "room");
    const json_t *content = json_object_get(object, "content");
    const char *text = json_string_value(content);
    size_t len = json_string_length(content);
    if (text == NULL) {
        return fail(reason, "a message needs \"content\", a string");
    }
    if (len == 0) {
        return fail(reason, "\"content\" is empty, there is nothing to say");
    }
    if (len > MESSAGE_CONTENT_MAX_BYTES) {
        strbuf_addf(reason, "\"content\" has %zu bytes, and %d is the most: send it in parts", len,
                    MESSAGE_CONTENT_MAX_BYTES);
        return ERR_INVALID;
    }
    Err err = ERR_OK;
    if (room != NULL) {
        err = add_room_command(room, line, reason);
    } else if (text[0] == '/') {
        strbuf_add_char(line, '/');
    }
    strbuf_add(line, text, err == ERR_OK ? len : 0);
    return err;
}

static Err parse_command(const json_t *object, StrBuf *line, StrBuf *reason)
{
    const json_t *command = json_object_get(object, "line");
    const char *text = json_string_value(command);
    if (text == NULL) {
        return fail(reason, "a command needs \"line\", a string");
    }
    if (text[0] != '/' || text[1] == '/') {
        return fail(reason, "\"line\" must start with one slash, to say something use a message");
    }
    strbuf_add(line, text, json_string_length(command));
    return ERR_OK;
}

Err json_parse_input(const char *input, size_t len, StrBuf *line, StrBuf *reason)
{
    json_error_t error;
    json_t *object = json_loadb(input, len, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        strbuf_addf(reason, "not JSON at column %d (%s): %s", error.column, error.text, FORMS);
        return ERR_INVALID;
    }
    const char *type = json_string_value(json_object_get(object, "type"));
    Err err = ERR_INVALID;
    if (type != NULL && strcmp(type, "message") == 0) {
        err = parse_message(object, line, reason);
    } else if (type != NULL && strcmp(type, "command") == 0) {
        err = parse_command(object, line, reason);
    } else {
        err = fail(reason, "\"type\" must be \"message\" or \"command\"");
    }
    json_decref(object);
    return err;
}
