/* Nodes that link with each other, as traces: one mesh link for each pair, who is here, what is
 * exchanged, and how far an own line is. */
#include "core_world.h"
#include "unit.h"

static void print_it(void **state)
{
    (void)state;
    static const char *const dials[] = {"b", "a"};
    World *world = world_new(dials, 2);
    printf("%s--\n", world_start_all(world));
    printf("%s--\n", world_wait(world, 1000));
    printf("%s--\n", world_line(world, 0, "hi"));
    printf("%s--\n", world_wait(world, 1000));
    printf("%s--\n", world_line(world, 0, "hi 2"));
    printf("%s--\n", world_line(world, 0, "/names"));
    printf("%s--\n", world_line(world, 1, "/nick zoe"));
    printf("%s--\n", world_line(world, 0, "/names"));
    printf("%s--\n", world_line(world, 0, "/quit"));
    printf("%s--\n", world_wait(world, 3000));
    world_start(world, 0);
    printf("%s--\n", world_wait(world, 13000));
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(print_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
