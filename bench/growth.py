#!/usr/bin/python3
"""How everything grows: the other measurements over their sizes, in one JSON file for `plot`.

    fanout    over subscribers                publish   over writers
    start     (and search) over the log       catch_up  over the log
    latency   over nodes                      memory    over subscribers, links, events

All takes some forty minutes, --quick a few with fewer sizes and runs. The soak, another half
hour, is only run where --only names it."""

import contextlib
import importlib
import json
import os
import pathlib

import common

# Of each part: which arguments, call by call. The least ones only show that all of it works.
PARTS = {
    "fanout": {
        "full": [[]],
        "quick": [["--sizes", "1,100,1000", "--seconds", 1, "--reps", 1, "--slow-reps", 1]],
        "least": [["--sizes", 2, "--seconds", 0.1, "--warm-up", 0, "--reps", 1,
                   "--slow-size", 0, "--modes", "saturation"]],
    },
    "publish": {
        "full": [["--writers", "1,3,10,30,100"]],
        "quick": [["--seconds", 1, "--reps", 1]],
        "least": [["--writers", 1, "--seconds", 0.1, "--reps", 1, "--in-flight", 1]],
    },
    "start": {
        "full": [["--count", count] for count in (10_000, 100_000, 1_000_000)],
        "quick": [["--count", count, "--rounds", 3] for count in (10_000, 100_000)],
        "least": [["--count", 100, "--rounds", 1, "--settle", 0]],
    },
    "catch_up": {
        "full": [["--count", count] for count in (10_000, 100_000, 1_000_000)],
        "quick": [["--count", count, "--rounds", 1] for count in (10_000, 100_000)],
        "least": [["--count", 100, "--rounds", 1]],
    },
    "latency": {
        "full": [["--nodes", count] for count in (2, 3, 5, 8)],
        "quick": [["--nodes", count, "--count", 300] for count in (2, 5)],
        "least": [["--nodes", 2, "--count", 5, "--warm-up", 1, "--settle", 0]],
    },
    "memory": {
        "full": [["--subscribers", "1,10,100,1000,10000"]],
        "quick": [["--subscribers", "10,1000", "--reps", 1, "--events", "0,100000",
                   "--idle-seconds", 5]],
        "least": [["--subscribers", 1, "--links", "0,1", "--events", "0,100", "--reps", 1,
                   "--idle-seconds", 0, "--settle", 0]],
    },
    "soak": {
        "full": [["--minutes", 30]],
        "quick": [["--minutes", 1]],
        "least": [["--minutes", 0.05]],
    },
}
USUAL = ",".join(part for part in PARTS if part != "soak")


def arguments(parser):
    parser.add_argument("--quick", action="store_const", const="quick", default="full",
                        dest="level", help="fewer sizes, one run of each kind")
    parser.add_argument("--least", action="store_const", const="least", dest="level",
                        help="only shows that all of it works")
    parser.add_argument("--only", default=USUAL, metavar="PART,PART",
                        help="some of " + ", ".join(PARTS))
    parser.add_argument("--out", type=pathlib.Path, metavar="FILE",
                        help="written after each part; with --only the file keeps its other parts")


def read(path):
    with contextlib.suppress(FileNotFoundError):
        return json.loads(path.read_text())
    return {}


def measure(options):
    parts = options.only.split(",")
    for part in parts:
        if part not in PARTS:
            raise SystemExit(f"growth: there is no part {part}")
    result = read(options.out) if options.out and options.only != USUAL else {}
    result["cores"] = os.cpu_count()
    for part in parts:
        module = importlib.import_module(part)
        found = []
        for argv in PARTS[part][options.level]:
            common.say(f"{part} {' '.join(map(str, argv))}")
            found.append(common.result_of(module, *argv))
        result[part] = found
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")
    return result


def show(result):
    for part in PARTS:
        for found in result.get(part, []):
            print(f"\n==== {part}")
            importlib.import_module(part).show(found)


if __name__ == "__main__":
    common.run(__name__)
