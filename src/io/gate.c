/* The gate's life, and the owner's side of it: commands go to the thread, posts come back. */
#include "io/gate_internal.h"

#include "io/listen_socket.h"

#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

struct GateKnock {
    Gate *gate;
    uint64_t id;
    GateKnock *prev, *next;
};

struct GateCall {
    Gate *gate;
    uint64_t id;
    GateDialled dialled;
    GateJoined joined;
    void *context;
    GateCall *prev, *next;
};

/* ---- commands ---- */

void gate_dial_free(GateDial *dial)
{
    if (dial != NULL) {
        sodium_memzero(&dial->join, sizeof(dial->join));
        mem_free(dial->host);
        mem_free(dial);
    }
}

void gate_command_free(GateCommand *command)
{
    bytes_unref(command->bytes);
    mem_free(command->text);
    gate_dial_free(command->dial);
    if (command->addresses != NULL) {
        freeaddrinfo(command->addresses);
    }
    if (command->kind == COMMAND_LISTEN && command->fd >= 0) {
        close(command->fd);
    }
    mem_free(command);
}

void gate_command(Gate *gate, const GateCommand *command)
{
    GateCommand *copy = mem_new(GateCommand);
    *copy = *command;
    copy->next = NULL;
    pthread_mutex_lock(&gate->lock);
    *gate->commands_end = copy;
    gate->commands_end = &copy->next;
    pthread_mutex_unlock(&gate->lock);
    (void)!eventfd_write(gate->bell, 1); /* it can only be full, and then it rings */
}

/* ---- posts ---- */

static GateCall *find_call(Gate *gate, uint64_t id)
{
    GateCall *call = NULL;
    DL_SEARCH_SCALAR(gate->calls, call, id, id);
    return call;
}

static GateKnock *knock_new(Gate *gate, uint64_t id)
{
    GateKnock *knock = mem_new(GateKnock);
    knock->gate = gate;
    knock->id = id;
    DL_APPEND(gate->knocks, knock);
    return knock;
}

static void knock_free(GateKnock *knock)
{
    DL_DELETE(knock->gate->knocks, knock);
    mem_free(knock);
}

static void call_free(GateCall *call)
{
    DL_DELETE(call->gate->calls, call);
    mem_free(call);
}

static void deliver_dialled(Gate *gate, GatePost *post)
{
    GateCall *call = find_call(gate, post->id);
    if (call == NULL) {
        return;
    }
    GateDialled dialled = call->dialled;
    void *context = call->context;
    call_free(call);
    int fd = post->fd;
    post->fd = -1;
    dialled(context, post->err, fd, post->err == ERR_OK ? &post->peer : NULL, post->text);
}

static void deliver_joined(Gate *gate, GatePost *post)
{
    GateCall *call = find_call(gate, post->id);
    if (call == NULL) {
        return;
    }
    GateJoined joined = call->joined;
    void *context = call->context;
    call_free(call);
    WireGateArena *arena = wire_gate_arena_new();
    WireGate message = {0};
    Err err = post->err;
    if (err == ERR_OK) {
        err = wire_gate_decode(arena, bytes_data(post->bytes), bytes_len(post->bytes), &message);
    }
    GateWelcomed welcomed = {
        .genesis = message.genesis,
        .genesis_len = message.genesis_len,
        .proof = message.welcome_proof,
        .proof_len = message.welcome_proof_len,
        .nodes = message.nodes,
        .nodes_count = message.nodes_count,
    };
    joined(context, err, err == ERR_OK ? &welcomed : NULL, post->text);
    wire_gate_arena_free(arena);
}

static void gate_ended(Gate *gate)
{
    uv_thread_join(&gate->thread);
    while (gate->knocks != NULL) {
        knock_free(gate->knocks);
    }
    while (gate->calls != NULL) {
        call_free(gate->calls);
    }
    while (gate->commands != NULL) {
        GateCommand *command = gate->commands;
        gate->commands = command->next;
        gate_command_free(command);
    }
    gate_tls_close(gate);
    wire_gate_arena_free(gate->arena);
    bytes_unref(gate->proof);
    close(gate->bell);
    close(gate->epoll);
    pthread_mutex_destroy(&gate->lock);
    gate->done(gate->done_context);
    sodium_memzero(gate->network, sizeof(gate->network));
    mem_free(gate);
}

