/* The store: what goes in comes out, and what the disk does to it. */
#include "io/store.h"
#include "unit.h"

#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- authors ---- */

typedef struct Author {
    EventSigner signer;
    StreamId stream;
    uint64_t seq;
    EventHash last;
    uint64_t hlc;
    const char *sender;
    const char *room;
} Author;

static const uint64_t DAY = UINT64_C(24 * 60 * 60 * 1000) << HLC_COUNTER_BITS;
static const uint64_t START = UINT64_C(1700000000000) << HLC_COUNTER_BITS;

static Author author_of(uint8_t byte, uint64_t epoch, const char *sender)
{
    uint8_t seed[EVENT_SEED_BYTES];
    memset(seed, byte, sizeof(seed));
    Author author = {.hlc = START, .sender = sender, .room = "lobby"};
    event_signer_init(&author.signer, seed);
    memcpy(author.stream.origin, author.signer.public_key, EVENT_KEY_BYTES);
    author.stream.epoch = epoch;
    return author;
}

static LogEvent *unsigned_event(Author *author, const char *text)
{
    EventFields fields = {
        .stream = author->stream,
        .seq = ++author->seq,
        .prev_hash = author->last,
        .hlc = ++author->hlc,
        .room = author->room,
        .room_len = strlen(author->room),
        .kind = LOG_TEXT,
        .sender = author->sender,
        .sender_len = strlen(author->sender),
        .body = (const uint8_t *)text,
        .body_len = strlen(text),
    };
    LogEvent *event = event_new(&fields);
    author->last = event->hash;
    return event;
}

static LogEvent *event_by(Author *author, const char *text)
{
    LogEvent *event = unsigned_event(author, text);
    event_sign(event, &author->signer);
    return event;
}

/* ---- a store, its loop and its directory ---- */

typedef struct Home {
    char directory[64];
    Loop *loop;
    Store *store;
    unsigned state_changes;
    bool closed;
} Home;

static void on_state(void *context)
{
    ((Home *)context)->state_changes++;
}

static void on_closed(void *context)
{
    ((Home *)context)->closed = true;
}

static Err home_try_open(Home *home, bool read_only, char **ret_error)
{
    StoreOptions options = {
        .directory = home->directory,
        .read_only = read_only,
        .state_changed = on_state,
        .context = home,
    };
    return store_open(&options, home->loop, &home->store, ret_error);
}

static void home_open(Home *home)
{
    char *error = NULL;
    Err err = home_try_open(home, false, &error);
    if (err != ERR_OK) {
        fail_msg("store_open: %s", error);
    }
}

static Home home_new(void)
{
    Home home = {.directory = "/tmp/chat-store-XXXXXX"};
    assert_non_null(mkdtemp(home.directory));
    strcat(home.directory, "/data");
    home.loop = loop_new();
    return home;
}

static void turn(Home *home)
{
    uv_run(loop_uv(home->loop), UV_RUN_ONCE);
}

static void home_close(Home *home)
{
    home->closed = false;
    store_close(TAKE(home->store), on_closed, home);
    while (!home->closed) {
        turn(home);
    }
}

static void remove_files(const char *path)
{
    DIR *directory = opendir(path);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char file[400];
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        unlink(file);
    }
    closedir(directory);
    rmdir(path);
}

static void home_done(Home *home)
{
    if (home->store != NULL) {
        home_close(home);
    }
    loop_stop(home->loop);
    loop_run(home->loop);
    loop_free(home->loop);
    remove_files(home->directory);
    *strrchr(home->directory, '/') = '\0';
    rmdir(home->directory);
}

static const char *home_path(const Home *home, const char *name)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/%s", home->directory, name);
    return path;
}

/* ---- asking and waiting ---- */

typedef struct Answers {
    unsigned count;
    unsigned failed;
    StoreAppended last;
} Answers;

static void on_appended(void *context, const StoreAppended *result)
{
    Answers *answers = context;
    answers->count++;
    answers->failed += result->err != ERR_OK;
    answers->last = *result;
}

