/* What was said before, as traces: what is asked of the store, and what its answers become. */
#include "core_world.h"
#include "unit.h"

/* "ann" has said one, two and three in the lobby; the store is the trace's disk. */
static CoreTrace three_said(bool recap)
{
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .recap = recap});
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_line(&trace, "one");
    trace_line(&trace, "two");
    trace_line(&trace, "three");
    return trace;
}

static const char *answer(CoreTrace *trace, Query query, LogEvent **events, size_t count, bool more)
{
    return trace_step(trace, (Event){.kind = EVENT_ANSWER,
                                     .query = &query,
                                     .events = events,
                                     .events_count = count,
                                     .more = more});
}

/* ---- /history ---- */

static void history_asks_for_the_last_lines_of_the_room(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    assert_string_equal(trace_line(&trace, "/history"), "query history lobby 20\n");
    assert_string_equal(trace_line(&trace, "/history 5"), "query history lobby 5\n");
    assert_string_equal(trace_line(&trace, "/history 1000"), "query history lobby 1000\n");
    trace_line(&trace, "/join games");
    assert_string_equal(trace_line(&trace, "/history"), "query history games 20\n");
    trace_line(&trace, "/msg bob");
    assert_string_equal(trace_line(&trace, "/history"), "query history @bob+@ann 20\n");
    trace_done(&trace);
}

static void history_since_asks_from_a_moment_on(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    assert_string_equal(trace_line(&trace, "/history since 2023-11-14T22:00:00Z"),
                        "query history lobby 1000 since 1699999200000\n");
    assert_string_equal(trace_line(&trace, "/history since 2h"),
                        "query history lobby 1000 since 1699992801000\n");
    trace_done(&trace);
}

static void what_history_cannot_take_is_told(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    static const char *const numbers[] = {
        "0", "1001", "-1", "5 6", "5x", "last", "99999999999999999999", "since"};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        char line[64];
        snprintf(line, sizeof(line), "/history %s", numbers[i]);
        assert_string_equal(trace_line(&trace, line),
                            "error: /history takes a number from 1 to 1000, or since TIME\n");
    }
    assert_string_equal(trace_line(&trace, "/history since tea"),
                        "error: /history since TIME: a time is 16:00, 2026-11-21, \"2026-11-21 "
                        "16:00\", or 2h and 3d for so long ago\n");
    trace_done(&trace);
}

static void history_is_shown_with_ids_and_what_is_kept(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    trace_line(&trace, "/me waves");
    const Query query = {.kind = QUERY_HISTORY, .room = MESSAGE_LOBBY, .count = 4};
    assert_string_equal(answer(&trace, query, trace.disk, 4, true),
                        "history bbc4da-1 ann: one (0/0)\nhistory bbc4da-2 ann: two (0/0)\n"
                        "history bbc4da-3 ann: three (0/0)\nhistory bbc4da-4 * ann: waves (0/0)\n"
                        "info: these are the last 4; /history N shows more\n");
    assert_string_equal(answer(&trace, query, trace.disk, 0, false), "info: nothing in #lobby\n");
    const Query since = {.kind = QUERY_HISTORY, .room = "@bob", .since_hlc = 1};
    assert_string_equal(answer(&trace, since, trace.disk, 0, false),
                        "info: nothing since in @bob\n");
    trace_done(&trace);
}

static void store_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    const Query query = {.kind = QUERY_HISTORY, .room = MESSAGE_LOBBY, .count = 4};
    assert_string_equal(
        trace_step(&trace, (Event){.kind = EVENT_ANSWER, .query = &query, .text = "disk error"}),
        "error: the history could not be read: disk error\n");
    trace_done(&trace);
}

