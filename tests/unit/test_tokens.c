/* Tokens are shown once, known by their hash, and gone when they are revoked. */
#include "io/tokens.h"
#include "temp_dir.h"

static void add(Tokens *tokens, const char *name, TokenRole role, char text[TOKEN_TEXT_BYTES])
{
    char *error = NULL;
    assert_int_equal(tokens_add(tokens, name, role, 1234, text, &error), ERR_OK);
    assert_null(error);
}

static Err find(Tokens *tokens, const char *text, Token *ret_token)
{
    char *error = NULL;
    Err err = tokens_find(tokens, text, strlen(text), ret_token, &error);
    mem_free(error);
    return err;
}

static void token_is_found_by_its_text_alone(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *tokens = tokens_new(dir.path);
    char bot[TOKEN_TEXT_BYTES];
    char eye[TOKEN_TEXT_BYTES];
    Token token = {0};
    assert_int_equal(find(tokens, "cnt_", &token), ERR_NOT_FOUND);
    add(tokens, "bot", TOKEN_WRITE, bot);
    add(tokens, "eye", TOKEN_READ, eye);
    assert_int_equal(strlen(bot), TOKEN_TEXT_BYTES - 1);
    assert_int_equal(strncmp(bot, "cnt_", 4), 0);
    assert_int_equal(strspn(bot + 4,
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                            "-_"),
                     43);
    assert_int_equal(find(tokens, bot, &token), ERR_OK);
    assert_string_equal(token.name, "bot");
    assert_int_equal(token.role, TOKEN_WRITE);
    assert_int_equal(token.created_ms, 1234);
    assert_int_equal(find(tokens, eye, &token), ERR_OK);
    assert_string_equal(token.name, "eye");
    assert_int_equal(token.role, TOKEN_READ);
    eye[20] = eye[20] == 'A' ? 'B' : 'A';
    assert_int_equal(find(tokens, eye, &token), ERR_NOT_FOUND);
    assert_int_equal(find(tokens, "", &token), ERR_NOT_FOUND);
    assert_int_equal(find(tokens, "cnt_0123456789", &token), ERR_NOT_FOUND);
    tokens_free(tokens);
    temp_dir_done(&dir);
}

