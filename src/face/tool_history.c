/* The last lines of a room, oldest first, however many. The store gives pages from the end on: it
 * goes down to where the lines begin, remembering only where each page starts, and reads the pages
 * again on the way up.
 *
 *    ... [ page 3 ][ page 2 ][ page 1 ] end         down:  1, 2, 3; the lines begin within 3
 *                                                   up:    3, 2, 1 are shown
 *
 * What a node that runs stores meanwhile may make a page too long for one answer; going down once
 * more, within that page, mends it. */
#include "face/tool_impl.h"

#include <string.h>

typedef struct History {
    Tool *tool;
    EventFields *ends; /* where the pages still to be shown end, the last first; never empty */
    size_t count;
    size_t cap;
    size_t left; /* going down: lines still to be found */
    bool going_up;
    EventFields shown; /* going up: all before this place has been */
    char room[EVENT_ROOM_MAX_BYTES + 1];
} History;

static void history_free(void *work)
{
    History *history = work;
    mem_free(history->ends);
    mem_free(history);
}

/* Only the place is kept: the texts are gone after the callback. */
static EventFields place_of(const EventFields *fields)
{
    return (EventFields){.hlc = fields->hlc, .stream = fields->stream, .seq = fields->seq};
}

static void history_push(History *history, const EventFields *end)
{
    if (history->count == history->cap) {
        history->cap = history->cap == 0 ? 16 : history->cap * 2;
        history->ends = mem_resize(history->ends, history->cap, sizeof(*history->ends));
    }
    history->ends[history->count++] = place_of(end);
}

static bool is_line(Tool *tool, LogEvent *event)
{
    AUTO_EVENT LogEvent *opened = tool_open_event(tool, event);
    Message *message = opened != NULL ? message_of_event(opened, 0) : NULL;
    message_unref(message);
    return message != NULL;
}

/* Where the last `left` lines begin; 0, and left less by what is there, where they do not fit. */
static size_t find_beginning(History *history, const StoreEvents *page)
{
    for (size_t i = page->count; i > 0; i--) {
        if (is_line(history->tool, page->events[i - 1]) && --history->left == 0) {
            return i - 1;
        }
    }
    return 0;
}

static void history_on_page(void *context, const StoreEvents *page);

static void history_read(Tool *tool)
{
    History *history = tool->work;
    const char *room = history->room;
    int64_t since_ms = tool->options.since_ms;
    StorePage page = {
        .room = room,
        .room_len = strlen(room),
        .before = &history->ends[history->count - 1],
        .since_hlc = since_ms < 0 ? 0 : (uint64_t)since_ms << HLC_COUNTER_BITS,
        .max_events = history->going_up || history->left > STORE_READ_MAX_EVENTS
                          ? STORE_READ_MAX_EVENTS
                          : history->left,
    };
    Err err = store_read_page(tool->store, &page, history_on_page, history);
    if (err != ERR_OK) {
        tool_fail_read(tool, err);
    }
}

static void history_finish(History *history, bool found)
{
    Tool *tool = history->tool;
    if (!found) {
        tool_note(tool, "nothing was said in %s%s",
                  tool->options.room != NULL ? tool->options.room : MESSAGE_LOBBY,
                  tool->options.since_ms >= 0 ? " since then" : "");
    }
    tool_end(tool);
}

static void history_show(History *history, const StoreEvents *page, size_t first)
{
    Tool *tool = history->tool;
    for (size_t i = first; i < page->count; i++) {
        const EventFields *fields = &page->events[i]->fields;
        if (!history->going_up || event_compare(fields, &history->shown) >= 0) {
            tool_add_event(tool, page->events[i], NULL);
        }
    }
    bool found = history->going_up || page->count > 0;
    history->going_up = true;
    history->shown = history->ends[--history->count];
    if (history->count == 0) {
        history_finish(history, found);
    } else {
        tool_flush(tool, history_read);
    }
}

/* Does the page go back as far as is wanted? */
static bool reaches(const History *history, const StoreEvents *page)
{
    if (!page->more) {
        return true;
    }
    return history->going_up ? event_compare(&page->events[0]->fields, &history->shown) <= 0
                             : history->left == 0;
}

static void history_on_page(void *context, const StoreEvents *page)
{
    History *history = context;
    if (history->tool->closing) {
        return;
    }
    if (page->err != ERR_OK) {
        tool_fail_read(history->tool, page->err);
        return;
    }
    size_t first = history->going_up ? 0 : find_beginning(history, page);
    if (reaches(history, page)) {
        history_show(history, page, first);
    } else {
        history_push(history, &page->events[0]->fields);
        history_read(history->tool);
    }
}

void tool_history(Tool *tool)
{
    const char *room = tool->options.room != NULL ? tool->options.room : MESSAGE_LOBBY;
    char id[EVENT_ROOM_MAX_BYTES + 1];
    if (!tool_room_id(tool, room, id)) {
        return;
    }
    History *history = mem_new(History);
    history->tool = tool;
    memcpy(history->room, id, sizeof(id));
    history->left = tool->options.count > 0 ? tool->options.count : SIZE_MAX;
    tool->work = history;
    tool->work_free = history_free;
    /* What is dated later is not due, in the chat neither (hlc_is_due). */
    EventFields end = {.hlc = (uint64_t)(tool->now_ms + HLC_AHEAD_MAX_MS) << HLC_COUNTER_BITS};
    history_push(history, &end);
    history_read(tool);
}