static void direct_messages_of_others_are_not_in_the_answers(void **state)
{
    (void)state;
    CoreTrace bob = trace_new("bob", NULL, 0);
    trace_line(&bob, "/msg cyd a secret");
    trace_line(&bob, "/msg ann hi");
    CoreTrace trace = three_said(false);
    const Query search = {.kind = QUERY_SEARCH, .words = "a"};
    assert_string_equal(answer(&trace, search, bob.disk, 2, false),
                        "history 563480-2 [@ann] bob: hi\n");
    assert_string_equal(answer(&trace, search, bob.disk, 1, true), "info: nothing found for: a\n");
    const Query why = {.kind = QUERY_WHY};
    assert_string_equal(answer(&trace, why, bob.disk, 1, false),
                        "error: it is a message between others\n");
    trace_done(&trace);
    trace_done(&bob);
}

/* Two nodes heard a classic one, and both have written its line. */
/* What others have said to either of the two stands in the same rooms. */
static void history_of_two_is_what_they_said_to_each_other(void **state)
{
    (void)state;
    CoreTrace ann = trace_new("ann", NULL, 0);
    CoreTrace bob = trace_new("bob", NULL, 0);
    CoreTrace cyd = trace_new("cyd", NULL, 0);
    trace_line(&ann, "/msg bob hi");
    trace_line(&bob, "/msg ann hello");
    trace_line(&cyd, "/msg ann psst");
    trace_line(&cyd, "/msg bob pssst");
    LogEvent *events[] = {ann.disk[0], bob.disk[0], cyd.disk[0], cyd.disk[1]};
    const Query query = {.kind = QUERY_HISTORY, .room = "@bob", .other_room = "@ann", .count = 20};
    const char *text = answer(&ann, query, events, 4, false);
    assert_non_null(strstr(text, " ann: hi"));
    assert_non_null(strstr(text, " bob: hello"));
    assert_null(strstr(text, "pss"));
    const Query last = {.kind = QUERY_HISTORY, .room = "@bob", .other_room = "@ann", .count = 1};
    text = answer(&ann, last, events, 4, false);
    assert_null(strstr(text, " ann: hi"));
    assert_non_null(strstr(text, " bob: hello"));
    assert_string_equal(answer(&ann, query, events + 2, 2, false),
                        "info: you and bob have said nothing to each other alone\n");
    trace_done(&ann);
    trace_done(&bob);
    trace_done(&cyd);
}

static void line_of_a_classic_node_is_in_the_history_once(void **state)
{
    (void)state;
    CoreTrace ann = three_said(false);
    CoreTrace bob = trace_new("bob", NULL, 0);
    MessageDraft heard = trace_draft("kim", "hi", "10:00:00");
    trace_receive(&ann, heard);
    trace_receive(&bob, heard);
    LogEvent *events[] = {ann.disk[3], ann.disk[2], bob.disk[0]};
    const Query query = {.kind = QUERY_HISTORY, .room = MESSAGE_LOBBY, .count = 4};
    const char *text = answer(&ann, query, events, 3, false);
    assert_non_null(strstr(text, "kim: hi"));
    assert_null(strstr(strstr(text, "kim: hi") + 1, "kim: hi"));
    trace_done(&ann);
    trace_done(&bob);
}

/* ---- /search ---- */

static void search_asks_for_words(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    assert_string_equal(trace_line(&trace, "/search  two words "), "query search 20 two words\n");
    static const char help[] =
        "error: /search WORDS: lines that have all of them; \"in quotes\" side by side, wor* for a "
        "beginning; at most 256 bytes\n";
    assert_string_equal(trace_line(&trace, "/search"), help);
    assert_string_equal(trace_line(&trace, "/search \xff"), help);
    char line[8 + 257 + 1] = "/search ";
    memset(line + 8, 'x', 257);
    line[8 + 257] = '\0';
    assert_string_equal(trace_line(&trace, line), help);
    line[8 + 256] = '\0';
    assert_memory_equal(trace_line(&trace, line), "query search 20 xxx", 19);
    trace_done(&trace);
}

