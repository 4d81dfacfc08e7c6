/* Looks at each byte once: what was scanned is not scanned again, and what was returned is dropped
 * in one go at the next addition. */
#include "face/line_splitter.h"

#include <string.h>

void line_splitter_init(LineSplitter *splitter, size_t max_bytes)
{
    *splitter = (LineSplitter){.max_bytes = max_bytes};
}

void line_splitter_done(LineSplitter *splitter)
{
    strbuf_done(&splitter->bytes);
}

void line_splitter_add(LineSplitter *splitter, const char *data, size_t len)
{
    strbuf_drop_front(&splitter->bytes, splitter->start);
    splitter->scanned -= splitter->start;
    splitter->start = 0;
    strbuf_add(&splitter->bytes, data, len);
}

void line_splitter_end(LineSplitter *splitter)
{
    splitter->ended = true;
}

static InputLine make_line(LineSplitter *splitter, size_t len)
{
    const char *text = splitter->bytes.text + splitter->start;
    if (len > 0 && text[len - 1] == '\r') {
        len--;
    }
    InputLine line = {.text = text, .len = len, .number = ++splitter->number};
    if (splitter->skipped + len > splitter->max_bytes) {
        line = (InputLine){
            .text = "",
            .len = splitter->skipped + len,
            .number = line.number,
            .too_long = true,
        };
    }
    splitter->skipped = 0;
    return line;
}

/* Forgets what is already more than any line may have, but for its last byte, a '\r' perhaps. */
static void skip_excess(LineSplitter *splitter)
{
    size_t len = splitter->scanned - splitter->start;
    if (splitter->skipped + len > splitter->max_bytes + 1) {
        splitter->skipped += len - 1;
        splitter->start = splitter->scanned - 1;
    }
}

bool line_splitter_next(LineSplitter *splitter, InputLine *ret_line)
{
    size_t left = splitter->bytes.len - splitter->scanned;
    const char *end =
        left > 0 ? memchr(splitter->bytes.text + splitter->scanned, '\n', left) : NULL;
    if (end != NULL) {
        size_t at = (size_t)(end - splitter->bytes.text);
        *ret_line = make_line(splitter, at - splitter->start);
        splitter->start = at + 1;
        splitter->scanned = at + 1;
        return true;
    }
    splitter->scanned = splitter->bytes.len;
    if (splitter->ended && splitter->start < splitter->bytes.len) {
        *ret_line = make_line(splitter, splitter->bytes.len - splitter->start);
        splitter->start = splitter->bytes.len;
        return true;
    }
    skip_excess(splitter);
    return false;
}
