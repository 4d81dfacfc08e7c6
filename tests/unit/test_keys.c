/* Keys and pastes, told apart at every cut. */
#include "face/keys.h"

#include <stdbool.h>
#include <string.h>

#include "unit.h"

/* Typed text as it is, a paste as <text>. */
static void take_all(Keys *keys, StrBuf *out)
{
    const char *text = NULL;
    size_t len = 0;
    KeysKind kind = KEYS_NONE;
    while ((kind = keys_next(keys, &text, &len)) != KEYS_NONE) {
        if (kind == KEYS_PASTE_TOO_LONG) {
            strbuf_add_string(out, "<too long>");
            continue;
        }
        strbuf_add_string(out, kind == KEYS_PASTED ? "<" : "");
        strbuf_add(out, text, len);
        strbuf_add_string(out, kind == KEYS_PASTED ? ">" : "");
    }
}

static void assert_keys(const char *input, const char *expected)
{
    size_t len = strlen(input);
    for (size_t piece = 1; piece <= len; piece++) {
        Keys keys = {0};
        AUTO_STRBUF StrBuf out = {0};
        for (size_t at = 0; at < len; at += piece) {
            keys_add(&keys, input + at, len - at < piece ? len - at : piece);
            take_all(&keys, &out);
        }
        keys_done(&keys);
        assert_string_equal(strbuf_text(&out), expected);
    }
}

static void pastes_are_told_from_keys_at_every_cut(void **state)
{
    (void)state;
    assert_keys("abc\r", "abc\r");
    assert_keys("\033[A\033[B\033OP\x04", "\033[A\033[B\033OP\x04");
    assert_keys("a\033[200~one\ntwo\033[201~b", "a<one\ntwo>b");
    assert_keys("\033[200~\033[201~", "<>");
    assert_keys("\033[200~\033[200~x\033[2\033[201~", "<\033[200~x\033[2>");
    assert_keys("\033[200~a\033[201~\033[200~b\033[201~", "<a><b>");
    assert_keys("\033[201~x", "\033[201~x");
    assert_keys("\033\033[200~x\033[201~", "\033<x>");
    assert_keys("日本😀é", "日本😀é");
    assert_keys("\xff\x80\xe2\x82z", "\xff\x80\xe2\x82z");
}

static void half_a_character_is_held_back(void **state)
{
    (void)state;
    Keys keys = {0};
    const char *text = NULL;
    size_t len = 0;
    keys_add(&keys, "a\xf0\x9f\x98", 4);
    assert_int_equal(keys_next(&keys, &text, &len), KEYS_TYPED);
    assert_int_equal(len, 1);
    assert_int_equal(keys_next(&keys, &text, &len), KEYS_NONE);
    keys_add(&keys, "\x80", 1);
    assert_int_equal(keys_next(&keys, &text, &len), KEYS_TYPED);
    assert_memory_equal(text, "😀", 4);
    keys_done(&keys);
}

static void paste_past_the_limit_is_not_kept(void **state)
{
    (void)state;
    Keys keys = {0};
    const char *text = NULL;
    size_t len = 0;
    char piece[4096];
    memset(piece, 'x', sizeof(piece));
    keys_add(&keys, "\033[200~", 6);
    for (size_t i = 0; i <= 2 * PASTE_MAX_BYTES / sizeof(piece); i++) {
        keys_add(&keys, piece, sizeof(piece));
        assert_int_equal(keys_next(&keys, &text, &len), KEYS_NONE);
        assert_true(keys.paste.len <= PASTE_MAX_BYTES);
    }
    keys_add(&keys, "\033[201~y", 7);
    assert_int_equal(keys_next(&keys, &text, &len), KEYS_PASTE_TOO_LONG);
    assert_int_equal(keys_next(&keys, &text, &len), KEYS_TYPED);
    assert_memory_equal(text, "y", 1);
    keys_done(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pastes_are_told_from_keys_at_every_cut),
        cmocka_unit_test(half_a_character_is_held_back),
        cmocka_unit_test(paste_past_the_limit_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
