/* What this node can read of what is sealed: the keys of its rooms, who is in them, and the way in
 * and out of a sealed event. Pure.
 *
 *   identity seed --+                      SEALED event --> keyring_open --> the event within
 *   ROOM_KEY -------+--> Keyring           a line --> keyring_renew, keyring_seal --> bodies to say
 *
 * A sealed room is known in the log by an id ("!" and 26 letters and digits; "@" and so on for a
 * conversation of two), which proves who has founded it. Who is in it, and which key is whose, is
 * told by ROOM_KEY events that anybody can read; the keys themselves, and the room's name, are
 * sealed to each member. Everything follows from which events are known, and never from the order
 * in which they came: they are gone through in the shown order, and one counts where its author was
 * in the room by then. People see a room by its shown name: "!team", or "!team~ab12" where they are
 * in another of that name already.
 *
 * A key serves for as long as those who hold it are those who are in the room. When somebody has
 * left, is revoked, or came without the past, whoever speaks next makes a new one for all. Within a
 * key's life there is no forward secrecy; that a room is spoken in, by whom, when and how much, and
 * who is in it, every member of the network can see.
 *
 * Chance comes from outside (keyring_stir), and is spread by a hash with the identity as its key:
 * who knows the identity can open what is sealed to it anyway. */
#pragma once

#include "core/message.h"

typedef struct Keyring Keyring;

enum {
    SEALED_KEY_BYTES = 32,
    SEALED_KEY_ID_BYTES = 8,
    SEALED_ROOM_BYTES = 27,     /* of an id */
    SEALED_NAME_MAX_BYTES = 56, /* with "!" before and "~ab12" behind it room for an event's */
    ROOM_PEOPLE_MAX = 500,      /* in a room at a time: a new key is sealed to each of them */
    /* Ever named in a room; ROOM_KEY events that are kept of one; keys of one. Past it new people
     * are passed over, the oldest event that only gives keys goes, and the oldest key. */
    ROOM_PEOPLE_EVER_MAX = 4000,
    ROOM_EVENTS_MAX = 16384,
    ROOM_KEYS_MAX = 1024,
    ROOM_EVENT_KEYS_MAX = 128, /* in one grant: what fits into an event */
    /* That are known in all; past it one is forgotten whose keys this node does not have: the first
     * that came of whoever made most of those. */
    KEYRING_ROOMS_MAX = 4096,
    /* In all, some bytes each, and of one author; past it events are passed over. */
    KEYRING_GRANTS_MAX = 1024 * 1024,
    KEYRING_GRANTS_OF_ONE_MAX = KEYRING_GRANTS_MAX / 4,
};

/* network: EVENT_NETWORK_BYTES. The seed is not kept, but for what follows from it. */
Keyring *keyring_new(const uint8_t seed[EVENT_SEED_BYTES], const uint8_t *network);
/* Wipes all keys. NULL is fine. */
void keyring_free(Keyring *keyring);

typedef struct KeyringPeople {
    /* Is it a member of the network, and not revoked? NULL: everybody is. */
    bool (*counts)(void *context, const uint8_t key[EVENT_KEY_BYTES]);
    /* What somebody is called, this node's person too; NULL as a function or an answer: a part of
     * the key. Valid until the next call. */
    const char *(*name)(void *context, const uint8_t key[EVENT_KEY_BYTES]);
    void *context;
} KeyringPeople;

/* Asked each time; so answers may change. */
void keyring_set_people(Keyring *keyring, const KeyringPeople *people);
/* Before anything is made: fresh numbers. */
void keyring_stir(Keyring *keyring, uint64_t random, int64_t wall_ms);

/* ---- what the log says ---- */

/* A ROOM_KEY event; others mean nothing. What is wrong with it is passed over: it is in the log,
 * and says nothing. Returns whether it may have changed who is in its room, or what can be read
 * (keyring_learned). */
bool keyring_take(Keyring *keyring, const LogEvent *event);
/* Nothing of that stream past seq counts any more. */
void keyring_cut(Keyring *keyring, const StreamId *stream, uint64_t seq);

/* The last keyring_take has brought a key that opens what could not be read before. */
bool keyring_learned(const Keyring *keyring);

