#!/usr/bin/python3
"""chat_node beside what one might take instead: a room's deliveries, and lines that are kept.

    core 0: one server, started anew --- loopback --- core 1: bench_fan or bench_publish

Every round measures every server once, so that they share what the machine does meanwhile; the
table has the medians of the rounds. Compare within a table, not between tables."""

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import time

import servers
from servers import CHAT_NODE, CHAT_NODE_BATCHED, FLOOR, common

START_SECONDS = 10
NICE = -15
FAN = str(common.BUILD / "bench_fan")
PUBLISH = str(common.BUILD / "bench_publish")
SERVER_CORE, LOAD_CORE = "0", "1"
WRITERS = (1, 16)
IN_FLIGHT = 64
FAULTS = ("lost", "dup", "late", "bad", "closed", "rpcerr", "refused")
NOT_ORDERED = {one.name for one in servers.ROOMS if not one.ordered}


def pinned(core, argv):
    """On a core of its own, and before what else the machine does, where that is allowed."""
    first = ["nice", "-n", str(NICE)] if servers.AS_ROOT else []
    return [*first, *(["taskset", "-c", core] if (os.cpu_count() or 1) > 1 else []), *argv]


class Running:
    """A server, for as long as it is needed."""

    def __init__(self, server, folder):
        self.server, self.folder = server, folder

    def __enter__(self):
        self.port, = common.free_ports(1)
        with open(self.folder / "log", "wb") as log:
            self.child = common.spawn(
                pinned(SERVER_CORE, self.server.command(self.folder, self.port)), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def wait(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.child.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    time.sleep(0.2)  # it sees that this one has left
                    return
            time.sleep(0.05)
        said = (self.folder / "log").read_bytes()[-200:].decode("utf-8", "replace").strip()
        raise RuntimeError(f"it did not start: {said}")

    def stop(self):
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()

    def __exit__(self, *_):
        self.stop()

    def measure(self, program, limit, *arguments):
        """What the load generator found; RuntimeError where it came to nothing."""
        load = common.spawn(
            pinned(LOAD_CORE, [program, "-P", str(self.port), "-i", str(self.child.pid), "-L",
                               str(limit), *map(str, arguments)]),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = load.communicate()
        line = out.decode()
        words = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if "FAIL" in line or "sched_us" not in words:
            raise RuntimeError((err.decode("utf-8", "replace").strip().split("\n")[0] + " "
                                + line.strip()).strip() or f"ended after {limit} s")
        return {key: float(value) for key, value in words.items()
                if key not in ("label", "proto")}


# ------------------------------------------------------------------------------------- measuring

class Results:
    def __init__(self):
        self.runs = {}   # (kind, server, size) -> list of figures
        self.failed = {}  # (kind, server, size) -> why

    def add(self, key, figures):
        self.runs.setdefault(key, []).append(figures)

    def median(self, key, field):
        """None where there is none."""
        values = [run[field] for run in self.runs.get(key, ())]
        return statistics.median(values) if values else None

    def faults(self, key):
        return sum(int(run.get(name, 0)) for run in self.runs.get(key, ()) for name in FAULTS
                   if not (name == "late" and key[1] in NOT_ORDERED))


def measure_room(results, server, size, options):
    """A moderate rate first, then as fast as it goes, with one server."""
    try:
        with common.scratch() as folder, Running(server, folder) as running:
            common_words = ["-p", server.proto, "-n", size, "-j", server.joining, "-W",
                            options.warm_up, "-w", server.window]
            # Where a burst to all takes long, nothing may arrive for long.
            common_words += ["-x", 5 + size / 500]
            limit = 12 + options.seconds * 3 + size / 250
            results.add(("moderate", server.name, size), running.measure(
                FAN, int(limit), *common_words, "-r", server.rate / size, "-t", options.seconds))
            results.add(("full", server.name, size), running.measure(
                FAN, int(limit), *common_words, "-r", 0, "-t", options.seconds * 2 / 3))
    except (RuntimeError, OSError, subprocess.SubprocessError, ImportError) as error:
        results.failed[server.name, size] = str(error)


def measure_log(results, server, writers, options):
    try:
        with common.scratch() as folder, Running(server, folder) as running:
            results.add(("log", server.name, writers), running.measure(
                PUBLISH, 20, "-p", server.publish_proto, "-n", writers, "-w", IN_FLIGHT, "-W",
                options.warm_up, "-t", options.seconds))
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        results.failed[server.name, writers] = str(error)


def measure_sync():
    """Microseconds of one small append and its sync, on the disk that the logs are on."""
    found = []
    with common.scratch() as folder:
        file = os.open(folder / "file", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for _ in range(300):
            started = time.perf_counter_ns()
            os.write(file, b"x" * 400)
            os.fdatasync(file)
            found.append((time.perf_counter_ns() - started) / 1000)
        os.close(file)
    return statistics.median(found)


def measure_all(options, rooms, logs):
    """Rounds, until all were made or the time is over; how many that were."""
    results = Results()
    ends = time.monotonic() + options.minutes * 60
    rounds = 0
    for number in range(options.reps):
        work = [(measure_room, server, size) for size in options.sizes for server in rooms
                if size <= server.most]
        work += [(measure_log, server, writers) for writers in WRITERS for server in logs]
        for done, (measure, server, size) in enumerate(work):
            if (server.name, size) in results.failed:
                continue
            if time.monotonic() > ends:
                return results, f"{rounds} to {rounds + 1}"
            if not options.json and sys.stderr.isatty():
                print(f"\rround {number + 1} of {options.reps}: {done + 1} of {len(work)}, "
                      f"{server.name} {size}\033[K", end="", file=sys.stderr, flush=True)
            measure(results, server, size, options)
        rounds += 1
    return results, str(rounds)


# ------------------------------------------------------------------------------------- the table

def number(value, digits=0):
    return "-" if value is None else f"{value:,.{digits}f}"


def ratio(value, base):
    if not value or not base:
        return "-"
    times = value / base
    return f"{times:,.0f}" if times >= 10 else f"{times:.2f}" if times >= 0.1 else f"{times:.2g}"


def room_rows(results, rooms, sizes):
    for size in sizes:
        def full(name, field):
            return results.median(("full", name, size), field)

        for server in rooms:
            moderate = ("moderate", server.name, size)
            rate, cost = full(server.name, "del_s"), full(server.name, "sched_us")
            if rate is None:
                continue
            idle = results.median(moderate, "idle_b")
            faults = results.faults(("full", server.name, size)) + results.faults(moderate)
            yield [
                f"{size:,}", server.name, number(rate / 1000, 1),
                ratio(rate, full(FLOOR, "del_s")), ratio(rate, full(CHAT_NODE_BATCHED, "del_s")),
                number(cost, 3), ratio(cost, full(FLOOR, "sched_us")),
                ratio(cost, full(CHAT_NODE_BATCHED, "sched_us")),
                number(full(server.name, "srv_pct")), number(full(server.name, "cli_pct")),
                number(results.median(moderate, "p50_us")),
                number(results.median(moderate, "p99_us")),
                number(results.median(moderate, "sched_us"), 1),
                "-" if idle is None or size < 100 else number(idle / 1024, 1), faults or ""]


def log_rows(results, logs):
    for writers in WRITERS:
        base = results.median(("log", "chat_node Publish", writers), "msg_s")
        for server in logs:
            key = ("log", server.name, writers)
            rate = results.median(key, "msg_s")
            if rate is not None:
                yield [f"{writers} x {IN_FLIGHT}", server.name, number(rate), ratio(rate, base),
                       number(results.median(key, "sched_us"), 1),
                       number(results.median(key, "srv_pct")),
                       number(results.median(key, "cli_pct")),
                       number(results.median(key, "p50_us")), number(results.median(key, "p99_us")),
                       number(results.median(key, "rss_end") / (1 << 20), 1), server.note]


def print_table(head, rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    for row in (head, *rows):
        print("  ".join(cell.ljust(width) if place == 1 else cell.rjust(width)
                        if place < len(head) - 1 else cell
                        for place, (cell, width) in enumerate(zip(row, widths))).rstrip())


def print_results(results, rounds, options, rooms, logs, sync_us):
    print(f"medians of {rounds} rounds; payloads of 100 bytes; server on core {SERVER_CORE}, load "
          f"on core {LOAD_CORE}\n")
    print_table(["readers", "server", "k/s", "x floor", "x chat", "us each", "x floor", "x chat",
                 "srv%", "load%", "p50", "p99", "us at 10k", "KiB idle", "faults"],
                list(room_rows(results, rooms, options.sizes)))
    print("""
k/s: thousand deliveries a second as fast as it goes. us each: the server's CPU for one of them.
Beside both, as multiples of the floor's and of chat_node batched's. srv%, load%: of a core; load%
near 100: the load generator was the limit; both far below: the machine was busy with other things,
then trust the CPU. p50, p99, us at 10k: latency and CPU at 10,000 deliveries a second, or as said
below. KiB idle: the server's memory for a reader that has joined, without the kernel's buffers.
""")
    for server in rooms:
        if server.note:
            print(f"  {server.name}: {server.note}")
    print()
    print_table(["writers", "server", "kept/s", "x Publish", "us each", "srv%", "load%", "p50",
                 "p99", "MiB", "what is waited for"], list(log_rows(results, logs)))
    print(f"\nkept/s: lines acknowledged; p50, p99: microseconds to it. One append of 400 bytes "
          f"and its sync take {sync_us:.0f} us on this disk.")


def choose(names, parser):
    """The rooms and logs whose names begin with one of these, of those that are installed."""
    every = servers.ROOMS + servers.LOGS
    for name in names:
        if not any(one.name.startswith(name) for one in every):
            parser.error(f"no server is called {name}; there are "
                         + ", ".join(one.name for one in every))
    wanted = [one for one in every if not names or any(one.name.startswith(name)
                                                       for name in names)]
    there = [one for one in wanted if one.path() and one.works()]
    for program in sorted({one.program for one in wanted if not one.path()}):
        print(f"rivals: {program} is not installed and left out; `./dev setup rivals` installs "
              f"all", file=sys.stderr)
    return ([one for one in there if one in servers.ROOMS],
            [one for one in there if one in servers.LOGS])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--quick", action="store_true",
                        help="one round of 1 and 100 readers, only of the fast ones: two minutes")
    parser.add_argument("--sizes", help="readers, as in 1,10,100,1000,10000")
    parser.add_argument("--servers", default="", help="only those whose names begin so, by commas")
    parser.add_argument("--reps", type=int, help="rounds (3)")
    parser.add_argument("--seconds", type=float, help="of each run (1.5)")
    parser.add_argument("--minutes", type=float, default=14, help="then no new run begins (14)")
    parser.add_argument("--json", action="store_true", help="one JSON object: every run")
    options = parser.parse_args()
    options.reps = options.reps or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 1.5)
    options.warm_up = 0.3
    try:
        options.sizes = [int(size) for size in (
            options.sizes or ("1,100" if options.quick else "1,10,100,1000,10000")).split(",")]
    except ValueError:
        parser.error("--sizes takes numbers, as in 1,10,100")
    if min(options.sizes) < 1 or max(options.sizes) > servers.LARGEST:
        parser.error(f"--sizes takes 1 to {servers.LARGEST}")
    for program in (FAN, PUBLISH, common.CHAT_NODE):
        common.need_program(program)
    names = [name for name in options.servers.split(",") if name]
    if options.quick and not names:
        names = [FLOOR, CHAT_NODE, "nats", "redis", "mosquitto"]
    rooms, logs = choose(names, parser)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    results, rounds = measure_all(options, rooms, logs)
    sync_us = measure_sync()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    failed = [(name, size, why) for (name, size), why in results.failed.items()]
    if options.json:
        print(json.dumps({
            "rounds": rounds, "sync_us": sync_us,
            "runs": [{"kind": kind, "server": name, "size": size, **run}
                     for (kind, name, size), runs in results.runs.items() for run in runs],
            "failed": [{"server": name, "size": size, "why": why} for name, size, why in failed]}))
    else:
        print_results(results, rounds, options, rooms, logs, sync_us)
        for name, size, why in failed:
            print(f"{name} with {size}: {why}")
    # What a server does not know is a word; what it lost is there to be looked at.
    sys.exit(1 if any(results.faults(key) for key in results.runs) else 0)


if __name__ == "__main__":
    main()
