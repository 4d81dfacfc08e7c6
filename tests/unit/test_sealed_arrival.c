/* Keys of sealed rooms as they come: many at once, in any order, twice, garbled, cut off. */
#include "sealed_club.h"

static void many_members_take_several_events(void **state)
{
    (void)state;
    enum { MANY = 120 };
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    EventSigner others[MANY];
    KeyBodies bodies;
    for (size_t i = 0; i < MANY; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {0xff, (uint8_t)i};
        event_signer_init(&others[i], seed);
        assert_int_equal(
            keyring_admit(club->rings[ANN], room.text, others[i].public_key, true, &bodies),
            ERR_OK);
        club_say_keys(club, ANN, room.text, &bodies);
    }
    admit(club, ANN, &room, BOB, true);
    leave(club, BOB, &room);
    LogEvent *event = line(club, ANN, &room, "hello", &renewed);
    assert_true(renewed > 1);
    uint8_t seed[EVENT_SEED_BYTES] = {0xff, MANY - 1};
    Keyring *last = keyring_new(seed, NETWORK);
    for (size_t i = 0; i < club->count; i++) {
        (void)keyring_take(last, club->log[i]);
    }
    assert_true(ring_reads(last, event, "hello"));
    assert_int_equal(keyring_room(last, room.text, SEALED_ROOM_BYTES)->people, MANY + 1);
    keyring_free(last);
    club_free(club);
}

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return *seed >> 33;
}

static void the_order_of_arrival_does_not_matter(void **state)
{
    (void)state;
    enum { ROUNDS = 50 };
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    admit(club, BOB, &room, CYD, true);
    leave(club, ANN, &room);
    LogEvent *event = line(club, CYD, &room, "hello", &renewed);
    admit(club, CYD, &room, ANN, false);
    found(club, CYD, "other");
    uint64_t seed = 1;
    for (int round = 0; round < ROUNDS; round++) {
        LogEvent *shuffled[LOG_MAX];
        memcpy(shuffled, club->log, club->count * sizeof(LogEvent *));
        Keyring *ring = ring_of(club, BOB);
        for (size_t left = club->count; left > 0; left--) {
            size_t at = draw(&seed) % left;
            (void)keyring_take(ring, shuffled[at]);
            (void)keyring_take(ring, shuffled[at]); /* twice is as once */
            shuffled[at] = shuffled[left - 1];
            (void)keyring_room(ring, room.text, SEALED_ROOM_BYTES);
        }
        assert_true(ring_reads(ring, event, "hello"));
        const SealedRoom *view = keyring_room(ring, room.text, SEALED_ROOM_BYTES);
        assert_int_equal(view->people, 3);
        assert_string_equal(view->shown, "!team");
        keyring_free(ring);
    }
    club_free(club);
}

static void garbled_keys_are_passed_over(void **state)
{
    (void)state;
    Club *club = club_new();
    size_t renewed = 0;
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    const EventFields admission = club->log[1]->fields;
    uint64_t seed = 7;
    for (int round = 0; round < 200; round++) {
        uint8_t body[EVENT_BODY_MAX_BYTES];
        memcpy(body, admission.body, admission.body_len);
        body[draw(&seed) % admission.body_len] ^= (uint8_t)(1 + draw(&seed) % 255);
        Bytes *bytes = bytes_new(body, draw(&seed) % admission.body_len + 1);
        club_say(club, DAN, LOG_ROOM_KEY, room.text, bytes);
        bytes_unref(bytes);
    }
    assert_false(keyring_has_person(club->rings[ANN], room.text, club->signers[DAN].public_key));
    LogEvent *event = line(club, ANN, &room, "hello", &renewed);
    assert_int_equal(renewed, 0);
    assert_true(reads(club, BOB, event, "hello"));
    club_free(club);
}

static void what_was_cut_off_counts_no_more(void **state)
{
    (void)state;
    Club *club = club_new();
    RoomId room = found(club, ANN, "team");
    admit(club, ANN, &room, BOB, false);
    admit(club, BOB, &room, CYD, false);
    assert_true(keyring_has_person(club->rings[ANN], room.text, club->signers[CYD].public_key));
    StreamId stream = {.epoch = 1};
    memcpy(stream.origin, club->signers[BOB].public_key, EVENT_KEY_BYTES);
    keyring_cut(club->rings[ANN], &stream, 0);
    assert_false(keyring_has_person(club->rings[ANN], room.text, club->signers[CYD].public_key));
    assert_true(keyring_has_person(club->rings[ANN], room.text, club->signers[BOB].public_key));
    club_free(club);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_members_take_several_events),
        cmocka_unit_test(the_order_of_arrival_does_not_matter),
        cmocka_unit_test(garbled_keys_are_passed_over),
        cmocka_unit_test(what_was_cut_off_counts_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
