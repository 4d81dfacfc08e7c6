/* What a person writes to name a machine: a host name, an IPv4 or an IPv6 address. Rules and
 * comparison only; nothing is looked up. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    HOST_MAX_BYTES = 255,      /* RFC 1035 section 2.3.4 */
    HOST_LABEL_MAX_BYTES = 63, /* the same section */
    /* An interface's name (IFNAMSIZ less its NUL), or its number. */
    HOST_SCOPE_MAX_BYTES = 15,
};

/* Is text a host name (letters, digits, "-", "_" and "."; one dot may end it), an IPv4 address, or
 * an IPv6 address, with or without brackets and with or without a scope ("fe80::1%eth0")?
 * text is UTF-8, len bytes. On failure *ret_reason says what is wrong and how to mend it, as the
 * rest of a sentence that starts with the thing's name: a static string.
 * ERR_INVALID: it is none of them. ERR_LIMIT: it is longer than any host may be. */
Err host_check(const char *text, size_t len, const char **ret_reason);

/* The form in which two ways to write one host are equal: lower case, no brackets, no dot at the
 * end, addresses as inet_ntop(3) writes them, IPv4 addresses mapped into IPv6 as IPv4, and
 * "localhost" for 127.0.0.1, ::1 and ip6-localhost. text must have passed host_check. */
void host_canonical(const char *text, char ret_text[HOST_MAX_BYTES + 1]);

/* "localhost", 127.0.0.0/8, ::1. False where text would not pass host_check. */
bool host_is_loopback(const char *text);

/* 0.0.0.0 or ::, "every address of this machine". */
bool host_is_any(const char *text);
