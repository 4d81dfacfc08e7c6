#include "grpc.h"

enum {
    VARINT_BYTES_MAX = 10,
    MESSAGE_HEAD = 5,
};

/* Bytes used; 0: it is not all there. */
static inline size_t varint_read(const char *bytes, size_t len, uint64_t *ret_value)
{
    if (len > 0 && (unsigned char)*bytes < 128) { /* nearly always */
        *ret_value = (unsigned char)*bytes;
        return 1;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < len && i < VARINT_BYTES_MAX; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        value |= (uint64_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            *ret_value = value;
            return i + 1;
        }
    }
    return 0;
}

size_t field_read(const char *bytes, size_t len, Field *ret_field)
{
    uint64_t tag = 0;
    uint64_t value = 0;
    size_t at = varint_read(bytes, len, &tag);
    if (at == 0) {
        return 0;
    }
    unsigned wire = (unsigned)(tag & 7);
    size_t body = wire == WIRE_64 ? 8 : wire == WIRE_32 ? 4 : 0;
    if (wire == WIRE_VARINT || wire == WIRE_BYTES) {
        size_t took = varint_read(bytes + at, len - at, &value);
        if (took == 0) {
            return 0;
        }
        at += took;
        body = wire == WIRE_BYTES ? (size_t)value : 0;
    }
    if (len - at < body) {
        return 0;
    }
    *ret_field = (Field){.number = (unsigned)(tag >> 3),
                         .wire = wire,
                         .value = value,
                         .bytes = bytes + at,
                         .len = body};
    return at + body;
}

static void varint_put(Buffer *to, uint64_t value)
{
    char *at = buffer_reserve(to, VARINT_BYTES_MAX);
    size_t len = 0;
    while (value > 127) {
        at[len++] = (char)(value | 128);
        value >>= 7;
    }
    at[len++] = (char)value;
    to->len += len;
}

void field_put_head(Buffer *to, unsigned number, size_t len)
{
    varint_put(to, number << 3 | WIRE_BYTES);
    varint_put(to, len);
}

void field_put(Buffer *to, unsigned number, const void *bytes, size_t len)
{
    field_put_head(to, number, len);
    buffer_put(to, bytes, len);
}

size_t field_head(size_t len)
{
    size_t head = 2;
    for (; len > 127; len >>= 7) {
        head++;
    }
    return head;
}

static const char SENDER[] = "pub";
static const char TIMESTAMP[] = "12:00:00";
enum { SENDER_LEN = sizeof(SENDER) - 1, TIMESTAMP_LEN = sizeof(TIMESTAMP) - 1 };

void message_put(Buffer *to, const char *content, size_t len)
{
    field_put(to, FIELD_SENDER, SENDER, SENDER_LEN);
    field_put(to, FIELD_CONTENT, content, len);
    field_put(to, FIELD_TIMESTAMP, TIMESTAMP, TIMESTAMP_LEN);
}

size_t message_len(size_t content_len)
{
    return field_head(SENDER_LEN) + SENDER_LEN + field_head(content_len) + content_len +
           field_head(TIMESTAMP_LEN) + TIMESTAMP_LEN;
}

/* What can be used of the bytes; how many were. */
static size_t reader_step(GrpcReader *reader, const char *bytes, size_t len, const GrpcHooks *hooks,
                          void *context)
{
    if (!reader->inside) {
        if (len < MESSAGE_HEAD) {
            return 0;
        }
        const unsigned char *at = (const unsigned char *)bytes + 1;
        reader->left = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
        reader->inside = true;
        if (reader->left == 0) {
            reader->inside = false;
            hooks->on_message(context);
        }
        return MESSAGE_HEAD;
    }
    Field field;
    size_t took = field_read(bytes, len < reader->left ? len : reader->left, &field);
    if (took > 0) {
        hooks->on_field(context, &field);
    } else if (len >= reader->left) {
        hooks->on_malformed(context);
        took = reader->left;
    }
    reader->left -= took;
    if (reader->left == 0) {
        reader->inside = false;
        hooks->on_message(context);
    }
    return took;
}

void grpc_reader_take(GrpcReader *reader, const char *bytes, size_t len, const GrpcHooks *hooks,
                      void *context)
{
    Buffer *rest = &reader->rest;
    bool kept = rest->len > 0;
    if (kept) {
        buffer_put(rest, bytes, len);
        bytes = rest->bytes;
        len = rest->len;
    }
    size_t used = 0;
    while (used < len) {
        size_t took = reader_step(reader, bytes + used, len - used, hooks, context);
        if (took == 0) {
            break;
        }
        used += took;
    }
    if (kept) {
        buffer_drop(rest, used);
    } else {
        buffer_put(rest, bytes + used, len - used);
    }
}
