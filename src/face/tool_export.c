/* All of the log, in the order of (stream, seq): lines, JSON, or only its hash.
 *
 *   5f3a91-17  2026-11-22T16:00:00.123Z  lobby  text  ann: hi */
#include "face/tool_impl.h"

#include "base/moment.h"
#include "base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    PLACE_BYTES = sizeof(((Message *)NULL)->place),
    /* Some hundred events: enough to be fast, little to be held for a reader that is slow. */
    PIECE_BYTES = 128 * 1024,
    DELETE = 0x7f,
};

static const char *const KIND_NAMES[] = {
    [LOG_TEXT] = "text",         [LOG_ACTION] = "action", [LOG_JOIN] = "join",
    [LOG_PART] = "part",         [LOG_NICK] = "nick",     [LOG_TOPIC] = "topic",
    [LOG_ROOM_KEY] = "room_key", [LOG_MEMBER] = "member", [LOG_REVOKE] = "revoke",
    [LOG_SEALED] = "sealed",
};

typedef struct Export {
    Tool *tool;
    StoreExport *source;
    uint64_t events;
} Export;

static void export_free(void *work)
{
    Export *export = work;
    store_export_free(export->source);
    mem_free(export);
}

/* A kind of a later version is its number. */
static void kind_text(int kind, char *ret_text, size_t size)
{
    if (kind >= LOG_TEXT && kind <= LOG_SEALED) {
        snprintf(ret_text, size, "%s", KIND_NAMES[kind]);
    } else {
        snprintf(ret_text, size, "%d", kind);
    }
}

/* ---- lines ---- */

static bool is_binary(int kind)
{
    return kind >= LOG_ROOM_KEY && kind <= LOG_SEALED;
}

/* What cannot be read has no text. */
static void add_line(StrBuf *out, Tool *tool, LogEvent *event)
{
    AUTO_EVENT LogEvent *opened =
        event->fields.kind == LOG_SEALED ? tool_open_event(tool, event) : event_ref(event);
    const EventFields *fields = opened != NULL ? &opened->fields : &event->fields;
    bool has_text = !is_binary(fields->kind) && fields->body_len > 0;
    char place[PLACE_BYTES];
    char time[MOMENT_TEXT_BYTES];
    char kind[16];
    message_place_text(&fields->stream, fields->seq, place, sizeof(place));
    moment_text(hlc_time_ms(fields->hlc), time);
    kind_text(fields->kind, kind, sizeof(kind));
    strbuf_addf(out, "%s  %s  ", place, time);
    text_sanitise(out, fields->room, fields->room_len);
    strbuf_addf(out, "  %s  ", kind);
    text_sanitise(out, fields->sender, fields->sender_len);
    strbuf_add_string(out, has_text ? ": " : "");
    text_sanitise(out, (const char *)fields->body, has_text ? fields->body_len : 0);
    strbuf_add_char(out, '\n');
}

/* ---- JSON ---- */

static void set_hex(json_t *object, const char *key, const uint8_t *data, size_t len)
{
    char hex[2 * EVENT_SIGNATURE_BYTES + 1];
    sodium_bin2hex(hex, sizeof(hex), data, len);
    json_object_set_new_nocheck(object, key, json_string_nocheck(hex));
}

/* As a string, as protobuf's JSON has 64-bit numbers: readers that know only floating point would
 * round them. */
static void set_u64(json_t *object, const char *key, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%" PRIu64, number);
    json_object_set_new_nocheck(object, key, json_string_nocheck(text));
}

static void set_text(json_t *object, const char *key, const char *text, size_t len)
{
    json_object_set_new_nocheck(object, key, json_stringn(len > 0 ? text : "", len));
}

static void set_body(json_t *object, const EventFields *fields)
{
    const char *body = (const char *)fields->body;
    if (text_is_utf8(body, fields->body_len)) {
        set_text(object, "body", body, fields->body_len);
        return;
    }
    enum { VARIANT = sodium_base64_VARIANT_ORIGINAL };
    size_t size = sodium_base64_ENCODED_LEN(fields->body_len, VARIANT);
    AUTO_FREE char *text = mem_alloc(size);
    sodium_bin2base64(text, size, fields->body, fields->body_len, VARIANT);
    json_object_set_new_nocheck(object, "body_base64", json_string_nocheck(text));
}

static void set_after(json_t *object, const EventFields *fields)
{
    json_t *after = json_array();
    for (size_t i = 0; i < fields->after_count; i++) {
        json_t *place = json_object();
        set_hex(place, "stream", fields->after[i].stream.bytes, STREAM_TAG_BYTES);
        json_object_set_new_nocheck(place, "seq", json_integer((json_int_t)fields->after[i].seq));
        json_array_append_new(after, place);
    }
    json_object_set_new_nocheck(object, "after", after);
}

