/* A block for protobuf-c. */
#include "core/proto_arena.h"

static void *arena_alloc(void *context, size_t size)
{
    ProtoArena *arena = context;
    size_t rounded = (size + PROTO_ARENA_ALIGN - 1) / PROTO_ARENA_ALIGN * PROTO_ARENA_ALIGN;
    if (size > arena->size || rounded > arena->size - arena->used) {
        return NULL;
    }
    void *memory = arena->memory + arena->used;
    arena->used += rounded;
    return memory;
}

static void arena_free(void *context, void *memory)
{
    (void)context;
    (void)memory; /* all at once, at the next reset */
}

ProtobufCAllocator *proto_arena_reset(ProtoArena *arena, uint8_t *memory, size_t size)
{
    arena->memory = memory;
    arena->size = size;
    arena->used = 0;
    arena->allocator =
        (ProtobufCAllocator){.alloc = arena_alloc, .free = arena_free, .allocator_data = arena};
    return &arena->allocator;
}

static size_t read_varint(const uint8_t *data, size_t len, size_t at, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; at < len; shift += 7) {
        uint8_t byte = data[at++];
        value |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
        if ((byte & 0x80) == 0) {
            break;
        }
    }
    *ret_value = value;
    return at;
}

size_t proto_string_len(const uint8_t *data, size_t len, uint32_t field)
{
    enum { VARINT, FIXED64, BYTES, FIXED32 = 5 };
    size_t found = 0;
    for (size_t at = 0; at < len;) {
        uint64_t tag = 0;
        uint64_t value = 0;
        at = read_varint(data, len, at, &tag);
        switch (tag & 7) {
        case VARINT:
            at = read_varint(data, len, at, &value);
            break;
        case FIXED64:
            at += 8;
            break;
        case BYTES:
            at = read_varint(data, len, at, &value);
            found = tag >> 3 == field ? (size_t)value : found;
            at = value < len - at ? at + (size_t)value : len;
            break;
        case FIXED32:
            at += 4;
            break;
        default:
            return found;
        }
    }
    return found;
}
