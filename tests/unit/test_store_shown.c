/* Reads that go by time: pages, the newest of some kinds, rooms. */
#include "store_home.h"

#include "io/store_impl.h"

/* ---- the newest of some kinds ---- */

static void add_kind(Home *home, Author *author, int kind, const char *text)
{
    author->kind = kind;
    add(home, author, text);
}

static void assert_kinds(Home *home, const StoreKinds *kinds, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_read_kinds(home->store, kinds, on_read, &text), ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    strbuf_done(&text.text);
}

static const int APART[] = {LOG_JOIN, LOG_PART, LOG_NICK, LOG_TOPIC};
static const StoreKinds ALL_APART = {.kinds = APART, .kinds_count = 4};

/* Joins and parts of two people, and texts between them. */
static void add_comings_and_goings(Home *home, Author *ann, Author *bob)
{
    add_kind(home, ann, LOG_JOIN, "ann joins");
    add_kind(home, ann, LOG_TEXT, "hello");
    add_kind(home, ann, LOG_ACTION, "waves");
    bob->hlc = START + 1; /* said before what is stored already */
    bob->room = "other";
    add_kind(home, bob, LOG_JOIN, "bob joins");
    bob->hlc = START + 10;
    add_kind(home, bob, LOG_NICK, "bob is rob");
    ann->hlc = START + 20;
    add_kind(home, ann, LOG_TOPIC, "all about joins");
    add_kind(home, ann, LOG_TEXT, "anybody there?");
    add_kind(home, ann, LOG_PART, "ann parts");
    add_kind(home, ann, 77, "a later version's");
}

static void kinds_are_found_in_the_shown_order_also_after_a_restart(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    add_comings_and_goings(&home, &ann, &bob);
    for (int i = 0; i < 2; i++) {
        assert_kinds(&home, &ALL_APART,
                     "ann joins;bob joins;bob is rob;all about joins;ann parts;");
        const int members[] = {LOG_PART, LOG_JOIN, LOG_JOIN};
        StoreKinds kinds = {.kinds = members, .kinds_count = 3};
        assert_kinds(&home, &kinds, "ann joins;bob joins;ann parts;");
        kinds.origin = bob.stream.origin;
        assert_kinds(&home, &kinds, "bob joins;");
        kinds.origin = (const uint8_t[EVENT_KEY_BYTES]){0};
        assert_kinds(&home, &kinds, "");
        kinds.kinds_count = 0;
        assert_kinds(&home, &kinds, "");
        home_close(&home);
        home_open(&home);
    }
    home_done(&home);
}

static void newest_kinds_come_and_more_tells_of_older_ones(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    assert_kinds(&home, &ALL_APART, ""); /* of an empty log */
    add_comings_and_goings(&home, &ann, &bob);
    StoreKinds kinds = ALL_APART;
    kinds.max_events = 2;
    assert_kinds(&home, &kinds, "all about joins;ann parts;+");
    kinds.max_events = 5;
    assert_kinds(&home, &kinds, "ann joins;bob joins;bob is rob;all about joins;ann parts;");
    home_done(&home);
}

static void on_count(void *context, const StoreEvents *result)
{
    Text *text = context;
    assert_int_equal(result->err, ERR_OK);
    text->done = true;
    text->more = result->more;
    text->first_seq = result->events[0]->fields.seq;
    assert_int_equal(result->count, STORE_READ_MAX_EVENTS);
}

static void kinds_keep_the_cap_of_every_read(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    ann.kind = LOG_JOIN;
    fill(&home, &ann, STORE_READ_MAX_EVENTS + 100);
    uint64_t count = ann.seq;
    ann.kind = LOG_TEXT;
    fill(&home, &ann, 100);
    Text text = {0};
    StoreKinds kinds = ALL_APART;
    kinds.max_events = STORE_READ_MAX_EVENTS + 1;
    assert_int_equal(store_read_kinds(home.store, &kinds, on_count, &text), ERR_OK);
    wait_text(&home, &text);
    assert_true(text.more);
    assert_int_equal(text.first_seq, count - STORE_READ_MAX_EVENTS + 1); /* the newest */
    strbuf_done(&text.text);
    home_done(&home);
}

static void other_kinds_are_refused(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    const int odd[] = {LOG_JOIN, LOG_TEXT, -1, 77, 0};
    for (size_t i = 1; i < sizeof(odd) / sizeof(odd[0]); i++) {
        StoreKinds kinds = {.kinds = &odd[i], .kinds_count = 1};
        assert_int_equal(store_read_kinds(home.store, &kinds, on_read, NULL), ERR_INVALID);
    }
    int many[STORE_KINDS_MAX + 1];
    for (size_t i = 0; i < STORE_KINDS_MAX + 1; i++) {
        many[i] = LOG_JOIN;
    }
    StoreKinds kinds = {.kinds = many, .kinds_count = STORE_KINDS_MAX + 1};
    assert_int_equal(store_read_kinds(home.store, &kinds, on_read, NULL), ERR_INVALID);
    home_done(&home);
}

