/* The gate: who comes in, who does not and hears why, and that what passes is whole. */
#include "gate_world.h"

#include <sys/resource.h>

enum { MIB = 1024 * 1024 };

/* ---- letting in ---- */

static void members_pass_and_know_each_other(void **state)
{
    (void)state;
    World *world = world_new();
    link_up(world);
    const Side *a = &world->a;
    const Side *b = &world->b;
    assert_memory_equal(a->peer.key, b->signer.public_key, EVENT_KEY_BYTES);
    assert_memory_equal(b->peer.key, a->signer.public_key, EVENT_KEY_BYTES);
    assert_memory_equal(a->peer.binding, b->peer.binding, GATE_BINDING_BYTES);
    assert_true(a->peer.dialled);
    assert_false(b->peer.dialled);
    assert_int_equal(b->peer.kind, GATE_MEMBER);
    assert_memory_equal(b->peer.address, "127.0.0.1:", 10);
    /* Each was asked, and shown the other's proof. */
    assert_int_equal(a->knocks, 1);
    assert_int_equal(b->knocks, 1);
    assert_memory_equal(b->shown, bytes_data(a->proof), b->shown_len);
    assert_int_equal(b->shown_len, bytes_len(a->proof));
    assert_memory_equal(a->shown, bytes_data(b->proof), a->shown_len);
    GateStats stats = gate_stats(b->gate);
    assert_int_equal(stats.passed, 1);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.refused, 0);
    world_free(world);
}

static void bindings_of_two_connections_differ(void **state)
{
    (void)state;
    World *world = world_new();
    link_up(world);
    GatePeer first = world->b.peer;
    link_up(world);
    assert_memory_not_equal(first.binding, world->b.peer.binding, GATE_BINDING_BYTES);
    world_free(world);
}

static void name_is_resolved(void **state)
{
    (void)state;
    World *world = world_new();
    gate_dial(world->a.gate, "localhost", world->port, side_dialled, &world->a);
    wait_flag(world, &world->a.called);
    assert_string_equal(world->a.text, "");
    assert_int_equal(world->a.err, ERR_OK);
    world_free(world);
}

static void verdict_may_take_its_time(void **state)
{
    (void)state;
    World *world = world_new();
    world->b.verdict = HOLD;
    dial(world);
    wait_count(world, &world->b.knocks, 1);
    wait_ms(world, 200);
    assert_false(world->a.called);
    assert_int_equal(gate_stats(world->b.gate).waiting, 1);
    gate_let_in(world->b.held);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_OK);
    world_free(world);
}

/* ---- turning away ---- */

static void who_is_turned_away_hears_why(void **state)
{
    (void)state;
    World *world = world_new();
    world->b.verdict = REFUSE;
    dial(world);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_DENIED);
    assert_string_equal(world->a.text, "it does not let this node in: you are none of us");
    wait_count(world, &world->b.refused, 1);
    assert_memory_equal(world->b.refusal, "127.0.0.1:", 10);
    assert_has(world->b.refusal, " was turned away: you are none of us");
    assert_refused(world, 1);
    world_free(world);
}

static void who_dials_may_turn_away_too(void **state)
{
    (void)state;
    World *world = world_new();
    world->a.verdict = REFUSE;
    dial(world);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_DENIED);
    assert_string_equal(world->a.text, "this node does not let it in: you are none of us");
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, "it would not come in: you are none of us");
    assert_int_equal(world->b.knocks, 0);
    world_free(world);
}

static void another_network_learns_nothing(void **state)
{
    (void)state;
    World *world = world_new_of(OTHER_NETWORK, NETWORK);
    dial(world);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_DENIED);
    assert_string_equal(world->a.text, "it does not let this node in: this node does not belong to "
                                       "your network");
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, "it does not belong to this network");
    assert_int_equal(world->a.knocks + world->b.knocks, 0);
    world_free(world);
}

static void knock_of_one_who_has_gone_may_still_be_answered(void **state)
{
    (void)state;
    World *world = world_new();
    world->b.verdict = HOLD;
    GateCall *call = dial(world);
    wait_count(world, &world->b.knocks, 1);
    gate_call_cancel(call);
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, "it closed the connection before it was let in");
    gate_let_in(world->b.held);
    world->b.verdict = LET_IN;
    link_up(world);
    assert_int_equal(world->b.entered, 1);
    world_free(world);
}

