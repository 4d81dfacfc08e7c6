#include "nats.h"

#include <stdlib.h>

size_t nats_message(const char *line, const char *end, const char *limit, size_t *ret_payload)
{
    const char *digits = end - 1;
    while (digits > line && digits[-1] != ' ') {
        digits--;
    }
    size_t len = strtoul(digits, NULL, 10);
    if ((size_t)(limit - end - 1) < len + 2) {
        return 0;
    }
    *ret_payload = len;
    return (size_t)(end + 1 - line) + len + 2;
}
