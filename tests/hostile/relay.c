/* A hostile relay: see relay.h.
 *
 *   hostile_relay TRICK DATA HOST:PORT [HOST:PORT] [STOLEN_IDENTITY]
 *
 *   node 0 <--- gate, gRPC ---> relay <--- gate, gRPC ---> node 1
 *                                 |
 *                            stdin: "go"     stdout: "up", "down 0: why", "did ..."
 *
 * DATA is the directory of a member, as `chat_node join --only` makes it. Each node sees a member
 * under its own name and key, which tells it what the other tells: so until "go" they are in step
 * by it alone. Where a link is lost both are, and it dials again. It runs until it is killed. */
#include "relay.h"

#include "base/random.h"
#include "io/network_dir.h"
#include "io/wire.h"

#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { REDIAL_MS = 500 };

static const char HELLO_DOMAIN[] = "chat_node hello 1";

[[gnu::noreturn]] static void give_up(const char *why, const char *what)
{
    fprintf(stderr, "hostile_relay: %s: %s\n", why, what);
    exit(1);
}

void relay_tell(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

/* ---- sending ---- */

void end_send(End *end, Bytes *frame)
{
    if (end->stream == NULL) {
        bytes_unref(frame);
        return;
    }
    if (!end->sending) {
        end->sending = true;
        rpc_stream_send(end->stream, frame);
        bytes_unref(frame);
        return;
    }
    end->queue = mem_resize(end->queue, end->queue_count + 1, sizeof(Bytes *));
    end->queue[end->queue_count++] = frame;
}

void end_send_frame(End *end, const Chat__Frame *frame)
{
    Bytes *bytes = bytes_new_empty(chat__frame__get_packed_size(frame));
    chat__frame__pack(frame, bytes_fill(bytes));
    end_send(end, bytes);
}

static void on_sent(void *context)
{
    End *end = context;
    end->sending = false;
    if (end->queue_count > 0) {
        Bytes *frame = end->queue[0];
        end->queue_count--;
        memmove(end->queue, end->queue + 1, end->queue_count * sizeof(Bytes *));
        end_send(end, frame);
    }
}

/* ---- the hello ---- */

void relay_sign_hello(const Relay *relay, const uint8_t binding[GATE_BINDING_BYTES],
                      uint8_t ret_signature[EVENT_SIGNATURE_BYTES])
{
    uint8_t words[sizeof(HELLO_DOMAIN) + 1 + GATE_BINDING_BYTES];
    memcpy(words, HELLO_DOMAIN, sizeof(HELLO_DOMAIN));
    words[sizeof(HELLO_DOMAIN)] = 1; /* it always dials */
    memcpy(words + sizeof(HELLO_DOMAIN) + 1, binding, GATE_BINDING_BYTES);
    crypto_sign_detached(ret_signature, NULL, words, sizeof(words), relay->signer.secret);
}

static Chat__Frame *frame_of(const Bytes *bytes)
{
    Chat__Frame *frame = chat__frame__unpack(NULL, bytes_len(bytes), bytes_data(bytes));
    if (frame == NULL || frame->hello == NULL) {
        give_up("its first frame", "no hello");
    }
    return frame;
}

/* Says what the other node has said of what it holds. */
static void greet(Relay *relay, End *end)
{
    const End *other = &relay->ends[relay->ends_count - 1 - end->index];
    Chat__Frame *theirs = frame_of(other->hello);
    uint8_t signature[EVENT_SIGNATURE_BYTES];
    Chat__LinkHello hello = CHAT__LINK_HELLO__INIT;
    Chat__Frame frame = CHAT__FRAME__INIT;
    relay_sign_hello(relay, end->peer.binding, signature);
    hello.version = theirs->hello->version;
    hello.network = (ProtobufCBinaryData){EVENT_NETWORK_BYTES, relay->network};
    hello.key = (ProtobufCBinaryData){EVENT_KEY_BYTES, relay->signer.public_key};
    hello.epoch = relay->epoch;
    hello.root = theirs->hello->root;
    hello.node_id = (ProtobufCBinaryData){NODE_ID_BYTES, relay->node_id.bytes};
    hello.name = (char *)(uintptr_t) "mallory";
    hello.binding = (ProtobufCBinaryData){sizeof(signature), signature};
    if (relay->trick->hello != NULL) {
        relay->trick->hello(relay, end, &hello);
    }
    frame.hello = &hello;
    end_send_frame(end, &frame);
    chat__frame__free_unpacked(theirs, NULL);
}

static void greet_all(Relay *relay)
{
    for (size_t i = 0; i < relay->ends_count; i++) {
        if (relay->ends[i].hello == NULL) {
            return;
        }
    }
    for (size_t i = 0; i < relay->ends_count; i++) {
        greet(relay, &relay->ends[i]);
    }
    relay->greeted = true;
    relay_tell("up");
}

/* ---- carrying ---- */

Seen *relay_seen(Relay *relay, const uint8_t origin[EVENT_KEY_BYTES])
{
    Seen *newest = NULL;
    for (size_t i = 0; i < relay->seen_count; i++) {
        Seen *seen = &relay->seen[i];
        if (memcmp(seen->stream.origin, origin, EVENT_KEY_BYTES) == 0 &&
            (newest == NULL || seen->stream.epoch > newest->stream.epoch)) {
            newest = seen;
        }
    }
    return newest;
}

static void note_event(Relay *relay, const LogEvent *event)
{
    size_t i = 0;
    while (i < relay->seen_count &&
           stream_id_compare(&relay->seen[i].stream, &event->fields.stream) != 0) {
        i++;
    }
    if (i == SEEN_MAX) {
        give_up("too many streams", "for a test");
    }
    relay->seen_count = i == relay->seen_count ? i + 1 : relay->seen_count;
    if (event->fields.seq >= relay->seen[i].seq) {
        relay->seen[i] = (Seen){event->fields.stream, event->fields.seq, event->hash};
    }
}

static void note_runs(Relay *relay, const End *from, const uint8_t *data, size_t len)
{
    FrameIn frame;
    const char *reason = "";
    if (frame_decode(data, len, &frame, &reason) != ERR_OK) {
        give_up("what a node sends", reason);
    }
    for (size_t i = 0; i < frame.runs_count; i++) {
        note_event(relay, frame.runs[i].events[frame.runs[i].count - 1]);
        if (from->index == 0 && relay->kept_count < KEPT_RUNS_MAX) {
            relay->kept[relay->kept_count++] =
                frame_encode(&(FrameOut){.runs = &frame.runs[i], .runs_count = 1});
        }
    }
    if (frame.has_bye) {
        relay_tell("bye %zu: %s", from->index, frame.bye);
    }
    frame_done(&frame);
}

static void carry(Relay *relay, const End *from, const uint8_t *data, size_t len)
{
    End *to = &relay->ends[relay->ends_count - 1 - from->index];
    note_runs(relay, from, data, len);
    if (to == from || to->stream == NULL) {
        return;
    }
    Chat__Frame *frame = chat__frame__unpack(NULL, len, data);
    if (!relay->going || relay->trick->frame == NULL ||
        relay->trick->frame(relay, from, to, frame)) {
        end_send_frame(to, frame);
    }
    chat__frame__free_unpacked(frame, NULL);
}

static void on_received(void *context, const uint8_t *data, size_t len)
{
    End *end = context;
    if (end->hello == NULL) {
        end->hello = bytes_new(data, len);
        greet_all(end->relay);
        return;
    }
    carry(end->relay, end, data, len);
}

/* ---- dialling ---- */

static void dial(End *end);

static void end_close(End *end)
{
    gate_call_cancel(TAKE(end->dialling));
    rpc_stream_close(TAKE(end->stream), RPC_OK, "");
    if (end->channel != NULL) {
        rpc_channel_close(TAKE(end->channel));
    }
    for (size_t i = 0; i < end->queue_count; i++) {
        bytes_unref(end->queue[i]);
    }
    end->queue_count = 0;
    end->sending = false;
    bytes_unref(TAKE(end->hello));
}

static void on_redial(uv_timer_t *timer)
{
    Relay *relay = timer->data;
    for (size_t i = 0; i < relay->ends_count; i++) {
        dial(&relay->ends[i]);
    }
}

static void end_lost(End *end, const char *text)
{
    Relay *relay = end->relay;
    relay_tell("down %zu: %s", end->index, text);
    relay->greeted = false;
    for (size_t i = 0; i < relay->ends_count; i++) {
        end_close(&relay->ends[i]);
    }
    uv_timer_start(&relay->redial, on_redial, REDIAL_MS, 0);
}

static void on_ended(void *context, int code, const char *text)
{
    End *end = context;
    (void)code;
    end->stream = NULL;
    end_lost(end, text);
}

static const RpcStreamEvents STREAM_EVENTS = {
    .received = on_received, .sent = on_sent, .ended = on_ended};

static void on_dialled(void *context, Err err, int fd, const GatePeer *peer, const char *text)
{
    End *end = context;
    end->dialling = NULL;
    if (err != ERR_OK) {
        end_lost(end, text);
        return;
    }
    end->peer = *peer;
    if (end->relay->going && end->relay->trick->speak != NULL &&
        end->index == end->relay->ends_count - 1) {
        end->relay->trick->speak(fd);
        close(fd);
        dial(end);
        return;
    }
    end->channel = rpc_channel_adopt(end->relay->rpc, fd, true);
    end->stream = rpc_stream_open(end->channel, WIRE_LINK, &STREAM_EVENTS, end);
}

static void dial(End *end)
{
    if (end->dialling == NULL && end->channel == NULL) {
        end->dialling = gate_dial(end->relay->gate, end->host, end->port, on_dialled, end);
    }
}

void end_redial(End *end)
{
    end_close(end);
    dial(end);
}

/* Of those whom it dials: it asks nobody for a reason. */
static void on_knocked(void *context, GateKnock *knock, const GatePeer *peer, const uint8_t *proof,
                       size_t len)
{
    (void)context;
    (void)peer;
    (void)proof;
    (void)len;
    gate_let_in(knock);
}

static const GateEvents GATE_EVENTS = {.knocked = on_knocked};

/* ---- the word ---- */

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *ret_buffer)
{
    static char room[256];
    (void)handle;
    (void)size;
    *ret_buffer = uv_buf_init(room, sizeof(room));
}