/* What belongs to a verdict that nobody gives any more: a leaving gate lets nobody in. */
static void deliver_event(Gate *gate, GatePost *post)
{
    const GateEvents *events = gate->events;
    if (gate->closing) {
        return;
    }
    switch (post->kind) {
    case POST_KNOCKED:
        events->knocked(gate->context, knock_new(gate, post->id), &post->peer,
                        bytes_data(post->bytes), bytes_len(post->bytes));
        break;
    case POST_ASKED:
        events->asked(gate->context, knock_new(gate, post->id), &post->peer, &post->join);
        break;
    case POST_ENTERED: {
        int fd = post->fd;
        post->fd = -1;
        events->entered(gate->context, fd, &post->peer);
        break;
    }
    case POST_CUT_OFF:
        if (events->cut_off != NULL) {
            events->cut_off(gate->context, post->text);
        }
        break;
    default:
        events->refused(gate->context, post->text);
        break;
    }
}

static void post_deliver(Mail *mail, bool ok)
{
    (void)ok;
    GatePost *post = CONTAINER_OF(mail, GatePost, mail);
    switch (post->kind) {
    case POST_DIALLED:
        deliver_dialled(post->gate, post);
        break;
    case POST_JOINED:
        deliver_joined(post->gate, post);
        break;
    case POST_ENDED:
        gate_ended(post->gate);
        break;
    default:
        deliver_event(post->gate, post);
        break;
    }
    if (post->fd >= 0) {
        close(post->fd);
    }
    bytes_unref(post->bytes);
    mem_free(post->text);
    sodium_memzero(&post->join, sizeof(post->join));
    mem_free(post);
}

void gate_post(Gate *gate, const GatePost *post)
{
    GatePost *copy = mem_new(GatePost);
    *copy = *post;
    copy->gate = gate;
    if (post->kind != POST_ENTERED && (post->kind != POST_DIALLED || post->err != ERR_OK)) {
        copy->fd = -1;
    }
    copy->mail = (Mail){.deliver = post_deliver};
    loop_post(gate->loop, &copy->mail);
}

/* ---- life ---- */

/* Signals are the owner thread's; and SIGPIPE, of which a TLS library knows nothing, nobody's. */
static int start_thread(Gate *gate)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = uv_thread_create(&gate->thread, gate_run, gate);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

Err gate_open(const GateOptions *options, Gate **ret_gate, char **ret_text)
{
    Gate *gate = mem_new(Gate);
    gate->loop = options->loop;
    gate->connections_max = options->connections_max;
    /* Each takes three: the socket, and both ends of a pair. */
    gate->descriptors_max = listen_socket_descriptors_max(options->connections_max * 3);
    gate->events = options->events;
    gate->context = options->context;
    gate->commands_end = &gate->commands;
    if (options->network != NULL) {
        gate->has_network = true;
        memcpy(gate->network, options->network, sizeof(gate->network));
    }
    Err err = gate_tls_open(gate, options, ret_text);
    if (err != ERR_OK) {
        gate_tls_close(gate);
        mem_free(gate);
        return err;
    }
    pthread_mutex_init(&gate->lock, NULL);
    gate->arena = wire_gate_arena_new();
    gate->epoll = epoll_create1(EPOLL_CLOEXEC);
    gate->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (gate->epoll < 0 || gate->bell < 0 || start_thread(gate) != 0) {
        fprintf(stderr, "chat_node: no descriptor or thread is left for the gate\n");
        abort();
    }
    *ret_gate = gate;
    return ERR_OK;
}

void gate_close(Gate *gate, void (*done)(void *context), void *context)
{
    gate->closing = true;
    gate->done = done;
    gate->done_context = context;
    gate_command(gate, &(GateCommand){.kind = COMMAND_CLOSE});
}

void gate_set_proof(Gate *gate, Bytes *proof)
{
    gate_command(gate, &(GateCommand){.kind = COMMAND_PROOF, .bytes = bytes_ref(proof)});
}

void gate_serve_programs(Gate *gate, bool serve)
{
    gate_command(gate, &(GateCommand){.kind = COMMAND_PROGRAMS, .serve = serve});
}

