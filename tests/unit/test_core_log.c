/* What is said is the node's word only once it is on the disk: as traces. */
#include "core_world.h"
#include "unit.h"

static const char ID[] = "0123456789abcdef";

static CoreTrace alone(void)
{
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    assert_non_null(strstr(trace_line(&trace, "first"), "warning: no other node is configured"));
    return trace;
}

/* ---- durable first ---- */

static void own_line_is_shown_once_it_is_durable(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    trace.tells_stores = true;
    assert_string_equal(trace_line(&trace, "one"), "store 1 own\n");
    assert_string_equal(trace_line(&trace, "two"), "");
    assert_string_equal(trace_line(&trace, "three"), "");
    /* What was said while the first was written is one group. */
    assert_string_equal(trace_disk_works(&trace),
                        "show ann: one\nstore 2 own\nshow ann: two\nshow ann: three\n");
    trace_done(&trace);
}

static void line_goes_to_classic_peers_once_it_is_durable(void **state)
{
    (void)state;
    static const NodeConfig one[] = {{.host = "c", .port = 3}};
    CoreTrace trace = trace_new("ann", one, 1);
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_up_classic(&trace, 0);
    trace.disk_stands_still = true;
    assert_string_equal(trace_line(&trace, "one"), "");
    assert_string_equal(trace_disk_works(&trace), "send 0 one\nshow ann: one\n");
    trace_done(&trace);
}

static void send_message_is_answered_once_it_is_durable(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)), "");
    assert_string_equal(trace_receive(&trace, trace_draft("kim", "ho", "10:00:00")), "");
    assert_int_equal(trace.unanswered, 2);
    assert_string_equal(trace_disk_works(&trace),
                        "show bot: hi\naccept request 1\nshow kim: ho\naccept\n");
    assert_int_equal(trace.unanswered, 0);
    trace_done(&trace);
}

/* A machine that was copied while it ran: both write one stream, and the proof is on its way. */
static void node_of_which_a_copy_runs_goes_on_in_another_stream(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    const EventSigner signer = trace_signer("ann");
    trace_mesh_up(&trace, 5, "10.0.0.5:50051");
    trace_hello(&trace, 5, "bob");
    EventFields fields = trace.disk[0]->fields;
    fields.body = (const uint8_t *)"other";
    fields.body_len = 5;
    LogEvent *other = event_new(&fields);
    event_sign(other, &signer);
    FrameProof proof = {.a = {.events = &trace.disk[0], .count = 1},
                        .b = {.events = &other, .count = 1}};
    trace.disk_stands_still = true;
    trace_line(&trace, "one");
    trace_line(&trace, "two"); /* behind it */
    trace_receive(&trace, trace_client_draft("bot", "hi", ID));
    const char *text = trace_frame(&trace, 5, &(FrameOut){.proofs = &proof, .proofs_count = 1});
    assert_non_null(strstr(text, "cut behind 2\n"));
    assert_non_null(strstr(text, "reject unavailable: a copy of this node says something else"));
    assert_non_null(strstr(text, "error: 1 line was not sent: a copy of this node"));
    assert_non_null(strstr(text, "warning: this node's key has signed two different events"));
    assert_string_equal(trace_disk_works(&trace), "show ann: one\nkept 0/1 ann: one\n");
    assert_string_equal(trace_line(&trace, "three"), "show ann: three\nkept 0/1 ann: three\n");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "show bot: hi\naccept\nkept 0/1 bot: hi\n");
    assert_int_equal(trace.unanswered, 0);
    event_unref(other);
    trace_done(&trace);
}

/* ---- repeats ---- */

static void repeat_of_a_clients_line_is_accepted_and_not_shown(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "show bot: hi\naccept\n");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "accept a repeat\n");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", "another id")),
                        "show bot: hi\naccept\n");
    trace_done(&trace);
}

static void repeat_is_answered_when_the_first_is_durable(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    trace_receive(&trace, trace_client_draft("bot", "hi", ID));
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)), "");
    assert_string_equal(trace_disk_works(&trace), "show bot: hi\naccept request 1\naccept\n");
    assert_int_equal(trace.unanswered, 0);
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "accept a repeat\n");
    trace_done(&trace);
}

static void repeat_after_a_restart_is_known_from_the_store(void **state)
{
    (void)state;
    CoreTrace before = alone();
    trace_receive(&before, trace_client_draft("bot", "hi", ID));
    CoreTrace trace = trace_new_of((CoreConfig){.name = "ann", .epoch = 8});
    trace_step(&trace, (Event){.kind = EVENT_START});
    const Query query = {.kind = QUERY_RECENT, .room = MESSAGE_LOBBY, .count = 200};
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_ANSWER,
                                                   .query = &query,
                                                   .events = before.disk,
                                                   .events_count = before.disk_count}),
                        "");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "accept a repeat\n");
    trace_done(&trace);
    trace_done(&before);
}

