/* Authors with two histories: found, proven to all, and nobody slandered. */
#include "replica_mesh.h"

enum { AUTHOR_EPOCH = 10 };

static EventSigner signer_of(uint8_t seed)
{
    EventSigner signer;
    event_signer_init(&signer, (uint8_t[EVENT_SEED_BYTES]){seed});
    return signer;
}

static StreamId stream_of(uint8_t seed, uint64_t epoch)
{
    EventSigner signer = signer_of(seed);
    StreamId id = {.epoch = epoch};
    memcpy(id.origin, signer.public_key, EVENT_KEY_BYTES);
    return id;
}

/* Peer at goes on as somebody else: with that seed and epoch, and what its store holds. */
static void mesh_replace(Mesh *mesh, size_t at, uint8_t seed, uint64_t epoch,
                         const StreamHead *head)
{
    ReplicaConfig config = {.signer = signer_of(seed), .epoch = epoch};
    replica_free(mesh->peers[at].replica);
    mesh->peers[at].replica = replica_new(&config, head, head != NULL);
}

/* 0 and 3 write one stream, and 1 and 2 are honest: 0 - 1, 2 - 3. */
static Mesh mesh_of_twins(void)
{
    Mesh mesh = mesh_new();
    mesh_replace(&mesh, 3, 1, AUTHOR_EPOCH, NULL);
    mesh_say(&mesh, 0, "to the one");
    mesh_say(&mesh, 3, "to the other");
    mesh_link(&mesh, 0, 1);
    mesh_link(&mesh, 2, 3);
    return mesh;
}

static LogEvent *event_after(const StreamHead *head, const EventSigner *signer, const char *body)
{
    EventFields fields = {.stream = head->stream,
                          .seq = head->hi + 1,
                          .prev_hash = head->last_hash,
                          .hlc = UINT64_C(1700000001000) << HLC_COUNTER_BITS,
                          .room = "lobby",
                          .room_len = 5,
                          .kind = LOG_TEXT,
                          .sender = "ann",
                          .sender_len = 3,
                          .body = (const uint8_t *)body,
                          .body_len = strlen(body)};
    LogEvent *event = event_new(&fields);
    event_sign(event, signer);
    event->verified = false;
    return event;
}

static LogEvent *event_of(const StreamId *stream, const EventSigner *signer, const char *body)
{
    return event_after(&(StreamHead){.stream = *stream}, signer, body);
}

static void feed(Mesh *mesh, size_t to, size_t from, const FrameOut *frame)
{
    Bytes *bytes = frame_encode(frame);
    mesh_step(mesh, to,
              (ReplicaInput){.kind = REPLICA_FRAME,
                             .link = from,
                             .data = bytes_data(bytes),
                             .len = bytes_len(bytes)});
    bytes_unref(bytes);
}

static bool is_frozen(const Mesh *mesh, size_t at)
{
    StreamId id = stream_of(1, AUTHOR_EPOCH);
    return replica_is_frozen(mesh->peers[at].replica, &id);
}

