/* Names and whose lines are shown, as traces: two nodes, clients, and what is remembered. */
#include "core_world.h"
#include "unit.h"

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

/* And all that follows from it, everywhere. */
static void say(World *world, size_t at, const char *text)
{
    world_line(world, at, text);
    world_run(world, world->now_ms + 1000);
}

/* What that node's disk has, as the answer to /history. */
static void history(World *world, size_t at)
{
    const WorldNode *node = &world->nodes[at];
    const Query query = {.kind = QUERY_HISTORY, .room = MESSAGE_LOBBY, .count = 20};
    strbuf_clear(&world->text);
    world_step(world, at,
               (Event){.kind = EVENT_ANSWER,
                       .query = &query,
                       .events = node->trace.disk,
                       .events_count = node->trace.disk_count});
}

/* "bob~3f2a-91bc" of the node that was called name at first. */
static const char *marked(const char *as, const char *name)
{
    static char text[4][MESSAGE_SENDER_MAX_BYTES + NAME_FINGERPRINT_BYTES + 2];
    static size_t turn;
    char print[NAME_FINGERPRINT_BYTES];
    char *slot = text[turn++ % 4];
    EventSigner signer = trace_signer(name);
    name_fingerprint(signer.public_key, print);
    snprintf(slot, sizeof(text[0]), "%s~%s", as, print);
    return slot;
}

static bool told_line(const World *world, size_t at, const char *who, const char *content)
{
    char row[256];
    snprintf(row, sizeof(row), "show %s: %s\n", who, content);
    return told(world, at, row) != NULL;
}

static void who_takes_anothers_name_is_marked_everywhere(void **state)
{
    (void)state;
    World *world = world_of_three();
    say(world, 1, "/nick Ann");
    assert_non_null(told(world, 1, "warning: the name is somebody else's"));
    say(world, 1, "I am ann");
    for (size_t i = 0; i < 3; i++) {
        assert_true(told_line(world, i, marked("Ann", "bob"), "I am ann"));
    }
    say(world, 0, "no");
    for (size_t i = 0; i < 3; i++) {
        assert_true(told_line(world, i, "ann", "no"));
    }
    world_line(world, 2, "/names");
    AUTO_STRBUF StrBuf here = {0};
    strbuf_addf(&here, "info: here: cyd, %s, ann\n", marked("Ann", "bob"));
    assert_non_null(told(world, 2, here.text));
    world_free(world);
}

static void what_was_said_before_is_marked_in_the_history(void **state)
{
    (void)state;
    World *world = world_of_three();
    say(world, 1, "/nick cyd");
    say(world, 1, "hello");
    history(world, 2);
    AUTO_STRBUF StrBuf row = {0};
    strbuf_addf(&row, "%s: hello", marked("cyd", "bob"));
    assert_non_null(strstr(strbuf_text(&world->text), row.text));
    world_free(world);
}

/* ---- clients ---- */

static void two_plain_callers_may_have_one_name_and_not_a_persons(void **state)
{
    (void)state;
    CoreTrace trace = trace_new("ann", NULL, 0);
    trace_step(&trace, (Event){.kind = EVENT_START});
    assert_string_equal(trace_receive(&trace, trace_draft("dora", "hi", "")),
                        "show dora: hi\naccept\n");
    assert_string_equal(trace_receive(&trace, trace_draft("ann", "hi", "")),
                        "show ann: hi\naccept\n"); /* this node's own name, at this node */
    AUTO_STRBUF StrBuf row = {0};
    strbuf_addf(&row, "show %s: notice me\naccept\n", marked("--", "ann"));
    assert_string_equal(trace_receive(&trace, trace_client_draft("--", "notice me", "1")),
                        row.text);
    trace_done(&trace);
}

/* ---- /ignore ---- */

