/* The other nodes: when to connect, what to send them, what to tell about them. */
#include "core/core_state.h"

#include <stdio.h>
#include <string.h>

bool link_counts(const Link *link)
{
    return link->state != LINK_SELF && link->state != LINK_TWIN && !link->shadow;
}

static Link *event_link(const Step *step)
{
    return &step->core->links[step->event->link];
}

static size_t link_index(const Core *core, const Link *link)
{
    return (size_t)(link - core->links);
}

static Action *add_for_link(Step *step, ActionKind kind, const Link *link)
{
    Action *action = step_add(step, kind);
    action->link = link_index(step->core, link);
    action->classic = link->classic;
    return action;
}

static void connect_link(Step *step, Link *link)
{
    link->state = LINK_CONNECTING;
    add_for_link(step, ACTION_CONNECT, link);
}

void links_start(Step *step)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        connect_link(step, &step->core->links[i]);
    }
}

/* ---- sending ---- */

static void send_next(Step *step, Link *link)
{
    if (link->state != LINK_UP || link->sending) {
        return;
    }
    Message *message = link_head(link);
    if (message != NULL) {
        link->sending = true;
        add_for_link(step, ACTION_SEND, link)->message = message_ref(message);
    }
}

/* What has never answered may be of either kind. */
static void tell_queue_full(Step *step, const Link *link)
{
    if (link->known) {
        step_notice(step, NOTICE_ERROR,
                    "%zu lines wait for %s: no more are kept. It will not get this line, nor "
                    "those that follow until it is back",
                    link->queue_count, link->address);
    } else {
        step_notice(step, NOTICE_WARNING,
                    "%zu lines wait for %s, which has never answered. If it is a node of the older "
                    "kind it will not get this line, nor those that follow until it is there",
                    link->queue_count, link->address);
    }
}

void links_pass_on(Step *step, Message *message)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        bool takes_none = link->known && (!link->classic || !message->for_classic);
        if (!link_counts(link) || takes_none) {
            continue;
        }
        if (link_push(link, message) == ERR_OK) {
            send_next(step, link);
        } else if (link->refused_lines == 1) {
            tell_queue_full(step, link);
        }
    }
}

void links_delivered(Step *step)
{
    Link *link = event_link(step);
    if (!link->sending) {
        return;
    }
    link_measure(link, step->event->rtt_us);
    link->sending = false;
    link_pop(link);
    send_next(step, link);
}

void links_refused(Step *step)
{
    Link *link = event_link(step);
    if (!link->sending) {
        return;
    }
    size_t len = step->event->text_len;
    step_notice(step, NOTICE_ERROR, "%s refused a line: %.*s", link->address,
                (int)(len < LINK_REASON_MAX_BYTES ? len : LINK_REASON_MAX_BYTES),
                step->event->text);
    link->undelivered++;
    link->sending = false;
    link_pop(link);
    send_next(step, link);
}

/* ---- coming up ---- */

/* The link that already leads to the same process, or NULL. */
static Link *find_twin(const Step *step, const Link *link, const NodeId *peer_id)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *other = &step->core->links[i];
        if (other != link && other->state == LINK_UP && !other->classic &&
            memcmp(&other->peer_id, peer_id, sizeof(*peer_id)) == 0) {
            return other;
        }
    }
    return NULL;
}

static void retire_link(Step *step, Link *link, LinkState state)
{
    link_drop_queue(link);
    link->refused_lines = 0;
    link->undelivered = 0;
    link->state = state;
    link->shadow = false;
    link->sending = false;
    mesh_lost(step, link_index(step->core, link));
    add_for_link(step, ACTION_DISCONNECT, link);
}

