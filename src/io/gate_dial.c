/* From a name to a connection. The system's resolver takes the time it likes, so each name that is
 * no address has a thread of its own for that: nobody waits for it, also not this process's end.
 *
 *   gate thread -- GateResolve --> getaddrinfo() on its thread -- COMMAND_RESOLVED --> gate thread
 *                                                        `-- nobody wants it any more: dropped */
#include "io/gate_internal.h"

#include "base/strbuf.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    /* Then the next address has its turn. */
    ADDRESS_MS = 2 * 1000,
    PORT_TEXT_BYTES = 8,
    RESOLVER_STACK_BYTES = 512 * 1024,
};

struct GateResolve {
    pthread_mutex_t lock;
    Gate *gate; /* NULL: abandoned */
    bool done;
    uint64_t id;
    char *host;
    uint16_t port;
};

void gate_address_text(const struct sockaddr_storage *address,
                       char ret_text[GATE_ADDRESS_MAX_BYTES])
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    socklen_t len =
        address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    ret_text[0] = '\0';
    if (getnameinfo((const struct sockaddr *)address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        /* At most 46 bytes, a scope of 16, and a port. */
        snprintf(ret_text, GATE_ADDRESS_MAX_BYTES,
                 address->ss_family == AF_INET6 ? "[%.50s]:%.5s" : "%.50s:%.5s", host, port);
    }
}

/* ---- names ---- */

static int look_up(const char *host, uint16_t port, int flags, struct addrinfo **ret_addresses)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV};
    char text[PORT_TEXT_BYTES];
    snprintf(text, sizeof(text), "%u", (unsigned)port);
    return getaddrinfo(host, text, &hints, ret_addresses);
}

static void resolve_free(GateResolve *resolve)
{
    pthread_mutex_destroy(&resolve->lock);
    mem_free(resolve->host);
    mem_free(resolve);
}

static void *resolve_run(void *argument)
{
    GateResolve *resolve = argument;
    GateCommand command = {.kind = COMMAND_RESOLVED, .id = resolve->id};
    int result = look_up(resolve->host, resolve->port, 0, &command.addresses);
    if (result != 0) {
        command.addresses = NULL;
        command.text = mem_copy_string(gai_strerror(result));
    }
    pthread_mutex_lock(&resolve->lock);
    bool wanted = resolve->gate != NULL;
    if (wanted) {
        gate_command(resolve->gate, &command);
    }
    resolve->done = true;
    pthread_mutex_unlock(&resolve->lock);
    if (!wanted) {
        if (command.addresses != NULL) {
            freeaddrinfo(command.addresses);
        }
        mem_free(command.text);
        resolve_free(resolve);
    }
    return NULL;
}

static bool resolve_start(GateConn *conn)
{
    GateResolve *resolve = mem_new(GateResolve);
    pthread_mutex_init(&resolve->lock, NULL);
    resolve->gate = conn->gate;
    resolve->id = conn->id;
    resolve->host = mem_copy_string(conn->dial->host);
    resolve->port = conn->dial->port;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, RESOLVER_STACK_BYTES);
    pthread_t thread;
    int result = pthread_create(&thread, &attributes, resolve_run, resolve);
    pthread_attr_destroy(&attributes);
    if (result != 0) {
        resolve_free(resolve);
        return false;
    }
    conn->resolve = resolve;
    return true;
}

/* The one of the two who comes last frees it. */
static void resolve_abandon(GateResolve *resolve)
{
    pthread_mutex_lock(&resolve->lock);
    bool done = resolve->done;
    resolve->gate = NULL;
    pthread_mutex_unlock(&resolve->lock);
    if (done) {
        resolve_free(resolve);
    }
}

/* ---- addresses ---- */

static void remember_failure(GateConn *conn, int error)
{
    const char *why = strerror(error);
    if (error == ECONNREFUSED) {
        why = "connection refused: nothing listens there";
    } else if (error == ETIMEDOUT) {
        why = "no answer: connecting timed out";
    }
    mem_free(conn->failure);
    conn->failure = mem_copy_string(why);
}

/* What is left of the time is for all that are left; the last may have all of it. */
static uint64_t address_deadline(const GateConn *conn)
{
    uint64_t now_ms = loop_mono_ms();
    uint64_t until_ms = now_ms + ADDRESS_MS;
    bool is_last = conn->address->ai_next == NULL;
    return is_last || until_ms > conn->connect_until_ms ? conn->connect_until_ms : until_ms;
}

