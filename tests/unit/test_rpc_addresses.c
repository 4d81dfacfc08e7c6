/* Which connections count; that they are turned away is in tests/e2e/test_flood.py. */
#include "io/rpc_addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>

#include "unit.h"

enum { FDS = 2000 };

static struct sockaddr_storage ipv4(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *in = (struct sockaddr_in *)&storage;
    in->sin_family = AF_INET;
    inet_pton(AF_INET, text, &in->sin_addr);
    return storage;
}

static struct sockaddr_storage ipv6(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in6 *in = (struct sockaddr_in6 *)&storage;
    in->sin6_family = AF_INET6;
    inet_pton(AF_INET6, text, &in->sin6_addr);
    return storage;
}

/* Takes numbers from `first` on, of descriptors that nobody has: how many were taken. */
static int take_many(RpcAddresses *addresses, int first, int count,
                     const struct sockaddr_storage *from)
{
    int taken = 0;
    for (int i = 0; i < count; i++) {
        taken += rpc_addresses_take(addresses, first + i, from);
    }
    return taken;
}

static void this_machines_own_are_not_counted(void **state)
{
    (void)state;
    RpcAddresses *addresses = rpc_addresses_new(FDS);
    const struct sockaddr_storage own[] = {ipv4("127.0.0.1"),
                                           ipv4("127.3.2.1"),
                                           ipv6("::1"),
                                           ipv6("::ffff:127.0.0.1"),
                                           {.ss_family = AF_UNIX}};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        assert_int_equal(take_many(addresses, 300, 1000, &own[i]), 1000);
    }
    rpc_addresses_free(addresses);
}

/* Connections that are gone take no place, though nobody has told of their end. */
static void those_that_are_gone_take_no_place(void **state)
{
    (void)state;
    RpcAddresses *addresses = rpc_addresses_new(FDS);
    struct sockaddr_storage far = ipv4("192.0.2.7");
    assert_int_equal(take_many(addresses, 300, 1000, &far), 1000);
    rpc_addresses_free(addresses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(this_machines_own_are_not_counted),
        cmocka_unit_test(those_that_are_gone_take_no_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
