/* What is shown, when, and in which order. */
#include "fold_table.h"

/* ---- causes ---- */

static void event_without_causes_is_shown_at_once(void **state)
{
    (void)state;
    Table table = table_new();
    say(&table, 1, 1);
    assert_shown(&table, "1:1");
    assert_int_equal(table.out.wake_at_ms, 0);
    assert_int_equal(fold_waiting(table.fold), 0);
    table_free(&table);
}

static void effect_waits_for_its_cause(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 2, 1, place(1, 2));
    assert_shown(&table, "");
    assert_int_equal(fold_waiting(table.fold), 1);
    assert_int_equal(table.out.wake_at_ms, MONO_MS + FOLD_CAUSE_WAIT_MS);
    say(&table, 1, 1);
    assert_shown(&table, "1:1");
    say(&table, 1, 2);
    assert_shown(&table, "1:2 2:1");
    assert_int_equal(table.out.wake_at_ms, 0);
    assert_int_equal(fold_waiting(table.fold), 0);
    table_free(&table);
}

static void effect_of_three_causes_waits_for_all(void **state)
{
    (void)state;
    Table table = table_new();
    EventPlace after[] = {place(1, 1), place(2, 1), place(3, 1)};
    give(&table, event_of(4, 1, WALL_MS, "garden", after, 3));
    say(&table, 3, 1);
    assert_shown(&table, "3:1");
    say(&table, 1, 1);
    assert_shown(&table, "1:1");
    say(&table, 2, 1);
    assert_shown(&table, "2:1 4:1");
    table_free(&table);
}

static void two_places_of_one_stream_are_both_waited_for(void **state)
{
    (void)state;
    Table table = table_new();
    EventPlace after[] = {place(1, 1), place(1, 2)};
    give(&table, event_of(2, 1, WALL_MS, "lobby", after, 2));
    say(&table, 1, 1);
    assert_shown(&table, "1:1");
    say(&table, 1, 2);
    assert_shown(&table, "1:2 2:1");
    table_free(&table);
}

static void later_one_does_not_overtake_an_earlier_one_of_its_stream(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 2, 1, place(1, 1));
    say(&table, 2, 2);
    say_after(&table, 2, 3, place(3, 1));
    say(&table, 2, 4);
    assert_shown(&table, "");
    say(&table, 1, 1);
    assert_shown(&table, "1:1 2:1 2:2");
    say(&table, 3, 1);
    assert_shown(&table, "3:1 2:3 2:4");
    table_free(&table);
}

static void long_chain_is_set_free_by_its_first(void **state)
{
    (void)state;
    enum { LINKS = 5000 };
    Table table = table_new();
    for (unsigned i = LINKS; i > 0; i--) {
        say_after(&table, i, 1, place(i - 1, 1));
    }
    assert_int_equal(fold_waiting(table.fold), LINKS);
    say(&table, 0, 1);
    assert_int_equal(table.out.count, LINKS + 1);
    for (unsigned i = 0; i <= LINKS; i++) {
        StreamId stream = stream_of(i);
        assert_int_equal(stream_id_compare(&table.out.items[i].event->fields.stream, &stream), 0);
    }
    table_free(&table);
}

static void event_that_names_its_own_stream_waits_for_nothing(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 1, 1, place(1, 1));
    assert_shown(&table, "1:1");
    say_after(&table, 1, 2, place(1, 9));
    assert_shown(&table, "1:2");
    table_free(&table);
}

static void what_was_shown_in_an_earlier_life_is_not_waited_for(void **state)
{
    (void)state;
    Table table = table_new();
    StreamId stream = stream_of(1);
    fold_set_shown(table.fold, &stream, 4);
    say_after(&table, 2, 1, place(1, 4));
    assert_shown(&table, "2:1");
    say_after(&table, 2, 2, place(1, 5));
    assert_shown(&table, "");
    say(&table, 1, 5);
    assert_shown(&table, "1:5 2:2");
    table_free(&table);
}

