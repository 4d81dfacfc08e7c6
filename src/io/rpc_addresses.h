/* How many connections one address has open, for a listener. Those from this machine itself
 * (loopback, Unix sockets) are not counted: they are its owner's.
 *
 * gRPC does not tell when a connection ends; but a descriptor has one number, and the number says
 * which connection it is now. So there is a row for each number, and where many rows name one
 * address the system is asked which of them still do. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum {
    /* An office behind one address has so many people and programs; an IPv6 network of 64 bits
     * counts as one address. */
    CONNECTIONS_OF_ADDRESS_MAX = 256,
};

typedef struct RpcAddresses RpcAddresses;

/* Of descriptors below fds_max. */
RpcAddresses *rpc_addresses_new(size_t fds_max);
/* NULL is fine. */
void rpc_addresses_free(RpcAddresses *addresses);

/* A connection that was just accepted. False: its address has as many already, and it is not
 * noted. */
bool rpc_addresses_take(RpcAddresses *addresses, int fd, const struct sockaddr_storage *from);
