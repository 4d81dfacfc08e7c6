/* Search: from the rows that FTS5 gives (store_query.c: for what) to the newest hits.
 *
 * Texts are numbered by day and then as they came (DOC_DAY_SHIFT), and FTS5 gives rows by number,
 * the highest first, without looking at those it does not give. So the newest hits cost what the
 * newest days cost, however common the words: rows are taken until there are enough and their day
 * is done, and only those are sorted by their exact time. */
#include "io/store_impl.h"

#include "base/text.h"

#include <string.h>

enum {
    MS_PER_DAY = 24 * 60 * 60 * 1000,
    /* Rows of one day that are sorted: 5,000 take some 15 ms. A day in which more texts than that
     * match is searched from its end. */
    SCAN_MAX = 5000,
    /* Rows that fit the words, and not the sender's exact name: so many are passed. */
    PASS_MAX = 100000,
    /* Texts looked at for longer starts of words: 2,000 take some 15 ms. Where they give too few
     * hits, fewer than one in a hundred fits, and FTS5 has little to collect. */
    LOOSE_MAX = 2000,
};

typedef struct Match {
    int64_t doc;
    int64_t event;
    int64_t hlc;
} Match;

typedef struct Search {
    Job job;
    StoreSearchDone done;
    void *context;
    char *words;
    char *room;
    char *sender;
    uint64_t until_hlc;
    size_t max_hits;

    Query *query; /* the reader's */
    Match *matches;
    size_t count;
    size_t cap;
    bool more;

    StoreHit *hits;
    size_t hits_count;
    Err err;
} Search;

/* ---- matches ---- */

static void add_match(Search *search, const Match *match)
{
    if (search->count == search->cap) {
        search->cap = search->cap == 0 ? 64 : search->cap * 2;
        search->matches = mem_resize(search->matches, search->cap, sizeof(*search->matches));
    }
    search->matches[search->count++] = *match;
}

static int newest_first(const void *a, const void *b)
{
    const Match *left = a;
    const Match *right = b;
    if (left->hlc != right->hlc) {
        return left->hlc > right->hlc ? -1 : 1;
    }
    return left->event > right->event ? -1 : left->event < right->event;
}

/* 0: there is no such room. */
static int64_t room_of(Db *db, const char *name)
{
    sqlite3_stmt *find = db_statement(db, SQL_ROOM);
    if (find == NULL) {
        return 0;
    }
    sqlite3_bind_text(find, 1, name, -1, SQLITE_STATIC);
    int64_t id = sqlite3_step(find) == SQLITE_ROW ? sqlite3_column_int64(find, 0) : 0;
    sqlite3_reset(find);
    return id;
}

/* The words of a sender's name are in the row; is it the whole name? And do the starts of words fit
 * that were asked for loosely? */
static bool text_fits(const Search *search, Db *db, int64_t row, bool loose)
{
    if (search->sender == NULL && !loose) {
        return true;
    }
    sqlite3_stmt *find = db_statement(db, SQL_EVENT);
    if (find == NULL) {
        return false;
    }
    sqlite3_bind_int64(find, 1, row);
    LogEvent *stored = sqlite3_step(find) == SQLITE_ROW ? db_event(find) : NULL;
    LogEvent *event = stored != NULL ? seals_open(search->job.store->seals, stored) : NULL;
    event_unref(stored);
    bool fits = event != NULL;
    if (fits && search->sender != NULL) {
        fits = event->fields.sender_len == strlen(search->sender) &&
               memcmp(event->fields.sender, search->sender, event->fields.sender_len) == 0;
    }
    fits = fits && (!loose || query_fits(search->query, &event->fields));
    event_unref(event);
    sqlite3_reset(find);
    return fits;
}

/* Is this row one of another day than the rows that are enough already? */
static bool is_enough(const Search *search, int64_t doc)
{
    return search->count >= SCAN_MAX ||
           (search->count > search->max_hits &&
            doc >> DOC_DAY_SHIFT != search->matches[search->count - 1].doc >> DOC_DAY_SHIFT);
}

