/* Outgoing channels and calls. */
#include "io/rpc_internal.h"

#include "base/strbuf.h"

#include <fcntl.h>
#include <grpc/byte_buffer.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    /* Together 3.5 s: a stopped peer is known within the 5 s that people are promised. */
    KEEPALIVE_TIME_MS = 2000,
    KEEPALIVE_TIMEOUT_MS = 1500,
    /* Longer than any attempt may take: who retries, and when, is the core's to say. */
    NEVER_RECONNECT_MS = 3600 * 1000,
    CONNECT_TIMEOUT_MS = 5000,
    CLIENT_ARGS_MAX = 16,
    /* Between an adopted connection's end and telling of it: what came last is delivered first. */
    LOST_PAUSE_MS = 10,
    NOT_STANDARD_FD = 3,
    NS_PER_US = 1000,
};

struct RpcChannel {
    Rpc *rpc;
    grpc_channel *channel;
    Mail watch;
    bool watching;
    bool closed;
    void (*lost)(void *context);
    void *context;

    /* Of an adopted one, which has no connectivity to watch (1.51.1): its descriptor once more. */
    bool adopted;
    int fd;
    uv_poll_t poll;
    uv_timer_t pause;
    unsigned handles; /* open */
};

struct RpcCall {
    grpc_call *call;
    RpcDone done; /* NULL once cancelled */
    void *context;
    uint64_t started_ns;
    unsigned pending; /* batches not yet completed */
    Mail started;     /* hold_stream: what was sent */
    Mail received;    /* hold_stream: one answer */
    Mail finished;    /* the status; for a unary call all of it */
    grpc_metadata_array initial_metadata;
    grpc_metadata_array trailing_metadata;
    grpc_byte_buffer *answer;
    bool answer_counts; /* unary: part of the result */
    grpc_status_code status;
    grpc_slice status_text;
};

/* ---- channels ---- */

