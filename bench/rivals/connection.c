#include "connection.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_MAX = 1024 };

/* ---- buffers ---- */

char *buffer_reserve(Buffer *buffer, size_t more)
{
    if (buffer->len + more > buffer->capacity) {
        buffer->capacity = (buffer->len + more) * 2;
        buffer->bytes = mem_resize(buffer->bytes, buffer->capacity, 1);
    }
    return buffer->bytes + buffer->len;
}

void buffer_put(Buffer *buffer, const void *bytes, size_t len)
{
    if (len > 0) {
        memcpy(buffer_reserve(buffer, len), bytes, len);
        buffer->len += len;
    }
}

void buffer_drop(Buffer *buffer, size_t len)
{
    if (len > 0) {
        buffer->len -= len;
        memmove(buffer->bytes, buffer->bytes + len, buffer->len);
    }
}

void buffer_free(Buffer *buffer)
{
    mem_free(buffer->bytes);
    *buffer = (Buffer){0};
}

/* ---- connections ---- */

static void watch(Connection *connection, int operation)
{
    struct epoll_event event = {
        .events = (connection->deaf ? 0 : (uint32_t)EPOLLIN) |
                  (connection->waits ? (uint32_t)EPOLLOUT : 0),
        .data.ptr = connection->owner,
    };
    if (epoll_ctl(connection->poll, operation, connection->fd, &event) != 0) {
        give_up("epoll_ctl: %s", strerror(errno));
    }
}

void connection_dial(Connection *connection, const Address *to, int poll, void *owner,
                     int receive_bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(to->port)};
    if (inet_pton(AF_INET, to->host, &address.sin_addr) != 1) {
        give_up("%s is not an IPv4 address", to->host);
    }
    *connection = (Connection){.poll = poll, .owner = owner};
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connection->fd < 0) {
        give_up("socket: %s", strerror(errno));
    }
    if (receive_bytes > 0) {
        setsockopt(connection->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    }
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        give_up("connecting to %s:%u: %s", to->host, to->port, strerror(errno));
    }
    int one = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (to->tls) {
        connection->tls = tls_begin(connection->fd);
    }
    watch(connection, EPOLL_CTL_ADD);
}

void connection_put(Connection *connection, const void *bytes, size_t len)
{
    buffer_put(&connection->out, bytes, len);
}

void connection_put_text(Connection *connection, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *at = buffer_reserve(&connection->out, TEXT_MAX);
    int len = vsnprintf(at, TEXT_MAX, format, arguments);
    va_end(arguments);
    if (len < 0 || len >= TEXT_MAX) {
        give_up("a line of the protocol is too long");
    }
    connection->out.len += (size_t)len;
}

static ssize_t connection_send(const Connection *connection, const char *bytes, size_t len)
{
    return connection->tls != NULL ? tls_send(connection->tls, bytes, len)
                                   : send(connection->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static ssize_t connection_read(const Connection *connection, char *bytes, size_t len)
{
    return connection->tls != NULL ? tls_receive(connection->tls, bytes, len)
                                   : recv(connection->fd, bytes, len, MSG_DONTWAIT);
}

void connection_flush(Connection *connection)
{
    Buffer *out = &connection->out;
    size_t sent = 0;
    while (sent < out->len && connection->fd >= 0) {
        ssize_t took = connection_send(connection, out->bytes + sent, out->len - sent);
        if (took <= 0 && errno != EINTR) {
            break;
        }
        sent += took > 0 ? (size_t)took : 0;
    }
    buffer_drop(out, sent);
    bool waits = out->len > 0;
    if (connection->fd >= 0 && !connection->deaf && waits != connection->waits) {
        connection->waits = waits;
        watch(connection, EPOLL_CTL_MOD);
    }
}

void connection_stop_reading(Connection *connection)
{
    /* Out of epoll altogether: a hang-up would be told whatever is asked for. */
    connection->deaf = true;
    epoll_ctl(connection->poll, EPOLL_CTL_DEL, connection->fd, NULL);
}

void connection_close(Connection *connection)
{
    if (connection->fd >= 0) {
        tls_end(TAKE(connection->tls));
        close(connection->fd);
        connection->fd = -1;
    }
}

void connection_done(Connection *connection)
{
    if (connection->owner != NULL) {
        connection_close(connection);
    }
    buffer_free(&connection->out);
    buffer_free(&connection->rest);
}

size_t connection_receive(Connection *connection, char *scratch)
{
    size_t kept = connection->rest.len;
    if (kept == SCRATCH_BYTES) {
        give_up("a piece of the protocol is longer than %d bytes", SCRATCH_BYTES);
    }
    if (kept > 0) {
        memcpy(scratch, connection->rest.bytes, kept);
    }
    ssize_t len = connection_read(connection, scratch + kept, SCRATCH_BYTES - kept);
    if (len > 0) {
        return kept + (size_t)len;
    }
    if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection_close(connection);
    }
    return 0;
}

void connection_keep(Connection *connection, const char *bytes, size_t len)
{
    connection->rest.len = 0;
    buffer_put(&connection->rest, bytes, len);
}

/* ---- the process ---- */

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void complain(const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    fprintf(stderr, "bench: %s\n", text);
}

void give_up(const char *format, ...)
{
    char text[TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    complain("%s", text);
    exit(2);
}

void prepare_process(unsigned limit_s)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    prctl(PR_SET_TIMERSLACK, 1);
    alarm(limit_s);
}
