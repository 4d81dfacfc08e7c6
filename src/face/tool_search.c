/* Lines with all of the words, newest first. All that one search can find is asked for, so that it
 * can be said how much more there is. */
#include "face/tool_impl.h"

static void say_more(Tool *tool, const StoreHits *hits, size_t shown, size_t left)
{
    if (shown == 0) {
        tool_note(tool, "nothing found");
    } else if (hits->more) {
        tool_note(tool, "at least %zu more: another word, --room or --from narrows it", left + 1);
    } else if (left > 0) {
        tool_note(tool, "%zu more: -n %zu shows %s", left, shown + left, left == 1 ? "it" : "them");
    }
    if (hits->unsearched > 0) {
        tool_note(tool,
                  "%llu lines are not searched yet: the node does it as soon as it has a moment",
                  (unsigned long long)hits->unsearched);
    }
}

static void search_on_hits(void *context, const StoreHits *hits)
{
    Tool *tool = context;
    if (tool->closing) {
        return;
    }
    if (hits->err != ERR_OK) {
        tool_fail_read(tool, hits->err);
        return;
    }
    size_t shown = 0;
    size_t at = 0;
    for (; at < hits->count && shown < tool->options.count; at++) {
        shown += tool_add_event(tool, hits->hits[at].event, hits->hits[at].snippet) ? 1 : 0;
    }
    say_more(tool, hits, shown, hits->count - at);
    tool_end(tool);
}

void tool_search(Tool *tool)
{
    char room[EVENT_ROOM_MAX_BYTES + 1];
    if (tool->options.room != NULL && !tool_room_id(tool, tool->options.room, room)) {
        return;
    }
    StoreSearch asked = {
        .words = tool->options.words,
        .room = tool->options.room != NULL ? room : NULL,
        .sender = tool->options.from,
        .until_hlc = ((uint64_t)(tool->now_ms + HLC_AHEAD_MAX_MS) << HLC_COUNTER_BITS) - 1,
        .max_hits = STORE_SEARCH_MAX_HITS,
    };
    Err err = store_search(tool->store, &asked, search_on_hits, tool);
    if (err == ERR_INVALID) {
        tool_fail(tool, "the words must be UTF-8");
    } else if (err != ERR_OK) {
        tool_fail_read(tool, err);
    }
}
