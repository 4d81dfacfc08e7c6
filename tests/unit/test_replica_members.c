/* How far streams count: what is taken, given, told and kept, and who may link. */
#include "replica_mesh.h"

#include <sodium.h>

enum { AUTHOR = 0, RELAY = 1, NEWCOMER = 2, EPOCH = 10 };

/* What each peer knows of the author's stream, where it is cut: of his others nothing counts then.
 * Everybody else's counts. */
typedef struct Knows {
    StreamId stream;
    uint64_t limit;
    EventHash hash;
} Knows;

typedef struct Net {
    Mesh mesh;
    Knows knows[PEERS];
    EventHash hashes[16]; /* of the author's events */
    uint64_t said;
} Net;

static uint64_t cut_known(void *context, const StreamId *stream, EventHash *ret_hash)
{
    const Knows *knows = context;
    if (memcmp(stream->origin, knows->stream.origin, EVENT_KEY_BYTES) != 0) {
        return UINT64_MAX;
    }
    if (stream->epoch != knows->stream.epoch) {
        return knows->limit == UINT64_MAX ? UINT64_MAX : 0;
    }
    if (ret_hash != NULL) {
        *ret_hash = knows->hash;
    }
    return knows->limit;
}

static void net_start(Net *net, size_t at, const StreamHead *head)
{
    uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)(at + 1)};
    ReplicaConfig config = {.epoch = EPOCH + at, .cut = cut_known, .cut_context = &net->knows[at]};
    event_signer_init(&config.signer, seed);
    replica_free(net->mesh.peers[at].replica);
    net->mesh.peers[at].replica = replica_new(&config, head, head != NULL);
}

static Net *net_new(uint64_t limit)
{
    Net *net = mem_new(Net);
    net->mesh = mesh_new();
    for (size_t i = 0; i < PEERS; i++) {
        replica_own(net->mesh.peers[AUTHOR].replica, &net->knows[i].stream);
        net->knows[i].limit = i == AUTHOR ? UINT64_MAX : limit;
    }
    for (size_t i = 0; i < PEERS; i++) {
        net_start(net, i, NULL);
    }
    return net;
}

static void net_free(Net *net)
{
    mesh_done(&net->mesh);
    mem_free(net);
}

/* Each has its own number for the link; the binding is the connection's. */
static void up(Net *net, size_t a, size_t b, const uint8_t *binding, bool dialled)
{
    StreamId peer;
    replica_own(net->mesh.peers[b].replica, &peer);
    mesh_step(&net->mesh, a,
              (ReplicaInput){.kind = REPLICA_LINK_UP,
                             .link = b,
                             .dialled = dialled,
                             .binding = binding,
                             .peer_key = peer.origin});
}

static void net_link(Net *net, size_t a, size_t b)
{
    uint8_t binding[32] = {(uint8_t)(1 + a), (uint8_t)(1 + b)};
    up(net, a, b, binding, true);
    up(net, b, a, binding, false);
    mesh_settle(&net->mesh);
}

/* The author says so many in one group. */
static void say_group(Net *net, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char body[16];
        snprintf(body, sizeof(body), "n%zu", (size_t)net->said + 1);
        EventFields fields = {.room = "lobby",
                              .room_len = 5,
                              .kind = LOG_TEXT,
                              .sender = "eve",
                              .sender_len = 3,
                              .body = (const uint8_t *)body,
                              .body_len = strlen(body)};
        ReplicaOutputs outputs = {0};
        ReplicaInput input = {.kind = REPLICA_SAY,
                              .mono_ms = net->mesh.now_ms,
                              .wall_ms = INT64_C(1700000000000) + (int64_t)net->mesh.now_ms,
                              .fields = &fields,
                              .more = true};
        replica_step(net->mesh.peers[AUTHOR].replica, &input, &outputs);
        for (size_t j = 0; j < outputs.count; j++) {
            mesh_do(&net->mesh, AUTHOR, &outputs.items[j]);
        }
        replica_outputs_done(&outputs);
        net->said++;
    }
    ReplicaOutputs outputs = {0};
    ReplicaInput input = {.kind = REPLICA_SAID, .mono_ms = net->mesh.now_ms};
    replica_step(net->mesh.peers[AUTHOR].replica, &input, &outputs);
    for (size_t j = 0; j < outputs.count; j++) {
        if (outputs.items[j].kind == REPLICA_STORE) {
            for (size_t k = 0; k < outputs.items[j].events_count; k++) {
                const LogEvent *event = outputs.items[j].events[k];
                net->hashes[event->fields.seq] = event->hash;
            }
        }
        mesh_do(&net->mesh, AUTHOR, &outputs.items[j]);
    }
    replica_outputs_done(&outputs);
    mesh_settle(&net->mesh);
}

