/* A few replicas, wired by hand. The simulator does the rest. */
#include "replica_mesh.h"

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
    for (size_t i = 0; i < 3; i++) {
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

static void full_group_does_not_wait_for_the_one_that_is_written(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh.disks_stand_still = true;
    mesh_say(&mesh, 0, "first");
    uint64_t first = mesh.tickets[0];
    for (size_t i = 0; i + 1 < EVENT_GROUP_MAX; i++) {
        mesh_say(&mesh, 0, "more");
    }
    assert_int_equal(mesh.tickets[0], first); /* it may still grow */
    mesh_say(&mesh, 0, "and one");
    assert_int_equal(mesh.tickets[0], first + 1);
    mesh_step(&mesh, 0, (ReplicaInput){.kind = REPLICA_STORED, .ticket = first});
    mesh_settle(&mesh);
    assert_int_equal(mesh.peers[1].shown, 1);
    mesh_step(&mesh, 0, (ReplicaInput){.kind = REPLICA_STORED, .ticket = first + 1});
    mesh_settle(&mesh);
    assert_int_equal(mesh.peers[0].shown, EVENT_GROUP_MAX + 1);
    assert_int_equal(mesh.peers[1].shown, EVENT_GROUP_MAX + 1);
    assert_string_equal(mesh.peers[1].last, "and one");
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

/* A long line of the first peer's. */
static LogEvent *line_event(uint64_t seq, EventHash *hash)
{
    static const char body[EVENT_BODY_MAX_BYTES];
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){1});
    EventFields fields = {.stream.epoch = 10,
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
    memcpy(fields.stream.origin, signer.public_key, EVENT_KEY_BYTES);
    LogEvent *event = event_new(&fields);
    event_sign(event, &signer);
    *hash = event->hash;
    return event;
}

static Bytes *line_frame(uint64_t seq, EventHash *hash)
{
    LogEvent *event = line_event(seq, hash);
    FrameRun run = {.events = &event, .count = 1};
    Bytes *bytes = frame_encode(&(FrameOut){.runs = &run, .runs_count = 1});
    event_unref(event);
    return bytes;
}

static void feed_line(Mesh *mesh, const Bytes *frame)
{
    mesh_step(
        mesh, 1,
        (ReplicaInput){
            .kind = REPLICA_FRAME, .link = 0, .data = bytes_data(frame), .len = bytes_len(frame)});
    mesh_settle(mesh);
}

static void credit_of_what_is_not_stored_comes_back(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    EventHash hash = {0};
    Bytes *frame = line_frame(1, &hash);
    for (int i = 0; i < 1000; i++) {
        feed_line(&mesh, frame); /* 8 MB of the same line */
    }
    bytes_unref(frame);
    assert_string_equal(mesh.dropped, "");
    assert_int_equal(mesh.peers[1].shown, 1);
    assert_in_range(replica_load(mesh.peers[1].replica).unreturned, 0, REPLICA_CREDIT_BYTES / 4);
    mesh_done(&mesh);
}

static void who_sends_more_than_its_credit_is_dropped(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh.disks_stand_still = true;
    EventHash hash = {0};
    uint64_t seq = 0;
    while (mesh.dropped[0] == '\0' && seq < 1000) {
        Bytes *frame = line_frame(++seq, &hash);
        feed_line(&mesh, frame);
        bytes_unref(frame);
    }
    assert_string_equal(mesh.dropped, "it sent more than it was given credit for");
    assert_in_range(seq * EVENT_BODY_MAX_BYTES, REPLICA_CREDIT_BYTES,
                    REPLICA_CREDIT_BYTES + FRAME_MAX_BYTES);
    mesh_done(&mesh);
}

static void lines_said_while_the_disk_stands_still_are_bounded(void **state)
{
    (void)state;
    static char body[EVENT_BODY_MAX_BYTES];
    memset(body, 'x', sizeof(body) - 1);
    Mesh mesh = mesh_new();
    mesh.disks_stand_still = true;
    size_t count = 0;
    while (replica_may_say(mesh.peers[0].replica) && count < 1000) {
        mesh_say(&mesh, 0, body);
        count++;
    }
    assert_in_range(count, 100, 150);
    mesh.disks_stand_still = false;
    mesh_step(&mesh, 0, (ReplicaInput){.kind = REPLICA_STORED, .ticket = mesh.tickets[0]});
    assert_true(replica_may_say(mesh.peers[0].replica));
    assert_int_equal(mesh.peers[0].shown, count);
    mesh_done(&mesh);
}

/* Told of by one who does not have it: its true author is followed all the same. */
static void epoch_that_was_never_written_is_not_the_newest(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 1, 2);
    FrameHave have = {.stream.epoch = UINT64_MAX, .lo = 1, .hi = UINT64_MAX};
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){1});
    memcpy(have.stream.origin, signer.public_key, EVENT_KEY_BYTES);
    Bytes *frame = frame_encode(&(FrameOut){.haves = &have, .haves_count = 1});
    mesh_step(
        &mesh, 1,
        (ReplicaInput){
            .kind = REPLICA_FRAME, .link = 2, .data = bytes_data(frame), .len = bytes_len(frame)});
    bytes_unref(frame);
    mesh_link(&mesh, 0, 1);
    mesh_say(&mesh, 0, "at once");
    assert_string_equal(mesh.peers[1].last, "at once");
    mesh_done(&mesh);
}

