/* The sanitiser: whatever goes in, nothing that acts comes out, no tower of marks, and what is safe
 * stays as it is. */
#include "base/text.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void look_for_tower(const char *text, size_t len)
{
    size_t marks = 0;
    for (size_t at = 0; at < len;) {
        size_t used = text_char_len(text + at, len - at);
        marks = text_width(text + at, used) == 0 ? marks + 1 : 0;
        if (marks > TEXT_MARKS_MAX) {
            abort();
        }
        at += used;
    }
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    StrBuf out = {0};
    text_sanitise(&out, (const char *)data, size);
    if (!text_is_utf8(strbuf_text(&out), out.len) ||
        text_has_controls(strbuf_text(&out), out.len)) {
        abort();
    }
    look_for_tower(strbuf_text(&out), out.len);
    StrBuf again = {0};
    text_sanitise(&again, strbuf_text(&out), out.len);
    if (again.len != out.len || memcmp(strbuf_text(&again), strbuf_text(&out), out.len) != 0) {
        abort();
    }
    strbuf_done(&again);
    strbuf_done(&out);
    return 0;
}
