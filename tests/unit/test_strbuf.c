/* A string that grows and always ends in NUL. */
#include "base/strbuf.h"

#include <string.h>

#include "unit.h"

static void empty_buffer_reads_as_empty_text(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    assert_string_equal(strbuf_text(&buf), "");
    strbuf_clear(&buf);
    strbuf_drop_front(&buf, 5);
    assert_string_equal(strbuf_text(&buf), "");
    assert_int_equal(buf.len, 0);
}

static void text_ends_in_nul_after_each_addition(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    for (size_t i = 0; i < 3000; i++) {
        strbuf_add_char(&buf, (char)('a' + i % 26));
        assert_int_equal(buf.len, i + 1);
        assert_int_equal(strlen(buf.text), i + 1);
        assert_true(buf.cap > buf.len);
    }
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(buf.text[i], 'a' + i % 26);
    }
}

static void additions_join(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    strbuf_add(&buf, "one--", 3);
    strbuf_add_string(&buf, " two");
    strbuf_addf(&buf, " %d%s", 3, "!");
    strbuf_add(&buf, NULL, 0);
    strbuf_addf(&buf, "%s", "");
    assert_string_equal(strbuf_text(&buf), "one two 3!");
}

static void formatted_text_may_be_long(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    strbuf_add_string(&buf, "x");
    strbuf_addf(&buf, "%*d", 10000, 7);
    assert_int_equal(buf.len, 10001);
    assert_int_equal(buf.text[10000], '7');
}

static void bytes_behind_a_nul_are_kept(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    strbuf_add(&buf, "a\0b", 3);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(strbuf_text(&buf), "a\0b", 4);
}

static void clear_keeps_the_memory(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    strbuf_addf(&buf, "%*d", 500, 7);
    const char *memory = buf.text;
    strbuf_clear(&buf);
    assert_string_equal(strbuf_text(&buf), "");
    strbuf_addf(&buf, "%*d", 500, 8);
    assert_ptr_equal(buf.text, memory);
}

static void front_can_be_dropped(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf buf = {0};
    strbuf_add_string(&buf, "hello world");
    strbuf_drop_front(&buf, 0);
    assert_string_equal(strbuf_text(&buf), "hello world");
    strbuf_drop_front(&buf, 6);
    assert_string_equal(strbuf_text(&buf), "world");
    assert_int_equal(buf.len, 5);
    strbuf_drop_front(&buf, 5);
    assert_string_equal(strbuf_text(&buf), "");
    strbuf_add_string(&buf, "ab");
    strbuf_drop_front(&buf, 100);
    assert_int_equal(buf.len, 0);
}

static void taken_text_is_the_callers(void **state)
{
    (void)state;
    StrBuf buf = {0};
    strbuf_add_string(&buf, "mine");
    AUTO_FREE char *text = strbuf_take(&buf);
    assert_string_equal(text, "mine");
    assert_null(buf.text);
    assert_int_equal(buf.len, 0);

    AUTO_FREE char *empty = strbuf_take(&buf); /* nothing was added: still a string */
    assert_string_equal(empty, "");
}

static void done_may_be_called_again(void **state)
{
    (void)state;
    StrBuf buf = {0};
    strbuf_add_string(&buf, "x");
    strbuf_done(&buf);
    strbuf_done(&buf);
    strbuf_add_string(&buf, "y");
    assert_string_equal(strbuf_text(&buf), "y");
    strbuf_done(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_buffer_reads_as_empty_text),
        cmocka_unit_test(text_ends_in_nul_after_each_addition),
        cmocka_unit_test(additions_join),
        cmocka_unit_test(formatted_text_may_be_long),
        cmocka_unit_test(bytes_behind_a_nul_are_kept),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(front_can_be_dropped),
        cmocka_unit_test(taken_text_is_the_callers),
        cmocka_unit_test(done_may_be_called_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