static size_t client_args(grpc_arg *args, bool keepalive)
{
    size_t count = rpc_common_args(args);
    args[count++] = rpc_int_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, NEVER_RECONNECT_MS);
    args[count++] = rpc_int_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, NEVER_RECONNECT_MS);
    args[count++] = rpc_int_arg(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, CONNECT_TIMEOUT_MS);
    args[count++] = rpc_int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args[count++] = rpc_int_arg(GRPC_ARG_ENABLE_RETRIES, 0);
    args[count++] = rpc_int_arg(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args[count++] = rpc_int_arg(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    if (keepalive) {
        args[count++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_TIME_MS);
        args[count++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, KEEPALIVE_TIMEOUT_MS);
        args[count++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    }
    return count;
}

/* "dns:///host:port", with the host of an IPv6 address in brackets and its zone's "%" escaped. */
static char *channel_target(const char *host, uint16_t port)
{
    bool ipv6 = strchr(host, ':') != NULL;
    StrBuf target = {0};
    strbuf_add_string(&target, ipv6 ? "dns:///[" : "dns:///");
    for (const char *at = host; *at != '\0'; at++) {
        if (*at == '%') {
            strbuf_add_string(&target, "%25");
        } else {
            strbuf_add_char(&target, *at);
        }
    }
    strbuf_addf(&target, ipv6 ? "]:%u" : ":%u", (unsigned)port);
    return strbuf_take(&target);
}

static void channel_free(RpcChannel *channel)
{
    grpc_channel_destroy(channel->channel);
    mem_free(channel);
}

/* ---- adopted channels ---- */

/* The library has not read all yet: what is left may say why the other end went. */
static void adopted_check(uv_timer_t *pause)
{
    RpcChannel *channel = pause->data;
    int unread = 0;
    if (channel->fd >= 0 && ioctl(channel->fd, FIONREAD, &unread) == 0 && unread > 0) {
        uv_timer_start(pause, adopted_check, LOST_PAUSE_MS, 0);
        return;
    }
    channel->lost(channel->context);
}

/* The other end has closed, or the library has: it heard nothing from there. */
static void adopted_disconnected(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    RpcChannel *channel = poll->data;
    uv_poll_stop(poll);
    uv_timer_start(&channel->pause, adopted_check, LOST_PAUSE_MS, 0);
}

static void adopted_handle_closed(uv_handle_t *handle)
{
    RpcChannel *channel = handle->data;
    if (--channel->handles > 0) {
        return;
    }
    if (channel->fd >= 0) {
        close(channel->fd);
    }
    mem_free(channel);
}

static void adopted_close(RpcChannel *channel)
{
    grpc_channel_destroy(TAKE(channel->channel));
    uv_close((uv_handle_t *)&channel->pause, adopted_handle_closed);
    if (channel->fd >= 0) {
        uv_close((uv_handle_t *)&channel->poll, adopted_handle_closed);
    }
}

static void adopted_watch(RpcChannel *channel)
{
    if (channel->fd >= 0) {
        uv_poll_start(&channel->poll, UV_DISCONNECT, adopted_disconnected);
    } else {
        uv_timer_start(&channel->pause, adopted_check, 0, 0); /* what cannot be watched, is lost */
    }
}

RpcChannel *rpc_channel_adopt(Rpc *rpc, int fd, bool keepalive)
{
    grpc_arg items[CLIENT_ARGS_MAX];
    grpc_channel_args args = {.num_args = client_args(items, keepalive), .args = items};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    RpcChannel *channel = mem_new(RpcChannel);
    channel->rpc = rpc;
    channel->adopted = true;
    channel->fd = fcntl(fd, F_DUPFD_CLOEXEC, NOT_STANDARD_FD);
    channel->channel = grpc_channel_create_from_fd("adopted", fd, credentials, &args);
    grpc_channel_credentials_release(credentials);
    uv_timer_init(loop_uv(rpc->loop), &channel->pause);
    channel->pause.data = channel;
    channel->handles = 1;
    if (channel->fd >= 0) {
        uv_poll_init(loop_uv(rpc->loop), &channel->poll, channel->fd);
        channel->poll.data = channel;
        channel->handles = 2;
    }
    return channel;
}

static void channel_watch_next(RpcChannel *channel, grpc_connectivity_state last)
{
    channel->watching = true;
    TAG_GIVEN(&channel->watch);
    grpc_channel_watch_connectivity_state(channel->channel, last,
                                          gpr_inf_future(GPR_CLOCK_REALTIME), channel->rpc->queue,
                                          &channel->watch);
}

static void channel_changed(Mail *mail, bool ok)
{
    (void)ok;
    RpcChannel *channel = CONTAINER_OF(mail, RpcChannel, watch);
    channel->watching = false;
    if (channel->closed) {
        mem_free(channel);
        return;
    }
    grpc_connectivity_state state = grpc_channel_check_connectivity_state(channel->channel, 0);
    if (state == GRPC_CHANNEL_READY) {
        channel_watch_next(channel, state);
        return;
    }
    channel->lost(channel->context);
}

RpcChannel *rpc_channel_open(Rpc *rpc, const char *host, uint16_t port, bool keepalive)
{
    grpc_arg items[CLIENT_ARGS_MAX];
    grpc_channel_args args = {.num_args = client_args(items, keepalive), .args = items};
    AUTO_FREE char *target = channel_target(host, port);
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();

    RpcChannel *channel = mem_new(RpcChannel);
    channel->rpc = rpc;
    channel->channel = grpc_channel_create(target, credentials, &args);
    channel->watch.deliver = channel_changed;
    grpc_channel_credentials_release(credentials);
    return channel;
}

void rpc_channel_watch(RpcChannel *channel, void (*lost)(void *context), void *context)
{
    channel->lost = lost;
    channel->context = context;
    if (channel->adopted) {
        adopted_watch(channel);
    } else {
        channel_watch_next(channel, GRPC_CHANNEL_READY);
    }
}

void rpc_channel_close(RpcChannel *channel)
{
    if (channel->adopted) {
        adopted_close(channel);
        return;
    }
    if (!channel->watching) {
        channel_free(channel);
        return;
    }
    /* Destroying it ends the watch, whose completion frees the rest. */
    channel->closed = true;
    grpc_channel_destroy(TAKE(channel->channel));
}

Rpc *rpc_channel_rpc(RpcChannel *channel)
{
    return channel->rpc;
}

grpc_call *rpc_channel_call(RpcChannel *channel, const char *method, gpr_timespec deadline)
{
    grpc_slice path = grpc_slice_from_copied_string(method);
    grpc_call *call = grpc_channel_create_call(channel->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                               channel->rpc->queue, path, NULL, deadline, NULL);
    grpc_slice_unref(path);
    return call;
}

/* ---- calls ---- */

static void call_free(RpcCall *call)
{
    if (call->pending > 0) {
        return;
    }
    grpc_metadata_array_destroy(&call->initial_metadata);
    grpc_metadata_array_destroy(&call->trailing_metadata);
    grpc_byte_buffer_destroy(call->answer);
    grpc_slice_unref(call->status_text);
    grpc_call_unref(call->call);
    mem_free(call);
}

static void call_start(RpcCall *call, const grpc_op *ops, size_t count, Mail *mail)
{
    call->pending++;
    rpc_start_batch(call->call, ops, count, mail);
}

static void call_report(RpcCall *call)
{
    RpcDone done = call->done;
    if (done == NULL) {
        return;
    }
    AUTO_FREE char *text = rpc_status_words(call->status_text);
    bool answered = call->answer_counts && call->answer != NULL;
    grpc_slice data = answered ? rpc_buffer_read(call->answer) : grpc_empty_slice();
    RpcResult result = {
        .code = (int)call->status,
        .text = text,
        .data = answered ? GRPC_SLICE_START_PTR(data) : NULL,
        .len = GRPC_SLICE_LENGTH(data),
        .elapsed_us = (uint32_t)((uv_hrtime() - call->started_ns) / NS_PER_US),
    };
    call->done = NULL;
    done(call->context, &result);
    grpc_slice_unref(data);
}

static void call_finished(Mail *mail, bool ok)
{
    (void)ok; /* the status says how it went */
    RpcCall *call = CONTAINER_OF(mail, RpcCall, finished);
    call->pending--;
    call_report(call);
    call_free(call);
}

static RpcCall *call_new(RpcChannel *channel, const char *method, gpr_timespec deadline,
                         RpcDone done, void *context)
{
    RpcCall *call = mem_new(RpcCall);
    call->call = rpc_channel_call(channel, method, deadline);
    call->done = done;
    call->context = context;
    call->started_ns = uv_hrtime();
    call->status_text = grpc_empty_slice();
    call->finished.deliver = call_finished;
    grpc_metadata_array_init(&call->initial_metadata);
    grpc_metadata_array_init(&call->trailing_metadata);
    return call;
}

static grpc_op recv_status_op(RpcCall *call)
{
    return (grpc_op){
        .op = GRPC_OP_RECV_STATUS_ON_CLIENT,
        .data.recv_status_on_client = {.trailing_metadata = &call->trailing_metadata,
                                       .status = &call->status,
                                       .status_details = &call->status_text},
    };
}

static grpc_op recv_message_op(RpcCall *call)
{
    return (grpc_op){.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &call->answer};
}

RpcCall *rpc_unary(RpcChannel *channel, const char *method, Bytes *request, uint32_t deadline_ms,
                   RpcDone done, void *context)
{
    gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(deadline_ms, GPR_TIMESPAN));
    RpcCall *call = call_new(channel, method, deadline, done, context);
    call->answer_counts = true;
    grpc_byte_buffer *message = rpc_buffer_of(request);
    grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &call->initial_metadata},
        recv_message_op(call),
        recv_status_op(call),
    };
    call_start(call, ops, sizeof(ops) / sizeof(ops[0]), &call->finished);
    grpc_byte_buffer_destroy(message);
    return call;
}

