/* Chunks that readers share. */
#include "io/feed_view.h"

#include <assert.h>
#include <string.h>
#include <utlist.h>

enum {
    ENTRIES_FIRST_CAP = 64,
    /* A view's first: of ten thousand views, each of other rooms, most are quiet. */
    FIRST_CHUNK_BYTES = 4 * 1024,
};

/* ---- rooms ---- */

static void room_add_view(FeedViews *views, const char *name, FeedView *view)
{
    FeedRoom *room = NULL;
    HASH_FIND_STR(views->rooms, name, room);
    if (room == NULL) {
        room = mem_new(FeedRoom);
        room->name = mem_copy_string(name);
        HASH_ADD_KEYPTR(hh, views->rooms, room->name, strlen(room->name), room);
    }
    if (room->count == room->cap) {
        room->cap = room->cap > 0 ? room->cap * 2 : 4;
        room->views = mem_resize(room->views, room->cap, sizeof(FeedView *));
    }
    room->views[room->count++] = view;
}

static void room_drop_view(FeedViews *views, const char *name, const FeedView *view)
{
    FeedRoom *room = NULL;
    HASH_FIND_STR(views->rooms, name, room);
    assert(room != NULL);
    size_t at = 0;
    while (room->views[at] != view) {
        at++;
    }
    room->views[at] = room->views[--room->count];
    if (room->count == 0) {
        HASH_DEL(views->rooms, room);
        mem_free(room->views);
        mem_free(room->name);
        mem_free(room);
    }
}

const FeedRoom *feed_views_room(const FeedViews *views, const char *name)
{
    FeedRoom *room = NULL;
    HASH_FIND_STR(views->rooms, name, room);
    return room;
}

/* ---- chunks ---- */

static void chunk_free(FeedChunk *chunk)
{
    bytes_unref(chunk->bytes);
    mem_free(chunk->entries);
    mem_free(chunk);
}

/* It is in the view no more; who stands in it finds out. */
static void chunk_remove(FeedViews *views, FeedView *view)
{
    FeedChunk *chunk = view->chunks;
    DL_DELETE(view->chunks, chunk);
    if (chunk->entries_count > 0) {
        view->from = chunk->entries[chunk->entries_count - 1].position;
    }
    view->bytes -= chunk->cap;
    views->bytes -= chunk->cap;
    if (chunk->readers == 0) {
        chunk_free(chunk);
        return;
    }
    bytes_unref(TAKE(chunk->bytes));
    mem_free(TAKE(chunk->entries));
    chunk->dropped = true;
    chunk->next = NULL;
}

/* The last one stays: it is where those who wait stand. */
static void view_trim(FeedViews *views, FeedView *view)
{
    while (view->chunks != NULL && view->chunks->next != NULL &&
           (view->chunks->readers == 0 || view->bytes > FEED_VIEW_MAX_BYTES ||
            views->bytes > FEED_MAX_BYTES)) {
        chunk_remove(views, view);
    }
}

static FeedChunk *chunk_add(FeedViews *views, FeedView *view, size_t cap)
{
    FeedChunk *chunk = mem_new(FeedChunk);
    chunk->cap = cap;
    chunk->bytes = bytes_new_empty(chunk->cap);
    DL_APPEND(view->chunks, chunk);
    view->bytes += chunk->cap;
    views->bytes += chunk->cap;
    view_trim(views, view);
    return chunk;
}

/* ---- views ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Each name once, in order. */
static char *key_of(const char *const *rooms, size_t count, size_t *ret_len)
{
    AUTO_FREE const char **sorted = mem_array(count, sizeof(char *));
    memcpy(sorted, rooms, count * sizeof(char *));
    qsort(sorted, count, sizeof(char *), compare_names);
    AUTO_STRBUF StrBuf key = {0};
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(sorted[i], sorted[i - 1]) != 0) {
            strbuf_add(&key, sorted[i], strlen(sorted[i]) + 1);
        }
    }
    *ret_len = key.len;
    return strbuf_take(&key);
}

/* Of the key's names, the one behind name; NULL as name: the first. */
static const char *next_name(const FeedView *view, const char *name)
{
    const char *next = name == NULL ? view->key : name + strlen(name) + 1;
    return next < view->key + view->key_len ? next : NULL;
}

bool feed_view_has_room(const FeedView *view, const char *name)
{
    for (const char *one = next_name(view, NULL); one != NULL; one = next_name(view, one)) {
        if (strcmp(one, name) == 0) {
            return true;
        }
    }
    return false;
}

