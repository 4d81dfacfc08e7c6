/* Who has said what already. */
#include "core/seen.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static NodeId node_id_of(unsigned number)
{
    NodeId id;
    memset(&id, 0, sizeof(id));
    memcpy(id.bytes, &number, sizeof(number));
    return id;
}

static MessageId message_id_of(unsigned number, uint8_t len)
{
    MessageId id;
    memset(&id, 0, sizeof(id));
    memcpy(id.bytes, &number, sizeof(number));
    id.len = len;
    return id;
}

static void number_not_above_the_highest_is_a_repeat(void **state)
{
    (void)state;
    Seen *seen = seen_new();
    NodeId ann = node_id_of(1);
    NodeId bob = node_id_of(2);
    assert_true(seen_from_node(seen, &ann, 5));
    assert_false(seen_from_node(seen, &ann, 5));
    assert_false(seen_from_node(seen, &ann, 1));
    assert_true(seen_from_node(seen, &bob, 5));
    assert_true(seen_from_node(seen, &ann, UINT64_MAX));
    assert_false(seen_from_node(seen, &ann, UINT64_MAX));
    seen_free(seen);
}

static void origin_that_speaks_is_not_forgotten(void **state)
{
    (void)state;
    Seen *seen = seen_new();
    NodeId ann = node_id_of(1);
    NodeId silent = node_id_of(2);
    seen_from_node(seen, &silent, 1);
    for (unsigned i = 0; i < 2 * SEEN_ORIGINS_MAX; i++) {
        NodeId other = node_id_of(100 + i);
        assert_true(seen_from_node(seen, &ann, i + 1));
        assert_true(seen_from_node(seen, &other, 1));
    }
    assert_false(seen_from_node(seen, &ann, 1));
    assert_true(seen_from_node(seen, &silent, 1)); /* bounded: this one is gone */
    seen_free(seen);
}

static void ids_are_a_window(void **state)
{
    (void)state;
    Seen *seen = seen_new();
    for (unsigned i = 0; i < SEEN_IDS_MAX; i++) {
        MessageId id = message_id_of(i, 16);
        assert_true(seen_id(seen, &id));
        assert_false(seen_id(seen, &id));
    }
    MessageId first = message_id_of(0, 16);
    assert_false(seen_id(seen, &first));
    MessageId one_more = message_id_of(SEEN_IDS_MAX, 16);
    assert_true(seen_id(seen, &one_more));
    assert_true(seen_id(seen, &first));
    seen_free(seen);
}

static void length_is_part_of_an_id(void **state)
{
    (void)state;
    Seen *seen = seen_new();
    MessageId shorter = message_id_of(7, 16);
    MessageId longer = message_id_of(7, 17);
    assert_true(seen_id(seen, &shorter));
    assert_true(seen_id(seen, &longer));
    seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_not_above_the_highest_is_a_repeat),
        cmocka_unit_test(origin_that_speaks_is_not_forgotten),
        cmocka_unit_test(ids_are_a_window),
        cmocka_unit_test(length_is_part_of_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
