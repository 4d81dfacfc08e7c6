/* The rules for a line, and its making. */
#include "core/message.h"

#include "base/text.h"

#include <string.h>

enum {
    MS_PER_SECOND = 1000,
    SECONDS_PER_MINUTE = 60,
    SECONDS_PER_HOUR = 3600,
    SECONDS_PER_DAY = 86400,
};

static const char ACTION_PREFIX[] = "/me ";

/* 2^53 ms is some 285,000 years: whatever lies beyond is not a time. */
static const int64_t TIME_MAX_MS = INT64_C(1) << 53;

static Err fail(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_INVALID;
}

Err message_check_label(const char *label, size_t len, const char **ret_reason)
{
    if (len > MESSAGE_SENDER_MAX_BYTES) {
        return fail(ret_reason, "is longer than 64 bytes: shorten it");
    }
    if (!text_is_utf8(label, len)) {
        return fail(ret_reason, "is not valid UTF-8");
    }
    if (text_has_controls(label, len)) {
        return fail(ret_reason, "holds control characters: use printable ones");
    }
    return ERR_OK;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ') {
            return false;
        }
    }
    return true;
}

Err message_check_name(const char *name, size_t len, const char **ret_reason)
{
    if (is_blank(name, len)) {
        return fail(ret_reason, "sender is empty: name who speaks");
    }
    if (len > MESSAGE_SENDER_MAX_BYTES) {
        return fail(ret_reason, "sender is longer than 64 bytes: shorten it");
    }
    if (!text_is_utf8(name, len)) {
        return fail(ret_reason, "sender is not valid UTF-8");
    }
    if (text_has_controls(name, len)) {
        return fail(ret_reason, "sender holds control characters: use printable ones");
    }
    return ERR_OK;
}

static Err check_content(const MessageDraft *draft, const char **ret_reason)
{
    if (draft->content_len == 0) {
        return fail(ret_reason, "content is empty: there is nothing to say");
    }
    if (draft->content_len > MESSAGE_CONTENT_MAX_BYTES) {
        return fail(ret_reason, "content is longer than 8192 bytes: send it in parts");
    }
    if (!text_is_utf8(draft->content, draft->content_len)) {
        return fail(ret_reason, "content is not valid UTF-8");
    }
    if (memchr(draft->content, '\0', draft->content_len) != NULL) {
        return fail(ret_reason, "content holds a NUL character");
    }
    return ERR_OK;
}

static Err check_origin(const MessageDraft *draft, const char **ret_reason)
{
    if (draft->id_len > MESSAGE_ID_MAX_BYTES) {
        return fail(ret_reason, "id is longer than 32 bytes: use 16 random ones");
    }
    if (draft->time_ms < 0 || draft->time_ms > TIME_MAX_MS) {
        return fail(ret_reason, "time_ms is not a time: milliseconds since 1970, or 0");
    }
    return ERR_OK;
}

/* Lines to one person are for the person at a node alone to say. */
Err message_check(const MessageDraft *draft, const char **ret_reason)
{
    Err err = message_check_name(draft->sender, draft->sender_len, ret_reason);
    if (err == ERR_OK) {
        err = check_content(draft, ret_reason);
    }
    if (err != ERR_OK) {
        return err;
    }
    if (draft->timestamp_len > MESSAGE_TIMESTAMP_MAX_BYTES) {
        return fail(ret_reason, "timestamp is longer than 64 bytes: write it as HH:MM:SS");
    }
    if (!text_is_utf8(draft->timestamp, draft->timestamp_len)) {
        return fail(ret_reason, "timestamp is not valid UTF-8");
    }
    if (text_has_controls(draft->timestamp, draft->timestamp_len)) {
        return fail(ret_reason, "timestamp holds control characters: write it as HH:MM:SS");
    }
    return check_origin(draft, ret_reason);
}

static int32_t second_of_day(int64_t time_ms, int32_t utc_offset_s)
{
    int64_t second = time_ms / MS_PER_SECOND + utc_offset_s;
    return (int32_t)(((second % SECONDS_PER_DAY) + SECONDS_PER_DAY) % SECONDS_PER_DAY);
}