static void connected(GateConn *conn)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    if (getpeername(conn->tcp.fd, (struct sockaddr *)&address, &len) == 0) {
        gate_address_text(&address, conn->peer.address);
    }
    gate_conn_deadline(conn, loop_mono_ms() + GATE_DEADLINE_MS);
    gate_conn_secure(conn, conn->tcp.fd, conn->gate->dialling);
}

/* True: it is on its way, or there. */
static bool try_address(GateConn *conn)
{
    const struct addrinfo *address = conn->address;
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        remember_failure(conn, errno);
        return false;
    }
    conn->tcp = (GateWatch){.conn = conn, .fd = fd};
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
        remember_failure(conn, errno);
        close(fd);
        conn->tcp.fd = -1;
        return false;
    }
    conn->stage = STAGE_CONNECTING;
    gate_conn_deadline(conn, address_deadline(conn));
    gate_watch(conn->gate, &conn->tcp, EPOLLOUT);
    return true;
}

static void try_addresses(GateConn *conn)
{
    while (conn->address != NULL) {
        if (try_address(conn)) {
            return;
        }
        conn->address = conn->address->ai_next;
    }
    gate_conn_fail(conn, ERR_IO, conn->failure != NULL ? conn->failure : "it has no address");
}

static void try_next(GateConn *conn)
{
    close(conn->tcp.fd);
    conn->tcp.fd = -1;
    conn->address = conn->address->ai_next;
    try_addresses(conn);
}

void gate_dial_event(GateConn *conn)
{
    int error = 0;
    socklen_t len = sizeof(error);
    if (getsockopt(conn->tcp.fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error == 0) {
        connected(conn);
    } else {
        remember_failure(conn, error);
        try_next(conn);
    }
}

void gate_dial_late(GateConn *conn, uint64_t now_ms)
{
    if (conn->stage == STAGE_RESOLVING) {
        gate_conn_fail(conn, ERR_IO, "finding its address timed out");
        return;
    }
    remember_failure(conn, ETIMEDOUT);
    if (now_ms >= conn->connect_until_ms) {
        gate_conn_fail(conn, ERR_IO, conn->failure);
    } else {
        try_next(conn);
    }
}

/* ---- from the owner ---- */

static void take_addresses(GateConn *conn, struct addrinfo *addresses)
{
    conn->addresses = addresses;
    conn->address = addresses;
    try_addresses(conn);
}

void gate_dial_begin(Gate *gate, GateCommand *command)
{
    GateConn *conn = gate_conn_new(gate, command->id);
    conn->dial = TAKE(command->dial);
    conn->stage = STAGE_RESOLVING;
    conn->peer.dialled = true;
    conn->connect_until_ms = loop_mono_ms() + GATE_CONNECT_MS;
    gate_conn_deadline(conn, conn->connect_until_ms);
    struct addrinfo *addresses = NULL;
    if (gate->leaving) {
        gate_conn_fail(conn, ERR_UNAVAILABLE, "this node is leaving");
    } else if (!conn->dial->joins && !gate->has_network) {
        gate_conn_fail(conn, ERR_INVALID, "this node is of no network");
    } else if (look_up(conn->dial->host, conn->dial->port, AI_NUMERICHOST, &addresses) == 0) {
        take_addresses(conn, addresses);
    } else if (!resolve_start(conn)) {
        gate_conn_fail(conn, ERR_IO, "there is no thread left to find its address");
    }
}

void gate_dial_resolved(GateConn *conn, GateCommand *command)
{
    resolve_abandon(TAKE(conn->resolve));
    if (command->addresses == NULL) {
        StrBuf text = {0};
        strbuf_addf(&text, "its name is not known: %s", command->text);
        gate_conn_fail(conn, ERR_NOT_FOUND, strbuf_text(&text));
        strbuf_done(&text);
        return;
    }
    take_addresses(conn, TAKE(command->addresses));
}

void gate_dial_abandon(GateConn *conn)
{
    gate_dial_free(TAKE(conn->dial));
    if (conn->resolve != NULL) {
        resolve_abandon(TAKE(conn->resolve));
    }
    if (conn->addresses != NULL) {
        freeaddrinfo(TAKE(conn->addresses));
    }
}
