/* Ranks, and a stable choice of the best few. */
#include "io/own_addresses.h"

#include "io/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum {
    ADDRESS_MAX_BYTES = 64,
    IPV6_NETWORK_BYTES = 8,
    PORT_DIGITS_MAX = 5,
};

/* ---- what a person typed ---- */

static Err refuse(char **ret_error, const char *typed, const char *reason)
{
    *ret_error = strbuf_format("the address \"%.300s\" %s", typed, reason);
    return ERR_INVALID;
}

/* host without brackets. Equal ones are kept once. */
static bool add(OwnAddresses *addresses, const char *host, size_t host_len, unsigned port)
{
    char item[INVITE_ADDRESS_MAX_BYTES + 1];
    bool ipv6 = memchr(host, ':', host_len) != NULL;
    snprintf(item, sizeof(item), ipv6 ? "[%.*s]:%u" : "%.*s:%u", (int)host_len, host, port);
    for (size_t i = 0; i < addresses->count; i++) {
        if (strcmp(addresses->items[i], item) == 0) {
            return true;
        }
    }
    if (addresses->count == INVITE_ADDRESSES_MAX) {
        return false;
    }
    memcpy(addresses->items[addresses->count++], item, sizeof(item));
    return true;
}

/* Where the host ends, and what is behind the ":" then (NULL: nothing). */
static size_t split(const char *typed, const char **ret_port)
{
    const char *last = strrchr(typed, ':');
    const char *bracket = strrchr(typed, ']');
    *ret_port = NULL;
    if (last == NULL || (bracket != NULL && last < bracket) ||
        (bracket == NULL && strchr(typed, ':') != last)) {
        return strlen(typed); /* no port: a name, [::1], ::1 */
    }
    *ret_port = last + 1;
    return (size_t)(last - typed);
}

static unsigned read_port(const char *text)
{
    size_t len = strlen(text);
    unsigned port = 0;
    if (len == 0 || len > PORT_DIGITS_MAX || text[strspn(text, "0123456789")] != '\0') {
        return 0;
    }
    for (size_t i = 0; i < len; i++) {
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    return port <= UINT16_MAX ? port : 0;
}

Err own_addresses_add(OwnAddresses *addresses, const char *typed, uint16_t port, char **ret_error)
{
    const char *port_text = NULL;
    const char *reason = "";
    size_t len = split(typed, &port_text);
    unsigned number = port_text != NULL ? read_port(port_text) : port;
    if (number == 0) {
        return refuse(ret_error, typed, "needs a port from 1 to 65535 behind its last \":\"");
    }
    if (host_check(typed, len, &reason) != ERR_OK) {
        return refuse(ret_error, typed, reason);
    }
    bool brackets = typed[0] == '[';
    if (!add(addresses, typed + (brackets ? 1 : 0), len - (brackets ? 2 : 0), number)) {
        (void)!refuse(ret_error, typed, "is one too many: an invitation has at most 4");
        return ERR_LIMIT;
    }
    return ERR_OK;
}

Err own_addresses_add_words(OwnAddresses *addresses, const char *typed, uint16_t port,
                            char **ret_error)
{
    Err err = ERR_OK;
    for (size_t len = 0; err == ERR_OK && *typed != '\0'; typed += len) {
        typed += strspn(typed, " \t");
        len = strcspn(typed, " \t");
        if (len > 0) {
            AUTO_FREE char *word = mem_copy_text(typed, len);
            err = own_addresses_add(addresses, word, port, ret_error);
        }
    }
    return err;
}

/* ---- what the machine has ---- */

typedef enum Rank {
    RANK_GLOBAL4,
    RANK_GLOBAL6,
    RANK_PRIVATE4,
    RANK_PRIVATE6,
    RANK_BRIDGE, /* of containers and virtual machines: seen from this machine alone, mostly */
    RANK_LOOPBACK,
    RANK_NEVER,
} Rank;

static bool in_network(uint32_t address, uint32_t network, unsigned bits)
{
    return address >> (32 - bits) == network >> (32 - bits);
}

/* RFC 6890's tables, as far as they matter here. */
static Rank rank_of_ipv4(uint32_t address)
{
    if (in_network(address, 0x7f000000, 8)) {
        return RANK_LOOPBACK;
    }
    if (in_network(address, 0xa9fe0000, 16) || in_network(address, 0, 8) ||
        in_network(address, 0xe0000000, 3)) { /* link-local; this network; multicast and above */
        return RANK_NEVER;
    }
    if (in_network(address, 0x0a000000, 8) || in_network(address, 0xac100000, 12) ||
        in_network(address, 0xc0a80000, 16) || in_network(address, 0x64400000, 10)) {
        return RANK_PRIVATE4;
    }
    return RANK_GLOBAL4;
}

static Rank rank_of_ipv6(const struct in6_addr *address)
{
    if (IN6_IS_ADDR_LOOPBACK(address)) {
        return RANK_LOOPBACK;
    }
    if (IN6_IS_ADDR_LINKLOCAL(address) || IN6_IS_ADDR_MULTICAST(address) ||
        IN6_IS_ADDR_UNSPECIFIED(address) || IN6_IS_ADDR_V4MAPPED(address)) {
        return RANK_NEVER;
    }
    return (address->s6_addr[0] & 0xfe) == 0xfc ? RANK_PRIVATE6 : RANK_GLOBAL6; /* RFC 4193 */
}

static bool is_bridge(const char *interface)
{
    static const char *const starts[] = {"docker", "br-", "virbr", "veth", "lxc", "lxd", "podman"};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        if (strncmp(interface, starts[i], strlen(starts[i])) == 0) {
            return true;
        }
    }
    return false;
}

