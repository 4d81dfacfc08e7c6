/* IRC (RFC 2812): one channel. */
#include "fan.h"

#include <string.h>

static void irc_hello(Client *client)
{
    connection_put_text(&client->connection, "NICK r%d\r\nUSER r%d 0 * :r\r\n", client->id,
                        client->id);
}

/* Of a line ":server 001 nick ...". */
static void irc_numeric(Client *client, const char *line, const char *verb)
{
    if (strncmp(verb, "001 ", 4) == 0) { /* RPL_WELCOME */
        connection_put_text(&client->connection, "JOIN #room\r\n");
        connection_flush(&client->connection);
    } else if (strncmp(verb, "366 ", 4) == 0) { /* RPL_ENDOFNAMES */
        client_joined(client);
    } else if (!client->joined && (*verb == '4' || *verb == '5') &&
               strncmp(verb, "422 ", 4) != 0) { /* ERR_NOMOTD is none */
        complain("%s", line);
    }
}

static void irc_line(Client *client, const char *line, const char *end)
{
    if (strncmp(line, "PING", 4) == 0) {
        connection_put_text(&client->connection, "PONG%s\r\n", line + 4);
        connection_flush(&client->connection);
        return;
    }
    if (strncmp(line, "ERROR", 5) == 0) {
        complain("%s", line);
        return;
    }
    const char *verb = *line == ':' ? strchr(line, ' ') : NULL;
    if (verb == NULL) {
        return;
    }
    verb++;
    if (strncmp(verb, "PRIVMSG ", 8) != 0) {
        irc_numeric(client, line, verb);
        return;
    }
    const char *text = strstr(verb, " :");
    if (text != NULL) {
        client_delivered(client, text + 2, (size_t)(end - text - 2));
    }
}

static size_t irc_parse(Client *client, char *bytes, size_t len)
{
    size_t used = 0;
    for (;;) {
        char *line = bytes + used;
        char *end = memchr(line, '\n', len - used);
        if (end == NULL) {
            return used;
        }
        used = (size_t)(end - bytes) + 1;
        if (end > line && end[-1] == '\r') {
            end--;
        }
        *end = '\0';
        irc_line(client, line, end);
    }
}

static void irc_publish(Client *client, const char *payload)
{
    connection_put(&client->connection, "PRIVMSG #room :", 15);
    connection_put(&client->connection, payload, client->fan->options.payload_bytes);
    connection_put(&client->connection, "\r\n", 2);
}

const Protocol PROTO_IRC = {
    .name = "irc", .port = 6667, .hello = irc_hello, .parse = irc_parse, .publish = irc_publish};
