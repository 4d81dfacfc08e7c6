/* A fold at work, the events it is given, and what it shows as readable text: for tests of it. */
#pragma once

#include "core/fold.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const int64_t WALL_MS = INT64_C(1700000000000);
static const uint64_t MONO_MS = 5000;

/* ---- events ---- */

static inline StreamId stream_of(unsigned number)
{
    StreamId stream = {.origin = {1, (uint8_t)(number >> 8), (uint8_t)number}, .epoch = 1};
    return stream;
}

static inline EventPlace place(unsigned number, uint64_t seq)
{
    StreamId stream = stream_of(number);
    return (EventPlace){.stream = stream_tag(&stream), .seq = seq};
}

static inline uint64_t hlc_of(int64_t wall_ms)
{
    return (uint64_t)wall_ms << HLC_COUNTER_BITS;
}

static inline LogEvent *event_of(unsigned number, uint64_t seq, int64_t time_ms, const char *room,
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

static inline Table table_new(void)
{
    return (Table){.fold = fold_new(), .mono_ms = MONO_MS, .wall_ms = WALL_MS};
}

static inline void table_free(Table *table)
{
    fold_out_done(&table->out);
    fold_free(table->fold);
}

static inline void pass(Table *table, uint64_t ms)
{
    table->mono_ms += ms;
    table->wall_ms += (int64_t)ms;
    fold_out_reset(&table->out);
    fold_timer(table->fold, table->mono_ms, table->wall_ms, &table->out);
}

/* Takes over the event. */
static inline void give(Table *table, LogEvent *event)
{
    fold_out_reset(&table->out);
    fold_apply(table->fold, &event, 1, 7, table->mono_ms, table->wall_ms, &table->out);
    event_unref(event);
}

/* An event of now, in a room of its stream's own: never late. */
static inline void say(Table *table, unsigned number, uint64_t seq)
{
    char room[16];
    snprintf(room, sizeof(room), "%u", number);
    give(table, event_of(number, seq, table->wall_ms, room, NULL, 0));
}

static inline void say_after(Table *table, unsigned number, uint64_t seq, EventPlace after)
{
    char room[16];
    snprintf(room, sizeof(room), "%u", number);
    give(table, event_of(number, seq, table->wall_ms, room, &after, 1));
}

static inline void say_at(Table *table, unsigned number, uint64_t seq, int64_t time_ms,
                          const char *room)
{
    give(table, event_of(number, seq, time_ms, room, NULL, 0));
}

/* What was shown in the last step: "1:1 2:1!" is stream 1's first, and then stream 2's first, which
 * is incomplete; "?": late. */
static inline void assert_shown(const Table *table, const char *expected)
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
