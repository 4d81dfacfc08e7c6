/* An invitation is good once, until it expires; and again for who has used it. */
#include "io/invites.h"
#include "temp_dir.h"

#include <inttypes.h>

static const int64_t NOW = 1700000000000;
static const int64_t HOUR = INT64_C(3600) * 1000;
static const uint8_t OWN[EVENT_KEY_BYTES] = {1};
static const uint8_t ANN[EVENT_KEY_BYTES] = {2};
static const uint8_t BOB[EVENT_KEY_BYTES] = {3};
static const OwnAddresses HERE = {.items = {"192.0.2.1:50051"}, .count = 1};

static Invite make(Invites *invites, unsigned hours, int64_t now_ms)
{
    AUTO_STRBUF StrBuf line = {0};
    Invite invite = {0};
    char *error = NULL;
    const char *reason = "";
    assert_int_equal(invites_make(invites, OWN, &HERE, hours, now_ms, &line, &error), ERR_OK);
    assert_int_equal(invite_read(line.text, line.len, &invite, &reason), ERR_OK);
    return invite;
}

static Err check(Invites *invites, const Invite *invite, const uint8_t *key, int64_t now_ms,
                 const char *words)
{
    char *error = NULL;
    Err err = invites_check(invites, invite->secret, key, now_ms, &error);
    if (err != ERR_OK) {
        assert_non_null(strstr(error, words));
    }
    mem_free(error);
    return err;
}

static Err use(Invites *invites, const Invite *invite, const uint8_t *key, int64_t now_ms)
{
    char *error = NULL;
    Err err = invites_use(invites, invite->secret, key, now_ms, &error);
    mem_free(error);
    return err;
}

static void line_says_all_that_a_newcomer_needs(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    Invite invite = make(invites, 24, NOW);
    Invite other = make(invites, 24, NOW);
    assert_memory_equal(invite.inviter, OWN, sizeof(OWN));
    assert_int_equal(invite.expires_ms, NOW + 24 * HOUR);
    assert_int_equal(invite.addresses_count, 1);
    assert_string_equal(invite.addresses[0], "192.0.2.1:50051");
    assert_memory_not_equal(invite.secret, other.secret, sizeof(other.secret));
    invites_free(invites);
    temp_dir_done(&dir);
}

