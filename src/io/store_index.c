/* Words of events that are committed already, put into the search.
 *
 * Not in the commit itself: FTS5 costs as much as all the rest, three times over when the commits
 * are small, and nobody waits for it. How far each stream is indexed stands in its row of
 * `streams`, and moves with the words in one transaction: a crash loses none and doubles none. It
 * is done when the writer has nothing else to do, and before a search. */
#include "io/store_writer.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

enum { MS_PER_DAY = 24 * 60 * 60 * 1000 };

typedef struct Doc {
    LogEvent *event; /* owned */
    int64_t row;
    int64_t room;
    int64_t day;
} Doc;

typedef struct Step {
    Head *head;
    uint64_t indexed; /* when this is committed */
} Step;

typedef struct Pass {
    Writer *writer;
    Doc *docs;
    size_t docs_count;
    Step *steps;
    size_t steps_count;
    size_t events;
    size_t max;
} Pass;

/* ---- the backlog ---- */

void index_note(Writer *writer, Head *head, uint64_t count)
{
    writer->backlog += count;
    if (!head->is_behind && count > 0) {
        head->is_behind = true;
        head->next_behind = NULL;
        if (writer->behind == NULL) {
            writer->behind_end = &writer->behind;
        }
        *writer->behind_end = head;
        writer->behind_end = &head->next_behind;
    }
}

static void leave_behind(Writer *writer, Head *head)
{
    Head **at = &writer->behind;
    while (*at != head) {
        at = &(*at)->next_behind;
    }
    *at = head->next_behind;
    head->is_behind = false;
    if (*at == NULL) {
        writer->behind_end = at;
    }
}

void index_cut(Writer *writer, Head *head, uint64_t hi)
{
    uint64_t indexed = head->indexed < hi ? head->indexed : hi;
    writer->backlog -= (head->hi - head->indexed) - (hi - indexed);
    head->indexed = indexed;
    if (head->is_behind && indexed == hi) {
        leave_behind(writer, head);
    }
}

static void advance(Writer *writer, const Pass *pass)
{
    for (size_t i = 0; i < pass->steps_count; i++) { /* the first of the list, in its order */
        Head *head = pass->steps[i].head;
        writer->backlog -= pass->steps[i].indexed - head->indexed;
        head->indexed = pass->steps[i].indexed;
        if (head->indexed == head->hi) {
            writer->behind = head->next_behind;
            head->is_behind = false;
        }
    }
}

/* ---- what to index ---- */

