#!/usr/bin/python3
"""The goals, and what a file of `growth` says about each: a table in Markdown.

    goals.py growth.json [--into docs/performance.md]

What the file does not hold is "not measured yet". With --into the table takes the place of the one
between the two marks in that file."""

import argparse
import json
import pathlib

BEGIN, END = "<!-- goals: bench/goals.py -->", "<!-- end of goals -->"
NOT_YET = "not measured yet"


class Figures:
    """What is in the file. A figure that is not there is a KeyError."""

    def __init__(self, growth):
        self.growth = growth

    def one(self, part, rows, **same):
        """The row of a part in which all of these are the same."""
        for result in self.growth.get(part, []):
            for row in result[rows]:
                if all(row.get(key) == value for key, value in same.items()):
                    return row
        raise KeyError(part)

    def last(self, part):
        results = self.growth.get(part)
        if not results:
            raise KeyError(part)
        return results[-1]

    def fan(self, server, mode, size):
        return self.one("fanout", "rows", server=server, mode=mode, subscribers=size)


# ---- Each goal: [(is it met, what was measured)] -------------------------------------------------


def most(value, limit, text):
    return value <= limit, f"{text} {value:,.4g}"


def least(value, limit, text):
    return value >= limit, f"{text} {value:,.6g}"


def times_nats(figures, size):
    return least(figures.fan("batched", "saturation", size)["times_nats"]["deliveries_per_s"], 2,
                 f"{size:,} subscribers, times NATS:")


def batched(figures):
    return [times_nats(figures, 100),
            most(figures.fan("batched", "saturation", 100)["cpu_us"], 0.25, "us:")]


def batched_many(figures):
    growth = figures.fan("batched", "saturation", 10_000)["cpu_us"] \
        / figures.fan("batched", "saturation", 100)["cpu_us"]
    return [times_nats(figures, 1000), times_nats(figures, 10_000),
            (growth < 2, f"cost from 100 to 10,000: times {growth:.2f}")]


def classic(figures):
    row = figures.fan("classic", "saturation", 100)
    return [least(row["deliveries_per_s"], 250_000, "deliveries a second:"),
            most(row["cpu_us"], 4, "us:")]


def moderate(figures):
    floor = figures.fan("floor", "moderate", 100)
    commit = figures.last("fanout")["one_commit"]["p50"]
    found = []
    for server in ("batched", "classic"):
        row = figures.fan(server, "moderate", 100)
        found += [most(row["cpu_us"] / floor["cpu_us"], 1.5, f"{server}, CPU: times"),
                  most(row["p50_us"] / (floor["p50_us"] + commit), 1.5, f"{server}, p50: times")]
    return found


def publish(figures):
    row = figures.one("publish", "rows", interface="Publish", writers=100, in_flight=64)
    return [least(row["times_JetStream"]["messages_per_s"], 2, "times JetStream:")]


def latency(figures):
    return [(row["times_the_floor"] < 1.5, f"{row['nodes']} nodes: times {row['times_the_floor']}")
            for row in [figures.last("latency"), *figures.growth["latency"][:-1]]]


def subscriber(figures):
    return [most(figures.one("memory", "subscribers", interface=interface,
                             subscribers=1000)["bytes_each"] / 1000, 32, f"{interface}, kB:")
            for interface in ("batched", "classic")]


def link(figures):
    return [most(figures.last("memory")["link_bytes_each"] / 1000, 64, "kB, credit and all:")]


def idle(figures):
    row = figures.last("memory")["idle"]
    return [most(row[f"{kind}_kib"] * 1024 / 1e6, 20, f"{text}, MB:")
            for kind, text in (("headless", "headless"), ("prompt", "at its prompt"))]


def soak(figures):
    """Between a third of the time, when all caches are full, and the end."""
    result = figures.last("soak")
    reports = result["reports"]
    before = reports[len(reports) // 3]["kib"]
    grown = max(after - then for then, after in zip(before, result["kib_at_the_end"]))
    minutes = (reports[-1]["seconds"] - reports[len(reports) // 3]["seconds"]) / 60
    return [most(grown, 256, f"KiB in the last {minutes:.0f} minutes:")]


def slow_reader(figures):
    return [most(figures.one("fanout", "slow_reader", server=server)["p99_us_ratio"], 1.1,
                 f"{server}: times") for server in ("batched", "classic")]


FAN, PUBLISH = "./dev bench fanout", "./dev bench publish"
GOALS = (
    ("Batched fan-out at saturation, 100 subscribers: at least 2 times NATS's deliveries a second; "
     "at most 0.25 us of CPU a delivery", batched, f"{FAN} --sizes 100 --modes saturation"),
    ("The same with 1,000 and 10,000: at least 2 times NATS; a delivery's cost grows less than 2 "
     "times from 100 to 10,000", batched_many,
     f"{FAN} --sizes 100,1000,10000 --modes saturation"),
    ("Classic fan-out at saturation, 100 subscribers: at least 250,000 deliveries a second; at "
     "most 4 us", classic, f"{FAN} --sizes 100 --modes saturation"),
    ("10,000 deliveries a second to 100 subscribers: CPU at most 1.5 times the bare epoll "
     "server's; p50 at most 1.5 times (its p50 + one commit)", moderate,
     f"{FAN} --sizes 100 --modes moderate"),
    ("Durable publishing, 100 writers, 64 in flight: at least 2 times NATS JetStream (file, "
     "synchronous acknowledgements)", publish, f"{PUBLISH} --writers 100"),
    ("Node to node, durable, p50: below 1.5 times (one commit + a TCP echo)", latency,
     "./dev bench latency"),
    ("An idle subscriber, of 1,000: at most 32 kB", subscriber, "./dev bench memory"),
    ("A link: at most 64 kB and its credit", link, "./dev bench memory"),
    ("An idle node: at most 20 MB resident", idle, "./dev bench memory"),
    ("Half an hour under load: no growth", soak, "./dev bench soak --minutes 30"),
    ("One of 1,000 readers is slow: nobody else's p99 changes by more than 10 %", slow_reader,
     f"{FAN} --sizes 1000"),
)


def measured(find, figures):
    try:
        found = find(figures)
    except (KeyError, TypeError):
        return NOT_YET
    met = all(good for good, _ in found)
    return ("met" if met else "**missed**") + ": " + "; ".join(
        text if good or met else f"**{text}**" for good, text in found)


def table(growth):
    figures = Figures(growth)
    rows = [f"| {goal} | {measured(find, figures)} | `{command}` |"
            for goal, find, command in GOALS]
    return "\n".join(["| Goal | Measured | Command |", "| --- | --- | --- |", *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", type=pathlib.Path, help="what `growth --out FILE` has written")
    parser.add_argument("--into", type=pathlib.Path, metavar="FILE", help="a page with the marks")
    options = parser.parse_args()
    text = table(json.loads(options.file.read_text()))
    if not options.into:
        print(text)
        return
    page = options.into.read_text()
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    options.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()
