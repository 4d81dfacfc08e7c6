/* Members of a private network: how they link, come in, and are told of. */
#include "tea.h"

/* ---- linking ---- */

static void members_link_and_share_the_log(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    expect(world_line(tea.world, BOB, "hi"), "ann| show bob: hi\n");
    expect(world_line(tea.world, ANN, "hello"), "bob| show ann: hello\n");
    LinkView view;
    char fingerprint[FINGERPRINT_BYTES];
    core_link(world_core(tea.world, BOB), 0, tea.world->now_ms, &view);
    fingerprint_text(key_of(ANN), fingerprint);
    assert_string_equal(view.fingerprint, fingerprint);
    core_link(world_core(tea.world, ANN), 0, tea.world->now_ms, &view);
    fingerprint_text(key_of(BOB), fingerprint);
    assert_string_equal(view.fingerprint, fingerprint);
    tea_done(&tea);
}

static void who_has_not_knocked_does_not_link(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    world_start(tea.world, ANN);
    strbuf_clear(&tea.world->text);
    world_start(tea.world, BOB);
    expect(world_wait(tea.world, 10), "ann| close 0: it is no member of this network any more\n");
    /* Nor does a connection without a key. */
    expect(trace_mesh_up(&tea.world->nodes[ANN].trace, 5, "x"),
           "close 5: only members of this network may link\n");
    expect_not(world_line(tea.world, BOB, "hi"), "ann| show");
    tea_done(&tea);
}

static void hello_with_another_key_is_dropped(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    world_start(tea.world, ANN);
    tea_knock(&tea, ANN, BOB, tea.proofs[BOB]);
    CoreTrace *trace = &tea.world->nodes[ANN].trace;
    trace_step(trace, (Event){.kind = EVENT_MESH_UP,
                              .mesh = 0,
                              .text = "x",
                              .key = key_of(BOB),
                              .binding = WORLD_BINDING});
    FrameHello hello = {.version = REPLICA_VERSION,
                        .network = members_network(tea.members),
                        .epoch = 7,
                        .node_id = trace_node_id('c')};
    memcpy(hello.key, key_of(CYD), EVENT_KEY_BYTES);
    expect(trace_frame(trace, 0, &(FrameOut){.hello = &hello}), "another key");
    tea_done(&tea);
}

/* ---- the door ---- */

static void knocks_are_answered_by_what_is_known(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    world_start(tea.world, ANN);
    assert_string_equal(tea_knock(&tea, ANN, BOB, tea.proofs[BOB]), "ann| let in 7\n");
    assert_string_equal(tea_knock(&tea, ANN, BOB, NULL), "ann| let in 7\n"); /* known by now */
    assert_string_equal(tea_knock(&tea, ANN, ANN, NULL), "ann| let in 7\n");
    expect(tea_knock(&tea, ANN, CYD, NULL), "ann| turn away 7: it is not a member");
    expect(tea_knock(&tea, ANN, CYD, tea.proofs[BOB]), "not of its key");
    Bytes *garbled = bytes_new("\xff\x01", 2);
    expect(tea_knock(&tea, ANN, CYD, garbled), "turn away 7: the proof is damaged\n");
    bytes_unref(garbled);
    world_line(tea.world, ANN, "/revoke bob");
    expect(tea_knock(&tea, ANN, BOB, tea.proofs[BOB]),
           "turn away 7: it was removed from this network\n");
    world_line(tea.world, ANN, "/quit");
    tea_done(&tea);
}

static void open_node_lets_nobody_in(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    assert_string_equal(
        trace_step(&trace, (Event){.kind = EVENT_KNOCK, .key = key_of(BOB), .token = (void *)7}),
        "turn away 7: this node is in no network\n");
    assert_string_equal(trace_step(&trace, (Event){.kind = EVENT_ADMIT,
                                                   .key = key_of(BOB),
                                                   .peer_name = "bob",
                                                   .token = (void *)7}),
                        "turn away 7: this node is in no network\n");
    static const char *const lines[] = {"/invite", "/members", "/revoke bob", "/ban bob"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        expect(trace_line(&trace, lines[i]), "error: this node is in no network: \"chat_node init");
    }
    expect(trace_line(&trace, "/id"),
           "info: you are ann, in no private network\ninfo: fingerprint");
    expect(trace_line(&trace, "/whois ann"), "info: ann: this node\n");
    expect(trace_line(&trace, "/whois bob"), "error: nobody known is called bob: /names lists");
    trace_done(&trace);
}

