/* Some people, their sealed rooms, and who of them can read what: for tests without a core. */
#pragma once

#include "core/sealed.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { PEOPLE = 4, LOG_MAX = 512 };

/* Some people, each with a keyring and a stream, and the one log that all of them hold. */
typedef struct Club {
    EventSigner signers[PEOPLE];
    Keyring *rings[PEOPLE];
    uint64_t seqs[PEOPLE];
    EventHash hashes[PEOPLE];
    LogEvent *log[LOG_MAX];
    size_t count;
    uint64_t hlc;
    uint8_t revoked[EVENT_KEY_BYTES]; /* nobody: zeros */
} Club;

static const uint8_t NETWORK[EVENT_NETWORK_BYTES] = {1, 2, 3};
enum { ANN, BOB, CYD, DAN };

static inline bool club_counts(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    const Club *club = context;
    return memcmp(key, club->revoked, EVENT_KEY_BYTES) != 0;
}

static inline const char *club_name(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    static const char *const names[] = {"ann", "bob", "cyd", "dan"};
    const Club *club = context;
    for (size_t i = 0; i < PEOPLE; i++) {
        if (memcmp(club->signers[i].public_key, key, EVENT_KEY_BYTES) == 0) {
            return names[i];
        }
    }
    return NULL;
}

static inline Keyring *ring_of(Club *club, size_t who)
{
    uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(who + 1)};
    Keyring *ring = keyring_new(seed, NETWORK);
    KeyringPeople people = {.counts = club_counts, .name = club_name, .context = club};
    keyring_set_people(ring, &people);
    return ring;
}

static inline Club *club_new(void)
{
    Club *club = mem_new(Club);
    club->hlc = UINT64_C(1700000000000) << HLC_COUNTER_BITS;
    for (size_t i = 0; i < PEOPLE; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(i + 1)};
        event_signer_init(&club->signers[i], seed);
        club->rings[i] = ring_of(club, i);
    }
    return club;
}

static inline void club_free(Club *club)
{
    for (size_t i = 0; i < PEOPLE; i++) {
        keyring_free(club->rings[i]);
    }
    for (size_t i = 0; i < club->count; i++) {
        event_unref(club->log[i]);
    }
    mem_free(club);
}

/* Everybody has it at once. */
static inline LogEvent *club_say_as(Club *club, size_t who, EventFields fields)
{
    fields.network = NETWORK;
    memcpy(fields.stream.origin, club->signers[who].public_key, EVENT_KEY_BYTES);
    fields.stream.epoch = 1;
    fields.seq = ++club->seqs[who];
    fields.prev_hash = club->hashes[who];
    fields.hlc = ++club->hlc;
    LogEvent *event = event_new(&fields);
    club->hashes[who] = event->hash;
    assert_true(club->count < LOG_MAX);
    club->log[club->count++] = event;
    for (size_t i = 0; i < PEOPLE; i++) {
        (void)keyring_take(club->rings[i], event);
    }
    return event;
}

static inline LogEvent *club_say(Club *club, size_t who, int kind, const char *room,
                                 const Bytes *body)
{
    return club_say_as(club, who,
                       (EventFields){.kind = kind,
                                     .room = room,
                                     .room_len = strlen(room),
                                     .sender = SEALED_SENDER,
                                     .sender_len = strlen(SEALED_SENDER),
                                     .body = bytes_data(body),
                                     .body_len = bytes_len(body)});
}

static inline size_t club_say_keys(Club *club, size_t who, const char *room, KeyBodies *bodies)
{
    size_t count = bodies->count;
    for (size_t i = 0; i < count; i++) {
        assert_true(bytes_len(bodies->items[i]) <= EVENT_BODY_MAX_BYTES);
        club_say(club, who, LOG_ROOM_KEY, room, bodies->items[i]);
    }
    key_bodies_done(bodies);
    return count;
}

typedef struct RoomId {
    char text[SEALED_ROOM_BYTES + 1];
} RoomId;

static inline RoomId found(Club *club, size_t who, const char *name)
{
    RoomId id;
    KeyBodies bodies;
    keyring_stir(club->rings[who], ++club->hlc, 0);
    assert_int_equal(keyring_found(club->rings[who], name, id.text, &bodies), ERR_OK);
    assert_int_equal(club_say_keys(club, who, id.text, &bodies), 1);
    return id;
}

static inline void admit(Club *club, size_t who, const RoomId *room, size_t whom, bool past)
{
    KeyBodies bodies;
    assert_int_equal(
        keyring_admit(club->rings[who], room->text, club->signers[whom].public_key, past, &bodies),
        ERR_OK);
    assert_true(club_say_keys(club, who, room->text, &bodies) > 0);
}

static inline void leave(Club *club, size_t who, const RoomId *room)
{
    KeyBodies bodies;
    assert_int_equal(keyring_move(club->rings[who], room->text, false, &bodies), ERR_OK);
    club_say_keys(club, who, room->text, &bodies);
}

static inline Bytes *seal(Club *club, size_t who, const char *room, const char *text)
{
    Bytes *body = NULL;
    EventFields fields = {.kind = LOG_TEXT,
                          .sender = club_name(club, club->signers[who].public_key),
                          .sender_len = 3,
                          .body = (const uint8_t *)text,
                          .body_len = strlen(text),
                          .id = (const uint8_t *)"id",
                          .id_len = 2,
                          .stamp = "12:00:00",
                          .stamp_len = 8};
    assert_int_equal(keyring_seal(club->rings[who], room, &fields, &body), ERR_OK);
    return body;
}

/* A line, and how many events it took to make its key. */
static inline LogEvent *line(Club *club, size_t who, const RoomId *room, const char *text,
                             size_t *ret_renewed)
{
    KeyBodies bodies;
    assert_int_equal(keyring_renew(club->rings[who], room->text, NULL, &bodies), ERR_OK);
    *ret_renewed = club_say_keys(club, who, room->text, &bodies);
    Bytes *body = seal(club, who, room->text, text);
    LogEvent *event = club_say(club, who, LOG_SEALED, room->text, body);
    bytes_unref(body);
    return event;
}

static inline bool ring_reads(Keyring *ring, LogEvent *event, const char *text)
{
    LogEvent *opened = keyring_open(ring, event);
    bool reads = opened != NULL && opened->fields.body_len == strlen(text) &&
                 memcmp(opened->fields.body, text, strlen(text)) == 0;
    event_unref(opened);
    return reads;
}

static inline bool reads(const Club *club, size_t who, LogEvent *event, const char *text)
{
    return ring_reads(club->rings[who], event, text);
}
