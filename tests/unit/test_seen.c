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

static MessageId classic(Seen *seen, const char *sender, const char *content, int64_t wall_ms)
{
    MessageDraft draft = {.sender = sender,
                          .sender_len = strlen(sender),
                          .content = content,
                          .content_len = strlen(content),
                          .timestamp = "23:59:59",
                          .timestamp_len = 8};
    MessageId id;
    seen_classic_id(seen, &draft, 86399, wall_ms, &id);
    return id;
}

static bool same(MessageId a, MessageId b)
{
    return a.len == b.len && memcmp(a.bytes, b.bytes, a.len) == 0;
}

static void nth_equal_line_has_one_id_at_every_node(void **state)
{
    (void)state;
    const int64_t before_midnight = INT64_C(1700006399900);
    const int64_t after_midnight = INT64_C(1700006400100);
    Seen *here = seen_new();
    Seen *there = seen_new();
    MessageId first = classic(here, "kim", "ha", before_midnight);
    MessageId second = classic(here, "kim", "ha", before_midnight);
    assert_false(same(first, second));
    assert_true(same(classic(there, "kim", "ha", after_midnight), first));
    assert_true(same(classic(there, "kim", "ha", after_midnight), second));
    assert_false(same(classic(there, "ki", "mha", after_midnight), first));
    /* On the next day it is another line. */
    assert_false(same(classic(here, "kim", "ha", before_midnight + 86400000), first));
    seen_free(here);
    seen_free(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(number_not_above_the_highest_is_a_repeat),
        cmocka_unit_test(origin_that_speaks_is_not_forgotten),
        cmocka_unit_test(ids_are_a_window),
        cmocka_unit_test(length_is_part_of_an_id),
        cmocka_unit_test(nth_equal_line_has_one_id_at_every_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
