/* The node's mind, pure: what happens goes in as an Event, what to do comes out as Actions.
 *
 *   EVENT_LINE, EVENT_RECEIVED, EVENT_LINK_..., EVENT_FRAME, EVENT_STORED, EVENT_TIMER
 *        |
 *    core_step   owns the links, the replica of the log and its fold, rooms, names, commands
 *        |
 *   ACTION_SHOW, ACTION_NOTICE, ACTION_STORE, ACTION_FRAME, ACTION_CONNECT, ACTION_QUIT, ...
 *
 * Two kinds of peers. With one of our kind the node exchanges the log, over a mesh link: one for
 * each pair of nodes, whichever side has dialled. A classic one gets lines by SendMessage, from a
 * queue. Mesh links have numbers: that of the entry in nodes.json it was dialled by; those dialled
 * by others follow.
 *
 * It reads no clock, draws no random number, touches nothing outside: those arrive in events. The
 * same events give the same actions, always. */
#pragma once

#include "base/strbuf.h"
#include "core/link.h"
#include "core/members.h"
#include "core/message.h"
#include "core/replica.h"
#include "core/sealed.h"

typedef struct Core Core;

/* What two ends of a mesh link say in parting, where nothing is wrong. */
#define MESH_BYE_LEAVING "the node is leaving"
#define MESH_BYE_TWIN "another link between us is kept"

typedef struct CoreConfig {
    NodeId node_id; /* random, new at each start */
    const char *name;
    /* Nobody has chosen it: in a private network the name by which this node was let in takes its
     * place, where it has one. */
    bool name_is_default;
    const NodeConfig *nodes; /* this node's own entry already left out */
    size_t nodes_count;      /* at most LINKS_MAX */
    EventSigner signer;
    uint64_t epoch;          /* of the own stream: replica_next_epoch */
    const StreamHead *heads; /* what the store holds */
    size_t heads_count;
    /* Of a private network: its Genesis, which members_new has found good, and all control events
     * that the store holds, in any order; NULL: open mode. */
    const uint8_t *genesis;
    size_t genesis_len;
    const uint8_t *proof; /* of this node: an encoded MemberProof */
    size_t proof_len;
    LogEvent *const *control_events;
    size_t control_count;
    const char *ignored; /* the text of the last ACTION_IGNORED; NULL: none */
    size_t ignored_len;
    uint32_t coalesce_ms; /* ReplicaConfig.coalesce_ms */
    bool recap; /* missed lines are told at the end of catching up, the last of them shown again */
    int64_t wall_ms;
} CoreConfig;

/* What the store is asked for. */
typedef enum QueryKind {
    QUERY_JOINS,   /* of all rooms, at the start */
    QUERY_RECENT,  /* the last of the lobby, at the start */
    QUERY_HISTORY, /* room, and other_room where there is one; count, since_hlc */
    QUERY_SEARCH,  /* words, count */
    QUERY_WHY,     /* stream, seq */
    QUERY_ROOMS,
    QUERY_CUTS, /* stream.origin, since_hlc: of each stream of that origin the last event before
                 * that stamp, where it has one */
} QueryKind;

enum { QUERY_WORDS_MAX_BYTES = 256 };

typedef struct Query {
    QueryKind kind;
    char room[EVENT_ROOM_MAX_BYTES + 1];
    char other_room[EVENT_ROOM_MAX_BYTES + 1]; /* "": none. The answer is in the shown order */
    size_t wanted; /* lines, of the count events of a sealed room; 0: all */
    size_t count;
    uint64_t since_hlc;
    char words[QUERY_WORDS_MAX_BYTES + 1];
    StreamId stream;
    uint64_t seq;
    /* CUTS: whoever gave the command with EVENT_COMMAND waits for the answer. */
    bool replies;
    void *token;
} Query;

/* A room that the store knows. */
typedef struct RoomRow {
    const char *name;
    size_t name_len;
    uint64_t last_hlc;
} RoomRow;

