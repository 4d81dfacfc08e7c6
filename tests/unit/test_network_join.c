/* Joining by an invitation: the inviter's gate is in another process, and lets in whoever has a
 * good one. */
#include "face/network_join.h"

#include "core/members.h"
#include "face/network_start.h"
#include "io/gate.h"
#include "io/invites.h"
#include "temp_dir.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* ---- the inviter ---- */

typedef struct Inviter {
    TempDir dir;
    char *directory;
    uint16_t port;
    char line[INVITE_LINE_MAX_BYTES];
    pid_t child;
} Inviter;

typedef struct Door {
    Gate *gate;
    Invites *invites;
    Members *members;
    const NetworkFile *network;
    EventSigner signer;
} Door;

/* What node and core do together, in short. */
static void door_asked(void *context, GateKnock *knock, const GatePeer *peer, const GateJoin *join)
{
    Door *door = context;
    const char *const nodes[] = {"192.0.2.7:50051"};
    AUTO_FREE char *error = NULL;
    if (invites_use(door->invites, join->secret, peer->key, loop_wall_ms(), &error) != ERR_OK) {
        gate_refuse(knock, error);
        return;
    }
    Bytes *body = membership_new(door->members, &door->signer, peer->key, join->name, NULL, 0,
                                 loop_wall_ms());
    /* A MemberProof of one: field 1, whose length needs two bytes. */
    size_t len = bytes_len(body);
    Bytes *proof = bytes_new_empty(len + 3);
    uint8_t head[] = {0x0a, (uint8_t)((len & 0x7f) | 0x80), (uint8_t)(len >> 7)};
    memcpy(bytes_fill(proof), head, sizeof(head));
    memcpy(bytes_fill(proof) + sizeof(head), bytes_data(body), len);
    gate_welcome(knock, bytes_data(door->network->genesis), bytes_len(door->network->genesis),
                 bytes_data(proof), bytes_len(proof), nodes, 1);
    bytes_unref(proof);
    bytes_unref(body);
}

static void door_refused(void *context, const char *text)
{
    (void)context;
    (void)text;
}

[[gnu::noreturn]] static void run_inviter(const Inviter *inviter, int ready)
{
    static const GateEvents events = {.asked = door_asked, .refused = door_refused};
    NetworkFile network = {0};
    Door door = {.network = &network, .invites = invites_new(inviter->directory)};
    char *error = NULL;
    const char *reason = "";
    uint8_t seed[EVENT_SEED_BYTES];
    StrBuf identity = {0};
    strbuf_addf(&identity, "%s/identity", inviter->directory);
    FILE *file = fopen(identity.text, "r");
    if (file == NULL || fread(seed, 1, sizeof(seed), file) != sizeof(seed) ||
        network_file_load(inviter->directory, &network, &error) != ERR_OK ||
        members_new(bytes_data(network.genesis), bytes_len(network.genesis), &door.members,
                    &reason) != ERR_OK) {
        _exit(1);
    }
    event_signer_init(&door.signer, seed);
    Loop *loop = loop_new();
    GateOptions options = {.loop = loop,
                           .seed = seed,
                           .network = members_network(door.members),
                           .connections_max = 10,
                           .events = &events,
                           .context = &door};
    if (gate_open(&options, &door.gate, &error) != ERR_OK) {
        _exit(2);
    }
    gate_set_proof(door.gate, network.proof);
    if (gate_listen(door.gate, "127.0.0.1", inviter->port, &error) != ERR_OK ||
        write(ready, "r", 1) != 1) {
        _exit(3);
    }
    for (;;) {
        loop_turn(loop, true);
    }
}

static uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

static void start(Inviter *inviter)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    inviter->child = fork();
    assert_true(inviter->child >= 0);
    if (inviter->child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ready[0]);
        run_inviter(inviter, ready[1]);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
}

static char *sub_directory(const TempDir *dir, const char *name)
{
    return strbuf_format("%s/%s", dir->path, name);
}

static Inviter inviter_new(void)
{
    Inviter inviter = {.dir = temp_dir_new(), .port = free_port()};
    NetworkStart network = {0};
    char *error = NULL;
    inviter.directory = sub_directory(&inviter.dir, "inviter");
    Settings settings = {.start = START_INIT,
                         .network = "garden",
                         .port = inviter.port,
                         .data = inviter.directory,
                         .addresses = {"127.0.0.1:1", "127.0.0.1"},
                         .addresses_count = 2};
    assert_int_equal(network_start_open(&settings, "ann", &network, &error), ERR_OK);
    assert_true(network.is_private);
    assert_string_equal(network.network_name, "garden");
    snprintf(inviter.line, sizeof(inviter.line), "%s", network.invitation);
    network_start_done(&network);
    start(&inviter);
    return inviter;
}

static void remove_directory(char *path)
{
    AUTO_FREE char *taken = path;
    TempDir dir = {0};
    snprintf(dir.path, sizeof(dir.path), "%s", taken);
    if (access(dir.path, F_OK) == 0) {
        temp_dir_done(&dir);
    }
}

static void inviter_done(Inviter *inviter)
{
    assert_int_equal(kill(inviter->child, SIGKILL), 0);
    assert_int_equal(waitpid(inviter->child, NULL, 0), inviter->child);
    remove_directory(inviter->directory);
    remove_directory(sub_directory(&inviter->dir, "bob"));
    remove_directory(sub_directory(&inviter->dir, "carl"));
    temp_dir_done(&inviter->dir);
}

