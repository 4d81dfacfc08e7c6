/* The journal: which event has which position. */
#include "store_journal.h"

/* ---- positions ---- */

static void positions_are_the_same_after_a_restart(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    assert_int_equal(store_position(home.store), 0);
    assert_journal(&home, ">1");
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    say(&writing, &me, "a");
    add(&home, &bob, "b");
    add(&home, &bob, "c");
    say(&writing, &me, "d"); /* the fold has not come to bob's yet */
    pass_one(&writing, &bob, 1);
    pass_one(&writing, &bob, 2);
    const char *expected = "1:a;2:d;3:b;4:c;>5";
    assert_journal(&home, expected);
    home_close(&home);

    home_open(&home);
    assert_int_equal(store_position(home.store), 4);
    assert_journal(&home, expected);
    writing = writing_in(&home);
    say(&writing, &me, "e");
    home_close(&home);
    home_open(&home);
    assert_journal(&home, "1:a;2:d;3:b;4:c;5:e;>6");
    home_done(&home);
}

static void what_is_passed_comes_before_the_batchs_own_and_may_be_in_it(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    LogEvent *theirs[] = {event_by(&bob, "b1"), event_by(&bob, "b2")};
    StorePassed passed[] = {{bob.stream, 1, true}, {bob.stream, 2, true}};
    StoreBatch batch = {.events = theirs, .count = 2, .passed = passed, .passed_count = 1};
    assert_int_equal(write_batch(&writing, &batch).err, ERR_OK);
    LogEvent *mine[] = {event_by(&me, "m1"), event_by(&me, "m2")};
    batch = (StoreBatch){mine, 2, STORE_JOURNAL, passed + 1, 1, 0};
    assert_int_equal(write_batch(&writing, &batch).err, ERR_OK);
    assert_journal(&home, "1:b1;2:b2;3:m1;4:m2;>5");
    for (size_t i = 0; i < 2; i++) {
        event_unref(theirs[i]);
        event_unref(mine[i]);
    }
    home_done(&home);
}

static void what_is_nothing_to_show_has_no_position_now_or_later(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author bob = author_of(2, 7, "bob");
    for (int i = 0; i < 4; i++) {
        add(&home, &bob, (const char *[]){"a", "b", "c", "d"}[i]);
    }
    StorePassed passed[] = {
        {bob.stream, 1, true},
        {bob.stream, 2, false},
        {bob.stream, 3, true},
        {bob.stream, 4, false},
    };
    pass(&writing, passed, 4);
    assert_journal(&home, "1:a;2:c;>3");
    home_close(&home);
    home_open(&home);
    assert_int_equal(store_position(home.store), 2);
    assert_journal(&home, "1:a;2:c;>3");
    /* None of them: nothing is written but how far it is. */
    writing = writing_in(&home);
    add(&home, &bob, "e");
    pass(&writing, &(StorePassed){bob.stream, 5, false}, 1);
    home_close(&home);
    home_open(&home);
    assert_journal(&home, "1:a;2:c;>3");
    home_done(&home);
}

/* ---- what is refused ---- */

static void refused_batch_leaves_nothing_in_the_journal(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    add(&home, &bob, "b");
    StorePassed passed = {bob.stream, 1, true};
    Author skipping = me;
    event_unref(event_by(&skipping, "skipped"));
    LogEvent *hole = event_by(&skipping, "a hole before it");
    StoreBatch batch = {&hole, 1, STORE_JOURNAL, &passed, 1, 0};
    assert_int_equal(write_batch(&writing, &batch).err, ERR_INVALID);
    event_unref(hole);
    assert_journal(&home, ">1");

    /* What was passed is not stored: of a stream that is here, and of one that is not. */
    Author nobody = author_of(3, 7, "nobody");
    const StorePassed absent[] = {{bob.stream, 2, true}, {nobody.stream, 1, false}};
    for (size_t i = 0; i < 2; i++) {
        Author again = me;
        LogEvent *mine = event_by(&again, "mine");
        batch = (StoreBatch){&mine, 1, STORE_JOURNAL, &absent[i], 1, 0};
        StoreAppended result = write_batch(&writing, &batch);
        assert_int_equal(result.err, ERR_INVALID);
        assert_int_equal(result.at, 1);
        event_unref(mine);
    }
    assert_journal(&home, ">1");
    StoreRun run = {.stream = me.stream, .from = 1};
    assert_run(&home, &run, "not found"); /* nor of its events */

    pass(&writing, &passed, 1);
    say(&writing, &me, "mine");
    assert_journal(&home, "1:b;2:mine;>3");
    home_done(&home);
}

