/* What the parts of the core share. For src/core alone. */
#pragma once

#include "core/classic.h"
#include "core/core.h"
#include "core/fold.h"
#include "core/members.h"
#include "core/names.h"
#include "core/presence.h"
#include "core/rooms.h"
#include "core/sealed.h"
#include "core/seen.h"

/* To those whose links end with it. */
#define MESH_BYE_REMOVED "this node was removed from the network"

enum {
    CORE_NAMES_MAX = 64, /* for completion: who spoke lately */
    /* Lines in flight get this long when a person leaves; all that waits, when a pipe ended. */
    CORE_LEAVE_MS = 1000,
    CORE_DRAIN_MS = 5000,
    /* A classic server answers keepalive pings with "too many pings"; so it is asked instead. */
    CORE_PROBE_MS = 3000,
    /* One of ours is asked to know the round-trip time: when the bustle of connecting is over, then
     * now and again. */
    CORE_PROBE_FIRST_MS = 2000,
    CORE_PROBE_OWN_MS = 60 * 1000,
    /* That have dialled us; with those of nodes.json REPLICA_LINKS_MAX. */
    MESH_INCOMING_MAX = REPLICA_LINKS_MAX - LINKS_MAX,
    /* Until the peer has said who it is: an ocean and a busy node. Who says nothing holds no place
     * among those that have dialled us. */
    MESH_HELLO_MS = 10 * 1000,
    /* A mesh link that ended on a connection that stands is opened again after a while, which
     * doubles each time it ends without a greeting; where the peer is too old to know of mesh
     * links, after a long one. */
    MESH_REOPEN_MS = 500,
    MESH_REOPEN_DOUBLINGS = 6,
    MESH_REOPEN_OLD_MS = 60 * 1000,
    /* Own lines that are not on the disk yet: a second of a busy program's. A pipe is held up
     * before, a client refused. */
    PENDING_MAX_LINES = 8192,
    /* Streams are held up here, so that calls and typed lines find room beside them; and go on
     * where pipes do. Some commit groups: the disk never waits for the next one. */
    PENDING_FULL_LINES = 2048,
    PENDING_FULL_BYTES = 1024 * 1024,
    PENDING_BUSY_LINES = 1024,
    PENDING_BUSY_BYTES = 512 * 1024,
    /* Where people talk at once everything is late for some milliseconds: that is not told. */
    LATE_MS = 1000,
    /* Said longer ago than that when it comes: this node was away. */
    MISSED_MS = 10 * 1000,
    RECAP_LINES = 20,
    RECAP_QUIET_MS = 400, /* after the last missed line */
    RECAP_LATEST_MS = 5000,
    RECENT_LINES = 4096, /* read at the start: clients that try again may have been away for long */
    RECENT_SHOWN = 10,
    ARRIVALS_MAX = 1024,
    SYNC_QUIET_MS = 400, /* after what came last: then nothing is missing */
};

/* A mesh link. */
typedef struct MeshLink {
    bool up;
    bool greeted;
    uint64_t up_ms; /* since when */
    NodeId peer;    /* while greeted */
    uint8_t key[EVENT_KEY_BYTES];
    bool proved; /* the key: by the connection, before any greeting */
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    char address[LINK_HOST_MAX_BYTES + 16];
} MeshLink;

/* Somebody said again what waits for the disk. */
typedef struct PendingRepeat {
    void *token;
    Message *message;
    struct PendingRepeat *next;
} PendingRepeat;

/* An own line that is not on the disk yet. */
typedef struct PendingLine {
    uint64_t epoch; /* of this node's streams */
    uint64_t seq;
    size_t bytes;
    Message *message; /* NULL: made of the event */
    bool for_classic;
    void *token; /* of who is to be told; NULL: nobody */
    bool admits; /* then the token is of ADMIT, and that is the newcomer's key */
    uint8_t newcomer[EVENT_KEY_BYTES];
    PendingRepeat *repeats; /* newest first: of this line, or of one before it */
    struct PendingLine *next;
} PendingLine;