/* However many texts there are: what a plan says is true of every log. */
static void assert_plan(StoreSql which, const char *expected)
{
    Home home = home_new();
    home_open(&home);
    home_close(&home);
    Db db;
    assert_int_equal(db_open(&db, home_path(&home, "log.db"), DB_READ), SQLITE_OK);
    AUTO_FREE char *sql = NULL;
    store_say(&sql, "EXPLAIN QUERY PLAN %s", sqlite3_sql(db_statement(&db, which)));
    sqlite3_stmt *plan = NULL;
    assert_int_equal(sqlite3_prepare_v2(db.sqlite, sql, -1, &plan, NULL), SQLITE_OK);
    AUTO_STRBUF StrBuf steps = {0};
    while (sqlite3_step(plan) == SQLITE_ROW) {
        strbuf_addf(&steps, "%s\n", (const char *)sqlite3_column_text(plan, 3));
    }
    sqlite3_finalize(plan);
    db_close(&db);
    assert_string_equal(strbuf_text(&steps), expected);
    home_done(&home);
}

static void kinds_are_read_from_their_index_alone(void **state)
{
    (void)state;
    assert_plan(SQL_KINDS, "SCAN e USING INDEX events_kinds\n"
                           "SEARCH s USING INTEGER PRIMARY KEY (rowid=?)\n"
                           "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY\n");
}

/* ---- what was said before a stamp ---- */

static void assert_cuts(Home *home, const Author *author, uint64_t hlc, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_read_cuts(home->store, author->stream.origin, hlc, on_read, &text),
                     ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    strbuf_done(&text.text);
}

static void add_at(Home *home, Author *author, uint64_t hlc, const char *room, const char *text)
{
    author->hlc = hlc - 1;
    author->room = room;
    add(home, author, text);
}

static void cuts_are_the_last_before_a_stamp_of_each_stream(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    Author older = author_of(1, 6, "eve");
    Author bob = author_of(2, 7, "bob");
    add_at(&home, &eve, START + 10, "lobby", "ten");
    add_at(&home, &bob, START + 15, "lobby", "bob's");
    add_at(&home, &eve, START + 20, "den", "twenty");
    add_at(&home, &older, START + 25, "lobby", "twenty-five");
    add_at(&home, &eve, START + 30, "lobby", "thirty");
    for (int i = 0; i < 2; i++) {
        assert_cuts(&home, &eve, START + 31, "thirty;twenty-five;");
        assert_cuts(&home, &eve, START + 30, "twenty;twenty-five;");
        assert_cuts(&home, &eve, START + 21, "twenty;");
        assert_cuts(&home, &eve, START + 20, "ten;");
        assert_cuts(&home, &eve, START + 10, "");
        assert_cuts(&home, &eve, 0, "");
        assert_cuts(&home, &bob, UINT64_MAX, "bob's;");
        home_close(&home);
        home_open(&home);
    }
    Author nobody = author_of(3, 7, "nobody");
    assert_cuts(&home, &nobody, START + 31, "");
    home_done(&home);
}

static void stamp_that_goes_back_saves_nothing_from_a_cut(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    add_at(&home, &eve, START + 10, "lobby", "ten");
    add_at(&home, &eve, START + 30, "lobby", "thirty");
    add_at(&home, &eve, START + 5, "den", "five");
    assert_cuts(&home, &eve, START + 30, "ten;");
    assert_cuts(&home, &eve, START + 31, "five;");
    assert_cuts(&home, &eve, START + 6, "");
    home_done(&home);
}

static void cut_of_a_stream_that_starts_late_is_what_is_there(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    LogEvent *first = event_by(&eve, "one");
    LogEvent *second = event_by(&eve, "two");
    assert_int_equal(append(&home, &second, 1, STORE_STARTS_LATE).err, ERR_OK);
    assert_cuts(&home, &eve, UINT64_MAX, "two;");
    assert_cuts(&home, &eve, second->fields.hlc, "");
    event_unref(first);
    event_unref(second);
    home_done(&home);
}

/* Not a stream's last event: those are looked at when a log is opened that was not closed well,
 * which one is that was closed before its check had ended. */