static void newcomer_is_welcome_when_its_membership_is_durable(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    world_start(tea.world, ANN);
    tea_knock(&tea, ANN, BOB, tea.proofs[BOB]);
    world_start(tea.world, BOB);
    world_wait(tea.world, 1000);
    tea.world->nodes[BOB].disk_delay_ms = 50;
    expect_not(tea_admit(&tea, BOB, CYD, "cyd"), "welcome");
    strbuf_clear(&tea.world->text);
    world_step(tea.world, BOB, (Event){.kind = EVENT_TIMER});
    const char *text = world_wait(tea.world, 60);
    expect(text, "bob| info: bob let in cyd (");
    expect(text, "bob| welcome 9\n");
    expect(text, "ann| info: bob let in cyd (");
    /* Again, it is welcome at once. */
    assert_string_equal(tea_admit(&tea, BOB, CYD, "cyd"), "bob| welcome 9\n");
    expect(tea_knock(&tea, ANN, CYD, NULL), "ann| let in 7\n");
    expect(world_line(tea.world, ANN, "/whois cyd"),
           "cyd: let in by bob on 2023-11-14 22:13; away");
    expect(world_line(tea.world, ANN, "/whois cyd"), "was seen at 10.0.0.9:50051");
    tea_done(&tea);
}

/* What WELCOME brings is what the newcomer starts with. */
static void welcomed_node_links_with_what_it_was_given(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    bytes_unref(TAKE(tea.proofs[BOB]));
    world_start(tea.world, ANN);
    CoreTrace *ann = &tea.world->nodes[ANN].trace;
    trace_step(
        ann,
        (Event){.kind = EVENT_ADMIT, .key = key_of(BOB), .peer_name = "bob", .token = (void *)9});
    for (size_t i = 0; i < ann->actions.count; i++) {
        if (ann->actions.items[i].kind == ACTION_WELCOME) {
            tea.proofs[BOB] = bytes_ref(ann->actions.items[i].frame);
        }
    }
    assert_non_null(tea.proofs[BOB]);
    tea.world->nodes[ANN].durable = ann->disk_count;
    tea.world->nodes[BOB].proof = tea.proofs[BOB];
    world_start(tea.world, BOB);
    world_wait(tea.world, 1000);
    expect(world_line(tea.world, BOB, "hi"), "ann| show bob: hi\n");
    tea_done(&tea);
}

static void newcomers_that_cannot_be_are_turned_away(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    world_line(tea.world, ANN, "/ban bob");
    expect(tea_admit(&tea, ANN, BOB, "bob"), "turn away 9: its key was removed from this network");
    expect(tea_admit(&tea, ANN, CYD, ""), "turn away 9: sender is empty");
    expect(tea_admit(&tea, ANN, CYD, "c\nd"), "turn away 9: sender holds control characters");
    trace_store_state(&tea.world->nodes[ANN].trace, "the disk is full");
    expect(tea_admit(&tea, ANN, CYD, "cyd"), "turn away 9: the disk is full\n");
    trace_store_state(&tea.world->nodes[ANN].trace, NULL);
    /* What waits for the disk when it fills up is answered too. */
    tea.world->nodes[ANN].disk_delay_ms = 50;
    tea_admit(&tea, ANN, CYD, "cyd");
    expect(trace_store_state(&tea.world->nodes[ANN].trace, "the disk is full"),
           "turn away 9: the disk is full\n");
    tea_done(&tea);
}

/* ---- commands ---- */

static void commands_tell_who_is_who(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    tea_start(&tea);
    char ann[FINGERPRINT_BYTES];
    char bob[FINGERPRINT_BYTES];
    char expected[200];
    fingerprint_text(key_of(ANN), ann);
    fingerprint_text(key_of(BOB), bob);
    const char *text = world_line(tea.world, ANN, "/members");
    snprintf(expected, sizeof(expected),
             "ann| info: ann  %s  the founder, on 2023-11-14 22:13  this node\n", ann);
    expect(text, expected);
    snprintf(expected, sizeof(expected),
             "ann| info: bob  %s  let in by ann on 2023-11-14 22:13  linked\n", bob);
    expect(text, expected);
    expect(text, "ann| info: tea has 3 members\n");
    snprintf(expected, sizeof(expected), "/whois %.7s", bob);
    expect(world_line(tea.world, ANN, expected), "ann| info: bob: let in by ann on ");
    expect(world_line(tea.world, ANN, expected), "linked\nann| info: fingerprint ");
    snprintf(expected, sizeof(expected), "you are bob, in tea; its founder is ann (%s)\n", ann);
    expect(world_line(tea.world, BOB, "/id"), expected);
    snprintf(expected, sizeof(expected), "only the founder can remove members: ask ann (%s)\n",
             ann);
    expect(world_line(tea.world, BOB, "/revoke cyd"), expected);
    expect(world_line(tea.world, BOB, "/ban cyd"), expected);
    expect(world_line(tea.world, ANN, "/revoke"), "error: /revoke WHO [since TIME]");
    expect(world_line(tea.world, ANN, "/ban"), "error: /ban WHO");
    expect(world_line(tea.world, ANN, "/ban ann"), "the founder cannot be removed");
    expect(world_line(tea.world, ANN, "/ban zoe"), "nobody known is called zoe: /members lists");
    expect(world_line(tea.world, ANN, "/ban 1"), "nobody known is called 1");
    tea_done(&tea);
}