/* Whose lines this node's person does not want to see. */
typedef struct Ignored {
    uint8_t key[EVENT_KEY_BYTES];
    char *name; /* as it was called then; owned */
} Ignored;

/* How a message came, for /why. */
typedef struct Arrival {
    char place[40];
    size_t mesh; /* REPLICA_LINKS_MAX: said here */
    char by[MESSAGE_SENDER_MAX_BYTES + 1];
    int64_t wall_ms;
} Arrival;

/* Who may be none any more when the step is over. */
typedef struct FormerMember {
    uint8_t key[EVENT_KEY_BYTES];
    char name[MEMBER_NAME_MAX_BYTES + 1];
} FormerMember;

struct Core {
    NodeId node_id;
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    uint8_t key[EVENT_KEY_BYTES];
    bool recap;
    Link *links;
    size_t links_count;
    MeshLink *mesh; /* by number; the first links_count are those we dial */
    size_t mesh_count;
    uint64_t silent_at_ms; /* when to look who has not said who he is, or sooner; 0: not at all */
    Replica *replica;
    uint64_t replica_wake_ms;
    ReplicaOutputs replica_outputs; /* empty between steps; kept for its memory */
    Fold *fold;
    FoldOut fold_out;
    uint64_t fold_wake_ms;
    bool rooms_asked; /* of the disk, and no answer yet: until then nothing is shown */
    Presences *presences;
    bool sync_told; /* "connected to NAME, n messages synced" */
    size_t sync_count;
    uint64_t sync_at_ms;    /* when something last came, since there is a link; 0: there is none */
    uint64_t witness_at_ms; /* when it is looked whether all members are known to all; 0: not */
    Names *names;
    Ignored *ignored; /* by key */
    size_t ignored_count;
    Members *members;       /* NULL: open mode */
    EventSigner signer;     /* for memberships; all zeros in open mode */
    bool members_changed;   /* what they say may have: to be looked at when the step is over */
    MemberState told_state; /* of this node's own, as the person knows it; GOOD before */
    Bytes *proof;           /* what it shows at doors; NULL: open mode */
    /* Before the first revocation of this step: who was a member then. NULL: there was none. */
    FormerMember *members_before;
    size_t members_before_count;
    size_t let_in_before;                          /* in this step, but said some time ago */
    char founder_name[EVENT_SENDER_MAX_BYTES + 1]; /* as last said; "": not known */
    Rooms *rooms;
    Keyring *keyring;                              /* NULL: open mode */
    char person_name[EVENT_SENDER_MAX_BYTES + 16]; /* the keyring asked for last */
    char room[EVENT_ROOM_MAX_BYTES + 1];
    Seen *seen;
    ClassicLines *classic_lines;
    PendingLine *pending; /* oldest first */
    PendingLine *pending_last;
    size_t pending_count;
    size_t pending_bytes;
    size_t repeats_count;
    char *store_reason;    /* nothing can be written; NULL: it can */
    Message *kept_message; /* the last own one */
    StreamId kept_stream;
    uint64_t kept_seq;
    Kept kept;
    Message *missed[RECAP_LINES]; /* a ring */
    size_t missed_count;
    uint64_t missed_first_ms;
    uint64_t missed_last_ms;
    Arrival *arrivals; /* a ring */
    size_t arrivals_count;
    char last_place[40];  /* of the message shown last */
    char frozen_told[40]; /* of the event whose author signed another for its place */
    char *recent_names[CORE_NAMES_MAX];
    size_t recent_count;
    bool told_alone; /* the person knows that nobody is connected */
    bool leaving;
    bool input_ended; /* the exit code counts what was not delivered */
    bool input_failed;
    uint64_t leave_at_ms;
    bool quit;
};

/* One step: what happened, and where to put what is to be done. */
typedef struct Step {
    Core *core;
    const Event *event;
    Actions *actions;
    bool replies; /* notices go to token, of EVENT_COMMAND */
    void *token;
    Err reply_err;
    bool replies_later; /* the store has been asked */
} Step;

