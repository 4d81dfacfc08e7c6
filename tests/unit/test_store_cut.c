/* What counts no more is deleted, everywhere in the store; what says who is a member is there at
 * open. */
#include "io/log_writer.h"
#include "store_journal.h"

typedef struct CutAnswer {
    unsigned count;
    Err err;
} CutAnswer;

static void on_cut(void *context, Err err)
{
    CutAnswer *answer = context;
    answer->count++;
    answer->err = err;
}

static void cut(Home *home, const Author *author, uint64_t hi)
{
    CutAnswer answer = {0};
    store_cut(home->store, &author->stream, hi, on_cut, &answer);
    assert_int_equal(answer.count, 0); /* never from within */
    while (answer.count == 0) {
        turn(home);
    }
    assert_int_equal(answer.err, ERR_OK);
}

static void reopen(Home *home)
{
    home_close(home);
    home_open(home);
    assert_null(store_notice(home->store));
}

/* The next open looks at all of it. */
static void reopen_with_all_checks(Home *home)
{
    home_close(home);
    write_at(home_path(home, "damaged"), 0, "", 0);
    home_open(home);
    assert_null(store_notice(home->store));
}

static void assert_end(const Home *home, const Author *author, uint64_t hi)
{
    size_t count = 0;
    const StoreHead *heads = store_heads(home->store, &count);
    uint64_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (stream_id_compare(&heads[i].stream, &author->stream) == 0) {
            found = heads[i].hi;
        }
    }
    assert_int_equal(found, hi);
}

static StoreRun run_from(const Author *author, uint64_t from)
{
    return (StoreRun){.stream = author->stream, .from = from};
}

static void cut_deletes_events_words_and_kinds(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    Author bob = author_of(2, 7, "bob");
    add(&home, &eve, "apples before");
    add(&home, &bob, "apples of bob");
    add(&home, &eve, "apples after");
    eve.kind = LOG_JOIN;
    add(&home, &eve, "joins");
    assert_words(&home, "apples", "[apples] after;[apples] of bob;[apples] before;");
    cut(&home, &eve, 1);
    assert_words(&home, "apples", "[apples] of bob;[apples] before;");
    assert_words(&home, "after", "");
    StoreRun run = run_from(&eve, 1);
    assert_run(&home, &run, "apples before;");
    Text text = {0};
    StoreKinds kinds = {.kinds = (const int[]){LOG_JOIN}, .kinds_count = 1};
    assert_int_equal(store_read_kinds(home.store, &kinds, on_read, &text), ERR_OK);
    wait_text(&home, &text);
    assert_string_equal(strbuf_text(&text.text), "");
    strbuf_done(&text.text);
    reopen_with_all_checks(&home);
    assert_end(&home, &eve, 1);
    assert_words(&home, "apples", "[apples] of bob;[apples] before;");
    home_done(&home);
}

static void cut_of_what_is_not_indexed_yet_leaves_no_words(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    Author bob = author_of(2, 7, "bob");
    LogEvent *events[] = {event_by(&eve, "pears one"), event_by(&eve, "pears two")};
    Answers answers = {0};
    CutAnswer answer = {0};
    assert_int_equal(give(&home, events, 2, 0, &answers), ERR_OK);
    store_cut(home.store, &eve.stream, 1, on_cut, &answer);
    assert_words(&home, "pears", "[pears] one;"); /* asked for before either is answered */
    assert_int_equal(answers.count + answer.count, 2);
    cut(&home, &eve, 0);
    assert_words(&home, "pears", "");
    add(&home, &bob, "pears of bob"); /* the index goes on */
    assert_words(&home, "pears", "[pears] of bob;");
    event_unref(events[0]);
    event_unref(events[1]);
    home_done(&home);
}

