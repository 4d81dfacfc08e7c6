/* Rooms and their members. */
#include "core/rooms.h"

#include "core/message.h"

#include <stdio.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

typedef struct Room Room;

/* One node's last word about one room. */
typedef struct Membership {
    RoomMember member; /* its name is owned */
    uint64_t hlc;
    uint64_t epoch;
    uint64_t seq;
    bool in;
    struct Membership *prev;
    struct Membership *next;
} Membership;

struct Room {
    char name[EVENT_ROOM_MAX_BYTES + 1];
    bool joined;
    Membership *members;
    UT_hash_handle hh;
};

struct Rooms {
    uint8_t own_key[EVENT_KEY_BYTES];
    Room *rooms;
    size_t members_count;
    size_t joined_count;
};

Rooms *rooms_new(const uint8_t own_key[EVENT_KEY_BYTES])
{
    Rooms *rooms = mem_new(Rooms);
    memcpy(rooms->own_key, own_key, EVENT_KEY_BYTES);
    return rooms;
}

void rooms_free(Rooms *rooms)
{
    if (rooms == NULL) {
        return;
    }
    Room *room;
    Room *next_room;
    HASH_ITER(hh, rooms->rooms, room, next_room) {
        Membership *member;
        Membership *next;
        DL_FOREACH_SAFE(room->members, member, next) {
            mem_free((char *)(uintptr_t)member->member.name);
            mem_free(member);
        }
        HASH_DEL(rooms->rooms, room);
        mem_free(room);
    }
    mem_free(rooms);
}

static Room *find_room(const Rooms *rooms, const char *name)
{
    Room *room;
    HASH_FIND_STR(rooms->rooms, name, room);
    return room;
}

static Room *get_room(Rooms *rooms, const char *name)
{
    Room *room = find_room(rooms, name);
    if (room == NULL) {
        room = mem_new(Room);
        snprintf(room->name, sizeof(room->name), "%s", name);
        HASH_ADD_STR(rooms->rooms, name, room);
    }
    return room;
}

static void set_joined(Rooms *rooms, Room *room, bool joined)
{
    if (room->joined != joined) {
        room->joined = joined;
        rooms->joined_count += joined ? 1 : (size_t)-1;
    }
}

static bool is_newer(const Membership *known, const EventFields *fields)
{
    if (fields->hlc != known->hlc) {
        return fields->hlc > known->hlc;
    }
    return fields->stream.epoch != known->epoch ? fields->stream.epoch > known->epoch
                                                : fields->seq > known->seq;
}

static Membership *get_membership(Rooms *rooms, Room *room, const uint8_t *key)
{
    Membership *member;
    DL_FOREACH(room->members, member) {
        if (memcmp(member->member.key, key, EVENT_KEY_BYTES) == 0) {
            return member;
        }
    }
    if (rooms->members_count == ROOMS_MEMBERS_MAX) {
        return NULL;
    }
    member = mem_new(Membership);
    memcpy(member->member.key, key, EVENT_KEY_BYTES);
    DL_APPEND(room->members, member);
    rooms->members_count++;
    return member;
}

void rooms_apply(Rooms *rooms, const EventFields *fields)
{
    if (fields->kind != LOG_JOIN && fields->kind != LOG_PART) {
        return;
    }
    AUTO_FREE char *name = mem_copy_text(fields->room, fields->room_len);
    bool full = rooms->members_count == ROOMS_MEMBERS_MAX;
    Room *room = full ? find_room(rooms, name) : NULL;
    if (name[0] == '@' || (full && room == NULL)) {
        return;
    }
    room = room != NULL ? room : get_room(rooms, name);
    Membership *member = get_membership(rooms, room, fields->stream.origin);
    if (member == NULL || (member->member.name != NULL && !is_newer(member, fields))) {
        return;
    }
    mem_free((char *)(uintptr_t)member->member.name);
    member->member.name = mem_copy_text(fields->sender, fields->sender_len);
    member->hlc = fields->hlc;
    member->epoch = fields->stream.epoch;
    member->seq = fields->seq;
    member->in = fields->kind == LOG_JOIN;
    if (memcmp(rooms->own_key, fields->stream.origin, EVENT_KEY_BYTES) == 0) {
        bool has_room = room->joined || rooms->joined_count < ROOMS_JOINED_MAX;
        set_joined(rooms, room, member->in && has_room);
    }
}

Err rooms_enter(Rooms *rooms, const char *name)
{
    if (rooms->joined_count == ROOMS_JOINED_MAX) {
        return ERR_LIMIT;
    }
    set_joined(rooms, get_room(rooms, name), true);
    return ERR_OK;
}

void rooms_leave(Rooms *rooms, const char *name)
{
    Room *room = find_room(rooms, name);
    if (room != NULL) {
        set_joined(rooms, room, false);
    }
}

bool rooms_joined(const Rooms *rooms, const char *name)
{
    const Room *room = find_room(rooms, name);
    return room != NULL && room->joined;
}

const char *rooms_joined_at(const Rooms *rooms, size_t index)
{
    for (const Room *room = rooms->rooms; room != NULL; room = room->hh.next) {
        if (room->joined && index-- == 0) {
            return room->name;
        }
    }
    return NULL;
}

const RoomMember *rooms_member(const Rooms *rooms, const char *name, size_t index)
{
    const Room *room = find_room(rooms, name);
    const Membership *member;
    DL_FOREACH(room != NULL ? room->members : NULL, member) {
        if (member->in && index-- == 0) {
            return &member->member;
        }
    }
    return NULL;
}

Err room_name_parse(const char *text, size_t len, char ret_name[EVENT_ROOM_MAX_BYTES + 1],
                    const char **ret_reason)
{
    if (len > 0 && text[0] == '#') {
        text++;
        len--;
    }
    if (len == 0 || len > EVENT_ROOM_MAX_BYTES) {
        *ret_reason = "a room's name has 1 to 64 bytes";
        return ERR_INVALID;
    }
    if (text[0] == '@' || text[0] == '#' || text[0] == '/' || memchr(text, ' ', len) != NULL) {
        *ret_reason = "a room's name holds no space and does not start with @, # or /";
        return ERR_INVALID;
    }
    Err err = message_check_label(text, len, ret_reason);
    if (err != ERR_OK) {
        *ret_reason = "a room's name is UTF-8 without control characters";
        return err;
    }
    for (size_t i = 0; i < len; i++) {
        bool capital = text[i] >= 'A' && text[i] <= 'Z';
        ret_name[i] = (char)(capital ? text[i] - 'A' + 'a' : text[i]);
    }
    ret_name[len] = '\0';
    return ERR_OK;
}
