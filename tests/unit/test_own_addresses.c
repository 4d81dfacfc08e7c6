/* Where a node says it can be reached. */
#include "io/own_addresses.h"
#include "unit.h"

#include <string.h>

/* What is kept of words that a person typed, with spaces between; or what is wrong with them. */
static char *typed(const char *words, Err wanted)
{
    OwnAddresses addresses = {0};
    char *error = NULL;
    Err err = own_addresses_add_words(&addresses, words, 50051, &error);
    assert_int_equal(err, wanted);
    if (err != ERR_OK) {
        return error;
    }
    StrBuf text = {0};
    for (size_t i = 0; i < addresses.count; i++) {
        strbuf_addf(&text, "%s%s", i > 0 ? " " : "", addresses.items[i]);
    }
    return strbuf_take(&text);
}

static void assert_typed(const char *words, const char *expected)
{
    AUTO_FREE char *text = typed(words, ERR_OK);
    assert_string_equal(text, expected);
}

static void assert_wrong(const char *words, Err err, const char *reason)
{
    AUTO_FREE char *text = typed(words, err);
    assert_non_null(strstr(text, reason));
}

static void typed_addresses_get_a_port_and_brackets(void **state)
{
    (void)state;
    assert_typed("example.org", "example.org:50051");
    assert_typed("example.org:7", "example.org:7");
    assert_typed("192.0.2.1", "192.0.2.1:50051");
    assert_typed("2001:db8::7", "[2001:db8::7]:50051");
    assert_typed("[2001:db8::7]", "[2001:db8::7]:50051");
    assert_typed("[2001:db8::7]:65535", "[2001:db8::7]:65535");
    assert_typed("  a \t b:1 ", "a:50051 b:1");
    assert_typed("a a:50051 b", "a:50051 b:50051");
}

static void typed_nonsense_is_refused_with_a_word(void **state)
{
    (void)state;
    assert_wrong("example.org:", ERR_INVALID, "port from 1 to 65535");
    assert_wrong("example.org:0", ERR_INVALID, "port from 1 to 65535");
    assert_wrong("example.org:65536", ERR_INVALID, "port from 1 to 65535");
    assert_wrong("example.org:1x", ERR_INVALID, "port from 1 to 65535");
    assert_wrong("[::1", ERR_INVALID, "\"[::1\"");
    assert_wrong("::1::2", ERR_INVALID, "IPv6");
    assert_wrong(":50051", ERR_INVALID, "is empty");
    assert_wrong("http://example.org", ERR_INVALID, "port");
    assert_wrong("a b c d e", ERR_LIMIT, "at most 4");
}

static char *chosen(const char *listen, const InterfaceAddress *found, size_t count)
{
    OwnAddresses addresses = {0};
    StrBuf text = {0};
    own_addresses_choose(&addresses, found, count, listen, 7);
    for (size_t i = 0; i < addresses.count; i++) {
        strbuf_addf(&text, "%s%s", i > 0 ? " " : "", addresses.items[i]);
    }
    return strbuf_take(&text);
}

#define ASSERT_CHOSEN(listen, expected, ...)                                                       \
    do {                                                                                           \
        const InterfaceAddress found_[] = {__VA_ARGS__};                                           \
        AUTO_FREE char *text_ = chosen(listen, found_, sizeof(found_) / sizeof(found_[0]));        \
        assert_string_equal(text_, expected);                                                      \
    } while (false)

static void the_world_comes_before_the_house(void **state)
{
    (void)state;
    ASSERT_CHOSEN(NULL, "203.0.113.9:7 [2001:db8::1]:7 192.168.1.20:7 [fd00::1]:7",
                  {"lo", "127.0.0.1"}, {"wlan0", "fd00::1"}, {"eth0", "192.168.1.20"},
                  {"eth0", "2001:db8::1"}, {"eth1", "203.0.113.9"}, {"lo", "::1"});
    ASSERT_CHOSEN(NULL, "10.0.0.1:7 172.16.0.1:7 100.64.0.1:7 192.168.0.1:7", {"a", "10.0.0.1"},
                  {"b", "172.16.0.1"}, {"c", "100.64.0.1"}, {"d", "192.168.0.1"},
                  {"e", "192.168.7.1"});
}

static void link_local_ones_are_left_out_and_bridges_come_last(void **state)
{
    (void)state;
    ASSERT_CHOSEN(NULL, "192.168.1.20:7 172.17.0.1:7", {"docker0", "172.17.0.1"},
                  {"eth0", "169.254.7.7"}, {"eth0", "fe80::1"}, {"eth0", "192.168.1.20"},
                  {"eth0", "nonsense"}, {"eth0", "ff02::1"});
}

static void one_address_of_each_ipv6_network_is_enough(void **state)
{
    (void)state;
    ASSERT_CHOSEN(NULL, "[2001:db8:0:1::1]:7 [2001:db8:0:2::1]:7", {"eth0", "2001:db8:0:1::1"},
                  {"eth0", "2001:db8:0:1::2"}, {"eth0", "2001:db8:0:2::1"});
}

static void loopback_where_there_is_nothing_else(void **state)
{
    (void)state;
    ASSERT_CHOSEN(NULL, "127.0.0.1:7 [::1]:7", {"lo", "127.0.0.1"}, {"lo", "::1"},
                  {"eth0", "fe80::1"});
    ASSERT_CHOSEN(NULL, "127.0.0.1:7", {"eth0", "fe80::1"});
}

static void what_the_node_listens_on_is_what_it_says(void **state)
{
    (void)state;
    ASSERT_CHOSEN("127.0.0.1", "127.0.0.1:7", {"eth0", "203.0.113.9"});
    ASSERT_CHOSEN("::1", "[::1]:7", {"eth0", "203.0.113.9"});
    ASSERT_CHOSEN("192.168.1.20", "192.168.1.20:7", {"eth0", "203.0.113.9"});
    ASSERT_CHOSEN("0.0.0.0", "203.0.113.9:7", {"eth0", "203.0.113.9"});
}

static void this_machine_has_one(void **state)
{
    (void)state;
    OwnAddresses addresses = {0};
    own_addresses_find(&addresses, NULL, 50051);
    assert_in_range(addresses.count, 1, INVITE_ADDRESSES_MAX);
    for (size_t i = 0; i < addresses.count; i++) {
        char host[INVITE_ADDRESS_MAX_BYTES + 1];
        uint16_t port = 0;
        assert_int_equal(address_split(addresses.items[i], host, &port), ERR_OK);
        assert_int_equal(port, 50051);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_addresses_get_a_port_and_brackets),
        cmocka_unit_test(typed_nonsense_is_refused_with_a_word),
        cmocka_unit_test(the_world_comes_before_the_house),
        cmocka_unit_test(link_local_ones_are_left_out_and_bridges_come_last),
        cmocka_unit_test(one_address_of_each_ipv6_network_is_enough),
        cmocka_unit_test(loopback_where_there_is_nothing_else),
        cmocka_unit_test(what_the_node_listens_on_is_what_it_says),
        cmocka_unit_test(this_machine_has_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
