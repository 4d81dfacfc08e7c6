/* Frames that wait because this node's own face does not keep up: a pipe whose reader is slower
 * than the catching up of a day. The peer's credit runs out meanwhile, so that it waits too, and
 * nothing falls off the bus's ring.
 *
 *   mesh_links --> pace_take --- the face is near ------------------> EVENT_FRAME
 *                       |
 *                       +--- far behind, and reading --> [frames] --> EVENT_FRAME, when it is near
 *
 * A face that has stopped reading holds up nobody for longer than a second. */
#pragma once

#include "io/bus.h"
#include "io/loop.h"

typedef struct Pace Pace;

enum {
    /* The face is near with so many items before it: a frame may hold a few hundred. */
    PACE_ITEMS = BUS_MAX_ITEMS / 4,
    PACE_STALLED_MS = 1000,
    /* Past it the face has to see for itself: that is more than any one peer has credit for. */
    PACE_MAX_BYTES = 64 * 1024 * 1024,
};

typedef struct PaceOptions {
    Loop *loop;
    Bus *bus;
    void (*deliver)(void *context, size_t mesh, const uint8_t *data, size_t len);
    void *context;
} PaceOptions;

Pace *pace_new(const PaceOptions *options);
/* Drops what waits. The loop frees it. NULL is fine. */
void pace_free(Pace *pace);

/* Delivers the frame, now or later; in the order in which they come. */
void pace_take(Pace *pace, size_t mesh, const uint8_t *data, size_t len);
/* The mesh link is gone, and what waits of it void. */
void pace_forget(Pace *pace, size_t mesh);
