/* One table, one file of tokens, and who is told when that changes. */
#include "io/authority.h"

#include "base/log.h"

#include <string.h>
#include <strings.h>
#include <utlist.h>

struct Authority {
    bool open_mode;
    Tokens *tokens; /* NULL: there are none */
    char *told;     /* what was wrong with the file when it was last said */
    uv_fs_event_t event;
    AuthorityWatcher *watchers;
    void (*vouch)(void *context, uint64_t gate_id);
    void *vouch_context;
    void (*closed)(void *context);
    void *context;
};

/* ---- deciding ---- */

static bool refuse(int code, const char *text, int *ret_code, char **ret_text)
{
    *ret_code = code;
    *ret_text = mem_copy_string(text);
    return false;
}

/* What stands behind "Bearer", RFC 6750 section 2.1; NULL: it does not. */
static const char *bearer_of(const char *authorization)
{
    static const char scheme[] = "Bearer ";
    if (authorization == NULL || strncasecmp(authorization, scheme, strlen(scheme)) != 0) {
        return NULL;
    }
    authorization += strlen(scheme);
    return authorization + strspn(authorization, " ");
}

/* What is wrong with the tokens' file is for the owner, and said once. */
static void tell_owner(Authority *authority, char *error)
{
    if (error != NULL && (authority->told == NULL || strcmp(authority->told, error) != 0)) {
        log_error("no program is let in: %s", error);
    }
    mem_free(authority->told);
    authority->told = error;
}

static bool find_token(Authority *authority, const char *authorization, Token *ret_token,
                       int *ret_code, char **ret_text)
{
    const char *text = bearer_of(authorization);
    char *error = NULL;
    if (authority->tokens == NULL || text == NULL) {
        return refuse(RPC_UNAUTHENTICATED,
                      "show a token with each call, as metadata: \"authorization: Bearer "
                      "cnt_...\"; the node's owner makes one with chat_node token add",
                      ret_code, ret_text);
    }
    Err err = tokens_find(authority->tokens, text, strlen(text), ret_token, &error);
    if (err == ERR_NOT_FOUND) {
        return refuse(RPC_UNAUTHENTICATED,
                      "this node does not know that token: it was revoked, or is another node's",
                      ret_code, ret_text);
    }
    tell_owner(authority, error);
    if (err != ERR_OK) {
        return refuse(RPC_UNAVAILABLE, "the node cannot read its tokens: its log says why",
                      ret_code, ret_text);
    }
    return true;
}

static bool decide_program(Authority *authority, const char *authorization, ClientUse use,
                           ClientRole *ret_role, int *ret_code, char **ret_text)
{
    ClientRole role = {.kind = CLIENT_PROGRAM};
    if (use == USE_LINK || use == USE_COMMAND) {
        return refuse(RPC_PERMISSION_DENIED, "programs may call ChatService alone", ret_code,
                      ret_text);
    }
    if (!find_token(authority, authorization, &role.token, ret_code, ret_text)) {
        return false;
    }
    if (use == USE_SPEAK && role.token.role != TOKEN_WRITE) {
        return refuse(RPC_PERMISSION_DENIED,
                      "this token may read, not speak: the node's owner makes one that may with "
                      "chat_node token add, without --read",
                      ret_code, ret_text);
    }
    *ret_role = role;
    return true;
}

bool authority_decide(Authority *authority, ClientKind kind, const char *authorization,
                      ClientUse use, ClientRole *ret_role, int *ret_code, char **ret_text)
{
    if (kind == CLIENT_PROGRAM) {
        return decide_program(authority, authorization, use, ret_role, ret_code, ret_text);
    }
    if (kind == CLIENT_NOBODY) {
        return refuse(RPC_UNAVAILABLE, "the connection is gone", ret_code, ret_text);
    }
    if (kind == CLIENT_MEMBER && use != USE_LINK) {
        return refuse(RPC_PERMISSION_DENIED, "nodes may call MeshService alone", ret_code,
                      ret_text);
    }
    if (kind != CLIENT_MEMBER && use == USE_LINK && !authority->open_mode) {
        return refuse(RPC_PERMISSION_DENIED,
                      "this is a node of a private network: links come through its TLS port",
                      ret_code, ret_text);
    }
    if (kind == CLIENT_MACHINE && (use == USE_COMMAND || !authority->open_mode)) {
        return refuse(RPC_PERMISSION_DENIED,
                      "this is for the node's owner, on the Unix socket in its data directory",
                      ret_code, ret_text);
    }
    *ret_role = (ClientRole){.kind = kind};
    return true;
}

/* ---- calls and streams ---- */

static ClientKind client_kind(const RpcPeer *peer)
{
    switch (peer->kind) {
    case RPC_PEER_LOCAL:
        return strcmp(peer->address, "unix") == 0 ? CLIENT_OWNER : CLIENT_MACHINE;
    case RPC_PEER_MEMBER:
        return CLIENT_MEMBER;
    case RPC_PEER_PROGRAM:
        return CLIENT_PROGRAM;
    case RPC_PEER_NOBODY:
        break;
    }
    return CLIENT_NOBODY;
}

