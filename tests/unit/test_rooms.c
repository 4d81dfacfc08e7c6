/* Who is in which room. */
#include "core/message.h"
#include "core/rooms.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const uint8_t OWN[EVENT_KEY_BYTES] = {1};

static EventFields fields_of(uint8_t origin, LogKind kind, const char *room, uint64_t hlc)
{
    static const char *const names[] = {"nobody", "ann", "bob", "cyd"};
    EventFields fields = {
        .stream = {.origin = {origin}, .epoch = 7},
        .seq = hlc,
        .hlc = hlc,
        .room = room,
        .room_len = strlen(room),
        .kind = (int)kind,
        .sender = names[origin],
        .sender_len = strlen(names[origin]),
    };
    return fields;
}

static void apply(Rooms *rooms, uint8_t origin, LogKind kind, const char *room, uint64_t hlc)
{
    EventFields fields = fields_of(origin, kind, room, hlc);
    rooms_apply(rooms, &fields);
}

static size_t count_of(const Rooms *rooms, const char *room)
{
    size_t count = 0;
    while (rooms_member(rooms, room, count) != NULL) {
        count++;
    }
    return count;
}

static void last_word_of_each_node_counts(void **state)
{
    (void)state;
    Rooms *rooms = rooms_new(OWN);
    apply(rooms, 2, LOG_JOIN, "games", 10);
    apply(rooms, 3, LOG_JOIN, "games", 11);
    assert_int_equal(count_of(rooms, "games"), 2);
    assert_string_equal(rooms_member(rooms, "games", 0)->name, "bob");
    apply(rooms, 2, LOG_PART, "games", 12);
    assert_int_equal(count_of(rooms, "games"), 1);
    assert_string_equal(rooms_member(rooms, "games", 0)->name, "cyd");
    apply(rooms, 2, LOG_JOIN, "games", 9); /* comes late */
    apply(rooms, 2, LOG_JOIN, "games", 12);
    assert_int_equal(count_of(rooms, "games"), 1);
    assert_int_equal(count_of(rooms, "chess"), 0);
    rooms_free(rooms);
}

static void later_epoch_is_later(void **state)
{
    (void)state;
    Rooms *rooms = rooms_new(OWN);
    EventFields part = fields_of(2, LOG_PART, "games", 10);
    EventFields join = fields_of(2, LOG_JOIN, "games", 10);
    part.stream.epoch = 8;
    rooms_apply(rooms, &part);
    rooms_apply(rooms, &join);
    assert_int_equal(count_of(rooms, "games"), 0);
    rooms_free(rooms);
}

static void other_kinds_and_persons_are_no_rooms(void **state)
{
    (void)state;
    Rooms *rooms = rooms_new(OWN);
    apply(rooms, 2, LOG_TEXT, "games", 10);
    apply(rooms, 2, LOG_JOIN, "@bob", 11);
    assert_int_equal(count_of(rooms, "games"), 0);
    assert_int_equal(count_of(rooms, "@bob"), 0);
    rooms_free(rooms);
}

static void own_rooms_are_known_again_from_the_log(void **state)
{
    (void)state;
    Rooms *rooms = rooms_new(OWN);
    apply(rooms, 1, LOG_JOIN, "games", 10);
    apply(rooms, 1, LOG_JOIN, "chess", 11);
    apply(rooms, 1, LOG_PART, "games", 12);
    apply(rooms, 2, LOG_JOIN, "music", 13);
    assert_false(rooms_joined(rooms, "games"));
    assert_true(rooms_joined(rooms, "chess"));
    assert_false(rooms_joined(rooms, "music"));
    assert_string_equal(rooms_joined_at(rooms, 0), "chess");
    assert_null(rooms_joined_at(rooms, 1));
    rooms_free(rooms);
}

static void rooms_of_this_node_are_bounded(void **state)
{
    (void)state;
    Rooms *rooms = rooms_new(OWN);
    char name[16];
    for (int i = 0; i < ROOMS_JOINED_MAX; i++) {
        snprintf(name, sizeof(name), "room%d", i);
        assert_int_equal(rooms_enter(rooms, name), ERR_OK);
    }
    assert_int_equal(rooms_enter(rooms, "one more"), ERR_LIMIT);
    rooms_leave(rooms, "room0");
    rooms_leave(rooms, "no such room");
    assert_int_equal(rooms_enter(rooms, "one more"), ERR_OK);
    rooms_free(rooms);
}

static void members_are_bounded(void **state)
{
    (void)state;
    Rooms *rooms = rooms_new(OWN);
    char name[16];
    for (int i = 0; i < ROOMS_MEMBERS_MAX + 10; i++) {
        snprintf(name, sizeof(name), "room%d", i);
        apply(rooms, 2, LOG_JOIN, name, (uint64_t)i + 1);
    }
    assert_int_equal(count_of(rooms, "room9999"), 1);
    assert_int_equal(count_of(rooms, "room10000"), 0);
    /* Those that are known still come and go. */
    apply(rooms, 2, LOG_PART, "room5", 20000);
    assert_int_equal(count_of(rooms, "room5"), 0);
    rooms_free(rooms);
}

static void names_have_rules(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *name; /* NULL: it is none */
    } rows[] = {
        {"games", "games"},  {"#games", "games"},
        {"Games", "games"},  {"caf\xc3\x89", "caf\xc3\x89"}, /* A to Z alone are made small */
        {"a", "a"},          {"", NULL},
        {"#", NULL},         {"##games", NULL},
        {"@bob", NULL},      {"/games", NULL},
        {"two words", NULL}, {"bell\a", NULL},
        {"\xff", NULL},      {"a\xe2\x80\xae", NULL}, /* writes backwards */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char name[EVENT_ROOM_MAX_BYTES + 1] = "unchanged";
        const char *reason = NULL;
        Err err = room_name_parse(rows[i].text, strlen(rows[i].text), name, &reason);
        assert_int_equal(err, rows[i].name != NULL ? ERR_OK : ERR_INVALID);
        if (rows[i].name != NULL) {
            assert_string_equal(name, rows[i].name);
        } else {
            assert_non_null(reason);
        }
    }
}

static void name_has_its_longest(void **state)
{
    (void)state;
    char text[EVENT_ROOM_MAX_BYTES + 2];
    char name[EVENT_ROOM_MAX_BYTES + 1];
    const char *reason = "";
    memset(text, 'a', sizeof(text));
    assert_int_equal(room_name_parse(text, EVENT_ROOM_MAX_BYTES, name, &reason), ERR_OK);
    assert_int_equal(strlen(name), EVENT_ROOM_MAX_BYTES);
    assert_int_equal(room_name_parse(text, EVENT_ROOM_MAX_BYTES + 1, name, &reason), ERR_INVALID);
    assert_string_equal(reason, "a room's name has 1 to 64 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_word_of_each_node_counts),
        cmocka_unit_test(later_epoch_is_later),
        cmocka_unit_test(other_kinds_and_persons_are_no_rooms),
        cmocka_unit_test(own_rooms_are_known_again_from_the_log),
        cmocka_unit_test(rooms_of_this_node_are_bounded),
        cmocka_unit_test(members_are_bounded),
        cmocka_unit_test(names_have_rules),
        cmocka_unit_test(name_has_its_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
