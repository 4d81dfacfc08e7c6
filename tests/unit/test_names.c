/* Whose name it is. */
#include "core/names.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static const uint8_t SELF[EVENT_KEY_BYTES] = {1};
static const uint8_t BOB[EVENT_KEY_BYTES] = {2};
static const uint8_t MALLORY[EVENT_KEY_BYTES] = {3};

static Names *made(void)
{
    return names_new(SELF, "ann");
}

static bool hear(Names *names, const uint8_t *key, const char *name)
{
    names_claim(names, key, name);
    return names_misleads(names, key, name);
}

static void who_came_second_is_marked(void **state)
{
    (void)state;
    Names *names = made();
    assert_false(hear(names, BOB, "bob"));
    assert_true(hear(names, MALLORY, "bob"));
    assert_false(hear(names, BOB, "bob"));
    assert_true(hear(names, MALLORY, "Bоb")); /* Cyrillic */
    assert_true(hear(names, MALLORY, "b0b"));
    assert_false(hear(names, MALLORY, "mallory"));
    names_free(names);
}

static void ones_own_name_is_ones_own(void **state)
{
    (void)state;
    Names *names = made();
    assert_true(hear(names, BOB, "Ann"));
    assert_false(names_misleads(names, SELF, "ann"));
    names_free(names);
}

static void a_new_name_of_ones_own_comes_behind_who_has_it(void **state)
{
    (void)state;
    Names *names = made();
    assert_false(hear(names, BOB, "bob"));
    names_rename_own(names, "bob");
    assert_true(names_misleads(names, SELF, "bob"));
    names_rename_own(names, "carl");
    assert_false(names_misleads(names, SELF, "carl"));
    /* And the name before is not free for others at once. */
    assert_true(hear(names, MALLORY, "ann"));
    names_rename_own(names, "carl");
    assert_false(names_misleads(names, SELF, "carl"));
    names_free(names);
}

static void a_member_has_its_name_whoever_was_first(void **state)
{
    (void)state;
    Names *names = made();
    assert_false(hear(names, MALLORY, "bob"));
    assert_false(names_is_of_other_member(names, SELF, "Bob"));
    names_add_member(names, MALLORY, "mallory");
    names_add_member(names, BOB, "bob");
    assert_true(names_misleads(names, MALLORY, "bob"));
    assert_false(names_misleads(names, BOB, "bob"));
    assert_true(names_misleads(names, MALLORY, "B0B"));
    assert_true(names_is_of_other_member(names, SELF, "Bob"));
    assert_false(names_is_of_other_member(names, BOB, "Bob"));
    assert_false(names_is_of_other_member(names, SELF, "carl"));
    names_clear_members(names);
    assert_false(names_misleads(names, MALLORY, "bob"));
    assert_false(names_is_of_other_member(names, SELF, "Bob"));
    names_free(names);
}

static void of_two_members_with_one_name_the_first_has_it(void **state)
{
    (void)state;
    Names *names = made();
    names_add_member(names, BOB, "bob");
    names_add_member(names, MALLORY, "bob");
    assert_false(names_misleads(names, BOB, "bob"));
    assert_true(names_misleads(names, MALLORY, "bob"));
    names_free(names);
}

static void what_reads_like_the_program_is_marked_whoever_has_it(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "--",       "−−",           "— notice",     "*",    "∗ ann", "[16:00:00]",
        "ann: hi",  "ann -> bob",   "#dev",         "@bob", "/help", "bob~3f2a-91bc",
        "bob∼3f2a", "\xe2\x80\x8b", "\xe2\xa0\x80",
    };
    static const char *const good[] = {"bob-2", "o'neil", "ann lee", "Jürgen",
                                       "田中",  "x*y",    "r2d2"};
    Names *names = made();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_true(hear(names, BOB, bad[i]));
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_false(hear(names, BOB, good[i]));
    }
    names_free(names);
}

static void a_line_that_is_not_claimed_takes_no_name(void **state)
{
    (void)state;
    Names *names = made();
    /* A classic node's, which two of ours have heard. */
    assert_false(names_misleads(names, BOB, "dora"));
    assert_false(names_misleads(names, MALLORY, "dora"));
    assert_true(names_misleads(names, MALLORY, "ann"));
    names_free(names);
}

static void key_of(size_t number, uint8_t ret_key[EVENT_KEY_BYTES])
{
    memset(ret_key, 0x55, EVENT_KEY_BYTES);
    memcpy(ret_key, &number, sizeof(number));
}

