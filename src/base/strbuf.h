/* A growing string that always ends in NUL. */
#pragma once

#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>

typedef struct StrBuf {
    char *text; /* owned; NULL until something is added */
    size_t len; /* bytes, without the NUL */
    size_t cap;
} StrBuf;

void strbuf_done(StrBuf *buf);
void strbuf_clear(StrBuf *buf); /* keeps the memory */
void strbuf_add(StrBuf *buf, const char *text, size_t len);
void strbuf_add_string(StrBuf *buf, const char *text);
void strbuf_add_char(StrBuf *buf, char c);
[[gnu::format(printf, 2, 3)]] void strbuf_addf(StrBuf *buf, const char *format, ...);
[[gnu::format(printf, 2, 0)]] void strbuf_vaddf(StrBuf *buf, const char *format, va_list args);
/* len bytes more, for the caller to write before anything else is done with the buffer. */
char *strbuf_extend(StrBuf *buf, size_t len);
/* Removes the first len bytes. */
void strbuf_drop_front(StrBuf *buf, size_t len);
/* "" when nothing was added. Valid until the next change. */
const char *strbuf_text(const StrBuf *buf);
/* The caller owns the string; the buffer is empty after. */
[[nodiscard]] char *strbuf_take(StrBuf *buf);
/* In one go: the caller owns it. */
[[nodiscard, gnu::format(printf, 1, 2)]] char *strbuf_format(const char *format, ...);

#define AUTO_STRBUF __attribute__((cleanup(strbuf_done)))
