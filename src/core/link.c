/* A peer's queue, back-off and measures. */
#include "core/link.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { QUEUE_FIRST_CAP = 16, RTT_SMOOTHING = 8 };

void node_config_address(const char *host, uint16_t port, char *ret_text, size_t size)
{
    bool bare_ipv6 = strchr(host, ':') != NULL && host[0] != '[';
    snprintf(ret_text, size, bare_ipv6 ? "[%s]:%u" : "%s:%u", host, (unsigned)port);
}

void link_init(Link *link, const NodeConfig *config)
{
    memset(link, 0, sizeof(*link));
    link->config = *config;
    link->state = LINK_WAITING;
    node_config_address(config->host, config->port, link->address, sizeof(link->address));
}

void link_done(Link *link)
{
    link_drop_queue(link);
    mem_free(TAKE(link->queue));
}

static size_t queue_cost(const Message *message)
{
    return message->content_len + strlen(message->sender);
}

static size_t queue_slot(const Link *link, size_t index)
{
    assert(link->queue_cap > 0); /* where there is a line there is room for it */
    return (link->queue_head + index) % link->queue_cap;
}

static void queue_grow(Link *link)
{
    size_t cap = link->queue_cap > 0 ? link->queue_cap * 2 : QUEUE_FIRST_CAP;
    Message **queue = mem_array(cap, sizeof(Message *));
    for (size_t i = 0; i < link->queue_count; i++) {
        queue[i] = link->queue[queue_slot(link, i)];
    }
    mem_free(link->queue);
    link->queue = queue;
    link->queue_cap = cap;
    link->queue_head = 0;
}

Err link_push(Link *link, Message *message)
{
    if (link->queue_count >= LINK_QUEUE_MAX_LINES ||
        link->queue_bytes + queue_cost(message) > LINK_QUEUE_MAX_BYTES) {
        link->refused_lines++;
        link->undelivered++;
        return ERR_LIMIT;
    }
    if (link->queue_count == link->queue_cap) {
        queue_grow(link);
    }
    link->queue[queue_slot(link, link->queue_count)] = message_ref(message);
    link->queue_count++;
    link->queue_bytes += queue_cost(message);
    return ERR_OK;
}

Message *link_head(const Link *link)
{
    return link->queue_count > 0 ? link->queue[link->queue_head] : NULL;
}

void link_pop(Link *link)
{
    Message *message = link_head(link);
    if (message == NULL) {
        return;
    }
    link->queue_bytes -= queue_cost(message);
    link->queue_head = queue_slot(link, 1);
    link->queue_count--;
    message_unref(message);
}

void link_drop_queue(Link *link)
{
    while (link->queue_count > 0) {
        link_pop(link);
    }
}

void link_drop_relayed(Link *link)
{
    size_t count = link->queue_count;
    for (size_t i = 0; i < count; i++) {
        Message *message = message_ref(link_head(link));
        link_pop(link);
        if (message->for_classic) {
            Err err = link_push(link, message);
            (void)err; /* it was in this queue a moment ago: there is room */
        }
        message_unref(message);
    }
}

bool link_queue_nearly_full(const Link *link)
{
    return link->queue_count >= LINK_QUEUE_MAX_LINES / 4 * 3 ||
           link->queue_bytes >= LINK_QUEUE_MAX_BYTES / 4 * 3;
}

/* min(max, min * 2^n), then somewhere in its upper half. */
static uint64_t retry_delay_ms(uint32_t failures, uint64_t random)
{
    uint64_t delay = LINK_RETRY_MIN_MS;
    for (uint32_t i = 0; i < failures && delay < LINK_RETRY_MAX_MS; i++) {
        delay *= 2;
    }
    if (delay > LINK_RETRY_MAX_MS) {
        delay = LINK_RETRY_MAX_MS;
    }
    uint64_t least = delay / 2 > LINK_RETRY_MIN_MS ? delay / 2 : LINK_RETRY_MIN_MS;
    return least + random % (delay - least + 1);
}

void link_wait(Link *link, const char *reason, size_t reason_len, uint64_t mono_ms, uint64_t random)
{
    size_t len = reason_len < LINK_REASON_MAX_BYTES ? reason_len : LINK_REASON_MAX_BYTES;
    memcpy(link->down_reason, reason, len);
    link->down_reason[len] = '\0';
    link->retry_at_ms = mono_ms + retry_delay_ms(link->failures, random);
    link->failures++;
    link->state = LINK_WAITING;
    link->sending = false;
}

void link_measure(Link *link, uint32_t rtt_us)
{
    if (rtt_us == 0) {
        return;
    }
    if (link->rtt_us == 0) {
        link->rtt_us = rtt_us;
        return;
    }
    int64_t change = ((int64_t)rtt_us - (int64_t)link->rtt_us) / RTT_SMOOTHING;
    link->rtt_us = (uint32_t)((int64_t)link->rtt_us + change);
}
