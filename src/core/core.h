/* The node's mind, pure: what happens goes in as an Event, what to do comes out as Actions.
 *
 *   EVENT_LINE, EVENT_RECEIVED, EVENT_LINK_..., EVENT_TIMER
 *        |
 *    core_step   owns the links' states and queues, who has seen what, names, commands
 *        |
 *   ACTION_SHOW, ACTION_NOTICE, ACTION_SEND, ACTION_CONNECT, ACTION_QUIT, ...
 *
 * It reads no clock, draws no random number, touches nothing outside: those arrive in events. The
 * same events give the same actions, always. */
#pragma once

#include "base/strbuf.h"
#include "core/link.h"
#include "core/message.h"

typedef struct Core Core;

typedef struct CoreConfig {
    NodeId node_id; /* random, new at each start */
    const char *name;
    const NodeConfig *nodes; /* this node's own entry already left out */
    size_t nodes_count;      /* at most LINKS_MAX */
} CoreConfig;

typedef enum EventKind {
    EVENT_START,
    EVENT_LINE,          /* a person said something, or gave a command */
    EVENT_INPUT_FAILED,  /* a line could not even be passed on: the exit code will be 1 */
    EVENT_INPUT_ENDED,   /* nothing more will be typed: deliver what waits, then leave */
    EVENT_LEAVE,         /* a signal, or the terminal is gone: leave soon */
    EVENT_RECEIVED,      /* somebody called SendMessage */
    EVENT_LINK_ANSWERED, /* a peer answered Hello */
    EVENT_LINK_DOWN,     /* an attempt failed, or a link was lost */
    EVENT_DELIVERED,     /* the peer has taken the line that was last sent to it */
    EVENT_REFUSED,       /* the peer will never take it; text says why */
    EVENT_TIMER,
} EventKind;

typedef struct Event {
    EventKind kind;
    uint64_t mono_ms;     /* monotonic */
    int64_t wall_ms;      /* Unix time */
    int32_t utc_offset_s; /* of the zone times are shown in */
    uint64_t random;      /* fresh for each event */

    size_t link;      /* LINK_*, DELIVERED, REFUSED: index into CoreConfig.nodes */
    const char *text; /* LINE: UTF-8 or not; LINK_DOWN, REFUSED: why */
    size_t text_len;
    const MessageDraft *draft; /* RECEIVED */
    bool classic;              /* LINK_ANSWERED: knows no Hello, so the next three are empty */
    const uint8_t *node_id;
    size_t node_id_len;
    const char *peer_name;
    uint32_t rtt_us; /* LINK_ANSWERED, DELIVERED; 0: not measured */
} Event;

typedef enum NoticeLevel { NOTICE_INFO, NOTICE_WARNING, NOTICE_ERROR } NoticeLevel;

typedef enum ActionKind {
    ACTION_SHOW,       /* message */
    ACTION_NOTICE,     /* level, text: for the person at this node */
    ACTION_LIST,       /* show the links (core_link) */
    ACTION_CONNECT,    /* link; keepalive unless classic */
    ACTION_DISCONNECT, /* link */
    ACTION_PROBE,      /* link: ask Hello again, to see that a classic peer is still there */
    ACTION_SEND,       /* link, message; answered by DELIVERED, REFUSED or LINK_DOWN */
    ACTION_ACCEPT,     /* RECEIVED was taken, or is a repeat; message where it is new */
    ACTION_REJECT,     /* RECEIVED breaks a rule; err, text */
    ACTION_QUIT,       /* exit_code */
} ActionKind;

typedef struct Action {
    ActionKind kind;
    size_t link;
    bool classic;
    Message *message; /* a reference of its own, dropped by actions_reset */
    NoticeLevel level;
    Err err;
    char *text; /* owned, freed by actions_reset */
    int exit_code;
} Action;

/* What one step asks for, in order; then when to come back with EVENT_TIMER. */
typedef struct Actions {
    Action *items;
    size_t count;
    size_t cap;
    uint64_t wake_at_ms; /* monotonic; 0: only when something happens */
} Actions;

void actions_reset(Actions *actions); /* keeps the memory */
void actions_done(Actions *actions);

Core *core_new(const CoreConfig *config);
/* NULL is fine. */
void core_free(Core *core);

/* Adds to actions, which the caller has reset. */
void core_step(Core *core, const Event *event, Actions *actions);

/* What faces may ask for at any time. */
const char *core_name(const Core *core);
size_t core_links_count(const Core *core); /* all of nodes.json but SELF and TWIN */
size_t core_links_up(const Core *core);
size_t core_links_configured(const Core *core); /* index range of core_link */
void core_link(const Core *core, size_t index, uint64_t mono_ms, LinkView *ret_view);
/* True while reading on would fill the queue of a peer that is there or on its way: whoever reads
 * lines from a pipe waits until it is false. */
bool core_input_should_wait(const Core *core);
/* Names seen lately, for completion: newest first, NULL past the end. */
const char *core_recent_name(const Core *core, size_t index);
