/* Messages of events. */
#include "base/strbuf.h"
#include "base/text.h"
#include "core/message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_DIGITS = 6, PLACE_BYTES = PLACE_DIGITS / 2, BITS_PER_BYTE = 8 };

static uint32_t place_number(const StreamTag *tag)
{
    uint32_t number = 0;
    for (size_t i = 0; i < PLACE_BYTES; i++) {
        number = number << BITS_PER_BYTE | tag->bytes[i];
    }
    return number;
}

uint32_t message_place_stream(const StreamId *stream)
{
    StreamTag tag = stream_tag(stream);
    return place_number(&tag);
}

static void place_text(const StreamTag *tag, uint64_t seq, char *ret_text, size_t size)
{
    snprintf(ret_text, size, "%0*" PRIx32 "-%" PRIu64, PLACE_DIGITS, place_number(tag), seq);
}

void message_place_text(const StreamId *stream, uint64_t seq, char *ret_text, size_t size)
{
    StreamTag tag = stream_tag(stream);
    place_text(&tag, seq, ret_text, size);
}

static int hex_digit(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool message_place_parse(const char *text, size_t len, uint32_t *ret_stream, uint64_t *ret_seq)
{
    enum { SEQ_DIGITS_MAX = 18 }; /* below 2^63, and above what a stream can hold */
    uint32_t stream = 0;
    uint64_t seq = 0;
    if (len < PLACE_DIGITS + 2 || len > PLACE_DIGITS + 1 + SEQ_DIGITS_MAX ||
        text[PLACE_DIGITS] != '-') {
        return false;
    }
    for (size_t i = 0; i < PLACE_DIGITS; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return false;
        }
        stream = stream << 4 | (uint32_t)digit;
    }
    for (size_t i = PLACE_DIGITS + 1; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        seq = seq * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_stream = stream;
    *ret_seq = seq;
    return seq > 0;
}

static bool kind_of(int kind, MessageKind *ret_kind)
{
    switch (kind) {
    case LOG_TEXT:
        *ret_kind = MESSAGE_TEXT;
        return true;
    case LOG_ACTION:
        *ret_kind = MESSAGE_ACTION;
        return true;
    case LOG_JOIN:
        *ret_kind = MESSAGE_JOIN;
        return true;
    case LOG_PART:
        *ret_kind = MESSAGE_PART;
        return true;
    default:
        return false;
    }
}

/* What is on the wire as content. The author may have written anything. */
static void content_of(StrBuf *content, MessageKind kind, const EventFields *fields)
{
    const char *body = (const char *)fields->body;
    bool sound = text_is_utf8(body, fields->body_len) &&
                 (fields->body_len == 0 || memchr(body, '\0', fields->body_len) == NULL);
    strbuf_add_string(content, kind == MESSAGE_ACTION ? "/me " : "");
    if (sound) {
        strbuf_add(content, body, fields->body_len);
    } else {
        text_sanitise(content, body, fields->body_len);
    }
}

/* A line without a client's id is known by its place too. */
void message_set_place(Message *message, const EventFields *fields)
{
    StreamTag tag = stream_tag(&fields->stream);
    message->hlc = fields->hlc;
    place_text(&tag, fields->seq, message->place, sizeof(message->place));
    if (message->id.len > 0) {
        return;
    }
    memcpy(message->id.bytes, tag.bytes, sizeof(tag.bytes));
    for (unsigned i = 0; i < sizeof(fields->seq); i++) {
        message->id.bytes[sizeof(tag.bytes) + i] =
            (uint8_t)(fields->seq >> (BITS_PER_BYTE * (sizeof(fields->seq) - 1 - i)));
    }
    message->id.len = sizeof(tag.bytes) + sizeof(fields->seq);
    message->id_of_place = true;
}

Message *message_of_event(const LogEvent *event, int32_t utc_offset_s)
{
    const EventFields *fields = &event->fields;
    MessageKind kind = MESSAGE_TEXT;
    if (!kind_of(fields->kind, &kind)) {
        return NULL;
    }
    AUTO_STRBUF StrBuf content = {0};
    content_of(&content, kind, fields);
    MessageDraft draft = {
        .sender = fields->sender,
        .sender_len = fields->sender_len,
        .content = strbuf_text(&content),
        .content_len = content.len,
        .timestamp = fields->stamp,
        .timestamp_len = fields->stamp_len,
        .id = fields->id,
        .id_len = fields->id_len,
        .kind = kind,
        .heard = fields->heard,
    };
    Message *message = message_new(&draft, hlc_time_ms(fields->hlc), utc_offset_s);
    message->kind = kind;
    mem_free(message->room);
    message->room = mem_copy_text(fields->room, fields->room_len);
    message->by_client = fields->id_len > 0 || fields->heard;
    message_set_place(message, fields);
    return message;
}

bool message_is_in_lobby(const Message *message)
{
    return strcmp(message->room, MESSAGE_LOBBY) == 0;
}

bool message_is_direct(const Message *message)
{
    return message->room[0] == '@';
}