static void it_is_good_for_one_who_may_come_again(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    Invite invite = make(invites, 1, NOW);
    assert_int_equal(check(invites, &invite, ANN, NOW, ""), ERR_OK);
    assert_int_equal(check(invites, &invite, BOB, NOW, ""), ERR_OK);
    assert_int_equal(use(invites, &invite, ANN, NOW), ERR_OK);
    assert_int_equal(check(invites, &invite, BOB, NOW, "somebody else"), ERR_EXISTS);
    assert_int_equal(use(invites, &invite, BOB, NOW), ERR_EXISTS);
    assert_int_equal(use(invites, &invite, ANN, NOW), ERR_OK);
    assert_int_equal(use(invites, &invite, ANN, NOW + 2 * HOUR), ERR_OK);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void unknown_and_expired_are_told_apart(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    Invite stranger = {.secret = {9}};
    Invite invite = make(invites, 1, NOW);
    assert_int_equal(check(invites, &stranger, ANN, NOW, "not given out"), ERR_NOT_FOUND);
    assert_int_equal(check(invites, &invite, ANN, NOW + HOUR - 1, ""), ERR_OK);
    assert_int_equal(check(invites, &invite, ANN, NOW + HOUR, "expired"), ERR_GONE);
    assert_int_equal(use(invites, &invite, ANN, NOW + HOUR), ERR_GONE);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void use_is_on_the_disk_when_it_is_said(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    Invite invite = make(invites, 1, NOW);
    assert_int_equal(use(invites, &invite, ANN, NOW), ERR_OK);
    Invites *again = invites_new(dir.path);
    assert_int_equal(check(again, &invite, BOB, NOW, "somebody else"), ERR_EXISTS);
    assert_int_equal(check(again, &invite, ANN, NOW, ""), ERR_OK);
    Invite later = make(again, 1, NOW); /* by a command beside a node that runs */
    assert_int_equal(check(invites, &later, BOB, NOW, ""), ERR_OK);
    assert_int_equal(use(invites, &later, BOB, NOW), ERR_OK);
    assert_int_equal(check(again, &later, ANN, NOW, "somebody else"), ERR_EXISTS);
    invites_free(again);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void use_that_cannot_be_written_is_none(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    Invite invite = make(invites, 1, NOW);
    assert_int_equal(mkdir(temp_file(&dir, "invites.new"), 0700), 0);
    assert_int_not_equal(use(invites, &invite, ANN, NOW), ERR_OK);
    assert_int_equal(rmdir(temp_file(&dir, "invites.new")), 0);
    assert_int_equal(check(invites, &invite, BOB, NOW, ""), ERR_OK);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void a_hundred_are_open_at_most(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    AUTO_STRBUF StrBuf line = {0};
    char *error = NULL;
    size_t open = 0;
    Invite first = make(invites, 2, NOW);
    for (int i = 1; i < INVITES_OPEN_MAX; i++) {
        make(invites, 1, NOW);
    }
    assert_int_equal(invites_count(invites, NOW, &open, &error), ERR_OK);
    assert_int_equal(open, INVITES_OPEN_MAX);
    assert_int_equal(invites_make(invites, OWN, &HERE, 1, NOW, &line, &error), ERR_LIMIT);
    assert_int_equal(line.len, 0);
    assert_non_null(strstr(error, "100 invitations are open"));
    mem_free(TAKE(error));
    assert_int_equal(use(invites, &first, ANN, NOW), ERR_OK);
    make(invites, 1, NOW);
    make(invites, 1, NOW + HOUR); /* the others have expired */
    assert_int_equal(invites_count(invites, NOW + HOUR, &open, &error), ERR_OK);
    assert_int_equal(open, 1);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void what_expired_long_ago_is_swept(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    Invite old = make(invites, 1, NOW);
    int64_t later = NOW + HOUR + INT64_C(24) * INVITE_EXPIRED_KEPT_DAYS * HOUR;
    make(invites, 1, later);
    assert_int_equal(check(invites, &old, ANN, later, "expired"), ERR_GONE);
    make(invites, 1, later + 1);
    assert_int_equal(check(invites, &old, ANN, later, "not given out"), ERR_NOT_FOUND);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void what_is_remembered_is_bounded(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    AUTO_STRBUF StrBuf file = {0};
    strbuf_add_string(&file, "{\"version\": 1, \"invites\": [");
    for (int i = 0; i < INVITES_KEPT_MAX; i++) {
        strbuf_addf(&file,
                    "%s{\"hash\": \"%064d\", \"expires_ms\": %" PRId64 ", \"used_by\": \"%064d\"}",
                    i > 0 ? "," : "", i, NOW + HOUR, i);
    }
    strbuf_add_string(&file, "]}");
    temp_put(&dir, "invites", file.text, 0600);
    Invite invite = make(invites, 1, NOW);
    Invites *again = invites_new(dir.path);
    assert_int_equal(check(again, &invite, ANN, NOW, ""), ERR_OK);
    invites_free(again);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void hours_have_bounds(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    AUTO_STRBUF StrBuf line = {0};
    char *error = NULL;
    assert_int_equal(invites_make(invites, OWN, &HERE, 0, NOW, &line, &error), ERR_LIMIT);
    mem_free(TAKE(error));
    assert_int_equal(invites_make(invites, OWN, &HERE, INVITE_HOURS_MAX + 1, NOW, &line, &error),
                     ERR_LIMIT);
    mem_free(TAKE(error));
    make(invites, INVITE_HOURS_MAX, NOW);
    invites_free(invites);
    temp_dir_done(&dir);
}

static void a_file_that_is_not_ours_is_refused(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Invites *invites = invites_new(dir.path);
    AUTO_STRBUF StrBuf line = {0};
    char *error = NULL;
    Invite invite = make(invites, 1, NOW);
    assert_int_equal(chmod(temp_file(&dir, "invites"), 0640), 0);
    assert_int_equal(check(invites, &invite, ANN, NOW, "chmod 600"), ERR_DENIED);
    static const char *const wrong[] = {"{", "{\"version\": 1, \"invites\": [{}]}",
                                        "{\"version\": 3, \"invites\": []}"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        temp_put(&dir, "invites", wrong[i], 0600);
        assert_int_equal(check(invites, &invite, ANN, NOW, "/invites"), ERR_INVALID);
        assert_int_equal(invites_make(invites, OWN, &HERE, 1, NOW, &line, &error), ERR_INVALID);
        mem_free(TAKE(error));
    }
    invites_free(invites);
    temp_dir_done(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_says_all_that_a_newcomer_needs),
        cmocka_unit_test(it_is_good_for_one_who_may_come_again),
        cmocka_unit_test(unknown_and_expired_are_told_apart),
        cmocka_unit_test(use_is_on_the_disk_when_it_is_said),
        cmocka_unit_test(use_that_cannot_be_written_is_none),
        cmocka_unit_test(a_hundred_are_open_at_most),
        cmocka_unit_test(what_expired_long_ago_is_swept),
        cmocka_unit_test(what_is_remembered_is_bounded),
        cmocka_unit_test(hours_have_bounds),
        cmocka_unit_test(a_file_that_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