Err gate_listen(Gate *gate, const char *address, uint16_t port, char **ret_text)
{
    if (gate->listeners_asked == GATE_LISTENERS_MAX) {
        *ret_text = mem_copy_string("too many addresses to listen on");
        return ERR_LIMIT;
    }
    int fd = -1;
    Err err = listen_socket_open(address, port, &fd, ret_text);
    if (err == ERR_OK) {
        gate->listeners_asked++;
        gate_command(gate, &(GateCommand){.kind = COMMAND_LISTEN, .fd = fd});
    }
    return err;
}

/* ---- verdicts ---- */

static void answer(GateKnock *knock, const GateCommand *command)
{
    gate_command(knock->gate, command);
    knock_free(knock);
}

void gate_let_in(GateKnock *knock)
{
    answer(knock, &(GateCommand){.kind = COMMAND_LET_IN, .id = knock->id});
}

void gate_refuse(GateKnock *knock, const char *text)
{
    answer(knock,
           &(GateCommand){.kind = COMMAND_REFUSE, .id = knock->id, .text = mem_copy_string(text)});
}

void gate_welcome(GateKnock *knock, const uint8_t *genesis, size_t genesis_len,
                  const uint8_t *proof, size_t proof_len, const char *const *nodes,
                  size_t nodes_count)
{
    WireGate message = {
        .genesis = genesis,
        .genesis_len = genesis_len,
        .welcome_proof = proof,
        .welcome_proof_len = proof_len,
        .nodes = nodes,
        .nodes_count = nodes_count < WIRE_GATE_NODES_MAX ? nodes_count : WIRE_GATE_NODES_MAX,
    };
    Bytes *bytes = NULL;
    WireGateArena *arena = wire_gate_arena_new();
    if (wire_gate_encode(arena, &message, &bytes) == ERR_OK) {
        answer(knock, &(GateCommand){.kind = COMMAND_WELCOME, .id = knock->id, .bytes = bytes});
    } else {
        gate_refuse(knock, "this node cannot say who you are now; ask its owner");
    }
    wire_gate_arena_free(arena);
}

/* ---- dialling ---- */

static GateCall *call_new(Gate *gate, GateDial *dial, void *context)
{
    GateCall *call = mem_new(GateCall);
    call->gate = gate;
    call->id = atomic_fetch_add(&gate->last_id, 1) + 1;
    call->context = context;
    DL_APPEND(gate->calls, call);
    gate_command(gate, &(GateCommand){.kind = COMMAND_DIAL, .id = call->id, .dial = dial});
    return call;
}

static GateDial *dial_new(const char *host, uint16_t port)
{
    GateDial *dial = mem_new(GateDial);
    dial->host = mem_copy_string(host);
    dial->port = port;
    return dial;
}

GateCall *gate_dial(Gate *gate, const char *host, uint16_t port, GateDialled done, void *context)
{
    GateCall *call = call_new(gate, dial_new(host, port), context);
    call->dialled = done;
    return call;
}

GateCall *gate_join(Gate *gate, const char *host, uint16_t port,
                    const uint8_t inviter[EVENT_KEY_BYTES], const GateJoin *join, GateJoined done,
                    void *context)
{
    GateDial *dial = dial_new(host, port);
    dial->joins = true;
    dial->join = *join;
    memcpy(dial->inviter, inviter, sizeof(dial->inviter));
    GateCall *call = call_new(gate, dial, context);
    call->joined = done;
    return call;
}

void gate_call_cancel(GateCall *call)
{
    if (call != NULL) {
        gate_command(call->gate, &(GateCommand){.kind = COMMAND_CANCEL, .id = call->id});
        call_free(call);
    }
}

void gate_vouch(Gate *gate, uint64_t id)
{
    uint64_t *slot = &gate->vouched[id % VOUCHED_SLOTS];
    if (*slot != id) {
        *slot = id;
        gate_command(gate, &(GateCommand){.kind = COMMAND_VOUCH, .id = id});
    }
}

void gate_cut(Gate *gate, const uint8_t key[EVENT_KEY_BYTES])
{
    GateCommand command = {.kind = COMMAND_CUT};
    memcpy(command.key, key, sizeof(command.key));
    gate_command(gate, &command);
}

GateStats gate_stats(const Gate *gate)
{
    return (GateStats){
        .waiting = atomic_load(&gate->count_waiting),
        .passed = atomic_load(&gate->count_passed),
        .refused = atomic_load(&gate->count_refused),
    };
}