/* ---- newcomers ---- */

static Err join(const Inviter *inviter, const char *who, const char *line, NetworkStart *ret_start,
                char **ret_error)
{
    AUTO_FREE char *directory = sub_directory(&inviter->dir, who);
    AUTO_FREE char *copy = mem_copy_string(line);
    Settings settings = {.start = START_JOIN, .port = 50052, .data = directory, .line = copy};
    Err err = network_start_open(&settings, who, ret_start, ret_error);
    assert_int_equal(copy[0], '\0'); /* nothing that lists processes shows it any more */
    return err;
}

static void assert_refused(const Inviter *inviter, const char *who, const char *line, Err wanted,
                           const char *words)
{
    NetworkStart start = {0};
    AUTO_FREE char *error = NULL;
    assert_int_equal(join(inviter, who, line, &start, &error), wanted);
    assert_non_null(strstr(error, words));
}

static void newcomer_joins_and_knows_where_to_link_to(void **state)
{
    (void)state;
    Inviter inviter = inviter_new();
    NetworkStart start = {0};
    AUTO_FREE char *error = NULL;
    char nodes[500] = {0};
    assert_int_equal(join(&inviter, "bob", inviter.line, &start, &error), ERR_OK);
    assert_true(start.is_private);
    assert_string_equal(start.network_name, "garden");
    assert_null(start.invitation);
    assert_true(bytes_len(start.network.proof) > 0);
    assert_int_equal(start.network.port, 50052);
    FILE *file = fopen(start.nodes_path, "r");
    assert_true(fread(nodes, 1, sizeof(nodes) - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(nodes, "192.0.2.7"));
    assert_non_null(strstr(nodes, "127.0.0.1"));
    network_start_done(&start);
    assert_refused(&inviter, "carl", inviter.line, ERR_DENIED, "somebody else has used");
    inviter_done(&inviter);
}

/* It is not known whether it still is a member: those who know do not link with it. */
static void who_is_in_may_join_again_and_keeps_what_it_has(void **state)
{
    (void)state;
    Inviter inviter = inviter_new();
    Inviter other = inviter_new();
    NetworkStart start = {0};
    AUTO_FREE char *error = NULL;
    AUTO_FREE char *nodes_path = sub_directory(&inviter.dir, "bob/nodes.json");
    AUTO_FREE char *directory = sub_directory(&inviter.dir, "bob");
    uint8_t key[EVENT_KEY_BYTES];
    uint8_t key_again[EVENT_KEY_BYTES];
    assert_int_equal(join(&inviter, "bob", inviter.line, &start, &error), ERR_OK);
    network_start_done(&start);
    assert_int_equal(network_own_key(directory, key, &error), ERR_OK);
    FILE *file = fopen(nodes_path, "w");
    assert_true(fputs("[{\"host\": \"mine\", \"port\": 1}]", file) > 0);
    fclose(file);
    /* The other network's invitation is not used up. */
    assert_refused(&inviter, "bob", other.line, ERR_EXISTS, "inviter is not known to be a member");
    assert_int_equal(join(&inviter, "bob", inviter.line, &start, &error), ERR_OK);
    network_start_done(&start);
    assert_int_equal(network_own_key(directory, key_again, &error), ERR_OK);
    assert_memory_equal(key, key_again, sizeof(key));
    char nodes[100] = {0};
    file = fopen(nodes_path, "r");
    assert_true(fread(nodes, 1, sizeof(nodes) - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(nodes, "mine"));
    assert_int_equal(join(&other, "carl", other.line, &start, &error), ERR_OK);
    network_start_done(&start);
    inviter_done(&other);
    inviter_done(&inviter);
}

/* Its network file was not written yet: the answer was lost. */
static void newcomer_that_was_cut_off_joins_again(void **state)
{
    (void)state;
    Inviter inviter = inviter_new();
    for (int i = 0; i < 2; i++) {
        NetworkStart start = {0};
        AUTO_FREE char *error = NULL;
        assert_int_equal(join(&inviter, "bob", inviter.line, &start, &error), ERR_OK);
        AUTO_FREE char *path = sub_directory(&inviter.dir, "bob/network");
        assert_int_equal(unlink(path), 0);
        network_start_done(&start);
    }
    inviter_done(&inviter);
}

static void another_node_at_the_address_is_told_nothing(void **state)
{
    (void)state;
    Inviter inviter = inviter_new();
    Invite invite;
    const char *reason = "";
    AUTO_STRBUF StrBuf line = {0};
    assert_int_equal(invite_read(inviter.line, strlen(inviter.line), &invite, &reason), ERR_OK);
    invite.inviter[0] ^= 1;
    invite_write(&invite, &line);
    assert_refused(&inviter, "bob", line.text, ERR_UNAVAILABLE, "another node is there");
    NetworkStart start = {0};
    AUTO_FREE char *error = NULL;
    assert_int_equal(join(&inviter, "bob", inviter.line, &start, &error), ERR_OK); /* good still */
    network_start_done(&start);
    inviter_done(&inviter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newcomer_joins_and_knows_where_to_link_to),
        cmocka_unit_test(who_is_in_may_join_again_and_keeps_what_it_has),
        cmocka_unit_test(newcomer_that_was_cut_off_joins_again),
        cmocka_unit_test(another_node_at_the_address_is_told_nothing),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
