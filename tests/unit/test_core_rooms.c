/* Rooms and people, as traces: who sees what, and what the commands answer. */
#include "core/fold.h"
#include "core_world.h"
#include "unit.h"

/* ann, bob and cyd in a row. */
static World *world_of_three(void)
{
    static const char *const dials[] = {"b", "c", ""};
    World *world = world_new(dials, 3);
    world_start_all(world);
    world_wait(world, 1000);
    return world;
}

/* What one node alone was told of the last step. */
static const char *told(const World *world, size_t at, const char *needle)
{
    char row[512];
    snprintf(row, sizeof(row), "%s| %s", WORLD_NAMES[at], needle);
    return strstr(strbuf_text(&world->text), row);
}

static CoreTrace alone(void)
{
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_line(&trace, "first");
    return trace;
}

/* ---- entering and leaving ---- */

static void what_is_said_in_a_room_is_seen_by_those_in_it(void **state)
{
    (void)state;
    World *world = world_of_three();
    world_line(world, 0, "/join games");
    assert_non_null(told(world, 0,
                         "info: what you type goes to #games; /history shows what was "
                         "said\n"));
    assert_non_null(told(world, 0, "show [#games] ann joins\n"));
    assert_null(told(world, 1, "show"));
    world_line(world, 2, "/join Games");
    assert_non_null(told(world, 0, "show [#games] cyd joins\n"));
    world_line(world, 0, "chess?");
    assert_non_null(told(world, 0, "show [#games] ann: chess?\n"));
    assert_non_null(told(world, 2, "show [#games] ann: chess?\n"));
    assert_null(told(world, 1, "show"));
    world_free(world);
}

static const char *receive_in(CoreTrace *trace, const char *room, const char *content)
{
    MessageDraft draft = trace_client_draft("bot", content, content);
    draft.room = room;
    draft.room_len = strlen(room);
    return trace_receive(trace, draft);
}

