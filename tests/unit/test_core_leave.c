/* How a node goes: what it waits for, for how long, and what it says in the end. */
#include "core_world.h"
#include "unit.h"

static const NodeConfig TWO[] = {{.host = "b", .port = 2}, {.host = "c", .port = 3}};

static CoreTrace two_links(void)
{
    CoreTrace trace = trace_new("ann", TWO, 2);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_step(&trace, (Event){.kind = EVENT_TIMER}); /* what is due at once */
    return trace;
}

static CoreTrace two_classic_up(void)
{
    CoreTrace trace = two_links();
    trace_up_classic(&trace, 0);
    trace_up_classic(&trace, 1);
    return trace;
}

/* bob is of our kind, and greeted. */
static CoreTrace one_greeted(void)
{
    CoreTrace trace = trace_new("ann", TWO, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_step(&trace, (Event){.kind = EVENT_TIMER}); /* what is due at once */
    trace_up(&trace, 0, "bob");
    trace_hello(&trace, 0, "bob");
    trace_sent(&trace, 0);
    return trace;
}

static const char *input_ends(CoreTrace *trace)
{
    return trace_step(trace, (Event){.kind = EVENT_INPUT_ENDED});
}

/* ---- a person leaves ---- */

static void node_that_said_nothing_leaves_at_once(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    assert_string_equal(trace_line(&trace, "/quit"), "quit 0\n");
    trace_done(&trace);
}

static void quit_waits_until_another_disk_has_the_last_line(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    trace_line(&trace, "bye");
    assert_string_equal(trace_line(&trace, "/quit"), "");
    assert_int_equal(trace.actions.wake_at_ms, trace.mono_ms + 1000);
    assert_string_equal(trace_peer_has(&trace, 0, "ann", 1), "kept 1/1 ann: bye\nquit 0\n");
    trace_done(&trace);
}

static void quit_waits_for_the_own_disk(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace.disk_stands_still = true;
    trace_line(&trace, "bye");
    assert_string_equal(trace_line(&trace, "/quit"), "");
    assert_string_equal(trace_disk_works(&trace), "show ann: bye\nquit 0\n");
    trace_done(&trace);
}

static void quit_is_bounded_and_says_what_stays_here(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    trace_line(&trace, "one");
    trace_line(&trace, "two");
    trace_peer_has(&trace, 0, "ann", 1);
    trace_line(&trace, "three");
    assert_string_equal(trace_line(&trace, "/quit"), "");
    assert_string_equal(trace_timer_after(&trace, 999), "");
    assert_string_equal(trace_timer_after(&trace, 1),
                        "warning: 2 lines are on this node's disk only: no other node has told "
                        "that it has them. They go out when this node runs again\nquit 0\n");
    trace_done(&trace);
}

static void quit_with_a_disk_that_stands_still_says_what_is_lost(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace.disk_stands_still = true;
    trace_line(&trace, "bye");
    trace_receive(&trace, trace_client_draft("bot", "hi", "0123456789abcdef"));
    trace_store_state(&trace, "the disk is full");
    trace_line(&trace, "/quit");
    assert_string_equal(trace_timer_after(&trace, 1000),
                        "error: 2 lines were not written to the disk, and lost: the disk is full\n"
                        "quit 0\n");
    assert_int_equal(trace.unanswered, 0);
    trace_done(&trace);
}

static void client_that_waits_when_the_node_leaves_is_answered(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace.disk_stands_still = true;
    trace_receive(&trace, trace_client_draft("bot", "hi", "0123456789abcdef"));
    trace_step(&trace, (Event){.kind = EVENT_LEAVE});
    assert_string_equal(trace_timer_after(&trace, 1000),
                        "error: 1 line was not written to the disk, and lost\n"
                        "reject unavailable: the node is leaving\nquit 0\n");
    assert_string_equal(trace_receive(&trace, trace_draft("bob", "late", "")),
                        "reject unavailable: the node is leaving\n");
    assert_int_equal(trace.unanswered, 0);
    trace_done(&trace);
}

static void nothing_is_typed_while_it_leaves(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    trace_line(&trace, "bye");
    trace_line(&trace, "/quit");
    assert_string_equal(trace_line(&trace, "one more"), "");
    assert_int_equal(trace.disk_count, 1);
    trace_done(&trace);
}

/* ---- classic peers must answer for themselves ---- */

static void quit_waits_for_what_is_in_flight_only(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_down(&trace, 1, "refused");
    trace_line(&trace, "bye");
    assert_string_equal(trace_line(&trace, "/quit"), "");
    assert_string_equal(trace_delivered(&trace, 0),
                        "warning: 1 line was not delivered to c:3: refused\nquit 0\n");
    trace_done(&trace);
}

static void quit_is_bounded(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_line(&trace, "bye");
    trace_delivered(&trace, 1);
    assert_string_equal(trace_line(&trace, "/quit"), "");
    assert_int_equal(trace.actions.wake_at_ms, trace.mono_ms + 1000);
    const char *text = trace_timer_after(&trace, 1000);
    assert_non_null(strstr(text, "warning: 1 line was not delivered to b:2\n"));
    assert_non_null(strstr(text, "quit 0\n"));
    trace_done(&trace);
}

/* ---- a pipe ends ---- */

static void end_of_input_waits_for_those_that_are_away_too(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_down(&trace, 1, "refused");
    trace_line(&trace, "one");
    trace_delivered(&trace, 0);
    assert_string_equal(input_ends(&trace), "");
    const char *text = trace_timer_after(&trace, 5000);
    assert_non_null(strstr(text, "warning: 1 line was not delivered to c:3: refused\n"));
    assert_non_null(strstr(text, "quit 1\n"));
    trace_done(&trace);
}

static void end_of_input_with_all_delivered_is_success(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_line(&trace, "one");
    trace_delivered(&trace, 0);
    assert_string_equal(input_ends(&trace), "");
    assert_string_equal(trace_delivered(&trace, 1), "quit 0\n");
    trace_done(&trace);
}

static void end_of_input_with_the_lines_elsewhere_is_success(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    trace_line(&trace, "one");
    assert_string_equal(input_ends(&trace), "");
    assert_string_equal(trace_peer_has(&trace, 0, "ann", 1), "kept 1/1 ann: one\nquit 0\n");
    trace_done(&trace);
}

/* bob has it, and passes it on to cyd when she is back. */
static void end_of_input_waits_for_one_other_disk_not_for_all(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    trace_up(&trace, 0, "bob");
    trace_hello(&trace, 0, "bob");
    trace_up(&trace, 1, "cyd");
    trace_hello(&trace, 1, "cyd");
    trace_down(&trace, 1, "cut");
    trace_down(&trace, 1, "refused");
    trace_line(&trace, "one");
    trace_peer_has(&trace, 0, "ann", 1);
    trace_timer_after(&trace, 400);
    trace_down(&trace, 1, "refused");
    assert_string_equal(input_ends(&trace), "quit 0\n");
    trace_done(&trace);
}

static void end_of_input_with_nobody_there_fails(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", TWO, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_down(&trace, 0, "refused");
    trace_line(&trace, "one");
    assert_string_equal(input_ends(&trace), "");
    const char *text = trace_timer_after(&trace, 5000);
    assert_non_null(strstr(text, "warning: 1 line is on this node's disk only: no other node has "
                                 "told that it has it. It goes out when this node runs again\n"));
    assert_non_null(strstr(text, "quit 1\n"));
    trace_done(&trace);
}

static void end_of_input_where_nobody_is_configured_is_success(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_line(&trace, "one");
    assert_string_equal(input_ends(&trace), "quit 0\n");
    trace_done(&trace);
}

static void input_that_failed_shows_in_the_exit_code(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_INPUT_FAILED});
    assert_string_equal(input_ends(&trace), "quit 1\n");
    trace_done(&trace);
}

