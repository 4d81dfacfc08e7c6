#include "core/invite.h"

#include "unit.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static Invite sample(size_t addresses)
{
    static const char *const texts[] = {"203.0.113.7:50051", "[2001:db8::1]:50051",
                                        "ann.example.org:1", "localhost:65535"};
    Invite invite = {.expires_ms = INT64_C(1700000000000), .addresses_count = addresses};
    for (size_t i = 0; i < EVENT_KEY_BYTES; i++) {
        invite.inviter[i] = (uint8_t)(7 * i);
    }
    for (size_t i = 0; i < INVITE_SECRET_BYTES; i++) {
        invite.secret[i] = (uint8_t)(11 * i + 3);
    }
    for (size_t i = 0; i < addresses; i++) {
        snprintf(invite.addresses[i], sizeof(invite.addresses[i]), "%s", texts[i]);
    }
    return invite;
}

static void check_reads(const char *line, size_t len, const Invite *expected)
{
    Invite invite;
    const char *reason = "";
    assert_int_equal(invite_read(line, len, &invite, &reason), ERR_OK);
    assert_memory_equal(invite.inviter, expected->inviter, EVENT_KEY_BYTES);
    assert_memory_equal(invite.secret, expected->secret, INVITE_SECRET_BYTES);
    assert_int_equal(invite.expires_ms, expected->expires_ms);
    assert_int_equal(invite.addresses_count, expected->addresses_count);
    for (size_t i = 0; i < expected->addresses_count; i++) {
        assert_string_equal(invite.addresses[i], expected->addresses[i]);
    }
}

