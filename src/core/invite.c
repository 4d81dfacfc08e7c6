/* An invitation as a line of capitals and digits, and back. */
#include "core/invite.h"

#include "core/proto_arena.h"

#include <assert.h>
#include <chat.pb-c.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    CHECK_BYTES = 4,
    CHECK_FIELD_BYTES = 2 + CHECK_BYTES, /* with its tag and length; it comes last */
    PACKED_MAX_BYTES = 2048,
    ARENA_BYTES = 8 * 1024,
    BASE32_BITS = 5,
    BYTE_BITS = 8,
    PORT_MAX = 65535,
    HOST_MAX_BYTES = 255, /* RFC 1035 section 2.3.4 */
};

static const char PREFIX[] = "CHAT1";
static const char ALPHABET[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648 section 6 */

/* 2^53 ms is some 285,000 years: whatever lies beyond is not a time. */
static const uint64_t TIME_MAX_MS = UINT64_C(1) << 53;

/* ---- base32 ---- */

static void base32_add(StrBuf *out, const uint8_t *data, size_t len)
{
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << BYTE_BITS | data[i];
        for (count += BYTE_BITS; count >= BASE32_BITS;) {
            count -= BASE32_BITS;
            strbuf_add_char(out, ALPHABET[bits >> count & 31]);
        }
    }
    if (count > 0) {
        strbuf_add_char(out, ALPHABET[bits << (BASE32_BITS - count) & 31]);
    }
}

static char capital(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

/* What copying puts in between. */
static bool is_filler(char c)
{
    return c == ' ' || c == '-' || c == '\n' || c == '\r' || c == '\t';
}

/* Digits that the alphabet has not are letters that look like them. -1: no character of it. */
static int base32_value(char c)
{
    static const char alike[] = "0O1I8B";
    c = capital(c);
    for (size_t i = 0; i + 1 < sizeof(alike); i += 2) {
        c = c == alike[i] ? alike[i + 1] : c;
    }
    const char *at = c != '\0' ? strchr(ALPHABET, c) : NULL;
    return at != NULL ? (int)(at - ALPHABET) : -1;
}

/* ret_data has room for PACKED_MAX_BYTES. */
static Err base32_read(const char *text, size_t len, uint8_t *ret_data, size_t *ret_len,
                       const char **ret_reason)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t at = 0;
    for (size_t i = 0; i < len; i++) {
        if (is_filler(text[i])) {
            continue;
        }
        int value = base32_value(text[i]);
        if (value < 0) {
            *ret_reason = "there is a character in the invitation that is in none: copy the whole "
                          "line again, from CHAT1- on";
            return ERR_INVALID;
        }
        bits = bits << BASE32_BITS | (uint32_t)value;
        count += BASE32_BITS;
        if (count >= BYTE_BITS) {
            if (at == PACKED_MAX_BYTES) {
                *ret_reason = "the invitation is longer than any is: copy that line alone";
                return ERR_LIMIT;
            }
            count -= BYTE_BITS;
            ret_data[at++] = (uint8_t)(bits >> count);
        }
    }
    *ret_len = at;
    return ERR_OK;
}

/* ---- writing ---- */

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)data};
}

static void check_of(const uint8_t *data, size_t len, uint8_t ret_check[CHECK_BYTES])
{
    uint8_t hash[EVENT_HASH_BYTES];
    crypto_generichash(hash, sizeof(hash), data, len, NULL, 0);
    memcpy(ret_check, hash, CHECK_BYTES);
}

void invite_write(const Invite *invite, StrBuf *out)
{
    assert(invite->addresses_count <= INVITE_ADDRESSES_MAX);
    char *rows[INVITE_ADDRESSES_MAX];
    for (size_t i = 0; i < invite->addresses_count; i++) {
        rows[i] = (char *)(uintptr_t)invite->addresses[i];
    }
    uint8_t packed[PACKED_MAX_BYTES];
    uint8_t check[CHECK_BYTES];
    Chat__Invitation invitation = CHAT__INVITATION__INIT;
    invitation.inviter = binary(invite->inviter, sizeof(invite->inviter));
    invitation.secret = binary(invite->secret, sizeof(invite->secret));
    invitation.expires_ms = invite->expires_ms > 0 ? (uint64_t)invite->expires_ms : 0;
    invitation.addresses = rows;
    invitation.n_addresses = invite->addresses_count;
    size_t len = chat__invitation__pack(&invitation, packed);
    check_of(packed, len, check);
    invitation.check = binary(check, sizeof(check));
    len = chat__invitation__pack(&invitation, packed);
    strbuf_add_string(out, PREFIX);
    strbuf_add_char(out, '-');
    base32_add(out, packed, len);
    sodium_memzero(packed, sizeof(packed));
}

/* ---- reading ---- */

static Err invalid(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_INVALID;
}

static Err copy_addresses(const Chat__Invitation *invitation, Invite *invite,
                          const char **ret_reason)
{
    if (invitation->n_addresses == 0 || invitation->n_addresses > INVITE_ADDRESSES_MAX) {
        return invalid(ret_reason, "the invitation names no address, or more than 4: ask for "
                                   "another one");
    }
    for (size_t i = 0; i < invitation->n_addresses; i++) {
        char host[INVITE_ADDRESS_MAX_BYTES + 1];
        uint16_t port = 0;
        const char *address = invitation->addresses[i];
        if (address_split(address, host, &port) != ERR_OK) {
            return invalid(ret_reason, "an address in the invitation is no HOST:PORT: ask for "
                                       "another one");
        }
        memcpy(invite->addresses[i], address, strlen(address) + 1);
    }
    invite->addresses_count = invitation->n_addresses;
    return ERR_OK;
}

