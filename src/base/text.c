/* The sanitiser: one character is looked at at a time, and shown as itself or as its name.
 *
 * Most of the decision is Unicode's general category. What the category gets wrong for a screen is
 * in two short tables: format characters that are needed or visible, and letters that show
 * nothing. What depends on the character before (how many marks stand on it, what a joiner joins)
 * is in Shown; it lasts for one text. */
#include "base/text.h"

#include <string.h>
#include <utf8proc.h>

typedef struct CodeRange {
    int32_t first, last;
} CodeRange;

/* UAX 9, section 2: explicit and implicit directional formatting characters. */
static const CodeRange BIDI_CONTROLS[] = {
    {0x061C, 0x061C}, {0x200E, 0x200F}, {0x202A, 0x202E}, {0x2066, 0x2069}};

/* Category Cf, yet to be shown as they are: the joiners, and the characters with the property
 * Prepended_Concatenation_Mark, which are visible. */
static const CodeRange FORMATS_KEPT[] = {{0x0600, 0x0605},   {0x06DD, 0x06DD},  {0x070F, 0x070F},
                                         {0x0890, 0x0891},   {0x08E2, 0x08E2},  {0x200C, 0x200D},
                                         {0x110BD, 0x110BD}, {0x110CD, 0x110CD}};

/* Not category Cf, yet invisible: Default_Ignorable_Code_Point without the variation selectors,
 * with the ranges that are reserved for more of their kind. */
static const CodeRange INVISIBLE[] = {{0x034F, 0x034F}, {0x115F, 0x1160},   {0x17B4, 0x17B5},
                                      {0x2065, 0x2065}, {0x3164, 0x3164},   {0xFFA0, 0xFFA0},
                                      {0xFFF0, 0xFFF8}, {0xE0000, 0xE00FF}, {0xE01F0, 0xE0FFF}};

/* Choose a form of the character before them, and have none of their own. A second one chooses
 * nothing: it is there to carry something unseen. */
static const CodeRange VARIATIONS[] = {
    {0x180B, 0x180D}, {0x180F, 0x180F}, {0xFE00, 0xFE0F}, {0xE0100, 0xE01EF}};

/* Vowels and final consonants of Hangul: terminals put them into the syllable before. */
static const CodeRange CONJOINING[] = {{0x1160, 0x11FF}, {0xD7B0, 0xD7FF}};

/* What was shown last, of one text. */
typedef struct Shown {
    int32_t code; /* 0: nothing yet. Behind a name in brackets it is '>' */
    size_t marks; /* that take no column, behind the last one that takes some */
} Shown;

static bool range_holds(const CodeRange *ranges, size_t count, int32_t code)
{
    for (size_t i = 0; i < count; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last) {
            return true;
        }
    }
    return false;
}

#define RANGE_HOLDS(ranges, code) range_holds(ranges, sizeof(ranges) / sizeof((ranges)[0]), code)

/* How many bytes at the start are ASCII: most text, by far, is nothing else, and eight of it are
 * looked at in one go. */
static size_t ascii_len(const char *text, size_t len)
{
    static const uint64_t top_bits = UINT64_C(0x8080808080808080);
    size_t at = 0;
    uint64_t word = 0;
    for (; len - at >= sizeof(word); at += sizeof(word)) {
        memcpy(&word, text + at, sizeof(word));
        if ((word & top_bits) != 0) {
            break;
        }
    }
    while (at < len && (unsigned char)text[at] < 0x80) {
        at++;
    }
    return at;
}

static bool is_plain(char byte)
{
    return byte >= 0x20 && byte < 0x7F;
}

/* Reads one character; 0 where the bytes are not UTF-8. */
static size_t code_read(const char *text, size_t len, int32_t *ret_code)
{
    if (len > 0 && (unsigned char)text[0] < 0x80) {
        *ret_code = (unsigned char)text[0];
        return 1;
    }
    /* A character has four bytes at most; the type of utf8proc's length is signed. */
    utf8proc_ssize_t room = len < 4 ? (utf8proc_ssize_t)len : 4;
    utf8proc_int32_t code = -1;
    utf8proc_ssize_t used = utf8proc_iterate((const utf8proc_uint8_t *)text, room, &code);
    if (used <= 0 || code < 0) {
        return 0;
    }
    *ret_code = code;
    return (size_t)used;
}

static bool code_is_noncharacter(int32_t code)
{
    return (code >= 0xFDD0 && code <= 0xFDEF) || (code & 0xFFFE) == 0xFFFE;
}

/* True where a screen is not to see the character itself. */
static bool code_is_hidden(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CS:
        return true;
    case UTF8PROC_CATEGORY_CF:
        return !RANGE_HOLDS(FORMATS_KEPT, code);
    default:
        /* Bidirectional controls are of category Cf in every version of Unicode so far. */
        return code_is_noncharacter(code) || RANGE_HOLDS(INVISIBLE, code) ||
               RANGE_HOLDS(BIDI_CONTROLS, code);
    }
}

/* Takes no column of its own: it stands on, in, or invisibly behind the character before it. */
static bool code_is_mark(int32_t code)
{
    switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
        return true;
    default:
        return utf8proc_charwidth(code) == 0 || RANGE_HOLDS(CONJOINING, code);
    }
}