static void two_histories_of_equal_length_are_found_and_proven(void **state)
{
    (void)state;
    Mesh mesh = mesh_of_twins();
    assert_false(is_frozen(&mesh, 1));
    assert_int_not_equal(replica_root(mesh.peers[1].replica), replica_root(mesh.peers[2].replica));
    mesh_link(&mesh, 1, 2);
    mesh_wait(&mesh, 1000);
    assert_true(is_frozen(&mesh, 1));
    assert_true(is_frozen(&mesh, 2));
    assert_string_equal(mesh.peers[1].last, "to the one"); /* what each has shown stays */
    assert_string_equal(mesh.peers[2].last, "to the other");
    assert_int_equal(replica_root(mesh.peers[1].replica), replica_root(mesh.peers[2].replica));
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

static void streams_of_others_go_on(void **state)
{
    (void)state;
    Mesh mesh = mesh_of_twins();
    mesh_link(&mesh, 1, 2);
    mesh_wait(&mesh, 1000);
    mesh_say(&mesh, 1, "and now?");
    assert_string_equal(mesh.peers[2].last, "and now?");
    assert_string_equal(mesh.peers[3].last, "and now?");
    mesh_done(&mesh);
}

/* Each of the two goes on in a stream of its own: so neither can take the other's voice. */
static void whose_stream_is_frozen_goes_on_in_another(void **state)
{
    (void)state;
    Mesh mesh = mesh_of_twins();
    mesh.disks_stand_still = true;
    mesh_say(&mesh, 0, "on its way to the disk");
    mesh_say(&mesh, 0, "behind it");
    mesh_link(&mesh, 1, 2);
    mesh_wait(&mesh, 1000);
    assert_true(is_frozen(&mesh, 0));
    assert_int_equal(mesh.peers[0].cuts, 1); /* what is not said after all */
    assert_int_equal(mesh.peers[0].cut_from, 2);
    mesh.disks_stand_still = false;
    mesh_step(&mesh, 0, (ReplicaInput){.kind = REPLICA_STORED, .ticket = mesh.tickets[0]});
    mesh_say(&mesh, 0, "hear me");
    mesh_wait(&mesh, 1000);
    assert_string_equal(mesh.peers[1].last, "hear me");
    assert_string_equal(mesh.peers[2].last, "hear me");
    mesh_say(&mesh, 3, "and me");
    mesh_wait(&mesh, 1000);
    assert_string_equal(mesh.peers[1].last, "and me");
    assert_string_equal(mesh.peers[0].last, "and me");
    StreamId one;
    StreamId other;
    replica_own(mesh.peers[0].replica, &one);
    replica_own(mesh.peers[3].replica, &other);
    assert_int_not_equal(stream_id_compare(&one, &other), 0);
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

/* Longer than what it has said itself: nobody else has a reason to ask for its part. */
static void who_hears_of_more_of_its_own_than_it_said_looks_at_it(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_replace(&mesh, 3, 1, AUTHOR_EPOCH, NULL);
    mesh_say(&mesh, 0, "short");
    mesh_say(&mesh, 3, "long");
    mesh_say(&mesh, 3, "longer");
    mesh_link(&mesh, 2, 3);
    mesh_wait(&mesh, 500);
    mesh_link(&mesh, 0, 2);
    mesh_wait(&mesh, 1000);
    assert_true(is_frozen(&mesh, 0));
    assert_true(is_frozen(&mesh, 2));
    assert_int_equal(replica_root(mesh.peers[0].replica), replica_root(mesh.peers[2].replica));
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

/* As a machine that was copied while it ran: what the copy says fits, and is not this node's. */
static void what_a_copy_has_said_is_taken_and_the_stream_left(void **state)
{
    (void)state;
    const EventSigner author = signer_of(1);
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh_say(&mesh, 0, "both");
    StreamHead head;
    StreamId own = stream_of(1, AUTHOR_EPOCH);
    assert_true(replica_head(mesh.peers[0].replica, &own, &head));
    LogEvent *copy = event_after(&head, &author, "copy");
    FrameHave have = {.stream = own, .lo = 1, .hi = 2, .head = event_hash_head(&copy->hash)};
    FrameRun run = {.events = &copy, .count = 1};
    feed(&mesh, 0, 1, &(FrameOut){.haves = &have, .haves_count = 1});
    feed(&mesh, 0, 1, &(FrameOut){.runs = &run, .runs_count = 1});
    assert_string_equal(mesh.peers[0].last, "copy");
    mesh_say(&mesh, 0, "mine");
    mesh_wait(&mesh, 1000);
    assert_int_equal(replica_said(mesh.peers[0].replica), 1);
    assert_string_equal(mesh.peers[1].last, "mine");
    assert_int_equal(replica_applied(mesh.peers[1].replica, &own), 2);
    assert_false(is_frozen(&mesh, 0));
    event_unref(copy);
    mesh_done(&mesh);
}

/* Who only says that there is more costs one question, and changes nothing. */
static void lie_about_ones_own_stream_does_no_harm(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh_say(&mesh, 0, "one");
    StreamId own = stream_of(1, AUTHOR_EPOCH);
    FrameHave have = {.stream = own, .lo = 1, .hi = 1000};
    feed(&mesh, 0, 1, &(FrameOut){.haves = &have, .haves_count = 1});
    mesh_settle(&mesh);
    mesh_say(&mesh, 0, "two");
    mesh_wait(&mesh, 20000);
    assert_int_equal(replica_said(mesh.peers[0].replica), 2);
    assert_string_equal(mesh.peers[1].last, "two");
    assert_int_equal(replica_behind(mesh.peers[0].replica), 0);
    assert_string_equal(mesh.dropped, "");
    mesh_done(&mesh);
}

static void who_comes_later_learns_of_it(void **state)
{
    (void)state;
    Mesh mesh = mesh_of_twins();
    mesh_link(&mesh, 1, 2);
    mesh_wait(&mesh, 1000);
    mesh_replace(&mesh, 0, 9, 77, NULL);
    mesh_link(&mesh, 0, 1);
    mesh_wait(&mesh, 1000);
    assert_true(is_frozen(&mesh, 0));
    assert_int_equal(replica_root(mesh.peers[0].replica), replica_root(mesh.peers[1].replica));
    mesh_done(&mesh);
}

static void proof_that_was_kept_is_known_after_a_restart(void **state)
{
    (void)state;
    Mesh mesh = mesh_of_twins();
    mesh_link(&mesh, 1, 2);
    mesh_wait(&mesh, 1000);
    Bytes *proof = mesh.peers[1].proof;
    assert_non_null(proof);
    mesh_replace(&mesh, 1, 2, 99, NULL);
    Replica *replica = mesh.peers[1].replica;
    assert_int_equal(replica_load_proofs(replica, bytes_data(proof), bytes_len(proof)), ERR_OK);
    assert_true(is_frozen(&mesh, 1));
    assert_int_equal(replica_load_proofs(replica, bytes_data(proof), bytes_len(proof) / 2),
                     ERR_INVALID);
    mesh_done(&mesh);
}

static void feed_proof(Mesh *mesh, LogEvent *a, LogEvent *b)
{
    FrameProof proof = {.a = {.events = &a, .count = 1}, .b = {.events = &b, .count = 1}};
    feed(mesh, 1, 0, &(FrameOut){.proofs = &proof, .proofs_count = 1});
    event_unref(a);
    event_unref(b);
}

static void lying_proof_freezes_nobody_and_costs_the_link(void **state)
{
    (void)state;
    const EventSigner author = signer_of(5);
    const EventSigner liar = signer_of(6);
    const StreamId stream = stream_of(5, 3);
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    feed_proof(&mesh, event_of(&stream, &author, "true"), event_of(&stream, &liar, "slander"));
    assert_string_equal(mesh.dropped, "it sent a proof that proves nothing");
    assert_false(replica_is_frozen(mesh.peers[1].replica, &stream));
    mesh_link(&mesh, 0, 1);
    mesh.dropped[0] = '\0';
    feed_proof(&mesh, event_of(&stream, &author, "true"), event_of(&stream, &author, "true"));
    assert_string_equal(mesh.dropped, "it sent a proof that proves nothing");
    assert_false(replica_is_frozen(mesh.peers[1].replica, &stream));
    mesh_link(&mesh, 0, 1);
    mesh.dropped[0] = '\0';
    feed_proof(&mesh, event_of(&stream, &author, "true"), event_of(&stream, &author, "false"));
    assert_string_equal(mesh.dropped, "");
    assert_true(replica_is_frozen(mesh.peers[1].replica, &stream));
    mesh_done(&mesh);
}

/* After a restart the one side is in the store alone. */
static void side_that_is_in_the_store_is_read_for_the_proof(void **state)
{
    (void)state;
    const EventSigner author = signer_of(5);
    const StreamId stream = stream_of(5, 3);
    LogEvent *here = event_of(&stream, &author, "here");
    LogEvent *there = event_of(&stream, &author, "there");
    StreamHead head = {.stream = stream, .hi = 1, .last_hash = here->hash};
    Mesh mesh = mesh_new();
    mesh_replace(&mesh, 1, 2, 11, &head);
    mesh_link(&mesh, 0, 1);
    FrameHave have = {.stream = stream, .lo = 1, .hi = 1, .head = event_hash_head(&there->hash)};
    FrameRun run = {.events = &there, .count = 1};
    feed(&mesh, 1, 0, &(FrameOut){.haves = &have, .haves_count = 1});
    feed(&mesh, 1, 0, &(FrameOut){.runs = &run, .runs_count = 1});
    assert_true(replica_is_frozen(mesh.peers[1].replica, &stream));
    assert_null(mesh.peers[1].proof);
    assert_int_equal(mesh.peers[1].read_link, REPLICA_LINKS_MAX);
    mesh_step(&mesh, 1,
              (ReplicaInput){.kind = REPLICA_READ_DONE,
                             .link = REPLICA_LINKS_MAX,
                             .stream = stream,
                             .from = mesh.peers[1].read_from,
                             .events = &here,
                             .events_count = 1});
    assert_non_null(mesh.peers[1].proof);
    mesh_settle(&mesh);
    assert_true(replica_is_frozen(mesh.peers[0].replica, &stream));
    event_unref(here);
    event_unref(there);
    mesh_done(&mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_histories_of_equal_length_are_found_and_proven),
        cmocka_unit_test(streams_of_others_go_on),
        cmocka_unit_test(whose_stream_is_frozen_goes_on_in_another),
        cmocka_unit_test(who_hears_of_more_of_its_own_than_it_said_looks_at_it),
        cmocka_unit_test(what_a_copy_has_said_is_taken_and_the_stream_left),
        cmocka_unit_test(lie_about_ones_own_stream_does_no_harm),
        cmocka_unit_test(who_comes_later_learns_of_it),
        cmocka_unit_test(proof_that_was_kept_is_known_after_a_restart),
        cmocka_unit_test(lying_proof_freezes_nobody_and_costs_the_link),
        cmocka_unit_test(side_that_is_in_the_store_is_read_for_the_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
