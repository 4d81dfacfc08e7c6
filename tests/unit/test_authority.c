/* Who may call what. */
#include "io/authority.h"

#include "base/log.h"
#include "temp_dir.h"

typedef struct Place {
    TempDir dir;
    Loop *loop;
    Tokens *tokens; /* as the command has them */
    Authority *authority;
    char reader[sizeof("Bearer ") + TOKEN_TEXT_BYTES];
    char speaker[sizeof("Bearer ") + TOKEN_TEXT_BYTES];
    bool closed;
} Place;

static void add_token(Place *place, const char *name, TokenRole role, char *ret_header)
{
    char text[TOKEN_TEXT_BYTES];
    char *error = NULL;
    assert_int_equal(tokens_add(place->tokens, name, role, 1, text, &error), ERR_OK);
    strcpy(ret_header, "Bearer ");
    strcat(ret_header, text);
}

static Place *place_new(bool open_mode)
{
    Place *place = mem_new(Place);
    place->dir = temp_dir_new();
    place->loop = loop_new();
    place->tokens = tokens_new(place->dir.path);
    place->authority = authority_new(&(AuthorityOptions){
        .loop = place->loop, .data_dir = place->dir.path, .open_mode = open_mode});
    add_token(place, "eye", TOKEN_READ, place->reader);
    add_token(place, "bot", TOKEN_WRITE, place->speaker);
    return place;
}

static void flag_set(void *flag)
{
    *(bool *)flag = true;
}

static void place_free(Place *place)
{
    authority_close(place->authority, flag_set, &place->closed);
    while (!place->closed) {
        loop_turn(place->loop, true);
    }
    authority_free(place->authority);
    loop_stop(place->loop);
    loop_run(place->loop);
    loop_free(place->loop);
    tokens_free(place->tokens);
    temp_dir_done(&place->dir);
    mem_free(place);
}

/* 0: it may. */
static int ask(Place *place, ClientKind kind, const char *authorization, ClientUse use)
{
    ClientRole role = {0};
    char *text = NULL;
    int code = RPC_OK;
    bool may = authority_decide(place->authority, kind, authorization, use, &role, &code, &text);
    assert_int_equal(may, code == RPC_OK);
    assert_int_equal(may, text == NULL);
    if (may) {
        assert_int_equal(role.kind, kind);
    }
    mem_free(text);
    return code;
}

/* Codes for USE_READ, USE_SPEAK, USE_LINK, USE_COMMAND. */
static void assert_may(Place *place, ClientKind kind, const char *authorization, int read,
                       int speak, int link, int command)
{
    assert_int_equal(ask(place, kind, authorization, USE_READ), read);
    assert_int_equal(ask(place, kind, authorization, USE_SPEAK), speak);
    assert_int_equal(ask(place, kind, authorization, USE_LINK), link);
    assert_int_equal(ask(place, kind, authorization, USE_COMMAND), command);
}

enum { OK = RPC_OK, DENIED = RPC_PERMISSION_DENIED, WHO = RPC_UNAUTHENTICATED };

static void open_mode_is_for_all_of_this_machine(void **state)
{
    (void)state;
    Place *place = place_new(true);
    assert_may(place, CLIENT_OWNER, NULL, OK, OK, OK, OK);
    assert_may(place, CLIENT_MACHINE, NULL, OK, OK, OK, DENIED);
    assert_may(place, CLIENT_MACHINE, "nonsense", OK, OK, OK, DENIED);
    assert_false(authority_has_tokens(place->authority));
    place_free(place);
}

static void a_private_network_has_a_door_for_each(void **state)
{
    (void)state;
    Place *place = place_new(false);
    assert_may(place, CLIENT_OWNER, NULL, OK, OK, DENIED, OK);
    assert_may(place, CLIENT_MACHINE, NULL, DENIED, DENIED, DENIED, DENIED);
    assert_may(place, CLIENT_MACHINE, place->speaker, DENIED, DENIED, DENIED, DENIED);
    assert_may(place, CLIENT_MEMBER, NULL, DENIED, DENIED, OK, DENIED);
    assert_may(place, CLIENT_MEMBER, place->speaker, DENIED, DENIED, OK, DENIED);
    assert_may(place, CLIENT_PROGRAM, place->reader, OK, DENIED, DENIED, DENIED);
    assert_may(place, CLIENT_PROGRAM, place->speaker, OK, OK, DENIED, DENIED);
    assert_may(place, CLIENT_NOBODY, place->speaker, RPC_UNAVAILABLE, RPC_UNAVAILABLE,
               RPC_UNAVAILABLE, RPC_UNAVAILABLE);
    place_free(place);
}

static void a_program_without_a_good_token_is_asked_for_one(void **state)
{
    (void)state;
    Place *place = place_new(false);
    static const char *const wrong[] = {
        NULL,      "",           "Bearer",
        "Bearer ", "Basic YTpi", "Bearer cnt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_may(place, CLIENT_PROGRAM, wrong[i], WHO, WHO, DENIED, DENIED);
    }
    AUTO_STRBUF StrBuf header = {0};
    strbuf_addf(&header, "bearer  %s", place->reader + strlen("Bearer ")); /* RFC 9110, 11.1 */
    assert_int_equal(ask(place, CLIENT_PROGRAM, header.text, USE_READ), OK);
    strbuf_add_char(&header, ' ');
    assert_int_equal(ask(place, CLIENT_PROGRAM, header.text, USE_READ), WHO);
    assert_int_equal(ask(place, CLIENT_PROGRAM, place->reader + strlen("Bearer "), USE_READ), WHO);
    place_free(place);
}

