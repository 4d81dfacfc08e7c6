/* The one that looks at what is left, and compares it with what the pipe said. */
#include "store_crash.h"

#include <string.h>
#include <unistd.h>

/* ---- the streams that are left ---- */

typedef struct Check {
    const StreamId *stream;
    uint64_t seq;
    EventHash last;
    bool done;
    bool more;
} Check;

static void on_run(void *context, const StoreEvents *result)
{
    Check *check = context;
    if (result->err != ERR_OK) {
        broken("read: %s", err_text(result->err));
    }
    for (size_t i = 0; i < result->count; i++) {
        const EventFields *fields = &result->events[i]->fields;
        if (fields->seq != ++check->seq ||
            memcmp(&fields->prev_hash, &check->last, sizeof(EventHash)) != 0) {
            broken("a hole before %" PRIu64, fields->seq);
        }
        check->last = result->events[i]->hash;
    }
    check->more = result->more;
    check->done = true;
}

static void check_length(uint64_t seq, uint64_t acked, const Cut *cut)
{
    if (cut->done && seq != cut->hi) {
        broken("cut behind %" PRIu64 ", and %" PRIu64 " are there", cut->hi, seq);
    }
    if (seq < acked && !(cut->asked && seq == cut->hi)) {
        broken("acknowledged up to %" PRIu64 ", and only %" PRIu64 " are there", acked, seq);
    }
}

static void check_stream(Loop *loop, Store *store, const Author *author)
{
    Check check = {.stream = &author->stream, .more = author->seq > 0};
    while (check.more) {
        StoreRun run = {.stream = author->stream, .from = check.seq + 1};
        check.done = false;
        if (store_read_run(store, &run, on_run, &check) != ERR_OK) {
            broken("the read was refused");
        }
        while (!check.done) {
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        }
    }
    if (check.seq != author->seq || memcmp(&check.last, &author->last, sizeof(EventHash)) != 0) {
        broken("the stream ends at %" PRIu64 ", not at %" PRIu64, check.seq, author->seq);
    }
}

/* ---- the journal that is left ---- */

typedef struct Journal {
    const Author *authors;
    const Promises *promises;
    bool *seen[STREAMS];
    uint64_t next;
    uint64_t acked; /* positions found that had been acknowledged */
    bool done;
} Journal;

static void check_place(Journal *journal, uint64_t position, const EventFields *fields)
{
    size_t stream = 0;
    while (stream < STREAMS &&
           stream_id_compare(&journal->authors[stream].stream, &fields->stream) != 0) {
        stream++;
    }
    if (stream == STREAMS || position >= POSITIONS_MAX) {
        broken("position %" PRIu64 " is an event of no stream", position);
    }
    const Place *place = &journal->promises->places[position];
    if (place->seq != 0 && (place->stream != stream || place->seq != fields->seq)) {
        broken("position %" PRIu64 " was event %u of stream %u, and is %" PRIu64 " of %zu",
               position, place->seq, place->stream, fields->seq, stream);
    }
    journal->acked += place->seq != 0;
    if (journal->seen[stream][fields->seq]) {
        broken("event %" PRIu64 " of stream %zu has two positions", fields->seq, stream);
    }
    journal->seen[stream][fields->seq] = true;
}

/* Only what was cut leaves them. */
static void check_holes(Journal *journal, uint64_t until)
{
    for (; journal->next < until; journal->next++) {
        const Place *place = &journal->promises->places[journal->next];
        bool cut = place->seq != 0 ? place->seq > journal->authors[place->stream].seq
                                   : journal->promises->has_cuts;
        if (!cut) {
            broken("the journal lacks position %" PRIu64, journal->next);
        }
        journal->acked += place->seq != 0;
    }
}

