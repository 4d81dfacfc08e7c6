/* protobuf-c behind the core's values. */
#include "io/wire_internal.h"

#include "base/text.h"
#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <stdio.h>
#include <string.h>

enum {
    /* A request of 8 KiB and its strings twice over fit in; what is larger is refused before. */
    ARENA_BYTES = 1024 * 1024,
    /* Our own words are shorter; what the system says of a disk may be long. */
    REFUSAL_TEXT_MAX_BYTES = 200,
};

struct WireArena {
    ProtoArena arena;
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[ARENA_BYTES];
};

WireArena *wire_arena_new(void)
{
    return mem_new(WireArena);
}

void wire_arena_free(WireArena *arena)
{
    mem_free(arena);
}

ProtobufCAllocator *wire_arena_reset(WireArena *arena)
{
    return proto_arena_reset(&arena->arena, arena->memory, sizeof(arena->memory));
}

/* ---- decoding ---- */

Err wire_decode_message(WireArena *arena, const uint8_t *data, size_t len, MessageDraft *ret_draft)
{
    Chat__MessageRequest *request =
        chat__message_request__unpack(wire_arena_reset(arena), len, data);
    if (request == NULL) {
        return ERR_INVALID;
    }
    *ret_draft = (MessageDraft){
        .sender = request->sender,
        .sender_len = proto_string_len(data, len, 1),
        .content = request->content,
        .content_len = proto_string_len(data, len, 2),
        .timestamp = request->timestamp,
        .timestamp_len = proto_string_len(data, len, 3),
        .room = request->room,
        .room_len = proto_string_len(data, len, 22),
        .id = request->id.data,
        .id_len = request->id.len,
        .time_ms = request->time_ms,
        .kind = request->kind == CHAT__MESSAGE_KIND__ACTION ? MESSAGE_ACTION : MESSAGE_TEXT,
    };
    return ERR_OK;
}

static bool read_varint(WireBatch *batch, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && batch->at < batch->len; shift += 7) {
        uint8_t byte = batch->data[batch->at++];
        value |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Encoding: protobuf.dev/programming-guides/encoding. Groups, which proto3 has not, are an error as
 * they are to protobuf-c. */
static bool read_field(WireBatch *batch, uint64_t *ret_tag, size_t *ret_len)
{
    enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };
    uint64_t len = 0;
    uint64_t value = 0;
    if (!read_varint(batch, ret_tag) || *ret_tag >> 3 == 0) {
        return false;
    }
    switch (*ret_tag & 7) {
    case VARINT:
        *ret_len = 0;
        return read_varint(batch, &value);
    case FIXED64:
        len = sizeof(uint64_t);
        break;
    case BYTES:
        if (!read_varint(batch, &len)) {
            return false;
        }
        break;
    case FIXED32:
        len = sizeof(uint32_t);
        break;
    default:
        return false;
    }
    *ret_len = (size_t)len;
    return len <= batch->len - batch->at;
}

Err wire_batch_next(WireBatch *batch, bool *ret_found, const uint8_t **ret_data, size_t *ret_len)
{
    static const uint64_t messages = 1 << 3 | 2; /* field 1, bytes */
    while (batch->at < batch->len) {
        uint64_t tag = 0;
        size_t len = 0;
        if (!read_field(batch, &tag, &len)) {
            return ERR_INVALID;
        }
        const uint8_t *data = batch->data + batch->at;
        batch->at += len;
        if (tag == messages) {
            *ret_found = true;
            *ret_data = data;
            *ret_len = len;
            return ERR_OK;
        }
    }
    *ret_found = false;
    return ERR_OK;
}

Err wire_decode_stream_request(WireArena *arena, const uint8_t *data, size_t len,
                               WireStreamRequest *ret_request)
{
    Chat__StreamRequest *request = chat__stream_request__unpack(wire_arena_reset(arena), len, data);
    if (request == NULL) {
        return ERR_INVALID;
    }
    *ret_request = (WireStreamRequest){
        .client_id = request->client_id,
        .client_id_len = proto_string_len(data, len, 1),
        .node_id_len = request->node_id.len,
    };
    return ERR_OK;
}

Err wire_decode_hello(WireArena *arena, const uint8_t *data, size_t len, WireHello *ret_hello)
{
    Chat__HelloResponse *hello = chat__hello_response__unpack(wire_arena_reset(arena), len, data);
    if (hello == NULL) {
        return ERR_INVALID;
    }
    *ret_hello = (WireHello){
        .node_id = hello->node_id.data,
        .node_id_len = hello->node_id.len,
        .name = hello->name,
    };
    return ERR_OK;
}

Err wire_decode_success(WireArena *arena, const uint8_t *data, size_t len, bool *ret_success)
{
    Chat__MessageResponse *response =
        chat__message_response__unpack(wire_arena_reset(arena), len, data);
    if (response == NULL) {
        return ERR_INVALID;
    }
    *ret_success = response->success;
    return ERR_OK;
}

/* ---- encoding ---- */