/* Beside the bytes as they are what is sealed in them, where it can be read here. */
static void set_opened(json_t *object, Tool *tool, LogEvent *event)
{
    char kind[16];
    AUTO_EVENT LogEvent *opened =
        event->fields.kind == LOG_SEALED ? tool_open_event(tool, event) : NULL;
    if (opened == NULL) {
        return;
    }
    const EventFields *fields = &opened->fields;
    json_t *inner = json_object();
    kind_text(fields->kind, kind, sizeof(kind));
    set_text(inner, "room", fields->room, fields->room_len);
    json_object_set_new_nocheck(inner, "kind", json_string_nocheck(kind));
    set_text(inner, "sender", fields->sender, fields->sender_len);
    set_body(inner, fields);
    set_hex(inner, "id", fields->id, fields->id_len);
    json_object_set_new_nocheck(object, "opened", inner);
}

static json_t *make_event(Tool *tool, LogEvent *event)
{
    const EventFields *fields = &event->fields;
    char text[PLACE_BYTES];
    json_t *object = json_object();
    json_object_set_new_nocheck(object, "type", json_string_nocheck("event"));
    message_place_text(&fields->stream, fields->seq, text, sizeof(text));
    json_object_set_new_nocheck(object, "place", json_string_nocheck(text));
    set_hex(object, "origin", fields->stream.origin, EVENT_KEY_BYTES);
    set_u64(object, "epoch", fields->stream.epoch);
    json_object_set_new_nocheck(object, "seq", json_integer((json_int_t)fields->seq));
    set_u64(object, "hlc", fields->hlc);
    moment_text(hlc_time_ms(fields->hlc), text);
    json_object_set_new_nocheck(object, "time", json_string_nocheck(text));
    set_text(object, "room", fields->room, fields->room_len);
    kind_text(fields->kind, text, sizeof(text));
    json_object_set_new_nocheck(object, "kind", json_string_nocheck(text));
    set_text(object, "sender", fields->sender, fields->sender_len);
    set_body(object, fields);
    set_hex(object, "id", fields->id, fields->id_len);
    set_hex(object, "hash", event->hash.bytes, EVENT_HASH_BYTES);
    json_object_set_new_nocheck(object, "signed", json_boolean(event->is_signed));
    set_after(object, fields);
    set_opened(object, tool, event);
    return object;
}

static int add_dumped(const char *piece, size_t len, void *context)
{
    StrBuf *out = context;
    for (size_t at = 0; at < len;) {
        const char *delete = memchr(piece + at, DELETE, len - at);
        size_t end = delete != NULL ? (size_t)(delete - piece) : len;
        strbuf_add(out, piece + at, end - at);
        if (delete != NULL) { /* the one control that jansson takes for a printable character */
            strbuf_add_string(out, "\\u007F");
            end++;
        }
        at = end;
    }
    return 0;
}

static void add_object(StrBuf *out, json_t *object)
{
    json_dump_callback(object, add_dumped, out, JSON_COMPACT | JSON_ENSURE_ASCII);
    json_decref(object);
    strbuf_add_char(out, '\n');
}

/* ---- piece by piece ---- */

static void export_on_events(void *context, const StoreEvents *result);

static void export_next(Tool *tool)
{
    Export *export = tool->work;
    Err err = store_export_next(export->source, PIECE_BYTES, export_on_events, export);
    if (err != ERR_OK) {
        tool_fail_read(tool, err);
    }
}

static void export_add_hash(Export *export)
{
    Tool *tool = export->tool;
    uint8_t hash[EVENT_HASH_BYTES];
    char hex[2 * EVENT_HASH_BYTES + 1];
    store_export_hash(export->source, hash);
    sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash));
    strbuf_addf(&tool->out,
                tool->options.json ? "{\"type\":\"hash\",\"hash\":\"%s\",\"events\":%" PRIu64 "}\n"
                                   : "%s  %" PRIu64 "\n",
                hex, export->events);
}

static void export_on_events(void *context, const StoreEvents *result)
{
    Export *export = context;
    Tool *tool = export->tool;
    if (tool->closing) {
        return;
    }
    if (result->err != ERR_OK) {
        tool_fail_read(tool, result->err);
        return;
    }
    export->events += result->count;
    for (size_t i = 0; i < result->count && !tool->options.hash; i++) {
        if (tool->options.json) {
            add_object(&tool->out, make_event(tool, result->events[i]));
        } else {
            add_line(&tool->out, tool, result->events[i]);
        }
    }
    if (result->more) {
        tool_flush(tool, export_next);
        return;
    }
    if (tool->options.hash) {
        export_add_hash(export);
    }
    tool_end(tool);
}

void tool_export(Tool *tool)
{
    Export *export = mem_new(Export);
    export->tool = tool;
    export->source = store_export_new(tool->store);
    tool->work = export;
    tool->work_free = export_free;
    export_next(tool);
}
