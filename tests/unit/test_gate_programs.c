/* The gate and programs: who has no token stays on trial, and whoever floods is cut off. */
#include "core/members.h"
#include "gate_world.h"

/* ---- programs ---- */

static void program_passes_only_where_there_are_tokens(void **state)
{
    (void)state;
    World *world = world_new();
    gate_serve_programs(world->b.gate, true);
    Stranger stranger = stranger_new("h2", TLS1_3_VERSION);
    stranger_connect(&stranger, world, false);
    assert_int_equal(stranger.result, 1);
    wait_count(world, &world->b.entered, 1);
    assert_int_equal(world->b.peer.kind, GATE_PROGRAM);
    const uint8_t *name = NULL;
    unsigned len = 0;
    SSL_get0_alpn_selected(stranger.ssl, &name, &len);
    assert_memory_equal(name, "h2", len);
    EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(stranger.ssl));
    assert_int_equal(EVP_PKEY_get_id(key), EVP_PKEY_EC);
    assert_int_equal(SSL_write(stranger.ssl, "PRI", 3), 3);
    char data[10];
    set_block(world->b.fd, true);
    assert_int_equal(read(world->b.fd, data, sizeof(data)), 3);
    assert_memory_equal(data, "PRI", 3);
    stranger_free(&stranger);
    assert_int_equal(read_to_end(world->b.fd), 0);
    world_free(world);

    refusal_of(stranger_new("h2", TLS1_3_VERSION), world_new(), "access denied",
               "it is a program, and there is no token for any");
}

/* ---- programs on trial ---- */

static Stranger program_enter(World *world)
{
    unsigned before = world->b.entered;
    gate_serve_programs(world->b.gate, true);
    Stranger program = stranger_new("h2", TLS1_3_VERSION);
    stranger_connect(&program, world, false);
    assert_int_equal(program.result, 1);
    wait_count(world, &world->b.entered, before + 1);
    assert_true(world->b.peer.id != 0);
    return program;
}

/* An HTTP/2 frame of four bytes. */
static void program_say_frames(Stranger *program, uint8_t kind, unsigned count)
{
    static uint8_t data[64 * 1024];
    const uint8_t frame[] = {0, 0, 4, kind, 0, 0, 0, 0, 1, 0, 0, 0, 8};
    assert_true(count * sizeof(frame) <= sizeof(data));
    for (unsigned i = 0; i < count; i++) {
        memcpy(data + i * sizeof(frame), frame, sizeof(frame));
    }
    int len = (int)(count * sizeof(frame));
    assert_int_equal(SSL_write(program->ssl, data, len), len);
}

enum {
    PREFACE_BYTES = 24,
    FRAME_BYTES = 13,
    TRIAL_FRAMES_BYTES = PREFACE_BYTES + GATE_TRIAL_FRAMES * FRAME_BYTES,
};

