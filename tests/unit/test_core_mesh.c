/* Nodes that link with each other, as traces: one mesh link for each pair, who is here, what is
 * exchanged, and how far an own line is. */
#include "core_world.h"
#include "unit.h"

static const NodeConfig ONE[] = {{.host = "b", .port = 2}};

static World *world_of(const char *const *dials, size_t count)
{
    World *world = world_new(dials, count);
    world_start_all(world);
    world_wait(world, 1000);
    return world;
}

/* ann dials bob. */
static World *world_of_two(void)
{
    static const char *const dials[] = {"b", ""};
    return world_of(dials, 2);
}

/* ann dials bob, bob dials cyd. */
static World *world_in_a_row(void)
{
    static const char *const dials[] = {"b", "c", ""};
    return world_of(dials, 3);
}

static LinkView view_of(const World *world, size_t at, size_t index)
{
    LinkView view;
    core_link(world_core(world, at), index, world->now_ms, &view);
    return view;
}

/* ---- one link for each pair ---- */

static void two_greet_each_other(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", ""};
    World *world = world_new(dials, 2);
    assert_string_equal(world_start_all(world),
                        "ann| connect 0\nann| disconnect 0\n"
                        "ann| info: no connection to bob:1 yet: refused; trying again\n");
    assert_string_equal(world_wait(world, 1000),
                        "ann| connect 0\nann| info: connected to bob:1 (bob)\nann| open 0\n"
                        "bob| info: ann has connected, from ann\n");
    assert_true(view_of(world, 0, 0).meshed);
    world_free(world);
}

static size_t open_pipes(const World *world, size_t *ret_dialled_by)
{
    size_t count = 0;
    for (size_t i = 0; i < WORLD_PIPES_MAX; i++) {
        const Pipe *pipe = &world->pipes[i];
        if (pipe->ends[0].open && pipe->ends[1].open) {
            *ret_dialled_by = pipe->ends[0].node;
            count++;
        }
    }
    return count;
}

/* ann's id is the lower one: what she has dialled stays, whoever was first. */
static void two_that_dial_each_other_keep_the_same_link(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", "a"};
    for (size_t first = 0; first < 2; first++) {
        World *world = world_new(dials, 2);
        size_t dialled_by = 2;
        world->cut[0][1] = world->cut[1][0] = true;
        world_start_all(world);
        world_heal(world, 0, 1);
        /* Both are asked in the same moment. */
        strbuf_clear(&world->text);
        world_step(world, first, (Event){.kind = EVENT_LINE, .text = "/retry", .text_len = 6});
        world_step(world, 1 - first, (Event){.kind = EVENT_LINE, .text = "/retry", .text_len = 6});
        world_run(world, world->now_ms);
        if (first == 0) {
            assert_string_equal(strbuf_text(&world->text),
                                "ann| connect 0\nann| info: connecting to 1 of 1...\n"
                                "bob| connect 0\nbob| info: connecting to 1 of 1...\n"
                                "ann| info: connected to bob:1 (bob)\nann| open 0\n"
                                "bob| info: connected to ann:1 (ann)\nbob| open 0\n"
                                "ann| close 1: another link between us is kept\n"
                                "bob| close 0: another link between us is kept\n");
        }
        assert_int_equal(open_pipes(world, &dialled_by), 1);
        assert_int_equal(dialled_by, 0);
        assert_string_equal(world_wait(world, 1900), "");
        assert_int_equal(open_pipes(world, &dialled_by), 1);
        assert_true(view_of(world, 0, 0).meshed);
        assert_true(view_of(world, 1, 0).meshed);
        world_free(world);
    }
}

static void node_that_was_dialled_dials_back_and_keeps_the_link(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", "a"};
    World *world = world_new(dials, 2);
    size_t dialled_by = 2;
    /* ann's first attempt fails, bob's does not: the link is his; ann hurries, and opens none. */
    assert_string_equal(world_start_all(world),
                        "ann| connect 0\nann| disconnect 0\n"
                        "ann| info: no connection to bob:1 yet: refused; trying again\n"
                        "bob| connect 0\nbob| info: connected to ann:1 (ann)\nbob| open 0\n"
                        "ann| info: bob has connected, from bob\n");
    assert_int_equal(open_pipes(world, &dialled_by), 1);
    assert_int_equal(dialled_by, 1);
    assert_string_equal(world_wait(world, 1900),
                        "ann| connect 0\nann| info: connected to bob:1 (bob)\n");
    assert_int_equal(open_pipes(world, &dialled_by), 1);
    world_free(world);
}

static void node_that_dials_itself_by_a_mesh_link_hangs_up(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", ONE, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_mesh_up(&trace, 1, "127.0.0.1:5");
    assert_string_equal(trace_hello(&trace, 1, "ann"), "close 1: this node has dialled itself\n");
    assert_int_equal(core_links_configured(trace.core), 1);
    trace_done(&trace);
}

