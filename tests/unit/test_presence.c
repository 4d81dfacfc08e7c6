/* Who is at which node. */
#include "core/presence.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const NodeId OWN = {.bytes = {0xff}};
static const uint8_t KEY[EVENT_KEY_BYTES] = {1};
enum { FIRST_VERSION = 10 };

static FramePresence row_of(unsigned node, uint64_t version, const char *name, bool gone)
{
    FramePresence row = {.node_id.bytes = {1, (uint8_t)(node >> 8), (uint8_t)node},
                         .version = version,
                         .gone = gone};
    snprintf(row.name, sizeof(row.name), "%s", name);
    return row;
}

typedef struct Heard {
    Err err;
    bool news;
    PresenceChange change;
    FramePresence before;
} Heard;

static Heard hear_by(Presences *presences, FramePresence row, size_t via, uint64_t mono_ms)
{
    Heard heard = {0};
    heard.err =
        presences_hear(presences, &row, via, mono_ms, &heard.news, &heard.change, &heard.before);
    return heard;
}

static Heard hear(Presences *presences, FramePresence row, uint64_t mono_ms)
{
    return hear_by(presences, row, 0, mono_ms);
}

static void assert_heard(Heard heard, bool news, PresenceChange change, const char *before)
{
    assert_int_equal(heard.err, ERR_OK);
    assert_int_equal(heard.news, news);
    assert_int_equal(heard.change, change);
    assert_string_equal(heard.before.name, before);
}

/* "own ann bob" */
static void assert_here(const Presences *presences, const char *expected)
{
    char text[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < presences_count(presences); i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "",
                                presences_at(presences, i)->name);
    }
    assert_string_equal(text, expected);
}

static int set_up(void **state)
{
    *state = presences_new(&OWN, KEY, "own", FIRST_VERSION);
    return 0;
}

static int tear_down(void **state)
{
    presences_free(*state);
    return 0;
}

/* ---- others ---- */

static void first_row_of_a_node_says_that_it_came(void **state)
{
    assert_here(*state, "own");
    assert_heard(hear(*state, row_of(1, 5, "ann", false), 0), true, PRESENCE_CAME, "");
    assert_here(*state, "own ann");
    assert_int_equal(presences_at(*state, 1)->version, 5);
}

static void later_version_wins_and_an_equal_one_is_the_same(void **state)
{
    (void)hear(*state, row_of(1, 5, "ann", false), 0);
    assert_heard(hear(*state, row_of(1, 5, "eve", false), 0), false, PRESENCE_SAME, "ann");
    assert_heard(hear(*state, row_of(1, 4, "eve", true), 0), false, PRESENCE_SAME, "ann");
    assert_here(*state, "own ann");
    assert_heard(hear(*state, row_of(1, 6, "ann", false), 0), true, PRESENCE_SAME, "ann");
    assert_heard(hear(*state, row_of(1, 7, "kim", false), 0), true, PRESENCE_RENAMED, "ann");
    assert_here(*state, "own kim");
    assert_heard(hear(*state, row_of(1, 8, "", true), 0), true, PRESENCE_LEFT, "kim");
    assert_here(*state, "own");
}

static void who_said_that_he_is_gone_is_not_brought_back_by_older_rows(void **state)
{
    FramePresence row;
    (void)hear(*state, row_of(1, 5, "ann", false), 0);
    (void)hear(*state, row_of(1, 7, "ann", true), 1000);
    assert_heard(hear(*state, row_of(1, 7, "ann", true), 1000), false, PRESENCE_SAME, "ann");
    assert_heard(hear(*state, row_of(1, 6, "ann", false), 1000), false, PRESENCE_SAME, "ann");
    assert_here(*state, "own");
    assert_false(presences_expire(*state, 1000 + PRESENCE_GONE_MS - 1, &row));
    assert_heard(hear(*state, row_of(1, 6, "ann", false), 1000 + PRESENCE_GONE_MS - 1), false,
                 PRESENCE_SAME, "ann");
    assert_heard(hear(*state, row_of(1, 8, "ann", false), 1000 + PRESENCE_GONE_MS - 1), true,
                 PRESENCE_CAME, "ann");
    assert_here(*state, "own ann");
}

