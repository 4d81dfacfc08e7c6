/* Incoming calls.
 *
 *   [REQUESTS_WAITING slots per method] --request--> RpcServerCall --> method->start
 *                                          |           (rpc_server_call.c)
 *                                          `---------> RpcStream --> method->open
 *
 * Methods are registered with the library, which then hands each call over together with its
 * request, where it has one: one trip through the completion queue rather than two. */
#include "io/rpc_internal.h"

#include "base/log.h"
#include "base/strbuf.h"

#include <grpc/byte_buffer.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <malloc.h>
#include <unistd.h>

enum {
    /* Calls that may arrive between two turns of the loop without waiting in the library. */
    REQUESTS_WAITING = 64,
    SERVER_ARGS_MAX = 16,
    /* A client that has vanished without a word is noticed within half a minute. */
    SERVER_KEEPALIVE_TIME_MS = 20 * 1000,
    SERVER_KEEPALIVE_TIMEOUT_MS = 10 * 1000,
    /* Nodes ping every 2 s; faster is a mistake or malice. */
    PING_INTERVAL_MIN_MS = 1000,
    PING_STRIKES_MAX = 4,
    /* Headers of a call here take some hundred bytes. */
    METADATA_MAX_BYTES = 8 * 1024,
    /* For 10,000 clients at about 31 KiB each, and as much again for what is in flight. */
    SERVER_MEMORY_MAX_BYTES = 640 * 1024 * 1024,
    CLOSE_GRACE_MS = 500,
    LISTENERS_MAX = 4,
    TRIM_QUIET_MS = 250,
};

typedef struct MethodSlot MethodSlot;
struct MethodSlot {
    RpcServer *server;
    const RpcMethod *method; /* NULL: whatever is not registered */
    void *handle;
    grpc_byte_buffer *request;
    gpr_timespec deadline;
    grpc_call *call;
    grpc_metadata_array metadata;
    grpc_call_details details;
    Mail requested;
};

struct RpcServer {
    Rpc *rpc;
    grpc_server *server;
    grpc_server_credentials *credentials; /* none: what needs any has shown it before */
    RpcPeers *peers;
    const grpc_metadata_array *metadata; /* of the call that is being handed over */
    StrBuf metadata_text;
    void *context;
    const RpcMethod *methods;
    size_t methods_count;
    void **handles;
    MethodSlot *slots;
    size_t slots_count;
    size_t slots_waiting;
    RpcListener *listeners[LISTENERS_MAX];
    size_t listeners_count;
    uint32_t connections_max;
    bool started;
    bool closing;
    bool shut;
    Mail shutdown;
    uv_timer_t grace;
    uv_timer_t trim;
    unsigned timers;
    size_t calls;
    size_t busy_since_trim; /* calls, and connections by their weight */
    size_t trims;           /* since it was last busy */
    void (*done)(void *context);
    void *done_context;
};

/* ---- calls ---- */

static void server_check_closed(RpcServer *server);

void rpc_server_hold(RpcServer *server)
{
    server->calls++;
}

void rpc_server_release(RpcServer *server)
{
    server->calls--;
    rpc_server_busy(server, 1);
    server_check_closed(server);
}

/* ---- requests ---- */

static void slot_request(MethodSlot *slot)
{
    TAG_GIVEN(&slot->requested);
    RpcServer *server = slot->server;
    grpc_completion_queue *queue = server->rpc->queue;
    grpc_call_error error;
    if (slot->method != NULL) {
        grpc_byte_buffer **request = slot->method->open == NULL ? &slot->request : NULL;
        error = grpc_server_request_registered_call(server->server, slot->handle, &slot->call,
                                                    &slot->deadline, &slot->metadata, request,
                                                    queue, queue, &slot->requested);
    } else {
        error = grpc_server_request_call(server->server, &slot->call, &slot->details,
                                         &slot->metadata, queue, queue, &slot->requested);
    }
    if (error != GRPC_CALL_OK) {
        log_error("grpc server: %s", grpc_call_error_to_string(error));
        return;
    }
    server->slots_waiting++;
}

static void slot_reset(MethodSlot *slot)
{
    grpc_metadata_array_destroy(&slot->metadata);
    grpc_metadata_array_init(&slot->metadata);
    grpc_call_details_destroy(&slot->details);
    grpc_call_details_init(&slot->details);
    grpc_byte_buffer_destroy(TAKE(slot->request));
    slot->call = NULL;
}

const char *rpc_server_metadata(RpcServer *server, const char *key)
{
    const grpc_metadata_array *metadata = server->metadata;
    for (size_t i = 0; metadata != NULL && i < metadata->count; i++) {
        const grpc_metadata *row = &metadata->metadata[i];
        if (grpc_slice_str_cmp(row->key, key) == 0) {
            strbuf_clear(&server->metadata_text);
            strbuf_add(&server->metadata_text, (const char *)GRPC_SLICE_START_PTR(row->value),
                       GRPC_SLICE_LENGTH(row->value));
            return strbuf_text(&server->metadata_text);
        }
    }
    return NULL;
}

