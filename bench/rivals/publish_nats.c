/* NATS JetStream over its plain client protocol: a stream in files, and an acknowledgement of each
 * message to an inbox that names the writer and the message.
 *
 * It comes when the message is in the file as far as the process knows: the server hands it to the
 * disk by itself only every two minutes (sync_interval). */
#include "nats.h"
#include "publish.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void nats_hello(Writer *writer)
{
    connection_put_text(&writer->connection,
                        "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"w%u\",\"lang\":"
                        "\"c\",\"version\":\"0\",\"protocol\":1}\r\nSUB ack.%u.* 1\r\nPING\r\n",
                        writer->id, writer->id);
}

/* The first writer makes the stream, the others wait for it. */
static void nats_make_stream(Writer *writer)
{
    static const char stream[] = "{\"name\":\"bench\",\"subjects\":[\"room\"],\"storage\":\"file\","
                                 "\"retention\":\"limits\",\"num_replicas\":1}";
    connection_put_text(&writer->connection,
                        "SUB made 2\r\nPUB $JS.API.STREAM.CREATE.bench made %zu\r\n%s\r\n",
                        sizeof(stream) - 1, stream);
    connection_flush(&writer->connection);
}

static void nats_answer(Writer *writer, const char *subject, const char *text, size_t len)
{
    bool error = memmem(text, len, "\"error\"", 7) != NULL;
    if (strncmp(subject, "made ", 5) == 0) {
        if (error) {
            give_up("the stream was not made: %.*s", (int)len, text);
        }
        writer_ready(writer);
        return;
    }
    /* ack.WRITER.NUMBER */
    const char *number = strchr(subject + 4, '.');
    if (number == NULL) {
        return;
    }
    uint64_t which = strtoull(number + 1, NULL, 10);
    if (error) {
        writer_refused(writer, which, text);
    } else {
        writer_acknowledged(writer, which);
    }
}

static void nats_pong(Writer *writer)
{
    if (writer->id == 0) {
        nats_make_stream(writer);
    } else {
        writer_ready(writer);
    }
}

static size_t nats_parse(Writer *writer, char *bytes, size_t len)
{
    size_t used = 0;
    for (;;) {
        char *line = bytes + used;
        char *end = memchr(line, '\n', len - used);
        if (end == NULL) {
            return used;
        }
        size_t took = (size_t)(end - line) + 1;
        if (strncmp(line, "MSG ", 4) == 0) {
            size_t payload = 0;
            took = nats_message(line, end, bytes + len, &payload);
            if (took == 0) {
                return used;
            }
            nats_answer(writer, line + 4, end + 1, payload);
        } else if (strncmp(line, "PING", 4) == 0) {
            connection_put_text(&writer->connection, "PONG\r\n");
            connection_flush(&writer->connection);
        } else if (strncmp(line, "PONG", 4) == 0) {
            nats_pong(writer);
        } else if (*line == '-') {
            complain("%.*s", (int)(end - line), line);
        }
        used += took;
    }
}

static void nats_publish(Writer *writer, uint64_t number, const char *payload, size_t len)
{
    connection_put_text(&writer->connection, "PUB room ack.%u.%" PRIu64 " %zu\r\n", writer->id,
                        number, len);
    connection_put(&writer->connection, payload, len);
    connection_put(&writer->connection, "\r\n", 2);
}

const Protocol PUBLISH_NATS = {.name = "nats-js",
                               .port = 4222,
                               .hello = nats_hello,
                               .parse = nats_parse,
                               .publish = nats_publish};
