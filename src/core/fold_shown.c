/* What is noted of the events that are shown: which of them come late, and which of them the next
 * own event has to name. */
#include "core/fold_state.h"

#include <string.h>
#include <utlist.h>

/* ---- out ---- */

static void out_add(FoldOut *out, FoldShown shown)
{
    if (out->count == out->cap) {
        out->cap = out->cap > 0 ? out->cap * 2 : 64;
        out->items = mem_resize(out->items, out->cap, sizeof(FoldShown));
    }
    out->items[out->count++] = shown;
}

void fold_out_reset(FoldOut *out)
{
    for (size_t i = 0; i < out->count; i++) {
        event_unref(out->items[i].event);
    }
    out->count = 0;
    out->wake_at_ms = 0;
}

void fold_out_done(FoldOut *out)
{
    fold_out_reset(out);
    mem_free(TAKE(out->items));
    out->cap = 0;
}

/* ---- late ---- */

static FoldRoom *room_new(Fold *fold, const EventFields *fields)
{
    if (HASH_COUNT(fold->rooms) >= FOLD_ROOMS_MAX) {
        FoldRoom *oldest = fold->rooms_used;
        HASH_DEL(fold->rooms, oldest);
        DL_DELETE(fold->rooms_used, oldest);
        mem_free(oldest);
    }
    FoldRoom *room = mem_new(FoldRoom);
    memcpy(room->name, fields->room, fields->room_len);
    HASH_ADD_KEYPTR(hh, fold->rooms, room->name, fields->room_len, room);
    DL_APPEND(fold->rooms_used, room);
    return room;
}

/* Was one that belongs behind it shown before? */
static bool room_note(Fold *fold, const EventFields *fields)
{
    FoldRoom *room;
    HASH_FIND(hh, fold->rooms, fields->room, fields->room_len, room);
    if (room == NULL) {
        room = room_new(fold, fields);
    } else if (room->next != NULL) {
        DL_DELETE(fold->rooms_used, room);
        DL_APPEND(fold->rooms_used, room);
    }
    if (event_compare(fields, &room->highest) < 0) {
        return true;
    }
    room->highest.hlc = fields->hlc;
    room->highest.stream = fields->stream;
    room->highest.seq = fields->seq;
    return false;
}

/* ---- fresh: what the next own event comes after ---- */

static void fresh_remove(Fold *fold, FoldStream *stream)
{
    DL_DELETE(fold->fresh, stream);
    fold->fresh_count--;
    stream->fresh = false;
}

/* What the event names itself needs no naming beside it. Where such a place is shown only after the
 * event (which was incomplete), both are named: more than needed, and true. */
static void fresh_note(Fold *fold, FoldStream *stream, const EventFields *fields)
{
    for (size_t i = 0; i < fields->after_count; i++) {
        FoldStream *cause = fold_stream(fold, &fields->after[i].stream);
        if (cause != NULL && cause->fresh && cause->fresh_seq <= fields->after[i].seq) {
            fresh_remove(fold, cause);
        }
    }
    if (stream->fresh) {
        fresh_remove(fold, stream);
    } else if (fold->fresh_count == FOLD_FRESH_MAX) {
        fresh_remove(fold, fold->fresh);
    }
    stream->fresh = true;
    stream->fresh_seq = fields->seq;
    stream->fresh_hlc = fields->hlc;
    DL_APPEND(fold->fresh, stream);
    fold->fresh_count++;
}

static FoldStream *fresh_newest(const Fold *fold)
{
    FoldStream *newest = fold->fresh;
    FoldStream *stream;
    DL_FOREACH(fold->fresh, stream) {
        if (stream->fresh_hlc > newest->fresh_hlc) {
            newest = stream;
        }
    }
    return newest;
}

size_t fold_take_after(Fold *fold, const StreamId *own, EventPlace ret_after[EVENT_AFTER_MAX])
{
    FoldStream *own_stream = fold_stream(fold, stream_tag_kept(&fold->own, own));
    if (own_stream != NULL && own_stream->fresh) {
        fresh_remove(fold, own_stream);
    }
    size_t count = 0;
    while (count < EVENT_AFTER_MAX && fold->fresh != NULL) {
        FoldStream *stream = fresh_newest(fold);
        ret_after[count++] = (EventPlace){.stream = stream->tag, .seq = stream->fresh_seq};
        fresh_remove(fold, stream);
    }
    return count;
}

/* ---- both ---- */

void fold_show(FoldStep *step, FoldStream *stream, LogEvent *event, size_t link, bool incomplete)
{
    bool late = room_note(step->fold, &event->fields);
    fresh_note(step->fold, stream, &event->fields);
    out_add(step->out, (FoldShown){.event = event,
                                   .tag = stream->tag,
                                   .late = late,
                                   .incomplete = incomplete,
                                   .link = link});
}

void fold_shown_free(Fold *fold)
{
    FoldRoom *room;
    FoldRoom *next;
    HASH_ITER(hh, fold->rooms, room, next) {
        HASH_DEL(fold->rooms, room);
        mem_free(room);
    }
}