static StoreAppended append(Home *home, LogEvent *const events[], size_t count, unsigned flags)
{
    Answers answers = {0};
    assert_int_equal(store_append(home->store, events, count, flags, on_appended, &answers),
                     ERR_OK);
    assert_int_equal(answers.count, 0); /* never from within */
    while (answers.count == 0) {
        turn(home);
    }
    return answers.last;
}

static StoreAppended append_text(Home *home, Author *author, const char *text)
{
    LogEvent *event = event_by(author, text);
    StoreAppended result = append(home, &event, 1, 0);
    event_unref(event);
    return result;
}

static void add(Home *home, Author *author, const char *text)
{
    assert_int_equal(append_text(home, author, text).err, ERR_OK);
}

/* What a read gave, as text: "hello;world;+" ("+": there is more), or the error. */
typedef struct Text {
    StrBuf text;
    bool done;
    bool more;
    uint64_t first_seq;
    EventFields first; /* its texts are gone */
} Text;

static void on_read(void *context, const StoreEvents *result)
{
    Text *text = context;
    text->done = true;
    text->more = result->more;
    if (result->err != ERR_OK) {
        strbuf_add_string(&text->text, err_text(result->err));
        return;
    }
    for (size_t i = 0; i < result->count; i++) {
        const EventFields *fields = &result->events[i]->fields;
        strbuf_add(&text->text, (const char *)fields->body, fields->body_len);
        strbuf_add_char(&text->text, ';');
    }
    if (result->count > 0) {
        text->first = result->events[0]->fields;
    }
    strbuf_add_string(&text->text, result->more ? "+" : "");
}

static void wait_text(Home *home, Text *text)
{
    strbuf_clear(&text->text);
    text->done = false;
    while (!text->done) {
        turn(home);
    }
}

static void assert_run(Home *home, const StoreRun *run, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_read_run(home->store, run, on_read, &text), ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    strbuf_done(&text.text);
}

static void on_hits(void *context, const StoreHits *result)
{
    Text *text = context;
    text->done = true;
    if (result->err != ERR_OK) {
        strbuf_add_string(&text->text, err_text(result->err));
    }
    for (size_t i = 0; i < result->count; i++) {
        for (const char *c = result->hits[i].snippet; *c != '\0'; c++) {
            strbuf_add_char(&text->text, *c == '\x02' ? '[' : *c == '\x03' ? ']' : *c);
        }
        strbuf_add_char(&text->text, ';');
    }
    strbuf_add_string(&text->text, result->more ? "+" : "");
}

static void assert_search(Home *home, const StoreSearch *search, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_search(home->store, search, on_hits, &text), ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    strbuf_done(&text.text);
}

static void assert_words(Home *home, const char *words, const char *expected)
{
    StoreSearch search = {.words = words};
    assert_search(home, &search, expected);
}

static void export_hash(Home *home, uint8_t hash[EVENT_HASH_BYTES], unsigned *ret_parts)
{
    StoreExport *export = store_export_new(home->store);
    Text text = {.more = true};
    *ret_parts = 0;
    while (text.more) {
        assert_int_equal(store_export_next(export, 300, on_read, &text), ERR_OK);
        wait_text(home, &text);
        ++*ret_parts;
    }
    strbuf_done(&text.text);
    store_export_hash(export, hash);
    store_export_free(export);
}

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
        assert_int_equal(store_append(home.store, &event, 1, 0, on_appended, &answers), ERR_OK);
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
        assert_int_equal(store_append(home.store, &events[i], 1, flags, on_appended, &answers),
                         ERR_OK);
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
        err = store_append(home.store, same, 64, 0, on_appended, &answers);
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
        assert_int_equal(store_append(home.store, &event, 1, STORE_LAZY, on_appended, &answers),
                         ERR_OK);
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
        assert_int_equal(store_append(home.store, &mine, 1, 0, on_appended, &good), ERR_OK);
        assert_int_equal(store_append(home.store, &hole, 1, 0, on_appended, &bad), ERR_OK);
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

