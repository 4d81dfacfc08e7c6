/* Between the gate and the core. */
#include "io/node_gate.h"

#include "base/log.h"
#include "io/invites.h"
#include "io/loop.h"
#include "io/network_dir.h"

#include <stdio.h>
#include <string.h>

enum {
    /* More are of no use to somebody who needs one to begin with. */
    WELCOME_NODES_MAX = 64,
    /* Members whose comings are counted: those who came last. */
    COMERS_MAX = 128,
    /* That a member may come at once, and then one each second: a cable that comes loose is less.
     * What it says on a new connection is the library's to judge, which costs more than to say. */
    COMER_BURST = 10,
    COMER_EACH_MS = 1000,
};

typedef struct Comer {
    uint8_t key[EVENT_KEY_BYTES];
    uint32_t left;
    uint64_t filled_ms;
} Comer;

struct NodeGate {
    NodeGateOptions options; /* what was borrowed is not there any more */
    Gate *gate;
    Invites *invites;
    Bytes *genesis;
    char *data_dir;
    char *listen;
    uint16_t port;
    uint8_t key[EVENT_KEY_BYTES];
    char *nodes[WELCOME_NODES_MAX]; /* "host:port" of those this node links to */
    size_t nodes_count;
    Comer comers[COMERS_MAX];
    NodeEntered entered;
    void *entered_context;
    bool closing;
};

/* ---- what the gate says ---- */

/* As it was left, or in place of the one who has not come for longest. */
static Comer *find_comer(NodeGate *gate, const uint8_t key[EVENT_KEY_BYTES])
{
    Comer *oldest = &gate->comers[0];
    for (size_t i = 0; i < COMERS_MAX; i++) {
        Comer *comer = &gate->comers[i];
        if (memcmp(comer->key, key, EVENT_KEY_BYTES) == 0) {
            return comer;
        }
        oldest = comer->filled_ms < oldest->filled_ms ? comer : oldest;
    }
    *oldest = (Comer){.left = COMER_BURST};
    memcpy(oldest->key, key, EVENT_KEY_BYTES);
    return oldest;
}

static bool comes_too_often(NodeGate *gate, const GatePeer *peer)
{
    if (peer->dialled) {
        return false;
    }
    Comer *comer = find_comer(gate, peer->key);
    uint64_t more = (loop_mono_ms() - comer->filled_ms) / COMER_EACH_MS;
    comer->left = more < COMER_BURST - comer->left ? comer->left + (uint32_t)more : COMER_BURST;
    comer->filled_ms = more > 0 ? loop_mono_ms() : comer->filled_ms;
    if (comer->left == 0) {
        return true;
    }
    comer->left--;
    return false;
}

static void on_knocked(void *context, GateKnock *knock, const GatePeer *peer, const uint8_t *proof,
                       size_t len)
{
    NodeGate *gate = context;
    if (gate->closing) {
        gate_refuse(knock, MESH_BYE_LEAVING);
        return;
    }
    if (comes_too_often(gate, peer)) {
        gate_refuse(knock, "it comes too often");
        return;
    }
    gate->options.step(
        gate->options.node,
        &(Event){.kind = EVENT_KNOCK, .key = peer->key, .data = proof, .len = len, .token = knock});
}

/* Where the newcomer can be reached by others, as far as it can be seen from here: its address, and
 * the port that it told. */
static void address_of(const GatePeer *peer, const GateJoin *join, char *ret_text, size_t size)
{
    const char *colon = strrchr(peer->address, ':');
    int host_len = colon != NULL ? (int)(colon - peer->address) : 0;
    snprintf(ret_text, size, "%.*s:%u", host_len, peer->address, (unsigned)join->port);
}

/* Its invitation is used up, durably, before it is let in: so one line lets in one person. */
static void on_asked(void *context, GateKnock *knock, const GatePeer *peer, const GateJoin *join)
{
    NodeGate *gate = context;
    AUTO_FREE char *text = NULL;
    char address[GATE_ADDRESS_MAX_BYTES + 8];
    if (gate->closing) {
        gate_refuse(knock, MESH_BYE_LEAVING);
        return;
    }
    if (invites_use(gate->invites, join->secret, peer->key, loop_wall_ms(), &text) != ERR_OK) {
        gate_refuse(knock, text);
        return;
    }
    address_of(peer, join, address, sizeof(address));
    gate->options.step(gate->options.node, &(Event){.kind = EVENT_ADMIT,
                                                    .key = peer->key,
                                                    .peer_name = join->name,
                                                    .text = join->port != 0 ? address : NULL,
                                                    .text_len = strlen(address),
                                                    .token = knock});
}

static void on_entered(void *context, int fd, const GatePeer *peer)
{
    NodeGate *gate = context;
    gate->entered(gate->entered_context, fd, peer);
}

static void on_refused(void *context, const char *text)
{
    (void)context;
    log_info("%s", text);
}

static void on_cut_off(void *context, const char *text)
{
    (void)context;
    log_warning("%s", text);
}

static const GateEvents EVENTS = {.knocked = on_knocked,
                                  .asked = on_asked,
                                  .entered = on_entered,
                                  .refused = on_refused,
                                  .cut_off = on_cut_off};