static void gone_node_is_forgotten_without_a_word(void **state)
{
    FramePresence row;
    (void)hear(*state, row_of(1, 7, "ann", true), 0);
    assert_int_equal(presences_count(*state), 1);
    assert_false(presences_expire(*state, PRESENCE_GONE_MS, &row));
    assert_heard(hear(*state, row_of(1, 6, "ann", false), PRESENCE_GONE_MS), true, PRESENCE_CAME,
                 "");
}

static void node_that_is_known_only_as_gone_is_passed_on_once(void **state)
{
    assert_heard(hear(*state, row_of(1, 7, "ann", true), 0), true, PRESENCE_SAME, "");
    assert_heard(hear(*state, row_of(1, 7, "ann", true), 0), false, PRESENCE_SAME, "ann");
    assert_here(*state, "own");
}

static void they_are_by_name_after_the_own_one(void **state)
{
    (void)hear(*state, row_of(1, 1, "zoe", false), 0);
    (void)hear(*state, row_of(2, 1, "bob", false), 0);
    (void)hear(*state, row_of(4, 1, "kim", false), 0);
    (void)hear(*state, row_of(3, 1, "kim", false), 0);
    assert_here(*state, "own bob kim kim zoe");
    assert_int_equal(presences_at(*state, 2)->node_id.bytes[2], 3);
    (void)hear(*state, row_of(1, 2, "ann", false), 0);
    (void)hear(*state, row_of(3, 2, "kim", true), 0);
    assert_here(*state, "own ann bob kim");
    assert_int_equal(presences_at(*state, 3)->node_id.bytes[2], 4);
}

/* ---- time ---- */

static void who_is_not_heard_of_for_a_minute_is_taken_out(void **state)
{
    FramePresence row;
    (void)hear(*state, row_of(1, 1, "ann", false), 1000);
    (void)hear(*state, row_of(2, 1, "bob", false), 2000);
    (void)hear(*state, row_of(1, 2, "ann", false), 3000);
    (void)hear(*state, row_of(2, 1, "bob", false), 4000); /* no news: does not count */
    assert_false(presences_expire(*state, 1999 + PRESENCE_GONE_MS, &row));
    assert_true(presences_expire(*state, 2000 + PRESENCE_GONE_MS, &row));
    assert_string_equal(row.name, "bob");
    assert_false(row.gone);
    assert_false(presences_expire(*state, 2000 + PRESENCE_GONE_MS, &row));
    assert_here(*state, "own ann");
    assert_true(presences_expire(*state, 3000 + PRESENCE_GONE_MS, &row));
    assert_string_equal(row.name, "ann");
    assert_here(*state, "own");
}

static void expired_one_is_not_brought_back_by_its_last_row(void **state)
{
    FramePresence row;
    (void)hear(*state, row_of(1, 5, "ann", false), 0);
    assert_true(presences_expire(*state, PRESENCE_GONE_MS, &row));
    assert_heard(hear(*state, row_of(1, 5, "ann", false), PRESENCE_GONE_MS), false, PRESENCE_SAME,
                 "ann");
    assert_here(*state, "own");
    assert_heard(hear(*state, row_of(1, 6, "ann", false), PRESENCE_GONE_MS), true, PRESENCE_CAME,
                 "ann");
    assert_here(*state, "own ann");
}

static void wakes_for_whichever_comes_first(void **state)
{
    FramePresence row;
    assert_true(presences_wake_at(*state) <= 5000);
    presences_tell_own(*state, 5000, &row);
    assert_int_equal(presences_wake_at(*state), 5000 + PRESENCE_TELL_MS);
    (void)hear(*state, row_of(1, 1, "ann", false), 6000);
    presences_tell_own(*state, 60000, &row);
    assert_int_equal(presences_wake_at(*state), 6000 + PRESENCE_GONE_MS);
    presences_leave(*state);
    presences_tell_own(*state, 60000, &row);
    assert_true(presences_expire(*state, 6000 + PRESENCE_GONE_MS, &row));
    assert_false(presences_expire(*state, 6000 + 2 * PRESENCE_GONE_MS, &row));
    assert_int_equal(presences_wake_at(*state), 0);
}

/* ---- the own row ---- */

