#!/usr/bin/python3
"""What a node keeps in memory for each subscriber, link and stored event, and what it is by itself.

Resident bytes of the node's process, exact; what the kernel keeps for its sockets is not in them.

    a subscriber    idle, of the batched interface and of the classic one
    a link          N nodes that each link with one, all in step with it
    a stored event  a log of N events that a node has just been started with; and its bytes on disk
    an idle node    at its prompt in a terminal, and headless, after a minute"""

import os
import pty
import subprocess
import time

import common
import fanout

EVENT_ROOMS = 20
LINK_SECONDS = 20
SUBSCRIBERS = {"batched": "grpc-batch", "classic": "grpc"}


def arguments(parser):
    parser.add_argument("--subscribers", type=common.numbers, default="1000",
                        help="idle ones; of several numbers the last counts (1000)")
    parser.add_argument("--links", type=common.numbers, default="0,1,4,8", help="(0,1,4,8)")
    parser.add_argument("--events", type=common.numbers, default="0,100000,1000000",
                        help="(0,100000,1000000)")
    parser.add_argument("--idle-seconds", type=float, default=60,
                        help="before an idle node is looked at (60)")
    parser.add_argument("--settle", type=float, default=1,
                        help="seconds until what was freed is given back (1)")
    parser.add_argument("--reps", type=int, default=3, help="runs of each kind (3)")


# ---- Subscribers ---------------------------------------------------------------------------------


def measure_subscribers(interface, count, reps):
    """One message a second or so: almost idle. bench_fan looks when all have joined, before it."""
    at, from_where = common.cores()
    runs = []
    for _ in range(reps):
        with common.server("node", at) as (child, port):
            found = common.load("bench_fan", from_where, "-p", SUBSCRIBERS[interface], "-P", port,
                                "-n", count, "-r", 1, "-t", 0.1, "-W", 0, "-i", child.pid, "-c", at,
                                "-j", fanout.JOINING, "-L", fanout.LIMIT_SECONDS)
        common.say(f"{count} subscribers, {interface}: "
                   f"{found.get('error') or round(found['idle_b'])}")
        runs.append(found if "error" in found else {
            "bytes_each": found["idle_b"], "before_kib": found["rss0"] / 1024,
            "idle_kib": found["rss_idle"] / 1024})
    return {"interface": interface, "subscribers": count, **common.row_of(runs)}


# ---- Links ---------------------------------------------------------------------------------------


def listed(node):
    """How many nodes of a JSON node's /list are linked and in step."""
    os.write(node.stdin.fileno(), b'{"type":"command","line":"/list"}\n')
    data = b""
    while b'"type":"list"' not in data:
        data = common.read_until(node.stdout, b"\n", 10)
    return data.count(b'"link":"in step"')


def measure_links(count, settle):
    """KiB of one node that so many others link with."""
    ports = common.free_ports(count + 1)
    nodes = []
    with common.scratch() as folder:
        path = common.write_nodes(folder, ports[:1])
        try:
            for number, port in enumerate(ports):
                pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
                         "stderr": subprocess.DEVNULL} if number == 0 else common.silent()
                nodes.append(common.start_node(folder, f"node{number}", port, path,
                                               "--json" if number == 0 else "--headless", **pipes))
            deadline = time.monotonic() + LINK_SECONDS
            while listed(nodes[0]) < count:
                if time.monotonic() > deadline:
                    return {"error": f"{count} links were not there within {LINK_SECONDS} s"}
                time.sleep(0.1)
            time.sleep(settle)
            return {"kib": common.exact_memory_kib(nodes[0])}
        finally:
            common.end_nodes(nodes)


def links(options):
    runs = {count: [] for count in options.links}
    for _ in range(options.reps):
        for count, found in runs.items():
            found.append(measure_links(count, options.settle))
            common.say(f"{count} links: {found[-1]}")
    rows = [{"links": count, **common.row_of(found)} for count, found in runs.items()]
    return rows, per_one(rows, "links", least=1)


def per_one(rows, name, least=0):
    """Bytes for each more, between the first row that has as many as least and the last."""
    rows = [row for row in rows if "kib" in row and row[name] >= least]
    if len(rows) < 2 or rows[-1][name] == rows[0][name]:
        return None
    return round((rows[-1]["kib"] - rows[0]["kib"]) * 1024 / (rows[-1][name] - rows[0][name]), 1)


# ---- Events and an idle node ---------------------------------------------------------------------


def resting(folder, seconds, *arguments, **streams):
    """KiB of a node alone, some seconds after it was there."""
    (port,) = common.free_ports(1)
    nodes = folder / "nodes.json"
    nodes.write_text("[]")
    node = common.start_node(folder, "node", port, nodes, *arguments, **streams)
    try:
        common.wait_listening(port, node)
        time.sleep(seconds)
        return common.exact_memory_kib(node)
    finally:
        common.end_nodes([node])


def measure_events(count, settle):
    with common.scratch() as folder:
        if count:
            common.make_log(folder / "node", count, EVENT_ROOMS)
        kib = resting(folder, settle, "--headless", **common.silent())
        disk = sum(file.stat().st_size for file in (folder / "node").iterdir())
    common.say(f"{count} events: {kib} KiB, {disk} bytes on disk")
    return {"events": count, "kib": kib, "disk_bytes": disk,
            "disk_bytes_each": round(disk / count, 1) if count else None}


def measure_idle(seconds):
    found = {"seconds": seconds}
    with common.scratch() as folder:
        found["headless_kib"] = resting(folder, seconds, "--headless", **common.silent())
    ours, theirs = pty.openpty()
    with common.scratch() as folder:
        found["prompt_kib"] = resting(folder, seconds, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(ours)
    os.close(theirs)
    common.say(f"idle: {found}")
    return found


# ---- All -----------------------------------------------------------------------------------------


def measure(options):
    common.allow_files()
    subscribers = [measure_subscribers(interface, count, options.reps)
                   for count in options.subscribers for interface in SUBSCRIBERS]
    link_rows, link_bytes = links(options)
    events = [measure_events(count, options.settle) for count in options.events]
    return {"subscribers": subscribers, "links": link_rows, "link_bytes_each": link_bytes,
            "events": events, "event_bytes_each": per_one(events, "events"),
            "idle": measure_idle(options.idle_seconds)}


def show(result):
    common.show_table(
        ["", "subscribers", "KiB before", "KiB idle", "bytes each"],
        [[row["interface"], row["subscribers"],
          *(row.get(key, "") for key in ("before_kib", "idle_kib", "bytes_each"))]
         for row in result["subscribers"]])
    common.show_failed(result["subscribers"], ("interface", "subscribers"))
    print()
    common.show_table(["links", "KiB"],
                      [[str(row["links"]), row.get("kib", "")] for row in result["links"]])
    common.show_failed(result["links"], ("links",))
    print(f"a link: {result['link_bytes_each']} bytes, from the second on\n")
    common.show_table(["events", "KiB", "bytes of an event on disk"],
                      [[f"{row['events']:,}", row["kib"], row["disk_bytes_each"] or ""]
                       for row in result["events"]])
    print(f"a stored event: {result['event_bytes_each']} bytes of memory\n")
    idle = result["idle"]
    print(f"an idle node after {idle['seconds']:g} s: headless {idle['headless_kib']:,} KiB, "
          f"at its prompt {idle['prompt_kib']:,} KiB")


if __name__ == "__main__":
    common.run(__name__)
