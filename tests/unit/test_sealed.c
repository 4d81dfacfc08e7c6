/* Sealed rooms without a core: who can read what, and by which name it is shown. */
#include "sealed_club.h"

/* ---- sealing and opening ---- */

static void those_in_the_room_read_and_others_do_not(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    LogEvent *event = line(club, BOB, &room, "hello", &renewed);
    assert_int_equal(renewed, 0);
    assert_true(reads(club, ANN, event, "hello"));
    assert_true(reads(club, BOB, event, "hello"));
    assert_null(keyring_open(club->rings[CYD], event));
    assert_null(keyring_room(club->rings[CYD], room.text, SEALED_ROOM_BYTES));
    const SealedRoom *view = keyring_room_shown(club->rings[BOB], "!team", 5);
    assert_non_null(view);
    assert_string_equal(view->id, room.text);
    assert_true(view->inside);
    assert_false(view->entered);
    assert_int_equal(view->people, 2);
    club_free(club);
}

static void what_is_opened_has_the_inner_fields_and_the_outer_place(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    LogEvent *event = line(club, ANN, &room, "hello", &renewed);
    LogEvent *opened = keyring_open(club->rings[ANN], event);
    assert_non_null(opened);
    assert_int_equal(opened->fields.kind, LOG_TEXT);
    assert_memory_equal(opened->fields.sender, "ann", 3);
    assert_memory_equal(opened->fields.room, "!team", 5);
    assert_int_equal(opened->fields.room_len, 5);
    assert_int_equal(opened->fields.id_len, 2);
    assert_memory_equal(opened->fields.stamp, "12:00:00", 8);
    assert_int_equal(event_compare(&opened->fields, &event->fields), 0);
    assert_memory_equal(&opened->hash, &event->hash, sizeof(EventHash));
    event_unref(opened);
    club_free(club);
}

static void the_longest_line_can_be_sealed(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    char text[EVENT_BODY_MAX_BYTES + 1];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    RoomId room = found(club, ANN, "team");
    assert_true(reads(club, ANN, line(club, ANN, &room, text, &renewed), text));
    club_free(club);
}

static void an_altered_byte_anywhere_makes_it_unreadable(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    Bytes *body = seal(club, ANN, room.text, "hello");
    uint8_t altered[256];
    size_t len = bytes_len(body);
    assert_true(len <= sizeof(altered));
    for (size_t i = 0; i < len; i++) {
        memcpy(altered, bytes_data(body), len);
        altered[i] ^= 1;
        Bytes *bytes = bytes_new(altered, len);
        LogEvent *event = club_say(club, ANN, LOG_SEALED, room.text, bytes);
        assert_null(keyring_open(club->rings[BOB], event));
        bytes_unref(bytes);
    }
    LogEvent *event = club_say(club, ANN, LOG_SEALED, room.text, body);
    assert_true(reads(club, BOB, event, "hello"));
    bytes_unref(body);
    club_free(club);
}

static void a_body_moved_to_another_origin_or_room_is_not_read(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    RoomId other = found(club, ANN, "other");
    admit(club, ANN, &room, BOB, false);
    admit(club, ANN, &other, BOB, false);
    Bytes *body = seal(club, ANN, room.text, "hello");
    assert_null(keyring_open(club->rings[BOB], club_say(club, BOB, LOG_SEALED, room.text, body)));
    assert_null(keyring_open(club->rings[BOB], club_say(club, ANN, LOG_SEALED, other.text, body)));
    assert_true(reads(club, BOB, club_say(club, ANN, LOG_SEALED, room.text, body), "hello"));
    bytes_unref(body);
    club_free(club);
}

static void what_is_said_in_the_clear_in_a_sealed_room_is_not_shown(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    Bytes *body = bytes_new("hello", 5);
    assert_null(keyring_open(club->rings[ANN], club_say(club, BOB, LOG_TEXT, room.text, body)));
    assert_null(keyring_open(club->rings[ANN], club_say(club, BOB, LOG_TEXT, "!team", body)));
    assert_null(keyring_open(club->rings[ANN], club_say(club, BOB, LOG_TEXT, "@ann", body)));
    LogEvent *open = club_say(club, BOB, LOG_TEXT, "dev", body);
    assert_true(reads(club, ANN, open, "hello"));
    bytes_unref(body);
    club_free(club);
}

/* ---- keys ---- */

static void a_key_serves_until_somebody_leaves(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    admit(club, BOB, &room, CYD, false);
    LogEvent *before = line(club, CYD, &room, "before", &renewed);
    assert_int_equal(renewed, 0);
    leave(club, BOB, &room);
    LogEvent *after = line(club, ANN, &room, "after", &renewed);
    assert_int_equal(renewed, 1);
    LogEvent *again = line(club, CYD, &room, "again", &renewed);
    assert_int_equal(renewed, 0);
    assert_true(reads(club, BOB, before, "before"));
    assert_null(keyring_open(club->rings[BOB], after));
    assert_null(keyring_open(club->rings[BOB], again));
    assert_true(reads(club, ANN, again, "again"));
    assert_false(keyring_room(club->rings[BOB], room.text, SEALED_ROOM_BYTES)->inside);
    club_free(club);
}

