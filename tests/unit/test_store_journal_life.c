/* The journal through its store's life: full disks and damage, kills, backups, older files. */
#include "store_journal.h"

#include <signal.h>
#include <sys/resource.h>

/* ---- a disk that is full ---- */

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void full_disk_takes_no_position_and_they_go_on_after(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    add(&home, &bob, "b");
    say(&writing, &me, "a");
    signal(SIGXFSZ, SIG_IGN);
    set_file_limit(200000);
    char body[3000] = "";
    memset(body, 'x', sizeof(body) - 1);
    StorePassed passed = {bob.stream, 1, true};
    StoreAppended result = {0};
    Author before = me;
    for (int i = 0; i < 1000 && result.err == ERR_OK; i++) {
        before = me;
        LogEvent *events[] = {event_by(&me, body), event_by(&me, body)};
        /* bob's, as long as it is not passed, with each that may be the one that fails: again and
         * again it is a repeat, which is for the core to avoid, and no harm here. */
        StoreBatch batch = {events, 2, STORE_JOURNAL, &passed, 1, 0};
        result = write_batch(&writing, &batch);
        event_unref(events[0]);
        event_unref(events[1]);
    }
    assert_int_equal(result.err, ERR_UNAVAILABLE);
    set_file_limit(RLIM_INFINITY);
    me = before;
    say(&writing, &me, "there is room");
    Seen seen = read_journal(&home, writing.position, 0, 0);
    AUTO_STRBUF StrBuf expected = {0};
    strbuf_addf(&expected, "%" PRIu64 ":there is room;>%" PRIu64, writing.position,
                writing.position + 1);
    assert_string_equal(strbuf_text(&seen.text), strbuf_text(&expected));
    strbuf_done(&seen.text);
    home_close(&home);
    home_open(&home);
    assert_int_equal(store_position(home.store), writing.position);
    home_done(&home);
}

/* So many streams of an event each, so that to mend them takes many pages. */
static void add_streams(Home *home, unsigned count)
{
    LogEvent *events[1000];
    for (unsigned i = 0; i < count; i++) {
        Author author = author_of(3, i + 1, "x");
        events[i] = event_by(&author, "x");
    }
    assert_int_equal(append(home, events, count, 0).err, ERR_OK);
    for (unsigned i = 0; i < count; i++) {
        event_unref(events[i]);
    }
}

static void life_that_the_disk_refuses_is_written_when_it_can(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    Home home = home_new();
    home_open(&home);
    add_streams(&home, MANY);
    home_close(&home);
    signal(SIGXFSZ, SIG_IGN);
    set_file_limit(40000); /* the -shm has room, and some pages of the -wal */
    home_open(&home);
    uint64_t life = store_life(home.store);
    assert_int_equal(store_position(home.store), MANY);
    assert_true(store_knows_cursor(home.store, life, 0));
    assert_false(store_knows_cursor(home.store, life, 1));
    assert_journal(&home, ">1");
    while (store_degraded(home.store) == NULL) {
        turn(&home);
    }
    set_file_limit(RLIM_INFINITY);
    while (store_degraded(home.store) != NULL) { /* by itself: nothing is appended */
        turn(&home);
    }
    assert_true(store_knows_cursor(home.store, life, MANY));
    Seen seen = read_journal(&home, 1, 0, 0);
    assert_int_equal(seen.count, MANY);
    strbuf_done(&seen.text);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    say(&writing, &me, "a");
    assert_part(&home, MANY + 1, 0, "1001:a;>1002");
    home_close(&home);
    home_open(&home);
    assert_true(store_knows_cursor(home.store, life, MANY + 1));
    assert_int_equal(store_position(home.store), MANY + 1);
    home_done(&home);
}

/* ---- mending ---- */

static void kill_between_storing_and_passing_loses_none(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    Author eve = author_of(3, 7, "eve");
    say(&writing, &me, "m1");
    add(&home, &bob, "b1");
    add(&home, &eve, "e1");
    add(&home, &bob, "b2");
    add(&home, &bob, "b3");
    pass_one(&writing, &bob, 1);
    say(&writing, &me, "m2");
    Home copy = killed_copy(&home);
    home_open(&copy);
    assert_null(store_notice(copy.store));
    assert_int_equal(store_position(copy.store), 6);
    assert_journal(&copy, "1:m1;2:b1;3:m2;4:b2;5:b3;6:e1;>7");
    Home twice = killed_copy(&copy); /* it is on the disk: mended once */
    home_open(&twice);
    assert_journal(&twice, "1:m1;2:b1;3:m2;4:b2;5:b3;6:e1;>7");
    home_done(&twice);
    home_done(&copy);
    /* The one that goes on passes them in its own order. */
    pass_one(&writing, &eve, 1);
    assert_journal(&home, "1:m1;2:b1;3:m2;4:e1;>5");
    home_done(&home);
}

