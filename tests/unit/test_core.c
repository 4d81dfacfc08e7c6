/* The core's behaviour, as traces. */
#include "core_trace.h"
#include "unit.h"

static const NodeConfig TWO[] = {{.host = "b", .port = 2}, {.host = "c", .port = 3}};

static CoreTrace two_links(void)
{
    CoreTrace trace = trace_new("ann", TWO, 2);
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_START}), "connect 0\nconnect 1\n");
    return trace;
}

/* Both of our kind: a mesh link is opened on each connection. */
static CoreTrace two_links_up(void)
{
    CoreTrace trace = two_links();
    assert_string_equal(trace_up(&trace, 0, "bob"), "info: connected to b:2 (bob)\nopen 0\n");
    assert_string_equal(trace_up(&trace, 1, "cyd"), "info: connected to c:3 (cyd)\nopen 1\n");
    return trace;
}

static CoreTrace two_classic_up(void)
{
    CoreTrace trace = two_links();
    assert_string_equal(trace_up_classic(&trace, 0), "info: connected to b:2\n");
    assert_string_equal(trace_up_classic(&trace, 1), "info: connected to c:3\n");
    return trace;
}

static void line_is_shown_and_sent_to_every_classic_peer(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    assert_string_equal(trace_line(&trace, "hi"), "send 0 hi\nsend 1 hi\nshow ann: hi\n");
    trace_done(&trace);
}

static void line_is_queued_for_nobody_of_our_kind(void **state)
{
    (void)state;
    CoreTrace trace = two_links_up();
    assert_string_equal(trace_line(&trace, "hi"), "show ann: hi\n");
    LinkView view;
    core_link(trace.core, 0, trace.mono_ms, &view);
    assert_int_equal(view.queued_lines, 0);
    trace_done(&trace);
}

static void lines_go_one_at_a_time_in_order(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_line(&trace, "one");
    assert_string_equal(trace_line(&trace, "two"), "show ann: two\n");
    assert_string_equal(trace_delivered(&trace, 0), "send 0 two\n");
    assert_string_equal(trace_delivered(&trace, 0), "");
    assert_string_equal(trace_delivered(&trace, 1), "send 1 two\n");
    trace_done(&trace);
}

/* Until it has answered once it may be a classic one. */
static void lines_wait_for_a_peer_that_is_away(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    assert_string_equal(trace_down(&trace, 0, "refused"),
                        "disconnect 0\ninfo: no connection to b:2 yet: refused; trying again\n");
    trace_line(&trace, "one");
    trace_line(&trace, "two");
    assert_string_equal(trace_timer_after(&trace, LINK_RETRY_MIN_MS), "connect 0\n");
    assert_string_equal(trace_classic_answers(&trace, 0), "disconnect 0\nconnect 0 classic\n");
    assert_string_equal(trace_classic_answers(&trace, 0),
                        "info: connected to b:2\ninfo: 2 lines wait for b:2; sending\n"
                        "send 0 one\n");
    assert_string_equal(trace_delivered(&trace, 0), "send 0 two\n");
    trace_done(&trace);
}

static void queue_of_a_peer_that_turns_out_to_be_of_our_kind_is_dropped(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    trace_down(&trace, 0, "refused");
    trace_line(&trace, "one");
    trace_timer_after(&trace, LINK_RETRY_MIN_MS);
    assert_string_equal(trace_up(&trace, 0, "bob"), "info: connected to b:2 (bob)\nopen 0\n");
    LinkView view;
    core_link(trace.core, 0, trace.mono_ms, &view);
    assert_int_equal(view.queued_lines, 0);
    trace_done(&trace);
}

static void line_whose_answer_was_lost_is_sent_again(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_line(&trace, "one");
    assert_string_equal(trace_down(&trace, 0, "cut"),
                        "disconnect 0\nwarning: lost b:2: cut; trying again\n");
    assert_string_equal(trace_timer_after(&trace, LINK_RETRY_MIN_MS), "connect 0 classic\n");
    assert_string_equal(trace_classic_answers(&trace, 0),
                        "info: connected to b:2\ninfo: 1 line waits for b:2; sending\n"
                        "send 0 one\n");
    trace_done(&trace);
}

