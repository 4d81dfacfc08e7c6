/* Opening sockets and accepting on them; the words of what fails. */
#include "io/listen_socket.h"

#include "base/log.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

enum {
    /* Linux caps it at net.core.somaxconn, which is that; below, a crowd waits for SYN retries. */
    LISTEN_BACKLOG = 4096,
    /* For links, files and the library itself. */
    DESCRIPTORS_RESERVED = 64,
    OWNER_ONLY = 0600,
};

/* ---- addresses ---- */

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

/* Closes it; errno stays. */
static int give_up(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

/* A listening socket, or -1 with errno. */
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
    return give_up(fd);
}

Err listen_socket_open(const char *address, uint16_t port, int *ret_fd, char **ret_text)
{
    int fd = open_socket(address, port);
    if (fd < 0) {
        return listen_error(errno, address, port, ret_text);
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* ---- paths ---- */

/* An address of a socket has 108 bytes; a longer path is reached through its folder's descriptor.
 * *ret_folder is to be closed, or -1. */
static bool path_address(const char *path, struct sockaddr_un *ret_address, int *ret_folder)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    *ret_folder = -1;
    size_t len = strlen(path);
    if (len < sizeof(ret_address->sun_path)) {
        memcpy(ret_address->sun_path, path, len + 1);
        return true;
    }
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path) {
        errno = ENAMETOOLONG;
        return false;
    }
    AUTO_FREE char *folder = mem_copy_text(path, (size_t)(slash - path));
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    int count = snprintf(ret_address->sun_path, sizeof(ret_address->sun_path),
                         "/proc/self/fd/%d/%s", fd, slash + 1);
    if (count < 0 || (size_t)count >= sizeof(ret_address->sun_path)) {
        close(fd);
        errno = ENAMETOOLONG;
        return false;
    }
    *ret_folder = fd;
    return true;
}

/* Does anybody listen there? What nobody listens on is left behind by a process that was killed. */
static bool path_is_alive(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return true;
    }
    bool alive = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                 errno != ECONNREFUSED;
    close(fd);
    return alive;
}

/* ERR_OK: the place is free. */
static Err path_clear(const char *path, const struct sockaddr_un *address)
{
    struct stat stat;
    if (lstat(path, &stat) != 0) {
        return errno == ENOENT ? ERR_OK : ERR_IO;
    }
    if (!S_ISSOCK(stat.st_mode)) {
        return ERR_EXISTS;
    }
    if (path_is_alive(address)) {
        return ERR_IN_USE;
    }
    return unlink(path) == 0 ? ERR_OK : ERR_IO;
}

/* Nobody can connect before listen, so the mode is there in time. */
static int path_bind(const struct sockaddr_un *address, const char *path)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 &&
        chmod(path, OWNER_ONLY) == 0 && listen(fd, LISTEN_BACKLOG) == 0) {
        return fd;
    }
    return give_up(fd);
}

static Err path_error(Err err, const char *path, char **ret_text)
{
    const char *why = strerror(errno);
    if (err == ERR_EXISTS) {
        why = "something else is there, no socket; move it away";
    } else if (err == ERR_IN_USE) {
        why = "another program listens there; stop it";
    } else if (errno == EACCES || errno == EPERM) {
        err = ERR_DENIED;
    } else if (errno == ENAMETOOLONG) {
        why = "the file's name is too long for a socket";
    }
    *ret_text = strbuf_format("cannot listen on %s: %s", path, why);
    return err;
}

Err listen_socket_open_path(const char *path, int *ret_fd, char **ret_text)
{
    struct sockaddr_un address;
    int folder = -1;
    if (!path_address(path, &address, &folder)) {
        return path_error(ERR_IO, path, ret_text);
    }
    Err err = path_clear(path, &address);
    if (err == ERR_OK) {
        *ret_fd = path_bind(&address, path);
        err = *ret_fd >= 0 ? ERR_OK : ERR_IO;
    }
    if (err != ERR_OK) {
        err = path_error(err, path, ret_text);
    }
    if (folder >= 0) {
        close(folder);
    }
    return err;
}

/* ---- accepting ---- */

Err listen_socket_accept(int listening, int *ret_fd, struct sockaddr_storage *ret_from)
{
    socklen_t len = sizeof(*ret_from);
    for (;;) {
        int fd = accept4(listening, (struct sockaddr *)ret_from, ret_from != NULL ? &len : NULL,
                         SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            *ret_fd = fd;
            return ERR_OK;
        }
        if (errno == EAGAIN) {
            return ERR_NOT_FOUND;
        }
        if (errno != EINTR && errno != ECONNABORTED) {
            log_warning("accepting connections: %s; trying again", strerror(errno));
            return ERR_LIMIT;
        }
    }
}

int listen_socket_descriptors_max(uint32_t connections_max)
{
    struct rlimit limit;
    uint64_t cap = (uint64_t)connections_max + DESCRIPTORS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > DESCRIPTORS_RESERVED &&
        limit.rlim_cur - DESCRIPTORS_RESERVED < cap) {
        cap = limit.rlim_cur - DESCRIPTORS_RESERVED;
    }
    return (int)cap;
}
