/* What came at the subscribers. Hot: one call for each delivery. */
#include "base/mem.h"
#include "fan.h"

#include <string.h>

void client_joined(Client *client)
{
    if (client->joined) {
        return;
    }
    client->joined = true;
    client->fan->joined++;
    if (client->slow) {
        connection_stop_reading(&client->connection);
    }
}

void client_malformed(Client *client)
{
    client->fan->malformed++;
}

/* false: that is no number. */
static bool number_read(const char *digits, uint32_t *ret_number)
{
    uint32_t number = 0;
    for (int i = 0; i < NUMBER_DIGITS; i++) {
        unsigned char digit = (unsigned char)digits[i];
        unsigned value = digit - (digit <= '9' ? '0' : 'a' - 10U);
        if (value > 15) {
            return false;
        }
        number = number << 4 | value;
    }
    *ret_number = number;
    return true;
}

static void skipped_set(Client *client, uint32_t number, bool missing)
{
    uint8_t *cell = &client->skipped[number % WINDOW_MAX / 8];
    uint8_t bit = (uint8_t)(1U << number % 8);
    *cell = (uint8_t)(missing ? *cell | bit : *cell & ~bit);
}

static bool skipped_has(const Client *client, uint32_t number)
{
    return client->skipped != NULL && client->expected - number <= WINDOW_MAX &&
           (client->skipped[number % WINDOW_MAX / 8] & 1U << number % 8) != 0;
}

/* Not the number that was expected. false: it came before. */
static bool out_of_order(Client *client, uint32_t number)
{
    if (number < client->expected) {
        if (!skipped_has(client, number)) {
            client->fan->twice++;
            return false;
        }
        skipped_set(client, number, false);
        client->fan->late++;
        return true;
    }
    if (client->skipped == NULL) {
        client->skipped = mem_alloc(WINDOW_MAX / 8);
    }
    for (uint32_t missing = client->expected; missing < number; missing++) {
        skipped_set(client, missing, true);
    }
    skipped_set(client, number, false);
    client->expected = number + 1;
    return true;
}

static void probe_heard(Client *client)
{
    if (!client->heard) {
        client->heard = true;
        client->fan->heard++;
    }
}

void client_delivered(Client *client, const char *payload, size_t len)
{
    Fan *fan = client->fan;
    uint32_t number = 0;
    if (client->publishes) {
        return; /* a server that tells its sender too */
    }
    if (len != fan->options.payload_bytes || !number_read(payload + 1, &number) ||
        (*payload != 'M' && *payload != 'P') || (*payload == 'M' && number >= fan->next) ||
        memcmp(payload + PAYLOAD_MIN, fan->payload + PAYLOAD_MIN, len - PAYLOAD_MIN) != 0) {
        client_malformed(client);
        return;
    }
    if (*payload == 'P') {
        probe_heard(client);
        return;
    }
    if (number == client->expected) {
        client->expected++;
        if (client->skipped != NULL) {
            skipped_set(client, number, false);
        }
    } else if (!out_of_order(client, number)) {
        return;
    }
    fan->deliveries++;
    fan->last_delivery_ns = fan->read_ns;
    uint64_t sent = fan->sent_ns[number % WINDOW_MAX];
    histogram_add(&fan->latency, fan->read_ns > sent ? fan->read_ns - sent : 0);
    if (number < fan->first) {
        return; /* it had been given up */
    }
    fan->arrived[number % WINDOW_MAX]++;
    uint32_t all = (uint32_t)fan_counted(fan);
    while (fan->first != fan->next && fan->arrived[fan->first % WINDOW_MAX] >= all) {
        fan->first++;
    }
}
