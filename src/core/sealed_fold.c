/* What follows from a room's events: who is in it and was when, whose each key is, what it is
 * called. Found anew when an event has come, however late, and somebody asks. */
#include "core/sealed_state.h"

#include <stdio.h>
#include <string.h>

/* ---- places ---- */

RoomPlace room_place(const EventFields *fields)
{
    return (RoomPlace){.hlc = fields->hlc, .stream = fields->stream, .seq = fields->seq};
}

int room_place_compare(const RoomPlace *a, const RoomPlace *b)
{
    if (a->hlc != b->hlc) {
        return a->hlc < b->hlc ? -1 : 1;
    }
    int by_stream = stream_id_compare(&a->stream, &b->stream);
    if (by_stream != 0) {
        return by_stream;
    }
    return a->seq < b->seq ? -1 : a->seq > b->seq;
}

/* ---- people ---- */

Person *room_find_person(const KeyRoom *room, const uint8_t *key)
{
    Person *person = NULL;
    HASH_FIND(hh, room->by_key, key, EVENT_KEY_BYTES, person);
    return person;
}

Person *room_person(KeyRoom *room, const uint8_t *key)
{
    Person *person = room_find_person(room, key);
    if (person != NULL || room->people_count == ROOM_PEOPLE_EVER_MAX) {
        return person;
    }
    person = mem_new(Person);
    memcpy(person->key, key, EVENT_KEY_BYTES);
    person->index = (uint16_t)room->people_count;
    if (room->people_count == room->people_cap) {
        room->people_cap = room->people_cap > 0 ? 2 * room->people_cap : 4;
        room->people = mem_resize(room->people, room->people_cap, sizeof(Person *));
    }
    room->people[room->people_count++] = person;
    HASH_ADD(hh, room->by_key, key, EVENT_KEY_BYTES, person);
    room->stale = true;
    return person;
}

bool room_was_in(const Person *person, const RoomPlace *place)
{
    bool in = false;
    for (size_t i = 0; i < person->changes_count; i++) {
        if (room_place_compare(&person->changes[i].place, place) > 0) {
            break;
        }
        in = person->changes[i].in;
    }
    return in;
}

bool person_counts(const Keyring *keyring, const Person *person)
{
    const KeyringPeople *people = &keyring->people;
    return people->counts == NULL || people->counts(people->context, person->key);
}

const Person *room_other(const Keyring *keyring, const KeyRoom *room)
{
    for (size_t i = 0; i < room->people_count; i++) {
        if (memcmp(room->people[i]->key, keyring->own_key, EVENT_KEY_BYTES) != 0) {
            return room->people[i];
        }
    }
    return NULL;
}

static void set_in(Person *person, bool in, const RoomPlace *place)
{
    if (person->in == in) {
        return;
    }
    person->in = in;
    person->entered = false;
    if (person->changes_count == person->changes_cap) {
        person->changes_cap = person->changes_cap > 0 ? 2 * person->changes_cap : 2;
        person->changes = mem_resize(person->changes, person->changes_cap, sizeof(Change));
    }
    person->changes[person->changes_count++] = (Change){.place = *place, .in = in};
}

/* ---- keys ---- */

SealKey *room_find_key(const KeyRoom *room, uint64_t id)
{
    for (size_t i = room->keys_count; i > 0; i--) { /* the newest is asked for most */
        if (room->keys[i - 1].id == id) {
            return &room->keys[i - 1];
        }
    }
    return NULL;
}

static size_t bitmap_bytes(const KeyRoom *room)
{
    return (room->people_count + BITS_PER_BYTE - 1) / BITS_PER_BYTE;
}

static void set_bit(uint8_t *bits, size_t at)
{
    bits[at / BITS_PER_BYTE] |= (uint8_t)(1U << at % BITS_PER_BYTE);
}

static void note_holders(KeyRoom *room, const RoomEvent *event)
{
    for (size_t i = 0; i < event->keys_count; i++) {
        SealKey *key = room_find_key(room, event->key_ids[i]);
        if (key == NULL) {
            continue;
        }
        if (!key->given) {
            key->given = true;
            key->place = event->place;
        }
        set_bit(key->holders, event->author);
        for (size_t j = 0; j < event->grants_count; j++) {
            set_bit(key->holders, event->grants[j].person);
        }
    }
}

