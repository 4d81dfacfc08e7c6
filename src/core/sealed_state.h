/* What the files of the keyring share. For src/core/sealed*.c alone. */
#pragma once

#include "core/sealed.h"

#include <stdbool.h>
#include <uthash.h>

enum {
    SEALED_NONCE_BYTES = 24,
    SEALED_TAG_BYTES = 16,
    SEALED_SALT_BYTES = 16,
    SEALED_CONTEXT_BYTES = 16,
    SEALED_HASH_BYTES = 16, /* of an id */
    BOX_BYTES = 32,         /* an X25519 key */
    BOX_SEAL_BYTES = 48,    /* what crypto_box_seal adds */
    BITS_PER_BYTE = 8,
};

/* Where an event stands in the shown order. */
typedef struct RoomPlace {
    uint64_t hlc;
    StreamId stream;
    uint64_t seq;
} RoomPlace;

typedef enum RoomMove { ROOM_STAY, ROOM_ENTER, ROOM_LEAVE } RoomMove;

/* From that event on somebody is in the room, or not. */
typedef struct Change {
    RoomPlace place;
    bool in;
} Change;

/* Somebody who was named in a room. */
typedef struct Person {
    uint8_t key[EVENT_KEY_BYTES];
    uint16_t index;
    bool in; /* after all events */
    bool entered;
    Change *changes; /* in their order */
    size_t changes_count;
    size_t changes_cap;
    UT_hash_handle hh;
} Person;

typedef struct GrantRow {
    uint16_t person;
    bool lets_in;
} GrantRow;

/* What is kept because of one author, so that nobody takes the others' room. */
typedef struct Share {
    uint8_t key[EVENT_KEY_BYTES];
    size_t rooms; /* that his event was the first of */
    size_t events;
    size_t grants; /* in them */
    UT_hash_handle hh;
} Share;

/* What is kept of a ROOM_KEY event. */
typedef struct RoomEvent {
    RoomPlace place;
    Share *share;
    uint16_t author;
    RoomMove move;
    bool founds;
    bool counts; /* its author was in the room */
    uint64_t *key_ids;
    size_t keys_count;
    GrantRow *grants;
    size_t grants_count;
} RoomEvent;

/* One that this node has. */
typedef struct SealKey {
    uint64_t id;
    uint8_t key[SEALED_KEY_BYTES];
    RoomPlace place;  /* of the first event that gave it */
    uint64_t take;    /* with which it came */
    bool given;       /* by one that counts */
    uint8_t *holders; /* a bit for each of people */
} SealKey;

typedef struct KeyRoom {
    char id[SEALED_ROOM_BYTES + 1];
    Share *share;
    bool is_talk;
    char name[SEALED_NAME_MAX_BYTES + 1]; /* "": not known */
    RoomPlace name_place;
    Person **people;
    size_t people_count;
    size_t people_cap;
    Person *by_key;
    RoomEvent **events; /* in their order */
    size_t events_count;
    size_t events_cap;
    SealKey *keys;
    size_t keys_count;
    size_t keys_cap;
    bool stale; /* what follows from the events is to be found anew */
    char shown[EVENT_ROOM_MAX_BYTES + 1];
    SealedRoom view;
    UT_hash_handle hh;
} KeyRoom;

struct Keyring {
    uint8_t own_key[EVENT_KEY_BYTES];
    uint8_t box_public[BOX_BYTES];
    uint8_t box_secret[BOX_BYTES];
    uint8_t chance[SEALED_KEY_BYTES];
    uint64_t draws;
    uint8_t network[EVENT_NETWORK_BYTES];
    KeyringPeople people;
    KeyRoom *rooms; /* the first known first */
    Share *shares;
    size_t grants_count;
    bool names_stale;
    bool learned;
    uint64_t takes;
};

/* ---- sealed_wire.c: ids, and what is in events ---- */

/* A grant as it came, or is to be sent. */
typedef struct KeysWire {
    const uint8_t *salt; /* SEALED_SALT_BYTES, or NULL */
    RoomMove move;
    const uint8_t (*key_ids)[SEALED_KEY_ID_BYTES];
    size_t keys_count;
    const struct GrantWire *grants;
    size_t grants_count;
} KeysWire;

