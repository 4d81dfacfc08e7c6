/* The table of commands. */
#include "core/command.h"
#include "unit.h"

#include <string.h>

static void each_is_found_by_its_whole_name_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        const char *name = COMMANDS[i].name;
        assert_ptr_equal(command_find(name, strlen(name)), &COMMANDS[i]);
        assert_null(command_find(name, strlen(name) - 1));
        assert_int_equal(name[0], '/');
        assert_true(strlen(COMMANDS[i].help) > 0);
    }
    assert_null(command_find("/LIST", 5));
    assert_null(command_find("/", 1));
    assert_null(command_find("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_found_by_its_whole_name_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