static const char TO_2[] = "DROP TABLE journal; DROP TABLE lives;"
                           "ALTER TABLE streams DROP COLUMN shown;"
                           "PRAGMA user_version = 2;";

static const char TO_1[] = "DROP INDEX events_kinds; ALTER TABLE events DROP COLUMN kind;"
                           "DROP TABLE words; DROP VIEW texts;"
                           "CREATE VIEW texts AS SELECT d.id AS id, '' AS room, '' AS sender,"
                           " event_field(e.bytes, 1) AS body"
                           " FROM docs d JOIN events e ON e.id = d.event;"
                           "CREATE VIRTUAL TABLE words USING fts5(room, sender, body,"
                           " content='texts', content_rowid='id', columnsize=0, tokenize='chat');"
                           "INSERT INTO words(words) VALUES('rebuild'); PRAGMA user_version = 1;";

static void log_of_an_earlier_format_is_journaled_when_it_is_opened(void **state)
{
    (void)state;
    for (int format = 1; format <= 2; format++) {
        for (int unclean = 0; unclean < 2; unclean++) {
            Home home = home_new();
            home_open(&home);
            Writing writing = writing_in(&home);
            Author me = author_of(1, 7, "me");
            Author bob = author_of(2, 7, "bob");
            say(&writing, &me, "m1");
            add(&home, &bob, "b1");
            say(&writing, &me, "m2");
            home_close(&home);
            change(&home, TO_2);
            if (format == 1) {
                change(&home, TO_1);
            }
            if (unclean == 1) {
                unlink(home_path(&home, "clean"));
                write_at(home_path(&home, "damaged"), 0, "", 0); /* all of it is looked at */
            }
            home_open(&home);
            assert_null(store_notice(home.store));
            assert_journal(&home, "1:m1;2:m2;3:b1;>4");
            writing = writing_in(&home);
            say(&writing, &me, "m3");
            assert_journal(&home, "1:m1;2:m2;3:b1;4:m3;>5");
            home_done(&home);
        }
    }
}

/* ---- lives and cursors ---- */

static void each_open_is_a_life_and_cursors_of_all_are_known(void **state)
{
    (void)state;
    Home home = home_new();
    uint64_t lives[3] = {0};
    Author me = author_of(1, 7, "me");
    for (size_t i = 0; i < 3; i++) { /* positions 1 and 2; 3 and 4; 5 and 6 */
        home_open(&home);
        lives[i] = store_life(home.store);
        Writing writing = writing_in(&home);
        assert_false(store_knows_cursor(home.store, lives[i], writing.position + 1));
        say(&writing, &me, "a");
        say(&writing, &me, "b");
        assert_true(store_knows_cursor(home.store, lives[i], writing.position));
        assert_false(store_knows_cursor(home.store, lives[i], writing.position + 1));
        for (size_t j = 0; j < i; j++) {
            assert_true(lives[i] != lives[j]);
        }
        home_close(&home);
    }
    home_open(&home);
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(store_knows_cursor(home.store, lives[i], 0));
        assert_true(store_knows_cursor(home.store, lives[i], 2 * i + 1));
        assert_true(store_knows_cursor(home.store, lives[i], 2 * i + 2));
        assert_false(store_knows_cursor(home.store, lives[i], 2 * i + 3));
    }
    assert_true(store_knows_cursor(home.store, store_life(home.store), 6));
    assert_false(store_knows_cursor(home.store, store_life(home.store), 7));
    assert_false(store_knows_cursor(home.store, store_life(home.store) + 1, 1));
    assert_false(store_knows_cursor(home.store, store_life(home.store), UINT64_MAX));
    home_done(&home);
}

static void on_backup(void *context, Err err, const char *text)
{
    (void)text;
    assert_int_equal(err, ERR_OK);
    *(bool *)context = true;
}

static void back_up(Home *home, char path[100])
{
    bool done = false;
    snprintf(path, 100, "%.60s/../backup", home->directory);
    assert_int_equal(store_backup(home->store, path, on_backup, &done), ERR_OK);
    while (!done) {
        turn(home);
    }
}

static void cursor_of_a_future_that_a_restore_lost_is_not_known(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    uint64_t life = store_life(home.store);
    say(&writing, &me, "a");
    add(&home, &bob, "b"); /* not passed: the backup's first open does */
    char path[100];
    back_up(&home, path);
    say(&writing, &me, "lost");
    say(&writing, &me, "lost too");
    assert_true(store_knows_cursor(home.store, life, 3));
    home_close(&home);
    home_open(&home);
    uint64_t lost = store_life(home.store);
    home_close(&home);

    char *text = NULL;
    assert_int_equal(store_restore(home.directory, path, &text), ERR_OK);
    mem_free(text);
    home_open(&home);
    assert_journal(&home, "1:a;2:b;>3");
    assert_true(store_knows_cursor(home.store, life, 1));
    assert_false(store_knows_cursor(home.store, life, 2)); /* another event, then */
    assert_false(store_knows_cursor(home.store, life, 3));
    assert_false(store_knows_cursor(home.store, lost, 1));
    assert_true(store_knows_cursor(home.store, store_life(home.store), 2));
    unlink(path);
    home_done(&home);
}

