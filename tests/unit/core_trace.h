/* Runs a core on events and tells what it asked for, one readable line an action. */
#pragma once

#include "core/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct CoreTrace {
    Core *core;
    Actions actions;
    StrBuf text;      /* of the last step */
    uint64_t mono_ms; /* the test moves it */
    uint64_t random;
} CoreTrace;

static const int64_t TRACE_WALL_MS = INT64_C(1700000000000); /* 22:13:20 UTC */

static inline NodeId trace_node_id(uint8_t byte)
{
    NodeId id;
    memset(id.bytes, byte, sizeof(id.bytes));
    return id;
}

static inline CoreTrace trace_new(const char *name, const NodeConfig *nodes, size_t count)
{
    return (CoreTrace){
        .core = core_new(&(CoreConfig){.node_id = trace_node_id((uint8_t)name[0]),
                                       .name = name,
                                       .nodes = nodes,
                                       .nodes_count = count}),
        .mono_ms = 1000,
    };
}

static inline void trace_done(CoreTrace *trace)
{
    core_free(trace->core);
    actions_done(&trace->actions);
    strbuf_done(&trace->text);
}

static inline void trace_action(StrBuf *out, const Action *action)
{
    static const char *const levels[] = {"info", "warning", "error"};
    switch (action->kind) {
    case ACTION_SHOW:
        strbuf_addf(out, "show %s%s: %s\n", action->message->kind == MESSAGE_ACTION ? "* " : "",
                    action->message->sender, message_shown_content(action->message));
        return;
    case ACTION_NOTICE:
        strbuf_addf(out, "%s: %s\n", levels[action->level], action->text);
        return;
    case ACTION_LIST:
        strbuf_addf(out, "list\n");
        return;
    case ACTION_CONNECT:
        strbuf_addf(out, "connect %zu%s\n", action->link, action->classic ? " classic" : "");
        return;
    case ACTION_DISCONNECT:
        strbuf_addf(out, "disconnect %zu\n", action->link);
        return;
    case ACTION_PROBE:
        strbuf_addf(out, "probe %zu\n", action->link);
        return;
    case ACTION_SEND:
        strbuf_addf(out, "send %zu %s\n", action->link, action->message->content);
        return;
    case ACTION_ACCEPT:
        strbuf_addf(out, "accept%s\n", action->message == NULL ? " a repeat" : "");
        return;
    case ACTION_REJECT:
        strbuf_addf(out, "reject %s: %s\n", err_text(action->err), action->text);
        return;
    case ACTION_QUIT:
        strbuf_addf(out, "quit %d\n", action->exit_code);
        return;
    }
}

/* The actions of one step as text; valid until the next. */
static inline const char *trace_step(CoreTrace *trace, Event event)
{
    event.mono_ms = trace->mono_ms;
    event.wall_ms = TRACE_WALL_MS + (int64_t)trace->mono_ms;
    event.random = trace->random;
    actions_reset(&trace->actions);
    core_step(trace->core, &event, &trace->actions);
    strbuf_clear(&trace->text);
    for (size_t i = 0; i < trace->actions.count; i++) {
        trace_action(&trace->text, &trace->actions.items[i]);
    }
    return strbuf_text(&trace->text);
}

static inline const char *trace_line(CoreTrace *trace, const char *text)
{
    return trace_step(trace, (Event){.kind = EVENT_LINE, .text = text, .text_len = strlen(text)});
}

static inline const char *trace_down(CoreTrace *trace, size_t link, const char *why)
{
    return trace_step(
        trace,
        (Event){.kind = EVENT_LINK_DOWN, .link = link, .text = why, .text_len = strlen(why)});
}

/* A node of our kind, named after the byte of its id. */
static inline const char *trace_up(CoreTrace *trace, size_t link, const char *name)
{
    NodeId id = trace_node_id((uint8_t)name[0]);
    return trace_step(trace, (Event){.kind = EVENT_LINK_ANSWERED,
                                     .link = link,
                                     .node_id = id.bytes,
                                     .node_id_len = sizeof(id.bytes),
                                     .peer_name = name,
                                     .rtt_us = 300});
}

static inline const char *trace_up_classic(CoreTrace *trace, size_t link)
{
    return trace_step(trace, (Event){.kind = EVENT_LINK_ANSWERED,
                                     .link = link,
                                     .classic = true,
                                     .peer_name = "",
                                     .rtt_us = 300});
}

static inline const char *trace_delivered(CoreTrace *trace, size_t link)
{
    return trace_step(trace, (Event){.kind = EVENT_DELIVERED, .link = link, .rtt_us = 300});
}

static inline MessageDraft trace_draft(const char *sender, const char *content,
                                       const char *timestamp)
{
    return (MessageDraft){
        .sender = sender,
        .sender_len = strlen(sender),
        .content = content,
        .content_len = strlen(content),
        .timestamp = timestamp,
        .timestamp_len = strlen(timestamp),
    };
}

static inline const char *trace_receive(CoreTrace *trace, MessageDraft draft)
{
    return trace_step(trace, (Event){.kind = EVENT_RECEIVED, .draft = &draft});
}
