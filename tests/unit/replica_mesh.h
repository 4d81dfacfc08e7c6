/* Replicas wired by hand: links have the number of the peer they lead to, disks write at once, and
 * frames arrive when the mesh settles. */
#pragma once

#include "core/replica.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { PEERS = 4, LETTERS_MAX = 1024 };

typedef struct Letter {
    size_t from;
    size_t to;
    Bytes *frame;
} Letter;

typedef struct Peer {
    Replica *replica;
    uint64_t shown;
    char last[64];
    size_t reads;
    uint64_t read_from;
    size_t read_link;
    size_t frozen;
    char dropped[100]; /* the reason of its last DROP */
    size_t cuts;
    uint64_t cut_from; /* the last REPLICA_CUT's */
    Bytes *proof;      /* the last REPLICA_FROZEN's */
} Peer;

typedef struct Mesh {
    Peer peers[PEERS];
    uint64_t now_ms;
    bool disks_stand_still;
    uint64_t tickets[PEERS];
    bool cut[PEERS][PEERS];
    char dropped[200]; /* the reason of the last DROP */
    Letter letters[LETTERS_MAX];
    size_t letters_count;
} Mesh;

static inline void mesh_step(Mesh *mesh, size_t at, ReplicaInput input);

static inline void mesh_do(Mesh *mesh, size_t at, const ReplicaOutput *output)
{
    Peer *peer = &mesh->peers[at];
    switch (output->kind) {
    case REPLICA_STORE:
        mesh->tickets[at] = output->ticket;
        if (!mesh->disks_stand_still) {
            mesh_step(mesh, at, (ReplicaInput){.kind = REPLICA_STORED, .ticket = output->ticket});
        }
        return;
    case REPLICA_READ:
        peer->reads++;
        peer->read_from = output->from;
        peer->read_link = output->link;
        return;
    case REPLICA_SEND:
        assert_in_range(mesh->letters_count, 0, LETTERS_MAX - 1);
        mesh->letters[mesh->letters_count++] =
            (Letter){.from = at, .to = output->link, .frame = bytes_ref(output->frame)};
        return;
    case REPLICA_APPLY:
        for (size_t i = 0; i < output->events_count; i++) {
            const EventFields *fields = &output->events[i]->fields;
            peer->shown++;
            snprintf(peer->last, sizeof(peer->last), "%.*s", (int)fields->body_len,
                     (const char *)fields->body);
        }
        return;
    case REPLICA_DROP:
        snprintf(mesh->dropped, sizeof(mesh->dropped), "%s", output->reason);
        snprintf(peer->dropped, sizeof(peer->dropped), "%s", output->reason);
        return;
    case REPLICA_FROZEN:
        peer->frozen++;
        if (output->frame != NULL) {
            bytes_unref(peer->proof);
            peer->proof = bytes_ref(output->frame);
        }
        return;
    case REPLICA_CUT:
        peer->cuts++;
        peer->cut_from = output->from;
        return;
    case REPLICA_GREETED:
    case REPLICA_HEARD:
        return;
    }
}

static inline void mesh_step(Mesh *mesh, size_t at, ReplicaInput input)
{
    ReplicaOutputs outputs = {0};
    input.mono_ms = mesh->now_ms;
    input.wall_ms = INT64_C(1700000000000) + (int64_t)mesh->now_ms;
    input.random = mesh->now_ms * 7919 + at;
    replica_step(mesh->peers[at].replica, &input, &outputs);
    for (size_t i = 0; i < outputs.count; i++) {
        mesh_do(mesh, at, &outputs.items[i]);
    }
    replica_outputs_done(&outputs);
}

static inline void mesh_settle(Mesh *mesh)
{
    while (mesh->letters_count > 0) {
        Letter letter = mesh->letters[0];
        mesh->letters_count--;
        memmove(mesh->letters, mesh->letters + 1, mesh->letters_count * sizeof(Letter));
        mesh_step(mesh, letter.from, (ReplicaInput){.kind = REPLICA_SENT, .link = letter.to});
        if (!mesh->cut[letter.from][letter.to]) {
            mesh_step(mesh, letter.to,
                      (ReplicaInput){.kind = REPLICA_FRAME,
                                     .link = letter.from,
                                     .data = bytes_data(letter.frame),
                                     .len = bytes_len(letter.frame)});
        }
        bytes_unref(letter.frame);
    }
}

static inline Mesh mesh_new(void)
{
    Mesh mesh = {.now_ms = 1000};
    for (size_t i = 0; i < PEERS; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(i + 1)};
        ReplicaConfig config = {.epoch = 10 + i};
        event_signer_init(&config.signer, seed);
        mesh.peers[i].replica = replica_new(&config, NULL, 0);
    }
    return mesh;
}

static inline void mesh_link(Mesh *mesh, size_t a, size_t b)
{
    mesh_step(mesh, a, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = b});
    mesh_step(mesh, b, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = a});
    mesh_settle(mesh);
}

static inline void mesh_wait(Mesh *mesh, uint64_t ms)
{
    for (uint64_t end = mesh->now_ms + ms; mesh->now_ms < end;) {
        mesh->now_ms += 50;
        for (size_t i = 0; i < PEERS; i++) {
            mesh_step(mesh, i, (ReplicaInput){.kind = REPLICA_TIMER});
        }
        mesh_settle(mesh);
    }
}

static inline void mesh_say(Mesh *mesh, size_t at, const char *body)
{
    EventFields fields = {.room = "lobby",
                          .room_len = 5,
                          .kind = LOG_TEXT,
                          .sender = "ann",
                          .sender_len = 3,
                          .body = (const uint8_t *)body,
                          .body_len = strlen(body)};
    mesh_step(mesh, at, (ReplicaInput){.kind = REPLICA_SAY, .fields = &fields});
    mesh_settle(mesh);
}

static inline void mesh_done(Mesh *mesh)
{
    for (size_t i = 0; i < PEERS; i++) {
        replica_free(mesh->peers[i].replica);
        bytes_unref(mesh->peers[i].proof);
    }
    for (size_t i = 0; i < mesh->letters_count; i++) {
        bytes_unref(mesh->letters[i].frame);
    }
}