static void check_refused(const char *line, size_t len, Err expected, const char *says)
{
    Invite invite;
    const char *reason = "";
    assert_int_equal(invite_read(line, len, &invite, &reason), expected);
    if (strstr(reason, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", reason, says);
    }
}

static void line_has_capitals_and_digits_alone(void **state)
{
    (void)state;
    for (size_t addresses = 1; addresses <= INVITE_ADDRESSES_MAX; addresses++) {
        AUTO_STRBUF StrBuf line = {0};
        Invite invite = sample(addresses);
        invite_write(&invite, &line);
        assert_memory_equal(line.text, "CHAT1-", 6);
        for (size_t i = 6; i < line.len; i++) {
            assert_true((line.text[i] >= 'A' && line.text[i] <= 'Z') ||
                        (line.text[i] >= '2' && line.text[i] <= '7'));
        }
        check_reads(line.text, line.len, &invite);
    }
}

static void longest_invitation_fits_its_line(void **state)
{
    (void)state;
    Invite invite = sample(INVITE_ADDRESSES_MAX);
    for (size_t i = 0; i < INVITE_ADDRESSES_MAX; i++) {
        memset(invite.addresses[i], 'a', 255);
        memcpy(invite.addresses[i] + 255, ":50051", sizeof(":50051"));
    }
    AUTO_STRBUF StrBuf line = {0};
    invite_write(&invite, &line);
    assert_true(line.len <= INVITE_LINE_MAX_BYTES);
    check_reads(line.text, line.len, &invite);
}

/* RFC 4648 section 10 has the alphabet; Python's b32encode made this line's first characters. */
static void base32_is_that_of_the_rfc(void **state)
{
    (void)state;
    Invite invite = sample(1);
    memset(invite.inviter, 0, sizeof(invite.inviter));
    AUTO_STRBUF StrBuf line = {0};
    invite_write(&invite, &line);
    /* b32encode(bytes([0x0a, 0x20] + [0] * 32)[:10]) */
    assert_memory_equal(line.text, "CHAT1-BIQAAAAAAAAAAAAA", 22);
}

static void reading_forgives_what_copying_does(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf line = {0};
    AUTO_STRBUF StrBuf other = {0};
    Invite invite = sample(2);
    invite_write(&invite, &line);
    strbuf_add_string(&other, " \t");
    for (size_t i = 0; i < line.len; i++) {
        strbuf_add_char(&other, (char)tolower((unsigned char)line.text[i]));
        strbuf_add_string(&other, i % 7 == 0 ? "\r\n  " : "");
        strbuf_add_string(&other, i % 5 == 0 ? "-" : "");
    }
    check_reads(other.text, other.len, &invite);
    /* Digits for the letters that they look like. */
    for (size_t i = 6; i < line.len; i++) {
        line.text[i] = line.text[i] == 'O' ? '0' : line.text[i];
        line.text[i] = line.text[i] == 'I' ? '1' : line.text[i];
        line.text[i] = line.text[i] == 'B' ? '8' : line.text[i];
    }
    check_reads(line.text, line.len, &invite);
}

static void every_mistake_is_noticed(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf line = {0};
    Invite invite = sample(1);
    invite_write(&invite, &line);
    for (size_t i = 0; i < line.len; i++) {
        Invite read;
        const char *reason = "";
        assert_int_equal(invite_read(line.text, i, &read, &reason), ERR_INVALID);
        if (i >= 6 && i + 1 < line.len) {
            char before = line.text[i];
            line.text[i] = before == 'A' ? 'C' : 'A';
            assert_int_equal(invite_read(line.text, line.len, &read, &reason), ERR_INVALID);
            line.text[i] = before;
        }
    }
}

static void errors_say_what_to_do(void **state)
{
    (void)state;
    AUTO_STRBUF StrBuf line = {0};
    Invite invite = sample(1);
    invite_write(&invite, &line);
    check_refused("", 0, ERR_INVALID, "begins with CHAT1-");
    check_refused("hello", 5, ERR_INVALID, "begins with CHAT1-");
    check_refused("CHAT1-", 6, ERR_INVALID, "copy the whole line again");
    check_refused(line.text, line.len - 3, ERR_INVALID, "a part of the invitation is missing");
    line.text[20] = '!';
    check_refused(line.text, line.len, ERR_INVALID, "a character");
    AUTO_FREE char *huge = mem_alloc(INVITE_LINE_MAX_BYTES + 1);
    memset(huge, 'A', INVITE_LINE_MAX_BYTES + 1);
    for (size_t i = 0; i < 6; i++) {
        huge[i] = "CHAT1-"[i];
    }
    check_refused(huge, INVITE_LINE_MAX_BYTES + 1, ERR_LIMIT, "longer than any");
    check_refused(huge, INVITE_LINE_MAX_BYTES, ERR_LIMIT, "longer than any");
    Invite nowhere = sample(0);
    strbuf_clear(&line);
    invite_write(&nowhere, &line);
    check_refused(line.text, line.len, ERR_INVALID, "names no address");
    Invite bad = sample(1);
    memcpy(bad.addresses[0], "a b:1", sizeof("a b:1"));
    strbuf_clear(&line);
    invite_write(&bad, &line);
    check_refused(line.text, line.len, ERR_INVALID, "HOST:PORT");
}

static void addresses_are_taken_apart(void **state)
{
    (void)state;
    const struct {
        const char *text, *host;
        uint16_t port;
    } good[] = {
        {"localhost:50051", "localhost", 50051},
        {"10.0.0.1:1", "10.0.0.1", 1},
        {"[::1]:65535", "::1", 65535},
        {"[fe80::1%eth0]:80", "fe80::1%eth0", 80},
    };
    char host[INVITE_ADDRESS_MAX_BYTES + 1];
    uint16_t port = 0;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_int_equal(address_split(good[i].text, host, &port), ERR_OK);
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    static const char *const bad[] = {
        "",        ":1",         "host",         "host:",
        "host:0",  "host:65536", "host:1x",      "::1:80",
        "[::1]",   "[::1",       "[::1]80",      "[]:80",
        "a b:80",  "a\033:80",   "h\xc3\xb6:80", "host:999999999999",
        "host:-1", "[a]b:80",    "a/b:80",       "a:1:2",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(address_split(bad[i], host, &port), ERR_INVALID);
    }
    char longest[INVITE_ADDRESS_MAX_BYTES + 2];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest + 256, ":80", sizeof(":80"));
    assert_int_equal(address_split(longest, host, &port), ERR_INVALID);
    memcpy(longest + 255, ":80", sizeof(":80"));
    assert_int_equal(address_split(longest, host, &port), ERR_OK);
}

static void secret_is_kept_as_its_hash(void **state)
{
    (void)state;
    const uint8_t secret[INVITE_SECRET_BYTES] = {0};
    uint8_t hash[32];
    invite_secret_hash(secret, hash);
    /* python3: hashlib.blake2b(bytes(16), digest_size=32).hexdigest()[:8] */
    const uint8_t begin[4] = {0x94, 0xc1, 0xc0, 0x88};
    assert_memory_equal(hash, begin, sizeof(begin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_has_capitals_and_digits_alone),
        cmocka_unit_test(longest_invitation_fits_its_line),
        cmocka_unit_test(base32_is_that_of_the_rfc),
        cmocka_unit_test(reading_forgives_what_copying_does),
        cmocka_unit_test(every_mistake_is_noticed),
        cmocka_unit_test(errors_say_what_to_do),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(secret_is_kept_as_its_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
