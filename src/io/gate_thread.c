/* The gate's thread: one epoll set for listeners, handshakes, dialogues and what has passed.
 *
 *   accept, or dial --> HANDSHAKE --> TALK <--> VERDICT --> PASSED --> gone
 *                           |           `----------'           (pump)
 *                           `-- a program, on trial -------------^
 *                           whatever fails --> LAST_WORD --> gone
 *
 * What waits for being let in has a deadline, from its first moment on; a full house makes room by
 * the oldest of it. */
#include "io/gate_internal.h"

#include "base/log.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "core/members.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

enum {
    EVENTS_PER_TURN = 64,
    /* Each takes some 0.3 ms, which those who have passed wait for. */
    HANDSHAKES_PER_TURN = 8,
    REFUSALS_TELL_MS = 10 * 1000,
    /* A machine that has vanished without a word; gRPC's pings mostly know sooner. */
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_COUNT = 4,
};

/* ---- descriptors ---- */

void gate_watch(Gate *gate, GateWatch *watch, uint32_t events)
{
    if (watch->fd < 0 || (watch->added && watch->events == events) ||
        (!watch->added && watch->gone && events == 0)) {
        return;
    }
    struct epoll_event event = {.events = events, .data.ptr = watch};
    epoll_ctl(gate->epoll, watch->added ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, watch->fd, &event);
    watch->added = true;
    watch->events = events;
}

