/* Rows in a private file, and hashes that are compared in constant time. */
#include "io/tokens.h"

#include "base/strbuf.h"
#include "core/message.h"
#include "io/private_rows.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    SECRET_BYTES = 32,
    VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
};

static const char PREFIX[] = "cnt_";

_Static_assert(TOKEN_TEXT_BYTES == sizeof(PREFIX) + 43, "the text of a token");

struct Tokens {
    PrivateRows file;
    Token *items;
    size_t count;
};

static const char *const ROLE_NAMES[] = {[TOKEN_READ] = "read", [TOKEN_WRITE] = "write"};

const char *token_role_name(TokenRole role)
{
    return ROLE_NAMES[role];
}

Tokens *tokens_new(const char *directory)
{
    Tokens *tokens = mem_new(Tokens);
    private_rows_init(&tokens->file, directory, "tokens", TOKENS_MAX);
    return tokens;
}

void tokens_free(Tokens *tokens)
{
    if (tokens == NULL) {
        return;
    }
    mem_free(tokens->items);
    private_rows_done(&tokens->file);
    mem_free(tokens);
}

const char *tokens_path(const Tokens *tokens)
{
    return tokens->file.path;
}

/* ---- the file ---- */

static bool read_row(const json_t *row, Token *ret_token)
{
    Token token = {0};
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *role = json_string_value(json_object_get(row, "role"));
    const char *reason = "";
    if (name == NULL || role == NULL || strlen(name) > TOKEN_NAME_MAX_BYTES ||
        message_check_name(name, strlen(name), &reason) != ERR_OK ||
        !private_rows_hex(json_object_get(row, "hash"), token.hash, sizeof(token.hash))) {
        return false;
    }
    if (strcmp(role, ROLE_NAMES[TOKEN_WRITE]) == 0) {
        token.role = TOKEN_WRITE;
    } else if (strcmp(role, ROLE_NAMES[TOKEN_READ]) != 0) {
        return false;
    }
    snprintf(token.name, sizeof(token.name), "%s", name);
    token.created_ms = json_integer_value(json_object_get(row, "created_ms"));
    *ret_token = token;
    return true;
}

static Err take_rows(void *context, const json_t *rows, char **ret_error)
{
    Tokens *tokens = context;
    size_t count = json_array_size(rows);
    AUTO_FREE Token *items = mem_array(count, sizeof(Token));
    for (size_t i = 0; i < count; i++) {
        if (!read_row(json_array_get(rows, i), &items[i])) {
            *ret_error = strbuf_format(
                "%s: token %zu is not what `chat_node token add` writes: put a copy back, or move "
                "the file away and give out new tokens",
                tokens->file.path, i + 1);
            return ERR_INVALID;
        }
    }
    mem_free(tokens->items);
    tokens->items = TAKE(items);
    tokens->count = count;
    return ERR_OK;
}

/* What could not be read lets nobody in. */
static Err tokens_load(Tokens *tokens, char **ret_error)
{
    Err err = private_rows_load(&tokens->file, take_rows, tokens, ret_error);
    if (err != ERR_OK) {
        tokens->count = 0;
    }
    return err;
}

static json_t *row_of(const Token *token)
{
    json_t *row = json_object();
    json_object_set_new_nocheck(row, "name", json_string_nocheck(token->name));
    json_object_set_new_nocheck(row, "role", json_string_nocheck(ROLE_NAMES[token->role]));
    json_object_set_new_nocheck(row, "created_ms", json_integer(token->created_ms));
    private_rows_set_hex(row, "hash", token->hash, sizeof(token->hash));
    return row;
}

static Err tokens_save(Tokens *tokens, const Token *items, size_t count, char **ret_error)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(rows, row_of(&items[i]));
    }
    return private_rows_save(&tokens->file, rows, ret_error);
}

