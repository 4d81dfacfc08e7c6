/* Two ways to read, one to the outside:
 *
 *   terminal, pipe, socket    watch -> read until EAGAIN   (one read a round: others get a turn)
 *   file, /dev/null           idle -> uv_fs_read -> thread pool -> on_data
 *
 * The idle handle starts each file's read from the loop, so that starting a reader inside on_data
 * never nests. */
#include "face/reader.h"

#include "base/mem.h"
#include "face/watch.h"

#include <errno.h>

struct Reader {
    OwnFd fd;
    const ReaderEvents *events;
    void *context;
    bool watched; /* else read through the thread pool */
    bool started;
    bool ended;
    int open_error; /* errno; told at the first round */
    Watch watch;
    uv_idle_t idle;
    uv_fs_t request;
    bool request_pending;
    size_t open_handles;
    void (*on_closed)(void *context);
    void *closed_context;
    char chunk[READER_CHUNK_BYTES];
};

static void reader_end(Reader *reader, int error)
{
    reader->ended = true;
    reader_stop(reader);
    reader->events->on_end(reader->context, error);
}

static void reader_take(Reader *reader, ssize_t len, int error)
{
    if (len > 0) {
        reader->events->on_data(reader->context, reader->chunk, (size_t)len);
    } else if (len == 0 || (error != EAGAIN && error != EINTR)) {
        reader_end(reader, len == 0 ? 0 : error);
    }
}

static void reader_ready(void *context)
{
    Reader *reader = context;
    ssize_t len = own_fd_read(&reader->fd, reader->chunk, sizeof(reader->chunk));
    reader_take(reader, len, errno);
}

static void reader_release(Reader *reader)
{
    if (reader->open_handles > 0 || reader->request_pending) {
        return;
    }
    own_fd_close(&reader->fd);
    void (*done)(void *) = reader->on_closed;
    void *context = reader->closed_context;
    mem_free(reader);
    done(context);
}

static void reader_file_read(uv_fs_t *request)
{
    Reader *reader = request->data;
    ssize_t len = request->result;
    uv_fs_req_cleanup(request);
    reader->request_pending = false;
    if (reader->on_closed != NULL) {
        reader_release(reader);
        return;
    }
    if (reader->started) {
        reader_start(reader); /* on to the next piece, unless on_data stops us */
    }
    reader_take(reader, len < 0 ? -1 : len, len < 0 ? (int)-len : 0);
}

static void reader_idle(uv_idle_t *idle)
{
    Reader *reader = idle->data;
    uv_idle_stop(idle);
    if (reader->open_error != 0) {
        reader_end(reader, reader->open_error);
        return;
    }
    if (reader->request_pending) {
        return;
    }
    uv_buf_t buffer = uv_buf_init(reader->chunk, sizeof(reader->chunk));
    reader->request.data = reader;
    int result = uv_fs_read(idle->loop, &reader->request, reader->fd.fd, &buffer, 1,
                            -1 /* where the description stands */, reader_file_read);
    if (result < 0) {
        reader_end(reader, -result);
        return;
    }
    reader->request_pending = true;
}

Reader *reader_open(Loop *loop, int fd, const ReaderEvents *events, void *context)
{
    Reader *reader = mem_new(Reader);
    reader->events = events;
    reader->context = context;
    reader->fd.fd = -1;
    uv_idle_init(loop_uv(loop), &reader->idle);
    reader->idle.data = reader;
    reader->open_handles = 1;
    if (own_fd_open(fd, OWN_FD_READ, &reader->fd) != ERR_OK) {
        reader->open_error = errno;
        return reader;
    }
    Err err = watch_open(&reader->watch, loop, &reader->fd, OWN_FD_READ, reader_ready, reader);
    if (err == ERR_OK) {
        reader->watched = true;
        reader->open_handles++;
    } else if (err != ERR_INVALID) {
        reader->open_error = errno;
    }
    return reader;
}

void reader_start(Reader *reader)
{
    if (reader->ended) {
        return;
    }
    reader->started = true;
    if (reader->watched) {
        watch_start(&reader->watch);
    } else {
        uv_idle_start(&reader->idle, reader_idle);
    }
}

void reader_stop(Reader *reader)
{
    reader->started = false;
    uv_idle_stop(&reader->idle);
    if (reader->watched) {
        watch_stop(&reader->watch);
    }
}

static void reader_watch_closed(void *context)
{
    Reader *reader = context;
    reader->open_handles--;
    reader_release(reader);
}

static void reader_idle_closed(uv_handle_t *handle)
{
    reader_watch_closed(handle->data);
}

void reader_close(Reader *reader, void (*done)(void *context), void *context)
{
    if (reader == NULL) {
        done(context);
        return;
    }
    reader_stop(reader);
    reader->ended = true;
    reader->on_closed = done;
    reader->closed_context = context;
    if (reader->request_pending) {
        uv_cancel((uv_req_t *)&reader->request); /* one that runs already is waited for */
    }
    uv_close((uv_handle_t *)&reader->idle, reader_idle_closed);
    if (reader->watched) {
        watch_close(&reader->watch, reader_watch_closed);
    }
}
