/* A network's roll: made, asked, and what a member says in it. */
#include "core/members.h"

#include "core/members_state.h"

#include <assert.h>
#include <chat.pb-c.h>
#include <sodium.h>
#include <string.h>

static const char SIGNATURE_DOMAIN[] = "chat_node member 1";

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

/* What protobuf-c takes for a text, it does not write to. */
static char *borrowed(const char *text)
{
    return (char *)(uintptr_t)text;
}

static Bytes *pack(const ProtobufCMessage *message)
{
    Bytes *bytes = bytes_new_empty(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, bytes_fill(bytes));
    return bytes;
}

/* ---- life ---- */

Err genesis_new(const char *name, const uint8_t founder[EVENT_KEY_BYTES], const uint8_t salt[16],
                int64_t wall_ms, Bytes **ret_genesis, const char **ret_reason)
{
    enum { SALT_BYTES = 16 };
    Chat__Genesis genesis = CHAT__GENESIS__INIT;
    genesis.version = 1;
    genesis.name = borrowed(name);
    genesis.founder = binary(founder, EVENT_KEY_BYTES);
    genesis.salt = binary(salt, SALT_BYTES);
    genesis.time_ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    Bytes *bytes = pack(&genesis.base);
    /* By the rules for those that come from outside. */
    Members *members = NULL;
    Err err = members_new(bytes_data(bytes), bytes_len(bytes), &members, ret_reason);
    members_free(members);
    if (err != ERR_OK) {
        bytes_unref(bytes);
        return err;
    }
    *ret_genesis = bytes;
    return ERR_OK;
}

Err members_new(const uint8_t *genesis, size_t len, Members **ret_members, const char **ret_reason)
{
    Members *members = mem_new(Members);
    members->roll = mem_new(Roll);
    Err err = genesis_read(members->roll, genesis, len, ret_reason);
    if (err != ERR_OK) {
        members_free(members);
        return err;
    }
    *ret_members = members;
    return ERR_OK;
}

static void person_free(Roll *roll, Person *person)
{
    for (Claim *claim = person->claims; claim != NULL;) {
        Claim *next = claim->next_of_who;
        claim_free(claim);
        claim = next;
    }
    for (Removal *removal = person->removals; removal != NULL;) {
        Removal *next = removal->next;
        removal_free(removal);
        removal = next;
    }
    HASH_DEL(roll->persons, person);
    mem_free(person->cuts);
    mem_free(person);
}

void members_free(Members *members)
{
    if (members == NULL) {
        return;
    }
    Roll *roll = members->roll;
    while (roll->persons != NULL) {
        person_free(roll, roll->persons);
    }
    bytes_unref(roll->genesis);
    mem_free(roll->list);
    mem_free(roll);
    mem_free(members);
}

const char *members_network_name(const Members *members)
{
    return members->roll->name;
}

const uint8_t *members_network(const Members *members)
{
    return members->roll->network;
}

const uint8_t *members_founder(const Members *members)
{
    return members->roll->founder->key;
}

const Bytes *members_genesis(const Members *members)
{
    return members->roll->genesis;
}

/* ---- questions ---- */

static const Roll *settled(const Members *members)
{
    members_settle(members->roll);
    return members->roll;
}

MemberState members_state(const Members *members, const uint8_t key[EVENT_KEY_BYTES])
{
    const Person *person = person_find(settled(members), key);
    if (person == NULL) {
        return MEMBER_NONE;
    }
    if (person->revoked) {
        return MEMBER_REVOKED;
    }
    return person->rooted ? MEMBER_GOOD : MEMBER_NONE;
}

uint64_t members_cut(const Members *members, const StreamId *stream, EventHash *ret_hash)
{
    const Person *person = person_find(settled(members), stream->origin);
    if (person == NULL || !person->rooted) {
        return 0;
    }
    if (!person->revoked) {
        return UINT64_MAX;
    }
    const MemberCut *cut = person_cut(person, stream->epoch);
    if (cut != NULL && ret_hash != NULL) {
        *ret_hash = cut->hash;
    }
    return cut != NULL ? cut->seq : 0;
}

