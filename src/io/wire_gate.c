/* protobuf-c behind what is said at the gate. A MemberProof passes as bytes: to look into it is the
 * core's business. */
#include "io/wire_gate.h"

#include "base/text.h"
#include "core/invite.h"
#include "core/members.h"
#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <string.h>

enum {
    GATE_VERSION = 1,
    /* The longest message and its parts, twice; one of many small parts takes more: refused. */
    ARENA_BYTES = 256 * 1024,
};

struct WireGateArena {
    ProtoArena arena;
    _Alignas(PROTO_ARENA_ALIGN) uint8_t memory[ARENA_BYTES];
};

WireGateArena *wire_gate_arena_new(void)
{
    return mem_new(WireGateArena);
}

void wire_gate_arena_free(WireGateArena *arena)
{
    mem_free(arena);
}

/* ---- decoding ---- */

/* The bytes of a proof, in the arena; false: it is too long. */
static bool proof_bytes(WireGateArena *arena, const Chat__MemberProof *proof,
                        const uint8_t **ret_data, size_t *ret_len)
{
    size_t len = chat__member_proof__get_packed_size(proof);
    ProtobufCAllocator *allocator = &arena->arena.allocator;
    if (len > MEMBER_PROOF_MAX_BYTES || proof->n_memberships > MEMBER_PROOF_MAX) {
        return false;
    }
    uint8_t *data = allocator->alloc(allocator->allocator_data, len + 1);
    if (data == NULL) {
        return false;
    }
    chat__member_proof__pack(proof, data);
    *ret_data = data;
    *ret_len = len;
    return true;
}

static bool text_is_fine(const char *text, size_t max_bytes)
{
    size_t len = strlen(text);
    return len <= max_bytes && text_is_utf8(text, len) && !text_has_controls(text, len);
}

static bool take_join(const Chat__GateJoin *join, WireGate *message)
{
    if (join->secret.len != WIRE_GATE_SECRET_BYTES || join->port > UINT16_MAX ||
        join->name[0] == '\0' || !text_is_fine(join->name, MEMBER_NAME_MAX_BYTES)) {
        return false;
    }
    message->join_secret = join->secret.data;
    message->join_name = join->name;
    message->join_port = (uint16_t)join->port;
    return true;
}

static bool take_welcome(WireGateArena *arena, const Chat__GateWelcome *welcome, WireGate *message)
{
    if (welcome->genesis.len == 0 || welcome->genesis.len > GENESIS_MAX_BYTES ||
        welcome->proof == NULL || welcome->n_nodes > WIRE_GATE_NODES_MAX) {
        return false;
    }
    for (size_t i = 0; i < welcome->n_nodes; i++) {
        if (!text_is_fine(welcome->nodes[i], INVITE_ADDRESS_MAX_BYTES)) {
            return false;
        }
    }
    message->genesis = welcome->genesis.data;
    message->genesis_len = welcome->genesis.len;
    message->nodes = (const char *const *)welcome->nodes;
    message->nodes_count = welcome->n_nodes;
    return proof_bytes(arena, welcome->proof, &message->welcome_proof, &message->welcome_proof_len);
}

Err wire_gate_decode(WireGateArena *arena, const uint8_t *data, size_t len, WireGate *ret_message)
{
    ProtobufCAllocator *allocator =
        proto_arena_reset(&arena->arena, arena->memory, sizeof(arena->memory));
    Chat__GateMessage *decoded = chat__gate_message__unpack(allocator, len, data);
    if (decoded == NULL || decoded->version < GATE_VERSION) {
        return ERR_INVALID;
    }
    WireGate message = {.come_in = decoded->come_in != 0, .refusal = decoded->refusal};
    if (decoded->tag.len > 0) {
        if (decoded->tag.len != WIRE_GATE_TAG_BYTES) {
            return ERR_INVALID;
        }
        message.tag = decoded->tag.data;
    }
    if ((decoded->proof != NULL &&
         !proof_bytes(arena, decoded->proof, &message.proof, &message.proof_len)) ||
        (decoded->join != NULL && !take_join(decoded->join, &message)) ||
        (decoded->welcome != NULL && !take_welcome(arena, decoded->welcome, &message))) {
        return ERR_INVALID;
    }
    *ret_message = message;
    return ERR_OK;
}

/* ---- encoding ---- */

/* NULL: it is none. */
static Chat__MemberProof *proof_of(WireGateArena *arena, const uint8_t *data, size_t len)
{
    return len <= MEMBER_PROOF_MAX_BYTES
               ? chat__member_proof__unpack(&arena->arena.allocator, len, data)
               : NULL;
}

static ProtobufCBinaryData binary(const uint8_t *data, size_t len)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)data, .len = len};
}

static char *string(const char *text)
{
    return (char *)(uintptr_t)text;
}

Err wire_gate_encode(WireGateArena *arena, const WireGate *message, Bytes **ret_bytes)
{
    proto_arena_reset(&arena->arena, arena->memory, sizeof(arena->memory));
    Chat__GateMessage out = CHAT__GATE_MESSAGE__INIT;
    Chat__GateJoin join = CHAT__GATE_JOIN__INIT;
    Chat__GateWelcome welcome = CHAT__GATE_WELCOME__INIT;
    out.version = GATE_VERSION;
    out.come_in = message->come_in;
    if (message->refusal != NULL) {
        out.refusal = string(message->refusal);
    }
    if (message->tag != NULL) {
        out.tag = binary(message->tag, WIRE_GATE_TAG_BYTES);
    }
    if (message->proof != NULL) {
        out.proof = proof_of(arena, message->proof, message->proof_len);
    }
    if (message->join_secret != NULL) {
        join.secret = binary(message->join_secret, WIRE_GATE_SECRET_BYTES);
        join.name = string(message->join_name);
        join.port = message->join_port;
        out.join = &join;
    }
    if (message->genesis != NULL) {
        welcome.genesis = binary(message->genesis, message->genesis_len);
        welcome.proof = proof_of(arena, message->welcome_proof, message->welcome_proof_len);
        welcome.nodes = (char **)(uintptr_t)message->nodes;
        welcome.n_nodes = message->nodes_count;
        out.welcome = &welcome;
    }
    if ((message->proof != NULL && out.proof == NULL) ||
        (out.welcome != NULL && welcome.proof == NULL)) {
        return ERR_INVALID;
    }
    Bytes *bytes = bytes_new_empty(chat__gate_message__get_packed_size(&out));
    chat__gate_message__pack(&out, bytes_fill(bytes));
    *ret_bytes = bytes;
    return ERR_OK;
}