static void cut_at_what_is_damaged_is_an_error(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    add_at(&home, &eve, START + 10, "lobby", "ten");
    add_at(&home, &eve, START + 20, "lobby", "twenty");
    home_close(&home);
    Db db;
    assert_int_equal(db_open(&db, home_path(&home, "log.db"), DB_WRITE), SQLITE_OK);
    const char *damage = "UPDATE events SET bytes = x'00' WHERE id = (SELECT min(id) FROM events)";
    assert_int_equal(sqlite3_exec(db.sqlite, damage, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_changes(db.sqlite), 1);
    db_close(&db);
    home_open(&home);
    assert_cuts(&home, &eve, START + 15, err_text(ERR_IO));
    home_done(&home);
}

static void fill_streams(Home *home, uint64_t first, uint64_t count)
{
    for (uint64_t epoch = first; epoch < first + count; epoch++) {
        Author eve = author_of(1, epoch, "eve");
        LogEvent *event = event_by(&eve, "one");
        while (give(home, &event, 1, STORE_LAZY, NULL) != ERR_OK) {
            turn(home);
        }
        event_unref(event);
    }
    Author last = author_of(2, first, "bob");
    add(home, &last, "all of them");
}

static void on_counted(void *context, const StoreEvents *result)
{
    Text *text = context;
    text->done = true;
    text->first_seq = result->err == ERR_OK ? result->count : 0;
    strbuf_add_string(&text->text, err_text(result->err));
}

static void cuts_are_of_as_many_streams_as_there_may_be(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 1, "eve");
    Text text = {0};
    fill_streams(&home, 1, STORE_CUTS_MAX);
    assert_int_equal(store_read_cuts(home.store, eve.stream.origin, DAY + START, on_counted, &text),
                     ERR_OK);
    wait_text(&home, &text);
    assert_int_equal(text.first_seq, STORE_CUTS_MAX);
    fill_streams(&home, STORE_CUTS_MAX + 1, 1);
    assert_int_equal(store_read_cuts(home.store, eve.stream.origin, DAY + START, on_counted, &text),
                     ERR_OK);
    wait_text(&home, &text);
    assert_string_equal(strbuf_text(&text.text), err_text(ERR_LIMIT));
    strbuf_done(&text.text);
    home_done(&home);
}

/* Neither a text nor anything that is older is looked at. */
static void cuts_are_found_by_the_index_of_rooms_alone(void **state)
{
    (void)state;
    assert_plan(SQL_NOT_BEFORE, "SCAN r\n"
                                "SEARCH e USING COVERING INDEX events_shown (room=? AND hlc>?)\n");
}

/* ---- the list of rooms ---- */

/* As text: "lobby@0;other@20;", times after START. */
static void on_rooms(void *context, const StoreRooms *result)
{
    Text *text = context;
    text->done = true;
    text->first_seq = result->count;
    assert_int_equal(result->err, ERR_OK);
    for (size_t i = 0; i < result->count && i < 5; i++) {
        const StoreRoom *room = &result->rooms[i];
        assert_int_equal(strlen(room->name), room->name_len);
        strbuf_addf(&text->text, "%s@%d;", room->name, (int)(room->last_hlc - START));
    }
}

static void assert_rooms(Home *home, size_t count, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_read_rooms(home->store, on_rooms, &text), ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    assert_int_equal(text.first_seq, count);
    strbuf_done(&text.text);
}

static void rooms_come_with_their_last_event_newest_first(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    assert_rooms(&home, 0, ""); /* of an empty log */
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    for (int i = 0; i < 3; i++) {
        add(&home, &ann, "x");
    }
    ann.room = "b-room";
    ann.hlc = START + 9;
    add(&home, &ann, "x");
    bob.room = "a-room"; /* as new as that */
    bob.hlc = START + 9;
    add(&home, &bob, "x");
    bob.room = "\xe6\x9d\xb1\xe4\xba\xac";
    bob.hlc = START + 20;
    add(&home, &bob, "x");
    bob.room = "refused"; /* makes the room, and leaves no event in it */
    LogEvent *hole[] = {event_by(&bob, "x"), event_by(&ann, "x"), event_by(&ann, "x")};
    LogEvent *refused[] = {hole[0], hole[2]};
    assert_int_equal(append(&home, refused, 2, 0).err, ERR_INVALID);
    const char *expected = "\xe6\x9d\xb1\xe4\xba\xac@21;a-room@10;b-room@10;lobby@3;";
    assert_rooms(&home, 4, expected);
    Home reader = home;
    char *error = NULL;
    assert_int_equal(home_try_open(&reader, true, &error), ERR_OK);
    assert_rooms(&reader, 4, expected);
    home_close(&reader);
    for (size_t i = 0; i < 3; i++) {
        event_unref(hole[i]);
    }
    home_done(&home);
}