static void count_line(void *context, LogLevel level, const char *line)
{
    assert_int_equal(level, LOG_ERROR);
    assert_non_null(strstr(line, "chmod 600"));
    ++*(unsigned *)context;
}

static void tokens_that_cannot_be_read_let_nobody_in(void **state)
{
    (void)state;
    Place *place = place_new(false);
    assert_int_equal(ask(place, CLIENT_PROGRAM, place->reader, USE_READ), OK);
    assert_int_equal(chmod(temp_file(&place->dir, "tokens"), 0644), 0);
    unsigned lines = 0;
    log_set_sink(count_line, &lines);
    assert_int_equal(ask(place, CLIENT_PROGRAM, place->reader, USE_READ), RPC_UNAVAILABLE);
    assert_int_equal(ask(place, CLIENT_PROGRAM, place->reader, USE_READ), RPC_UNAVAILABLE);
    assert_false(authority_has_tokens(place->authority));
    log_set_sink(NULL, NULL);
    assert_int_equal(lines, 1); /* however often it is tried */
    assert_int_equal(chmod(temp_file(&place->dir, "tokens"), 0600), 0);
    assert_int_equal(ask(place, CLIENT_PROGRAM, place->reader, USE_READ), OK);
    place_free(place);
}

static Err check_sender(const ClientRole *role, const char *sender, const char *expected)
{
    MessageDraft draft = {.sender = sender, .sender_len = strlen(sender)};
    AUTO_FREE char *text = NULL;
    Err err = authority_check_sender(role, &draft, &text);
    if (err == ERR_OK) {
        assert_int_equal(draft.sender_len, strlen(expected));
        assert_memory_equal(draft.sender, expected, draft.sender_len);
    } else {
        assert_non_null(strstr(text, expected));
    }
    return err;
}

static void a_program_speaks_under_its_tokens_name(void **state)
{
    (void)state;
    ClientRole program = {.kind = CLIENT_PROGRAM, .token = {.name = "bot"}};
    ClientRole owner = {.kind = CLIENT_OWNER};
    assert_int_equal(check_sender(&program, "", "bot"), ERR_OK);
    assert_int_equal(check_sender(&program, "bot", "bot"), ERR_OK);
    assert_int_equal(check_sender(&program, "ann", "you speak as \"bot\""), ERR_DENIED);
    assert_int_equal(check_sender(&program, "bo", "\"bot\""), ERR_DENIED);
    assert_int_equal(check_sender(&program, "bott", "\"bot\""), ERR_DENIED);
    assert_int_equal(check_sender(&owner, "ann", "ann"), ERR_OK);
    assert_int_equal(check_sender(&owner, "", ""), ERR_OK);
}

typedef struct Watch {
    AuthorityWatcher watcher;
    unsigned changes;
} Watch;

static void count_change(AuthorityWatcher *watcher)
{
    ((Watch *)watcher)->changes++;
}

static void wait_change(Place *place, Watch *watch)
{
    unsigned before = watch->changes;
    while (watch->changes == before) { /* ctest ends it where nothing comes */
        loop_turn(place->loop, true);
    }
}

static void who_is_let_in_is_told_apart_when_tokens_change(void **state)
{
    (void)state;
    Place *place = place_new(false);
    Watch watch = {.watcher = {.changed = count_change}};
    ClientRole role = {0};
    ClientRole owner = {.kind = CLIENT_OWNER};
    char *text = NULL;
    int code = 0;
    authority_watch(place->authority, &watch.watcher);
    assert_true(authority_decide(place->authority, CLIENT_PROGRAM, place->speaker, USE_SPEAK, &role,
                                 &code, &text));
    for (int i = 0; i < 3; i++) { /* each is another file of that name */
        char header[sizeof(place->reader)];
        assert_true(authority_holds(place->authority, &role));
        add_token(place, "other", TOKEN_READ, header);
        wait_change(place, &watch);
        assert_int_equal(tokens_revoke(place->tokens, "other", &text), ERR_OK);
        wait_change(place, &watch);
    }
    assert_int_equal(tokens_revoke(place->tokens, "bot", &text), ERR_OK);
    wait_change(place, &watch);
    assert_false(authority_holds(place->authority, &role));
    assert_true(authority_holds(place->authority, &owner));
    assert_true(authority_has_tokens(place->authority));
    assert_int_equal(unlink(temp_file(&place->dir, "tokens")), 0);
    wait_change(place, &watch);
    assert_false(authority_has_tokens(place->authority));
    add_token(place, "bot", TOKEN_WRITE, place->speaker);
    wait_change(place, &watch);
    assert_true(authority_has_tokens(place->authority));
    authority_unwatch(place->authority, &watch.watcher);
    place_free(place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_mode_is_for_all_of_this_machine),
        cmocka_unit_test(a_private_network_has_a_door_for_each),
        cmocka_unit_test(a_program_without_a_good_token_is_asked_for_one),
        cmocka_unit_test(tokens_that_cannot_be_read_let_nobody_in),
        cmocka_unit_test(a_program_speaks_under_its_tokens_name),
        cmocka_unit_test(who_is_let_in_is_told_apart_when_tokens_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