const MemberCut *members_cuts(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                              size_t *ret_count)
{
    const Person *person = person_find(members->roll, key);
    *ret_count = person != NULL && person->revoked ? person->cuts_count : 0;
    return *ret_count > 0 ? person->cuts : NULL;
}

size_t members_count(const Members *members)
{
    return settled(members)->list_count;
}

const Member *members_at(const Members *members, size_t index)
{
    return &settled(members)->list[index]->member;
}

const Member *members_find(const Members *members, const uint8_t key[EVENT_KEY_BYTES])
{
    const Person *person = person_find(settled(members), key);
    return person != NULL && person->listed ? &person->member : NULL;
}

bool members_may_invite(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                        const char **ret_reason)
{
    const Roll *roll = settled(members);
    const Person *person = person_find(roll, key);
    if (person == NULL || !person->rooted || person->revoked) {
        *ret_reason = "who invites is not a member of this network any more";
    } else if (person->depth >= MEMBER_PROOF_MAX) {
        *ret_reason = "who invites is 16 invitations away from the founder: somebody nearer to him "
                      "has to invite";
    } else if (roll->claims_count >= MEMBERS_MAX) {
        *ret_reason = "this network has as many members as there may be";
    } else {
        return true;
    }
    return false;
}

/* ---- what is said ---- */

static void sign(const EventSigner *signer, const Bytes *membership,
                 uint8_t ret_signature[EVENT_SIGNATURE_BYTES])
{
    uint8_t words[sizeof(SIGNATURE_DOMAIN) - 1 + MEMBERSHIP_MAX_BYTES];
    const size_t domain = sizeof(SIGNATURE_DOMAIN) - 1;
    size_t len = bytes_len(membership);
    assert(len <= MEMBERSHIP_MAX_BYTES);
    memcpy(words, SIGNATURE_DOMAIN, domain);
    memcpy(words + domain, bytes_data(membership), len);
    crypto_sign_detached(ret_signature, NULL, words, domain + len, signer->secret);
}

static Bytes *make_membership(const Members *members, const EventSigner *inviter,
                              const uint8_t *key, const char *name, const char *const *addresses,
                              size_t addresses_count, int64_t wall_ms, const uint8_t *introducer)
{
    assert(addresses_count <= MEMBER_ADDRESSES_MAX && member_name_is_good(name, strlen(name)));
    char *rows[MEMBER_ADDRESSES_MAX];
    for (size_t i = 0; i < addresses_count; i++) {
        rows[i] = borrowed(addresses[i]);
    }
    Chat__Membership membership = CHAT__MEMBERSHIP__INIT;
    membership.network = binary(members_network(members), EVENT_NETWORK_BYTES);
    membership.key = binary(key, EVENT_KEY_BYTES);
    membership.name = borrowed(name);
    membership.inviter = binary(inviter->public_key, EVENT_KEY_BYTES);
    membership.time_ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    membership.addresses = rows;
    membership.n_addresses = addresses_count;
    if (introducer != NULL) {
        membership.introducer = binary(introducer, EVENT_KEY_BYTES);
    }
    Bytes *encoded = pack(&membership.base);
    uint8_t signature[EVENT_SIGNATURE_BYTES];
    sign(inviter, encoded, signature);
    Chat__SignedMembership whole = CHAT__SIGNED_MEMBERSHIP__INIT;
    whole.membership = binary(bytes_data(encoded), bytes_len(encoded));
    whole.signature = binary(signature, sizeof(signature));
    Bytes *bytes = pack(&whole.base);
    bytes_unref(encoded);
    return bytes;
}

Bytes *membership_new(const Members *members, const EventSigner *inviter,
                      const uint8_t key[EVENT_KEY_BYTES], const char *name,
                      const char *const *addresses, size_t addresses_count, int64_t wall_ms)
{
    return make_membership(members, inviter, key, name, addresses, addresses_count, wall_ms, NULL);
}