static void who_makes_up_names_takes_none_from_others(void **state)
{
    (void)state;
    Names *names = made();
    assert_false(hear(names, BOB, "bob"));
    for (int i = 0; i < 5000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "mallory%d", i);
        names_claim(names, MALLORY, name);
    }
    assert_true(hear(names, MALLORY, "bob"));
    assert_false(hear(names, BOB, "bob"));
    /* The first ones are forgotten, the last ones known. */
    assert_int_equal(names_find(names, "mallory0", 8, NULL, 0), 0);
    assert_int_equal(names_find(names, "mallory4999", 11, NULL, 0), 1);
    names_free(names);
}

static void who_is_heard_keeps_a_name_among_any_number(void **state)
{
    (void)state;
    Names *names = made();
    names_add_member(names, BOB, "bob");
    assert_false(hear(names, MALLORY, "carl"));
    for (size_t i = 0; i < 4 * (size_t)NAMES_MAX; i++) {
        uint8_t key[EVENT_KEY_BYTES];
        char name[32];
        key_of(i, key);
        snprintf(name, sizeof(name), "n%zu", i);
        names_claim(names, key, name);
        assert_false(names_misleads(names, MALLORY, "carl"));
    }
    assert_int_equal(names_find(names, "n1", 2, NULL, 0), 0);
    assert_int_equal(names_find(names, "carl", 4, NULL, 0), 1);
    assert_true(hear(names, MALLORY, "bob"));
    assert_true(hear(names, MALLORY, "ann"));
    names_free(names);
}

static void who_is_found_by_name_mark_and_fingerprint(void **state)
{
    (void)state;
    Names *names = made();
    uint8_t keys[2][EVENT_KEY_BYTES];
    char print[NAME_FINGERPRINT_BYTES];
    char marked[64];
    name_fingerprint(BOB, print);
    snprintf(marked, sizeof(marked), "bob~%s", print);
    hear(names, MALLORY, "bob");
    hear(names, BOB, "bob");
    assert_int_equal(names_find(names, "bob", 3, keys, 2), 2);
    assert_int_equal(names_find(names, marked, strlen(marked), keys, 2), 1);
    assert_memory_equal(keys[0], BOB, EVENT_KEY_BYTES);
    assert_int_equal(names_find(names, print, strlen(print), keys, 2), 1);
    assert_memory_equal(keys[0], BOB, EVENT_KEY_BYTES);
    assert_int_equal(names_find(names, print, 4, keys, 2), 1);
    assert_int_equal(names_find(names, print, 3, keys, 2), 0);
    assert_int_equal(names_find(names, "nobody", 6, keys, 2), 0);
    assert_string_equal(names_of(names, BOB), "bob");
    hear(names, BOB, "robert");
    assert_string_equal(names_of(names, BOB), "robert");
    names_free(names);
}

static void a_fingerprint_is_of_the_key(void **state)
{
    (void)state;
    static const uint8_t zeros[EVENT_KEY_BYTES];
    char print[NAME_FINGERPRINT_BYTES];
    name_fingerprint(zeros, print);
    /* python3: hashlib.blake2b(bytes(32), digest_size=32).hexdigest() */
    assert_string_equal(print, "89eb-0d6a");
    assert_true(name_fingerprint_begins(zeros, "89eb", 4));
    assert_true(name_fingerprint_begins(zeros, "89EB-0d6a-8a69", 14));
    assert_false(name_fingerprint_begins(zeros, "89ec", 4));
    assert_false(name_fingerprint_begins(zeros, "89eb-", 0));
    assert_false(name_fingerprint_begins(zeros, "89ebxx", 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_came_second_is_marked),
        cmocka_unit_test(ones_own_name_is_ones_own),
        cmocka_unit_test(a_new_name_of_ones_own_comes_behind_who_has_it),
        cmocka_unit_test(a_member_has_its_name_whoever_was_first),
        cmocka_unit_test(of_two_members_with_one_name_the_first_has_it),
        cmocka_unit_test(what_reads_like_the_program_is_marked_whoever_has_it),
        cmocka_unit_test(a_line_that_is_not_claimed_takes_no_name),
        cmocka_unit_test(who_makes_up_names_takes_none_from_others),
        cmocka_unit_test(who_is_heard_keeps_a_name_among_any_number),
        cmocka_unit_test(who_is_found_by_name_mark_and_fingerprint),
        cmocka_unit_test(a_fingerprint_is_of_the_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
