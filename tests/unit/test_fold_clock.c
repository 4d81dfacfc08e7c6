/* What is shown of clocks that are ahead, and what comes late. */
#include "fold_table.h"

/* ---- clocks that are ahead ---- */

static void event_ahead_of_the_clock_waits_until_it_is_due(void **state)
{
    (void)state;
    Table table = table_new();
    say_at(&table, 1, 1, WALL_MS + HLC_AHEAD_MAX_MS + 499, "lobby");
    say(&table, 1, 2); /* waits behind it */
    assert_shown(&table, "");
    assert_int_equal(table.out.wake_at_ms, MONO_MS + 500);
    say(&table, 2, 1);
    assert_shown(&table, "2:1");
    pass(&table, 499);
    assert_shown(&table, "");
    pass(&table, 1);
    assert_shown(&table, "1:1 1:2");
    assert_int_equal(fold_waiting(table.fold), 0);
    table_free(&table);
}

static void cause_that_comes_until_the_effect_is_due_is_not_missing(void **state)
{
    (void)state;
    Table table = table_new();
    EventPlace after = place(1, 1);
    int64_t time_ms = WALL_MS + HLC_AHEAD_MAX_MS + 3 * FOLD_CAUSE_WAIT_MS;
    give(&table, event_of(2, 1, time_ms, "lobby", &after, 1));
    give(&table, event_of(3, 1, time_ms, "lobby", &(EventPlace){place(4, 1).stream, 1}, 1));
    pass(&table, 2 * FOLD_CAUSE_WAIT_MS);
    assert_shown(&table, "");
    say(&table, 1, 1);
    assert_shown(&table, "1:1");
    pass(&table, 2 * FOLD_CAUSE_WAIT_MS);
    assert_shown(&table, "2:1 3:1!");
    table_free(&table);
}

static void past_the_early_cap_the_last_to_be_due_is_dropped(void **state)
{
    (void)state;
    enum { AHEAD_MS = HLC_AHEAD_MAX_MS + 1000 };
    Table table = table_new();
    int64_t far_ms = WALL_MS + INT64_C(1000000000000);
    for (unsigned i = 1; i <= FOLD_EARLY_MAX; i++) {
        say_at(&table, 1, i, far_ms + i, "lobby");
    }
    assert_int_equal(fold_waiting(table.fold), FOLD_EARLY_MAX);
    say_at(&table, 1, FOLD_EARLY_MAX + 1, far_ms * 2, "lobby");
    assert_int_equal(fold_waiting(table.fold), FOLD_EARLY_MAX);
    /* A clock that is a bit ahead takes the place of one that lies. */
    say_at(&table, 2, 1, WALL_MS + AHEAD_MS, "lobby");
    say_at(&table, 2, 2, WALL_MS + AHEAD_MS + 1, "lobby");
    assert_int_equal(fold_waiting(table.fold), FOLD_EARLY_MAX);
    pass(&table, 1002);
    assert_shown(&table, "2:1 2:2");
    assert_int_equal(fold_waiting(table.fold), FOLD_EARLY_MAX - 2);
    table_free(&table);
}

static void stream_passes_what_was_dropped(void **state)
{
    (void)state;
    Table table = table_new();
    int64_t far_ms = WALL_MS + HLC_AHEAD_MAX_MS + 50000;
    for (unsigned i = 1; i <= FOLD_EARLY_MAX; i++) {
        say_at(&table, 1, i, far_ms, "lobby");
    }
    say_at(&table, 1, FOLD_EARLY_MAX + 1, far_ms, "lobby"); /* dropped: its queue goes on */
    say_at(&table, 2, 1, far_ms + 1, "lobby");              /* dropped: it has no queue */
    assert_int_equal(fold_waiting(table.fold), FOLD_EARLY_MAX);
    say_after(&table, 3, 1, place(2, 1));
    assert_shown(&table, "3:1");
    say(&table, 2, 2);
    assert_shown(&table, "2:2");
    say_after(&table, 4, 1, place(1, FOLD_EARLY_MAX + 1));
    assert_shown(&table, "");
    pass(&table, 50001);
    assert_int_equal(table.out.count, FOLD_EARLY_MAX + 1);
    assert_false(table.out.items[FOLD_EARLY_MAX].incomplete);
    assert_int_equal(fold_waiting(table.fold), 0);
    say(&table, 1, FOLD_EARLY_MAX + 2);
    assert_int_equal(table.out.count, 1);
    table_free(&table);
}

static void clock_that_goes_back_does_not_break_the_cap(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 1, 1, place(2, 1));
    for (unsigned i = 2; i <= FOLD_WAITING_MAX; i++) {
        say(&table, 1, i);
    }
    table.wall_ms -= 2 * HLC_AHEAD_MAX_MS;
    pass(&table, FOLD_CAUSE_WAIT_MS); /* not blocked any more, and not due */
    assert_shown(&table, "");
    assert_int_equal(fold_waiting(table.fold), FOLD_WAITING_MAX);
    say_at(&table, 1, FOLD_WAITING_MAX + 1, table.wall_ms, "lobby");
    assert_shown(&table, "");
    assert_int_equal(fold_waiting(table.fold), FOLD_WAITING_MAX);
    pass(&table, 2 * HLC_AHEAD_MAX_MS);
    assert_int_equal(table.out.count, FOLD_WAITING_MAX);
    table_free(&table);
}

/* ---- late ---- */

static void event_that_belongs_before_one_shown_in_its_room_is_late(void **state)
{
    (void)state;
    Table table = table_new();
    say_at(&table, 1, 1, WALL_MS + 10, "lobby");
    assert_shown(&table, "1:1");
    say_at(&table, 2, 1, WALL_MS + 9, "lobby");
    assert_shown(&table, "2:1?");
    say_at(&table, 2, 2, WALL_MS + 9, "garden");
    assert_shown(&table, "2:2");
    say_at(&table, 0, 1, WALL_MS + 10, "lobby"); /* equal time: by stream */
    assert_shown(&table, "0:1?");
    say_at(&table, 2, 3, WALL_MS + 10, "lobby");
    assert_shown(&table, "2:3");
    table_free(&table);
}

static void room_that_was_silent_longest_is_forgotten(void **state)
{
    (void)state;
    Table table = table_new();
    say_at(&table, 1, 1, WALL_MS + 10, "lobby");
    say_at(&table, 1, 2, WALL_MS + 10, "garden");
    for (unsigned i = 1; i < FOLD_ROOMS_MAX; i++) {
        char room[16];
        snprintf(room, sizeof(room), "%u", i);
        say_at(&table, 1, 1 + 2 * i, WALL_MS + 10, room);
        say_at(&table, 1, 2 + 2 * i, WALL_MS + 10, "lobby");
    }
    say_at(&table, 2, 1, WALL_MS, "lobby");
    assert_shown(&table, "2:1?");
    say_at(&table, 2, 2, WALL_MS, "garden");
    assert_shown(&table, "2:2");
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_ahead_of_the_clock_waits_until_it_is_due),
        cmocka_unit_test(cause_that_comes_until_the_effect_is_due_is_not_missing),
        cmocka_unit_test(past_the_early_cap_the_last_to_be_due_is_dropped),
        cmocka_unit_test(stream_passes_what_was_dropped),
        cmocka_unit_test(clock_that_goes_back_does_not_break_the_cap),
        cmocka_unit_test(event_that_belongs_before_one_shown_in_its_room_is_late),
        cmocka_unit_test(room_that_was_silent_longest_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