static void slot_serve(MethodSlot *slot)
{
    RpcServer *server = slot->server;
    if (slot->method != NULL && slot->method->open != NULL) {
        rpc_stream_serve(server->rpc, server, TAKE(slot->call), slot->method, server->context);
        return;
    }
    RpcServerCall *call = rpc_server_call_new(server, TAKE(slot->call));
    if (slot->method == NULL) {
        rpc_server_call_answer(call, NULL, RPC_UNIMPLEMENTED,
                               "no such method: see proto/chat.proto");
        return;
    }
    if (slot->request == NULL) {
        rpc_server_call_answer(call, NULL, RPC_INTERNAL, "the call carries no request");
        return;
    }
    grpc_slice request = rpc_buffer_read(slot->request);
    slot->method->start(server->context, call, GRPC_SLICE_START_PTR(request),
                        GRPC_SLICE_LENGTH(request));
    grpc_slice_unref(request);
}

static void slot_requested(Mail *mail, bool ok)
{
    MethodSlot *slot = CONTAINER_OF(mail, MethodSlot, requested);
    RpcServer *server = slot->server;
    server->slots_waiting--;
    if (ok) {
        server->metadata = &slot->metadata;
        slot_serve(slot);
        server->metadata = NULL;
    }
    slot_reset(slot);
    if (ok && !server->closing) {
        slot_request(slot);
    } else {
        server_check_closed(server);
    }
}

/* ---- the server ---- */

static size_t server_args(grpc_arg *args, uint32_t streams_max)
{
    size_t count = rpc_common_args(args);
    args[count++] = rpc_int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)streams_max);
    args[count++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, SERVER_KEEPALIVE_TIME_MS);
    args[count++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, SERVER_KEEPALIVE_TIMEOUT_MS);
    args[count++] = rpc_int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    args[count++] =
        rpc_int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_INTERVAL_MIN_MS);
    args[count++] = rpc_int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, PING_STRIKES_MAX);
    args[count++] = rpc_int_arg(GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX_BYTES);
    return count;
}

static void server_register(RpcServer *server)
{
    server->handles = mem_array(server->methods_count, sizeof(void *));
    server->slots_count = (server->methods_count + 1) * REQUESTS_WAITING;
    server->slots = mem_array(server->slots_count, sizeof(MethodSlot));
    for (size_t i = 0; i < server->methods_count; i++) {
        const RpcMethod *method = &server->methods[i];
        server->handles[i] = grpc_server_register_method(
            server->server, method->path, NULL,
            method->open != NULL ? GRPC_SRM_PAYLOAD_NONE
                                 : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
            0);
    }
    for (size_t i = 0; i < server->slots_count; i++) {
        MethodSlot *slot = &server->slots[i];
        size_t method = i / REQUESTS_WAITING;
        slot->server = server;
        slot->requested.deliver = slot_requested;
        grpc_metadata_array_init(&slot->metadata);
        grpc_call_details_init(&slot->details);
        if (method < server->methods_count) {
            slot->method = &server->methods[method];
            slot->handle = server->handles[method];
        }
    }
}

/* Thousands of clients that leave would otherwise leave their memory behind, in pieces. It is given
 * back when it has been quiet for a moment, and again later for what takes longer to close; then
 * there is nothing more to do, and no wake-up. */
static void server_trim(uv_timer_t *timer)
{
    static const uint64_t delays_ms[] = {TRIM_QUIET_MS, 2000, 10000};
    RpcServer *server = timer->data;
    if (server->busy_since_trim > 0) {
        server->busy_since_trim = 0;
        server->trims = 0;
    } else {
        malloc_trim(0);
        server->trims++;
    }
    if (server->trims < sizeof(delays_ms) / sizeof(delays_ms[0])) {
        uv_timer_start(timer, server_trim, delays_ms[server->trims], 0);
    }
}

void rpc_server_busy(RpcServer *server, size_t weight)
{
    server->busy_since_trim += weight;
    if (server->busy_since_trim >= RPC_TRIM_WEIGHT && !server->closing &&
        !uv_is_active((uv_handle_t *)&server->trim)) {
        server->trims = 0;
        uv_timer_start(&server->trim, server_trim, TRIM_QUIET_MS, 0);
    }
}

static void server_shut(Mail *mail, bool ok)
{
    (void)ok;
    RpcServer *server = CONTAINER_OF(mail, RpcServer, shutdown);
    server->shut = true;
    server_check_closed(server);
}