/* epoll tells of a hang-up also where nothing is wanted, again and again. */
static void watch_hung_up(Gate *gate, GateWatch *watch)
{
    epoll_ctl(gate->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->added = false;
    watch->gone = true;
}

void gate_watch_close(GateWatch *watch)
{
    if (watch->fd >= 0) {
        close(watch->fd); /* which takes it out of the set */
        watch->fd = -1;
    }
}

/* ---- what is told ---- */

static void tell_refusals(Gate *gate, uint64_t now_ms)
{
    if (gate->untold == 0 || (gate->told_ms != 0 && now_ms < gate->told_ms + REFUSALS_TELL_MS)) {
        return;
    }
    StrBuf text = {0};
    strbuf_add_string(&text, gate->untold_last);
    if (gate->untold > 1) {
        strbuf_addf(&text, " (and %zu others)", gate->untold - 1);
    }
    mem_free(TAKE(gate->untold_last));
    gate->untold = 0;
    gate->told_ms = now_ms;
    gate_post(gate, &(GatePost){.kind = POST_REFUSED, .text = strbuf_take(&text)});
}

void gate_note_refusal(Gate *gate, const char *address, const char *text)
{
    StrBuf all = {0};
    strbuf_addf(&all, "%s was turned away: %s", address[0] != '\0' ? address : "somebody", text);
    mem_free(gate->untold_last);
    gate->untold_last = strbuf_take(&all);
    gate->untold++;
    atomic_fetch_add(&gate->count_refused, 1);
    tell_refusals(gate, loop_mono_ms());
}

/* ---- connections ---- */

GateConn *gate_conn_new(Gate *gate, uint64_t id)
{
    GateConn *conn = mem_new(GateConn);
    conn->gate = gate;
    conn->id = id;
    conn->peer.id = id;
    conn->tcp = (GateWatch){.conn = conn, .fd = -1};
    conn->pair = (GateWatch){.conn = conn, .fd = -1};
    HASH_ADD(hh, gate->conns, id, sizeof(conn->id), conn);
    return conn;
}

void gate_conn_deadline(GateConn *conn, uint64_t at_ms)
{
    conn->deadline_ms = at_ms;
    if (at_ms != 0 && at_ms < conn->gate->check_ms) {
        conn->gate->check_ms = at_ms;
    }
}

void gate_conn_again(GateConn *conn)
{
    if (!conn->ready && !conn->dead) {
        conn->ready = true;
        DL_APPEND2(conn->gate->ready, conn, ready_prev, ready_next);
    }
}

void gate_conn_waits_no_more(GateConn *conn)
{
    if (conn->from != NULL) {
        GateAddress *from = TAKE(conn->from);
        if (conn->on_trial) {
            gate_limits_charge(from);
        } else {
            gate_limits_leave(from);
        }
        DL_DELETE(conn->gate->waiting, conn);
        conn->gate->waiting_count--;
        atomic_store(&conn->gate->count_waiting, conn->gate->waiting_count);
    }
}

static void conn_not_ready(GateConn *conn)
{
    if (conn->ready) {
        conn->ready = false;
        DL_DELETE2(conn->gate->ready, conn, ready_prev, ready_next);
    }
}

void gate_conn_pace(GateConn *conn)
{
    if (conn->paced_until_ms == 0) {
        conn->paced_until_ms = loop_mono_ms() + GATE_PAUSE_MS;
        DL_APPEND2(conn->gate->paced, conn, paced_prev, paced_next);
    }
}

static void conn_not_paced(GateConn *conn)
{
    if (conn->paced_until_ms != 0) {
        conn->paced_until_ms = 0;
        DL_DELETE2(conn->gate->paced, conn, paced_prev, paced_next);
    }
}

void gate_conn_close(GateConn *conn)
{
    Gate *gate = conn->gate;
    if (conn->dead) {
        return;
    }
    if (conn->stage == STAGE_PASSED) {
        atomic_fetch_sub(&gate->count_passed, 1);
    }
    gate_conn_waits_no_more(conn);
    conn_not_ready(conn);
    conn_not_paced(conn);
    HASH_DELETE(hh, gate->conns, conn);
    conn->dead = true;
    conn->dead_next = gate->dead;
    gate->dead = conn;
    gate_dial_abandon(conn);
    SSL_free(TAKE(conn->ssl));
    gate_watch_close(&conn->tcp);
    gate_watch_close(&conn->pair);
}

/* Events of this turn may still name them. */
static void bury(Gate *gate)
{
    while (gate->dead != NULL) {
        GateConn *conn = gate->dead;
        gate->dead = conn->dead_next;
        gate_rest_free(&conn->in);
        gate_rest_free(&conn->up);
        gate_rest_free(&conn->down);
        mem_free(conn->failure);
        mem_free(conn);
    }
}

/* Who dials hears it in a word; of who came, the log. */
static void tell_failure(GateConn *conn, Err err, const char *text)
{
    if (conn->dial != NULL) {
        gate_post(conn->gate, &(GatePost){
                                  .kind = conn->dial->joins ? POST_JOINED : POST_DIALLED,
                                  .id = conn->id,
                                  .err = err,
                                  .text = mem_copy_string(text),
                              });
        gate_dial_free(TAKE(conn->dial));
    } else if (!conn->peer.dialled && (conn->stage != STAGE_PASSED || conn->on_trial) &&
               conn->stage != STAGE_LAST_WORD) {
        gate_note_refusal(conn->gate, conn->peer.address, text);
    }
}

void gate_conn_fail(GateConn *conn, Err err, const char *text)
{
    if (!conn->dead) {
        tell_failure(conn, err, text);
        gate_conn_close(conn);
    }
}

void gate_conn_fail_kindly(GateConn *conn, Err err, const char *text)
{
    if (!conn->dead) {
        tell_failure(conn, err, text);
        gate_last_word(conn);
    }
}

void gate_conn_cut_off(GateConn *conn, const char *text)
{
    Gate *gate = conn->gate;
    char key[FINGERPRINT_BYTES];
    StrBuf all = {0};
    if (conn->peer.kind == GATE_MEMBER) {
        fingerprint_text(conn->peer.key, key);
        strbuf_addf(&all, "the member %s at ", key);
    }
    strbuf_addf(&all, "%s was cut off: %s", conn->peer.address, text);
    gate_post(gate, &(GatePost){.kind = POST_CUT_OFF, .text = strbuf_take(&all)});
    atomic_fetch_add(&gate->count_refused, 1);
    if (!conn->peer.dialled) {
        gate_limits_bar(&gate->limits, &conn->came_from, loop_mono_ms());
    }
    gate_conn_close(conn);
}

void gate_conn_secure(GateConn *conn, int fd, SSL_CTX *context)
{
    const int rows[][3] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        setsockopt(fd, rows[i][0], rows[i][1], &rows[i][2], sizeof(int));
    }
    conn->tcp.fd = fd;
    conn->stage = STAGE_HANDSHAKE;
    conn->ssl = SSL_new(context);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, fd) != 1) {
        gate_conn_fail(conn, ERR_IO, "out of memory for TLS");
        return;
    }
    SSL_set_app_data(conn->ssl, conn);
    if (conn->peer.dialled) {
        SSL_set_connect_state(conn->ssl);
    } else {
        SSL_set_accept_state(conn->ssl);
    }
    gate_watch(conn->gate, &conn->tcp, conn->peer.dialled ? EPOLLOUT : EPOLLIN);
}

/* ---- commands ---- */

static void cut(Gate *gate, const uint8_t key[EVENT_KEY_BYTES])
{
    GateConn *conn = NULL;
    GateConn *next = NULL;
    HASH_ITER(hh, gate->conns, conn, next) {
        if (conn->stage >= STAGE_TALK && conn->peer.kind == GATE_MEMBER &&
            memcmp(conn->peer.key, key, EVENT_KEY_BYTES) == 0) {
            gate_conn_fail(conn, ERR_DENIED, "it is no member any more");
        }
    }
}

