/* Listening sockets of our own; the library gets connections that are accepted already.
 *
 *   socket --readable--> accept --> below the cap? --> whose? --> grpc_server_add_channel_from_fd
 *                                        no: closed at once
 *
 * The library's own listener goes deaf for ever once a process has run out of descriptors (1.51.1
 * does not arm it again after EMFILE), does not say why it cannot listen, and has no cap. Here the
 * number of a new descriptor tells how many are open, since the kernel gives the lowest free
 * one. */
#include "io/rpc_addresses.h"
#include "io/rpc_internal.h"

#include "base/log.h"
#include "io/listen_socket.h"

#include <sys/socket.h>
#include <unistd.h>

enum { CROWDED_EVERY_MS = 10 * 1000 };

struct RpcListener {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;
    int fd_cap;
    bool full; /* said so already */
    RpcAddresses *addresses;
    uint64_t crowded_ms; /* when it was last said that one address has too many */
    unsigned handles;
    RpcServer *server;
    char *path; /* of a Unix socket; NULL: TCP */
};

static void listener_turn_away(RpcListener *listener, int fd)
{
    close(fd);
    if (!listener->full) {
        listener->full = true;
        log_warning("%d descriptors are open, as many as may be: new connections are turned away",
                    fd);
    }
}

/* At the Unix socket: this process's user, or root. The socket's mode says the same, but not where
 * somebody has changed it. */
static bool is_owner(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
        return false;
    }
    if (who.uid != 0 && who.uid != geteuid()) {
        log_warning("user %u was turned away at the node's own socket: it is for user %u",
                    (unsigned)who.uid, (unsigned)geteuid());
        return false;
    }
    return true;
}

/* Of one address too many: said once in a while, since it may go on for long. */
static void listener_refuse_address(RpcListener *listener, int fd)
{
    close(fd);
    uint64_t now_ms = loop_mono_ms();
    if (listener->crowded_ms == 0 || now_ms >= listener->crowded_ms + CROWDED_EVERY_MS) {
        listener->crowded_ms = now_ms;
        log_warning("one address has %d connections open, as many as it may: more are turned away",
                    CONNECTIONS_OF_ADDRESS_MAX);
    }
}

static void listener_serve(RpcListener *listener, int fd, const struct sockaddr_storage *from)
{
    if (fd >= listener->fd_cap) {
        listener_turn_away(listener, fd);
        return;
    }
    if (!rpc_addresses_take(listener->addresses, fd, from)) {
        listener_refuse_address(listener, fd);
        return;
    }
    listener->full = false;
    if (listener->path == NULL) {
        rpc_server_take(listener->server, fd, NULL);
    } else if (is_owner(fd)) {
        rpc_server_take(listener->server, fd,
                        &(RpcPeer){.kind = RPC_PEER_LOCAL, .address = "unix"});
    } else {
        close(fd);
    }
}

static void listener_readable(uv_poll_t *poll, int status, int events);

static void listener_resume(uv_timer_t *pause)
{
    RpcListener *listener = pause->data;
    uv_poll_start(&listener->poll, UV_READABLE, listener_readable);
}

static void listener_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    RpcListener *listener = poll->data;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = -1;
        struct sockaddr_storage from = {0};
        Err err = listen_socket_accept(listener->fd, &fd, &from);
        if (err == ERR_LIMIT) {
            uv_poll_stop(&listener->poll);
            uv_timer_start(&listener->pause, listener_resume, ACCEPT_PAUSE_MS, 0);
        }
        if (err != ERR_OK) {
            return;
        }
        listener_serve(listener, fd, &from);
    }
}

Err rpc_listener_open(Loop *loop, const RpcListenerOptions *options, RpcListener **ret_listener,
                      char **ret_text)
{
    int fd = -1;
    Err err = options->path != NULL
                  ? listen_socket_open_path(options->path, &fd, ret_text)
                  : listen_socket_open(options->address, options->port, &fd, ret_text);
    if (err != ERR_OK) {
        return err;
    }
    RpcListener *listener = mem_new(RpcListener);
    listener->fd = fd;
    listener->fd_cap = listen_socket_descriptors_max(options->connections_max);
    listener->addresses = rpc_addresses_new((size_t)listener->fd_cap);
    listener->server = options->server;
    listener->path = options->path != NULL ? mem_copy_string(options->path) : NULL;
    uv_poll_init(loop_uv(loop), &listener->poll, fd);
    uv_timer_init(loop_uv(loop), &listener->pause);
    listener->poll.data = listener;
    listener->pause.data = listener;
    listener->handles = 2;
    *ret_listener = listener;
    return ERR_OK;
}

void rpc_listener_start(RpcListener *listener)
{
    uv_poll_start(&listener->poll, UV_READABLE, listener_readable);
}

static void listener_handle_closed(uv_handle_t *handle)
{
    RpcListener *listener = handle->data;
    if (--listener->handles == 0) {
        close(listener->fd);
        rpc_addresses_free(listener->addresses);
        mem_free(listener->path);
        mem_free(listener);
    }
}

void rpc_listener_close(RpcListener *listener)
{
    if (listener->path != NULL) {
        unlink(listener->path);
    }
    uv_close((uv_handle_t *)&listener->poll, listener_handle_closed);
    uv_close((uv_handle_t *)&listener->pause, listener_handle_closed);
}