/* ---- search ---- */

static void search_finds_words_in_every_script(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "Ann");
    add(&home, &ann, "Grüße aus MÜNCHEN");
    add(&home, &ann, "私は東京に住んでいます");
    add(&home, &ann, "всё хорошо, Москва");
    add(&home, &ann, "deploy done 👍🏽 great");
    add(&home, &ann, "สวัสดีครับ");
    add(&home, &ann, "हिन्दी में लिखा");
    assert_words(&home, "münchen", "Grüße aus [MÜNCHEN];");
    assert_words(&home, "grusse", "");
    assert_words(&home, "MUNCHEN gruße", "[Grüße] aus [MÜNCHEN];");
    assert_words(&home, "東京", "私は[東京]に住んでいます;");
    assert_words(&home, "京東", "");
    assert_words(&home, "москва", "всё хорошо, [Москва];");
    assert_words(&home, "👍", "deploy done [👍]🏽 great;");
    assert_words(&home, "สวัสดี", "[สวัสดี]ครับ;");
    assert_words(&home, "हिन्दी", "[हिन्दी] में लिखा;");
    assert_words(&home, "हिन्द", ""); /* marks are part of a word */
    assert_words(&home, "depl*", "[deploy] done 👍🏽 great;");
    assert_words(&home, "dep", "");
    home_done(&home);
}

static void search_takes_what_is_typed_as_words_alone(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    Author bob = author_of(2, 7, "bob");
    bob.hlc += 100;
    add(&home, &ann, "to be OR not to be");
    add(&home, &bob, "body: NEAR(a b) \"quoted\" it's");
    add(&home, &bob, "not to worry");
    assert_words(&home, "not", "[not] to worry;to be OR [not] to be;");
    assert_words(&home, "be or", "to [be] [OR] not to [be];");
    assert_words(&home, "\"not to be\"", "to be OR [not to be];");
    assert_words(&home, "\"not to", "[not to] worry;to be OR [not to] be;");
    assert_words(&home, "NEAR(a", "body: [NEAR(a] b) \"quoted\" it's;");
    assert_words(&home, "body:", "[body]: NEAR(a b) \"quoted\" it's;");
    assert_words(&home, "it's", "body: NEAR(a b) \"quoted\" [it's];");
    assert_words(&home, "!!! not ---", "[not] to worry;to be OR [not] to be;");
    const char *nothing[] = {"", "   ", "\"", "\"\"", "*", "!!!", "(", "AND", "{", "^", "- -"};
    for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
        assert_words(&home, nothing[i], "");
    }
    assert_words(&home, "ann", "to be OR not to be;"); /* who said it counts too */
    StoreSearch search = {.words = "not", .sender = "ann"};
    assert_search(&home, &search, "to be OR [not] to be;");
    search.sender = "an";
    assert_search(&home, &search, "");
    search = (StoreSearch){.words = "not", .room = "lobby", .max_hits = 1};
    assert_search(&home, &search, "[not] to worry;+");
    search.room = "lob";
    assert_search(&home, &search, "");
    search = (StoreSearch){.words = "not", .until_hlc = START + 50};
    assert_search(&home, &search, "to be OR [not] to be;");
    search = (StoreSearch){.words = "\xff"};
    assert_int_equal(store_search(home.store, &search, on_hits, NULL), ERR_INVALID);
    char large[STORE_SEARCH_MAX_BYTES + 2] = {0};
    memset(large, 'x', sizeof(large) - 1);
    search.words = large;
    assert_int_equal(store_search(home.store, &search, on_hits, NULL), ERR_LIMIT);
    home_done(&home);
}

