/* The simulator's command line: seeds in, failures out. */
#include "sim.h"

#include <argp.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct Arguments {
    SimConfig config;
    uint64_t first_seed;
    uint64_t seeds;
    bool nodes_given;
    bool trace;
    bool self_test;
    bool broadcast;
    bool private_only;
    bool churn;
} Arguments;

static const struct argp_option OPTIONS[] = {
    {"seed", 's', "SEED", 0, "Run this one seed", 0},
    {"seeds", 'n', "N", 0, "Run N seeds, from --seed on (default 100)", 0},
    {"nodes", 'N', "N", 0, "Nodes (default: drawn from the seed, 3 to 25)", 0},
    {"degree", 'd', "N", 0, "Links of each node (default 0: all with all)", 0},
    {"writers", 'w', "N", 0, "Nodes that write", 0},
    {"lines", 'l', "N", 0, "Lines said in all", 0},
    {"calm", 'c', NULL, 0, "No faults", 0},
    {"mutation", 'm', "NAME", 0, "Break the world on purpose", 0},
    {"fresh", 'f', NULL, 0, "Begin with a seed that the clock gives", 0},
    {"self-test", 'S', NULL, 0, "Show that every mutation is caught, and that traces repeat", 0},
    {"private", 'P', NULL, 0, "Private networks alone (else in every fourth seed)", 0},
    {"churn", 'C', NULL, 0, "Members come and go all the time (else in every third private seed)",
     0},
    {"partitions", 'p', NULL, 0, "With broadcast: part the nodes now and then", 0},
    {"trace", 't', NULL, 0, "Print what happens", 0},
    {0},
};

/* NOLINTNEXTLINE(readability-non-const-parameter): argp's type */
static error_t parse(int key, char *argument, struct argp_state *state)
{
    Arguments *arguments = state->input;
    const char *value = argument != NULL ? argument : "";
    uint64_t number = strtoull(value, NULL, 0);
    switch (key) {
    case 's':
        arguments->first_seed = number;
        arguments->seeds = arguments->seeds == 0 ? 1 : arguments->seeds;
        return 0;
    case 'n':
        arguments->seeds = number;
        return 0;
    case 'N':
        arguments->config.nodes = (int)number;
        arguments->nodes_given = true;
        return 0;
    case 'd':
        arguments->config.degree = (int)number;
        return 0;
    case 'w':
        arguments->config.writers = (int)number;
        return 0;
    case 'l':
        arguments->config.lines = (int)number;
        return 0;
    case 'c':
        arguments->config.faults = false;
        return 0;
    case 'm':
        for (int i = 0; i < MUTATIONS_COUNT; i++) {
            if (strcmp(sim_mutation_name((SimMutation)i), value) == 0) {
                arguments->config.mutation = (SimMutation)i;
                return 0;
            }
        }
        argp_error(state, "no such mutation: %s", value);
        return 0;
    case 'f':
        arguments->first_seed = (uint64_t)time(NULL) << 20;
        printf("seeds from 0x%" PRIx64 " on\n", arguments->first_seed);
        return 0;
    case 'S':
        arguments->self_test = true;
        return 0;
    case 't':
        arguments->trace = true;
        return 0;
    case 'P':
        arguments->private_only = true;
        return 0;
    case 'C':
        arguments->churn = true;
        arguments->private_only = true;
        return 0;
    case 'p':
        arguments->config.partitions = true;
        return 0;
    case ARGP_KEY_ARG:
        if (strcmp(value, "broadcast") != 0) {
            argp_error(state, "\"broadcast\", or nothing, not \"%s\"", value);
        }
        arguments->broadcast = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_report(const SimConfig *config, const SimReport *report)
{
    printf("seed 0x%" PRIx64 " nodes %d: %s trace %016" PRIx64 " steps %" PRIu64 " frames %" PRIu64
           " applied %" PRIu64 " repeated %" PRIu64 " repairs %" PRIu64 " crashes %" PRIu64
           " cuts %" PRIu64 " restores %" PRIu64 " revocations %" PRIu64 " streams cut %" PRIu64
           " equal after %" PRIu64 " ms, hops %d, latency %.0f "
           "ms mean, %" PRIu64 " ms max\n",
           config->seed, config->nodes, report->ok ? "ok" : report->failure, report->trace_hash,
           report->steps, report->frames, report->applied, report->repeated, report->repairs,
           report->crashes, report->cuts, report->restores, report->revocations,
           report->streams_cut, report->healed_ms, report->last_hop, report->mean_latency_ms,
           report->max_latency_ms);
}

/* How it compares with a flood, and what the simulator itself takes. */
static void print_flood(const SimReport *report, double seconds)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("in steady state: redundancy %.4f (a flood: %.2f), last hop %d (%d), time to the last "
           "node %.0f ms (%.0f), ratio %.2f\n"
           "the simulator: %.0f frames a second, %.0f steps a second, %ld MB\n",
           report->redundancy, report->flood_redundancy, report->steady_hop, report->flood_hop,
           report->steady_last_ms, report->flood_last_ms,
           report->steady_last_ms / report->flood_last_ms, (double)report->frames / seconds,
           (double)report->steps / seconds, usage.ru_maxrss / 1024);
}

/* Fly.io's challenges 3d and 3e, on a network of 100 ms; frames of whatever kind count. */
static int broadcast(const Arguments *arguments)
{
    static const struct {
        const char *overlay;
        int degree;
        bool frugal;
        uint32_t coalesce_ms;
        uint32_t have_interval_ms;
    } rows[] = {
        {"full mesh", 0, false, 0, 250},        {"full mesh", 0, false, 100, 5000},
        {"degree 6", 6, false, 0, 250},         {"degree 6", 6, false, 100, 5000},
        {"full mesh, hub", 0, true, 0, 250},    {"full mesh, hub", 0, true, 100, 5000},
        {"full mesh, hub", 0, true, 180, 5000}, {"full mesh, hub", 0, true, 500, 5000},
        {"full mesh, hub", 0, true, 600, 5000}, {"degree 6, hub", 6, true, 180, 5000},
    };
    printf("25 nodes, 100 ms, 100 operations/s for 20 s%s\n"
           "overlay          window  msgs/op   stable ms median  max   everywhere ms median  max\n",
           arguments->config.partitions ? ", halves parted for 5 s in every 10" : "");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        SimConfig config = {
            .seed = arguments->first_seed,
            .nodes = 25,
            .writers = 25,
            .degree = rows[i].degree,
            .frugal = rows[i].frugal,
            .coalesce_ms = rows[i].coalesce_ms,
            .have_interval_ms = rows[i].have_interval_ms,
            .have_fanout = rows[i].coalesce_ms > 0 ? 1 : 6,
            .heal_ms = 30000,
            .latency_min_ms = 100,
            .latency_max_ms = 100,
            .disk_max_ms = 1,
            .operations_per_s = 100,
            .operations_for_s = 20,
            .partitions = arguments->config.partitions,
        };
        SimReport report = sim_run(&config);
        if (!report.ok) {
            printf("%s: %s\n", rows[i].overlay, report.failure);
            return 1;
        }
        printf("%-16s %3u ms  %7.2f  %17" PRIu64 " %4" PRIu64 "  %21" PRIu64 " %4" PRIu64 "\n",
               rows[i].overlay, rows[i].coalesce_ms, report.frames_per_operation,
               report.stable_median_ms, report.stable_max_ms, report.everywhere_median_ms,
               report.everywhere_max_ms);
    }
    return 0;
}