static void on_word(uv_stream_t *stream, ssize_t count, const uv_buf_t *buffer)
{
    Relay *relay = stream->data;
    if (count <= 0) {
        uv_read_stop(stream);
        return;
    }
    if (memmem(buffer->base, (size_t)count, "go", 2) != NULL && !relay->going) {
        relay->going = true;
        relay_tell("going");
        if (relay->trick->go != NULL) {
            relay->trick->go(relay);
        }
    }
}

/* ---- life ---- */

static void read_seed(const char *path, uint8_t seed[EVENT_SEED_BYTES])
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fread(seed, 1, EVENT_SEED_BYTES, file) != EVENT_SEED_BYTES) {
        give_up("cannot read", path);
    }
    fclose(file);
}

static void open_gate(Relay *relay, Loop *loop, const char *directory)
{
    AUTO_FREE char *path = mem_alloc(strlen(directory) + sizeof("/identity"));
    uint8_t seed[EVENT_SEED_BYTES];
    NetworkFile network = {0};
    const char *reason = "";
    char *error = NULL;
    stpcpy(stpcpy(path, directory), "/identity");
    read_seed(path, seed);
    event_signer_init(&relay->signer, seed);
    if (network_file_load(directory, &network, &error) != ERR_OK) {
        give_up(directory, error != NULL ? error : "of no network");
    }
    if (members_new(bytes_data(network.genesis), bytes_len(network.genesis), &relay->members,
                    &reason) != ERR_OK) {
        give_up(directory, reason);
    }
    memcpy(relay->network, members_network(relay->members), sizeof(relay->network));
    if (gate_open(&(GateOptions){.loop = loop,
                                 .seed = seed,
                                 .network = relay->network,
                                 .connections_max = 16,
                                 .events = &GATE_EVENTS,
                                 .context = relay},
                  &relay->gate, &error) != ERR_OK) {
        give_up("the gate", error);
    }
    gate_set_proof(relay->gate, network.proof);
    network_file_done(&network);
    sodium_memzero(seed, sizeof(seed));
}