static FeedView *view_new(FeedViews *views, char *key, size_t key_len, uint64_t position)
{
    FeedView *view = mem_new(FeedView);
    view->key = key;
    view->key_len = key_len;
    view->from = position;
    HASH_ADD_KEYPTR(hh, views->views, view->key, view->key_len, view);
    for (const char *name = next_name(view, NULL); name != NULL; name = next_name(view, name)) {
        room_add_view(views, name, view);
    }
    chunk_add(views, view, FIRST_CHUNK_BYTES);
    return view;
}

FeedView *feed_views_get(FeedViews *views, const char *const *rooms, size_t count,
                         uint64_t position)
{
    size_t len = 0;
    char *key = key_of(rooms, count, &len);
    FeedView *view = NULL;
    HASH_FIND(hh, views->views, key, len, view);
    if (view != NULL) {
        mem_free(key);
    } else {
        view = view_new(views, key, len, position);
    }
    view->readers++;
    return view;
}

void feed_view_append(FeedViews *views, FeedView *view, uint64_t position, const uint8_t *data,
                      size_t len)
{
    FeedChunk *chunk = view->chunks->prev;
    if (chunk->cap - chunk->len < len) {
        chunk = chunk_add(views, view, FEED_CHUNK_BYTES);
    }
    if (chunk->entries_count == chunk->entries_cap) {
        chunk->entries_cap = chunk->entries_cap > 0 ? chunk->entries_cap * 2 : ENTRIES_FIRST_CAP;
        chunk->entries = mem_resize(chunk->entries, chunk->entries_cap, sizeof(FeedEntry));
    }
    /* Beyond what anybody has been given: the library may be reading what is before. */
    memcpy(bytes_fill(chunk->bytes) + chunk->len, data, len);
    chunk->len += len;
    chunk->entries[chunk->entries_count++] = (FeedEntry){.position = position, .end = chunk->len};
}

void feed_views_note(FeedViews *views, FeedView *view, bool added)
{
    if (added == view->added) {
        return;
    }
    view->added = added;
    if (added) {
        LL_PREPEND2(views->added, view, next_added);
    } else {
        LL_DELETE2(views->added, view, next_added);
    }
}

void feed_views_release(FeedViews *views, FeedView *view)
{
    if (--view->readers > 0) {
        return;
    }
    for (const char *name = next_name(view, NULL); name != NULL; name = next_name(view, name)) {
        room_drop_view(views, name, view);
    }
    while (view->chunks != NULL) {
        chunk_remove(views, view);
    }
    feed_views_note(views, view, false);
    HASH_DEL(views->views, view);
    mem_free(view->key);
    mem_free(view);
}

/* ---- readers ---- */

/* Where the first message after position begins. */
static size_t offset_after(const FeedChunk *chunk, uint64_t position)
{
    size_t low = 0;
    size_t high = chunk->entries_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (chunk->entries[middle].position <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 ? chunk->entries[low - 1].end : 0;
}

bool feed_view_join(FeedView *view, FeedReader *reader)
{
    if (reader->position < view->from) {
        return false;
    }
    FeedChunk *chunk = view->chunks;
    while (chunk->next != NULL && offset_after(chunk, reader->position) == chunk->len) {
        chunk = chunk->next;
    }
    reader->chunk = chunk;
    reader->offset = offset_after(chunk, reader->position);
    chunk->readers++;
    return true;
}

void feed_view_leave(FeedViews *views, FeedView *view, FeedReader *reader)
{
    FeedChunk *chunk = TAKE(reader->chunk);
    if (chunk == NULL) {
        return;
    }
    chunk->readers--;
    if (chunk->dropped && chunk->readers == 0) {
        chunk_free(chunk);
    } else if (!chunk->dropped) {
        view_trim(views, view);
    }
}

bool feed_view_next(FeedViews *views, FeedView *view, FeedReader *reader, FeedPart *ret_part)
{
    FeedChunk *chunk = reader->chunk;
    while (reader->offset == chunk->len && chunk->next != NULL && !chunk->dropped) {
        FeedChunk *next = chunk->next;
        next->readers++; /* before the one behind is left, and trimmed */
        feed_view_leave(views, view, reader);
        chunk = next;
        reader->chunk = chunk;
        reader->offset = 0;
    }
    if (reader->offset == chunk->len || chunk->dropped) {
        return false;
    }
    *ret_part = (FeedPart){
        .bytes = chunk->bytes, .offset = reader->offset, .len = chunk->len - reader->offset};
    reader->offset = chunk->len;
    reader->position = chunk->entries[chunk->entries_count - 1].position;
    return true;
}