/* A peer that has let it in before, and does not any more, is no peer that is away. */
static void refusal_of_a_peer_that_is_there_is_told_once(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    const Event refused = {
        .kind = EVENT_LINK_DOWN, .text = "removed", .text_len = 7, .refused = true};
    trace_up(&trace, 0, "bob");
    trace_down(&trace, 0, "cut");
    trace_timer_after(&trace, LINK_RETRY_MIN_MS);
    assert_string_equal(trace_step(&trace, refused),
                        "disconnect 0\nwarning: no connection to b:2: removed; trying again\n");
    for (int i = 0; i < 3; i++) {
        trace_timer_after(&trace, LINK_RETRY_MAX_MS);
        assert_string_equal(trace_step(&trace, refused), "disconnect 0\n");
    }
    trace_timer_after(&trace, LINK_RETRY_MAX_MS);
    trace_up(&trace, 0, "bob");
    trace_down(&trace, 0, "cut");
    trace_timer_after(&trace, LINK_RETRY_MIN_MS);
    assert_non_null(strstr(trace_step(&trace, refused), "warning: no connection to b:2"));
    trace_done(&trace);
}

/* b is of our kind, c is classic. */
static CoreTrace one_ours_one_classic(void)
{
    CoreTrace trace = two_links();
    trace_up(&trace, 0, "bob");
    assert_string_equal(trace_classic_answers(&trace, 1), "disconnect 1\nconnect 1 classic\n");
    assert_string_equal(trace_classic_answers(&trace, 1), "info: connected to c:3\n");
    return trace;
}

static void line_without_id_goes_on_to_no_classic_peer(void **state)
{
    (void)state;
    CoreTrace trace = one_ours_one_classic();
    assert_string_equal(trace_receive(&trace, trace_draft("kim", "hi", "10:00:00")),
                        "show kim: hi\naccept\n");
    trace_done(&trace);
}

static void line_with_id_goes_on_to_classic_peers_once(void **state)
{
    (void)state;
    CoreTrace trace = one_ours_one_classic();
    MessageDraft draft = trace_client_draft("bot", "hi", "0123456789abcdef");
    assert_string_equal(trace_receive(&trace, draft), "send 1 hi\nshow bot: hi\naccept\n");
    assert_string_equal(trace_receive(&trace, draft), "accept a repeat\n");
    trace_done(&trace);
}

static void equal_lines_a_day_apart_are_two(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    MessageDraft draft = trace_draft("kim", "good morning", "08:00:00");
    assert_string_equal(trace_receive(&trace, draft), "show kim: good morning\naccept\n");
    trace.mono_ms += 24 * 3600 * 1000;
    assert_string_equal(trace_receive(&trace, draft), "show kim: good morning\naccept\n");
    trace_done(&trace);
}

static void what_breaks_a_rule_is_rejected(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    assert_string_equal(trace_receive(&trace, trace_draft("", "hi", "")),
                        "reject invalid: sender is empty: name who speaks\n");
    assert_string_equal(trace_receive(&trace, trace_draft("bob", "", "")),
                        "reject invalid: content is empty: there is nothing to say\n");
    trace_done(&trace);
}

