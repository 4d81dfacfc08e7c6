/* Words of events that are committed already, put into the search.
 *
 * Not in the commit itself: FTS5 costs as much as all the rest, three times over when the commits
 * are small, and nobody waits for it. How far each stream is indexed stands in its row of
 * `streams`, and moves with the words in one transaction: a crash loses none and doubles none. It
 * is done when the writer has nothing else to do, and before a search.
 *
 * What is sealed is opened first; what cannot be is passed over. Keys are learned here, when the
 * indexer comes to the event that brings them; what they open of what was passed over is indexed in
 * the same transaction, so that no crash comes between. */
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
    size_t docs_cap;
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

static void add_doc(Pass *pass, LogEvent *opened, int64_t row, int64_t room)
{
    if (pass->docs_count == pass->docs_cap) {
        pass->docs_cap *= 2;
        pass->docs = mem_resize(pass->docs, pass->docs_cap, sizeof(*pass->docs));
    }
    pass->docs[pass->docs_count++] = (Doc){
        .event = opened,
        .row = row,
        .room = room,
        .day = hlc_time_ms(opened->fields.hlc) / MS_PER_DAY,
    };
}

static int write_docs(Pass *pass);

static void drop_docs(Pass *pass)
{
    for (size_t i = 0; i < pass->docs_count; i++) {
        event_unref(pass->docs[i].event);
    }
    pass->docs_count = 0;
}

/* Has the indexer been there? seq: where it is in head. */
static bool was_passed(const Pass *pass, const Head *at, uint64_t at_seq, const LogEvent *event)
{
    const Head *head = writer_head(pass->writer, &event->fields.stream);
    uint64_t seq = event->fields.seq;
    if (head == NULL || head == at) {
        return head != NULL && seq < at_seq;
    }
    for (size_t i = 0; i < pass->steps_count; i++) {
        if (pass->steps[i].head == head) {
            return seq <= pass->steps[i].indexed;
        }
    }
    return seq <= head->indexed;
}

/* What keys open that have come with that take. However much it is, it goes in pieces. */
static int take_room(Pass *pass, const Head *head, uint64_t seq, int64_t room, uint64_t take)
{
    Writer *writer = pass->writer;
    sqlite3_stmt *rows = db_statement(&writer->db, SQL_ROOM_EVENTS);
    if (rows == NULL) {
        return sqlite3_extended_errcode(writer->db.sqlite);
    }
    sqlite3_bind_int64(rows, 1, room);
    int code = SQLITE_OK;
    int step = SQLITE_DONE;
    while (code == SQLITE_OK && (step = sqlite3_step(rows)) == SQLITE_ROW) {
        LogEvent *event = db_event(rows);
        bool wanted = event != NULL && seals_opens_since(writer->store->seals, event, take) &&
                      was_passed(pass, head, seq, event);
        LogEvent *opened = wanted ? seals_open(writer->store->seals, event) : NULL;
        if (opened != NULL && words_wanted(&opened->fields)) {
            add_doc(pass, opened, sqlite3_column_int64(rows, 0), room);
        } else {
            event_unref(opened);
        }
        event_unref(event);
        if (pass->docs_count >= INDEX_EVENTS) {
            code = write_docs(pass);
            drop_docs(pass);
        }
    }
    sqlite3_reset(rows);
    return code != SQLITE_OK || step == SQLITE_DONE || step == SQLITE_ROW ? code : step;
}

/* Takes over the reference. */
static int take_event(Pass *pass, const Head *head, LogEvent *event, int64_t room)
{
    Seals *seals = pass->writer->store->seals;
    uint64_t take = 0;
    int code = SQLITE_OK;
    if (seals_take(seals, event, &take)) {
        code = take_room(pass, head, event->fields.seq, room, take);
    }
    LogEvent *opened = seals_open(seals, event);
    if (opened != NULL && words_wanted(&opened->fields)) {
        add_doc(pass, opened, event_row(head->id, event->fields.seq), room);
    } else {
        event_unref(opened);
    }
    event_unref(event);
    return code;
}

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
    int taken = SQLITE_OK;
    while (taken == SQLITE_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        LogEvent *event = db_event(rows);
        if (event == NULL) {
            store_post_damage(writer->store, "an event that was to be indexed");
        } else {
            taken = take_event(pass, head, event, sqlite3_column_int64(rows, 3));
        }
    }
    sqlite3_reset(rows);
    if (taken != SQLITE_OK) {
        return taken;
    }
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

/* Those that the indexer has come past. */
static bool learn_seals(Writer *writer)
{
    sqlite3_stmt *rows = db_statement(&writer->db, SQL_CONTROL);
    if (rows == NULL) {
        return false;
    }
    seals_forget(writer->store->seals);
    sqlite3_bind_int(rows, 1, LOG_ROOM_KEY);
    sqlite3_bind_int(rows, 2, LOG_ROOM_KEY);
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        LogEvent *event = db_event(rows);
        const Head *head = event != NULL ? writer_head(writer, &event->fields.stream) : NULL;
        uint64_t take = 0;
        if (head != NULL && event->fields.seq <= head->indexed) {
            (void)seals_take(writer->store->seals, event, &take);
        }
        event_unref(event);
    }
    sqlite3_reset(rows);
    return code == SQLITE_DONE;
}

void index_open(Writer *writer)
{
    writer->seals_stale = !learn_seals(writer);
}

bool index_some(Writer *writer, size_t max)
{
    if (writer->seals_stale) { /* what it learned in a pass that came to nothing is to come again */
        index_open(writer);
    }
    if (writer->behind == NULL || writer->index_broken || max == 0) {
        return false;
    }
    Pass pass = {.writer = writer, .max = max};
    pass.docs_cap = max;
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
    writer->seals_stale = writer->seals_stale || code != SQLITE_OK;
    writer_set_degraded(writer, code);
    writer_roll_back(writer);
    drop_docs(&pass);
    mem_free(pass.docs);
    mem_free(pass.steps);
    return code == SQLITE_OK && !writer->index_broken && writer->behind != NULL;
}
