/* Members who are removed: what stays of them, who goes with them, and what they are told. */
#include "core/fold.h"
#include "tea.h"

static void revoked_member_is_out_and_what_it_said_stays(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    tea_start(&tea);
    world_line(tea.world, BOB, "one");
    world_wait(tea.world, 1000);
    const char *text = world_line(tea.world, ANN, "/revoke bob");
    expect(text, "ann| warning: ann removed bob (");
    expect(text, "what was said there until then stays");
    expect(text, ") was removed from this network\n"); /* the link's parting word */
    expect(text, "ann| cut key ");
    expect(text, "bob| error: this node is no member of tea any more");
    text = world_wait(tea.world, 3000);
    expect_not(text, "show");
    expect(world_line(tea.world, BOB, "two"),
           "bob| error: not sent: this node was removed from its network");
    text = world_line(tea.world, CYD, "three");
    expect(text, "ann| show cyd: three\n");
    expect(text, "cyd| kept 1/1 cyd: three\n"); /* bob is not waited for */
    world_wait(tea.world, 3000);
    expect(tea_knock(&tea, CYD, BOB, tea.proofs[BOB]), "turn away 7: it was removed");
    expect(tea_knock(&tea, BOB, CYD, tea.proofs[CYD]),
           "turn away 7: this node was removed from the network\n");
    expect(world_line(tea.world, ANN, "/revoke bob"), "bob was removed already");
    tea_done(&tea);
}

static void what_waits_for_the_disk_of_a_removed_member_is_answered(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    world_line(tea.world, BOB, "before");
    world_wait(tea.world, 1000);
    tea.world->nodes[BOB].disk_delay_ms = 500;
    world_line(tea.world, BOB, "one");
    tea_client(&tea, BOB, "bot");
    tea_admit(&tea, BOB, CYD, "cyd");
    const char *text = world_line(tea.world, ANN, "/revoke bob");
    expect(text, "bob| reject request 3 unavailable: this node was removed from its network");
    expect(text, "bob| turn away 9: this node was removed from its network");
    expect(text, "bob| error: 1 line was not sent: this node was removed from its network");
    text = world_wait(tea.world, 1000); /* the disk has done what it was given */
    expect_not(text, "show bob: one");
    expect_not(text, "accept");
    /* Nothing is left to wait for. */
    expect(tea_step(&tea, BOB, (Event){.kind = EVENT_LEAVE}), "bob| quit 0\n");
    tea_done(&tea);
}

static void removed_member_is_not_here_any_more(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    world_start(tea.world, ANN);
    tea_knock(&tea, ANN, BOB, tea.proofs[BOB]);
    world_start(tea.world, BOB);
    world_wait(tea.world, 1000);
    world_line(tea.world, ANN, "/join dev");
    world_line(tea.world, BOB, "/join dev");
    world_wait(tea.world, 1000);
    expect(world_line(tea.world, ANN, "/names"), "bob");
    expect(world_line(tea.world, ANN, "/names dev"), "#dev: here: ann, bob\n");
    world_line(tea.world, ANN, "/revoke bob");
    expect_not(world_line(tea.world, ANN, "/names"), "bob");
    expect(world_line(tea.world, ANN, "/names dev"), "#dev: here: ann\n");
    tea_knock(&tea, ANN, CYD, tea.proofs[CYD]);
    strbuf_clear(&tea.world->text);
    world_start(tea.world, CYD);
    expect_not(world_wait(tea.world, 5000), "cyd| info: bob is here");
    tea_done(&tea);
}

/* Ann's machine was copied while it ran. Who comes later gets nothing of the stream in which bob
 * was removed. */
