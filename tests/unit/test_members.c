#include "core/members.h"

#include "members_world.h"
#include "unit.h"

#include <chat.pb-c.h>
#include <stdlib.h>

/* ---- the genesis ---- */

static void genesis_names_network_and_founder(void **state)
{
    (void)state;
    People people;
    people_init(&people, 2);
    const Members *members = people.members;
    uint8_t network[EVENT_NETWORK_BYTES];
    memcpy(network, members_network(members), sizeof(network));
    assert_string_equal(members_network_name(members), "tea");
    assert_memory_equal(members_founder(members), people_key(&people, 0), EVENT_KEY_BYTES);
    assert_int_equal(people_state(members, &people, 0), MEMBER_GOOD);
    assert_int_equal(people_state(members, &people, 1), MEMBER_NONE);
    assert_int_equal(members_count(members), 1);
    assert_string_equal(members_at(members, 0)->name, "");
    assert_int_equal(members_at(members, 0)->since_ms, PEOPLE_WALL_MS);
    assert_true(people_cut(members, &people, 0, 3) == UINT64_MAX);
    assert_true(people_cut(members, &people, 1, 3) == 0);
    Bytes *other = NULL;
    const char *reason = "";
    const uint8_t salt[16] = {8};
    assert_int_equal(
        genesis_new("tea", people_key(&people, 0), salt, PEOPLE_WALL_MS, &other, &reason), ERR_OK);
    Members *others = NULL;
    assert_int_equal(members_new(bytes_data(other), bytes_len(other), &others, &reason), ERR_OK);
    assert_memory_not_equal(members_network(others), network, sizeof(network));
    members_free(others);
    bytes_unref(other);
    people_done(&people);
}

static void bad_genesis_is_refused_with_a_reason(void **state)
{
    (void)state;
    People people;
    people_init(&people, 1);
    const uint8_t salt[16] = {0};
    Bytes *genesis = NULL;
    Members *members = NULL;
    char name[NETWORK_NAME_MAX_BYTES + 2];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    const char *const names[] = {"", name, "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *reason = NULL;
        assert_int_equal(genesis_new(names[i], people_key(&people, 0), salt, 1, &genesis, &reason),
                         ERR_INVALID);
        assert_non_null(reason);
    }
    uint8_t garbled[GENESIS_MAX_BYTES + 1] = {0xff};
    const size_t lens[] = {0, 1, 100, sizeof(garbled)};
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        const char *reason = NULL;
        assert_int_equal(members_new(garbled, lens[i], &members, &reason), ERR_INVALID);
        assert_non_null(reason);
    }
    assert_null(members);
    people_done(&people);
}

/* ---- memberships ---- */

static void members_let_in_others_whatever_the_order(void **state)
{
    (void)state;
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    assert_true(people_take(members, people_invites(&people, 2, 3, 5, 7)));
    assert_int_equal(people_state(members, &people, 3), MEMBER_NONE);
    assert_true(people_take(members, people_invites(&people, 1, 2, 5, 1)));
    assert_int_equal(people_state(members, &people, 2), MEMBER_NONE);
    assert_true(people_take(members, people_invites(&people, 0, 1, 5, 2)));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(people_state(members, &people, i), MEMBER_GOOD);
    }
    const Member *third = members_find(members, people_key(&people, 3));
    assert_non_null(third);
    assert_string_equal(third->name, "p3");
    assert_memory_equal(third->inviter, people_key(&people, 2), EVENT_KEY_BYTES);
    assert_int_equal(third->since_ms, PEOPLE_WALL_MS + 3);
    assert_int_equal(third->addresses_count, 1);
    assert_string_equal(third->addresses[0], "host:50051");
    assert_ptr_equal(members_at(members, 3), third);
    /* Said again, it is nothing new. */
    assert_false(people_take(members, people_invites(&people, 2, 3, 5, 9)));
    members_free(members);
    people_done(&people);
}

