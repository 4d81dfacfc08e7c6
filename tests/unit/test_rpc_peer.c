/* Who is at the other end of a call; connections made elsewhere; the Unix socket; calls through a
 * pair of gates. */
#include "io/gate.h"
#include "rpc_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

static const RpcPeer MEMBER = {
    .kind = RPC_PEER_MEMBER, .key = {1, 2, 3}, .binding = {9}, .address = "10.0.0.7:4242"};

static void adopt_pair(World *world, const RpcPeer *peer, int *ret_server_fd)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    *ret_server_fd = ends[0];
    rpc_server_adopt(world->server, ends[0], peer);
    world->channel = rpc_channel_adopt(world->rpc, ends[1], true);
}

static World *world_with_server_alone(void)
{
    World *world = world_new();
    world_serve(world);
    return world;
}

static void adopted_connection_carries_streams_and_its_peer(void **state)
{
    (void)state;
    World *world = world_with_server_alone();
    int fd = -1;
    adopt_pair(world, &MEMBER, &fd);
    world->at_client.to_send = MANY;
    world->at_server.to_send = MANY;
    world_open(world);
    wait_count(world, &world->at_server.received, MANY);
    wait_count(world, &world->at_client.received, MANY);
    assert_false(world->at_server.out_of_order || world->at_client.out_of_order);
    assert_int_equal(world->peer.kind, RPC_PEER_MEMBER);
    assert_memory_equal(world->peer.key, MEMBER.key, 32);
    assert_memory_equal(world->peer.binding, MEMBER.binding, 32);
    assert_string_equal(world->peer.address, "10.0.0.7:4242");
    world_free(world);
}