static void founder_whose_stream_is_frozen_removes_again_in_another(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    world_start(tea.world, ANN);
    tea_knock(&tea, ANN, BOB, tea.proofs[BOB]);
    tea_knock(&tea, ANN, CYD, tea.proofs[CYD]);
    world_start(tea.world, CYD);
    world_line(tea.world, ANN, "/revoke bob");
    world_wait(tea.world, 1000);
    const EventSigner signer = trace_signer("ann");
    CoreTrace *ann = &tea.world->nodes[ANN].trace;
    EventFields fields = ann->disk[0]->fields;
    fields.body = (const uint8_t *)"other";
    fields.body_len = 5;
    LogEvent *other = event_new(&fields);
    event_sign(other, &signer);
    FrameProof proof = {.a = {.events = &ann->disk[0], .count = 1},
                        .b = {.events = &other, .count = 1}};
    Bytes *frame = frame_encode(&(FrameOut){.proofs = &proof, .proofs_count = 1});
    expect(tea_step(&tea, ANN,
                    (Event){.kind = EVENT_FRAME,
                            .mesh = 0,
                            .data = bytes_data(frame),
                            .len = bytes_len(frame)}),
           "ann| warning: this node's key has signed two different events");
    size_t before = ann->disk_count;
    world_wait(tea.world, 60000);
    size_t again = 0;
    for (size_t i = before; i < ann->disk_count; i++) {
        again += ann->disk[i]->fields.kind == LOG_REVOKE &&
                 ann->disk[i]->fields.stream.epoch > fields.stream.epoch;
    }
    assert_int_equal(again, 1);
    before = ann->disk_count;
    world_wait(tea.world, 120000);
    assert_int_equal(ann->disk_count, before); /* once will do */
    event_unref(other);
    bytes_unref(frame);
    tea_done(&tea);
}

static void banned_members_words_go_everywhere(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    tea_start(&tea);
    world_line(tea.world, BOB, "one");
    world_wait(tea.world, 1000);
    const char *text = world_line(tea.world, ANN, "/ban bob");
    expect(text, "nothing that was said there counts");
    expect(text, "ann| cut behind 0\n");
    expect(text, "cyd| cut behind 0\n");
    world_wait(tea.world, 3000);
    expect(world_line(tea.world, CYD, "/members"), "removed\n");
    tea_done(&tea);
}

/* Who was not there when bob was banned cannot know that ann's line comes after one of his, but by
 * the revocation. */
static void newcomer_waits_for_nothing_that_was_cut_off(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, THREE, 3);
    world_start(tea.world, ANN);
    expect(tea_knock(&tea, ANN, BOB, tea.proofs[BOB]), "| let in 7\n");
    world_start(tea.world, BOB);
    world_wait(tea.world, 1000);
    expect(world_line(tea.world, BOB, "one"), "ann| show bob: one\n");
    world_line(tea.world, ANN, "two, which comes after one");
    world_wait(tea.world, 1000);
    expect(world_line(tea.world, ANN, "/ban bob"), "ann| cut behind 0\n");
    world_wait(tea.world, 1000);
    expect(tea_knock(&tea, ANN, CYD, tea.proofs[CYD]), "| let in 7\n");
    world_start(tea.world, CYD);
    expect(world_wait(tea.world, FOLD_CAUSE_WAIT_MS / 2), "cyd| show ann: two, which comes after");
    tea_done(&tea);
}

static void whom_a_removed_member_let_in_goes_too(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    tea_admit(&tea, BOB, CYD, "cyd");
    world_wait(tea.world, 1000);
    expect(tea_knock(&tea, ANN, CYD, NULL), "let in 7");
    const char *text = world_line(tea.world, ANN, "/ban bob");
    expect(text, "cyd (");
    expect(text, "is no member any more: who let it in was removed");
    expect(tea_knock(&tea, ANN, CYD, NULL), "turn away 7");
    tea_done(&tea);
}

/* All started, cyd let in by bob, who said so. */
static void tea_start_with_bobs_guest(Tea *tea)
{
    tea_init(tea, THREE, 3);
    Bytes *of_bob = proof_for(tea->members, BOB, CYD);
    StrBuf chain = {0};
    strbuf_add(&chain, (const char *)bytes_data(tea->proofs[BOB]), bytes_len(tea->proofs[BOB]));
    strbuf_add(&chain, (const char *)bytes_data(of_bob), bytes_len(of_bob));
    bytes_unref(tea->proofs[CYD]);
    bytes_unref(of_bob);
    tea->proofs[CYD] = bytes_new((const uint8_t *)chain.text, chain.len);
    tea->world->nodes[CYD].proof = tea->proofs[CYD];
    strbuf_done(&chain);
    world_start(tea->world, ANN);
    tea_knock(tea, ANN, BOB, tea->proofs[BOB]);
    world_start(tea->world, BOB);
    world_wait(tea->world, 1000);
    tea_admit(tea, BOB, CYD, "cyd");
    world_wait(tea->world, 1000);
    world_start(tea->world, CYD);
    expect(tea_knock(tea, CYD, BOB, tea->proofs[BOB]), "let in 7");
    world_wait(tea->world, 1000);
}