static void search_gives_the_newest_first_however_late_they_came(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author new_one = author_of(1, 7, "ann");
    Author old_one = author_of(2, 7, "bob");
    Author odd = author_of(3, 7, "eve");
    odd.room = "#!";
    new_one.hlc = START + 5 * DAY;
    add(&home, &new_one, "hit five");
    new_one.hlc = START + 7 * DAY;
    add(&home, &new_one, "hit seven");
    old_one.hlc = START + 1 * DAY;
    add(&home, &old_one, "hit one");
    old_one.hlc = START + 6 * DAY;
    add(&home, &old_one, "hit six");
    add(&home, &odd, "hit zero");
    assert_words(&home, "hit", "[hit] seven;[hit] six;[hit] five;[hit] one;[hit] zero;");
    StoreSearch search = {.words = "hit", .max_hits = 2};
    assert_search(&home, &search, "[hit] seven;[hit] six;+");
    search.until_hlc = START + 6 * DAY - 1;
    assert_search(&home, &search, "[hit] five;[hit] one;+");
    search = (StoreSearch){.words = "hit", .room = "#!"}; /* a name without a word in it */
    assert_search(&home, &search, "[hit] zero;");
    home_done(&home);
}

static void text_is_found_at_once_and_also_after_a_restart(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    for (int i = 0; i < 20; i++) {
        char text[16];
        char expected[20];
        snprintf(text, sizeof(text), "word%d", i);
        snprintf(expected, sizeof(expected), "[word%d];", i);
        add(&home, &ann, text);
        if (i % 3 == 0) { /* closed before anybody searched */
            home_close(&home);
            home_open(&home);
        }
        assert_words(&home, text, expected);
        assert_words(&home, text, expected); /* once */
    }
    home_done(&home);
}

/* ---- the directory ---- */

static mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static void files_are_the_owners_alone(void **state)
{
    (void)state;
    Home home = home_new();
    mode_t before = umask(0);
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "x");
    umask(before);
    assert_int_equal(mode_of(home.directory), 0700);
    const char *files[] = {"log.db", "log.db-wal", "log.db-shm", "identity", "lock"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        assert_int_equal(mode_of(home_path(&home, files[i])), 0600);
    }
    home_done(&home);
}

static void identity_stays_and_is_never_replaced(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    uint8_t seed[EVENT_SEED_BYTES];
    memcpy(seed, store_seed(home.store), sizeof(seed));
    home_close(&home);
    home_open(&home);
    assert_memory_equal(store_seed(home.store), seed, sizeof(seed));
    home_close(&home);

    assert_int_equal(truncate(home_path(&home, "identity"), 31), 0);
    char *error = NULL;
    assert_int_equal(home_try_open(&home, false, &error), ERR_INVALID);
    assert_non_null(strstr(error, "identity has 31 bytes"));
    mem_free(error);
    home_done(&home);
}

static void second_process_is_told_who_holds_the_directory(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Home other = home;
    char *error = NULL;
    assert_int_equal(home_try_open(&other, false, &error), ERR_IN_USE);
    char pid[40];
    snprintf(pid, sizeof(pid), "(process %ld)", (long)getpid());
    assert_non_null(strstr(error, pid));
    mem_free(TAKE(error));
    assert_int_equal(store_restore(home.directory, "/nowhere", &error), ERR_IN_USE);
    mem_free(error);
    /* The one that is there goes on. */
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "x");
    home_close(&home);
    home_open(&home);
    home_done(&home);
}

static void reader_reads_beside_the_one_that_writes(void **state)
{
    (void)state;
    Home home = home_new();
    char *error = NULL;
    assert_int_equal(home_try_open(&home, true, &error), ERR_NOT_FOUND);
    mem_free(TAKE(error));
    assert_int_not_equal(access(home.directory, F_OK), 0); /* nothing was made */
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "before");
    Home reader = home;
    assert_int_equal(home_try_open(&reader, true, &error), ERR_OK);
    add(&home, &ann, "after");
    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_run(&reader, &run, "before;after;");
    assert_words(&home, "after", "[after];"); /* now it is indexed */
    assert_words(&reader, "after", "[after];");
    assert_null(store_seed(reader.store));
    LogEvent *event = event_by(&ann, "x");
    assert_int_equal(store_append(reader.store, &event, 1, 0, NULL, NULL), ERR_DENIED);
    event_unref(event);
    home_close(&reader);
    home_done(&home);
}