static void nothing_listens_there(void **state)
{
    (void)state;
    World *world = world_new();
    gate_dial(world->a.gate, "127.0.0.1", free_port(), side_dialled, &world->a);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_IO);
    assert_string_equal(world->a.text, "connection refused: nothing listens there");
    world->a.called = false;
    gate_dial(world->a.gate, "no-such-name.invalid", world->port, side_dialled, &world->a);
    wait_flag(world, &world->a.called);
    assert_true(world->a.err == ERR_NOT_FOUND || world->a.err == ERR_IO);
    world_free(world);
}

/* ---- strangers ---- */

static void stranger_without_a_certificate_is_refused(void **state)
{
    (void)state;
    refusal_of(stranger_new("chat_node/1", TLS1_3_VERSION), world_new(), "certificate required",
               "it shows no certificate");
}

static void older_tls_is_refused(void **state)
{
    (void)state;
    refusal_of(stranger_new("chat_node/1", TLS1_2_VERSION), world_new(), "protocol version",
               "its TLS is older than 1.3");
}

static void unknown_protocol_is_refused(void **state)
{
    (void)state;
    refusal_of(stranger_new("http/1.1", TLS1_3_VERSION), world_new(), "no application protocol",
               "it speaks what this node does not");
    refusal_of(stranger_new(NULL, TLS1_3_VERSION), world_new(), "no application protocol",
               "it does not say what it speaks");
}

static void other_keys_are_refused(void **state)
{
    (void)state;
    Stranger stranger = stranger_new("chat_node/1", TLS1_3_VERSION);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    stranger_identify(&stranger, key);
    EVP_PKEY_free(key);
    /* It has no certificate of the kind that is asked for. */
    refusal_of(stranger, world_new(), "certificate required", "it shows no certificate");
}

static void certificate_without_its_key_is_refused(void **state)
{
    (void)state;
    World *world = world_new();
    Stranger stranger = stranger_new("chat_node/1", TLS1_3_VERSION);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, world->a.seed, 32);
    EVP_PKEY *public_alone =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, world->a.signer.public_key, 32);
    /* A private key whose public half was replaced: OpenSSL takes it for the certificate's. */
    uint8_t wrong[32] = {1, 2, 3};
    EVP_PKEY *other = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, wrong, 32);
    X509 *certificate = certificate_of(public_alone, key);
    assert_int_equal(SSL_CTX_use_PrivateKey(stranger.context, other), 1);
    /* Kept apart, OpenSSL drops the key where it does not fit, and has none to sign with. */
    SSL_CTX_use_certificate(stranger.context, certificate);
    assert_int_not_equal(SSL_CTX_check_private_key(stranger.context), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    EVP_PKEY_free(public_alone);
    refusal_of(stranger, world, "certificate required", "it shows no certificate");
}

static void what_is_no_tls_is_refused(void **state)
{
    (void)state;
    World *world = world_new();
    int fd = connect_from(world->port, 1);
    const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    read_to_end(fd);
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, "it speaks HTTP without TLS");
    close(fd);
    world_free(world);
}

/* A stranger with TLS and a key, that says nonsense, or more than may be. */
static void nonsense_is_refused(const void *data, size_t len, bool has_answer)
{
    World *world = world_new();
    Stranger stranger = stranger_new("chat_node/1", TLS1_3_VERSION);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    stranger_identify(&stranger, key);
    EVP_PKEY_free(key);
    stranger_connect(&stranger, world, false);
    assert_int_equal(stranger.result, 1);
    stranger_say(&stranger, data, len);
    char answer[1000] = {0};
    int got = SSL_read(stranger.ssl, answer, sizeof(answer) - 1);
    assert_int_equal(got > 0, has_answer);
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal,
               has_answer ? "it does not belong to this network" : "what it says makes no sense");
    stranger_free(&stranger);
    world_free(world);
}

static void message_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    uint8_t long_one[2000] = {0};
    uint8_t wrong_tag[36] = {0x08, 1, 0x12, 32, 'x'};
    const uint8_t short_tag[] = {0x08, 1, 0x12, 2, 1, 2};
    nonsense_is_refused("\xff\xff\xff", 3, false);
    nonsense_is_refused(short_tag, sizeof(short_tag), false);
    nonsense_is_refused(long_one, sizeof(long_one), false);
    nonsense_is_refused(wrong_tag, sizeof(wrong_tag), true);
}