Action *step_add(Step *step, ActionKind kind);
[[gnu::format(printf, 3, 4)]] void step_notice(Step *step, NoticeLevel level, const char *format,
                                               ...);
/* The earlier of two moments, of which 0 is none. */
uint64_t earlier(uint64_t a, uint64_t b);

/* core_lines.c: what people and programs say. */
void lines_typed(Step *step);
void lines_received(Step *step);
void lines_remember_name(Core *core, const char *name);
/* Says text in a room; false: not, and why is told. */
bool lines_say(Step *step, const char *room, MessageKind kind, const char *text, size_t len);
/* The fold has released an event. */
void lines_shown(Step *step, const FoldShown *shown);
/* One that was shown in an earlier life: another node may have written the same line. */
void lines_recalled(Step *step, const LogEvent *event);

/* core_command.c: what starts with a slash. */
void command_run(Step *step, const char *text, size_t len);
/* EVENT_COMMAND. */
void command_asked(Step *step);
/* Nothing more is to be said to who has asked. */
void command_replied(Step *step);

/* core_rooms.c: commands about rooms and people. */
void rooms_start(Step *step);
void rooms_join(Step *step, const char *name, size_t len);
void rooms_part(Step *step, const char *name, size_t len);
void rooms_msg(Step *step, const char *rest, size_t len);
void rooms_to(Step *step, const char *rest, size_t len);
void rooms_names(Step *step, const char *name, size_t len);
void rooms_answer_joins(Step *step);
void rooms_answer_rooms(Step *step);
/* Is it for this node's person? */
bool rooms_sees(const Core *core, const Message *message);
/* Who is here with that key, or NULL. */
const FramePresence *presence_of(const Core *core, const uint8_t *key);

/* core_names.c: under whose name. */
/* The members of the network, whose names are theirs: anew after each change. */
void names_take_members(Core *core);
/* Marks a message of that key's whose sender could be taken for somebody else; a name that is new
 * becomes the key's. */
void names_mark(Core *core, const uint8_t key[EVENT_KEY_BYTES], Message *message);
/* Somebody is told to be called so: the name becomes the key's, where it is nobody's. */
void names_heard(Core *core, const uint8_t key[EVENT_KEY_BYTES], const char *name);
/* Would a caller of this node speak under the name of a member who is at another one? */
bool names_sender_is_taken(const Core *core, const MessageDraft *draft);
/* The name, with its fingerprint where it could mislead; "(no name)". */
void names_add_shown(Core *core, StrBuf *out, const uint8_t key[EVENT_KEY_BYTES], const char *name);

/* core_sync.c: what the first link of a private network has brought. */
void sync_begun(Step *step);
void sync_applied(Step *step, LogEvent *const *events, size_t count);
uint64_t sync_wake_at(const Core *core);
void sync_timer(Step *step);

/* core_ignore.c: whose lines are not shown here. */
void ignore_load(Core *core, const char *text, size_t len);
void ignore_free(Core *core);
void ignore_add(Step *step, const char *who, size_t len);
void ignore_end(Step *step, const char *who, size_t len);
bool ignore_has(const Core *core, const uint8_t key[EVENT_KEY_BYTES]);

/* core_history.c: what was said before. */
void history_ask(Step *step, const char *rest, size_t len);
void history_search(Step *step, const char *words, size_t len);
void history_why(Step *step, const char *place, size_t len);
void history_answer(Step *step);
/* Asks the store; the rest of the query, which is the action's, may be filled in. */
Query *history_query(Step *step, QueryKind kind, const char *room);
/* A missed line, for the recap; and the recap, when it is time. */
void history_missed(Step *step, Message *message);
void history_timer(Step *step);
uint64_t history_wake_at(const Core *core);
void history_arrived(Step *step, const Message *message, size_t mesh);
void query_rooms(Step *step);

/* core_log.c: the replica, and the fold behind it. */
void log_input(Step *step, ReplicaInput input);
/* What counts of that stream has changed: nobody has to wait for the rest. */
void log_cut(Step *step, const StreamId *stream);
/* What is shown has waited for it. */
void log_rooms_known(Step *step);
void log_store_state(Step *step);
void log_timer(Step *step);
/* At the end: nothing waits for its causes any more. */
void log_show_all(Step *step);
Kept log_kept(const Core *core, const StreamId *stream, uint64_t seq);
/* Tells how far the last own message is, where that has changed. */
void log_check_kept(Step *step);

