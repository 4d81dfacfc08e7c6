/* A scanner with two states, in and out of a paste. It holds back what may be the beginning of a
 * mark, and a character of which bytes are missing. */
#include "face/keys.h"

#include <string.h>

static const char PASTE_BEGIN[] = "\033[200~";
static const char PASTE_END[] = "\033[201~";
enum { MARK_LEN = sizeof(PASTE_BEGIN) - 1 };

void keys_done(Keys *keys)
{
    strbuf_done(&keys->bytes);
    strbuf_done(&keys->paste);
}

void keys_add(Keys *keys, const char *data, size_t len)
{
    strbuf_drop_front(&keys->bytes, keys->told);
    keys->told = 0;
    strbuf_add(&keys->bytes, data, len);
}

/* Where mark starts in text, or might: *ret_whole tells which. len where it does not. */
static size_t find_mark(const char *text, size_t len, const char *mark, bool *ret_whole)
{
    for (size_t i = 0; i < len; i++) {
        size_t left = len - i < MARK_LEN ? len - i : MARK_LEN;
        if (memcmp(text + i, mark, left) == 0) {
            *ret_whole = left == MARK_LEN;
            return i;
        }
    }
    *ret_whole = false;
    return len;
}

/* Bytes at the end of text that are the beginning of a character. */
static size_t broken_tail(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char byte = (unsigned char)text[len - back];
        if (byte < 0x80) {
            return 0;
        }
        if (byte >= 0xC2) { /* RFC 3629: the first byte tells the length */
            size_t need = byte >= 0xF0 ? 4 : (byte >= 0xE0 ? 3 : 2);
            return need > back && byte <= 0xF4 ? back : 0;
        }
    }
    return 0;
}

static void paste_add(Keys *keys, const char *text, size_t len)
{
    if (keys->paste.len + len > PASTE_MAX_BYTES) {
        keys->too_long = true;
        strbuf_clear(&keys->paste);
    }
    if (!keys->too_long) {
        strbuf_add(&keys->paste, text, len);
    }
}

static KeysKind next_in_paste(Keys *keys, const char **ret_text, size_t *ret_len)
{
    const char *text = strbuf_text(&keys->bytes) + keys->told;
    size_t left = keys->bytes.len - keys->told;
    bool whole = false;
    size_t end = find_mark(text, left, PASTE_END, &whole);
    paste_add(keys, text, end);
    keys->told += end;
    if (!whole) {
        return KEYS_NONE;
    }
    keys->told += MARK_LEN;
    keys->pasting = false;
    *ret_text = strbuf_text(&keys->paste);
    *ret_len = keys->paste.len;
    return keys->too_long ? KEYS_PASTE_TOO_LONG : KEYS_PASTED;
}

KeysKind keys_next(Keys *keys, const char **ret_text, size_t *ret_len)
{
    if (keys->pasting) {
        return next_in_paste(keys, ret_text, ret_len);
    }
    const char *text = strbuf_text(&keys->bytes) + keys->told;
    size_t left = keys->bytes.len - keys->told;
    bool whole = false;
    size_t end = find_mark(text, left, PASTE_BEGIN, &whole);
    if (end == 0 && whole) {
        keys->told += MARK_LEN;
        keys->pasting = true;
        keys->too_long = false;
        strbuf_clear(&keys->paste);
        return next_in_paste(keys, ret_text, ret_len);
    }
    end -= end == left ? broken_tail(text, end) : 0;
    if (end == 0) {
        return KEYS_NONE;
    }
    keys->told += end;
    *ret_text = text;
    *ret_len = end;
    return KEYS_TYPED;
}