static Chat__SignedMembership signed_of(const Claim *claim)
{
    Chat__SignedMembership link = CHAT__SIGNED_MEMBERSHIP__INIT;
    link.membership = binary(bytes_data(claim->membership), bytes_len(claim->membership));
    link.signature = binary(claim->signature, sizeof(claim->signature));
    return link;
}

Bytes *members_proof(const Members *members, const uint8_t key[EVENT_KEY_BYTES])
{
    Chat__SignedMembership links[MEMBER_PROOF_MAX];
    Chat__SignedMembership *rows[MEMBER_PROOF_MAX];
    const Person *person = person_find(settled(members), key);
    if (person == NULL || !person->rooted || person->revoked) {
        return NULL;
    }
    size_t count = person->depth;
    for (size_t at = count; at > 0; at--) {
        links[at - 1] = signed_of(person->via);
        rows[at - 1] = &links[at - 1];
        person = person->via->by;
    }
    Chat__MemberProof proof = CHAT__MEMBER_PROOF__INIT;
    proof.memberships = rows;
    proof.n_memberships = count;
    return pack(&proof.base);
}

static StreamId stream_of(const uint8_t *key, uint64_t epoch)
{
    StreamId stream = {.epoch = epoch};
    memcpy(stream.origin, key, EVENT_KEY_BYTES);
    return stream;
}

Bytes *members_untold(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                      bool (*is_lost)(void *context, const StreamId *stream), void *context)
{
    const Person *person = person_find(settled(members), key);
    const Claim *best = NULL;
    if (person == NULL || !person->rooted || person->revoked) {
        return NULL;
    }
    for (const Claim *claim = person->claims; claim != NULL; claim = claim->next_of_who) {
        StreamId stream = stream_of(claim->by->key, claim->spot.epoch);
        if (!claim->by->rooted || claim->by->revoked) {
            continue; /* within a cut it is in the log; else it counts for nothing */
        }
        stream = claim->at_door ? claim->told_in : stream;
        if ((!claim->at_door || claim->told) && !is_lost(context, &stream)) {
            return NULL;
        }
        best = best == NULL || claim_compare(claim, best) < 0 ? claim : best;
    }
    if (best == NULL) {
        return NULL;
    }
    Chat__SignedMembership whole = signed_of(best);
    return pack(&whole.base);
}

bool members_revocation_is_lost(const Members *members, const uint8_t key[EVENT_KEY_BYTES],
                                bool (*is_lost)(void *context, const StreamId *stream),
                                void *context)
{
    const Roll *roll = settled(members);
    const Person *person = person_find(roll, key);
    if (person == NULL || !person->revoked) {
        return false;
    }
    for (const Removal *removal = person->removals; removal != NULL; removal = removal->next) {
        bool stays = removal->there == removal->parts_count;
        for (size_t i = 0; stays && i < removal->parts_count; i++) {
            StreamId stream = stream_of(roll->founder->key, removal->parts[i].spot.epoch);
            stays = !is_lost(context, &stream);
        }
        if (stays) {
            return false;
        }
    }
    return true;
}

static Bytes *encode_part(const uint8_t *key, const uint8_t id[8], uint32_t part, uint32_t parts,
                          const MemberCut *cuts, size_t count)
{
    enum { ID_BYTES = 8 };
    Chat__StreamCut encoded[REVOCATION_CUTS_MAX];
    Chat__StreamCut *rows[REVOCATION_CUTS_MAX];
    for (size_t i = 0; i < count; i++) {
        encoded[i] = (Chat__StreamCut)CHAT__STREAM_CUT__INIT;
        encoded[i].epoch = cuts[i].epoch;
        encoded[i].seq = cuts[i].seq;
        encoded[i].hash = binary(cuts[i].hash.bytes, EVENT_HASH_BYTES);
        rows[i] = &encoded[i];
    }
    Chat__Revocation revocation = CHAT__REVOCATION__INIT;
    revocation.key = binary(key, EVENT_KEY_BYTES);
    revocation.id = binary(id, ID_BYTES);
    revocation.part = part;
    revocation.parts = parts;
    revocation.cuts = rows;
    revocation.n_cuts = count;
    return pack(&revocation.base);
}