/* Breaks one thing of an otherwise good MEMBER event. */
static void only_the_inviter_in_its_own_network_lets_in(void **state)
{
    (void)state;
    People people;
    people_init(&people, 3);
    People strangers;
    people_init(&strangers, 3);
    members_free(strangers.members);
    bytes_unref(strangers.genesis);
    const uint8_t salt[16] = {1};
    const char *reason = "";
    assert_int_equal(
        genesis_new("tea", people_key(&people, 0), salt, 5, &strangers.genesis, &reason), ERR_OK);
    assert_int_equal(members_new(bytes_data(strangers.genesis), bytes_len(strangers.genesis),
                                 &strangers.members, &reason),
                     ERR_OK);
    Members *members = people_members(&people);
    /* An event of another network; a membership of another network in one of this. */
    assert_false(people_take(members, people_invites(&strangers, 0, 1, 5, 1)));
    assert_false(people_take(
        members, people_event(&people, 0, 5, 1, LOG_MEMBER, people_membership(&strangers, 0, 1))));
    /* The wrong kind. */
    assert_false(people_take(
        members, people_event(&people, 0, 5, 1, LOG_TEXT, people_membership(&people, 0, 1))));
    /* Oneself; the founder. */
    assert_false(people_take(members, people_invites(&people, 1, 1, 5, 1)));
    assert_false(people_take(members, people_invites(&people, 1, 0, 5, 1)));
    assert_int_equal(people_state(members, &people, 1), MEMBER_NONE);
    assert_int_equal(members_count(members), 1);
    members_free(members);
    people_done(&strangers);
    people_done(&people);
}

static void garbled_memberships_are_passed_over(void **state)
{
    (void)state;
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    Bytes *good = people_membership(&people, 0, 1);
    size_t len = bytes_len(good);
    size_t changed = 0;
    for (size_t i = 0; i < len; i++) {
        for (uint8_t bit = 1; bit != 0; bit = (uint8_t)(bit << 1)) {
            Bytes *bad = bytes_new(bytes_data(good), len);
            bytes_fill(bad)[i] ^= bit;
            changed += people_take(members, people_event(&people, 0, 5, 1, LOG_MEMBER, bad));
        }
        Bytes *cut_short = bytes_new(bytes_data(good), i);
        changed += people_take(members, people_event(&people, 0, 5, 1, LOG_MEMBER, cut_short));
    }
    assert_int_equal(changed, 0);
    assert_int_equal(people_state(members, &people, 1), MEMBER_NONE);
    assert_true(people_take(members, people_event(&people, 0, 5, 1, LOG_MEMBER, good)));
    assert_int_equal(people_state(members, &people, 1), MEMBER_GOOD);
    members_free(members);
    people_done(&people);
}

static void chain_may_have_sixteen_memberships(void **state)
{
    (void)state;
    enum { LAST = MEMBER_PROOF_MAX };
    People people;
    people_init(&people, LAST + 2);
    Members *members = people_members(&people);
    for (size_t i = 0; i <= LAST; i++) {
        assert_true(people_take(members, people_invites(&people, i, i + 1, 5, 1)));
    }
    const char *reason = "";
    assert_int_equal(people_state(members, &people, LAST), MEMBER_GOOD);
    assert_int_equal(people_state(members, &people, LAST + 1), MEMBER_NONE);
    assert_true(members_may_invite(members, people_key(&people, LAST - 1), &reason));
    assert_false(members_may_invite(members, people_key(&people, LAST), &reason));
    assert_non_null(strstr(reason, "16 invitations away"));
    Bytes *proof = members_proof(members, people_key(&people, LAST));
    Members *others = people_members(&people);
    assert_int_equal(members_take_proof(others, people_key(&people, LAST), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_OK);
    for (size_t i = 0; i <= LAST; i++) {
        assert_int_equal(people_state(others, &people, i), MEMBER_GOOD);
    }
    /* Somebody nearer lets the last one in. */
    assert_true(people_take(members, people_invites(&people, 3, LAST + 1, 5, 2)));
    assert_int_equal(people_state(members, &people, LAST + 1), MEMBER_GOOD);
    bytes_unref(proof);
    members_free(others);
    members_free(members);
    people_done(&people);
}

static void longest_chain_fits_a_proof(void **state)
{
    (void)state;
    People people;
    people_init(&people, MEMBER_PROOF_MAX + 1);
    Members *members = people_members(&people);
    char name[MEMBER_NAME_MAX_BYTES + 1] = {0};
    char address[MEMBER_ADDRESS_MAX_BYTES + 1] = {0};
    memset(name, 'n', MEMBER_NAME_MAX_BYTES);
    memset(address, 'a', 255);
    memcpy(address + 255, ":65535", sizeof(":65535"));
    const char *const addresses[MEMBER_ADDRESSES_MAX] = {address, address, address, address};
    for (size_t i = 0; i < MEMBER_PROOF_MAX; i++) {
        Bytes *body = membership_new(members, &people.signers[i], people_key(&people, i + 1), name,
                                     addresses, MEMBER_ADDRESSES_MAX, PEOPLE_WALL_MS);
        assert_true(people_take(members, people_event(&people, i, 5, 1, LOG_MEMBER, body)));
    }
    Bytes *proof = members_proof(members, people_key(&people, MEMBER_PROOF_MAX));
    assert_true(bytes_len(proof) <= MEMBER_PROOF_MAX_BYTES);
    Members *others = people_members(&people);
    const char *reason = "";
    assert_int_equal(members_take_proof(others, people_key(&people, MEMBER_PROOF_MAX),
                                        bytes_data(proof), bytes_len(proof), &reason),
                     ERR_OK);
    assert_int_equal(members_find(others, people_key(&people, 1))->addresses_count,
                     MEMBER_ADDRESSES_MAX);
    bytes_unref(proof);
    members_free(others);
    members_free(members);
    people_done(&people);
}

/* ---- at the door ---- */

static Bytes *proof_of(const People *people, const size_t *chain, size_t count)
{
    Members *members = people_members(people);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_true(people_take(members, people_invites(people, chain[i], chain[i + 1], 5, 1)));
    }
    Bytes *proof = members_proof(members, people_key(people, chain[count - 1]));
    members_free(members);
    return proof;
}

