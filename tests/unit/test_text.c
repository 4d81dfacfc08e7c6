/* What reaches a screen: a table of what must not, whole and in pieces. */
#include "base/text.h"

#include <stdbool.h>
#include <string.h>

#include "unit.h"

typedef struct Sample {
    const char *raw;
    size_t len;
    const char *shown;
} Sample;

#define SAMPLE(raw, shown)                                                                         \
    {                                                                                              \
        raw, sizeof(raw) - 1, shown                                                                \
    }

static const Sample SAMPLES[] = {
    SAMPLE("", ""),
    SAMPLE("plain text, ~!", "plain text, ~!"),
    SAMPLE("a\tb", "a    b"),
    SAMPLE("a\nb\rc", "a␊b␍c"),
    SAMPLE("a\0b", "a␀b"),
    SAMPLE("\x07\x08\x7f", "␇␈␡"),
    /* CSI, OSC with both of its ends, DCS, APC, PM, SOS, RIS. */
    SAMPLE("\033[2J\033[31mred", "␛[2J␛[31mred"),
    SAMPLE("\033]0;title\007", "␛]0;title␇"),
    SAMPLE("\033]52;c;aGk=\033\\", "␛]52;c;aGk=␛\\"),
    SAMPLE("\033P+q544e\033\\", "␛P+q544e␛\\"),
    SAMPLE("\033_Gf=100\033\\", "␛_Gf=100␛\\"),
    SAMPLE("\033^x\033X\033c", "␛^x␛X␛c"),
    /* Their 8-bit forms: bare bytes, and as UTF-8. */
    SAMPLE("\x9b"
           "31m",
           "<9B>31m"),
    SAMPLE("\x9d"
           "0;t\x9c",
           "<9D>0;t<9C>"),
    SAMPLE("\xc2\x9b"
           "31m",
           "<U+009B>31m"),
    SAMPLE("\xc2\x9d"
           "0;t\xc2\x9c",
           "<U+009D>0;t<U+009C>"),
    SAMPLE("\xc2\x85\xc2\x90\xc2\x9f", "<U+0085><U+0090><U+009F>"),
    SAMPLE("\xe2\x80\xa8\xe2\x80\xa9", "<U+2028><U+2029>"),
    /* Bidirectional controls. */
    SAMPLE("\xe2\x80\xae"
           "evil\xe2\x80\xac",
           "<U+202E>evil<U+202C>"),
    SAMPLE("\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c",
           "<U+2066><U+2069><U+200E><U+200F><U+061C>"),
    /* Invisible. */
    SAMPLE("a\xc2\xad"
           "b",
           "a<U+00AD>b"),
    SAMPLE("\xef\xbb\xbf", "<U+FEFF>"),
    SAMPLE("\xe2\x80\x8b\xe2\x81\xa0\xe2\x81\xa4", "<U+200B><U+2060><U+2064>"),
    SAMPLE("\xef\xbf\xb9\xef\xbf\xbb", "<U+FFF9><U+FFFB>"),
    SAMPLE("\xf3\xa0\x81\x81", "<U+E0041>"),
    SAMPLE("\xe3\x85\xa4\xcd\x8f", "<U+3164><U+034F>"),
    SAMPLE("\xef\xbf\xbe\xef\xb7\x90\xf4\x8f\xbf\xbf", "<U+FFFE><U+FDD0><U+10FFFF>"),
    /* Not UTF-8: overlong forms, surrogates, too large, cut. */
    SAMPLE("\xc0\x9b", "<C0><9B>"),
    SAMPLE("\xe0\x82\x9b", "<E0><82><9B>"),
    SAMPLE("\xed\xa0\x80", "<ED><A0><80>"),
    SAMPLE("\xf4\x90\x80\x80", "<F4><90><80><80>"),
    SAMPLE("\xf5\xff\xfe", "<F5><FF><FE>"),
    SAMPLE("\xe2\x82", "<E2><82>"),
    SAMPLE("\xe2\033[m", "<E2>␛[m"),
    /* What stays. */
    SAMPLE("日本語 Ελλ עברית العربية", "日本語 Ελλ עברית العربية"),
    SAMPLE("👩\u200d👩\u200d👧 ❤\ufe0f 👍🏽",
           "👩\u200d👩\u200d👧 ❤\ufe0f 👍🏽"),
    SAMPLE("می\u200cخواهم e\u0301", "می\u200cخواهم e\u0301"),
    SAMPLE("\u0600\u06dd \ue0b0 \ufffd", "\u0600\u06dd \ue0b0 \ufffd"),
};

