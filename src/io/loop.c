/* The owner thread's loop and its mailbox. */
#include "io/loop.h"

#include "base/mem.h"

#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, MS_PER_S = 1000, MS_PER_QUARTER = 15 * 60 * MS_PER_S };

struct Loop {
    uv_loop_t uv;
    uv_async_t bell;
    _Atomic(Mail *) mailbox; /* newest first */
    bool stopping;

    LoopWaiter waiter; /* wait: NULL where there is none */
    uv_thread_t watcher;
    int watched;              /* an epoll descriptor, of libuv's own and of stop */
    int stop;                 /* an eventfd */
    _Atomic bool asleep;      /* the owner is about to wait, or waits: a kick is needed */
    _Atomic bool descriptors; /* libuv has something to do */
};

/* Takes the whole stack at once and turns it round: mail is delivered in the order it came. */
static void loop_deliver(Loop *loop)
{
    Mail *newest = atomic_exchange_explicit(&loop->mailbox, NULL, memory_order_acquire);
    Mail *oldest = NULL;
    while (newest != NULL) {
        Mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest != NULL) {
        Mail *mail = oldest;
        oldest = mail->next;
        mail->next = NULL;
        mail->deliver(mail, mail->ok); /* may free it, or post it again */
    }
}

static void loop_bell(uv_async_t *bell)
{
    loop_deliver(bell->data);
}

static void loop_must(int result, const char *what)
{
    if (result != 0) {
        fprintf(stderr, "chat_node: %s: %s\n", what, uv_strerror(result));
        abort();
    }
}

Loop *loop_new(void)
{
    Loop *loop = mem_new(Loop);
    loop_must(uv_loop_init(&loop->uv), "event loop");
    loop_must(uv_async_init(&loop->uv, &loop->bell, loop_bell), "event loop");
    loop->bell.data = loop;
    atomic_init(&loop->mailbox, NULL);
    return loop;
}

void loop_free(Loop *loop)
{
    loop_must(uv_loop_close(&loop->uv), "closing the event loop");
    mem_free(loop);
}

uv_loop_t *loop_uv(Loop *loop)
{
    return &loop->uv;
}

/* The owner says that it sleeps, and then looks whether anything has come; who brings something
 * looks whether it sleeps after: one of the two sees the other. */
static void loop_wake(Loop *loop)
{
    if (atomic_exchange(&loop->asleep, false)) {
        loop->waiter.kick(loop->waiter.context);
    }
}

void loop_post(Loop *loop, Mail *mail)
{
    Mail *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do {
        mail->next = head;
    } while (!atomic_compare_exchange_weak(&loop->mailbox, &head, mail));
    if (loop->waiter.wait != NULL) {
        loop_wake(loop);
    } else {
        uv_async_send(&loop->bell);
    }
}

void loop_awake(Loop *loop)
{
    atomic_store(&loop->asleep, false);
}

/* ---- waiting elsewhere ---- */

/* Tells once, then waits until the owner has seen to it (watch_again). */
static void watch(void *argument)
{
    Loop *loop = argument;
    struct epoll_event event;
    for (;;) {
        int count = epoll_wait(loop->watched, &event, 1, -1);
        if (count == 1 && event.data.fd == loop->stop) {
            return;
        }
        if (count == 1) {
            atomic_store(&loop->descriptors, true);
            loop_wake(loop);
        }
    }
}

static void watch_descriptor(Loop *loop, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(loop->watched, operation, fd, &event) != 0) {
        loop_must(UV_EINVAL, "watching descriptors");
    }
}

static void watch_again(Loop *loop)
{
    watch_descriptor(loop, EPOLL_CTL_MOD, uv_backend_fd(&loop->uv), EPOLLIN | EPOLLONESHOT);
}

static void watcher_start(Loop *loop)
{
    loop->watched = epoll_create1(EPOLL_CLOEXEC);
    loop->stop = eventfd(0, EFD_CLOEXEC);
    if (loop->watched < 0 || loop->stop < 0) {
        loop_must(UV_EMFILE, "watching descriptors");
    }
    watch_descriptor(loop, EPOLL_CTL_ADD, loop->stop, EPOLLIN);
    watch_descriptor(loop, EPOLL_CTL_ADD, uv_backend_fd(&loop->uv), EPOLLIN | EPOLLONESHOT);
    loop_must(uv_thread_create(&loop->watcher, watch, loop), "a thread");
}

