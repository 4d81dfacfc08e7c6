/* Two gates on the loopback interface, strangers with TLS of their own, and one loop. */
#pragma once

#include "base/strbuf.h"
#include "io/gate.h"
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    TEST_MAX_MS = 40 * 1000, /* also under sanitizers */
    NODES_MAX = 4,
    CONNECTIONS_MAX = 2000,
};

typedef enum Verdict { LET_IN, REFUSE, HOLD } Verdict;

/* One gate, and what its owner has seen. */
typedef struct Side {
    Gate *gate;
    EventSigner signer;
    uint8_t seed[EVENT_SEED_BYTES];
    Bytes *proof;
    Verdict verdict;
    unsigned knocks;
    GateKnock *held;
    GatePeer knocked;
    uint8_t shown[100]; /* the proof it was shown last */
    size_t shown_len;
    unsigned asked;
    GateJoin join;
    unsigned entered;
    int fd; /* -1: none; of the one that entered last, or was dialled */
    GatePeer peer;
    unsigned refused;
    char refusal[500];
    /* Of what it dialled. */
    bool called;
    Err err;
    char text[500];
    unsigned nodes;
    char node[300];
    uint8_t genesis[100];
    size_t genesis_len;
    bool closed;
} Side;

typedef struct World {
    Loop *loop;
    Side a, b; /* b listens */
    uint16_t port;
    uv_timer_t deadline;
} World;

static const uint8_t NETWORK[EVENT_NETWORK_BYTES] = "0123456789abcde";
static const uint8_t OTHER_NETWORK[EVENT_NETWORK_BYTES] = "another network";

/* ---- what the owner does ---- */

static inline void side_knocked(void *context, GateKnock *knock, const GatePeer *peer,
                                const uint8_t *proof, size_t len)
{
    Side *side = context;
    side->knocks++;
    side->knocked = *peer;
    assert_true(len <= sizeof(side->shown));
    memcpy(side->shown, proof, len);
    side->shown_len = len;
    if (side->verdict == LET_IN) {
        gate_let_in(knock);
    } else if (side->verdict == REFUSE) {
        gate_refuse(knock, "you are none of us");
    } else {
        side->held = knock;
    }
}

static inline void side_asked(void *context, GateKnock *knock, const GatePeer *peer,
                              const GateJoin *join)
{
    static const char *const NODES[] = {"10.0.0.1:50051", "[::1]:50052"};
    Side *side = context;
    side->asked++;
    side->join = *join;
    side->knocked = *peer;
    if (side->verdict == REFUSE) {
        gate_refuse(knock, "the invitation was used already");
        return;
    }
    gate_welcome(knock, (const uint8_t *)"genesis", 7, bytes_data(side->proof),
                 bytes_len(side->proof), NODES, 2);
}

static inline void side_take(Side *side, int fd, const GatePeer *peer)
{
    if (side->fd >= 0) {
        close(side->fd);
    }
    side->fd = fd;
    side->peer = *peer;
}

static inline void side_entered(void *context, int fd, const GatePeer *peer)
{
    Side *side = context;
    side->entered++;
    side_take(side, fd, peer);
}

static inline void side_refused(void *context, const char *text)
{
    Side *side = context;
    side->refused++;
    snprintf(side->refusal, sizeof(side->refusal), "%s", text);
}

static inline void side_dialled(void *context, Err err, int fd, const GatePeer *peer,
                                const char *text)
{
    Side *side = context;
    assert_false(side->called);
    side->called = true;
    side->err = err;
    if (err == ERR_OK) {
        side_take(side, fd, peer);
    } else {
        snprintf(side->text, sizeof(side->text), "%s", text);
    }
}

static inline void side_joined(void *context, Err err, const GateWelcomed *welcomed,
                               const char *text)
{
    Side *side = context;
    side->called = true;
    side->err = err;
    if (err == ERR_OK) {
        side->nodes = (unsigned)welcomed->nodes_count;
        snprintf(side->node, sizeof(side->node), "%s", welcomed->nodes[0]);
        assert_true(welcomed->genesis_len <= sizeof(side->genesis));
        memcpy(side->genesis, welcomed->genesis, welcomed->genesis_len);
        side->genesis_len = welcomed->genesis_len;
        side->shown_len = welcomed->proof_len;
    } else {
        snprintf(side->text, sizeof(side->text), "%s", text);
    }
}

