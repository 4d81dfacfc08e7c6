/* What gate*.c share. For gate*.c alone.
 *
 *   owner thread (gate.c) -- GateCommand --> [queue, eventfd] --> gate thread (gate_thread.c)
 *   owner thread <------- GatePost -- loop_post ----------------- gate thread
 *
 * Connections are the gate thread's alone; the owner names them by number, which stays unique: what
 * it says of one that is gone meanwhile is for nobody. */
#pragma once

#include "io/gate.h"
#include "io/gate_frames.h"
#include "io/wire_gate.h"

#include <netdb.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <uthash.h>

enum {
    GATE_LISTENERS_MAX = 4,
    /* To find an address and to connect to one of them. */
    GATE_CONNECT_MS = 5 * 1000,
    /* A reason that a person reads, with addresses and the other side's words. */
    GATE_TEXT_MAX_BYTES = 400,
    /* What one pump moves before others have their turn; and in one piece. */
    PUMP_TURN_BYTES = 256 * 1024,
    PUMP_PIECE_BYTES = 64 * 1024,
    /* Numbers of those that were vouched for, by their last bits: so that saying it again with each
     * call costs a look. A power of two. */
    VOUCHED_SLOTS = 1024,
};

/* ---- between the threads ---- */

typedef enum CommandKind {
    COMMAND_LISTEN,   /* fd */
    COMMAND_PROOF,    /* bytes */
    COMMAND_PROGRAMS, /* serve */
    COMMAND_DIAL,     /* dial */
    COMMAND_RESOLVED, /* addresses, or text; from a resolving thread */
    COMMAND_CANCEL,
    COMMAND_LET_IN,
    COMMAND_REFUSE,  /* text */
    COMMAND_WELCOME, /* bytes: a whole message */
    COMMAND_VOUCH,
    COMMAND_CUT, /* key */
    COMMAND_CLOSE,
} CommandKind;

/* Where to, and what for. */
typedef struct GateDial {
    char *host;
    uint16_t port;
    bool joins;
    uint8_t inviter[EVENT_KEY_BYTES]; /* joins */
    GateJoin join;
} GateDial;

typedef struct GateCommand GateCommand;
struct GateCommand {
    GateCommand *next;
    CommandKind kind;
    uint64_t id; /* of the connection */
    int fd;
    bool serve;
    Bytes *bytes;
    char *text;
    GateDial *dial;
    struct addrinfo *addresses;
    uint8_t key[EVENT_KEY_BYTES];
};

typedef enum PostKind {
    POST_KNOCKED, /* peer, bytes */
    POST_ASKED,   /* peer, join */
    POST_ENTERED, /* peer, fd */
    POST_DIALLED, /* err, and peer and fd, or text */
    POST_JOINED,  /* err, and bytes (the message), or text */
    POST_REFUSED, /* text */
    POST_CUT_OFF, /* text */
    POST_ENDED,   /* the thread is about to return */
} PostKind;

typedef struct GatePost {
    Mail mail;
    Gate *gate;
    PostKind kind;
    uint64_t id;
    GatePeer peer;
    GateJoin join;
    int fd;
    Err err;
    Bytes *bytes;
    char *text;
} GatePost;

/* ---- limits ---- */

/* One address, or an IPv6 /64: how many of it wait, and how many may come. */
typedef struct GateAddress {
    uint8_t key[16];
    uint32_t waiting;
    uint32_t tokens_milli; /* thousandths of a handshake */
    uint64_t filled_ms;
    uint64_t barred_until_ms;
    UT_hash_handle hh; /* the one not seen for longest is the first */
} GateAddress;

typedef struct GateLimits {
    GateAddress *addresses;
} GateLimits;

/* Counts it as waiting. NULL: it may not come in; *ret_reason (static) says why. */
GateAddress *gate_limits_enter(GateLimits *limits, const struct sockaddr_storage *from,
                               uint64_t now_ms, const char **ret_reason);
/* It waits no more. NULL is fine. */
void gate_limits_leave(GateAddress *address);
/* It waits no more, and was on trial in vain. */
void gate_limits_charge(GateAddress *address);
/* Nobody comes in from there for GATE_BAR_MS. */
void gate_limits_bar(GateLimits *limits, const struct sockaddr_storage *from, uint64_t now_ms);
void gate_limits_done(GateLimits *limits);

/* ---- connections ---- */

typedef enum ConnStage {
    STAGE_RESOLVING,
    STAGE_CONNECTING,
    STAGE_HANDSHAKE,
    STAGE_TALK,      /* waits for a message of the other side */
    STAGE_VERDICT,   /* waits for the owner */
    STAGE_LAST_WORD, /* says what is still to be said, and goes */
    STAGE_PASSED,
} ConnStage;

