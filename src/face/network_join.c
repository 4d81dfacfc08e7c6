/* The addresses of an invitation are tried one after the other, without waiting long for any: the
 * next one begins after two seconds, and the first that welcomes us ends the others.
 *
 * The node at each of them must have the inviter's key: that is known before the secret is told. A
 * refusal by it is final. Whoever is cut off after the welcome was sent simply joins again: the
 * identity is kept, and the inviter knows it. */
#include "face/network_join.h"

#include "base/text.h"
#include "core/members.h"
#include "io/gate.h"
#include "io/network_dir.h"
#include "io/prepared_dir.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    NEXT_AFTER_MS = 2000, /* a machine that is there answers within one; ten are the gate's limit */
    CONNECTIONS_MAX = 16,
};

typedef struct Join Join;

typedef struct Attempt {
    Join *join;
    const char *address;
    GateCall *call; /* NULL: it has not begun, or is over */
} Attempt;

struct Join {
    const char *directory;
    const NetworkFile *before; /* of which this directory's node was; NULL: of none */
    uint16_t port;
    Invite invite;
    GateJoin asks;
    uint8_t key[EVENT_KEY_BYTES];
    Loop *loop;
    Gate *gate;
    uv_timer_t next;
    Attempt attempts[INVITE_ADDRESSES_MAX];
    size_t begun;
    size_t failed;
    StrBuf reasons; /* a line for each */
    bool over;
    Err err;
    char *error;
    bool gate_closed;
    bool next_closed;
};

/* ---- the line ---- */

/* A byte at a time: what is behind the line is for whoever reads on. False: the end. */
static bool read_input_line(StrBuf *text)
{
    char c = '\0';
    while (text->len < INVITE_LINE_MAX_BYTES) {
        ssize_t got = read(STDIN_FILENO, &c, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0 || c == '\n') {
            return got > 0;
        }
        strbuf_add_char(text, c);
    }
    return false;
}

/* A line that a mail has broken into several is put together again. */
static Err read_input(Invite *ret_invite, const char **ret_reason)
{
    AUTO_STRBUF StrBuf text = {0};
    Err err = ERR_INVALID;
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "The invitation (CHAT1-...): ");
    }
    *ret_reason = "nothing was read from standard input";
    for (bool more = true; more && err != ERR_OK;) {
        size_t before = text.len;
        more = read_input_line(&text);
        if (text.len > 0) {
            more = more && text.len > before; /* an empty line ends it */
            err = invite_read(text.text, text.len, ret_invite, ret_reason);
        }
    }
    if (text.len > 0) {
        sodium_memzero(text.text, text.len);
    }
    return err;
}

static Err read_invite(const Settings *settings, Invite *ret_invite, char **ret_error)
{
    const char *reason = "";
    Err err = ERR_OK;
    if (strcmp(settings->line, "-") == 0) {
        err = read_input(ret_invite, &reason);
    } else {
        err = invite_read(settings->line, strlen(settings->line), ret_invite, &reason);
        /* Whoever lists the processes of this machine is not to see it for longer than needed. */
        sodium_memzero(settings->line, strlen(settings->line));
    }
    if (err == ERR_OK && ret_invite->addresses_count == 0) {
        reason = "it has no address";
        err = ERR_INVALID;
    }
    if (err != ERR_OK) {
        *ret_error = strbuf_format("the invitation: %s", reason);
        return ERR_INVALID;
    }
    return ERR_OK;
}

/* ---- the end ---- */

static void gate_is_closed(void *context)
{
    Join *join = context;
    join->gate_closed = true;
}

static void next_is_closed(uv_handle_t *handle)
{
    Join *join = handle->data;
    join->next_closed = true;
}

/* error is taken over. */
static void join_end(Join *join, Err err, char *error)
{
    join->over = true;
    join->err = err;
    join->error = error;
    for (size_t i = 0; i < join->begun; i++) {
        gate_call_cancel(TAKE(join->attempts[i].call));
    }
}