static Err read_fields(const Chat__Invitation *invitation, Invite *invite, const char **ret_reason)
{
    if (invitation->inviter.len != EVENT_KEY_BYTES ||
        invitation->secret.len != INVITE_SECRET_BYTES || invitation->expires_ms > TIME_MAX_MS) {
        return invalid(ret_reason, "the invitation is of another version: update chat_node, or ask "
                                   "for another one");
    }
    memcpy(invite->inviter, invitation->inviter.data, EVENT_KEY_BYTES);
    memcpy(invite->secret, invitation->secret.data, INVITE_SECRET_BYTES);
    invite->expires_ms = (int64_t)invitation->expires_ms;
    return copy_addresses(invitation, invite, ret_reason);
}

/* The last field is the check of all before it. */
static bool check_is_good(const uint8_t *data, size_t len)
{
    enum { CHECK_TAG = 5 << 3 | 2 };
    uint8_t check[CHECK_BYTES];
    if (len < CHECK_FIELD_BYTES) {
        return false;
    }
    const uint8_t *field = data + len - CHECK_FIELD_BYTES;
    check_of(data, len - CHECK_FIELD_BYTES, check);
    return field[0] == CHECK_TAG && field[1] == CHECK_BYTES &&
           memcmp(field + 2, check, CHECK_BYTES) == 0;
}

static Err read_packed(const uint8_t *data, size_t len, Invite *ret_invite, const char **ret_reason)
{
    if (!check_is_good(data, len)) {
        return invalid(ret_reason, "a part of the invitation is missing, or mistyped: copy the "
                                   "whole line again, from CHAT1- on");
    }
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[ARENA_BYTES];
    ProtoArena arena;
    const Chat__Invitation *invitation =
        chat__invitation__unpack(proto_arena_reset(&arena, memory, sizeof(memory)), len, data);
    Invite invite = {.addresses_count = 0};
    Err err = invitation == NULL
                  ? invalid(ret_reason, "the invitation is damaged: ask for another one")
                  : read_fields(invitation, &invite, ret_reason);
    if (err == ERR_OK) {
        *ret_invite = invite;
    }
    sodium_memzero(&invite, sizeof(invite));
    sodium_memzero(memory, sizeof(memory));
    return err;
}

/* Steps over the prefix. */
static bool skip_prefix(const char **line, size_t *len)
{
    size_t found = 0;
    while (*len > 0 && found < sizeof(PREFIX) - 1) {
        char c = capital(**line);
        if (!is_filler(c) && c != PREFIX[found++]) {
            return false;
        }
        (*line)++;
        (*len)--;
    }
    return found == sizeof(PREFIX) - 1;
}

Err invite_read(const char *line, size_t len, Invite *ret_invite, const char **ret_reason)
{
    if (len > INVITE_LINE_MAX_BYTES) {
        *ret_reason = "the invitation is longer than any is: copy that line alone";
        return ERR_LIMIT;
    }
    if (!skip_prefix(&line, &len)) {
        return invalid(ret_reason, "that is no invitation: one begins with CHAT1- (\"chat_node "
                                   "invite\", or /invite, prints it)");
    }
    uint8_t packed[PACKED_MAX_BYTES];
    size_t packed_len = 0;
    Err err = base32_read(line, len, packed, &packed_len, ret_reason);
    err = err == ERR_OK ? read_packed(packed, packed_len, ret_invite, ret_reason) : err;
    sodium_memzero(packed, sizeof(packed));
    return err;
}

/* ---- addresses ---- */

static bool is_host_character(char c, bool bracketed)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return letter || c == '.' || c == '-' || c == '_' || (bracketed && (c == ':' || c == '%'));
}

static bool port_parse(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t len = strlen(text);
    if (len == 0 || len > sizeof("65535") - 1) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        port = 10 * port + (uint32_t)(text[i] - '0');
    }
    *ret_port = (uint16_t)port;
    return port >= 1 && port <= PORT_MAX;
}

Err address_split(const char *address, char *ret_host, uint16_t *ret_port)
{
    bool bracketed = address[0] == '[';
    const char *host = bracketed ? address + 1 : address;
    const char *end = strchr(host, bracketed ? ']' : ':');
    uint16_t port = 0;
    if (strlen(address) > INVITE_ADDRESS_MAX_BYTES || end == NULL) {
        return ERR_INVALID;
    }
    size_t len = (size_t)(end - host);
    if (len < 1 || len > HOST_MAX_BYTES || (bracketed && end[1] != ':') ||
        !port_parse(bracketed ? end + 2 : end + 1, &port)) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_host_character(host[i], bracketed)) {
            return ERR_INVALID;
        }
    }
    memcpy(ret_host, host, len);
    ret_host[len] = '\0';
    *ret_port = port;
    return ERR_OK;
}

void invite_secret_hash(const uint8_t secret[INVITE_SECRET_BYTES], uint8_t ret_hash[32])
{
    crypto_generichash(ret_hash, EVENT_HASH_BYTES, secret, INVITE_SECRET_BYTES, NULL, 0);
}
