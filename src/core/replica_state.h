/* What the parts of the replica share. For src/core/replica*.c alone. */
#pragma once

#include "core/frame.h"
#include "core/replica.h"

#include <uthash.h>

enum {
    HAVE_INTERVAL_MS = 250,
    HAVE_FANOUT = 6,
    ROOT_INTERVAL_MS = 10000,
    /* Long enough for many streams that begin together to be told in one frame: it goes out on half
     * of a full mesh's links, where nobody needs it. */
    BORDER_WAIT_MS = 3000,
    /* A stream that is known to go on, and of which nothing comes for so long (or two round trips),
     * is asked for elsewhere. Doubles up to the cap while it does not help. */
    REPAIR_MIN_MS = 150,
    REPAIR_MAX_MS = 5000,
    RTT_UNKNOWN_MS = 500,
    /* Own lines, and those of other links, stand behind what a link has on its way to the disk. So
     * while that takes longer than this, a link's credit is kept back, down to the least, which a
     * round trip of some milliseconds fills; and given again where the disk is quick. Who floods,
     * or has years to give, then waits instead of who says a word. */
    CREDIT_SLOW_MS = 40,
    CREDIT_QUICK_MS = 20,
    CREDIT_LEAST_BYTES = 192 * 1024,
    CREDIT_RETURN_BYTES = REPLICA_CREDIT_BYTES / 16,
    NO_LINK = REPLICA_LINKS_MAX,
    /* A group at its largest: no honest node sends a longer run. */
    RUN_MAX_BYTES = REPLICA_FRAME_EVENTS_BYTES + EVENT_SIGNATURE_BYTES,
    /* To be told on one link; what is beyond is told when it changes again. */
    PRESENCES_WAITING_MAX = 4096,
    RATE_WINDOW_MS = 1000,
    /* Of asking in vain at the longest interval: then what was told is not waited for. */
    VAIN_MAX = 3,
    /* Pings with another root than ours in a row: then all is told again, busy or not. */
    UNEQUAL_PINGS_MAX = 3,
    BINDING_BYTES = 32,
};

/* One stream, as this node holds it. */
typedef struct Stream {
    StreamId id;
    size_t index;
    uint64_t applied; /* verified, contiguous, passed on */
    uint64_t durable;
    EventHash last_hash; /* of the applied one */
    EventHash durable_hash;
    struct Origin *origin;
    uint64_t limit; /* how far it counts: UINT64_MAX for all of it, 0 for nothing */
    EventHash limit_hash;
    bool limit_unseen; /* what is held there is on the disk alone: it is being looked at */
    bool frozen;
    FrameRun suspect; /* contradicts what the store holds; with it, it will be a proof */

    size_t upstream;         /* the link it is wanted on, or NO_LINK */
    uint64_t progress_ms;    /* when something last came, or was asked for */
    uint32_t repair_wait_ms; /* 0: nothing is missing */
    unsigned vain;           /* repairs at REPAIR_MAX_MS since something came */
    bool news;               /* durable has risen since the last round of HAVEs */
    uint64_t target;         /* somebody holds it up to here */
    struct Stream *prev;     /* among those that are behind their target */
    struct Stream *next;
    bool behind;

    LogEvent **window; /* the last window_count events up to applied */
    size_t window_start;
    size_t window_count;
    size_t window_cap;
    size_t window_bytes;
    UT_hash_handle hh;
} Stream;

/* One stream on one link. */
typedef struct LinkStream {
    uint64_t peer_hi; /* what the peer holds, as far as it told */
    uint64_t told_hi; /* what it was told that we hold */
    uint64_t next;    /* the peer wants from here on; 0: it does not want it */
    uint64_t doubt;   /* what it told of its event here differs from ours: to be seen; 0: none */
    uint8_t failures; /* how often it was asked and nothing came, since something came */
    bool wanted;      /* we want it from the peer */
    bool reading;     /* the store is asked for what comes next */
    bool ready;       /* something it wants is here; it stands in ReplicaLink.ready */
    bool to_say;      /* a WANT or STOP; it stands in ReplicaLink.to_say */
} LinkStream;