/* True where the address is no peer of its own. */
static bool retire_if_not_another(Step *step, Link *link)
{
    const Event *event = step->event;
    if (event->classic || event->node_id_len != NODE_ID_BYTES) {
        return false;
    }
    memcpy(link->peer_id.bytes, event->node_id, NODE_ID_BYTES);
    if (memcmp(&link->peer_id, &step->core->node_id, sizeof(NodeId)) == 0) {
        retire_link(step, link, LINK_SELF);
        step_notice(step, NOTICE_INFO, "%s is this node itself: left out", link->address);
        return true;
    }
    const Link *twin = find_twin(step, link, &link->peer_id);
    if (twin == NULL) {
        return false;
    }
    retire_link(step, link, LINK_TWIN);
    snprintf(link->down_reason, sizeof(link->down_reason), "the same node as %s", twin->address);
    step_notice(step, NOTICE_INFO, "%s is %s: left out", link->address, link->down_reason);
    return true;
}

/* Other links that led to the same process when they were last up have nothing to wait for. */
static void shade_twins(Step *step, const Link *up)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        bool down = link->state == LINK_WAITING || link->state == LINK_CONNECTING;
        if (down && !up->classic && memcmp(&link->peer_id, &up->peer_id, sizeof(NodeId)) == 0) {
            link_drop_queue(link);
            link->refused_lines = 0;
            link->undelivered = 0;
            link->shadow = true;
        }
    }
}

static void announce_up(Step *step, Link *link)
{
    const char *name = link->peer_name;
    step_notice(step, NOTICE_INFO, "connected to %s%s%s%s", link->address, name[0] ? " (" : "",
                name, name[0] ? ")" : "");
    if (link->queue_count > 0) {
        step_notice(step, NOTICE_INFO, "%zu %s for %s; sending", link->queue_count,
                    link->queue_count == 1 ? "line waits" : "lines wait", link->address);
    }
    if (link->refused_lines > 0) {
        step_notice(step, NOTICE_WARNING, "%zu %s not kept for %s while it was away",
                    link->refused_lines, link->refused_lines == 1 ? "line was" : "lines were",
                    link->address);
        link->refused_lines = 0;
    }
}

/* What a peer says of itself is as foreign as a line. */
static void set_peer_name(Link *link, const char *name)
{
    const char *reason = "";
    bool usable = name != NULL && message_check_label(name, strlen(name), &reason) == ERR_OK;
    snprintf(link->peer_name, sizeof(link->peer_name), "%s", usable ? name : "");
}

void links_answered(Step *step)
{
    const Event *event = step->event;
    Link *link = event_link(step);
    if (link->state == LINK_UP) { /* a probe */
        if (!link->classic && event->rtt_us != 0) {
            link->rtt_us = 0; /* samples are rare: the last one counts */
        }
        link_measure(link, event->rtt_us);
        return;
    }
    if (link->state != LINK_CONNECTING) {
        return;
    }
    link->known = true;
    if (link->classic != event->classic) {
        /* Dialled as the wrong kind: a classic peer must not be sent keepalive pings, ours must. */
        link->classic = event->classic;
        add_for_link(step, ACTION_DISCONNECT, link);
        connect_link(step, link);
        return;
    }
    if (retire_if_not_another(step, link)) {
        return;
    }
    link->state = LINK_UP;
    link->proved = event->key != NULL && event->binding != NULL;
    if (link->proved) {
        memcpy(link->proved_key, event->key, sizeof(link->proved_key));
        memcpy(link->binding, event->binding, sizeof(link->binding));
    }
    link->shadow = false;
    shade_twins(step, link);
    link->failures = 0;
    link->report_retry = false;
    link->refusal_told = false;
    link->down_reason[0] = '\0';
    link->rtt_us = 0;
    link_measure(link, event->rtt_us);
    link->probe_at_ms = event->mono_ms + (link->classic ? CORE_PROBE_MS : CORE_PROBE_FIRST_MS);
    set_peer_name(link, event->peer_name);
    if (link->classic) {
        link_drop_relayed(link);
    } else {
        link_drop_queue(link); /* it takes what it lacks from the log */
        link->refused_lines = 0;
        link->undelivered = 0;
    }
    if (link->peer_name[0] != '\0') {
        lines_remember_name(step->core, link->peer_name);
    }
    announce_up(step, link);
    step->core->told_alone = false;
    send_next(step, link);
    if (!link->classic) {
        mesh_want(step, link);
    }
}