static void take_end(Relay *relay, const char *address)
{
    const char *colon = strrchr(address, ':');
    End *end = &relay->ends[relay->ends_count];
    if (colon == NULL || (size_t)(colon - address) >= sizeof(end->host)) {
        give_up("not an address", address);
    }
    end->relay = relay;
    end->index = relay->ends_count++;
    memcpy(end->host, address, (size_t)(colon - address));
    end->port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

static void take_arguments(Relay *relay, int argc, char **argv)
{
    uint8_t seed[EVENT_SEED_BYTES];
    while (relay->trick->name != NULL && strcmp(relay->trick->name, argv[1]) != 0) {
        relay->trick++;
    }
    if (relay->trick->name == NULL) {
        give_up("no such trick", argv[1]);
    }
    for (int i = 3; i < argc && i < 3 + ENDS_MAX; i++) {
        take_end(relay, argv[i]);
    }
    if (argc > 3 + ENDS_MAX) {
        read_seed(argv[3 + ENDS_MAX], seed);
        event_signer_init(&relay->stolen, seed);
    }
}

int main(int argc, char **argv)
{
    static Relay relay = {.trick = TRICKS};
    static uv_pipe_t input;
    if (argc < 4 || sodium_init() < 0) {
        give_up("usage", "hostile_relay TRICK DATA HOST:PORT [HOST:PORT] [STOLEN_IDENTITY]");
    }
    signal(SIGPIPE, SIG_IGN);
    take_arguments(&relay, argc, argv);
    random_bytes(relay.node_id.bytes, sizeof(relay.node_id.bytes));
    relay.epoch = (uint64_t)loop_wall_ms() << 16;

    Loop *loop = loop_new();
    relay.rpc = rpc_open(loop);
    open_gate(&relay, loop, argv[2]);
    uv_timer_init(loop_uv(loop), &relay.redial);
    relay.redial.data = &relay;
    uv_pipe_init(loop_uv(loop), &input, 0);
    input.data = &relay;
    if (uv_pipe_open(&input, 0) == 0) {
        uv_read_start((uv_stream_t *)&input, on_room, on_word);
    }
    on_redial(&relay.redial);
    loop_run(loop);
    return 0;
}
