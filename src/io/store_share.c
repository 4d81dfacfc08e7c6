/* A batch's share of the journal, written in its transaction.
 *
 *   passed, then the batch's own events -> runs: (stream, first seq, count) -> a row of `journal`
 *                                       \-> streams.shown: up to where the journal knows each
 *
 * The batches of one transaction share a row: where many write one line each, that is a row for
 * hundreds of them.
 *
 * shown tells what a kill -9 came between: what a stream holds beyond it was stored, and not passed
 * yet, or passed by a node that could not say so any more. The next open puts it into the journal.
 */
#include "io/store_writer.h"

#include "base/random.h"

#include <string.h>

/* ---- a row ---- */

static int flush_row(Writer *writer)
{
    Row *row = &writer->row;
    if (row->runs_count == 0) {
        return SQLITE_OK;
    }
    sqlite3_stmt *add = db_statement(&writer->db, SQL_JOURNAL_ADD);
    if (add == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(add, 1, (int64_t)row->first);
    sqlite3_bind_blob(add, 2, row->runs.text, (int)row->runs.len, SQLITE_STATIC);
    int code = db_finish(add);
    row->first += row->positions;
    row->positions = 0;
    row->runs_count = 0;
    strbuf_clear(&row->runs);
    return code;
}

static int close_run(Writer *writer)
{
    Row *row = &writer->row;
    if (row->open.count == 0) {
        return SQLITE_OK;
    }
    journal_put_run(&row->runs, &row->open);
    row->runs_count++;
    row->positions += row->open.count;
    row->open.count = 0;
    return row->runs_count == JOURNAL_ROW_RUNS ? flush_row(writer) : SQLITE_OK;
}

static int add_run(Writer *writer, const Head *head, uint64_t first, uint64_t count)
{
    JournalRun *open = &writer->row.open;
    writer->position += count;
    if (open->count > 0 && open->stream == head->id && open->first + open->count == first) {
        open->count += count;
        return SQLITE_OK;
    }
    int code = close_run(writer);
    *open = (JournalRun){.stream = head->id, .first = first, .count = count};
    return code;
}

int share_end(Writer *writer)
{
    int code = close_run(writer);
    return code == SQLITE_OK ? flush_row(writer) : code;
}

/* ---- up to where a stream has been passed ---- */

static void set_shown(Writer *writer, Head *head, uint64_t seq)
{
    if (seq <= head->shown) {
        return;
    }
    size_t count = writer->shown_count;
    if (count == 0 || writer->shown_undo[count - 1].head != head) {
        if (count == writer->shown_cap) {
            writer->shown_cap = count == 0 ? 64 : count * 2;
            writer->shown_undo =
                mem_resize(writer->shown_undo, writer->shown_cap, sizeof(*writer->shown_undo));
        }
        writer->shown_undo[writer->shown_count++] = (ShownUndo){.head = head, .shown = head->shown};
    }
    head->shown = seq;
}

/* ---- a batch ---- */

static bool run_is_stored(const Head *head, const PassedRun *run)
{
    return head != NULL && run->first >= head->lo && run->first <= head->hi &&
           run->count <= head->hi - run->first + 1;
}

bool share_fits(Writer *writer, const Batch *batch)
{
    bool any = (batch->flags & STORE_JOURNAL) != 0 && batch->count > 0;
    for (size_t i = 0; i < batch->passed_count; i++) {
        const PassedRun *run = &batch->passed[i];
        const Head *head = writer_head(writer, &run->stream);
        any = any || run->shown;
        if (!run_is_stored(head, run) && cut_head_of(writer, run) == NULL) {
            return false;
        }
    }
    return !any || batch->position == writer->position + 1;
}

static int write_passed(Writer *writer, const Batch *batch)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < batch->passed_count && code == SQLITE_OK; i++) {
        const PassedRun *run = &batch->passed[i];
        Head *head = writer_head(writer, &run->stream);
        uint64_t last = run->first + run->count - 1;
        bool stored = run_is_stored(head, run);
        if (stored || (head != NULL && head->was_cut)) {
            set_shown(writer, head, last < head->hi ? last : head->hi);
        }
        head = stored ? head : (Head *)(uintptr_t)cut_head_of(writer, run);
        code = run->shown ? add_run(writer, head, run->first, run->count) : SQLITE_OK;
    }
    return code;
}

static int write_own(Writer *writer, const Batch *batch)
{
    int code = SQLITE_OK;
    Head *head = NULL;
    for (size_t i = 0; i < batch->count && code == SQLITE_OK; i++) {
        const EventFields *fields = &batch->events[i]->fields;
        if (head == NULL || memcmp(&head->stream, &fields->stream, sizeof(StreamId)) != 0) {
            head = writer_head(writer, &fields->stream);
        }
        set_shown(writer, head, fields->seq);
        code = add_run(writer, head, fields->seq, 1);
    }
    return code;
}

int share_write(Writer *writer, const Batch *batch)
{
    int code = write_passed(writer, batch);
    if (code == SQLITE_OK && (batch->flags & STORE_JOURNAL) != 0) {
        code = write_own(writer, batch);
    }
    return code;
}

/* ---- a life ---- */

/* What the streams hold and the journal does not. */
static int mend(Writer *writer)
{
    int code = SQLITE_OK;
    for (Head *head = writer->heads; head != NULL && code == SQLITE_OK; head = head->hh.next) {
        if (head->shown < head->hi) {
            code = add_run(writer, head, head->shown + 1, head->hi - head->shown);
            set_shown(writer, head, head->hi);
        }
    }
    return code;
}

int share_begin_life(Writer *writer)
{
    const Store *store = writer->store;
    sqlite3_stmt *add = db_statement(&writer->db, SQL_LIFE_ADD);
    sqlite3_stmt *cut = db_statement(&writer->db, SQL_LIVES_CUT);
    if (add == NULL || cut == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    const StoreLife *life = &store->lives[store->lives_count - 1];
    sqlite3_bind_int64(add, 1, sql_of_u64(life->life));
    sqlite3_bind_int64(add, 2, (int64_t)life->first);
    sqlite3_bind_int64(cut, 1, STORE_LIVES_MAX);
    int code = db_finish(add);
    code = code == SQLITE_OK ? db_finish(cut) : code;
    return code == SQLITE_OK ? mend(writer) : code;
}

void share_open(Writer *writer)
{
    Store *store = writer->store;
    writer->position = store->position;
    writer->durable = store->position;
    writer->row.first = store->position + 1;
    writer->life_waits = true;
    store->lives = mem_resize(store->lives, store->lives_count + 1, sizeof(*store->lives));
    store->lives[store->lives_count++] =
        (StoreLife){.life = random_u64(), .first = store->position + 1};
    for (const Head *head = writer->heads; head != NULL; head = head->hh.next) {
        store->position += head->shown < head->hi ? head->hi - head->shown : 0;
    }
}

/* ---- after a transaction ---- */

void share_settle(Writer *writer)
{
    writer->shown_count = 0;
    writer->life_waits = false;
    writer->durable = writer->position;
    atomic_store(&writer->store->durable, writer->durable);
}

void share_take_back(Writer *writer)
{
    while (writer->shown_count > 0) {
        const ShownUndo *undo = &writer->shown_undo[--writer->shown_count];
        undo->head->shown = undo->shown;
    }
    writer->position = writer->durable;
    writer->row.first = writer->durable + 1;
    writer->row.positions = 0;
    writer->row.runs_count = 0;
    writer->row.open.count = 0;
    strbuf_clear(&writer->row.runs);
}
