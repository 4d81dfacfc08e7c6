/* Tokens of programs: who has one may use this node from elsewhere, under the token's name.
 *
 *   chat_node token add --> file `tokens` (names, roles, hashes) <-- looked at with each call
 *
 * The text is shown once, "cnt_" and 43 characters of base64url, and kept nowhere: the file has its
 * BLAKE2b-256. With 256 random bits in it, nothing slower is needed. The file is the only truth: a
 * node that runs sees at its next look that it was written anew. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TOKENS_MAX = 1000, /* a look goes through all of them: some microseconds */
    TOKEN_NAME_MAX_BYTES = 64,
    TOKEN_TEXT_BYTES = 48, /* with its NUL */
    TOKEN_HASH_BYTES = 32,
};

typedef enum TokenRole {
    TOKEN_READ,  /* reads what is said */
    TOKEN_WRITE, /* and speaks */
} TokenRole;

/* "read", "write". */
const char *token_role_name(TokenRole role);

typedef struct Token {
    char name[TOKEN_NAME_MAX_BYTES + 1];
    TokenRole role;
    int64_t created_ms;
    uint8_t hash[TOKEN_HASH_BYTES];
} Token;

typedef struct Tokens Tokens;

/* Those of a data directory. Nothing is read before it is asked for. */
Tokens *tokens_new(const char *directory);
/* NULL is fine. */
void tokens_free(Tokens *tokens);

/* Makes the file where it is missing, empty: so that it can be watched. */
Err tokens_make_file(Tokens *tokens, char **ret_error);
const char *tokens_path(const Tokens *tokens);

/* Each reads the file where it is not the one that was read last. On failure the caller owns
 * *ret_error. ERR_DENIED: others may read the file. ERR_INVALID: it is not what tokens_add writes.
 * ERR_IO. */
Err tokens_list(Tokens *tokens, const Token **ret_tokens, size_t *ret_count, char **ret_error);
/* The token with that text; ERR_NOT_FOUND: none, *ret_error is not set. */
Err tokens_find(Tokens *tokens, const char *text, size_t len, Token *ret_token, char **ret_error);
/* Is a token that was found before still there, as it was? A file that cannot be read: no. */
bool tokens_hold(Tokens *tokens, const Token *token);

/* ERR_EXISTS: one has that name. ERR_LIMIT: TOKENS_MAX. ERR_INVALID: no name for a person. */
Err tokens_add(Tokens *tokens, const char *name, TokenRole role, int64_t now_ms,
               char ret_text[TOKEN_TEXT_BYTES], char **ret_error);
/* ERR_NOT_FOUND: none has that name. */
Err tokens_revoke(Tokens *tokens, const char *name, char **ret_error);