static const GateEvents GATE_EVENTS = {.knocked = side_knocked,
                                       .asked = side_asked,
                                       .entered = side_entered,
                                       .refused = side_refused,
                                       .cut_off = side_refused};

/* ---- the world ---- */

static inline void too_long(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("what the test waits for did not come");
}

static inline void wait_flag(World *world, const bool *flag)
{
    while (!*flag) {
        loop_turn(world->loop, true);
    }
}

static inline void wait_count(World *world, const unsigned *count, unsigned wanted)
{
    while (*count < wanted) {
        loop_turn(world->loop, true);
    }
}

static inline void wait_fd(World *world, const Side *side)
{
    while (side->fd < 0) {
        loop_turn(world->loop, true);
    }
}

static inline void timer_set(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static inline void wait_ms(World *world, uint64_t ms)
{
    bool over = false;
    uv_timer_t timer;
    uv_timer_init(loop_uv(world->loop), &timer);
    timer.data = &over;
    /* Again and again: libuv runs a timer that is due already before it waits for the next one. */
    uv_timer_start(&timer, timer_set, ms, ms);
    wait_flag(world, &over);
    uv_close((uv_handle_t *)&timer, NULL);
    loop_turn(world->loop, false);
}

/* The gate's thread is another: what it counts is seen later. */
static inline void wait_passed(World *world, const Side *side, size_t wanted)
{
    while (gate_stats(side->gate).passed != wanted) {
        wait_ms(world, 1);
    }
}

/* It is closed first, and counted then. */
static inline void assert_refused(const World *world, uint64_t wanted)
{
    for (int i = 0; i < 500 && gate_stats(world->b.gate).refused < wanted; i++) {
        uv_sleep(10);
    }
    assert_int_equal(gate_stats(world->b.gate).refused, wanted);
}

static inline void set_block(int fd, bool blocks)
{
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static inline void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" has no \"%s\"", text, part);
    }
}

static inline uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* An encoded MemberProof: one membership, of those bytes, with no signature. */
static inline Bytes *proof_of(char letter)
{
    const uint8_t proof[] = {0x0a, 0x05, 0x0a, 0x03, (uint8_t)letter, (uint8_t)letter, '!'};
    return bytes_new(proof, sizeof(proof));
}

static inline void side_open(World *world, Side *side, char letter, const uint8_t *network,
                             const char *pem)
{
    char *text = NULL;
    memset(side->seed, letter, sizeof(side->seed));
    event_signer_init(&side->signer, side->seed);
    side->fd = -1;
    GateOptions options = {
        .loop = world->loop,
        .seed = side->seed,
        .network = network,
        .program_pem = pem,
        .connections_max = CONNECTIONS_MAX,
        .events = &GATE_EVENTS,
        .context = side,
    };
    assert_int_equal(gate_open(&options, &side->gate, &text), ERR_OK);
    side->proof = proof_of(letter);
    gate_set_proof(side->gate, side->proof);
}

static inline World *world_new_of(const uint8_t *network_of_a, const uint8_t *network_of_b)
{
    World *world = mem_new(World);
    world->loop = loop_new();
    uv_timer_init(loop_uv(world->loop), &world->deadline);
    uv_timer_start(&world->deadline, too_long, TEST_MAX_MS, 0);
    char *pem = gate_program_certificate();
    side_open(world, &world->a, 'a', network_of_a, NULL);
    side_open(world, &world->b, 'b', network_of_b, pem);
    mem_free(pem);
    char *text = NULL;
    do { /* somebody else may take the port between the two; then it is another */
        mem_free(TAKE(text));
        world->port = free_port();
    } while (gate_listen(world->b.gate, "127.0.0.1", world->port, &text) != ERR_OK);
    return world;
}

static inline World *world_new(void)
{
    return world_new_of(NETWORK, NETWORK);
}

static inline GateCall *dial(World *world)
{
    world->a.called = false;
    return gate_dial(world->a.gate, "127.0.0.1", world->port, side_dialled, &world->a);
}

/* Both have passed. */
static inline void link_up(World *world)
{
    unsigned before = world->b.entered;
    dial(world);
    wait_flag(world, &world->a.called);
    assert_string_equal(world->a.text, "");
    assert_int_equal(world->a.err, ERR_OK);
    wait_count(world, &world->b.entered, before + 1);
}

static inline void flag_set(void *flag)
{
    *(bool *)flag = true;
}

