#!/usr/bin/python3
"""The time from pressing Enter at one node to the line at another one's standard output.

    write() to A's stdin --> A: signed, on the disk, sent --> B shows --> B's stdout readable here

Three nodes in pipe mode on loopback, one line at a time: the next is written when the last was
read. The same run measures the floors: a child that only copies its input to its output (cat: two
pipes, one process to wake), a TCP echo on loopback through such a child, and one durable commit of
one row by SQLite. What is left above them is ours."""

import argparse
import json
import os
import select
import socket
import sqlite3
import subprocess
import sys
import time

import common

LINE_TIMEOUT_MS = 10_000
TCP_ECHO = """
import socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := one.recv(65536):
    one.sendall(data)
"""


def one_at_a_time(write_fd, read_fd, count, warm_up, prefix=b""):
    """Nanoseconds of each line. prefix: what stands between the clock and the text."""
    write, read, now = os.write, os.read, time.perf_counter_ns
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    poll = poller.poll
    found = []
    for number in range(-warm_up, count):
        line = b"line %07d of the measurement\n" % (number + warm_up)
        data = b""
        started = now()
        write(write_fd, line)
        while True:
            if not poll(LINE_TIMEOUT_MS):
                raise SystemExit(f"latency: line {number} did not arrive within "
                                 f"{LINE_TIMEOUT_MS / 1000:g} s")
            arrived = now()
            data += read(read_fd, 65536)
            if data.endswith(b"\n"):
                break
            if not data:
                raise SystemExit("latency: a node ended; run it by hand to see why")
        if not data.endswith(prefix + line):
            raise SystemExit(f"latency: {data!r} came instead of {line!r}")
        if number >= 0:
            found.append(arrived - started)
    return found


def measure_cat(options):
    child = common.spawn(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        return one_at_a_time(child.stdin.fileno(), child.stdout.fileno(), options.count,
                             options.warm_up)
    finally:
        child.kill()
        child.wait()


def measure_tcp(options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = common.spawn([sys.executable, "-c", TCP_ECHO, str(listener.getsockname()[1])],
                      stdin=subprocess.DEVNULL)
        try:
            listener.settimeout(10)
            one, _ = listener.accept()
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with one:
                return one_at_a_time(one.fileno(), one.fileno(), options.count, options.warm_up)
        finally:
            child.kill()
            child.wait()


def measure_nodes(options, program=common.CHAT_NODE, keeps=True):
    """From ann to bob; carl is the third."""
    ports = common.free_ports(3)
    nodes = []
    with common.scratch() as folder:
        path = common.write_nodes(folder, ports)
        try:
            # ann shows her own lines too: /dev/null takes them, no more processes are woken.
            for name, port, out in zip(("ann", "bob", "carl"), ports,
                                       (subprocess.DEVNULL, subprocess.PIPE, subprocess.DEVNULL)):
                nodes.append(common.start_node(
                    folder, name, port, path, program=program, keeps=keeps,
                    stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL))
            ann, bob, _ = nodes
            # The first line waits until bob is there: then both are linked. The others settle.
            os.write(ann.stdin.fileno(), b"are you there?\n")
            common.read_until(bob.stdout, b"ann: are you there?\n", 15)
            time.sleep(1.5)
            if options.pin:
                for number, node in enumerate(nodes):
                    common.pin(node, number % (os.cpu_count() or 1))
            return one_at_a_time(ann.stdin.fileno(), bob.stdout.fileno(), options.count,
                                 options.warm_up, b"ann: ")
        finally:
            common.end_nodes(nodes)


def measure_commit(options):
    """One row, one commit, on the same disk: what durable costs here."""
    found = []
    with common.scratch() as folder:
        table = sqlite3.connect(folder / "floor.db", isolation_level=None)
        table.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(b);")
        for number in range(-options.warm_up, options.count):
            started = time.perf_counter_ns()
            table.execute("INSERT INTO t VALUES(?)", (b"x" * 300,))
            if number >= 0:
                found.append(time.perf_counter_ns() - started)
        table.close()
    return found


def summary(nanoseconds):
    ordered = sorted(nanoseconds)

    def at(share):
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000, 1)

    return {"min": at(0), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--count", type=int, default=1000, help="lines to measure (1000)")
    parser.add_argument("--warm-up", type=int, default=100, help="lines before them (100)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--beside", metavar="PROGRAM",
                        help="another chat_node, one that keeps no log, measured in the same run")
    parser.add_argument("--pin", action="store_true", help="each node on a core of its own")
    options = parser.parse_args()
    if options.count < 1 or options.warm_up < 0:
        parser.error("--count must be 1 or more")
    common.need_program()
    results = {"pipe echo (cat)": summary(measure_cat(options)),
               "TCP echo": summary(measure_tcp(options)),
               "one commit": summary(measure_commit(options)),
               "node to node": summary(measure_nodes(options))}
    if options.beside:
        common.need_program(options.beside)
        results["without a log"] = summary(measure_nodes(options, options.beside, keeps=False))
    if options.json:
        print(json.dumps({"unit": "us", "count": options.count, "pinned": options.pin,
                          **{name.replace(" ", "_").replace("(", "").replace(")", "").lower(): row
                             for name, row in results.items()}}))
        return
    print(f"{options.count} lines, one at a time, in microseconds"
          f"{', each node on its own core' if options.pin else ''}")
    print(f"{'':18}" + "".join(f"{column:>10}" for column in ("min", "p50", "p90", "p99", "max")))
    for name, row in results.items():
        print(f"{name:18}" + "".join(f"{row[column]:>10.1f}" for column in row))


if __name__ == "__main__":
    main()