static void position_that_is_not_the_next_is_refused(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    say(&writing, &me, "a");
    Author before = me;
    LogEvent *event = event_by(&me, "b");
    const uint64_t wrong[] = {0, 1, 3, UINT64_MAX};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        Writing other = {.home = &home, .position = wrong[i] - 1};
        StoreBatch batch = {.events = &event, .count = 1, .flags = STORE_JOURNAL};
        assert_int_equal(write_batch(&other, &batch).err, ERR_INVALID);
    }
    event_unref(event);
    me = before;
    say(&writing, &me, "b");
    assert_journal(&home, "1:a;2:b;>3");
    home_done(&home);
}

/* Batches that share a transaction: those after a refused one, which were numbered after it, are
 * refused as well, and all of them come again. */
static void refused_one_among_many_takes_back_its_own_alone(void **state)
{
    (void)state;
    enum { BATCHES = 60 };
    Home home = home_new();
    home_open(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    event_unref(event_by(&bob, "skipped"));
    Answers good = {0};
    Answers bad = {0};
    uint64_t position = 1;
    for (int i = 0; i < BATCHES; i++) {
        LogEvent *mine = event_by(&me, "m");
        LogEvent *hole = event_by(&bob, "b");
        StoreBatch batch = {&hole, 1, STORE_JOURNAL, NULL, 0, position};
        assert_int_equal(store_append(home.store, &batch, on_appended, &bad), ERR_OK);
        batch.events = &mine;
        batch.position = position++;
        assert_int_equal(store_append(home.store, &batch, on_appended, &good), ERR_OK);
        event_unref(mine);
        event_unref(hole);
    }
    while (good.count < BATCHES || bad.count < BATCHES) {
        turn(&home);
    }
    assert_int_equal(good.failed, 0);
    assert_int_equal(bad.failed, BATCHES);
    Seen seen = read_journal(&home, 1, 0, 0);
    assert_int_equal(seen.count, BATCHES);
    assert_int_equal(seen.next, BATCHES + 1);
    strbuf_done(&seen.text);
    home_close(&home);
    home_open(&home);
    assert_int_equal(store_position(home.store), BATCHES);
    home_done(&home);
}

/* ---- reading ---- */

static void journal_is_read_across_rows_and_runs_within_limits(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    Author bob = author_of(2, 7, "bob");
    LogEvent *theirs[] = {event_by(&bob, "b1"), event_by(&bob, "b2"), event_by(&bob, "b3")};
    LogEvent *mine[] = {event_by(&me, "m1"), event_by(&me, "m2"), event_by(&me, "m3")};
    StorePassed passed[] = {
        {bob.stream, 1, true}, {bob.stream, 2, true}, {me.stream, 1, true}, {bob.stream, 3, true}};
    assert_int_equal(append(&home, theirs, 3, 0).err, ERR_OK);
    StoreBatch batch = {mine, 3, 0, passed, 4, 0};
    assert_int_equal(write_batch(&writing, &batch).err, ERR_OK);
    pass_one(&writing, &me, 2); /* a row each from here on */
    pass_one(&writing, &me, 3);
    say(&writing, &bob, "b4");
    assert_journal(&home, "1:b1;2:b2;3:m1;4:b3;5:m2;6:m3;7:b4;>8");
    assert_part(&home, 0, 0, "1:b1;2:b2;3:m1;4:b3;5:m2;6:m3;7:b4;>8");
    assert_part(&home, 2, 0, "2:b2;3:m1;4:b3;5:m2;6:m3;7:b4;>8"); /* within a run */
    assert_part(&home, 4, 0, "4:b3;5:m2;6:m3;7:b4;>8");           /* within a row */
    assert_part(&home, 6, 0, "6:m3;7:b4;>8");
    assert_part(&home, 1, 1, "1:b1;>2");
    assert_part(&home, 1, 2, "1:b1;2:b2;>3");
    assert_part(&home, 2, 3, "2:b2;3:m1;4:b3;>5");
    assert_part(&home, 5, 1, "5:m2;>6"); /* of two rows that are one run */
    assert_part(&home, 7, 1, "7:b4;>8");
    assert_part(&home, 8, 0, ">8");
    assert_part(&home, 1000, 0, ">1000");
    assert_part(&home, UINT64_MAX, 0, ">18446744073709551615");
    Seen seen = read_journal(&home, 3, 0, 1); /* never none where there is one */
    assert_string_equal(strbuf_text(&seen.text), "3:m1;>4");
    strbuf_done(&seen.text);
    size_t two = bytes_len(theirs[0]->bytes) + bytes_len(theirs[1]->bytes);
    seen = read_journal(&home, 1, 0, two);
    assert_string_equal(strbuf_text(&seen.text), "1:b1;2:b2;>3");
    strbuf_done(&seen.text);
    for (size_t i = 0; i < 3; i++) {
        event_unref(theirs[i]);
        event_unref(mine[i]);
    }
    home_done(&home);
}

static void event_that_is_not_stored_any_more_is_passed_over(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    for (int i = 0; i < 5; i++) {
        say(&writing, &me, (const char *[]){"a", "b", "c", "d", "e"}[i]);
    }
    change(&home, "DELETE FROM events WHERE id & 0xff IN (1, 3, 5)");
    assert_journal(&home, "2:b;4:d;>6");
    assert_part(&home, 1, 1, "2:b;>4");
    assert_part(&home, 3, 0, "4:d;>6");
    assert_part(&home, 5, 0, ">6");
    home_done(&home);
}

static void batch_of_more_runs_than_a_row_takes_makes_more_rows(void **state)
{
    (void)state;
    enum { PAIRS = 1500 };
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    fill(&home, &ann, PAIRS);
    fill(&home, &bob, PAIRS);
    StorePassed *passed = mem_array((size_t)2 * PAIRS, sizeof(*passed));
    for (size_t i = 0; i < (size_t)2 * PAIRS; i++) {
        passed[i] = (StorePassed){i % 2 == 0 ? ann.stream : bob.stream, i / 2 + 1, true};
    }
    pass(&writing, passed, (size_t)2 * PAIRS);
    mem_free(passed);
    const uint64_t froms[] = {1, 1024, 1025, 2048, 2049, 2999, 3000, 3001};
    for (size_t i = 0; i < sizeof(froms) / sizeof(froms[0]); i++) {
        Seen seen = read_journal(&home, froms[i], 0, 0);
        assert_int_equal(seen.count, 3001 - froms[i]);
        assert_int_equal(seen.next, 3001);
        strbuf_done(&seen.text);
    }
    home_close(&home);
    assert_int_equal(number_in(&home, "SELECT count(*) FROM journal"), 3);
    home_open(&home);
    assert_int_equal(store_position(home.store), (uint64_t)2 * PAIRS);
    home_done(&home);
}

static void reader_beside_a_node_reads_its_journal(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Writing writing = writing_in(&home);
    Author me = author_of(1, 7, "me");
    say(&writing, &me, "a");
    Home reader = home;
    char *error = NULL;
    assert_int_equal(home_try_open(&reader, true, &error), ERR_OK);
    assert_true(store_life(reader.store) == store_life(home.store)); /* it makes none */
    assert_int_equal(store_position(reader.store), 1);
    assert_true(store_knows_cursor(reader.store, store_life(home.store), 1));
    say(&writing, &me, "b");
    assert_journal(&reader, "1:a;2:b;>3");
    home_close(&reader);
    home_done(&home);
}

/* ---- against a plain array ---- */

enum { STREAMS = 4, MODEL_MAX = 4000, ROUNDS = 150 };

typedef struct Model {
    Home *home;
    uint64_t random;
    Author authors[STREAMS]; /* the first is the node's own */
    uint64_t passed[STREAMS];
    struct {
        size_t stream;
        uint64_t seq;
    } journal[MODEL_MAX]; /* of position i + 1 */
    uint64_t count;
} Model;

static uint64_t draw(Model *model, uint64_t below)
{
    model->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood, 2014) */
    uint64_t z = model->random;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static void model_add(Model *model, size_t stream, uint64_t seq)
{
    assert_true(model->count < MODEL_MAX);
    model->journal[model->count].stream = stream;
    model->journal[model->count++].seq = seq;
}

/* A batch of the node's own, of another's, or of none, with some that were passed. */
static void model_append(Model *model)
{
    LogEvent *events[5];
    StorePassed passed[20];
    size_t stream = draw(model, STREAMS);
    StoreBatch batch = {.events = events, .passed = passed, .position = model->count + 1};
    batch.flags = (stream == 0 ? STORE_JOURNAL : 0) | (draw(model, 3) == 0 ? STORE_LAZY : 0);
    for (size_t n = draw(model, 6); batch.count < n;) {
        events[batch.count++] = event_by(&model->authors[stream], "x");
    }
    for (size_t n = draw(model, 20); n > 0; n--) {
        size_t i = 1 + draw(model, STREAMS - 1);
        if (model->passed[i] < model->authors[i].seq) {
            bool shown = draw(model, 5) > 0;
            uint64_t seq = ++model->passed[i];
            passed[batch.passed_count++] = (StorePassed){model->authors[i].stream, seq, shown};
            if (shown) {
                model_add(model, i, seq);
            }
        }
    }
    for (size_t i = 0; stream == 0 && i < batch.count; i++) {
        model_add(model, 0, events[i]->fields.seq);
    }
    Answers answers = {0};
    assert_int_equal(store_append(model->home->store, &batch, on_appended, &answers), ERR_OK);
    while (answers.count == 0) {
        turn(model->home);
    }
    assert_int_equal(answers.last.err, ERR_OK);
    for (size_t i = 0; i < batch.count; i++) {
        event_unref(events[i]);
    }
}

typedef struct ModelRead {
    const Model *model;
    uint64_t from;
    size_t max;
    bool done;
} ModelRead;

static void on_model_read(void *context, const StoreJournal *result)
{
    ModelRead *read = context;
    const Model *model = read->model;
    read->done = true;
    size_t there = read->from <= model->count ? model->count - read->from + 1 : 0;
    assert_int_equal(result->err, ERR_OK);
    assert_int_equal(result->count, there < read->max ? there : read->max);
    assert_int_equal(result->next, read->from + result->count);
    for (size_t i = 0; i < result->count; i++) {
        const EventFields *fields = &result->events[i]->fields;
        uint64_t position = read->from + i;
        size_t stream = model->journal[position - 1].stream;
        assert_int_equal(result->positions[i], position);
        assert_int_equal(fields->seq, model->journal[position - 1].seq);
        assert_memory_equal(&fields->stream, &model->authors[stream].stream, sizeof(StreamId));
    }
}

static void model_read(Model *model)
{
    ModelRead read = {.model = model, .from = 1 + draw(model, model->count + 2)};
    read.max = 1 + draw(model, draw(model, 2) == 0 ? 5 : 1000);
    assert_int_equal(
        store_read_journal(model->home->store, read.from, read.max, 0, on_model_read, &read),
        ERR_OK);
    while (!read.done) {
        turn(model->home);
    }
}

/* What was not passed is in the journal now, stream by stream, as they first came. */
static void model_reopen(Model *model)
{
    home_close(model->home);
    home_open(model->home);
    for (size_t i = 1; i < STREAMS; i++) {
        while (model->passed[i] < model->authors[i].seq) {
            model_add(model, i, ++model->passed[i]);
        }
    }
    assert_int_equal(store_position(model->home->store), model->count);
}

static void random_batches_and_reads_agree_with_a_plain_array(void **state)
{
    (void)state;
    const char *given = getenv("CHAT_JOURNAL_SEED");
    uint64_t seed = (uint64_t)getpid();
    if (given != NULL) {
        seed = strtoull(given, NULL, 0);
    }
    print_message("CHAT_JOURNAL_SEED=0x%" PRIx64 "\n", seed);
    Home home = home_new();
    home_open(&home);
    Model *model = mem_new(Model);
    model->home = &home;
    model->random = seed;
    for (size_t i = 0; i < STREAMS; i++) {
        model->authors[i] = author_of((uint8_t)(i + 1), 7, "x");
    }
    /* The streams come to be in this order, which is the one in which they are mended. */
    for (size_t i = 0; i < STREAMS; i++) {
        LogEvent *event = event_by(&model->authors[i], "x");
        StoreBatch batch = {&event, 1, STORE_JOURNAL, NULL, 0, model->count + 1};
        Answers answers = {0};
        assert_int_equal(store_append(home.store, &batch, on_appended, &answers), ERR_OK);
        while (answers.count == 0) {
            turn(&home);
        }
        event_unref(event);
        model->passed[i] = 1;
        model_add(model, i, 1);
    }
    for (int i = 0; i < ROUNDS; i++) {
        model_append(model);
        model_read(model);
        model_read(model);
        if (draw(model, 20) == 0) {
            model_reopen(model);
        }
    }
    mem_free(model);
    home_done(&home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_are_the_same_after_a_restart),
        cmocka_unit_test(what_is_passed_comes_before_the_batchs_own_and_may_be_in_it),
        cmocka_unit_test(what_is_nothing_to_show_has_no_position_now_or_later),
        cmocka_unit_test(refused_batch_leaves_nothing_in_the_journal),
        cmocka_unit_test(position_that_is_not_the_next_is_refused),
        cmocka_unit_test(refused_one_among_many_takes_back_its_own_alone),
        cmocka_unit_test(journal_is_read_across_rows_and_runs_within_limits),
        cmocka_unit_test(event_that_is_not_stored_any_more_is_passed_over),
        cmocka_unit_test(batch_of_more_runs_than_a_row_takes_makes_more_rows),
        cmocka_unit_test(reader_beside_a_node_reads_its_journal),
        cmocka_unit_test(random_batches_and_reads_agree_with_a_plain_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
