/* One batch of a transaction: is each of its events what its stream goes on with? Then it becomes a
 * row; if not, nothing of the batch stays.
 *
 *   event -> its head: the next one       -> row, head moves on     } all: the journal's share
 *                      here already, same -> passed over            }
 *                      anything else      -> batch refused: its rows dropped, its heads moved back
 *
 * Heads change as rows are written, so that the next event is checked against what came before it
 * in the same transaction. How to take that back is kept until the commit: down to where a refused
 * batch began, or, if the transaction fails, all of it. */
#include "io/store_writer.h"

#include <string.h>

/* ---- undo ---- */

static void remember(Writer *writer, Head *head)
{
    if (writer->undo_count == writer->undo_cap) {
        writer->undo_cap = writer->undo_cap == 0 ? 64 : writer->undo_cap * 2;
        writer->undo = mem_resize(writer->undo, writer->undo_cap, sizeof(*writer->undo));
    }
    writer->undo[writer->undo_count++] = (Undo){.head = head, .hi = head->hi, .hash = head->hash};
}

/* A stream that did not come to be: none is remembered for what was refused. */
static void forget(Writer *writer, Head *head)
{
    HASH_DELETE(hh, writer->heads, head);
    mem_free(head);
}

void batch_take_back(Writer *writer, size_t mark)
{
    while (writer->undo_count > mark) {
        Undo *undo = &writer->undo[--writer->undo_count];
        undo->head->hi = undo->hi;
        undo->head->hash = undo->hash;
        if (undo->hi == 0) { /* its first event: nothing before this speaks of it */
            forget(writer, undo->head);
        }
    }
}

/* ---- one event ---- */

static Head *head_of(Writer *writer, const StreamId *stream)
{
    Head *head = writer_head(writer, stream);
    if (head == NULL && writer->last_stream_id < STREAM_ID_MAX) {
        head = mem_new(Head);
        head->stream = *stream;
        head->id = ++writer->last_stream_id;
        HASH_ADD(hh, writer->heads, stream, sizeof(*stream), head);
    }
    return head;
}

