/* A command, and the lines of its answer gathered. */
#include "io/node_servicer.h"

#include "base/strbuf.h"
#include "io/wire.h"

#include <string.h>

struct NodeServicer {
    Node *node;
    Authority *authority;
    WireArena *arena;
};

typedef struct Run {
    NodeReply reply;
    RpcServerCall *call;
    StrBuf lines; /* encoded */
    size_t left_out;
} Run;

NodeServicer *node_servicer_new(Node *node, Authority *authority)
{
    NodeServicer *servicer = mem_new(NodeServicer);
    servicer->node = node;
    servicer->authority = authority;
    servicer->arena = wire_arena_new();
    return servicer;
}

void node_servicer_free(NodeServicer *servicer)
{
    if (servicer == NULL) {
        return;
    }
    wire_arena_free(servicer->arena);
    mem_free(servicer);
}

static void run_line(NodeReply *reply, NoticeLevel level, const char *text)
{
    (void)level;
    Run *run = CONTAINER_OF(reply, Run, reply);
    if (run->lines.len + strlen(text) > RUN_LINES_MAX_BYTES) {
        run->left_out++;
        return;
    }
    wire_add_run_line(&run->lines, text);
}

static void run_done(NodeReply *reply, Err err)
{
    Run *run = CONTAINER_OF(reply, Run, reply);
    if (run->left_out > 0) {
        AUTO_STRBUF StrBuf text = {0};
        strbuf_addf(&text, "... and %zu lines more", run->left_out);
        wire_add_run_line(&run->lines, text.text);
    }
    Bytes *response = wire_run_response(err == ERR_OK, &run->lines);
    rpc_server_call_answer(run->call, response, RPC_OK, "");
    bytes_unref(response);
    strbuf_done(&run->lines);
    mem_free(run);
}

void node_servicer_run(NodeServicer *servicer, RpcServerCall *call, const uint8_t *request,
                       size_t len)
{
    ClientRole role;
    const char *line = NULL;
    size_t line_len = 0;
    if (!authority_call(servicer->authority, call, USE_COMMAND, &role)) {
        return;
    }
    if (wire_decode_run_request(servicer->arena, request, len, &line, &line_len) != ERR_OK) {
        rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT,
                               "the request is not what proto/chat.proto says");
        return;
    }
    if (line_len > RUN_LINE_MAX_BYTES) {
        rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT,
                               "a command has at most 8192 bytes");
        return;
    }
    Run *run = mem_new(Run);
    run->reply = (NodeReply){.line = run_line, .done = run_done};
    run->call = call;
    node_command(servicer->node, line, line_len, &run->reply);
}
