/* Listening sockets of our own; the library gets connections that are accepted already.
 *
 *   socket --readable--> accept --> below the cap? --> grpc_server_add_channel_from_fd
 *                                        no: closed at once
 *
 * The library's own listener goes deaf for ever once a process has run out of descriptors (1.51.1
 * does not arm it again after EMFILE), does not say why it cannot listen, and has no cap. Here the
 * number of a new descriptor tells how many are open, since the kernel gives the lowest free
 * one. */
#include "io/rpc_addresses.h"
#include "io/rpc_internal.h"

#include "base/log.h"
#include "base/strbuf.h"

#include <errno.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    /* Linux caps it at net.core.somaxconn, which is that; below, a crowd waits for SYN retries. */
    LISTEN_BACKLOG = 4096,
    /* So that a crowd of connections does not hold up the links and the terminal. */
    ACCEPTS_PER_TURN = 8,
    ACCEPT_PAUSE_MS = 100,
    CROWDED_EVERY_MS = 10 * 1000,
    /* For links, files and the library itself. */
    DESCRIPTORS_RESERVED = 64,
};

struct RpcListener {
    uv_poll_t poll;
    uv_timer_t pause;
    int fd;
    int fd_cap;
    bool full; /* said so already */
    RpcAddresses *addresses;
    uint64_t crowded_ms; /* when it was last said that one address has too many */
    unsigned handles;
    grpc_server *server;
    RpcServer *owner;
    grpc_server_credentials *credentials;
};

static Err listen_error(int error, const char *address, uint16_t port, char **ret_text)
{
    StrBuf text = {0};
    Err err = ERR_IO;
    const char *advice = "";
    if (error == EADDRINUSE) {
        err = ERR_IN_USE;
        advice = ": another program listens there; choose another port, or stop it";
    } else if (error == EACCES || error == EPERM) {
        err = ERR_DENIED;
        advice = ": choose a port from 1024 on";
    } else if (error == EADDRNOTAVAIL || error == EINVAL || error == EAFNOSUPPORT) {
        err = ERR_INVALID;
        advice = ": give --listen an address of this machine";
    }
    strbuf_addf(
        &text, strchr(address, ':') != NULL ? "cannot listen on [%s]:%u" : "cannot listen on %s:%u",
        address, (unsigned)port);
    strbuf_addf(&text, ": %s%s", strerror(error), advice);
    *ret_text = strbuf_take(&text);
    return err;
}

static int set_option(int fd, int level, int option)
{
    int on = 1;
    return setsockopt(fd, level, option, &on, sizeof(on));
}

/* A listening socket, or -1 with errno. Accepted sockets inherit TCP_NODELAY. */
static int open_socket(const char *address, uint16_t port)
{
    struct sockaddr_storage storage = {0};
    bool ipv6 = strchr(address, ':') != NULL;
    int result = ipv6 ? uv_ip6_addr(address, port, (struct sockaddr_in6 *)&storage)
                      : uv_ip4_addr(address, port, (struct sockaddr_in *)&storage);
    socklen_t len = ipv6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (result != 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (set_option(fd, SOL_SOCKET, SO_REUSEADDR) == 0 &&
        set_option(fd, IPPROTO_TCP, TCP_NODELAY) == 0 &&
        (!ipv6 || set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0) &&
        bind(fd, (struct sockaddr *)&storage, len) == 0 && listen(fd, LISTEN_BACKLOG) == 0) {
        return fd;
    }
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int descriptor_cap(uint32_t connections_max)
{
    struct rlimit limit;
    uint64_t cap = (uint64_t)connections_max + DESCRIPTORS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > DESCRIPTORS_RESERVED &&
        limit.rlim_cur - DESCRIPTORS_RESERVED < cap) {
        cap = limit.rlim_cur - DESCRIPTORS_RESERVED;
    }
    return (int)cap;
}

/* A connection that was handed over carries, for its address, its descriptor: "fd:12". A descriptor
 * that another connection has by now is not told from the call's own; that takes a client which
 * goes in the same moment, and then it gets no answer. */
char *rpc_listener_peer(grpc_call *call)
{
    char *name = grpc_call_get_peer(call);
    int fd = strncmp(name, "fd:", 3) == 0 ? (int)strtol(name + 3, NULL, 10) : -1;
    gpr_free(name);
    struct sockaddr_storage storage = {0};
    socklen_t len = sizeof(storage);
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    if (fd < 0 || getpeername(fd, (struct sockaddr *)&storage, &len) != 0 ||
        getnameinfo((struct sockaddr *)&storage, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return mem_copy_string("unknown");
    }
    StrBuf text = {0};
    strbuf_addf(&text, storage.ss_family == AF_INET6 ? "ipv6:[%s]:%s" : "ipv4:%s:%s", host, port);
    return strbuf_take(&text);
}

static void listener_turn_away(RpcListener *listener, int fd)
{
    close(fd);
    if (!listener->full) {
        listener->full = true;
        log_warning("%d descriptors are open, as many as may be: new connections are turned away",
                    fd);
    }
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
        struct sockaddr_storage from = {0};
        socklen_t from_len = sizeof(from);
        int fd = accept4(listener->fd, (struct sockaddr *)&from, &from_len,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) {
            continue;
        }
        if (fd < 0 && errno == EAGAIN) {
            return;
        }
        if (fd < 0) {
            /* Out of descriptors or memory: what waits in the backlog can wait a little more. */
            log_warning("accepting connections: %s; trying again", strerror(errno));
            uv_poll_stop(&listener->poll);
            uv_timer_start(&listener->pause, listener_resume, ACCEPT_PAUSE_MS, 0);
            return;
        }
        if (fd >= listener->fd_cap) {
            listener_turn_away(listener, fd);
            continue;
        }
        if (!rpc_addresses_take(listener->addresses, fd, &from)) {
            listener_refuse_address(listener, fd);
            continue;
        }
        listener->full = false;
        rpc_server_busy(listener->owner, RPC_TRIM_WEIGHT);
        grpc_server_add_channel_from_fd(listener->server, fd, listener->credentials);
    }
}

Err rpc_listener_open(Loop *loop, const RpcListenerOptions *options, RpcListener **ret_listener,
                      char **ret_text)
{
    int fd = open_socket(options->address, options->port);
    if (fd < 0) {
        return listen_error(errno, options->address, options->port, ret_text);
    }
    RpcListener *listener = mem_new(RpcListener);
    listener->fd = fd;
    listener->fd_cap = descriptor_cap(options->connections_max);
    listener->addresses = rpc_addresses_new((size_t)listener->fd_cap);
    listener->server = options->server;
    listener->owner = options->owner;
    listener->credentials = grpc_insecure_server_credentials_create();
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
        grpc_server_credentials_release(listener->credentials);
        close(listener->fd);
        rpc_addresses_free(listener->addresses);
        mem_free(listener);
    }
}

void rpc_listener_close(RpcListener *listener)
{
    uv_close((uv_handle_t *)&listener->poll, listener_handle_closed);
    uv_close((uv_handle_t *)&listener->pause, listener_handle_closed);
}
