/* The sanitiser: whatever goes in, nothing that acts comes out. */
#include "base/text.h"
#include "fuzz.h"

#include <stdlib.h>

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    StrBuf out = {0};
    text_sanitise(&out, (const char *)data, size);
    if (!text_is_utf8(strbuf_text(&out), out.len) ||
        text_has_controls(strbuf_text(&out), out.len)) {
        abort();
    }
    text_width(strbuf_text(&out), out.len);
    strbuf_done(&out);
    return 0;
}
