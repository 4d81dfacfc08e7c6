/* Who has said what already. */
#include "core/seen.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static MessageId message_id_of(unsigned number, uint8_t len)
{
    MessageId id;
    memset(&id, 0, sizeof(id));
    memcpy(id.bytes, &number, sizeof(number));
    id.len = len;
    return id;
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

static void id_that_is_forgotten_is_new_again(void **state)
{
    (void)state;
    Seen *seen = seen_new();
    MessageId id = message_id_of(7, 16);
    MessageId other = message_id_of(8, 16);
    seen_forget_id(seen, &id); /* nothing to forget */
    assert_true(seen_id(seen, &id));
    assert_true(seen_id(seen, &other));
    seen_forget_id(seen, &id);
    assert_true(seen_id(seen, &id));
    assert_false(seen_id(seen, &other));
    seen_free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_a_window),
        cmocka_unit_test(length_is_part_of_an_id),
        cmocka_unit_test(id_that_is_forgotten_is_new_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