/* ---- joining ---- */

static void join(World *world, const uint8_t *inviter)
{
    GateJoin join = {.secret = "fifteen letters", .name = "Zo\xc3\xab", .port = 50051};
    world->a.called = false;
    gate_join(world->a.gate, "127.0.0.1", world->port, inviter, &join, side_joined, &world->a);
    wait_flag(world, &world->a.called);
}

static void newcomer_is_welcomed(void **state)
{
    (void)state;
    World *world = world_new_of(NULL, NETWORK);
    join(world, world->b.signer.public_key);
    assert_int_equal(world->a.err, ERR_OK);
    assert_memory_equal(world->b.join.secret, "fifteen letters", 16);
    assert_string_equal(world->b.join.name, "Zo\xc3\xab");
    assert_int_equal(world->b.join.port, 50051);
    assert_memory_equal(world->b.knocked.key, world->a.signer.public_key, EVENT_KEY_BYTES);
    assert_memory_equal(world->a.genesis, "genesis", 7);
    assert_int_equal(world->a.genesis_len, 7);
    assert_int_equal(world->a.nodes, 2);
    assert_string_equal(world->a.node, "10.0.0.1:50051");
    assert_int_equal(world->a.shown_len, bytes_len(world->b.proof));
    world_free(world);
}

static void used_invitation_is_refused(void **state)
{
    (void)state;
    World *world = world_new_of(NULL, NETWORK);
    world->b.verdict = REFUSE;
    join(world, world->b.signer.public_key);
    assert_int_equal(world->a.err, ERR_DENIED);
    assert_string_equal(world->a.text, "the invitation was used already");
    world_free(world);
}

static void secret_is_for_the_inviter_alone(void **state)
{
    (void)state;
    World *world = world_new_of(NULL, NETWORK);
    join(world, world->a.signer.public_key);
    assert_int_equal(world->a.err, ERR_INVALID);
    assert_string_equal(world->a.text, "the node there has another key than the invitation names");
    wait_count(world, &world->b.refused, 1);
    assert_int_equal(world->b.asked, 0);
    world_free(world);
}

/* ---- bounds ---- */

static void silent_connection_ends_at_its_deadline(void **state)
{
    (void)state;
    World *world = world_new();
    uint64_t started_ms = loop_mono_ms();
    int fd = connect_from(world->port, 1);
    assert_int_equal(read_to_end(fd), 0);
    uint64_t took_ms = loop_mono_ms() - started_ms;
    assert_in_range(took_ms, GATE_DEADLINE_MS - 100, GATE_DEADLINE_MS + 5000);
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, "it took too long to say who it is");
    close(fd);
    world_free(world);
}

static void one_address_may_not_take_all_places(void **state)
{
    (void)state;
    World *world = world_new();
    int fds[GATE_WAITING_OF_ADDRESS_MAX + 1];
    for (unsigned i = 0; i <= GATE_WAITING_OF_ADDRESS_MAX; i++) {
        fds[i] = connect_from(world->port, 7);
    }
    assert_int_equal(read_to_end(fds[GATE_WAITING_OF_ADDRESS_MAX]), 0);
    wait_count(world, &world->b.refused, 1);
    assert_memory_equal(world->b.refusal, "127.0.0.7:", 10);
    assert_has(world->b.refusal, "too many connections from there that do not say who they are");
    assert_int_equal(gate_stats(world->b.gate).waiting, GATE_WAITING_OF_ADDRESS_MAX);
    link_up(world); /* another address comes in */
    for (unsigned i = 0; i <= GATE_WAITING_OF_ADDRESS_MAX; i++) {
        close(fds[i]);
    }
    world_free(world);
}