static void metadata_of_a_call_is_there_by_its_name(void **state)
{
    (void)state;
    World *world = world_with_server();
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    assert_memory_equal(world->agent, "grpc-c/", 7);
    assert_false(world->authorized);
    assert_null(rpc_stream_metadata(world->at_server.stream, "user-agent")); /* later: no more */
    world_free(world);
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* What rpc_peers.c stands on: as long as a call is not over at the server, the descriptor of its
 * connection is open, so nobody else gets its number. */
static void living_call_holds_its_descriptor(void **state)
{
    (void)state;
    World *world = world_with_server_alone();
    int fd = -1;
    adopt_pair(world, &MEMBER, &fd);
    Bytes *request = bytes_new("", 0);
    RpcCall *call = rpc_unary(world->channel, "/test/Deferred", request, TEST_MAX_MS, NULL, NULL);
    bytes_unref(request);
    while (world->deferred == NULL) {
        loop_turn(world->loop, true);
    }
    /* The client goes; the server learns of it, but its call is not answered yet. */
    rpc_call_cancel(call);
    world_close_channel(world);
    wait_ms(world, 300);
    assert_true(is_open(fd));
    RpcPeer peer;
    rpc_server_call_peer_info(world->deferred, &peer);
    assert_int_equal(peer.kind, RPC_PEER_MEMBER);
    int other = dup(0);
    assert_int_not_equal(other, fd);
    close(other);
    rpc_server_call_answer(TAKE(world->deferred), NULL, RPC_UNAVAILABLE, "too late");
    while (is_open(fd)) {
        wait_ms(world, 1);
    }
    world_free(world);
}

static void number_of_one_who_has_gone_tells_nothing_of_the_next(void **state)
{
    (void)state;
    World *world = world_with_server_alone();
    for (int i = 0; i < 20; i++) {
        int fd = -1;
        adopt_pair(world, &MEMBER, &fd);
        world_open(world);
        wait_count(world, &world->streams_opened, world->streams_opened + 1);
        assert_int_equal(world->peer.kind, RPC_PEER_MEMBER);
        end_close(&world->at_client, RPC_CANCELLED, "");
        wait_until(world, &world->at_server.ended);
        world_close_channel(world);
        while (is_open(fd)) {
            wait_ms(world, 1);
        }
        world->at_server = (End){.size_of = size_mixed};
        world->at_client = (End){.size_of = size_mixed};
        world_connect(world); /* a plain one, which most likely gets that number */
        world_open(world);
        wait_count(world, &world->streams_opened, world->streams_opened + 1);
        assert_int_equal(world->peer.kind, RPC_PEER_LOCAL);
        end_close(&world->at_client, RPC_CANCELLED, "");
        wait_until(world, &world->at_server.ended);
        world_close_channel(world);
        world->at_server = (End){.size_of = size_mixed};
        world->at_client = (End){.size_of = size_mixed};
    }
    world_free(world);
}

/* ---- what is lost ---- */

static void lost_adopted_channel_is_told_of_once(void **state)
{
    (void)state;
    World *world = world_new();
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    world->channel = rpc_channel_adopt(world->rpc, ends[1], true);
    bool lost = false;
    rpc_channel_watch(world->channel, flag_set, &lost);
    world_open(world);
    wait_ms(world, 50);
    assert_false(lost);
    close(ends[0]);
    wait_until(world, &lost);
    wait_until(world, &world->at_client.ended);
    assert_int_equal(world->at_client.code, RPC_UNAVAILABLE);
    world_free(world);
}

/* The other end is open, and says nothing to any ping. */
static void silent_adopted_channel_is_lost(void **state)
{
    (void)state;
    World *world = world_new();
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    world->channel = rpc_channel_adopt(world->rpc, ends[1], true);
    bool lost = false;
    rpc_channel_watch(world->channel, flag_set, &lost);
    /* A server's settings, and then nothing. */
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    assert_int_equal(write(ends[0], settings, sizeof(settings)), sizeof(settings));
    world_open(world);
    uint64_t started_ms = loop_mono_ms();
    wait_until(world, &lost);
    assert_in_range(loop_mono_ms() - started_ms, 1000, 15000);
    close(ends[0]);
    world_free(world);
}

/* ---- the Unix socket ---- */

static int connect_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static World *world_at(const char *path)
{
    World *world = world_with_server_alone();
    char *text = NULL;
    Err err = rpc_server_listen_unix(world->server, path, &text);
    assert_string_equal(text != NULL ? text : "", "");
    assert_int_equal(err, ERR_OK);
    return world;
}

static void owner_reaches_the_node_by_a_path(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_rpc_peer.XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO_STRBUF StrBuf path = {0};
    strbuf_addf(&path, "%s/socket", folder);
    World *world = world_at(strbuf_text(&path));
    struct stat stat_of;
    assert_int_equal(stat(strbuf_text(&path), &stat_of), 0);
    assert_int_equal(stat_of.st_mode & 0777, 0600);
    int fd = connect_path(strbuf_text(&path));
    assert_true(fd >= 0);
    world->channel = rpc_channel_adopt(world->rpc, fd, true);
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    assert_int_equal(world->peer.kind, RPC_PEER_LOCAL);
    assert_string_equal(world->peer.address, "unix");

    char *text = NULL;
    assert_int_equal(rpc_server_listen_unix(world->server, strbuf_text(&path), &text), ERR_IN_USE);
    assert_non_null(strstr(text, "another program listens there"));
    mem_free(text);
    world_free(world);
    assert_int_equal(stat(strbuf_text(&path), &stat_of), -1); /* removed */
    rmdir(folder);
}

static void stale_socket_is_replaced_and_nothing_else(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_rpc_peer.XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO_STRBUF StrBuf path = {0};
    strbuf_addf(&path, "%s/socket", folder);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", strbuf_text(&path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd); /* what a process that was killed leaves behind */
    World *world = world_at(strbuf_text(&path));
    world_free(world);

    fd = open(strbuf_text(&path), O_CREAT | O_WRONLY, 0600);
    close(fd);
    world = world_with_server_alone();
    char *text = NULL;
    assert_int_equal(rpc_server_listen_unix(world->server, strbuf_text(&path), &text), ERR_EXISTS);
    assert_non_null(strstr(text, "no socket"));
    mem_free(text);
    world_free(world);
    unlink(strbuf_text(&path));
    rmdir(folder);
}

static void path_may_be_longer_than_an_address(void **state)
{
    (void)state;
    char folder[] = "/tmp/test_rpc_peer.XXXXXX";
    assert_non_null(mkdtemp(folder));
    AUTO_STRBUF StrBuf path = {0};
    strbuf_addf(&path, "%s/%0120d", folder, 0);
    assert_int_equal(mkdir(strbuf_text(&path), 0700), 0);
    AUTO_FREE char *inner = mem_copy_string(strbuf_text(&path));
    strbuf_add_string(&path, "/socket");
    World *world = world_at(strbuf_text(&path));
    struct stat stat_of;
    assert_int_equal(stat(strbuf_text(&path), &stat_of), 0);
    assert_true(S_ISSOCK(stat_of.st_mode));
    world_free(world);
    assert_int_equal(rmdir(inner), 0);
    rmdir(folder);
}

/* ---- through a pair of gates ---- */

typedef struct Gates {
    World *world;
    Gate *dials;
    Gate *listens;
    Bytes *proof;
    bool up;
    bool dials_closed;
    bool listens_closed;
} Gates;

static void gates_knocked(void *context, GateKnock *knock, const GatePeer *peer,
                          const uint8_t *proof, size_t len)
{
    (void)context;
    (void)peer;
    (void)proof;
    (void)len;
    gate_let_in(knock);
}

static void gates_entered(void *context, int fd, const GatePeer *peer)
{
    Gates *gates = context;
    RpcPeer rpc_peer = {.kind = RPC_PEER_MEMBER};
    memcpy(rpc_peer.key, peer->key, sizeof(rpc_peer.key));
    memcpy(rpc_peer.binding, peer->binding, sizeof(rpc_peer.binding));
    snprintf(rpc_peer.address, sizeof(rpc_peer.address), "%.60s", peer->address);
    rpc_server_adopt(gates->world->server, fd, &rpc_peer);
}

static void gates_refused(void *context, const char *text)
{
    (void)context;
    fail_msg("%s", text);
}

static void gates_dialled(void *context, Err err, int fd, const GatePeer *peer, const char *text)
{
    Gates *gates = context;
    (void)peer;
    assert_string_equal(text != NULL ? text : "", "");
    assert_int_equal(err, ERR_OK);
    gates->world->channel = rpc_channel_adopt(gates->world->rpc, fd, true);
    gates->up = true;
}

static const GateEvents GATES_EVENTS = {
    .knocked = gates_knocked, .entered = gates_entered, .refused = gates_refused};

static Gate *gates_open(Gates *gates, char letter)
{
    uint8_t seed[EVENT_SEED_BYTES];
    memset(seed, letter, sizeof(seed));
    GateOptions options = {.loop = gates->world->loop,
                           .seed = seed,
                           .network = (const uint8_t *)"0123456789abcdef",
                           .connections_max = 100,
                           .events = &GATES_EVENTS,
                           .context = gates};
    Gate *gate = NULL;
    char *text = NULL;
    assert_int_equal(gate_open(&options, &gate, &text), ERR_OK);
    gate_set_proof(gate, gates->proof);
    return gate;
}

static Gates *gates_new(void)
{
    Gates *gates = mem_new(Gates);
    gates->world = world_with_server_alone();
    gates->proof = bytes_new("", 0);
    gates->dials = gates_open(gates, 'd');
    gates->listens = gates_open(gates, 'l');
    char *text = NULL;
    uint16_t port = 0;
    do {
        mem_free(TAKE(text));
        close(listen_anywhere(&port));
    } while (gate_listen(gates->listens, "127.0.0.1", port, &text) != ERR_OK);
    gate_dial(gates->dials, "127.0.0.1", port, gates_dialled, gates);
    wait_until(gates->world, &gates->up);
    return gates;
}

/* The gates come last of what posts, and the library's end after them. */
static void gates_free(Gates *gates)
{
    World *world = gates->world;
    end_close(&world->at_client, RPC_CANCELLED, "the test is over");
    world_close_channel(world);
    world_close_server(world);
    gate_close(gates->dials, flag_set, &gates->dials_closed);
    gate_close(gates->listens, flag_set, &gates->listens_closed);
    wait_until(world, &gates->dials_closed);
    wait_until(world, &gates->listens_closed);
    world_free(world);
    bytes_unref(gates->proof);
    mem_free(gates);
}

static void calls_go_through_a_pair_of_gates(void **state)
{
    (void)state;
    Gates *gates = gates_new();
    World *world = gates->world;
    EventSigner signer;
    uint8_t seed[EVENT_SEED_BYTES];
    memset(seed, 'd', sizeof(seed));
    event_signer_init(&signer, seed);
    world->at_client.to_send = MANY;
    world->at_server.to_send = MANY;
    world_open(world);
    wait_count(world, &world->at_server.received, MANY);
    wait_count(world, &world->at_client.received, MANY);
    assert_false(world->at_server.out_of_order || world->at_client.out_of_order);
    assert_int_equal(world->peer.kind, RPC_PEER_MEMBER);
    assert_memory_equal(world->peer.key, signer.public_key, EVENT_KEY_BYTES);
    event_signer_done(&signer);
    gates_free(gates);
}

static void cut_at_the_gate_is_a_lost_channel(void **state)
{
    (void)state;
    Gates *gates = gates_new();
    World *world = gates->world;
    bool lost = false;
    rpc_channel_watch(world->channel, flag_set, &lost);
    world_open(world);
    wait_count(world, &world->streams_opened, 1);
    gate_cut(gates->listens, world->peer.key);
    wait_until(world, &lost);
    wait_until(world, &world->at_client.ended);
    wait_until(world, &world->at_server.ended);
    assert_int_equal(world->at_client.code, RPC_UNAVAILABLE);
    gates_free(gates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adopted_connection_carries_streams_and_its_peer),
        cmocka_unit_test(metadata_of_a_call_is_there_by_its_name),
        cmocka_unit_test(living_call_holds_its_descriptor),
        cmocka_unit_test(number_of_one_who_has_gone_tells_nothing_of_the_next),
        cmocka_unit_test(lost_adopted_channel_is_told_of_once),
        cmocka_unit_test(silent_adopted_channel_is_lost),
        cmocka_unit_test(owner_reaches_the_node_by_a_path),
        cmocka_unit_test(stale_socket_is_replaced_and_nothing_else),
        cmocka_unit_test(path_may_be_longer_than_an_address),
        cmocka_unit_test(calls_go_through_a_pair_of_gates),
        cmocka_unit_test(cut_at_the_gate_is_a_lost_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
