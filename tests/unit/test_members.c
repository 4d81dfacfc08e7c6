/* Who is in: the genesis, chains of memberships, proofs at the door, and the caps of each. */
#include "members_world.h"

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
        cmocka_unit_test(garbled_memberships_are_passed_over),
        cmocka_unit_test(chain_may_have_sixteen_memberships),
        cmocka_unit_test(longest_chain_fits_a_proof),
        cmocka_unit_test(proof_lets_in_who_is_in_no_event_yet),
        cmocka_unit_test(forged_proofs_are_refused),
        cmocka_unit_test(revoked_key_cannot_show_its_proof),
        cmocka_unit_test(founder_can_let_in_whom_others_have_named_too_often),
        cmocka_unit_test(roll_has_an_end_and_the_founders_invitations_stay),
        cmocka_unit_test(too_many_revocations_of_one_key_leave_it_revoked),
        cmocka_unit_test(fingerprint_is_of_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
