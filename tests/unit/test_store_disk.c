/* The store, and what disks and people do to its files. */
#include "store_home.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

/* ---- the directory ---- */

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
    /* Who may read the identity reads what is sealed, too. */
    assert_memory_equal(store_seed(reader.store), store_seed(home.store), EVENT_SEED_BYTES);
    LogEvent *event = event_by(&ann, "x");
    assert_int_equal(give(&reader, &event, 1, 0, NULL), ERR_DENIED);
    event_unref(event);
    home_close(&reader);
    home_done(&home);
}

/* ---- other people's files ---- */

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
    write_at(home_path(&home, "log.db"), 60, "\0\0\0\5", 4);
    assert_refused(&home, ERR_LIMIT, "newer chat_node (format 5; this one knows 4)");
    write_at(home_path(&home, "log.db"), 60, "\0\0\0\4", 4);
    write_at(home_path(&home, "log.db"), 68, "fire", 4);
    assert_refused(&home, ERR_EXISTS, "another program");
    write_at(home_path(&home, "log.db"), 68, "chlg", 4);
    home_open(&home);
    home_done(&home);
}

/* ---- damage ---- */

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

    /* No header, after a clean stop. */
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

/* A log with garbage in the middle, as an unclean stop leaves it. */
static Author damaged_in_the_middle(Home *home)
{
    home_open(home);
    Author ann = author_of(1, 7, "ann");
    fill(home, &ann, 1000);
    home_close(home);
    uint8_t garbage[8192];
    memset(garbage, 0xa5, sizeof(garbage));
    write_at(home_path(home, "log.db"), 20L * 4096, garbage, sizeof(garbage));
    unlink(home_path(home, "clean"));
    return ann;
}

static void damage_is_found_while_running_and_set_aside_at_the_next_open(void **state)
{
    (void)state;
    Home home = home_new();
    Author ann = damaged_in_the_middle(&home);
    home_open(&home);
    while (store_notice(home.store) == NULL) {
        turn(&home);
    }
    assert_non_null(strstr(store_notice(home.store), "the next start sets it aside"));
    assert_true(home.state_changes >= 1);
    add(&home, &ann, "nothing is refused");
    home_close(&home);
    assert_int_not_equal(access(home_path(&home, "clean"), F_OK), 0);
    assert_set_aside(&home, &ann, "was damaged");
    home_close(&home);
    home_open(&home);
    assert_null(store_notice(home.store));
    home_done(&home);
}

static void check_that_is_cut_short_is_made_again(void **state)
{
    (void)state;
    Home home = home_new();
    Author ann = damaged_in_the_middle(&home);
    bool set_aside = false;
    for (int i = 0; i < 1000 && !set_aside; i++) { /* stops a little later each time */
        home_open(&home);
        set_aside = store_notice(home.store) != NULL;
        for (int turns = 0; turns < i && !set_aside; turns++) {
            add(&home, &ann, "x");
        }
        home_close(&home);
        assert_true(access(home_path(&home, "clean"), F_OK) == (set_aside ? 0 : -1));
    }
    assert_true(set_aside);
    home_done(&home);
}

static void good_log_is_clean_again_once_it_was_checked(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    fill(&home, &ann, 1000);
    home_close(&home);
    bool clean = false;
    for (int i = 0; i < 1000 && !clean; i++) { /* checks that are cut short are no harm */
        unlink(home_path(&home, "clean"));
        home_open(&home);
        for (int turns = 0; turns < i; turns++) {
            add(&home, &ann, "x");
        }
        assert_null(store_notice(home.store));
        home_close(&home);
        clean = access(home_path(&home, "clean"), F_OK) == 0;
    }
    assert_true(clean);
    home_done(&home);
}

static void last_event_that_is_not_what_was_stored_shows_at_open(void **state)
{
    (void)state;
    Home home = home_new();
    home_open(&home);
    Author ann = author_of(1, 7, "ann");
    add(&home, &ann, "alpha");
    add(&home, &ann, "needle-needle-needle");
    home_close(&home);
    size_t len = 0;
    char *all = contents(home_path(&home, "log.db"), &len);
    const char *needle = memmem(all, len, "needle-needle", 13);
    assert_non_null(needle);
    write_at(home_path(&home, "log.db"), needle - all, "noodle", 6);
    mem_free(all);
    unlink(home_path(&home, "clean"));
    assert_set_aside(&home, &ann, "the last event of stream 1 is not what was stored");
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
    assert_int_equal(give(home, &event, 1, 0, &answers), ERR_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_the_owners_alone),
        cmocka_unit_test(identity_stays_and_is_never_replaced),
        cmocka_unit_test(second_process_is_told_who_holds_the_directory),
        cmocka_unit_test(reader_reads_beside_the_one_that_writes),
        cmocka_unit_test(foreign_and_newer_files_are_refused_untouched),
        cmocka_unit_test(corrupt_file_is_set_aside_and_never_overwritten),
        cmocka_unit_test(damage_is_found_while_running_and_set_aside_at_the_next_open),
        cmocka_unit_test(check_that_is_cut_short_is_made_again),
        cmocka_unit_test(good_log_is_clean_again_once_it_was_checked),
        cmocka_unit_test(last_event_that_is_not_what_was_stored_shows_at_open),
        cmocka_unit_test(changed_event_is_found_by_reading_and_the_next_open),
        cmocka_unit_test(file_size_limit_is_survived),
        cmocka_unit_test(full_file_system_is_survived),
        cmocka_unit_test(read_only_file_system_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
