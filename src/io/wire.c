/* protobuf-c behind the core's values. */
#include "io/wire.h"

#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <stdio.h>
#include <string.h>

enum {
    /* A request of 8 KiB and its strings twice over fit in; what is larger is refused before. */
    ARENA_BYTES = 1024 * 1024,
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

static ProtobufCAllocator *arena_reset(WireArena *arena)
{
    return proto_arena_reset(&arena->arena, arena->memory, sizeof(arena->memory));
}

/* ---- decoding ---- */

Err wire_decode_message(WireArena *arena, const uint8_t *data, size_t len, MessageDraft *ret_draft)
{
    Chat__MessageRequest *request = chat__message_request__unpack(arena_reset(arena), len, data);
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

Err wire_decode_stream_request(WireArena *arena, const uint8_t *data, size_t len,
                               WireStreamRequest *ret_request)
{
    Chat__StreamRequest *request = chat__stream_request__unpack(arena_reset(arena), len, data);
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
    Chat__HelloResponse *hello = chat__hello_response__unpack(arena_reset(arena), len, data);
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
    Chat__MessageResponse *response = chat__message_response__unpack(arena_reset(arena), len, data);
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
