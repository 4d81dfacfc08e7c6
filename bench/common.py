"""What the measurements share: starting nodes on loopback with data of their own, and ending them."""

import contextlib
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or PROJECT / "build").resolve()
CHAT_NODE = os.environ.get("CHAT_NODE") or str(BUILD / "chat_node")


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


@contextlib.contextmanager
def scratch(prefix="chat-bench-"):
    """A folder that goes away; beside the build, since /tmp may be memory and have no disk to wait
    for."""
    where = BUILD if os.access(BUILD, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=where) as folder:
        yield pathlib.Path(folder)


def write_nodes(folder, ports):
    path = folder / "nodes.json"
    path.write_text(json.dumps([{"host": "127.0.0.1", "port": port} for port in ports]))
    return path


def start_node(folder, name, port, nodes, *arguments, program=CHAT_NODE, keeps=True, **streams):
    """Its data is in the folder, under its name. keeps: false for a version that kept none."""
    data = ["--data", str(folder / name)] if keeps else []
    return spawn([str(program), "--name", name, *data, *arguments, str(port), str(nodes)],
                 cwd=folder, **streams)


def end_nodes(nodes):
    for node in nodes:
        node.send_signal(signal.SIGTERM)
    for node in nodes:
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def read_until(stream, end, seconds, data=b""):
    """What came, once it ends with end."""
    deadline = time.monotonic() + seconds
    while not data.endswith(end):
        if not select.select([stream], [], [], max(0, deadline - time.monotonic()))[0]:
            raise SystemExit(f"bench: {end!r} did not come within {seconds} s")
        piece = os.read(stream.fileno(), 65536)
        if not piece:
            raise SystemExit("bench: a node ended; run it by hand to see why")
        data += piece
    return data


def read_lines(stream, count):
    """Takes so many lines; the moment at which the first of them came."""
    first = None
    seen = 0
    while seen < count:
        piece = stream.read(1 << 20)
        first = first or time.monotonic()
        seen += piece.count(b"\n")
        if not piece:
            raise SystemExit("bench: a node ended; run it by hand to see why")
    return first


def memory_kib(node):
    """Resident now, and at most."""
    status = pathlib.Path(f"/proc/{node.pid}/status").read_text()
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(rows["VmRSS"].split()[0]), int(rows["VmHWM"].split()[0])


def cpu_seconds(node):
    fields = pathlib.Path(f"/proc/{node.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def need_program(program=CHAT_NODE):
    if not shutil.which(str(program)):
        raise SystemExit(f"bench: no program at {program}: build it with ./dev build")