const SealKey *room_fitting_key(const Keyring *keyring, const KeyRoom *room)
{
    size_t len = bitmap_bytes(room);
    AUTO_FREE uint8_t *present = mem_alloc(len + 1);
    for (size_t i = 0; i < room->people_count; i++) {
        if (room->people[i]->in && person_counts(keyring, room->people[i])) {
            set_bit(present, i);
        }
    }
    const SealKey *best = NULL;
    for (size_t i = 0; i < room->keys_count; i++) {
        const SealKey *key = &room->keys[i];
        bool fits = key->given && memcmp(key->holders, present, len) == 0;
        if (fits && (best == NULL || room_place_compare(&key->place, &best->place) > 0)) {
            best = key;
        }
    }
    return best;
}

/* ---- all of it ---- */

static void fold_begin(KeyRoom *room)
{
    static const RoomPlace before_all = {0};
    for (size_t i = 0; i < room->people_count; i++) {
        Person *person = room->people[i];
        person->in = false;
        person->entered = false;
        person->changes_count = 0;
        if (room->is_talk) {
            set_in(person, true, &before_all);
        }
    }
    for (size_t i = 0; i < room->keys_count; i++) {
        SealKey *key = &room->keys[i];
        mem_free(key->holders);
        key->holders = mem_alloc(bitmap_bytes(room) + 1);
        key->given = false;
    }
}

static void fold_event(KeyRoom *room, RoomEvent *event)
{
    Person *author = room->people[event->author];
    if (event->founds) {
        set_in(author, true, &event->place);
    }
    event->counts = author->in;
    if (!event->counts) {
        return;
    }
    for (size_t i = 0; i < event->grants_count && !room->is_talk; i++) {
        if (event->grants[i].lets_in) {
            set_in(room->people[event->grants[i].person], true, &event->place);
        }
    }
    note_holders(room, event);
    if (event->move == ROOM_ENTER) {
        author->entered = true;
    } else if (event->move == ROOM_LEAVE && !room->is_talk) {
        set_in(author, false, &event->place);
    }
}

void room_fold(Keyring *keyring, KeyRoom *room)
{
    if (!room->stale) {
        return;
    }
    fold_begin(room);
    for (size_t i = 0; i < room->events_count; i++) {
        fold_event(room, room->events[i]);
    }
    room->stale = false;
    keyring->names_stale = true;
}

KeyRoom *keyring_find(const Keyring *keyring, const char *id, size_t len)
{
    KeyRoom *room = NULL;
    HASH_FIND(hh, keyring->rooms, id, len, room);
    return room;
}

KeyRoom *keyring_folded(Keyring *keyring, const char *id, size_t len)
{
    KeyRoom *room = keyring_find(keyring, id, len);
    if (room != NULL) {
        room_fold(keyring, room);
    }
    return room;
}

/* ---- names ---- */

/* When this node was let in first; NULL: never. */
static const RoomPlace *first_in(const Keyring *keyring, const KeyRoom *room)
{
    const Person *own = room_find_person(room, keyring->own_key);
    return own != NULL && own->changes_count > 0 ? &own->changes[0].place : NULL;
}

static bool has_namesake(const Keyring *keyring, const KeyRoom *room, const RoomPlace *since)
{
    for (const KeyRoom *other = keyring->rooms; other != NULL; other = other->hh.next) {
        const RoomPlace *place = other != room && !other->is_talk ? first_in(keyring, other) : NULL;
        if (place != NULL && strcmp(other->name, room->name) == 0 &&
            room_place_compare(place, since) < 0) {
            return true;
        }
    }
    return false;
}

/* Of rooms with one name the first that this node was in keeps it bare. */
void keyring_name_rooms(Keyring *keyring)
{
    enum { ID_CHARS = 4 };
    for (KeyRoom *room = keyring->rooms; room != NULL; room = room->hh.next) {
        room_fold(keyring, room);
    }
    if (!keyring->names_stale) {
        return;
    }
    for (KeyRoom *room = keyring->rooms; room != NULL; room = room->hh.next) {
        const RoomPlace *since = first_in(keyring, room);
        room->shown[0] = '\0';
        if (room->is_talk || since == NULL) {
            continue;
        }
        snprintf(room->shown, sizeof(room->shown), "!%s", room->name);
        if (room->name[0] == '\0' || has_namesake(keyring, room, since)) {
            size_t len = strlen(room->shown);
            snprintf(room->shown + len, sizeof(room->shown) - len, "~%.*s", ID_CHARS, room->id + 1);
        }
    }
    keyring->names_stale = false;
}
