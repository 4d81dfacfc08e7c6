#!/usr/bin/python3
"""The time from pressing Enter at one node to the line at another one's standard output.

    write() to A's stdin --> A: signed, on the disk, sent --> B shows --> B's stdout readable here

Nodes in pipe mode on loopback, all linked with all, one line at a time: the next is written when
the last was read. The same run measures the floors: a child that only copies its input to its
output (cat: two pipes, one process to wake), a TCP echo on loopback through such a child, and one
durable commit of one row by SQLite. What is left above them is ours."""

import os
import select
import socket
import subprocess
import sys
import time

import common

LINE_TIMEOUT_MS = 10_000
NAMES = ("ann", "bob", "carl")
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
    """From the first to the second; the others have it too."""
    ports = common.free_ports(options.nodes)
    nodes = []
    with common.scratch() as folder:
        path = common.write_nodes(folder, ports)
        try:
            # ann shows her own lines too: /dev/null takes them, no more processes are woken.
            for number, port in enumerate(ports):
                name = NAMES[number] if number < len(NAMES) else f"node{number}"
                nodes.append(common.start_node(
                    folder, name, port, path, program=program, keeps=keeps, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if number == 1 else subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL))
            ann, bob = nodes[:2]
            # The first line waits until bob is there: then both are linked. The others settle.
            os.write(ann.stdin.fileno(), b"are you there?\n")
            common.read_until(bob.stdout, b"ann: are you there?\n", 15)
            time.sleep(options.settle)
            if options.pin:
                for number, node in enumerate(nodes):
                    common.pin(node, number % (os.cpu_count() or 1))
            return one_at_a_time(ann.stdin.fileno(), bob.stdout.fileno(), options.count,
                                 options.warm_up, b"ann: ")
        finally:
            common.end_nodes(nodes)


def arguments(parser):
    parser.add_argument("--count", type=int, default=1000, help="lines to measure (1000)")
    parser.add_argument("--warm-up", type=int, default=100, help="lines before them (100)")
    parser.add_argument("--nodes", type=int, default=3, help="so many nodes, at least 2 (3)")
    parser.add_argument("--settle", type=float, default=1.5,
                        help="seconds from the first link to the first line (1.5)")
    parser.add_argument("--beside", metavar="PROGRAM",
                        help="another chat_node, one that keeps no log, measured in the same run")
    parser.add_argument("--pin", action="store_true", help="each node on a core of its own")


def measure(options):
    if options.count < 1 or options.warm_up < 0 or options.nodes < 2:
        raise SystemExit("latency: --count must be 1 or more, --nodes 2 or more")
    half = (options.count + 1) // 2  # a disk is not always as fast: some before, some after
    commits = common.commits(half, warm_up=options.warm_up)
    nodes = measure_nodes(options)
    commits += common.commits(half, warm_up=options.warm_up)
    result = {"unit": "us", "count": options.count, "pinned": options.pin, "nodes": options.nodes,
              "pipe_echo_cat": common.summary(measure_cat(options)),
              "tcp_echo": common.summary(measure_tcp(options)),
              "one_commit": common.summary(commits), "node_to_node": common.summary(nodes)}
    if options.beside:
        common.need_program(options.beside)
        result["without_a_log"] = common.summary(measure_nodes(options, options.beside, False))
    floor = result["one_commit"]["p50"] + result["tcp_echo"]["p50"]
    result["times_the_floor"] = round(result["node_to_node"]["p50"] / floor, 2)
    return result


def show(result):
    print(f"{result['count']} lines, one at a time, in microseconds; {result['nodes']} nodes"
          f"{', each node on its own core' if result['pinned'] else ''}")
    columns = list(result["node_to_node"])
    common.show_table(["", *columns], [[name.replace("_", " "), *row.values()]
                                       for name, row in result.items() if isinstance(row, dict)])
    print(f"node to node, p50: {result['times_the_floor']} times (one commit + TCP echo)")


if __name__ == "__main__":
    common.run(__name__)