typedef struct GrantWire {
    const uint8_t *member; /* EVENT_KEY_BYTES */
    bool lets_in;
    const uint8_t *sealed;
    size_t sealed_len;
} GrantWire;

/* What was decoded, and its memory. */
typedef struct KeysRead {
    KeysWire wire;
    uint8_t (*key_ids)[SEALED_KEY_ID_BYTES];
    GrantWire *grants;
    uint8_t *memory;
    size_t memory_len;
} KeysRead;

/* Borrows from body. False: it breaks a rule; ret_read then needs no end. */
bool keys_read(const uint8_t *body, size_t len, KeysRead *ret_read);
void keys_read_done(KeysRead *read);
Bytes *keys_write(const KeysWire *wire);

typedef struct GrantContent {
    char name[SEALED_NAME_MAX_BYTES + 1];
    uint8_t context[SEALED_CONTEXT_BYTES];
    uint8_t keys[ROOM_EVENT_KEYS_MAX][SEALED_KEY_BYTES]; /* wiped by who is done with it */
    size_t keys_count;
} GrantContent;

bool grant_content_read(const uint8_t *data, size_t len, GrantContent *ret_content);
/* The most that an encoded one may have. */
enum { GRANT_CONTENT_MAX_BYTES = 8192 };
/* To data, which has room for GRANT_CONTENT_MAX_BYTES. */
size_t grant_content_write(const GrantContent *content, uint8_t *data);

void room_id_of_founder(const Keyring *keyring, const uint8_t founder[EVENT_KEY_BYTES],
                        const uint8_t salt[SEALED_SALT_BYTES], char ret_id[SEALED_ROOM_BYTES + 1]);
void room_context(const Keyring *keyring, const uint8_t *origin, const char *room,
                  const uint8_t *member, uint8_t ret_context[SEALED_CONTEXT_BYTES]);
void seal_key_id(const char *room, const uint8_t key[SEALED_KEY_BYTES],
                 uint8_t ret_id[SEALED_KEY_ID_BYTES]);
uint64_t seal_key_number(const uint8_t id[SEALED_KEY_ID_BYTES]);

/* ---- sealed_fold.c: what follows from a room's events ---- */

int room_place_compare(const RoomPlace *a, const RoomPlace *b);
RoomPlace room_place(const EventFields *fields);
KeyRoom *keyring_find(const Keyring *keyring, const char *id, size_t len);
/* With all that follows from its events. */
KeyRoom *keyring_folded(Keyring *keyring, const char *id, size_t len);
void room_fold(Keyring *keyring, KeyRoom *room);
Person *room_find_person(const KeyRoom *room, const uint8_t *key);
/* NULL: ROOM_PEOPLE_EVER_MAX. */
Person *room_person(KeyRoom *room, const uint8_t *key);
bool room_was_in(const Person *person, const RoomPlace *place);
bool person_counts(const Keyring *keyring, const Person *person);
SealKey *room_find_key(const KeyRoom *room, uint64_t id);
/* The newest that those have who are in the room now, and nobody else; NULL: none. */
const SealKey *room_fitting_key(const Keyring *keyring, const KeyRoom *room);
/* Gives all rooms their shown names. */
void keyring_name_rooms(Keyring *keyring);
/* Of a conversation: the one who is not this node. NULL is fine. */
const Person *room_other(const Keyring *keyring, const KeyRoom *room);

/* ---- sealed.c ---- */

/* Makes it; NULL: KEYRING_ROOMS_MAX, and none can be forgotten. */
KeyRoom *keyring_get(Keyring *keyring, const char *id, const uint8_t author[EVENT_KEY_BYTES]);
void keyring_draw(Keyring *keyring, const void *about, size_t about_len, uint8_t *ret, size_t len);
/* Both are in it, from before all events. False: ROOM_PEOPLE_EVER_MAX. */
bool room_make_talk(Keyring *keyring, KeyRoom *room, const uint8_t *other);
