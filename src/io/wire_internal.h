/* What wire*.c share. For wire*.c alone. */
#pragma once

#include "io/wire.h"

#include <protobuf-c/protobuf-c.h>

/* For the next message to be decoded; what was borrowed from the arena is gone. */
ProtobufCAllocator *wire_arena_reset(WireArena *arena);