static void vouch(Authority *authority, const RpcPeer *peer)
{
    if (peer->kind == RPC_PEER_PROGRAM && authority->vouch != NULL) {
        authority->vouch(authority->vouch_context, peer->gate_id);
    }
}

bool authority_call(Authority *authority, RpcServerCall *call, ClientUse use, ClientRole *ret_role)
{
    RpcPeer peer;
    AUTO_FREE char *text = NULL;
    int code = RPC_OK;
    rpc_server_call_peer_info(call, &peer);
    const char *authorization = rpc_server_call_metadata(call, "authorization");
    if (authority_decide(authority, client_kind(&peer), authorization, use, ret_role, &code,
                         &text)) {
        vouch(authority, &peer);
        return true;
    }
    rpc_server_call_answer(call, NULL, code, text);
    return false;
}

bool authority_stream(Authority *authority, RpcStream *stream, ClientUse use, ClientRole *ret_role)
{
    RpcPeer peer;
    AUTO_FREE char *text = NULL;
    int code = RPC_OK;
    rpc_stream_peer_info(stream, &peer);
    const char *authorization = rpc_stream_metadata(stream, "authorization");
    if (authority_decide(authority, client_kind(&peer), authorization, use, ret_role, &code,
                         &text)) {
        vouch(authority, &peer);
        return true;
    }
    rpc_stream_close(stream, code, text);
    return false;
}

bool authority_holds(Authority *authority, const ClientRole *role)
{
    return role->kind != CLIENT_PROGRAM ||
           (authority->tokens != NULL && tokens_hold(authority->tokens, &role->token));
}

/* ---- names ---- */

Err authority_check_sender(const ClientRole *role, MessageDraft *draft, char **ret_text)
{
    const char *name = role->token.name;
    if (role->kind != CLIENT_PROGRAM) {
        return ERR_OK;
    }
    if (draft->sender_len == 0) {
        draft->sender = name;
        draft->sender_len = strlen(name);
        return ERR_OK;
    }
    if (draft->sender_len == strlen(name) && memcmp(draft->sender, name, strlen(name)) == 0) {
        return ERR_OK;
    }
    *ret_text = strbuf_format("with this token you speak as \"%s\": leave sender empty", name);
    return ERR_DENIED;
}

/* ---- watching the file ---- */

static void watch_file(Authority *authority);

static void file_changed(uv_fs_event_t *event, const char *name, int events, int status)
{
    (void)name;
    (void)events;
    (void)status;
    Authority *authority = event->data;
    AuthorityWatcher *watcher;
    AuthorityWatcher *next;
    watch_file(authority); /* it was renamed into place: another file has the name now */
    DL_FOREACH_SAFE(authority->watchers, watcher, next) {
        watcher->changed(watcher);
    }
}

static void watch_file(Authority *authority)
{
    AUTO_FREE char *error = NULL;
    uv_fs_event_stop(&authority->event);
    int failed = 0;
    if (tokens_make_file(authority->tokens, &error) != ERR_OK) {
        log_warning("tokens: %s", error);
        return;
    }
    failed = uv_fs_event_start(&authority->event, file_changed, tokens_path(authority->tokens), 0);
    if (failed != 0) {
        log_warning("%s is not watched: %s: streams that are open when a token is revoked stay "
                    "open",
                    tokens_path(authority->tokens), uv_strerror(failed));
    }
}

void authority_watch(Authority *authority, AuthorityWatcher *watcher)
{
    DL_APPEND(authority->watchers, watcher);
}

void authority_unwatch(Authority *authority, AuthorityWatcher *watcher)
{
    DL_DELETE(authority->watchers, watcher);
}

bool authority_has_tokens(Authority *authority)
{
    const Token *tokens = NULL;
    size_t count = 0;
    char *error = NULL;
    if (authority->tokens == NULL) {
        return false;
    }
    Err err = tokens_list(authority->tokens, &tokens, &count, &error);
    tell_owner(authority, error);
    return err == ERR_OK && count > 0;
}

/* ---- life ---- */

Authority *authority_new(const AuthorityOptions *options)
{
    Authority *authority = mem_new(Authority);
    authority->open_mode = options->open_mode;
    authority->vouch = options->vouch;
    authority->vouch_context = options->context;
    if (options->data_dir != NULL && !options->open_mode) {
        authority->tokens = tokens_new(options->data_dir);
        uv_fs_event_init(loop_uv(options->loop), &authority->event);
        authority->event.data = authority;
        watch_file(authority);
    }
    return authority;
}

static void event_closed(uv_handle_t *handle)
{
    Authority *authority = handle->data;
    authority->closed(authority->context);
}

void authority_close(Authority *authority, void (*done)(void *context), void *context)
{
    if (authority->tokens == NULL) {
        done(context);
        return;
    }
    authority->closed = done;
    authority->context = context;
    uv_close((uv_handle_t *)&authority->event, event_closed);
}

void authority_free(Authority *authority)
{
    if (authority == NULL) {
        return;
    }
    tokens_free(authority->tokens);
    mem_free(authority->told);
    mem_free(authority);
}