static char *expression_of(const Search *search, int64_t room, QueryForm form)
{
    StrBuf out = {0};
    query_write(search->query, form, &out);
    /* Narrows the search; that the names are equal is compared later. */
    if (search->sender != NULL) {
        query_add_term(&out, "sender", search->sender);
    }
    if (room != 0) {
        char name[WORDS_ROOM_BYTES];
        words_room(name, room);
        query_add_term(&out, "room", name);
    }
    return strbuf_take(&out);
}

/* False with SQLITE_OK: there may be more than what was looked at. */
static int find_matches(Search *search, Db *db, int64_t room, QueryForm form, bool *ret_whole)
{
    sqlite3_stmt *rows = db_statement(db, SQL_MATCHES);
    if (rows == NULL) {
        return sqlite3_extended_errcode(db->sqlite);
    }
    AUTO_FREE char *expression = expression_of(search, room, form);
    bool loose = form == QUERY_LOOSE;
    size_t max = loose ? LOOSE_MAX : PASS_MAX;
    int64_t day = hlc_time_ms(search->until_hlc) / MS_PER_DAY;
    sqlite3_bind_text(rows, 1, expression, -1, SQLITE_STATIC);
    sqlite3_bind_int64(rows, 2, (day + 1) << DOC_DAY_SHIFT);
    int code = SQLITE_DONE;
    *ret_whole = false;
    for (size_t passed = 0; passed < max && (code = sqlite3_step(rows)) == SQLITE_ROW;) {
        Match match = {
            .doc = sqlite3_column_int64(rows, 0),
            .event = sqlite3_column_int64(rows, 1),
            .hlc = sqlite3_column_int64(rows, 2),
        };
        if (is_enough(search, match.doc)) {
            *ret_whole = true;
            break;
        }
        bool wanted =
            u64_of_sql(match.hlc) <= search->until_hlc && text_fits(search, db, match.event, loose);
        if (wanted) {
            add_match(search, &match);
        }
        passed += !wanted || loose;
    }
    sqlite3_reset(rows);
    *ret_whole = *ret_whole || code == SQLITE_DONE;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int find_all(Search *search, Db *db)
{
    int64_t room = search->room != NULL ? room_of(db, search->room) : 0;
    if (search->room != NULL && room == 0) {
        return SQLITE_OK;
    }
    bool whole = false;
    int code = SQLITE_OK;
    if (query_can_be_loose(search->query)) {
        code = find_matches(search, db, room, QUERY_LOOSE, &whole);
        whole = whole || search->count > search->max_hits; /* all of that day, the newest */
    }
    if (code == SQLITE_OK && !whole) {
        search->count = 0;
        code = find_matches(search, db, room, QUERY_EXACT, &whole);
    }
    return code;
}

/* ---- hits ---- */

static char *snippet_of(const Search *search, Db *db, int64_t doc, const EventFields *fields)
{
    AUTO_STRBUF StrBuf expression = {0};
    query_write_for(search->query, fields, &expression);
    char *snippet = NULL;
    sqlite3_stmt *find = db_statement(db, SQL_SNIPPET);
    if (find != NULL) {
        sqlite3_bind_text(find, 1, strbuf_text(&expression), -1, SQLITE_STATIC);
        sqlite3_bind_int64(find, 2, doc);
        if (sqlite3_step(find) == SQLITE_ROW) {
            const char *text = (const char *)sqlite3_column_text(find, 0);
            snippet = text != NULL ? mem_copy_string(text) : NULL;
        }
        sqlite3_reset(find);
    }
    return snippet != NULL ? snippet : mem_copy_string("");
}

static int make_hits(Search *search, Db *db)
{
    if (search->count > 1) {
        qsort(search->matches, search->count, sizeof(*search->matches), newest_first);
    }
    search->more = search->count > search->max_hits;
    size_t count = search->more ? search->max_hits : search->count;
    search->hits = mem_array(count, sizeof(*search->hits));
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *find = db_statement(db, SQL_EVENT);
        if (find == NULL) {
            return sqlite3_extended_errcode(db->sqlite);
        }
        sqlite3_bind_int64(find, 1, search->matches[i].event);
        LogEvent *event = sqlite3_step(find) == SQLITE_ROW ? db_event(find) : NULL;
        sqlite3_reset(find);
        if (event == NULL) {
            return SQLITE_CORRUPT;
        }
        LogEvent *opened = seals_open(search->job.store->seals, event);
        if (opened == NULL) { /* found, and not for who asks: its key is not here */
            event_unref(event);
            continue;
        }
        search->hits[search->hits_count++] = (StoreHit){
            .event = event,
            .snippet = snippet_of(search, db, search->matches[i].doc, &opened->fields),
        };
        event_unref(opened);
    }
    return SQLITE_OK;
}

