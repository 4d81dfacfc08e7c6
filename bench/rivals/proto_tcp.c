/* Lines, and nothing else: what bench_floor speaks. An empty one is its greeting. */
#include "fan.h"

#include <string.h>

static void tcp_hello(Client *client)
{
    (void)client;
}

static size_t tcp_parse(Client *client, char *bytes, size_t len)
{
    size_t used = 0;
    for (;;) {
        char *end = memchr(bytes + used, '\n', len - used);
        if (end == NULL) {
            return used;
        }
        if (end == bytes + used) {
            client_joined(client);
        } else {
            client_delivered(client, bytes + used, (size_t)(end - (bytes + used)));
        }
        used = (size_t)(end - bytes) + 1;
    }
}

static void tcp_publish(Client *client, const char *payload)
{
    connection_put(&client->connection, payload, client->fan->options.payload_bytes);
    connection_put(&client->connection, "\n", 1);
}

const Protocol PROTO_TCP = {
    .name = "tcp", .port = 7000, .hello = tcp_hello, .parse = tcp_parse, .publish = tcp_publish};
