#!/usr/bin/python3
"""One room, many readers: deliveries a second, what one costs the server, and how late it is.

    bench_fan --> publishes in one room --> server --> N subscribers, all of them in bench_fan

The batched interface (Publish and Subscribe), the classic one (SendMessage and StreamMessages), and
the floor: a bare epoll server that writes each line to each socket and keeps nothing; nats-server
too, where it is installed, which keeps nothing either. Once at a moderate rate, once as fast as it
goes. The server has one core, the load another; every run has a fresh server; medians of repeated
runs, in which the servers take turns. What is lost, doubled, malformed or closed is a fault, and
there must be none. Late is what came behind a later one: calls of SendMessage that are in flight
together have no order, so the classic interface may have some. "others" is what else ran on the
server's core, which at saturation is near nothing, or the figures are worth nothing.

The last rows: one of 1,000 subscribers does not read. Runs without it and with it take turns, and
the ratio of what the others see is the median of the pairs' ratios."""

import pathlib
import statistics

import common

SERVERS = {"floor": ("floor", "tcp"), "nats": ("nats", "nats"), "classic": ("node", "grpc"),
           "batched": ("node", "grpc-batch")}
MODES = ("moderate", "saturation")
FAULTS = ("lost", "dup", "bad", "closed", "rpcerr")
# What bench_fan prints, and what it is called here.
KEYS = {"del_s": "deliveries_per_s", "sched_us": "cpu_us", "p50_us": "p50_us", "p99_us": "p99_us",
        "srv_pct": "server_pct", "cli_pct": "client_pct", "idle_b": "idle_bytes",
        "join_s": "join_s", "held": "held"}
JOINING = 256  # at once; below the servers' listen backlogs
MESSAGES_LEAST = 10  # of a run, however low its rate
LIMIT_SECONDS = 90
COMMITS = 100  # before each round: a disk is not always as fast


def installed():
    return [name for name in SERVERS if name != "nats" or common.has_nats()]


def arguments(parser):
    parser.add_argument("--sizes", type=common.numbers, default="1,10,100,1000,10000",
                        help="subscribers (1,10,100,1000,10000)")
    parser.add_argument("--servers", default=",".join(installed()),
                        help="some of " + ", ".join(SERVERS))
    parser.add_argument("--modes", default=",".join(MODES), help="one of them or both")
    parser.add_argument("--rate", type=float, default=10_000,
                        help="deliveries a second, of the moderate runs (10,000)")
    parser.add_argument("--seconds", type=float, default=3, help="of each run (3)")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds before it (0.5)")
    parser.add_argument("--reps", type=int, default=3, help="runs of each kind (3)")
    parser.add_argument("--perf", type=pathlib.Path, metavar="FOLDER",
                        help="a profile of each server there, by perf; figures are then higher")
    parser.add_argument("--slow-size", type=int, default=1000,
                        help="subscribers beside which one does not read; 0: not measured (1000)")
    parser.add_argument("--slow-rate", type=float, default=20,
                        help="messages a second meanwhile (20)")
    parser.add_argument("--slow-bytes", type=int, default=4000, help="of each of them (4000)")
    parser.add_argument("--slow-reps", type=int, default=5, help="pairs of such runs (5)")


def one_run(options, server, size, rate, *more):
    """rate: messages a second; 0: as fast as it goes. A row, or {"error": why}."""
    kind, protocol = SERVERS[server]
    seconds = max(options.seconds, MESSAGES_LEAST / rate if rate else 0)
    at, from_where = common.cores()
    profile = options.perf and options.perf / f"{server}-{MODES[0 if rate else 1]}-{size}"
    with common.server(kind, at) as (child, port), common.profiled(child, profile):
        found = common.load("bench_fan", from_where, "-p", protocol, "-P", port, "-n", size,
                            "-r", rate, "-t", seconds, "-W", options.warm_up, "-i", child.pid,
                            "-c", at, "-j", JOINING, "-L", LIMIT_SECONDS, "-l", server, *more)
    if "error" in found:
        return found
    row = {name: found[key] for key, name in KEYS.items() if key in found}
    row["faults"] = sum(found.get(key, 0) for key in FAULTS)
    row["late"] = found.get("late", 0)
    # The server's core, less the server: near nothing on a quiet machine.
    row["others_pct"] = max(0, (found["core_us"] - found["sched_us"]) * found["del_s"] / 1e4)
    return row


