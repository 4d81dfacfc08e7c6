/* Carries bytes between TLS and gRPC's descriptor, both ways.
 *
 *   network --SSL_read--> piece --write--> pair          down
 *   network <--SSL_write-- piece <--read-- pair          up
 *
 * The piece is the thread's, so a connection on which nothing moves holds no buffer. What one side
 * does not take is kept as that connection's rest, at most a piece for each way; until it has gone
 * nothing more is read for that way: so who does not read is felt by who sends. */
#include "io/gate_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    /* What waits in the kernel between the two threads; it doubles it. */
    PAIR_BUFFER_BYTES = 256 * 1024,
    /* Of what a program sends: gRPC works through all that is there in one go, and some of HTTP/2
     * costs most by the byte: 7 ms of pings. So each has its turn, and a crowd of them is felt less
     * by the members. */
    PROGRAM_BUFFER_BYTES = 8 * 1024,
    /* How long the other side may take to hear the end; while this node leaves, less. */
    LINGER_MS = 5 * 1000,
    LINGER_LEAVING_MS = 400,
    /* What somebody who is told to go may still have had on its way. */
    DRAIN_MAX_BYTES = 256 * 1024,
};

typedef enum Moved { MOVED, BLOCKED, FAILED } Moved;

void gate_rest_set(GateRest *rest, const uint8_t *data, size_t len)
{
    gate_rest_free(rest);
    if (len > 0) {
        rest->data = mem_resize(NULL, len, 1);
        memcpy(rest->data, data, len);
        rest->len = len;
    }
}

void gate_rest_free(GateRest *rest)
{
    mem_free(rest->data);
    *rest = (GateRest){0};
}

/* ---- up: to the network ---- */

/* How much of it went, which may be part of it. */
static Moved tls_write(GateConn *conn, const uint8_t *data, size_t len, size_t *ret_written)
{
    size_t written = 0;
    Moved moved = MOVED;
    while (written < len && moved == MOVED) {
        size_t count = 0;
        ERR_clear_error();
        int result = SSL_write_ex(conn->ssl, data + written, len - written, &count);
        if (result == 1) {
            written += count;
            continue;
        }
        int error = SSL_get_error(conn->ssl, result);
        moved = error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ ? BLOCKED : FAILED;
    }
    *ret_written = written;
    return moved;
}

static Moved flush_up(GateConn *conn)
{
    GateRest *rest = &conn->up;
    if (rest->data == NULL) {
        return MOVED;
    }
    size_t written = 0;
    Moved moved = tls_write(conn, rest->data + rest->at, rest->len - rest->at, &written);
    rest->at += written;
    if (moved == MOVED) {
        gate_rest_free(rest);
    }
    return moved;
}

bool gate_pump_flush_up(GateConn *conn)
{
    Moved moved = flush_up(conn);
    if (moved == FAILED) {
        gate_conn_fail(conn, ERR_IO, "it closed the connection");
    }
    return moved == MOVED;
}

void gate_pump_hurry(GateConn *conn)
{
    if (conn->up_closed || conn->stage == STAGE_LAST_WORD) {
        gate_conn_deadline(conn,
                           loop_mono_ms() + (conn->gate->leaving ? LINGER_LEAVING_MS : LINGER_MS));
    }
}

static Moved close_up(GateConn *conn)
{
    if (!conn->up_closed) {
        conn->up_closed = true;
        ERR_clear_error();
        SSL_shutdown(
            conn->ssl); /* close_notify; that the other side's is not there, is no matter */
        shutdown(conn->tcp.fd, SHUT_WR);
        gate_pump_hurry(conn);
    }
    return MOVED;
}

