/* The store: what goes in comes out, in order, once. */
#include "store_home.h"

/* ---- round trips ---- */

static void events_come_back_in_order_also_after_a_restart(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "one");
    LogEvent *group[] = {unsigned_event(&ann, "two"), event_by(&ann, "three")};
    StoreAppended result = append(&home, group, 2, 0);
    assert_int_equal(result.err, ERR_OK);
    assert_int_equal(result.added, 2);
    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_run(&home, &run, "one;two;three;");
    home_close(&home);

    home_open(&home);
    assert_null(store_notice(home.store));
    assert_run(&home, &run, "one;two;three;");
    run.from = 3;
    assert_run(&home, &run, "three;");
    run.from = 4;
    assert_run(&home, &run, "");
    event_unref(group[0]);
    event_unref(group[1]);
    home_done(&home);
}

static void on_one_event(void *context, const StoreEvents *result)
{
    assert_int_equal(result->count, 1);
    *(LogEvent **)context = event_ref(result->events[0]);
}

static void event_comes_back_byte_for_byte_with_its_signature(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, UINT64_MAX, "ann"); /* an epoch past what SQLite calls an integer */
    ann.hlc = UINT64_MAX - 10;
    LogEvent *event = event_by(&ann, "hello");
    assert_int_equal(append(&home, &event, 1, 0).err, ERR_OK);
    LogEvent *read = NULL;
    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_int_equal(store_read_run(home.store, &run, on_one_event, &read), ERR_OK);
    while (read == NULL) {
        turn(&home);
    }
    assert_int_equal(bytes_len(read->bytes), bytes_len(event->bytes));
    assert_memory_equal(bytes_data(read->bytes), bytes_data(event->bytes), bytes_len(event->bytes));
    assert_memory_equal(&read->hash, &event->hash, sizeof(EventHash));
    assert_true(event_signature_is_good(read));
    event_unref(read);
    event_unref(event);
    home_done(&home);
}

static void heads_of_all_streams_are_known_at_open(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    size_t count = 1;
    store_heads(home.store, &count);
    assert_int_equal(count, 0);
    Author ann = author_of(1, 7, "ann");
    Author later = author_of(1, 9, "ann");
    Author bob = author_of(2, 8, "bob");
    add(&home, &later, "a");
    add(&home, &ann, "b");
    add(&home, &bob, "c");
    add(&home, &later, "d");
    home_close(&home);

    home_open(&home);
    const StoreHead *heads = store_heads(home.store, &count);
    assert_int_equal(count, 3);
    for (size_t i = 0; i + 1 < count; i++) {
        assert_true(stream_id_compare(&heads[i].stream, &heads[i + 1].stream) < 0);
    }
    for (size_t i = 0; i < count; i++) {
        if (stream_id_compare(&heads[i].stream, &later.stream) == 0) {
            assert_int_equal(heads[i].lo, 1);
            assert_int_equal(heads[i].hi, 2);
            assert_memory_equal(&heads[i].hash, &later.last, sizeof(EventHash));
        }
    }
    assert_int_equal(store_epoch_max(home.store, ann.stream.origin), 9);
    assert_int_equal(store_epoch_max(home.store, bob.stream.origin), 8);
    uint8_t nobody[EVENT_KEY_BYTES] = {0};
    assert_int_equal(store_epoch_max(home.store, nobody), 0);
    store_heads_drop(home.store);
    add(&home, &bob, "e"); /* the writer has its own */
    home_done(&home);
}

/* ---- group commit ---- */

static void batches_that_wait_share_a_commit(void **state)
{
    (void)state;
    enum { BATCHES = 400 };
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Answers answers = {0};
    for (int i = 0; i < BATCHES; i++) {
        LogEvent *event = event_by(&ann, "x");
        assert_int_equal(give(&home, &event, 1, 0, &answers), ERR_OK);
        event_unref(event);
    }
    assert_true(store_stats(home.store).pending_bytes > 0);
    while (answers.count < BATCHES) {
        turn(&home);
    }
    StoreStats stats = store_stats(home.store);
    assert_int_equal(answers.failed, 0);
    assert_int_equal(stats.batches, BATCHES);
    assert_int_equal(stats.events, BATCHES);
    assert_int_equal(stats.pending_bytes, 0);
    assert_in_range(stats.commits, 1, BATCHES / 2);
    home_done(&home);
}

