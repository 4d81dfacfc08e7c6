/* Streams of messages both ways: one engine for both ends.
 *
 *              client                      server
 *   started    SEND/RECV_INITIAL_METADATA  SEND_INITIAL_METADATA
 *   received   RECV_MESSAGE, again and again
 *   sent       SEND_MESSAGE, one at a time
 *   said_end   SEND_CLOSE_FROM_CLIENT      SEND_STATUS_FROM_SERVER
 *   final      RECV_STATUS_ON_CLIENT       RECV_CLOSE_ON_SERVER
 *
 * "final" is there from the start; its completion is the end, whoever wanted it. The others
 * complete before it or soon after it.
 *
 *   OPEN ---close, or the peer sends no more---> ENDING ---lingered---> CUT
 *     `----------------- final ------------------> OVER <-----final------'
 *
 * A stream that is cancelled loses what its other end has not read yet. So a client that closes
 * says that it sends no more, the server answers with its status, and only who does not answer in
 * time is cut. */
#include "io/rpc_internal.h"

#include <assert.h>
#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <utlist.h>

typedef enum StreamState {
    STREAM_OPEN,
    STREAM_ENDING, /* this side has said its end; it sends no more */
    STREAM_CUT,    /* cancelled; nothing is started any more */
    STREAM_OVER,
} StreamState;

struct RpcStream {
    Rpc *rpc;
    RpcServer *server; /* NULL at a client */
    grpc_call *call;
    const RpcStreamEvents *events; /* NULL: nothing is called */
    void *context;
    StreamState state;
    unsigned pending; /* batches not yet completed */
    bool sending;
    bool receiving;
    bool paused;
    bool no_more;  /* the other end has sent all */
    bool too_long; /* what came was above RPC_MESSAGE_MAX_BYTES */
    Mail started;
    Mail received;
    Mail sent;
    Mail said_end;
    Mail final;
    grpc_byte_buffer *message; /* received */
    char *end_text;            /* of the status that this side gives */
    int end_code;
    uint64_t cut_at_ms; /* while ENDING */
    RpcStream *next;    /* in rpc->lingering */
    RpcStream *prev;

    /* What "final" and "started" write. */
    int cancelled; /* at a server */
    grpc_status_code status;
    grpc_slice status_text;
    grpc_metadata_array initial_metadata;
    grpc_metadata_array trailing_metadata;
};

/* ---- batches ---- */

static void stream_start(RpcStream *stream, const grpc_op *ops, size_t count, Mail *mail)
{
    stream->pending++;
    rpc_start_batch(stream->call, ops, count, mail);
}

static void stream_release(RpcStream *stream)
{
    if (stream->pending > 0) {
        return;
    }
    RpcServer *server = stream->server;
    grpc_metadata_array_destroy(&stream->initial_metadata);
    grpc_metadata_array_destroy(&stream->trailing_metadata);
    grpc_slice_unref(stream->status_text);
    grpc_call_unref(stream->call);
    mem_free(stream->end_text);
    mem_free(stream);
    if (server != NULL) {
        rpc_server_release(server);
    }
}

static void stream_receive(RpcStream *stream)
{
    stream->receiving = true;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &stream->message};
    stream_start(stream, &op, 1, &stream->received);
}

/* ---- lingering ---- */

static void stream_cut(RpcStream *stream)
{
    DL_DELETE(stream->rpc->lingering, stream);
    stream->state = STREAM_CUT;
    /* A server's status still goes out, past flow control. */
    grpc_call_cancel_with_status(stream->call, (grpc_status_code)stream->end_code, stream->end_text,
                                 NULL);
}

static void linger_closed(uv_handle_t *handle)
{
    rpc_streams_closed(handle->data);
}

static void linger_check(Rpc *rpc)
{
    if (rpc->closing && rpc->lingering == NULL && !uv_is_closing((uv_handle_t *)&rpc->linger)) {
        uv_close((uv_handle_t *)&rpc->linger, linger_closed);
    }
}

static void linger_over(uv_timer_t *timer)
{
    Rpc *rpc = timer->data;
    uint64_t now_ms = loop_mono_ms();
    while (rpc->lingering != NULL && rpc->lingering->cut_at_ms <= now_ms) {
        stream_cut(rpc->lingering);
    }
    if (rpc->lingering != NULL) {
        uv_timer_start(timer, linger_over, rpc->lingering->cut_at_ms - now_ms, 0);
    }
    linger_check(rpc);
}

