#include "h2.h"

#include <string.h>

enum {
    FRAME_HEAD = 9,
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,

    FLAG_ACK = 1,
    FLAG_END_STREAM = 1,
    FLAG_END_HEADERS = 4,
    FLAG_PADDED = 8,

    SETTING_BYTES = 6,
    SETTING_HEADER_TABLE_SIZE = 1,
    SETTING_STREAMS_MAX = 3,
    SETTING_INITIAL_WINDOW = 4,
    SETTING_FRAME_MAX = 5,

    WINDOW_DEFAULT = 65535,
    WINDOW_LARGEST = 0x7fffffff,
    OPEN_AGAIN = 1 << 29, /* bytes eaten, then the windows are opened for them */
    FRAME_MAX_DEFAULT = 16384,
    TABLE_BYTES = 4096, /* HPACK's default: the four fields fit */
    HEADERS_MAX = 512,
    MESSAGE_HEAD = 5, /* of gRPC: not compressed, and four bytes of length */
    WORDS_MAX = 160,
};

typedef struct FrameHead {
    size_t len;
    uint8_t kind;
    uint8_t flags;
    uint32_t stream;
} FrameHead;

static uint32_t number32(const char *bytes)
{
    const unsigned char *at = (const unsigned char *)bytes;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put32(char *to, uint32_t value)
{
    to[0] = (char)(value >> 24);
    to[1] = (char)(value >> 16);
    to[2] = (char)(value >> 8);
    to[3] = (char)value;
}

/* ---- what goes ---- */

static void put_head(H2 *h2, size_t len, uint8_t kind, uint8_t flags, uint32_t stream)
{
    char head[FRAME_HEAD] = {(char)(len >> 16), (char)(len >> 8), (char)len, (char)kind,
                             (char)flags};
    put32(head + 5, stream);
    connection_put(h2->connection, head, sizeof(head));
}

static void put_window_update(H2 *h2, uint32_t stream, uint32_t more)
{
    char body[4];
    put32(body, more);
    put_head(h2, sizeof(body), FRAME_WINDOW_UPDATE, 0, stream);
    connection_put(h2->connection, body, sizeof(body));
}

void h2_start(H2 *h2)
{
    h2->next_stream = 1;
    h2->frame_max = FRAME_MAX_DEFAULT;
    h2->streams_max = UINT32_MAX;
    h2->window = h2->initial_window = WINDOW_DEFAULT;
    connection_put(h2->connection, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    if (h2->small_windows) {
        put_head(h2, 0, FRAME_SETTINGS, 0, 0);
        return;
    }
    char largest[SETTING_BYTES] = {0, SETTING_INITIAL_WINDOW};
    put32(largest + 2, WINDOW_LARGEST);
    put_head(h2, sizeof(largest), FRAME_SETTINGS, 0, 0);
    connection_put(h2->connection, largest, sizeof(largest));
    put_window_update(h2, 0, WINDOW_LARGEST - WINDOW_DEFAULT);
}

/* A header field: how it is written, its name where it is not in the static table, its value. */
static size_t put_field(char *to, char how, const char *name, const char *value)
{
    size_t at = 0;
    to[at++] = how;
    if (name != NULL) {
        to[at++] = (char)strlen(name);
        memcpy(to + at, name, strlen(name));
        at += strlen(name);
    }
    size_t len = strlen(value);
    if (len > 126 || len + at > HEADERS_MAX / 4) {
        give_up("\"%s\" is too long", value);
    }
    to[at++] = (char)len;
    memcpy(to + at, value, len);
    return at + len;
}

/* authorization: 23 of the static table. */
static size_t put_token(char *to, const char *token, bool table)
{
    char value[127];
    if (strlen(token) + sizeof("Bearer ") > sizeof(value)) {
        give_up("the token is too long");
    }
    memcpy(value, "Bearer ", sizeof("Bearer "));
    memcpy(value + sizeof("Bearer ") - 1, token, strlen(token) + 1);
    if (table) {
        return put_field(to, 0x57, NULL, value);
    }
    to[0] = 0x0f;
    return 1 + put_field(to + 1, 0x08, NULL, value);
}

/* POST, http, and the four fields in full. */
static size_t put_fields(const H2 *h2, char *to, const char *method)
{
    /* 0x40: goes into the table; 0x00: does not. With it the index of a name of the static table:
     * 4 :path, 1 :authority, 31 content-type (in two bytes where four bits are too few). */
    bool table = !h2->no_table;
    char path[128];
    size_t service = strlen(h2->service);
    if (service + strlen(method) + 3 > sizeof(path)) {
        give_up("\"%s\" is too long", h2->service);
    }
    path[0] = '/';
    memcpy(path + 1, h2->service, service);
    path[service + 1] = '/';
    memcpy(path + service + 2, method, strlen(method) + 1);
    size_t at = 0;
    if (!table && h2->next_stream == 1) {
        to[at++] = 0x20; /* the table is made empty, as the peer has asked */
    }
    to[at++] = (char)0x83;
    to[at++] = (char)0x86;
    at += put_field(to + at, table ? 0x44 : 0x04, NULL, path);
    at += put_field(to + at, table ? 0x41 : 0x01, NULL, h2->authority);
    if (table) {
        at += put_field(to + at, 0x5f, NULL, "application/grpc");
    } else {
        to[at++] = 0x0f;
        at += put_field(to + at, 0x10, NULL, "application/grpc");
    }
    at += put_field(to + at, table ? 0x40 : 0x00, "te", "trailers");
    return h2->token != NULL ? at + put_token(to + at, h2->token, table) : at;
}

static uint32_t put_headers(H2 *h2, const char *method)
{
    /* te, content-type, :authority and :path are 62 to 65 in the table: the latest is first. */
    static const char again[] = {(char)0x83, (char)0x86, (char)0xc1,
                                 (char)0xc0, (char)0xbf, (char)0xbe};
    static const char again_with_token[] = {(char)0x83, (char)0x86, (char)0xc2, (char)0xc1,
                                            (char)0xc0, (char)0xbf, (char)0xbe};
    uint32_t stream = h2->next_stream;
    if (h2->table_used) {
        size_t len = h2->token != NULL ? sizeof(again_with_token) : sizeof(again);
        put_head(h2, len, FRAME_HEADERS, FLAG_END_HEADERS, stream);
        connection_put(h2->connection, h2->token != NULL ? again_with_token : again, len);
    } else {
        char fields[HEADERS_MAX];
        size_t len = put_fields(h2, fields, method);
        put_head(h2, len, FRAME_HEADERS, FLAG_END_HEADERS, stream);
        connection_put(h2->connection, fields, len);
        h2->table_used = !h2->no_table;
    }
    h2->next_stream += 2;
    return stream;
}

uint32_t h2_request(H2 *h2, const char *method, const void *message, size_t len)
{
    uint32_t stream = put_headers(h2, method);
    char head[MESSAGE_HEAD] = {0};
    put32(head + 1, (uint32_t)len);
    put_head(h2, sizeof(head) + len, FRAME_DATA, FLAG_END_STREAM, stream);
    connection_put(h2->connection, head, sizeof(head));
    connection_put(h2->connection, message, len);
    h2->window -= (int64_t)(sizeof(head) + len);
    return stream;
}

bool h2_takes(const H2 *h2, size_t len, unsigned open)
{
    int64_t need = (int64_t)(MESSAGE_HEAD + len);
    return open < h2->streams_max && h2->window >= need && h2->initial_window >= need;
}

uint32_t h2_open(H2 *h2, const char *method)
{
    h2->body_stream = h2->long_stream = put_headers(h2, method);
    h2->stream_window = h2->initial_window;
    return h2->body_stream;
}

/* As much of the body as may go. */
static void push_body(H2 *h2)
{
    size_t sent = 0;
    while (sent < h2->body.len) {
        int64_t window = h2->window < h2->stream_window ? h2->window : h2->stream_window;
        if (window <= 0) {
            break;
        }
        size_t len = h2->body.len - sent;
        len = len > h2->frame_max ? h2->frame_max : len;
        len = len > (size_t)window ? (size_t)window : len;
        put_head(h2, len, FRAME_DATA, 0, h2->body_stream);
        connection_put(h2->connection, h2->body.bytes + sent, len);
        h2->window -= (int64_t)len;
        h2->stream_window -= (int64_t)len;
        sent += len;
    }
    buffer_drop(&h2->body, sent);
}

void h2_send(H2 *h2, const void *message, size_t len)
{
    char head[MESSAGE_HEAD] = {0};
    put32(head + 1, (uint32_t)len);
    buffer_put(&h2->body, head, sizeof(head));
    buffer_put(&h2->body, message, len);
    push_body(h2);
}

/* ---- what comes ---- */

static void take_setting(H2 *h2, unsigned name, uint32_t value)
{
    switch (name) {
    case SETTING_HEADER_TABLE_SIZE:
        h2->no_table = value < TABLE_BYTES;
        break;
    case SETTING_STREAMS_MAX:
        h2->streams_max = value;
        break;
    case SETTING_INITIAL_WINDOW:
        h2->stream_window += (int64_t)value - h2->initial_window;
        h2->initial_window = value;
        break;
    case SETTING_FRAME_MAX:
        /* Larger frames are allowed then, not asked for. */
        break;
    default:
        break;
    }
}

static void take_settings(H2 *h2, const FrameHead *frame, const char *body)
{
    if ((frame->flags & FLAG_ACK) != 0) {
        return;
    }
    for (size_t at = 0; at + SETTING_BYTES <= frame->len; at += SETTING_BYTES) {
        unsigned name = (unsigned)(unsigned char)body[at] << 8 | (unsigned char)body[at + 1];
        take_setting(h2, name, number32(body + at + 2));
    }
    put_head(h2, 0, FRAME_SETTINGS, FLAG_ACK, 0);
    if (!h2->ready) {
        h2->ready = true;
        h2->hooks->on_ready(h2->context);
    }
}

/* Trailers are packed, but a status' own words mostly stand there as they are. */
static void words_of(const char *body, size_t len, char *to)
{
    size_t at = 0;
    for (size_t i = 0; i < len && at < WORDS_MAX; i++) {
        to[at++] = body[i] >= ' ' && body[i] <= '~' ? body[i] : '.';
    }
    to[at] = '\0';
}

static void take_frame(H2 *h2, const FrameHead *frame, const char *body)
{
    char words[WORDS_MAX + 1] = "reset";
    switch (frame->kind) {
    case FRAME_HEADERS:
        if ((frame->flags & FLAG_END_STREAM) != 0) {
            words_of(body, frame->len, words);
            h2->hooks->on_end(h2->context, frame->stream, words);
        }
        break;
    case FRAME_RST_STREAM:
        h2->hooks->on_end(h2->context, frame->stream, words);
        break;
    case FRAME_SETTINGS:
        take_settings(h2, frame, body);
        break;
    case FRAME_PING:
        if ((frame->flags & FLAG_ACK) == 0) {
            put_head(h2, frame->len, FRAME_PING, FLAG_ACK, 0);
            connection_put(h2->connection, body, frame->len);
        }
        break;
    case FRAME_GOAWAY:
        words_of(body, frame->len, words);
        complain("the server says goodbye: %s", words);
        break;
    case FRAME_WINDOW_UPDATE:
        if (frame->len == 4 && frame->stream == 0) {
            h2->window += number32(body);
        } else if (frame->len == 4 && frame->stream == h2->body_stream) {
            h2->stream_window += number32(body);
        }
        break;
    default:
        break;
    }
}

/* Opens the windows again for what was eaten. */
static void data_eaten(H2 *h2, size_t len)
{
    h2->eaten += len;
    if (h2->eaten < OPEN_AGAIN || h2->small_windows) {
        return;
    }
    put_window_update(h2, 0, (uint32_t)h2->eaten);
    if (h2->long_stream != 0) {
        put_window_update(h2, h2->long_stream, (uint32_t)h2->eaten);
    }
    h2->eaten = 0;
}

/* What is there of a DATA frame's body; bytes used. */
static size_t take_data(H2 *h2, const char *bytes, size_t len)
{
    len = len < h2->data_left ? len : h2->data_left;
    size_t content = h2->data_left - h2->data_padding;
    if (content > 0 && len > 0) {
        h2->hooks->on_data(h2->context, h2->data_stream, bytes, len < content ? len : content);
    }
    h2->data_left -= len;
    if (h2->data_left < h2->data_padding) {
        h2->data_padding = h2->data_left;
    }
    if (h2->data_left == 0 && h2->data_ends) {
        h2->data_ends = false;
        h2->hooks->on_end(h2->context, h2->data_stream, "ended without trailers");
    }
    return len;
}

/* The head of a frame, and its body where it is not DATA; bytes used, 0: not all is there yet. */
static size_t take_next(H2 *h2, const char *bytes, size_t len)
{
    if (len < FRAME_HEAD) {
        return 0;
    }
    const unsigned char *at = (const unsigned char *)bytes;
    FrameHead frame = {
        .len = (size_t)at[0] << 16 | (size_t)at[1] << 8 | at[2],
        .kind = at[3],
        .flags = at[4],
        .stream = number32(bytes + 5) & WINDOW_LARGEST,
    };
    if (frame.kind != FRAME_DATA) {
        if (len - FRAME_HEAD < frame.len) {
            return 0;
        }
        take_frame(h2, &frame, bytes + FRAME_HEAD);
        return FRAME_HEAD + frame.len;
    }
    size_t head = FRAME_HEAD;
    if ((frame.flags & FLAG_PADDED) != 0) {
        if (len <= FRAME_HEAD || frame.len == 0) {
            return 0;
        }
        h2->data_padding = at[FRAME_HEAD];
        head++;
    }
    h2->data_stream = frame.stream;
    h2->data_left = frame.len - (head - FRAME_HEAD);
    h2->data_ends = (frame.flags & FLAG_END_STREAM) != 0;
    data_eaten(h2, frame.len);
    take_data(h2, bytes, 0);
    return head;
}

size_t h2_read(H2 *h2, char *bytes, size_t len)
{
    size_t used = 0;
    while (used < len) {
        size_t took = h2->data_left > 0 ? take_data(h2, bytes + used, len - used)
                                        : take_next(h2, bytes + used, len - used);
        if (took == 0) {
            break;
        }
        used += took;
    }
    if (h2->body.len > 0) {
        push_body(h2);
    }
    if (h2->connection->out.len > 0 && !h2->connection->waits) {
        connection_flush(h2->connection);
    }
    return used;
}