static void lazy_batches_wait_for_one_another(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Answers answers = {0};
    LogEvent *events[] = {event_by(&ann, "a"), event_by(&ann, "b"), event_by(&ann, "c")};
    for (size_t i = 0; i < 3; i++) {
        unsigned flags = i < 2 ? STORE_LAZY : 0;
        assert_int_equal(give(&home, &events[i], 1, flags, &answers), ERR_OK);
        event_unref(events[i]);
    }
    while (answers.count < 3) {
        turn(&home);
    }
    assert_int_equal(answers.failed, 0);
    assert_in_range(store_stats(home.store).commits, 1, 2);
    LogEvent *alone = event_by(&ann, "d");
    assert_int_equal(append(&home, &alone, 1, STORE_LAZY).err, ERR_OK); /* and not for ever */
    event_unref(alone);
    home_done(&home);
}

static void what_waits_is_bounded(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    char *body = mem_alloc(EVENT_BODY_MAX_BYTES + 1);
    memset(body, 'x', EVENT_BODY_MAX_BYTES);
    Answers answers = {0};
    LogEvent *event = event_by(&ann, body);
    LogEvent *same[64];
    for (size_t i = 0; i < 64; i++) {
        same[i] = event;
    }
    unsigned taken = 0;
    Err err = ERR_OK;
    for (int i = 0; i < 100000 && err == ERR_OK; i++) {
        err = give(&home, same, 64, 0, &answers);
        taken += err == ERR_OK;
    }
    assert_int_equal(err, ERR_LIMIT);
    assert_true(store_stats(home.store).pending_bytes <= STORE_PENDING_MAX_BYTES);
    while (answers.count < taken) {
        turn(&home);
    }
    assert_int_equal(store_stats(home.store).pending_bytes, 0);
    assert_int_equal(append(&home, same, 1, 0).err, ERR_OK);
    event_unref(event);
    mem_free(body);
    home_done(&home);
}

static void on_nothing(void *context, const StoreEvents *result)
{
    (void)result;
    ++*(unsigned *)context;
}

static void reads_that_wait_are_bounded(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    StoreRun run = {.stream = ann.stream, .from = 1};
    unsigned asked = 0;
    unsigned answered = 0;
    while (store_read_run(home.store, &run, on_nothing, &answered) == ERR_OK) {
        asked++;
    }
    assert_int_equal(asked, STORE_READS_MAX);
    while (answered < asked) {
        turn(&home);
    }
    assert_run(&home, &run, "not found");
    home_done(&home);
}

static void closing_commits_and_answers_all_that_waits(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Answers answers = {0};
    Text text = {0};
    for (int i = 0; i < 50; i++) {
        LogEvent *event = event_by(&ann, "x");
        assert_int_equal(give(&home, &event, 1, STORE_LAZY, &answers), ERR_OK);
        event_unref(event);
    }
    StoreRun run = {.stream = ann.stream, .from = 1, .max_events = 1};
    assert_int_equal(store_read_run(home.store, &run, on_read, &text), ERR_OK);
    home_close(&home);
    assert_int_equal(answers.count, 50);
    assert_int_equal(answers.failed, 0);
    assert_true(text.done);
    strbuf_done(&text.text);
    home_open(&home);
    size_t count = 0;
    assert_int_equal(store_heads(home.store, &count)->hi, 50);
    home_done(&home);
}

/* ---- what is refused ---- */

static void duplicates_are_fine_and_conflicts_are_told(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    LogEvent *one = event_by(&ann, "one");
    Author fork = ann;
    LogEvent *two = event_by(&ann, "two");
    LogEvent *three = event_by(&ann, "three");
    LogEvent *other = event_by(&fork, "another two");
    LogEvent *after_other = event_by(&fork, "another three");
    LogEvent *twice[] = {one, two, one, two, three};
    StoreAppended result = append(&home, twice, 5, 0);
    assert_int_equal(result.err, ERR_OK);
    assert_int_equal(result.added, 3);
    result = append(&home, twice, 5, 0);
    assert_int_equal(result.err, ERR_OK);
    assert_int_equal(result.added, 0);

    Author bob = author_of(2, 1, "bob");
    LogEvent *mixed[] = {event_by(&bob, "mine"), event_by(&bob, "mine too"), other};
    result = append(&home, mixed, 3, 0);
    assert_int_equal(result.err, ERR_EXISTS);
    assert_int_equal(result.at, 2);
    LogEvent *fourth[] = {event_by(&fork, "x")}; /* seq 4 of the fork: next, and of another chain */
    assert_int_equal(append(&home, fourth, 1, 0).err, ERR_EXISTS);
    assert_int_equal(append(&home, &after_other, 1, 0).err, ERR_EXISTS);

    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_run(&home, &run, "one;two;three;");
    run.stream = bob.stream;
    assert_run(&home, &run, "not found"); /* the whole batch */
    assert_words(&home, "mine", "");
    assert_int_equal(append(&home, mixed, 2, 0).added, 2);
    assert_run(&home, &run, "mine;mine too;");
    assert_words(&home, "mine", "[mine] too;[mine];");
    LogEvent *all[] = {one, two, three, other, after_other, mixed[0], mixed[1], fourth[0]};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        event_unref(all[i]);
    }
    home_done(&home);
}