static void log_after_a_cut_is_that_of_who_never_had_it(void **state)
{
    (void)state;
    uint8_t hashes[2][EVENT_HASH_BYTES];
    for (int had = 0; had < 2; had++) {
        Home home = home_new();
        home_open(&home);
        Author eve = author_of(1, 7, "eve");
        Author old = author_of(1, 6, "eve");
        Author bob = author_of(2, 7, "bob");
        add(&home, &eve, "one");
        add(&home, &bob, "two");
        if (had) {
            add(&home, &eve, "three");
            add(&home, &old, "four");
            cut(&home, &eve, 1);
            cut(&home, &old, 0);
            cut(&home, &old, 0); /* once more does no harm */
            cut(&home, &bob, 9);
        }
        add(&home, &bob, "five");
        unsigned parts = 0;
        export_hash(&home, hashes[had], &parts);
        reopen(&home);
        assert_end(&home, &eve, 1);
        assert_end(&home, &old, 0);
        uint8_t again[EVENT_HASH_BYTES];
        export_hash(&home, again, &parts);
        assert_memory_equal(again, hashes[had], EVENT_HASH_BYTES);
        home_done(&home);
    }
    assert_memory_equal(hashes[0], hashes[1], EVENT_HASH_BYTES);
}

static void stream_goes_on_from_its_cut(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author eve = author_of(1, 7, "eve");
    add(&home, &eve, "one");
    Author at_one = eve;
    add(&home, &eve, "two");
    cut(&home, &eve, 1);
    add(&home, &at_one, "another two");
    cut(&home, &eve, 0);
    Author anew = author_of(1, 7, "eve");
    add(&home, &anew, "another one");
    StoreRun run = run_from(&eve, 1);
    assert_run(&home, &run, "another one;");
    reopen_with_all_checks(&home);
    assert_end(&home, &eve, 1);
    home_done(&home);
}

static void positions_of_what_was_cut_stay_empty(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author eve = author_of(2, 7, "eve");
    Author mal = author_of(3, 7, "mal");
    add(&home, &eve, "e1");
    add(&home, &eve, "e2");
    add(&home, &mal, "x1");
    say(&writing, &me, "m1");
    pass_one(&writing, &eve, 1);
    pass_one(&writing, &mal, 1);
    assert_journal(&home, "1:m1;2:e1;3:x1;>4");
    cut(&home, &eve, 1);
    cut(&home, &mal, 0);
    pass_one(&writing, &eve, 2); /* shown before the cut, told after it */
    pass_one(&writing, &mal, 1);
    say(&writing, &me, "m2");
    assert_journal(&home, "1:m1;2:e1;6:m2;>7");
    reopen_with_all_checks(&home);
    assert_journal(&home, "1:m1;2:e1;6:m2;>7");
    writing = writing_in(&home);
    Author new = author_of(4, 7, "new"); /* does not get the number of one that is gone */
    add(&home, &new, "n1");
    pass_one(&writing, &new, 1);
    assert_journal(&home, "1:m1;2:e1;6:m2;7:n1;>8");
    reopen(&home);
    assert_journal(&home, "1:m1;2:e1;6:m2;7:n1;>8");
    home_done(&home);
}

static void on_backup(void *context, Err err, const char *text)
{
    (void)text;
    *(Err *)context = err;
}

static void backup_after_a_cut_is_put_back(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author eve = author_of(2, 7, "eve");
    say(&writing, &me, "m1");
    add(&home, &eve, "e1");
    pass_one(&writing, &eve, 1);
    cut(&home, &eve, 0);
    char path[500];
    snprintf(path, sizeof(path), "%s/backup", home.directory);
    Err err = ERR_LIMIT;
    assert_int_equal(store_backup(home.store, path, on_backup, &err), ERR_OK);
    while (err == ERR_LIMIT) {
        turn(&home);
    }
    assert_int_equal(err, ERR_OK);
    home_close(&home);
    char *text = NULL;
    err = store_restore(home.directory, path, &text);
    if (err != ERR_OK) {
        fail_msg("store_restore: %s", text);
    }
    mem_free(text);
    home_open(&home);
    assert_end(&home, &eve, 0);
    assert_journal(&home, "1:m1;>3");
    home_done(&home);
}

