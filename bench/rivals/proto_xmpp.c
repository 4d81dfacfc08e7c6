/* XMPP: a groupchat room (XEP-0045) of localhost; SASL PLAIN, any user, no TLS.
 *
 * It looks for the few words that it waits for and does not parse XML. */
#include "fan.h"

#include <stdio.h>
#include <string.h>

enum { BODY_TAG = 6, BODY_END_TAG = 7, NAME_MAX_BYTES = 64 };

static void xmpp_open(Client *client)
{
    connection_put_text(&client->connection,
                        "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' "
                        "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>");
}

static void base64(const char *from, size_t len, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        unsigned group = 0;
        for (size_t k = i; k < i + 3; k++) {
            group = group << 8 | (k < len ? (unsigned char)from[k] : 0);
        }
        for (size_t k = 0; k < 4; k++) {
            *to++ = i + k > len ? '=' : digits[group >> (18 - 6 * k) & 63];
        }
    }
    *to = '\0';
}

static void xmpp_authenticate(Client *client)
{
    char plain[NAME_MAX_BYTES];
    char encoded[2 * NAME_MAX_BYTES];
    int len = snprintf(plain, sizeof(plain), "%cr%d%cx", 0, client->id, 0);
    base64(plain, (size_t)len, encoded);
    connection_put_text(&client->connection,
                        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>%s"
                        "</auth>",
                        encoded);
}

static void xmpp_bind(Client *client)
{
    connection_put_text(&client->connection,
                        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
                        "</iq>");
}

static void xmpp_enter(Client *client)
{
    connection_put_text(&client->connection,
                        "<presence to='room@conference.localhost/r%d'>"
                        "<x xmlns='http://jabber.org/protocol/muc'/></presence>",
                        client->id);
}

/* What is waited for, and what is then said. */
static const struct {
    const char *words;
    void (*answer)(Client *client);
} STEPS[] = {
    {"</stream:features>", xmpp_authenticate},
    {"<success", xmpp_open},
    {"</stream:features>", xmpp_bind},
    {"</iq>", xmpp_enter},
    {"code='110'", client_joined}, /* its own presence: it is in */
};
enum { STEP_COUNT = sizeof(STEPS) / sizeof(STEPS[0]) };

/* Greetings, as far as they have come; bytes used. */
static size_t xmpp_greet(Client *client, const char *bytes, size_t len)
{
    size_t used = 0;
    while (client->step < STEP_COUNT) {
        const char *words = STEPS[client->step].words;
        const char *at = bytes + used;
        size_t left = len - used;
        if (memmem(at, left, "<failure", 8) != NULL ||
            memmem(at, left, "<stream:error", 13) != NULL) {
            give_up("%.*s", (int)(left > 300 ? 300 : left), at);
        }
        const char *found = memmem(at, left, words, strlen(words));
        if (found == NULL) {
            size_t keep = strlen(words) - 1;
            return left > keep ? len - keep : used;
        }
        used = (size_t)(found - bytes) + strlen(words);
        STEPS[client->step++].answer(client);
        connection_flush(&client->connection);
    }
    return used;
}

static size_t xmpp_parse(Client *client, char *bytes, size_t len)
{
    size_t used = xmpp_greet(client, bytes, len);
    if (client->step < STEP_COUNT) {
        return used;
    }
    for (;;) {
        const char *start = memmem(bytes + used, len - used, "<body>", BODY_TAG);
        if (start == NULL) {
            return len - used > BODY_TAG - 1 ? len - (BODY_TAG - 1) : used;
        }
        const char *text = start + BODY_TAG;
        const char *end = memmem(text, (size_t)(bytes + len - text), "</body>", BODY_END_TAG);
        if (end == NULL) {
            return (size_t)(start - bytes);
        }
        client_delivered(client, text, (size_t)(end - text));
        used = (size_t)(end - bytes) + BODY_END_TAG;
    }
}

static void xmpp_publish(Client *client, const char *payload)
{
    connection_put_text(&client->connection,
                        "<message to='room@conference.localhost' type='groupchat'><body>");
    connection_put(&client->connection, payload, client->fan->options.payload_bytes);
    connection_put(&client->connection, "</body></message>", 17);
}

const Protocol PROTO_XMPP = {
    .name = "xmpp", .port = 5222, .hello = xmpp_open, .parse = xmpp_parse, .publish = xmpp_publish};