/* They come newest first, and are shown newest last. */
static void what_is_found_is_shown_newest_last(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    LogEvent *events[] = {trace.disk[2], trace.disk[1]};
    const char *const snippets[] = {"[three]", "[two]"};
    const Query query = {.kind = QUERY_SEARCH, .words = "t*", .count = 20};
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_ANSWER,
                                                   .query = &query,
                                                   .events = events,
                                                   .events_count = 2,
                                                   .snippets = snippets,
                                                   .more = true}),
                        "history bbc4da-2 ann: two (0/0) <[two]>\n"
                        "history bbc4da-3 ann: three (0/0) <[three]>\n"
                        "info: there are more: these are the newest 2\n");
    assert_string_equal(answer(&trace, query, events, 0, false), "info: nothing found for: t*\n");
    trace_done(&trace);
}

/* ---- /why ---- */

static void why_asks_by_id_or_for_the_last_one(void **state)
{
    (void)state;
    CoreTrace trace = three_said(false);
    char place[40];
    char line[64];
    message_place_text(&trace.disk[0]->fields.stream, 2, place, sizeof(place));
    snprintf(line, sizeof(line), "/why %s", place);
    const char *text = trace_line(&trace, line);
    assert_memory_equal(text, "query why ", 10);
    assert_memory_equal(text + 10, place, strlen(place));
    text = trace_line(&trace, "/why");
    assert_non_null(strstr(text, "-3\n"));
    place[strlen(place) - 1] = '9';
    snprintf(line, sizeof(line), "/why %s", place);
    assert_non_null(strstr(trace_line(&trace, line), "error: no message here has the id "));
    assert_string_equal(trace_line(&trace, "/why 000000-1"),
                        "error: no message here has the id 000000-1\n");
    assert_string_equal(trace_line(&trace, "/why that"),
                        "error: /why ID: as /history shows them, 5f3a91-17 for instance; without "
                        "one it is the last message\n");
    trace_done(&trace);
}

static void why_of_what_is_on_its_way_to_the_disk_says_so(void **state)
{
    (void)state;
    CoreTrace bob = trace_new("bob", NULL, 0);
    trace_line(&bob, "hi");
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    trace_hello(&trace, 0, "bob");
    trace_peer_has(&trace, 0, "bob", 1);
    trace.disk_stands_still = true;
    FrameRun run = {.events = bob.disk, .count = 1};
    /* Others' lines are shown as they come. */
    assert_string_equal(trace_frame(&trace, 0, &(FrameOut){.runs = &run, .runs_count = 1}),
                        "show bob: hi\n");
    assert_string_equal(trace_line(&trace, "/why"),
                        "error: it is not on the disk yet: ask again in a moment\n");
    trace_disk_works(&trace);
    assert_memory_equal(trace_line(&trace, "/why"), "query why ", 10);
    trace_done(&trace);
    trace_done(&bob);
}

static void why_without_a_message_says_so(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    assert_string_equal(trace_line(&trace, "/why"),
                        "error: /why ID: as /history shows them, 5f3a91-17 for instance; without "
                        "one it is the last message, and there is none yet\n");
    trace_done(&trace);
}

static void why_tells_where_it_comes_from_and_who_has_it(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", "c", ""};
    World *world = world_new(dials, 3);
    world_start_all(world);
    world_wait(world, 1000);
    world_line(world, 0, "hi");
    world_wait(world, 1000);
    CoreTrace *cyd = &world->nodes[2].trace;
    const Query query = {.kind = QUERY_WHY};
    assert_string_equal(
        answer(cyd, query, cyd->disk, 1, false),
        "info: bbc4da-1: said by ann in #lobby at 22:13:22 (1700000002000.0000)\n"
        "info: written by node 6274faf5e3436916, epoch 7, number 1, hash 999dd636be5a2cdc, signed\n"
        "info: way: it came by the node of bob, 0 ms after it was said, as the two clocks have it\n"
        "info: on the disks of: this node, bob\n");
    CoreTrace *ann = &world->nodes[0].trace;
    assert_non_null(strstr(answer(ann, query, ann->disk, 1, false),
                           "info: way: it was said at this node\n"
                           "info: on the disks of: this node, bob\n"));
    world_free(world);
}