static void stream_started(Mail *mail, bool ok)
{
    (void)ok;
    RpcCall *call = CONTAINER_OF(mail, RpcCall, started);
    call->pending--;
    call_free(call);
}

static void stream_receive(RpcCall *call)
{
    grpc_op op = recv_message_op(call);
    call_start(call, &op, 1, &call->received);
}

static void stream_received(Mail *mail, bool ok)
{
    RpcCall *call = CONTAINER_OF(mail, RpcCall, received);
    call->pending--;
    /* Once cancelled it reads no more: the queue may not take another batch. */
    bool more = ok && call->answer != NULL && call->done != NULL;
    grpc_byte_buffer_destroy(TAKE(call->answer));
    if (more) {
        stream_receive(call);
    } else {
        call_free(call);
    }
}

RpcCall *rpc_hold_stream(RpcChannel *channel, const char *method, Bytes *request, RpcDone done,
                         void *context)
{
    RpcCall *call = call_new(channel, method, gpr_inf_future(GPR_CLOCK_MONOTONIC), done, context);
    call->started.deliver = stream_started;
    call->received.deliver = stream_received;
    grpc_byte_buffer *message = rpc_buffer_of(request);
    grpc_op start[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &call->initial_metadata},
    };
    grpc_op finish = recv_status_op(call);
    call_start(call, start, sizeof(start) / sizeof(start[0]), &call->started);
    call_start(call, &finish, 1, &call->finished);
    stream_receive(call);
    grpc_byte_buffer_destroy(message);
    return call;
}

void rpc_call_cancel(RpcCall *call)
{
    if (call != NULL) {
        call->done = NULL;
        grpc_call_cancel(call->call, NULL);
    }
}
