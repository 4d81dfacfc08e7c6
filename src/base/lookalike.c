/* Skeletons: decomposed, each character replaced by what it looks like, folded. */
#include "base/lookalike.h"

#include "base/text.h"

#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

typedef struct LookalikeRow {
    uint32_t code;
    uint16_t at; /* in ANSWERS */
    uint16_t len;
} LookalikeRow;

#include <lookalike_table.h> /* ROWS, in the order of their codes, and ANSWERS */

enum {
    DOT_ABOVE = 0x0307,
    BRAILLE_BLANK = 0x2800, /* a sign without dots: no space to Unicode, and nothing to see */
    ENCODED_MAX_BYTES = 4,
};

/* NFD; and in both cases without what is never to be seen. */
static const utf8proc_option_t PLAIN = UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | UTF8PROC_IGNORE;
/* NFKD of small letters. */
static const utf8proc_option_t FOLDED =
    UTF8PROC_DECOMPOSE | UTF8PROC_STABLE | UTF8PROC_IGNORE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD;

static const LookalikeRow *row_of(int32_t code)
{
    size_t from = 0;
    size_t to = sizeof(ROWS) / sizeof(ROWS[0]);
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (ROWS[middle].code < (uint32_t)code) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    bool found = from < sizeof(ROWS) / sizeof(ROWS[0]) && ROWS[from].code == (uint32_t)code;
    return found ? &ROWS[from] : NULL;
}

static void add_code(StrBuf *out, int32_t code)
{
    utf8proc_uint8_t encoded[ENCODED_MAX_BYTES];
    utf8proc_ssize_t len = utf8proc_encode_char(code, encoded);
    strbuf_add(out, (const char *)encoded, (size_t)len);
}

/* The characters of text, by their numbers, in normal form. The caller owns them. */
static int32_t *decompose(const StrBuf *text, utf8proc_option_t options, size_t *ret_count)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *)strbuf_text(text);
    utf8proc_ssize_t len = (utf8proc_ssize_t)text->len;
    utf8proc_ssize_t count = utf8proc_decompose(bytes, len, NULL, 0, options);
    *ret_count = count > 0 ? (size_t)count : 0;
    int32_t *codes = mem_array(*ret_count + 1, sizeof(int32_t));
    if (count > 0) {
        utf8proc_decompose(bytes, len, codes, count, options);
    }
    return codes;
}

static void add_prototypes(StrBuf *out, const StrBuf *text, utf8proc_option_t options)
{
    size_t count = 0;
    AUTO_FREE int32_t *codes = decompose(text, options, &count);
    for (size_t i = 0; i < count; i++) {
        const LookalikeRow *row = row_of(codes[i]);
        if (row != NULL) {
            strbuf_add(out, ANSWERS + row->at, row->len);
        } else {
            add_code(out, codes[i]);
        }
    }
}

/* Shows nothing, or nothing that anybody would count: spaces are easily doubled. */
static bool is_blank(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return true;
    default:
        return code == BRAILLE_BLANK;
    }
}

/* These have a dot of their own, and show one, whatever is put above it. */
static bool is_dotted(int32_t code)
{
    return code == 'i' || code == 'j';
}

static void add_folded(StrBuf *out, const StrBuf *text)
{
    size_t count = 0;
    AUTO_FREE int32_t *codes = decompose(text, FOLDED, &count);
    int32_t before = 0;
    for (size_t i = 0; i < count; i++) {
        if (is_blank(codes[i]) || (codes[i] == DOT_ABOVE && is_dotted(before))) {
            continue;
        }
        add_code(out, codes[i]);
        before = codes[i];
    }
}

void lookalike_add_key(StrBuf *out, LookalikeKey key, const char *text, size_t len)
{
    AUTO_STRBUF StrBuf sound = {0};
    AUTO_STRBUF StrBuf prototypes = {0};
    if (text_is_utf8(text, len)) {
        strbuf_add(&sound, text, len);
    } else {
        text_sanitise(&sound, text, len);
    }
    add_prototypes(&prototypes, &sound, key == LOOKALIKE_CASELESS ? FOLDED : PLAIN);
    add_folded(out, &prototypes);
}

bool lookalike_is_alike(const char *a, const char *b)
{
    for (LookalikeKey key = 0; key < LOOKALIKE_KEYS; key++) {
        AUTO_STRBUF StrBuf of_a = {0};
        AUTO_STRBUF StrBuf of_b = {0};
        lookalike_add_key(&of_a, key, a, strlen(a));
        lookalike_add_key(&of_b, key, b, strlen(b));
        if (of_a.len == of_b.len && memcmp(strbuf_text(&of_a), strbuf_text(&of_b), of_a.len) == 0) {
            return true;
        }
    }
    return false;
}
