/* A growing string. */
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

enum { STRBUF_FIRST_BYTES = 64 };

static void strbuf_reserve(StrBuf *buf, size_t more)
{
    size_t need = buf->len + more + 1;
    if (need <= buf->cap) {
        return;
    }
    size_t cap = buf->cap > 0 ? buf->cap : STRBUF_FIRST_BYTES;
    while (cap < need) {
        cap *= 2;
    }
    buf->text = mem_resize(buf->text, cap, 1);
    buf->cap = cap;
}

void strbuf_done(StrBuf *buf)
{
    mem_free(buf->text);
    *buf = (StrBuf){0};
}

void strbuf_clear(StrBuf *buf)
{
    buf->len = 0;
    if (buf->text != NULL) {
        buf->text[0] = '\0';
    }
}

void strbuf_add(StrBuf *buf, const char *text, size_t len)
{
    strbuf_reserve(buf, len);
    if (len > 0) {
        memcpy(buf->text + buf->len, text, len);
    }
    buf->len += len;
    buf->text[buf->len] = '\0';
}

char *strbuf_extend(StrBuf *buf, size_t len)
{
    strbuf_reserve(buf, len);
    char *space = buf->text + buf->len;
    buf->len += len;
    buf->text[buf->len] = '\0';
    return space;
}

void strbuf_add_string(StrBuf *buf, const char *text)
{
    strbuf_add(buf, text, strlen(text));
}

void strbuf_add_char(StrBuf *buf, char c)
{
    strbuf_add(buf, &c, 1);
}

void strbuf_vaddf(StrBuf *buf, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    if (len > 0) {
        strbuf_reserve(buf, (size_t)len);
        vsnprintf(buf->text + buf->len, (size_t)len + 1, format, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

void strbuf_addf(StrBuf *buf, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    strbuf_vaddf(buf, format, args);
    va_end(args);
}

void strbuf_drop_front(StrBuf *buf, size_t len)
{
    if (len >= buf->len) {
        strbuf_clear(buf);
        return;
    }
    memmove(buf->text, buf->text + len, buf->len - len + 1);
    buf->len -= len;
}

const char *strbuf_text(const StrBuf *buf)
{
    return buf->text != NULL ? buf->text : "";
}

char *strbuf_take(StrBuf *buf)
{
    strbuf_reserve(buf, 0);
    char *text = buf->text;
    text[buf->len] = '\0';
    *buf = (StrBuf){0};
    return text;
}

char *strbuf_format(const char *format, ...)
{
    StrBuf buf = {0};
    va_list args;
    va_start(args, format);
    strbuf_vaddf(&buf, format, args);
    va_end(args);
    return strbuf_take(&buf);
}
