/* What only a door has seen is told by whoever has seen it, and counts as at the door. */
#include "members_world.h"
#include "unit.h"

static bool none_is_lost(void *context, const StreamId *stream)
{
    (void)context;
    (void)stream;
    return false;
}

static bool is_of(void *context, const StreamId *stream)
{
    return memcmp(stream->origin, context, EVENT_KEY_BYTES) == 0;
}

static Bytes *untold(const Members *members, const People *people, size_t who)
{
    return members_untold(members, people_key(people, who), none_is_lost, NULL);
}

/* The proof of a person whom person 1 has invited, who was invited by the founder. */
static void show_at_door(Members *members, const People *people, size_t who)
{
    const char *reason = "";
    Members *known = people_members(people);
    people_take(known, people_invites(people, 0, 1, 5, 1));
    people_take(known, people_invites(people, 1, who, 5, 1));
    Bytes *proof = members_proof(known, people_key(people, who));
    assert_int_equal(members_take_proof(members, people_key(people, who), bytes_data(proof),
                                        bytes_len(proof), &reason),
                     ERR_OK);
    bytes_unref(proof);
    members_free(known);
}

static void what_a_door_has_seen_is_told_once_and_counts_everywhere(void **state)
{
    (void)state;
    People people;
    people_init(&people, 4);
    Members *there = people_members(&people);
    Members *here = people_members(&people);
    show_at_door(there, &people, 2);
    people_take(there, people_invites(&people, 0, 1, 5, 1));
    people_take(here, people_invites(&people, 0, 1, 5, 1));
    assert_int_equal(people_state(here, &people, 2), MEMBER_NONE);
    assert_null(untold(there, &people, 0)); /* the founder, one in an event, and one unknown */
    assert_null(untold(there, &people, 1));
    assert_null(untold(there, &people, 3));
    Bytes *body = untold(there, &people, 2);
    assert_non_null(body);
    LogEvent *event = people_event(&people, 3, 7, 1, LOG_MEMBER, body);
    assert_false(members_take(there, event)); /* it is known, but who else knows it was not */
    assert_null(untold(there, &people, 2));
    assert_true(members_take(here, event));
    assert_int_equal(people_state(here, &people, 2), MEMBER_GOOD);
    assert_memory_equal(members_find(here, people_key(&people, 2))->inviter, people_key(&people, 1),
                        EVENT_KEY_BYTES);
    assert_null(untold(here, &people, 2));
    event_unref(event);
    members_free(there);
    members_free(here);
    people_done(&people);
}

static void the_inviters_own_event_makes_telling_needless(void **state)
{
    (void)state;
    People people;
    people_init(&people, 3);
    Members *members = people_members(&people);
    show_at_door(members, &people, 2);
    people_take(members, people_invites(&people, 1, 2, 5, 1));
    assert_null(untold(members, &people, 2));
    /* But for streams that do not reach everybody. */
    uint8_t lost[EVENT_KEY_BYTES];
    memcpy(lost, people_key(&people, 1), sizeof(lost));
    Bytes *body = members_untold(members, people_key(&people, 2), is_of, lost);
    assert_non_null(body);
    people_take(members, people_event(&people, 0, 7, 1, LOG_MEMBER, body));
    assert_null(members_untold(members, people_key(&people, 2), is_of, lost));
    members_free(members);
    people_done(&people);
}

static StreamId stream_of(const People *people, size_t who, uint64_t epoch)
{
    StreamId stream = {.epoch = epoch};
    memcpy(stream.origin, people_key(people, who), EVENT_KEY_BYTES);
    return stream;
}

/* By a member who was removed since, or has signed two histories. */
static void what_was_told_where_it_is_cut_is_told_again(void **state)
{
    (void)state;
    enum { FOUNDER, INVITER, GUEST, WITNESS };
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    show_at_door(members, &people, GUEST);
    Bytes *body = untold(members, &people, GUEST);
    people_take(members, people_event(&people, GUEST, 7, 1, LOG_MEMBER, body));
    body = untold(members, &people, GUEST); /* by himself he is told to nobody */
    assert_non_null(body);
    people_take(members, people_event(&people, WITNESS, 7, 3, LOG_MEMBER, body));
    assert_null(untold(members, &people, GUEST));
    StreamId told_in = stream_of(&people, WITNESS, 7);
    members_cut_events(members, &told_in, 3);
    assert_null(untold(members, &people, GUEST));
    uint8_t lost[EVENT_KEY_BYTES];
    memcpy(lost, told_in.origin, sizeof(lost));
    body = members_untold(members, people_key(&people, GUEST), is_of, lost);
    assert_non_null(body);
    bytes_unref(body);
    members_cut_events(members, &told_in, 2);
    body = untold(members, &people, GUEST);
    assert_non_null(body);
    people_take(members, people_event(&people, FOUNDER, 7, 1, LOG_MEMBER, body));
    assert_null(untold(members, &people, GUEST));
    assert_int_equal(people_state(members, &people, GUEST), MEMBER_GOOD);
    members_free(members);
    people_done(&people);
}