static void ignored_lines_are_neither_shown_nor_found_until_unignored(void **state)
{
    (void)state;
    World *world = world_of_three();
    world_line(world, 2, "/ignore ann");
    AUTO_STRBUF StrBuf row = {0};
    strbuf_addf(&row, "info: nothing of %s is shown here any more", marked("ann", "ann"));
    assert_non_null(told(world, 2, row.text));
    assert_non_null(told(world, 2, "ignored "));
    say(world, 0, "spam");
    assert_true(told_line(world, 1, "ann", "spam"));
    assert_false(told_line(world, 2, "ann", "spam"));
    history(world, 2);
    assert_null(strstr(strbuf_text(&world->text), "spam"));
    say(world, 1, "not spam");
    assert_true(told_line(world, 2, "bob", "not spam"));
    world_line(world, 2, "/ignore");
    strbuf_clear(&row);
    strbuf_addf(&row, "info: not shown here: %s\n", marked("ann", "ann"));
    assert_non_null(told(world, 2, row.text));
    world_line(world, 2, "/unignore ann");
    assert_non_null(told(world, 2, "ignored nobody\n"));
    history(world, 2);
    assert_non_null(strstr(strbuf_text(&world->text), "ann: spam"));
    say(world, 0, "sorry");
    assert_true(told_line(world, 2, "ann", "sorry"));
    world_free(world);
}

static void who_is_ignored_must_be_one_and_somebody_else(void **state)
{
    (void)state;
    World *world = world_of_three();
    say(world, 1, "/nick ann");
    world_line(world, 2, "/ignore ann");
    assert_non_null(told(world, 2, "error: that could be 2: "));
    assert_null(told(world, 2, "ignored"));
    AUTO_STRBUF StrBuf line = {0};
    strbuf_addf(&line, "/ignore %s", marked("ann", "bob"));
    world_line(world, 2, line.text);
    assert_non_null(told(world, 2, "ignored "));
    world_line(world, 2, "/ignore nobody");
    assert_non_null(told(world, 2, "error: nobody was heard here by the name"));
    world_line(world, 2, "/ignore cyd");
    assert_non_null(told(world, 2, "error: that is this node itself\n"));
    world_line(world, 2, "/unignore dan");
    assert_non_null(told(world, 2, "error: no lines of dan are left out"));
    world_line(world, 2, "/unignore");
    assert_non_null(told(world, 2, "error: /unignore WHO"));
    world_free(world);
}

static void ignored_are_known_again_after_a_restart_and_damage_is_passed_over(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf file = {0};
    EventSigner bob = trace_signer("bob");
    strbuf_add_string(&file, "# a remark\n\nzz\n");
    for (size_t i = 0; i < EVENT_KEY_BYTES; i++) {
        strbuf_addf(&file, "%02x", bob.public_key[i]);
    }
    strbuf_add_string(&file, " bob\n0123");
    CoreTrace trace =
        trace_new_of((CoreConfig){.name = "ann", .ignored = file.text, .ignored_len = file.len});
    trace_step(&trace, (Event){.kind = EVENT_START});
    AUTO_STRBUF StrBuf row = {0};
    strbuf_addf(&row, "info: not shown here: %s\n", marked("bob", "bob"));
    assert_string_equal(trace_line(&trace, "/ignore"), row.text);
    assert_non_null(strstr(trace_line(&trace, "/unignore bob"), "ignored nobody\n"));
    trace_done(&trace);
}

static void no_more_than_a_thousand_are_ignored(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf file = {0};
    for (unsigned i = 0; i < 1100; i++) {
        strbuf_addf(&file, "%064x n%u\n", i + 1, i);
    }
    CoreTrace trace =
        trace_new_of((CoreConfig){.name = "ann", .ignored = file.text, .ignored_len = file.len});
    trace_step(&trace, (Event){.kind = EVENT_START});
    trace_mesh_up(&trace, 0, "somewhere");
    trace_hello(&trace, 0, "bob");
    assert_non_null(strstr(trace_line(&trace, "/ignore bob"), "error: 1000 are left out already"));
    trace_done(&trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_takes_anothers_name_is_marked_everywhere),
        cmocka_unit_test(what_was_said_before_is_marked_in_the_history),
        cmocka_unit_test(two_plain_callers_may_have_one_name_and_not_a_persons),
        cmocka_unit_test(ignored_lines_are_neither_shown_nor_found_until_unignored),
        cmocka_unit_test(who_is_ignored_must_be_one_and_somebody_else),
        cmocka_unit_test(ignored_are_known_again_after_a_restart_and_damage_is_passed_over),
        cmocka_unit_test(no_more_than_a_thousand_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
