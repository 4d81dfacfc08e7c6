/* Replication, pure: every node comes to hold every stream, each event crossing each link once.
 *
 *   say ----> [own stream] --STORE--> durable --+--> those who want it
 *   frame --> verify --> [stream] --APPLY-------+--> those who want it, at once
 *                            |                        HAVE only once it is durable
 *                            +------STORE
 *
 * Pull, with one upstream for each stream: a node asks one link for a stream, and then gets what is
 * new of it as it comes. What it is told of and does not get, it asks another link for. So trees
 * form by themselves (as in Plumtree: Leitao, Pereira, Rodrigues, "Epidemic Broadcast Trees", SRDS
 * 2007, but pulled), and nothing is sent in order to learn.
 *
 * No clock, no I/O, no randomness: these come in events. Links are small numbers that the caller
 * gives. */
#pragma once

#include "core/frame.h"

typedef struct Replica Replica;

enum {
    REPLICA_VERSION = 1,
    /* Those of nodes.json, and as many that others have opened. */
    REPLICA_LINKS_MAX = 512,
    /* One file's worth of a mesh's history: a hundred nodes, each started a thousand times. */
    REPLICA_STREAMS_MAX = 100000,
    /* Of them, those of one author: one that is started anew each hour for a year. Who begins
     * endlessly many has his later ones passed over, and takes no other author's place. */
    REPLICA_STREAMS_OF_ORIGIN_MAX = 10000,
    /* What may be on its way to a node, and not yet on its disk, by one link. */
    REPLICA_CREDIT_BYTES = 1024 * 1024,
    /* Of events in one frame; a group is never cut, so twice as much may come. */
    REPLICA_FRAME_EVENTS_BYTES = 64 * 1024,
    /* Recent events of a stream kept in memory for those who follow, and bytes of such events of
     * all streams; the rest is read from the store. */
    REPLICA_WINDOW_EVENTS = 4096,
    REPLICA_WINDOWS_BYTES = 32 * 1024 * 1024,
    /* Said and not yet durable: what a disk that is full or slow may leave waiting. */
    REPLICA_SAID_MAX_BYTES = 4 * 1024 * 1024,
    /* Of authors who signed two events for one place: more than any honest group will see; what is
     * beyond freezes where it is seen, and is not passed on. */
    REPLICA_PROOFS_MAX = 1000,
    /* In memory of one stream: no more than this, which is what may not be on the disk yet (a
     * credit), and the frame that passed it. */
    REPLICA_WINDOW_BYTES = 2 * REPLICA_CREDIT_BYTES,
};

typedef struct ReplicaConfig {
    EventSigner signer;
    const uint8_t *network;    /* NULL: open mode; borrowed for the replica's life */
    NodeId node_id;            /* of this life */
    const char *name;          /* of the person here; borrowed until replica_new returns */
    uint64_t epoch;            /* of the own stream: never used before, also not by a lost backup */
    uint32_t have_interval_ms; /* 0: 250 */
    uint32_t have_fanout;      /* links told of news at each interval; 0: 6 */
    uint32_t coalesce_ms;      /* a busy link's frames are held this long; 0: not at all */
    size_t group_max;          /* own events in one group; 0: EVENT_GROUP_MAX */
    size_t windows_bytes;      /* 0: REPLICA_WINDOWS_BYTES */
    size_t streams_max;        /* 0: REPLICA_STREAMS_MAX */
    size_t streams_of_origin_max; /* 0: REPLICA_STREAMS_OF_ORIGIN_MAX */
    /* Takes every stream from one peer, the one with the lowest key, where that is lower than one's
     * own: one more hop, and far fewer frames, since those that are held are shared by all streams.
     * For nodes that pay for each frame. */
    bool frugal;
    /* Is the event's signature good? NULL: event_signature_is_good. A simulator may remember. */
    bool (*verify)(const LogEvent *event);
    /* How far a stream counts (members_cut): nothing past it is taken, given or kept. NULL: open
     * mode, all of every stream counts. ret_hash may be NULL. */
    uint64_t (*cut)(void *context, const StreamId *stream, EventHash *ret_hash);
    void *cut_context;
} ReplicaConfig;

/* Where a stream in the store ends. */
typedef struct StreamHead {
    StreamId stream;
    uint64_t hi;
    EventHash last_hash;
} StreamHead;