/* A classic peer that was there, and is away. */
static CoreTrace one_classic_away(void)
{
    CoreTrace trace = trace_new("ann", TWO, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up_classic(&trace, 0);
    trace_down(&trace, 0, "refused");
    return trace;
}

static void queue_is_bounded_and_says_so_once(void **state)
{
    (void)state;
    CoreTrace trace = one_classic_away();
    for (int i = 0; i < LINK_QUEUE_MAX_LINES; i++) {
        trace_line(&trace, "x");
    }
    assert_string_equal(trace_line(&trace, "too much"),
                        "error: 1000 lines wait for b:2: no more are kept. It will not get this "
                        "line, nor those that follow until it is back\nshow ann: too much\n");
    assert_string_equal(trace_line(&trace, "again"), "show ann: again\n");
    trace_timer_after(&trace, LINK_RETRY_MIN_MS);
    assert_string_equal(trace_up_classic(&trace, 0),
                        "info: connected to b:2\ninfo: 1000 lines wait for b:2; sending\n"
                        "warning: 2 lines were not kept for b:2 while it was away\nsend 0 x\n");
    trace_done(&trace);
}

/* It may be of our kind, and take them from the log. */
static void full_queue_of_a_peer_that_never_answered_says_what_that_means(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", TWO, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_down(&trace, 0, "refused");
    for (int i = 0; i < LINK_QUEUE_MAX_LINES; i++) {
        trace_line(&trace, "x");
    }
    assert_string_equal(
        trace_line(&trace, "too much"),
        "warning: 1000 lines wait for b:2, which has never answered. If it is a node of the older "
        "kind it will not get this line, nor those that follow until it is there\n"
        "show ann: too much\n");
    trace_timer_after(&trace, LINK_RETRY_MIN_MS);
    assert_string_equal(trace_up(&trace, 0, "bob"), "info: connected to b:2 (bob)\nopen 0\n");
    trace_done(&trace);
}

static void queue_is_bounded_in_bytes_too(void **state)
{
    (void)state;
    CoreTrace trace = one_classic_away();
    char line[MESSAGE_CONTENT_MAX_BYTES + 1];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    LinkView view;
    for (int i = 0; i < 200; i++) {
        trace_line(&trace, line);
    }
    core_link(trace.core, 0, trace.mono_ms, &view);
    assert_int_equal(view.queued_lines, LINK_QUEUE_MAX_BYTES / (MESSAGE_CONTENT_MAX_BYTES + 3));
    assert_int_equal(view.refused_lines, 200 - view.queued_lines);
    trace_done(&trace);
}

static void back_off_doubles_up_to_its_cap_with_jitter(void **state)
{
    (void)state;
    static const uint64_t most[] = {200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    for (uint64_t random = 0; random < 3; random++) {
        CoreTrace trace = trace_new("ann", TWO, 1);
        trace.random = random * 777777777777777777U;
        trace_step(&trace, (Event){.kind = EVENT_START});
        trace_step(&trace, (Event){.kind = EVENT_TIMER}); /* what is due at once */
        for (size_t i = 0; i < sizeof(most) / sizeof(most[0]); i++) {
            trace_down(&trace, 0, "refused");
            LinkView view;
            core_link(trace.core, 0, trace.mono_ms, &view);
            uint64_t wait = view.retry_in_ms;
            assert_in_range(trace.actions.wake_at_ms, trace.mono_ms, trace.mono_ms + wait);
            assert_in_range(wait, most[i] / 2 > 200 ? most[i] / 2 : 200, most[i]);
            trace.mono_ms += wait - 1;
            assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_TIMER}), "");
            trace.mono_ms += 1;
            assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_TIMER}), "connect 0\n");
        }
        trace_done(&trace);
    }
}

static void retry_connects_those_down_at_once_and_reports(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    trace_up(&trace, 0, "bob");
    trace_down(&trace, 1, "refused");
    assert_string_equal(trace_line(&trace, "/retry"), "connect 1\ninfo: connecting to 1 of 2...\n");
    assert_string_equal(trace_down(&trace, 1, "refused"),
                        "disconnect 1\nwarning: still no connection to c:3: refused\n");
    assert_string_equal(trace_line(&trace, "/retry"), "connect 1\ninfo: connecting to 1 of 2...\n");
    assert_string_equal(trace_up(&trace, 1, "cyd"), "info: connected to c:3 (cyd)\nopen 1\n");
    assert_string_equal(trace_line(&trace, "/retry"), "info: nothing to retry: 2/2 connected\n");
    trace_done(&trace);
}

static void entry_that_is_this_node_is_left_out(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    assert_string_equal(trace_up(&trace, 0, "ann"),
                        "disconnect 0\ninfo: b:2 is this node itself: left out\n");
    assert_int_equal(core_links_count(trace.core), 1);
    trace_done(&trace);
}

static void two_entries_for_one_node_are_one_link(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    trace_up(&trace, 0, "bob");
    assert_string_equal(trace_up(&trace, 1, "bob"),
                        "disconnect 1\ninfo: c:3 is the same node as b:2: left out\n");
    assert_int_equal(core_links_count(trace.core), 1);
    /* When that link is gone, the other address is tried again. */
    assert_string_equal(trace_down(&trace, 0, "cut"),
                        "close 0: the connection is gone\ndisconnect 0\n"
                        "warning: lost b:2: cut; trying again\n");
    assert_string_equal(trace_timer_after(&trace, LINK_RETRY_MIN_MS), "connect 0\nconnect 1\n");
    trace_done(&trace);
}

