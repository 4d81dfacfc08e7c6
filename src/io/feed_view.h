/* The part of the feed that is in memory: rooms, views and their chunks. For feed*.c alone. */
#pragma once

#include "base/strbuf.h"
#include "io/feed.h"

#include <uthash.h>

/* Where each message ends, so that a reader that comes from the store finds its place. */
typedef struct FeedEntry {
    uint64_t position;
    size_t end;
} FeedEntry;

struct FeedChunk {
    Bytes *bytes; /* cap bytes, filled up to len; dropped: NULL */
    size_t len;
    size_t cap;
    FeedEntry *entries;
    size_t entries_count;
    size_t entries_cap;
    size_t readers;
    bool dropped; /* for its age: those who stand in it are behind */
    FeedChunk *next;
    FeedChunk *prev;
};

struct FeedView {
    char *key; /* the rooms' names in order, each with its NUL */
    size_t key_len;
    size_t readers;
    uint64_t from; /* all that was added after this position is in the chunks */
    FeedChunk *chunks;
    size_t bytes;
    FeedReader *waiting;
    bool added; /* it is among FeedViews.added */
    FeedView *next_added;
    UT_hash_handle hh;
};

/* The views in which a room is. */
typedef struct FeedRoom {
    char *name;
    FeedView **views;
    size_t count;
    size_t cap;
    UT_hash_handle hh;
} FeedRoom;

typedef struct FeedViews {
    FeedView *views;
    FeedRoom *rooms;
    FeedView *added; /* those to which something was added, and whose readers do not know yet */
    size_t bytes;    /* in all chunks */
} FeedViews;

/* The view of these rooms, made where there is none: it then holds what comes after position. */
FeedView *feed_views_get(FeedViews *views, const char *const *rooms, size_t count,
                         uint64_t position);
/* Notes that its readers are to be woken; and, taken back, that they were. */
void feed_views_note(FeedViews *views, FeedView *view, bool added);
/* One reader less; the last one's leaving frees it. */
void feed_views_release(FeedViews *views, FeedView *view);
const FeedRoom *feed_views_room(const FeedViews *views, const char *name);

void feed_view_append(FeedViews *views, FeedView *view, uint64_t position, const uint8_t *data,
                      size_t len);
/* Puts the reader, which has no chunk, behind its position. False: that is in memory no more. */
bool feed_view_join(FeedView *view, FeedReader *reader);
/* Takes the reader out of its chunk. */
void feed_view_leave(FeedViews *views, FeedView *view, FeedReader *reader);
/* All from the reader's place to the end of its chunk, or of the next. False: nothing, or the chunk
 * was dropped. */
bool feed_view_next(FeedViews *views, FeedView *view, FeedReader *reader, FeedPart *ret_part);
/* Is it one of these rooms'? */
bool feed_view_has_room(const FeedView *view, const char *name);
