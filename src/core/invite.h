/* An invitation as one line to copy, or to show as a QR code (proto/chat.proto, Invitation):
 *
 *   CHAT1-CIQBGZ4...      capitals and digits alone, so that a QR code takes few dots for it
 *
 * Reading forgives what copying does: spaces, line ends and hyphens in between, small letters. */
#pragma once

#include "base/strbuf.h"
#include "core/event.h"

enum {
    INVITE_SECRET_BYTES = 16,
    INVITE_ADDRESSES_MAX = 4,
    INVITE_ADDRESS_MAX_BYTES = 280, /* "host:port", an IPv6 address in brackets */
    INVITE_LINE_MAX_BYTES = 4096,
};

typedef struct Invite {
    uint8_t inviter[EVENT_KEY_BYTES];
    uint8_t secret[INVITE_SECRET_BYTES];
    int64_t expires_ms;
    char addresses[INVITE_ADDRESSES_MAX][INVITE_ADDRESS_MAX_BYTES + 1];
    size_t addresses_count;
} Invite;

/* Adds the line, without a line end. */
void invite_write(const Invite *invite, StrBuf *out);
/* ERR_INVALID, ERR_LIMIT: *ret_reason (static) says what is wrong, and what to do. Whether it has
 * expired is not looked at. */
Err invite_read(const char *line, size_t len, Invite *ret_invite, const char **ret_reason);
/* "host:port", "[::1]:port" taken apart. ret_host has room for INVITE_ADDRESS_MAX_BYTES + 1.
 * ERR_INVALID. */
Err address_split(const char *address, char *ret_host, uint16_t *ret_port);
/* What the inviter keeps instead of the secret: BLAKE2b-256 of it. */
void invite_secret_hash(const uint8_t secret[INVITE_SECRET_BYTES], uint8_t ret_hash[32]);