static void line_with_one_id_written_by_two_nodes_is_shown_once(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", ""};
    World *world = world_new(dials, 2);
    world_start_all(world);
    world_wait(world, 1000);
    MessageDraft draft = trace_client_draft("bot", "hi", ID);
    for (size_t i = 0; i < 2; i++) { /* before either has told the other */
        world->nodes[i].trace.unanswered++;
        world_step(world, i, (Event){.kind = EVENT_RECEIVED, .draft = &draft});
    }
    assert_string_equal(world_wait(world, 1000), "bob| kept 1/1 bot: hi\nann| kept 1/1 bot: hi\n");
    assert_int_equal(world->nodes[0].trace.disk_count, 2);
    assert_int_equal(world->nodes[1].trace.disk_count, 2);
    world_free(world);
}

/* "ha" twice within one second is two lines. */
static void line_of_a_classic_node_heard_by_two_is_shown_once_at_each(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", "", "b"};
    World *world = world_new(dials, 3);
    world_start_all(world);
    world_wait(world, 1000);
    for (int time = 0; time < 2; time++) {
        for (size_t i = 0; i < 2; i++) {
            MessageDraft draft = trace_draft("kim", "ha", i == 0 ? "10:00:00" : "10:00:01");
            world->nodes[i].trace.unanswered++;
            world_step(world, i, (Event){.kind = EVENT_RECEIVED, .draft = &draft});
        }
    }
    assert_string_equal(world_wait(world, 1000),
                        "cyd| show kim: ha\ncyd| show kim: ha\n"
                        "bob| kept 1/2 kim: ha\nbob| kept 2/2 kim: ha\nann| kept 1/1 kim: ha\n"
                        "cyd| probe 0\n");
    assert_int_equal(world->nodes[2].trace.disk_count, 4);
    world_free(world);
}

/* ---- the disk is full ---- */

static void full_disk_refuses_new_lines_and_says_so_once(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    assert_string_equal(trace_store_state(&trace, "the disk is full"),
                        "error: the disk is full. What others say is still shown and passed on; "
                        "new lines are refused until there is room\n");
    assert_string_equal(trace_store_state(&trace, "the disk is still full"), "");
    assert_string_equal(trace_line(&trace, "hi"), "error: not sent: the disk is still full\n");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "reject unavailable: the disk is still full\n");
    assert_string_equal(trace_line(&trace, "/join games"),
                        "error: nothing was done: the disk is still full\n");
    assert_string_equal(trace_store_state(&trace, NULL), "info: the disk takes writes again\n");
    assert_string_equal(trace_store_state(&trace, NULL), "");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "show bot: hi\naccept\n");
    trace_done(&trace);
}

/* Whoever waits is told; the line itself stays, and is written when there is room. */
static void full_disk_rejects_what_waits_and_writes_it_later(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    trace_receive(&trace, trace_client_draft("bot", "hi", ID));
    trace_line(&trace, "typed");
    assert_string_equal(trace_store_state(&trace, "the disk is full"),
                        "reject unavailable: the disk is full\n"
                        "error: the disk is full. What others say is still shown and passed on; "
                        "new lines are refused until there is room\n");
    assert_int_equal(trace.unanswered, 0);
    assert_string_equal(trace_store_state(&trace, NULL), "info: the disk takes writes again\n");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)), "");
    assert_string_equal(trace_store_state(&trace, "the disk is full"),
                        "reject unavailable: the disk is full\n"
                        "error: the disk is full. What others say is still shown and passed on; "
                        "new lines are refused until there is room\n");
    trace_store_state(&trace, NULL);
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)), "");
    assert_string_equal(trace_disk_works(&trace), "show bot: hi\nshow ann: typed\naccept\n");
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "accept a repeat\n");
    assert_int_equal(trace.unanswered, 0);
    trace_done(&trace);
}

static void nick_that_cannot_be_told_is_not_taken(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace_store_state(&trace, "the disk is full");
    assert_string_equal(trace_line(&trace, "/nick zoe"), "error: not sent: the disk is full\n");
    assert_string_equal(core_name(trace.core), "ann");
    trace_done(&trace);
}

/* ---- bounds ---- */

