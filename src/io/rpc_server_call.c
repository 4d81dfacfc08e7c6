/* One incoming call: answered with one message, or with a stream of them.
 *
 *            the program   to the library                 back as mail
 *   answer   _answer       metadata, message, status and
 *                          close, as one batch            finished
 *   stream   _open         close, from the start          closed -> gone
 *                          metadata                       opened
 *            _send         a message, one at a time       message_sent -> sent, which sends on
 *            _end          status                         finished
 *
 * Whatever was begun on a call comes back, even when its client is gone. So a call is freed once
 * the program is done with it (it has answered or ended it, or was told "gone") and nothing of it
 * is pending; until then the server stays too. */
#include "io/rpc_internal.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <string.h>

struct RpcServerCall {
    RpcServer *server;
    grpc_call *call;
    unsigned pending;
    bool ended; /* the program is done with it */
    bool sending;
    int cancelled;
    Mail opened;
    Mail message_sent;
    Mail finished;
    Mail closed;
    void (*sent)(void *context);
    void (*gone)(void *context);
    void *context;
    Bytes *status_text;
};

static void server_call_release(RpcServerCall *call)
{
    if (call->pending > 0 || !call->ended) {
        return;
    }
    RpcServer *server = call->server;
    grpc_call_unref(call->call);
    bytes_unref(call->status_text);
    mem_free(call);
    rpc_server_release(server);
}

static void server_call_start(RpcServerCall *call, const grpc_op *ops, size_t count, Mail *mail)
{
    call->pending++;
    rpc_start_batch(call->call, ops, count, mail);
}

static void server_call_opened(Mail *mail, bool ok)
{
    (void)ok; /* "closed" says when the client is gone */
    RpcServerCall *call = CONTAINER_OF(mail, RpcServerCall, opened);
    call->pending--;
    server_call_release(call);
}

static void server_call_finished(Mail *mail, bool ok)
{
    (void)ok;
    RpcServerCall *call = CONTAINER_OF(mail, RpcServerCall, finished);
    call->pending--;
    server_call_release(call);
}

static void server_call_message_sent(Mail *mail, bool ok)
{
    RpcServerCall *call = CONTAINER_OF(mail, RpcServerCall, message_sent);
    call->pending--;
    call->sending = false;
    if (ok && !call->ended) {
        call->sent(call->context);
        return;
    }
    server_call_release(call);
}

static void server_call_closed(Mail *mail, bool ok)
{
    (void)ok;
    RpcServerCall *call = CONTAINER_OF(mail, RpcServerCall, closed);
    call->pending--;
    if (!call->ended) {
        call->ended = true;
        call->gone(call->context);
    }
    server_call_release(call);
}

RpcServerCall *rpc_server_call_new(RpcServer *server, grpc_call *grpc)
{
    RpcServerCall *call = mem_new(RpcServerCall);
    call->server = server;
    call->call = grpc;
    call->opened.deliver = server_call_opened;
    call->message_sent.deliver = server_call_message_sent;
    call->finished.deliver = server_call_finished;
    call->closed.deliver = server_call_closed;
    rpc_server_hold(server);
    return call;
}

/* The status text must outlive the batch: the call keeps it. */
static grpc_op send_status_op(RpcServerCall *call, int code, const char *text, grpc_slice *slice)
{
    bytes_unref(call->status_text);
    call->status_text = bytes_new(text, strlen(text));
    *slice = rpc_slice_of(call->status_text);
    return (grpc_op){
        .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
        .data.send_status_from_server = {.status = (grpc_status_code)code, .status_details = slice},
    };
}

static grpc_op recv_close_op(RpcServerCall *call)
{
    return (grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                     .data.recv_close_on_server.cancelled = &call->cancelled};
}

void rpc_server_call_answer(RpcServerCall *call, Bytes *response, int code, const char *text)
{
    grpc_slice slice;
    grpc_byte_buffer *message = response != NULL ? rpc_buffer_of(response) : NULL;
    grpc_op ops[4] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        recv_close_op(call),
        send_status_op(call, code, text, &slice),
    };
    size_t count = 3;
    if (message != NULL) {
        ops[count++] =
            (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message};
    }
    call->ended = true;
    server_call_start(call, ops, count, &call->finished);
    grpc_slice_unref(slice);
    grpc_byte_buffer_destroy(message);
}

void rpc_server_call_open(RpcServerCall *call, void (*sent)(void *context),
                          void (*gone)(void *context), void *context)
{
    call->sent = sent;
    call->gone = gone;
    call->context = context;
    grpc_op close = recv_close_op(call);
    server_call_start(call, &close, 1, &call->closed);
    grpc_op open = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    server_call_start(call, &open, 1, &call->opened);
}

static void call_send(RpcServerCall *call, grpc_byte_buffer *buffer, bool more)
{
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE,
                  .flags = more ? GRPC_WRITE_BUFFER_HINT : 0,
                  .data.send_message.send_message = buffer};
    call->sending = true;
    server_call_start(call, &op, 1, &call->message_sent);
    grpc_byte_buffer_destroy(buffer);
}

void rpc_server_call_send(RpcServerCall *call, Bytes *message, bool more)
{
    call_send(call, rpc_buffer_of(message), more);
}

void rpc_server_call_send_part(RpcServerCall *call, Bytes *bytes, size_t offset, size_t len)
{
    call_send(call, rpc_buffer_of_part(bytes, offset, len), false);
}

void rpc_server_call_end(RpcServerCall *call, int code, const char *text)
{
    call->ended = true;
    if (call->sending) {
        /* A status waits behind the message, and that for a client which may never read: cut. The
         * library still writes the status, past flow control. */
        grpc_call_cancel_with_status(call->call, (grpc_status_code)code, text, NULL);
        return;
    }
    grpc_slice slice;
    grpc_op op = send_status_op(call, code, text, &slice);
    server_call_start(call, &op, 1, &call->finished);
    grpc_slice_unref(slice);
}

const char *rpc_server_call_metadata(const RpcServerCall *call, const char *key)
{
    return rpc_server_metadata(call->server, key);
}

void rpc_server_call_peer_info(const RpcServerCall *call, RpcPeer *ret_peer)
{
    rpc_peers_find(rpc_server_peers(call->server), call->call, ret_peer);
}