/* ---- the job ---- */

static void run_search(Job *job, Db *db)
{
    Search *search = (Search *)job;
    search->err = ERR_OK;
    search->query = query_new(db, search->words);
    if (query_is_empty(search->query)) {
        return;
    }
    /* One view of the log for all of it. */
    int code = db_run(db, SQL_BEGIN_READ);
    code = code == SQLITE_OK ? find_all(search, db) : code;
    code = code == SQLITE_OK ? make_hits(search, db) : code;
    if (job->store->read_only) { /* nobody here indexes: what the last one has left is told */
        job->backlog = (uint64_t)db_number(db, "SELECT total(hi - indexed) FROM streams", 0);
    }
    if (code != SQLITE_OK) {
        Err err = db_err(db, code);
        search->err = err == ERR_OK ? ERR_IO : err;
        if (db_is_corrupt(code)) {
            store_post_damage(job->store, "the words of the search");
        }
    }
    if (!sqlite3_get_autocommit(db->sqlite)) {
        (void)db_run(db, SQL_COMMIT);
    }
}

static void search_free(Search *search)
{
    for (size_t i = 0; i < search->hits_count; i++) {
        event_unref(search->hits[i].event);
        mem_free(search->hits[i].snippet);
    }
    mem_free(search->hits);
    mem_free(search->matches);
    if (search->query != NULL) {
        query_free(search->query);
    }
    mem_free(search->words);
    mem_free(search->room);
    mem_free(search->sender);
    mem_free(search);
}

static void search_finish(Job *job)
{
    Search *search = (Search *)job;
    job->store->reads--;
    StoreHits result = {
        .err = search->err,
        .hits = search->hits,
        .count = search->err == ERR_OK ? search->hits_count : 0,
        .more = search->more,
        .unsearched = job->backlog,
    };
    search->done(search->context, &result);
    search_free(search);
}

Err store_search(Store *store, const StoreSearch *asked, StoreSearchDone done, void *context)
{
    const char *texts[] = {asked->words, asked->room, asked->sender};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        size_t len = texts[i] != NULL ? strlen(texts[i]) : 0;
        if (len > STORE_SEARCH_MAX_BYTES) {
            return ERR_LIMIT;
        }
        if (!text_is_utf8(texts[i] != NULL ? texts[i] : "", len)) {
            return ERR_INVALID;
        }
    }
    Search *search = mem_new(Search);
    search->done = done;
    search->context = context;
    search->words = mem_copy_string(asked->words != NULL ? asked->words : "");
    search->room = asked->room != NULL ? mem_copy_string(asked->room) : NULL;
    search->sender = asked->sender != NULL ? mem_copy_string(asked->sender) : NULL;
    search->until_hlc = asked->until_hlc != 0 ? asked->until_hlc : UINT64_MAX;
    search->max_hits = asked->max_hits == 0 || asked->max_hits > STORE_SEARCH_MAX_HITS
                           ? STORE_SEARCH_MAX_HITS
                           : asked->max_hits;
    search->job.run = run_search;
    search->job.finish = search_finish;
    search->err = ERR_UNAVAILABLE; /* what it stays where it never reaches the reader */
    JobQueue *queue =
        store->writer != NULL ? writer_queue(store->writer) : &store->readers[READER_SEARCH].queue;
    Err err = reader_push(store, &search->job, queue);
    if (err != ERR_OK) {
        search_free(search);
    }
    return err;
}
