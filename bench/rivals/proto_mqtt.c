/* MQTT 3.1.1, quality of service 0: one topic. Section numbers are of the OASIS standard. */
#include "fan.h"

#include <stdio.h>
#include <string.h>

enum {
    MQTT_CONNACK = 2,
    MQTT_PUBLISH = 3,
    MQTT_SUBACK = 9,
    LENGTH_BYTES_MAX = 4,
};

static const char TOPIC[] = {0, 4, 'r', 'o', 'o', 'm'};

static void mqtt_hello(Client *client)
{
    char id[16];
    int id_len = snprintf(id, sizeof(id), "r%d", client->id);
    /* CONNECT (3.1): protocol MQTT, level 4, a clean session, no keepalive. */
    char head[] = {0x10, (char)(12 + id_len), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0,
                   0,    (char)id_len};
    connection_put(&client->connection, head, sizeof(head));
    connection_put(&client->connection, id, (size_t)id_len);
}

static void mqtt_packet(Client *client, unsigned kind, const char *body, size_t len)
{
    if (kind == MQTT_PUBLISH && len >= 2) {
        size_t topic = (size_t)(unsigned char)body[0] << 8 | (unsigned char)body[1];
        if (topic + 2 <= len) {
            client_delivered(client, body + 2 + topic, len - 2 - topic);
        }
    } else if (kind == MQTT_SUBACK) {
        client_joined(client);
    } else if (kind == MQTT_CONNACK && len >= 2) {
        if (body[1] != 0) {
            give_up("CONNACK says %d", body[1]);
        }
        if (client->publishes) {
            client_joined(client);
            return;
        }
        /* SUBSCRIBE (3.8), packet 1, quality of service 0. */
        static const char head[] = {(char)0x82, 5 + 4, 0, 1};
        connection_put(&client->connection, head, sizeof(head));
        connection_put(&client->connection, TOPIC, sizeof(TOPIC));
        connection_put(&client->connection, "\0", 1);
        connection_flush(&client->connection);
    }
}

/* The remaining length (2.2.3); bytes it takes, 0: not there yet. */
static size_t mqtt_length(const char *bytes, size_t len, size_t *ret_value)
{
    size_t value = 0;
    for (size_t i = 0; i < len && i < LENGTH_BYTES_MAX; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        value |= (size_t)(byte & 127) << (7 * i);
        if (byte < 128) {
            *ret_value = value;
            return i + 1;
        }
    }
    return 0;
}

static size_t mqtt_parse(Client *client, char *bytes, size_t len)
{
    size_t used = 0;
    while (len - used >= 2) {
        size_t body_len = 0;
        size_t length_bytes = mqtt_length(bytes + used + 1, len - used - 1, &body_len);
        size_t head = 1 + length_bytes;
        if (length_bytes == 0 || len - used - head < body_len) {
            break;
        }
        mqtt_packet(client, (unsigned char)bytes[used] >> 4, bytes + used + head, body_len);
        used += head + body_len;
    }
    return used;
}

static void mqtt_publish(Client *client, const char *payload)
{
    size_t payload_len = client->fan->options.payload_bytes;
    size_t left = sizeof(TOPIC) + payload_len;
    char head[1 + LENGTH_BYTES_MAX] = {0x30};
    size_t head_len = 1;
    do {
        head[head_len++] = (char)((left & 127) | (left > 127 ? 128 : 0));
        left >>= 7;
    } while (left > 0);
    connection_put(&client->connection, head, head_len);
    connection_put(&client->connection, TOPIC, sizeof(TOPIC));
    connection_put(&client->connection, payload, payload_len);
}

const Protocol PROTO_MQTT = {.name = "mqtt",
                             .port = 1883,
                             .hello = mqtt_hello,
                             .parse = mqtt_parse,
                             .publish = mqtt_publish};