static void twin_takes_over_from_a_lost_link(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    trace_up(&trace, 0, "bob");
    trace_up(&trace, 1, "bob");
    trace_down(&trace, 0, "cut");
    trace_timer_after(&trace, LINK_RETRY_MIN_MS);
    assert_string_equal(trace_up(&trace, 1, "bob"), "info: connected to c:3 (bob)\nopen 1\n");
    /* The other address is still tried, but nobody counts it. */
    assert_int_equal(core_links_count(trace.core), 1);
    assert_string_equal(trace_up(&trace, 0, "bob"),
                        "disconnect 0\ninfo: b:2 is the same node as c:3: left out\n");
    trace_done(&trace);
}

static void classic_peer_is_dialled_anew_and_probed(void **state)
{
    (void)state;
    CoreTrace trace = one_ours_one_classic();
    trace_timer_after(&trace, 2000); /* one of ours is probed once it is quiet */
    assert_string_equal(trace_timer_after(&trace, 1000), "probe 1\n");
    assert_int_equal(trace.actions.wake_at_ms, trace.mono_ms + 3000);
    assert_string_equal(trace_classic_answers(&trace, 1), "");
    assert_string_equal(trace_down(&trace, 1, "no answer in time"),
                        "disconnect 1\nwarning: lost c:3: no answer in time; trying again\n");
    trace_done(&trace);
}

static void refused_line_is_told_and_the_next_goes_out(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    trace_line(&trace, "one");
    trace_line(&trace, "two");
    assert_string_equal(
        trace_step(&trace,
                   (Event){.kind = EVENT_REFUSED, .link = 0, .text = "too long", .text_len = 8}),
        "error: b:2 refused a line: too long\nsend 0 two\n");
    trace_done(&trace);
}

static void first_line_alone_says_what_becomes_of_it(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    assert_string_equal(trace_line(&trace, "anyone?"),
                        "warning: nobody is connected: your lines are kept here, and sent when "
                        "nodes connect. /list says why they are down\nshow ann: anyone?\n");
    assert_string_equal(trace_line(&trace, "hello?"), "show ann: hello?\n");
    trace_done(&trace);

    trace = trace_new("ann", NULL, 0);
    assert_string_equal(trace_line(&trace, "anyone?"),
                        "warning: no other node is configured: lines are shown here and to this "
                        "node's clients only. Name nodes in nodes.json and start again\n"
                        "show ann: anyone?\n");
    trace_done(&trace);
}

static void unknown_command_is_not_sent(void **state)
{
    (void)state;
    CoreTrace trace = two_links_up();
    assert_string_equal(trace_line(&trace, "/lsit"),
                        "error: no such command: /lsit; nothing was sent. /help lists them, // "
                        "sends a line that starts with a slash\n");
    assert_string_equal(trace_line(&trace, "/list now"),
                        "error: /list takes nothing behind it; nothing was done\n");
    assert_string_equal(trace_line(&trace, "/list"), "list\n");
    trace_done(&trace);
}

static void double_slash_sends_one(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    assert_string_equal(trace_line(&trace, "//quit"),
                        "send 0 /quit\nsend 1 /quit\nshow ann: /quit\n");
    trace_done(&trace);
}

static void action_reads_well_where_it_is_not_known(void **state)
{
    (void)state;
    CoreTrace trace = two_classic_up();
    assert_string_equal(trace_line(&trace, "/me waves"),
                        "send 0 /me waves\nsend 1 /me waves\nshow * ann: waves\n");
    trace_done(&trace);
}

static void nick_is_told_and_used_from_then_on(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_line(&trace, "first");
    assert_string_equal(trace_line(&trace, "/nick  zoe "), "show * ann: is now known as zoe\n");
    assert_string_equal(trace_line(&trace, "hi"), "show zoe: hi\n");
    assert_string_equal(core_name(trace.core), "zoe");
    assert_string_equal(trace_line(&trace, "/nick bad\x1bname"),
                        "error: the name is not taken: sender holds control characters: use "
                        "printable ones\n");
    trace_done(&trace);
}

