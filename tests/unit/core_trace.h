/* Runs a core on events and tells what it asked for, one readable line an action. Its disk writes
 * at once: what a step asks to be stored is durable, and what follows from that is told, within
 * the same step. */
#pragma once

#include "core/core.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct CoreTrace {
    Core *core;
    Actions actions;  /* of the last step */
    StrBuf text;      /* of the last step */
    uint64_t mono_ms; /* the test moves it */
    uint64_t random;
    int64_t clock_off_ms; /* how far its wall clock is ahead */
    bool disk_stands_still;
    uint64_t ticket; /* of the last STORE that was not answered; 0: none */
    LogEvent **disk; /* all that it was given to store, in order */
    size_t disk_count;
    size_t disk_cap;
    uintptr_t requests; /* SendMessage calls so far; a token is the number of its call */
    size_t unanswered;
    bool tells_frames;
    bool tells_stores;
    bool tells_start; /* the queries at the start */
} CoreTrace;

static const int64_t TRACE_WALL_MS = INT64_C(1700000000000); /* 22:13:20 UTC */

static inline NodeId trace_node_id(uint8_t byte)
{
    NodeId id;
    memset(id.bytes, byte, sizeof(id.bytes));
    return id;
}

/* The key and the id of a node come from the first letter of its name. */
static inline EventSigner trace_signer(const char *name)
{
    EventSigner signer;
    uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)name[0]};
    event_signer_init(&signer, seed);
    return signer;
}

/* What config leaves out is filled in; its name is needed. */
static inline CoreTrace trace_new_of(CoreConfig config)
{
    if (config.node_id.bytes[0] == 0) {
        config.node_id = trace_node_id((uint8_t)config.name[0]);
    }
    config.signer = trace_signer(config.name);
    config.epoch = config.epoch != 0 ? config.epoch : 7;
    config.wall_ms = TRACE_WALL_MS;
    return (CoreTrace){.core = core_new(&config), .mono_ms = 1000};
}

static inline CoreTrace trace_new(const char *name, const NodeConfig *nodes, size_t count)
{
    return trace_new_of((CoreConfig){.name = name, .nodes = nodes, .nodes_count = count});
}

static inline void trace_done(CoreTrace *trace)
{
    core_free(trace->core);
    actions_done(&trace->actions);
    strbuf_done(&trace->text);
    for (size_t i = 0; i < trace->disk_count; i++) {
        event_unref(trace->disk[i]);
    }
    mem_free(trace->disk);
}

/* ---- actions as text ---- */

static inline void trace_message(StrBuf *out, const Message *message)
{
    char name[MESSAGE_SENDER_MAX_BYTES + NAME_FINGERPRINT_BYTES + 2];
    snprintf(name, sizeof(name), "%s%s%s", message->sender,
             message->fingerprint[0] != '\0' ? "~" : "", message->fingerprint);
    if (!message_is_in_lobby(message)) {
        strbuf_addf(out, "[%s%s] ", message_is_direct(message) ? "" : "#", message->room);
    }
    if (message->kind == MESSAGE_JOIN || message->kind == MESSAGE_PART) {
        strbuf_addf(out, "%s %s", name, message->kind == MESSAGE_JOIN ? "joins" : "parts");
    } else {
        strbuf_addf(out, "%s%s: %s", message->kind == MESSAGE_ACTION ? "* " : "", name,
                    message_shown_content(message));
    }
    strbuf_add_string(out, message->late ? " (late)" : "");
    strbuf_add_string(out, message->missed ? " (missed)" : "");
    strbuf_add_string(out, message->incomplete ? " (incomplete)" : "");
    strbuf_add_string(out, "\n");
}

