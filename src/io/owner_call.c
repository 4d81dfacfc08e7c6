/* A loop, a channel and one call, for as long as it takes. */
#include "io/owner_call.h"

#include "base/strbuf.h"
#include "io/node_servicer.h"
#include "io/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { DEADLINE_MS = 30 * 1000 };

typedef struct OwnerCall {
    Loop *loop;
    Rpc *rpc;
    RpcChannel *channel;
    OwnerAnswer *answer;
    Err err;
    char *error;
    bool over;
    bool closed;
} OwnerCall;

void owner_answer_done(OwnerAnswer *answer)
{
    for (size_t i = 0; i < answer->lines_count; i++) {
        mem_free(answer->lines[i]);
    }
    mem_free(TAKE(answer->lines));
    answer->lines_count = 0;
}

/* ---- connecting ---- */

/* A path may be longer than the 108 bytes that an address of a socket has: so it is named from the
 * directory, which is open. */
static int connect_socket(const char *directory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dir = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int fd = dir >= 0 ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir,
                 OWNER_SOCKET_NAME);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
            int error = errno;
            close(fd);
            fd = -1;
            errno = error;
        }
    }
    int error = errno;
    if (dir >= 0) {
        close(dir);
    }
    errno = error;
    return fd;
}

static Err say_not_connected(const char *directory, char **ret_error)
{
    int error = errno;
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ECONNREFUSED:
        *ret_error =
            strbuf_format("no node runs on %s: start it first (chat_node PORT)", directory);
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        *ret_error = strbuf_format("%s is another user's: %s", directory, strerror(error));
        return ERR_DENIED;
    default:
        *ret_error = strbuf_format("cannot reach the node on %s: %s", directory, strerror(error));
        return ERR_IO;
    }
}

/* ---- the call ---- */

static void take_lines(OwnerCall *call, const RpcResult *result)
{
    WireArena *arena = wire_arena_new();
    WireRunResponse response;
    if (result->data == NULL ||
        wire_decode_run_response(arena, result->data, result->len, &response) != ERR_OK) {
        call->err = ERR_UNAVAILABLE;
        call->error =
            strbuf_format("the node has answered what is no answer: is it of another version?");
    } else {
        call->answer->ok = response.ok;
        call->answer->lines = mem_array(response.lines_count, sizeof(char *));
        call->answer->lines_count = response.lines_count;
        for (size_t i = 0; i < response.lines_count; i++) {
            call->answer->lines[i] = mem_copy_string(response.lines[i]);
        }
    }
    wire_arena_free(arena);
}

static void call_done(void *context, const RpcResult *result)
{
    OwnerCall *call = context;
    call->over = true;
    if (result->code == RPC_OK) {
        take_lines(call, result);
    } else if (result->code == RPC_UNIMPLEMENTED) {
        call->err = ERR_UNAVAILABLE;
        call->error =
            strbuf_format("the node that runs there is of an older version: start it anew");
    } else {
        call->err = ERR_UNAVAILABLE;
        call->error = strbuf_format("the node did not answer: %s", result->text);
    }
}

static void rpc_closed(void *context)
{
    OwnerCall *call = context;
    call->closed = true;
    loop_stop(call->loop);
}

static void run(OwnerCall *call, int fd, const char *line)
{
    call->loop = loop_new();
    call->rpc = rpc_open(call->loop);
    call->channel = rpc_channel_adopt(call->rpc, fd, false);
    Bytes *request = wire_run_request(line);
    rpc_unary(call->channel, WIRE_RUN, request, DEADLINE_MS, call_done, call);
    bytes_unref(request);
    while (!call->over) {
        loop_turn(call->loop, true);
    }
    rpc_channel_close(call->channel);
    rpc_close(call->rpc, rpc_closed, call);
    loop_run(call->loop);
    loop_free(call->loop);
}

Err owner_call(const char *directory, const char *line, OwnerAnswer *ret_answer, char **ret_error)
{
    if (strlen(line) > RUN_LINE_MAX_BYTES) {
        *ret_error = strbuf_format("a command has at most %d bytes", RUN_LINE_MAX_BYTES);
        return ERR_LIMIT;
    }
    int fd = connect_socket(directory);
    if (fd < 0) {
        return say_not_connected(directory, ret_error);
    }
    OwnerAnswer answer = {0};
    OwnerCall call = {.answer = &answer, .err = ERR_OK};
    run(&call, fd, line);
    if (call.err == ERR_OK) {
        *ret_answer = answer;
    } else {
        *ret_error = call.error;
    }
    return call.err;
}
