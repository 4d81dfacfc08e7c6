/* Backups of a running store, and putting them back. */
#include "store_home.h"

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
        assert_int_equal(give(&home, &event, 1, 0, &answers), ERR_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backup_of_a_running_store_can_be_put_back),
        cmocka_unit_test(damaged_backup_is_not_put_back),
        cmocka_unit_test(backup_that_cannot_be_made_says_why_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
