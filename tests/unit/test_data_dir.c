/* Which directory is a node's. */
#include "base/strbuf.h"
#include "io/data_dir.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_environment(const char *data_home, const char *home)
{
    unsetenv("XDG_DATA_HOME");
    unsetenv("HOME");
    if (data_home != NULL) {
        setenv("XDG_DATA_HOME", data_home, 1);
    }
    if (home != NULL) {
        setenv("HOME", home, 1);
    }
}

static void assert_dir_of(const char *given, const char *expected)
{
    char *path = NULL;
    char *text = NULL;
    assert_int_equal(data_dir_of(given, 50051, &path, &text), ERR_OK);
    assert_string_equal(path, expected);
    assert_null(text);
    mem_free(path);
}

static void environment_says_where(void **state)
{
    (void)state;
    set_environment("/data", "/home/ann");
    assert_dir_of(NULL, "/data/chat_node/50051");
    set_environment(NULL, "/home/ann");
    assert_dir_of(NULL, "/home/ann/.local/share/chat_node/50051");
    set_environment("", "/home/ann");
    assert_dir_of(NULL, "/home/ann/.local/share/chat_node/50051");
    set_environment("relative/data", "/home/ann");
    assert_dir_of(NULL, "/home/ann/.local/share/chat_node/50051");
    assert_dir_of("mine", "mine");
}

static void assert_fails(Err err, Err expected, char *path, char *text, const char *part)
{
    assert_int_equal(err, expected);
    assert_null(path);
    assert_non_null(text);
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, text);
    }
    mem_free(text);
}

static void assert_find_fails(Err expected, const char *part)
{
    char *path = NULL;
    char *text = NULL;
    Err err = data_dir_find(NULL, &path, &text);
    assert_fails(err, expected, path, text, part);
}

static void without_a_place_it_says_what_to_do(void **state)
{
    (void)state;
    char *path = NULL;
    char *text = NULL;
    set_environment("relative", "also/relative");
    Err err = data_dir_of(NULL, 1, &path, &text);
    assert_fails(err, ERR_NOT_FOUND, path, text, "--data");
    assert_find_fails(ERR_NOT_FOUND, "--data");
    text = NULL;
    err = data_dir_of("", 1, &path, &text);
    assert_fails(err, ERR_INVALID, path, text, "--data");
}

/* ---- the only one ---- */

typedef struct Place {
    char root[40]; /* XDG_DATA_HOME */
} Place;

static char *in_place(const Place *place, const char *name)
{
    return strbuf_format("%s/chat_node/%s", place->root, name);
}

static void make(const Place *place, const char *name)
{
    AUTO_FREE char *path = in_place(place, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void drop(const Place *place, const char *name)
{
    AUTO_FREE char *path = in_place(place, name);
    assert_int_equal(rmdir(path), 0);
}

static Place place_new(void)
{
    Place place = {.root = "/tmp/chat-data-XXXXXX"};
    assert_non_null(mkdtemp(place.root));
    set_environment(place.root, NULL);
    return place;
}

static void the_only_directory_is_found(void **state)
{
    (void)state;
    Place place = place_new();
    AUTO_FREE char *expected = in_place(&place, "50051");
    assert_find_fails(ERR_NOT_FOUND, place.root);
    make(&place, "");
    assert_find_fails(ERR_NOT_FOUND, place.root);
    static const char *const others[] = {"notes", "050051", "0", "70000", "1234567", "12a"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        make(&place, others[i]);
    }
    AUTO_FREE char *file = in_place(&place, "50052"); /* no directory */
    FILE *made = fopen(file, "we");
    assert_non_null(made);
    fclose(made);
    assert_find_fails(ERR_NOT_FOUND, place.root);

    make(&place, "50051");
    AUTO_FREE char *path = NULL;
    char *text = NULL;
    assert_int_equal(data_dir_find(NULL, &path, &text), ERR_OK);
    assert_string_equal(path, expected);

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        drop(&place, others[i]);
    }
    drop(&place, "50051");
    unlink(file);
    drop(&place, "");
    rmdir(place.root);
}

static void of_several_some_are_listed_in_order(void **state)
{
    (void)state;
    enum { COUNT = 23 };
    Place place = place_new();
    make(&place, "");
    char name[8];
    for (int i = COUNT; i > 0; i--) {
        snprintf(name, sizeof(name), "%d", 990 + i);
        make(&place, name);
    }
    assert_find_fails(ERR_EXISTS, "23 nodes");
    assert_find_fails(ERR_EXISTS, "(991, 992, 993, ");
    assert_find_fails(ERR_EXISTS, "1009, 1010, and 3 more)");
    char *path = NULL;
    char *text = NULL;
    assert_int_equal(data_dir_find("mine", &path, &text), ERR_OK);
    assert_string_equal(path, "mine");
    mem_free(path);
    for (int i = COUNT; i > 0; i--) {
        snprintf(name, sizeof(name), "%d", 990 + i);
        drop(&place, name);
    }
    drop(&place, "");
    rmdir(place.root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(environment_says_where),
        cmocka_unit_test(without_a_place_it_says_what_to_do),
        cmocka_unit_test(the_only_directory_is_found),
        cmocka_unit_test(of_several_some_are_listed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
