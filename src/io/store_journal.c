/* The journal: what its rows say, reading it, and whether it is good.
 *
 *   journal   41 -> (stream 3, seq 7, 2) (stream 1, seq 90, 1)     positions 41, 42: events 7 and 8
 *             44 -> (stream 3, seq 9, 5)                           of stream 3; 43: 90 of stream 1
 *
 * A row for each transaction that had something for it: what a node publishes by itself is one run,
 * and what came from many at once is a run an event, of some five bytes. A row begins where the one
 * before ended, so the row that covers a position is found by its key alone. */
#include "io/store_reader.h"

#include <inttypes.h>
#include <string.h>

enum {
    VARINT_BITS = 7,
    VARINT_MORE = 1 << VARINT_BITS,
    VARINT_MAX_BYTES = 10,
    POSITION_BITS = 62, /* no sum of positions leaves 64 */
};

static const uint64_t SEQ_MAX = (UINT64_C(1) << STORE_SEQ_BITS) - 1;

/* ---- rows ---- */

static void put_varint(StrBuf *out, uint64_t number)
{
    char bytes[VARINT_MAX_BYTES];
    size_t len = 0;
    while (number >= VARINT_MORE) {
        bytes[len++] = (char)(uint8_t)(number | VARINT_MORE);
        number >>= VARINT_BITS;
    }
    bytes[len++] = (char)(uint8_t)number;
    strbuf_add(out, bytes, len);
}

/* All numbers are below 2^49. */
static bool take_varint(const uint8_t **at, const uint8_t *end, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift <= STORE_SEQ_BITS + VARINT_BITS && *at < end;
         shift += VARINT_BITS) {
        uint8_t byte = *(*at)++;
        number |= (uint64_t)(byte & (VARINT_MORE - 1)) << shift;
        if ((byte & VARINT_MORE) == 0) {
            *ret_number = number;
            return true;
        }
    }
    return false;
}

void journal_put_run(StrBuf *runs, const JournalRun *run)
{
    put_varint(runs, (uint64_t)run->stream);
    put_varint(runs, run->first);
    put_varint(runs, run->count);
}

static bool take_run(const uint8_t **at, const uint8_t *end, JournalRun *ret_run)
{
    uint64_t stream = 0;
    uint64_t first = 0;
    uint64_t count = 0;
    if (!take_varint(at, end, &stream) || !take_varint(at, end, &first) ||
        !take_varint(at, end, &count)) {
        return false;
    }
    *ret_run = (JournalRun){.stream = (int64_t)stream, .first = first, .count = count};
    return stream >= 1 && stream <= STREAM_ID_MAX && first >= 1 && first <= SEQ_MAX && count >= 1 &&
           count <= SEQ_MAX - first + 1;
}

bool journal_row_of(sqlite3_stmt *statement, JournalRow *ret_row)
{
    int64_t position = sqlite3_column_int64(statement, 0);
    const uint8_t *at = sqlite3_column_blob(statement, 1);
    int len = sqlite3_column_bytes(statement, 1);
    if (at == NULL || len <= 0 || position < 1 || position >> POSITION_BITS != 0) {
        return false;
    }
    JournalRow row = {.position = (uint64_t)position, .at = at, .end = at + len};
    const uint8_t *look = at;
    for (unsigned runs = 0; look < row.end; runs++) {
        JournalRun run;
        if (runs == JOURNAL_ROW_RUNS || !take_run(&look, row.end, &run)) {
            return false;
        }
        row.count += run.count;
    }
    *ret_row = row;
    return true;
}

bool journal_next_run(JournalRow *row, JournalRun *ret_run)
{
    return row->at < row->end && take_run(&row->at, row->end, ret_run);
}

/* ---- at open ---- */