static void watcher_stop(Loop *loop)
{
    if (eventfd_write(loop->stop, 1) != 0) {
        loop_must(UV_EIO, "ending a thread");
    }
    uv_thread_join(&loop->watcher);
    close(loop->watched);
    close(loop->stop);
}

void loop_set_waiter(Loop *loop, const LoopWaiter *waiter)
{
    if (loop->waiter.wait != NULL) {
        watcher_stop(loop);
    }
    atomic_store(&loop->asleep, false);
    atomic_store(&loop->descriptors, true); /* what is there already */
    loop->waiter = waiter != NULL ? *waiter : (LoopWaiter){0};
    if (waiter != NULL) {
        watcher_start(loop);
    } else {
        uv_async_send(&loop->bell); /* for what is in the mailbox */
    }
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, timeout_ms) == 1;
}

/* Descriptors that are ready, timers that are due, handles that are to be closed. */
static void serve_libuv(Loop *loop)
{
    bool ready = atomic_exchange(&loop->descriptors, false);
    uv_update_time(&loop->uv);
    if (!ready && uv_backend_timeout(&loop->uv) != 0) {
        return;
    }
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    if (!ready || loop->waiter.wait == NULL) {
        return;
    }
    if (is_readable(uv_backend_fd(&loop->uv), 0)) {
        atomic_store(&loop->descriptors, true); /* at once again, without asking the watcher */
    } else {
        watch_again(loop);
    }
}

static void wait_elsewhere(Loop *loop, bool may_wait)
{
    uv_update_time(&loop->uv);
    int timeout_ms = may_wait ? uv_backend_timeout(&loop->uv) : 0;
    atomic_store(&loop->asleep, true);
    if (atomic_load(&loop->mailbox) != NULL || atomic_load(&loop->descriptors)) {
        timeout_ms = 0;
    }
    loop->waiter.wait(loop->waiter.context, timeout_ms);
    loop_awake(loop);
}

/* UV_RUN_ONCE would serve the timers that are due, and wait all the same: who turns the loop until
 * something is true, and a timer makes it true, would not be asked. */
static void wait_in_libuv(Loop *loop)
{
    uv_update_time(&loop->uv);
    int timeout_ms = uv_backend_timeout(&loop->uv);
    if (timeout_ms != 0) {
        is_readable(uv_backend_fd(&loop->uv), timeout_ms);
    }
}

bool loop_turn(Loop *loop, bool may_wait)
{
    if (loop->waiter.wait != NULL) {
        wait_elsewhere(loop, may_wait);
        loop_deliver(loop);
        serve_libuv(loop);
        return uv_loop_alive(&loop->uv) != 0;
    }
    if (may_wait) {
        wait_in_libuv(loop);
    }
    return uv_run(&loop->uv, UV_RUN_NOWAIT) != 0;
}

void loop_run(Loop *loop)
{
    while (loop_turn(loop, true)) {
    }
}

void loop_stop(Loop *loop)
{
    if (!loop->stopping) {
        loop->stopping = true;
        uv_close((uv_handle_t *)&loop->bell, NULL);
    }
}

uint64_t loop_mono_ms(void)
{
    return uv_hrtime() / NS_PER_MS;
}

int64_t loop_wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

int32_t loop_utc_offset_s(int64_t wall_ms)
{
    time_t second = (time_t)(wall_ms / MS_PER_S);
    struct tm local;
    if (localtime_r(&second, &local) == NULL) {
        return 0;
    }
    return (int32_t)local.tm_gmtoff;
}

int32_t utc_offset_s(UtcOffset *kept, int64_t wall_ms)
{
    int64_t quarter = wall_ms / MS_PER_QUARTER;
    if (!kept->known || quarter != kept->quarter) {
        *kept =
            (UtcOffset){.known = true, .quarter = quarter, .offset_s = loop_utc_offset_s(wall_ms)};
    }
    return kept->offset_s;
}