static SimConfig config_of(const Arguments *arguments, uint64_t seed)
{
    SimConfig config = arguments->config;
    config.seed = seed;
    if (!arguments->nodes_given) {
        config.nodes = 3 + (int)(config.seed * 7 % 23);
        config.degree = config.seed % 3 == 0 ? 0 : 4;
    }
    if (config.writers == 0 || config.writers > config.nodes) {
        config.writers = config.nodes;
    }
    bool shared = config.seed % 4 == 2 && config.faults;
    config.private_network = arguments->private_only || shared;
    config.churn = config.private_network && config.faults &&
                   (arguments->churn || (config.seed % 3 == 0 && !arguments->nodes_given));
    if (config.churn && !arguments->nodes_given) {
        config.degree = config.seed % 2 == 0 ? 0 : 4;
    }
    config.trace = arguments->trace ? stdout : NULL;
    return config;
}

/* A checker that cannot fail is none. */
static int self_test(const Arguments *arguments)
{
    enum { SEEDS_TO_CATCH = 300, SEEDS_TO_REPEAT = 5 };
    int missed = 0;
    for (int mutation = 1; mutation < MUTATIONS_COUNT; mutation++) {
        SimReport report = {.ok = true};
        uint64_t seed = 0;
        while (report.ok && seed < SEEDS_TO_CATCH) {
            SimConfig config = config_of(arguments, ++seed);
            config.mutation = (SimMutation)mutation;
            config.private_network |= mutation >= MUTATION_TAKES_PAST_CUT;
            if (mutation == MUTATION_UNKNOWN_KEEP_OUT) {
                config.churn = true;
            }
            report = sim_run(&config);
        }
        printf("%-16s %s %" PRIu64 ": %s\n", sim_mutation_name((SimMutation)mutation),
               report.ok ? "MISSED in seeds up to" : "caught by seed", seed, report.failure);
        missed += report.ok;
        fflush(stdout);
    }
    for (uint64_t seed = 1; seed <= SEEDS_TO_REPEAT; seed++) {
        SimConfig config = config_of(arguments, seed);
        SimReport first = sim_run(&config);
        SimReport second = sim_run(&config);
        if (first.trace_hash != second.trace_hash) {
            printf("seed %" PRIu64 " has two traces\n", seed);
            missed++;
        }
    }
    return missed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    static const struct argp parser = {
        .options = OPTIONS, .parser = parse, .args_doc = "[broadcast]"};
    Arguments arguments = {
        .config = {.faults = true,
                   .lines = 200,
                   .trouble_ms = 20000,
                   .heal_ms = 30000,
                   .latency_min_ms = 10,
                   .latency_max_ms = 100},
        .first_seed = 1,
    };
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &arguments);
    if (arguments.broadcast) {
        return broadcast(&arguments);
    }
    if (arguments.self_test) {
        return self_test(&arguments);
    }
    uint64_t seeds = arguments.seeds > 0 ? arguments.seeds : 100;
    for (uint64_t i = 0; i < seeds; i++) {
        SimConfig config = config_of(&arguments, arguments.first_seed + i);
        clock_t started = clock();
        SimReport report = sim_run(&config);
        if (!report.ok || seeds == 1) {
            print_report(&config, &report);
        }
        if (report.ok && seeds == 1 && !config.faults) {
            print_flood(&report, (double)(clock() - started) / CLOCKS_PER_SEC);
        }
        if (!report.ok) {
            printf("repeat it: ./dev sim %s--seed 0x%" PRIx64 " --trace\n",
                   arguments.churn          ? "--churn "
                   : arguments.private_only ? "--private "
                                            : "",
                   config.seed);
            return 1;
        }
    }
    printf("%" PRIu64 " seeds, all good\n", seeds);
    return 0;
}
