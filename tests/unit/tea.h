/* Ann's network, of cores in a world: who is let in by whom, for tests of members. */
#pragma once

#include "core_world.h"
#include "unit.h"

enum { ANN, BOB, CYD };

typedef struct Tea {
    World *world;
    Bytes *genesis;
    Members *members; /* what ann has signed */
    Bytes *proofs[WORLD_NODES_MAX];
} Tea;

static inline const uint8_t *key_of(size_t at)
{
    static uint8_t keys[WORLD_NODES_MAX][EVENT_KEY_BYTES];
    EventSigner signer = trace_signer(WORLD_NAMES[at]);
    memcpy(keys[at], signer.public_key, EVENT_KEY_BYTES);
    return keys[at];
}

static inline Bytes *proof_for(const Members *members, size_t inviter, size_t at)
{
    EventSigner signer = trace_signer(WORLD_NAMES[inviter]);
    Bytes *body =
        membership_new(members, &signer, key_of(at), WORLD_NAMES[at], NULL, 0, TRACE_WALL_MS);
    /* One membership: field 1 of the proof, with a length of two bytes. */
    size_t len = bytes_len(body);
    assert_true(len > 127);
    Bytes *proof = bytes_new_empty(len + 3);
    uint8_t *at_byte = bytes_fill(proof);
    at_byte[0] = 1 << 3 | 2;
    at_byte[1] = (uint8_t)(len | 0x80);
    at_byte[2] = (uint8_t)(len >> 7);
    memcpy(at_byte + 3, bytes_data(body), len);
    bytes_unref(body);
    return proof;
}

/* Those behind ann have her membership, and no event says so yet. */
static inline void tea_init(Tea *tea, const char *const *dials, size_t count)
{
    const char *reason = "";
    const uint8_t salt[16] = {1};
    *tea = (Tea){.world = world_new(dials, count)};
    assert_int_equal(genesis_new("tea", key_of(ANN), salt, TRACE_WALL_MS, &tea->genesis, &reason),
                     ERR_OK);
    assert_int_equal(
        members_new(bytes_data(tea->genesis), bytes_len(tea->genesis), &tea->members, &reason),
        ERR_OK);
    for (size_t i = 0; i < count; i++) {
        tea->proofs[i] = i == ANN ? NULL : proof_for(tea->members, ANN, i);
        tea->world->nodes[i].genesis = tea->genesis;
        tea->world->nodes[i].proof = tea->proofs[i];
    }
}

static inline void tea_done(Tea *tea)
{
    for (size_t i = 0; i < WORLD_NODES_MAX; i++) {
        bytes_unref(tea->proofs[i]);
    }
    world_free(tea->world);
    members_free(tea->members);
    bytes_unref(tea->genesis);
}

/* What a node says to an event, and what happens at once at all. */
static inline const char *tea_step(Tea *tea, size_t at, Event event)
{
    strbuf_clear(&tea->world->text);
    world_step(tea->world, at, event);
    world_run(tea->world, tea->world->now_ms);
    return strbuf_text(&tea->world->text);
}

static inline const char *tea_knock(Tea *tea, size_t at, size_t who, const Bytes *proof)
{
    return tea_step(tea, at,
                    (Event){.kind = EVENT_KNOCK,
                            .key = key_of(who),
                            .data = proof != NULL ? bytes_data(proof) : NULL,
                            .len = proof != NULL ? bytes_len(proof) : 0,
                            .token = (void *)7});
}

static inline const char *tea_admit(Tea *tea, size_t at, size_t who, const char *name)
{
    return tea_step(tea, at,
                    (Event){.kind = EVENT_ADMIT,
                            .key = key_of(who),
                            .peer_name = name,
                            .text = "10.0.0.9:50051",
                            .token = (void *)9});
}

static inline const char *tea_command(Tea *tea, size_t at, const char *text)
{
    return tea_step(
        tea, at,
        (Event){.kind = EVENT_COMMAND, .text = text, .text_len = strlen(text), .token = (void *)5});
}

static inline void expect(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in:\n%s", part, text);
    }
}

static inline void expect_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("\"%s\" is in:\n%s", part, text);
    }
}

/* All started, each let in at those before it by its proof, and they at its own. */
static inline void tea_start(Tea *tea)
{
    world_start(tea->world, ANN);
    for (size_t i = 1; i < tea->world->count; i++) {
        for (size_t other = 0; other < i; other++) {
            expect(tea_knock(tea, other, i, tea->proofs[i]), "| let in 7\n");
        }
        world_start(tea->world, i);
        for (size_t other = 1; other < i; other++) {
            expect(tea_knock(tea, i, other, tea->proofs[other]), "| let in 7\n");
        }
    }
    world_wait(tea->world, 1000);
}

static const char *const TWO[] = {"", "a"};
static const char *const THREE[] = {"", "a", "ab"};

static inline const char *tea_client(Tea *tea, size_t at, const char *sender)
{
    MessageDraft draft = {.sender = sender,
                          .sender_len = strlen(sender),
                          .content = "x",
                          .content_len = 1,
                          .once = true};
    return tea_step(tea, at, (Event){.kind = EVENT_RECEIVED, .draft = &draft, .token = (void *)3});
}
