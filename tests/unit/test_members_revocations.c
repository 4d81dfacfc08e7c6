/* Who is removed: how far what he said counts, whom he let in, and who may remove him. */
#include "members_world.h"

#include <chat.pb-c.h>

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

/* Whether the removed one's own stream has come or not. */
static void founder_answers_for_whom_the_cut_leaves_in(void **state)
{
    (void)state;
    enum { FOUNDER, REMOVED, WITHIN, BEHIND, AT_DOOR, OF_FOUNDER };
    People people;
    people_init(&people, 6);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, FOUNDER, REMOVED, 5, 1));
    people_take(members, people_invites(&people, FOUNDER, OF_FOUNDER, 5, 2));
    people_take(members, people_invites(&people, REMOVED, OF_FOUNDER, 5, 2));
    people_take(members, people_invites(&people, REMOVED, WITHIN, 5, 10));
    people_take(members, people_invites(&people, REMOVED, WITHIN, 6, 1)); /* once more */
    people_take(members, people_invites(&people, REMOVED, BEHIND, 6, 2));
    const size_t chain[] = {FOUNDER, REMOVED, AT_DOOR};
    Bytes *proof = proof_of(&people, chain, 3);
    const char *reason = "";
    assert_int_equal(members_take_proof(members, people_key(&people, AT_DOOR), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_OK);
    const MemberCut cuts[] = {{.epoch = 5, .seq = 10}, {.epoch = 6, .seq = 1}};
    Bytes **bodies = NULL;
    size_t count = 0;
    members_adopt(members, &people.signers[FOUNDER], people_key(&people, REMOVED), cuts, 2, &bodies,
                  &count);
    assert_int_equal(count, 1);
    LogEvent *revocation[1];
    (void)people_revokes(&people, REMOVED, 1, cuts, 2, 4, revocation);
    Members *newcomer = people_members(&people); /* who has heard of the founder's stream alone */
    people_take(newcomer, people_invites(&people, FOUNDER, REMOVED, 5, 1));
    people_take(newcomer, people_event(&people, FOUNDER, 5, 3, LOG_MEMBER, bodies[0]));
    people_take(newcomer, revocation[0]);
    assert_int_equal(people_state(newcomer, &people, REMOVED), MEMBER_REVOKED);
    assert_int_equal(people_state(newcomer, &people, WITHIN), MEMBER_GOOD);
    const Member *within = members_find(newcomer, people_key(&people, WITHIN));
    assert_string_equal(within->name, "p2");
    assert_int_equal(within->since_ms, PEOPLE_WALL_MS + WITHIN); /* as it was */
    assert_string_equal(within->addresses[0], "host:50051");
    assert_true(within->is_adopted);
    assert_memory_equal(within->inviter, people_key(&people, REMOVED), EVENT_KEY_BYTES);
    mem_free(bodies);
    members_adopt(members, &people.signers[FOUNDER], people_key(&people, REMOVED), NULL, 0, &bodies,
                  &count);
    assert_int_equal(count, 0);
    assert_null(bodies);
    bytes_unref(proof);
    members_free(newcomer);
    members_free(members);
    people_done(&people);
}

/* As the founder says it when he removes who had let it in. */
static Bytes *say_that_somebody_else_has_let_it_in(const People *people, size_t by, size_t who,
                                                   size_t introducer)
{
    Members *members = people_members(people);
    Bytes **bodies = NULL;
    size_t count = 0;
    people_take(members, people_invites(people, 0, introducer, 5, 1));
    people_take(members, people_invites(people, introducer, who, 5, 1));
    const MemberCut cut = {.epoch = 5, .seq = 1};
    members_adopt(members, &people->signers[by], people_key(people, introducer), &cut, 1, &bodies,
                  &count);
    assert_int_equal(count, 1);
    Bytes *body = bodies[0];
    mem_free(bodies);
    members_free(members);
    return body;
}

static void nobody_but_the_founder_names_another_as_who_has_let_in(void **state)
{
    (void)state;
    enum { FOUNDER, SLANDERER, GUEST, OTHER };
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, FOUNDER, SLANDERER, 5, 1));
    people_take(members, people_invites(&people, FOUNDER, OTHER, 5, 2));
    Bytes *body = say_that_somebody_else_has_let_it_in(&people, SLANDERER, GUEST, OTHER);
    people_take(members, people_event(&people, SLANDERER, 5, 1, LOG_MEMBER, body));
    const Member *guest = members_find(members, people_key(&people, GUEST));
    assert_non_null(guest);
    assert_false(guest->is_adopted);
    assert_memory_equal(guest->inviter, people_key(&people, SLANDERER), EVENT_KEY_BYTES);
    members_free(members);
    people_done(&people);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_is_named_of_which_nothing_counts),
        cmocka_unit_test(revocation_cuts_streams_and_invitations),
        cmocka_unit_test(founder_answers_for_whom_the_cut_leaves_in),
        cmocka_unit_test(nobody_but_the_founder_names_another_as_who_has_let_in),
        cmocka_unit_test(membership_at_the_door_goes_with_its_inviter),
        cmocka_unit_test(revocation_counts_when_all_parts_are_there),
        cmocka_unit_test(lower_cut_of_two_revocations_counts),
        cmocka_unit_test(only_the_founder_revokes_and_never_himself),
        cmocka_unit_test(garbled_revocations_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