static void the_text_is_not_in_the_file(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *tokens = tokens_new(dir.path);
    char text[TOKEN_TEXT_BYTES];
    char held[4096] = {0};
    add(tokens, "bot", TOKEN_WRITE, text);
    FILE *file = fopen(tokens_path(tokens), "r");
    assert_true(fread(held, 1, sizeof(held) - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(held, "\"bot\""));
    assert_null(strstr(held, text + 4));
    tokens_free(tokens);
    temp_dir_done(&dir);
}

static void what_another_process_writes_counts_at_once(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *node = tokens_new(dir.path);
    Tokens *command = tokens_new(dir.path);
    char text[TOKEN_TEXT_BYTES];
    char *error = NULL;
    Token token = {0};
    for (int i = 0; i < 20; i++) {
        add(command, "bot", i % 2 == 0 ? TOKEN_READ : TOKEN_WRITE, text);
        assert_int_equal(find(node, text, &token), ERR_OK);
        assert_int_equal(token.role, i % 2 == 0 ? TOKEN_READ : TOKEN_WRITE);
        assert_true(tokens_hold(node, &token));
        assert_int_equal(tokens_revoke(command, "bot", &error), ERR_OK);
        assert_false(tokens_hold(node, &token));
        assert_int_equal(find(node, text, &token), ERR_NOT_FOUND);
    }
    tokens_free(node);
    tokens_free(command);
    temp_dir_done(&dir);
}

static void a_name_is_given_once_and_is_one(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *tokens = tokens_new(dir.path);
    char text[TOKEN_TEXT_BYTES] = "untouched";
    char *error = NULL;
    static const char *const wrong[] = {"", "a\nb", "\xff"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(tokens_add(tokens, wrong[i], TOKEN_READ, 0, text, &error), ERR_INVALID);
        mem_free(TAKE(error));
    }
    assert_string_equal(text, "untouched");
    add(tokens, "bot", TOKEN_WRITE, text);
    assert_int_equal(tokens_add(tokens, "bot", TOKEN_READ, 0, text, &error), ERR_EXISTS);
    assert_non_null(strstr(error, "\"bot\" already"));
    mem_free(TAKE(error));
    assert_int_equal(tokens_revoke(tokens, "eye", &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error, "token list"));
    mem_free(TAKE(error));
    tokens_free(tokens);
    temp_dir_done(&dir);
}

static void there_are_at_most_a_thousand(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *tokens = tokens_new(dir.path);
    AUTO_STRBUF StrBuf file = {0};
    char text[TOKEN_TEXT_BYTES];
    char *error = NULL;
    size_t count = 0;
    const Token *items = NULL;
    strbuf_add_string(&file, "{\"version\": 1, \"tokens\": [");
    for (int i = 0; i < TOKENS_MAX; i++) {
        strbuf_addf(&file,
                    "%s{\"name\": \"n%d\", \"role\": \"read\", \"created_ms\": 1, \"hash\": "
                    "\"%064d\"}",
                    i > 0 ? "," : "", i, i);
    }
    strbuf_add_string(&file, "]}");
    temp_put(&dir, "tokens", file.text, 0600);
    assert_int_equal(tokens_list(tokens, &items, &count, &error), ERR_OK);
    assert_int_equal(count, TOKENS_MAX);
    assert_string_equal(items[7].name, "n7");
    assert_int_equal(tokens_add(tokens, "bot", TOKEN_READ, 0, text, &error), ERR_LIMIT);
    mem_free(TAKE(error));
    assert_int_equal(tokens_revoke(tokens, "n7", &error), ERR_OK);
    add(tokens, "bot", TOKEN_READ, text);
    assert_int_equal(tokens_list(tokens, &items, &count, &error), ERR_OK);
    assert_int_equal(count, TOKENS_MAX);
    assert_string_equal(items[7].name, "n8");
    tokens_free(tokens);
    temp_dir_done(&dir);
}

static void a_file_that_is_not_ours_lets_nobody_in(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *tokens = tokens_new(dir.path);
    char text[TOKEN_TEXT_BYTES];
    char *error = NULL;
    Token token = {0};
    AUTO_STRBUF StrBuf owner = {0};
    strbuf_addf(&owner,
                "{\"version\": 1, \"tokens\": [{\"name\": \"a\", \"role\": \"owner\", \"hash\": "
                "\"%064d\"}]}",
                0);
    const char *const wrong[] = {
        "",
        "[]",
        "{\"version\": 2, \"tokens\": []}",
        "{\"version\": 1}",
        "{\"version\": 1, \"tokens\": [{\"name\": \"a\", \"role\": \"read\", \"hash\": \"00\"}]}",
        owner.text};
    add(tokens, "bot", TOKEN_WRITE, text);
    assert_int_equal(find(tokens, text, &token), ERR_OK);
    assert_int_equal(chmod(tokens_path(tokens), 0644), 0);
    assert_int_equal(find(tokens, text, &token), ERR_DENIED);
    assert_false(tokens_hold(tokens, &token));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        temp_put(&dir, "tokens", wrong[i], 0600);
        assert_int_equal(tokens_find(tokens, text, strlen(text), &token, &error), ERR_INVALID);
        assert_non_null(strstr(error, "/tokens"));
        mem_free(TAKE(error));
        assert_int_equal(tokens_add(tokens, "new", TOKEN_READ, 0, text, &error), ERR_INVALID);
        mem_free(TAKE(error));
    }
    tokens_free(tokens);
    temp_dir_done(&dir);
}

static void the_file_is_there_to_be_watched(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    Tokens *tokens = tokens_new(dir.path);
    char text[TOKEN_TEXT_BYTES];
    char *error = NULL;
    Token token = {0};
    assert_int_equal(tokens_make_file(tokens, &error), ERR_OK);
    assert_int_equal(access(tokens_path(tokens), F_OK), 0);
    add(tokens, "bot", TOKEN_WRITE, text);
    assert_int_equal(tokens_make_file(tokens, &error), ERR_OK);
    assert_int_equal(find(tokens, text, &token), ERR_OK);
    tokens_free(tokens);
    temp_dir_done(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_found_by_its_text_alone),
        cmocka_unit_test(the_text_is_not_in_the_file),
        cmocka_unit_test(what_another_process_writes_counts_at_once),
        cmocka_unit_test(a_name_is_given_once_and_is_one),
        cmocka_unit_test(there_are_at_most_a_thousand),
        cmocka_unit_test(a_file_that_is_not_ours_lets_nobody_in),
        cmocka_unit_test(the_file_is_there_to_be_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
