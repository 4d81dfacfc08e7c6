/* bench_floor: the least that a server can do which tells everybody what one says. One thread, one
 * epoll, no protocol, no names, no rooms, no disk: the measure beside which the others stand.
 *
 *   bench_floor PORT [SECONDS]      on loopback; ends by itself after 300 s
 *
 * Each whole line of a connection is written to all the others: one send() for each piece read and
 * receiver. What a socket refuses waits in its connection's buffer. */
#include "connection.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PENDING_MAX = 64 << 20, /* bytes that wait for a reader; more, and it is hung up on */
    BACKLOG = 4096,
    EVENTS_MAX = 256,
    SECONDS_DEFAULT = 300,
};

typedef struct Guest {
    Connection connection;
    size_t place;
} Guest;

typedef struct Floor {
    Guest **guests;
    size_t count;
    size_t capacity;
    int listener;
    int poll;
    char *scratch;
} Floor;

static void guest_watch(Guest *guest, int operation)
{
    Connection *connection = &guest->connection;
    struct epoll_event event = {
        .events = EPOLLIN | (connection->waits ? (uint32_t)EPOLLOUT : 0),
        .data.ptr = guest,
    };
    epoll_ctl(connection->poll, operation, connection->fd, &event);
}

static void guest_leave(Floor *server, Guest *guest)
{
    Guest *last = server->guests[--server->count];
    server->guests[guest->place] = last;
    last->place = guest->place;
    connection_done(&guest->connection);
    mem_free(guest);
}

static void guest_tell(Guest *guest, const char *bytes, size_t len)
{
    Connection *connection = &guest->connection;
    if (connection->out.len == 0) {
        ssize_t sent = send(connection->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        size_t done = sent > 0 ? (size_t)sent : 0;
        if (done == len) {
            return;
        }
        bytes += done;
        len -= done;
    }
    if (connection->out.len + len > PENDING_MAX) {
        shutdown(connection->fd, SHUT_RDWR);
        return;
    }
    connection_put(connection, bytes, len);
    connection_flush(connection);
}

static void guest_enter(Floor *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) {
        return;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (server->count == server->capacity) {
        server->capacity = server->capacity > 0 ? 2 * server->capacity : 64;
        server->guests =
            (Guest **)mem_resize((void *)server->guests, server->capacity, sizeof(Guest *));
    }
    Guest *guest = mem_new(Guest);
    guest->connection = (Connection){.fd = fd, .poll = server->poll, .owner = guest};
    guest->place = server->count;
    server->guests[server->count++] = guest;
    guest_watch(guest, EPOLL_CTL_ADD);
    guest_tell(guest, "\n", 1); /* it is in */
}

static void guest_says(Floor *server, Guest *guest)
{
    size_t len = connection_receive(&guest->connection, server->scratch);
    if (guest->connection.fd < 0) {
        guest_leave(server, guest);
        return;
    }
    const char *end = memrchr(server->scratch, '\n', len);
    size_t whole = end != NULL ? (size_t)(end - server->scratch) + 1 : 0;
    for (size_t i = 0; whole > 0 && i < server->count; i++) {
        if (server->guests[i] != guest) {
            guest_tell(server->guests[i], server->scratch, whole);
        }
    }
    if (len > 0) {
        connection_keep(&guest->connection, server->scratch + whole, len - whole);
    }
}

static void floor_listen(Floor *server, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    int one = 1;
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(server->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(server->listener, BACKLOG) != 0) {
        give_up("port %u: %s", port, strerror(errno));
    }
    server->poll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(server->poll, EPOLL_CTL_ADD, server->listener, &event);
}

int main(int argc, char **argv)
{
    Floor server = {.scratch = mem_alloc(SCRATCH_BYTES)};
    unsigned long port = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    if (port < 1 || port > UINT16_MAX) {
        give_up("usage: bench_floor PORT [SECONDS]");
    }
    signal(SIGPIPE, SIG_IGN);
    prepare_process(argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : SECONDS_DEFAULT);
    floor_listen(&server, (uint16_t)port);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        int count = epoll_wait(server.poll, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            Guest *guest = events[i].data.ptr;
            if (guest == NULL) {
                guest_enter(&server);
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0) {
                connection_flush(&guest->connection);
            }
            if ((events[i].events & ~(uint32_t)EPOLLOUT) != 0) {
                guest_says(&server, guest);
            }
        }
    }
}