static void nickname_is_no_name_to_remove_by(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    tea_start(&tea);
    world_line(tea.world, CYD, "/nick rob");
    world_wait(tea.world, 1000);
    expect(world_line(tea.world, ANN, "/whois rob"), "info: cyd: let in by ann");
    expect(world_line(tea.world, ANN, "/whois rob"), "info: calls itself rob now\n");
    expect(world_line(tea.world, ANN, "/ban rob"), "nobody known is called rob");
    /* Two of one name are told apart by their keys. */
    tea_admit(&tea, ANN, 3, "bob");
    expect(world_line(tea.world, ANN, "/ban bob"), "error: bob may be any of 2: bob (");
    tea_done(&tea);
}

static void invitations_are_made_by_io(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    assert_string_equal(world_line(tea.world, BOB, "/invite"), "bob| invite 0 for 24 hours: \n");
    assert_string_equal(world_line(tea.world, BOB, "/invite 720  a.b:1 [::1]:2"),
                        "bob| invite 0 for 720 hours: a.b:1 [::1]:2\n");
    assert_string_equal(world_line(tea.world, BOB, "/invite a.b:1"),
                        "bob| invite 0 for 24 hours: a.b:1\n");
    expect(world_line(tea.world, BOB, "/invite 0"), "good for 1 to 720 hours");
    expect(world_line(tea.world, BOB, "/invite 721"), "good for 1 to 720 hours");
    expect(world_line(tea.world, BOB, "/invite 99999999999999999999"), "good for 1 to 720 hours");
    expect(world_line(tea.world, BOB, "/invite a.b"), "at most 4 addresses");
    expect(world_line(tea.world, BOB, "/invite a:1 a:1 a:1 a:1 a:1"), "at most 4 addresses");
    tea_done(&tea);
}

static void callers_get_what_a_command_tells(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    const char *text = tea_command(&tea, BOB, "/members");
    expect(text, "bob| reply 5 info: tea has 2 members\nbob| replied 5: ok\n");
    expect_not(text, "| info");
    assert_string_equal(tea_command(&tea, BOB, "/invite 2"),
                        "bob| invite 5 for 2 hours: \nbob| replied 5: ok\n");
    expect(tea_command(&tea, BOB, "/revoke ann"), "reply 5 error: only the founder");
    expect(tea_command(&tea, BOB, "/revoke ann"), "bob| replied 5: invalid\n");
    expect(tea_command(&tea, BOB, "/quit"), "reply 5 error: /quit is not answered here");
    expect(tea_command(&tea, BOB, "hi"), "reply 5 error: hi is not answered here");
    expect(tea_command(&tea, BOB, ""), "replied 5: invalid\n");
    expect(tea_command(&tea, BOB, "/members x"), "reply 5 error: /members takes nothing");
    text = tea_command(&tea, ANN, "/ban bob");
    expect(text, "ann| reply 5 info: bob (");
    expect(text, "ann| replied 5: ok\n");
    expect(text, "ann| warning: ann removed bob (");
    tea_done(&tea);
}

/* ---- another life ---- */

static void members_are_known_again_from_the_log(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    tea_admit(&tea, ANN, CYD, "cyd");
    tea_admit(&tea, ANN, 3, "dan");
    world_line(tea.world, ANN, "/ban dan");
    world_wait(tea.world, 1000);
    world_kill(tea.world, ANN);
    world_wait(tea.world, 100);
    world_start(tea.world, ANN);
    assert_string_equal(tea_knock(&tea, ANN, CYD, NULL), "ann| let in 7\n");
    expect(tea_knock(&tea, ANN, 3, NULL), "turn away 7: it was removed");
    /* Bob's membership was shown at the door alone: it has to be shown again. */
    expect(tea_knock(&tea, ANN, BOB, NULL), "turn away 7");
    expect(tea_knock(&tea, ANN, BOB, tea.proofs[BOB]), "let in 7");
    /* And at bob's, who has heard of both from ann. */
    world_kill(tea.world, BOB);
    world_start(tea.world, BOB);
    expect(tea_knock(&tea, BOB, CYD, NULL), "bob| let in 7\n");
    expect(tea_knock(&tea, BOB, 3, NULL), "turn away 7: it was removed");
    tea_done(&tea);
}

