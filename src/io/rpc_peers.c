/* Who is at the other end of a server's connections.
 *
 * The library tells of a call no more than the descriptor of its connection, "fd:12". What is known
 * of it is found by that number. A call that lives holds its connection, and so the descriptor,
 * open: the number is nobody else's meanwhile (test_rpc_peer.c shows it). */
#include "io/rpc_internal.h"

#include <grpc/support/alloc.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct RpcPeers {
    RpcPeer **rows; /* by descriptor; NULL: of an address, which the kernel knows */
    size_t count;
};

RpcPeers *rpc_peers_new(void)
{
    return mem_new(RpcPeers);
}

void rpc_peers_free(RpcPeers *peers)
{
    for (size_t i = 0; i < peers->count; i++) {
        mem_free(peers->rows[i]);
    }
    mem_free(peers->rows);
    mem_free(peers);
}

static void peers_grow(RpcPeers *peers, size_t wanted)
{
    if (wanted <= peers->count) {
        return;
    }
    size_t count = wanted * 2;
    peers->rows = mem_resize(peers->rows, count, sizeof(RpcPeer *));
    memset(peers->rows + peers->count, 0, (count - peers->count) * sizeof(RpcPeer *));
    peers->count = count;
}

void rpc_peers_set(RpcPeers *peers, int fd, const RpcPeer *peer)
{
    size_t row = (size_t)fd;
    if (row < peers->count) {
        mem_free(TAKE(peers->rows[row]));
    }
    if (peer != NULL) {
        peers_grow(peers, row + 1);
        peers->rows[row] = mem_new(RpcPeer);
        *peers->rows[row] = *peer;
    }
}

/* A connection that came in at a TCP listener of ours. */
static bool peer_of_address(int fd, RpcPeer *ret_peer)
{
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (getpeername(fd, (struct sockaddr *)&storage, &len) != 0 ||
        (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) ||
        getnameinfo((struct sockaddr *)&storage, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return false;
    }
    RpcPeer peer = {.kind = RPC_PEER_LOCAL};
    int count = snprintf(peer.address, sizeof(peer.address),
                         storage.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    if (count < 0 || (size_t)count >= sizeof(peer.address)) {
        return false;
    }
    *ret_peer = peer;
    return true;
}

void rpc_peers_find(const RpcPeers *peers, grpc_call *call, RpcPeer *ret_peer)
{
    char *name = grpc_call_get_peer(call);
    int fd = strncmp(name, "fd:", 3) == 0 ? (int)strtol(name + 3, NULL, 10) : -1;
    gpr_free(name);
    *ret_peer = (RpcPeer){.kind = RPC_PEER_NOBODY, .address = "unknown"};
    if (fd >= 0 && (size_t)fd < peers->count && peers->rows[fd] != NULL) {
        *ret_peer = *peers->rows[fd];
    } else if (fd >= 0) {
        (void)!peer_of_address(fd, ret_peer);
    }
}