static Moved pump_up(GateConn *conn)
{
    Gate *gate = conn->gate;
    for (size_t moved = 0; moved < PUMP_TURN_BYTES;) {
        Moved flushed = flush_up(conn);
        if (flushed != MOVED) {
            return flushed;
        }
        if (conn->up_ended) {
            return close_up(conn);
        }
        ssize_t got = read(conn->pair.fd, gate->piece, sizeof(gate->piece));
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            return MOVED;
        }
        if (got <= 0) {
            conn->up_ended = true; /* gRPC is done with it */
            continue;
        }
        size_t len = (size_t)got;
        size_t written = 0;
        Moved now = tls_write(conn, gate->piece, len, &written);
        if (now == FAILED) {
            return FAILED;
        }
        if (written < len) {
            gate_rest_set(&conn->up, gate->piece + written, len - written);
            return BLOCKED;
        }
        moved += len;
        if (len < sizeof(gate->piece)) {
            return MOVED; /* that was all, most likely; epoll knows */
        }
    }
    gate_conn_again(conn);
    return MOVED;
}

/* ---- down: to gRPC ---- */

static Moved pair_write(GateConn *conn, const uint8_t *data, size_t len, size_t *ret_written)
{
    size_t written = 0;
    while (written < len) {
        ssize_t count = send(conn->pair.fd, data + written, len - written, MSG_NOSIGNAL);
        if (count >= 0) {
            written += (size_t)count;
        } else if (errno == EAGAIN) {
            *ret_written = written;
            return BLOCKED;
        } else if (errno != EINTR) {
            return FAILED;
        }
    }
    *ret_written = written;
    return MOVED;
}

/* What may go of it now. */
static size_t down_ready(const GateConn *conn)
{
    return conn->down.len - conn->down.at - conn->held;
}

static Moved flush_down(GateConn *conn)
{
    GateRest *rest = &conn->down;
    if (rest->data == NULL) {
        return MOVED;
    }
    size_t written = 0;
    Moved moved = pair_write(conn, rest->data + rest->at, down_ready(conn), &written);
    rest->at += written;
    if (moved == MOVED && conn->held > 0) {
        return BLOCKED;
    }
    if (moved != BLOCKED) {
        gate_rest_free(rest);
        conn->held = 0;
    }
    return moved;
}

/* Several records, as far as they are there: one write takes them all. */
static Moved tls_read(GateConn *conn, size_t *ret_len)
{
    Gate *gate = conn->gate;
    size_t len = 0;
    while (len < sizeof(gate->piece)) {
        size_t count = 0;
        ERR_clear_error();
        int result = SSL_read_ex(conn->ssl, gate->piece + len, sizeof(gate->piece) - len, &count);
        if (result == 1) {
            len += count;
            continue;
        }
        int error = SSL_get_error(conn->ssl, result);
        *ret_len = len;
        if (error == SSL_ERROR_ZERO_RETURN) {
            conn->down_ended = true;
            return MOVED;
        }
        return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? BLOCKED : FAILED;
    }
    *ret_len = len;
    return MOVED;
}

/* gRPC has closed its end: what still comes is for nobody, but is taken, so that what it said last
 * is not lost by a reset. */
static Moved drop_down(GateConn *conn, size_t len)
{
    conn->drained += len;
    return conn->drained > DRAIN_MAX_BYTES ? FAILED : MOVED;
}

/* How much of it may go; FAILED: it has passed, and floods. On trial what is too much waits: an
 * honest program that begins with many calls is vouched for with the first of them. Calls that come
 * faster than they may wait always. */
static Moved count_down(GateConn *conn, const uint8_t *data, size_t len, size_t *ret_goes)
{
    uint64_t frames_max = UINT64_MAX;
    size_t most = len;
    if (conn->on_trial) {
        size_t left = GATE_TRIAL_BYTES - conn->trial_bytes;
        frames_max = GATE_TRIAL_FRAMES;
        most = left < len ? left : len;
    }
    *ret_goes = gate_frames_walk(&conn->frames, &conn->gate->frames, data, most, frames_max,
                                 loop_mono_ms());
    conn->trial_bytes += conn->on_trial ? *ret_goes : 0;
    const char *excess = gate_frames_excess(&conn->frames, &conn->gate->frames);
    if (excess != NULL && !conn->on_trial) {
        gate_conn_cut_off(conn, excess);
        return FAILED;
    }
    return MOVED;
}

static void hold(GateConn *conn, size_t len)
{
    conn->held = len;
    if (len > 0 && !conn->on_trial) {
        gate_conn_pace(conn);
    }
}

