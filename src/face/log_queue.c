/* A ring under a mutex. The one mail is in the loop's mailbox or not; closing waits for it. */
#include "face/log_queue.h"

#include "base/strbuf.h"

#include <pthread.h>

struct LogQueue {
    Mail mail;
    Loop *loop;
    pthread_mutex_t mutex; /* for what follows, to posted */
    char *lines[LOG_QUEUE_MAX_LINES];
    size_t first;
    size_t count;
    unsigned long dropped;
    bool posted;

    /* Owner thread. */
    void (*on_ready)(void *context);
    void *context;
    void (*on_closed)(void *context);
    void *closed_context;
};

static void log_queue_sink(void *context, LogLevel level, const char *line)
{
    LogQueue *queue = context;
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text, "%s: %s", log_level_name(level), line);
    pthread_mutex_lock(&queue->mutex);
    if (queue->count == LOG_QUEUE_MAX_LINES) {
        queue->dropped++;
    } else {
        size_t at = (queue->first + queue->count++) % LOG_QUEUE_MAX_LINES;
        queue->lines[at] = strbuf_take(&text);
    }
    bool post = !queue->posted;
    queue->posted = true;
    pthread_mutex_unlock(&queue->mutex);
    if (post) {
        loop_post(queue->loop, &queue->mail);
    }
}

char *log_queue_take(LogQueue *queue)
{
    char *line = NULL;
    pthread_mutex_lock(&queue->mutex);
    if (queue->count > 0) {
        line = TAKE(queue->lines[queue->first]);
        queue->first = (queue->first + 1) % LOG_QUEUE_MAX_LINES;
        queue->count--;
    } else if (queue->dropped > 0) {
        StrBuf text = {0};
        strbuf_addf(&text, "%lu more lines were dropped", queue->dropped);
        queue->dropped = 0;
        line = strbuf_take(&text);
    }
    pthread_mutex_unlock(&queue->mutex);
    return line;
}

static void log_queue_free(LogQueue *queue)
{
    for (char *line = log_queue_take(queue); line != NULL; line = log_queue_take(queue)) {
        mem_free(line);
    }
    pthread_mutex_destroy(&queue->mutex);
    void (*done)(void *) = queue->on_closed;
    void *context = queue->closed_context;
    mem_free(queue);
    done(context);
}

static void log_queue_deliver(Mail *mail, bool ok)
{
    (void)ok;
    LogQueue *queue = (LogQueue *)mail;
    pthread_mutex_lock(&queue->mutex);
    queue->posted = false;
    pthread_mutex_unlock(&queue->mutex);
    if (queue->on_closed != NULL) {
        log_queue_free(queue);
    } else {
        queue->on_ready(queue->context);
    }
}

LogQueue *log_queue_open(Loop *loop, void (*on_ready)(void *context), void *context)
{
    LogQueue *queue = mem_new(LogQueue);
    queue->mail.deliver = log_queue_deliver;
    queue->loop = loop;
    queue->on_ready = on_ready;
    queue->context = context;
    pthread_mutex_init(&queue->mutex, NULL);
    log_set_sink(log_queue_sink, queue);
    return queue;
}

void log_queue_close(LogQueue *queue, void (*done)(void *context), void *context)
{
    log_set_sink(NULL, NULL);
    queue->on_closed = done;
    queue->closed_context = context;
    pthread_mutex_lock(&queue->mutex);
    bool posted = queue->posted;
    pthread_mutex_unlock(&queue->mutex);
    if (!posted) {
        log_queue_free(queue);
    }
}
