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