static inline void side_leave(Side *side)
{
    if (side->fd >= 0) {
        close(side->fd);
        side->fd = -1;
    }
}

static inline void side_close(World *world, Side *side)
{
    side_leave(side);
    gate_close(side->gate, flag_set, &side->closed);
    wait_flag(world, &side->closed);
    bytes_unref(side->proof);
    event_signer_done(&side->signer);
}

static inline void world_free(World *world)
{
    side_leave(&world->b); /* each waits for the other's end */
    side_close(world, &world->a);
    side_close(world, &world->b);
    uv_close((uv_handle_t *)&world->deadline, NULL);
    loop_stop(world->loop);
    loop_run(world->loop);
    loop_free(world->loop);
    mem_free(world);
}

/* ---- strangers: OpenSSL by itself, or nothing at all ---- */

typedef struct Stranger {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    int result; /* of the handshake */
    char error[200];
} Stranger;

/* from: 127.0.0.FROM */
static inline int connect_from(uint16_t port, uint32_t from)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    address.sin_addr.s_addr = htonl(0x7f000000U + from);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static inline X509 *certificate_of(EVP_PKEY *key, EVP_PKEY *signer)
{
    X509 *certificate = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -100);
    X509_gmtime_adj(X509_getm_notAfter(certificate), -10); /* dates are not looked at */
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, signer,
              EVP_PKEY_get_id(signer) == EVP_PKEY_ED25519 ? NULL : EVP_sha256());
    return certificate;
}

static inline Stranger stranger_new(const char *alpn, int version)
{
    Stranger stranger = {.fd = -1, .context = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_max_proto_version(stranger.context, version);
    if (alpn != NULL) {
        char list[100];
        snprintf(list, sizeof(list), "%c%s", (int)strlen(alpn), alpn);
        SSL_CTX_set_alpn_protos(stranger.context, (uint8_t *)list, (unsigned)strlen(alpn) + 1);
    }
    return stranger;
}

static inline void stranger_identify(Stranger *stranger, EVP_PKEY *key)
{
    X509 *certificate = certificate_of(key, key);
    assert_int_equal(SSL_CTX_use_certificate(stranger->context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(stranger->context, key), 1);
    X509_free(certificate);
}

/* With TLS 1.3 a refused certificate shows in the first read after the handshake. */
static inline void stranger_connect(Stranger *stranger, World *world, bool reads)
{
    char byte = 0;
    stranger->fd = connect_from(world->port, 1);
    stranger->ssl = SSL_new(stranger->context);
    SSL_set_fd(stranger->ssl, stranger->fd);
    ERR_clear_error();
    stranger->result = SSL_connect(stranger->ssl);
    if (stranger->result == 1 && reads) {
        stranger->result = SSL_read(stranger->ssl, &byte, 1);
    }
    if (stranger->result != 1) {
        unsigned long error = ERR_get_error();
        const char *text = ERR_reason_error_string(error);
        snprintf(stranger->error, sizeof(stranger->error), "%s", text != NULL ? text : "closed");
    }
}

static inline void stranger_free(Stranger *stranger)
{
    SSL_free(stranger->ssl);
    SSL_CTX_free(stranger->context);
    close(stranger->fd);
}

static inline void stranger_say(Stranger *stranger, const void *data, size_t len)
{
    const uint8_t head[4] = {0, 0, (uint8_t)(len >> 8), (uint8_t)len};
    assert_int_equal(SSL_write(stranger->ssl, head, 4), 4);
    assert_int_equal(SSL_write(stranger->ssl, data, (int)len), (int)len);
}

/* Until the other end has closed: how many bytes came before. */
static inline size_t read_to_end(int fd)
{
    char data[1000];
    size_t all = 0;
    for (;;) {
        ssize_t got = read(fd, data, sizeof(data));
        if (got <= 0) {
            return all;
        }
        all += (size_t)got;
    }
}

/* Frees both. there: what the stranger hears; here: what the owner does. */
static inline void refusal_of(Stranger stranger, World *world, const char *there, const char *here)
{
    stranger_connect(&stranger, world, true);
    assert_int_not_equal(stranger.result, 1);
    assert_has(stranger.error, there);
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, here);
    assert_int_equal(world->b.knocks + world->b.asked + world->b.entered, 0);
    stranger_free(&stranger);
    world_free(world);
}
