#!/usr/bin/python3
"""Curves of what `growth` has found, as SVG, drawn by gnuplot.

    plot.py growth.json [--out docs/performance]

A curve of which the file holds nothing is left out."""

import argparse
import json
import pathlib
import shutil
import subprocess

import common

SETUP = """
set terminal svg size 760,440 dynamic font "sans-serif,15" background "#ffffff"
set border 3 lc rgb "#555555"
set tics nomirror textcolor rgb "#333333"
set grid ytics xtics lc rgb "#dddddd" lt 1
set key outside right top Left reverse samplen 2 spacing 1.2
set style data linespoints
"""
# Okabe and Ito's, which most people tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#f0e442")
FLOORS = ("bare", "SQLite", "one commit", "TCP")  # drawn in grey
NAMES = {"floor": "bare epoll server", "nats": "nats-server", "classic": "classic",
         "batched": "batched"}

# ---- What is in the file: {label: [(x, y)]} ------------------------------------------------------


def fan_out(growth, mode, *keys):
    lines = {}
    for result in growth.get("fanout", []):
        for row in result["rows"]:
            if row["mode"] != mode:
                continue
            for key in keys:
                label = NAMES[row["server"]] + (f", {key[:3]}" if len(keys) > 1 else "")
                if key in row:
                    lines.setdefault(label, []).append((row["subscribers"], row[key]))
    return lines


def published(growth, key, floor_key):
    lines = {}
    for result in growth.get("publish", []):
        for row in result["rows"]:
            if key in row:
                label = f"{row['interface']}, {row['in_flight']} in flight"
                lines.setdefault(label, []).append((row["writers"], row[key]))
        writers = sorted({row["writers"] for row in result["rows"]})
        for row in result["floor"]:
            label = f"SQLite, {row['rows_each']} a commit"
            lines[label] = [(number, row[floor_key]) for number in (writers[0], writers[-1])]
    return lines


def over_log(growth):
    lines = {}
    for result in growth.get("start", []):
        at = result["count"]
        for kind in ("after a clean end", "after kill -9"):
            lines.setdefault(f"start {kind}", []).append((at, result[kind]["ms"]))
        for name, took in result["search_ms"].items():
            if name in ("a common word", "quoted", "a rare word"):
                lines.setdefault(f"search: {name}", []).append((at, took))
    return lines


def caught_up(growth):
    lines = {}
    for result in growth.get("catch_up", []):
        for key, label in (("said_per_s", "said at one node, durable"),
                           ("events_per_s", "taken over by another"),
                           ("events_per_s_from_start", "the same, from its start")):
            lines.setdefault(label, []).append((result["count"], result[key]))
    return lines


def over_nodes(growth):
    lines = {}
    for result in growth.get("latency", []):
        at = result["nodes"]
        for key in ("p50", "p99"):
            lines.setdefault(f"node to node, {key}", []).append((at, result["node_to_node"][key]))
        lines.setdefault("one commit, p50", []).append((at, result["one_commit"]["p50"]))
        lines.setdefault("TCP echo, p50", []).append((at, result["tcp_echo"]["p50"]))
    return lines


def over_subscribers(growth):
    lines = {}
    for result in growth.get("memory", []):
        for row in result["subscribers"]:
            if "idle_kib" in row:
                lines.setdefault(row["interface"], []).append(
                    (row["subscribers"], row["idle_kib"] / 1024))
    return lines


# ---- Drawing -------------------------------------------------------------------------------------

# name, title, axes, which of them are logarithmic, what is drawn
CURVES = (
    ("fanout-rate", "Deliveries a second, as fast as it goes", "subscribers", "deliveries/s", "xy",
     lambda growth: fan_out(growth, "saturation", "deliveries_per_s")),
    ("fanout-cpu", "CPU of a delivery, as fast as it goes", "subscribers", "us", "xy",
     lambda growth: fan_out(growth, "saturation", "cpu_us")),
    ("fanout-cpu-moderate", "CPU of a delivery at 10,000 deliveries a second", "subscribers", "us",
     "xy", lambda growth: fan_out(growth, "moderate", "cpu_us")),
    ("fanout-latency", "How late a delivery is at 10,000 deliveries a second", "subscribers", "us",
     "xy", lambda growth: fan_out(growth, "moderate", "p50_us", "p99_us")),
    ("publish-rate", "Durable messages a second", "writers", "messages/s", "xy",
     lambda growth: published(growth, "messages_per_s", "messages_per_s")),
    ("publish-latency", "The time to a durable answer, p50", "writers", "us", "xy",
     lambda growth: published(growth, "p50_us", "p50")),
    ("log-length", "Start and search over the length of the log", "events", "ms", "xy", over_log),
    ("catch-up", "Catching up over the length of the log", "events", "events/s", "x", caught_up),
    ("nodes", "From Enter to the other's screen", "nodes", "us", "y", over_nodes),
    ("memory", "Memory of a node with idle subscribers", "subscribers", "MiB", "xy",
     over_subscribers),
)


def script(path, title, axes, logs, lines):
    """gnuplot's commands, with the points in them."""
    text = [SETUP, f"set output '{path}'", f'set title "{title}"',
            f'set xlabel "{axes[0]}"', f'set ylabel "{axes[1]}"']
    for axis in "xy":
        if axis in logs:
            text += [f"set logscale {axis}", f'set format {axis} "%.0s%c"'
                     if axis == "x" or lowest(lines) >= 1 else f'set format {axis} "%g"']
        else:
            text += ["set yrange [0:*]", 'set format y "%.0s%c"'] if axis == "y" else [
                "set xtics 1"]
    plots = []
    colours, dashes = iter(COLOURS), iter("2345")
    for number, (label, points) in enumerate(lines.items()):
        text += [f"$line{number} << END", *(f"{x} {y}" for x, y in sorted(points)), "END"]
        look = f'dt {next(dashes)} lc rgb "#888888"' if label.startswith(FLOORS) \
            else f'lc rgb "{next(colours)}"'
        plots.append(f'$line{number} using 1:2 title "{label}" lw 2 pt 7 ps 0.6 {look}')
    return "\n".join([*text, "plot " + ", \\\n  ".join(plots), ""])


def lowest(lines):
    return min(y for points in lines.values() for _, y in points)


def draw(growth, folder):
    """The files that were made."""
    made = []
    for name, title, x, y, logs, find in CURVES:
        lines = find(growth)
        if not lines:
            continue
        path = folder / f"{name}.svg"
        subprocess.run(["gnuplot", "-"], input=script(path, title, (x, y), logs, lines), text=True,
                       check=True)
        plain = [line.rstrip() for line in path.read_text().splitlines()]
        path.write_text("\n".join(line for line in plain if line) + "\n")
        made.append(path)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("file", type=pathlib.Path, help="what `growth --out FILE` has written")
    parser.add_argument("--out", type=pathlib.Path, metavar="FOLDER",
                        default=common.PROJECT / "docs" / "performance")
    options = parser.parse_args()
    if not shutil.which("gnuplot"):
        raise SystemExit("plot: no gnuplot: ./dev setup bench")
    options.out.mkdir(parents=True, exist_ok=True)
    for path in draw(json.loads(options.file.read_text()), options.out):
        print(path)


if __name__ == "__main__":
    main()