static void learn(Net *net, size_t at, uint64_t limit)
{
    net->knows[at].limit = limit;
    net->knows[at].hash = limit < 16 ? net->hashes[limit] : (EventHash){0};
    mesh_step(&net->mesh, at, (ReplicaInput){.kind = REPLICA_MEMBERS});
    mesh_settle(&net->mesh);
}

static void assert_holds(const Net *net, size_t at, uint64_t hi)
{
    assert_int_equal(replica_applied(net->mesh.peers[at].replica, &net->knows[at].stream), hi);
    assert_int_equal(replica_durable(net->mesh.peers[at].replica, &net->knows[at].stream), hi);
}

static void stream_of_a_stranger_is_pulled_as_soon_as_it_counts(void **state)
{
    (void)state;
    Net *net = net_new(0);
    say_group(net, 3);
    net_link(net, AUTHOR, RELAY);
    net_link(net, RELAY, NEWCOMER);
    mesh_wait(&net->mesh, 1000);
    assert_holds(net, RELAY, 0);
    assert_int_equal(replica_behind(net->mesh.peers[RELAY].replica), 0);
    learn(net, RELAY, UINT64_MAX);
    assert_holds(net, RELAY, 3); /* nobody had to tell of it again */
    mesh_wait(&net->mesh, 1000);
    assert_holds(net, NEWCOMER, 0);
    learn(net, NEWCOMER, UINT64_MAX);
    assert_holds(net, NEWCOMER, 3);
    assert_string_equal(net->mesh.dropped, "");
    net_free(net);
}

static void what_is_held_past_a_cut_is_dropped_once(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    net_link(net, AUTHOR, RELAY);
    net_link(net, RELAY, NEWCOMER);
    say_group(net, 5);
    mesh_wait(&net->mesh, 500);
    assert_holds(net, NEWCOMER, 5);
    learn(net, RELAY, 3);
    learn(net, RELAY, 3);
    assert_int_equal(net->mesh.peers[RELAY].cuts, 1);
    assert_int_equal(net->mesh.peers[RELAY].cut_from, 3);
    assert_holds(net, RELAY, 3);
    assert_int_not_equal(replica_root(net->mesh.peers[RELAY].replica),
                         replica_root(net->mesh.peers[NEWCOMER].replica));
    learn(net, NEWCOMER, 3);
    assert_holds(net, NEWCOMER, 3);
    assert_int_equal(replica_root(net->mesh.peers[RELAY].replica),
                     replica_root(net->mesh.peers[NEWCOMER].replica));
    say_group(net, 2); /* it goes on */
    mesh_wait(&net->mesh, 6000);
    assert_holds(net, RELAY, 3);
    assert_holds(net, NEWCOMER, 3);
    assert_int_equal(net->mesh.peers[RELAY].shown, 5);
    assert_string_equal(net->mesh.dropped, "");
    net_free(net);
}

static void all_of_a_stream_may_be_cut(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    uint64_t before = replica_root(net->mesh.peers[RELAY].replica);
    net_link(net, AUTHOR, RELAY);
    say_group(net, 2);
    learn(net, RELAY, 0);
    assert_int_equal(net->mesh.peers[RELAY].cut_from, 0);
    assert_holds(net, RELAY, 0);
    assert_int_equal(replica_root(net->mesh.peers[RELAY].replica), before);
    net_free(net);
}

