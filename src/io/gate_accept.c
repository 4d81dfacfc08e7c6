/* Who comes: taken in as one who waits, or turned away by what its address, the gate and this
 * process have room for. */
#include "io/gate_internal.h"

#include "io/listen_socket.h"

#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <utlist.h>

/* The oldest of those that the owner does not think about just now, or else the oldest. */
static void make_room(Gate *gate)
{
    GateConn *oldest = NULL;
    DL_FOREACH(gate->waiting, oldest) {
        if (oldest->stage != STAGE_VERDICT) {
            break;
        }
    }
    gate_conn_fail(oldest != NULL ? oldest : gate->waiting, ERR_LIMIT,
                   "too many came after it that do not say who they are");
}

static void turn_away(Gate *gate, int fd, const char *address, const char *text)
{
    close(fd);
    gate_note_refusal(gate, address, text);
}

static void take_in(Gate *gate, int fd, const struct sockaddr_storage *from)
{
    char address[GATE_ADDRESS_MAX_BYTES];
    gate_address_text(from, address);
    if (fd >= gate->descriptors_max || HASH_COUNT(gate->conns) >= gate->connections_max) {
        turn_away(gate, fd, address, "as many connections are open as may be");
        return;
    }
    uint64_t now_ms = loop_mono_ms();
    const char *reason = NULL;
    GateAddress *counted = gate_limits_enter(&gate->limits, from, now_ms, &reason);
    if (counted == NULL) {
        turn_away(gate, fd, address, reason);
        return;
    }
    if (gate->waiting_count >= GATE_WAITING_MAX) {
        make_room(gate);
    }
    GateConn *conn = gate_conn_new(gate, atomic_fetch_add(&gate->last_id, 1) + 1);
    conn->from = counted;
    conn->came_from = *from;
    memcpy(conn->peer.address, address, sizeof(address));
    DL_APPEND(gate->waiting, conn);
    atomic_store(&gate->count_waiting, ++gate->waiting_count);
    gate_conn_deadline(conn, now_ms + GATE_DEADLINE_MS);
    gate_conn_secure(conn, fd, gate->accepting);
}

static void watch_listeners(Gate *gate, bool accepts)
{
    for (size_t i = 0; i < gate->listeners_count; i++) {
        gate_watch(gate, &gate->listeners[i].watch, accepts ? (uint32_t)EPOLLIN : 0);
    }
}

void gate_accept(Gate *gate, int listening)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from = {0};
        int fd = -1;
        Err err = listen_socket_accept(listening, &fd, &from);
        if (err == ERR_LIMIT) {
            gate->accept_again_ms = loop_mono_ms() + ACCEPT_PAUSE_MS;
            gate->check_ms = 0;
            watch_listeners(gate, false);
        }
        if (err != ERR_OK) {
            return;
        }
        take_in(gate, fd, &from);
    }
}

void gate_accept_listen(Gate *gate, GateCommand *command)
{
    GateWatch *watch = &gate->listeners[gate->listeners_count++].watch;
    *watch = (GateWatch){.fd = command->fd};
    command->fd = -1;
    gate_watch(gate, watch, EPOLLIN);
}

void gate_accept_again(Gate *gate, uint64_t now_ms)
{
    if (gate->accept_again_ms == 0) {
        return;
    }
    if (gate->accept_again_ms <= now_ms) {
        gate->accept_again_ms = 0;
        watch_listeners(gate, true);
    } else if (gate->accept_again_ms < gate->check_ms) {
        gate->check_ms = gate->accept_again_ms;
    }
}

void gate_accept_end(Gate *gate)
{
    for (size_t i = 0; i < gate->listeners_count; i++) {
        gate_watch_close(&gate->listeners[i].watch);
    }
    gate->listeners_count = 0;
}