static inline void trace_query(StrBuf *out, const Query *query)
{
    char place[40];
    switch (query->kind) {
    case QUERY_JOINS:
        strbuf_addf(out, "query joins\n");
        return;
    case QUERY_RECENT:
        strbuf_addf(out, "query recent %s %zu\n", query->room, query->count);
        return;
    case QUERY_HISTORY:
        strbuf_addf(out, "query history %s%s%s %zu", query->room,
                    query->other_room[0] != '\0' ? "+" : "", query->other_room, query->count);
        if (query->since_hlc > 0) {
            strbuf_addf(out, " since %" PRId64, hlc_time_ms(query->since_hlc));
        }
        strbuf_addf(out, "\n");
        return;
    case QUERY_SEARCH:
        strbuf_addf(out, "query search %zu %s\n", query->count, query->words);
        return;
    case QUERY_WHY:
        message_place_text(&query->stream, query->seq, place, sizeof(place));
        strbuf_addf(out, "query why %s\n", place);
        return;
    case QUERY_ROOMS:
        strbuf_addf(out, "query rooms\n");
        return;
    case QUERY_CUTS:
        strbuf_addf(out, "query cuts before %" PRId64 "\n", hlc_time_ms(query->since_hlc));
        return;
    }
}

/* Of an earlier request than the last one: which. */
static inline void trace_answer(CoreTrace *trace, const Action *action)
{
    StrBuf *out = &trace->text;
    trace->unanswered--;
    strbuf_add_string(out, action->kind == ACTION_ACCEPT ? "accept" : "reject");
    if ((uintptr_t)action->token != trace->requests) {
        strbuf_addf(out, " request %zu", (size_t)(uintptr_t)action->token);
    }
    if (action->kind == ACTION_REJECT) {
        strbuf_addf(out, " %s: %s\n", err_text(action->err), action->text);
    } else {
        strbuf_addf(out, "%s\n", action->message == NULL ? " a repeat" : "");
    }
}

static inline void trace_history(StrBuf *out, const Action *action)
{
    const Message *message = action->message;
    strbuf_addf(out, "history %s ", message->place);
    trace_message(out, message);
    out->len--; /* its line end comes last */
    if (message->own) {
        strbuf_addf(out, " (%zu/%zu)", action->kept.by, action->kept.known);
    }
    if (action->text != NULL) {
        strbuf_addf(out, " <%s>", action->text);
    }
    strbuf_addf(out, "\n");
}

/* What is for the mesh and the store. */
static inline void trace_log_action(CoreTrace *trace, const Action *action)
{
    StrBuf *out = &trace->text;
    char place[40];
    switch (action->kind) {
    case ACTION_MESH_OPEN:
        strbuf_addf(out, "open %zu\n", action->link);
        return;
    case ACTION_MESH_CLOSE:
        strbuf_addf(out, "close %zu: %s\n", action->mesh, action->text);
        return;
    case ACTION_FRAME:
        if (trace->tells_frames) {
            strbuf_addf(out, "frame %zu\n", action->mesh);
        }
        return;
    case ACTION_STORE:
        if (trace->tells_stores) {
            strbuf_addf(out, "store %zu%s\n", action->events_count, action->own ? " own" : "");
        }
        return;
    case ACTION_READ:
        message_place_text(&action->stream, action->from, place, sizeof(place));
        strbuf_addf(out, "read %zu %s\n", action->mesh, place);
        return;
    case ACTION_QUERY:
        if (trace->tells_start || action->query->kind > QUERY_RECENT) {
            trace_query(out, action->query);
        }
        return;
    default:
        return;
    }
}

static const char *const TRACE_LEVELS[] = {"info", "warning", "error"};

/* What is about who is in; a token is a number of the test's. */
static inline void trace_network_action(CoreTrace *trace, const Action *action)
{
    StrBuf *out = &trace->text;
    char fingerprint[FINGERPRINT_BYTES];
    size_t token = (size_t)(uintptr_t)action->token;
    switch (action->kind) {
    case ACTION_LET_IN:
        strbuf_addf(out, "let in %zu\n", token);
        return;
    case ACTION_TURN_AWAY:
        strbuf_addf(out, "turn away %zu: %s\n", token, action->text);
        return;
    case ACTION_WELCOME:
        strbuf_addf(out, "welcome %zu\n", token);
        return;
    case ACTION_REPLY:
        strbuf_addf(out, "reply %zu %s: %s\n", token, TRACE_LEVELS[action->level], action->text);
        return;
    case ACTION_REPLIED:
        strbuf_addf(out, "replied %zu: %s\n", token, err_text(action->err));
        return;
    case ACTION_INVITE:
        strbuf_addf(out, "invite %zu for %u hours: %s\n", token, action->hours, action->text);
        return;
    case ACTION_CUT:
        strbuf_addf(out, "cut behind %" PRIu64 "\n", action->from);
        return;
    case ACTION_CUT_KEY:
        fingerprint_text(action->key, fingerprint);
        strbuf_addf(out, "cut key %s\n", fingerprint);
        return;
    default:
        return;
    }
}