static void store_that_comes_back_after_the_cut_makes_nothing_durable(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    net_link(net, AUTHOR, RELAY);
    say_group(net, 2);
    net->mesh.disks_stand_still = true;
    for (int i = 0; i < 2; i++) {
        say_group(net, 2);
        mesh_step(&net->mesh, AUTHOR,
                  (ReplicaInput){.kind = REPLICA_STORED, .ticket = net->mesh.tickets[AUTHOR]});
        mesh_settle(&net->mesh);
    }
    const Replica *relay = net->mesh.peers[RELAY].replica;
    const StreamId *id = &net->knows[RELAY].stream;
    assert_int_equal(replica_applied(relay, id), 6);
    assert_int_equal(replica_durable(relay, id), 2);
    learn(net, RELAY, 3);
    assert_int_equal(replica_applied(relay, id), 3);
    mesh_step(&net->mesh, RELAY,
              (ReplicaInput){.kind = REPLICA_STORED, .ticket = net->mesh.tickets[RELAY]});
    assert_holds(net, RELAY, 3);
    assert_int_equal(replica_load(relay).storing_bytes, 0);
    net_free(net);
}

static void end_of_what_counts_needs_no_signature_of_its_own(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    net_link(net, AUTHOR, RELAY);
    say_group(net, 2);
    say_group(net, 4); /* 3 to 6, signed at 6 */
    learn(net, RELAY, 4);
    assert_holds(net, RELAY, 4);
    mesh_step(&net->mesh, RELAY, (ReplicaInput){.kind = REPLICA_LINK_DOWN, .link = AUTHOR});
    net_link(net, RELAY, NEWCOMER); /* who does not know of the cut */
    mesh_wait(&net->mesh, 2000);
    assert_holds(net, NEWCOMER, 2);
    assert_string_equal(net->mesh.dropped, "");
    learn(net, NEWCOMER, 4);
    mesh_wait(&net->mesh, 500);
    assert_holds(net, NEWCOMER, 4);
    assert_int_equal(replica_root(net->mesh.peers[RELAY].replica),
                     replica_root(net->mesh.peers[NEWCOMER].replica));
    net_free(net);
}

static void run_across_a_cut_is_taken_up_to_it(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    say_group(net, 6);
    learn(net, RELAY, 4); /* before anything of it came */
    net_link(net, AUTHOR, RELAY);
    mesh_wait(&net->mesh, 500);
    assert_holds(net, RELAY, 4);
    assert_int_equal(net->mesh.peers[RELAY].shown, 4);
    assert_int_equal(net->mesh.peers[RELAY].cuts, 0);
    net_free(net);
}

static void who_has_less_than_the_cut_goes_on_pulling(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    net_link(net, AUTHOR, RELAY);
    say_group(net, 2);
    net->mesh.cut[AUTHOR][RELAY] = true;
    say_group(net, 3);
    assert_holds(net, RELAY, 2);
    learn(net, RELAY, 4);
    assert_holds(net, RELAY, 2);
    net->mesh.cut[AUTHOR][RELAY] = false;
    net_link(net, AUTHOR, RELAY);
    mesh_wait(&net->mesh, 2000);
    assert_holds(net, RELAY, 4);
    net_free(net);
}

static void restart_with_more_than_counts_cuts_at_the_first_step(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    say_group(net, 5);
    net->knows[RELAY].limit = 3;
    net->knows[RELAY].hash = net->hashes[3];
    StreamHead head = {.stream = net->knows[RELAY].stream, .hi = 5, .last_hash = net->hashes[5]};
    net_start(net, RELAY, &head);
    mesh_step(&net->mesh, RELAY, (ReplicaInput){.kind = REPLICA_TIMER});
    mesh_step(&net->mesh, RELAY, (ReplicaInput){.kind = REPLICA_TIMER});
    assert_int_equal(net->mesh.peers[RELAY].cuts, 1);
    assert_int_equal(net->mesh.peers[RELAY].cut_from, 3);
    assert_holds(net, RELAY, 3);
    head = (StreamHead){.stream = head.stream, .hi = 3, .last_hash = net->hashes[3]};
    net->mesh.peers[RELAY].cuts = 0;
    net_start(net, RELAY, &head); /* the disk has followed */
    mesh_step(&net->mesh, RELAY, (ReplicaInput){.kind = REPLICA_TIMER});
    assert_int_equal(net->mesh.peers[RELAY].cuts, 0);
    net_free(net);
}