typedef struct IndexList {
    size_t *items;
    size_t count;
    size_t cap;
} IndexList;

typedef struct ReplicaLink {
    uint32_t life; /* of the connection: what belongs to an earlier one is void */
    bool up;
    bool greeted; /* the peer's hello came */
    bool hello_sent;
    uint64_t hello_root; /* told_hi is what was held here then, until the peer's has come */
    bool in_flight;
    bool news;        /* something is to be said on this link */
    bool have_due;    /* and HAVEs are part of it */
    IndexList ready;  /* streams with events to send, in turn */
    IndexList to_say; /* streams with a WANT or STOP to send */
    uint8_t key[EVENT_KEY_BYTES];
    bool dialled; /* by this side */
    bool is_bound;
    uint8_t binding[BINDING_BYTES]; /* as ReplicaInput has them */
    uint8_t peer_key[EVENT_KEY_BYTES];
    uint64_t peer_epoch;
    LinkStream *streams; /* by Stream.index */
    size_t streams_cap;
    int64_t credit;       /* bytes of events that may be sent; the last frame may overdraw it */
    uint64_t unreturned;  /* bytes of events that came and were not returned as credit */
    uint64_t credit_kept; /* of the unreturned: that the peer is to do without for now */
    uint64_t credit_owed; /* that came and are durable: to be returned */
    uint64_t ping;        /* not yet answered */
    bool ping_due;
    uint64_t pong;
    uint64_t ping_sent_ms;
    uint32_t rtt_ms;
    bool rtt_known;
    unsigned unequal_pings;   /* with another root than ours, since all was told */
    size_t proofs_told;       /* of Replica.proofs */
    bool is_child;            /* the peer takes something from us */
    FramePresence *presences; /* to be told */
    size_t presences_count;
    size_t presences_cap;
    uint64_t events_received;
    uint64_t rate_from_ms; /* of the window in which rate_events came */
    uint64_t rate_events;
    uint32_t events_per_s;
    uint64_t send_at_ms; /* coalescing: not before; 0: at once */
    uint64_t last_sent_ms;
} ReplicaLink;

/* A STORE that is not yet durable. */
typedef struct Batch {
    uint64_t ticket;
    uint64_t given_ms; /* to the store */
    size_t link;       /* whose credit it is, or NO_LINK */
    uint32_t link_life;
    size_t bytes;
    StreamId stream;
    uint64_t hi;
    EventHash hi_hash;
    LogEvent **own;   /* a group of this node's own, to be applied when it is stored; else NULL */
    size_t own_count; /* less than were given, where they were cut since */
    struct Batch *next;
} Batch;

/* Two runs of one stream, signed, that hold different events for one place. */
typedef struct Proof {
    struct Origin *origin;
    FrameRun a;
    FrameRun b;
    size_t link; /* it came from there, in that life, and need not go back */
    uint32_t link_life;
} Proof;

struct Replica {
    ReplicaConfig config;
    char name[MESSAGE_SENDER_MAX_BYTES + 1];
    Hlc clock;
    Stream *by_id;
    Stream **streams; /* by index */
    size_t streams_count;
    size_t streams_cap;
    ReplicaLink *links;
    size_t links_cap;
    Stream *behind;
    struct Origin *origins; /* the newest stream of each */
    size_t windows_bytes;
    size_t windows_turn; /* the stream whose window is made smaller next */
    size_t recycle_turn; /* the stream that may make room for another next */
    Proof *proofs;       /* the first for each origin, in the order in which they came */
    size_t proofs_count;
    size_t have_turn; /* the link at which the next round of HAVEs begins */

