/* A row for each descriptor. */
#include "io/rpc_addresses.h"

#include "base/mem.h"

#include <netinet/in.h>
#include <string.h>

/* 64 bits of an address: all of IPv4's and the family, the network's part of IPv6's. 0: this
 * machine's own, or none. */
typedef uint64_t AddressKey;

struct RpcAddresses {
    AddressKey *rows; /* by descriptor; an old one may be closed by now */
    size_t count;
};

static AddressKey key_of_ipv4(uint32_t address)
{
    enum { LOOPBACK_NET = 127, NET_SHIFT = 24 };
    uint32_t number = ntohl(address);
    return number >> NET_SHIFT == LOOPBACK_NET ? 0 : UINT64_C(1) << 32 | number;
}

static AddressKey key_of(const struct sockaddr_storage *from)
{
    if (from->ss_family == AF_INET) {
        return key_of_ipv4(((const struct sockaddr_in *)from)->sin_addr.s_addr);
    }
    if (from->ss_family != AF_INET6) {
        return 0;
    }
    const struct in6_addr *address = &((const struct sockaddr_in6 *)from)->sin6_addr;
    AddressKey key = 0;
    if (IN6_IS_ADDR_LOOPBACK(address)) {
        return 0;
    }
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        uint32_t ipv4 = 0;
        memcpy(&ipv4, &address->s6_addr[12], sizeof(ipv4));
        return key_of_ipv4(ipv4);
    }
    memcpy(&key, address->s6_addr, sizeof(key));
    return key;
}

RpcAddresses *rpc_addresses_new(size_t fds_max)
{
    RpcAddresses *addresses = mem_new(RpcAddresses);
    addresses->rows = mem_array(fds_max, sizeof(AddressKey));
    addresses->count = fds_max;
    return addresses;
}

void rpc_addresses_free(RpcAddresses *addresses)
{
    if (addresses != NULL) {
        mem_free(addresses->rows);
        mem_free(addresses);
    }
}

static bool is_still(int fd, AddressKey key)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    return getpeername(fd, (struct sockaddr *)&peer, &len) == 0 && key_of(&peer) == key;
}

/* The rows that name the address, less those that have been found to do so no more. */
static size_t count_of(RpcAddresses *addresses, AddressKey key)
{
    size_t count = 0;
    for (size_t i = 0; i < addresses->count; i++) {
        count += addresses->rows[i] == key;
    }
    if (count < CONNECTIONS_OF_ADDRESS_MAX) {
        return count;
    }
    for (size_t i = 0; i < addresses->count; i++) {
        if (addresses->rows[i] == key && !is_still((int)i, key)) {
            addresses->rows[i] = 0;
            count--;
        }
    }
    return count;
}

bool rpc_addresses_take(RpcAddresses *addresses, int fd, const struct sockaddr_storage *from)
{
    AddressKey key = key_of(from);
    size_t row = (size_t)fd;
    if (row >= addresses->count) {
        return true; /* above every cap of ours: turned away by its number */
    }
    addresses->rows[row] = 0;
    if (key != 0 && count_of(addresses, key) >= CONNECTIONS_OF_ADDRESS_MAX) {
        return false;
    }
    addresses->rows[row] = key;
    return true;
}