static size_t count_memberships(const CoreTrace *trace)
{
    size_t count = 0;
    for (size_t i = 0; i < trace->disk_count; i++) {
        count += trace->disk[i]->fields.kind == LOG_MEMBER;
    }
    return count;
}

/* Ann's disk has lost that she let in cyd, who knocks at bob's door alone. */
static void whom_one_door_has_seen_all_doors_know_in_time(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    world_wait(tea.world, 60000); /* of bob himself nothing else tells: it is said now */
    const CoreTrace *ann = &tea.world->nodes[ANN].trace;
    size_t before = count_memberships(ann);
    Bytes *proof = proof_for(tea.members, ANN, CYD);
    assert_string_equal(tea_knock(&tea, BOB, CYD, proof), "bob| let in 7\n");
    expect(tea_knock(&tea, ANN, CYD, NULL), "turn away 7");
    world_wait(tea.world, 19000);
    assert_int_equal(count_memberships(ann), before);
    strbuf_clear(&tea.world->text);
    world_wait(tea.world, 22000);
    expect(strbuf_text(&tea.world->text), "ann| info: ann let in cyd (");
    assert_string_equal(tea_knock(&tea, ANN, CYD, NULL), "ann| let in 7\n");
    world_wait(tea.world, 120000);
    assert_int_equal(count_memberships(ann), before + 1);
    bytes_unref(proof);
    tea_done(&tea);
}

static void crash_before_a_cut_was_done_leaves_it_to_the_next_start(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    StreamHead head = {.stream.epoch = 3, .hi = 5, .last_hash.bytes = {1}};
    memcpy(head.stream.origin, key_of(CYD), EVENT_KEY_BYTES); /* who is no member */
    CoreTrace trace = trace_new_of((CoreConfig){
        .name = "ann",
        .genesis = bytes_data(tea.genesis),
        .genesis_len = bytes_len(tea.genesis),
        .heads = &head,
        .heads_count = 1,
    });
    /* Nobody is linked, and nobody asks. */
    const char *text = trace_step(&trace, (Event){.kind = EVENT_START});
    assert_int_equal(strncmp(text, "cut behind 0\n", 13), 0);
    expect_not(trace_step(&trace, (Event){.kind = EVENT_TIMER}), "cut behind");
    trace_done(&trace);
    tea_done(&tea);
}

static void client_may_not_speak_as_another_nodes_member(void **state)
{
    (void)state;
    static const char refused[] = "sender is the name of another node's member, or looks like one";
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    expect(tea_client(&tea, ANN, "bob"), refused);
    expect(tea_client(&tea, ANN, "B0B"), refused);
    expect(tea_client(&tea, ANN, "Воb"), refused);
    expect_not(tea_client(&tea, ANN, "ann"), refused);
    expect_not(tea_client(&tea, ANN, "bot"), refused);
    tea_done(&tea);
}

static void name_is_that_of_the_membership_unless_chosen(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    CoreConfig config = {
        .name = "bobby",
        .name_is_default = true,
        .genesis = bytes_data(tea.genesis),
        .genesis_len = bytes_len(tea.genesis),
        .proof = bytes_data(tea.proofs[BOB]),
        .proof_len = bytes_len(tea.proofs[BOB]),
    };
    CoreTrace trace = trace_new_of(config);
    assert_string_equal(core_name(trace.core), "bob");
    trace_done(&trace);
    config.name_is_default = false;
    trace = trace_new_of(config);
    assert_string_equal(core_name(trace.core), "bobby");
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_line(&trace, "/nick rob");
    assert_string_equal(core_name(trace.core), "rob");
    trace_done(&trace);
    tea_done(&tea);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_link_and_share_the_log),
        cmocka_unit_test(who_has_not_knocked_does_not_link),
        cmocka_unit_test(hello_with_another_key_is_dropped),
        cmocka_unit_test(knocks_are_answered_by_what_is_known),
        cmocka_unit_test(open_node_lets_nobody_in),
        cmocka_unit_test(newcomer_is_welcome_when_its_membership_is_durable),
        cmocka_unit_test(welcomed_node_links_with_what_it_was_given),
        cmocka_unit_test(newcomers_that_cannot_be_are_turned_away),
        cmocka_unit_test(commands_tell_who_is_who),
        cmocka_unit_test(nickname_is_no_name_to_remove_by),
        cmocka_unit_test(invitations_are_made_by_io),
        cmocka_unit_test(callers_get_what_a_command_tells),
        cmocka_unit_test(members_are_known_again_from_the_log),
        cmocka_unit_test(whom_one_door_has_seen_all_doors_know_in_time),
        cmocka_unit_test(crash_before_a_cut_was_done_leaves_it_to_the_next_start),
        cmocka_unit_test(client_may_not_speak_as_another_nodes_member),
        cmocka_unit_test(name_is_that_of_the_membership_unless_chosen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
