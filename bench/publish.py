#!/usr/bin/python3
"""What is said by programs, durably: messages a second and how long an answer takes.

    bench_publish: W writers, each with F messages in flight --> node --> its disk --> answers

By SendMessage, one call a message, and by Publish, one stream a writer. An answer means that the
line is on the node's disk. Nobody subscribes; the node has one core, the writers another; every run
has a fresh node and an empty log. Where nats-server is installed, its JetStream with files takes
its turns too: it answers when a message is written to the file, and asks the disk to keep it every
two minutes only. In the same run the floor is measured: what SQLite alone commits
durably on that disk, one row or 256 rows at a time."""

import pathlib

import common

INTERFACES = {"SendMessage": ("node", "grpc"), "Publish": ("node", "grpc-batch"),
              "JetStream": ("nats", "nats-js")}
FLOOR_ROWS = (1, 256)  # the node's own largest group
FAULTS = ("refused", "closed")
KEYS = {"msg_s": "messages_per_s", "sched_us": "cpu_us", "p50_us": "p50_us", "p99_us": "p99_us",
        "srv_pct": "server_pct", "cli_pct": "client_pct", "rss_end": "rss_end"}


def installed():
    return [name for name in INTERFACES if name != "JetStream" or common.has_nats()]


def arguments(parser):
    parser.add_argument("--writers", type=common.numbers, default="1,10,100", help="(1,10,100)")
    parser.add_argument("--in-flight", type=common.numbers, default="1,64",
                        help="messages of each writer that are not answered yet (1,64)")
    parser.add_argument("--interfaces", default=",".join(installed()),
                        help="some of " + ", ".join(INTERFACES))
    parser.add_argument("--seconds", type=float, default=3, help="of each run (3)")
    parser.add_argument("--reps", type=int, default=3, help="runs of each kind (3)")
    parser.add_argument("--perf", type=pathlib.Path, metavar="FOLDER",
                        help="a profile of each server there, by perf; figures are then higher")


def one_run(options, interface, writers, in_flight):
    at, from_where = common.cores()
    kind, protocol = INTERFACES[interface]
    profile = options.perf and options.perf / f"{interface}-{writers}-{in_flight}"
    with common.server(kind, at) as (child, port), common.profiled(child, profile):
        found = common.load("bench_publish", from_where, "-p", protocol, "-P", port, "-n", writers,
                            "-w", in_flight, "-t", options.seconds, "-i", child.pid)
    if "error" in found:
        return found
    row = {name: found[key] for key, name in KEYS.items() if key in found}
    row["faults"] = sum(found.get(key, 0) for key in FAULTS)
    return row


def brief(run):
    """For who waits."""
    return run.get("error") or (f"{run['messages_per_s']:,.0f} a second, p50 {run['p50_us']:.0f}, "
                                f"p99 {run['p99_us']:.0f}, faults {run['faults']:.0f}")


def measure_floor(seconds, core):
    """Rows a second, and how long one commit takes."""
    floor = []
    for rows in FLOOR_ROWS:
        took = []
        while sum(took) < seconds * 1e9:
            took += common.commits(20, rows, core=core)
        rate = round(rows * len(took) * 1e9 / sum(took))
        floor.append({"rows_each": rows, "messages_per_s": rate, **common.summary(took)})
    return floor


def measure(options):
    common.allow_files()
    for interface in options.interfaces.split(","):
        if interface not in INTERFACES:
            raise SystemExit(f"publish: there is no {interface}")
    runs = {(interface, writers, in_flight): [] for interface in options.interfaces.split(",")
            for writers in options.writers for in_flight in options.in_flight}
    floors = []
    for rep in range(options.reps):
        floors.append(measure_floor(options.seconds / 4, common.cores()[0]))
        for (interface, writers, in_flight), found in runs.items():
            if found and "error" in found[-1]:
                continue  # it will not do better next time
            found.append(one_run(options, interface, writers, in_flight))
            common.say(f"{rep + 1}/{options.reps} {interface}, {writers} writers, {in_flight} in "
                       f"flight: {brief(found[-1])}")
    rows = [{"interface": interface, "writers": writers, "in_flight": in_flight,
             **common.row_of(found, "messages_per_s")}
            for (interface, writers, in_flight), found in runs.items()]
    common.add_ratios(rows, "interface", "JetStream", ("writers", "in_flight"),
                      ("messages_per_s", "p50_us"))
    return {"unit": "us", "seconds": options.seconds,
            "floor": [common.medians(same) for same in zip(*floors)], "rows": rows}


COLUMNS = ("messages_per_s", "cpu_us", "p50_us", "p99_us", "server_pct", "client_pct", "spread",
           "faults")


def show(result):
    common.show_table(
        ["", "writers", "in flight", "messages/s", "us CPU each", "p50 us", "p99 us",
         "server %core", "client %core", "max/min", "faults", "x JetStream's rate"],
        [[row["interface"], row["writers"], row["in_flight"],
          *(row.get(key, "") for key in COLUMNS),
          row.get("times_JetStream", {}).get("messages_per_s", "")] for row in result["rows"]])
    common.show_failed(result["rows"], ("interface", "writers", "in_flight"))
    for row in result["floor"]:
        print(f"SQLite alone, {row['rows_each']} rows a commit: {row['messages_per_s']:,} rows a"
              f" second; one commit p50 {row['p50']} us, p99 {row['p99']} us")


if __name__ == "__main__":
    common.run(__name__)