/* ---- other people's files ---- */

static void write_at(const char *path, long offset, const void *data, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, offset), (ssize_t)len);
    close(fd);
}

static char *contents(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *ret_len = (size_t)ftell(file);
    rewind(file);
    char *text = mem_alloc(*ret_len + 1);
    assert_int_equal(fread(text, 1, *ret_len, file), *ret_len);
    fclose(file);
    return text;
}

/* Refused with that error, and the file is byte for byte as before. */
static void assert_refused(Home *home, Err expected, const char *words)
{
    size_t len_before = 0;
    size_t len_after = 0;
    char *before = contents(home_path(home, "log.db"), &len_before);
    char *error = NULL;
    assert_int_equal(home_try_open(home, false, &error), expected);
    assert_non_null(strstr(error, words));
    char *after = contents(home_path(home, "log.db"), &len_after);
    assert_int_equal(len_before, len_after);
    assert_memory_equal(before, after, len_after);
    mem_free(before);
    mem_free(after);
    mem_free(error);
}

static void foreign_and_newer_files_are_refused_untouched(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    home_close(&home);
    /* File format of SQLite, section 1.3: the user version at 60, the application id at 68. */
    write_at(home_path(&home, "log.db"), 60, "\0\0\0\2", 4);
    assert_refused(&home, ERR_LIMIT, "newer chat_node (format 2; this one knows 1)");
    write_at(home_path(&home, "log.db"), 60, "\0\0\0\1", 4);
    write_at(home_path(&home, "log.db"), 68, "fire", 4);
    assert_refused(&home, ERR_EXISTS, "another program");
    write_at(home_path(&home, "log.db"), 68, "chlg", 4);
    home_open(&home);
    home_done(&home);
}

/* ---- damage ---- */

static char *found_file(const Home *home, const char *start)
{
    char *found = NULL;
    DIR *directory = opendir(home->directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, start, strlen(start)) == 0) {
            mem_free(found);
            found = mem_copy_string(home_path(home, entry->d_name));
        }
    }
    closedir(directory);
    return found;
}

static void fill(Home *home, Author *author, int count)
{
    LogEvent *events[100];
    for (int i = 0; i < count; i += 100) {
        for (int j = 0; j < 100; j++) {
            events[j] =
                event_by(author, "some words that fill a line of the log, one after another");
        }
        assert_int_equal(append(home, events, 100, 0).err, ERR_OK);
        for (int j = 0; j < 100; j++) {
            event_unref(events[j]);
        }
    }
}

static void assert_set_aside(Home *home, Author *author, const char *words)
{
    home_open(home);
    assert_non_null(store_notice(home->store));
    assert_non_null(strstr(store_notice(home->store), words));
    char *aside = found_file(home, "log.db.corrupt-");
    assert_non_null(aside);
    assert_non_null(strstr(store_notice(home->store), aside));
    assert_true(unlink(aside) == 0);
    mem_free(aside);
    StoreRun run = {.stream = author->stream, .from = 1};
    assert_run(home, &run, "not found");
    /* A new log begins, and takes the same events from the others again. */
    *author = author_of(1, 7, "ann");
    add(home, author, "again");
    assert_run(home, &run, "again;");
}

