/* What counts no more is deleted: the writer thread's side of store_cut.
 *
 *   events > hi, their words and docs ---> gone       streams.hi, hash, indexed, shown ---> of hi
 *   journal                           ---> as it was: what it says of them is not there any more
 *
 * One transaction of its own, so a crash finds all of it or nothing, and asking again does no
 * harm. Which streams were cut is kept (`cuts`), with those of which nothing is left: a stream's
 * number is never used again, or the journal's positions would come to mean another's events.
 * What was passed on, and is told only after the cut, still gets its positions. */
#include "io/store_writer.h"

#include <string.h>

enum { MS_PER_DAY = 24 * 60 * 60 * 1000 };

typedef struct CutDoc {
    int64_t doc;
    int64_t row;
} CutDoc;

typedef struct CutDocs {
    CutDoc *items;
    size_t count;
    size_t cap;
} CutDocs;

static int failure(Writer *writer)
{
    return sqlite3_extended_errcode(writer->db.sqlite);
}

static uint64_t lower(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- the search ---- */

/* Texts are numbered by day: those of other days than the events' need not be looked at. */
static int find_days(Writer *writer, int64_t first, int64_t last, int64_t ret_docs[2])
{
    sqlite3_stmt *span = db_statement(&writer->db, SQL_HLC_SPAN);
    if (span == NULL) {
        return failure(writer);
    }
    sqlite3_bind_int64(span, 1, first);
    sqlite3_bind_int64(span, 2, last);
    int code = sqlite3_step(span);
    if (code == SQLITE_ROW) {
        for (int i = 0; i < 2; i++) {
            int64_t ms = hlc_time_ms(u64_of_sql(sqlite3_column_int64(span, i)));
            ret_docs[i] = (ms / MS_PER_DAY + i) << DOC_DAY_SHIFT;
        }
    }
    sqlite3_reset(span);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int find_docs(Writer *writer, int64_t first, int64_t last, CutDocs *docs)
{
    int64_t days[2] = {0, 0};
    int code = find_days(writer, first, last, days);
    sqlite3_stmt *rows = code == SQLITE_OK ? db_statement(&writer->db, SQL_DOCS_OF) : NULL;
    if (rows == NULL) {
        return code != SQLITE_OK ? code : failure(writer);
    }
    sqlite3_bind_int64(rows, 1, days[0]);
    sqlite3_bind_int64(rows, 2, days[1]);
    sqlite3_bind_int64(rows, 3, first);
    sqlite3_bind_int64(rows, 4, last);
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (docs->count == docs->cap) {
            docs->cap = docs->cap == 0 ? 64 : docs->cap * 2;
            docs->items = mem_resize(docs->items, docs->cap, sizeof(*docs->items));
        }
        docs->items[docs->count++] =
            (CutDoc){.doc = sqlite3_column_int64(rows, 0), .row = sqlite3_column_int64(rows, 1)};
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* FTS5 wants to be told what it was given. */
static int drop_words(Writer *writer, int64_t doc, const LogEvent *event, int64_t room)
{
    sqlite3_stmt *drop = db_statement(&writer->db, SQL_WORDS_DROP);
    if (drop == NULL) {
        return failure(writer);
    }
    const EventFields *fields = &event->fields;
    char name[WORDS_ROOM_BYTES];
    words_room(name, room);
    sqlite3_bind_int64(drop, 1, doc);
    sqlite3_bind_text(drop, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(drop, 3, fields->sender, (int)fields->sender_len, SQLITE_STATIC);
    sqlite3_bind_text(drop, 4, (const char *)fields->body, (int)fields->body_len, SQLITE_STATIC);
    return db_finish(drop);
}

static int drop_doc(Writer *writer, const CutDoc *doc)
{
    sqlite3_stmt *find = db_statement(&writer->db, SQL_RUN);
    sqlite3_stmt *drop = db_statement(&writer->db, SQL_DOC_DROP);
    if (find == NULL || drop == NULL) {
        return failure(writer);
    }
    sqlite3_bind_int64(find, 1, doc->row);
    sqlite3_bind_int64(find, 2, doc->row);
    LogEvent *event = sqlite3_step(find) == SQLITE_ROW ? db_event(find) : NULL;
    int64_t room = event != NULL ? sqlite3_column_int64(find, 3) : 0;
    sqlite3_reset(find);
    int code = SQLITE_OK;
    if (event == NULL) { /* what it was given is not to be had */
        store_post_damage(writer->store, "an event that was to be deleted");
    } else if (!writer->index_broken) {
        LogEvent *opened = seals_open(writer->store->seals, event);
        code = drop_words(writer, doc->doc, opened != NULL ? opened : event, room);
        event_unref(opened);
    }
    event_unref(event);
    sqlite3_bind_int64(drop, 1, doc->doc);
    return code == SQLITE_OK ? db_finish(drop) : code;
}

static int drop_docs(Writer *writer, int64_t first, int64_t last)
{
    CutDocs docs = {0};
    int code = find_docs(writer, first, last, &docs);
    for (size_t i = 0; i < docs.count && code == SQLITE_OK; i++) {
        code = drop_doc(writer, &docs.items[i]);
    }
    mem_free(docs.items);
    return code;
}

/* ---- the stream ---- */

static int read_hash(Writer *writer, int64_t row, EventHash *ret_hash)
{
    sqlite3_stmt *find = db_statement(&writer->db, SQL_EVENT);
    if (find == NULL) {
        return failure(writer);
    }
    sqlite3_bind_int64(find, 1, row);
    int code = sqlite3_step(find);
    LogEvent *event = code == SQLITE_ROW ? db_event(find) : NULL;
    sqlite3_reset(find);
    if (event == NULL) {
        return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_CORRUPT : code;
    }
    *ret_hash = event->hash;
    event_unref(event);
    return SQLITE_OK;
}

static int run_on(Writer *writer, StoreSql sql, int64_t first, int64_t second)
{
    sqlite3_stmt *statement = db_statement(&writer->db, sql);
    if (statement == NULL) {
        return failure(writer);
    }
    sqlite3_bind_int64(statement, 1, first);
    if (sqlite3_bind_parameter_count(statement) > 1) {
        sqlite3_bind_int64(statement, 2, second);
    }
    return db_finish(statement);
}

static int put_end(Writer *writer, const Head *head, uint64_t hi, const EventHash *hash)
{
    sqlite3_stmt *put = db_statement(&writer->db, SQL_HEAD_CUT);
    if (put == NULL) {
        return failure(writer);
    }
    sqlite3_bind_int64(put, 1, head->id);
    sqlite3_bind_int64(put, 2, (int64_t)hi);
    sqlite3_bind_blob(put, 3, hash->bytes, EVENT_HASH_BYTES, SQLITE_STATIC);
    return db_finish(put);
}

/* The stream that is to be cut, where there is something to cut. */
static Head *head_to_cut(Writer *writer, const Batch *batch)
{
    Head *head = writer_head(writer, &batch->cut_stream);
    return head != NULL && head->hi > batch->cut_hi ? head : NULL;
}

int cut_write(Writer *writer, Job *job)
{
    Batch *batch = (Batch *)job;
    const Head *head = head_to_cut(writer, batch);
    if (head == NULL) {
        return SQLITE_OK;
    }
    bool all = batch->cut_hi < head->lo;
    int64_t first = event_row(head->id, all ? head->lo : batch->cut_hi + 1);
    int64_t last = event_row(head->id, head->hi);
    int code =
        all ? SQLITE_OK : read_hash(writer, event_row(head->id, batch->cut_hi), &batch->cut_hash);
    code = code == SQLITE_OK ? drop_docs(writer, first, last) : code;
    code = code == SQLITE_OK ? run_on(writer, SQL_EVENTS_DROP, first, last) : code;
    code = code == SQLITE_OK ? run_on(writer, SQL_CUT_ADD, head->id, 0) : code;
    if (code != SQLITE_OK) {
        return code;
    }
    return all ? run_on(writer, SQL_HEAD_DROP, head->id, 0)
               : put_end(writer, head, batch->cut_hi, &batch->cut_hash);
}

void cut_settle(Writer *writer, const Batch *batch)
{
    Head *head = head_to_cut(writer, batch);
    if (head == NULL) {
        return;
    }
    bool all = batch->cut_hi < head->lo;
    index_cut(writer, head, all ? head->lo - 1 : batch->cut_hi);
    if (!all) {
        head->hi = batch->cut_hi;
        head->hash = batch->cut_hash;
        head->shown = lower(head->shown, head->hi);
        head->was_cut = true;
        return;
    }
    Head *before = NULL;
    HASH_DELETE(hh, writer->heads, head);
    HASH_FIND(hh, writer->gone, &head->stream, sizeof(StreamId), before);
    if (before != NULL) {
        HASH_DELETE(hh, writer->gone, before);
        mem_free(before);
    }
    HASH_ADD(hh, writer->gone, stream, sizeof(head->stream), head);
}

/* ---- what was passed, and is told after the cut ---- */

const Head *cut_head_of(const Writer *writer, const PassedRun *run)
{
    Head *head = NULL;
    HASH_FIND(hh, writer->heads, &run->stream, sizeof(StreamId), head);
    if (head != NULL && head->was_cut && run->first >= head->lo) {
        return head;
    }
    HASH_FIND(hh, writer->gone, &run->stream, sizeof(StreamId), head);
    return head;
}
