/* Names that look alike: by Unicode's table of confusable characters (Unicode Technical Standard
 * 39, section 4), whatever their case, width, invisible characters and spaces.
 *
 *   "Bob", "bob", "BOB"    "b0b"    "ВоЬ" (Cyrillic)    "Ｂｏｂ" (full width)    "bob" + U+200B
 *
 * Two names look alike where one of their keys is the same. There are two, since a letter may look
 * like another one in one case only: "Ian" is "ian" (caseless), and looks like "lan" (as seen),
 * which "ian" does not.
 *
 * The table is made of ICU's when the program is built (tools/make_lookalike.c): it takes 50 KB
 * of the program's file, of which the pages that are asked for come into memory. */
#pragma once

#include "base/strbuf.h"

#include <stdbool.h>

typedef enum LookalikeKey {
    LOOKALIKE_CASELESS, /* what the name in small letters looks like */
    LOOKALIKE_AS_SEEN,  /* what the name as it is looks like, then in small letters */
    LOOKALIKE_KEYS,
} LookalikeKey;

/* Adds that key of text: UTF-8, to be compared and never to be shown. Of what shows nothing it is
 * empty. Any bytes may be in text. */
void lookalike_add_key(StrBuf *out, LookalikeKey key, const char *text, size_t len);

bool lookalike_is_alike(const char *a, const char *b);
