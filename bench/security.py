#!/usr/bin/python3
"""What a private network costs: the same work beside a node in open mode and one behind its gate.

    readers   bench_fan over TLS 1.3, with a token in each request, or plaintext
    lines     from Enter at one node to the line at the other: two nodes, mutual TLS or plaintext
    memory    of an idle subscriber, and of a link

The two take turns within a run, and a ratio is the median of the pairs' ratios."""

import os
import statistics
import subprocess
import time

import common
import fanout
import latency
import memory

KINDS = ("open", "private")
PROTOCOLS = {"batched": "grpc-batch", "classic": "grpc"}


def arguments(parser):
    parser.add_argument("--sizes", type=common.numbers, default="100,1000",
                        help="subscribers (100,1000)")
    parser.add_argument("--seconds", type=float, default=3, help="of each run (3)")
    parser.add_argument("--rate", type=float, default=10_000,
                        help="deliveries a second, of the moderate runs (10,000)")
    parser.add_argument("--count", type=int, default=500, help="lines for the latency (500)")
    parser.add_argument("--reps", type=int, default=3, help="pairs of runs of each kind (3)")


def served(kind, core):
    return common.server("node", core) if kind == "open" else common.private_server(core)


# ---- Readers -------------------------------------------------------------------------------------


def read_once(options, kind, interface, size, rate):
    at, from_where = common.cores()
    seconds = max(options.seconds, fanout.MESSAGES_LEAST / rate if rate else 0)
    with served(kind, at) as (child, port):
        found = common.load("bench_fan", from_where, "-p", PROTOCOLS[interface], "-P", port, "-n",
                            size, "-r", rate, "-t", seconds, "-W", 0.5, "-i", child.pid, "-c", at,
                            "-j", fanout.JOINING, "-L", fanout.LIMIT_SECONDS,
                            *(["-T"] if kind == "private" else []))
    if "error" in found:
        return found
    return {"deliveries_per_s": found["del_s"], "cpu_us": found["sched_us"],
            "p50_us": found["p50_us"], "p99_us": found["p99_us"], "idle_bytes": found["idle_b"],
            "faults": sum(found.get(key, 0) for key in fanout.FAULTS)}


def paired(pairs, **names):
    """Medians of each kind, and of the pairs' ratios."""
    failed = next((run["error"] for pair in pairs for run in pair.values() if "error" in run), None)
    if failed:
        return {**names, "error": failed}
    row = dict(names)
    for kind in KINDS:
        row[kind] = {key: common.rounded(statistics.median(pair[kind][key] for pair in pairs))
                     for key in pairs[0][kind]}
    row["ratio"] = {key: round(statistics.median(
        pair["private"][key] / pair["open"][key] for pair in pairs), 3)
        for key in pairs[0]["open"] if all(pair["open"][key] for pair in pairs)}
    return row


def readers(options):
    rows = []
    for interface in PROTOCOLS:
        for size in options.sizes:
            for rate in (options.rate / size, 0):
                pairs = []
                for number in range(options.reps):
                    pairs.append({kind: read_once(options, kind, interface, size, rate)
                                  for kind in KINDS})
                    common.say(f"{number + 1}/{options.reps} {interface} {size} "
                               f"{'moderate' if rate else 'saturation'}: {pairs[-1]}")
                rows.append(paired(pairs, interface=interface, subscribers=size,
                                   mode="moderate" if rate else "saturation"))
    return rows


# ---- Two nodes -----------------------------------------------------------------------------------


def start_two(folder, ports, kind, mode):
    """ann and bob, linked or about to be; the pipes are ann's input and bob's output."""
    both = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    path = common.write_nodes(folder, ports)
    if kind == "open":
        return [common.start_node(folder, name, port, path, *mode, **both)
                for name, port in zip(("ann", "bob"), ports)]
    local = ("--listen", "127.0.0.1")
    common.make_network(folder, "ann", ports[0])
    ann = common.start_node(folder, "ann", ports[0], path, *local, *mode, **both)
    common.wait_listening(ports[0], ann)
    common.join_network(folder, "bob", ports[1], "ann")
    return [ann, common.start_node(folder, "bob", ports[1], path, *local, *mode, **both)]


def say_lines(options, kind):
    ports = common.free_ports(2)
    with common.scratch() as folder:
        nodes = start_two(folder, ports, kind, ())
        ann, bob = nodes
        try:
            os.write(ann.stdin.fileno(), b"are you there?\n")
            common.read_until(bob.stdout, b"ann: are you there?\n", 20)
            drain(ann)
            time.sleep(1.5)
            found = latency.one_at_a_time(ann.stdin.fileno(), bob.stdout.fileno(), options.count,
                                          50, b"ann: ")
            return {"p50_us": common.summary(found)["p50"], "p99_us": common.summary(found)["p99"]}
        finally:
            common.end_nodes(nodes)


def drain(node):
    """Its own lines go nowhere: the pipe would fill."""
    subprocess.Popen(["cat"], stdin=node.stdout, stdout=subprocess.DEVNULL)


def links(kind):
    """KiB that a second node's link takes at the first, both idle."""
    ports = common.free_ports(2)
    with common.scratch() as folder:
        nodes = start_two(folder, ports, kind, ("--json",))
        try:
            deadline = time.monotonic() + memory.LINK_SECONDS
            while memory.listed(nodes[0]) < 1:
                if time.monotonic() > deadline:
                    return {"error": "no link"}
                time.sleep(0.1)
            time.sleep(1)
            return {"node_kib": common.exact_memory_kib(nodes[0])}
        finally:
            common.end_nodes(nodes)


def measure(options):
    common.allow_files()
    rows = readers(options)
    lines, linked = [], []
    for _ in range(options.reps):
        lines.append({kind: say_lines(options, kind) for kind in KINDS})
        linked.append({kind: links(kind) for kind in KINDS})
        common.say(f"{lines[-1]} {linked[-1]}")
    return {"unit": "us", "rows": rows, "node_to_node": paired(lines), "linked": paired(linked)}


COLUMNS = ("deliveries_per_s", "cpu_us", "p50_us", "p99_us", "idle_bytes")


def show(result):
    rows = [row for row in result["rows"] if "error" not in row]
    common.show_table(
        ["", "subscribers", "", "", "deliveries/s", "us CPU each", "p50 us", "p99 us",
         "bytes idle"],
        [[row["interface"], row["subscribers"], row["mode"], kind,
          *(row[kind].get(key, "") for key in COLUMNS)]
         for row in rows for kind in (*KINDS, "ratio")])
    common.show_failed(result["rows"], ("interface", "subscribers", "mode"))
    for name in ("node_to_node", "linked"):
        print(f"{name.replace('_', ' ')}: {result[name]}")


if __name__ == "__main__":
    common.run(__name__)