def brief(run):
    """For who waits."""
    return run.get("error") or (f"{run['deliveries_per_s']:,.0f} a second, {run['cpu_us']:.3g} us, "
                                f"p50 {run['p50_us']:.0f}, p99 {run['p99_us']:.0f}, faults "
                                f"{run['faults']:.0f}")


def plan(options):
    for server in options.servers.split(","):
        for mode in options.modes.split(","):
            if server not in SERVERS or mode not in MODES:
                raise SystemExit(f"fanout: there is no {server} or no {mode}")
            for size in options.sizes:
                yield server, mode, size


def measure_rows(options):
    runs = {one: [] for one in plan(options)}
    commits = []
    for rep in range(options.reps):
        commits += common.commits(COMMITS, core=common.cores()[0])
        for (server, mode, size), found in sorted(runs.items(), key=lambda item: item[0][2]):
            if found and "error" in found[-1]:
                continue  # it will not do better next time
            rate = options.rate / size if mode == MODES[0] else 0
            found.append(one_run(options, server, size, rate))
            common.say(f"{rep + 1}/{options.reps} {server} {mode} {size}: {brief(found[-1])}")
    rows = [{"server": server, "mode": mode, "subscribers": size,
             **common.row_of(found, "deliveries_per_s")}
            for (server, mode, size), found in runs.items()]
    return rows, common.summary(commits)


def measure_slow(server, options):
    """The others' latencies, without and with one that does not read."""
    pairs = []
    for number in range(options.slow_reps):
        pair = [one_run(options, server, options.slow_size, options.slow_rate, "-s",
                        options.slow_bytes, "-z", slow)
                for slow in (0, 1)]
        for run, slow in zip(pair, ("without", "with")):
            common.say(f"{number + 1}/{options.slow_reps} {server}, {slow} a slow reader: "
                       f"{brief(run)}")
            if "error" in run:
                return {"server": server, **run}
        pairs.append(pair)
    row = {"server": server, "subscribers": options.slow_size, "pairs": len(pairs),
           "faults": int(sum(run["faults"] for pair in pairs for run in pair))}
    for key in ("p50_us", "p99_us"):
        row[key] = [common.rounded(statistics.median(pair[slow][key] for pair in pairs))
                    for slow in (0, 1)]
        row[f"{key}_ratio"] = round(statistics.median(
            pair[1][key] / pair[0][key] for pair in pairs), 3)
    return row


def measure(options):
    common.allow_files()
    rows, commit = measure_rows(options)
    for server in ("floor", "nats"):
        common.add_ratios(rows, "server", server, ("mode", "subscribers"),
                          ("deliveries_per_s", "cpu_us", "p50_us"))
    slow = [measure_slow(server, options) for server in options.servers.split(",")
            if options.slow_size and SERVERS[server][0] == "node"]
    return {"unit": "us", "seconds": options.seconds, "rate": options.rate,
            "one_commit": commit, "rows": rows, "slow_reader": slow}


COLUMNS = ("deliveries_per_s", "cpu_us", "p50_us", "p99_us", "server_pct", "client_pct",
           "others_pct", "spread", "faults", "late")


def show(result):
    for mode in MODES:
        rows = [row for row in result["rows"] if row["mode"] == mode]
        if not rows:
            continue
        print(f"\n{mode}" + (f": {result['rate']:,.0f} deliveries a second"
                             if mode == MODES[0] else ": as fast as it goes"))
        common.show_table(
            ["", "subscribers", "deliveries/s", "us CPU each", "p50 us", "p99 us", "server %core",
             "client %core", "others %core", "max/min", "faults", "late", "x floor's CPU",
             "x nats' rate"],
            [[row["server"], row["subscribers"], *(row.get(key, "") for key in COLUMNS),
              row.get("times_floor", {}).get("cpu_us", ""),
              row.get("times_nats", {}).get("deliveries_per_s", "")] for row in rows])
        common.show_failed(rows, ("server", "subscribers"))
    print(f"\none commit by SQLite alone, on the server's core: {result['one_commit']['p50']} us "
          f"(p99 {result['one_commit']['p99']})")
    for row in result["slow_reader"]:
        if "error" in row:
            print(f"slow reader, {row['server']}: {row['error']}")
            continue
        without, beside = row["p99_us"]
        print(f"one that does not read, beside {row['subscribers']:,} {row['server']}: the others' "
              f"p99 {without} us without, {beside} us with it; x {row['p99_us_ratio']} "
              f"(p50 x {row['p50_us_ratio']}, {row['pairs']} pairs, faults {row['faults']})")


if __name__ == "__main__":
    common.run(__name__)
