/* What is the same wherever NATS' client protocol is spoken. */
#pragma once

#include <stddef.h>

/* Of a line "MSG subject 1 100\r\n", which ends at end, and its payload behind it: all their bytes,
 * and how many are payload. 0: not all is there before limit. */
size_t nats_message(const char *line, const char *end, const char *limit, size_t *ret_payload);
