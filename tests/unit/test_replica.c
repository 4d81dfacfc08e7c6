/* Two and three replicas, wired by hand. The simulator does the rest. */
#include "core/replica.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { PEERS = 3, LETTERS_MAX = 1024 };

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

static void mesh_step(Mesh *mesh, size_t at, ReplicaInput input);

/* Links have the number of the peer they lead to; disks write at once; frames arrive when the mesh
 * settles. */
static void mesh_do(Mesh *mesh, size_t at, const ReplicaOutput *output)
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
        return;
    case REPLICA_FROZEN:
    case REPLICA_GREETED:
    case REPLICA_HEARD:
        return;
    }
}

static void mesh_step(Mesh *mesh, size_t at, ReplicaInput input)
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

static void mesh_settle(Mesh *mesh)
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

static Mesh mesh_new(void)
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

static void mesh_link(Mesh *mesh, size_t a, size_t b)
{
    mesh_step(mesh, a, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = b});
    mesh_step(mesh, b, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = a});
    mesh_settle(mesh);
}

static void mesh_wait(Mesh *mesh, uint64_t ms)
{
    for (uint64_t end = mesh->now_ms + ms; mesh->now_ms < end;) {
        mesh->now_ms += 50;
        for (size_t i = 0; i < PEERS; i++) {
            mesh_step(mesh, i, (ReplicaInput){.kind = REPLICA_TIMER});
        }
        mesh_settle(mesh);
    }
}

static void mesh_say(Mesh *mesh, size_t at, const char *body)
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

static void mesh_done(Mesh *mesh)
{
    for (size_t i = 0; i < PEERS; i++) {
        replica_free(mesh->peers[i].replica);
    }
    for (size_t i = 0; i < mesh->letters_count; i++) {
        bytes_unref(mesh->letters[i].frame);
    }
}

static void line_crosses_a_link_at_once(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh_say(&mesh, 0, "hi");
    assert_string_equal(mesh.peers[0].last, "hi");
    assert_string_equal(mesh.peers[1].last, "hi");
    assert_int_equal(replica_root(mesh.peers[0].replica), replica_root(mesh.peers[1].replica));
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

static void line_reaches_a_peer_of_a_peer_once(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh_link(&mesh, 1, 2);
    for (int i = 0; i < 20; i++) {
        mesh_say(&mesh, 0, "hi");
        mesh_wait(&mesh, 300);
    }
    for (size_t i = 0; i < PEERS; i++) {
        assert_int_equal(mesh.peers[i].shown, 20);
        assert_int_equal(replica_stats(mesh.peers[i].replica).events_repeated, 0);
    }
    mesh_done(&mesh);
}

static void nothing_is_shown_or_sent_before_it_is_durable(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh.disks_stand_still = true;
    mesh_say(&mesh, 0, "one");
    mesh_say(&mesh, 0, "two");
    mesh_say(&mesh, 0, "three");
    assert_int_equal(mesh.peers[0].shown, 0);
    assert_int_equal(mesh.peers[1].shown, 0);
    mesh.disks_stand_still = false;
    mesh_step(&mesh, 0, (ReplicaInput){.kind = REPLICA_STORED, .ticket = mesh.tickets[0]});
    mesh_settle(&mesh);
    assert_int_equal(mesh.peers[0].shown, 3); /* the two that waited became one group */
    assert_int_equal(mesh.peers[1].shown, 3);
    mesh_done(&mesh);
}

static void late_comer_gets_all_and_others_know_it(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    for (int i = 0; i < 500; i++) {
        mesh_say(&mesh, 0, "history");
    }
    mesh_link(&mesh, 1, 2);
    mesh_wait(&mesh, 1000);
    assert_int_equal(mesh.peers[2].shown, 500);
    assert_int_equal(replica_behind(mesh.peers[2].replica), 0);
    StreamId stream = {.epoch = 10};
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){1});
    memcpy(stream.origin, signer.public_key, EVENT_KEY_BYTES);
    assert_int_equal(replica_kept_by(mesh.peers[1].replica, &stream, 500), 2);
    mesh_done(&mesh);
}

static void upstream_that_goes_silent_is_left(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh_link(&mesh, 1, 2);
    mesh_link(&mesh, 0, 2);
    mesh_say(&mesh, 0, "one");
    mesh.cut[0][2] = true; /* it sends no more, and nobody hangs up */
    mesh_say(&mesh, 0, "two");
    assert_string_equal(mesh.peers[2].last, "one");
    mesh_wait(&mesh, 3 * 250 + 3 * 150);
    assert_string_equal(mesh.peers[2].last, "two");
    assert_true(replica_stats(mesh.peers[2].replica).repairs > 0);
    mesh_done(&mesh);
}

static void restart_reads_the_old_part_from_the_store(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){1});
    StreamHead head = {.stream.epoch = 5, .hi = 9};
    memcpy(head.stream.origin, signer.public_key, EVENT_KEY_BYTES);
    replica_free(mesh.peers[0].replica);
    mesh.peers[0].replica = replica_new(&(ReplicaConfig){.epoch = 10, .signer = signer}, &head, 1);
    mesh_link(&mesh, 0, 1);
    mesh_wait(&mesh, 100);
    assert_true(mesh.peers[0].reads > 0);
    mesh_done(&mesh);
}

static void who_does_not_say_hello_is_dropped(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_step(&mesh, 0, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = 1});
    mesh_step(
        &mesh, 0,
        (ReplicaInput){.kind = REPLICA_FRAME, .link = 1, .data = (const uint8_t *)"", .len = 0});
    assert_string_equal(mesh.dropped, "it did not say hello");
    mesh_done(&mesh);
}

static void epoch_is_never_one_that_was_used(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1700000000000);
    uint64_t first = replica_next_epoch(0, now, 1);
    assert_true(replica_next_epoch(first, now, 1) > first);
    assert_true(replica_next_epoch(first, now - 86400000, 1) > first);
    /* Twice from the same backup, with a clock that is behind: chance alone keeps them apart. */
    assert_int_not_equal(replica_next_epoch(first, now - 86400000, UINT64_C(0x10001)),
                         replica_next_epoch(first, now - 86400000, UINT64_C(0x20001)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_crosses_a_link_at_once),
        cmocka_unit_test(line_reaches_a_peer_of_a_peer_once),
        cmocka_unit_test(nothing_is_shown_or_sent_before_it_is_durable),
        cmocka_unit_test(late_comer_gets_all_and_others_know_it),
        cmocka_unit_test(upstream_that_goes_silent_is_left),
        cmocka_unit_test(restart_reads_the_old_part_from_the_store),
        cmocka_unit_test(who_does_not_say_hello_is_dropped),
        cmocka_unit_test(epoch_is_never_one_that_was_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