static void join_fail(Join *join, Err err, const char *about, const char *text)
{
    StrBuf error = {0};
    strbuf_addf(&error, "%s: ", about);
    text_sanitise(&error, text, strlen(text));
    join_end(join, err, strbuf_take(&error));
}

static void join_fail_all(Join *join)
{
    bool expired = join->invite.expires_ms <= loop_wall_ms();
    join_end(join, ERR_UNAVAILABLE,
             strbuf_format(
                 "nobody was reached who could let this node in:\n%s%s",
                 strbuf_text(&join->reasons),
                 expired ? "The invitation has expired, by the clock of this machine: ask for a "
                           "new one"
                         : "The node that has made the invitation must be running, and one of "
                           "these addresses must lead to it"));
}

/* ---- welcome ---- */

/* Is what the inviter has sent a network, and are we a member of it? */
static Err check_welcome(const Join *join, const GateWelcomed *welcomed, const char **ret_reason)
{
    Members *members = NULL;
    Err err = members_new(welcomed->genesis, welcomed->genesis_len, &members, ret_reason);
    if (err == ERR_OK) {
        err = members_take_proof(members, join->key, welcomed->proof, welcomed->proof_len,
                                 ret_reason);
    }
    if (err == ERR_OK && members_state(members, join->key) != MEMBER_GOOD) {
        *ret_reason = "this node is no member by it";
        err = ERR_INVALID;
    }
    members_free(members);
    return err;
}

/* Of a node that is let in again they stay as its person has them. */
static Err save_nodes(const Join *join, const char *address, const GateWelcomed *welcomed,
                      char **ret_error)
{
    const char *nodes[NETWORK_NODES_MAX] = {address};
    size_t count = 1;
    for (size_t i = 0; i < welcomed->nodes_count && count < NETWORK_NODES_MAX; i++) {
        nodes[count++] = welcomed->nodes[i];
    }
    AUTO_FREE char *path = network_nodes_path(join->directory);
    bool stays = join->before != NULL && access(path, F_OK) == 0;
    return stays ? ERR_OK : network_write_nodes(join->directory, nodes, count, ret_error);
}

/* The network last: with it the node has joined. */
static Err save(const Join *join, const char *address, const GateWelcomed *welcomed,
                char **ret_error)
{
    Err err = save_nodes(join, address, welcomed, ret_error);
    if (err == ERR_OK) {
        NetworkFile network = {.genesis = bytes_new(welcomed->genesis, welcomed->genesis_len),
                               .proof = bytes_new(welcomed->proof, welcomed->proof_len),
                               .port = join->port};
        snprintf(network.name, sizeof(network.name), "%s", join->asks.name);
        err = network_file_save(join->directory, &network, ret_error);
        network_file_done(&network);
    }
    return err;
}

static void take_welcome(Attempt *attempt, const GateWelcomed *welcomed)
{
    Join *join = attempt->join;
    const char *reason = "";
    char *error = NULL;
    const NetworkFile *before = join->before;
    if (before != NULL &&
        (bytes_len(before->genesis) != welcomed->genesis_len ||
         memcmp(bytes_data(before->genesis), welcomed->genesis, welcomed->genesis_len) != 0)) {
        join_fail(join, ERR_EXISTS, join->directory,
                  "is a node's of another network: name another directory with --data");
        return;
    }
    if (check_welcome(join, welcomed, &reason) != ERR_OK) {
        join_fail(join, ERR_INVALID, "what the inviter has sent is no network to join", reason);
        return;
    }
    Err err = save(join, attempt->address, welcomed, &error);
    join_end(join, err, error);
}

/* ---- attempts ---- */

static void begin_next(Join *join);

static void next_due(uv_timer_t *timer)
{
    begin_next(timer->data);
}

