/* Host names and addresses, as text. */
#include "io/host.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

/* The part of text that an address parser takes: no brackets, no scope. */
typedef struct HostParts {
    char address[HOST_MAX_BYTES + 1];
    char scope[HOST_SCOPE_MAX_BYTES + 1]; /* without its "%"; "" for none */
    bool bracketed;
} HostParts;

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Not isalnum: what a host name is does not depend on the locale. */
static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static Err split(const char *text, size_t len, HostParts *ret_parts, const char **ret_reason)
{
    HostParts parts = {0};
    if (len > 0 && text[0] == '[') {
        if (text[len - 1] != ']') {
            *ret_reason = "opens with \"[\" but does not end with \"]\"; "
                          "an IPv6 address reads \"::1\" or \"[::1]\", its port goes into \"port\"";
            return ERR_INVALID;
        }
        parts.bracketed = true;
        text++;
        len -= 2;
    }
    if (len > HOST_MAX_BYTES) {
        *ret_reason = "is longer than the 255 bytes that a host name may have";
        return ERR_LIMIT;
    }
    const char *percent = memchr(text, '%', len);
    size_t address_len = percent != NULL ? (size_t)(percent - text) : len;
    if (percent != NULL) {
        size_t scope_len = len - address_len - 1;
        if (scope_len < 1 || scope_len > HOST_SCOPE_MAX_BYTES) {
            *ret_reason = "needs the name of a network interface after \"%\", 1 to 15 characters";
            return ERR_INVALID;
        }
        for (size_t i = 0; i < scope_len; i++) {
            if (!is_name_char(percent[1 + i]) && percent[1 + i] != '.') {
                *ret_reason = "needs the name of a network interface after \"%\", "
                              "of letters, digits, \"-\", \"_\" and \".\"";
                return ERR_INVALID;
            }
        }
        memcpy(parts.scope, percent + 1, scope_len);
    }
    memcpy(parts.address, text, address_len);
    *ret_parts = parts;
    return ERR_OK;
}

static Err check_name(const char *name, size_t len, const char **ret_reason)
{
    size_t label_start = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && name[i] != '.') {
            if (is_name_char(name[i])) {
                continue;
            }
            *ret_reason = (unsigned char)name[i] >= 0x80
                              ? "must be plain ASCII; write an international name as \"xn--...\""
                              : "may hold only letters, digits, \"-\", \"_\" and \".\"";
            return ERR_INVALID;
        }
        size_t label_len = i - label_start;
        bool is_final_dot = i == len && label_len == 0 && len > 1;
        if (label_len == 0 && !is_final_dot) {
            *ret_reason = "has nothing between two dots, or before the first one";
            return ERR_INVALID;
        }
        if (label_len > HOST_LABEL_MAX_BYTES) {
            *ret_reason = "has a part between dots that is longer than 63 bytes";
            return ERR_INVALID;
        }
        label_start = i + 1;
    }
    return ERR_OK;
}

/* RFC 3696 section 2: no top-level name is all digits, so whatever ends so is meant as an IPv4
 * address. */
static bool looks_like_ipv4(const char *name, size_t len)
{
    size_t end = len > 0 && name[len - 1] == '.' ? len - 1 : len;
    size_t start = end;
    while (start > 0 && is_digit(name[start - 1])) {
        start--;
    }
    return start < end && (start == 0 || name[start - 1] == '.');
}

Err host_check(const char *text, size_t len, const char **ret_reason)
{
    if (len == 0) {
        *ret_reason = "is empty; write a host name or an address, as in \"localhost\"";
        return ERR_INVALID;
    }
    if (memchr(text, '\0', len) != NULL) {
        *ret_reason = "may hold only letters, digits, \"-\", \"_\" and \".\"";
        return ERR_INVALID;
    }
    if (memmem(text, len, "://", 3) != NULL) {
        *ret_reason = "must be the name or address alone, without \"http://\" or the like";
        return ERR_INVALID;
    }
    HostParts parts;
    Err err = split(text, len, &parts, ret_reason);
    if (err != ERR_OK) {
        return err;
    }
    struct in6_addr address6;
    if (inet_pton(AF_INET6, parts.address, &address6) == 1) {
        return ERR_OK;
    }
    const char *colon = strchr(parts.address, ':');
    if (colon != NULL && strchr(colon + 1, ':') == NULL && !parts.bracketed) {
        *ret_reason = "must be without the port; that goes into \"port\"";
        return ERR_INVALID;
    }
    if (colon != NULL || parts.bracketed || parts.scope[0] != '\0') {
        *ret_reason = "is not an IPv6 address; one reads \"::1\" or \"fe80::1%eth0\"";
        return ERR_INVALID;
    }
    size_t name_len = strlen(parts.address);
    struct in_addr address4;
    if (looks_like_ipv4(parts.address, name_len)) {
        if (inet_pton(AF_INET, parts.address, &address4) == 1) {
            return ERR_OK;
        }
        *ret_reason = "is not an IPv4 address; one has four numbers, 0 to 255 each, as in "
                      "\"192.168.1.20\"";
        return ERR_INVALID;
    }
    return check_name(parts.address, name_len, ret_reason);
}

void host_canonical(const char *text, char ret_text[HOST_MAX_BYTES + 1])
{
    HostParts parts;
    const char *reason = NULL;
    ret_text[0] = '\0';
    if (split(text, strlen(text), &parts, &reason) != ERR_OK) {
        return;
    }
    struct in6_addr address6;
    struct in_addr address4;
    if (inet_pton(AF_INET6, parts.address, &address6) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&address6)) {
            inet_ntop(AF_INET, &address6.s6_addr[12], ret_text, HOST_MAX_BYTES + 1);
        } else {
            inet_ntop(AF_INET6, &address6, ret_text, HOST_MAX_BYTES + 1);
        }
        if (parts.scope[0] != '\0') {
            size_t len = strlen(ret_text); /* the longest address and scope take 62 bytes */
            snprintf(ret_text + len, HOST_MAX_BYTES + 1 - len, "%%%s", parts.scope);
        }
    } else if (inet_pton(AF_INET, parts.address, &address4) == 1) {
        inet_ntop(AF_INET, &address4, ret_text, HOST_MAX_BYTES + 1);
    } else {
        size_t len = strlen(parts.address);
        if (len > 0 && parts.address[len - 1] == '.') {
            len--;
        }
        for (size_t i = 0; i < len; i++) {
            ret_text[i] = lower(parts.address[i]);
        }
        ret_text[len] = '\0';
    }
    if (strcmp(ret_text, "127.0.0.1") == 0 || strcmp(ret_text, "::1") == 0 ||
        strcmp(ret_text, "ip6-localhost") == 0) {
        snprintf(ret_text, HOST_MAX_BYTES + 1, "localhost");
    }
}

bool host_is_loopback(const char *text)
{
    const char *reason = NULL;
    if (host_check(text, strlen(text), &reason) != ERR_OK) {
        return false;
    }
    char canonical[HOST_MAX_BYTES + 1];
    host_canonical(text, canonical);
    struct in_addr address4;
    if (inet_pton(AF_INET, canonical, &address4) == 1) {
        return ntohl(address4.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    return strcmp(canonical, "localhost") == 0;
}

bool host_is_any(const char *text)
{
    const char *reason = NULL;
    if (host_check(text, strlen(text), &reason) != ERR_OK) {
        return false;
    }
    char canonical[HOST_MAX_BYTES + 1];
    host_canonical(text, canonical);
    return strcmp(canonical, "0.0.0.0") == 0 || strcmp(canonical, "::") == 0;
}