/* core_say.c: what is said here and not shown yet. */
/* Says these fields, in this node's stream. Takes references to message (may be NULL). ERR_LIMIT,
 * ERR_UNAVAILABLE: nothing was said; *ret_text (static, or the core's) says why. */
typedef struct LogLine {
    EventFields fields;
    Message *message;
    bool for_classic;
    void *token;
    const uint8_t *newcomer; /* of a MEMBER event: PendingLine.newcomer; NULL: no admission */
    bool more;               /* ReplicaInput.more */
} LogLine;
Err log_say(Step *step, const LogLine *line, const char **ret_text);
/* Would it? */
Err log_may_say(const Core *core, const char **ret_text);
/* Tells token when all that waits for the disk now is on it; false: nothing waits. Takes a
 * reference to message. */
bool log_wait(Core *core, void *token, Message *message);
/* Accepts a line that has been taken off, and its repeats, and frees it. NULL is fine. */
void log_accept(Step *step, PendingLine *pending, Message *message);
/* Who waits for an answer is told that there is none to be had now. The lines themselves stay where
 * they are, and go to the disk when it takes them. */
void log_reject_pending(Step *step, const char *text);
/* Those past a cut of one of this node's streams will never be shown: who said them is told. */
void log_cut_pending(Step *step, const StreamId *stream, uint64_t hi);
void log_pending_free(Core *core);
/* Takes the first one off where it has that place; the caller frees it. */
PendingLine *log_pending_take(Core *core, const StreamId *stream, uint64_t seq);

/* core_sealed.c: sealed rooms, and what two say to each other alone. All of it does nothing in open
 * mode. */
void sealed_begin(Core *core, const CoreConfig *config);
void sealed_end(Core *core);
/* ROOM_KEY events are heeded when they are applied. */
void sealed_apply(Core *core, LogEvent *const *events, size_t count);
/* The fold has released one: who was let in, is told. */
void sealed_shown(Step *step, const LogEvent *event);
/* As log_say, of a line whose room has its shown name: sealed, where that is a sealed room or a
 * person. */
Err sealed_say(Step *step, const LogLine *line, const char **ret_text);
/* Does this room, by its shown name, take the ways of this file? */
bool sealed_is_shown(const Core *core, const char *room);
/* Its name in the log. False, and said, where there is no such room. */
bool sealed_room_id(Step *step, const char *shown, char ret_id[EVENT_ROOM_MAX_BYTES + 1]);
/* "@NAME" made sure, and unique. False, and said, where nobody or several are called that. */
bool sealed_person(Step *step, const char *who, size_t len,
                   char ret_room[EVENT_ROOM_MAX_BYTES + 1]);
void sealed_make(Step *step, const char *name, size_t len);
void sealed_admit(Step *step, const char *rest, size_t len);
void sealed_join(Step *step, const char *shown);
/* False: nothing was done, and why is told. */
bool sealed_part(Step *step, const char *shown);
void sealed_names(Step *step, const char *shown);
/* A row of /rooms: its name, "" for one that is not to be listed; *ret_note: what else there is. */
const char *sealed_row(const Core *core, const char *id, size_t *ret_people, bool *ret_entered);
/* The shown name of a room in the log, for a notice. Valid until the next call. */
const char *sealed_room_text(Core *core, const char *room);
void rooms_go_to(Step *step, const char *room);

