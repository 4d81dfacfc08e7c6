/* Who is in which room, as the log tells: the last JOIN or PART of each node counts. Pure. */
#pragma once

#include "core/event.h"

typedef struct Rooms Rooms;

enum {
    /* Nodes in rooms, in all. Past it, new members are not listed; the log has them. */
    ROOMS_MEMBERS_MAX = 10000,
    /* That this node is in: each is a tab for somebody to look at. */
    ROOMS_JOINED_MAX = 64,
};

typedef struct RoomMember {
    uint8_t key[EVENT_KEY_BYTES];
    const char *name; /* as it called itself then */
} RoomMember;

Rooms *rooms_new(const uint8_t own_key[EVENT_KEY_BYTES]);
/* NULL is fine. */
void rooms_free(Rooms *rooms);

/* Takes note of a JOIN or PART; others mean nothing. Older ones than the last known of that node
 * and room change nothing. */
void rooms_apply(Rooms *rooms, const EventFields *fields);

/* This node itself, at once: the event follows. ERR_LIMIT: ROOMS_JOINED_MAX. */
Err rooms_enter(Rooms *rooms, const char *name);
void rooms_leave(Rooms *rooms, const char *name);
bool rooms_joined(const Rooms *rooms, const char *name);
/* Rooms this node is in, in the order in which they became known; NULL past the end. */
const char *rooms_joined_at(const Rooms *rooms, size_t index);

/* Members of a room; NULL past the end. */
const RoomMember *rooms_member(const Rooms *rooms, const char *name, size_t index);

/* A room's name as people write it: a leading "#" is taken off, A to Z are made small. ERR_INVALID:
 * it is none; *ret_reason (static) says why. */
Err room_name_parse(const char *text, size_t len, char ret_name[EVENT_ROOM_MAX_BYTES + 1],
                    const char **ret_reason);
