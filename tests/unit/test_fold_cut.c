/* What is shown, and waited for, of streams that were cut. */
#include "fold_table.h"

static void cut(Table *table, unsigned number, uint64_t hi)
{
    StreamId stream = stream_of(number);
    fold_out_reset(&table->out);
    fold_cut(table->fold, &stream, hi, table->mono_ms, table->wall_ms, &table->out);
}

static void cause_past_a_cut_is_not_waited_for(void **state)
{
    (void)state;
    Table table = table_new();
    say(&table, 1, 1);
    cut(&table, 1, 1);
    say_after(&table, 2, 1, place(1, 3));
    assert_shown(&table, "2:1");
    assert_int_equal(table.out.wake_at_ms, 0);
    table_free(&table);
}

static void what_waits_for_a_cause_is_set_free_by_its_cut(void **state)
{
    (void)state;
    Table table = table_new();
    say(&table, 1, 1);
    say_after(&table, 2, 1, place(1, 3));
    say_after(&table, 3, 1, place(1, 2));
    say_after(&table, 4, 1, place(2, 1));
    assert_int_equal(fold_waiting(table.fold), 3);
    cut(&table, 1, 2);
    assert_shown(&table, "");
    assert_int_equal(table.out.wake_at_ms, MONO_MS + FOLD_CAUSE_WAIT_MS);
    cut(&table, 1, 1);
    assert_shown(&table, "2:1 3:1 4:1");
    assert_int_equal(table.out.wake_at_ms, 0);
    assert_int_equal(fold_waiting(table.fold), 0);
    table_free(&table);
}

static void what_counts_of_a_cut_stream_is_waited_for(void **state)
{
    (void)state;
    Table table = table_new();
    cut(&table, 1, 2);
    say_after(&table, 2, 1, place(1, 9));
    assert_shown(&table, "");
    say(&table, 1, 1);
    assert_shown(&table, "1:1");
    say(&table, 1, 2);
    assert_shown(&table, "1:2 2:1");
    say_after(&table, 3, 1, place(1, 2));
    assert_shown(&table, "3:1");
    table_free(&table);
}

static void stream_nobody_has_is_not_waited_for_where_nothing_of_it_counts(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 2, 1, place(1, 3));
    cut(&table, 1, 0);
    assert_shown(&table, "2:1");
    say_after(&table, 2, 2, place(1, 4)); /* and it is not forgotten */
    assert_shown(&table, "2:2");
    table_free(&table);
}

static void cut_stream_that_counts_again_is_waited_for(void **state)
{
    (void)state;
    Table table = table_new();
    say(&table, 1, 1);
    cut(&table, 1, 0);
    say_after(&table, 2, 1, place(1, 2));
    assert_shown(&table, "2:1");
    say(&table, 1, 2);
    assert_shown(&table, "1:2");
    say_after(&table, 2, 2, place(1, 3));
    assert_shown(&table, "");
    cut(&table, 1, UINT64_MAX);
    assert_shown(&table, "");
    say(&table, 1, 3);
    assert_shown(&table, "1:3 2:2");
    table_free(&table);
}

static void what_was_given_up_is_whole_where_the_cause_was_cut_off_since(void **state)
{
    (void)state;
    Table table = table_new();
    give(&table,
         event_of(2, 1, WALL_MS + 2 * HLC_AHEAD_MAX_MS, "2", (EventPlace[]){place(1, 1)}, 1));
    pass(&table, FOLD_CAUSE_WAIT_MS);
    assert_shown(&table, "");
    cut(&table, 1, 0);
    pass(&table, HLC_AHEAD_MAX_MS);
    assert_shown(&table, "2:1");
    table_free(&table);
}

static void what_waits_past_a_cut_is_not_shown(void **state)
{
    (void)state;
    Table table = table_new();
    for (uint64_t seq = 1; seq <= 3; seq++) {
        say_after(&table, 1, seq, place(9, 1));
    }
    say_after(&table, 2, 1, place(1, 3));
    assert_int_equal(fold_waiting(table.fold), 4);
    cut(&table, 1, 2);
    assert_int_equal(fold_waiting(table.fold), 3);
    say(&table, 9, 1);
    assert_shown(&table, "9:1 1:1 1:2 2:1"); /* who comes after the third waits for what counts */
    /* All of it, the first too. */
    say_after(&table, 1, 3, place(9, 2));
    cut(&table, 1, 0);
    assert_int_equal(fold_waiting(table.fold), 0);
    assert_int_equal(table.out.wake_at_ms, 0);
    say(&table, 9, 2);
    assert_shown(&table, "9:2");
    /* It counts again, and comes again. */
    cut(&table, 1, UINT64_MAX);
    say(&table, 1, 3);
    assert_shown(&table, "1:3");
    table_free(&table);
}

static void what_is_not_due_past_a_cut_is_not_shown(void **state)
{
    (void)state;
    Table table = table_new();
    const int64_t ahead_ms = WALL_MS + 2 * HLC_AHEAD_MAX_MS;
    give(&table, event_of(1, 1, ahead_ms, "1", NULL, 0));
    give(&table, event_of(1, 2, ahead_ms + 1, "1", NULL, 0));
    give(&table, event_of(2, 1, ahead_ms + 2, "1", NULL, 0));
    cut(&table, 1, 1);
    assert_int_equal(fold_waiting(table.fold), 2);
    cut(&table, 2, 0);
    assert_int_equal(fold_waiting(table.fold), 1);
    pass(&table, 2 * HLC_AHEAD_MAX_MS);
    assert_shown(&table, "1:1");
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cause_past_a_cut_is_not_waited_for),
        cmocka_unit_test(what_waits_for_a_cause_is_set_free_by_its_cut),
        cmocka_unit_test(what_counts_of_a_cut_stream_is_waited_for),
        cmocka_unit_test(stream_nobody_has_is_not_waited_for_where_nothing_of_it_counts),
        cmocka_unit_test(cut_stream_that_counts_again_is_waited_for),
        cmocka_unit_test(what_was_given_up_is_whole_where_the_cause_was_cut_off_since),
        cmocka_unit_test(what_waits_past_a_cut_is_not_shown),
        cmocka_unit_test(what_is_not_due_past_a_cut_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