static void other_history_than_the_cut_names_is_dropped(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    say_group(net, 4);
    net_link(net, AUTHOR, NEWCOMER);
    mesh_wait(&net->mesh, 500);
    assert_holds(net, NEWCOMER, 4);
    StreamHead head = {.stream = net->knows[RELAY].stream, .hi = 3};
    memset(head.last_hash.bytes, 7, sizeof(head.last_hash.bytes)); /* another third event */
    net->knows[RELAY].limit = 3;
    net->knows[RELAY].hash = net->hashes[3];
    net_start(net, RELAY, &head);
    mesh_step(&net->mesh, RELAY, (ReplicaInput){.kind = REPLICA_TIMER});
    assert_int_equal(net->mesh.peers[RELAY].cut_from, 0);
    learn(net, NEWCOMER, 3);
    net_link(net, RELAY, NEWCOMER);
    mesh_wait(&net->mesh, 1000);
    assert_holds(net, RELAY, 3);
    assert_int_equal(replica_root(net->mesh.peers[RELAY].replica),
                     replica_root(net->mesh.peers[NEWCOMER].replica));
    net_free(net);
}

static void who_is_revoked_says_nothing_more(void **state)
{
    (void)state;
    Net *net = net_new(UINT64_MAX);
    say_group(net, 3);
    assert_true(replica_may_say(net->mesh.peers[AUTHOR].replica));
    net->mesh.disks_stand_still = true;
    say_group(net, 2);
    learn(net, AUTHOR, 2);
    assert_false(replica_may_say(net->mesh.peers[AUTHOR].replica));
    assert_int_equal(net->mesh.peers[AUTHOR].cut_from, 2);
    mesh_say(&net->mesh, AUTHOR, "hello?");
    assert_int_equal(replica_said(net->mesh.peers[AUTHOR].replica), 0);
    mesh_step(&net->mesh, AUTHOR,
              (ReplicaInput){.kind = REPLICA_STORED, .ticket = net->mesh.tickets[AUTHOR]});
    assert_holds(net, AUTHOR, 2);
    net_free(net);
}

/* Its numbers may be on other disks: they are not signed again, and not gone on from. */
static void who_counts_again_goes_on_in_a_new_epoch(void **state)
{
    (void)state;
    enum { CUTS = 2 };
    static const uint64_t limits[CUTS] = {0, 2}; /* nothing of it, or less than was given away */
    for (size_t i = 0; i < CUTS; i++) {
        Net *net = net_new(UINT64_MAX);
        const Replica *author = net->mesh.peers[AUTHOR].replica;
        net_link(net, AUTHOR, RELAY);
        say_group(net, 3);
        net->mesh.disks_stand_still = true;
        say_group(net, 2); /* on its way to the disk */
        say_group(net, 1); /* waits for that */
        learn(net, AUTHOR, limits[i]);
        assert_int_equal(net->mesh.peers[AUTHOR].cuts, 1);
        learn(net, AUTHOR, UINT64_MAX); /* while the disk still writes what was cut */
        net->mesh.disks_stand_still = false;
        mesh_step(&net->mesh, AUTHOR,
                  (ReplicaInput){.kind = REPLICA_STORED, .ticket = net->mesh.tickets[AUTHOR]});
        mesh_wait(&net->mesh, 1000);
        assert_holds(net, AUTHOR, 3); /* as the others hold it */
        assert_holds(net, RELAY, 3);
        assert_int_equal(replica_load(author).storing_bytes, 0);
        assert_true(replica_may_say(author));
        StreamId own;
        replica_own(author, &own);
        assert_true(own.epoch > net->knows[AUTHOR].stream.epoch);
        mesh_say(&net->mesh, AUTHOR, "again");
        assert_int_equal(replica_said(author), 1);
        mesh_wait(&net->mesh, 1000);
        assert_int_equal(replica_durable(net->mesh.peers[RELAY].replica, &own), 1);
        assert_string_equal(net->mesh.peers[RELAY].last, "again");
        assert_holds(net, RELAY, 3);
        assert_int_equal(replica_root(author), replica_root(net->mesh.peers[RELAY].replica));
        assert_string_equal(net->mesh.dropped, "");
        assert_int_equal(net->mesh.peers[RELAY].frozen, 0);
        net_free(net);
    }
}