/* Who has come and gone without the past never had the key from before. */
static void an_older_key_serves_again_where_its_holders_are_those_in_the_room(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    admit(club, ANN, &room, CYD, false);
    leave(club, CYD, &room);
    LogEvent *event = line(club, BOB, &room, "hello", &renewed);
    assert_int_equal(renewed, 0);
    assert_true(reads(club, ANN, event, "hello"));
    assert_null(keyring_open(club->rings[CYD], event));
    club_free(club);
}

/* The key he has is good still; but he is not in the room. */
static void who_has_left_is_not_heard_there(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    Bytes *body = seal(club, BOB, room.text, "hello");
    leave(club, BOB, &room);
    assert_null(keyring_open(club->rings[ANN], club_say(club, BOB, LOG_SEALED, room.text, body)));
    bytes_unref(body);
    KeyBodies bodies;
    assert_int_equal(keyring_renew(club->rings[BOB], room.text, NULL, &bodies), ERR_NOT_FOUND);
    club_free(club);
}

static void a_revoked_member_gets_no_more_keys(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, true);
    LogEvent *before = line(club, BOB, &room, "before", &renewed);
    memcpy(club->revoked, club->signers[BOB].public_key, EVENT_KEY_BYTES);
    LogEvent *after = line(club, ANN, &room, "after", &renewed);
    assert_int_equal(renewed, 1);
    assert_null(keyring_open(club->rings[BOB], after));
    assert_true(reads(club, ANN, before, "before"));
    assert_true(reads(club, ANN, after, "after"));
    assert_false(keyring_has_person(club->rings[ANN], room.text, club->signers[BOB].public_key));
    club_free(club);
}

static void the_past_is_read_by_whom_it_is_given_to(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    LogEvent *old = line(club, ANN, &room, "old", &renewed);
    admit(club, ANN, &room, BOB, false);
    LogEvent *later = line(club, ANN, &room, "later", &renewed);
    admit(club, ANN, &room, CYD, true);
    assert_null(keyring_open(club->rings[BOB], old));
    assert_true(reads(club, BOB, later, "later"));
    assert_true(reads(club, CYD, old, "old"));
    assert_true(reads(club, CYD, later, "later"));
    LogEvent *now = line(club, CYD, &room, "now", &renewed);
    assert_int_equal(renewed, 0);
    assert_true(reads(club, BOB, now, "now"));
    club_free(club);
}

static void an_outsider_lets_nobody_in(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    leave(club, BOB, &room);
    /* As he would have said it before he left. */
    Keyring *earlier = ring_of(club, BOB);
    for (size_t i = 0; i + 1 < club->count; i++) {
        (void)keyring_take(earlier, club->log[i]);
    }
    KeyBodies bodies;
    assert_int_equal(
        keyring_admit(earlier, room.text, club->signers[DAN].public_key, true, &bodies), ERR_OK);
    club_say_keys(club, BOB, room.text, &bodies);
    assert_false(keyring_has_person(club->rings[ANN], room.text, club->signers[DAN].public_key));
    keyring_free(earlier);
    club_free(club);
}

/* The salt is there for all to see: in another's mouth it founds nothing. */
static void a_room_has_one_founder(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    const EventFields first = club->log[0]->fields;
    Bytes *body = bytes_new(first.body, first.body_len);
    club_say(club, DAN, LOG_ROOM_KEY, room.text, body);
    bytes_unref(body);
    assert_false(keyring_has_person(club->rings[ANN], room.text, club->signers[DAN].public_key));
    assert_true(keyring_has_person(club->rings[ANN], room.text, club->signers[ANN].public_key));
    club_free(club);
}

static void a_grant_copied_from_another_event_gives_nothing(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    LogEvent *event = line(club, ANN, &room, "hello", &renewed);
    const EventFields admission = club->log[1]->fields;
    Keyring *ring = ring_of(club, BOB);
    (void)keyring_take(ring, club->log[0]);
    Bytes *body = bytes_new(admission.body, admission.body_len);
    (void)keyring_take(ring, club_say(club, DAN, LOG_ROOM_KEY, room.text, body));
    assert_false(keyring_learned(ring));
    assert_null(keyring_open(ring, event));
    bytes_unref(body);
    keyring_free(ring);
    club_free(club);
}

/* ---- names ---- */