RpcServer *rpc_server_new(Rpc *rpc, const RpcServerOptions *options)
{
    grpc_arg items[SERVER_ARGS_MAX];
    size_t count = server_args(items, options->streams_max);
    grpc_resource_quota *quota = grpc_resource_quota_create("clients");
    grpc_resource_quota_resize(quota, SERVER_MEMORY_MAX_BYTES);
    items[count++] = (grpc_arg){
        .type = GRPC_ARG_POINTER,
        .key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA,
        .value.pointer = {.p = quota, .vtable = grpc_resource_quota_arg_vtable()},
    };
    grpc_channel_args args = {.num_args = count, .args = items};

    RpcServer *server = mem_new(RpcServer);
    server->rpc = rpc;
    server->context = options->context;
    server->methods = options->methods;
    server->methods_count = options->methods_count;
    server->connections_max = options->connections_max;
    server->shutdown.deliver = server_shut;
    server->server = grpc_server_create(&args, NULL);
    server->credentials = grpc_insecure_server_credentials_create();
    server->peers = rpc_peers_new();
    grpc_resource_quota_unref(quota);
    grpc_server_register_completion_queue(server->server, rpc->queue, NULL);
    server_register(server);
    uv_timer_init(loop_uv(rpc->loop), &server->grace);
    server->grace.data = server;
    uv_timer_init(loop_uv(rpc->loop), &server->trim);
    server->trim.data = server;
    server->timers = 2;
    return server;
}

static Err server_listen(RpcServer *server, const RpcListenerOptions *options, char **ret_text)
{
    if (server->listeners_count == LISTENERS_MAX) {
        *ret_text = mem_copy_string("too many addresses to listen on");
        return ERR_LIMIT;
    }
    RpcListener **listener = &server->listeners[server->listeners_count];
    Err err = rpc_listener_open(server->rpc->loop, options, listener, ret_text);
    if (err == ERR_OK) {
        server->listeners_count++;
        if (server->started) {
            rpc_listener_start(*listener);
        }
    }
    return err;
}

Err rpc_server_listen(RpcServer *server, const char *address, uint16_t port, char **ret_text)
{
    RpcListenerOptions options = {
        .server = server,
        .address = address,
        .port = port,
        .connections_max = server->connections_max,
    };
    return server_listen(server, &options, ret_text);
}

Err rpc_server_listen_unix(RpcServer *server, const char *path, char **ret_text)
{
    RpcListenerOptions options = {
        .server = server,
        .path = path,
        .connections_max = server->connections_max,
    };
    return server_listen(server, &options, ret_text);
}

void rpc_server_take(RpcServer *server, int fd, const RpcPeer *peer)
{
    rpc_server_busy(server, RPC_TRIM_WEIGHT);
    rpc_peers_set(server->peers, fd, peer);
    grpc_server_add_channel_from_fd(server->server, fd, server->credentials);
}

void rpc_server_adopt(RpcServer *server, int fd, const RpcPeer *peer)
{
    if (server->closing) {
        close(fd);
        return;
    }
    rpc_server_take(server, fd, peer);
}

const RpcPeers *rpc_server_peers(const RpcServer *server)
{
    return server->peers;
}

void rpc_server_start(RpcServer *server)
{
    grpc_server_start(server->server);
    server->started = true;
    for (size_t i = 0; i < server->listeners_count; i++) {
        rpc_listener_start(server->listeners[i]);
    }
    for (size_t i = 0; i < server->slots_count; i++) {
        slot_request(&server->slots[i]);
    }
}

static void server_timer_closed(uv_handle_t *handle)
{
    RpcServer *server = handle->data;
    if (--server->timers > 0) {
        return;
    }
    for (size_t i = 0; i < server->slots_count; i++) {
        grpc_metadata_array_destroy(&server->slots[i].metadata);
        grpc_call_details_destroy(&server->slots[i].details);
    }
    grpc_server_destroy(server->server);
    grpc_server_credentials_release(server->credentials);
    rpc_peers_free(server->peers);
    strbuf_done(&server->metadata_text);
    server->done(server->done_context);
    mem_free(server->slots);
    mem_free(server->handles);
    mem_free(server);
}

static void server_check_closed(RpcServer *server)
{
    if (server->closing && server->shut && server->slots_waiting == 0 && server->calls == 0 &&
        !uv_is_closing((uv_handle_t *)&server->grace)) {
        uv_close((uv_handle_t *)&server->grace, server_timer_closed);
        uv_close((uv_handle_t *)&server->trim, server_timer_closed);
    }
}

static void server_grace_over(uv_timer_t *timer)
{
    RpcServer *server = timer->data;
    grpc_server_cancel_all_calls(server->server);
}

void rpc_server_close(RpcServer *server, void (*done)(void *context), void *context)
{
    for (size_t i = 0; i < server->listeners_count; i++) {
        rpc_listener_close(server->listeners[i]);
    }
    server->closing = true;
    server->done = done;
    server->done_context = context;
    TAG_GIVEN(&server->shutdown);
    grpc_server_shutdown_and_notify(server->server, server->rpc->queue, &server->shutdown);
    uv_timer_start(&server->grace, server_grace_over, CLOSE_GRACE_MS, 0);
}
