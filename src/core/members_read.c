/* Memberships, revocations and the genesis, as they come from outside. */
#include "base/text.h"
#include "core/invite.h"
#include "core/members_state.h"
#include "core/message.h"
#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <sodium.h>
#include <string.h>

enum {
    ARENA_BYTES = 8 * 1024,
    /* A row takes more in memory than on the wire: 100 cuts of 56 and 32 bytes, and pointers. */
    REVOCATION_ARENA_BYTES = 4 * EVENT_BODY_MAX_BYTES,
};

/* 2^53 ms is some 285,000 years: whatever lies beyond is not a time. */
static const uint64_t TIME_MAX_MS = UINT64_C(1) << 53;
static const char SIGNATURE_DOMAIN[] = "chat_node member 1";

static Err invalid(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_INVALID;
}

bool member_name_is_good(const char *name, size_t len)
{
    const char *reason = "";
    return len <= MEMBER_NAME_MAX_BYTES && message_check_name(name, len, &reason) == ERR_OK;
}

/* ---- the genesis ---- */

static Err read_genesis(Roll *roll, const Chat__Genesis *genesis, const uint8_t *data, size_t len,
                        const char **ret_reason)
{
    enum { NAME = 2, SALT_BYTES = 16 };
    if (genesis->version != 1) {
        return invalid(ret_reason, "the network is of a later version: update chat_node");
    }
    size_t name_len = proto_string_len(data, len, NAME);
    if (name_len > NETWORK_NAME_MAX_BYTES || !member_name_is_good(genesis->name, name_len)) {
        return invalid(ret_reason, "a network's name has 1 to 64 bytes of printable UTF-8");
    }
    if (genesis->founder.len != EVENT_KEY_BYTES || genesis->salt.len != SALT_BYTES ||
        genesis->time_ms > TIME_MAX_MS) {
        return invalid(ret_reason, "the network's founder, salt or time is damaged");
    }
    memcpy(roll->name, genesis->name, name_len);
    roll->founded_ms = (int64_t)genesis->time_ms;
    roll->founder = person_get(roll, genesis->founder.data);
    roll->founder->is_founder = true;
    return ERR_OK;
}

Err genesis_read(Roll *roll, const uint8_t *data, size_t len, const char **ret_reason)
{
    if (len > GENESIS_MAX_BYTES) {
        return invalid(ret_reason, "the network's genesis is longer than 256 bytes");
    }
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[ARENA_BYTES];
    ProtoArena arena;
    const Chat__Genesis *genesis =
        chat__genesis__unpack(proto_arena_reset(&arena, memory, sizeof(memory)), len, data);
    if (genesis == NULL) {
        return invalid(ret_reason, "the network's genesis is damaged");
    }
    Err err = read_genesis(roll, genesis, data, len, ret_reason);
    if (err == ERR_OK) {
        roll->genesis = bytes_new(data, len);
        crypto_generichash(roll->network, sizeof(roll->network), data, len, NULL, 0);
    }
    return err;
}

/* ---- memberships ---- */

static bool is_of_network(const Roll *roll, const Chat__Membership *membership)
{
    return membership->network.len == EVENT_NETWORK_BYTES &&
           memcmp(membership->network.data, roll->network, EVENT_NETWORK_BYTES) == 0;
}

/* Those that are none are left out: they are a help, and prove nothing. */
static void read_addresses(const Chat__Membership *membership, Claim *claim)
{
    for (size_t i = 0; i < membership->n_addresses; i++) {
        char host[INVITE_ADDRESS_MAX_BYTES + 1];
        uint16_t port = 0;
        if (claim->addresses_count < MEMBER_ADDRESSES_MAX &&
            address_split(membership->addresses[i], host, &port) == ERR_OK) {
            claim->addresses[claim->addresses_count++] = mem_copy_string(membership->addresses[i]);
        }
    }
}

static const char *broken_rule(const Roll *roll, const Chat__Membership *membership,
                               size_t name_len)
{
    if (!is_of_network(roll, membership)) {
        return "the proof is of another network";
    }
    if (membership->key.len != EVENT_KEY_BYTES || membership->inviter.len != EVENT_KEY_BYTES) {
        return "the proof is damaged: a key has 32 bytes";
    }
    if (membership->introducer.len != 0 && membership->introducer.len != EVENT_KEY_BYTES) {
        return "the proof is damaged: a key has 32 bytes";
    }
    if (!member_name_is_good(membership->name, name_len)) {
        return "the proof is damaged: a name has 1 to 64 bytes of printable UTF-8";
    }
    if (membership->time_ms > TIME_MAX_MS) {
        return "the proof is damaged: its time is none";
    }
    return NULL;
}