static void proof_lets_in_who_is_in_no_event_yet(void **state)
{
    (void)state;
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    const size_t chain[] = {0, 1, 2};
    Bytes *proof = proof_of(&people, chain, 3);
    const char *reason = "";
    assert_int_equal(members_take_proof(members, people_key(&people, 3), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_INVALID);
    assert_non_null(strstr(reason, "not of its key"));
    assert_int_equal(people_state(members, &people, 2), MEMBER_NONE);
    assert_int_equal(members_take_proof(members, people_key(&people, 2), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_OK);
    assert_int_equal(people_state(members, &people, 1), MEMBER_GOOD);
    assert_int_equal(people_state(members, &people, 2), MEMBER_GOOD);
    /* The founder shows nothing, and nobody else may do so. */
    Bytes *founders = members_proof(members, people_key(&people, 0));
    assert_int_equal(bytes_len(founders), 0);
    assert_int_equal(members_take_proof(members, people_key(&people, 0), NULL, 0, &reason), ERR_OK);
    assert_int_equal(members_take_proof(members, people_key(&people, 3), NULL, 0, &reason),
                     ERR_INVALID);
    assert_null(members_proof(members, people_key(&people, 3)));
    bytes_unref(founders);
    bytes_unref(proof);
    members_free(members);
    people_done(&people);
}

static void forged_proofs_are_refused(void **state)
{
    (void)state;
    People people;
    people_init(&people, 3);
    const size_t chain[] = {0, 1, 2};
    Bytes *proof = proof_of(&people, chain, 3);
    size_t len = bytes_len(proof);
    Members *members = people_members(&people);
    for (size_t i = 0; i < len; i++) {
        const char *reason = NULL;
        AUTO_FREE uint8_t *bad = mem_alloc(len);
        memcpy(bad, bytes_data(proof), len);
        bad[i] ^= 0x04;
        assert_int_equal(members_take_proof(members, people_key(&people, 2), bad, len, &reason),
                         ERR_INVALID);
        assert_non_null(reason);
        assert_int_equal(
            members_take_proof(members, people_key(&people, 2), bytes_data(proof), i, &reason),
            ERR_INVALID);
    }
    AUTO_FREE uint8_t *huge = mem_alloc(MEMBER_PROOF_MAX_BYTES + 1);
    const char *reason = NULL;
    assert_int_equal(members_take_proof(members, people_key(&people, 2), huge,
                                        MEMBER_PROOF_MAX_BYTES + 1, &reason),
                     ERR_INVALID);
    assert_int_equal(members_count(members), 1);
    bytes_unref(proof);
    members_free(members);
    people_done(&people);
}

static void revoked_key_cannot_show_its_proof(void **state)
{
    (void)state;
    People people;
    people_init(&people, 3);
    const size_t chain[] = {0, 1, 2};
    Bytes *proof = proof_of(&people, chain, 3);
    Members *members = people_members(&people);
    LogEvent *events[1];
    people_revokes(&people, 1, 1, NULL, 0, 1, events);
    assert_true(people_take(members, events[0]));
    const char *reason = "";
    assert_int_equal(members_take_proof(members, people_key(&people, 2), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_INVALID);
    assert_non_null(strstr(reason, "a new invitation"));
    bytes_unref(proof);
    proof = proof_of(&people, chain, 2);
    assert_int_equal(members_take_proof(members, people_key(&people, 1), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_INVALID);
    assert_non_null(strstr(reason, "removed"));
    bytes_unref(proof);
    members_free(members);
    people_done(&people);
}

/* ---- revocations ---- */

static void revocation_cuts_streams_and_invitations(void **state)
{
    (void)state;
    People people;
    people_init(&people, 5);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    people_take(members, people_invites(&people, 1, 2, 5, 10));
    people_take(members, people_invites(&people, 1, 3, 5, 11));
    people_take(members, people_invites(&people, 3, 4, 5, 1));
    assert_int_equal(people_state(members, &people, 4), MEMBER_GOOD);
    const MemberCut cut = {.epoch = 5, .seq = 10, .hash = people_hash(5, 10)};
    LogEvent *events[1];
    assert_int_equal(people_revokes(&people, 1, 1, &cut, 1, 1, events), 1);
    assert_true(people_take(members, events[0]));
    assert_int_equal(people_state(members, &people, 1), MEMBER_REVOKED);
    assert_int_equal(people_state(members, &people, 2), MEMBER_GOOD); /* within the cut */
    assert_int_equal(people_state(members, &people, 3), MEMBER_NONE); /* behind it */
    assert_int_equal(people_state(members, &people, 4), MEMBER_NONE); /* and by whom that let in */
    assert_int_equal(people_cut(members, &people, 1, 5), 10);
    assert_int_equal(people_cut(members, &people, 1, 6), 0);
    assert_int_equal(people_cut(members, &people, 4, 5), 0);
    StreamId stream = {.epoch = 5};
    memcpy(stream.origin, people_key(&people, 1), EVENT_KEY_BYTES);
    EventHash hash = {0};
    EventHash expected = people_hash(5, 10);
    assert_int_equal(members_cut(members, &stream, &hash), 10);
    assert_memory_equal(&hash, &expected, sizeof(hash));
    const Member *member = members_find(members, people_key(&people, 1));
    assert_true(member->revoked);
    assert_string_equal(member->name, "p1");
    assert_null(members_proof(members, people_key(&people, 1)));
    /* A new invitation of that key is none; a new one by another member brings the others back. */
    people_take(members, people_invites(&people, 0, 1, 5, 30));
    assert_int_equal(people_state(members, &people, 1), MEMBER_REVOKED);
    people_take(members, people_invites(&people, 2, 3, 9, 1));
    assert_int_equal(people_state(members, &people, 4), MEMBER_GOOD);
    members_free(members);
    people_done(&people);
}

static void membership_at_the_door_goes_with_its_inviter(void **state)
{
    (void)state;
    People people;
    people_init(&people, 3);
    Members *members = people_members(&people);
    const size_t chain[] = {0, 1, 2};
    Bytes *proof = proof_of(&people, chain, 3);
    const char *reason = "";
    assert_int_equal(members_take_proof(members, people_key(&people, 2), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_OK);
    const MemberCut cut = {.epoch = 5, .seq = 1000};
    LogEvent *events[1];
    people_revokes(&people, 1, 1, &cut, 1, 1, events);
    assert_true(people_take(members, events[0]));
    assert_int_equal(people_state(members, &people, 2), MEMBER_NONE);
    /* Its event comes, and is within the cut; its inviter was a member, but that is in no event. */
    assert_true(people_take(members, people_invites(&people, 1, 2, 5, 3)));
    assert_int_equal(people_state(members, &people, 2), MEMBER_GOOD);
    bytes_unref(proof);
    members_free(members);
    people_done(&people);
}

static void revocation_counts_when_all_parts_are_there(void **state)
{
    (void)state;
    enum { CUTS = 2 * REVOCATION_CUTS_MAX + 1 };
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    MemberCut cuts[CUTS];
    for (size_t i = 0; i < CUTS; i++) {
        cuts[i] = (MemberCut){.epoch = i + 1, .seq = i + 7};
    }
    LogEvent *events[3];
    assert_int_equal(people_revokes(&people, 1, 1, cuts, CUTS, 1, events), 3);
    assert_false(members_take(members, events[2]));
    assert_false(members_take(members, events[2]));
    assert_false(members_take(members, events[0]));
    assert_int_equal(people_state(members, &people, 1), MEMBER_GOOD);
    assert_true(members_take(members, events[1]));
    assert_int_equal(people_state(members, &people, 1), MEMBER_REVOKED);
    for (size_t i = 0; i < CUTS; i++) {
        assert_int_equal(people_cut(members, &people, 1, i + 1), i + 7);
    }
    for (size_t i = 0; i < 3; i++) {
        event_unref(events[i]);
    }
    Bytes **parts = NULL;
    size_t count = 0;
    AUTO_FREE MemberCut *many =
        mem_array(REVOCATION_PARTS_MAX * REVOCATION_CUTS_MAX + 1, sizeof(MemberCut));
    const uint8_t id[8] = {0};
    assert_int_equal(revocation_new(people_key(&people, 1), id, many,
                                    REVOCATION_PARTS_MAX * REVOCATION_CUTS_MAX + 1, &parts, &count),
                     ERR_LIMIT);
    members_free(members);
    people_done(&people);
}

static void lower_cut_of_two_revocations_counts(void **state)
{
    (void)state;
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    const MemberCut first[] = {
        {.epoch = 4, .seq = 9}, {.epoch = 5, .seq = 3}, {.epoch = 6, .seq = 1}};
    const MemberCut second[] = {{.epoch = 5, .seq = 8}, {.epoch = 4, .seq = 2}};
    LogEvent *events[2];
    people_revokes(&people, 1, 1, first, 3, 1, events);
    people_revokes(&people, 1, 2, second, 2, 2, events + 1);
    assert_true(people_take(members, events[0]));
    assert_int_equal(people_cut(members, &people, 1, 4), 9);
    assert_int_equal(people_cut(members, &people, 1, 6), 1);
    assert_true(people_take(members, events[1]));
    assert_int_equal(people_cut(members, &people, 1, 4), 2);
    assert_int_equal(people_cut(members, &people, 1, 5), 3);
    assert_int_equal(people_cut(members, &people, 1, 6), 0);
    /* A ban: nothing is left. */
    people_revokes(&people, 1, 3, NULL, 0, 3, events);
    assert_true(people_take(members, events[0]));
    assert_int_equal(people_cut(members, &people, 1, 4), 0);
    members_free(members);
    people_done(&people);
}

static void only_the_founder_revokes_and_never_himself(void **state)
{
    (void)state;
    People people;
    people_init(&people, 3);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    people_take(members, people_invites(&people, 0, 2, 5, 2));
    const uint8_t id[8] = {1};
    Bytes **parts = NULL;
    size_t count = 0;
    assert_int_equal(revocation_new(people_key(&people, 2), id, NULL, 0, &parts, &count), ERR_OK);
    assert_false(people_take(members, people_event(&people, 1, 5, 1, LOG_REVOKE, parts[0])));
    mem_free(parts);
    LogEvent *events[1];
    people_revokes(&people, 0, 1, NULL, 0, 3, events);
    assert_false(people_take(members, events[0]));
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(people_state(members, &people, i), MEMBER_GOOD);
    }
    /* Who was never let in can be revoked all the same, and stays out. */
    members_free(members);
    members = people_members(&people);
    people_revokes(&people, 1, 1, NULL, 0, 3, events);
    assert_true(people_take(members, events[0]));
    assert_int_equal(people_state(members, &people, 1), MEMBER_REVOKED);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    assert_int_equal(people_state(members, &people, 1), MEMBER_REVOKED);
    members_free(members);
    people_done(&people);
}

/* Who never held it learns that he need not wait for it. */
static void stream_is_named_of_which_nothing_counts(void **state)
{
    (void)state;
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    size_t count = 1;
    assert_null(members_cuts(members, people_key(&people, 1), &count));
    assert_int_equal(count, 0);
    const MemberCut cuts[] = {{.epoch = 5, .seq = 3, .hash = people_hash(5, 3)}, {.epoch = 9}};
    const MemberCut lower[] = {{.epoch = 5}, {.epoch = 9}};
    LogEvent *events[2];
    people_revokes(&people, 1, 1, cuts, 2, 1, events);
    people_revokes(&people, 1, 2, lower, 2, 2, events + 1);
    assert_true(people_take(members, events[0]));
    const MemberCut *found = members_cuts(members, people_key(&people, 1), &count);
    assert_int_equal(count, 2);
    assert_memory_equal(found, cuts, sizeof(cuts));
    assert_int_equal(people_cut(members, &people, 1, 5), 3);
    assert_int_equal(people_cut(members, &people, 1, 9), 0);
    assert_true(people_take(members, events[1]));
    found = members_cuts(members, people_key(&people, 1), &count);
    assert_int_equal(count, 2);
    assert_memory_equal(found, lower, sizeof(lower));
    assert_int_equal(people_cut(members, &people, 1, 5), 0);
    members_free(members);
    people_done(&people);
}

static void garbled_revocations_are_passed_over(void **state)
{
    (void)state;
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    const uint8_t key[EVENT_KEY_BYTES] = {0};
    const struct {
        size_t key, id;
        uint32_t part, parts;
        size_t hash;
        uint64_t epoch, seq;
    } broken[] = {
        {31, 8, 1, 1, 32, 1, 1}, {32, 7, 1, 1, 32, 1, 1},  {32, 8, 0, 1, 32, 1, 1},
        {32, 8, 2, 1, 32, 1, 1}, {32, 8, 1, 65, 32, 1, 1}, {32, 8, 1, 1, 31, 1, 1},
        {32, 8, 1, 1, 32, 0, 1},
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        Chat__StreamCut cut = CHAT__STREAM_CUT__INIT;
        Chat__StreamCut *rows[] = {&cut};
        cut.epoch = broken[i].epoch;
        cut.seq = broken[i].seq;
        cut.hash = (ProtobufCBinaryData){broken[i].hash, (uint8_t *)(uintptr_t)key};
        Chat__Revocation revocation = CHAT__REVOCATION__INIT;
        revocation.key =
            (ProtobufCBinaryData){broken[i].key, (uint8_t *)(uintptr_t)people_key(&people, 1)};
        revocation.id = (ProtobufCBinaryData){broken[i].id, (uint8_t *)(uintptr_t)key};
        revocation.part = broken[i].part;
        revocation.parts = broken[i].parts;
        revocation.cuts = rows;
        revocation.n_cuts = 1;
        Bytes *body = bytes_new_empty(chat__revocation__get_packed_size(&revocation));
        chat__revocation__pack(&revocation, bytes_fill(body));
        assert_false(people_take(members, people_event(&people, 0, 1, i + 1, LOG_REVOKE, body)));
    }
    assert_false(
        people_take(members, people_event(&people, 0, 1, 1, LOG_REVOKE, bytes_new("\xff\xff", 2))));
    assert_int_equal(people_state(members, &people, 1), MEMBER_GOOD);
    members_free(members);
    people_done(&people);
}

/* ---- caps ---- */

static void founder_can_let_in_whom_others_have_named_too_often(void **state)
{
    (void)state;
    enum { INVITERS = 3 * MEMBERSHIPS_OF_KEY_MAX };
    People people;
    people_init(&people, INVITERS + 2);
    Members *members = people_members(&people);
    /* Many who are no members say that the last one is. */
    for (size_t i = 1; i <= INVITERS; i++) {
        people_take(members, people_invites(&people, i, INVITERS + 1, 5, 1));
    }
    assert_int_equal(people_state(members, &people, INVITERS + 1), MEMBER_NONE);
    assert_true(people_take(members, people_invites(&people, 0, INVITERS + 1, 5, 1)));
    assert_int_equal(people_state(members, &people, INVITERS + 1), MEMBER_GOOD);
    members_free(members);
    people_done(&people);
}

/* One member fills the roll. */
static void roll_has_an_end_and_the_founders_invitations_stay(void **state)
{
    (void)state;
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        uint8_t key[EVENT_KEY_BYTES] = {0};
        memcpy(key, &i, sizeof(i));
        key[EVENT_KEY_BYTES - 1] = 1;
        Bytes *body =
            membership_new(members, &people.signers[1], key, "x", NULL, 0, PEOPLE_WALL_MS);
        people_take(members, people_event(&people, 1, 5, i + 1, LOG_MEMBER, body));
    }
    assert_int_equal(members_count(members), MEMBERS_MAX + 1);
    const char *reason = "";
    assert_false(members_may_invite(members, people_key(&people, 0), &reason));
    assert_non_null(strstr(reason, "as many members"));
    const size_t chain[] = {0, 3};
    Bytes *proof = proof_of(&people, chain, 2);
    assert_int_equal(members_take_proof(members, people_key(&people, 3), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_LIMIT);
    bytes_unref(proof);
    assert_true(people_take(members, people_invites(&people, 0, 2, 5, 2)));
    assert_int_equal(people_state(members, &people, 2), MEMBER_GOOD);
    assert_int_equal(members_count(members), MEMBERS_MAX + 1);
    LogEvent *events[1];
    people_revokes(&people, 1, 1, NULL, 0, 3, events);
    assert_true(people_take(members, events[0]));
    assert_int_equal(members_count(members), 3); /* the founder, person 2, and person 1 revoked */
    members_free(members);
    people_done(&people);
}

static void too_many_revocations_of_one_key_leave_it_revoked(void **state)
{
    (void)state;
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    for (unsigned i = 0; i < 3U * REVOCATIONS_OF_KEY_MAX; i++) {
        LogEvent *events[1];
        people_revokes(&people, 1, (uint8_t)(100 - i), NULL, 0, (uint8_t)(i + 1), events);
        people_take(members, events[0]);
        assert_int_equal(people_state(members, &people, 1), MEMBER_REVOKED);
    }
    members_free(members);
    people_done(&people);
}

/* ---- the order does not matter ---- */

enum { CROWD = 10, EVENTS_MAX = 400, EPOCHS = 3, SEEDS = 150, SHUFFLES = 4 };

static uint64_t next_random(uint64_t *at)
{
    /* SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). */
    uint64_t z = *at += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static size_t below(uint64_t *random, size_t count)
{
    return (size_t)(next_random(random) % count);
}

/* What was said, for a model that is as simple as can be. */
typedef struct Said {
    size_t by, who;
    uint64_t epoch, seq;
} Said;

typedef struct Story {
    LogEvent *events[EVENTS_MAX];
    size_t count;
    Said said[EVENTS_MAX];
    size_t said_count;
    bool revoked[CROWD];
    uint64_t cuts[CROWD][EPOCHS + 1];
} Story;

static void story_invite(Story *story, const People *people, uint64_t *random)
{
    Said said = {
        .by = below(random, CROWD),
        .who = below(random, CROWD),
        .epoch = 1 + below(random, EPOCHS),
        .seq = 1 + below(random, 40),
    };
    story->events[story->count++] = people_invites(people, said.by, said.who, said.epoch, said.seq);
    story->said[story->said_count++] = said;
}

/* Now and then a part is lost, and it does not count. */
static void story_revoke(Story *story, const People *people, uint64_t *random, uint8_t number)
{
    enum { MANY = 2 * REVOCATION_CUTS_MAX };
    size_t whom = below(random, CROWD);
    MemberCut cuts[EPOCHS + MANY];
    size_t count = 0;
    uint64_t of_epoch[EPOCHS + 1] = {0};
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        if (below(random, 3) > 0) {
            of_epoch[epoch] = 1 + below(random, 40);
            cuts[count++] = (MemberCut){.epoch = epoch, .seq = of_epoch[epoch]};
        }
    }
    for (size_t i = below(random, 2) * MANY; i > 0; i--) {
        cuts[count++] = (MemberCut){.epoch = EPOCHS + i, .seq = 1};
    }
    size_t parts = people_revokes(people, whom, number, cuts, count, 1 + number * 4U,
                                  story->events + story->count);
    story->count += parts;
    if (parts > 1 && below(random, 3) == 0) {
        event_unref(story->events[--story->count]);
        return;
    }
    if (whom == 0) {
        return;
    }
    for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
        uint64_t before = story->revoked[whom] ? story->cuts[whom][epoch] : UINT64_MAX;
        story->cuts[whom][epoch] = of_epoch[epoch] < before ? of_epoch[epoch] : before;
    }
    story->revoked[whom] = true;
}

/* The founder, and whoever one of them has let in, as often as it takes. */
static void model(const Story *story, bool *rooted)
{
    memset(rooted, 0, CROWD * sizeof(bool));
    rooted[0] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < story->said_count; i++) {
            const Said *said = &story->said[i];
            bool counts =
                rooted[said->by] && said->who != said->by &&
                (!story->revoked[said->by] || said->seq <= story->cuts[said->by][said->epoch]);
            changed = changed || (counts && !rooted[said->who]);
            rooted[said->who] = rooted[said->who] || counts;
        }
    }
}

static void check_model(const Story *story, const People *people, const Members *members)
{
    bool rooted[CROWD];
    model(story, rooted);
    for (size_t i = 0; i < CROWD; i++) {
        MemberState good = rooted[i] ? MEMBER_GOOD : MEMBER_NONE;
        assert_int_equal(people_state(members, people, i),
                         story->revoked[i] ? MEMBER_REVOKED : good);
        for (uint64_t epoch = 1; epoch <= EPOCHS; epoch++) {
            uint64_t cut = story->revoked[i] ? story->cuts[i][epoch] : UINT64_MAX;
            assert_true(people_cut(members, people, i, epoch) == (rooted[i] ? cut : 0));
        }
    }
}

static Members *play(Story *story, const People *people, uint64_t *random)
{
    Members *members = people_members(people);
    for (size_t i = story->count; i > 1; i--) {
        size_t other = below(random, i);
        LogEvent *event = story->events[i - 1];
        story->events[i - 1] = story->events[other];
        story->events[other] = event;
    }
    for (size_t i = 0; i < story->count; i++) {
        members_take(members, story->events[i]);
        if (below(random, 8) == 0) {
            members_count(members); /* asked in between, it is worked out in between */
        }
    }
    return members;
}

static void check_equal(const People *people, const Members *a, const Members *b)
{
    assert_int_equal(members_count(a), members_count(b));
    for (size_t i = 0; i < members_count(a); i++) {
        const Member *x = members_at(a, i);
        const Member *y = members_at(b, i);
        assert_memory_equal(x->key, y->key, EVENT_KEY_BYTES);
        assert_memory_equal(x->inviter, y->inviter, EVENT_KEY_BYTES);
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->since_ms, y->since_ms);
        assert_int_equal(x->revoked, y->revoked);
    }
    for (size_t i = 0; i < CROWD; i++) {
        Bytes *x = members_proof(a, people_key(people, i));
        Bytes *y = members_proof(b, people_key(people, i));
        assert_int_equal(x == NULL, y == NULL);
        if (x != NULL) {
            assert_int_equal(bytes_len(x), bytes_len(y));
            assert_memory_equal(bytes_data(x), bytes_data(y), bytes_len(x));
        }
        bytes_unref(x);
        bytes_unref(y);
    }
}

