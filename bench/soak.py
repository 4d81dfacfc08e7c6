#!/usr/bin/python3
"""Nodes under load for a while, their memory printed: what grows with time shows here.

    soak.py [--nodes 3] [--minutes 10] [--rate 50]

Each node says --rate lines a second; at the end every node must have shown every line once, in
each sender's order."""

import argparse
import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
import harness  # noqa: E402

REPORT_SECONDS = 10
TICK_SECONDS = 0.1


class Counting(harness.Node):
    """Keeps numbers, not lines: this runs for hours."""

    def __init__(self, *args, **options):
        self.last, self.wrong, self.count, self.own = {}, [], 0, None
        super().__init__(*args, **options)

    def take_out(self, line):
        event = json.loads(line)
        if event["type"] != "message":
            super().take_out(line)
            del self.out[:-100], self.notices[:-100]
            return
        self.count += 1
        sender, number = event["sender"], int(event["content"].split()[0])
        if number != self.last.get(sender, -1) + 1:
            self.wrong.append((sender, self.last.get(sender), number))
        self.last[sender] = number


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="lines a second at each node")
    parser.add_argument("--size", type=int, default=60, help="bytes of each line, about")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="chat-soak-") as folder:
        cluster = harness.Cluster(folder)
        try:
            ports = [harness.free_port() for _ in range(options.nodes)]
            nodes = []
            for number, port in enumerate(ports):
                cluster.write_nodes(port, ports)
                nodes.append(cluster.add(Counting(port, cluster.folder_for(port),
                                                  name=f"n{number}")))
            for node in nodes:
                node.wait_listening()
            for node in nodes:
                node.wait_connected(options.nodes - 1)
            run(nodes, options)
        finally:
            complaints = cluster.stop_all()
    wrong = [one for node in nodes for one in node.wrong]
    for one in (wrong[:5] + complaints):
        print("soak:", one)
    sys.exit(1 if wrong or complaints else 0)


def run(nodes, options):
    started = time.monotonic()
    said, reported = 0, -REPORT_SECONDS
    padding = "x" * max(0, options.size - 8)
    print(f"{'seconds':>8} {'lines each':>11}  KiB of each node")
    while (passed := time.monotonic() - started) < options.minutes * 60:
        due = int(passed * options.rate)
        for node in nodes:
            node.say(*(f"{number} {padding}" for number in range(said, due)))
        said = due
        if passed - reported >= REPORT_SECONDS:
            reported = passed
            print(f"{passed:8.0f} {said:11}  " + " ".join(f"{node.rss_kib():7}" for node in nodes),
                  flush=True)
        time.sleep(TICK_SECONDS)  # the pace of the load
    for node in nodes:
        node.wait_for(lambda: node.count >= said * len(nodes), "every line", 30)
    print(f"{said} lines each, every one shown {len(nodes)} times in order; KiB at the end: "
          + " ".join(str(node.rss_kib()) for node in nodes))


if __name__ == "__main__":
    main()