static void corrupt_file_is_set_aside_and_never_overwritten(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    fill(&home, &ann, 1000);
    home_close(&home);

    /* In the middle, after an unclean stop. */
    uint8_t garbage[8192];
    memset(garbage, 0xa5, sizeof(garbage));
    write_at(home_path(&home, "log.db"), 20L * 4096, garbage, sizeof(garbage));
    unlink(home_path(&home, "clean"));
    assert_set_aside(&home, &ann, "was damaged");
    home_close(&home);

    /* No header, after a clean one. */
    write_at(home_path(&home, "log.db"), 0, "garbage!", 8);
    assert_set_aside(&home, &ann, "not a database");
    home_close(&home);

    /* Cut short. */
    fill((home_open(&home), &home), &ann, 1000);
    home_close(&home);
    assert_int_equal(truncate(home_path(&home, "log.db"), 60000), 0);
    unlink(home_path(&home, "clean"));
    assert_set_aside(&home, &ann, "was damaged");
    home_done(&home);
}

/* quick_check cannot see this: the file is good, an event is not. */
static void changed_event_is_found_by_reading_and_the_next_open(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "alpha");
    add(&home, &ann, "needle-needle-needle");
    add(&home, &ann, "omega");
    home_close(&home);
    size_t len = 0;
    char *all = contents(home_path(&home, "log.db"), &len);
    const char *needle = memmem(all, len, "needle-needle", 13);
    assert_non_null(needle);
    write_at(home_path(&home, "log.db"), needle - all, "noodle", 6);
    mem_free(all);

    home_open(&home);
    assert_null(store_notice(home.store));
    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_run(&home, &run, "input or output failed");
    home_close(&home);
    assert_set_aside(&home, &ann, "the chain of stream 1 is broken");
    home_close(&home);
    home_open(&home);
    assert_null(store_notice(home.store));
    home_done(&home);
}

/* ---- a disk that is full ---- */