static inline void trace_action(CoreTrace *trace, const Action *action)
{
    StrBuf *out = &trace->text;
    switch (action->kind) {
    case ACTION_SHOW:
        strbuf_addf(out, "show ");
        trace_message(out, action->message);
        return;
    case ACTION_NOTICE:
        strbuf_addf(out, "%s: %s\n", TRACE_LEVELS[action->level], action->text);
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
    case ACTION_REJECT:
        trace_answer(trace, action);
        return;
    case ACTION_HISTORY:
        trace_history(out, action);
        return;
    case ACTION_KEPT:
        strbuf_addf(out, "kept %zu/%zu ", action->kept.by, action->kept.known);
        trace_message(out, action->message);
        return;
    case ACTION_IGNORED:
        strbuf_addf(out, "ignored %s", action->text[0] != '\0' ? action->text : "nobody\n");
        return;
    case ACTION_QUIT:
        strbuf_addf(out, "quit %d\n", action->exit_code);
        return;
    default:
        trace_log_action(trace, action);
        trace_network_action(trace, action);
        return;
    }
}

/* ---- steps ---- */

static inline void trace_store(CoreTrace *trace, const Action *action)
{
    for (size_t i = 0; i < action->events_count; i++) {
        if (trace->disk_count == trace->disk_cap) {
            trace->disk_cap = trace->disk_cap > 0 ? 2 * trace->disk_cap : 16;
            trace->disk = mem_resize(trace->disk, trace->disk_cap, sizeof(LogEvent *));
        }
        trace->disk[trace->disk_count++] = event_ref(action->events[i]);
    }
    trace->ticket = action->ticket;
}

/* Adds what the event makes the core ask for to the last step. */
static inline void trace_step_on(CoreTrace *trace, Event event)
{
    size_t at = trace->actions.count;
    event.mono_ms = trace->mono_ms;
    event.wall_ms = TRACE_WALL_MS + trace->clock_off_ms + (int64_t)trace->mono_ms;
    event.random = trace->random;
    core_step(trace->core, &event, &trace->actions);
    for (; at < trace->actions.count; at++) {
        const Action *action = &trace->actions.items[at];
        trace_action(trace, action);
        if (action->kind == ACTION_STORE) {
            trace_store(trace, action);
        }
    }
}

/* The actions of one step as text; valid until the next. */
static inline const char *trace_step(CoreTrace *trace, Event event)
{
    actions_reset(&trace->actions);
    strbuf_clear(&trace->text);
    trace_step_on(trace, event);
    if (event.kind == EVENT_START && !trace->tells_start) { /* it was in no rooms */
        static const Query JOINS = {.kind = QUERY_JOINS};
        trace_step_on(trace, (Event){.kind = EVENT_ANSWER, .query = &JOINS});
    }
    while (trace->ticket != 0 && !trace->disk_stands_still) {
        uint64_t ticket = trace->ticket;
        trace->ticket = 0;
        trace_step_on(trace, (Event){.kind = EVENT_STORED, .ticket = ticket});
    }
    return strbuf_text(&trace->text);
}

/* The disk works again, and writes what waits: as one step. */
static inline const char *trace_disk_works(CoreTrace *trace)
{
    uint64_t ticket = trace->ticket;
    trace->ticket = 0;
    trace->disk_stands_still = false;
    return trace_step(trace, (Event){.kind = EVENT_STORED, .ticket = ticket});
}

static inline const char *trace_store_state(CoreTrace *trace, const char *text)
{
    return trace_step(trace, (Event){.kind = EVENT_STORE_STATE, .text = text});
}