/* It was stored with a later one that vouches for it, and that one alone may end what is sent. */
static void run_from_the_store_ends_with_a_good_signature(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    EventHash hash = {0};
    LogEvent *events[] = {line_event(1, &hash), line_event(2, &hash), line_event(3, &hash)};
    events[1]->signature[0] ^= 1;
    events[1]->verified = false;
    StreamHead head = {.stream = events[0]->fields.stream, .hi = 3, .last_hash = hash};
    ReplicaConfig config = {.epoch = 20};
    event_signer_init(&config.signer, (uint8_t[EVENT_SEED_BYTES]){1});
    replica_free(mesh.peers[0].replica);
    mesh.peers[0].replica = replica_new(&config, &head, 1);
    mesh_link(&mesh, 0, 1);
    assert_int_equal(mesh.peers[0].read_from, 1);
    mesh_step(&mesh, 0,
              (ReplicaInput){.kind = REPLICA_READ_DONE,
                             .link = 1,
                             .stream = head.stream,
                             .from = 1,
                             .events = events,
                             .events_count = 2});
    mesh_settle(&mesh);
    assert_string_equal(mesh.dropped, "");
    assert_int_equal(mesh.peers[1].shown, 1);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        event_unref(events[i]);
    }
    mesh_done(&mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_crosses_a_link_at_once),
        cmocka_unit_test(line_reaches_a_peer_of_a_peer_once),
        cmocka_unit_test(nothing_is_shown_or_sent_before_it_is_durable),
        cmocka_unit_test(full_group_does_not_wait_for_the_one_that_is_written),
        cmocka_unit_test(late_comer_gets_all_and_others_know_it),
        cmocka_unit_test(upstream_that_goes_silent_is_left),
        cmocka_unit_test(restart_reads_the_old_part_from_the_store),
        cmocka_unit_test(who_does_not_say_hello_is_dropped),
        cmocka_unit_test(epoch_is_never_one_that_was_used),
        cmocka_unit_test(credit_of_what_is_not_stored_comes_back),
        cmocka_unit_test(who_sends_more_than_its_credit_is_dropped),
        cmocka_unit_test(lines_said_while_the_disk_stands_still_are_bounded),
        cmocka_unit_test(epoch_that_was_never_written_is_not_the_newest),
        cmocka_unit_test(run_from_the_store_ends_with_a_good_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