static void streams_stop_before_lines_are_refused_and_go_on_when_few_wait(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    char id[16];
    for (int i = 0; i < 2048; i++) {
        assert_false(core_is_full(trace.core));
        assert_int_equal(core_has_room(trace.core), i < 1024);
        snprintf(id, sizeof(id), "%d", i % 2000); /* repeats wait too */
        assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", id)), "");
    }
    assert_true(core_is_full(trace.core));
    trace_store_state(&trace, "the disk is full");
    assert_false(core_is_full(trace.core)); /* they hear at once that nothing is taken */
    assert_true(core_has_room(trace.core));
    assert_int_equal(trace.unanswered, 0);
    trace_store_state(&trace, NULL);
    trace_disk_works(&trace);
    assert_true(core_has_room(trace.core));
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", "new")),
                        "show bot: hi\naccept\n");
    trace_done(&trace);
}

static void lines_that_wait_for_the_disk_are_bounded(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    size_t lines = 0;
    while (strcmp(trace_line(&trace, "x"), "") == 0) {
        lines++;
    }
    assert_int_equal(lines, 8192);
    assert_string_equal(
        trace_line(&trace, "x"),
        "error: not sent: too many lines wait for the disk: try again in a moment\n");
    assert_string_equal(
        trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
        "reject limit reached: too many lines wait for the disk: try again in a moment\n");
    trace_disk_works(&trace);
    assert_int_equal(trace.disk_count, 1 + 8192);
    assert_string_equal(trace_receive(&trace, trace_client_draft("bot", "hi", ID)),
                        "show bot: hi\naccept\n");
    trace_done(&trace);
}

static void lines_that_wait_for_the_disk_are_bounded_in_bytes_too(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    char line[MESSAGE_CONTENT_MAX_BYTES + 1];
    memset(line, 'x', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\0';
    size_t lines = 0;
    while (strcmp(trace_line(&trace, line), "") == 0) {
        lines++;
    }
    assert_in_range(lines, 100, 2 * REPLICA_SAID_MAX_BYTES / MESSAGE_CONTENT_MAX_BYTES);
    trace_done(&trace);
}

/* A line that was not kept was not heard: when another node has kept it, it is shown. */
static void line_of_a_classic_node_that_found_no_room_comes_by_another(void **state)
{
    (void)state;
    CoreTrace bob = trace_new("bob", NULL, 0);
    MessageDraft draft = trace_draft("kim", "hi", "10:00:00");
    trace_receive(&bob, draft);
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    while (strcmp(trace_line(&trace, "x"), "") == 0) {
    }
    assert_memory_equal(trace_receive(&trace, draft), "reject limit", 12);
    trace_disk_works(&trace);
    trace_mesh_up(&trace, 0, "10.0.0.2:5");
    trace_hello(&trace, 0, "bob");
    trace_peer_has(&trace, 0, "bob", 1);
    FrameRun run = {.events = bob.disk, .count = 1};
    assert_string_equal(trace_frame(&trace, 0, &(FrameOut){.runs = &run, .runs_count = 1}),
                        "show kim: hi\n");
    trace_done(&trace);
    trace_done(&bob);
}

static void reader_waits_while_much_waits_for_the_disk(void **state)
{
    (void)state;
    CoreTrace trace = alone();
    trace.disk_stands_still = true;
    size_t lines = 0;
    while (!core_input_should_wait(trace.core)) {
        trace_line(&trace, "x");
        lines++;
    }
    assert_int_equal(lines, 1024);
    trace_disk_works(&trace);
    assert_false(core_input_should_wait(trace.core));
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_line_is_shown_once_it_is_durable),
        cmocka_unit_test(line_goes_to_classic_peers_once_it_is_durable),
        cmocka_unit_test(send_message_is_answered_once_it_is_durable),
        cmocka_unit_test(node_of_which_a_copy_runs_goes_on_in_another_stream),
        cmocka_unit_test(repeat_of_a_clients_line_is_accepted_and_not_shown),
        cmocka_unit_test(repeat_is_answered_when_the_first_is_durable),
        cmocka_unit_test(repeat_after_a_restart_is_known_from_the_store),
        cmocka_unit_test(line_with_one_id_written_by_two_nodes_is_shown_once),
        cmocka_unit_test(line_of_a_classic_node_heard_by_two_is_shown_once_at_each),
        cmocka_unit_test(full_disk_refuses_new_lines_and_says_so_once),
        cmocka_unit_test(full_disk_rejects_what_waits_and_writes_it_later),
        cmocka_unit_test(nick_that_cannot_be_told_is_not_taken),
        cmocka_unit_test(streams_stop_before_lines_are_refused_and_go_on_when_few_wait),
        cmocka_unit_test(lines_that_wait_for_the_disk_are_bounded),
        cmocka_unit_test(lines_that_wait_for_the_disk_are_bounded_in_bytes_too),
        cmocka_unit_test(line_of_a_classic_node_that_found_no_room_comes_by_another),
        cmocka_unit_test(reader_waits_while_much_waits_for_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
