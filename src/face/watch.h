/* Tells when a descriptor can be read or written, without touching its flags.
 *
 * libuv's own uv_poll sets O_NONBLOCK on what it watches (see own_fd.h for why that must not be),
 * so it is given an epoll descriptor that watches the real one. */
#pragma once

#include "face/own_fd.h"
#include "io/loop.h"

typedef struct Watch Watch;
struct Watch {
    uv_poll_t poll;
    int epoll_fd;
    void (*on_ready)(void *context);
    void (*on_closed)(void *context);
    void *context;
};

/* Stopped at first.
 * ERR_INVALID: the descriptor is always ready (a file, /dev/null): nothing to watch or close.
 * ERR_IO: no descriptors left. */
Err watch_open(Watch *watch, Loop *loop, const OwnFd *fd, OwnFdUse use,
               void (*on_ready)(void *context), void *context);
void watch_start(Watch *watch);
void watch_stop(Watch *watch);
/* on_closed comes later, with the context of watch_open. */
void watch_close(Watch *watch, void (*on_closed)(void *context));