    Stream *own;
    LogEvent **group; /* own events, said and not yet given to the store */
    size_t group_count;
    size_t group_cap;
    size_t group_bytes;
    size_t storing_bytes;
    size_t storing_own; /* groups of this node's own that are being stored */
    uint64_t said;      /* the last own number */
    LogEvent *last_said;
    EventHash said_hash;

    Batch *batches;    /* oldest first */
    Batch *last_batch; /* of batches, where there are any */
    uint64_t tickets;
    uint64_t root;
    bool members_due; /* what is held was not compared with what counts yet */
    bool news;
    bool news_for_all;     /* and not only for have_fanout of the links */
    uint64_t border_at_ms; /* frugal: new streams are told also where two trees touch; 0: none */
    uint64_t have_at_ms;
    uint64_t root_at_ms;
    ReplicaStats stats;
};

typedef struct RStep {
    Replica *replica;
    const ReplicaInput *input;
    ReplicaOutputs *outputs;
} RStep;

/* The stream of the newest epoch of an origin of which there is something, or which its author says
 * it writes: the one that may go on. */
typedef struct Origin {
    uint8_t key[EVENT_KEY_BYTES];
    Stream *newest;
    size_t streams;
    size_t begun;   /* of them, those of which something has come */
    bool convicted; /* there is a proof against it */
    bool limited;   /* it is no member, or none any more: not all of its streams counts */
    UT_hash_handle hh;
} Origin;

void index_list_add(IndexList *list, size_t index);
void index_list_done(IndexList *list);
void link_clear(ReplicaLink *link); /* but for its life, which goes on counting */

/* replica.c */
ReplicaOutput *rstep_add(RStep *step, ReplicaOutputKind kind);
/* A reference to each. */
void rstep_events(ReplicaOutput *output, LogEvent *const *events, size_t count);
void link_drop(RStep *step, size_t link, const char *reason);

/* replica_own.c */
void own_say(RStep *step);
void own_said(RStep *step);
void own_stored(RStep *step, Batch *batch);
/* Of a group that is being stored, what is past hi is not to be applied. */
void own_cut_batch(Batch *batch, uint64_t hi);
/* The own stream was cut, or somebody else writes it too. Its numbers may be on other disks, and
 * must not be signed a second time: so nothing more is ever said in it. What this node says next,
 * where it may, is in a new epoch, and what others hold of this one it takes as it takes anybody's.
 * What was said and not given to the store is not said. */
void own_end(RStep *step);
/* The same, where no cut tells of what is not said. */
void own_leave(RStep *step);

/* replica_proof.c */
/* The run, whose signature is good, names another event for place seq than this node holds. */
void proof_found(RStep *step, Stream *stream, const FrameRun *run, uint64_t seq);
/* False, and the link is gone, where one of them proves nothing. */
bool proof_receive(RStep *step, size_t index, const FrameIn *frame);
void proof_read_done(RStep *step);
/* The next one for the link; NULL: it has been told of all. */
const Proof *proof_next(Replica *replica, ReplicaLink *link, size_t index);
void proofs_free(Replica *replica);
bool run_chain_holds(const FrameRun *run, size_t from, const EventHash *before);
bool run_is_of_network(const Replica *replica, const FrameRun *run);
bool same_network(const uint8_t *a, const uint8_t *b);

/* replica_hello.c */
/* Signs it for this connection, where it has a binding. */
void hello_bind(const Replica *replica, const ReplicaLink *link, FrameHello *hello);
/* NULL: the peer is the one whose connection it is; else what is wrong. */
const char *hello_check(const Replica *replica, const ReplicaLink *link, const FrameHello *hello);

/* replica_members.c: how far streams count. */
/* Asks again how far it counts; what follows from that is members_review's. */
void members_judge(Replica *replica, Stream *stream);
/* All streams: what counts no more is dropped, and what counts now is asked for. */
void members_review(RStep *step);
/* Is nothing more of it taken? All that counts is here, or its author has signed two histories. */
bool stream_is_closed(const Stream *stream);
bool stream_is_frozen(const Stream *stream);
bool stream_counts_whole(const Stream *stream);
/* The smaller of what somebody has told of and what counts. */
uint64_t stream_goal(const Stream *stream);
/* Is it the last that counts of a stream that was cut? Then the cut vouches for it, and, by the
 * chain, for all before it: its group's signature may lie beyond. */
