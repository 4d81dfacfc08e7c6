/* What the tests of the journal share: batches with a share of it, and what it says, as text. */
#pragma once

#include "io/store_impl.h"
#include "store_home.h"

#include <inttypes.h>

/* ---- batches with a share ---- */

typedef struct Writing {
    Home *home;
    uint64_t position; /* the journal's last */
} Writing;

static inline Writing writing_in(Home *home)
{
    return (Writing){.home = home, .position = store_position(home->store)};
}

static inline StoreAppended write_batch(Writing *writing, const StoreBatch *batch)
{
    Answers answers = {0};
    StoreBatch given = *batch;
    given.position = writing->position + 1;
    assert_int_equal(store_append(writing->home->store, &given, on_appended, &answers), ERR_OK);
    while (answers.count == 0) {
        turn(writing->home);
    }
    if (answers.last.err == ERR_OK) {
        writing->position += (batch->flags & STORE_JOURNAL) != 0 ? batch->count : 0;
        for (size_t i = 0; i < batch->passed_count; i++) {
            writing->position += batch->passed[i].shown;
        }
    }
    return answers.last;
}

/* One of the node's own. */
static inline void say(Writing *writing, Author *author, const char *text)
{
    LogEvent *event = event_by(author, text);
    StoreBatch batch = {.events = &event, .count = 1, .flags = STORE_JOURNAL};
    assert_int_equal(write_batch(writing, &batch).err, ERR_OK);
    event_unref(event);
}

static inline void pass(Writing *writing, const StorePassed *passed, size_t count)
{
    StoreBatch batch = {.passed = passed, .passed_count = count};
    assert_int_equal(write_batch(writing, &batch).err, ERR_OK);
}

static inline void pass_one(Writing *writing, const Author *author, uint64_t seq)
{
    pass(writing, &(StorePassed){author->stream, seq, true}, 1);
}

/* ---- reading: "1:hello;2:world;>3" (go on at 3), or the error ---- */

typedef struct Seen {
    StrBuf text;
    bool done;
    Err err;
    uint64_t next;
    size_t count;
} Seen;

static inline void on_journal(void *context, const StoreJournal *result)
{
    Seen *seen = context;
    seen->done = true;
    seen->err = result->err;
    seen->next = result->next;
    seen->count = result->count;
    if (result->err != ERR_OK) {
        strbuf_add_string(&seen->text, err_text(result->err));
        return;
    }
    for (size_t i = 0; i < result->count; i++) {
        const EventFields *fields = &result->events[i]->fields;
        strbuf_addf(&seen->text, "%" PRIu64 ":%.*s;", result->positions[i], (int)fields->body_len,
                    (const char *)fields->body);
    }
    strbuf_addf(&seen->text, ">%" PRIu64, result->next);
}

static inline Seen read_journal(Home *home, uint64_t from, size_t max_events, size_t max_bytes)
{
    Seen seen = {0};
    assert_int_equal(
        store_read_journal(home->store, from, max_events, max_bytes, on_journal, &seen), ERR_OK);
    assert_false(seen.done); /* never from within */
    while (!seen.done) {
        turn(home);
    }
    return seen;
}

static inline void assert_part(Home *home, uint64_t from, size_t max_events, const char *expected)
{
    Seen seen = read_journal(home, from, max_events, 0);
    assert_string_equal(strbuf_text(&seen.text), expected);
    strbuf_done(&seen.text);
}

static inline void assert_journal(Home *home, const char *expected)
{
    assert_part(home, 1, 0, expected);
}

/* ---- files ---- */

/* The store as a kill -9 would leave it, in a home of its own: nobody has closed it. */
static inline Home killed_copy(const Home *home)
{
    Home copy = home_new();
    assert_int_equal(mkdir(copy.directory, 0700), 0);
    const char *const names[] = {"log.db", "log.db-wal", "identity"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = 0;
        char *all = contents(home_path(home, names[i]), &len);
        write_at(home_path(&copy, names[i]), 0, all, len);
        mem_free(all);
    }
    return copy;
}

static inline void change_file(const char *file, const char *sql)
{
    Db db;
    assert_int_equal(db_open(&db, file, DB_WRITE), SQLITE_OK);
    int code = sqlite3_exec(db.sqlite, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        fail_msg("%s: %s", sql, sqlite3_errmsg(db.sqlite));
    }
    db_close(&db);
}

static inline void change(const Home *home, const char *sql)
{
    change_file(home_path(home, "log.db"), sql);
}

static inline int64_t number_in(const Home *home, const char *sql)
{
    Db db;
    assert_int_equal(db_open(&db, home_path(home, "log.db"), DB_WRITE), SQLITE_OK);
    int64_t number = db_number(&db, sql, -1);
    db_close(&db);
    return number;
}