/* What the next message of the other side must be. */
typedef enum ConnAwaits {
    AWAITS_FIRST, /* tag, or join */
    AWAITS_TAG,   /* with a proof */
    AWAITS_PROOF,
    AWAITS_COME_IN,
    AWAITS_WELCOME,
} ConnAwaits;

typedef struct GateConn GateConn;

/* A descriptor in epoll's set. */
typedef struct GateWatch {
    GateConn *conn; /* NULL: a listener, or the eventfd */
    int fd;         /* -1: none */
    uint32_t events;
    bool added;
    bool gone; /* hung up while nothing was wanted from it: not in the set any more */
} GateWatch;

/* Bytes that one side did not take yet. */
typedef struct GateRest {
    uint8_t *data; /* NULL: none */
    size_t len;
    size_t at;
} GateRest;

typedef struct GateResolve GateResolve;

struct GateConn {
    Gate *gate;
    uint64_t id;
    UT_hash_handle hh;
    ConnStage stage;
    ConnAwaits awaits;
    GatePeer peer;
    GateWatch tcp;
    GateWatch pair; /* passed */
    SSL *ssl;
    const char *words;    /* static: why the handshake failed, where this program ended it */
    uint64_t deadline_ms; /* 0: none */
    uint64_t left_ms;     /* of the deadline, while the owner thinks */
    GateAddress *from;    /* as long as it waits; NULL: dialled */
    struct sockaddr_storage came_from;
    GateConn *prev, *next; /* in gate->waiting (accepted, the oldest first), or gate->passed */
    GateConn *ready_prev, *ready_next;
    bool ready; /* in gate->ready */
    GateConn *paced_prev, *paced_next;
    uint64_t paced_until_ms; /* 0: it is not in gate->paced */
    bool dead;               /* freed at the end of the turn */
    GateConn *dead_next;

    /* The dialogue: length, then the message. */
    uint8_t head[4];
    size_t head_len;
    GateRest in;

    /* Carrying: up is from gRPC to the network, down the other way. */
    GateRest up, down;
    bool up_ended, down_ended;   /* no more will be read */
    bool up_closed, down_closed; /* and the end was passed on */
    size_t drained;              /* LAST_WORD: bytes that came, for nobody */
    GateFrames frames;           /* of what goes down */
    bool on_trial;               /* a program of which nobody has seen a good token */
    size_t trial_bytes;          /* that went to gRPC meanwhile */
    size_t held;                 /* bytes at the end of down that wait: on trial for its end, else
                                  * until it is paced no more */

    /* Dialling. */
    GateDial *dial;
    GateResolve *resolve;
    struct addrinfo *addresses;
    const struct addrinfo *address; /* tried now */
    uint64_t connect_until_ms;
    char *failure; /* of the address tried last */
};

typedef struct GateListener {
    GateWatch watch;
} GateListener;

struct Gate {
    /* Set before the thread starts. */
    Loop *loop;
    bool has_network;
    uint8_t network[EVENT_NETWORK_BYTES];
    uint32_t connections_max;
    int descriptors_max;
    SSL_CTX *accepting; /* chooses by ALPN */
    SSL_CTX *of_nodes;
    SSL_CTX *of_programs; /* NULL: none */
    SSL_CTX *dialling;

    /* Of both threads. */
    pthread_mutex_t lock; /* for commands */
    GateCommand *commands;
    GateCommand **commands_end;
    int bell; /* an eventfd */
    _Atomic uint64_t last_id;
    _Atomic size_t count_waiting;
    _Atomic size_t count_passed;
    _Atomic uint64_t count_refused;

    /* The owner's. */
    const GateEvents *events;
    void *context;
    uv_thread_t thread;
    GateKnock *knocks;
    GateCall *calls;
    size_t listeners_asked;
    uint64_t vouched[VOUCHED_SLOTS];
    bool closing;
    void (*done)(void *context);
    void *done_context;

    /* The thread's. */
    int epoll;
    GateWatch bell_watch;
    GateListener listeners[GATE_LISTENERS_MAX];
    size_t listeners_count;
    uint64_t accept_again_ms; /* 0: it accepts */
    bool full;                /* said so already */
    GateConn *conns;          /* by number */
    GateConn *waiting;
    size_t waiting_count;
    GateConn *ready;
    GateConn *paced;        /* who makes more calls than it may, the longest waiting first */
    uint64_t paced_from_ms; /* none of them goes on before */
    GateConn *dead;
    uint64_t check_ms; /* no deadline before */
    unsigned handshakes_left;
    GateLimits limits;
    GateLevels frames; /* of all that have passed */
    Bytes *proof;
    bool programs;
    bool leaving;
    uint64_t told_ms; /* of refusals */
    size_t untold;
    char *untold_last;
    WireGateArena *arena;
    uint8_t piece[PUMP_PIECE_BYTES];
};