static void oldest_makes_room_in_a_full_house(void **state)
{
    (void)state;
    World *world = world_new();
    int fds[GATE_WAITING_MAX + 1];
    for (unsigned i = 0; i <= GATE_WAITING_MAX; i++) {
        fds[i] = connect_from(world->port, 2 + i / 30);
    }
    assert_int_equal(read_to_end(fds[0]), 0);
    while (gate_stats(world->b.gate).waiting < GATE_WAITING_MAX) {
        wait_ms(world, 1);
    }
    assert_refused(world, 1);
    link_up(world);
    for (unsigned i = 0; i <= GATE_WAITING_MAX; i++) {
        close(fds[i]);
    }
    world_free(world);
}

static void flood_of_one_address_is_turned_away_and_told_of_once(void **state)
{
    (void)state;
    World *world = world_new();
    for (unsigned i = 0; i < 3 * GATE_BURST_OF_ADDRESS; i++) {
        int fd = connect_from(world->port, 9);
        struct linger reset = {.l_onoff = 1};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(fd);
    }
    wait_count(world, &world->b.refused, 1);
    wait_ms(world, 300);
    assert_int_equal(world->b.refused, 1);
    assert_true(gate_stats(world->b.gate).refused > GATE_BURST_OF_ADDRESS);
    link_up(world);
    world_free(world);
}

/* ---- what passes ---- */

typedef struct Flow {
    int from, to;
    size_t sent, received;
    bool wrong;
} Flow;

static uint8_t byte_at(size_t at)
{
    return (uint8_t)(at * 31 + (at >> 8) * 7 + (at >> 16));
}

static void flow_send(Flow *flow, size_t all)
{
    uint8_t data[30000];
    size_t len = all - flow->sent < sizeof(data) ? all - flow->sent : sizeof(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = byte_at(flow->sent + i);
    }
    ssize_t count = len > 0 ? write(flow->from, data, len) : 0;
    flow->sent += count > 0 ? (size_t)count : 0;
}

static void flow_receive(Flow *flow, size_t at_most)
{
    uint8_t data[30000];
    ssize_t count = read(flow->to, data, at_most < sizeof(data) ? at_most : sizeof(data));
    for (ssize_t i = 0; i < count; i++) {
        flow->wrong |= data[i] != byte_at(flow->received + (size_t)i);
    }
    flow->received += count > 0 ? (size_t)count : 0;
}

static void all_bytes_arrive_both_ways_also_at_a_slow_reader(void **state)
{
    (void)state;
    enum { ALL = 24 * MIB };
    World *world = world_new();
    link_up(world);
    Flow flows[2] = {{.from = world->a.fd, .to = world->b.fd},
                     {.from = world->b.fd, .to = world->a.fd}};
    for (unsigned round = 0; flows[0].received < ALL || flows[1].received < ALL; round++) {
        flow_send(&flows[0], ALL);
        flow_send(&flows[1], ALL);
        flow_receive(&flows[0], 30000);
        if (round % 10 == 9 || flows[0].received == ALL) { /* slower than it comes */
            flow_receive(&flows[1], 20011);
        }
    }
    assert_false(flows[0].wrong || flows[1].wrong);
    assert_int_equal(flows[0].received, ALL);
    world_free(world);
}

static void who_does_not_read_holds_up_who_sends(void **state)
{
    (void)state;
    World *world = world_new();
    link_up(world);
    Flow flow = {.from = world->a.fd, .to = world->b.fd};
    for (unsigned quiet = 0; quiet < 20; quiet++) {
        size_t before = flow.sent;
        flow_send(&flow, 1000 * (size_t)MIB);
        if (flow.sent != before) {
            quiet = 0;
        } else {
            wait_ms(world, 5);
        }
    }
    /* What the kernel's buffers hold, and two rests. */
    assert_true(flow.sent < 32 * (size_t)MIB);
    size_t sent = flow.sent;
    while (flow.received < sent) {
        flow_receive(&flow, 30000);
    }
    assert_false(flow.wrong);
    world_free(world);
}

static void end_of_one_side_arrives_behind_all_it_said(void **state)
{
    (void)state;
    World *world = world_new();
    link_up(world);
    Flow flow = {.from = world->a.fd, .to = world->b.fd};
    while (flow.sent < MIB) {
        flow_send(&flow, MIB);
        flow_receive(&flow, 1000);
    }
    /* Half-closed: the other way still goes. */
    shutdown(world->a.fd, SHUT_WR);
    assert_int_equal(write(world->b.fd, "yes", 3), 3);
    set_block(world->a.fd, true);
    char data[10];
    assert_int_equal(read(world->a.fd, data, sizeof(data)), 3);
    set_block(world->b.fd, true);
    while (flow.received < MIB) {
        flow_receive(&flow, 30000);
    }
    assert_false(flow.wrong);
    assert_int_equal(read(world->b.fd, data, sizeof(data)), 0);
    close(world->b.fd);
    world->b.fd = -1;
    assert_int_equal(read(world->a.fd, data, sizeof(data)), 0);
    wait_passed(world, &world->a, 0);
    wait_passed(world, &world->b, 0);
    world_free(world);
}

