/* The gRPC library's life: start, waiting for what it completes, the end. */
#include "io/rpc_internal.h"

#include "base/log.h"
#include "base/text.h"

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/log.h>
#include <grpc/support/time.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* Delivered before the loop looks at its descriptors and timers again. */
    COMPLETIONS_MAX = 256,
    /* Of a status: a sentence or two. The library takes as much as its headers have room for. */
    STATUS_WORDS_MAX_BYTES = 500,
};

/* Delivers the next completion; false: none comes before then, or ever. */
static bool rpc_deliver(Rpc *rpc, gpr_timespec until)
{
    grpc_event event = grpc_completion_queue_next(rpc->queue, until, NULL);
    if (event.type != GRPC_OP_COMPLETE) {
        return false;
    }
    loop_awake(rpc->loop);
    Mail *mail = event.tag;
    if (mail != NULL) { /* not a kick */
        TAG_BACK(mail);
        mail->deliver(mail, event.success != 0);
    }
    return true;
}

/* The owner thread's place to wait. */
static void rpc_wait(void *context, int timeout_ms)
{
    Rpc *rpc = context;
    gpr_timespec now = gpr_time_0(GPR_CLOCK_MONOTONIC);
    gpr_timespec until = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (timeout_ms >= 0) {
        until = timeout_ms == 0 ? now
                                : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                               gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    }
    for (int i = 0; i < COMPLETIONS_MAX && rpc_deliver(rpc, until); i++) {
        until = now; /* the rest is only what is there */
    }
}

/* A batch of nothing is complete at once, on whichever thread it is started. */
static void rpc_kick(void *context)
{
    Rpc *rpc = context;
    grpc_call_start_batch(rpc->bell, NULL, 0, NULL, NULL);
}

/* The library's own messages are for whoever looks into the network, not for the chat. */
static void rpc_log(gpr_log_func_args *args)
{
    log_debug("grpc: %s", args->message);
}

Rpc *rpc_open(Loop *loop)
{
    /* The system's resolver knows what getaddrinfo knows: /etc/hosts, mDNS, VPN names. */
    setenv("GRPC_DNS_RESOLVER", "native", 0);
    gpr_set_log_function(rpc_log);
    gpr_set_log_verbosity(log_enabled(LOG_DEBUG) ? GPR_LOG_SEVERITY_INFO : GPR_LOG_SEVERITY_ERROR);
    /* The threads started here inherit the mask: signals are the owner thread's. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    grpc_init();
    Rpc *rpc = mem_new(Rpc);
    rpc->loop = loop;
    rpc->queue = grpc_completion_queue_create_for_next(NULL);
    rpc->nowhere = grpc_lame_client_channel_create("nowhere", GRPC_STATUS_UNAVAILABLE, "");
    rpc->bell = grpc_channel_create_call(rpc->nowhere, NULL, GRPC_PROPAGATE_DEFAULTS, rpc->queue,
                                         grpc_slice_from_static_string("/bell"), NULL,
                                         gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    rpc_streams_init(rpc);
    loop_set_waiter(loop, &(LoopWaiter){.wait = rpc_wait, .kick = rpc_kick, .context = rpc});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rpc;
}

void rpc_close(Rpc *rpc, void (*done)(void *context), void *context)
{
    rpc->done = done;
    rpc->context = context;
    rpc->closing = true;
    rpc_streams_close(rpc);
}

/* What is left completes by itself, and soon: all of it is cancelled or closed. */
void rpc_streams_closed(Rpc *rpc)
{
    loop_set_waiter(rpc->loop, NULL);
    grpc_call_unref(rpc->bell);
    grpc_channel_destroy(rpc->nowhere);
    grpc_completion_queue_shutdown(rpc->queue);
    while (rpc_deliver(rpc, gpr_inf_future(GPR_CLOCK_MONOTONIC))) {
    }
    grpc_completion_queue_destroy(rpc->queue);
    grpc_shutdown_blocking();
    rpc->done(rpc->context);
    mem_free(rpc);
}

void rpc_start_batch(grpc_call *call, const grpc_op *ops, size_t count, Mail *mail)
{
    TAG_GIVEN(mail);
    grpc_call_error error = grpc_call_start_batch(call, ops, count, mail, NULL);
    if (error != GRPC_CALL_OK) {
        fprintf(stderr, "chat_node: grpc_call_start_batch: %s\n", grpc_call_error_to_string(error));
        abort();
    }
}

static void rpc_release_bytes(void *bytes)
{
    bytes_unref(bytes);
}

static grpc_slice slice_of_part(Bytes *bytes, size_t offset, size_t len)
{
    bytes_ref(bytes);
    void *start = (void *)(uintptr_t)(bytes_data(bytes) + offset);
    return grpc_slice_new_with_user_data(start, len, rpc_release_bytes, bytes);
}

grpc_slice rpc_slice_of(Bytes *bytes)
{
    return slice_of_part(bytes, 0, bytes_len(bytes));
}

grpc_byte_buffer *rpc_buffer_of_part(Bytes *bytes, size_t offset, size_t len)
{
    grpc_slice slice = slice_of_part(bytes, offset, len);
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

grpc_byte_buffer *rpc_buffer_of(Bytes *bytes)
{
    return rpc_buffer_of_part(bytes, 0, bytes_len(bytes));
}

grpc_slice rpc_buffer_read(grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        return grpc_empty_slice();
    }
    grpc_slice all = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    return all;
}

grpc_arg rpc_int_arg(const char *key, int value)
{
    return (grpc_arg){
        .type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

size_t rpc_common_args(grpc_arg *args)
{
    size_t count = 0;
    args[count++] = rpc_int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_MAX_BYTES);
    /* Compressing each line by itself triples what its delivery costs and saves nothing. */
    args[count++] = rpc_int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1);
    /* What nobody looks at costs each message a visit. */
    args[count++] = rpc_int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0);
    args[count++] = rpc_int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
    args[count++] = rpc_int_arg(GRPC_ARG_ENABLE_CENSUS, 0);
    /* 0: as many pings without data as keepalive wants; the default stops after two. */
    args[count++] = rpc_int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    return count;
}

/* ---- codes ---- */

int rpc_code_of(Err err)
{
    switch (err) {
    case ERR_OK:
        return RPC_OK;
    case ERR_INVALID:
        return RPC_INVALID_ARGUMENT;
    case ERR_DENIED:
        return RPC_PERMISSION_DENIED;
    case ERR_LIMIT:
        return RPC_RESOURCE_EXHAUSTED;
    default:
        return RPC_UNAVAILABLE;
    }
}

char *rpc_status_words(grpc_slice text)
{
    const char *words = (const char *)GRPC_SLICE_START_PTR(text);
    size_t len = GRPC_SLICE_LENGTH(text);
    if (len > STATUS_WORDS_MAX_BYTES) {
        len = STATUS_WORDS_MAX_BYTES;
        while (len > 0 && (words[len] & 0xc0) == 0x80) {
            len--; /* never within a character */
        }
    }
    StrBuf safe = {0};
    text_sanitise(&safe, words, len);
    return strbuf_take(&safe);
}