static void what_is_set_free_together_comes_in_order(void **state)
{
    (void)state;
    Table table = table_new();
    EventPlace after = place(1, 1);
    give(&table, event_of(3, 1, WALL_MS + 5, "lobby", &after, 1));
    give(&table, event_of(4, 1, WALL_MS + 2, "lobby", &after, 1));
    give(&table, event_of(5, 1, WALL_MS + 9, "lobby", &after, 1));
    LogEvent *events[] = {event_of(1, 1, WALL_MS, "lobby", NULL, 0),
                          event_of(1, 2, WALL_MS + 3, "lobby", NULL, 0),
                          event_of(1, 3, WALL_MS + 7, "lobby", NULL, 0)};
    fold_out_reset(&table.out);
    fold_apply(table.fold, events, 3, 7, MONO_MS, WALL_MS, &table.out);
    assert_shown(&table, "1:1 4:1 1:2 3:1 1:3 5:1");
    for (size_t i = 0; i < 3; i++) {
        event_unref(events[i]);
    }
    table_free(&table);
}

/* ---- causes that do not come ---- */

static void cause_that_nobody_sends_is_waited_for_ten_seconds(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 2, 1, place(1, 1));
    pass(&table, FOLD_CAUSE_WAIT_MS - 1);
    assert_shown(&table, "");
    assert_int_equal(table.out.wake_at_ms, MONO_MS + FOLD_CAUSE_WAIT_MS);
    pass(&table, 1);
    assert_shown(&table, "2:1!");
    assert_int_equal(table.out.wake_at_ms, 0);
    table_free(&table);
}

static void streams_in_a_circle_are_set_free_by_time(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 1, 1, place(2, 1));
    say_after(&table, 2, 1, place(3, 1));
    say_after(&table, 3, 1, place(1, 1));
    pass(&table, FOLD_CAUSE_WAIT_MS);
    assert_shown(&table, "1:1! 3:1 2:1"); /* one is enough; they are of one time: by stream */
    table_free(&table);
}

static void many_events_after_a_lost_stream_wait_together(void **state)
{
    (void)state;
    Table table = table_new();
    for (unsigned i = 1; i <= 4; i++) {
        say_after(&table, 2, i, place(1, i));
    }
    table.mono_ms += 5;
    say_after(&table, 2, 5, place(1, 5));
    pass(&table, FOLD_CAUSE_WAIT_MS - 5);
    assert_shown(&table, "2:1! 2:2! 2:3! 2:4!");
    assert_int_equal(table.out.wake_at_ms, MONO_MS + FOLD_CAUSE_WAIT_MS + 5);
    table_free(&table);
}

static void stream_that_is_catching_up_is_waited_for(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 2, 1, place(1, 4));
    for (unsigned i = 1; i <= 3; i++) {
        pass(&table, FOLD_CAUSE_WAIT_MS - 1);
        say(&table, 1, i);
        assert_int_equal(table.out.count, 1);
    }
    pass(&table, FOLD_CAUSE_WAIT_MS - 1);
    assert_shown(&table, "");
    pass(&table, 1);
    assert_shown(&table, "2:1!");
    table_free(&table);
}

static void past_the_cap_the_one_waiting_longest_is_shown_without(void **state)
{
    (void)state;
    Table table = table_new();
    say_after(&table, 2, 1, place(1, 1));
    table.mono_ms++;
    say_after(&table, 3, 1, place(1, 1));
    for (unsigned i = 2; i <= FOLD_WAITING_MAX - 1; i++) {
        say(&table, 3, i);
        assert_int_equal(table.out.count, 0);
    }
    assert_int_equal(fold_waiting(table.fold), FOLD_WAITING_MAX);
    say_after(&table, 4, 1, place(1, 1));
    assert_shown(&table, "2:1!");
    assert_int_equal(fold_waiting(table.fold), FOLD_WAITING_MAX);
    say(&table, 4, 2); /* and with it all those behind it */
    assert_int_equal(table.out.count, FOLD_WAITING_MAX - 1);
    assert_true(table.out.items[0].incomplete);
    assert_false(table.out.items[1].incomplete);
    assert_int_equal(fold_waiting(table.fold), 2);
    say(&table, 1, 1);
    assert_shown(&table, "1:1 4:1 4:2");
    table_free(&table);
}

/* ---- what an own event comes after ---- */

static void assert_after(Table *table, unsigned own, const EventPlace *expected, size_t count)
{
    EventPlace after[EVENT_AFTER_MAX];
    StreamId stream = stream_of(own);
    assert_int_equal(fold_take_after(table->fold, &stream, after), count);
    for (size_t i = 0; i < count; i++) {
        assert_memory_equal(&after[i].stream, &expected[i].stream, sizeof(StreamTag));
        assert_int_equal(after[i].seq, expected[i].seq);
    }
}

