/* proto/chat.proto's ChatService, by hand: a real gRPC client would cost more than the servers.
 *
 *   grpc               SendMessage       StreamMessages     one call, one answer for each message
 *   grpc-batch         Publish           Subscribe          many messages in each
 *   grpc-batch-unary   SendMessage       Subscribe */
#include "base/mem.h"
#include "fan.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    CALLS_UNARY = 100,   /* not answered yet, by default */
    CALLS_STREAM = 4096, /* messages not answered yet */
    JOIN_BYTES = 32768,  /* of messages in one PublishRequest */
    BODY_MAX = 65536,    /* that waits for the server's windows */
    MESSAGE_SLACK = 64,  /* a MessageRequest is so much longer than its content, at most */
};

static bool publishes_stream(const Fan *fan)
{
    return fan->options.protocol == &PROTO_GRPC_BATCH;
}

static bool subscribes_batch(const Fan *fan)
{
    return fan->options.protocol != &PROTO_GRPC;
}

/* ---- what a subscriber gets ---- */

/* One MessageResponse of a SubscribeResponse. */
static void on_message_of_batch(Client *client, const Field *message)
{
    Field content = {0};
    uint64_t position = 0;
    Field field;
    size_t at = 0;
    while (at < message->len) {
        size_t took = field_read(message->bytes + at, message->len - at, &field);
        if (took == 0) {
            client_malformed(client);
            return;
        }
        if (field.number == FIELD_CONTENT) {
            content = field;
        } else if (field.number == FIELD_POSITION) {
            position = field.value;
        }
        at += took;
    }
    if (position <= client->position || !client->joined) {
        client_malformed(client); /* no position, or it did not rise; or no first answer came */
        return;
    }
    client->position = position;
    client_delivered(client, content.bytes, content.len);
}

static void on_subscriber_field(void *context, const Field *field)
{
    Client *client = context;
    if (!subscribes_batch(client->fan)) {
        if (field->number == FIELD_CONTENT) {
            client_delivered(client, field->bytes, field->len);
        }
    } else if (field->number == FIELD_MESSAGES && field->wire == WIRE_BYTES) {
        on_message_of_batch(client, field);
    }
}

static void on_subscriber_message(void *context)
{
    client_joined(context);
}

/* ---- what the publisher gets of Publish ---- */

static void on_publisher_field(void *context, const Field *field)
{
    Client *client = context;
    if (field->number == FIELD_ANSWERED && field->wire == WIRE_VARINT) {
        client->answered = field->value;
    } else if (field->number == FIELD_REFUSED) {
        client->fan->call_errors++;
    }
}

static void on_publisher_message(void *context)
{
    (void)context;
}

static void on_malformed(void *context)
{
    client_malformed(context);
}

static const GrpcHooks SUBSCRIBER_HOOKS = {on_subscriber_field, on_subscriber_message,
                                           on_malformed};
static const GrpcHooks PUBLISHER_HOOKS = {on_publisher_field, on_publisher_message, on_malformed};

/* ---- HTTP/2 ---- */

static void on_ready(void *context)
{
    Client *client = context;
    if (client->publishes) {
        if (publishes_stream(client->fan)) {
            client->stream = h2_open(&client->h2, "Publish");
        }
        client_joined(client);
        return;
    }
    /* Another run's may not have been forgotten yet. */
    char id[48];
    int len = snprintf(id, sizeof(id), "subscriber %d of %d", client->id, (int)getpid());
    Buffer request = {0};
    if (subscribes_batch(client->fan)) {
        /* From now on, the lobby: nothing to say. The first answer tells that it is in. */
        client->h2.long_stream = h2_request(&client->h2, "Subscribe", NULL, 0);
    } else {
        field_put(&request, FIELD_SENDER, id, (size_t)len);
        client->h2.long_stream =
            h2_request(&client->h2, "StreamMessages", request.bytes, request.len);
        client_joined(client); /* nothing tells when it is: the probe finds out */
    }
    connection_flush(&client->connection);
    mem_free(request.bytes);
}

