/* Memory for one decoded protobuf-c message: handed out from one block, given back all at once.
 * What does not fit is refused, so a message cannot make its decoder take more than the block. */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

enum { PROTO_ARENA_ALIGN = 16 };

typedef struct ProtoArena {
    ProtobufCAllocator allocator;
    uint8_t *memory; /* borrowed; aligned to PROTO_ARENA_ALIGN */
    size_t size;
    size_t used;
} ProtoArena;

/* Empty, over that memory. Both must stay where they are while what is decoded is in use. */
ProtobufCAllocator *proto_arena_reset(ProtoArena *arena, uint8_t *memory, size_t size);

/* The true length of a string field. protobuf-c gives a C string only, and what stands behind a NUL
 * would vanish unseen. data has been decoded already, so its form is sound; as there, the last of
 * several counts. (Encoding: protobuf.dev/programming-guides/encoding.) */
size_t proto_string_len(const uint8_t *data, size_t len, uint32_t field);