Err membership_read(const Roll *roll, const uint8_t *membership, size_t len,
                    const uint8_t *signature, size_t signature_len, MembershipText *ret_text,
                    const char **ret_reason)
{
    enum { NAME = 3 };
    if (len > MEMBERSHIP_MAX_BYTES || signature_len != EVENT_SIGNATURE_BYTES) {
        return invalid(ret_reason, "the proof is damaged: a membership has another length");
    }
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[ARENA_BYTES];
    ProtoArena arena;
    const Chat__Membership *decoded = chat__membership__unpack(
        proto_arena_reset(&arena, memory, sizeof(memory)), len, membership);
    if (decoded == NULL) {
        return invalid(ret_reason, "the proof is damaged: a membership is none");
    }
    size_t name_len = proto_string_len(membership, len, NAME);
    const char *broken = broken_rule(roll, decoded, name_len);
    if (broken != NULL) {
        return invalid(ret_reason, broken);
    }
    Claim *claim = mem_new(Claim);
    claim->membership = bytes_new(membership, len);
    memcpy(claim->signature, signature, EVENT_SIGNATURE_BYTES);
    claim->time_ms = (int64_t)decoded->time_ms;
    /* From anybody else it would only hide who has let it in. */
    claim->is_adopted = decoded->introducer.len > 0 &&
                        memcmp(decoded->inviter.data, roll->founder->key, EVENT_KEY_BYTES) == 0;
    if (claim->is_adopted) {
        memcpy(claim->introducer, decoded->introducer.data, EVENT_KEY_BYTES);
    }
    claim->name = mem_copy_text(decoded->name, name_len);
    read_addresses(decoded, claim);
    ret_text->claim = claim;
    memcpy(ret_text->key, decoded->key.data, EVENT_KEY_BYTES);
    memcpy(ret_text->inviter, decoded->inviter.data, EVENT_KEY_BYTES);
    return ERR_OK;
}

Err membership_read_signed(const Roll *roll, const uint8_t *data, size_t len,
                           MembershipText *ret_text, const char **ret_reason)
{
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[2 * ARENA_BYTES];
    ProtoArena arena;
    const Chat__SignedMembership *decoded = chat__signed_membership__unpack(
        proto_arena_reset(&arena, memory, sizeof(memory)), len, data);
    if (decoded == NULL) {
        return invalid(ret_reason, "the proof is damaged: a membership is none");
    }
    return membership_read(roll, decoded->membership.data, decoded->membership.len,
                           decoded->signature.data, decoded->signature.len, ret_text, ret_reason);
}

bool membership_signature_is_good(const MembershipText *text)
{
    uint8_t words[sizeof(SIGNATURE_DOMAIN) - 1 + MEMBERSHIP_MAX_BYTES];
    const Bytes *membership = text->claim->membership;
    const size_t domain = sizeof(SIGNATURE_DOMAIN) - 1;
    memcpy(words, SIGNATURE_DOMAIN, domain);
    memcpy(words + domain, bytes_data(membership), bytes_len(membership));
    return crypto_sign_verify_detached(text->claim->signature, words,
                                       domain + bytes_len(membership), text->inviter) == 0;
}

/* ---- revocations ---- */

static bool keeps_rules(const Chat__Revocation *revocation)
{
    return revocation->key.len == EVENT_KEY_BYTES &&
           revocation->id.len == sizeof(((RevocationText *)0)->id) && revocation->part >= 1 &&
           revocation->part <= revocation->parts && revocation->parts <= REVOCATION_PARTS_MAX &&
           revocation->n_cuts <= REVOCATION_CUTS_MAX;
}

static Err read_cuts(const Chat__Revocation *revocation, RevocationText *text)
{
    for (size_t i = 0; i < revocation->n_cuts; i++) {
        const Chat__StreamCut *cut = revocation->cuts[i];
        if (cut->hash.len != EVENT_HASH_BYTES || cut->epoch == 0) {
            return ERR_INVALID;
        }
        text->cuts[i] = (MemberCut){.epoch = cut->epoch, .seq = cut->seq};
        memcpy(text->cuts[i].hash.bytes, cut->hash.data, EVENT_HASH_BYTES);
    }
    return ERR_OK;
}

Err revocation_read(const uint8_t *data, size_t len, RevocationText *ret_text)
{
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[REVOCATION_ARENA_BYTES];
    ProtoArena arena;
    const Chat__Revocation *revocation =
        chat__revocation__unpack(proto_arena_reset(&arena, memory, sizeof(memory)), len, data);
    if (revocation == NULL || !keeps_rules(revocation)) {
        return ERR_INVALID;
    }
    RevocationText text = {
        .part = revocation->part - 1,
        .parts = revocation->parts,
        .count = revocation->n_cuts,
    };
    AUTO_FREE MemberCut *cuts = mem_array(revocation->n_cuts, sizeof(MemberCut));
    text.cuts = cuts;
    Err err = read_cuts(revocation, &text);
    if (err == ERR_OK) {
        memcpy(text.key, revocation->key.data, sizeof(text.key));
        memcpy(text.id, revocation->id.data, sizeof(text.id));
        text.cuts = TAKE(cuts);
        *ret_text = text;
    }
    return err;
}

bool members_about(const Members *members, const LogEvent *event, uint8_t ret_key[EVENT_KEY_BYTES])
{
    const EventFields *fields = &event->fields;
    const char *reason = "";
    MembershipText membership;
    RevocationText revocation;
    if (fields->kind == LOG_MEMBER &&
        membership_read_signed(members->roll, fields->body, fields->body_len, &membership,
                               &reason) == ERR_OK) {
        memcpy(ret_key, membership.key, EVENT_KEY_BYTES);
        claim_free(membership.claim);
        return true;
    }
    if (fields->kind == LOG_REVOKE &&
        revocation_read(fields->body, fields->body_len, &revocation) == ERR_OK) {
        memcpy(ret_key, revocation.key, EVENT_KEY_BYTES);
        mem_free(revocation.cuts);
        return true;
    }
    return false;
}
