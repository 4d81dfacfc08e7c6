/* Text from outside: is it UTF-8, and how to show it without letting it act.
 *
 * The sanitiser stands in front of every screen. What it lets through is printable Unicode; all
 * else is shown, never executed:
 *
 *   TAB                                      four spaces
 *   C0 controls, ESC and DEL                 their picture, U+2400.. (ESC is U+241B)
 *   C1 controls (8-bit CSI, OSC, DCS, ...)   <U+009B>
 *   line and paragraph separators            <U+2028>
 *   bidirectional controls (Unicode Standard Annex 9; the trick of CVE-2021-42574)   <U+202E>
 *   other invisible format characters: soft hyphen, word joiner, byte order mark, interlinear
 *   annotation, tags (hidden text), ... and what is reserved for more of them        <U+FEFF>
 *   letters that look like nothing: Hangul fillers, Khmer inherent vowels, U+034F    <U+3164>
 *   noncharacters (they mean nothing outside a program)                              <U+FFFE>
 *   bytes that are not UTF-8 (RFC 3629)      <FF>
 *   joiners and variation selectors where they have nothing to act on                <U+200D>
 *   marks on one character past the eighth (towers of them cover the lines above)     <+40 marks>
 *
 * Other joiners (U+200C, U+200D) and variation selectors stay: emoji, Persian and the Indic scripts
 * need them. So do the Arabic number signs (U+0600..), which are format characters but visible, and
 * the private use area, which fonts fill as they like. Letters that are written from right to left
 * stay too: a terminal that knows of them may show the words of a line in another order. */
#pragma once

#include "base/strbuf.h"

#include <stdint.h>

enum {
    /* Marks on one character: the most that a script in use needs are the eight of Tibetan's
     * longest syllable; Hebrew takes four, Vietnamese two. */
    TEXT_MARKS_MAX = 8,
};

/* True where all of it is UTF-8 as RFC 3629 defines it: no surrogates, no overlong forms, nothing
 * past U+10FFFF. NUL counts as valid. */
bool text_is_utf8(const char *text, size_t len);

/* True where some character is a control (Unicode category Cc), a line or paragraph separator, or
 * a bidirectional control: what no name may hold. text must be UTF-8. */
bool text_has_controls(const char *text, size_t len);

/* Adds text to out, made safe as above. Anything may be in text. What is safe already comes out as
 * it is. */
void text_sanitise(StrBuf *out, const char *text, size_t len);

/* Bytes of the character text starts with: 1 where it is not UTF-8, 0 where len is 0. */
size_t text_char_len(const char *text, size_t len);

/* Columns on a terminal: 2 for wide characters, 0 for combining marks. text must be sanitised. */
size_t text_width(const char *text, size_t len);
