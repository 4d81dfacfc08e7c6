/* A uv_poll on an epoll descriptor that holds one other. */
#include "face/watch.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

Err watch_open(Watch *watch, Loop *loop, const OwnFd *fd, OwnFdUse use,
               void (*on_ready)(void *context), void *context)
{
    struct epoll_event event = {.events = use == OWN_FD_READ ? EPOLLIN : EPOLLOUT};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        return ERR_IO;
    }
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd->fd, &event) != 0) {
        bool always_ready = errno == EPERM; /* epoll_ctl(2) */
        close(epoll_fd);
        return always_ready ? ERR_INVALID : ERR_IO;
    }
    if (uv_poll_init(loop_uv(loop), &watch->poll, epoll_fd) != 0) {
        close(epoll_fd);
        return ERR_IO;
    }
    watch->poll.data = watch;
    watch->epoll_fd = epoll_fd;
    watch->on_ready = on_ready;
    watch->context = context;
    return ERR_OK;
}

static void watch_ready(uv_poll_t *poll, int status, int events)
{
    (void)status; /* whoever reads or writes now gets the error itself */
    (void)events;
    Watch *watch = poll->data;
    watch->on_ready(watch->context);
}

void watch_start(Watch *watch)
{
    if (!uv_is_active((uv_handle_t *)&watch->poll)) {
        uv_poll_start(&watch->poll, UV_READABLE, watch_ready);
    }
}

void watch_stop(Watch *watch)
{
    if (uv_is_active((uv_handle_t *)&watch->poll)) { /* else it is a system call for nothing */
        uv_poll_stop(&watch->poll);
    }
}

static void watch_closed(uv_handle_t *handle)
{
    Watch *watch = handle->data;
    close(watch->epoll_fd);
    watch->on_closed(watch->context);
}

void watch_close(Watch *watch, void (*on_closed)(void *context))
{
    watch->on_closed = on_closed;
    uv_close((uv_handle_t *)&watch->poll, watch_closed);
}
