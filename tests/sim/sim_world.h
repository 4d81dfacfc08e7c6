/* What the parts of the simulator share. For tests/sim alone. */
#pragma once

#include "core/fold.h"
#include "core/members.h"
#include "sim.h"

#include <inttypes.h>
#include <string.h>
#include <uthash.h>

enum {
    FAULT_EVERY_MS = 250,
    DISK_MIN_MS = 1,
    DISK_MAX_MS = 15,
    START_WALL_MS = 1000,
    RECONNECT_MIN_MS = 50,
    RECONNECT_MAX_MS = 800,
    LIE_MS = 10 * 86400000,
    HOSTILE = 0, /* where a seed has a hostile node, it is this one */
    TWIN = 1,    /* and writes with the same key in the same stream, where that is its way */
    SILENCE_EVERY_MS = 500,
    PROOFS_MAX = 4, /* kept on a disk here */
    LINK_BYTES_PER_MS = 1000,
    KEEPALIVE_MIN_MS = 2000, /* until a link that is deaf one way is found dead */
    KEEPALIVE_MAX_MS = 8000,
    CLONES_MAX = 2,
    FLOOD_EVERY_MS = 100,
    FLOOD_AT_ONCE = 5,
};

static const int64_t WALL_MS = INT64_C(1700000000000);

/* ---- types ---- */

typedef enum TaskKind {
    TASK_FRAME,
    TASK_SENT,
    TASK_STORED,
    TASK_READ,
    TASK_TIMER,
    TASK_CONNECT,
    TASK_SAY,
    TASK_FAULT,
    TASK_RESTART,
    TASK_CLIENT_READ,
    TASK_PARTITION,
    TASK_LINK_DEAD,
    TASK_FLOOD,
    TASK_CHECK,
    TASK_FOLD,
    TASK_LET_IN,
    TASK_LET_REST_IN,
    TASK_REVOKE,
    TASK_NEW_EPOCH,
    TASK_CHURN,
    TASK_CUT,
    TASK_WITNESS,
    TASK_LOSE_DISK,
} TaskKind;

typedef struct Task {
    uint64_t at_ms;
    uint64_t order;
    TaskKind kind;
    int node;
    size_t link;
    uint32_t life; /* of the node, or of the edge */
    uint64_t ticket;
    StreamId stream;
    uint64_t from;
    Bytes *frame;
} Task;

typedef struct DiskStream {
    StreamId id;
    LogEvent **events; /* seq 1 is events[0] */
    size_t count;
    size_t cap;
    UT_hash_handle hh;
} DiskStream;

typedef struct Pending {
    uint64_t ticket;
    LogEvent **events;
    size_t count;
    bool is_cut; /* of that stream, what is past hi goes */
    StreamId stream;
    uint64_t hi;
    struct Pending *next;
} Pending;

typedef struct Edge {
    int a;
    int b;
    bool up;
    bool cut;
    uint32_t life;
    uint64_t latency_ms; /* its own, where there are no faults */
    uint32_t clog_ms;
    bool deaf[2];             /* by direction: what is sent is lost, until the link is found dead */
    uint64_t blocked_until;   /* nothing moves; then all of it does */
    uint64_t free_ms[2];      /* the last frame has left by then */
    uint64_t last_arrival[2]; /* what was sent first comes first */
} Edge;

typedef struct Applied {
    StreamId id;
    uint64_t seq;
    UT_hash_handle hh;
} Applied;

/* A stream that is behind at a node, and of which nothing comes. */
typedef struct Silence {
    StreamId id;
    uint64_t applied;
    size_t upstream;
    uint64_t since_ms;
    UT_hash_handle hh;
} Silence;

/* How much of a stream its people have seen. */
typedef struct Shown {
    StreamTag tag;
    uint64_t seq;
    uint64_t limit; /* nothing past it counts, as the fold was told; UINT64_MAX: all may */
    UT_hash_handle hh;
} Shown;

enum { SHOWN_ROOMS = 2 };

