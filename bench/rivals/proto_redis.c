/* Redis PUBLISH and SUBSCRIBE (RESP2). */
#include "fan.h"

#include <stdlib.h>
#include <string.h>

static void redis_hello(Client *client)
{
    connection_put_text(&client->connection, client->publishes ? "PING\r\n" : "SUBSCRIBE room\r\n");
}

/* The first and the last text of an array "*3 $7 message $4 room $100 ..."; bytes used, 0: not all
 * is there yet. */
static size_t redis_array(const char *bytes, size_t len, char *ret_kind, const char **ret_last,
                          size_t *ret_last_len)
{
    long count = strtol(bytes + 1, NULL, 10);
    const char *limit = bytes + len;
    const char *at = (const char *)memchr(bytes, '\n', len) + 1;
    for (long i = 0; i < count; i++) {
        const char *end = at < limit ? memchr(at, '\n', (size_t)(limit - at)) : NULL;
        if (end == NULL) {
            return 0;
        }
        if (*at == ':') {
            at = end + 1;
            continue;
        }
        size_t text_len = strtoul(at + 1, NULL, 10);
        const char *text = end + 1;
        if ((size_t)(limit - text) < text_len + 2) {
            return 0;
        }
        if (i == 0) {
            *ret_kind = *text;
        }
        *ret_last = text;
        *ret_last_len = text_len;
        at = text + text_len + 2;
    }
    return (size_t)(at - bytes);
}

static size_t redis_parse(Client *client, char *bytes, size_t len)
{
    size_t used = 0;
    for (;;) {
        char *line = bytes + used;
        char *end = memchr(line, '\n', len - used);
        if (end == NULL) {
            return used;
        }
        size_t took = (size_t)(end - line) + 1;
        if (*line == '*') {
            char kind = '\0';
            const char *last = NULL;
            size_t last_len = 0;
            took = redis_array(line, len - used, &kind, &last, &last_len);
            if (took == 0) {
                return used;
            }
            if (kind == 's') {
                client_joined(client);
            } else if (kind == 'm') {
                client_delivered(client, last, last_len);
            }
        } else if (*line == '+') { /* the publisher's PONG */
            client_joined(client);
        } else if (*line == '-') {
            complain("%.*s", (int)(end - line), line);
        }
        used += took;
    }
}

static void redis_publish(Client *client, const char *payload)
{
    size_t len = client->fan->options.payload_bytes;
    connection_put_text(&client->connection, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$%zu\r\n", len);
    connection_put(&client->connection, payload, len);
    connection_put(&client->connection, "\r\n", 2);
}

const Protocol PROTO_REDIS = {.name = "redis",
                              .port = 6379,
                              .hello = redis_hello,
                              .parse = redis_parse,
                              .publish = redis_publish};
