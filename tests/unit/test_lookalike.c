/* Names that look alike: pairs that do, and pairs that must not. */
#include "base/lookalike.h"

#include <string.h>

#include "unit.h"

typedef struct Pair {
    const char *a;
    const char *b;
} Pair;

static const Pair ALIKE[] = {
    {"Bob", "Bob"},
    {"Bob", "bob"},
    {"bob", "BOB"},
    {"Bob", "B0b"},
    {"bob", "b0b"},
    {"Bob", "ВоЬ"},                  /* Cyrillic, all of it */
    {"bob", "bоb"},                  /* Cyrillic o */
    {"paypal", "раураl"},            /* Cyrillic, but for the last one */
    {"PAYPAL", "РАУРАL"},            /* and in capitals */
    {"scope", "ѕсоре"},              /* Cyrillic dze, es, o, er, ie */
    {"alex", "αlex"},                /* Greek alpha */
    {"NIKE", "ΝΙΚΕ"},                /* Greek capitals */
    {"Ian", "lan"},                  /* I, l */
    {"Ian", "1an"},                  /* 1 */
    {"Ian", "|an"},                  /* a bar */
    {"mary", "rnary"},               /* r and n */
    {"Bob", "Ｂｏｂ"},               /* full width */
    {"bob", "𝐛𝐨𝐛"},                  /* mathematical bold */
    {"bob", "𝓫𝓸𝓫"},                  /* script */
    {"Bob", "Ⓑⓞⓑ"},                  /* in circles */
    {"jose\xcc\x81", "jos\xc3\xa9"}, /* decomposed, composed */
    {"strasse", "straße"},           /* folded */
    {"bob", "bob\xe2\x80\x8b"},      /* zero width space */
    {"bob", "b\xe2\x80\x8dob"},      /* zero width joiner */
    {"bob", "bo\xc2\xad"
            "b"},               /* soft hyphen */
    {"bob", "bob\xef\xb8\x8f"}, /* variation selector */
    {"bob", "\xe3\x85\xa4"
            "bob"},                 /* Hangul filler */
    {"bob", "bob\xe2\xa0\x80"},     /* braille blank */
    {"bob", "bob\xf3\xa0\x81\xa2"}, /* a tag */
    {"bob", "bob "},                /* a space behind it */
    {"bob", "\xc2\xa0"
            "bob"},           /* a no-break space before it */
    {"ann lee", "ann  lee"},  /* two of them */
    {"ann lee", "annlee"},    /* none */
    {"kim", "kım"},           /* without its dot */
    {"kim", "ki\xcc\x87m"},   /* with a second dot */
    {"KIM", "Kİm"},           /* I with a dot */
    {"dan-b", "dan‐b"},       /* hyphens */
    {"o'neil", "o’neil"},     /* apostrophes */
    {"--", "−−"},             /* minus signs */
    {"*", "∗"},               /* an operator */
    {"bob~3f2a", "bob∼3f2a"}, /* a tilde operator */
    {"КОТ", "KOT"},           /* a Cyrillic name, in Latin letters */
};

static const Pair APART[] = {
    {"bob", "rob"},       {"bob", "bobo"},  {"ian", "lan"},   {"anna", "ann"}, {"ann", "Ann2"},
    {"müller", "muller"}, {"иван", "ivan"}, {"田中", "田口"}, {"bob", "boƄa"}, {"", "a"},
    {"日本", "本日"},
};

static bool tell(const Pair *pair, bool expected)
{
    bool alike = lookalike_is_alike(pair->a, pair->b) && lookalike_is_alike(pair->b, pair->a);
    if (alike != expected) {
        print_error("\"%s\" and \"%s\"\n", pair->a, pair->b);
    }
    return alike == expected;
}

static void confusable_names_are_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(ALIKE) / sizeof(ALIKE[0]); i++) {
        assert_true(tell(&ALIKE[i], true));
    }
}

static void different_names_are_not_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(APART) / sizeof(APART[0]); i++) {
        assert_true(tell(&APART[i], false));
    }
}

static void what_shows_nothing_has_an_empty_key(void **state)
{
    (void)state;
    static const char *const blanks[] = {"", " ", "\xe2\x80\x8b", "\xe2\xa0\x80\xe2\xa0\x80",
                                         "\xe3\x85\xa4"};
    for (size_t i = 0; i < sizeof(blanks) / sizeof(blanks[0]); i++) {
        for (LookalikeKey key = 0; key < LOOKALIKE_KEYS; key++) {
            AUTO_STRBUF StrBuf text = {0};
            lookalike_add_key(&text, key, blanks[i], strlen(blanks[i]));
            assert_int_equal(text.len, 0);
        }
    }
}

static void any_bytes_have_a_key(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf bad = {0};
    AUTO_STRBUF StrBuf whole = {0};
    lookalike_add_key(&bad, LOOKALIKE_AS_SEEN, "a\xff\xc3", 3);
    assert_string_equal(strbuf_text(&bad), "a<ff><c3>");
    /* The longest that Unicode has: eighteen characters of one. */
    for (int i = 0; i < 21; i++) {
        strbuf_add_string(&whole, "\xef\xb7\xba");
    }
    AUTO_STRBUF StrBuf key = {0};
    lookalike_add_key(&key, LOOKALIKE_CASELESS, whole.text, whole.len);
    assert_true(key.len > whole.len && key.len < 40 * whole.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(confusable_names_are_alike),
        cmocka_unit_test(different_names_are_not_alike),
        cmocka_unit_test(what_shows_nothing_has_an_empty_key),
        cmocka_unit_test(any_bytes_have_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
