/* What the parts of members share. For src/core/members*.c alone.
 *
 *   Person --invited (Claim.next_of_by)--> Claim --who--> Person
 *      +-----claims (Claim.next_of_who)----> Claim --by--> Person
 *      +-----removals----------------------> Removal, in parts */
#pragma once

#include "base/heap.h"
#include "core/members.h"

#include <uthash.h>

/* Where an event stands; of one origin. */
typedef struct Spot {
    uint64_t epoch;
    uint64_t seq;
    EventHash hash;
} Spot;

/* That somebody is a member: what a membership says, and where it was said. */
typedef struct Claim {
    struct Person *who;
    struct Person *by;
    bool at_door; /* shown there, or told by somebody who has seen it there: it has no spot */
    bool told;    /* at_door: it is in an event, not its inviter's: */
    StreamId told_in;
    uint64_t told_seq;
    Spot spot;
    Bytes *membership; /* encoded */
    uint8_t signature[EVENT_SIGNATURE_BYTES];
    int64_t time_ms;
    bool is_adopted; /* the founder answers for whom another has let in */
    uint8_t introducer[EVENT_KEY_BYTES];
    char *name;
    char *addresses[MEMBER_ADDRESSES_MAX];
    size_t addresses_count;
    struct Claim *next_of_who;
    struct Claim *next_of_by;
    HeapNode node;
} Claim;

typedef struct RemovalPart {
    bool there;
    Spot spot;
    MemberCut *cuts;
    size_t count;
} RemovalPart;

/* A revocation of a key, not all parts of which need be there. */
typedef struct Removal {
    uint8_t id[8];
    uint32_t parts_count;
    uint32_t there;
    RemovalPart *parts;
    struct Removal *next;
} Removal;

typedef struct Person {
    uint8_t key[EVENT_KEY_BYTES];
    bool is_founder;
    Claim *claims;
    size_t claims_count;
    Claim *invited;
    Removal *removals;
    size_t removals_count;
    bool revoked;    /* some revocation is all there */
    MemberCut *cuts; /* then: by epoch, what all those that are there leave */
    size_t cuts_count;
    /* The answers, as settle has found them. */
    bool rooted; /* a chain of memberships that count leads here from the founder */
    unsigned depth;
    const Claim *via; /* the last of that chain; NULL: the founder */
    bool listed;
    Member member;
    UT_hash_handle hh;
} Person;

typedef struct Roll {
    Bytes *genesis;
    char name[NETWORK_NAME_MAX_BYTES + 1];
    uint8_t network[EVENT_NETWORK_BYTES];
    int64_t founded_ms;
    Person *persons;
    Person *founder;
    HeapNode *claims; /* the first to go comes first */
    size_t claims_count;
    size_t removed_count; /* persons with removals */
    size_t cuts_count;    /* of all removals */
    bool settled;
    Person **list; /* those that members_at gives */
    size_t list_count;
    size_t good_count;
} Roll;

/* What is asked may have to be worked out first: so a const Members leads to a Roll that is not. */
struct Members {
    Roll *roll;
};

/* members_take.c */
void claim_free(Claim *claim);
void removal_free(Removal *removal);
/* NULL: none. */
Person *person_find(const Roll *roll, const uint8_t key[EVENT_KEY_BYTES]);
Person *person_get(Roll *roll, const uint8_t key[EVENT_KEY_BYTES]);
/* Takes over the claim, whose persons are set. False: it has gone already. */
bool claim_add(Roll *roll, Claim *claim);
/* Which of two stays, where one has to go: the lower. */
int claim_compare(const Claim *a, const Claim *b);
int spot_compare(const Spot *a, const Spot *b);

/* members_read.c: of what came from outside. NULL: it says nothing, and *ret_reason why. */
typedef struct MembershipText {
    Claim *claim; /* without persons; the caller's */
    uint8_t key[EVENT_KEY_BYTES];
    uint8_t inviter[EVENT_KEY_BYTES];
} MembershipText;
/* The signature is not looked at. */
Err membership_read(const Roll *roll, const uint8_t *membership, size_t len,
                    const uint8_t *signature, size_t signature_len, MembershipText *ret_text,
                    const char **ret_reason);
/* Of a SignedMembership. */
Err membership_read_signed(const Roll *roll, const uint8_t *data, size_t len,
                           MembershipText *ret_text, const char **ret_reason);
bool membership_signature_is_good(const MembershipText *text);
typedef struct RevocationText {
    uint8_t key[EVENT_KEY_BYTES];
    uint8_t id[8];
    uint32_t part; /* from 0 */
    uint32_t parts;
    MemberCut *cuts; /* the caller's */
    size_t count;
} RevocationText;
Err revocation_read(const uint8_t *data, size_t len, RevocationText *ret_text);
Err genesis_read(Roll *roll, const uint8_t *data, size_t len, const char **ret_reason);
bool member_name_is_good(const char *name, size_t len);

/* members_settle.c: the fixpoint, if something has changed since the last time. */
void members_settle(Roll *roll);
/* What of a stream of theirs counts; they are revoked. */
const MemberCut *person_cut(const Person *person, uint64_t epoch);
/* Anew, of all revocations that are there. */
void person_combine_cuts(Person *person);
