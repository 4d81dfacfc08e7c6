/* A standard descriptor, read or written without ever blocking and without changing it for the
 * other processes that hold it.
 *
 * O_NONBLOCK belongs to the open file description, which a shell, a pager or the next command of
 * a script shares: setting it there breaks them. So a terminal or a pipe is opened anew through
 * /proc/self/fd, which gives a description of our own. Where that is refused (after su) each read
 * and write asks poll(2) first. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum OwnFdKind {
    OWN_FD_PRIVATE, /* our own description, non-blocking */
    OWN_FD_SHARED,  /* poll first, then a small piece */
    OWN_FD_SOCKET,  /* MSG_DONTWAIT */
    OWN_FD_FILE,    /* a file, /dev/null: blocks only as long as the disk does */
} OwnFdKind;

typedef struct OwnFd {
    int fd; /* ours to close */
    OwnFdKind kind;
} OwnFd;

typedef enum OwnFdUse { OWN_FD_READ, OWN_FD_WRITE } OwnFdUse;

/* ERR_IO: inherited is not an open descriptor, errno says more. */
Err own_fd_open(int inherited, OwnFdUse use, OwnFd *ret_fd);
void own_fd_close(OwnFd *fd);

/* As read(2) and write(2): -1 with EAGAIN where it would block. */
ssize_t own_fd_read(const OwnFd *fd, void *data, size_t len);
ssize_t own_fd_write(const OwnFd *fd, const void *data, size_t len);
