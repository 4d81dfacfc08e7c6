/* Search: from what somebody typed to an expression of FTS5, and from its rows to the newest hits.
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
    /* Rows that fit the words, and not the room's or sender's exact name: so many are passed. */
    PASS_MAX = 100000,
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
    char *expression; /* NULL: no words, no hits */
    char *room;
    char *sender;
    uint64_t until_hlc;
    size_t max_hits;

    Match *matches;
    size_t count;
    size_t cap;
    bool more;

    StoreHit *hits;
    size_t hits_count;
    Err err;
} Search;

/* ---- the expression ---- */

/* As a string of FTS5, in which nothing but the quote means anything. */
static void add_quoted(StrBuf *out, const char *text, size_t len)
{
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') {
            strbuf_add_char(out, '"');
        }
        strbuf_add_char(out, text[i]);
    }
    strbuf_add_string(out, "\" ");
}

/* Side by side, not joined with AND: then FTS5 leaves out what has no word in it. */
static void add_term(StrBuf *out, const char *columns, const char *text, size_t len)
{
    strbuf_addf(out, "%s : ", columns);
    add_quoted(out, text, len);
}

static char *expression_of(const StoreSearch *search)
{
    StrBuf all = {0};
    const char *at = search->words != NULL ? search->words : "";
    while (*(at += strspn(at, " \t")) != '\0') {
        bool phrase = *at == '"';
        at += phrase ? 1 : 0;
        size_t len = strcspn(at, phrase ? "\"" : " \t\"");
        bool starred = !phrase && len > 1 && at[len - 1] == '*';
        bool prefix = starred && len - 1 >= STORE_PREFIX_MIN_BYTES;
        if (len > 0) {
            add_term(&all, "{sender body}", at, starred ? len - 1 : len);
            strbuf_add_string(&all, prefix ? "* " : "");
        }
        at += len;
        at += phrase && *at == '"' ? 1 : 0;
    }
    if (all.len == 0) {
        return NULL;
    }
    /* These narrow the search; that the names are equal is compared later. */
    if (search->room != NULL) {
        add_term(&all, "room", search->room, strlen(search->room));
    }
    if (search->sender != NULL) {
        add_term(&all, "sender", search->sender, strlen(search->sender));
    }
    return strbuf_take(&all);
}

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

/* The words of a sender's name are in the row; is it the whole name? */
static bool is_by(Db *db, int64_t row, const char *sender)
{
    sqlite3_stmt *find = db_statement(db, SQL_EVENT);
    if (find == NULL) {
        return false;
    }
    sqlite3_bind_int64(find, 1, row);
    LogEvent *event = sqlite3_step(find) == SQLITE_ROW ? db_event(find) : NULL;
    bool same = event != NULL && event->fields.sender_len == strlen(sender) &&
                memcmp(event->fields.sender, sender, event->fields.sender_len) == 0;
    event_unref(event);
    sqlite3_reset(find);
    return same;
}

/* Is this row one of another day than the rows that are enough already? */
static bool is_enough(const Search *search, int64_t doc)
{
    return search->count >= SCAN_MAX ||
           (search->count > search->max_hits &&
            doc >> DOC_DAY_SHIFT != search->matches[search->count - 1].doc >> DOC_DAY_SHIFT);
}

static int find_matches(Search *search, Db *db)
{
    int64_t room = search->room != NULL ? room_of(db, search->room) : 0;
    sqlite3_stmt *rows = db_statement(db, SQL_MATCHES);
    if (rows == NULL) {
        return sqlite3_extended_errcode(db->sqlite);
    }
    int64_t day = hlc_time_ms(search->until_hlc) / MS_PER_DAY;
    sqlite3_bind_text(rows, 1, search->expression, -1, SQLITE_STATIC);
    sqlite3_bind_int64(rows, 2, (day + 1) << DOC_DAY_SHIFT);
    int code = SQLITE_DONE;
    for (size_t passed = 0; passed < PASS_MAX && (code = sqlite3_step(rows)) == SQLITE_ROW;) {
        Match match = {
            .doc = sqlite3_column_int64(rows, 0),
            .event = sqlite3_column_int64(rows, 1),
            .hlc = sqlite3_column_int64(rows, 3),
        };
        if (is_enough(search, match.doc)) {
            break;
        }
        bool wanted = u64_of_sql(match.hlc) <= search->until_hlc &&
                      (search->room == NULL || sqlite3_column_int64(rows, 2) == room) &&
                      (search->sender == NULL || is_by(db, match.event, search->sender));
        if (wanted) {
            add_match(search, &match);
        } else {
            passed++;
        }
    }
    sqlite3_reset(rows);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- hits ---- */

static char *snippet_of(const Search *search, Db *db, int64_t doc)
{
    char *snippet = NULL;
    sqlite3_stmt *find = db_statement(db, SQL_SNIPPET);
    if (find != NULL) {
        sqlite3_bind_text(find, 1, search->expression, -1, SQLITE_STATIC);
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
        search->hits[search->hits_count++] = (StoreHit){
            .event = event,
            .snippet = snippet_of(search, db, search->matches[i].doc),
        };
    }
    return SQLITE_OK;
}

/* ---- the job ---- */

static void run_search(Job *job, Db *db)
{
    Search *search = (Search *)job;
    search->err = ERR_OK;
    if (search->expression == NULL) {
        return;
    }
    /* One view of the log for all of it. */
    int code = db_run(db, SQL_BEGIN_READ);
    code = code == SQLITE_OK ? find_matches(search, db) : code;
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
    mem_free(search->expression);
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
    search->expression = expression_of(asked);
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