typedef struct Node {
    Replica *replica; /* NULL: down */
    uint8_t seed[EVENT_SEED_BYTES];
    uint8_t key[EVENT_KEY_BYTES];
    uint32_t life;
    uint64_t timer_ms; /* the earliest TASK_TIMER that is posted; 0: none */
    uint64_t wake_ms;  /* when it wants one */
    uint64_t epoch;
    int64_t skew_ms;
    uint32_t disk_slow_ms;
    bool disk_full;
    DiskStream *disk;
    DiskStream *backup;
    bool has_backup;
    Pending *pending;
    size_t *edges; /* by link */
    size_t edges_count;
    Applied *applied; /* in this life */
    uint64_t say_count;
    uint64_t starts;
    Bytes *proofs[PROOFS_MAX]; /* on its disk */
    size_t proofs_count;
    Silence *silences;
    Fold *fold; /* where there is a replica */
    uint64_t fold_at_ms;
    Shown *shown;                      /* in this life */
    LogEvent *last_shown[SHOWN_ROOMS]; /* the highest of each room */
    Members *members;                  /* in a private network */
    bool members_changed;
    bool looks_later; /* whether all members are known to all */
    bool has_said;
    bool is_defiant;     /* of its own revocation it does not want to hear */
    bool begins_outside; /* and is let in later, if at all */
    bool went_on;        /* after its revocation */
    bool is_reached;     /* private_note_reached */
    int waits_for;       /* 1 + who lets it in again, and gives it a new proof; 0: nobody */
    unsigned depth;      /* of steps within steps */
    uint64_t last_ticket;
} Node;

/* What everybody may know of an event. */
typedef struct Known {
    struct {
        StreamId stream;
        uint64_t seq;
    } key;
    EventHash hash;
    bool acknowledged;
    bool excused; /* the only disk that held it is gone */
    uint64_t said_ms;
    uint64_t last_ms; /* when the last node had it */
    int last_hop;     /* of all nodes */
    size_t index;
    UT_hash_handle hh;
} Known;

typedef struct ClientRead {
    uint64_t at_ms;
    int node;
} ClientRead;

typedef struct ProofOfKey {
    uint8_t key[EVENT_KEY_BYTES];
    Bytes *proof;
} ProofOfKey;

struct World;
typedef struct CutContext {
    struct World *world;
    int at;
} CutContext;

typedef struct World {
    SimConfig config;
    ClientRead *reads;
    size_t reads_count;
    uint32_t *applied_ms; /* by known index, node; 0: not yet */
    size_t applied_cap;
    uint64_t random;
    uint64_t now_ms;
    uint64_t order;
    Task *heap;
    size_t heap_count;
    size_t heap_cap;
    Node *nodes;
    Edge *edges;
    size_t edges_count;
    Known *known;
    size_t known_count;
    uint8_t *hops; /* by known index, node */
    size_t hops_cap;
    bool healing;
    uint64_t steady_from_ms;
    uint64_t steady_repeats;
    int lines_left;
    double latency_sum;
    uint64_t latency_count;
    unsigned swarm; /* which faults this seed has */
    int clones;
    int lies;
    /* Of a private network; -1: nobody. */
    Bytes *genesis;
    ProofOfKey *proofs;
    size_t proofs_count;
    CutContext *cuts; /* by node */
    int revoked;
    int late;
    int late_inviter;
    bool late_is_lost; /* that he was let in, with the disk that held it, as soon as he knows */
    Applied *cut;      /* streams of which some node has deleted something; with churn */
    SimReport report;
} World;