/* ---- what the core says ---- */

static void welcome(NodeGate *gate, const Action *action)
{
    gate_welcome(action->token, bytes_data(gate->genesis), bytes_len(gate->genesis),
                 bytes_data(action->frame), bytes_len(action->frame),
                 (const char *const *)gate->nodes, gate->nodes_count);
}

/* For the next start, whose log may be lost. */
static void keep_proof(const NodeGate *gate, Bytes *proof)
{
    NetworkFile network = {0};
    AUTO_FREE char *error = NULL;
    Err err = network_file_load(gate->data_dir, &network, &error);
    if (err == ERR_OK) {
        bytes_unref(network.proof);
        network.proof = bytes_ref(proof);
        err = network_file_save(gate->data_dir, &network, &error);
    }
    if (err != ERR_OK) {
        log_warning("the proof that this node is a member was not kept: %s",
                    error != NULL ? error : err_text(err));
    }
    network_file_done(&network);
}

void node_gate_do(NodeGate *gate, const Action *action)
{
    switch (action->kind) {
    case ACTION_LET_IN:
        gate_let_in(action->token);
        return;
    case ACTION_TURN_AWAY:
        gate_refuse(action->token, action->text);
        return;
    case ACTION_WELCOME:
        welcome(gate, action);
        return;
    case ACTION_CUT_KEY:
        gate_cut(gate->gate, action->key);
        return;
    case ACTION_PROOF:
        gate_set_proof(gate->gate, action->frame);
        keep_proof(gate, action->frame);
        return;
    default:
        return;
    }
}

Err node_gate_invite(NodeGate *gate, const Action *action, StrBuf *ret_text)
{
    OwnAddresses addresses = {.count = 0};
    char *error = NULL;
    Err err = ERR_OK;
    if (action->text[0] != '\0') {
        err = own_addresses_add_words(&addresses, action->text, gate->port, &error);
    } else {
        own_addresses_find(&addresses, gate->listen, gate->port);
    }
    if (err == ERR_OK) {
        err = invites_make(gate->invites, gate->key, &addresses, action->hours, loop_wall_ms(),
                           ret_text, &error);
    }
    if (err != ERR_OK) {
        strbuf_clear(ret_text);
        strbuf_add_string(ret_text, error);
        mem_free(error);
    }
    return err;
}

/* ---- life ---- */

static void keep_nodes(NodeGate *gate, const NodeGateOptions *options)
{
    char address[LINK_HOST_MAX_BYTES + 16];
    for (size_t i = 0; i < options->nodes_count && i < WELCOME_NODES_MAX; i++) {
        node_config_address(options->nodes[i].host, options->nodes[i].port, address,
                            sizeof(address));
        gate->nodes[gate->nodes_count++] = mem_copy_string(address);
    }
}

Err node_gate_open(const NodeGateOptions *options, NodeGate **ret_gate, char **ret_text)
{
    const NodeNetwork *network = options->network;
    NodeGate *gate = mem_new(NodeGate);
    EventSigner signer;
    gate->options = *options;
    Err err = gate_open(&(GateOptions){.loop = node_loop(options->node),
                                       .seed = options->seed,
                                       .network = options->number,
                                       .program_pem = network->program_pem,
                                       .connections_max = options->connections_max,
                                       .events = &EVENTS,
                                       .context = gate},
                        &gate->gate, ret_text);
    if (err != ERR_OK) {
        mem_free(gate);
        return err;
    }
    event_signer_init(&signer, options->seed);
    memcpy(gate->key, signer.public_key, sizeof(gate->key));
    event_signer_done(&signer);
    gate->invites = invites_new(options->data_dir);
    gate->genesis = bytes_new(network->genesis, network->genesis_len);
    gate->data_dir = mem_copy_string(options->data_dir);
    gate->listen = network->listen != NULL ? mem_copy_string(network->listen) : NULL;
    gate->port = network->port;
    keep_nodes(gate, options);
    Bytes *proof = bytes_new(network->proof, network->proof_len);
    gate_set_proof(gate->gate, proof);
    bytes_unref(proof);
    *ret_gate = gate;
    return ERR_OK;
}

void node_gate_close(NodeGate *gate, void (*done)(void *context), void *context)
{
    gate->closing = true;
    gate_close(TAKE(gate->gate), done, context);
}

void node_gate_free(NodeGate *gate)
{
    if (gate == NULL) {
        return;
    }
    for (size_t i = 0; i < gate->nodes_count; i++) {
        mem_free(gate->nodes[i]);
    }
    invites_free(gate->invites);
    bytes_unref(gate->genesis);
    mem_free(gate->data_dir);
    mem_free(gate->listen);
    mem_free(gate);
}

Gate *node_gate_gate(NodeGate *gate)
{
    return gate->gate;
}

void node_gate_on_entered(NodeGate *gate, NodeEntered entered, void *context)
{
    gate->entered = entered;
    gate->entered_context = context;
}

Err node_gate_listen(NodeGate *gate, const char *address, char **ret_text)
{
    return gate_listen(gate->gate, address, gate->port, ret_text);
}