Err revocation_new(const uint8_t key[EVENT_KEY_BYTES], const uint8_t id[8], const MemberCut *cuts,
                   size_t cuts_count, Bytes ***ret_parts, size_t *ret_count)
{
    size_t count = (cuts_count + REVOCATION_CUTS_MAX - 1) / REVOCATION_CUTS_MAX;
    count = count > 0 ? count : 1;
    if (count > REVOCATION_PARTS_MAX) {
        return ERR_LIMIT;
    }
    Bytes **parts = mem_array(count, sizeof(Bytes *));
    for (size_t i = 0; i < count; i++) {
        size_t from = i * REVOCATION_CUTS_MAX;
        size_t left = cuts_count - from;
        parts[i] = encode_part(key, id, (uint32_t)i + 1, (uint32_t)count,
                               cuts_count > 0 ? cuts + from : NULL,
                               left < REVOCATION_CUTS_MAX ? left : REVOCATION_CUTS_MAX);
    }
    *ret_parts = parts;
    *ret_count = count;
    return ERR_OK;
}

static bool is_within(const Claim *claim, const MemberCut *cuts, size_t count)
{
    bool within = false;
    for (size_t i = 0; i < count && !within; i++) {
        within = cuts[i].epoch == claim->spot.epoch && claim->spot.seq <= cuts[i].seq;
    }
    return within && !claim->at_door;
}

/* Which of the memberships that by has signed for it stays within the cuts; NULL: none. */
static const Claim *claim_within(const Person *who, const Person *by, const MemberCut *cuts,
                                 size_t count)
{
    const Claim *claim = who->claims;
    while (claim != NULL && (claim->by != by || !is_within(claim, cuts, count))) {
        claim = claim->next_of_who;
    }
    return claim;
}

static bool is_of_founder(const Roll *roll, const Person *who)
{
    const Claim *claim = who->claims;
    while (claim != NULL && (claim->by != roll->founder || claim->at_door)) {
        claim = claim->next_of_who;
    }
    return claim != NULL;
}

void members_adopt(const Members *members, const EventSigner *founder,
                   const uint8_t key[EVENT_KEY_BYTES], const MemberCut *cuts, size_t cuts_count,
                   Bytes ***ret_bodies, size_t *ret_count)
{
    const Roll *roll = settled(members);
    const Person *by = person_find(roll, key);
    Bytes **bodies = NULL;
    size_t count = 0;
    const Claim *claim = by != NULL ? by->invited : NULL;
    for (; claim != NULL && count < MEMBERS_ADOPTED_MAX; claim = claim->next_of_by) {
        const Person *who = claim->who;
        if (!who->rooted || who->revoked || is_of_founder(roll, who) ||
            claim_within(who, by, cuts, cuts_count) != claim) {
            continue;
        }
        bodies = mem_resize(bodies, count + 1, sizeof(Bytes *));
        bodies[count++] = make_membership(members, founder, who->key, claim->name,
                                          (const char *const *)claim->addresses,
                                          claim->addresses_count, claim->time_ms, key);
    }
    *ret_bodies = bodies;
    *ret_count = count;
}

void fingerprint_text(const uint8_t key[EVENT_KEY_BYTES], char ret_text[FINGERPRINT_BYTES])
{
    enum { BYTES_A_GROUP = 2, SHOWN_BYTES = 8 };
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[EVENT_HASH_BYTES];
    crypto_generichash(hash, sizeof(hash), key, EVENT_KEY_BYTES, NULL, 0);
    char *at = ret_text;
    for (size_t i = 0; i < SHOWN_BYTES; i++) {
        if (i > 0 && i % BYTES_A_GROUP == 0) {
            *at++ = '-';
        }
        *at++ = digits[hash[i] >> 4];
        *at++ = digits[hash[i] & 0xf];
    }
    *at = '\0';
}