static void on_data(void *context, uint32_t stream, const char *bytes, size_t len)
{
    Client *client = context;
    if (!client->publishes) {
        grpc_reader_take(&client->reader, bytes, len, &SUBSCRIBER_HOOKS, client);
    } else if (stream == client->stream) {
        grpc_reader_take(&client->reader, bytes, len, &PUBLISHER_HOOKS, client);
    }
    /* A SendMessage's answer says nothing new: what was said comes to the subscribers. */
}

static void on_end(void *context, uint32_t stream, const char *words)
{
    Client *client = context;
    if (client->publishes && client->calls > 0 && stream != client->stream) {
        client->calls--;
        if (strstr(words, "grpc-message") != NULL) { /* later ones refer to the first: enough */
            client->fan->call_errors++;
            complain("a call has failed: %s", words);
        }
        return;
    }
    client->fan->call_errors++;
    client->fan->closed++;
    complain("the %s's stream has ended: %s", client->publishes ? "publisher" : "subscriber",
             words);
}

static const H2Hooks H2_HOOKS = {on_ready, on_data, on_end};

static void grpc_hello(Client *client)
{
    client->h2 = (H2){
        .connection = &client->connection,
        .hooks = &H2_HOOKS,
        .context = client,
        .authority = client->fan->authority,
        .service = client->fan->options.service,
        .token = client->fan->options.token,
        .small_windows = client->slow,
    };
    h2_start(&client->h2);
}

static size_t grpc_parse(Client *client, char *bytes, size_t len)
{
    return h2_read(&client->h2, bytes, len);
}

/* ---- publishing ---- */

static void publish_unary(Client *client, const char *payload)
{
    Buffer *message = &client->gathered;
    message->len = 0;
    message_put(message, payload, client->fan->options.payload_bytes);
    h2_request(&client->h2, "SendMessage", message->bytes, message->len);
    client->calls++;
}

static bool unary_has_room(const Client *client)
{
    const FanOptions *options = &client->fan->options;
    return client->calls < (options->calls > 0 ? options->calls : CALLS_UNARY) &&
           h2_takes(&client->h2, options->payload_bytes + MESSAGE_SLACK, client->calls);
}

static void gather_stream(Client *client)
{
    if (client->gathered.len > 0) {
        h2_send(&client->h2, client->gathered.bytes, client->gathered.len);
        client->gathered.len = 0;
    }
}

static void publish_stream(Client *client, const char *payload)
{
    size_t len = client->fan->options.payload_bytes;
    Buffer *request = &client->gathered;
    field_put_head(request, FIELD_MESSAGES, message_len(len));
    message_put(request, payload, len);
    client->published++;
    if (request->len >= JOIN_BYTES) {
        gather_stream(client);
    }
}

static bool stream_has_room(const Client *client)
{
    unsigned calls = client->fan->options.calls;
    return client->published - client->answered < (calls > 0 ? calls : CALLS_STREAM) &&
           client->h2.body.len < BODY_MAX;
}

const Protocol PROTO_GRPC = {.name = "grpc",
                             .port = 50051,
                             .hello = grpc_hello,
                             .parse = grpc_parse,
                             .publish = publish_unary,
                             .has_room = unary_has_room};
const Protocol PROTO_GRPC_BATCH = {.name = "grpc-batch",
                                   .port = 50051,
                                   .hello = grpc_hello,
                                   .parse = grpc_parse,
                                   .publish = publish_stream,
                                   .has_room = stream_has_room,
                                   .gather = gather_stream};
const Protocol PROTO_GRPC_BATCH_UNARY = {.name = "grpc-batch-unary",
                                         .port = 50051,
                                         .hello = grpc_hello,
                                         .parse = grpc_parse,
                                         .publish = publish_unary,
                                         .has_room = unary_has_room};