static void program_begin(Stranger *program)
{
    assert_int_equal(SSL_write(program->ssl, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", PREFACE_BYTES),
                     PREFACE_BYTES);
}

/* What has come to gRPC, once no more comes. */
static size_t came(World *world)
{
    char data[4000];
    size_t all = 0;
    for (unsigned quiet = 0; quiet < 20;) {
        ssize_t count = read(world->b.fd, data, sizeof(data));
        all += count > 0 ? (size_t)count : 0;
        quiet = count > 0 ? 0 : quiet + 1;
        wait_ms(world, 5);
    }
    return all;
}

/* As much comes, sooner or later, and no more. */
static void assert_comes(World *world, size_t expected)
{
    size_t all = 0;
    for (unsigned i = 0; i < 1000 && all < expected; i++) {
        all += came(world);
    }
    assert_int_equal(all, expected);
    assert_int_equal(came(world), 0);
}

static void what_a_stranger_says_stops_until_somebody_vouches_for_him(void **state)
{
    (void)state;
    World *world = world_new();
    Stranger program = program_enter(world);
    assert_int_equal(gate_stats(world->b.gate).waiting, 1);
    program_begin(&program);
    program_say_frames(&program, 0x1, 1000);
    program_say_frames(&program, 0x1, 1000);
    assert_int_equal(came(world), TRIAL_FRAMES_BYTES);
    gate_vouch(world->b.gate, world->b.peer.id + 1); /* nobody */
    assert_int_equal(came(world), 0);
    gate_vouch(world->b.gate, world->b.peer.id);
    gate_vouch(world->b.gate, world->b.peer.id);
    assert_comes(world, PREFACE_BYTES + 2000 * FRAME_BYTES - TRIAL_FRAMES_BYTES);
    assert_int_equal(gate_stats(world->b.gate).waiting, 0);
    assert_int_equal(gate_stats(world->b.gate).passed, 1);
    program_say_frames(&program, 0x1, 3000);
    assert_comes(world, 3000 * FRAME_BYTES);
    assert_int_equal(world->b.refused, 0);
    stranger_free(&program);
    world_free(world);
}

static void one_long_frame_of_a_stranger_is_bounded_too(void **state)
{
    (void)state;
    static uint8_t data[256 * 1024] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    World *world = world_new();
    Stranger program = program_enter(world);
    data[PREFACE_BYTES] = 0xff;
    assert_int_equal(SSL_write(program.ssl, data, sizeof(data)), sizeof(data));
    assert_int_equal(came(world), GATE_TRIAL_BYTES);
    gate_vouch(world->b.gate, world->b.peer.id);
    assert_comes(world, sizeof(data) - GATE_TRIAL_BYTES);
    stranger_free(&program);
    world_free(world);
}

static void for_whom_nobody_vouches_is_turned_away_at_his_deadline(void **state)
{
    (void)state;
    World *world = world_new();
    Stranger good = program_enter(world);
    gate_vouch(world->b.gate, world->b.peer.id);
    int good_fd = world->b.fd;
    world->b.fd = -1;
    uint64_t began_ms = loop_mono_ms();
    Stranger program = program_enter(world);
    program_begin(&program);
    program_say_frames(&program, 0x3, 2000); /* on trial this waits as well */
    assert_int_equal(came(world), TRIAL_FRAMES_BYTES);
    wait_count(world, &world->b.refused, 1);
    uint64_t took_ms = loop_mono_ms() - began_ms;
    assert_true(took_ms >= GATE_DEADLINE_MS - 50 && took_ms < 2 * GATE_DEADLINE_MS);
    assert_has(world->b.refusal, "was turned away: it said much, and showed no good token");
    assert_int_equal(came(world), 0);
    char byte = 0;
    assert_int_equal(read(world->b.fd, &byte, 1), 0);
    gate_vouch(world->b.gate, world->b.peer.id); /* too late, and no matter */
    wait_passed(world, &world->b, 1);
    assert_int_equal(gate_stats(world->b.gate).waiting, 0);
    stranger_free(&program);
    stranger_free(&good);
    close(good_fd);
    world_free(world);
}

static void who_has_a_token_and_floods_is_cut_off_and_stays_out_for_a_while(void **state)
{
    (void)state;
    World *world = world_new();
    Stranger program = program_enter(world);
    gate_vouch(world->b.gate, world->b.peer.id);
    program_begin(&program);
    program_say_frames(&program, 0x3, 900);
    assert_int_equal(came(world), PREFACE_BYTES + 900 * FRAME_BYTES);
    program_say_frames(&program, 0x3, 2000);
    wait_count(world, &world->b.refused, 1);
    assert_memory_equal(world->b.refusal, "127.0.0.1:", 10);
    assert_has(world->b.refusal, " was cut off: it resets streams again and again");
    assert_int_equal(came(world), 0);
    assert_int_equal(gate_stats(world->b.gate).passed, 0);
    stranger_free(&program);
    int again = connect_from(world->port, 1);
    assert_int_equal(read_to_end(again), 0);
    assert_refused(world, 2);
    close(again);
    world_free(world);
}

static void member_who_floods_is_cut_off_and_named(void **state)
{
    (void)state;
    static const uint8_t frame[] = {0, 0, 0, 0x4, 0, 0, 0, 0, 0};
    World *world = world_new();
    char key[FINGERPRINT_BYTES];
    fingerprint_text(world->a.signer.public_key, key);
    link_up(world);
    char preface[PREFACE_BYTES] = "";
    assert_int_equal(write(world->a.fd, preface, sizeof(preface)), sizeof(preface));
    for (unsigned i = 0; i < 1000; i++) {
        (void)!send(world->a.fd, frame, sizeof(frame), MSG_NOSIGNAL); /* it may be over */
    }
    wait_count(world, &world->b.refused, 1);
    assert_has(world->b.refusal, key);
    assert_has(world->b.refusal, "was cut off: it changes its settings again and again");
    set_block(world->b.fd, true);
    assert_true(read_to_end(world->b.fd) <= sizeof(preface) + 200 * sizeof(frame));
    world_free(world);
}

static void wrong_pem_is_refused_with_a_word(void **state)
{
    (void)state;
    Loop *loop = loop_new();
    const uint8_t seed[EVENT_SEED_BYTES] = {1};
    GateOptions options = {
        .loop = loop, .seed = seed, .program_pem = "nothing", .events = &GATE_EVENTS};
    Gate *gate = NULL;
    char *text = NULL;
    assert_int_equal(gate_open(&options, &gate, &text), ERR_INVALID);
    assert_has(text, "PEM");
    mem_free(text);
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(program_passes_only_where_there_are_tokens),
        cmocka_unit_test(what_a_stranger_says_stops_until_somebody_vouches_for_him),
        cmocka_unit_test(one_long_frame_of_a_stranger_is_bounded_too),
        cmocka_unit_test(for_whom_nobody_vouches_is_turned_away_at_his_deadline),
        cmocka_unit_test(who_has_a_token_and_floods_is_cut_off_and_stays_out_for_a_while),
        cmocka_unit_test(member_who_floods_is_cut_off_and_named),
        cmocka_unit_test(wrong_pem_is_refused_with_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
