/* NATS, its plain client protocol: one subject. */
#include "fan.h"
#include "nats.h"

#include <string.h>

static void nats_hello(Client *client)
{
    connection_put_text(&client->connection,
                        "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"r%d\",\"lang\":"
                        "\"c\",\"version\":\"0\",\"protocol\":1}\r\n%sPING\r\n",
                        client->id, client->publishes ? "" : "SUB room 1\r\n");
}

static size_t nats_parse(Client *client, char *bytes, size_t len)
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
            client_delivered(client, end + 1, payload);
        } else if (strncmp(line, "PING", 4) == 0) {
            connection_put_text(&client->connection, "PONG\r\n");
            connection_flush(&client->connection);
        } else if (strncmp(line, "PONG", 4) == 0) {
            client_joined(client);
        } else if (*line == '-') {
            complain("%.*s", (int)(end - line), line);
        }
        used += took;
    }
}

static void nats_publish(Client *client, const char *payload)
{
    size_t len = client->fan->options.payload_bytes;
    connection_put_text(&client->connection, "PUB room %zu\r\n", len);
    connection_put(&client->connection, payload, len);
    connection_put(&client->connection, "\r\n", 2);
}

const Protocol PROTO_NATS = {.name = "nats",
                             .port = 4222,
                             .hello = nats_hello,
                             .parse = nats_parse,
                             .publish = nats_publish};
