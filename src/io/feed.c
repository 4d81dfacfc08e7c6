/* Readers, in memory and behind. */
#include "io/feed_view.h"
#include "io/wire_batch.h"

#include "base/log.h"

#include <string.h>
#include <utlist.h>

struct Feed {
    Store *store;
    Keyring *keyring;
    uint64_t position;
    FeedViews views;
    size_t readers;
    size_t reads;
    FeedReader *parked; /* behind, and waiting for their turn to ask the store */
    StrBuf encoded;     /* kept for the next */
    FeedMark mark;      /* NULL: nothing is marked */
    void *mark_context;
};

/* What was asked of the store for a reader, which may be gone when the answer comes. */
struct FeedRead {
    Feed *feed;
    FeedReader *reader; /* NULL: gone */
};

Feed *feed_new(Store *store, uint64_t position)
{
    Feed *feed = mem_new(Feed);
    feed->store = store;
    feed->position = position;
    return feed;
}

void feed_set_mark(Feed *feed, FeedMark mark, void *context)
{
    feed->mark = mark;
    feed->mark_context = context;
}

void feed_free(Feed *feed)
{
    if (feed != NULL) {
        strbuf_done(&feed->encoded);
        mem_free(feed);
    }
}

void feed_set_keyring(Feed *feed, Keyring *keyring)
{
    feed->keyring = keyring;
}

uint64_t feed_position(const Feed *feed)
{
    return feed->position;
}

size_t feed_readers(const Feed *feed)
{
    return feed->readers;
}

/* ---- what comes ---- */

/* Lines and actions; direct messages are for whom they name. */
static bool is_told(const Message *message)
{
    return message->kind <= MESSAGE_ACTION && !message_is_direct(message);
}

void feed_add(Feed *feed, uint64_t position, Message *message)
{
    feed->position = position;
    const FeedRoom *room =
        message != NULL && is_told(message) ? feed_views_room(&feed->views, message->room) : NULL;
    if (room == NULL) {
        return;
    }
    strbuf_clear(&feed->encoded);
    wire_batch_add(&feed->encoded, message, position);
    for (size_t i = 0; i < room->count; i++) {
        FeedView *view = room->views[i];
        feed_view_append(&feed->views, view, position, (const uint8_t *)feed->encoded.text,
                         feed->encoded.len);
        feed_views_note(&feed->views, view, true);
    }
}

static void read_next(Feed *feed);

/* A reader that is woken may leave, and with it its view; so the view that is worked on is held. */
static void wake_all(Feed *feed, FeedView *view)
{
    view->readers++;
    /* Those who wait again stand behind that one. */
    const FeedReader *last = view->waiting != NULL ? view->waiting->prev : NULL;
    bool more = last != NULL;
    while (more) {
        FeedReader *reader = view->waiting;
        more = reader != last;
        DL_DELETE(view->waiting, reader);
        reader->waiting = false;
        reader->wake(reader);
    }
    feed_views_release(&feed->views, view);
}

void feed_flush(Feed *feed)
{
    read_next(feed); /* where the store had too much to do for others */
    while (feed->views.added != NULL) {
        FeedView *view = feed->views.added;
        feed_views_note(&feed->views, view, false);
        wake_all(feed, view);
    }
}

/* ---- behind ---- */

static void read_answered(void *context, const StoreJournal *result);

/* Asks for what is behind the reader's position; not for too many at once. */
static void read_next(Feed *feed)
{
    while (feed->parked != NULL && feed->reads < FEED_READS_MAX) {
        FeedReader *reader = feed->parked;
        FeedRead *read = mem_new(FeedRead);
        read->feed = feed;
        Err err = store_read_journal(feed->store, reader->position + 1, FEED_READ_EVENTS,
                                     FEED_READ_BYTES, read_answered, read);
        if (err != ERR_OK) { /* as many wait as may: those of others */
            mem_free(read);
            return;
        }
        DL_DELETE(feed->parked, reader);
        reader->parked = false;
        reader->read = read;
        read->reader = reader;
        feed->reads++;
    }
}