/* It is in the log, and its room is the one that people mean. */
static void program_speaks_in_any_room_and_its_nodes_person_sees_their_own(void **state)
{
    (void)state;
    static const NodeConfig one[] = {{.host = "c", .port = 3}};
    CoreTrace trace = trace_new("ann", one, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up_classic(&trace, 0);
    assert_string_equal(receive_in(&trace, "games", "unseen"), "accept\n");
    assert_string_equal(receive_in(&trace, "games", "unseen"), "accept a repeat\n");
    trace_line(&trace, "/join games");
    assert_string_equal(receive_in(&trace, "#Games", "seen"), "show [#games] bot: seen\naccept\n");
    const EventFields *last = &trace.disk[trace.disk_count - 1]->fields;
    assert_int_equal(last->room_len, strlen("games"));
    assert_memory_equal(last->room, "games", last->room_len);
    assert_string_equal(receive_in(&trace, "Lobby", "for all"),
                        "send 0 for all\nshow bot: for all\naccept\n");
    trace_line(&trace, "/part games");
    assert_string_equal(receive_in(&trace, "games", "unseen again"), "accept\n");
    trace_done(&trace);
}

static void program_speaks_to_no_person_and_in_no_room_that_is_none(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    assert_string_equal(
        receive_in(&trace, "@bob", "psst"),
        "reject invalid: room is a person: only rooms can be spoken to from outside\n");
    assert_string_equal(receive_in(&trace, "two words", "hi"),
                        "reject invalid: a room's name holds no space and does not start with @, # "
                        "or /\n");
    assert_string_equal(receive_in(&trace, "#", "hi"),
                        "reject invalid: a room's name has 1 to 64 bytes\n");
    assert_string_equal(receive_in(&trace, "\xff", "hi"),
                        "reject invalid: a room's name is UTF-8 without control characters\n");
    trace_done(&trace);
}

static void line_in_a_room_goes_to_no_classic_peer(void **state)
{
    (void)state;
    static const NodeConfig one[] = {{.host = "c", .port = 3}};
    CoreTrace trace = trace_new("ann", one, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up_classic(&trace, 0);
    trace_line(&trace, "/join games");
    assert_string_equal(trace_line(&trace, "chess?"), "show [#games] ann: chess?\n");
    assert_string_equal(trace_line(&trace, "/to lobby hi"), "send 0 hi\nshow ann: hi\n");
    assert_string_equal(trace_line(&trace, "/msg bob psst"),
                        "warning: nobody called bob is here now: it is kept for later\n"
                        "show [@bob] ann: psst\n");
    trace_done(&trace);
}

static void room_is_left_for_the_lobby(void **state)
{
    (void)state;
    World *world = world_of_three();
    world_line(world, 0, "/join games");
    world_line(world, 1, "/join games");
    world_line(world, 1, "/join chess"); /* still in the first */
    world_line(world, 0, "/part");
    assert_non_null(told(world, 0, "info: what you type goes to the lobby again\n"));
    assert_non_null(told(world, 1, "show [#games] ann parts\n"));
    assert_string_equal(core_room(world_core(world, 0)), "lobby");
    world_line(world, 1, "/to games anyone?");
    assert_non_null(told(world, 1, "show [#games] bob: anyone?\n"));
    assert_null(told(world, 0, "show"));
    world_line(world, 1, "/part games");
    assert_string_equal(core_room(world_core(world, 1)), "chess");
    world_free(world);
}

static void entering_twice_says_nothing(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    assert_string_equal(trace_line(&trace, "/join games"),
                        "info: what you type goes to #games; /history shows what was said\n"
                        "show [#games] ann joins\n");
    assert_string_equal(trace_line(&trace, "/join #GAMES"), "");
    assert_string_equal(trace_line(&trace, "/join lobby"),
                        "info: what you type goes to the lobby again\n");
    assert_string_equal(trace_line(&trace, "/join games"),
                        "info: what you type goes to #games; /history shows what was said\n");
    trace_done(&trace);
}

static void what_is_no_room_is_told(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    static const struct {
        const char *line;
        const char *answer;
    } rows[] = {
        {"/join", "error: /join ROOM: you are in lobby\n"},
        {"/join a b", "error: a room's name holds no space and does not start with @, # or /\n"},
        {"/join ##a", "error: a room's name holds no space and does not start with @, # or /\n"},
        {"/join \a", "error: a room's name is UTF-8 without control characters\n"},
        {"/part", "error: everybody is in the lobby; /quit leaves the chat\n"},
        {"/part lobby", "error: everybody is in the lobby; /quit leaves the chat\n"},
        {"/part games", "error: you are not in #games\n"},
        {"/to games", "error: /to ROOM TEXT: say TEXT in ROOM\n"},
        {"/to", "error: /to ROOM TEXT: say TEXT in ROOM\n"},
        {"/msg", "error: /msg NAME TEXT: say something to NAME alone\n"},
        {"/names \a", "error: a room's name is UTF-8 without control characters\n"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(trace_line(&trace, rows[i].line), rows[i].answer);
    }
    trace_line(&trace, "/join games");
    assert_string_equal(trace_line(&trace, "/join"), "error: /join ROOM: you are in #games\n");
    trace_done(&trace);
}

static void rooms_one_is_in_are_bounded(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    char line[32];
    for (int i = 0; i < 64; i++) {
        snprintf(line, sizeof(line), "/join room%d", i);
        trace_line(&trace, line);
    }
    assert_string_equal(trace_line(&trace, "/join more"),
                        "error: you are in 64 rooms: /part one of them first\n");
    trace_line(&trace, "/part room0");
    assert_string_equal(trace_line(&trace, "/join more"),
                        "info: what you type goes to #more; /history shows what was said\n"
                        "show [#more] ann joins\n");
    trace_done(&trace);
}

static void own_rooms_are_known_after_a_restart(void **state)
{
    (void)state;
    CoreTrace before = alone();
    trace_line(&before, "/join games");
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8});
    const Query query = {.kind = QUERY_JOINS};
    trace.tells_start = true;
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_START}),
                        "query joins\nquery recent lobby 4096\n");
    trace_step(&trace, (Event){.kind = EVENT_ANSWER,
                               .query = &query,
                               .events = before.disk + 1,
                               .events_count = 1});
    assert_string_equal(core_room(trace.core), "lobby");
    assert_string_equal(trace_line(&trace, "/join games"),
                        "info: what you type goes to #games; /history shows what was said\n");
    trace_done(&trace);
    trace_done(&before);
}

