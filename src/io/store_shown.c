/* Reads that go by time, in the order in which events are shown (event_compare): pages of a room,
 * the newest events of some kinds, and the list of rooms. Each walks an index from its newest end
 * and stops when it has enough, so that what it costs does not grow with the log. */
#include "io/store_reader.h"

#include <string.h>

static int failure(Db *db)
{
    return sqlite3_extended_errcode(db->sqlite);
}

/* Rows from the newest on, at most max of them, as an answer from the oldest on. */
static void take_newest(Read *read, Db *db, sqlite3_stmt *rows, size_t max)
{
    Answer *answer = &read->answer;
    int code = SQLITE_DONE;
    while (read->err == ERR_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        size_t len = (size_t)sqlite3_column_bytes(rows, 2);
        if (answer->count == max ||
            (answer->count > 0 && answer->bytes + len > STORE_READ_MAX_BYTES)) {
            read->more = true;
            break;
        }
        LogEvent *event = db_event(rows);
        if (event == NULL) {
            read->err = read_damaged(read->job.store, sqlite3_column_int64(rows, 0));
        } else {
            answer_add(answer, event);
        }
    }
    sqlite3_reset(rows);
    if (read->err == ERR_OK && code != SQLITE_ROW && code != SQLITE_DONE) {
        read->err = read_failed(read->job.store, db, code);
    }
    for (size_t i = 0; i < answer->count / 2; i++) {
        LogEvent *event = answer->events[i];
        answer->events[i] = answer->events[answer->count - 1 - i];
        answer->events[answer->count - 1 - i] = event;
    }
}

/* ---- pages of a room ---- */

static Err find_room(Store *store, Db *db, const char *name, size_t len, int64_t *ret_id)
{
    *ret_id = 0;
    sqlite3_stmt *find = db_statement(db, SQL_ROOM);
    if (find == NULL) {
        return read_failed(store, db, failure(db));
    }
    sqlite3_bind_text(find, 1, name, (int)len, SQLITE_STATIC);
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        *ret_id = sqlite3_column_int64(find, 0);
    }
    sqlite3_reset(find);
    return code == SQLITE_ROW || code == SQLITE_DONE ? ERR_OK : read_failed(store, db, code);
}

static void run_page(Job *job, Db *db)
{
    Read *read = (Read *)job;
    int64_t room = 0;
    read->err = find_room(job->store, db, read->page.room, read->page.room_len, &room);
    sqlite3_stmt *rows = read->err == ERR_OK ? db_statement(db, SQL_PAGE) : NULL;
    if (rows == NULL) {
        read->err = read->err == ERR_OK ? read_failed(job->store, db, failure(db)) : read->err;
        return;
    }
    size_t max = read_limit(read->page.max_events, STORE_READ_MAX_EVENTS);
    sqlite3_bind_int64(rows, 1, room);
    sqlite3_bind_int64(rows, 2, sql_of_u64(read->page.since_hlc));
    sqlite3_bind_int64(rows, 3, sql_of_u64(read->page.hlc));
    sqlite3_bind_blob(rows, 4, read->page.stream.origin, EVENT_KEY_BYTES, SQLITE_STATIC);
    sqlite3_bind_int64(rows, 5, sql_of_u64(read->page.stream.epoch));
    sqlite3_bind_int64(rows, 6, (int64_t)read->page.seq);
    sqlite3_bind_int64(rows, 7, (int64_t)max + 1);
    take_newest(read, db, rows, max);
}

Err store_read_page(Store *store, const StorePage *page, StoreReadDone done, void *context)
{
    Read *read = mem_new(Read);
    size_t len = page->room_len;
    read->page.room_len = len <= sizeof(read->page.room) ? len : 0; /* a room that cannot be */
    memcpy(read->page.room, page->room, read->page.room_len);
    read->page.since_hlc = page->since_hlc;
    read->page.max_events = page->max_events;
    if (page->before != NULL) {
        read->page.hlc = page->before->hlc;
        read->page.stream = page->before->stream;
        read->page.seq = page->before->seq;
    } else {
        read->page.hlc = UINT64_MAX;
        memset(read->page.stream.origin, 0xff, EVENT_KEY_BYTES);
        read->page.stream.epoch = UINT64_MAX;
        read->page.seq = UINT64_C(1) << STORE_SEQ_BITS;
    }
    return read_push(store, read, run_page, done, context);
}

