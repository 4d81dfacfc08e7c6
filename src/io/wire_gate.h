/* GateMessage of proto/chat.proto: what nodes say to each other at the gate. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "core/event.h"

enum {
    WIRE_GATE_TAG_BYTES = 32,
    WIRE_GATE_SECRET_BYTES = 16,
    WIRE_GATE_NODES_MAX = 64,
    WIRE_GATE_REFUSAL_MAX_BYTES = 200, /* ours are shorter; a longer one is cut */
};

/* Each part may be missing. Borrowed from the arena when decoded, from the caller to be encoded. */
typedef struct WireGate {
    const uint8_t *tag;   /* WIRE_GATE_TAG_BYTES; NULL: none */
    const uint8_t *proof; /* an encoded MemberProof, which may have no bytes; NULL: none */
    size_t proof_len;
    const uint8_t *join_secret; /* WIRE_GATE_SECRET_BYTES; NULL: no join */
    const char *join_name;
    uint16_t join_port;
    const uint8_t *genesis; /* of a welcome; NULL: none */
    size_t genesis_len;
    const uint8_t *welcome_proof; /* with genesis */
    size_t welcome_proof_len;
    const char *const *nodes;
    size_t nodes_count;
    bool come_in;
    const char *refusal; /* of anything; NULL or "": none */
} WireGate;

/* A decoded message and the memory it lives in: what is borrowed from it is valid until the next
 * decode. For one thread. */
typedef struct WireGateArena WireGateArena;
WireGateArena *wire_gate_arena_new(void);
/* NULL is fine. */
void wire_gate_arena_free(WireGateArena *arena);

/* ERR_INVALID: not such a message, or one that breaks a cap (of members.h, invite.h, or here).
 * Names and addresses are UTF-8 without control characters. */
Err wire_gate_decode(WireGateArena *arena, const uint8_t *data, size_t len, WireGate *ret_message);
/* ERR_INVALID: a proof that is none, or is longer than MEMBER_PROOF_MAX_BYTES. The caller owns
 * *ret_bytes. Uses the arena as decoding does. */
Err wire_gate_encode(WireGateArena *arena, const WireGate *message, Bytes **ret_bytes);
