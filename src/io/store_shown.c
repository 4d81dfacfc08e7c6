/* Reads that go by time, in the order in which events are shown (event_compare): pages of a room,
 * the newest events of some kinds, what somebody said before a stamp, and the list of rooms. Each
 * walks an index from its newest end and stops when it has enough, so that what it costs does not
 * grow with the log. */
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

/* ---- what an origin said before a stamp ---- */

typedef struct StreamEnd {
    int64_t id;
    StreamId stream;
    uint64_t lo;
    uint64_t hi; /* of what is before the stamp; below lo: there is nothing */
} StreamEnd;

typedef struct StreamEnds {
    StreamEnd *items; /* by id */
    size_t count;
    size_t cap;
} StreamEnds;

static Err find_streams(Store *store, Db *db, const uint8_t *origin, StreamEnds *ends)
{
    sqlite3_stmt *rows = db_statement(db, SQL_STREAMS_OF);
    if (rows == NULL) {
        return read_failed(store, db, failure(db));
    }
    sqlite3_bind_blob(rows, 1, origin, EVENT_KEY_BYTES, SQLITE_STATIC);
    int code = SQLITE_DONE;
    while (ends->count <= STORE_CUTS_MAX && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (ends->count == ends->cap) {
            ends->cap = ends->cap == 0 ? 16 : ends->cap * 2;
            ends->items = mem_resize(ends->items, ends->cap, sizeof(*ends->items));
        }
        StreamEnd *end = &ends->items[ends->count++];
        end->id = sqlite3_column_int64(rows, 0);
        memcpy(end->stream.origin, origin, EVENT_KEY_BYTES);
        end->stream.epoch = u64_of_sql(sqlite3_column_int64(rows, 1));
        end->lo = (uint64_t)sqlite3_column_int64(rows, 2);
        end->hi = (uint64_t)sqlite3_column_int64(rows, 3);
    }
    sqlite3_reset(rows);
    if (ends->count > STORE_CUTS_MAX) {
        return ERR_LIMIT;
    }
    return code == SQLITE_DONE ? ERR_OK : read_failed(store, db, code);
}

static int compare_id(const void *key, const void *end)
{
    const int64_t *id = key;
    const StreamEnd *other = end;
    return (*id > other->id) - (*id < other->id);
}

static StreamEnd *find_end(const StreamEnds *ends, int64_t id)
{
    if (ends->count == 0) {
        return NULL;
    }
    return bsearch(&id, ends->items, ends->count, sizeof(StreamEnd), compare_id);
}

/* By the index of rooms, which holds all that this needs to see. */
static Err end_before(Store *store, Db *db, uint64_t hlc, StreamEnds *ends)
{
    sqlite3_stmt *rows = db_statement(db, SQL_NOT_BEFORE);
    if (rows == NULL) {
        return read_failed(store, db, failure(db));
    }
    sqlite3_bind_int64(rows, 1, sql_of_u64(hlc));
    int code = SQLITE_DONE;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t row = sqlite3_column_int64(rows, 0);
        uint64_t seq = (uint64_t)row & ((UINT64_C(1) << STORE_SEQ_BITS) - 1);
        StreamEnd *end = find_end(ends, row >> STORE_SEQ_BITS);
        if (end != NULL && end->hi >= seq) {
            end->hi = seq - 1;
        }
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? ERR_OK : read_failed(store, db, code);
}

static Err add_end(Store *store, Db *db, const StreamEnd *end, Answer *answer)
{
    sqlite3_stmt *find = db_statement(db, SQL_EVENT);
    if (find == NULL) {
        return read_failed(store, db, failure(db));
    }
    int64_t row = event_row(end->id, end->hi);
    sqlite3_bind_int64(find, 1, row);
    int code = sqlite3_step(find);
    LogEvent *event = code == SQLITE_ROW ? db_event(find) : NULL;
    sqlite3_reset(find);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
        return read_failed(store, db, code);
    }
    if (event == NULL || event->fields.seq != end->hi ||
        stream_id_compare(&event->fields.stream, &end->stream) != 0) {
        event_unref(event);
        return read_damaged(store, row);
    }
    answer_add(answer, event);
    return ERR_OK;
}

static Err find_cuts(Read *read, Db *db, StreamEnds *ends)
{
    Store *store = read->job.store;
    Err err = find_streams(store, db, read->cuts.origin, ends);
    err = err == ERR_OK ? end_before(store, db, read->cuts.hlc, ends) : err;
    for (size_t i = 0; i < ends->count && err == ERR_OK; i++) {
        const StreamEnd *end = &ends->items[i];
        err = end->hi >= end->lo ? add_end(store, db, end, &read->answer) : ERR_OK;
    }
    return err;
}

/* All of it sees one state of the file: a stream may be cut meanwhile. */
static void run_cuts(Job *job, Db *db)
{
    Read *read = (Read *)job;
    StreamEnds ends = {0};
    int code = db_run(db, SQL_BEGIN_READ);
    if (code != SQLITE_OK) {
        read->err = read_failed(job->store, db, code);
        return;
    }
    read->err = find_cuts(read, db, &ends);
    code = db_run(db, SQL_COMMIT);
    if (read->err == ERR_OK && code != SQLITE_OK) {
        read->err = read_failed(job->store, db, code);
    }
    mem_free(ends.items);
}

Err store_read_cuts(Store *store, const uint8_t origin[EVENT_KEY_BYTES], uint64_t hlc,
                    StoreReadDone done, void *context)
{
    Read *read = mem_new(Read);
    memcpy(read->cuts.origin, origin, EVENT_KEY_BYTES);
    read->cuts.hlc = hlc;
    return read_push(store, read, run_cuts, done, context);
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
