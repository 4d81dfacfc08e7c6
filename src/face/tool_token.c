/* Tokens of programs: made, listed, revoked. A node that runs sees it by itself. */
#include "face/tool_impl.h"

#include "base/moment.h"
#include "base/text.h"
#include "io/network_dir.h"
#include "io/tokens.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Beside the answer: where programs need no token, one would be made in vain. */
static void note_open_mode(Tool *tool)
{
    NetworkFile network = {0};
    AUTO_FREE char *error = NULL;
    if (network_file_load(tool->directory, &network, &error) == ERR_NOT_FOUND) {
        tool_note(tool,
                  "%s is of no private network yet: until then its node listens on this "
                  "machine alone, and asks programs for no token",
                  tool->directory);
    }
    network_file_done(&network);
}

static void add_token(Tool *tool, Tokens *tokens)
{
    const ToolOptions *options = &tool->options;
    AUTO_FREE char *error = NULL;
    char text[TOKEN_TEXT_BYTES];
    TokenRole role = options->read_only ? TOKEN_READ : TOKEN_WRITE;
    if (tokens_add(tokens, options->token_name, role, loop_wall_ms(), text, &error) != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    printf("%s\n", text);
    sodium_memzero(text, sizeof(text));
    if (fflush(stdout) != 0) {
        tool_fail(tool, "standard output: %m: revoke the token, and make it again");
    }
    tool_note(tool, "shown this once; whoever has it %s as \"%s\"",
              options->read_only ? "may read" : "may read, and speaks", options->token_name);
    note_open_mode(tool);
}

static void list_tokens(Tool *tool, Tokens *tokens)
{
    AUTO_FREE char *error = NULL;
    const Token *items = NULL;
    size_t count = 0;
    if (tokens_list(tokens, &items, &count, &error) != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char created[MOMENT_TEXT_BYTES];
        AUTO_STRBUF StrBuf name = {0};
        text_sanitise(&name, items[i].name, strlen(items[i].name));
        moment_text(items[i].created_ms, created);
        printf("%-5s  %s  %s\n", token_role_name(items[i].role), created, strbuf_text(&name));
    }
    if (count == 0) {
        tool_note(tool, "there are no tokens");
    }
}

static void revoke_token(Tool *tool, Tokens *tokens)
{
    AUTO_FREE char *error = NULL;
    if (tokens_revoke(tokens, tool->options.token_name, &error) != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    tool_note(tool, "revoked: \"%s\" is let in no more, and its streams end",
              tool->options.token_name);
}

void tool_token(Tool *tool)
{
    Tokens *tokens = tokens_new(tool->directory);
    switch (tool->options.token_action) {
    case TOKEN_ADD:
        add_token(tool, tokens);
        break;
    case TOKEN_LIST:
        list_tokens(tool, tokens);
        break;
    case TOKEN_REVOKE:
        revoke_token(tool, tokens);
        break;
    }
    tokens_free(tokens);
}