static void who_is_not_known_any_more_asks_on_and_may_be_let_in_again(void **state)
{
    (void)state;
    Tea tea;
    tea_start_with_bobs_guest(&tea);
    world_line(tea.world, CYD, "before");
    world_wait(tea.world, 1000);
    const char *text = world_line(tea.world, ANN, "/ban bob");
    expect(text, "is no member any more: who let it in was removed");
    expect(text, "cyd| error: nothing here says that this node is a member of tea");
    expect(world_line(tea.world, CYD, "x"), "cyd| error: not sent: nothing here says");
    expect(tea_knock(&tea, ANN, CYD, tea.proofs[CYD]),
           "turn away 7: who has let it in was removed");
    expect(tea_knock(&tea, CYD, ANN, NULL), "cyd| let in 7\n");
    world_wait(tea.world, 10000);
    expect(tea_admit(&tea, ANN, CYD, "cyd"), "ann| welcome 9");
    expect(world_wait(tea.world, 60000),
           "cyd| info: this node is a member of tea: new lines are taken again\n");
    expect(world_line(tea.world, CYD, "again"), "ann| show cyd: again\n");
    tea_done(&tea);
}

/* Takes over the body. */
static LogEvent *members_event(const Members *members, size_t by, int kind, Bytes *body)
{
    EventFields fields = {
        .network = members_network(members),
        .stream.epoch = 1,
        .seq = 1,
        .room = "@",
        .room_len = 1,
        .kind = kind,
        .sender = "x",
        .sender_len = 1,
        .body = bytes_data(body),
        .body_len = bytes_len(body),
    };
    memcpy(fields.stream.origin, key_of(by), EVENT_KEY_BYTES);
    LogEvent *event = event_new(&fields);
    bytes_unref(body);
    return event;
}

/* Its log is lost, and comes again stream by stream, in whatever order. */
static void who_lost_the_log_stays_a_member_though_its_inviter_is_removed(void **state)
{
    (void)state;
    Tea tea;
    tea_start_with_bobs_guest(&tea);
    const char *removed = world_line(tea.world, ANN, "/revoke bob");
    expect_not(removed, "is no member any more: who let");
    expect(removed, "ann| info: 1 whom bob (8af9-1507-8059-7d33) had let in stays a member");
    expect(world_line(tea.world, ANN, "/members"), "let in by bob");
    /* What it shows now is good also where the removal alone is known. */
    const Bytes *renewed = tea.world->nodes[CYD].renewed;
    assert_non_null(renewed);
    Bytes **parts = NULL;
    size_t parts_count = 0;
    assert_int_equal(
        revocation_new(key_of(BOB), (const uint8_t[8]){1}, NULL, 0, &parts, &parts_count), ERR_OK);
    LogEvent *event = members_event(tea.members, ANN, LOG_REVOKE, parts[0]);
    assert_true(members_take(tea.members, event));
    const char *reason = "";
    assert_int_equal(members_take_proof(tea.members, key_of(CYD), bytes_data(tea.proofs[CYD]),
                                        bytes_len(tea.proofs[CYD]), &reason),
                     ERR_INVALID);
    assert_int_equal(members_take_proof(tea.members, key_of(CYD), bytes_data(renewed),
                                        bytes_len(renewed), &reason),
                     ERR_OK);
    event_unref(event);
    mem_free(parts);
    world_wait(tea.world, 1000);
    world_kill(tea.world, CYD);
    tea.world->nodes[CYD].durable = 0;
    strbuf_clear(&tea.world->text);
    world_start(tea.world, CYD);
    const char *text = world_wait(tea.world, 10000);
    expect(text, "cyd| warning: ann removed 8af9-1507-8059-7d33: what was said there until then");
    expect_not(text, "cyd| error");
    expect(world_line(tea.world, CYD, "/members"), "cyd| info: cyd");
    expect(world_line(tea.world, CYD, "hi"), "ann| show cyd: hi\n");
    tea_done(&tea);
}