void message_clock_text(int64_t time_ms, int32_t utc_offset_s, char ret_text[9])
{
    int32_t second = second_of_day(time_ms, utc_offset_s);
    const int32_t parts[] = {second / SECONDS_PER_HOUR, second / SECONDS_PER_MINUTE % 60,
                             second % SECONDS_PER_MINUTE};
    for (size_t i = 0; i < 3; i++) { /* by hand: each line has one or two, and snprintf is slow */
        ret_text[3 * i] = (char)('0' + parts[i] / 10);
        ret_text[3 * i + 1] = (char)('0' + parts[i] % 10);
        ret_text[3 * i + 2] = i < 2 ? ':' : '\0';
    }
}

/* "HH:MM:SS", two digits each and in range; -1 for anything else. */
static int32_t parse_clock(const char *text, size_t len)
{
    static const char form[] = "dd:dd:dd";
    if (len != sizeof(form) - 1) {
        return -1;
    }
    for (size_t i = 0; i < len; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (form[i] == 'd' ? !digit : text[i] != form[i]) {
            return -1;
        }
    }
    int32_t hour = (text[0] - '0') * 10 + (text[1] - '0');
    int32_t minute = (text[3] - '0') * 10 + (text[4] - '0');
    int32_t second = (text[6] - '0') * 10 + (text[7] - '0');
    if (hour > 23 || minute > 59 || second > 60) { /* 60: a leap second */
        return -1;
    }
    return hour * SECONDS_PER_HOUR + minute * SECONDS_PER_MINUTE + second;
}

static char *keep(char **at, const char *text, size_t len)
{
    char *to = *at;
    if (len > 0) {
        memcpy(to, text, len);
    }
    to[len] = '\0';
    *at += len + 1;
    return to;
}

/* One block of memory for the message and its texts. */
static Message *message_of_texts(const MessageDraft *draft, const char *timestamp,
                                 size_t timestamp_len)
{
    const char *room = draft->room_len > 0 ? draft->room : MESSAGE_LOBBY;
    size_t room_len = draft->room_len > 0 ? draft->room_len : sizeof(MESSAGE_LOBBY) - 1;
    Message *message = mem_alloc(sizeof(*message) + draft->sender_len + room_len +
                                 draft->content_len + timestamp_len + 4);
    char *at = (char *)(message + 1);
    message->sender = keep(&at, draft->sender, draft->sender_len);
    message->room = keep(&at, room, room_len);
    message->content = keep(&at, draft->content, draft->content_len);
    message->content_len = draft->content_len;
    message->timestamp = keep(&at, timestamp, timestamp_len);
    return message;
}

Message *message_new(const MessageDraft *draft, int64_t now_ms, int32_t utc_offset_s)
{
    int64_t time_ms = draft->time_ms != 0 ? draft->time_ms : now_ms;
    char clock[9];
    message_clock_text(time_ms, utc_offset_s, clock);
    bool stamped = draft->timestamp_len > 0;
    Message *message = message_of_texts(draft, stamped ? draft->timestamp : clock,
                                        stamped ? draft->timestamp_len : sizeof(clock) - 1);
    message->refs = 1;
    message->kind = draft->kind == MESSAGE_ACTION ? MESSAGE_ACTION : MESSAGE_TEXT;
    message->time_ms = time_ms;
    /* A moment is better than a wall clock in an unknown zone, a wall clock better than arrival. */
    int32_t told = parse_clock(draft->timestamp, draft->timestamp_len);
    message->clock_told = (draft->time_ms == 0 || draft->heard) && told >= 0;
    message->heard = draft->heard;
    message->second_of_day =
        message->clock_told ? told : second_of_day(message->time_ms, utc_offset_s);
    message->id.len = (uint8_t)draft->id_len;
    if (draft->id_len > 0) {
        memcpy(message->id.bytes, draft->id, draft->id_len);
    }
    return message;
}

Message *message_ref(Message *message)
{
    message->refs++;
    return message;
}

void message_unref(Message *message)
{
    if (message == NULL || --message->refs > 0) {
        return;
    }
    bytes_unref(message->encoded_request);
    bytes_unref(message->encoded_response);
    mem_free(message);
}

const char *message_shown_content(const Message *message)
{
    const size_t prefix = sizeof(ACTION_PREFIX) - 1;
    if (message->kind == MESSAGE_ACTION && message->content_len > prefix &&
        memcmp(message->content, ACTION_PREFIX, prefix) == 0) {
        return message->content + prefix;
    }
    return message->content;
}