/* ---- gate.c ---- */

/* Any thread: takes the command. */
void gate_command(Gate *gate, const GateCommand *command);
/* The gate thread: takes what the post owns. */
void gate_post(Gate *gate, const GatePost *post);
void gate_command_free(GateCommand *command);
void gate_dial_free(GateDial *dial);

/* ---- gate_thread.c: what is below is for the gate thread ---- */

void gate_run(void *argument);
/* A new one, that may be counted among those waiting. */
GateConn *gate_conn_new(Gate *gate, uint64_t id);
/* Closes it at once; it is gone at the end of the turn. Does not tell who dials. */
void gate_conn_close(GateConn *conn);
void gate_conn_deadline(GateConn *conn, uint64_t at_ms);
/* It has no way to go on. Who dials is told text, with the error; of who came, the log. */
void gate_conn_fail(GateConn *conn, Err err, const char *text);
/* As fail, but what is in `up` goes out first, and TLS's alert with it. */
void gate_conn_fail_kindly(GateConn *conn, Err err, const char *text);
/* Counted, and told sometimes. address: "" where there is none. */
void gate_note_refusal(Gate *gate, const char *address, const char *text);
/* What is wanted of a descriptor from now on. */
void gate_watch(Gate *gate, GateWatch *watch, uint32_t events);
void gate_watch_close(GateWatch *watch);
/* Comes back to it in the next turn, whatever happens outside. */
void gate_conn_again(GateConn *conn);
/* What it holds is released GATE_PAUSE_MS from now. */
void gate_conn_pace(GateConn *conn);
/* It waits no more for being let in. */
void gate_conn_waits_no_more(GateConn *conn);
/* It has passed, and floods: it ends, and nobody comes from there for a while. */
void gate_conn_cut_off(GateConn *conn, const char *text);
/* The connection is there: TLS begins. */
void gate_conn_secure(GateConn *conn, int fd, SSL_CTX *context);

/* ---- gate_accept.c ---- */

/* Takes the descriptor out of the command. */
void gate_accept_listen(Gate *gate, GateCommand *command);
/* Something is there to be accepted. */
void gate_accept(Gate *gate, int listening);
/* Where there were no descriptors: whether it is time to try again. */
void gate_accept_again(Gate *gate, uint64_t now_ms);
/* Nobody comes any more. */
void gate_accept_end(Gate *gate);

/* ---- gate_tls.c ---- */

Err gate_tls_open(Gate *gate, const GateOptions *options, char **ret_text);
void gate_tls_close(Gate *gate);
/* One step. True: the connection is still there. */
void gate_tls_handshake(GateConn *conn);
/* For a person: why an operation of that result failed. */
void gate_tls_words(GateConn *conn, int result, char ret_text[GATE_TEXT_MAX_BYTES]);

/* ---- gate_talk.c ---- */

/* The handshake is done: who is there is in conn->peer. */
void gate_talk_begin(GateConn *conn);
void gate_talk_readable(GateConn *conn);
void gate_talk_verdict(GateConn *conn, GateCommand *command);

/* ---- gate_pump.c ---- */

/* rest is taken over. */
void gate_rest_set(GateRest *rest, const uint8_t *data, size_t len);
void gate_rest_free(GateRest *rest);
/* True: all is written. False: later, or the connection has failed. */
bool gate_pump_flush_up(GateConn *conn);
/* It has passed: one end of a socket pair for the owner. -1: there are no descriptors. */
int gate_pump_begin(GateConn *conn);
void gate_pump(GateConn *conn);
/* What was held back may go, as far as it may by now. */
void gate_pump_release(GateConn *conn);
/* Its end was said: how long it may take. Again where this node leaves. */
void gate_pump_hurry(GateConn *conn);
/* Says what is in up, then the end, then waits for the other side's. */
void gate_last_word(GateConn *conn);

/* ---- gate_dial.c ---- */

void gate_dial_begin(Gate *gate, GateCommand *command);
void gate_dial_resolved(GateConn *conn, GateCommand *command);
/* Connected, or not; or the time for one address is over. */
void gate_dial_event(GateConn *conn);
void gate_dial_late(GateConn *conn, uint64_t now_ms);
/* Of a connection that ends. */
void gate_dial_abandon(GateConn *conn);

/* "127.0.0.1:3456", "[::1]:3456" */
void gate_address_text(const struct sockaddr_storage *address,
                       char ret_text[GATE_ADDRESS_MAX_BYTES]);