static void line_that_was_refused_shows_in_the_exit_code(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_line(&trace, "\xff");
    assert_string_equal(input_ends(&trace), "quit 1\n");
    trace_done(&trace);
}

/* The shorter of the two. */
static void signal_cuts_short_what_the_end_of_input_began(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", TWO, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_down(&trace, 0, "refused");
    trace_line(&trace, "one");
    input_ends(&trace);
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_LEAVE}), "");
    assert_null(strstr(trace_timer_after(&trace, 999), "quit"));
    assert_non_null(strstr(trace_timer_after(&trace, 1), "quit 1\n"));
    trace_done(&trace);
}

/* ---- in a mesh ---- */

static void last_words_reach_the_others(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", "c", ""};
    World *world = world_new(dials, 3);
    world_start_all(world);
    world_wait(world, 1000);
    for (size_t i = 0; i < 3; i++) {
        world->nodes[i].disk_delay_ms = 20;
    }
    world_line(world, 0, "bye");
    world_line(world, 0, "/quit");
    const char *text = world_wait(world, 999);
    assert_non_null(strstr(text, "ann| show ann: bye\n"));
    assert_non_null(strstr(text, "ann| quit 0\n"));
    assert_non_null(strstr(text, "cyd| show ann: bye\n"));
    assert_non_null(strstr(text, "cyd| info: ann has left\n"));
    assert_null(strstr(text, "disk only"));
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_that_said_nothing_leaves_at_once),
        cmocka_unit_test(quit_waits_until_another_disk_has_the_last_line),
        cmocka_unit_test(quit_waits_for_the_own_disk),
        cmocka_unit_test(quit_is_bounded_and_says_what_stays_here),
        cmocka_unit_test(quit_with_a_disk_that_stands_still_says_what_is_lost),
        cmocka_unit_test(client_that_waits_when_the_node_leaves_is_answered),
        cmocka_unit_test(nothing_is_typed_while_it_leaves),
        cmocka_unit_test(quit_waits_for_what_is_in_flight_only),
        cmocka_unit_test(quit_is_bounded),
        cmocka_unit_test(end_of_input_waits_for_those_that_are_away_too),
        cmocka_unit_test(end_of_input_with_all_delivered_is_success),
        cmocka_unit_test(end_of_input_with_the_lines_elsewhere_is_success),
        cmocka_unit_test(end_of_input_waits_for_one_other_disk_not_for_all),
        cmocka_unit_test(end_of_input_with_nobody_there_fails),
        cmocka_unit_test(end_of_input_where_nobody_is_configured_is_success),
        cmocka_unit_test(input_that_failed_shows_in_the_exit_code),
        cmocka_unit_test(line_that_was_refused_shows_in_the_exit_code),
        cmocka_unit_test(signal_cuts_short_what_the_end_of_input_began),
        cmocka_unit_test(last_words_reach_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
