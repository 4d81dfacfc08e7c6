/* Heaps of things that hold their own place. */
#include "base/heap.h"
#include "unit.h"

#include <string.h>

enum { THINGS = 500 };

typedef struct Thing {
    unsigned key;
    bool inside;
    HeapNode node;
} Thing;

static Thing things[THINGS];

static bool is_less(const HeapNode *a, const HeapNode *b)
{
    return HEAP_OWNER(a, Thing, node)->key < HEAP_OWNER(b, Thing, node)->key;
}

static unsigned random_below(uint32_t *state, unsigned limit)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % limit;
}

static unsigned lowest(void)
{
    unsigned key = UINT32_MAX;
    for (size_t i = 0; i < THINGS; i++) {
        if (things[i].inside && things[i].key < key) {
            key = things[i].key;
        }
    }
    return key;
}

static void first_is_the_lowest_whatever_comes_and_goes(void **state)
{
    (void)state;
    memset(things, 0, sizeof(things));
    HeapNode *heap = NULL;
    uint32_t random = 1;
    for (unsigned step = 0; step < 20000; step++) {
        Thing *thing = &things[random_below(&random, THINGS)];
        if (thing->inside) {
            heap_remove(&heap, &thing->node, is_less);
        } else {
            thing->key = random_below(&random, THINGS / 2); /* many are equal */
            heap_add(&heap, &thing->node, is_less);
        }
        thing->inside = !thing->inside;
        assert_int_equal(heap != NULL ? HEAP_OWNER(heap, Thing, node)->key : UINT32_MAX, lowest());
    }
}

static void taken_out_one_by_one_they_are_in_order(void **state)
{
    (void)state;
    memset(things, 0, sizeof(things));
    HeapNode *heap = NULL;
    for (unsigned i = 0; i < THINGS; i++) {
        things[i].key = i * 211 % THINGS; /* 211 and 500 have no divisor in common */
        heap_add(&heap, &things[i].node, is_less);
    }
    for (unsigned i = 0; i < THINGS; i++) {
        assert_int_equal(HEAP_OWNER(heap, Thing, node)->key, i);
        heap_remove(&heap, heap, is_less);
    }
    assert_null(heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_is_the_lowest_whatever_comes_and_goes),
        cmocka_unit_test(taken_out_one_by_one_they_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