static void cut_may_lie_before_a_moment(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    world_line(tea.world, BOB, "one");
    world_wait(tea.world, 60000);
    world_line(tea.world, BOB, "two");
    world_wait(tea.world, 1000);
    expect(world_line(tea.world, ANN, "/revoke bob since yesterday"),
           "error: /revoke WHO since TIME");
    expect(world_line(tea.world, ANN, "/revoke bob since 30s"), "ann| query cuts before 17000000");
    /* The store's answer. */
    CoreTrace *ann = &tea.world->nodes[ANN].trace;
    LogEvent *one = NULL;
    for (size_t i = 0; i < ann->disk_count && one == NULL; i++) {
        const EventFields *fields = &ann->disk[i]->fields;
        one =
            memcmp(fields->stream.origin, key_of(BOB), EVENT_KEY_BYTES) == 0 ? ann->disk[i] : NULL;
    }
    assert_non_null(one);
    Query query = {.kind = QUERY_CUTS};
    memcpy(query.stream.origin, key_of(BOB), EVENT_KEY_BYTES);
    const char *text =
        tea_step(&tea, ANN,
                 (Event){.kind = EVENT_ANSWER, .query = &query, .events = &one, .events_count = 1});
    expect(text, "ann| warning: ann removed bob (");
    expect(text, "until then stays");
    expect(text, "ann| cut behind 1\n");
    tea_done(&tea);
}

static void history_leaves_out_what_was_cut_off_since_it_was_asked(void **state)
{
    (void)state;
    enum { LINES_MAX = 8 };
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    world_line(tea.world, BOB, "one");
    world_line(tea.world, ANN, "mine");
    const CoreTrace *ann = &tea.world->nodes[ANN].trace;
    LogEvent *lines[LINES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < ann->disk_count; i++) {
        if (ann->disk[i]->fields.kind == LOG_TEXT && count < LINES_MAX) {
            lines[count++] = event_ref(ann->disk[i]);
        }
    }
    assert_int_equal(count, 2);
    const Query query = {.kind = QUERY_HISTORY, .room = MESSAGE_LOBBY, .count = LINES_MAX};
    const Event answer = {
        .kind = EVENT_ANSWER, .query = &query, .events = lines, .events_count = count};
    expect(tea_step(&tea, ANN, answer), "one");
    world_line(tea.world, ANN, "/ban bob");
    const char *text = tea_step(&tea, ANN, answer);
    expect(text, "mine");
    expect_not(text, "one");
    for (size_t i = 0; i < count; i++) {
        event_unref(lines[i]);
    }
    tea_done(&tea);
}

static void store_that_cannot_be_read_removes_nobody(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    assert_string_equal(tea_command(&tea, ANN, "/revoke bob since 1h"),
                        "ann| query cuts before 1699996402000\n");
    Query query = {.kind = QUERY_CUTS, .replies = true, .token = (void *)5};
    memcpy(query.stream.origin, key_of(BOB), EVENT_KEY_BYTES);
    assert_string_equal(
        tea_step(&tea, ANN, (Event){.kind = EVENT_ANSWER, .query = &query, .text = "bad disk"}),
        "ann| reply 5 error: nobody was removed: the log could not be read: bad disk\n"
        "ann| replied 5: invalid\n");
    expect(tea_knock(&tea, ANN, BOB, NULL), "let in 7");
    tea_done(&tea);
}

static void removed_node_says_so_when_it_starts(void **state)
{
    (void)state;
    Tea tea;
    tea_init(&tea, TWO, 2);
    tea_start(&tea);
    world_line(tea.world, ANN, "/revoke bob");
    world_wait(tea.world, 1000);
    world_kill(tea.world, BOB);
    strbuf_clear(&tea.world->text);
    world_start(tea.world, BOB);
    expect(strbuf_text(&tea.world->text), "bob| error: this node is no member of tea any more");
    expect(world_line(tea.world, BOB, "hi"), "not sent: this node was removed");
    expect(world_line(tea.world, BOB, "/invite"), "no invitation was made: who invites");
    tea_done(&tea);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(revoked_member_is_out_and_what_it_said_stays),
        cmocka_unit_test(what_waits_for_the_disk_of_a_removed_member_is_answered),
        cmocka_unit_test(removed_member_is_not_here_any_more),
        cmocka_unit_test(founder_whose_stream_is_frozen_removes_again_in_another),
        cmocka_unit_test(banned_members_words_go_everywhere),
        cmocka_unit_test(newcomer_waits_for_nothing_that_was_cut_off),
        cmocka_unit_test(whom_a_removed_member_let_in_goes_too),
        cmocka_unit_test(who_is_not_known_any_more_asks_on_and_may_be_let_in_again),
        cmocka_unit_test(who_lost_the_log_stays_a_member_though_its_inviter_is_removed),
        cmocka_unit_test(cut_may_lie_before_a_moment),
        cmocka_unit_test(history_leaves_out_what_was_cut_off_since_it_was_asked),
        cmocka_unit_test(store_that_cannot_be_read_removes_nobody),
        cmocka_unit_test(removed_node_says_so_when_it_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