static void stream_linger(RpcStream *stream)
{
    Rpc *rpc = stream->rpc;
    stream->cut_at_ms = loop_mono_ms() + RPC_STREAM_LINGER_MS;
    DL_APPEND(rpc->lingering, stream);
    if (!uv_is_active((uv_handle_t *)&rpc->linger)) {
        uv_timer_start(&rpc->linger, linger_over, RPC_STREAM_LINGER_MS, 0);
    }
}

void rpc_streams_init(Rpc *rpc)
{
    uv_timer_init(loop_uv(rpc->loop), &rpc->linger);
    rpc->linger.data = rpc;
}

void rpc_streams_close(Rpc *rpc)
{
    linger_check(rpc);
}

/* ---- the end ---- */

static void stream_say_end(RpcStream *stream, int code, const char *text)
{
    stream->state = STREAM_ENDING;
    stream->end_code = code;
    stream->end_text = mem_copy_string(text);
    grpc_slice slice = grpc_slice_from_copied_string(text);
    grpc_op close = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    grpc_op status = {
        .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
        .data.send_status_from_server = {.status = (grpc_status_code)code,
                                         .status_details = &slice},
    };
    stream_start(stream, stream->server != NULL ? &status : &close, 1, &stream->said_end);
    grpc_slice_unref(slice);
    stream_linger(stream);
}

static void stream_report_client(RpcStream *stream, const RpcStreamEvents *events)
{
    AUTO_FREE char *text = rpc_status_words(stream->status_text);
    events->ended(stream->context, (int)stream->status, text);
}

static void stream_report_server(RpcStream *stream, const RpcStreamEvents *events)
{
    if (stream->too_long) {
        events->ended(stream->context, RPC_RESOURCE_EXHAUSTED, "its message is too long");
    } else if (stream->cancelled != 0) {
        events->ended(stream->context, RPC_CANCELLED, "it is gone");
    } else {
        events->ended(stream->context, RPC_OK, "it closed the stream");
    }
}

static void stream_final(Mail *mail, bool ok)
{
    (void)ok; /* the status, or "cancelled", says how it went */
    RpcStream *stream = CONTAINER_OF(mail, RpcStream, final);
    stream->pending--;
    if (stream->state == STREAM_ENDING) {
        DL_DELETE(stream->rpc->lingering, stream);
    }
    stream->state = STREAM_OVER;
    const RpcStreamEvents *events = TAKE(stream->events);
    if (events != NULL && stream->server != NULL) {
        stream_report_server(stream, events);
    } else if (events != NULL) {
        stream_report_client(stream, events);
    }
    linger_check(stream->rpc);
    stream_release(stream);
}

/* ---- messages ---- */

static void stream_hand_over(RpcStream *stream)
{
    if (stream->events == NULL) {
        return;
    }
    grpc_slice data = rpc_buffer_read(stream->message);
    stream->events->received(stream->context, GRPC_SLICE_START_PTR(data), GRPC_SLICE_LENGTH(data));
    grpc_slice_unref(data);
}

/* Also a closed client reads on: the status comes behind the messages. */
static bool stream_reads(const RpcStream *stream)
{
    return stream->state == STREAM_OPEN ||
           (stream->state == STREAM_ENDING && stream->server == NULL);
}

/* The client sends no more, or is gone: "final" tells which. */
static void stream_no_more(RpcStream *stream)
{
    const RpcStreamEvents *events = stream->events;
    if (events != NULL && events->half_closed != NULL && !stream->too_long) {
        events->half_closed(stream->context);
    } else {
        stream_say_end(stream, RPC_OK, "");
    }
}

/* A closed one reads on, paused or not. */
static void stream_receive_next(RpcStream *stream)
{
    bool paused = stream->paused && stream->state == STREAM_OPEN;
    if (!paused && !stream->receiving && !stream->no_more && stream_reads(stream)) {
        stream_receive(stream);
    }
}

static void stream_received(Mail *mail, bool ok)
{
    RpcStream *stream = CONTAINER_OF(mail, RpcStream, received);
    stream->pending--;
    stream->too_long = !ok; /* nothing else fails it: an end comes as no message */
    bool more = ok && stream->message != NULL;
    stream->no_more = !more;
    if (more && stream_reads(stream)) {
        stream_hand_over(stream);
    }
    stream->receiving = false; /* not before: rpc_stream_pause may have been called meanwhile */
    grpc_byte_buffer_destroy(TAKE(stream->message));
    if (more) {
        stream_receive_next(stream);
    } else if (stream->server != NULL && stream->state == STREAM_OPEN) {
        stream_no_more(stream);
    }
    stream_release(stream);
}