/* All who hold the same log know the same, also those who held more once. */
static void what_a_cut_stream_has_said_is_forgotten_until_it_comes_again(void **state)
{
    (void)state;
    enum { FOUNDER, INVITER, GUEST, OTHER };
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, FOUNDER, INVITER, 5, 1));
    people_take(members, people_invites(&people, INVITER, OTHER, 5, 3));
    people_take(members, people_invites(&people, INVITER, GUEST, 5, 4));
    StreamId stream = stream_of(&people, INVITER, 5);
    members_cut_events(members, &stream, 3);
    assert_int_equal(people_state(members, &people, GUEST), MEMBER_NONE);
    assert_int_equal(people_state(members, &people, OTHER), MEMBER_GOOD);
    StreamId another = stream_of(&people, INVITER, 6);
    members_cut_events(members, &another, 0);
    assert_int_equal(people_state(members, &people, OTHER), MEMBER_GOOD);
    assert_true(people_take(members, people_invites(&people, INVITER, GUEST, 5, 4)));
    assert_int_equal(people_state(members, &people, GUEST), MEMBER_GOOD);
    members_cut_events(members, &stream, 0);
    assert_int_equal(people_state(members, &people, OTHER), MEMBER_NONE);
    assert_int_equal(members_count(members), 2);
    members_free(members);
    people_done(&people);
}

static void what_was_told_does_not_outlive_its_inviter(void **state)
{
    (void)state;
    People people;
    people_init(&people, 4);
    for (int revoked_first = 0; revoked_first < 2; revoked_first++) {
        Members *members = people_members(&people);
        LogEvent *revocation[1];
        const MemberCut cut = {.epoch = 5, .seq = 9, .hash = people_hash(5, 9)};
        people_revokes(&people, 1, 1, &cut, 1, 2, revocation);
        people_take(members, people_invites(&people, 0, 1, 5, 1));
        if (revoked_first == 1) {
            members_take(members, revocation[0]);
        }
        people_take(members,
                    people_event(&people, 3, 7, 1, LOG_MEMBER, people_membership(&people, 1, 2)));
        assert_int_equal(people_state(members, &people, 2),
                         revoked_first == 1 ? MEMBER_NONE : MEMBER_GOOD);
        members_take(members, revocation[0]);
        assert_int_equal(people_state(members, &people, 2), MEMBER_NONE);
        assert_null(untold(members, &people, 2));
        /* In the inviter's own stream, within the cut, it counts. */
        people_take(members, people_invites(&people, 1, 2, 5, 3));
        assert_int_equal(people_state(members, &people, 2), MEMBER_GOOD);
        event_unref(revocation[0]);
        members_free(members);
    }
    people_done(&people);
}

/* One of its signature's bytes is another. */
static void forged_membership_is_nothing_whoever_tells_it(void **state)
{
    (void)state;
    People people;
    people_init(&people, 4);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    Bytes *whole = people_membership(&people, 1, 2);
    Bytes *forged = bytes_new_empty(bytes_len(whole));
    uint8_t *data = bytes_fill(forged);
    memcpy(data, bytes_data(whole), bytes_len(whole));
    data[bytes_len(whole) - 1] ^= 1;
    assert_false(people_take(members, people_event(&people, 3, 7, 1, LOG_MEMBER, forged)));
    assert_int_equal(people_state(members, &people, 2), MEMBER_NONE);
    bytes_unref(whole);
    members_free(members);
    people_done(&people);
}

static bool epoch_is_lost(void *context, const StreamId *stream)
{
    const uint64_t *epoch = context;
    return stream->epoch == *epoch;
}

static bool revocation_is_lost(const Members *members, const People *people, uint64_t epoch)
{
    return members_revocation_is_lost(members, people_key(people, 1), epoch_is_lost, &epoch);
}

static void revocation_is_lost_with_all_streams_that_tell_of_it(void **state)
{
    (void)state;
    enum { REVOKES_EPOCH = 1, AGAIN_EPOCH = 8 };
    People people;
    people_init(&people, 2);
    Members *members = people_members(&people);
    people_take(members, people_invites(&people, 0, 1, 5, 1));
    assert_false(revocation_is_lost(members, &people, REVOKES_EPOCH)); /* there is none */
    LogEvent *event = NULL;
    (void)people_revokes(&people, 1, 1, NULL, 0, 2, &event);
    people_take(members, event);
    assert_true(revocation_is_lost(members, &people, REVOKES_EPOCH));
    assert_false(revocation_is_lost(members, &people, AGAIN_EPOCH));
    Bytes **parts = NULL;
    size_t count = 0;
    assert_int_equal(
        revocation_new(people_key(&people, 1), (const uint8_t[8]){2}, NULL, 0, &parts, &count),
        ERR_OK);
    people_take(members, people_event(&people, 0, AGAIN_EPOCH, 1, LOG_REVOKE, parts[0]));
    mem_free(parts);
    assert_false(revocation_is_lost(members, &people, REVOKES_EPOCH));
    members_free(members);
    people_done(&people);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_door_has_seen_is_told_once_and_counts_everywhere),
        cmocka_unit_test(the_inviters_own_event_makes_telling_needless),
        cmocka_unit_test(what_was_told_where_it_is_cut_is_told_again),
        cmocka_unit_test(what_a_cut_stream_has_said_is_forgotten_until_it_comes_again),
        cmocka_unit_test(what_was_told_does_not_outlive_its_inviter),
        cmocka_unit_test(forged_membership_is_nothing_whoever_tells_it),
        cmocka_unit_test(revocation_is_lost_with_all_streams_that_tell_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
