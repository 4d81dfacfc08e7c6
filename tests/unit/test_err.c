/* Every error has a text of its own. */
#include "base/err.h"

#include <string.h>

#include "unit.h"

#define ERR_LIST_ROW(name, text) name,
static const Err ALL[] = {ERR_TABLE(ERR_LIST_ROW)};
#undef ERR_LIST_ROW

enum { ALL_COUNT = sizeof(ALL) / sizeof(ALL[0]) };

static void success_is_zero(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    assert_string_equal(err_text(ERR_OK), "ok");
}

static void texts_are_there_and_differ(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL_COUNT; i++) {
        assert_true(strlen(err_text(ALL[i])) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(err_text(ALL[i]), err_text(ALL[j]));
        }
    }
}

static void value_outside_the_table_has_a_text_too(void **state)
{
    (void)state;
    assert_string_equal(err_text((Err)ALL_COUNT), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(success_is_zero),
        cmocka_unit_test(texts_are_there_and_differ),
        cmocka_unit_test(value_outside_the_table_has_a_text_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
