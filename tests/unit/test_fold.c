/* What is shown, when, and in which order. */
#include "core/fold.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const int64_t WALL_MS = INT64_C(1700000000000);
static const uint64_t MONO_MS = 5000;

/* ---- events ---- */

static StreamId stream_of(unsigned number)
{
    StreamId stream = {.origin = {1, (uint8_t)(number >> 8), (uint8_t)number}, .epoch = 1};
    return stream;
}

static EventPlace place(unsigned number, uint64_t seq)
{
    StreamId stream = stream_of(number);
    return (EventPlace){.stream = stream_tag(&stream), .seq = seq};
}

static uint64_t hlc_of(int64_t wall_ms)
{
    return (uint64_t)wall_ms << HLC_COUNTER_BITS;
}

static LogEvent *event_of(unsigned number, uint64_t seq, int64_t time_ms, const char *room,
                          const EventPlace *after, size_t after_count)
{
    EventFields fields = {
        .stream = stream_of(number),
        .seq = seq,
        .prev_hash.bytes = {seq > 1},
        .hlc = hlc_of(time_ms),
        .room = room,
        .room_len = strlen(room),
        .kind = LOG_TEXT,
        .sender = "ann",
        .sender_len = 3,
        .after_count = after_count,
    };
    for (size_t i = 0; i < after_count; i++) {
        fields.after[i] = after[i];
    }
    return event_new(&fields);
}

/* ---- a fold at work ---- */

typedef struct Table {
    Fold *fold;
    FoldOut out;
    uint64_t mono_ms;
    int64_t wall_ms;
} Table;

static Table table_new(void)
{
    return (Table){.fold = fold_new(), .mono_ms = MONO_MS, .wall_ms = WALL_MS};
}

static void table_free(Table *table)
{
    fold_out_done(&table->out);
    fold_free(table->fold);
}

static void pass(Table *table, uint64_t ms)
{
    table->mono_ms += ms;
    table->wall_ms += (int64_t)ms;
    fold_out_reset(&table->out);
    fold_timer(table->fold, table->mono_ms, table->wall_ms, &table->out);
}

/* Takes over the event. */
static void give(Table *table, LogEvent *event)
{
    fold_out_reset(&table->out);
    fold_apply(table->fold, &event, 1, 7, table->mono_ms, table->wall_ms, &table->out);
    event_unref(event);
}

/* An event of now, in a room of its stream's own: never late. */
static void say(Table *table, unsigned number, uint64_t seq)
{
    char room[16];
    snprintf(room, sizeof(room), "%u", number);
    give(table, event_of(number, seq, table->wall_ms, room, NULL, 0));
}

static void say_after(Table *table, unsigned number, uint64_t seq, EventPlace after)
{
    char room[16];
    snprintf(room, sizeof(room), "%u", number);
    give(table, event_of(number, seq, table->wall_ms, room, &after, 1));
}

static void say_at(Table *table, unsigned number, uint64_t seq, int64_t time_ms, const char *room)
{
    give(table, event_of(number, seq, time_ms, room, NULL, 0));
}

/* What was shown in the last step: "1:1 2:1!" is stream 1's first, and then stream 2's first, which
 * is incomplete; "?": late. */
static void assert_shown(const Table *table, const char *expected)
{
    char text[1024] = "";
    size_t len = 0;
    for (size_t i = 0; i < table->out.count; i++) {
        const FoldShown *shown = &table->out.items[i];
        const EventFields *fields = &shown->event->fields;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u:%u%s%s", i > 0 ? " " : "",
                                fields->stream.origin[1] * 256u + fields->stream.origin[2],
                                (unsigned)fields->seq, shown->incomplete ? "!" : "",
                                shown->late ? "?" : "");
        assert_int_equal(shown->link, 7);
    }
    assert_string_equal(text, expected);
}

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

/* ---- what was cut off ---- */

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
        cmocka_unit_test(event_ahead_of_the_clock_waits_until_it_is_due),
        cmocka_unit_test(cause_that_comes_until_the_effect_is_due_is_not_missing),
        cmocka_unit_test(past_the_early_cap_the_last_to_be_due_is_dropped),
        cmocka_unit_test(stream_passes_what_was_dropped),
        cmocka_unit_test(clock_that_goes_back_does_not_break_the_cap),
        cmocka_unit_test(event_that_belongs_before_one_shown_in_its_room_is_late),
        cmocka_unit_test(room_that_was_silent_longest_is_forgotten),
        cmocka_unit_test(own_event_comes_after_the_newest_that_were_shown_since),
        cmocka_unit_test(own_stream_and_what_waits_need_no_mention),
        cmocka_unit_test(what_another_names_needs_no_mention),
        cmocka_unit_test(streams_to_be_named_are_bounded),
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