static Rank rank_of(const InterfaceAddress *found)
{
    struct in_addr address4;
    struct in6_addr address6;
    Rank rank = RANK_NEVER;
    if (inet_pton(AF_INET, found->text, &address4) == 1) {
        rank = rank_of_ipv4(ntohl(address4.s_addr));
    } else if (inet_pton(AF_INET6, found->text, &address6) == 1) {
        rank = rank_of_ipv6(&address6);
    }
    return rank < RANK_BRIDGE && is_bridge(found->interface) ? RANK_BRIDGE : rank;
}

/* A machine has several addresses in one IPv6 network, most of which change each day. */
static bool same_network(const char *a, const char *b)
{
    struct in6_addr address_a;
    struct in6_addr address_b;
    return inet_pton(AF_INET6, a, &address_a) == 1 && inet_pton(AF_INET6, b, &address_b) == 1 &&
           memcmp(&address_a, &address_b, IPV6_NETWORK_BYTES) == 0;
}

static bool network_is_taken(const InterfaceAddress *found, size_t index, Rank rank)
{
    for (size_t i = 0; i < index; i++) {
        if (rank_of(&found[i]) == rank && same_network(found[i].text, found[index].text)) {
            return true;
        }
    }
    return false;
}

static void add_rank(OwnAddresses *addresses, const InterfaceAddress *found, size_t count,
                     Rank rank, uint16_t port)
{
    for (size_t i = 0; i < count; i++) {
        if (rank_of(&found[i]) == rank && !network_is_taken(found, i, rank)) {
            (void)add(addresses, found[i].text, strlen(found[i].text), port); /* the best four */
        }
    }
}

void own_addresses_choose(OwnAddresses *addresses, const InterfaceAddress *found, size_t count,
                          const char *listen, uint16_t port)
{
    if (listen != NULL && !host_is_any(listen)) {
        add(addresses, listen, strlen(listen), port);
        return;
    }
    for (Rank rank = RANK_GLOBAL4; rank < RANK_LOOPBACK; rank++) {
        add_rank(addresses, found, count, rank, port);
    }
    if (addresses->count == 0) {
        add_rank(addresses, found, count, RANK_LOOPBACK, port);
    }
    if (addresses->count == 0) {
        add(addresses, "127.0.0.1", strlen("127.0.0.1"), port);
    }
}

void own_addresses_find(OwnAddresses *addresses, const char *listen, uint16_t port)
{
    uv_interface_address_t *interfaces = NULL;
    int count = 0;
    if (uv_interface_addresses(&interfaces, &count) != 0) {
        interfaces = NULL; /* a machine that does not tell */
        count = 0;
    }
    size_t found_count = (size_t)count;
    AUTO_FREE InterfaceAddress *found = mem_array(found_count, sizeof(InterfaceAddress));
    AUTO_FREE char(*texts)[ADDRESS_MAX_BYTES] = mem_array(found_count, ADDRESS_MAX_BYTES);
    for (size_t i = 0; i < found_count; i++) {
        int failed =
            interfaces[i].address.address4.sin_family == AF_INET
                ? uv_ip4_name(&interfaces[i].address.address4, texts[i], ADDRESS_MAX_BYTES)
                : uv_ip6_name(&interfaces[i].address.address6, texts[i], ADDRESS_MAX_BYTES);
        found[i] = (InterfaceAddress){.interface = interfaces[i].name,
                                      .text = failed == 0 ? texts[i] : ""};
    }
    own_addresses_choose(addresses, found, found_count, listen, port);
    if (interfaces != NULL) {
        uv_free_interface_addresses(interfaces, count);
    }
}