/* invites: so many that the caps of a key do not matter, or that they do. */
static void check_story(uint64_t seed, size_t invites, bool has_model)
{
    People people;
    people_init(&people, CROWD);
    uint64_t random = seed;
    Story story = {.count = 0};
    for (size_t i = 0; i < invites; i++) {
        story_invite(&story, &people, &random);
    }
    for (size_t i = below(&random, 5); i > 0; i--) {
        story_revoke(&story, &people, &random, (uint8_t)i);
    }
    Members *first = play(&story, &people, &random);
    if (has_model) {
        check_model(&story, &people, first);
    }
    for (size_t i = 0; i < SHUFFLES; i++) {
        Members *other = play(&story, &people, &random);
        check_equal(&people, first, other);
        if (has_model) {
            check_model(&story, &people, other);
        }
        members_free(other);
    }
    members_free(first);
    for (size_t i = 0; i < story.count; i++) {
        event_unref(story.events[i]);
    }
    people_done(&people);
}

static void answers_do_not_depend_on_the_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        print_message("%d%c", (int)seed, seed % 25 == 0 ? '\n' : ' '); /* the last one failed */
        check_story(seed, 10 + seed % 20, true);
    }
}

static void nor_where_there_is_more_than_may_be_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS / 5; seed++) {
        print_message("%d%c", (int)(1000 + seed), seed % 25 == 0 ? '\n' : ' ');
        check_story(1000 + seed, 200, false);
    }
}

