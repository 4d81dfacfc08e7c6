#!/usr/bin/python3
"""What one line costs where many are said at once: lines a second, and CPU of all threads.

    a file of N lines --> A: signed in groups, on the disk, shown --> read here

The clock runs from A's start to the last line. What A does afterwards, such as indexing for the
search, does not count. Beside another program the two take turns, so that both meet the same
machine."""

import argparse
import json
import statistics
import subprocess
import time

import common


def say(program, folder, port, nodes, lines, count):
    """Lines a second, and microseconds of CPU a line."""
    started = time.monotonic()
    node = common.start_node(folder, "ann", port, nodes, program=program, stdin=open(lines, "rb"),
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    common.read_lines(node.stdout, count)
    took = time.monotonic() - started
    cpu = common.cpu_seconds(node)
    node.terminate()
    node.wait(20)
    subprocess.run(["rm", "-rf", str(folder / "ann")], check=True)
    return count / took, cpu * 1e6 / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=100_000, help="lines (100,000)")
    parser.add_argument("--rounds", type=int, default=5, help="so often (5)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument("--beside", metavar="PROGRAM", help="another chat_node, in turn with it")
    options = parser.parse_args()
    common.need_program()
    programs = {"here": common.CHAT_NODE}
    if options.beside:
        common.need_program(options.beside)
        programs["beside"] = options.beside
    rows = {name: [] for name in programs}
    with common.scratch() as folder:
        ports = common.free_ports(1)
        nodes = common.write_nodes(folder, ports)
        lines = folder / "lines"
        lines.write_text("".join(f"line {number} ".ljust(100, "x") + "\n"
                                 for number in range(options.count)), encoding="utf-8")
        for _ in range(options.rounds):
            for name, program in programs.items():
                rows[name].append(say(program, folder, ports[0], nodes, lines, options.count))
    results = {name: {"lines_per_s": round(statistics.median(row[0] for row in found)),
                      "cpu_us_per_line": round(statistics.median(row[1] for row in found), 1),
                      "cpu_us_per_line_min": round(min(row[1] for row in found), 1)}
               for name, found in rows.items()}
    if options.json:
        print(json.dumps({"count": options.count, **results}))
        return
    print(f"{options.count} lines of 100 bytes from a file; the median of {options.rounds}")
    for name, row in results.items():
        print(f"{name:8}{row['lines_per_s']:>9} a second, {row['cpu_us_per_line']:>5} us of CPU a "
              f"line ({row['cpu_us_per_line_min']} at least)")


if __name__ == "__main__":
    main()
