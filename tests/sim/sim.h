/* The simulator: real replicas, a simulated world, virtual time, one seed.
 *
 *   [replica] --SEND--> [edge: latency, cut, clog] --FRAME--> [replica]
 *       |                                                        |
 *     STORE --> [disk: write time; a crash drops what is not yet on it] --STORED-->
 *
 * Everything is drawn from the seed, so the same seed gives the same trace, always. Checkers watch
 * every step; each of them is shown to fail by a mutation, a world that is broken on purpose. */
#pragma once

#include "core/replica.h"

#include <stdio.h>

typedef enum SimMutation {
    MUTATION_NONE,
    MUTATION_ACK_BEFORE_DISK,  /* says stored at once, and writes later: a crash loses it */
    MUTATION_APPLY_TWICE,      /* shows what came last a second time */
    MUTATION_SAME_EPOCH,       /* a restarted node goes on in its old stream from what it has */
    MUTATION_DEAF_LINK,        /* one node's links carry nothing after the trouble */
    MUTATION_NO_VERIFY,        /* takes any signature; a hostile node forges */
    MUTATION_CLOCK_DRAGGED,    /* stamps far ahead are believed */
    MUTATION_NO_PROOFS,        /* nobody passes on that an author has signed two histories */
    MUTATION_SAY_ANYWAY,       /* says more while the disk is full than may wait */
    MUTATION_BIG_WINDOWS,      /* keeps more events in memory than it may */
    MUTATION_STOPPED_CLOCK,    /* one node's clock stands still: it waits for ever */
    MUTATION_EFFECT_FIRST,     /* shows what comes as it comes */
    MUTATION_NEVER_LATE,       /* does not say that a line comes late */
    MUTATION_SHOWS_NOT_ALL,    /* now and then a line is not shown */
    MUTATION_CHATTER,          /* nobody is ever quiet */
    MUTATION_TAKES_PAST_CUT,   /* takes all of a revoked member's streams */
    MUTATION_KEEPS_CUT,        /* deletes nothing from the disk */
    MUTATION_NO_WITNESS,       /* nobody tells of members whom only he knows */
    MUTATION_UNKNOWN_KEEP_OUT, /* who is not known to be a member any more links with nobody */
    MUTATIONS_COUNT,
} SimMutation;

typedef struct SimConfig {
    uint64_t seed;
    int nodes;
    int degree;  /* of the random regular overlay; 0: everybody with everybody */
    int writers; /* the first ones */
    int lines;   /* that are said in all */
    uint64_t trouble_ms;
    uint64_t heal_ms; /* within this after the trouble all must be equal */
    uint32_t latency_min_ms;
    uint32_t latency_max_ms;
    bool faults;
    uint32_t coalesce_ms;
    uint32_t have_interval_ms;
    uint32_t have_fanout;
    bool frugal;
    uint32_t disk_max_ms; /* 0: 15 */
    /* The broadcast challenge of the Gossip Glomers: so many client operations a second, half of
     * them lines, half of them reads, for so long; lines and trouble_ms are not used then. */
    uint32_t operations_per_s;
    uint32_t operations_for_s;
    bool private_network; /* with members who are let in late, and one who is revoked */
    bool churn;           /* then: who come and go all the time, and several who are revoked */
    bool partitions;      /* of half the nodes, 5 s in every 10 */
    SimMutation mutation;
    FILE *trace; /* NULL: none */
} SimConfig;

typedef struct SimReport {
    bool ok;
    char failure[512];
    uint64_t trace_hash;
    uint64_t steps;
    uint64_t frames;
    uint64_t applied;
    uint64_t repeated;
    uint64_t repairs;
    uint64_t crashes;
    uint64_t cuts;
    uint64_t restores;
    uint64_t revocations;
    uint64_t streams_cut; /* on all nodes */
    uint64_t healed_ms;   /* after the trouble, until all were equal */
    int last_hop;
    double mean_latency_ms; /* from said to applied, over all nodes */
    uint64_t max_latency_ms;
    /* Without faults: of the lines said in the second half, beside a flood of them. */
    double redundancy; /* events that came a second time, for each that had to come once */
    double flood_redundancy;
    double steady_last_ms; /* mean time until the last node had it */
    double flood_last_ms;
    int steady_hop;
    int flood_hop;
    /* Of the challenge. */
    double frames_per_operation;
    uint64_t
        stable_median_ms; /* as Jepsen's set-full checker has it: until the last read without */
    uint64_t stable_max_ms;
    uint64_t everywhere_median_ms; /* until the last node had it, in truth */
    uint64_t everywhere_max_ms;
} SimReport;

/* Bounded by the configuration's virtual time. */
SimReport sim_run(const SimConfig *config);

const char *sim_mutation_name(SimMutation mutation);
