/* What strangers say at the gate, before anybody knows who they are. What is taken must be the same
 * once it was written and read again. */
#include "fuzz.h"
#include "io/wire_gate.h"

#include <stdlib.h>
#include <string.h>

static void must_be(bool is_so)
{
    if (!is_so) {
        abort();
    }
}

static bool same(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    if (a == NULL || b == NULL) {
        return a == b;
    }
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

static void must_be_same(const WireGate *a, const WireGate *b)
{
    must_be(same(a->proof, a->proof_len, b->proof, b->proof_len));
    must_be(same(a->genesis, a->genesis_len, b->genesis, b->genesis_len));
    must_be(same(a->welcome_proof, a->welcome_proof_len, b->welcome_proof, b->welcome_proof_len));
    must_be((a->tag == NULL) == (b->tag == NULL));
    must_be((a->join_secret == NULL) == (b->join_secret == NULL));
    must_be(a->join_secret == NULL || strcmp(a->join_name, b->join_name) == 0);
    must_be(a->join_port == b->join_port && a->come_in == b->come_in);
    must_be(a->nodes_count == b->nodes_count && strcmp(a->refusal, b->refusal) == 0);
    for (size_t i = 0; i < a->nodes_count; i++) {
        must_be(strcmp(a->nodes[i], b->nodes[i]) == 0);
    }
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static WireGateArena *arenas[3];
    WireGate message;
    WireGate again;
    Bytes *bytes = NULL;
    for (size_t i = 0; i < sizeof(arenas) / sizeof(arenas[0]) && arenas[i] == NULL; i++) {
        arenas[i] = wire_gate_arena_new();
    }
    if (wire_gate_decode(arenas[0], data, size, &message) != ERR_OK) {
        return 0;
    }
    must_be(wire_gate_encode(arenas[1], &message, &bytes) == ERR_OK);
    must_be(wire_gate_decode(arenas[2], bytes_data(bytes), bytes_len(bytes), &again) == ERR_OK);
    must_be_same(&message, &again);
    bytes_unref(bytes);
    return 0;
}