static void lives_are_bounded_and_the_newest_are_kept(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    say(&writing, &me, "a");
    uint64_t first = store_life(home.store);
    home_close(&home);
    change(&home, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
                  " INSERT INTO lives SELECT i, 2 FROM n");
    home_open(&home);
    uint64_t newest = store_life(home.store);
    home_close(&home);
    assert_int_equal(number_in(&home, "SELECT count(*) FROM lives"), STORE_LIVES_MAX);
    home_open(&home);
    assert_false(store_knows_cursor(home.store, first, 1));
    assert_true(store_knows_cursor(home.store, newest, 1));
    home_done(&home);
}

/* ---- damage ---- */

static void nonsense_in_the_journal_is_an_error_and_it_is_made_anew(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "UPDATE journal SET runs = x'' WHERE position = 2",
        "UPDATE journal SET runs = x'01' WHERE position = 2",
        "UPDATE journal SET runs = x'010201ff' WHERE position = 2",
        "UPDATE journal SET runs = x'000201' WHERE position = 2",
        "UPDATE journal SET runs = x'010001' WHERE position = 2",
        "UPDATE journal SET runs = x'010200' WHERE position = 2",
        "UPDATE journal SET runs = x'010205' WHERE position = 2",
        "UPDATE journal SET runs = x'0102ffffffffffffffffffffff01' WHERE position = 2",
        "UPDATE journal SET runs = x'01ffffffffff3f01' WHERE position = 2",
        "UPDATE journal SET runs = zeroblob(100000) WHERE position = 2",
        "UPDATE journal SET position = 0 WHERE position = 1",
        "DELETE FROM journal WHERE position = 2",
    };
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        Home home = home_new();
        home_open(&home);
        Writing writing = writing_in(&home);
        Author me = author_of(1, 7, "me");
        say(&writing, &me, "a");
        say(&writing, &me, "b");
        say(&writing, &me, "c");
        uint64_t life = store_life(home.store);
        char path[100];
        back_up(&home, path);
        change(&home, nonsense[i]);
        assert_journal(&home, "input or output failed");
        home_close(&home);

        change_file(path, nonsense[i]);
        char *text = NULL;
        assert_int_equal(store_restore(home.directory, path, &text), ERR_INVALID);
        assert_non_null(strstr(text, "the journal is broken at position"));
        mem_free(text);
        unlink(path);

        home_open(&home); /* all of it is looked at */
        assert_null(store_notice(home.store));
        assert_journal(&home, "1:a;2:b;3:c;>4");
        assert_false(store_knows_cursor(home.store, life, 1));
        home_done(&home);
    }
}

static void nonsense_at_the_journals_end_or_in_its_lives_shows_at_open(void **state)
{
    (void)state;
    static const char *const nonsense[] = {
        "UPDATE journal SET runs = x'ff' WHERE position = 2",
        "UPDATE lives SET first = 4",
        "UPDATE lives SET first = 0",
        "INSERT INTO lives VALUES(1, 3); INSERT INTO lives VALUES(2, 2)",
    };
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        Home home = home_new();
        home_open(&home);
        Writing writing = writing_in(&home);
        Author me = author_of(1, 7, "me");
        say(&writing, &me, "a");
        say(&writing, &me, "b");
        uint64_t life = store_life(home.store);
        home_close(&home);
        change(&home, nonsense[i]);
        home_open(&home);
        assert_null(store_notice(home.store));
        assert_journal(&home, "1:a;2:b;>3");
        assert_false(store_knows_cursor(home.store, life, 1));
        home_done(&home);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_disk_takes_no_position_and_they_go_on_after),
        cmocka_unit_test(life_that_the_disk_refuses_is_written_when_it_can),
        cmocka_unit_test(kill_between_storing_and_passing_loses_none),
        cmocka_unit_test(log_of_an_earlier_format_is_journaled_when_it_is_opened),
        cmocka_unit_test(each_open_is_a_life_and_cursors_of_all_are_known),
        cmocka_unit_test(cursor_of_a_future_that_a_restore_lost_is_not_known),
        cmocka_unit_test(lives_are_bounded_and_the_newest_are_kept),
        cmocka_unit_test(nonsense_in_the_journal_is_an_error_and_it_is_made_anew),
        cmocka_unit_test(nonsense_at_the_journals_end_or_in_its_lives_shows_at_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