static void leave(Gate *gate)
{
    gate->leaving = true;
    gate_accept_end(gate);
    GateConn *conn = NULL;
    GateConn *next = NULL;
    HASH_ITER(hh, gate->conns, conn, next) {
        if (conn->dial != NULL) {
            tell_failure(conn, ERR_UNAVAILABLE, "this node is leaving");
        }
        if (conn->stage != STAGE_PASSED) {
            gate_conn_close(conn);
        } else {
            gate_pump_hurry(conn);
        }
    }
}

/* It is as any other that has passed. One that is ending already keeps its deadline. */
static void vouched_for(GateConn *conn)
{
    if (!conn->on_trial) {
        return;
    }
    conn->on_trial = false;
    gate_conn_waits_no_more(conn);
    if (!conn->up_closed && !conn->pair.gone) {
        gate_conn_deadline(conn, 0);
    }
    gate_pump_release(conn);
}

static void obey_of_conn(Gate *gate, GateCommand *command)
{
    GateConn *conn = NULL;
    HASH_FIND(hh, gate->conns, &command->id, sizeof(command->id), conn);
    if (conn == NULL) {
        return; /* it has gone meanwhile */
    }
    switch (command->kind) {
    case COMMAND_RESOLVED:
        gate_dial_resolved(conn, command);
        break;
    case COMMAND_CANCEL:
        gate_conn_close(conn);
        break;
    case COMMAND_VOUCH:
        vouched_for(conn);
        break;
    default:
        gate_talk_verdict(conn, command);
        break;
    }
}

static void obey(Gate *gate, GateCommand *command)
{
    switch (command->kind) {
    case COMMAND_LISTEN:
        gate_accept_listen(gate, command);
        break;
    case COMMAND_PROOF:
        bytes_unref(gate->proof);
        gate->proof = TAKE(command->bytes);
        break;
    case COMMAND_PROGRAMS:
        gate->programs = command->serve;
        break;
    case COMMAND_DIAL:
        gate_dial_begin(gate, command);
        break;
    case COMMAND_CUT:
        cut(gate, command->key);
        break;
    case COMMAND_CLOSE:
        leave(gate);
        break;
    default:
        obey_of_conn(gate, command);
        break;
    }
}

static void obey_all(Gate *gate)
{
    eventfd_t count = 0;
    (void)!eventfd_read(gate->bell, &count);
    pthread_mutex_lock(&gate->lock);
    GateCommand *command = TAKE(gate->commands);
    gate->commands_end = &gate->commands;
    pthread_mutex_unlock(&gate->lock);
    while (command != NULL) {
        GateCommand *next = command->next;
        obey(gate, command);
        gate_command_free(command);
        command = next;
    }
}

/* ---- the loop ---- */

static void conn_serve(GateConn *conn)
{
    Gate *gate = conn->gate;
    switch (conn->stage) {
    case STAGE_CONNECTING:
        gate_dial_event(conn);
        break;
    case STAGE_HANDSHAKE:
        if (gate->handshakes_left > 0) { /* else epoll tells again */
            gate->handshakes_left--;
            gate_tls_handshake(conn);
        }
        break;
    case STAGE_TALK:
        gate_talk_readable(conn);
        break;
    case STAGE_LAST_WORD:
        gate_last_word(conn);
        break;
    case STAGE_PASSED:
        gate_pump(conn);
        break;
    default: /* it waits for somebody else */
        break;
    }
}