static void cut_ends_all_connections_of_a_key(void **state)
{
    (void)state;
    World *world = world_new();
    link_up(world);
    gate_cut(world->b.gate, world->b.signer.public_key); /* nobody's */
    gate_cut(world->b.gate, world->a.signer.public_key);
    set_block(world->a.fd, true);
    set_block(world->b.fd, true);
    assert_int_equal(read_to_end(world->a.fd), 0);
    assert_int_equal(read_to_end(world->b.fd), 0);
    world->b.verdict = HOLD; /* also one that waits */
    dial(world);
    wait_count(world, &world->b.knocks, 2);
    gate_cut(world->b.gate, world->a.signer.public_key);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_IO);
    gate_let_in(world->b.held);
    world_free(world);
}

static void gate_that_closes_ends_what_has_not_passed(void **state)
{
    (void)state;
    World *world = world_new();
    link_up(world);
    world->b.verdict = HOLD;
    dial(world);
    wait_count(world, &world->b.knocks, 2);
    gate_close(world->b.gate, flag_set, &world->b.closed);
    wait_flag(world, &world->a.called);
    assert_int_equal(world->a.err, ERR_IO);
    assert_false(world->b.closed); /* what has passed is still open */
    assert_int_equal(write(world->a.fd, "still", 5), 5);
    set_block(world->b.fd, true);
    char data[10];
    assert_int_equal(read(world->b.fd, data, sizeof(data)), 5);
    close(world->b.fd);
    world->b.fd = -1;
    wait_flag(world, &world->b.closed);
    bytes_unref(world->b.proof);
    world->b.closed = false;
    side_open(world, &world->b, 'b', NETWORK, NULL);
    world_free(world);
}

int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max; /* a full house takes two for each */
    setrlimit(RLIMIT_NOFILE, &limit);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_pass_and_know_each_other),
        cmocka_unit_test(bindings_of_two_connections_differ),
        cmocka_unit_test(name_is_resolved),
        cmocka_unit_test(verdict_may_take_its_time),
        cmocka_unit_test(who_is_turned_away_hears_why),
        cmocka_unit_test(who_dials_may_turn_away_too),
        cmocka_unit_test(another_network_learns_nothing),
        cmocka_unit_test(knock_of_one_who_has_gone_may_still_be_answered),
        cmocka_unit_test(nothing_listens_there),
        cmocka_unit_test(stranger_without_a_certificate_is_refused),
        cmocka_unit_test(older_tls_is_refused),
        cmocka_unit_test(unknown_protocol_is_refused),
        cmocka_unit_test(other_keys_are_refused),
        cmocka_unit_test(certificate_without_its_key_is_refused),
        cmocka_unit_test(what_is_no_tls_is_refused),
        cmocka_unit_test(message_that_makes_no_sense_is_refused),
        cmocka_unit_test(newcomer_is_welcomed),
        cmocka_unit_test(used_invitation_is_refused),
        cmocka_unit_test(secret_is_for_the_inviter_alone),
        cmocka_unit_test(silent_connection_ends_at_its_deadline),
        cmocka_unit_test(one_address_may_not_take_all_places),
        cmocka_unit_test(oldest_makes_room_in_a_full_house),
        cmocka_unit_test(flood_of_one_address_is_turned_away_and_told_of_once),
        cmocka_unit_test(all_bytes_arrive_both_ways_also_at_a_slow_reader),
        cmocka_unit_test(who_does_not_read_holds_up_who_sends),
        cmocka_unit_test(end_of_one_side_arrives_behind_all_it_said),
        cmocka_unit_test(cut_ends_all_connections_of_a_key),
        cmocka_unit_test(gate_that_closes_ends_what_has_not_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
