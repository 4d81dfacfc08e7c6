/* Sealed rooms without a core: who can read what, whatever the order in which events come. */
#include "core/sealed.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { PEOPLE = 4, LOG_MAX = 512 };

/* Some people, each with a keyring and a stream, and the one log that all of them hold. */
typedef struct Club {
    EventSigner signers[PEOPLE];
    Keyring *rings[PEOPLE];
    uint64_t seqs[PEOPLE];
    EventHash hashes[PEOPLE];
    LogEvent *log[LOG_MAX];
    size_t count;
    uint64_t hlc;
    uint8_t revoked[EVENT_KEY_BYTES]; /* nobody: zeros */
} Club;

static const uint8_t NETWORK[EVENT_NETWORK_BYTES] = {1, 2, 3};
enum { ANN, BOB, CYD, DAN };

static bool club_counts(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    const Club *club = context;
    return memcmp(key, club->revoked, EVENT_KEY_BYTES) != 0;
}

static const char *club_name(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    static const char *const names[] = {"ann", "bob", "cyd", "dan"};
    const Club *club = context;
    for (size_t i = 0; i < PEOPLE; i++) {
        if (memcmp(club->signers[i].public_key, key, EVENT_KEY_BYTES) == 0) {
            return names[i];
        }
    }
    return NULL;
}

static Keyring *ring_of(Club *club, size_t who)
{
    uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(who + 1)};
    Keyring *ring = keyring_new(seed, NETWORK);
    KeyringPeople people = {.counts = club_counts, .name = club_name, .context = club};
    keyring_set_people(ring, &people);
    return ring;
}

static Club *club_new(void)
{
    Club *club = mem_new(Club);
    club->hlc = UINT64_C(1700000000000) << HLC_COUNTER_BITS;
    for (size_t i = 0; i < PEOPLE; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(i + 1)};
        event_signer_init(&club->signers[i], seed);
        club->rings[i] = ring_of(club, i);
    }
    return club;
}

static void club_free(Club *club)
{
    for (size_t i = 0; i < PEOPLE; i++) {
        keyring_free(club->rings[i]);
    }
    for (size_t i = 0; i < club->count; i++) {
        event_unref(club->log[i]);
    }
    mem_free(club);
}

/* Everybody has it at once. */
static LogEvent *club_say_as(Club *club, size_t who, EventFields fields)
{
    fields.network = NETWORK;
    memcpy(fields.stream.origin, club->signers[who].public_key, EVENT_KEY_BYTES);
    fields.stream.epoch = 1;
    fields.seq = ++club->seqs[who];
    fields.prev_hash = club->hashes[who];
    fields.hlc = ++club->hlc;
    LogEvent *event = event_new(&fields);
    club->hashes[who] = event->hash;
    assert_true(club->count < LOG_MAX);
    club->log[club->count++] = event;
    for (size_t i = 0; i < PEOPLE; i++) {
        (void)keyring_take(club->rings[i], event);
    }
    return event;
}

static LogEvent *club_say(Club *club, size_t who, int kind, const char *room, const Bytes *body)
{
    return club_say_as(club, who,
                       (EventFields){.kind = kind,
                                     .room = room,
                                     .room_len = strlen(room),
                                     .sender = SEALED_SENDER,
                                     .sender_len = strlen(SEALED_SENDER),
                                     .body = bytes_data(body),
                                     .body_len = bytes_len(body)});
}

static size_t club_say_keys(Club *club, size_t who, const char *room, KeyBodies *bodies)
{
    size_t count = bodies->count;
    for (size_t i = 0; i < count; i++) {
        assert_true(bytes_len(bodies->items[i]) <= EVENT_BODY_MAX_BYTES);
        club_say(club, who, LOG_ROOM_KEY, room, bodies->items[i]);
    }
    key_bodies_done(bodies);
    return count;
}

typedef struct RoomId {
    char text[SEALED_ROOM_BYTES + 1];
} RoomId;

static RoomId found(Club *club, size_t who, const char *name)
{
    RoomId id;
    KeyBodies bodies;
    keyring_stir(club->rings[who], ++club->hlc, 0);
    assert_int_equal(keyring_found(club->rings[who], name, id.text, &bodies), ERR_OK);
    assert_int_equal(club_say_keys(club, who, id.text, &bodies), 1);
    return id;
}

static void admit(Club *club, size_t who, const RoomId *room, size_t whom, bool past)
{
    KeyBodies bodies;
    assert_int_equal(
        keyring_admit(club->rings[who], room->text, club->signers[whom].public_key, past, &bodies),
        ERR_OK);
    assert_true(club_say_keys(club, who, room->text, &bodies) > 0);
}

static void leave(Club *club, size_t who, const RoomId *room)
{
    KeyBodies bodies;
    assert_int_equal(keyring_move(club->rings[who], room->text, false, &bodies), ERR_OK);
    club_say_keys(club, who, room->text, &bodies);
}

static Bytes *seal(Club *club, size_t who, const char *room, const char *text)
{
    Bytes *body = NULL;
    EventFields fields = {.kind = LOG_TEXT,
                          .sender = club_name(club, club->signers[who].public_key),
                          .sender_len = 3,
                          .body = (const uint8_t *)text,
                          .body_len = strlen(text),
                          .id = (const uint8_t *)"id",
                          .id_len = 2,
                          .stamp = "12:00:00",
                          .stamp_len = 8};
    assert_int_equal(keyring_seal(club->rings[who], room, &fields, &body), ERR_OK);
    return body;
}

/* A line, and how many events it took to make its key. */
static LogEvent *line(Club *club, size_t who, const RoomId *room, const char *text,
                      size_t *ret_renewed)
{
    KeyBodies bodies;
    assert_int_equal(keyring_renew(club->rings[who], room->text, NULL, &bodies), ERR_OK);
    *ret_renewed = club_say_keys(club, who, room->text, &bodies);
    Bytes *body = seal(club, who, room->text, text);
    LogEvent *event = club_say(club, who, LOG_SEALED, room->text, body);
    bytes_unref(body);
    return event;
}

static bool ring_reads(Keyring *ring, LogEvent *event, const char *text)
{
    LogEvent *opened = keyring_open(ring, event);
    bool reads = opened != NULL && opened->fields.body_len == strlen(text) &&
                 memcmp(opened->fields.body, text, strlen(text)) == 0;
    event_unref(opened);
    return reads;
}

static bool reads(const Club *club, size_t who, LogEvent *event, const char *text)
{
    return ring_reads(club->rings[who], event, text);
}

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

/* ---- many, late, garbled ---- */

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
        cmocka_unit_test(many_members_take_several_events),
        cmocka_unit_test(the_order_of_arrival_does_not_matter),
        cmocka_unit_test(garbled_keys_are_passed_over),
        cmocka_unit_test(what_was_cut_off_counts_no_more),
        cmocka_unit_test(rooms_of_one_name_are_told_apart),
        cmocka_unit_test(two_talk_alone),
        cmocka_unit_test(entering_and_leaving_is_shown_to_those_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
