/* Listening sockets, and what comes in at them: what the listeners of gRPC and the gate share. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/socket.h>

enum {
    /* So that a crowd of connections does not hold up who else is served by the same thread. */
    ACCEPTS_PER_TURN = 8,
    /* After running out of descriptors: what waits in the backlog can wait a little more. */
    ACCEPT_PAUSE_MS = 100,
};

/* A socket that listens; accepted ones inherit its TCP_NODELAY. address: IPv4 or IPv6, without
 * brackets. ERR_IN_USE, ERR_DENIED, ERR_INVALID (not an address of this machine), ERR_IO;
 * *ret_text, the caller's, says more. */
Err listen_socket_open(const char *address, uint16_t port, int *ret_fd, char **ret_text);
/* The same at a path of the file system, mode 0600; a socket there that nobody listens on any more
 * is replaced. ERR_IN_USE: somebody does; ERR_EXISTS: something else is there; ERR_DENIED;
 * ERR_IO. */
Err listen_socket_open_path(const char *path, int *ret_fd, char **ret_text);

/* The next connection, not blocking; *ret_from may be NULL. ERR_NOT_FOUND: none waits. ERR_LIMIT:
 * out of descriptors or memory, which has been logged: to be tried again after ACCEPT_PAUSE_MS. */
Err listen_socket_accept(int listening, int *ret_fd, struct sockaddr_storage *ret_from);

/* The number that no connection's descriptor may have or pass: the kernel gives the lowest free
 * one, so it tells how many are open. */
int listen_socket_descriptors_max(uint32_t connections_max);