/* What an event says to who can read it: of a SEALED one what is within, of a ROOM_KEY one by which
 * its author enters or leaves a JOIN or PART, with the same place and hash, and the room's shown
 * name as room ("@NAME" of a conversation: of the one it is said to). Any other event itself, but
 * for plain ones that claim to be said in a sealed room. NULL: it cannot be read here, or is
 * nothing to be shown. A NULL keyring (open mode) gives the event itself. The caller has a
 * reference. */
LogEvent *keyring_open(Keyring *keyring, LogEvent *event);

/* For an index of what can be read: a SEALED event whose key is here, whoever said it and whether
 * or not he was in the room, with the room's id; plain ones themselves; NULL as above. What it
 * finds is shown to nobody whom keyring_open does not show it to. */
LogEvent *keyring_unseal(const Keyring *keyring, LogEvent *event);
/* Counts each keyring_take. */
uint64_t keyring_takes(const Keyring *keyring);
/* Is it sealed with a key that came with that take, or later? */
bool keyring_opens_since(const Keyring *keyring, const EventFields *fields, uint64_t take);

/* ---- what there is ---- */

/* Valid until the next keyring_take or keyring_cut. */
typedef struct SealedRoom {
    const char *id;
    const char *shown; /* "!team"; of a conversation "" */
    bool inside;       /* this node is in it now */
    bool entered;      /* and looks at it */
    size_t people;     /* in it now, of those who count */
} SealedRoom;

/* By its id, or NULL: this node was never in it. */
const SealedRoom *keyring_room(Keyring *keyring, const char *id, size_t len);
/* By its shown name. */
const SealedRoom *keyring_room_shown(Keyring *keyring, const char *shown, size_t len);
/* Those this node is or was in, conversations not among them; NULL past the end. */
const SealedRoom *keyring_room_at(Keyring *keyring, size_t index);
/* Who is in it now, of those who count; NULL past the end. */
const uint8_t *keyring_person(Keyring *keyring, const char *id, size_t index);
bool keyring_has_person(Keyring *keyring, const char *id, const uint8_t key[EVENT_KEY_BYTES]);
/* Is it the id of a sealed room, or of a conversation? */
bool sealed_is_id(const char *room, size_t len);
/* Of the conversation with somebody. */
void keyring_talk_id(const Keyring *keyring, const uint8_t other[EVENT_KEY_BYTES],
                     char ret_id[SEALED_ROOM_BYTES + 1]);
/* Whom an event lets into its room that was not in it before, by index; NULL past the end, or where
 * it does not count. */
const uint8_t *keyring_let_in(Keyring *keyring, const EventFields *fields, size_t index);

/* ---- what is to be said ---- */

/* Bodies of ROOM_KEY events of one room, in order: each to be said, and given to keyring_take as an
 * event at once. */
typedef struct KeyBodies {
    Bytes **items;
    size_t count;
} KeyBodies;

void key_bodies_done(KeyBodies *bodies);

/* A new room, with this node in it. ERR_INVALID: its name is too long. */
Err keyring_found(Keyring *keyring, const char *name, char ret_id[SEALED_ROOM_BYTES + 1],
                  KeyBodies *ret_bodies);
/* Lets somebody in: past: with all the keys that are known here; else with a new one.
 * ERR_NOT_FOUND: this node is not in the room. ERR_EXISTS: that one is. ERR_LIMIT: ROOM_PEOPLE_MAX.
 * ERR_INVALID: nothing can be sealed to that key. */
Err keyring_admit(Keyring *keyring, const char *id, const uint8_t key[EVENT_KEY_BYTES], bool past,
                  KeyBodies *ret_bodies);
/* This node looks at the room from now on, or leaves it. ERR_NOT_FOUND: it is not in it. */
Err keyring_move(Keyring *keyring, const char *id, bool enter, KeyBodies *ret_bodies);
/* What has to be said before a line: a new key where there is none that fits. Of a conversation:
 * its first one too, to_key being the other's (else NULL). ERR_NOT_FOUND: this node is not in
 * it. */
Err keyring_renew(Keyring *keyring, const char *id, const uint8_t *to_key, KeyBodies *ret_bodies);
/* The body of a SEALED event in that room. fields: kind, sender, body, id, stamp, heard.
 * ERR_NOT_FOUND: there is no key: keyring_renew makes one. */
Err keyring_seal(Keyring *keyring, const char *id, const EventFields *fields, Bytes **ret_body);
/* The sender of SEALED events, to whom cannot read them. */
#define SEALED_SENDER "sealed"
