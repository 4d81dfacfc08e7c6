/* Messages of events. */
#include "base/strbuf.h"
#include "base/text.h"
#include "core/message.h"

#include <assert.h>
#include <string.h>

enum {
    PLACE_DIGITS = 6,
    PLACE_BYTES = PLACE_DIGITS / 2,
    SEQ_DIGITS_MAX = 20, /* of any uint64_t */
    BITS_PER_BYTE = 8,
};

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
    static const char hex[] = "0123456789abcdef";
    char text[PLACE_DIGITS + 1 + SEQ_DIGITS_MAX + 1];
    char *at = text + sizeof(text);
    *--at = '\0';
    do { /* by hand, from the end: each line has one, and snprintf is slow */
        *--at = (char)('0' + seq % 10);
        seq /= 10;
    } while (seq > 0);
    *--at = '-';
    uint32_t number = place_number(tag);
    for (size_t i = 0; i < PLACE_DIGITS; i++) {
        *--at = hex[number & 0xf];
        number >>= 4;
    }
    size_t len = (size_t)(text + sizeof(text) - at);
    assert(len <= size);
    memcpy(ret_text, at, len);
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
    enum { DIGITS_MAX = 18 }; /* below 2^63, and above what a stream can hold */
    uint32_t stream = 0;
    uint64_t seq = 0;
    if (len < PLACE_DIGITS + 2 || len > PLACE_DIGITS + 1 + DIGITS_MAX ||
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

/* What is on the wire as content, for the draft. The author may have written anything; what can be
 * taken as it is, is borrowed. */
static void content_of(MessageDraft *draft, StrBuf *content, const EventFields *fields)
{
    const char *body = (const char *)fields->body;
    bool sound = text_is_utf8(body, fields->body_len) &&
                 (fields->body_len == 0 || memchr(body, '\0', fields->body_len) == NULL);
    if (sound && draft->kind != MESSAGE_ACTION) {
        draft->content = body;
        draft->content_len = fields->body_len;
        return;
    }
    strbuf_add_string(content, draft->kind == MESSAGE_ACTION ? "/me " : "");
    if (sound) {
        strbuf_add(content, body, fields->body_len);
    } else {
        text_sanitise(content, body, fields->body_len);
    }
    draft->content = strbuf_text(content);
    draft->content_len = content->len;
}

/* A line without a client's id is known by its place too. */
void message_set_place(Message *message, const EventFields *fields, const StreamTag *tag)
{
    message->hlc = fields->hlc;
    place_text(tag, fields->seq, message->place, sizeof(message->place));
    if (message->id.len > 0) {
        return;
    }
    memcpy(message->id.bytes, tag->bytes, sizeof(tag->bytes));
    for (unsigned i = 0; i < sizeof(fields->seq); i++) {
        message->id.bytes[sizeof(tag->bytes) + i] =
            (uint8_t)(fields->seq >> (BITS_PER_BYTE * (sizeof(fields->seq) - 1 - i)));
    }
    message->id.len = sizeof(tag->bytes) + sizeof(fields->seq);
    message->id_of_place = true;
}

Message *message_of_tagged(const LogEvent *event, const StreamTag *tag, int32_t utc_offset_s)
{
    const EventFields *fields = &event->fields;
    MessageKind kind = MESSAGE_TEXT;
    if (!kind_of(fields->kind, &kind)) {
        return NULL;
    }
    AUTO_STRBUF StrBuf content = {0};
    MessageDraft draft = {
        .sender = fields->sender,
        .sender_len = fields->sender_len,
        .timestamp = fields->stamp,
        .timestamp_len = fields->stamp_len,
        .room = fields->room,
        .room_len = fields->room_len,
        .id = fields->id,
        .id_len = fields->id_len,
        .kind = kind,
        .heard = fields->heard,
    };
    content_of(&draft, &content, fields);
    Message *message = message_new(&draft, hlc_time_ms(fields->hlc), utc_offset_s);
    message->kind = kind;
    message->by_client = fields->id_len > 0 || fields->heard;
    message_set_place(message, fields, tag);
    return message;
}

Message *message_of_event(const LogEvent *event, int32_t utc_offset_s)
{
    StreamTag tag = stream_tag(&event->fields.stream);
    return message_of_tagged(event, &tag, utc_offset_s);
}

bool message_is_in_lobby(const Message *message)
{
    return strcmp(message->room, MESSAGE_LOBBY) == 0;
}

bool message_is_direct(const Message *message)
{
    return message->room[0] == '@';
}
