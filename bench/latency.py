#!/usr/bin/python3
"""Row 10: the time from pressing Enter at one node to the line at another one's standard output.

    write() to A's stdin --> A reads, SendMessage --> B shows --> B's stdout is readable here

Two nodes in pipe mode on loopback, one line at a time: the next is written when the last was read.
The same loop measures two floors in the same run: a child that only copies its input to its output
(cat: two pipes, one process to wake), and a TCP echo on loopback through such a child (two sockets
more, as a call to a peer and its answer have). What is left above them is ours."""

import argparse
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or PROJECT / "build").resolve()
CHAT_NODE = os.environ.get("CHAT_NODE") or str(BUILD / "chat_node")
LINE_TIMEOUT_MS = 10_000
TCP_ECHO = """
import socket, sys
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
while data := one.recv(65536):
    one.sendall(data)
"""


def spawn(argv, **options):
    """Dies with this program."""
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith("GRPC_") and not key.lower().endswith("_proxy")}
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--"] + argv, env=clean, bufsize=0,
                            **options)


def pin(child, core):
    """All its threads, also those it made already."""
    if core is not None:
        for task in os.listdir(f"/proc/{child.pid}/task"):
            os.sched_setaffinity(int(task), {core})


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
    child = spawn(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        return one_at_a_time(child.stdin.fileno(), child.stdout.fileno(), options.count,
                             options.warm_up)
    finally:
        child.kill()
        child.wait()


def measure_tcp(options):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = spawn([sys.executable, "-c", TCP_ECHO, str(listener.getsockname()[1])],
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


def free_ports(count):
    """Below the range the kernel takes outgoing connections' ports from."""
    found = []
    while len(found) < count:
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


def measure_nodes(options):
    ports = free_ports(2)
    nodes = []
    with tempfile.TemporaryDirectory(prefix="chat-latency-") as folder:
        path = os.path.join(folder, "nodes.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump([{"host": "127.0.0.1", "port": port} for port in ports], file)
        try:
            # ann shows her own lines too: /dev/null takes them, no third process is woken.
            for name, port, out in zip(("ann", "bob"), ports,
                                       (subprocess.DEVNULL, subprocess.PIPE)):
                nodes.append(spawn([CHAT_NODE, "--name", name, str(port), path], cwd=folder,
                                   stdin=subprocess.PIPE, stdout=out, stderr=subprocess.DEVNULL))
            ann, bob = nodes
            # The first line waits in ann's queue until bob is there: then both are linked.
            os.write(ann.stdin.fileno(), b"are you there?\n")
            data = b""
            while not data.endswith(b"ann: are you there?\n"):
                if not select.select([bob.stdout], [], [], 15)[0]:
                    raise SystemExit("latency: the two nodes did not find each other in 15 s")
                data += os.read(bob.stdout.fileno(), 65536)
                if not data:
                    raise SystemExit("latency: a node ended; run it by hand to see why")
            if options.pin:
                pin(ann, 0)
                pin(bob, 1 % (os.cpu_count() or 1))
            return one_at_a_time(ann.stdin.fileno(), bob.stdout.fileno(), options.count,
                                 options.warm_up, b"ann: ")
        finally:
            for node in nodes:
                node.send_signal(signal.SIGTERM)
            for node in nodes:
                try:
                    node.wait(5)
                except subprocess.TimeoutExpired:
                    node.kill()
                    node.wait()


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
    parser.add_argument("--pin", action="store_true", help="each node on a core of its own")
    options = parser.parse_args()
    if options.count < 1 or options.warm_up < 0:
        parser.error("--count must be 1 or more")
    if not shutil.which(CHAT_NODE):
        raise SystemExit(f"latency: no program at {CHAT_NODE}: build it with ./dev build")
    results = {"pipe echo (cat)": summary(measure_cat(options)),
               "TCP echo": summary(measure_tcp(options)),
               "node to node": summary(measure_nodes(options))}
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
