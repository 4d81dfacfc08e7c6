/* Moments in words, pure: "since when" of /history and of `chat_node history`, as people write it.
 *
 *   2026-11-21               that day's beginning
 *   2026-11-21 16:00         also with seconds, and with a T between (RFC 3339)
 *   2026-11-21T16:00:00Z     in UTC; also +01:00. A fraction of the second is read over
 *   16:00                    today
 *   45s 30m 2h 3d 1w         so long ago */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* The forms, for whoever has to be told. */
#define MOMENT_FORMS "2026-11-21, \"2026-11-21 16:00\", 16:00, 30m, 2h or 3d"

/* *ret_ms: Unix time in milliseconds, not before 1970. now_ms is now, utc_offset_s how far east of
 * UTC the writer's clock is; where that changes with the season, whoever cares asks again with the
 * offset of the moment that came out.
 * ERR_INVALID: text is none of the forms, or no such day or time exists. */
Err moment_parse(const char *text, size_t len, int64_t now_ms, int32_t utc_offset_s,
                 int64_t *ret_ms);

/* Room for what moment_text writes, with its NUL. */
enum { MOMENT_TEXT_BYTES = sizeof("2026-11-22T16:00:00.123Z") };

/* As RFC 3339 writes it, in UTC. What is outside its four-digit years is the nearest of them. */
void moment_text(int64_t time_ms, char ret_text[MOMENT_TEXT_BYTES]);