static void fingerprint_is_of_the_key(void **state)
{
    (void)state;
    const uint8_t zero[EVENT_KEY_BYTES] = {0};
    char text[FINGERPRINT_BYTES];
    fingerprint_text(zero, text);
    /* python3: hashlib.blake2b(bytes(32), digest_size=32).hexdigest() */
    assert_string_equal(text, "89eb-0d6a-8a69-1dae");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(genesis_names_network_and_founder),
        cmocka_unit_test(bad_genesis_is_refused_with_a_reason),
        cmocka_unit_test(members_let_in_others_whatever_the_order),
        cmocka_unit_test(only_the_inviter_in_its_own_network_lets_in),
        cmocka_unit_test(stream_is_named_of_which_nothing_counts),
        cmocka_unit_test(garbled_memberships_are_passed_over),
        cmocka_unit_test(chain_may_have_sixteen_memberships),
        cmocka_unit_test(longest_chain_fits_a_proof),
        cmocka_unit_test(proof_lets_in_who_is_in_no_event_yet),
        cmocka_unit_test(forged_proofs_are_refused),
        cmocka_unit_test(revoked_key_cannot_show_its_proof),
        cmocka_unit_test(revocation_cuts_streams_and_invitations),
        cmocka_unit_test(membership_at_the_door_goes_with_its_inviter),
        cmocka_unit_test(revocation_counts_when_all_parts_are_there),
        cmocka_unit_test(lower_cut_of_two_revocations_counts),
        cmocka_unit_test(only_the_founder_revokes_and_never_himself),
        cmocka_unit_test(garbled_revocations_are_passed_over),
        cmocka_unit_test(founder_can_let_in_whom_others_have_named_too_often),
        cmocka_unit_test(roll_has_an_end_and_the_founders_invitations_stay),
        cmocka_unit_test(too_many_revocations_of_one_key_leave_it_revoked),
        cmocka_unit_test(answers_do_not_depend_on_the_order),
        cmocka_unit_test(nor_where_there_is_more_than_may_be_kept),
        cmocka_unit_test(fingerprint_is_of_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