/* Else a line in a room that the disk has not told of yet would be for nobody. */
static void nothing_is_shown_before_own_rooms_are_known(void **state)
{
    (void)state;
    const Query query = {.kind = QUERY_JOINS};
    for (int fails = 0; fails < 2; fails++) {
        CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8});
        trace.tells_start = true;
        trace_step(&trace, (Event){.kind = EVENT_START});
        assert_null(strstr(trace_line(&trace, "hi"), "show ann"));
        trace_timer_after(&trace, 1000);
        const char *text = trace_step(
            &trace,
            (Event){.kind = EVENT_ANSWER, .query = &query, .text = fails == 1 ? "bad disk" : NULL});
        assert_non_null(strstr(text, "show ann: hi\n"));
        assert_non_null(strstr(trace_line(&trace, "again"), "show ann: again\n"));
        trace_done(&trace);
    }
}

static void rooms_of_a_disk_that_does_not_answer_are_not_waited_for_without_end(void **state)
{
    (void)state;
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8});
    trace.tells_start = true;
    trace_step(&trace, (Event){.kind = EVENT_START});
    for (size_t i = 1; i < FOLD_WAITING_MAX; i++) {
        assert_null(strstr(trace_line(&trace, "hi"), "show ann"));
    }
    const char *text = trace_line(&trace, "the last of them");
    assert_non_null(strstr(text, "show ann: hi\nshow ann: hi\n"));
    assert_non_null(strstr(text, "show ann: the last of them\n"));
    trace_done(&trace);
}

/* ---- to one person ---- */

static void direct_message_is_seen_by_the_two_alone(void **state)
{
    (void)state;
    World *world = world_of_three();
    world_line(world, 0, "/msg cyd  a secret");
    assert_non_null(told(world, 0, "show [@cyd] ann:  a secret\n"));
    assert_non_null(told(world, 2, "show [@cyd] ann:  a secret\n"));
    assert_null(told(world, 1, "show"));
    assert_int_equal(world->nodes[1].trace.disk_count, 1); /* passed on all the same */
    world_free(world);
}

static void person_is_talked_to_until_part(void **state)
{
    (void)state;
    World *world = world_of_three();
    world_line(world, 0, "/msg bob");
    assert_non_null(told(world, 0, "info: what you type goes to bob alone; /part ends that\n"));
    world_line(world, 0, "hi");
    assert_non_null(told(world, 1, "show [@bob] ann: hi\n"));
    assert_null(told(world, 2, "show"));
    world_line(world, 0, "/part");
    world_line(world, 0, "/join @cyd");
    assert_non_null(told(world, 0, "info: what you type goes to cyd alone; /part ends that\n"));
    world_free(world);
}

static void person_who_is_not_here_gets_it_later(void **state)
{
    (void)state;
    World *world = world_of_three();
    world_line(world, 0, "/msg zoe hi");
    assert_non_null(
        told(world, 0, "warning: nobody called zoe is here now: it is kept for later\n"));
    assert_non_null(told(world, 0, "show [@zoe] ann: hi\n"));
    world_free(world);
}

static void what_is_nobodys_name_is_told(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    char line[80] = "/msg ";
    memset(line + 5, 'x', 64);
    snprintf(line + 5 + 64, sizeof(line) - 5 - 64, " hi");
    const char *answer = trace_line(&trace, line);
    assert_memory_equal(answer, "error: xxx", 10);
    assert_non_null(strstr(answer, " is nobody's name, it is too long\n"));
    trace_done(&trace);
}

/* ---- who is where ---- */