static Moved give_down(GateConn *conn, size_t len)
{
    Gate *gate = conn->gate;
    size_t goes = 0;
    size_t written = 0;
    if (count_down(conn, gate->piece, len, &goes) == FAILED) {
        return FAILED;
    }
    Moved moved = conn->pair.gone ? FAILED : pair_write(conn, gate->piece, goes, &written);
    if (moved == FAILED) {
        return drop_down(conn, len);
    }
    if (written < len) {
        gate_rest_set(&conn->down, gate->piece + written, len - written);
        hold(conn, len - goes);
        return BLOCKED;
    }
    return MOVED;
}

void gate_pump_release(GateConn *conn)
{
    size_t goes = 0;
    if (conn->held > 0 && count_down(conn, conn->down.data + conn->down.len - conn->held,
                                     conn->held, &goes) == FAILED) {
        return;
    }
    hold(conn, conn->held - goes);
    gate_conn_again(conn);
}

static Moved close_down(GateConn *conn)
{
    if (!conn->down_closed) {
        conn->down_closed = true;
        shutdown(conn->pair.fd, SHUT_WR);
    }
    return MOVED;
}

static Moved pump_down(GateConn *conn)
{
    for (size_t moved = 0; moved < PUMP_TURN_BYTES;) {
        if (flush_down(conn) == BLOCKED) {
            return BLOCKED;
        }
        if (conn->down_ended) {
            return close_down(conn);
        }
        size_t len = 0;
        Moved got = tls_read(conn, &len);
        Moved given = len > 0 ? give_down(conn, len) : MOVED;
        if (given != MOVED || got == FAILED) {
            return got == FAILED ? FAILED : given;
        }
        if (got == BLOCKED) {
            return MOVED;
        }
        moved += len;
    }
    gate_conn_again(conn);
    return MOVED;
}

/* ---- both ---- */

static uint32_t wants(bool reads, bool writes)
{
    return (reads ? (uint32_t)EPOLLIN : 0) | (writes ? (uint32_t)EPOLLOUT : 0);
}

void gate_pump(GateConn *conn)
{
    Gate *gate = conn->gate;
    if (pump_up(conn) == FAILED || pump_down(conn) == FAILED ||
        (conn->up_closed && conn->down_closed)) {
        gate_conn_close(conn);
        return;
    }
    bool up_waits = conn->up.data != NULL;
    bool down_waits = conn->down.data != NULL;
    gate_watch(gate, &conn->tcp, wants(!down_waits && !conn->down_ended, up_waits));
    gate_watch(gate, &conn->pair,
               wants(!up_waits && !conn->up_ended, down_waits && down_ready(conn) > 0));
}

int gate_pump_begin(GateConn *conn)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0) {
        return -1;
    }
    const int up = PAIR_BUFFER_BYTES / 2;
    const int down =
        (conn->peer.kind == GATE_PROGRAM ? PROGRAM_BUFFER_BYTES : PAIR_BUFFER_BYTES) / 2;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &down, sizeof(down));
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &up, sizeof(up));
    conn->pair = (GateWatch){.conn = conn, .fd = ends[0]};
    gate_conn_again(conn); /* what follows may be in TLS's buffer already */
    return ends[1];
}

/* ---- the last word ---- */

static void drain(GateConn *conn)
{
    Gate *gate = conn->gate;
    ssize_t got = read(conn->tcp.fd, gate->piece, sizeof(gate->piece));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0 || drop_down(conn, (size_t)got) == FAILED) {
        gate_conn_close(conn);
    }
}

/* A socket that is closed with something unread resets the connection, and what was said last may
 * be lost with it. */
void gate_last_word(GateConn *conn)
{
    if (conn->stage != STAGE_LAST_WORD) {
        conn->stage = STAGE_LAST_WORD;
        gate_pump_hurry(conn);
    }
    switch (conn->up_closed ? MOVED : flush_up(conn)) {
    case BLOCKED:
        gate_watch(conn->gate, &conn->tcp, EPOLLOUT);
        return;
    case FAILED:
        gate_conn_close(conn);
        return;
    case MOVED:
        break;
    }
    close_up(conn);
    gate_watch(conn->gate, &conn->tcp, EPOLLIN);
    drain(conn);
}