static void why_of_an_earlier_life_comes_from_the_disk(void **state)
{
    (void)state;
    CoreTrace before = three_said(false);
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8});
    const Query query = {.kind = QUERY_WHY};
    assert_non_null(strstr(answer(&trace, query, before.disk, 1, false),
                           "info: way: it was on the disk when this node started\n"));
    assert_string_equal(answer(&trace, query, before.disk, 0, false),
                        "error: it is not on the disk yet: ask again in a moment\n");
    trace_done(&trace);
    trace_done(&before);
}

/* ---- at the start, and after an absence ---- */

static void last_lines_are_on_the_screen_at_the_start(void **state)
{
    (void)state;
    CoreTrace before = three_said(false);
    const Query query = {.kind = QUERY_RECENT, .room = MESSAGE_LOBBY, .count = 200};
    for (int i = 4; i <= 12; i++) {
        char line[16];
        snprintf(line, sizeof(line), "line %d", i);
        trace_line(&before, line);
    }
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8, .recap = true});
    const char *text = answer(&trace, query, before.disk, before.disk_count, false);
    assert_memory_equal(text, "info: said here before; /history shows more:\n", 45);
    assert_null(strstr(text, "ann: two"));
    assert_non_null(strstr(text, "ann: three")); /* ten of twelve */
    assert_string_equal(answer(&trace, query, NULL, 0, false), "");
    trace_done(&trace);
    trace_done(&before);
}

/* bob says lines while ann is not there. */
static World *world_with_missed(int lines)
{
    static const char *const dials[] = {"b", ""};
    World *world = world_new(dials, 2);
    world->nodes[0].recap = true;
    world_start(world, 1);
    for (int i = 1; i <= lines; i++) {
        char line[16];
        snprintf(line, sizeof(line), "line %d", i);
        world_line(world, 1, line);
        world_wait(world, 10);
    }
    world_wait(world, 60000);
    world_start(world, 0);
    return world;
}

static void missed_lines_are_told_when_it_is_quiet(void **state)
{
    (void)state;
    World *world = world_with_missed(2);
    assert_string_equal(world_wait(world, 399),
                        "ann| info: connected to bob:1 (bob)\nann| open 0\n"
                        "bob| info: ann has connected, from ann\nbob| kept 0/1 bob: line 2\n"
                        "ann| show bob: line 1 (missed)\nann| show bob: line 2 (missed)\n"
                        "bob| kept 1/1 bob: line 2\n");
    world_line(world, 1, "now");
    assert_non_null(strstr(strbuf_text(&world->text), "ann| show bob: now\n"));
    assert_string_equal(world_wait(world, 500), "ann| info: 2 new lines from while you were away:\n"
                                                "ann| history 563480-1 bob: line 1 (missed)\n"
                                                "ann| history 563480-2 bob: line 2 (missed)\n");
    world_free(world);
}

static void recap_shows_the_last_twenty_in_order(void **state)
{
    (void)state;
    World *world = world_with_missed(50);
    const char *text = world_wait(world, 1500);
    const char *at =
        strstr(text, "ann| info: 50 new lines from while you were away; the last 20:\n");
    assert_non_null(at);
    for (int i = 31; i <= 50; i++) {
        char line[32];
        snprintf(line, sizeof(line), "bob: line %d (missed)\n", i);
        at = strstr(at, line);
        assert_non_null(at);
    }
    world_free(world);
}