typedef enum EventKind {
    EVENT_START,
    EVENT_LINE,          /* a person said something, or gave a command */
    EVENT_INPUT_FAILED,  /* a line could not even be passed on: the exit code will be 1 */
    EVENT_INPUT_ENDED,   /* nothing more will be typed: deliver what waits, then leave */
    EVENT_LEAVE,         /* a signal, or the terminal is gone: leave soon */
    EVENT_RECEIVED,      /* somebody called SendMessage; more: EVENT_SAID follows soon */
    EVENT_SAID,          /* what was received with `more` goes to the disk, as one group */
    EVENT_LINK_ANSWERED, /* a peer answered Hello; in a private network key, binding */
    EVENT_LINK_DOWN,     /* an attempt failed, or a link was lost */
    EVENT_DELIVERED,     /* the peer has taken the line that was last sent to it */
    EVENT_REFUSED,       /* the peer will never take it; text says why */
    EVENT_MESH_UP,       /* mesh: somebody has dialled us from text */
    EVENT_MESH_DOWN,     /* mesh, text: why; classic: its peer does not know mesh links */
    EVENT_FRAME,         /* mesh, data, len */
    EVENT_SENT,          /* mesh: the last frame is on its way */
    EVENT_STORED,        /* ticket: that ACTION_STORE, and all before it, are durable */
    EVENT_STORE_STATE,   /* text: nothing can be written, why; NULL: it can */
    EVENT_READ_DONE,     /* mesh, stream, from, events: the answer to ACTION_READ */
    EVENT_ANSWER,        /* query, and what it asked for; text: it failed, why */
    EVENT_KNOCK,         /* key, data, len, token: somebody at the gate holds that key, and shows
                            that MemberProof */
    EVENT_ADMIT,         /* key, peer_name, text ("host:port" or NULL), token: an invitation was
                            good: make it a member */
    EVENT_COMMAND,       /* text, token: as typed, but the answer is for the caller alone */
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
    void *token;               /* RECEIVED: given back with ACCEPT or REJECT */
    size_t mesh;
    const uint8_t *key;     /* MESH_UP, LINK_ANSWERED: the peer's, as TLS has proved it; NULL in
                               open mode */
    const uint8_t *binding; /* MESH_UP, LINK_ANSWERED: of the connection (io/gate.h), 32 bytes; NULL
                               in open mode */
    const uint8_t *data;
    size_t len;
    uint64_t ticket;
    StreamId stream;
    uint64_t from;
    LogEvent *const *events; /* READ_DONE, ANSWER; borrowed */
    size_t events_count;
    const Query *query;
    const char *const *snippets; /* SEARCH: of each event */
    const RoomRow *rooms;        /* ROOMS */
    size_t rooms_count;
    bool more;    /* ANSWER: there were more than the query's count; RECEIVED */
    bool refused; /* LINK_DOWN: it is there, and one of the two does not let the other in */
    bool classic; /* LINK_ANSWERED: knows no Hello, so the next three are empty */
    const uint8_t *node_id;
    size_t node_id_len;
    const char *peer_name;
    uint32_t rtt_us; /* LINK_ANSWERED, DELIVERED; 0: not measured */
} Event;

typedef enum NoticeLevel { NOTICE_INFO, NOTICE_WARNING, NOTICE_ERROR } NoticeLevel;