enum {
    FAULT_CUT = 1,
    FAULT_PARTITION = 2,
    FAULT_CRASH = 4,
    FAULT_CLOG = 8,
    FAULT_SLOW_DISK = 16,
    FAULT_CLOCK = 32,
    FAULT_RESTORE = 64,
    FAULT_FORGER = 128,     /* one node damages what it passes on */
    FAULT_CLOCK_LIAR = 256, /* one node stamps its lines ten days ahead */
    FAULT_ONE_WAY = 1 << 9, /* one direction of a link is lost, and then the link */
    FAULT_BLOCK = 1 << 10,  /* a link stands still for seconds */
    FAULT_DISK_FULL = 1 << 11,
    FAULT_DISK_LOST = 1 << 12,   /* set aside as corrupt: the node starts with none */
    FAULT_CLONE = 1 << 13,       /* another node goes on with this one's key and disk */
    FAULT_CRASH_POINT = 1 << 14, /* crashes between what a step asks for */
    FAULT_REPEATER = 1 << 15,    /* one node sends frames twice, or swapped */
    FAULT_MUTE = 1 << 16,        /* one node takes all, tells of it, and passes nothing on */
    FAULT_HAVE_LIAR = 1 << 17,   /* one node tells of what does not exist */
    FAULT_FLOODER = 1 << 18,     /* one node writes as fast as it can */
    FAULT_EQUIVOCATOR = 1 << 19, /* two nodes write two histories with one key */
    FAULTS_ALL = (1 << 20) - 1,
    /* In private networks. */
    FAULT_CENSOR = 1 << 20,   /* one node passes on nothing that the founder says */
    FAULT_STRIPPER = 1 << 21, /* one node leaves out signatures */
    FAULTS_PRIVATE = FAULT_CENSOR | FAULT_STRIPPER,
    FAULTS_HOSTILE = FAULT_FORGER | FAULT_CLOCK_LIAR | FAULT_REPEATER | FAULT_MUTE |
                     FAULT_HAVE_LIAR | FAULT_FLOODER | FAULT_EQUIVOCATOR,
    /* Of such a node something comes now and then, whatever the others do. */
    FAULTS_RESTLESS = FAULT_MUTE | FAULT_HAVE_LIAR,
    /* Frames of such a node break rules: its peers may hang up. */
    FAULTS_RUDE = FAULT_FORGER | FAULT_REPEATER,
};

/* sim_time.c: chance, the queue of what will happen, failure, trace. */
uint64_t world_random(World *world);
uint64_t world_between(World *world, uint64_t min, uint64_t max);
bool world_chance(World *world, unsigned per_mille);
[[gnu::format(printf, 2, 3)]] void world_fail(World *world, const char *format, ...);
void world_trace(World *world, const char *what, int node, uint64_t a, uint64_t b);
void world_post(World *world, uint64_t delay_ms, Task task);
Task world_take(World *world);

/* sim_disk.c */
DiskStream *disk_find(DiskStream *disk, const StreamId *id);
void disk_append(World *world, int at, DiskStream **disk, LogEvent *event);
void disk_free(DiskStream **disk);
DiskStream *disk_copy(World *world, DiskStream *disk);
bool disk_holds(DiskStream *disk, const StreamId *id, uint64_t seq);
void pending_add(Node *node, Pending *pending);
void pending_free(Node *node);
void proofs_forget(Node *node);
void disk_commit(World *world, int at, uint64_t ticket);

/* sim_check.c: what must hold, at every step and at the end. */
bool node_is_hostile(const World *world, int at, unsigned how);
void check_written(World *world, int at, const LogEvent *event);
void check_shown(World *world, int at, int from, const LogEvent *event);
bool check_all_equal(World *world);
bool check_is_equivocal(const World *world, const StreamId *id);
void check_tell_differences(World *world);
void check_end(World *world);
bool check_verify_once(const LogEvent *event);
void check_forget(void); /* the signatures that were found good */

/* sim_bounds.c: nothing grows past its cap, nobody waits for ever, and it is quiet at the end. */
enum { SMALL_WINDOWS_BYTES = 4096, FEW_STREAMS = 600 };
void check_bounds(World *world, int at);
void check_frame(World *world, int at, const Bytes *frame);
void check_silence(World *world);
void check_quiet(World *world);
void silences_free(Node *node);

/* sim_shown.c: what people see. */
const char *shown_room(uint64_t number);
void shown_begin(Node *node);
void shown_end(Node *node);
void shown_apply(World *world, int at, const ReplicaOutput *output, int64_t wall_ms);
/* What counts of that stream has changed. */
void shown_cut(World *world, int at, const StreamId *stream);
void shown_timer(World *world, int at, int64_t wall_ms);
void check_all_shown(World *world);