/* ---- hellos ---- */

static const char *dropped_for(const uint8_t *here, const uint8_t *there, bool both_dial,
                               bool wrong_key)
{
    static char reason[200];
    Net *net = net_new(UINT64_MAX);
    up(net, AUTHOR, RELAY, here, true);
    StreamId other;
    replica_own(net->mesh.peers[wrong_key ? NEWCOMER : AUTHOR].replica, &other);
    mesh_step(&net->mesh, RELAY,
              (ReplicaInput){.kind = REPLICA_LINK_UP,
                             .link = AUTHOR,
                             .dialled = both_dial,
                             .binding = there,
                             .peer_key = other.origin});
    mesh_settle(&net->mesh);
    ReplicaLinkView view;
    replica_link(net->mesh.peers[RELAY].replica, AUTHOR, net->mesh.now_ms, &view);
    snprintf(reason, sizeof(reason), "%s",
             view.greeted ? "greeted" : net->mesh.peers[RELAY].dropped);
    net_free(net);
    return reason;
}

static void hello_is_good_on_its_own_connection_alone(void **state)
{
    (void)state;
    const uint8_t one[32] = {1};
    const uint8_t another[32] = {2};
    assert_string_equal(dropped_for(one, one, false, false), "greeted");
    assert_string_equal(dropped_for(one, another, false, false),
                        "its hello was not signed for this connection");
    assert_string_equal(dropped_for(one, one, true, false), /* as if it came back to its sender */
                        "its hello was not signed for this connection");
    assert_string_equal(dropped_for(one, one, false, true),
                        "it says hello with another key than its connection's");
    assert_string_equal(dropped_for(NULL, one, false, false), "it did not sign its hello");
    assert_string_equal(dropped_for(one, NULL, false, false),
                        "its connection is not one of a private network");
}

static void run_without_an_end_is_refused_in_open_mode(void **state)
{
    (void)state;
    Mesh mesh = mesh_new();
    mesh_link(&mesh, 0, 1);
    mesh_say(&mesh, 0, "one");
    StreamId own;
    replica_own(mesh.peers[0].replica, &own);
    EventFields fields = {.stream = own,
                          .seq = 2,
                          .room = "lobby",
                          .room_len = 5,
                          .kind = LOG_TEXT,
                          .sender = "ann",
                          .sender_len = 3};
    memset(fields.prev_hash.bytes, 1, sizeof(fields.prev_hash.bytes));
    LogEvent *event = event_new(&fields);
    FrameRun run = {.events = &event, .count = 1};
    Bytes *frame = frame_encode(&(FrameOut){.runs = &run, .runs_count = 1});
    mesh_step(
        &mesh, 1,
        (ReplicaInput){
            .kind = REPLICA_FRAME, .link = 0, .data = bytes_data(frame), .len = bytes_len(frame)});
    assert_string_equal(mesh.dropped, "it sent events that their author did not sign");
    bytes_unref(frame);
    event_unref(event);
    mesh_done(&mesh);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stream_of_a_stranger_is_pulled_as_soon_as_it_counts),
        cmocka_unit_test(what_is_held_past_a_cut_is_dropped_once),
        cmocka_unit_test(all_of_a_stream_may_be_cut),
        cmocka_unit_test(store_that_comes_back_after_the_cut_makes_nothing_durable),
        cmocka_unit_test(end_of_what_counts_needs_no_signature_of_its_own),
        cmocka_unit_test(run_across_a_cut_is_taken_up_to_it),
        cmocka_unit_test(who_has_less_than_the_cut_goes_on_pulling),
        cmocka_unit_test(restart_with_more_than_counts_cuts_at_the_first_step),
        cmocka_unit_test(other_history_than_the_cut_names_is_dropped),
        cmocka_unit_test(who_is_revoked_says_nothing_more),
        cmocka_unit_test(who_counts_again_goes_on_in_a_new_epoch),
        cmocka_unit_test(hello_is_good_on_its_own_connection_alone),
        cmocka_unit_test(run_without_an_end_is_refused_in_open_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
