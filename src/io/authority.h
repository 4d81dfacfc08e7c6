/* Who may call what.
 *
 *                          reads    speaks   links            NodeService
 *   the owner, on the      yes      yes      in open mode     yes
 *   Unix socket
 *   this machine, in       yes      yes      yes              no
 *   open mode
 *   a member's node        no       no       yes              no
 *   a program              by its token      no               no
 *
 * A program shows its token with each call, as RFC 6750 has it: `authorization: Bearer cnt_...`.
 * The file of tokens is looked at with each call, and watched: streams that were opened with a
 * token that is gone end. */
#pragma once

#include "io/node.h"
#include "io/rpc.h"
#include "io/tokens.h"

/* What a stream ends with whose token is gone. */
#define AUTHORITY_REVOKED "the token that this stream was opened with was revoked"

typedef enum ClientKind {
    CLIENT_NOBODY,  /* whose connection has gone already */
    CLIENT_OWNER,   /* on the Unix socket, or within this process */
    CLIENT_MACHINE, /* of this machine, over TCP: in open mode alone */
    CLIENT_MEMBER,  /* a node of the network */
    CLIENT_PROGRAM, /* TLS; its token says who it is */
} ClientKind;

typedef enum ClientUse { USE_READ, USE_SPEAK, USE_LINK, USE_COMMAND } ClientUse;

/* Who has been let in. */
typedef struct ClientRole {
    ClientKind kind;
    Token token; /* of a program */
} ClientRole;

typedef struct Authority Authority;

typedef struct AuthorityOptions {
    Loop *loop;
    const char *data_dir; /* where tokens are; NULL: there are none */
    bool open_mode;
    /* A program showed a good token on a connection that came through the gate: RpcPeer.gate_id.
     * With each call. NULL: nobody wants to know. */
    void (*vouch)(void *context, uint64_t gate_id);
    void *context;
} AuthorityOptions;

Authority *authority_new(const AuthorityOptions *options);
/* Looks at the tokens' file no more; then done. Calls may still be asked about. */
void authority_close(Authority *authority, void (*done)(void *context), void *context);
/* NULL is fine. */
void authority_free(Authority *authority);

/* May it? Pure but for the tokens' file. authorization: that metadata, or NULL. Where not,
 * *ret_code and *ret_text (the caller's) are what to answer. */
bool authority_decide(Authority *authority, ClientKind kind, const char *authorization,
                      ClientUse use, ClientRole *ret_role, int *ret_code, char **ret_text);
/* The same of a call or a stream, which is answered or closed where it may not. */
bool authority_call(Authority *authority, RpcServerCall *call, ClientUse use, ClientRole *ret_role);
bool authority_stream(Authority *authority, RpcStream *stream, ClientUse use, ClientRole *ret_role);

/* Is the token there still? Of all others: yes. */
bool authority_holds(Authority *authority, const ClientRole *role);
/* A program speaks under its token's name alone: fills in a sender that is empty, with text of
 * role's. ERR_DENIED: *ret_text (the caller's) says why. */
Err authority_check_sender(const ClientRole *role, MessageDraft *draft, char **ret_text);

/* Embedded in who is to be told that the tokens have changed. */
typedef struct AuthorityWatcher AuthorityWatcher;
struct AuthorityWatcher {
    void (*changed)(AuthorityWatcher *watcher);
    AuthorityWatcher *prev;
    AuthorityWatcher *next;
};
void authority_watch(Authority *authority, AuthorityWatcher *watcher);
void authority_unwatch(Authority *authority, AuthorityWatcher *watcher);
/* Are there tokens? For gate_serve_programs, at the start and when they have changed. */
bool authority_has_tokens(Authority *authority);