/* A code of SQLite. */
static int room_id(Writer *writer, const EventFields *fields, int64_t *ret_id)
{
    if (fields->room_len == writer->room_len &&
        memcmp(fields->room, writer->room, fields->room_len) == 0) {
        *ret_id = writer->room_id;
        return SQLITE_OK;
    }
    sqlite3_stmt *find = db_statement(&writer->db, SQL_ROOM);
    if (find == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_text(find, 1, fields->room, (int)fields->room_len, SQLITE_STATIC);
    int code = sqlite3_step(find);
    int64_t id = code == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    if (code == SQLITE_DONE) {
        sqlite3_stmt *add = db_statement(&writer->db, SQL_ROOM_ADD);
        if (add == NULL) {
            return sqlite3_extended_errcode(writer->db.sqlite);
        }
        sqlite3_bind_text(add, 1, fields->room, (int)fields->room_len, SQLITE_STATIC);
        code = db_finish(add);
        if (code != SQLITE_OK) {
            return code;
        }
        id = sqlite3_last_insert_rowid(writer->db.sqlite);
    } else if (code != SQLITE_ROW) {
        return code;
    }
    memcpy(writer->room, fields->room, fields->room_len);
    writer->room_len = fields->room_len;
    writer->room_id = id;
    *ret_id = id;
    return SQLITE_OK;
}

static int insert(Writer *writer, const Head *head, const LogEvent *event)
{
    int64_t room = 0;
    int code = room_id(writer, &event->fields, &room);
    sqlite3_stmt *add = code == SQLITE_OK ? db_statement(&writer->db, SQL_EVENT_ADD) : NULL;
    if (add == NULL) {
        return code != SQLITE_OK ? code : sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(add, 1, event_row(head->id, event->fields.seq));
    sqlite3_bind_int64(add, 2, room);
    sqlite3_bind_int64(add, 3, sql_of_u64(event->fields.hlc));
    if (event->is_signed) {
        sqlite3_bind_blob(add, 4, event->signature, EVENT_SIGNATURE_BYTES, SQLITE_STATIC);
    }
    sqlite3_bind_blob(add, 5, bytes_data(event->bytes), (int)bytes_len(event->bytes),
                      SQLITE_STATIC);
    if (kind_is_kept_apart(event->fields.kind)) {
        sqlite3_bind_int64(add, 6, event->fields.kind);
    }
    return db_finish(add);
}

/* Is what is here already the same? */
static int compare_stored(Writer *writer, const Head *head, const LogEvent *event, bool *ret_same)
{
    sqlite3_stmt *find = db_statement(&writer->db, SQL_EVENT);
    if (find == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(find, 1, event_row(head->id, event->fields.seq));
    int code = sqlite3_step(find);
    if (code == SQLITE_ROW) {
        size_t len = bytes_len(event->bytes);
        const void *bytes = sqlite3_column_blob(find, 2);
        *ret_same = (size_t)sqlite3_column_bytes(find, 2) == len && bytes != NULL &&
                    memcmp(bytes, bytes_data(event->bytes), len) == 0;
    }
    sqlite3_reset(find);
    return code == SQLITE_ROW ? SQLITE_OK : code == SQLITE_DONE ? SQLITE_CORRUPT : code;
}

/* Before anything of it is written. ERR_OK with *ret_new false: it is here already. */
static Err check(Writer *writer, const Head *head, const LogEvent *event, unsigned flags, int *code,
                 bool *ret_new)
{
    const EventFields *fields = &event->fields;
    if (fields->seq >> STORE_SEQ_BITS != 0) {
        return ERR_INVALID;
    }
    *ret_new = true;
    if (head->hi == 0) {
        return fields->seq == 1 || (flags & STORE_STARTS_LATE) != 0 ? ERR_OK : ERR_INVALID;
    }
    if (fields->seq < head->lo) {
        return ERR_GONE;
    }
    if (fields->seq > head->hi + 1) {
        return ERR_INVALID;
    }
    if (fields->seq == head->hi + 1) {
        bool follows = memcmp(&fields->prev_hash, &head->hash, sizeof(EventHash)) == 0;
        return follows ? ERR_OK : ERR_EXISTS;
    }
    *ret_new = false;
    bool same = false;
    if (fields->seq == head->hi) {
        same = memcmp(&event->hash, &head->hash, sizeof(EventHash)) == 0;
    } else {
        *code = compare_stored(writer, head, event, &same);
    }
    return same || *code != SQLITE_OK ? ERR_OK : ERR_EXISTS;
}

/* ---- one batch ---- */

/* Rows of the batch that were inserted before the one that was refused. */
static int drop_rows(Writer *writer, size_t mark)
{
    int code = SQLITE_OK;
    for (size_t i = mark; i < writer->undo_count && code == SQLITE_OK; i++) {
        const Undo *undo = &writer->undo[i];
        uint64_t seq = undo->hi == 0 ? undo->head->lo : undo->hi + 1;
        sqlite3_stmt *drop = db_statement(&writer->db, SQL_EVENT_DROP);
        if (drop == NULL) {
            return sqlite3_extended_errcode(writer->db.sqlite);
        }
        sqlite3_bind_int64(drop, 1, event_row(undo->head->id, seq));
        code = db_finish(drop);
    }
    return code;
}

static int refuse(Writer *writer, Batch *batch, size_t undo_mark, Err err, size_t at)
{
    int code = drop_rows(writer, undo_mark);
    batch_take_back(writer, undo_mark);
    batch->result = (StoreAppended){.err = err, .at = at};
    return code;
}

static int add_event(Writer *writer, Head *head, const LogEvent *event)
{
    int code = insert(writer, head, event);
    remember(writer, head);
    if (head->hi == 0) {
        head->lo = event->fields.seq;
        head->indexed = head->lo - 1;
        head->shown = head->lo - 1;
    }
    head->hi = event->fields.seq;
    head->hash = event->hash;
    return code;
}

int batch_write(Writer *writer, Batch *batch)
{
    size_t undo_mark = writer->undo_count;
    int code = SQLITE_OK;
    size_t added = 0;
    for (size_t i = 0; i < batch->count && code == SQLITE_OK; i++) {
        const LogEvent *event = batch->events[i];
        Head *head = head_of(writer, &event->fields.stream);
        bool is_new = false;
        Err err = head == NULL ? ERR_UNAVAILABLE
                               : check(writer, head, event, batch->flags, &code, &is_new);
        if (err != ERR_OK) {
            if (head != NULL && head->hi == 0) {
                forget(writer, head);
            }
            return refuse(writer, batch, undo_mark, err, i);
        }
        if (is_new && code == SQLITE_OK) {
            code = add_event(writer, head, event);
            added++;
        }
    }
    if (code == SQLITE_OK && !share_fits(writer, batch)) {
        return refuse(writer, batch, undo_mark, ERR_INVALID, batch->count);
    }
    batch->result = (StoreAppended){.err = ERR_OK, .added = added};
    return code == SQLITE_OK ? share_write(writer, batch) : code;
}
