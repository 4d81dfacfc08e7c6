/* Opening anew what was inherited. */
#include "face/own_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a pipe or a terminal that poll calls writable takes without blocking, or nearly so: the
 * smaller of PIPE_BUF (pipe(7)) and what the kernel's line discipline waits for (256 bytes). */
enum { SHARED_PIECE_BYTES = 256 };

/* The master side of a pseudo-terminal must not be opened anew: that would make a new one. */
static bool is_pty_master(int fd)
{
    unsigned number = 0;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

static int reopen(int inherited, OwnFdUse use)
{
    char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", inherited);
    int direction = use == OWN_FD_READ ? O_RDONLY : O_WRONLY;
    return open(path, direction | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static OwnFdKind kind_of(int inherited, const struct stat *status)
{
    if (S_ISSOCK(status->st_mode)) {
        return OWN_FD_SOCKET;
    }
    bool terminal = S_ISCHR(status->st_mode) && isatty(inherited) && !is_pty_master(inherited);
    if (S_ISFIFO(status->st_mode) || terminal) {
        return OWN_FD_PRIVATE;
    }
    bool plain = S_ISREG(status->st_mode) || S_ISDIR(status->st_mode) || S_ISBLK(status->st_mode);
    return plain ? OWN_FD_FILE : OWN_FD_SHARED;
}

Err own_fd_open(int inherited, OwnFdUse use, OwnFd *ret_fd)
{
    struct stat status;
    if (fstat(inherited, &status) != 0) {
        return ERR_IO;
    }
    OwnFd own = {.fd = -1, .kind = kind_of(inherited, &status)};
    if (own.kind == OWN_FD_PRIVATE) {
        own.fd = reopen(inherited, use);
    }
    if (own.fd < 0) {
        own.fd = fcntl(inherited, F_DUPFD_CLOEXEC, 0);
        own.kind = own.kind == OWN_FD_PRIVATE ? OWN_FD_SHARED : own.kind;
    }
    if (own.fd < 0) {
        return ERR_IO;
    }
    *ret_fd = own;
    return ERR_OK;
}

void own_fd_close(OwnFd *fd)
{
    if (fd->fd >= 0) {
        close(fd->fd);
        fd->fd = -1;
    }
}

/* Errors and hang-ups count as ready: read and write will tell. */
static bool is_ready(int fd, short events)
{
    struct pollfd ready = {.fd = fd, .events = events};
    return poll(&ready, 1, 0) != 0;
}

static ssize_t would_block(void)
{
    errno = EAGAIN;
    return -1;
}

ssize_t own_fd_read(const OwnFd *fd, void *data, size_t len)
{
    if (fd->kind == OWN_FD_SOCKET) {
        return recv(fd->fd, data, len, MSG_DONTWAIT);
    }
    if (fd->kind == OWN_FD_SHARED && !is_ready(fd->fd, POLLIN)) {
        return would_block();
    }
    return read(fd->fd, data, len);
}

ssize_t own_fd_write(const OwnFd *fd, const void *data, size_t len)
{
    if (fd->kind == OWN_FD_SOCKET) {
        return send(fd->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (fd->kind == OWN_FD_SHARED) {
        if (!is_ready(fd->fd, POLLOUT)) {
            return would_block();
        }
        len = len < SHARED_PIECE_BYTES ? len : SHARED_PIECE_BYTES;
    }
    return write(fd->fd, data, len);
}