static void line_that_breaks_a_rule_is_not_sent(void **state)
{
    (void)state;
    CoreTrace trace = two_links_up();
    assert_string_equal(trace_line(&trace, "\xff\xfe"),
                        "error: not sent: content is not valid UTF-8\n");
    char line[MESSAGE_CONTENT_MAX_BYTES + 2];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    assert_string_equal(trace_line(&trace, line),
                        "error: not sent: content is longer than 8192 bytes: send it in parts\n");
    line[sizeof(line) - 2] = '\0';
    assert_memory_equal(trace_line(&trace, line), "show ann: xxx", 13);
    trace_done(&trace);
}

static void reader_waits_while_a_living_classic_peer_has_much_to_take(void **state)
{
    (void)state;
    CoreTrace trace = two_links();
    trace_up_classic(&trace, 0);
    trace_down(&trace, 1, "refused");
    int lines = 0;
    while (!core_input_should_wait(trace.core)) {
        trace_line(&trace, "x");
        lines++;
        assert_in_range(lines, 1, LINK_QUEUE_MAX_LINES);
    }
    assert_int_equal(lines, LINK_QUEUE_MAX_LINES / 4 * 3);
    trace_delivered(&trace, 0);
    assert_false(core_input_should_wait(trace.core));
    trace_done(&trace);
}

static void names_seen_lately_come_newest_first(void **state)
{
    (void)state;
    CoreTrace trace = two_links_up();
    trace_receive(&trace, trace_draft("kim", "x", ""));
    trace_receive(&trace, trace_draft("lee", "x", ""));
    trace_receive(&trace, trace_draft("kim", "x", ""));
    assert_string_equal(core_recent_name(trace.core, 0), "kim");
    assert_string_equal(core_recent_name(trace.core, 1), "lee");
    assert_string_equal(core_recent_name(trace.core, 2), "cyd");
    assert_string_equal(core_recent_name(trace.core, 3), "bob");
    assert_null(core_recent_name(trace.core, 4));
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_is_shown_and_sent_to_every_classic_peer),
        cmocka_unit_test(line_is_queued_for_nobody_of_our_kind),
        cmocka_unit_test(lines_go_one_at_a_time_in_order),
        cmocka_unit_test(lines_wait_for_a_peer_that_is_away),
        cmocka_unit_test(queue_of_a_peer_that_turns_out_to_be_of_our_kind_is_dropped),
        cmocka_unit_test(line_whose_answer_was_lost_is_sent_again),
        cmocka_unit_test(refusal_of_a_peer_that_is_there_is_told_once),
        cmocka_unit_test(line_without_id_goes_on_to_no_classic_peer),
        cmocka_unit_test(line_with_id_goes_on_to_classic_peers_once),
        cmocka_unit_test(equal_lines_a_day_apart_are_two),
        cmocka_unit_test(what_breaks_a_rule_is_rejected),
        cmocka_unit_test(queue_is_bounded_and_says_so_once),
        cmocka_unit_test(full_queue_of_a_peer_that_never_answered_says_what_that_means),
        cmocka_unit_test(queue_is_bounded_in_bytes_too),
        cmocka_unit_test(back_off_doubles_up_to_its_cap_with_jitter),
        cmocka_unit_test(retry_connects_those_down_at_once_and_reports),
        cmocka_unit_test(entry_that_is_this_node_is_left_out),
        cmocka_unit_test(two_entries_for_one_node_are_one_link),
        cmocka_unit_test(twin_takes_over_from_a_lost_link),
        cmocka_unit_test(classic_peer_is_dialled_anew_and_probed),
        cmocka_unit_test(refused_line_is_told_and_the_next_goes_out),
        cmocka_unit_test(first_line_alone_says_what_becomes_of_it),
        cmocka_unit_test(unknown_command_is_not_sent),
        cmocka_unit_test(double_slash_sends_one),
        cmocka_unit_test(action_reads_well_where_it_is_not_known),
        cmocka_unit_test(nick_is_told_and_used_from_then_on),
        cmocka_unit_test(line_that_breaks_a_rule_is_not_sent),
        cmocka_unit_test(reader_waits_while_a_living_classic_peer_has_much_to_take),
        cmocka_unit_test(names_seen_lately_come_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
