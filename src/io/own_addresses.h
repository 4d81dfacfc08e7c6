/* Where this node can be reached, for an invitation: what its owner names, or what this machine's
 * interfaces have. */
#pragma once

#include "core/invite.h"

#include <stdbool.h>

typedef struct OwnAddresses {
    char items[INVITE_ADDRESSES_MAX][INVITE_ADDRESS_MAX_BYTES + 1]; /* "host:port" */
    size_t count;
} OwnAddresses;

/* Adds what a person typed: "host", "host:port", "2001:db8::7", "[2001:db8::7]:50051"; where the
 * port is missing, it is the node's. ERR_INVALID, ERR_LIMIT (INVITE_ADDRESSES_MAX): *ret_error, the
 * caller's, says what is wrong. */
Err own_addresses_add(OwnAddresses *addresses, const char *typed, uint16_t port, char **ret_error);
/* The same of several, with spaces between. */
Err own_addresses_add_words(OwnAddresses *addresses, const char *typed, uint16_t port,
                            char **ret_error);

/* What one interface has. */
typedef struct InterfaceAddress {
    const char *interface;
    const char *text; /* an IPv4 or IPv6 address without a scope */
} InterfaceAddress;

/* The best of them: those that the world can reach, then those of private networks; those of
 * container and machine bridges last; link-local ones never. IPv4 before IPv6, and one for each
 * IPv6 network. Loopback where there is nothing else, or where listen, the address that the node
 * listens on (NULL: all), is of loopback; any other listen is the only one. */
void own_addresses_choose(OwnAddresses *addresses, const InterfaceAddress *found, size_t count,
                          const char *listen, uint16_t port);
/* The same of this machine. */
void own_addresses_find(OwnAddresses *addresses, const char *listen, uint16_t port);