/* Of what is committed, all that was released: the rest comes through memory. */
static void take_answer(Feed *feed, FeedReader *reader, const StoreJournal *result)
{
    AUTO_STRBUF StrBuf encoded = {0};
    uint64_t end = result->next - 1 < feed->position ? result->next - 1 : feed->position;
    for (size_t i = 0; i < result->count && result->positions[i] <= end; i++) {
        int64_t said_ms = hlc_time_ms(result->events[i]->fields.hlc);
        AUTO_EVENT LogEvent *opened = keyring_open(feed->keyring, result->events[i]);
        Message *message =
            opened != NULL ? message_of_event(opened, loop_utc_offset_s(said_ms)) : NULL;
        if (message != NULL && is_told(message) &&
            feed_view_has_room(reader->view, message->room)) {
            if (feed->mark != NULL) {
                feed->mark(feed->mark_context, result->events[i], message);
            }
            wire_batch_add(&encoded, message, result->positions[i]);
        }
        message_unref(message);
    }
    /* The journal has something for every position up to the feed's. */
    reader->failed = end <= reader->position && reader->position < feed->position;
    reader->position = end > reader->position ? end : reader->position;
    if (encoded.len > 0) {
        reader->stored = bytes_new(encoded.text, encoded.len);
        reader->stored_given = false;
    }
}

static void read_answered(void *context, const StoreJournal *result)
{
    FeedRead *read = context;
    Feed *feed = read->feed;
    FeedReader *reader = read->reader;
    mem_free(read);
    feed->reads--;
    if (reader != NULL) {
        reader->read = NULL;
        if (result->err == ERR_OK) {
            take_answer(feed, reader, result);
        } else {
            log_error("a subscriber cannot be served from the log: %s", err_text(result->err));
            reader->failed = true;
        }
        reader->wake(reader);
    }
    read_next(feed);
}

static void park(Feed *feed, FeedReader *reader)
{
    reader->parked = true;
    DL_APPEND(feed->parked, reader);
    read_next(feed);
}

/* ---- readers ---- */

void feed_follow(Feed *feed, FeedReader *reader, const char *const *rooms, size_t rooms_count,
                 uint64_t position)
{
    reader->view = feed_views_get(&feed->views, rooms, rooms_count, feed->position);
    reader->position = position;
    feed->readers++;
}

void feed_unfollow(Feed *feed, FeedReader *reader)
{
    FeedView *view = TAKE(reader->view);
    if (reader->waiting) {
        DL_DELETE(view->waiting, reader);
        reader->waiting = false;
    }
    if (reader->parked) {
        DL_DELETE(feed->parked, reader);
        reader->parked = false;
    }
    if (reader->read != NULL) {
        TAKE(reader->read)->reader = NULL;
    }
    bytes_unref(TAKE(reader->stored));
    feed_view_leave(&feed->views, view, reader);
    feed_views_release(&feed->views, view);
    feed->readers--;
}

static FeedNext reader_wait(FeedReader *reader)
{
    reader->waiting = true;
    DL_APPEND(reader->view->waiting, reader);
    return FEED_WAIT;
}

FeedNext feed_next(Feed *feed, FeedReader *reader, FeedPart *ret_part)
{
    if (reader->waiting || reader->parked || reader->read != NULL) {
        return FEED_WAIT;
    }
    if (reader->stored != NULL && !reader->stored_given) {
        reader->stored_given = true;
        *ret_part = (FeedPart){.bytes = reader->stored, .len = bytes_len(reader->stored)};
        return FEED_PART;
    }
    bytes_unref(TAKE(reader->stored));
    if (reader->failed) {
        return FEED_FAILED;
    }
    if (reader->chunk != NULL && reader->chunk->dropped) {
        feed_view_leave(&feed->views, reader->view, reader);
    }
    if (reader->chunk == NULL && !feed_view_join(reader->view, reader)) {
        park(feed, reader);
        return FEED_WAIT;
    }
    if (feed_view_next(&feed->views, reader->view, reader, ret_part)) {
        return FEED_PART;
    }
    return reader->chunk->dropped ? feed_next(feed, reader, ret_part) : reader_wait(reader);
}