static void attempt_failed(Attempt *attempt, const char *text)
{
    Join *join = attempt->join;
    strbuf_addf(&join->reasons, "  %s: ", attempt->address);
    text_sanitise(&join->reasons, text, strlen(text));
    strbuf_add_char(&join->reasons, '\n');
    join->failed++;
    if (join->failed == join->invite.addresses_count) {
        join_fail_all(join);
    } else if (join->failed == join->begun) {
        begin_next(join);
    }
}

static void attempt_done(void *context, Err err, const GateWelcomed *welcomed, const char *text)
{
    Attempt *attempt = context;
    attempt->call = NULL;
    if (attempt->join->over) {
        return;
    }
    if (err == ERR_OK) {
        take_welcome(attempt, welcomed);
    } else if (err == ERR_DENIED) {
        join_fail(attempt->join, err, "the inviter's node has refused", text);
    } else if (err == ERR_INVALID) {
        attempt_failed(attempt, "another node is there, not the inviter's: its key is another");
    } else {
        attempt_failed(attempt, text);
    }
}

static void begin_next(Join *join)
{
    if (join->over || join->begun == join->invite.addresses_count) {
        return;
    }
    char host[INVITE_ADDRESS_MAX_BYTES + 1];
    uint16_t port = 0;
    Attempt *attempt = &join->attempts[join->begun];
    attempt->join = join;
    attempt->address = join->invite.addresses[join->begun];
    join->begun++;
    uv_timer_start(&join->next, next_due, NEXT_AFTER_MS, 0);
    if (address_split(attempt->address, host, &port) != ERR_OK) {
        attempt_failed(attempt, "that is no address");
        return;
    }
    attempt->call =
        gate_join(join->gate, host, port, join->invite.inviter, &join->asks, attempt_done, attempt);
}

/* ---- all of it ---- */

static void nothing_refused(void *context, const char *text)
{
    (void)context;
    (void)text;
}

static void run(Join *join)
{
    uv_timer_init(loop_uv(join->loop), &join->next);
    join->next.data = join;
    begin_next(join);
    while (!join->over) {
        loop_turn(join->loop, true);
    }
    uv_close((uv_handle_t *)&join->next, next_is_closed);
    gate_close(join->gate, gate_is_closed, join);
    while (!join->gate_closed || !join->next_closed) {
        loop_turn(join->loop, true);
    }
}

static Err join_prepared(Join *join, const PreparedDir *prepared, char **ret_error)
{
    static const GateEvents events = {.refused = nothing_refused};
    EventSigner signer;
    event_signer_init(&signer, prepared_dir_seed(prepared));
    memcpy(join->key, signer.public_key, EVENT_KEY_BYTES);
    event_signer_done(&signer);
    join->loop = prepared_dir_loop(prepared);
    join->before = prepared_dir_network(prepared);
    Err err = gate_open(&(GateOptions){.loop = join->loop,
                                       .seed = prepared_dir_seed(prepared),
                                       .connections_max = CONNECTIONS_MAX,
                                       .events = &events,
                                       .context = join},
                        &join->gate, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    run(join);
    if (join->err != ERR_OK) {
        *ret_error = TAKE(join->error);
    }
    return join->err;
}

Err network_join(const Settings *settings, const char *directory, const char *name,
                 char **ret_error)
{
    Join join = {.directory = directory, .port = settings->port};
    Err err = read_invite(settings, &join.invite, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    memcpy(join.asks.secret, join.invite.secret, sizeof(join.asks.secret));
    snprintf(join.asks.name, sizeof(join.asks.name), "%s", name);
    join.asks.port = settings->port;
    PreparedDir *prepared = NULL;
    err = prepared_dir_open(directory, join.invite.inviter, &prepared, ret_error);
    if (err == ERR_OK) {
        err = join_prepared(&join, prepared, ret_error);
        prepared_dir_close(prepared);
    }
    strbuf_done(&join.reasons);
    mem_free(join.error);
    sodium_memzero(&join, sizeof(join));
    return err;
}
