/* Try first (that is the shortest way from a message to a screen), wait only where the kernel says
 * so. */
#include "face/writer.h"

#include "base/strbuf.h"
#include "face/watch.h"

#include <errno.h>
#include <signal.h>

/* A piece at a time, so that a terminal that was stopped half-way has little to catch up with. */
enum { WRITER_PIECE_BYTES = 64 * 1024 };

struct Writer {
    OwnFd fd;
    const WriterEvents *events;
    void *context;
    StrBuf waiting;
    size_t written; /* of waiting */
    uint64_t progress_ms;
    int error;
    bool watched;
    Watch watch;
    uv_idle_t idle; /* tells the error from the loop */
    size_t open_handles;
    void (*on_closed)(void *context);
    void *closed_context;
};

static void writer_tell_broken(uv_idle_t *idle)
{
    Writer *writer = idle->data;
    uv_idle_stop(idle);
    writer->events->on_broken(writer->context, writer->error);
}

static void writer_break(Writer *writer, int error)
{
    writer->error = error;
    strbuf_clear(&writer->waiting);
    writer->written = 0;
    if (writer->watched) {
        watch_stop(&writer->watch);
    }
    uv_idle_start(&writer->idle, writer_tell_broken);
}

static void writer_flush(Writer *writer)
{
    while (writer->written < writer->waiting.len) {
        size_t len = writer->waiting.len - writer->written;
        len = len < WRITER_PIECE_BYTES ? len : WRITER_PIECE_BYTES;
        ssize_t done = own_fd_write(&writer->fd, writer->waiting.text + writer->written, len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0 && errno == EAGAIN && writer->watched) {
            watch_start(&writer->watch);
            return;
        }
        if (done < 0) {
            writer_break(writer, errno);
            return;
        }
        writer->written += (size_t)done;
        writer->progress_ms = loop_mono_ms();
    }
    strbuf_clear(&writer->waiting);
    writer->written = 0;
    if (writer->watched) {
        watch_stop(&writer->watch);
    }
}

static void writer_ready(void *context)
{
    Writer *writer = context;
    writer_flush(writer);
    if (writer->waiting.len == 0 && writer->error == 0) {
        writer->events->on_idle(writer->context);
    }
}

Writer *writer_open(Loop *loop, int fd, const WriterEvents *events, void *context)
{
    signal(SIGPIPE, SIG_IGN);
    Writer *writer = mem_new(Writer);
    writer->events = events;
    writer->context = context;
    writer->fd.fd = -1;
    writer->progress_ms = loop_mono_ms();
    uv_idle_init(loop_uv(loop), &writer->idle);
    writer->idle.data = writer;
    writer->open_handles = 1;
    if (own_fd_open(fd, OWN_FD_WRITE, &writer->fd) != ERR_OK) {
        writer_break(writer, errno);
        return writer;
    }
    Err err = watch_open(&writer->watch, loop, &writer->fd, OWN_FD_WRITE, writer_ready, writer);
    if (err == ERR_OK) {
        writer->watched = true;
        writer->open_handles++;
    } else if (err == ERR_INVALID) {
        writer->fd.kind = OWN_FD_FILE;
    } else {
        writer_break(writer, errno);
    }
    return writer;
}

void writer_add(Writer *writer, const char *text, size_t len)
{
    if (writer->error != 0 || len == 0) {
        return;
    }
    bool waits = writer->waiting.len > 0;
    strbuf_add(&writer->waiting, text, len);
    if (!waits) {
        writer_flush(writer);
    }
}

size_t writer_pending(const Writer *writer)
{
    return writer->waiting.len - writer->written;
}

int writer_error(const Writer *writer)
{
    return writer->error;
}

uint64_t writer_progress_ms(const Writer *writer)
{
    return writer->progress_ms;
}

static void writer_handle_closed(void *context)
{
    Writer *writer = context;
    if (--writer->open_handles > 0) {
        return;
    }
    own_fd_close(&writer->fd);
    strbuf_done(&writer->waiting);
    void (*done)(void *) = writer->on_closed;
    void *closed_context = writer->closed_context;
    mem_free(writer);
    done(closed_context);
}

static void writer_idle_closed(uv_handle_t *handle)
{
    writer_handle_closed(handle->data);
}

void writer_close(Writer *writer, void (*done)(void *context), void *context)
{
    if (writer == NULL) {
        done(context);
        return;
    }
    writer->on_closed = done;
    writer->closed_context = context;
    writer->error = ECANCELED; /* drops what is added from here on */
    uv_close((uv_handle_t *)&writer->idle, writer_idle_closed);
    if (writer->watched) {
        watch_close(&writer->watch, writer_handle_closed);
    }
}