static Bytes *pack(const ProtobufCMessage *message)
{
    Bytes *bytes = bytes_new_empty(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, bytes_fill(bytes));
    return bytes;
}

static Chat__MessageKind wire_kind(MessageKind kind)
{
    return kind == MESSAGE_ACTION ? CHAT__MESSAGE_KIND__ACTION : CHAT__MESSAGE_KIND__TEXT;
}

Bytes *wire_request(Message *message)
{
    if (message->encoded_request == NULL) {
        Chat__MessageRequest request = CHAT__MESSAGE_REQUEST__INIT;
        request.sender = message->sender;
        request.content = message->content;
        request.timestamp = message->timestamp;
        request.id = (ProtobufCBinaryData){.len = message->id.len, .data = message->id.bytes};
        request.time_ms = message->time_ms;
        request.kind = wire_kind(message->kind);
        message->encoded_request = pack(&request.base);
    }
    return message->encoded_request;
}

Bytes *wire_response(Message *message)
{
    if (message->encoded_response == NULL) {
        Chat__MessageResponse response = CHAT__MESSAGE_RESPONSE__INIT;
        response.sender = message->sender;
        response.content = message->content;
        response.timestamp = message->timestamp;
        response.success = true;
        response.id = (ProtobufCBinaryData){.len = message->id.len, .data = message->id.bytes};
        response.time_ms = message->clock_told ? 0 : message->time_ms;
        response.kind = wire_kind(message->kind);
        response.room = message_is_in_lobby(message) ? response.room : message->room;
        response.fingerprint = message->fingerprint;
        message->encoded_response = pack(&response.base);
    }
    return message->encoded_response;
}

Bytes *wire_echo(const MessageDraft *draft)
{
    Chat__MessageResponse response = CHAT__MESSAGE_RESPONSE__INIT;
    AUTO_FREE char *sender = mem_copy_text(draft->sender, draft->sender_len);
    AUTO_FREE char *content = mem_copy_text(draft->content, draft->content_len);
    AUTO_FREE char *timestamp = mem_copy_text(draft->timestamp, draft->timestamp_len);
    AUTO_FREE char *room = mem_copy_text(draft->room, draft->room_len);
    response.sender = sender;
    response.content = content;
    response.timestamp = timestamp;
    response.room = room;
    response.success = true;
    return pack(&response.base);
}

/* As a response of one row, whose field may stand beside others: messages of protobuf may be joined
 * by joining their bytes. */
void wire_add_refusal(StrBuf *refused, uint64_t number, int code, const char *text)
{
    size_t len = strlen(text);
    if (len > REFUSAL_TEXT_MAX_BYTES) {
        len = REFUSAL_TEXT_MAX_BYTES;
        while (len > 0 && (text[len] & 0xc0) == 0x80) {
            len--; /* never within a character */
        }
    }
    AUTO_STRBUF StrBuf clean = {0};
    text_sanitise(&clean, text, len);
    Chat__Refusal row = CHAT__REFUSAL__INIT;
    row.number = number;
    row.code = (uint32_t)code;
    row.text = clean.text;
    Chat__Refusal *rows = &row;
    Chat__PublishResponse response = CHAT__PUBLISH_RESPONSE__INIT;
    response.n_refused = 1;
    response.refused = &rows;
    Bytes *bytes = pack(&response.base);
    strbuf_add(refused, (const char *)bytes_data(bytes), bytes_len(bytes));
    bytes_unref(bytes);
}

Bytes *wire_publish_response(uint64_t answered, const StrBuf *refused)
{
    Chat__PublishResponse response = CHAT__PUBLISH_RESPONSE__INIT;
    response.answered = answered;
    size_t head = chat__publish_response__get_packed_size(&response);
    Bytes *bytes = bytes_new_empty(head + refused->len);
    chat__publish_response__pack(&response, bytes_fill(bytes));
    if (refused->len > 0) {
        memcpy(bytes_fill(bytes) + head, refused->text, refused->len);
    }
    return bytes;
}

Bytes *wire_hello(const NodeId *node_id, const char *name)
{
    Chat__HelloResponse hello = CHAT__HELLO_RESPONSE__INIT;
    NodeId id = *node_id;
    AUTO_FREE char *copy = mem_copy_string(name);
    hello.node_id = (ProtobufCBinaryData){.len = sizeof(id.bytes), .data = id.bytes};
    hello.name = copy;
    return pack(&hello.base);
}

Bytes *wire_stream_request(const NodeId *node_id)
{
    Chat__StreamRequest request = CHAT__STREAM_REQUEST__INIT;
    NodeId id = *node_id;
    char client_id[2 * NODE_ID_BYTES + sizeof("node-")] = "node-";
    for (size_t i = 0; i < sizeof(id.bytes); i++) {
        snprintf(client_id + strlen("node-") + 2 * i, 3, "%02x", id.bytes[i]);
    }
    request.client_id = client_id;
    request.node_id = (ProtobufCBinaryData){.len = sizeof(id.bytes), .data = id.bytes};
    return pack(&request.base);
}