enum { SAMPLES_COUNT = sizeof(SAMPLES) / sizeof(SAMPLES[0]) };

static void hostile_text_is_shown_not_executed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        AUTO_STRBUF StrBuf out = {0};
        text_sanitise(&out, SAMPLES[i].raw, SAMPLES[i].len);
        assert_string_equal(strbuf_text(&out), SAMPLES[i].shown);
    }
}

/* True where a terminal shows text and does nothing else. */
static bool is_harmless(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte < 0x20 || byte == 0x7F) {
            return false;
        }
        if (byte == 0xC2 && (unsigned char)text[i + 1] < 0xA0) {
            return false; /* C1 */
        }
    }
    return text_is_utf8(text, len) && !text_has_controls(text, len);
}

static void every_piece_of_hostile_text_is_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        for (size_t cut = 0; cut <= SAMPLES[i].len; cut++) {
            AUTO_STRBUF StrBuf out = {0};
            text_sanitise(&out, SAMPLES[i].raw, cut);
            assert_true(is_harmless(strbuf_text(&out), out.len));
            text_sanitise(&out, SAMPLES[i].raw + cut, SAMPLES[i].len - cut);
            assert_true(is_harmless(strbuf_text(&out), out.len));
        }
    }
}

static void any_two_bytes_are_harmless(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair <= 0xFFFF; pair++) {
        AUTO_STRBUF StrBuf out = {0};
        const char raw[2] = {(char)(pair >> 8), (char)pair};
        text_sanitise(&out, raw, sizeof(raw));
        assert_true(is_harmless(out.text, out.len));
    }
}

static void sanitised_text_stays_as_it_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES_COUNT; i++) {
        AUTO_STRBUF StrBuf out = {0};
        text_sanitise(&out, SAMPLES[i].shown, strlen(SAMPLES[i].shown));
        assert_string_equal(strbuf_text(&out), SAMPLES[i].shown);
    }
}

static void utf8_is_what_rfc_3629_says(void **state)
{
    (void)state;
    assert_true(text_is_utf8("", 0));
    assert_true(text_is_utf8("a\0b", 3));
    assert_true(text_is_utf8("é日😀\U0010FFFF", 13));
    assert_false(text_is_utf8("\xc0\x80", 2));
    assert_false(text_is_utf8("\xed\xbf\xbf", 3));
    assert_false(text_is_utf8("\xf4\x90\x80\x80", 4));
    assert_false(text_is_utf8("ok\xe2\x82", 4));
    assert_false(text_is_utf8("\x80", 1));
}

static void names_with_controls_are_told(void **state)
{
    (void)state;
    assert_false(text_has_controls("ann 日本 👩\u200d👧", strlen("ann 日本 👩\u200d👧")));
    assert_true(text_has_controls("a\nb", 3));
    assert_true(text_has_controls("a\0b", 3));
    assert_true(text_has_controls("\x7f", 1));
    assert_true(text_has_controls("\xc2\x9b", 2));
    assert_true(text_has_controls("\u2028", 3));
    assert_true(text_has_controls("\u202e", 3));
    assert_true(text_has_controls("\u200f", 3));
}

static void width_counts_columns(void **state)
{
    (void)state;
    assert_int_equal(text_width("", 0), 0);
    assert_int_equal(text_width("abc", 3), 3);
    assert_int_equal(text_width("日本", 6), 4);
    assert_int_equal(text_width("e\u0301", 3), 1);
    assert_int_equal(text_width("😀", 4), 2);
    assert_int_equal(text_width("␛", 3), 1);
    assert_int_equal(text_width("a\u200db", 5), 2);
}

static void character_length_is_never_past_the_end(void **state)
{
    (void)state;
    assert_int_equal(text_char_len("", 0), 0);
    assert_int_equal(text_char_len("a", 1), 1);
    assert_int_equal(text_char_len("日本", 6), 3);
    assert_int_equal(text_char_len("日", 2), 1);
    assert_int_equal(text_char_len("\xff", 1), 1);
    assert_int_equal(text_char_len("\0", 1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_text_is_shown_not_executed),
        cmocka_unit_test(every_piece_of_hostile_text_is_harmless),
        cmocka_unit_test(any_two_bytes_are_harmless),
        cmocka_unit_test(sanitised_text_stays_as_it_is),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(names_with_controls_are_told),
        cmocka_unit_test(width_counts_columns),
        cmocka_unit_test(character_length_is_never_past_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
