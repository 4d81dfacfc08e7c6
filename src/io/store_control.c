/* The control events (store_control_events), read at open.
 *
 * Who is a member hangs on MEMBER and REVOKE events: all of them are read, since a node that passed
 * over one would judge otherwise than the others, and delete what counts. ROOM_KEY events are what
 * this node can read by, and matter to nobody else. Any member can write as many as it likes: where
 * they are more than STORE_ROOM_KEYS_MAX_BYTES, each author has as much as the others, and what he
 * wrote last is left out. The first ones stay, for they say who founded a room and who let whom
 * in. */
#include "io/store_impl.h"

#include "base/heap.h"
#include "base/log.h"
#include "core/members.h"

#include <string.h>
#include <uthash.h>

/* Of one author. */
typedef struct KeyAuthor {
    uint8_t key[EVENT_KEY_BYTES];
    size_t *items; /* which of the control events, in their order */
    size_t count;
    size_t cap;
    size_t bytes;
    size_t left_out;
    HeapNode node;
    UT_hash_handle hh;
} KeyAuthor;

typedef struct Loading {
    Store *store;
    size_t cap;
    KeyAuthor *authors;
    HeapNode *most; /* who has most bytes comes first */
    size_t bytes;
    size_t left_out;
} Loading;

static bool has_more(const HeapNode *a, const HeapNode *b)
{
    return HEAP_OWNER(a, KeyAuthor, node)->bytes > HEAP_OWNER(b, KeyAuthor, node)->bytes;
}

static size_t cost_of(const LogEvent *event)
{
    return bytes_len(event->bytes) + sizeof(LogEvent);
}

static KeyAuthor *author_get(Loading *loading, const uint8_t *key)
{
    KeyAuthor *author;
    HASH_FIND(hh, loading->authors, key, EVENT_KEY_BYTES, author);
    if (author == NULL) {
        author = mem_new(KeyAuthor);
        memcpy(author->key, key, EVENT_KEY_BYTES);
        HASH_ADD(hh, loading->authors, key, EVENT_KEY_BYTES, author);
        heap_add(&loading->most, &author->node, has_more);
    }
    return author;
}

static void author_count(Loading *loading, KeyAuthor *author, size_t bytes)
{
    heap_remove(&loading->most, &author->node, has_more);
    loading->bytes += bytes - author->bytes;
    author->bytes = bytes;
    heap_add(&loading->most, &author->node, has_more);
}

static void leave_out(Loading *loading, KeyAuthor *author)
{
    author->left_out++;
    loading->left_out++;
}

static void leave_out_last(Loading *loading, KeyAuthor *author)
{
    LogEvent **at = &loading->store->control[author->items[--author->count]];
    author_count(loading, author, author->bytes - cost_of(*at));
    event_unref(TAKE(*at));
    leave_out(loading, author);
}

/* False: it is its own author who has most, and so it is left out. */
static bool make_room(Loading *loading, KeyAuthor *author, size_t cost)
{
    while (loading->bytes + cost > loading->store->room_keys_max_bytes) {
        KeyAuthor *most = HEAP_OWNER(loading->most, KeyAuthor, node);
        if (author->bytes + cost >= most->bytes) {
            leave_out(loading, author);
            return false;
        }
        leave_out_last(loading, most);
    }
    return true;
}

static void author_add(Loading *loading, KeyAuthor *author, size_t cost)
{
    if (author->count == author->cap) {
        author->cap = author->cap == 0 ? 16 : author->cap * 2;
        author->items = mem_resize(author->items, author->cap, sizeof(size_t));
    }
    author->items[author->count++] = loading->store->control_count;
    author_count(loading, author, author->bytes + cost);
}

/* Takes over the event. */
static void take(Loading *loading, LogEvent *event)
{
    Store *store = loading->store;
    if (event->fields.kind == LOG_ROOM_KEY) {
        KeyAuthor *author = author_get(loading, event->fields.stream.origin);
        size_t cost = cost_of(event);
        if (!make_room(loading, author, cost)) {
            event_unref(event);
            return;
        }
        author_add(loading, author, cost);
    }
    if (store->control_count == loading->cap) {
        loading->cap = loading->cap == 0 ? 64 : loading->cap * 2;
        store->control = mem_resize(store->control, loading->cap, sizeof(LogEvent *));
    }
    store->control[store->control_count++] = event;
}

/* ---- at the end ---- */

static void close_gaps(Store *store)
{
    size_t kept = 0;
    for (size_t i = 0; i < store->control_count; i++) {
        if (store->control[i] != NULL) {
            store->control[kept++] = store->control[i];
        }
    }
    store->control_count = kept;
}

static void tell(const Loading *loading)
{
    enum { MIB = 1024 * 1024 };
    Store *store = loading->store;
    const KeyAuthor *worst = loading->authors;
    for (const KeyAuthor *author = worst; author != NULL; author = author->hh.next) {
        worst = author->left_out > worst->left_out ? author : worst;
    }
    if (worst == NULL) {
        return; /* nothing is left out of nothing */
    }
    char fingerprint[FINGERPRINT_BYTES];
    AUTO_FREE char *before = TAKE(store->notice);
    fingerprint_text(worst->key, fingerprint);
    store_say(&store->notice,
              "%s%sthe keys of sealed rooms in %s are more than the %zu MiB that are read at a "
              "start: %zu entries were left out, %zu of them by %s, the newest ones. Some of what "
              "was said in sealed rooms may not be shown",
              before != NULL ? before : "", before != NULL ? "; " : "", store->file,
              store->room_keys_max_bytes / MIB, loading->left_out, worst->left_out, fingerprint);
    log_warning("%s", store->notice);
}

static void loading_done(Loading *loading)
{
    KeyAuthor *author;
    KeyAuthor *next;
    HASH_ITER(hh, loading->authors, author, next) {
        HASH_DEL(loading->authors, author);
        mem_free(author->items);
        mem_free(author);
    }
}

bool control_load(Store *store, Db *db)
{
    sqlite3_stmt *rows = db_statement(db, SQL_CONTROL);
    if (rows == NULL) {
        return false;
    }
    sqlite3_bind_int(rows, 1, LOG_ROOM_KEY);
    sqlite3_bind_int(rows, 2, LOG_REVOKE);
    Loading loading = {.store = store};
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        LogEvent *event = db_event(rows);
        if (event == NULL) {
            break; /* one that cannot be read is not passed over */
        }
        take(&loading, event);
    }
    sqlite3_reset(rows);
    close_gaps(store);
    if (loading.left_out > 0) {
        tell(&loading);
    }
    loading_done(&loading);
    return code == SQLITE_DONE;
}
