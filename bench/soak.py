#!/usr/bin/python3
"""Nodes under load for a while, their memory printed: what grows with time shows here.

Each node says --rate lines a second; at the end every node must have shown every line once, in
each sender's order."""

import json
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
import common  # noqa: E402
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


def arguments(parser):
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=50, help="lines a second at each node")
    parser.add_argument("--size", type=int, default=60, help="bytes of each line, about")


def measure(options):
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
            result = soak(nodes, options)
        finally:
            complaints = cluster.stop_all()
    wrong = [one for node in nodes for one in node.wrong]
    return {**result, "wrong": [str(one) for one in (wrong[:5] + complaints)]}


def soak(nodes, options):
    """The memory of each node, every REPORT_SECONDS: told on the way too, since this takes long."""
    started = time.monotonic()
    said, reports = 0, []
    padding = "x" * max(0, options.size - 8)
    while (passed := time.monotonic() - started) < options.minutes * 60:
        due = int(passed * options.rate)
        for node in nodes:
            node.say(*(f"{number} {padding}" for number in range(said, due)))
        said = due
        if not reports or passed - reports[-1]["seconds"] >= REPORT_SECONDS:
            reports.append({"seconds": round(passed), "lines_each": said,
                            "kib": [node.rss_kib() for node in nodes]})
            common.say(f"{passed:.0f} s, {said} lines each, KiB: {reports[-1]['kib']}")
        time.sleep(TICK_SECONDS)  # the pace of the load
    for node in nodes:
        node.wait_for(lambda: node.count >= said * len(nodes), "every line", 30)
    return {"nodes": len(nodes), "lines_each": said, "reports": reports,
            "kib_at_the_end": [node.rss_kib() for node in nodes]}


def show(result):
    common.show_table(["seconds", "lines each", "KiB of each node"],
                      [[str(row["seconds"]), row["lines_each"], " ".join(map(str, row["kib"]))]
                       for row in result["reports"]])
    for one in result["wrong"]:
        print("soak:", one)
    if not result["wrong"]:
        print(f"{result['lines_each']} lines each, every one shown {result['nodes']} times in "
              f"order; KiB at the end: {' '.join(map(str, result['kib_at_the_end']))}")


if __name__ == "__main__":
    sys.exit(1 if common.run(__name__)["wrong"] else 0)
