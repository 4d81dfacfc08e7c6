#!/usr/bin/python3
"""How fast a node that was away takes what it missed from one peer, and what that costs.

    ann has N texts of 100 bytes in her log; bob starts with an empty one

The clock runs from bob's start, or from his first line, to his last one. He shows each line, signs
are checked, all goes to his disk. In the end both logs must be equal."""

import subprocess
import time

import common


def fill(folder, port, nodes, count):
    """Ann's log, and how many lines a second she wrote: said one by one, durable."""
    lines = folder / "lines"
    with open(lines, "w", encoding="utf-8") as file:
        for number in range(count):
            file.write(f"line {number} ".ljust(100, "x") + "\n")
    ann = common.start_node(folder, "ann", port, nodes, stdin=open(lines, "rb"),
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    started = time.monotonic()
    common.read_lines(ann.stdout, count)
    took = time.monotonic() - started
    ann.terminate()
    ann.wait(20)
    return count / took


def hash_of(folder, name):
    return subprocess.run([common.CHAT_NODE, "export", "--hash", "--data", str(folder / name)],
                          check=True, capture_output=True, text=True).stdout.strip()


def catch_up(folder, ports, nodes, count):
    ann = common.start_node(folder, "ann", ports[0], nodes, "--headless",
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    time.sleep(1)
    started = time.monotonic()
    bob = common.start_node(folder, "bob", ports[1], nodes, "--headless",
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)
    first = common.read_lines(bob.stdout, count)
    ended = time.monotonic()
    result = {
        "events_per_s": round(count / (ended - first)),
        "events_per_s_from_start": round(count / (ended - started)),
        "cpu_us_per_event": {name: round(common.cpu_seconds(node) * 1e6 / count, 1)
                             for name, node in (("ann", ann), ("bob", bob))},
        "memory_mib_at_most": {name: round(common.memory_kib(node)[1] / 1024, 1)
                               for name, node in (("ann", ann), ("bob", bob))},
    }
    common.end_nodes([ann, bob])
    return result


def arguments(parser):
    parser.add_argument("--count", type=int, default=100_000, help="events (100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="bob starts so often (3)")


def measure(options):
    with common.scratch() as folder:
        ports = common.free_ports(2)
        nodes = common.write_nodes(folder, ports)
        said = fill(folder, ports[0], nodes, options.count)
        rounds = []
        for _ in range(options.rounds):
            subprocess.run(["rm", "-rf", str(folder / "bob")], check=True)
            rounds.append(catch_up(folder, ports, nodes, options.count))
            if hash_of(folder, "ann") != hash_of(folder, "bob"):
                raise SystemExit("bench: the two logs differ")
    rounds.sort(key=lambda row: row["events_per_s"])
    return {"count": options.count, "rounds": options.rounds, "said_per_s": round(said),
            **rounds[len(rounds) // 2]}


def show(result):
    print(f"{result['count']} texts of 100 bytes; the median of {result['rounds']}")
    print(f"said by one, durable        {result['said_per_s']:>9} a second")
    print(f"taken over by another       {result['events_per_s']:>9} a second"
          f" ({result['events_per_s_from_start']} counted from the program's start)")
    for name in ("ann", "bob"):
        print(f"{name}: {result['cpu_us_per_event'][name]} us of CPU an event, "
              f"{result['memory_mib_at_most'][name]} MiB at most")


if __name__ == "__main__":
    common.run(__name__)