static void serve_event(Gate *gate, const struct epoll_event *event)
{
    GateWatch *watch = event->data.ptr;
    GateConn *conn = watch->conn;
    if (watch == &gate->bell_watch) {
        obey_all(gate);
        return;
    }
    if (conn == NULL) {
        if (watch->fd >= 0) {
            gate_accept(gate, watch->fd);
        }
        return;
    }
    if (conn->dead) {
        return;
    }
    if (conn->stage == STAGE_PASSED && watch->events == 0) {
        if (!watch->added || (event->events & (EPOLLHUP | EPOLLERR)) == 0) {
            return; /* of earlier in this turn, when something was wanted still */
        }
        watch_hung_up(gate, watch);
        if (watch == &conn->pair && conn->deadline_ms == 0) {
            gate_conn_deadline(conn, loop_mono_ms() + GATE_DEADLINE_MS);
        }
        return;
    }
    if (conn->stage == STAGE_VERDICT && (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        gate_conn_fail(conn, ERR_IO, "it closed the connection before it was let in");
        return;
    }
    conn_serve(conn);
}

static void conn_late(GateConn *conn, uint64_t now_ms)
{
    if (conn->stage <= STAGE_CONNECTING) {
        gate_dial_late(conn, now_ms);
    } else if (conn->on_trial) {
        gate_conn_fail(conn, ERR_DENIED,
                       conn->held > 0 ? "it said much, and showed no good token"
                                      : "it took too long to show a good token");
    } else if (conn->stage == STAGE_LAST_WORD || conn->stage == STAGE_PASSED) {
        gate_conn_close(conn);
    } else {
        gate_conn_fail(conn, ERR_IO, "it took too long to say who it is");
    }
}

/* The whole list, but only when some deadline may have come. */
static void check_deadlines(Gate *gate)
{
    uint64_t now_ms = loop_mono_ms();
    if (now_ms < gate->check_ms) {
        return;
    }
    gate->check_ms = UINT64_MAX;
    GateConn *conn = NULL;
    GateConn *next = NULL;
    HASH_ITER(hh, gate->conns, conn, next) {
        if (conn->deadline_ms != 0 && conn->deadline_ms <= now_ms) {
            conn_late(conn, now_ms);
        } else if (conn->deadline_ms != 0) {
            gate_conn_deadline(conn, conn->deadline_ms);
        }
    }
    tell_refusals(gate, now_ms);
    gate_accept_again(gate, now_ms);
}

/* When the first of them may go on. */
static uint64_t paced_at_ms(const Gate *gate)
{
    uint64_t own_ms = gate->paced->paced_until_ms;
    return own_ms > gate->paced_from_ms ? own_ms : gate->paced_from_ms;
}

static int wait_ms(Gate *gate)
{
    if (gate->ready != NULL) {
        return 0;
    }
    uint64_t until_ms = gate->check_ms;
    if (gate->paced != NULL && paced_at_ms(gate) < until_ms) {
        until_ms = paced_at_ms(gate);
    }
    if (gate->untold > 0 && gate->told_ms + REFUSALS_TELL_MS < until_ms) {
        until_ms = gate->told_ms + REFUSALS_TELL_MS;
        gate->check_ms = until_ms;
    }
    if (until_ms == UINT64_MAX) {
        return -1;
    }
    uint64_t now_ms = loop_mono_ms();
    return until_ms <= now_ms ? 0 : (int)(until_ms - now_ms) + 1;
}

/* Those that were not done in the turn before; not those that come to it meanwhile. */
static void serve_ready(Gate *gate)
{
    GateConn *last = gate->ready != NULL ? gate->ready->ready_prev : NULL;
    while (gate->ready != NULL) {
        GateConn *conn = gate->ready;
        bool is_last = conn == last;
        conn_not_ready(conn);
        conn_serve(conn);
        if (is_last) {
            return;
        }
    }
}

/* They stand in the order in which their time comes: all wait equally long. When there is no room
 * for more calls at all, who waits longest stays the first. */
static void serve_paced(Gate *gate)
{
    if (gate->paced == NULL) {
        return;
    }
    for (uint64_t now_ms = loop_mono_ms(); gate->paced != NULL && paced_at_ms(gate) <= now_ms;
         now_ms = loop_mono_ms()) {
        if (gate_frames_calls_full(&gate->frames, now_ms)) {
            gate->paced_from_ms = now_ms + GATE_PAUSE_MS;
            return;
        }
        GateConn *conn = gate->paced;
        conn_not_paced(conn);
        gate_pump_release(conn);
    }
}

static void gate_turn(Gate *gate)
{
    struct epoll_event events[EVENTS_PER_TURN];
    int count = epoll_wait(gate->epoll, events, EVENTS_PER_TURN, wait_ms(gate));
    gate->handshakes_left = HANDSHAKES_PER_TURN;
    for (int i = 0; i < count; i++) {
        serve_event(gate, &events[i]);
    }
    serve_paced(gate);
    serve_ready(gate);
    check_deadlines(gate);
    bury(gate);
}

void gate_run(void *argument)
{
    Gate *gate = argument;
    gate->check_ms = UINT64_MAX;
    gate->bell_watch = (GateWatch){.fd = gate->bell};
    gate_watch(gate, &gate->bell_watch, EPOLLIN);
    while (!gate->leaving || gate->conns != NULL) {
        gate_turn(gate);
    }
    gate_limits_done(&gate->limits);
    mem_free(gate->untold_last);
    gate_post(gate, &(GatePost){.kind = POST_ENDED});
}
