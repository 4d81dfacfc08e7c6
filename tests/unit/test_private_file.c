/* Small secrets: whole, durable, and nobody else's. */
#include "io/private_file.h"
#include "temp_dir.h"

#include <fcntl.h>
#include <sys/file.h>

static void assert_read(const char *path, const char *expected)
{
    PrivateText text = {0};
    char *error = NULL;
    assert_int_equal(private_file_read(path, 100, &text, &error), ERR_OK);
    assert_string_equal(text.text, expected);
    assert_int_equal(text.len, strlen(expected));
    private_text_done(&text);
    assert_null(text.text);
}

static void assert_refused(const char *path, size_t max, Err err, const char *words)
{
    PrivateText text = {0};
    char *error = NULL;
    assert_int_equal(private_file_read(path, max, &text, &error), err);
    assert_non_null(error);
    assert_non_null(strstr(error, words));
    assert_null(text.text);
    mem_free(error);
}

static void what_was_written_is_read_and_nobody_elses(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    struct stat status;
    const char *path = temp_file(&dir, "secret");
    mode_t before = umask(0);
    assert_int_equal(private_file_write(path, "one", 3, &error), ERR_OK);
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_read(path, "one");
    assert_int_equal(private_file_write(path, "", 0, &error), ERR_OK);
    assert_read(path, "");
    assert_int_equal(temp_count(&dir), 1);
    temp_dir_done(&dir);
}

static void a_draft_that_was_left_behind_is_in_nobodys_way(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    temp_put(&dir, "secret.new", "half of", 0644);
    const char *path = temp_file(&dir, "secret");
    assert_int_equal(private_file_write(path, "two", 3, &error), ERR_OK);
    assert_read(path, "two");
    assert_int_equal(temp_count(&dir), 1);
    temp_dir_done(&dir);
}

static void a_write_that_fails_leaves_the_old_file(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    assert_int_equal(private_file_write("/nonexistent/secret", "x", 1, &error), ERR_IO);
    assert_non_null(strstr(error, "/nonexistent/secret.new"));
    mem_free(error);
    const char *path = temp_file(&dir, "secret");
    assert_int_equal(private_file_write(path, "one", 3, &error), ERR_OK);
    assert_int_equal(mkdir(temp_file(&dir, "secret.new"), 0700), 0);
    assert_int_not_equal(private_file_write(temp_file(&dir, "secret"), "two", 3, &error), ERR_OK);
    mem_free(error);
    assert_read(temp_file(&dir, "secret"), "one");
    assert_int_equal(rmdir(temp_file(&dir, "secret.new")), 0);
    temp_dir_done(&dir);
}

static void what_others_may_use_is_refused_with_what_to_do(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0644};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        temp_put(&dir, "secret", "one", modes[i]);
        assert_refused(dir.file, 100, ERR_DENIED, "chmod 600");
        assert_int_equal(unlink(dir.file), 0);
    }
    temp_put(&dir, "secret", "one", 0400);
    assert_read(dir.file, "one");
    temp_dir_done(&dir);
}

static void what_is_no_file_or_too_long_or_missing_is_told_apart(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    PrivateText text = {0};
    temp_put(&dir, "secret", "12345", 0600);
    assert_refused(dir.file, 4, ERR_LIMIT, "longer than the 4 bytes");
    assert_refused(dir.path, 100, ERR_DENIED, "no plain file");
    assert_int_equal(private_file_read(temp_file(&dir, "none"), 4, &text, &error), ERR_NOT_FOUND);
    assert_null(error);
    assert_int_equal(mkfifo(temp_file(&dir, "pipe"), 0600), 0); /* never waits for a writer */
    assert_refused(dir.file, 100, ERR_DENIED, "no plain file");
    temp_dir_done(&dir);
}

static void a_file_that_was_written_anew_is_another_one(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    PrivateStamp stamp = {0};
    const char *path = temp_file(&dir, "secret");
    assert_false(private_file_changed(path, &stamp));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(private_file_write(path, "same", 4, &error), ERR_OK);
        assert_true(private_file_changed(path, &stamp));
        assert_false(private_file_changed(path, &stamp));
    }
    assert_int_equal(unlink(path), 0);
    assert_true(private_file_changed(path, &stamp));
    temp_dir_done(&dir);
}

static void lock_is_held_by_one(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    char *error = NULL;
    int fd = -1;
    assert_int_equal(private_lock(dir.path, &fd, &error), ERR_OK);
    int other = open(dir.path, O_RDONLY | O_DIRECTORY);
    assert_int_not_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    private_unlock(fd);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
    close(other);
    assert_int_equal(private_lock("/nonexistent", &fd, &error), ERR_NOT_FOUND);
    mem_free(error);
    temp_dir_done(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read_and_nobody_elses),
        cmocka_unit_test(a_draft_that_was_left_behind_is_in_nobodys_way),
        cmocka_unit_test(a_write_that_fails_leaves_the_old_file),
        cmocka_unit_test(what_others_may_use_is_refused_with_what_to_do),
        cmocka_unit_test(what_is_no_file_or_too_long_or_missing_is_told_apart),
        cmocka_unit_test(a_file_that_was_written_anew_is_another_one),
        cmocka_unit_test(lock_is_held_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