static void rooms_of_one_name_are_told_apart(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId first = found(club, ANN, "team");
    RoomId second = found(club, BOB, "team");
    char shown[EVENT_ROOM_MAX_BYTES + 1];
    snprintf(shown, sizeof(shown), "!team~%.4s", second.text + 1);
    assert_string_equal(keyring_room_shown(club->rings[BOB], "!team", 5)->id, second.text);
    admit(club, BOB, &second, ANN, false);
    assert_string_equal(keyring_room_shown(club->rings[ANN], "!team", 5)->id, first.text);
    assert_string_equal(keyring_room_shown(club->rings[ANN], shown, strlen(shown))->id,
                        second.text);
    club_free(club);
}

static void two_talk_alone(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId id;
    KeyBodies bodies;
    keyring_talk_id(club->rings[ANN], club->signers[BOB].public_key, id.text);
    assert_int_equal(
        keyring_renew(club->rings[ANN], id.text, club->signers[BOB].public_key, &bodies), ERR_OK);
    assert_int_equal(club_say_keys(club, ANN, id.text, &bodies), 1);
    Bytes *body = seal(club, ANN, id.text, "psst");
    LogEvent *event = club_say(club, ANN, LOG_SEALED, id.text, body);
    bytes_unref(body);
    assert_true(reads(club, ANN, event, "psst"));
    assert_true(reads(club, BOB, event, "psst"));
    assert_null(keyring_open(club->rings[CYD], event));
    LogEvent *at_ann = keyring_open(club->rings[ANN], event);
    LogEvent *at_bob = keyring_open(club->rings[BOB], event);
    assert_memory_equal(at_ann->fields.room, "@bob", 4);
    assert_memory_equal(at_bob->fields.room, "@bob", 4);
    event_unref(at_ann);
    event_unref(at_bob);
    size_t renewed = 9;
    LogEvent *answer = line(club, BOB, &id, "what?", &renewed);
    assert_int_equal(renewed, 0);
    at_bob = keyring_open(club->rings[BOB], answer);
    assert_memory_equal(at_bob->fields.room, "@ann", 4);
    event_unref(at_bob);
    assert_null(keyring_room_at(club->rings[ANN], 0));
    club_free(club);
}

static void entering_and_leaving_is_shown_to_those_within(void **state)
{
    (void)state;
    Club *club = club_new();
    KeyBodies bodies;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    LogEvent *founding = keyring_open(club->rings[ANN], club->log[0]);
    assert_int_equal(founding->fields.kind, LOG_JOIN);
    event_unref(founding);
    assert_null(keyring_open(club->rings[ANN], club->log[1]));
    assert_int_equal(keyring_move(club->rings[BOB], room.text, true, &bodies), ERR_OK);
    club_say_keys(club, BOB, room.text, &bodies);
    assert_true(keyring_room(club->rings[BOB], room.text, SEALED_ROOM_BYTES)->entered);
    leave(club, BOB, &room);
    LogEvent *left = keyring_open(club->rings[ANN], club->log[club->count - 1]);
    assert_int_equal(left->fields.kind, LOG_PART);
    event_unref(left);
    assert_null(keyring_open(club->rings[CYD], club->log[club->count - 1]));
    const uint8_t *let_in = keyring_let_in(club->rings[BOB], &club->log[1]->fields, 0);
    assert_non_null(let_in);
    assert_memory_equal(let_in, club->signers[BOB].public_key, EVENT_KEY_BYTES);
    assert_null(keyring_let_in(club->rings[BOB], &club->log[1]->fields, 1));
    club_free(club);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_in_the_room_read_and_others_do_not),
        cmocka_unit_test(what_is_opened_has_the_inner_fields_and_the_outer_place),
        cmocka_unit_test(the_longest_line_can_be_sealed),
        cmocka_unit_test(an_altered_byte_anywhere_makes_it_unreadable),
        cmocka_unit_test(a_body_moved_to_another_origin_or_room_is_not_read),
        cmocka_unit_test(what_is_said_in_the_clear_in_a_sealed_room_is_not_shown),
        cmocka_unit_test(a_key_serves_until_somebody_leaves),
        cmocka_unit_test(an_older_key_serves_again_where_its_holders_are_those_in_the_room),
        cmocka_unit_test(who_has_left_is_not_heard_there),
        cmocka_unit_test(a_revoked_member_gets_no_more_keys),
        cmocka_unit_test(the_past_is_read_by_whom_it_is_given_to),
        cmocka_unit_test(an_outsider_lets_nobody_in),
        cmocka_unit_test(a_room_has_one_founder),
        cmocka_unit_test(a_grant_copied_from_another_event_gives_nothing),
        cmocka_unit_test(rooms_of_one_name_are_told_apart),
        cmocka_unit_test(two_talk_alone),
        cmocka_unit_test(entering_and_leaving_is_shown_to_those_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