static void own_event_comes_after_the_newest_that_were_shown_since(void **state)
{
    (void)state;
    Table table = table_new();
    assert_after(&table, 9, NULL, 0);
    const unsigned times[] = {0, 4, 1, 5, 3, 2};
    for (unsigned i = 1; i <= 5; i++) {
        say_at(&table, i, 1, WALL_MS + times[i], "lobby");
    }
    assert_after(&table, 9, (EventPlace[]){place(3, 1), place(1, 1), place(4, 1)}, 3);
    assert_after(&table, 9, (EventPlace[]){place(5, 1), place(2, 1)}, 2);
    assert_after(&table, 9, NULL, 0);
    say_at(&table, 2, 2, WALL_MS + 7, "lobby");
    say_at(&table, 2, 3, WALL_MS + 8, "lobby");
    assert_after(&table, 9, (EventPlace[]){place(2, 3)}, 1);
    table_free(&table);
}

static void own_stream_and_what_waits_need_no_mention(void **state)
{
    (void)state;
    Table table = table_new();
    say(&table, 9, 1);
    say_after(&table, 2, 1, place(3, 1));
    assert_after(&table, 9, NULL, 0);
    assert_after(&table, 8, NULL, 0);
    table_free(&table);
}

static void what_another_names_needs_no_mention(void **state)
{
    (void)state;
    Table table = table_new();
    say(&table, 1, 1);
    say(&table, 2, 1);
    say(&table, 2, 2);
    EventPlace after[] = {place(1, 1), place(2, 1)};
    give(&table, event_of(3, 1, WALL_MS, "lobby", after, 2));
    /* Stream 2's second is not covered; what stream 3's first covers stays covered. */
    say(&table, 3, 2);
    assert_after(&table, 9, (EventPlace[]){place(2, 2), place(3, 2)}, 2);
    say(&table, 1, 2);
    assert_after(&table, 9, (EventPlace[]){place(1, 2)}, 1);
    table_free(&table);
}

static void streams_to_be_named_are_bounded(void **state)
{
    (void)state;
    Table table = table_new();
    for (unsigned i = 0; i <= FOLD_FRESH_MAX; i++) {
        say_at(&table, i, 1, WALL_MS - i, "lobby");
    }
    StreamId own = stream_of(999);
    size_t count = 0;
    EventPlace after[EVENT_AFTER_MAX];
    assert_after(&table, 999, (EventPlace[]){place(1, 1), place(2, 1), place(3, 1)}, 3);
    for (size_t n = EVENT_AFTER_MAX; n > 0; count += n) {
        n = fold_take_after(table.fold, &own, after);
    }
    assert_int_equal(count, FOLD_FRESH_MAX - 3);
    table_free(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(event_without_causes_is_shown_at_once),
        cmocka_unit_test(effect_waits_for_its_cause),
        cmocka_unit_test(effect_of_three_causes_waits_for_all),
        cmocka_unit_test(two_places_of_one_stream_are_both_waited_for),
        cmocka_unit_test(later_one_does_not_overtake_an_earlier_one_of_its_stream),
        cmocka_unit_test(long_chain_is_set_free_by_its_first),
        cmocka_unit_test(event_that_names_its_own_stream_waits_for_nothing),
        cmocka_unit_test(what_was_shown_in_an_earlier_life_is_not_waited_for),
        cmocka_unit_test(what_is_set_free_together_comes_in_order),
        cmocka_unit_test(cause_that_nobody_sends_is_waited_for_ten_seconds),
        cmocka_unit_test(streams_in_a_circle_are_set_free_by_time),
        cmocka_unit_test(many_events_after_a_lost_stream_wait_together),
        cmocka_unit_test(stream_that_is_catching_up_is_waited_for),
        cmocka_unit_test(past_the_cap_the_one_waiting_longest_is_shown_without),
        cmocka_unit_test(own_event_comes_after_the_newest_that_were_shown_since),
        cmocka_unit_test(own_stream_and_what_waits_need_no_mention),
        cmocka_unit_test(what_another_names_needs_no_mention),
        cmocka_unit_test(streams_to_be_named_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