static void append_until_full(Home *home, Author *author, unsigned *stored)
{
    char body[4000];
    memset(body, 'x', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    for (int i = 0; i < 4000; i++) {
        Author before = *author;
        StoreAppended result = append_text(home, author, body);
        if (result.err != ERR_OK) {
            assert_int_equal(result.err, ERR_UNAVAILABLE);
            *author = before;
            return;
        }
        ++*stored;
    }
    fail_msg("the disk never became full");
}

static void assert_stored(Home *home, const Author *author, uint64_t count)
{
    home_close(home);
    home_open(home);
    assert_null(store_notice(home->store));
    size_t heads = 0;
    const StoreHead *head = store_heads(home->store, &heads);
    assert_int_equal(heads, 1);
    assert_int_equal(head->lo, 1);
    assert_int_equal(head->hi, count);
    assert_memory_equal(&head->hash, &author->last, sizeof(EventHash));
}

static void full_disk_is_told_and_recovered_from(Home *home, void (*make_room)(void *),
                                                 void *context)
{
    Author ann = author_of(1, 7, "ann");
    unsigned stored = 0;
    append_until_full(home, &ann, &stored);
    assert_non_null(store_degraded(home->store));
    assert_true(home->state_changes >= 1);
    Answers answers = {0};
    char body[4000];
    memset(body, 'y', sizeof(body) - 1);
    body[sizeof(body) - 1] = '\0';
    Author lost = ann;
    LogEvent *event = event_by(&lost, body);
    assert_int_equal(store_append(home->store, &event, 1, 0, on_appended, &answers), ERR_OK);
    event_unref(event);
    while (answers.count == 0) {
        turn(home);
    }
    /* A single one may still have found a hole to fit in; then it is stored. */
    if (answers.failed == 0) {
        ann = lost;
        stored++;
    }
    StoreRun run = {.stream = ann.stream, .from = 1, .max_events = 1, .max_bytes = 1};
    Text text = {0};
    assert_int_equal(store_read_run(home->store, &run, on_read, &text), ERR_OK); /* reading works */
    wait_text(home, &text);
    assert_true(text.text.len > 3000);
    strbuf_done(&text.text);

    make_room(context);
    while (store_degraded(home->store) != NULL) { /* by itself: nothing is appended */
        turn(home);
    }
    add(home, &ann, "there is room");
    assert_stored(home, &ann, stored + 1);
    assert_words(home, "room", "there is [room];");
}

static void raise_limit(void *context)
{
    assert_int_equal(setrlimit(RLIMIT_FSIZE, context), 0);
}

static void file_size_limit_is_survived(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {.rlim_cur = 600000, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    full_disk_is_told_and_recovered_from(&home, raise_limit, &before);
    home_done(&home);
}

/* A file system of its own, in a mount namespace that only this process sees. */
static bool mount_small(const char *directory, const char *options)
{
    static bool unshared = false;
    if (!unshared &&
        (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)) {
        return false;
    }
    unshared = true;
    mkdir(directory, 0700);
    return mount("tmpfs", directory, "tmpfs", 0, options) == 0;
}

static void remove_ballast(void *context)
{
    assert_int_equal(unlink(context), 0);
}

static void full_file_system_is_survived(void **state)
{
    (void)state;
    Home home = home_new();
    if (!mount_small(home.directory, "size=3m,mode=0700")) {
        home_done(&home);
        print_message("not allowed to mount a file system here: %s\n", strerror(errno));
        skip();
    }
    home_open(&home);
    char *ballast = mem_alloc(1500000);
    char *path = mem_copy_string(home_path(&home, "ballast"));
    write_at(path, 0, ballast, 1500000);
    mem_free(ballast);
    full_disk_is_told_and_recovered_from(&home, remove_ballast, path);
    mem_free(path);
    home_close(&home);
    umount(home.directory);
    home_done(&home);
}

static void read_only_file_system_is_told(void **state)
{
    (void)state;
    Home home = home_new();
    if (!mount_small(home.directory, "size=3m,mode=0700")) {
        home_done(&home);
        skip();
    }
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "x");
    home_close(&home);
    assert_int_equal(mount("tmpfs", home.directory, "tmpfs", MS_REMOUNT | MS_RDONLY, NULL), 0);
    char *error = NULL;
    assert_int_equal(home_try_open(&home, false, &error), ERR_DENIED);
    assert_non_null(strstr(error, "Read-only file system"));
    mem_free(error);
    umount(home.directory);
    home_done(&home);
}

/* ---- backup ---- */

typedef struct BackupResult {
    bool done;
    Err err;
    char text[300];
} BackupResult;

static void on_backup(void *context, Err err, const char *text)
{
    BackupResult *result = context;
    result->done = true;
    result->err = err;
    snprintf(result->text, sizeof(result->text), "%s", text != NULL ? text : "");
}

static BackupResult back_up(Home *home, const char *path)
{
    BackupResult result = {0};
    assert_int_equal(store_backup(home->store, path, on_backup, &result), ERR_OK);
    while (!result.done) {
        turn(home);
    }
    return result;
}

static void backup_of_a_running_store_can_be_put_back(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    fill(&home, &ann, 500);
    char path[100];
    snprintf(path, sizeof(path), "%.60s/../backup", home.directory);
    /* While it is written to. */
    BackupResult result = {0};
    Answers answers = {0};
    unsigned asked = 0;
    assert_int_equal(store_backup(home.store, path, on_backup, &result), ERR_OK);
    assert_int_equal(store_backup(home.store, path, on_backup, &result), ERR_LIMIT);
    while (!result.done) {
        LogEvent *event = event_by(&ann, "meanwhile");
        assert_int_equal(store_append(home.store, &event, 1, 0, on_appended, &answers), ERR_OK);
        event_unref(event);
        asked++;
        turn(&home);
    }
    while (answers.count < asked) {
        turn(&home);
    }
    assert_int_equal(result.err, ERR_OK);
    assert_int_equal(answers.failed, 0);
    assert_int_equal(mode_of(path), 0600);
    result = back_up(&home, path);
    assert_int_equal(result.err, ERR_EXISTS); /* never over another file */
    add(&home, &ann, "later");
    home_close(&home);

    char *text = NULL;
    assert_int_equal(store_restore(home.directory, path, &text), ERR_OK);
    char *kept = found_file(&home, "log.db.replaced-");
    assert_non_null(kept);
    assert_non_null(strstr(text, kept));
    mem_free(kept);
    mem_free(text);
    home_open(&home);
    assert_null(store_notice(home.store));
    size_t count = 0;
    const StoreHead *head = store_heads(home.store, &count);
    assert_int_equal(count, 1);
    assert_in_range(head->hi, 500, 500 + asked);
    assert_words(&home, "later", "");
    unlink(path);
    home_done(&home);
}

static void damaged_backup_is_not_put_back(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "needle-needle-needle");
    char path[100];
    snprintf(path, sizeof(path), "%.60s/../backup", home.directory);
    assert_int_equal(back_up(&home, path).err, ERR_OK);
    home_close(&home);
    char *text = NULL;
    assert_int_equal(store_restore(home.directory, "/nowhere/at/all", &text), ERR_NOT_FOUND);
    mem_free(TAKE(text));
    size_t len = 0;
    char *all = contents(path, &len);
    write_at(path, (const char *)memmem(all, len, "needle-needle", 13) - all, "noodle", 6);
    assert_int_equal(store_restore(home.directory, path, &text), ERR_INVALID);
    assert_non_null(strstr(text, "damaged"));
    mem_free(TAKE(text));
    write_at(path, 0, "not a database at all", 21);
    assert_int_not_equal(store_restore(home.directory, path, &text), ERR_OK);
    mem_free(text);
    mem_free(all);
    unlink(path);
    home_open(&home);
    StoreRun run = {.stream = ann.stream, .from = 1};
    assert_run(&home, &run, "needle-needle-needle;");
    home_done(&home);
}