/* ---- in the order of the batches ---- */

static void on_event(void *context, Event *event)
{
    if (event->kind == EVENT_STORED) {
        *(uint64_t *)context = event->ticket;
    }
}

static void on_journaled(void *context, uint64_t position)
{
    (void)context;
    (void)position;
}

static void on_settled(void *context)
{
    (void)context;
}

static void write_one(LogWriter *writer, Author *author, const char *text, uint64_t ticket)
{
    Action action = {.kind = ACTION_STORE, .ticket = ticket, .events_count = 1};
    action.events = mem_array(1, sizeof(LogEvent *));
    action.events[0] = event_by(author, text);
    log_writer_add(writer, &action, &(JournalShare){0});
}

static void cut_waits_for_what_was_given_before_it(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    uint64_t stored = 0;
    LogWriter *writer = log_writer_new(&(LogWriterOptions){.loop = home.loop,
                                                           .store = home.store,
                                                           .report = on_event,
                                                           .journaled = on_journaled,
                                                           .settled = on_settled,
                                                           .context = &stored});
    Author eve = author_of(1, 7, "eve");
    Author anew = eve;
    write_one(writer, &eve, "one", 1);
    write_one(writer, &eve, "two", 2);
    log_writer_cut(writer, &eve.stream, 0);
    write_one(writer, &anew, "another one", 3);
    while (stored < 3) {
        turn(&home);
    }
    StoreRun run = run_from(&eve, 1);
    assert_run(&home, &run, "another one;");
    log_writer_close(writer);
    home_close(&home);
    log_writer_free(writer);
    home_done(&home);
}

static void search_right_behind_a_batch_finds_it(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    LogEvent *event = event_by(&ann, "plums");
    Answers answers = {0};
    assert_int_equal(give(&home, &event, 1, STORE_LAZY, &answers), ERR_OK);
    assert_words(&home, "plums", "[plums];");
    assert_int_equal(answers.count, 1);
    assert_int_equal(answers.failed, 0);
    event_unref(event);
    home_done(&home);
}

/* ---- control events ---- */

static void assert_control(const Home *home, const char *expected)
{
    size_t count = 0;
    LogEvent *const *events = store_control_events(home->store, &count);
    AUTO_STRBUF StrBuf text = {0};
    for (size_t i = 0; i < count; i++) {
        strbuf_addf(&text, "%d:%.*s;", events[i]->fields.kind, (int)events[i]->fields.body_len,
                    (const char *)events[i]->fields.body);
    }
    assert_string_equal(strbuf_text(&text), expected);
}

static void fill_control(Home *home)
{
    Author ann = author_of(1, 7, "ann");
    for (int kind = LOG_TEXT; kind <= LOG_SEALED; kind++) {
        char text[16];
        snprintf(text, sizeof(text), "k%d", kind);
        ann.kind = kind;
        add(home, &ann, text);
    }
}

static void control_events_are_there_at_open(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    fill_control(&home);
    assert_control(&home, "");
    reopen(&home);
    assert_control(&home, "7:k7;8:k8;9:k9;");
    store_heads_drop(home.store);
    assert_control(&home, "");
    Author ann = author_of(1, 7, "ann");
    cut(&home, &ann, 8);
    reopen(&home);
    assert_control(&home, "7:k7;8:k8;");
    home_done(&home);
}

static void open_with_room_for(Home *home, size_t bytes, bool read_only)
{
    char *error = NULL;
    StoreOptions options = {
        .directory = home->directory, .room_keys_max_bytes = bytes, .read_only = read_only};
    if (store_open(&options, home->loop, &home->store, &error) != ERR_OK) {
        fail_msg("store_open: %s", error);
    }
}

