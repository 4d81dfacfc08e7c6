/* What may name a machine, and when two names are one. */
#include "io/host.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

typedef struct HostRow {
    const char *text;
    Err err;
    const char *reason; /* part of it; NULL where err is ERR_OK */
} HostRow;

#define L63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const HostRow HOST_ROWS[] = {
    {"localhost", ERR_OK, NULL},
    {"LOCALHOST", ERR_OK, NULL},
    {"localhost.", ERR_OK, NULL},
    {"a", ERR_OK, NULL},
    {"my_host-1.example.com", ERR_OK, NULL},
    {"3com.example", ERR_OK, NULL},
    {"xn--mller-kva.example", ERR_OK, NULL},
    {L63 ".example", ERR_OK, NULL},
    {L63 "." L63 "." L63 "." L63, ERR_OK, NULL},
    {"127.0.0.1", ERR_OK, NULL},
    {"0.0.0.0", ERR_OK, NULL},
    {"::", ERR_OK, NULL},
    {"::1", ERR_OK, NULL},
    {"[::1]", ERR_OK, NULL},
    {"2001:DB8::7", ERR_OK, NULL},
    {"::ffff:127.0.0.1", ERR_OK, NULL},
    {"fe80::1%eth0", ERR_OK, NULL},
    {"[fe80::1%3]", ERR_OK, NULL},
    {"fe80::1%br-lan.10", ERR_OK, NULL},

    {"", ERR_INVALID, "is empty"},
    {".", ERR_INVALID, "nothing between two dots"},
    {"..", ERR_INVALID, "nothing between two dots"},
    {".a", ERR_INVALID, "nothing between two dots"},
    {"a..b", ERR_INVALID, "nothing between two dots"},
    {"a b", ERR_INVALID, "may hold only"},
    {" a", ERR_INVALID, "may hold only"},
    {"a\tb", ERR_INVALID, "may hold only"},
    {"a/b", ERR_INVALID, "may hold only"},
    {"user@host", ERR_INVALID, "may hold only"},
    {"\x1b[31mred", ERR_INVALID, "may hold only"},
    {"m\xc3\xbcller.example", ERR_INVALID, "xn--"},
    {"http://localhost", ERR_INVALID, "without \"http://\""},
    {"localhost:50051", ERR_INVALID, "without the port"},
    {"127.0.0.1:50051", ERR_INVALID, "without the port"},
    {"[::1]:50051", ERR_INVALID, "does not end with \"]\""},
    {"[", ERR_INVALID, "does not end with \"]\""},
    {"[]", ERR_INVALID, "is not an IPv6 address"},
    {"[localhost]", ERR_INVALID, "is not an IPv6 address"},
    {"[127.0.0.1]", ERR_INVALID, "is not an IPv6 address"},
    {":::", ERR_INVALID, "is not an IPv6 address"},
    {"1:2:3", ERR_INVALID, "is not an IPv6 address"},
    {"12345::", ERR_INVALID, "is not an IPv6 address"},
    {"localhost%eth0", ERR_INVALID, "is not an IPv6 address"},
    {"fe80::1%", ERR_INVALID, "after \"%\", 1 to 15"},
    {"fe80::1%a-very-long-name", ERR_INVALID, "after \"%\", 1 to 15"},
    {"fe80::1%a b", ERR_INVALID, "of letters, digits"},
    {"fe80::1%a%b", ERR_INVALID, "of letters, digits"},
    {"300.1.1.1", ERR_INVALID, "is not an IPv4 address"},
    {"127.1", ERR_INVALID, "is not an IPv4 address"},
    {"1.2.3.4.5", ERR_INVALID, "is not an IPv4 address"},
    {"127.0.0.1.", ERR_INVALID, "is not an IPv4 address"},
    {"2130706433", ERR_INVALID, "is not an IPv4 address"},
    {L63 "a", ERR_INVALID, "longer than 63"},
    {L63 "." L63 "." L63 "." L63 ".", ERR_LIMIT, "longer than the 255"},
};

static void host_is_taken_or_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(HOST_ROWS) / sizeof(HOST_ROWS[0]); i++) {
        const HostRow *row = &HOST_ROWS[i];
        /* A copy of exactly its length: reading past it is an error that sanitizers see. */
        size_t len = strlen(row->text);
        char *copy = malloc(len > 0 ? len : 1);
        assert_non_null(copy);
        memcpy(copy, row->text, len);
        const char *reason = NULL;
        Err err = host_check(copy, len, &reason);
        free(copy);
        if (err != row->err || (row->reason != NULL && strstr(reason, row->reason) == NULL)) {
            fail_msg("\"%s\": %s, %s", row->text, err_text(err), reason != NULL ? reason : "-");
        }
        if (row->err == ERR_OK) {
            assert_null(reason);
        }
    }
}

static void host_with_a_nul_is_refused(void **state)
{
    (void)state;
    const char *reason = NULL;
    assert_int_equal(host_check("local\0host", 10, &reason), ERR_INVALID);
}

static void canonical_form_is_equal_for_equal_hosts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } ROWS[] = {
        {"LocalHost", "localhost"},
        {"localhost.", "localhost"},
        {"127.0.0.1", "localhost"},
        {"::1", "localhost"},
        {"[::1]", "localhost"},
        {"0:0:0:0:0:0:0:1", "localhost"},
        {"::ffff:127.0.0.1", "localhost"},
        {"ip6-localhost", "localhost"},
        {"127.0.0.2", "127.0.0.2"},
        {"Example.COM.", "example.com"},
        {"2001:DB8:0:0::7", "2001:db8::7"},
        {"[2001:db8::7]", "2001:db8::7"},
        {"FE80::1%eth0", "fe80::1%eth0"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
    };
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]); i++) {
        char canonical[HOST_MAX_BYTES + 1];
        host_canonical(ROWS[i].text, canonical);
        assert_string_equal(canonical, ROWS[i].canonical);
    }
}

static void loopback_and_any_are_known_however_written(void **state)
{
    (void)state;
    static const char *const LOOPBACK[] = {"localhost",       "LOCALHOST.", "127.0.0.1",
                                           "127.0.1.1",       "::1",        "[::1]",
                                           "127.255.255.255", "0::1",       "::ffff:127.0.0.9"};
    static const char *const ANY[] = {"0.0.0.0", "::", "[::]", "0::0", "::ffff:0.0.0.0"};
    static const char *const NEITHER[] = {"example.com", "128.0.0.1",  "::2", "localhost.example",
                                          "127.com",     "126.0.0.1",  "",    "not a host",
                                          "[::1",        "127.0.0.300"};
    for (size_t i = 0; i < sizeof(LOOPBACK) / sizeof(LOOPBACK[0]); i++) {
        assert_true(host_is_loopback(LOOPBACK[i]));
        assert_false(host_is_any(LOOPBACK[i]));
    }
    for (size_t i = 0; i < sizeof(ANY) / sizeof(ANY[0]); i++) {
        assert_true(host_is_any(ANY[i]));
        assert_false(host_is_loopback(ANY[i]));
    }
    for (size_t i = 0; i < sizeof(NEITHER) / sizeof(NEITHER[0]); i++) {
        assert_false(host_is_loopback(NEITHER[i]));
        assert_false(host_is_any(NEITHER[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_is_taken_or_refused_with_a_reason),
        cmocka_unit_test(host_with_a_nul_is_refused),
        cmocka_unit_test(canonical_form_is_equal_for_equal_hosts),
        cmocka_unit_test(loopback_and_any_are_known_however_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