static void no_hole_is_stored(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    LogEvent *events[] = {event_by(&ann, "1"), event_by(&ann, "2"), event_by(&ann, "3"),
                          event_by(&ann, "4")};
    assert_int_equal(append(&home, events + 1, 1, 0).err, ERR_INVALID);
    LogEvent *gap[] = {events[0], events[2]};
    assert_int_equal(append(&home, gap, 2, 0).err, ERR_INVALID);
    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_run(&home, &run, "not found");
    /* But a stream may start late, where that is asked for. */
    assert_int_equal(append(&home, events + 1, 1, STORE_STARTS_LATE).err, ERR_OK);
    assert_int_equal(append(&home, events, 1, 0).err, ERR_GONE);
    assert_int_equal(append(&home, events + 2, 2, 0).err, ERR_OK);
    assert_run(&home, &run, "gone");
    run.from = 2;
    assert_run(&home, &run, "2;3;4;");
    for (size_t i = 0; i < 4; i++) {
        event_unref(events[i]);
    }
    home_done(&home);
}

static void refused_batch_leaves_the_others_in_its_transaction(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    Answers good = {0};
    Answers bad = {0};
    LogEvent *first = event_by(&bob, "skipped");
    for (int i = 0; i < 50; i++) {
        LogEvent *mine = event_by(&ann, "a");
        LogEvent *hole = event_by(&bob, "b");
        assert_int_equal(give(&home, &mine, 1, 0, &good), ERR_OK);
        assert_int_equal(give(&home, &hole, 1, 0, &bad), ERR_OK);
        event_unref(mine);
        event_unref(hole);
    }
    while (good.count < 50 || bad.count < 50) {
        turn(&home);
    }
    assert_int_equal(good.failed, 0);
    assert_int_equal(bad.failed, 50);
    assert_null(store_degraded(home.store));
    event_unref(first);
    home_done(&home);
}

/* ---- runs ---- */

static void run_keeps_its_limits_and_whole_groups(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    LogEvent *events[] = {
        event_by(&ann, "a"),        unsigned_event(&ann, "b1"), event_by(&ann, "b2"),
        unsigned_event(&ann, "c1"), unsigned_event(&ann, "c2"), unsigned_event(&ann, "c3"),
        event_by(&ann, "c4"),       event_by(&ann, "d"),
    };
    assert_int_equal(append(&home, events, 8, 0).err, ERR_OK);
    StoreRun run = {.stream = ann.stream, .from = 1, .max_events = 3};
    assert_run(&home, &run, "a;b1;b2;+");
    run.whole_groups = true;
    assert_run(&home, &run, "a;b1;b2;+");
    run.max_events = 2;
    assert_run(&home, &run, "a;+"); /* the last that fits */
    run.max_events = 5;
    assert_run(&home, &run, "a;b1;b2;+");
    run.from = 4;
    run.max_events = 1;
    assert_run(&home, &run, "c1;c2;c3;c4;+"); /* larger than the limits, and whole */
    run.max_events = 0;
    assert_run(&home, &run, "c1;c2;c3;c4;d;");
    run.max_bytes = 2 * bytes_len(events[0]->bytes) + 20;
    run.whole_groups = false;
    run.from = 1;
    assert_run(&home, &run, "a;b1;+");
    for (size_t i = 0; i < 8; i++) {
        event_unref(events[i]);
    }
    home_done(&home);
}

/* ---- pages ---- */