/* Bytes of its ROOM_KEY events in memory. */
static size_t key_bytes(const Home *home)
{
    size_t count = 0;
    size_t bytes = 0;
    LogEvent *const *events = store_control_events(home->store, &count);
    for (size_t i = 0; i < count; i++) {
        bool is_key = events[i]->fields.kind == LOG_ROOM_KEY;
        bytes += is_key ? bytes_len(events[i]->bytes) + sizeof(LogEvent) : 0;
    }
    return bytes;
}

static void add_kind(Home *home, Author *author, int kind, const char *text)
{
    author->kind = kind;
    add(home, author, text);
}

/* Eve writes keys without end, between those of others; each has a stream of its own. */
static void fill_with_keys(Home *home)
{
    Author ann = author_of(1, 7, "ann");
    Author eve = author_of(2, 7, "eve");
    add_kind(home, &eve, LOG_MEMBER, "m1");
    for (int i = 0; i < 6; i++) {
        char text[16];
        snprintf(text, sizeof(text), "e%d", i);
        eve.hlc = START + (uint64_t)i;
        add_kind(home, &eve, LOG_ROOM_KEY, text);
    }
    ann.hlc = START + 2;
    add_kind(home, &ann, LOG_ROOM_KEY, "a0");
    Author again = author_of(2, 8, "eve");
    again.hlc = START + 10;
    add_kind(home, &again, LOG_ROOM_KEY, "e6");
    ann.hlc = START + 20;
    add_kind(home, &ann, LOG_ROOM_KEY, "a1");
    add_kind(home, &eve, LOG_REVOKE, "r1");
}

static void keys_past_the_cap_are_left_out_of_whoever_wrote_most(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    fill_with_keys(&home);
    reopen(&home);
    assert_control(&home, "7:e0;8:m1;7:e1;7:e2;7:a0;7:e3;7:e4;7:e5;9:r1;7:e6;7:a1;");
    size_t one = key_bytes(&home) / 9;
    for (int read_only = 0; read_only < 2; read_only++) {
        home_close(&home);
        open_with_room_for(&home, 5 * one + one / 2, read_only);
        assert_control(&home, "7:e0;8:m1;7:e1;7:e2;7:a0;9:r1;7:a1;");
        assert_true(key_bytes(&home) <= 5 * one + one / 2);
        assert_non_null(strstr(store_notice(home.store), "4 entries were left out, 4 of them by "));
    }
    home_close(&home);
    open_with_room_for(&home, 9 * one + one / 2, false);
    assert_null(store_notice(home.store));
    home_done(&home);
}

static void control_events_of_an_earlier_format_are_found(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    fill_control(&home);
    home_close(&home);
    change(&home, "DROP TABLE cuts; UPDATE events SET kind = NULL WHERE kind BETWEEN 7 AND 9;"
                  "PRAGMA user_version = 3;");
    home_open(&home);
    assert_control(&home, "7:k7;8:k8;9:k9;");
    Text text = {0};
    StoreKinds kinds = {.kinds = (const int[]){LOG_MEMBER, LOG_REVOKE}, .kinds_count = 2};
    assert_int_equal(store_read_kinds(home.store, &kinds, on_read, &text), ERR_OK);
    wait_text(&home, &text);
    assert_string_equal(strbuf_text(&text.text), "k8;k9;");
    strbuf_done(&text.text);
    home_done(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_deletes_events_words_and_kinds),
        cmocka_unit_test(cut_of_what_is_not_indexed_yet_leaves_no_words),
        cmocka_unit_test(log_after_a_cut_is_that_of_who_never_had_it),
        cmocka_unit_test(stream_goes_on_from_its_cut),
        cmocka_unit_test(positions_of_what_was_cut_stay_empty),
        cmocka_unit_test(backup_after_a_cut_is_put_back),
        cmocka_unit_test(cut_waits_for_what_was_given_before_it),
        cmocka_unit_test(search_right_behind_a_batch_finds_it),
        cmocka_unit_test(control_events_are_there_at_open),
        cmocka_unit_test(keys_past_the_cap_are_left_out_of_whoever_wrote_most),
        cmocka_unit_test(control_events_of_an_earlier_format_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
