/* What a terminal sends, told apart: keys typed, and text pasted (bracketed paste: ESC [200~ text
 * ESC [201~, as xterm's control sequences define it). Pure.
 *
 * readline has its own way with pastes, but it reads until the end of one without giving the loop
 * a turn, and sends each of its lines. Here a paste is one thing, of which the face can ask. */
#pragma once

#include "base/strbuf.h"

typedef enum KeysKind {
    KEYS_NONE,   /* nothing whole is there */
    KEYS_TYPED,  /* whole characters */
    KEYS_PASTED, /* one paste */
    KEYS_PASTE_TOO_LONG,
} KeysKind;

enum { PASTE_MAX_BYTES = 1024 * 1024 }; /* as much as may wait for one peer */

typedef struct Keys {
    StrBuf bytes; /* not yet told */
    size_t told;  /* of bytes */
    StrBuf paste;
    bool pasting;
    bool too_long;
} Keys;

void keys_done(Keys *keys);
void keys_add(Keys *keys, const char *data, size_t len);
/* *ret_text is borrowed until the next call. */
KeysKind keys_next(Keys *keys, const char **ret_text, size_t *ret_len);