static void own_row_is_due_at_once_and_every_twenty_seconds(void **state)
{
    FramePresence row;
    assert_true(presences_own_is_due(*state, 5000));
    presences_tell_own(*state, 5000, &row);
    assert_memory_equal(&row.node_id, &OWN, sizeof(OWN));
    assert_memory_equal(row.key, KEY, sizeof(KEY));
    assert_string_equal(row.name, "own");
    assert_false(row.gone);
    assert_true(row.version >= FIRST_VERSION);
    assert_false(presences_own_is_due(*state, 5000 + PRESENCE_TELL_MS - 1));
    assert_true(presences_own_is_due(*state, 5000 + PRESENCE_TELL_MS));
    uint64_t version = row.version;
    presences_tell_own(*state, 5000 + PRESENCE_TELL_MS, &row);
    assert_true(row.version > version);
}

static void own_row_is_due_when_it_changes(void **state)
{
    FramePresence row;
    presences_tell_own(*state, 5000, &row);
    presences_rename(*state, "own");
    assert_false(presences_own_is_due(*state, 5000));
    presences_rename(*state, "kim");
    assert_true(presences_own_is_due(*state, 5000));
    /* Whoever is told by presences_at and not by presences_tell_own knows it for news too. */
    assert_true(presences_at(*state, 0)->version > row.version);
    presences_tell_own(*state, 5000, &row);
    assert_string_equal(row.name, "kim");
}

static void who_leaves_says_so_once(void **state)
{
    FramePresence row;
    (void)hear(*state, row_of(1, 1, "ann", false), 0);
    presences_tell_own(*state, 5000, &row);
    presences_leave(*state);
    assert_true(presences_own_is_due(*state, 5000));
    assert_here(*state, "ann");
    presences_tell_own(*state, 5000, &row);
    assert_true(row.gone);
    assert_false(presences_own_is_due(*state, 5000 + PRESENCE_TELL_MS));
    row.version--;
    assert_heard(hear(*state, row, 5000), false, PRESENCE_SAME, "");
    assert_false(presences_own_is_due(*state, 5000)); /* it is true */
}

static void what_others_tell_wrong_of_this_node_is_set_right(void **state)
{
    FramePresence own;
    presences_tell_own(*state, 5000, &own);
    const struct {
        int64_t version; /* from the own one */
        bool gone;
        bool answered;
    } cases[] = {
        {0, false, false}, {-1, false, false}, {-1, true, true},
        {0, true, true},   {1, false, true},   {1000, true, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        FramePresence row = own;
        row.version += (uint64_t)cases[i].version;
        row.gone = cases[i].gone;
        assert_heard(hear(*state, row, 5000), false, PRESENCE_SAME, "");
        assert_int_equal(presences_own_is_due(*state, 5000), cases[i].answered);
        presences_tell_own(*state, 5000, &own);
        assert_true(own.version > row.version);
        assert_false(own.gone);
    }
    assert_here(*state, "own");
}

static void version_does_not_begin_again_at_its_end(void **state)
{
    FramePresence row;
    presences_tell_own(*state, 5000, &row);
    row.version = UINT64_MAX;
    (void)hear(*state, row, 5000);
    presences_tell_own(*state, 5000, &row);
    presences_tell_own(*state, 5000, &row);
    assert_true(row.version == UINT64_MAX);
}

/* ---- caps ---- */

static void nodes_are_bounded_until_some_expire(void **state)
{
    char name[16];
    for (unsigned i = 0; i < PRESENCES_MAX - 1; i++) {
        snprintf(name, sizeof(name), "%u", i * 211 % PRESENCES_MAX);
        assert_heard(hear(*state, row_of(i, 1, name, false), i == 0 ? 0 : 1000), true,
                     PRESENCE_CAME, "");
    }
    assert_int_equal(presences_count(*state), PRESENCES_MAX);
    FramePresence more = row_of(PRESENCES_MAX, 1, "more", false);
    assert_int_equal(hear(*state, more, 1000).err, ERR_LIMIT);
    assert_int_equal(presences_count(*state), PRESENCES_MAX);
    for (size_t i = 2; i < PRESENCES_MAX; i++) {
        assert_true(strcmp(presences_at(*state, i - 1)->name, presences_at(*state, i)->name) < 0);
    }
    /* Those that are known go on; who has gone makes room when he is forgotten. */
    assert_heard(hear(*state, row_of(0, 2, "0", true), 1000), true, PRESENCE_LEFT, "0");
    assert_int_equal(hear(*state, more, 1000).err, ERR_LIMIT);
    FramePresence row;
    while (presences_expire(*state, 1000 + PRESENCE_GONE_MS, &row)) {
    }
    assert_int_equal(presences_count(*state), 1);
    assert_heard(hear(*state, more, 1000 + PRESENCE_GONE_MS), true, PRESENCE_CAME, "");
}

#define TEST(claim) cmocka_unit_test_setup_teardown(claim, set_up, tear_down)

static size_t count_of(const Presences *presences, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < presences_count(presences); i++) {
        count += strcmp(presences_at(presences, i)->name, name) == 0;
    }
    return count;
}