static void on_journal(void *context, const StoreJournal *result)
{
    Journal *journal = context;
    if (result->err != ERR_OK) {
        broken("journal: %s", err_text(result->err));
    }
    for (size_t i = 0; i < result->count; i++) {
        check_holes(journal, result->positions[i]);
        if (result->positions[i] != journal->next++) {
            broken("the journal goes back to position %" PRIu64, result->positions[i]);
        }
        check_place(journal, result->positions[i], &result->events[i]->fields);
    }
    check_holes(journal, result->next);
    if (result->next != journal->next) {
        broken("the journal goes on at %" PRIu64 ", not %" PRIu64, result->next, journal->next);
    }
    journal->done = true;
}

static void check_journal(Loop *loop, Store *store, const Author *authors, const Promises *promises)
{
    Journal journal = {.authors = authors, .promises = promises, .next = 1};
    uint64_t acked = count_places(promises->places);
    for (size_t i = 0; i < STREAMS; i++) {
        journal.seen[i] = mem_array(authors[i].seq + 1, sizeof(bool));
    }
    while (journal.next <= store_position(store)) {
        journal.done = false;
        if (store_read_journal(store, journal.next, 1 + draw(1000), 0, on_journal, &journal) !=
            ERR_OK) {
            broken("the read of the journal was refused");
        }
        while (!journal.done) {
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        }
    }
    if (journal.acked != acked) {
        broken("%" PRIu64 " positions were acknowledged, and %" PRIu64 " are there", acked,
               journal.acked);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        for (uint64_t seq = 1; seq <= authors[i].seq; seq++) {
            if (!journal.seen[i][seq] && is_shown(i, seq)) {
                broken("event %" PRIu64 " of stream %zu has no position", seq, i);
            }
        }
        mem_free(journal.seen[i]);
    }
    if (!store_knows_cursor(store, store_life(store), store_position(store)) ||
        store_knows_cursor(store, store_life(store), store_position(store) + 1)) {
        broken("the journal's end is not what it is taken for");
    }
}

/* ---- all that is left ---- */

/* Nothing but what the streams hold, and in the search what they say, once each. */
static void check_tables(const char *directory, uint64_t events)
{
    AUTO_FREE char *file = NULL;
    store_say(&file, "%s/log.db", directory);
    Db db;
    if (db_open(&db, file, DB_WRITE) != SQLITE_OK) {
        broken("cannot open %s", file);
    }
    if (db_number(&db, "SELECT count(*) FROM events", -1) != (int64_t)events) {
        broken("there are other rows than the %" PRIu64 " events of the streams", events);
    }
    if (db_number(&db,
                  "SELECT (SELECT count(*) FROM docs) = (SELECT total(indexed) FROM streams)"
                  " AND (SELECT count(*) = count(DISTINCT event) FROM docs)",
                  0) != 1) {
        broken("what is indexed is not what the streams say");
    }
    int code = sqlite3_exec(
        db.sqlite, "INSERT INTO words(words, rank) VALUES('integrity-check', 1)", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        broken("the search's index: %s", sqlite3_errmsg(db.sqlite));
    }
    db_close(&db);
}

static void on_closed(void *context)
{
    *(bool *)context = true;
}

void look(const char *directory, const Promises *promises)
{
    Loop *loop = loop_new();
    Store *store = open_or_die(directory, loop);
    Author authors[STREAMS];
    static const uint8_t none[EVENT_SEED_BYTES] = {0};
    uint64_t events = 0;
    if (memcmp(promises->seed, none, sizeof(none)) != 0 &&
        memcmp(promises->seed, store_seed(store), sizeof(none)) != 0) {
        broken("the node has become another one");
    }
    authors_of(store, authors);
    for (size_t i = 0; i < STREAMS; i++) {
        check_length(authors[i].seq, promises->acked[i], &promises->cuts[i]);
        check_stream(loop, store, &authors[i]);
        events += authors[i].seq;
    }
    check_journal(loop, store, authors, promises);
    check_tables(directory, events);
    if (draw(2) == 0) {
        _exit(0); /* as a crash would */
    }
    bool closed = false;
    store_close(store, on_closed, &closed);
    while (!closed) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    _exit(0);
}