bool stream_ends_with(const Stream *stream, const LogEvent *event);
/* All of it goes, and is asked for anew: it is another history than the one that counts. */
void members_forget(RStep *step, Stream *stream);
void members_read_done(RStep *step, Stream *stream);

/* replica_stream.c */
bool stream_is_newest(const Stream *stream);
Stream *stream_find(const Replica *replica, const StreamId *id);
/* Has its author begun as many others as he may? */
bool stream_is_too_many(const Replica *replica, const Stream *stream);
/* NULL where REPLICA_STREAMS_MAX are known. */
Stream *stream_get(Replica *replica, const StreamId *id);
LinkStream *link_stream(ReplicaLink *link, const Stream *stream);
/* The events are new here, in order, and verified: keep, show, store, pass on. */
void stream_apply(RStep *step, Stream *stream, LogEvent *const *events, size_t count, size_t link);
/* The parts of it; own ones are stored first. */
void stream_advance(RStep *step, Stream *stream, LogEvent *const *events, size_t count,
                    size_t link);
Batch *stream_store(RStep *step, Stream *stream, LogEvent *const *events, size_t count,
                    size_t link);
/* Its author may go on in it. */
void stream_note_newest(Stream *stream);
/* Nobody may know it yet: all are told, and at once. */
void stream_tell_all(RStep *step);
void stream_set_durable(Replica *replica, Stream *stream, uint64_t hi, const EventHash *hash);
/* Nothing past hi is held any more. */
void stream_lower(Replica *replica, Stream *stream, uint64_t hi, const EventHash *hash);
/* There is a proof against it, and it does count. */
bool origin_is_proven(const struct Origin *origin);
void origin_convict(Replica *replica, struct Origin *origin);
void origin_limit(Replica *replica, struct Origin *origin, bool limited);
void stream_free(Stream *stream);
void windows_trim(Replica *replica);
LogEvent *stream_window_at(const Stream *stream, uint64_t seq); /* NULL: not in memory */

/* replica_receive.c */
void receive_frame(RStep *step, size_t index);
void receive_link_up(RStep *step, size_t index);
void receive_link_down(RStep *step, size_t index);

/* replica_send.c */
void send_pump(RStep *step, size_t index);
void send_pump_all(RStep *step);
void send_read_done(RStep *step);
void send_tell(RStep *step);
/* Events of that stream have come: whoever wants them has something to get. */
void send_wake_stream(Replica *replica, const Stream *stream);

/* replica_pull.c: what to ask of whom. */
/* The peer at link holds the stream up to hi. */
void pull_target(RStep *step, Stream *stream, uint64_t hi, size_t link);
/* How much of it counts has changed. */
void pull_review(RStep *step, Stream *stream);
/* Nothing more of it is taken. */
void pull_stop(RStep *step, Stream *stream);
/* Nothing more of it is taken, or given. */
void pull_end(RStep *step, Stream *stream);
bool pull_is_own(const Replica *replica, const Stream *stream);
/* Finds an upstream where it has none and needs one. */
void pull_stream(RStep *step, Stream *stream);
void pull_from(RStep *step, Stream *stream, size_t index);
/* The link that a frugal node takes everything from; NO_LINK: there is none, or it is not
 * frugal. */
size_t pull_hub(const Replica *replica);
/* Measures the round trip, and compares roots. */
void pull_ping(RStep *step, ReplicaLink *link);
void pull_all_from(RStep *step, size_t link);
/* Some of it has come. */
void pull_progress(RStep *step, Stream *stream);
void pull_link_lost(RStep *step, size_t index);
void pull_timer(RStep *step);
uint64_t pull_wake_at(const Replica *replica);