typedef enum ReplicaInputKind {
    REPLICA_SAY,       /* fields: room, kind, sender, body, after; the rest is filled in. more */
    REPLICA_SAID,      /* what was said with `more` goes to the disk now */
    REPLICA_STORED,    /* ticket: that STORE, and all before it, are durable */
    REPLICA_READ_DONE, /* link, stream, from, events: the answer to READ; none: not there */
    REPLICA_LINK_UP,   /* link: a new connection; in a private network dialled, binding, peer_key */
    REPLICA_LINK_DOWN, /* link */
    REPLICA_FRAME,     /* link, data, len */
    REPLICA_SENT,      /* link: the last frame is on its way, the next may come */
    REPLICA_TELL,      /* presences: to be sent on link; REPLICA_LINKS_MAX: on all but except */
    REPLICA_RENAME,    /* name: in the hellos from now on */
    REPLICA_MEMBERS, /* what `cut` says may have changed. Not before all outputs of the step before
                        * are done: what is to be cut may be among them */
    REPLICA_TIMER,
} ReplicaInputKind;

typedef struct ReplicaInput {
    ReplicaInputKind kind;
    uint64_t mono_ms;
    int64_t wall_ms;
    uint64_t random;
    size_t link;
    const EventFields *fields;
    bool more; /* another one, or REPLICA_SAID, follows at once: one group for them */
    uint64_t ticket;
    StreamId stream;
    uint64_t from;
    LogEvent *const *events; /* borrowed */
    size_t events_count;
    const uint8_t *data;
    size_t len;
    const FramePresence *presences;
    size_t presences_count;
    size_t except;
    const char *name;
    bool dialled;            /* by this side */
    const uint8_t *binding;  /* 32 bytes that both ends of the connection, and nobody else, know */
    const uint8_t *peer_key; /* as the connection has proved it */
} ReplicaInput;

typedef enum ReplicaOutputKind {
    REPLICA_STORE,  /* events, ticket: write them, in order, then STORED */
    REPLICA_READ,   /* link (REPLICA_LINKS_MAX: for a proof), stream, from: whole groups from there,
                      * about one frame of them */
    REPLICA_SEND,   /* link, frame; then SENT */
    REPLICA_DROP,   /* link, reason: end the connection; the replica has forgotten it */
    REPLICA_APPLY,  /* events, link: new here, in the stream's order; own ones once durable */
    REPLICA_FROZEN, /* stream: its author has signed two events for one place. frame: the proof, to
                      * be kept, and given to replica_load_proofs; NULL: it comes later, or never */
    REPLICA_CUT,    /* stream, from: what was applied of it, or said, past that number counts no
                      * more */
    REPLICA_GREETED, /* link, hello: who is there */
    REPLICA_HEARD,   /* link, presences */
} ReplicaOutputKind;

typedef struct ReplicaOutput {
    ReplicaOutputKind kind;
    size_t link;       /* of an own APPLY: REPLICA_LINKS_MAX */
    LogEvent **events; /* owned, with a reference each, by the outputs */
    size_t events_count;
    uint64_t ticket;
    StreamId stream;
    uint64_t from;
    Bytes *frame;
    char *reason;             /* owned */
    FrameHello *hello;        /* owned */
    FramePresence *presences; /* owned */
    size_t presences_count;
} ReplicaOutput;

typedef struct ReplicaOutputs {
    ReplicaOutput *items;
    size_t count;
    size_t cap;
    uint64_t wake_at_ms; /* monotonic; 0: only when something happens */
} ReplicaOutputs;

void replica_outputs_reset(ReplicaOutputs *outputs);
void replica_outputs_done(ReplicaOutputs *outputs);

/* The epoch of the next own stream: above every one that the store knows of this origin, and, by
 * chance, none that was ever used and forgotten. Time keeps it above those of a lost backup.
 * Where the stored ones are ahead of the clock, a lost backup and this one would count on from
 * the same number: so 32 bits of it are random then, and 16 always. */
uint64_t replica_next_epoch(uint64_t stored, int64_t wall_ms, uint64_t random);

/* heads: what the store holds. Where a `cut` is given, a first step, of whatever kind, is due at
 * once: a crash may have come between a cut and the disk, and nothing else need ever happen to who
 * is alone. */