/* core_mesh.c: the mesh links, and who is where. */
void mesh_up(Step *step);
void mesh_down(Step *step);
/* The connection it stood on is gone. */
void mesh_lost(Step *step, size_t index);
/* The replica is done with it. */
void mesh_dropped(Step *step, size_t index, const char *reason);
void mesh_greeted(Step *step, size_t index, const FrameHello *hello);
void mesh_heard(Step *step, size_t index, const FramePresence *rows, size_t count);
/* Opens one on a link that has come up, unless there is one with that peer. */
void mesh_want(Step *step, Link *link);
/* The greeted one that leads to the peer of a link, or mesh_count. */
size_t mesh_of_link(const Core *core, const Link *link);
/* Is there a greeted one with the node of that key? NULL: with any. */
bool mesh_is_linked(const Core *core, const uint8_t *key);
/* Is there an entry of nodes.json that is up and leads to that process? */
bool mesh_link_leads_to(const Core *core, const NodeId *peer);
void mesh_timer(Step *step);
uint64_t mesh_wake_at(const Core *core);
/* Ends those whose peers have proved to hold that key. */
void mesh_close_key(Step *step, const uint8_t *key, const char *reason);
void mesh_close_all(Step *step, const char *reason);
void mesh_rename(Step *step);
void mesh_leave(Step *step);

/* core_members.c: who is in the private network. */
/* That of what members say about members: nobody's, and so not listed. */
#define NETWORK_ROOM "@"
void network_open(Core *core, const CoreConfig *config);
void network_close(Core *core);
void network_begin(Step *step);
/* Events that the replica has applied; before the fold has them. */
void network_applied(Step *step, LogEvent *const *events, size_t count);
/* When the step is over: what follows from it. */
void network_settle(Step *step);
/* Of a MEMBER or REVOKE event with that body; valid while it is. */
EventFields network_fields(const Core *core, LogKind kind, const Bytes *body);
void network_knock(Step *step);
void network_admit(Step *step);
/* The MEMBER event is durable: its newcomer may come in; or it was not written. */
void network_welcome(Step *step, void *token, const uint8_t *key);
void network_turn_away(Step *step, void *token, const char *text);
/* May that key link with this node? In open mode every one may. */
bool network_counts(const Core *core, const uint8_t *key);
/* Is this node a member of its network, or in none? */
bool network_is_in(const Core *core);
/* Has the founder removed it? Then it links with nobody; who just is not known to be a member does,
 * where the others let it. */
bool network_is_removed(const Core *core);
/* What that means for what is said here. */
const char *network_why_out(const Core *core);
/* Of a member, or of who is here; "": not known. */
const char *network_name(const Core *core, const uint8_t *key);
/* "ann (3f2a-91bc-04d7-be11)". */
void network_add_name(const Core *core, StrBuf *out, const uint8_t *key);

/* core_witness.c: members whom only some know. */
void network_witness_later(Step *step);
void network_timer(Step *step);

/* core_who.c: who is meant by a name, or by a fingerprint or its beginning. False, and said, where
 * it is nobody, or more than one. loosely: a nickname will do. */
bool network_find_who(Step *step, const char *text, size_t len, bool loosely,
                      uint8_t ret_key[EVENT_KEY_BYTES]);

/* core_network_commands.c: the commands about that. */
void network_invite(Step *step, const char *rest, size_t len);
void network_members(Step *step);
void network_revoke(Step *step, const char *rest, size_t len);
void network_ban(Step *step, const char *rest, size_t len);
/* With what all its revocations leave. False: not now. */
bool network_revoke_again(Step *step, const uint8_t *key);
void network_id(Step *step);
void network_whois(Step *step, const char *rest, size_t len);
void network_answer_cuts(Step *step);

/* core_links.c: the other nodes. */
void links_start(Step *step);
void links_answered(Step *step);
void links_down(Step *step);
void links_delivered(Step *step);
void links_refused(Step *step);
void links_timer(Step *step);
void links_retry(Step *step);
/* Queues message for every classic peer, and sends where that can be. */
void links_pass_on(Step *step, Message *message);
/* The next moment at which links_timer has something to do; 0: none. */
uint64_t links_wake_at(const Core *core);
bool link_counts(const Link *link); /* neither this node itself nor a twin */

/* core_leave.c: how a node goes. */
void leave_begin(Step *step, bool input_ended);
/* Ends it, if nothing is left to wait for. */
void leave_check(Step *step);
uint64_t leave_wake_at(const Core *core);