static inline const char *trace_line(CoreTrace *trace, const char *text)
{
    return trace_step(trace, (Event){.kind = EVENT_LINE, .text = text, .text_len = strlen(text)});
}

static inline const char *trace_timer_after(CoreTrace *trace, uint64_t ms)
{
    trace->mono_ms += ms;
    return trace_step(trace, (Event){.kind = EVENT_TIMER});
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

static inline const char *trace_classic_answers(CoreTrace *trace, size_t link)
{
    return trace_step(trace, (Event){.kind = EVENT_LINK_ANSWERED,
                                     .link = link,
                                     .classic = true,
                                     .peer_name = "",
                                     .rtt_us = 300});
}

/* As often as it is asked: it is dialled anew once it is known to be classic. */
static inline const char *trace_up_classic(CoreTrace *trace, size_t link)
{
    LinkView view;
    core_link(trace->core, link, trace->mono_ms, &view);
    if (!view.classic) {
        trace_classic_answers(trace, link);
    }
    return trace_classic_answers(trace, link);
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

/* A client's, with an id of 16 bytes. */
static inline MessageDraft trace_client_draft(const char *sender, const char *content,
                                              const char *id)
{
    MessageDraft draft = trace_draft(sender, content, "");
    draft.id = (const uint8_t *)id;
    draft.id_len = strlen(id);
    return draft;
}

static inline const char *trace_receive(CoreTrace *trace, MessageDraft draft)
{
    trace->unanswered++;
    return trace_step(
        trace,
        (Event){.kind = EVENT_RECEIVED, .draft = &draft, .token = (void *)++trace->requests});
}

/* ---- frames by hand, where a whole mesh (core_mesh.h) would be too much ---- */

static inline const char *trace_mesh_up(CoreTrace *trace, size_t mesh, const char *address)
{
    return trace_step(
        trace,
        (Event){.kind = EVENT_MESH_UP, .mesh = mesh, .text = address, .text_len = strlen(address)});
}

static inline const char *trace_mesh_down(CoreTrace *trace, size_t mesh, const char *why)
{
    return trace_step(
        trace,
        (Event){.kind = EVENT_MESH_DOWN, .mesh = mesh, .text = why, .text_len = strlen(why)});
}

static inline const char *trace_frame(CoreTrace *trace, size_t mesh, const FrameOut *frame)
{
    Bytes *bytes = frame_encode(frame);
    const char *text = trace_step(trace, (Event){.kind = EVENT_FRAME,
                                                 .mesh = mesh,
                                                 .data = bytes_data(bytes),
                                                 .len = bytes_len(bytes)});
    bytes_unref(bytes);
    return text;
}

static inline const char *trace_hello(CoreTrace *trace, size_t mesh, const char *name)
{
    EventSigner signer = trace_signer(name);
    FrameHello hello = {
        .version = REPLICA_VERSION, .epoch = 7, .node_id = trace_node_id((uint8_t)name[0])};
    memcpy(hello.key, signer.public_key, sizeof(hello.key));
    snprintf(hello.name, sizeof(hello.name), "%s", name);
    return trace_frame(trace, mesh, &(FrameOut){.hello = &hello});
}

static inline const char *trace_bye(CoreTrace *trace, size_t mesh, const char *why)
{
    return trace_frame(trace, mesh, &(FrameOut){.bye = why});
}

static inline const char *trace_sent(CoreTrace *trace, size_t mesh)
{
    return trace_step(trace, (Event){.kind = EVENT_SENT, .mesh = mesh});
}

/* The peer of a mesh link tells that its disk has an own stream up to seq. */
static inline const char *trace_peer_has(CoreTrace *trace, size_t mesh, const char *origin,
                                         uint64_t seq)
{
    EventSigner signer = trace_signer(origin);
    FrameHave have = {.stream.epoch = 7, .lo = 1, .hi = seq};
    memcpy(have.stream.origin, signer.public_key, sizeof(have.stream.origin));
    return trace_frame(trace, mesh, &(FrameOut){.haves = &have, .haves_count = 1});
}
