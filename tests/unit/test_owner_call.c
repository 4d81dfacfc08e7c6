/* A command to a node on its Unix socket, and the bytes it takes; the node is another process. */
#include "io/owner_call.h"

#include "io/node_servicer.h"
#include "io/wire.h"
#include "temp_dir.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* ---- a node that answers ---- */

static void serve_run(void *context, RpcServerCall *call, const uint8_t *request, size_t len)
{
    WireArena *arena = context;
    const char *line = NULL;
    size_t line_len = 0;
    StrBuf lines = {0};
    RpcPeer peer;
    rpc_server_call_peer_info(call, &peer);
    if (wire_decode_run_request(arena, request, len, &line, &line_len) != ERR_OK) {
        rpc_server_call_answer(call, NULL, RPC_INVALID_ARGUMENT, "no request");
        return;
    }
    if (strcmp(line, "/refuse") == 0) {
        rpc_server_call_answer(call, NULL, RPC_PERMISSION_DENIED, "not for you");
        return;
    }
    wire_add_run_line(&lines, peer.address);
    wire_add_run_line(&lines, "");
    wire_add_run_line(&lines, line);
    for (int i = 0; strcmp(line, "/many") == 0 && i < 5000; i++) {
        wire_add_run_line(&lines, "a line of some length, of which there are many");
    }
    Bytes *response = wire_run_response(strcmp(line, "/fail") != 0, &lines);
    rpc_server_call_answer(call, response, RPC_OK, "");
    bytes_unref(response);
    strbuf_done(&lines);
}

[[gnu::noreturn]] static void run_node(const char *path, int ready)
{
    static const RpcMethod methods[] = {{.path = WIRE_RUN, .start = serve_run}};
    char *text = NULL;
    Loop *loop = loop_new();
    Rpc *rpc = rpc_open(loop);
    RpcServer *server = rpc_server_new(rpc, &(RpcServerOptions){.methods = methods,
                                                                .methods_count = 1,
                                                                .streams_max = 10,
                                                                .connections_max = 100,
                                                                .context = wire_arena_new()});
    if (rpc_server_listen_unix(server, path, &text) != ERR_OK || write(ready, "r", 1) != 1) {
        _exit(1);
    }
    rpc_server_start(server);
    for (;;) {
        loop_turn(loop, true);
    }
}

/* In a process that has asked somebody already the node listens, and may never answer: gRPC does
 * not go on in a fork of one that has used it. */
static pid_t start_node(TempDir *dir)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that fails leaves nobody behind */
        run_node(temp_file(dir, OWNER_SOCKET_NAME), ready[1]);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void stop_node(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void assert_fails(const char *directory, const char *line, Err wanted, const char *words)
{
    OwnerAnswer answer = {0};
    char *error = NULL;
    assert_int_equal(owner_call(directory, line, &answer, &error), wanted);
    assert_non_null(strstr(error, words));
    mem_free(error);
}

static void command_is_answered_line_by_line(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    pid_t child = start_node(&dir);
    OwnerAnswer answer = {0};
    char *error = NULL;
    assert_int_equal(owner_call(dir.path, "/members", &answer, &error), ERR_OK);
    assert_true(answer.ok);
    assert_int_equal(answer.lines_count, 3);
    assert_string_equal(answer.lines[0], "unix");
    assert_string_equal(answer.lines[1], "");
    assert_string_equal(answer.lines[2], "/members");
    owner_answer_done(&answer);
    assert_int_equal(owner_call(dir.path, "/fail", &answer, &error), ERR_OK);
    assert_false(answer.ok);
    owner_answer_done(&answer);
    assert_int_equal(owner_call(dir.path, "/many", &answer, &error), ERR_OK);
    assert_int_equal(answer.lines_count, 5003);
    owner_answer_done(&answer);
    assert_fails(dir.path, "/refuse", ERR_UNAVAILABLE, "not for you");
    AUTO_STRBUF StrBuf path = {0}; /* longer than a socket's address may be */
    strbuf_add_string(&path, dir.path);
    for (int i = 0; i < 60; i++) {
        strbuf_add_string(&path, "/./");
    }
    assert_int_equal(owner_call(path.text, "/id", &answer, &error), ERR_OK);
    owner_answer_done(&answer);
    stop_node(child);
    temp_dir_done(&dir);
}

static void where_no_node_runs_it_is_said(void **state)
{
    (void)state;
    TempDir dir = temp_dir_new();
    AUTO_STRBUF StrBuf line = {0};
    assert_fails(dir.path, "/members", ERR_NOT_FOUND, "start it first");
    assert_fails("/nonexistent", "/members", ERR_NOT_FOUND, "/nonexistent");
    pid_t child = start_node(&dir);
    stop_node(child);
    assert_int_equal(access(temp_file(&dir, OWNER_SOCKET_NAME), F_OK), 0); /* left by a kill -9 */
    assert_fails(dir.path, "/members", ERR_NOT_FOUND, "start it first");
    for (int i = 0; i <= RUN_LINE_MAX_BYTES; i++) {
        strbuf_add_char(&line, 'x');
    }
    assert_fails(dir.path, line.text, ERR_LIMIT, "8192");
    temp_dir_done(&dir);
}

static void bytes_that_are_no_message_are_refused(void **state)
{
    (void)state;
    WireArena *arena = wire_arena_new();
    WireRunResponse response;
    const char *line = NULL;
    size_t len = 0;
    static const uint8_t wrong[] = {0x0a, 0x7f, 'x'};
    assert_int_equal(wire_decode_run_request(arena, wrong, sizeof(wrong), &line, &len),
                     ERR_INVALID);
    assert_int_equal(wire_decode_run_response(arena, wrong, sizeof(wrong), &response), ERR_INVALID);
    Bytes *request = wire_run_request("/revoke bob");
    assert_int_equal(
        wire_decode_run_request(arena, bytes_data(request), bytes_len(request), &line, &len),
        ERR_OK);
    assert_string_equal(line, "/revoke bob");
    assert_int_equal(len, 11);
    bytes_unref(request);
    wire_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_is_answered_line_by_line),
        cmocka_unit_test(where_no_node_runs_it_is_said),
        cmocka_unit_test(bytes_that_are_no_message_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