Replica *replica_new(const ReplicaConfig *config, const StreamHead *heads, size_t heads_count);
/* NULL is fine. */
void replica_free(Replica *replica);

/* A proof of an earlier life, as REPLICA_FROZEN gave it; before the first step. ERR_INVALID,
 * ERR_LIMIT: it is damaged, and nothing has changed. */
Err replica_load_proofs(Replica *replica, const uint8_t *data, size_t len);

void replica_step(Replica *replica, const ReplicaInput *input, ReplicaOutputs *outputs);

/* ---- what others may ask ---- */

/* The last event of a stream that was applied, and that is durable here; 0: none. */
uint64_t replica_applied(const Replica *replica, const StreamId *stream);
uint64_t replica_durable(const Replica *replica, const StreamId *stream);
/* Where what was applied of it ends; false: nothing was. */
bool replica_head(const Replica *replica, const StreamId *stream, StreamHead *ret_head);
/* Links whose peers have told that they hold it. */
size_t replica_kept_by(const Replica *replica, const StreamId *stream, uint64_t seq);
/* As seen on one link. */
typedef struct ReplicaLinkView {
    bool greeted;
    uint64_t peer_lacks;   /* events that are durable here, and not there as far as it has told */
    uint64_t here_lacks;   /* that it has told of and are not here */
    uint32_t events_per_s; /* that came from it in the last second or so */
    uint32_t rtt_ms;
    bool rtt_known;
} ReplicaLinkView;
void replica_link(const Replica *replica, size_t link, uint64_t mono_ms, ReplicaLinkView *ret_view);
/* Does that link's peer hold it, as far as it has told? */
bool replica_link_holds(const Replica *replica, size_t link, const StreamId *stream, uint64_t seq);
/* Is there room for one more REPLICA_SAY? False: REPLICA_SAID_MAX_BYTES wait for the disk, or what
 * this node says does not count: it is no member. */
bool replica_may_say(const Replica *replica);
/* Is nothing more of the stream taken, since its author has signed two events for one place? */
bool replica_is_frozen(const Replica *replica, const StreamId *stream);
/* The stream this node writes, or would. Until the first word another may take its place, and when
 * it was cut: what is said after that, if this node is a member again, is in a new epoch. */
void replica_own(const Replica *replica, StreamId *ret_stream);
/* The number that the last REPLICA_SAY got in that stream; 0: none. */
uint64_t replica_said(const Replica *replica);
/* The last event of that stream, not durable yet maybe; NULL: none. */
const LogEvent *replica_last_said(const Replica *replica);
/* By number, for looking one up. */
const StreamId *replica_stream_at(const Replica *replica, size_t index);
/* Sums up all that is durable here: equal logs, equal roots. */
uint64_t replica_root(const Replica *replica);
size_t replica_streams_count(const Replica *replica);
/* Events that were told to exist and are not here yet. */
uint64_t replica_behind(const Replica *replica);

typedef struct ReplicaStats {
    uint64_t events_applied;
    uint64_t events_repeated; /* came a second time */
    uint64_t frames_sent;
    uint64_t repairs; /* upstreams left because nothing came */
} ReplicaStats;
ReplicaStats replica_stats(const Replica *replica);

/* A stream as it is pulled. */
typedef struct ReplicaStreamView {
    StreamId id;
    uint64_t applied;
    size_t upstream; /* the link it is asked for on; REPLICA_LINKS_MAX: none */
    bool behind;     /* somebody has told of more */
    bool elsewhere;  /* and so has somebody else than the upstream */
} ReplicaStreamView;
bool replica_stream_view(const Replica *replica, size_t index, ReplicaStreamView *ret_view);

/* How full the fullest of each queue is. */
typedef struct ReplicaLoad {
    size_t ready;         /* streams with events to send on one link */
    size_t to_say;        /* streams with a WANT or STOP to send on one link */
    size_t presences;     /* waiting on one link */
    uint64_t unreturned;  /* bytes that came on one link and are not on the disk */
    int64_t credit;       /* bytes that may be sent on one link */
    size_t storing_bytes; /* given to the disk and not yet durable, of all links and own ones */
    size_t said_bytes;    /* said and not yet durable */
    size_t windows_bytes; /* events in memory that the store holds too */
    size_t proofs;
} ReplicaLoad;
ReplicaLoad replica_load(const Replica *replica);