Err tokens_make_file(Tokens *tokens, char **ret_error)
{
    int lock = -1;
    Err err = private_lock(tokens->file.directory, &lock, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    PrivateStamp none = {0};
    if (!private_file_changed(tokens->file.path, &none)) {
        err = tokens_save(tokens, NULL, 0, ret_error);
    }
    private_unlock(lock);
    return err;
}

/* ---- looking ---- */

Err tokens_list(Tokens *tokens, const Token **ret_tokens, size_t *ret_count, char **ret_error)
{
    Err err = tokens_load(tokens, ret_error);
    if (err == ERR_OK) {
        *ret_tokens = tokens->items;
        *ret_count = tokens->count;
    }
    return err;
}

static void hash_of(const char *text, size_t len, uint8_t ret_hash[TOKEN_HASH_BYTES])
{
    crypto_generichash(ret_hash, TOKEN_HASH_BYTES, (const uint8_t *)text, len, NULL, 0);
}

/* All are compared, whichever it is. */
static const Token *find_hash(const Tokens *tokens, const uint8_t hash[TOKEN_HASH_BYTES])
{
    const Token *found = NULL;
    for (size_t i = 0; i < tokens->count; i++) {
        if (sodium_memcmp(tokens->items[i].hash, hash, TOKEN_HASH_BYTES) == 0) {
            found = &tokens->items[i];
        }
    }
    return found;
}

static Token *find_name(const Tokens *tokens, const char *name)
{
    for (size_t i = 0; i < tokens->count; i++) {
        if (strcmp(tokens->items[i].name, name) == 0) {
            return &tokens->items[i];
        }
    }
    return NULL;
}

Err tokens_find(Tokens *tokens, const char *text, size_t len, Token *ret_token, char **ret_error)
{
    uint8_t hash[TOKEN_HASH_BYTES];
    Err err = tokens_load(tokens, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    if (len != TOKEN_TEXT_BYTES - 1) {
        return ERR_NOT_FOUND;
    }
    hash_of(text, len, hash);
    const Token *found = find_hash(tokens, hash);
    if (found == NULL) {
        return ERR_NOT_FOUND;
    }
    *ret_token = *found;
    return ERR_OK;
}

bool tokens_hold(Tokens *tokens, const Token *token)
{
    AUTO_FREE char *error = NULL;
    if (tokens_load(tokens, &error) != ERR_OK) {
        return false;
    }
    const Token *found = find_hash(tokens, token->hash);
    return found != NULL && found->role == token->role && strcmp(found->name, token->name) == 0;
}

/* ---- changing ---- */

static void make_text(char ret_text[TOKEN_TEXT_BYTES])
{
    uint8_t secret[SECRET_BYTES];
    randombytes_buf(secret, sizeof(secret));
    memcpy(ret_text, PREFIX, sizeof(PREFIX));
    sodium_bin2base64(ret_text + strlen(PREFIX), TOKEN_TEXT_BYTES - strlen(PREFIX), secret,
                      sizeof(secret), VARIANT);
    sodium_memzero(secret, sizeof(secret));
}

static Err add(Tokens *tokens, const Token *token, char **ret_error)
{
    Err err = tokens_load(tokens, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    if (find_name(tokens, token->name) != NULL) {
        *ret_error = strbuf_format(
            "there is a token named \"%s\" already: revoke it (chat_node token revoke), or take "
            "another name",
            token->name);
        return ERR_EXISTS;
    }
    if (tokens->count == TOKENS_MAX) {
        *ret_error =
            strbuf_format("there are %d tokens, as many as may be: revoke one", TOKENS_MAX);
        return ERR_LIMIT;
    }
    AUTO_FREE Token *items = mem_array(tokens->count + 1, sizeof(Token));
    if (tokens->count > 0) {
        memcpy(items, tokens->items, tokens->count * sizeof(Token));
    }
    items[tokens->count] = *token;
    return tokens_save(tokens, items, tokens->count + 1, ret_error);
}

Err tokens_add(Tokens *tokens, const char *name, TokenRole role, int64_t now_ms,
               char ret_text[TOKEN_TEXT_BYTES], char **ret_error)
{
    const char *reason = "";
    if (message_check_name(name, strlen(name), &reason) != ERR_OK) {
        *ret_error = strbuf_format("%s", reason);
        return ERR_INVALID;
    }
    int lock = -1;
    Err err = private_lock(tokens->file.directory, &lock, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    Token token = {.role = role, .created_ms = now_ms};
    char text[TOKEN_TEXT_BYTES];
    snprintf(token.name, sizeof(token.name), "%s", name);
    make_text(text);
    hash_of(text, strlen(text), token.hash);
    err = add(tokens, &token, ret_error);
    private_unlock(lock);
    if (err == ERR_OK) {
        memcpy(ret_text, text, sizeof(text));
    }
    sodium_memzero(text, sizeof(text));
    return err;
}

static Err drop(Tokens *tokens, const char *name, char **ret_error)
{
    Err err = tokens_load(tokens, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    Token *found = find_name(tokens, name);
    if (found == NULL) {
        *ret_error = strbuf_format(
            "no token is named \"%s\": `chat_node token list` tells which there are", name);
        return ERR_NOT_FOUND;
    }
    size_t behind = tokens->count - 1 - (size_t)(found - tokens->items);
    memmove(found, found + 1, behind * sizeof(Token));
    return tokens_save(tokens, tokens->items, tokens->count - 1, ret_error);
}

Err tokens_revoke(Tokens *tokens, const char *name, char **ret_error)
{
    int lock = -1;
    Err err = private_lock(tokens->file.directory, &lock, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    err = drop(tokens, name, ret_error);
    private_unlock(lock);
    return err;
}