/* sim.c */
void run_until(World *world, uint64_t until_ms);

/* sim_node.c: nodes, and the edges between them. */
int edge_other(const Edge *edge, int node);
int64_t node_wall_ms(const World *world, int at);
void node_step(World *world, int at, ReplicaInput input);
void node_timer(World *world, int at);
void node_fold_timer(World *world, int at);
void edge_down(World *world, size_t index);
void edge_connect(World *world, size_t index);
void node_start(World *world, int at);
void node_say(World *world, int at, size_t len);
void node_read_done(World *world, const Task *task);
void node_stored(World *world, const Task *task);
size_t edge_link_at(const World *world, int node, size_t edge);

/* sim_fault.c */
void fault_round(World *world);
/* What is on it is there no more, and the node not for a while. */
void fault_lose_disk(World *world, int at);
void world_part(World *world, bool split);
void world_heal(World *world);
void applied_free(Node *node);
void node_crash(World *world, int at);

/* sim_hostile.c: what the hostile node does to what its replica sends. */
/* A reference of its own. */
Bytes *hostile_frame(World *world, int at, Bytes *frame);
/* Puts the frame on its way: once, or twice, or behind the next. */
void hostile_post(World *world, int at, uint64_t delay_ms, const Task *task);
void hostile_flood(World *world);

/* sim_private.c */
int private_founder(const World *world);
uint64_t private_cut(void *context, const StreamId *stream, EventHash *ret_hash);
void private_begin(World *world); /* once all have their seeds */
void private_let_all_in(World *world);
void private_let_rest_in(World *world);
void private_let_in_late(World *world);
void private_revoke(World *world);
void private_start(World *world, int at);
void private_tell_cuts(World *world, int at);
void private_take(World *world, int at, const LogEvent *event);
bool private_may_link(World *world, int a, int b);
/* What followed from the last step for who is a member. */
void private_settle(World *world, int at);
void private_said(World *world, int at);
/* It says of the members whom not all can know; later: in a while. */
void private_witness_later(World *world, int at);
void private_witness(World *world, int at);
void private_cut_disk(World *world, int at, const StreamId *stream, uint64_t hi);
void private_done(World *world);
bool private_is_good(const Node *node, const Node *other);
void private_let_in(World *world, int by, int who);
void private_say_revocation(World *world, int who);
/* It is on the founder's disk, and on its way. */
void private_revoked_goes_on(World *world, int who);

/* sim_private_check.c */
void private_check_cuts_hold(World *world, int at);
void private_check_applied(World *world, int at, const LogEvent *event);
void private_check_end(World *world);
/* Where members come and go those who are left may be parted: who is reached from the founder by
 * way of those who are members counts. Anew, by what the founder knows now. */
void private_note_reached(World *world);
bool private_counts(const World *world, int at);
bool private_has_revoked(const World *world);
bool private_event_counts(const World *world, const StreamId *stream, uint64_t seq);
bool private_is_cut(const World *world, int at, const StreamId *stream);
bool private_is_lost(const World *world, const StreamId *stream, uint64_t seq);
/* Does it know as much as the founder of who is a member? */
bool private_agrees(const World *world, int at);
void private_tell_differences(const World *world);

/* sim_churn.c: members who come and go all the time. */
enum { CHURN_EVERY_MS = 300 };
void churn_begin(World *world);
void churn_round(World *world);
void churn_note_cut(World *world, const StreamId *stream);
bool churn_has_cut(const World *world, const StreamId *stream);
void churn_done(World *world);

/* sim_overlay.c */
void overlay_make(World *world);

/* sim_flood.c: a flood of the same lines, to compare with. */
void flood_begin(World *world); /* from here on the trees are there */
void flood_report(World *world);

/* sim_challenge.c: the broadcast challenge. */
void challenge_post(World *world);
void challenge_report(World *world);