static void recap_waits_no_longer_than_some_seconds(void **state)
{
    (void)state;
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .recap = true});
    CoreTrace bob = trace_new("bob", NULL, 0);
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    trace_hello(&trace, 0, "bob");
    trace.mono_ms += 3600 * 1000;
    uint64_t told_after_ms = 0;
    for (uint64_t i = 0; told_after_ms == 0; i++) { /* one every 300 ms: it is never quiet */
        trace_line(&bob, "line");
        trace_peer_has(&trace, 0, "bob", i + 1);
        FrameRun run = {.events = bob.disk + i, .count = 1};
        assert_non_null(
            strstr(trace_frame(&trace, 0, &(FrameOut){.runs = &run, .runs_count = 1}), "(missed)"));
        if (strstr(trace_timer_after(&trace, 300), "from while you were away") != NULL) {
            told_after_ms = 300 * (i + 1);
        }
        assert_in_range(i, 0, 100);
    }
    assert_in_range(told_after_ms, 5000, 5300);
    trace_done(&trace);
    trace_done(&bob);
}

static void own_lines_are_never_missed(void **state)
{
    (void)state;
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .recap = true});
    trace_line(&trace, "first");
    trace.disk_stands_still = true;
    trace_line(&trace, "slow");
    trace.mono_ms += 60000;
    assert_string_equal(trace_disk_works(&trace), "show ann: slow\n");
    trace_done(&trace);
}

/* The disk was lost; another node has what was said here before. */
static void own_lines_that_come_back_from_elsewhere_are_not_missed(void **state)
{
    (void)state;
    CoreTrace before = three_said(false);
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8, .recap = true});
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    trace_hello(&trace, 0, "bob");
    trace_peer_has(&trace, 0, "ann", 3);
    trace.mono_ms += 60000;
    FrameRun run = {.events = before.disk, .count = 3};
    assert_string_equal(trace_frame(&trace, 0, &(FrameOut){.runs = &run, .runs_count = 1}),
                        "show ann: one\nshow ann: two\nshow ann: three\n");
    trace_done(&trace);
    trace_done(&before);
}

static void line_that_belongs_before_a_shown_one_is_marked(void **state)
{
    (void)state;
    CoreTrace bob = trace_new("bob", NULL, 0);
    trace_line(&bob, "early");
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace.mono_ms += 1500; /* less is nothing to tell of, where people talk at once */
    trace_line(&trace, "later");
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    trace_hello(&trace, 0, "bob");
    trace_peer_has(&trace, 0, "bob", 1);
    FrameRun run = {.events = bob.disk, .count = 1};
    assert_string_equal(trace_frame(&trace, 0, &(FrameOut){.runs = &run, .runs_count = 1}),
                        "show bob: early (late)\n");
    trace_done(&trace);
    trace_done(&bob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(history_asks_for_the_last_lines_of_the_room),
        cmocka_unit_test(history_since_asks_from_a_moment_on),
        cmocka_unit_test(what_history_cannot_take_is_told),
        cmocka_unit_test(history_is_shown_with_ids_and_what_is_kept),
        cmocka_unit_test(store_that_cannot_be_read_is_told),
        cmocka_unit_test(direct_messages_of_others_are_not_in_the_answers),
        cmocka_unit_test(history_of_two_is_what_they_said_to_each_other),
        cmocka_unit_test(line_of_a_classic_node_is_in_the_history_once),
        cmocka_unit_test(search_asks_for_words),
        cmocka_unit_test(what_is_found_is_shown_newest_last),
        cmocka_unit_test(why_asks_by_id_or_for_the_last_one),
        cmocka_unit_test(why_of_what_is_on_its_way_to_the_disk_says_so),
        cmocka_unit_test(why_without_a_message_says_so),
        cmocka_unit_test(why_tells_where_it_comes_from_and_who_has_it),
        cmocka_unit_test(why_of_an_earlier_life_comes_from_the_disk),
        cmocka_unit_test(last_lines_are_on_the_screen_at_the_start),
        cmocka_unit_test(missed_lines_are_told_when_it_is_quiet),
        cmocka_unit_test(recap_shows_the_last_twenty_in_order),
        cmocka_unit_test(recap_waits_no_longer_than_some_seconds),
        cmocka_unit_test(own_lines_are_never_missed),
        cmocka_unit_test(own_lines_that_come_back_from_elsewhere_are_not_missed),
        cmocka_unit_test(line_that_belongs_before_a_shown_one_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
