/* The owner thread's loop and its mailbox. */
#include "io/loop.h"

#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

enum { NS_PER_MS = 1000000, MS_PER_S = 1000, MS_PER_QUARTER = 15 * 60 * MS_PER_S };

struct Loop {
    uv_loop_t uv;
    uv_async_t bell;
    _Atomic(Mail *) mailbox; /* newest first */
    bool stopping;
};

/* Takes the whole stack at once and turns it round: mail is delivered in the order it came. */
static void loop_deliver(uv_async_t *bell)
{
    Loop *loop = bell->data;
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
    loop_must(uv_async_init(&loop->uv, &loop->bell, loop_deliver), "event loop");
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

void loop_post(Loop *loop, Mail *mail)
{
    Mail *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);
    do {
        mail->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->mailbox, &head, mail,
                                                    memory_order_release, memory_order_relaxed));
    uv_async_send(&loop->bell);
}

void loop_run(Loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
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