static void backup_that_cannot_be_made_says_why_and_leaves_nothing(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    BackupResult result = back_up(&home, "/nowhere/at/all/backup");
    assert_int_equal(result.err, ERR_IO);
    assert_non_null(strstr(result.text, "No such file or directory"));
    /* Closed while it runs: given up, or just done; answered in either case. */
    Author ann = author_of(1, 7, "ann");
    fill(&home, &ann, 2000);
    char path[100];
    snprintf(path, sizeof(path), "%.60s/../backup", home.directory);
    result = (BackupResult){0};
    assert_int_equal(store_backup(home.store, path, on_backup, &result), ERR_OK);
    home_close(&home);
    assert_true(result.done);
    assert_true(result.err == ERR_UNAVAILABLE || result.err == ERR_OK);
    assert_int_equal(access(path, F_OK) == 0, result.err == ERR_OK);
    unlink(path);
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
        cmocka_unit_test(search_finds_words_in_every_script),
        cmocka_unit_test(search_takes_what_is_typed_as_words_alone),
        cmocka_unit_test(search_gives_the_newest_first_however_late_they_came),
        cmocka_unit_test(text_is_found_at_once_and_also_after_a_restart),
        cmocka_unit_test(files_are_the_owners_alone),
        cmocka_unit_test(identity_stays_and_is_never_replaced),
        cmocka_unit_test(second_process_is_told_who_holds_the_directory),
        cmocka_unit_test(reader_reads_beside_the_one_that_writes),
        cmocka_unit_test(foreign_and_newer_files_are_refused_untouched),
        cmocka_unit_test(corrupt_file_is_set_aside_and_never_overwritten),
        cmocka_unit_test(changed_event_is_found_by_reading_and_the_next_open),
        cmocka_unit_test(file_size_limit_is_survived),
        cmocka_unit_test(full_file_system_is_survived),
        cmocka_unit_test(read_only_file_system_is_told),
        cmocka_unit_test(backup_of_a_running_store_can_be_put_back),
        cmocka_unit_test(damaged_backup_is_not_put_back),
        cmocka_unit_test(backup_that_cannot_be_made_says_why_and_leaves_nothing),
        cmocka_unit_test(equal_logs_have_equal_export_hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