/* ---- going down ---- */

/* Links that led to the same process take over when one is lost. */
static void revive_twins(Step *step, const Link *lost)
{
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        bool twin = link->state == LINK_TWIN || link->shadow;
        if (!twin || memcmp(&link->peer_id, &lost->peer_id, sizeof(NodeId)) != 0) {
            continue;
        }
        link->shadow = false;
        if (link->state == LINK_TWIN) {
            link->failures = 0;
            link_wait(link, link->down_reason, strlen(link->down_reason), step->event->mono_ms,
                      step->event->random);
        }
    }
}

void links_down(Step *step)
{
    const Event *event = step->event;
    Link *link = event_link(step);
    if (link->state != LINK_UP && link->state != LINK_CONNECTING) {
        return;
    }
    bool was_up = link->state == LINK_UP;
    link->proved = false;
    bool first_failure = link->failures == 0;
    bool is_refused = event->refused && !link->refusal_told;
    link->mesh_at_ms = 0;
    mesh_lost(step, link_index(step->core, link));
    link_wait(link, event->text, event->text_len, event->mono_ms, event->random);
    add_for_link(step, ACTION_DISCONNECT, link);
    if (was_up) {
        step_notice(step, NOTICE_WARNING, "lost %s: %s; trying again", link->address,
                    link->down_reason);
        revive_twins(step, link);
    } else if (link->report_retry) {
        step_notice(step, NOTICE_WARNING, "still no connection to %s: %s", link->address,
                    link->down_reason);
    } else if (is_refused) { /* also where it was up before: something has changed there */
        step_notice(step, NOTICE_WARNING, "no connection to %s: %s; trying again", link->address,
                    link->down_reason);
    } else if (first_failure) {
        step_notice(step, NOTICE_INFO, "no connection to %s yet: %s; trying again", link->address,
                    link->down_reason);
    }
    link->refusal_told = link->refusal_told || event->refused;
    link->report_retry = false;
}

/* ---- time and people ---- */

void links_timer(Step *step)
{
    uint64_t now = step->event->mono_ms;
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        if (link->state == LINK_WAITING && link->retry_at_ms <= now) {
            connect_link(step, link);
        } else if (link->state == LINK_UP && link->probe_at_ms <= now) {
            link->probe_at_ms = now + (link->classic ? CORE_PROBE_MS : CORE_PROBE_OWN_MS);
            add_for_link(step, ACTION_PROBE, link);
        }
    }
}

uint64_t links_wake_at(const Core *core)
{
    uint64_t wake = 0;
    for (size_t i = 0; i < core->links_count; i++) {
        const Link *link = &core->links[i];
        uint64_t at = 0;
        if (link->state == LINK_WAITING) {
            at = link->retry_at_ms;
        } else if (link->state == LINK_UP) {
            at = link->probe_at_ms;
        }
        if (at != 0 && (wake == 0 || at < wake)) {
            wake = at;
        }
    }
    return wake;
}

void links_retry(Step *step)
{
    size_t tried = 0;
    for (size_t i = 0; i < step->core->links_count; i++) {
        Link *link = &step->core->links[i];
        if (link->state != LINK_WAITING && link->state != LINK_CONNECTING) {
            continue;
        }
        tried++;
        link->report_retry = true;
        if (link->state == LINK_WAITING) {
            link->failures = 0;
            connect_link(step, link);
        }
    }
    size_t up = core_links_up(step->core);
    size_t total = core_links_count(step->core);
    if (tried == 0) {
        step_notice(step, NOTICE_INFO, "nothing to retry: %zu/%zu connected", up, total);
    } else {
        step_notice(step, NOTICE_INFO, "connecting to %zu of %zu...", tried, total);
    }
}