/* True where it says nothing behind what was shown last: a joiner that joins no letters that join,
 * and no signs (ASCII has neither), or joins twice; a choice of forms where there are none (of
 * ASCII, a telephone's keys have them), or a second one. A text may go on where another ended. */
static bool code_is_idle(const Shown *last, int32_t code)
{
    static const CodeRange joiners[] = {{0x200C, 0x200D}};
    if (RANGE_HOLDS(joiners, code)) {
        bool behind_ascii = last->code > 0 && last->code < 0x80;
        return behind_ascii || RANGE_HOLDS(joiners, last->code);
    }
    if (!RANGE_HOLDS(VARIATIONS, code)) {
        return false;
    }
    bool has_forms = last->code == 0 || last->code >= 0x80 || last->code == '#' ||
                     last->code == '*' || (last->code >= '0' && last->code <= '9');
    return !has_forms || RANGE_HOLDS(VARIATIONS, last->code);
}

bool text_is_utf8(const char *text, size_t len)
{
    size_t at = ascii_len(text, len);
    while (at < len) {
        int32_t code = 0;
        size_t used = code_read(text + at, len - at, &code);
        if (used == 0) {
            return false;
        }
        at += used;
        at += ascii_len(text + at, len - at);
    }
    return true;
}

bool text_has_controls(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        if (is_plain(text[at])) {
            at++;
            continue;
        }
        int32_t code = 0;
        size_t used = code_read(text + at, len - at, &code);
        if (used == 0) {
            return true;
        }
        utf8proc_category_t category = utf8proc_category(code);
        if (category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_ZL ||
            category == UTF8PROC_CATEGORY_ZP || RANGE_HOLDS(BIDI_CONTROLS, code)) {
            return true;
        }
        at += used;
    }
    return false;
}

/* The picture of a C0 control or DEL: U+2400 and on. */
static void add_picture(StrBuf *out, int32_t code)
{
    int32_t picture = code == 0x7F ? 0x2421 : 0x2400 + code;
    utf8proc_uint8_t encoded[4];
    utf8proc_ssize_t len = utf8proc_encode_char(picture, encoded);
    strbuf_add(out, (const char *)encoded, (size_t)len);
}

static void add_name(StrBuf *out, Shown *last, int32_t code)
{
    strbuf_addf(out, "<U+%04X>", (unsigned)code);
    *last = (Shown){.code = '>'};
}

static void add_code(StrBuf *out, Shown *last, int32_t code, const char *text, size_t len)
{
    bool is_mark = code >= 0x80 && code_is_mark(code);
    if (code == '\t') {
        strbuf_add_string(out, "    ");
    } else if (code < 0x20 || code == 0x7F) {
        add_picture(out, code);
    } else if (code_is_hidden(code) || code_is_idle(last, code)) {
        add_name(out, last, code);
        return;
    } else {
        strbuf_add(out, text, len);
    }
    *last = (Shown){.code = code, .marks = is_mark ? last->marks + 1 : 0};
}

/* Marks at the start of text, all of them, told as their number. Returns their bytes. */
static size_t add_tower(StrBuf *out, const char *text, size_t len)
{
    size_t count = 0;
    size_t at = 0;
    while (at < len) {
        int32_t code = 0;
        size_t used = code_read(text + at, len - at, &code);
        if (used == 0 || code < 0x80 || !code_is_mark(code) || code_is_hidden(code)) {
            break;
        }
        at += used;
        count++;
    }
    if (count > 0) {
        strbuf_addf(out, "<+%zu marks>", count);
    }
    return at;
}

void text_sanitise(StrBuf *out, const char *text, size_t len)
{
    Shown last = {0};
    size_t at = 0;
    while (at < len) {
        size_t plain = at;
        while (plain < len && is_plain(text[plain])) {
            plain++;
        }
        if (plain > at) { /* most text, by far, in one piece */
            strbuf_add(out, text + at, plain - at);
            last = (Shown){.code = (unsigned char)text[plain - 1]};
            at = plain;
            continue;
        }
        if (last.marks == TEXT_MARKS_MAX) {
            size_t tower = add_tower(out, text + at, len - at);
            last = (Shown){.code = tower > 0 ? '>' : last.code};
            at += tower;
            continue;
        }
        int32_t code = 0;
        size_t used = code_read(text + at, len - at, &code);
        if (used == 0) {
            strbuf_addf(out, "<%02X>", (unsigned)(unsigned char)text[at]);
            last = (Shown){.code = '>'};
            at++;
            continue;
        }
        add_code(out, &last, code, text + at, used);
        at += used;
    }
}

size_t text_char_len(const char *text, size_t len)
{
    int32_t code = 0;
    size_t used = len > 0 ? code_read(text, len, &code) : 0;
    return used > 0 ? used : (len > 0 ? 1 : 0);
}

size_t text_width(const char *text, size_t len)
{
    size_t width = 0;
    size_t at = 0;
    while (at < len) {
        if (is_plain(text[at])) {
            at++;
            width++;
            continue;
        }
        int32_t code = 0;
        size_t used = code_read(text + at, len - at, &code);
        if (used == 0) {
            used = 1;
            width++;
        } else {
            int columns = utf8proc_charwidth(code);
            width += columns > 0 ? (size_t)columns : 0;
        }
        at += used;
    }
    return width;
}