/* 0 where there is none. SQLite's code; SQLITE_MISMATCH: nonsense. */
static int last_position(Db *db, uint64_t *ret_position)
{
    sqlite3_stmt *last = db_statement(db, SQL_JOURNAL_LAST);
    if (last == NULL) {
        return sqlite3_extended_errcode(db->sqlite);
    }
    JournalRow row = {.position = 1};
    int code = sqlite3_step(last);
    if (code == SQLITE_ROW) {
        code = journal_row_of(last, &row) ? SQLITE_OK : SQLITE_MISMATCH;
    }
    sqlite3_reset(last);
    *ret_position = row.position + row.count - 1;
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* Each goes on where the one before had come to, and none is past the journal's end. */
static int load_lives(Db *db, uint64_t last, StoreLife **lives, size_t *ret_count)
{
    sqlite3_stmt *rows = db_statement(db, SQL_LIVES);
    size_t cap = 0;
    int code = rows == NULL ? sqlite3_extended_errcode(db->sqlite) : SQLITE_ROW;
    while (rows != NULL && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t first = sqlite3_column_int64(rows, 1);
        uint64_t before = *ret_count > 0 ? (*lives)[*ret_count - 1].first : 1;
        if (first < (int64_t)before || (uint64_t)first > last + 1) {
            code = SQLITE_MISMATCH;
            break;
        }
        if (*ret_count == cap) {
            cap = cap == 0 ? 16 : cap * 2;
            *lives = mem_resize(*lives, cap, sizeof(**lives));
        }
        (*lives)[(*ret_count)++] = (StoreLife){
            .life = u64_of_sql(sqlite3_column_int64(rows, 0)),
            .first = (uint64_t)first,
        };
    }
    if (rows != NULL) {
        sqlite3_reset(rows);
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int journal_load(Store *store, Db *db)
{
    uint64_t last = 0;
    StoreLife *lives = NULL;
    size_t count = 0;
    int code = last_position(db, &last);
    code = code == SQLITE_OK ? load_lives(db, last, &lives, &count) : code;
    if (code != SQLITE_OK) {
        mem_free(lives);
        return code;
    }
    store->lives = lives;
    store->lives_count = count;
    store->position = last;
    atomic_store(&store->durable, last);
    return SQLITE_OK;
}

int journal_make_anew(Db *db)
{
    return sqlite3_exec(db->sqlite,
                        "BEGIN IMMEDIATE; DELETE FROM journal; DELETE FROM lives;"
                        " UPDATE streams SET shown = lo - 1; COMMIT;",
                        NULL, NULL, NULL);
}

/* ---- is it good? ---- */

/* Then what the journal says of it may be gone. */
static bool was_cut(Db *db, int64_t stream)
{
    sqlite3_stmt *find = db_statement(db, SQL_CUT);
    if (find == NULL) {
        return false;
    }
    sqlite3_bind_int64(find, 1, stream);
    bool found = sqlite3_step(find) == SQLITE_ROW;
    sqlite3_reset(find);
    return found;
}

static bool run_is_stored(Db *db, const JournalRun *run)
{
    sqlite3_stmt *ends = db_statement(db, SQL_STREAM_ENDS);
    if (ends == NULL) {
        return false;
    }
    sqlite3_bind_int64(ends, 1, run->stream);
    bool stored = sqlite3_step(ends) == SQLITE_ROW &&
                  run->first >= (uint64_t)sqlite3_column_int64(ends, 0) &&
                  run->first + run->count - 1 <= (uint64_t)sqlite3_column_int64(ends, 1);
    sqlite3_reset(ends);
    return stored || was_cut(db, run->stream);
}

static bool row_is_good(Db *db, sqlite3_stmt *rows, uint64_t position, uint64_t *ret_end)
{
    JournalRow row;
    JournalRun run;
    bool good = journal_row_of(rows, &row) && row.position == position;
    while (good && journal_next_run(&row, &run)) {
        good = run_is_stored(db, &run);
    }
    *ret_end = position + (good ? row.count : 0);
    return good;
}

static bool rows_are_good(Db *db, uint64_t *ret_last, char **ret_error)
{
    sqlite3_stmt *rows = db_statement(db, SQL_JOURNAL);
    if (rows == NULL) {
        store_say(ret_error, "its journal cannot be read");
        return false;
    }
    sqlite3_bind_int64(rows, 1, 0);
    uint64_t position = 1;
    bool good = true;
    int code = SQLITE_DONE;
    while (good && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        good = row_is_good(db, rows, position, &position);
    }
    sqlite3_reset(rows);
    if (!good || code != SQLITE_DONE) {
        store_say(ret_error, "the journal is broken at position %" PRIu64, position);
        return false;
    }
    *ret_last = position - 1;
    return true;
}

bool journal_check(Db *db, char **ret_error)
{
    if (!schema_has_journal(db)) {
        return true;
    }
    uint64_t last = 0;
    StoreLife *lives = NULL;
    size_t count = 0;
    if (!rows_are_good(db, &last, ret_error)) {
        return false;
    }
    bool good = load_lives(db, last, &lives, &count) == SQLITE_OK;
    mem_free(lives);
    if (!good) {
        store_say(ret_error, "the journal's lives are not what was stored");
    }
    return good;
}

/* ---- reading ---- */

typedef struct JournalRead {
    Job job;
    StoreJournalDone done;
    void *context;
    uint64_t from;
    size_t max_events;
    size_t max_bytes;
    Answer answer;
    uint64_t *positions;
    size_t positions_cap;
    uint64_t next;
    bool full;
    Err err;
    /* To be read; grows over rows while they go on in the same stream. */
    JournalRun run; /* count 0: none */
    uint64_t run_position;
} JournalRead;

static void add_event(JournalRead *read, LogEvent *event, uint64_t position)
{
    if (read->answer.count == read->positions_cap) {
        read->positions_cap = read->positions_cap == 0 ? 16 : read->positions_cap * 2;
        read->positions = mem_resize(read->positions, read->positions_cap, sizeof(uint64_t));
    }
    read->positions[read->answer.count] = position;
    answer_add(&read->answer, event);
}

/* The run's events, as far as the limits go: next is at the first that did not fit, if any. */
static void read_events(JournalRead *read, Db *db)
{
    Store *store = read->job.store;
    const JournalRun run = read->run;
    sqlite3_stmt *rows = db_statement(db, SQL_RUN);
    if (rows == NULL) {
        read->err = read_failed(store, db, sqlite3_extended_errcode(db->sqlite));
        return;
    }
    sqlite3_bind_int64(rows, 1, event_row(run.stream, run.first));
    sqlite3_bind_int64(rows, 2, event_row(run.stream, run.first + run.count - 1));
    int code = SQLITE_DONE;
    while (read->err == ERR_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        int64_t row = sqlite3_column_int64(rows, 0);
        uint64_t position = read->run_position + ((uint64_t)row & SEQ_MAX) - run.first;
        size_t len = (size_t)sqlite3_column_bytes(rows, 2);
        const Answer *answer = &read->answer;
        read->full = answer->count == read->max_events ||
                     (answer->count > 0 && answer->bytes + len > read->max_bytes);
        if (read->full) {
            read->next = position;
            break;
        }
        LogEvent *event = db_event(rows);
        if (event == NULL) {
            read->err = read_damaged(store, row);
        } else {
            add_event(read, event, position);
        }
    }
    sqlite3_reset(rows);
    if (read->err == ERR_OK && code != SQLITE_ROW && code != SQLITE_DONE) {
        read->err = read_failed(store, db, code);
    }
}

/* What has gathered, if anything. */
static void flush_run(JournalRead *read, Db *db)
{
    if (read->run.count > 0 && read->err == ERR_OK && !read->full) {
        read->next = read->run_position + read->run.count;
        read_events(read, db);
    }
    read->run.count = 0;
}

static void take_in(JournalRead *read, Db *db, const JournalRun *run, uint64_t position)
{
    JournalRun *open = &read->run;
    bool joins =
        open->count > 0 && run->stream == open->stream && run->first == open->first + open->count;
    if (!joins) {
        flush_run(read, db);
        read->run = *run;
        read->run_position = position;
    } else {
        open->count += run->count;
    }
    /* No further than it can be of use: the rows that follow may be a million of one stream. */
    if (open->count > read->max_events - read->answer.count) {
        flush_run(read, db);
    }
}

/* The row's runs, from `from` on. Returns the position after it. */
static uint64_t take_row(JournalRead *read, Db *db, JournalRow *row)
{
    uint64_t position = row->position;
    JournalRun run;
    while (read->err == ERR_OK && !read->full && journal_next_run(row, &run)) {
        uint64_t past = read->from > position ? read->from - position : 0;
        if (past < run.count) {
            JournalRun rest = {run.stream, run.first + past, run.count - past};
            take_in(read, db, &rest, position + past);
        }
        position += run.count;
    }
    return position;
}

static void nonsense(JournalRead *read, uint64_t position)
{
    AUTO_FREE char *where = NULL;
    store_say(&where, "the journal at position %" PRIu64, position);
    store_post_damage(read->job.store, where);
    read->err = ERR_IO;
}

static void run_journal(Job *job, Db *db)
{
    JournalRead *read = (JournalRead *)job;
    sqlite3_stmt *rows = db_statement(db, SQL_JOURNAL);
    if (rows == NULL) {
        read->err = read_failed(job->store, db, sqlite3_extended_errcode(db->sqlite));
        return;
    }
    sqlite3_bind_int64(rows, 1, (int64_t)read->from);
    uint64_t end = 0; /* where the next row begins; the first covers `from` */
    int code = SQLITE_DONE;
    while (read->err == ERR_OK && !read->full && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        JournalRow row;
        if (!journal_row_of(rows, &row) ||
            (end == 0 ? row.position > read->from : row.position != end)) {
            flush_run(read, db);
            nonsense(read, end == 0 ? read->from : end);
        } else {
            end = take_row(read, db, &row);
        }
    }
    flush_run(read, db); /* while the rows' snapshot is held */
    sqlite3_reset(rows);
    if (read->err == ERR_OK && code != SQLITE_ROW && code != SQLITE_DONE) {
        read->err = read_failed(job->store, db, code);
    }
}

static void journal_finish(Job *job)
{
    JournalRead *read = (JournalRead *)job;
    bool good = read->err == ERR_OK;
    job->store->reads--;
    StoreJournal result = {
        .err = read->err,
        .events = read->answer.events,
        .positions = read->positions,
        .count = good ? read->answer.count : 0,
        .next = good ? read->next : read->from,
    };
    read->done(read->context, &result);
    answer_done(&read->answer);
    mem_free(read->positions);
    mem_free(read);
}

Err store_read_journal(Store *store, uint64_t from, size_t max_events, size_t max_bytes,
                       StoreJournalDone done, void *context)
{
    JournalRead *read = mem_new(JournalRead);
    read->from = from == 0 ? 1 : from >> POSITION_BITS != 0 ? UINT64_C(1) << POSITION_BITS : from;
    read->next = from == 0 ? 1 : from;
    read->max_events = read_limit(max_events, STORE_READ_MAX_EVENTS);
    read->max_bytes = read_limit(max_bytes, STORE_READ_MAX_BYTES);
    read->done = done;
    read->context = context;
    read->job.run = run_journal;
    read->job.finish = journal_finish;
    Err err = reader_push(store, &read->job, &store->readers[READER_LOG].queue);
    if (err != ERR_OK) {
        mem_free(read);
    }
    return err;
}
