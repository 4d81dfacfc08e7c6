/* People with keys, and what they say of who is in: for tests of members. */
#pragma once

#include "core/members.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEOPLE_MAX = 64 };

/* Person 0 is the founder. */
typedef struct People {
    EventSigner signers[PEOPLE_MAX];
    Bytes *genesis;
    Members *members; /* of the one who signs: for the network's number */
    size_t count;
} People;

static const int64_t PEOPLE_WALL_MS = INT64_C(1700000000000);

static inline void people_init(People *people, size_t count)
{
    const char *reason = "";
    *people = (People){.count = count};
    for (size_t i = 0; i < count; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(i + 1), 77};
        event_signer_init(&people->signers[i], seed);
    }
    const uint8_t salt[16] = {9};
    if (genesis_new("tea", people->signers[0].public_key, salt, PEOPLE_WALL_MS, &people->genesis,
                    &reason) != ERR_OK ||
        members_new(bytes_data(people->genesis), bytes_len(people->genesis), &people->members,
                    &reason) != ERR_OK) {
        abort();
    }
}

static inline void people_done(People *people)
{
    members_free(people->members);
    bytes_unref(people->genesis);
}

/* Who knows nothing yet. */
static inline Members *people_members(const People *people)
{
    Members *members = NULL;
    const char *reason = "";
    if (members_new(bytes_data(people->genesis), bytes_len(people->genesis), &members, &reason) !=
        ERR_OK) {
        abort();
    }
    return members;
}

static inline const uint8_t *people_key(const People *people, size_t at)
{
    return people->signers[at].public_key;
}

/* Takes over a reference to body. */
static inline LogEvent *people_event(const People *people, size_t origin, uint64_t epoch,
                                     uint64_t seq, int kind, Bytes *body)
{
    EventFields fields = {
        .network = members_network(people->members),
        .stream.epoch = epoch,
        .seq = seq,
        .hlc = (uint64_t)PEOPLE_WALL_MS << HLC_COUNTER_BITS,
        .room = "@",
        .room_len = 1,
        .kind = kind,
        .sender = "x",
        .sender_len = 1,
        .body = bytes_data(body),
        .body_len = bytes_len(body),
    };
    memcpy(fields.stream.origin, people_key(people, origin), EVENT_KEY_BYTES);
    fields.prev_hash.bytes[0] = seq > 1;
    LogEvent *event = event_new(&fields);
    bytes_unref(body);
    return event;
}

static inline Bytes *people_membership(const People *people, size_t inviter, size_t invitee)
{
    char name[16];
    snprintf(name, sizeof(name), "p%zu", invitee);
    const char *const addresses[] = {"host:50051"};
    return membership_new(people->members, &people->signers[inviter], people_key(people, invitee),
                          name, addresses, 1, PEOPLE_WALL_MS + (int64_t)invitee);
}

static inline LogEvent *people_invites(const People *people, size_t inviter, size_t invitee,
                                       uint64_t epoch, uint64_t seq)
{
    return people_event(people, inviter, epoch, seq, LOG_MEMBER,
                        people_membership(people, inviter, invitee));
}

static inline EventHash people_hash(uint64_t epoch, uint64_t seq)
{
    EventHash hash = {{(uint8_t)epoch, (uint8_t)seq, 5}};
    return hash;
}

/* Fills events; returns how many parts. */
static inline size_t people_revokes(const People *people, size_t whom, uint8_t number,
                                    const MemberCut *cuts, size_t count, uint64_t seq,
                                    LogEvent **ret_events)
{
    const uint8_t id[8] = {number};
    Bytes **parts = NULL;
    size_t parts_count = 0;
    if (revocation_new(people_key(people, whom), id, cuts, count, &parts, &parts_count) != ERR_OK) {
        abort();
    }
    for (size_t i = 0; i < parts_count; i++) {
        ret_events[i] = people_event(people, 0, 1, seq + i, LOG_REVOKE, parts[i]);
    }
    mem_free(parts);
    return parts_count;
}

static inline bool people_take(Members *members, LogEvent *event)
{
    bool changed = members_take(members, event);
    event_unref(event);
    return changed;
}

static inline MemberState people_state(const Members *members, const People *people, size_t at)
{
    return members_state(members, people_key(people, at));
}

static inline uint64_t people_cut(const Members *members, const People *people, size_t at,
                                  uint64_t epoch)
{
    StreamId stream = {.epoch = epoch};
    memcpy(stream.origin, people_key(people, at), EVENT_KEY_BYTES);
    return members_cut(members, &stream, NULL);
}

/* What the last one of that chain shows at the door. Returns owned. */
static inline Bytes *proof_of(const People *people, const size_t *chain, size_t count)
{
    Members *members = people_members(people);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_true(people_take(members, people_invites(people, chain[i], chain[i + 1], 5, 1)));
    }
    Bytes *proof = members_proof(members, people_key(people, chain[count - 1]));
    members_free(members);
    return proof;
}