static int take_stream(Pass *pass, Head *head)
{
    Writer *writer = pass->writer;
    uint64_t last = head->hi - head->indexed > pass->max - pass->events
                        ? head->indexed + (pass->max - pass->events)
                        : head->hi;
    sqlite3_stmt *rows = db_statement(&writer->db, SQL_RUN);
    if (rows == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(rows, 1, event_row(head->id, head->indexed + 1));
    sqlite3_bind_int64(rows, 2, event_row(head->id, last));
    int code = SQLITE_DONE;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        LogEvent *event = db_event(rows);
        if (event == NULL) {
            store_post_damage(writer->store, "an event that was to be indexed");
        } else if (words_wanted(&event->fields)) {
            pass->docs[pass->docs_count++] = (Doc){
                .event = event,
                .row = event_row(head->id, event->fields.seq),
                .room = sqlite3_column_int64(rows, 3),
                .day = hlc_time_ms(event->fields.hlc) / MS_PER_DAY,
            };
        } else {
            event_unref(event);
        }
    }
    sqlite3_reset(rows);
    pass->events += last - head->indexed;
    pass->steps[pass->steps_count++] = (Step){.head = head, .indexed = last};
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- words ---- */

static int compare_docs(const void *a, const void *b)
{
    const Doc *left = a;
    const Doc *right = b;
    if (left->day != right->day) {
        return left->day < right->day ? -1 : 1;
    }
    return left->row < right->row ? -1 : left->row > right->row;
}

static int write_doc(Writer *writer, const Doc *doc, int64_t id)
{
    sqlite3_stmt *add = db_statement(&writer->db, SQL_DOC_ADD);
    if (add == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(add, 1, id);
    sqlite3_bind_int64(add, 2, doc->row);
    int code = db_finish(add);
    sqlite3_stmt *words = code == SQLITE_OK ? db_statement(&writer->db, SQL_WORDS_ADD) : NULL;
    if (words == NULL) {
        return code != SQLITE_OK ? code : sqlite3_extended_errcode(writer->db.sqlite);
    }
    const EventFields *fields = &doc->event->fields;
    char room[WORDS_ROOM_BYTES];
    words_room(room, doc->room);
    sqlite3_bind_int64(words, 1, id);
    sqlite3_bind_text(words, 2, room, -1, SQLITE_STATIC);
    sqlite3_bind_text(words, 3, fields->sender, (int)fields->sender_len, SQLITE_STATIC);
    sqlite3_bind_text(words, 4, (const char *)fields->body, (int)fields->body_len, SQLITE_STATIC);
    return db_finish(words);
}

/* The highest number given out on that day; the day's first less one where there is none. */
static int last_of_day(Writer *writer, int64_t day, int64_t *ret_id)
{
    sqlite3_stmt *last = db_statement(&writer->db, SQL_DOC_LAST);
    if (last == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    int64_t first = day << DOC_DAY_SHIFT;
    sqlite3_bind_int64(last, 1, first + (INT64_C(1) << DOC_DAY_SHIFT));
    int code = sqlite3_step(last);
    int64_t id = code == SQLITE_ROW ? sqlite3_column_int64(last, 0) : 0;
    sqlite3_reset(last);
    *ret_id = id < first ? first : id;
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* Sorted, because FTS5 begins a new segment whenever a number is not higher than the one before. */
static int write_docs(Pass *pass)
{
    qsort(pass->docs, pass->docs_count, sizeof(*pass->docs), compare_docs);
    int code = SQLITE_OK;
    int64_t id = 0;
    for (size_t i = 0; i < pass->docs_count && code == SQLITE_OK; i++) {
        const Doc *doc = &pass->docs[i];
        if (i == 0 || doc->day != pass->docs[i - 1].day) {
            code = last_of_day(pass->writer, doc->day, &id);
        }
        id++;
        code = code == SQLITE_OK ? write_doc(pass->writer, doc, id) : code;
    }
    return code;
}

static int write_steps(const Pass *pass)
{
    int code = SQLITE_OK;
    for (size_t i = 0; i < pass->steps_count && code == SQLITE_OK; i++) {
        sqlite3_stmt *put = db_statement(&pass->writer->db, SQL_INDEXED_PUT);
        if (put == NULL) {
            return sqlite3_extended_errcode(pass->writer->db.sqlite);
        }
        sqlite3_bind_int64(put, 1, pass->steps[i].head->id);
        sqlite3_bind_int64(put, 2, (int64_t)pass->steps[i].indexed);
        code = db_finish(put);
    }
    return code;
}

/* ---- a pass ---- */

static int run_pass(Pass *pass)
{
    Writer *writer = pass->writer;
    int code = db_run(&writer->db, SQL_BEGIN);
    for (Head *head = writer->behind; head != NULL && pass->events < pass->max && code == SQLITE_OK;
         head = head->next_behind) {
        code = take_stream(pass, head);
    }
    code = code == SQLITE_OK ? write_docs(pass) : code;
    code = code == SQLITE_OK ? write_steps(pass) : code;
    return code == SQLITE_OK ? db_run(&writer->db, SQL_COMMIT) : code;
}

bool index_some(Writer *writer, size_t max)
{
    if (writer->behind == NULL || writer->index_broken || max == 0) {
        return false;
    }
    Pass pass = {.writer = writer, .max = max};
    pass.docs = mem_array(max, sizeof(*pass.docs));
    pass.steps = mem_array(max, sizeof(*pass.steps));
    int code = run_pass(&pass);
    if (code == SQLITE_OK) {
        advance(writer, &pass);
    } else if (db_is_corrupt(code)) {
        /* The events are as they were: only the search stands still until the next open. */
        writer->index_broken = true;
        store_post_damage(writer->store, "the index of the search");
        code = SQLITE_OK;
    }
    writer_set_degraded(writer, code);
    writer_roll_back(writer);
    for (size_t i = 0; i < pass.docs_count; i++) {
        event_unref(pass.docs[i].event);
    }
    mem_free(pass.docs);
    mem_free(pass.steps);
    return code == SQLITE_OK && !writer->index_broken && writer->behind != NULL;
}