static void rooms_past_the_cap_are_those_that_are_oldest(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    char room[16];
    ann.room = room;
    LogEvent *events[STORE_ROOMS_MAX / 100 + 1];
    const size_t count = sizeof(events) / sizeof(events[0]);
    for (size_t i = 0; i < 100; i++) {
        for (size_t j = 0; j < count; j++) {
            snprintf(room, sizeof(room), "%zu", i * count + j + 1);
            events[j] = event_by(&ann, "x");
        }
        assert_int_equal(append(&home, events, count, 0).err, ERR_OK);
        for (size_t j = 0; j < count; j++) {
            event_unref(events[j]);
        }
    }
    assert_rooms(&home, STORE_ROOMS_MAX,
                 "10100@10100;10099@10099;10098@10098;10097@10097;10096@10096;");
    home_done(&home);
}

/* ---- beside a node, and before it ---- */

static void reader_beside_a_node_reads_kinds_too(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    Home reader = home;
    char *error = NULL;
    assert_int_equal(home_try_open(&reader, true, &error), ERR_OK);
    assert_kinds(&reader, &ALL_APART, "");
    add_comings_and_goings(&home, &ann, &bob);
    assert_kinds(&reader, &ALL_APART, "ann joins;bob joins;bob is rob;all about joins;ann parts;");
    home_close(&reader);
    home_done(&home);
}

/* The log as the first format had it. */
static void make_old(const Home *home)
{
    static const char TO_1[] = "DROP TABLE journal;"
                               "DROP TABLE lives;"
                               "ALTER TABLE streams DROP COLUMN shown;"
                               "DROP INDEX events_kinds;"
                               "ALTER TABLE events DROP COLUMN kind;"
                               "DROP TABLE words;"
                               "DROP VIEW texts;"
                               "CREATE VIEW texts AS SELECT d.id AS id, '' AS room, '' AS sender,"
                               " event_field(e.bytes, 1) AS body"
                               " FROM docs d JOIN events e ON e.id = d.event;"
                               "CREATE VIRTUAL TABLE words USING fts5(room, sender, body,"
                               " content='texts', content_rowid='id', columnsize=0,"
                               " tokenize='chat');"
                               "INSERT INTO words(words) VALUES('rebuild');"
                               "PRAGMA user_version = 1;";
    Db db;
    assert_int_equal(db_open(&db, home_path(home, "log.db"), DB_WRITE), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db.sqlite, TO_1, NULL, NULL, NULL), SQLITE_OK);
    db_close(&db);
}

static void old_file_is_brought_up_to_date_by_a_node_alone(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    add_comings_and_goings(&home, &ann, &bob);
    home_close(&home);
    make_old(&home);
    char *error = NULL;
    assert_int_equal(home_try_open(&home, true, &error), ERR_LIMIT);
    assert_non_null(strstr(error, "written by an older chat_node: start the node once"));
    mem_free(error);

    home_open(&home);
    assert_null(store_notice(home.store));
    const char *expected = "ann joins;bob joins;bob is rob;all about joins;ann parts;";
    assert_kinds(&home, &ALL_APART, expected);
    assert_words(&home, "joins", "all about [joins];");
    assert_words(&home, "joi*", "all about [joins];");
    ann.hlc = START + 30;
    add_kind(&home, &ann, LOG_JOIN, "ann is back");
    home_close(&home);
    home_open(&home);
    assert_kinds(&home, &ALL_APART,
                 "ann joins;bob joins;bob is rob;all about joins;ann parts;ann is back;");
    StoreRun run = {.stream = bob.stream, .from = 1};
    assert_run(&home, &run, "bob joins;bob is rob;");
    home_done(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_found_in_the_shown_order_also_after_a_restart),
        cmocka_unit_test(newest_kinds_come_and_more_tells_of_older_ones),
        cmocka_unit_test(kinds_keep_the_cap_of_every_read),
        cmocka_unit_test(other_kinds_are_refused),
        cmocka_unit_test(kinds_are_read_from_their_index_alone),
        cmocka_unit_test(cuts_are_the_last_before_a_stamp_of_each_stream),
        cmocka_unit_test(stamp_that_goes_back_saves_nothing_from_a_cut),
        cmocka_unit_test(cut_of_a_stream_that_starts_late_is_what_is_there),
        cmocka_unit_test(cut_at_what_is_damaged_is_an_error),
        cmocka_unit_test(cuts_are_of_as_many_streams_as_there_may_be),
        cmocka_unit_test(cuts_are_found_by_the_index_of_rooms_alone),
        cmocka_unit_test(rooms_come_with_their_last_event_newest_first),
        cmocka_unit_test(rooms_past_the_cap_are_those_that_are_oldest),
        cmocka_unit_test(reader_beside_a_node_reads_kinds_too),
        cmocka_unit_test(old_file_is_brought_up_to_date_by_a_node_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
