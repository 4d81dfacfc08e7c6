#!/usr/bin/python3
"""How long a node takes to its prompt with a long log, how much memory, and how fast it searches.

The log is made by store_maker; the node is started after a clean end, and again after kill -9 while
it wrote. The prompt is there when the node says that it is; /search goes through a running node's
JSON face, and is answered when its first line has come."""

import json
import os
import select
import statistics
import subprocess
import time

import common

QUIET_SECONDS = 0.1
KINDS = ("after a clean end", "after kill -9")
WORDS = {"a common word": "apple", "two words": "apple lamp", "a rare word": "event",
         "a beginning": "har*", "quoted": '"glass harbor"', "nothing": "zebra"}


def start(folder, ports, nodes):
    """The node, and the milliseconds until it was there."""
    started = time.monotonic()
    node = common.start_node(folder, "ann", ports[0], nodes, "--json", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    data = b""
    while b"is here, on port" not in data:
        piece = os.read(node.stdout.fileno(), 65536)
        if not piece:
            raise SystemExit("bench: the node ended at its start")
        data += piece
    return node, (time.monotonic() - started) * 1000


def search(node, words):
    """Milliseconds to the first line of the answer. The rest of it, which comes at once, must not
    be taken for the next one's."""
    started = time.monotonic()
    os.write(node.stdin.fileno(), (json.dumps(
        {"type": "command", "line": f"/search {words}"}) + "\n").encode())
    data = b""
    while b'"type":"history"' not in data and b"nothing found" not in data:
        if not select.select([node.stdout], [], [], 30)[0]:
            raise SystemExit(f"bench: no answer to /search {words}")
        data += os.read(node.stdout.fileno(), 65536)
    took = (time.monotonic() - started) * 1000
    while select.select([node.stdout], [], [], QUIET_SECONDS)[0]:
        os.read(node.stdout.fileno(), 65536)
    return took


def arguments(parser):
    parser.add_argument("--count", type=int, default=1_000_000, help="events (1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind (5)")
    parser.add_argument("--settle", type=float, default=3, help="seconds before it searches (3)")


def starts(folder, ports, nodes, rounds, kills):
    times, memory = [], []
    for _ in range(rounds):
        node, took = start(folder, ports, nodes)
        times.append(took)
        time.sleep(0.3)
        memory.append(common.memory_kib(node)[1] / 1024)
        if kills:
            os.write(node.stdin.fileno(), b'{"type":"message","content":"one more"}\n')
            time.sleep(0.05)
            node.kill()
            node.wait()
        else:
            common.end_nodes([node])
    return {"ms": round(statistics.median(times), 1), "memory_mib_at_most": round(max(memory), 1)}


def measure(options):
    with common.scratch() as folder:
        ports = common.free_ports(2)
        nodes = common.write_nodes(folder, ports)
        common.make_log(folder / "ann", options.count)
        result = {"count": options.count, "rounds": options.rounds}
        for kind in KINDS:
            result[kind] = starts(folder, ports, nodes, options.rounds, kind == KINDS[1])
        node, _ = start(folder, ports, nodes)
        time.sleep(options.settle)  # what checks the log after the kill is done
        result["search_ms"] = {
            name: round(statistics.median(search(node, text) for _ in range(options.rounds)), 1)
            for name, text in WORDS.items()}
        result["memory_mib_after_searching"] = round(common.memory_kib(node)[1] / 1024, 1)
        common.end_nodes([node])
    return result


def show(result):
    print(f"{result['count']} events; medians of {result['rounds']}")
    for kind in KINDS:
        row = result[kind]
        print(f"to the prompt {kind:18} {row['ms']:>8} ms   "
              f"{row['memory_mib_at_most']} MiB at most")
    for name, took in result["search_ms"].items():
        print(f"/search, {name:22} {took:>8} ms")
    print(f"memory after searching {result['memory_mib_after_searching']:>17} MiB")


if __name__ == "__main__":
    common.run(__name__)