typedef enum ActionKind {
    ACTION_SHOW,       /* message */
    ACTION_PASSED,     /* stream, from, own, message or NULL: the fold is through with an event;
                          a message is for whoever follows its room, seen here or not */
    ACTION_NOTICE,     /* level, text: for the person at this node */
    ACTION_LIST,       /* show the links (core_link) */
    ACTION_CONNECT,    /* link; keepalive unless classic */
    ACTION_DISCONNECT, /* link */
    ACTION_PROBE,      /* link: ask Hello again, to see that a classic peer is still there */
    ACTION_SEND,       /* link, message; answered by DELIVERED, REFUSED or LINK_DOWN */
    ACTION_ACCEPT,     /* token: that line is durable, or a repeat; message where it is new */
    ACTION_REJECT,     /* token: it breaks a rule, or could not be kept; err, text */
    ACTION_MESH_OPEN,  /* link: open a mesh link on its connection; frames may follow at once */
    ACTION_MESH_CLOSE, /* mesh, text: why, for the peer */
    ACTION_FRAME,      /* mesh, frame; then SENT */
    ACTION_STORE,      /* events, ticket, own: write them, in order, then STORED */
    ACTION_READ,       /* mesh, stream, from: whole groups from there, about a frame of them */
    ACTION_QUERY,      /* query */
    ACTION_HISTORY,    /* message, kept, text: the snippet or NULL */
    ACTION_KEPT,       /* message, kept */
    ACTION_LET_IN,     /* token: of KNOCK */
    ACTION_TURN_AWAY,  /* token: of KNOCK or ADMIT; text: why, for the other end */
    ACTION_WELCOME,    /* token: of ADMIT; frame: the newcomer's MemberProof, durable here */
    ACTION_REPLY,      /* token: of COMMAND; level, text: a line of the answer */
    ACTION_REPLIED,    /* token: of COMMAND; err: that was all. Each COMMAND gets one, in the same
                          step unless it asks the store */
    ACTION_INVITE,     /* token or NULL, hours, text: addresses, or "": make an invitation, and tell
                          it, before what follows: a REPLIED for that token comes next */
    ACTION_IGNORED,    /* text: all whose lines are not shown, to be kept for CoreConfig.ignored */
    ACTION_CUT,        /* stream, from: what is stored of it past that number goes */
    ACTION_CUT_KEY,    /* key: a member no more: its connections are to end */
    ACTION_PROOF,      /* frame: what this node shows at doors from now on (CoreConfig.proof), to be
                          kept */
    ACTION_QUIT,       /* exit_code */
} ActionKind;

/* How far an own message is. */
typedef struct Kept {
    size_t by;    /* other nodes that have it on their disks, as far as they have told */
    size_t known; /* other nodes that this one is linked with, or was */
} Kept;

typedef struct Action {
    ActionKind kind;
    size_t link;
    bool classic;
    Message *message; /* a reference of its own, dropped by actions_reset */
    NoticeLevel level;
    Err err;
    char *text; /* owned, freed by actions_reset */
    int exit_code;
    void *token;
    size_t mesh;
    Bytes *frame;      /* a reference of its own */
    LogEvent **events; /* owned, with a reference each */
    size_t events_count;
    uint64_t ticket;
    bool own;
    StreamId stream;
    uint64_t from;
    Query *query; /* owned */
    Kept kept;
    unsigned hours; /* INVITE: until it expires */
    uint8_t key[EVENT_KEY_BYTES];
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

/* Strings and heads are borrowed until it returns; the signer is taken over (event_signer_done). */
Core *core_new(const CoreConfig *config);
/* NULL is fine. */
void core_free(Core *core);

/* Adds to actions, which the caller has reset. */
void core_step(Core *core, const Event *event, Actions *actions);

/* A message of an event that the store held: its fingerprint, as lines that are shown have it. */
void core_mark(Core *core, const LogEvent *event, Message *message);

/* What faces may ask for at any time. */
const char *core_name(const Core *core);
const uint8_t *core_key(const Core *core); /* EVENT_KEY_BYTES: of this node */
/* NULL in open mode. */
const Members *core_members(const Core *core);
size_t core_links_count(const Core *core); /* all of nodes.json but SELF and TWIN */
size_t core_links_up(const Core *core);
/* Index range of core_link: the entries of nodes.json, then those that have dialled us and are in
 * no entry that is up. */
size_t core_links_configured(const Core *core);
void core_link(const Core *core, size_t index, uint64_t mono_ms, LinkView *ret_view);
/* True while reading on would fill the queue of a peer that is there or on its way: whoever reads
 * lines from a pipe waits until it is false. */
bool core_input_should_wait(const Core *core);
/* Whoever says much at a time stops where own lines that wait for the disk are many, and goes on
 * when they are few. Neither while lines are refused at once: the disk takes none, or the node is
 * leaving. */
bool core_is_full(const Core *core);
bool core_has_room(const Core *core);
size_t core_mesh_count(const Core *core); /* numbers of mesh links */
const char *core_room(const Core *core);  /* where typed lines go */
/* What is sealed is read with it; NULL: open mode. The core's, for the same thread alone. */
Keyring *core_keyring(const Core *core);
/* Names seen lately, for completion: newest first, NULL past the end. */
const char *core_recent_name(const Core *core, size_t index);