static void names_tells_who_is_in_a_room_and_who_is_away(void **state)
{
    (void)state;
    World *world = world_of_three();
    assert_string_equal(world_line(world, 0, "/names games"), "ann| info: #games: here: nobody\n");
    world_line(world, 1, "/join games");
    world_line(world, 2, "/join games");
    world_line(world, 2, "/nick zoe");
    assert_string_equal(world_line(world, 0, "/names games"),
                        "ann| info: #games: here: bob, zoe\n");
    world_line(world, 2, "/quit");
    world_wait(world, 300); /* until its last lines are known to be elsewhere */
    assert_string_equal(world_line(world, 0, "/names games"),
                        "ann| info: #games: here: bob; away: cyd\n");
    assert_string_equal(world_line(world, 0, "/names @bob"), "ann| info: bob is here\n");
    assert_string_equal(world_line(world, 0, "/names @zoe"), "ann| info: zoe is away\n");
    world_line(world, 0, "/join games");
    assert_string_equal(world_line(world, 0, "/names"),
                        "ann| info: #games: here: bob, ann; away: cyd\n");
    assert_string_equal(world_line(world, 0, "/names lobby"), "ann| info: here: ann, bob\n");
    world_free(world);
}

static void classic_peer_is_among_the_names_of_the_lobby(void **state)
{
    (void)state;
    static const NodeConfig one[] = {{.host = "c", .port = 3}};
    CoreTrace trace = trace_new("ann", one, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up_classic(&trace, 0);
    assert_string_equal(trace_line(&trace, "/names"), "info: here: ann, c:3 (classic)\n");
    trace_done(&trace);
}

static uint64_t hlc_before(const CoreTrace *trace, int64_t ms)
{
    return (uint64_t)(TRACE_WALL_MS + (int64_t)trace->mono_ms - ms) << HLC_COUNTER_BITS;
}

static void rooms_are_listed_with_their_age(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace_line(&trace, "/join games");
    const RoomRow rows[] = {
        {"games", 5, hlc_before(&trace, 500)},
        {"lobby", 5, hlc_before(&trace, 125 * 1000)},
        {"@bob", 4, hlc_before(&trace, 0)},
        {"old", 3, hlc_before(&trace, INT64_C(50) * 3600 * 1000)},
    };
    const Query query = {.kind = QUERY_ROOMS};
    assert_string_equal(trace_line(&trace, "/rooms"), "query rooms\n");
    assert_string_equal(
        trace_step(&trace,
                   (Event){.kind = EVENT_ANSWER, .query = &query, .rooms = rows, .rooms_count = 4}),
        "info: #games  now  1 in it, you too\n"
        "info: #lobby  2 min ago  everybody\n"
        "info: #old  2 d ago  0 in it\n");
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_ANSWER, .query = &query}),
                        "info: nothing was said yet; everybody is in the lobby\n");
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_in_a_room_is_seen_by_those_in_it),
        cmocka_unit_test(program_speaks_in_any_room_and_its_nodes_person_sees_their_own),
        cmocka_unit_test(program_speaks_to_no_person_and_in_no_room_that_is_none),
        cmocka_unit_test(line_in_a_room_goes_to_no_classic_peer),
        cmocka_unit_test(room_is_left_for_the_lobby),
        cmocka_unit_test(entering_twice_says_nothing),
        cmocka_unit_test(what_is_no_room_is_told),
        cmocka_unit_test(rooms_one_is_in_are_bounded),
        cmocka_unit_test(own_rooms_are_known_after_a_restart),
        cmocka_unit_test(nothing_is_shown_before_own_rooms_are_known),
        cmocka_unit_test(rooms_of_a_disk_that_does_not_answer_are_not_waited_for_without_end),
        cmocka_unit_test(direct_message_is_seen_by_the_two_alone),
        cmocka_unit_test(person_is_talked_to_until_part),
        cmocka_unit_test(person_who_is_not_here_gets_it_later),
        cmocka_unit_test(what_is_nobodys_name_is_told),
        cmocka_unit_test(names_tells_who_is_in_a_room_and_who_is_away),
        cmocka_unit_test(classic_peer_is_among_the_names_of_the_lobby),
        cmocka_unit_test(rooms_are_listed_with_their_age),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
