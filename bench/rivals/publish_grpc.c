/* ChatService's two ways to say a line: SendMessage, one call each, and Publish, a stream of them.
 * Both answer when the line is on the disk. */
#include "publish.h"

enum {
    JOIN_BYTES = 32768,
    BODY_MAX = 65536,
    MESSAGE_SLACK = 64, /* a MessageRequest is so much longer than its content, at most */
};

static bool is_stream(const Writer *writer)
{
    return writer->bench->options.protocol == &PUBLISH_GRPC_BATCH;
}

/* The n-th call of a connection has stream 2n + 1. */
static uint64_t number_of(uint32_t stream)
{
    return stream / 2;
}

/* ---- what comes ---- */

/* A Refusal of a PublishResponse; its message is among the answered, too. */
static void on_refused(Writer *writer, const Field *refusal)
{
    if (writer->bench->refused++ > 0) {
        return; /* one is enough to read */
    }
    Field field;
    for (size_t at = 0, took = 1; at < refusal->len && took > 0; at += took) {
        took = field_read(refusal->bytes + at, refusal->len - at, &field);
        if (took > 0 && field.number == FIELD_REFUSAL_TEXT) {
            complain("refused: %.*s", (int)field.len, field.bytes);
        }
    }
}

static void on_field(void *context, const Field *field)
{
    Writer *writer = context;
    if (field->number == FIELD_ANSWERED && field->wire == WIRE_VARINT) {
        while (writer->done < field->value && writer->done < writer->sent) {
            writer_acknowledged(writer, writer->done);
        }
    } else if (field->number == FIELD_REFUSED) {
        on_refused(writer, field);
    }
}

static void on_message(void *context)
{
    (void)context;
}

static void on_malformed(void *context)
{
    (void)context;
    give_up("the answer is malformed");
}

static const GrpcHooks GRPC_HOOKS = {on_field, on_message, on_malformed};

static void on_ready(void *context)
{
    Writer *writer = context;
    if (is_stream(writer)) {
        writer->stream = h2_open(&writer->h2, "Publish");
    }
    writer_ready(writer);
}

static void on_data(void *context, uint32_t stream, const char *bytes, size_t len)
{
    Writer *writer = context;
    if (is_stream(writer)) {
        grpc_reader_take(&writer->reader, bytes, len, &GRPC_HOOKS, writer);
    } else {
        writer->said[number_of(stream) % IN_FLIGHT_MAX] = true;
    }
}

static void on_end(void *context, uint32_t stream, const char *words)
{
    Writer *writer = context;
    uint64_t number = number_of(stream);
    if (is_stream(writer)) {
        give_up("the stream has ended: %s", words);
    }
    if (writer->said[number % IN_FLIGHT_MAX]) {
        writer_acknowledged(writer, number);
    } else {
        writer_refused(writer, number, words);
    }
}

static const H2Hooks H2_HOOKS = {on_ready, on_data, on_end};

static void grpc_hello(Writer *writer)
{
    writer->h2 = (H2){
        .connection = &writer->connection,
        .hooks = &H2_HOOKS,
        .context = writer,
        .authority = writer->bench->authority,
        .service = writer->bench->options.service,
    };
    h2_start(&writer->h2);
}

static size_t grpc_parse(Writer *writer, char *bytes, size_t len)
{
    return h2_read(&writer->h2, bytes, len);
}

/* ---- what goes ---- */

static void unary_publish(Writer *writer, uint64_t number, const char *payload, size_t len)
{
    writer->said[number % IN_FLIGHT_MAX] = false;
    writer->gathered.len = 0;
    message_put(&writer->gathered, payload, len);
    h2_request(&writer->h2, "SendMessage", writer->gathered.bytes, writer->gathered.len);
}

static bool unary_has_room(const Writer *writer)
{
    return h2_takes(&writer->h2, writer->bench->options.payload_bytes + MESSAGE_SLACK,
                    (unsigned)(writer->sent - writer->done));
}

static void stream_gather(Writer *writer)
{
    if (writer->gathered.len > 0) {
        h2_send(&writer->h2, writer->gathered.bytes, writer->gathered.len);
        writer->gathered.len = 0;
    }
}

static void stream_publish(Writer *writer, uint64_t number, const char *payload, size_t len)
{
    (void)number;
    field_put_head(&writer->gathered, FIELD_MESSAGES, message_len(len));
    message_put(&writer->gathered, payload, len);
    if (writer->gathered.len >= JOIN_BYTES) {
        stream_gather(writer);
    }
}

static bool stream_has_room(const Writer *writer)
{
    return writer->h2.body.len < BODY_MAX;
}

const Protocol PUBLISH_GRPC = {.name = "grpc",
                               .port = 50051,
                               .hello = grpc_hello,
                               .parse = grpc_parse,
                               .publish = unary_publish,
                               .has_room = unary_has_room};
const Protocol PUBLISH_GRPC_BATCH = {.name = "grpc-batch",
                                     .port = 50051,
                                     .hello = grpc_hello,
                                     .parse = grpc_parse,
                                     .publish = stream_publish,
                                     .gather = stream_gather,
                                     .has_room = stream_has_room};