static void stream_sent(Mail *mail, bool ok)
{
    RpcStream *stream = CONTAINER_OF(mail, RpcStream, sent);
    stream->pending--;
    stream->sending = false;
    if (ok && stream->events != NULL && stream->state == STREAM_OPEN) {
        stream->events->sent(stream->context);
    }
    stream_release(stream);
}

static void stream_started(Mail *mail, bool ok)
{
    (void)ok;
    RpcStream *stream = CONTAINER_OF(mail, RpcStream, started);
    stream->pending--;
    stream_release(stream);
}

static void stream_said_end(Mail *mail, bool ok)
{
    (void)ok;
    RpcStream *stream = CONTAINER_OF(mail, RpcStream, said_end);
    stream->pending--;
    stream_release(stream);
}

/* ---- from outside ---- */

static RpcStream *stream_new(Rpc *rpc, grpc_call *call)
{
    RpcStream *stream = mem_new(RpcStream);
    stream->rpc = rpc;
    stream->call = call;
    stream->started.deliver = stream_started;
    stream->received.deliver = stream_received;
    stream->sent.deliver = stream_sent;
    stream->said_end.deliver = stream_said_end;
    stream->final.deliver = stream_final;
    stream->status_text = grpc_empty_slice();
    grpc_metadata_array_init(&stream->initial_metadata);
    grpc_metadata_array_init(&stream->trailing_metadata);
    return stream;
}

RpcStream *rpc_stream_open(RpcChannel *channel, const char *method, const RpcStreamEvents *events,
                           void *context)
{
    grpc_call *call = rpc_channel_call(channel, method, gpr_inf_future(GPR_CLOCK_MONOTONIC));
    RpcStream *stream = stream_new(rpc_channel_rpc(channel), call);
    stream->events = events;
    stream->context = context;
    grpc_op start[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &stream->initial_metadata},
    };
    grpc_op final = {
        .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
        .data.recv_status_on_client = {.trailing_metadata = &stream->trailing_metadata,
                                       .status = &stream->status,
                                       .status_details = &stream->status_text},
    };
    stream_start(stream, start, sizeof(start) / sizeof(start[0]), &stream->started);
    stream_start(stream, &final, 1, &stream->final);
    stream_receive(stream);
    return stream;
}

void rpc_stream_serve(Rpc *rpc, RpcServer *server, grpc_call *call, const RpcMethod *method,
                      void *context)
{
    rpc_server_hold(server);
    RpcStream *stream = stream_new(rpc, call);
    stream->server = server;
    grpc_op start = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    grpc_op final = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                     .data.recv_close_on_server.cancelled = &stream->cancelled};
    stream_start(stream, &final, 1, &stream->final);
    stream_start(stream, &start, 1, &stream->started);
    method->open(context, stream);
    assert(stream->events != NULL || stream->state == STREAM_ENDING);
}

void rpc_stream_accept(RpcStream *stream, const RpcStreamEvents *events, void *context)
{
    stream->events = events;
    stream->context = context;
    stream_receive(stream);
}

void rpc_stream_send(RpcStream *stream, Bytes *message)
{
    assert(!stream->sending);
    if (stream->state != STREAM_OPEN) {
        return; /* the end is known here, and about to be told */
    }
    grpc_byte_buffer *buffer = rpc_buffer_of(message);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = buffer};
    stream->sending = true;
    stream_start(stream, &op, 1, &stream->sent);
    grpc_byte_buffer_destroy(buffer);
}

void rpc_stream_pause(RpcStream *stream, bool paused)
{
    stream->paused = paused;
    stream_receive_next(stream);
}

void rpc_stream_close(RpcStream *stream, int code, const char *text)
{
    if (stream == NULL) {
        return;
    }
    stream->events = NULL;
    if (stream->state == STREAM_OPEN) {
        stream_say_end(stream, code, text);
        stream_receive_next(stream);
    }
}

void rpc_stream_peer_info(const RpcStream *stream, RpcPeer *ret_peer)
{
    rpc_peers_find(rpc_server_peers(stream->server), stream->call, ret_peer);
}

const char *rpc_stream_metadata(const RpcStream *stream, const char *key)
{
    return rpc_server_metadata(stream->server, key);
}