static void pages_go_back_in_the_shown_order_without_gap_or_repeat(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author authors[] = {author_of(1, 7, "ann"), author_of(2, 7, "bob"), author_of(1, 8, "ann")};
    LogEvent *all[30];
    for (size_t i = 0; i < 30; i++) { /* three at each moment */
        char text[8];
        snprintf(text, sizeof(text), "%02zu", i);
        all[i] = event_by(&authors[i % 3], text);
    }
    for (size_t i = 30; i-- > 0;) { /* one author after the other, not as they were said */
        size_t n = (29 - i) % 10 * 3 + (29 - i) / 10;
        assert_int_equal(append(&home, &all[n], 1, 0).err, ERR_OK);
    }
    Author elsewhere = author_of(9, 1, "eve");
    elsewhere.room = "other";
    add(&home, &elsewhere, "not here");
    for (size_t i = 0; i < 30; i++) { /* the expected order */
        for (size_t j = i + 1; j < 30; j++) {
            if (event_compare(&all[j]->fields, &all[i]->fields) < 0) {
                LogEvent *swap = all[i];
                all[i] = all[j];
                all[j] = swap;
            }
        }
    }
    Text text = {.more = true};
    StorePage page = {.room = "lobby", .room_len = 5, .max_events = 7};
    size_t end = 30;
    while (text.more) {
        assert_int_equal(store_read_page(home.store, &page, on_read, &text), ERR_OK);
        wait_text(&home, &text);
        AUTO_STRBUF StrBuf expected = {0};
        size_t begin = end > 7 ? end - 7 : 0;
        for (size_t i = begin; i < end; i++) {
            strbuf_addf(&expected, "%.2s;", (const char *)all[i]->fields.body);
        }
        strbuf_add_string(&expected, begin > 0 ? "+" : "");
        assert_string_equal(strbuf_text(&text.text), strbuf_text(&expected));
        page.before = &text.first;
        end = begin;
    }
    assert_int_equal(end, 0);
    page = (StorePage){.room = "lobby", .room_len = 5, .since_hlc = START + 10};
    assert_int_equal(store_read_page(home.store, &page, on_read, &text), ERR_OK);
    wait_text(&home, &text);
    assert_int_equal(text.text.len, 9); /* the three of the last moment */
    page = (StorePage){.room = "nowhere", .room_len = 7};
    assert_int_equal(store_read_page(home.store, &page, on_read, &text), ERR_OK);
    wait_text(&home, &text);
    assert_string_equal(strbuf_text(&text.text), "");
    strbuf_done(&text.text);
    for (size_t i = 0; i < 30; i++) {
        event_unref(all[i]);
    }
    home_done(&home);
}

/* ---- export ---- */

static void equal_logs_have_equal_export_hashes(void **state)
{
    (void)state;
    Home a = home_new();
    Home b = home_new();
    home_open(&a);
    home_open(&b);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    LogEvent *ann_says[] = {event_by(&ann, "1"), event_by(&ann, "2"), event_by(&ann, "3")};
    LogEvent *bob_says[] = {event_by(&bob, "4"), event_by(&bob, "5")};
    assert_int_equal(append(&a, ann_says, 3, 0).err, ERR_OK);
    assert_int_equal(append(&a, bob_says, 2, 0).err, ERR_OK);
    assert_int_equal(append(&b, bob_says, 2, 0).err, ERR_OK);
    assert_int_equal(append(&b, ann_says, 2, 0).err, ERR_OK);
    uint8_t hash_a[EVENT_HASH_BYTES];
    uint8_t hash_b[EVENT_HASH_BYTES];
    unsigned parts = 0;
    export_hash(&a, hash_a, &parts);
    assert_true(parts > 1);
    export_hash(&b, hash_b, &parts);
    assert_memory_not_equal(hash_a, hash_b, EVENT_HASH_BYTES);
    assert_int_equal(append(&b, ann_says + 2, 1, 0).err, ERR_OK);
    export_hash(&b, hash_b, &parts);
    assert_memory_equal(hash_a, hash_b, EVENT_HASH_BYTES);
    for (size_t i = 0; i < 3; i++) {
        event_unref(ann_says[i]);
    }
    event_unref(bob_says[0]);
    event_unref(bob_says[1]);
    home_done(&a);
    home_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_back_in_order_also_after_a_restart),
        cmocka_unit_test(event_comes_back_byte_for_byte_with_its_signature),
        cmocka_unit_test(heads_of_all_streams_are_known_at_open),
        cmocka_unit_test(batches_that_wait_share_a_commit),
        cmocka_unit_test(lazy_batches_wait_for_one_another),
        cmocka_unit_test(what_waits_is_bounded),
        cmocka_unit_test(reads_that_wait_are_bounded),
        cmocka_unit_test(closing_commits_and_answers_all_that_waits),
        cmocka_unit_test(duplicates_are_fine_and_conflicts_are_told),
        cmocka_unit_test(no_hole_is_stored),
        cmocka_unit_test(refused_batch_leaves_the_others_in_its_transaction),
        cmocka_unit_test(run_keeps_its_limits_and_whole_groups),
        cmocka_unit_test(pages_go_back_in_the_shown_order_without_gap_or_repeat),
        cmocka_unit_test(equal_logs_have_equal_export_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
