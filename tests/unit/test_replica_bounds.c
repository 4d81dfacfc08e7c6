/* What others can make a replica hold, and what a flood may take from it. */
#include "replica_mesh.h"

static EventSigner signer_of(uint8_t number)
{
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){number, 77});
    return signer;
}

/* The next event of a stream of that author's, of some 8 KiB. */
static LogEvent *make_event(const EventSigner *signer, uint64_t epoch, uint64_t seq,
                            EventHash *hash)
{
    static const char body[EVENT_BODY_MAX_BYTES];
    EventFields fields = {.stream.epoch = epoch,
                          .seq = seq,
                          .prev_hash = *hash,
                          .hlc = 1000 + seq,
                          .room = "lobby",
                          .room_len = 5,
                          .kind = LOG_TEXT,
                          .sender = "ann",
                          .sender_len = 3,
                          .body = (const uint8_t *)body,
                          .body_len = sizeof(body)};
    memcpy(fields.stream.origin, signer->public_key, EVENT_KEY_BYTES);
    LogEvent *event = event_new(&fields);
    event_sign(event, signer);
    *hash = event->hash;
    return event;
}

static void feed(Mesh *mesh, const FrameOut *out)
{
    Bytes *frame = frame_encode(out);
    mesh_step(
        mesh, 1,
        (ReplicaInput){
            .kind = REPLICA_FRAME, .link = 0, .data = bytes_data(frame), .len = bytes_len(frame)});
    bytes_unref(frame);
    mesh_settle(mesh);
}

/* By the link to the first peer. */
static void tell(Mesh *mesh, const uint8_t *key, uint64_t epoch)
{
    FrameHave have = {.stream.epoch = epoch, .lo = 1, .hi = 1};
    memcpy(have.stream.origin, key, EVENT_KEY_BYTES);
    feed(mesh, &(FrameOut){.haves = &have, .haves_count = 1});
}

static void give(Mesh *mesh, LogEvent *event)
{
    FrameRun run = {.events = &event, .count = 1};
    feed(mesh, &(FrameOut){.runs = &run, .runs_count = 1});
    event_unref(event);
}

/* The second peer with these bounds, linked to the first. */
static Mesh bounded(size_t streams, size_t of_origin)
{
    Mesh mesh = mesh_new();
    ReplicaConfig config = {
        .epoch = 10, .streams_max = streams, .streams_of_origin_max = of_origin};
    event_signer_init(&config.signer, (uint8_t[EVENT_SEED_BYTES]){2});
    config.node_id.bytes[0] = 2;
    replica_free(mesh.peers[1].replica);
    mesh.peers[1].replica = replica_new(&config, NULL, 0);
    mesh_link(&mesh, 0, 1);
    return mesh;
}

static void author_begins_no_more_streams_than_may_be(void **state)
{
    (void)state;
    Mesh mesh = bounded(100, 3);
    EventSigner endless = signer_of(1);
    EventSigner other = signer_of(2);
    for (uint64_t epoch = 1; epoch <= 10; epoch++) {
        EventHash hash = {0};
        tell(&mesh, endless.public_key, epoch);
        give(&mesh, make_event(&endless, epoch, 1, &hash));
    }
    assert_int_equal(mesh.peers[1].shown, 3);
    EventHash hash = {0};
    tell(&mesh, other.public_key, 1);
    give(&mesh, make_event(&other, 1, 1, &hash));
    assert_int_equal(mesh.peers[1].shown, 4);
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

static void streams_that_were_only_told_of_make_room(void **state)
{
    (void)state;
    Mesh mesh = bounded(8, 0);
    for (unsigned i = 0; i < 1000; i++) {
        uint8_t key[EVENT_KEY_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8), 99};
        tell(&mesh, key, 5);
    }
    assert_in_range(replica_streams_count(mesh.peers[1].replica), 1, 8);
    EventSigner other = signer_of(2);
    EventHash hash = {0};
    tell(&mesh, other.public_key, 1);
    give(&mesh, make_event(&other, 1, 1, &hash));
    assert_int_equal(mesh.peers[1].shown, 1);
    mesh_done(&mesh);
}

/* Each time with another key, whose stream the hello names. */
static void peers_that_came_and_went_make_room(void **state)
{
    (void)state;
    Mesh mesh = bounded(8, 0);
    for (uint8_t i = 0; i < 50; i++) {
        EventSigner stranger = signer_of((uint8_t)(100 + i));
        FrameHello hello = {.version = REPLICA_VERSION, .epoch = 7, .node_id.bytes = {i, 1}};
        memcpy(hello.key, stranger.public_key, EVENT_KEY_BYTES);
        Bytes *frame = frame_encode(&(FrameOut){.hello = &hello});
        mesh_step(&mesh, 1, (ReplicaInput){.kind = REPLICA_LINK_UP, .link = 2});
        mesh_step(&mesh, 1,
                  (ReplicaInput){.kind = REPLICA_FRAME,
                                 .link = 2,
                                 .data = bytes_data(frame),
                                 .len = bytes_len(frame)});
        mesh_step(&mesh, 1, (ReplicaInput){.kind = REPLICA_LINK_DOWN, .link = 2});
        bytes_unref(frame);
    }
    EventSigner other = signer_of(2);
    EventHash hash = {0};
    tell(&mesh, other.public_key, 1);
    give(&mesh, make_event(&other, 1, 1, &hash));
    assert_int_equal(mesh.peers[1].shown, 1);
    mesh_done(&mesh);
}

/* Lines of 8 KiB, each on the disk so long after it came. */
static void give_many(Mesh *mesh, uint64_t *seq, EventHash *hash, size_t count, uint64_t disk_ms)
{
    EventSigner author = signer_of(1);
    for (size_t i = 0; i < count; i++) {
        mesh->disks_stand_still = true;
        ++*seq;
        give(mesh, make_event(&author, 1, *seq, hash));
        mesh->now_ms += disk_ms;
        mesh->disks_stand_still = false;
        mesh_step(mesh, 1, (ReplicaInput){.kind = REPLICA_STORED, .ticket = mesh->tickets[1]});
        mesh_settle(mesh);
    }
}

static void credit_shrinks_while_the_disk_is_slow_and_comes_back(void **state)
{
    (void)state;
    enum { LEAST_BYTES = 192 * 1024, LINES = 400 };
    Mesh mesh = bounded(8, 0);
    EventSigner author = signer_of(1);
    EventHash hash = {0};
    uint64_t seq = 0;
    tell(&mesh, author.public_key, 1);
    give_many(&mesh, &seq, &hash, LINES, 1);
    assert_in_range(replica_load(mesh.peers[1].replica).unreturned, 0, LEAST_BYTES / 2);
    give_many(&mesh, &seq, &hash, LINES, 100);
    assert_int_equal(mesh.peers[1].shown, 2 * LINES); /* it goes on all the same */
    assert_in_range(replica_load(mesh.peers[1].replica).unreturned,
                    REPLICA_CREDIT_BYTES - 2 * LEAST_BYTES, REPLICA_CREDIT_BYTES);
    give_many(&mesh, &seq, &hash, LINES, 1);
    assert_in_range(replica_load(mesh.peers[1].replica).unreturned, 0, LEAST_BYTES / 2);
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(author_begins_no_more_streams_than_may_be),
        cmocka_unit_test(streams_that_were_only_told_of_make_room),
        cmocka_unit_test(peers_that_came_and_went_make_room),
        cmocka_unit_test(credit_shrinks_while_the_disk_is_slow_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