static void who_invents_nodes_crowds_out_only_his_own(void **state)
{
    for (unsigned i = 0; i < 2 * PRESENCES_MAX; i++) {
        (void)hear_by(*state, row_of(i, 5, "invented", false), 7, 0);
    }
    assert_int_equal(presences_count(*state), PRESENCES_MAX);
    assert_heard(hear_by(*state, row_of(9000, 5, "ann", false), 3, 1), true, PRESENCE_CAME, "");
    assert_int_equal(count_of(*state, "ann"), 1);
    assert_int_equal(count_of(*state, "invented"), PRESENCES_MAX - 2);
    assert_int_equal(hear_by(*state, row_of(9001, 5, "more", false), 7, 2).err, ERR_LIMIT);
    /* Each link may have as many as the others; then it is full, and nobody is pushed about. */
    for (unsigned i = 0; i < PRESENCES_MAX; i++) {
        (void)hear_by(*state, row_of(10000 + i, 5, "honest", false), 3, 3);
    }
    size_t honest = count_of(*state, "honest") + 1;
    assert_true(honest >= PRESENCES_MAX / 2 - 2 && honest <= PRESENCES_MAX / 2 + 2);
    assert_int_equal(count_of(*state, "ann"), 1);
    assert_int_equal(hear_by(*state, row_of(30000, 5, "x", false), 3, 4).err, ERR_LIMIT);
    assert_int_equal(hear_by(*state, row_of(30000, 5, "x", false), 7, 4).err, ERR_LIMIT);
}

static void who_is_no_member_is_gone_with_all_its_nodes(void **state)
{
    const uint8_t key[EVENT_KEY_BYTES] = {7};
    FramePresence phone = row_of(1, 5, "eve", false);
    FramePresence laptop = row_of(2, 5, "eve", false);
    memcpy(phone.key, key, sizeof(key));
    memcpy(laptop.key, key, sizeof(key));
    (void)hear(*state, phone, 0);
    (void)hear(*state, laptop, 0);
    (void)hear(*state, row_of(3, 5, "bob", false), 0);
    presences_end(*state, key, 10);
    assert_int_equal(count_of(*state, "eve"), 0);
    assert_int_equal(count_of(*state, "bob"), 1);
    assert_heard(hear(*state, phone, 20), false, PRESENCE_SAME, "eve"); /* still on its way */
    assert_int_equal(count_of(*state, "eve"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_row_of_a_node_says_that_it_came),
        TEST(later_version_wins_and_an_equal_one_is_the_same),
        TEST(who_said_that_he_is_gone_is_not_brought_back_by_older_rows),
        TEST(gone_node_is_forgotten_without_a_word),
        TEST(node_that_is_known_only_as_gone_is_passed_on_once),
        TEST(they_are_by_name_after_the_own_one),
        TEST(who_is_not_heard_of_for_a_minute_is_taken_out),
        TEST(expired_one_is_not_brought_back_by_its_last_row),
        TEST(wakes_for_whichever_comes_first),
        TEST(own_row_is_due_at_once_and_every_twenty_seconds),
        TEST(own_row_is_due_when_it_changes),
        TEST(who_leaves_says_so_once),
        TEST(what_others_tell_wrong_of_this_node_is_set_right),
        TEST(version_does_not_begin_again_at_its_end),
        TEST(nodes_are_bounded_until_some_expire),
        TEST(who_invents_nodes_crowds_out_only_his_own),
        TEST(who_is_no_member_is_gone_with_all_its_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