/* The other end of the older one has not been noticed yet. */
static void second_link_from_the_same_end_takes_the_place_of_the_first(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    assert_string_equal(trace_hello(&trace, 0, "bob"),
                        "info: bob has connected, from 10.0.0.2:5\n");
    trace_mesh_up(&trace, 1, "10.0.0.2:6");
    assert_string_equal(trace_hello(&trace, 1, "bob"),
                        "close 0: another link between us is kept\n");
    assert_string_equal(trace_mesh_down(&trace, 0, "reset"), "");
    assert_int_equal(core_links_configured(trace.core), 1);
    trace_done(&trace);
}

/* ---- going down, and coming again ---- */

static CoreTrace one_greeted(void)
{
    CoreTrace trace = trace_new("ann", ONE, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_step(&trace, (Event){.kind = EVENT_TIMER});
    assert_string_equal(trace_up(&trace, 0, "bob"), "info: connected to b:2 (bob)\nopen 0\n");
    assert_string_equal(trace_hello(&trace, 0, "bob"), "");
    return trace;
}

static void mesh_link_that_ended_is_opened_again(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    assert_string_equal(trace_mesh_down(&trace, 0, "reset"), "");
    assert_string_equal(trace_timer_after(&trace, 499), "");
    assert_string_equal(trace_timer_after(&trace, 1), "open 0\n");
    trace_done(&trace);
}

static void mesh_link_that_ends_without_a_greeting_is_opened_less_and_less_often(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", ONE, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up(&trace, 0, "bob");
    uint64_t wait_ms = 500;
    for (int i = 0; i < 9; i++) {
        trace_mesh_down(&trace, 0, "reset");
        LinkView view;
        core_link(trace.core, 0, trace.mono_ms, &view);
        assert_int_equal(view.state, LINK_UP);
        assert_false(view.meshed);
        assert_null(strstr(trace_timer_after(&trace, wait_ms - 1), "open"));
        assert_non_null(strstr(trace_timer_after(&trace, 1), "open 0\n"));
        wait_ms = wait_ms < 32000 ? 2 * wait_ms : wait_ms;
    }
    trace_done(&trace);
}

static void peer_without_a_log_is_told_of_and_asked_again_after_a_minute(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", ONE, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up(&trace, 0, "bob");
    assert_string_equal(
        trace_step(&trace, (Event){.kind = EVENT_MESH_DOWN, .classic = true, .text = "what?"}),
        "warning: b:2 runs an older version, which keeps no log: nothing is exchanged with it "
        "until it is updated\n");
    assert_null(strstr(trace_timer_after(&trace, 59999), "open"));
    assert_non_null(strstr(trace_timer_after(&trace, 1), "open 0\n"));
    trace_done(&trace);
}

static void exchange_that_breaks_a_rule_is_ended_and_told(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    assert_string_equal(trace_hello(&trace, 0, "bob"),
                        "warning: the exchange with bob has ended: it said hello twice\n"
                        "close 0: it said hello twice\n");
    assert_null(strstr(trace_timer_after(&trace, 4999), "open"));
    assert_non_null(strstr(trace_timer_after(&trace, 1), "open 0\n"));
    trace_done(&trace);
}

static void goodbye_of_a_peer_that_keeps_another_link_is_not_told(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    assert_string_equal(trace_bye(&trace, 0, MESH_BYE_TWIN),
                        "close 0: it said goodbye: another link between us is kept\n");
    trace_done(&trace);
}

static void link_that_is_lost_takes_its_mesh_link_with_it(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    assert_string_equal(trace_down(&trace, 0, "cut"),
                        "close 0: the connection is gone\ndisconnect 0\n"
                        "warning: lost b:2: cut; trying again\n");
    assert_string_equal(trace_mesh_down(&trace, 0, "cut"), "");
    trace_done(&trace);
}

static void what_was_said_while_a_link_was_cut_comes_when_it_heals(void **state)
{
    (void)state;
    World *world = world_of_two();
    world_cut(world, 0, 1);
    assert_string_equal(world_wait(world, 1),
                        "bob| warning: lost ann, at ann: cut\n"
                        "ann| disconnect 0\nann| warning: lost bob:1: cut; trying again\n");
    world_line(world, 0, "one");
    world_line(world, 1, "two");
    world_heal(world, 0, 1);
    assert_string_equal(world_wait(world, 1900),
                        "ann| connect 0\nann| info: connected to bob:1 (bob)\nann| open 0\n"
                        "bob| info: ann has connected, from ann\n"
                        "bob| kept 0/1 bob: two\n"
                        "ann| show bob: two\nbob| show ann: one\n"
                        "ann| kept 1/1 ann: one\nbob| kept 1/1 bob: two\n");
    world_free(world);
}

/* ---- those who have dialled us ---- */

static void incoming_link_beyond_the_list_is_a_row_of_its_own(void **state)
{
    (void)state;
    World *world = world_of_two();
    assert_int_equal(core_links_count(world_core(world, 1)), 0);
    assert_int_equal(core_links_configured(world_core(world, 1)), 1);
    LinkView view = view_of(world, 1, 0);
    assert_true(view.incoming);
    assert_true(view.meshed);
    assert_int_equal(view.state, LINK_UP);
    assert_string_equal(view.peer_name, "ann");
    assert_string_equal(view.host, "ann");
    assert_int_equal(core_links_configured(world_core(world, 0)), 1);
    assert_false(view_of(world, 0, 0).incoming);
    world_cut(world, 0, 1);
    world_wait(world, 1);
    assert_int_equal(core_links_configured(world_core(world, 1)), 0);
    world_free(world);
}

static void node_that_somebody_has_dialled_is_not_alone(void **state)
{
    (void)state;
    World *world = world_of_two();
    assert_string_equal(world_line(world, 1, "anyone?"),
                        "bob| show bob: anyone?\nbob| kept 0/1 bob: anyone?\n"
                        "ann| show bob: anyone?\nbob| kept 1/1 bob: anyone?\n");
    world_free(world);
}

/* ---- who is here ---- */

static void everybody_knows_who_is_here(void **state)
{
    (void)state;
    World *world = world_in_a_row();
    assert_string_equal(world_line(world, 0, "/names"), "ann| info: here: ann, bob, cyd\n");
    assert_string_equal(world_line(world, 1, "/names"), "bob| info: here: bob, ann, cyd\n");
    assert_string_equal(world_line(world, 2, "/names"), "cyd| info: here: cyd, ann, bob\n");
    world_free(world);
}

static void new_name_is_known_everywhere(void **state)
{
    (void)state;
    World *world = world_in_a_row();
    world_line(world, 2, "/nick zoe");
    assert_string_equal(world_line(world, 0, "/names"), "ann| info: here: ann, bob, zoe\n");
    assert_string_equal(view_of(world, 1, 0).peer_name, "zoe");
    world_free(world);
}

static void node_beyond_the_neighbours_comes_and_goes_with_a_word(void **state)
{
    (void)state;
    World *world = world_in_a_row();
    assert_string_equal(world_line(world, 2, "/quit"),
                        "cyd| quit 0\nbob| disconnect 0\n"
                        "bob| warning: lost cyd:1: the node is leaving; trying again\n"
                        "ann| info: cyd has left\n");
    assert_string_equal(world_line(world, 0, "/names"), "ann| info: here: ann, bob\n");
    world_start(world, 2);
    assert_string_equal(world_wait(world, 1000),
                        "bob| connect 0\nbob| info: connected to cyd:1 (cyd)\nbob| open 0\n"
                        "cyd| info: bob has connected, from bob\ncyd| info: ann is here\n"
                        "ann| info: cyd is here\n");
    world_free(world);
}

static void node_that_dies_silently_is_away_after_a_minute(void **state)
{
    (void)state;
    World *world = world_in_a_row();
    world_kill(world, 2);
    world_wait(world, 30000);
    assert_string_equal(world_line(world, 0, "/names"), "ann| info: here: ann, bob, cyd\n");
    world_wait(world, 31000);
    assert_string_equal(world_line(world, 0, "/names"), "ann| info: here: ann, bob\n");
    world_free(world);
}

static void neighbour_that_dialled_us_and_leaves_is_told_of_once(void **state)
{
    (void)state;
    World *world = world_of_two();
    assert_string_equal(world_line(world, 0, "/quit"),
                        "ann| quit 0\nbob| warning: lost ann, at ann: the node is leaving\n");
    world_free(world);
}

/* By the last frame, where the stream itself ends only later. */
static void goodbye_of_a_neighbour_that_dialled_us_is_told_of_once(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    trace_hello(&trace, 0, "bob");
    assert_string_equal(trace_bye(&trace, 0, MESH_BYE_LEAVING),
                        "warning: lost bob, at 10.0.0.2:5: the node is leaving\n"
                        "close 0: it said goodbye: the node is leaving\n");
    assert_string_equal(trace_mesh_down(&trace, 0, MESH_BYE_LEAVING), "");
    trace_done(&trace);
}

/* ---- how far an own line is ---- */

static void line_is_kept_by_more_and_more(void **state)
{
    (void)state;
    static const char *const dials[] = {"bc", "", ""};
    World *world = world_of(dials, 3);
    world->nodes[2].disk_delay_ms = 50;
    assert_string_equal(world_line(world, 0, "hi"),
                        "ann| show ann: hi\nann| kept 0/2 ann: hi\nbob| show ann: hi\n"
                        "cyd| show ann: hi\nann| kept 1/2 ann: hi\n");
    assert_string_equal(world_wait(world, 1000), "ann| kept 2/2 ann: hi\n");
    world_free(world);
}

static void node_that_is_away_is_counted_until_it_has_the_line(void **state)
{
    (void)state;
    static const char *const dials[] = {"bc", "", ""};
    World *world = world_of(dials, 3);
    world_cut(world, 0, 2);
    world_wait(world, 1);
    assert_string_equal(world_line(world, 0, "hi"),
                        "ann| show ann: hi\nann| kept 0/2 ann: hi\nbob| show ann: hi\n"
                        "ann| kept 1/2 ann: hi\n");
    world_heal(world, 0, 2);
    assert_string_equal(world_wait(world, 1000),
                        "ann| connect 1\nann| info: connected to cyd:1 (cyd)\nann| open 1\n"
                        "cyd| info: ann has connected, from ann\ncyd| show ann: hi\n"
                        "ann| kept 2/2 ann: hi\n");
    world_free(world);
}

/* It cannot be dialled from here, but has dialled us: one node, not two. */
static void node_known_by_an_entry_that_has_dialled_us_counts_once(void **state)
{
    (void)state;
    CoreTrace trace = one_greeted();
    trace_down(&trace, 0, "cut");
    trace_mesh_up(&trace, 1, "10.0.0.2:5");
    trace_hello(&trace, 1, "bob");
    trace_line(&trace, "hi");
    assert_string_equal(trace_peer_has(&trace, 1, "ann", 1), "kept 1/1 ann: hi\n");
    trace_done(&trace);
}

static void link_that_is_quiet_costs_a_frame_in_some_seconds(void **state)
{
    (void)state;
    World *world = world_of_two();
    world_wait(world, 5000);
    world->frames = 0;
    world_wait(world, 60000);
    assert_in_range(world->frames, 6, 2 * (6 + 6 + 3)); /* pings, their answers, presences */
    world_free(world);
}

static void who_does_not_say_who_it_is_loses_its_place(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_mesh_up(&trace, 0, "10.0.0.1:5");
    trace_mesh_up(&trace, 1, "10.0.0.2:5");
    trace_hello(&trace, 1, "bob");
    enum { MESH_HELLO_MS = 10 * 1000 };
    assert_null(strstr(trace_timer_after(&trace, MESH_HELLO_MS - 1), "close"));
    assert_int_equal(trace.actions.wake_at_ms, trace.mono_ms + 1);
    assert_non_null(strstr(trace_timer_after(&trace, 1), "close 0: it did not say who it is\n"));
    assert_null(strstr(trace_timer_after(&trace, MESH_HELLO_MS), "close"));
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_greet_each_other),
        cmocka_unit_test(two_that_dial_each_other_keep_the_same_link),
        cmocka_unit_test(node_that_was_dialled_dials_back_and_keeps_the_link),
        cmocka_unit_test(node_that_dials_itself_by_a_mesh_link_hangs_up),
        cmocka_unit_test(second_link_from_the_same_end_takes_the_place_of_the_first),
        cmocka_unit_test(mesh_link_that_ended_is_opened_again),
        cmocka_unit_test(mesh_link_that_ends_without_a_greeting_is_opened_less_and_less_often),
        cmocka_unit_test(peer_without_a_log_is_told_of_and_asked_again_after_a_minute),
        cmocka_unit_test(exchange_that_breaks_a_rule_is_ended_and_told),
        cmocka_unit_test(goodbye_of_a_peer_that_keeps_another_link_is_not_told),
        cmocka_unit_test(link_that_is_lost_takes_its_mesh_link_with_it),
        cmocka_unit_test(what_was_said_while_a_link_was_cut_comes_when_it_heals),
        cmocka_unit_test(incoming_link_beyond_the_list_is_a_row_of_its_own),
        cmocka_unit_test(node_that_somebody_has_dialled_is_not_alone),
        cmocka_unit_test(everybody_knows_who_is_here),
        cmocka_unit_test(new_name_is_known_everywhere),
        cmocka_unit_test(node_beyond_the_neighbours_comes_and_goes_with_a_word),
        cmocka_unit_test(node_that_dies_silently_is_away_after_a_minute),
        cmocka_unit_test(neighbour_that_dialled_us_and_leaves_is_told_of_once),
        cmocka_unit_test(goodbye_of_a_neighbour_that_dialled_us_is_told_of_once),
        cmocka_unit_test(line_is_kept_by_more_and_more),
        cmocka_unit_test(node_that_is_away_is_counted_until_it_has_the_line),
        cmocka_unit_test(node_known_by_an_entry_that_has_dialled_us_counts_once),
        cmocka_unit_test(link_that_is_quiet_costs_a_frame_in_some_seconds),
        cmocka_unit_test(who_does_not_say_who_it_is_loses_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