/* ---- the newest of some kinds ---- */

static void run_kinds(Job *job, Db *db)
{
    Read *read = (Read *)job;
    sqlite3_stmt *rows = db_statement(db, SQL_KINDS);
    if (rows == NULL) {
        read->err = read_failed(job->store, db, failure(db));
        return;
    }
    size_t max = read_limit(read->kinds.max_events, STORE_READ_MAX_EVENTS);
    sqlite3_bind_int64(rows, 1, read->kinds.mask);
    if (read->kinds.has_origin) {
        sqlite3_bind_blob(rows, 2, read->kinds.origin, EVENT_KEY_BYTES, SQLITE_STATIC);
    }
    sqlite3_bind_int64(rows, 3, (int64_t)max + 1);
    take_newest(read, db, rows, max);
}

Err store_read_kinds(Store *store, const StoreKinds *kinds, StoreReadDone done, void *context)
{
    unsigned mask = 0;
    bool known = kinds->kinds_count <= STORE_KINDS_MAX;
    for (size_t i = 0; known && i < kinds->kinds_count; i++) {
        known = kind_is_kept_apart(kinds->kinds[i]);
        mask |= known ? 1U << kinds->kinds[i] : 0;
    }
    if (!known) {
        return ERR_INVALID;
    }
    Read *read = mem_new(Read);
    read->kinds.mask = mask;
    read->kinds.has_origin = kinds->origin != NULL;
    if (kinds->origin != NULL) {
        memcpy(read->kinds.origin, kinds->origin, EVENT_KEY_BYTES);
    }
    read->kinds.max_events = kinds->max_events;
    return read_push(store, read, run_kinds, done, context);
}

/* ---- the list of rooms ---- */

typedef struct RoomsRead {
    Job job;
    StoreRoomsDone done;
    void *context;
    Err err;
    StoreRoom *rooms; /* name: not set before the answer is given, names may still move */
    size_t count;
    StrBuf names; /* one after the other, a 0 after each */
} RoomsRead;

static void run_rooms(Job *job, Db *db)
{
    RoomsRead *read = (RoomsRead *)job;
    sqlite3_stmt *rows = db_statement(db, SQL_ROOMS);
    if (rows == NULL) {
        read->err = read_failed(job->store, db, failure(db));
        return;
    }
    sqlite3_bind_int64(rows, 1, STORE_ROOMS_MAX);
    size_t cap = 0;
    int code = SQLITE_DONE;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (read->count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            read->rooms = mem_resize(read->rooms, cap, sizeof(*read->rooms));
        }
        const char *name = (const char *)sqlite3_column_text(rows, 0);
        size_t len = (size_t)sqlite3_column_bytes(rows, 0);
        strbuf_add(&read->names, name, len);
        strbuf_add_char(&read->names, '\0');
        read->rooms[read->count++] = (StoreRoom){
            .name_len = len,
            .last_hlc = u64_of_sql(sqlite3_column_int64(rows, 1)),
        };
    }
    sqlite3_reset(rows);
    read->err = code == SQLITE_DONE ? ERR_OK : read_failed(job->store, db, code);
}

static void rooms_finish(Job *job)
{
    RoomsRead *read = (RoomsRead *)job;
    job->store->reads--;
    const char *name = strbuf_text(&read->names);
    for (size_t i = 0; i < read->count; i++) {
        read->rooms[i].name = name;
        name += read->rooms[i].name_len + 1;
    }
    StoreRooms result = {
        .err = read->err,
        .rooms = read->rooms,
        .count = read->err == ERR_OK ? read->count : 0,
    };
    read->done(read->context, &result);
    mem_free(read->rooms);
    strbuf_done(&read->names);
    mem_free(read);
}

Err store_read_rooms(Store *store, StoreRoomsDone done, void *context)
{
    RoomsRead *read = mem_new(RoomsRead);
    read->done = done;
    read->context = context;
    read->job.run = run_rooms;
    read->job.finish = rooms_finish;
    Err err = reader_push(store, &read->job, &store->readers[READER_LOG].queue);
    if (err != ERR_OK) {
        mem_free(read);
    }
    return err;
}
