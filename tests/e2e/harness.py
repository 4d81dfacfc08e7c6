"""Real processes, driven and watched: what every end-to-end test stands on.

    cluster (fixture) -- owns --> Node, ClassicNode, Child -- one thread per pipe --> lines, events
                                        |
                                     wait_for(predicate, what): wakes at each line, has a deadline

Settings come from the environment:
    CHAT_NODE       the program (default build/chat_node beside this project)
    CHAT_BUILD      the build folder; stubs and logs of failed tests land in it
    CHAT_TEST_SLOW  a factor for every deadline, and a divisor for some sizes: sanitizers, valgrind
    CHAT_TEST_LONG  where it is set, the long variants: a minute of kills, 100,000 messages
"""

import collections
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time

from child import Child
from waiting import SLOW, Failed, assert_memory, eventually, scaled, sized  # noqa: F401

# Before grpc is imported anywhere: forking beside its threads is safe here (exec follows at once).
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or PROJECT / "build").resolve()
CHAT_NODE = os.environ.get("CHAT_NODE") or str(BUILD / "chat_node")
LONG = bool(os.environ.get("CHAT_TEST_LONG"))

PYTHON = "/usr/bin/python3"
SANITIZER_MARKS = re.compile(
    r"ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:|"
    r"ASSERTION FAILED|Assertion .* failed")
LINE = re.compile(r"^\[(\d\d:\d\d:\d\d)(?: late)?\] (.*)$")


# ---------------------------------------------------------------------------------------- ports

_given_ports = set()


def _can_listen(port):
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                if family == socket.AF_INET6 and error.errno in (97, 99):  # a host without IPv6
                    continue
                return False
    return True


def free_port():
    """A port nobody listens on, below the range from which the kernel takes those of outgoing
    connections: it stays free until the test uses it, also after its node was killed. Test files
    that run beside each other mostly draw from different parts of it."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low = int(file.read().split()[0])
    parts = 8
    for _ in range(1000):
        port = random.randrange(10000, max(low, 11000) - parts)
        port += (os.getpid() - port) % parts
        if port not in _given_ports and _can_listen(port):
            _given_ports.add(port)
            return port
    raise RuntimeError("no free port")


def is_listening(port, pid="self"):
    """Asks the kernel, not the program: connecting would be an event of its own. pid: whose network
    it is looked for in."""
    wanted = f":{port:04X}"
    for table in (f"/proc/{pid}/net/tcp", f"/proc/{pid}/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                for row in file:
                    fields = row.split()
                    if len(fields) > 3 and fields[1].endswith(wanted) and fields[3] == "0A":
                        return True
        except FileNotFoundError:
            pass
    return False


# ------------------------------------------------------------------------------------ processes

class Node(Child):
    """A chat_node in one of three modes:

    json      standard input stays open; messages, notices, lists and so on hold parsed objects
    pipe      plain lines
    headless  standard input is not read
    """

    ours = True

    def __init__(self, port, cwd, mode="json", name=None, args=(), nodes="nodes.json", prefix=(),
                 **options):
        self.port, self.mode, self.name, self.args = port, mode, name, args
        self.cwd = pathlib.Path(cwd)
        self.messages, self.notices, self.lists, self.errors, self.others = [], [], [], [], []
        self.kept, self.history = [], []
        self.lost = 0
        argv = [*prefix, CHAT_NODE]
        if name is not None:
            argv += ["--name", name]
        if mode == "json":
            argv += ["--json"]
        elif mode == "headless":
            argv += ["--headless"]
        argv += list(args) + [str(port)] + ([nodes] if nodes else [])
        options.setdefault("label", f"{name or 'node'}:{port}")
        super().__init__(argv, cwd=cwd, **options)

    def take_out(self, line):
        super().take_out(line)
        if self.mode != "json":
            return
        try:
            event = json.loads(line)
            kind = event["type"]
        except (ValueError, KeyError, TypeError):
            self.others.append(line)
            return
        if kind == "lost":
            self.lost += event["count"]
        {"message": self.messages, "notice": self.notices, "list": self.lists,
         "error": self.errors, "kept": self.kept, "history": self.history}.get(
             kind, self.others).append(event)

    def wait_listening(self, seconds=10.0):
        def check():
            if not self.running():
                self.wait()
                raise Failed(f"{self.label} ended with {self.process.returncode} at its start: "
                             f"{self.tail(self.err, 5)}")
            return is_listening(self.port, self.pid)
        eventually(check, f"{self.label} to listen", seconds)
        return self

    def data_args(self):
        """What names its data directory to chat_node's commands."""
        args = [str(arg) for arg in self.args]
        return args[args.index("--data"):][:2] if "--data" in args else [str(self.port)]

    # json mode

    def send(self, *objects):
        self.write("".join(json.dumps(one) + "\n" for one in objects))

    def say(self, *lines):
        self.send(*({"type": "message", "content": line} for line in lines))

    def command(self, line):
        self.send({"type": "command", "line": line})

    def list(self, seconds=10.0):
        """The state of its links now."""
        before = len(self.lists)
        self.command("/list")
        return self.wait_for(lambda: len(self.lists) > before and self.lists[-1], "a list", seconds)

    def link(self, port, seconds=10.0):
        for entry in self.list(seconds)["nodes"]:
            if entry["port"] == port:
                return entry
        raise Failed(f"{self.label} does not list port {port}")

    def wait_connected(self, count, seconds=15.0):
        return eventually(lambda: (lambda seen: seen["connected"] == count and seen)(self.list()),
                          lambda: f"{self.label} to have {count} peers; it lists "
                                  f"{json.dumps(self.lists[-1:])}",
                          seconds, 0.05)

    def wait_in_step(self, *peers, seconds=15.0):
        """Until those peers (of our kind, in its nodes.json) have told that they hold on their
        disks all that it holds, and it has all of theirs."""
        ports = {peer.port for peer in peers}

        def check():
            standing = {entry["port"]: entry["link"] for entry in self.list()["nodes"]}
            return all(standing[port] == "in step" for port in ports)
        eventually(check, lambda: f"{self.label} to be in step with {sorted(ports)}; it lists "
                                  f"{json.dumps(self.lists[-1:])}", seconds, 0.05)

    def wait_messages(self, count, seconds=10.0):
        """Until it has shown count messages, its own lines included."""
        try:
            self.wait_for(lambda: len(self.messages) >= count, f"{count} messages", seconds)
        except Failed as error:
            raise Failed(f"{error}; it has shown {len(self.messages)}, the last "
                         f"{self.contents()[-1:]}") from None
        return self.messages

    def wait_content(self, content, count=1, seconds=10.0):
        return self.wait_for(lambda: self.contents().count(content) >= count,
                             f"the line {content!r}", seconds)

    def contents(self, sender=None):
        return [one["content"] for one in self.messages if sender in (None, one["sender"])]

    def wait_notice(self, pattern, seconds=10.0, since=0):
        regex = re.compile(pattern)
        return self.wait_for(
            lambda: next((one for one in self.notices[since:] if regex.search(one["text"])), None),
            lambda: f"a notice like {pattern!r}; the last are "
                    f"{[one['text'] for one in self.notices[-5:]]}",
            seconds)

    # pipe and headless mode

    def shown(self):
        """What stands behind the clock of each message line."""
        return [match.group(2) for match in map(LINE.match, self.out) if match]

    def wait_shown(self, text, count=1, seconds=10.0):
        return self.wait_for(lambda: self.shown().count(text) >= count, f"the line {text!r}",
                             seconds)


class ClassicNode(Child):
    """The older kind, in Python: classic_node.py."""

    def __init__(self, port, cwd, name, nodes="nodes.json"):
        self.port, self.name, self.cwd = port, name, pathlib.Path(cwd)
        super().__init__([PYTHON, "-u", HERE / "classic_node.py", "--name", name, str(port), nodes],
                         cwd=cwd, label=f"classic {name}:{port}")

    def wait_listening(self, seconds=15.0):
        eventually(lambda: is_listening(self.port), f"{self.label} to listen", seconds)
        return self

    def say(self, *lines):
        self.write("".join(line + "\n" for line in lines))

    def shown(self):
        return [match.group(2) for match in map(LINE.match, self.out) if match]

    def wait_shown(self, text, count=1, seconds=10.0):
        return self.wait_for(lambda: self.shown().count(text) >= count, f"the line {text!r}",
                             seconds)

    def connected(self):
        """(connected, total) as its /list says."""
        before = len(self.out)
        self.write("/list\n")
        pattern = re.compile(r"^Connected: (\d+)/(\d+)$")
        match = self.wait_for(
            lambda: next(filter(None, map(pattern.match, self.out[before:])), None), "its list")
        return int(match.group(1)), int(match.group(2))

    def wait_connected(self, count, seconds=20.0):
        eventually(lambda: self.connected()[0] == count, f"{self.label} to have {count} peers",
                   seconds, 0.1)


# ------------------------------------------------------------------------------------------ logs

Done = collections.namedtuple("Done", "returncode stdout stderr")


def tool(*args, check=True, seconds=60.0, text=None):
    """chat_node export, backup and so on. text: its standard input."""
    done = subprocess.run([CHAT_NODE, *map(str, args)], capture_output=True,
                          input=None if text is None else text.encode(),
                          stdin=subprocess.DEVNULL if text is None else None,
                          timeout=scaled(seconds), check=False)
    texts = done.stdout.decode("utf-8", "backslashreplace"), done.stderr.decode(
        "utf-8", "backslashreplace")
    if check and done.returncode != 0:
        raise Failed(f"chat_node {' '.join(map(str, args))}: {done.returncode}: {texts[1]}")
    return Done(done.returncode, *texts)


def log_hash(node):
    """What is on its disk: (hash, events)."""
    found = tool("export", "--hash", *node.data_args())[1].split()
    return found[0], int(found[1])


def exported(node):
    """All events on its disk, as objects, in the order of streams."""
    rows = tool("export", "--json", *node.data_args())[1].splitlines()
    return [json.loads(row) for row in rows]


def bodies(node, sender=None):
    return [row.get("body") for row in exported(node) if sender in (None, row["sender"])]


def wait_equal_logs(nodes, acknowledged=(), seconds=30.0):
    """Until all hold the same; and nothing of what was acknowledged is missing, or there twice."""
    found = {}

    def check():
        for node in nodes:
            found[node.label] = log_hash(node)
        return len(set(found.values())) == 1
    eventually(check, lambda: f"equal logs; they hold {found}", seconds, 0.1)
    if acknowledged:
        held = collections.Counter(bodies(nodes[0]))
        missing = [line for line in acknowledged if held[line] == 0]
        doubled = [line for line in acknowledged if held[line] > 1]
        if missing or doubled:
            raise Failed(f"of {len(acknowledged)} lines {len(missing)} are missing {missing[:5]}, "
                         f"{len(doubled)} doubled {doubled[:5]}")
    return found[nodes[0].label]


def assert_in_order(contents, sender, count, first=0):
    """sender's numbered lines ("ann 17") are all there, once, in order."""
    wanted = [f"{sender} {number}" for number in range(first, first + count)]
    assert_same(contents, wanted, sender)


def assert_same(found, wanted, whose):
    if found == wanted:
        return
    missing = [line for line in wanted if line not in set(found)]
    doubled = sorted({line for line in found if found.count(line) > 1}) if len(found) < 20000 \
        else ["?"]
    at = next((number for number, pair in enumerate(zip(found, wanted)) if pair[0] != pair[1]),
              min(len(found), len(wanted)))
    raise Failed(f"{whose}: {len(found)} lines instead of {len(wanted)}; "
                 f"{len(missing)} missing {missing[:3]}, {len(doubled)} doubled {doubled[:3]}; "
                 f"they differ from number {at} on: {found[at:at + 3]} instead of "
                 f"{wanted[at:at + 3]}")


# -------------------------------------------------------------------------------------- clusters

class Cluster:
    """Every process of one test. stop_all ends them, whatever happened, and says what went wrong
    with those that are ours: a crash, a sanitizer's report, an end that hangs."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.children = []

    def folder_for(self, port):
        path = self.folder / f"node-{port}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def write_nodes(self, port, peers):
        """peers: ports on localhost, or whole entries."""
        entries = [{"host": "localhost", "port": peer} if isinstance(peer, int) else peer
                   for peer in peers]
        path = self.folder_for(port) / "nodes.json"
        path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
        return path

    def add(self, child):
        self.children.append(child)
        return child

    def child(self, argv, **options):
        return self.add(Child(argv, **options))

    def node(self, port=None, peers=(), name=None, wait=True, **options):
        """peers=None leaves the nodes.json that is there."""
        port = port or free_port()
        if peers is not None:
            self.write_nodes(port, peers)
        node = self.add(Node(port, self.folder_for(port), name=name, **options))
        if wait:
            node.wait_listening()
        return node

    def classic(self, port=None, peers=(), name="classic", wait=True):
        port = port or free_port()
        if peers is not None:
            self.write_nodes(port, peers)
        node = self.add(ClassicNode(port, self.folder_for(port), name))
        if wait:
            node.wait_listening()
        return node

    def mesh(self, names, order=None, connected=True, **options):
        """A node for each name, all in each other's nodes.json; started in that order."""
        ports = [free_port() for _ in names]
        nodes = [None] * len(names)
        for index in order or range(len(names)):
            nodes[index] = self.node(ports[index], ports, names[index], wait=False, **options)
        for node in nodes:
            node.wait_listening()
        if connected:
            for node in nodes:
                node.wait_connected(len(names) - 1)
        return nodes

    def again(self, node, **options):
        """The same node, started anew; its nodes.json as it is."""
        options.setdefault("args", node.args)
        return self.node(node.port, None, node.name, mode=node.mode, **options)

    def stop_all(self):
        complaints = []
        for child in self.children:
            if child.ours and child.expected_dead is False and not child.running():
                complaints.append(f"{child.label} ended by itself with {child.process.returncode}")
        for child in self.children:
            if child.running():
                try:
                    child.signal(signal.SIGCONT)
                    child.signal(signal.SIGTERM if child.ours else signal.SIGKILL)
                except ProcessLookupError:
                    pass
        deadline = time.monotonic() + scaled(8)
        for child in self.children:
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                complaints.append(f"{child.label} did not leave within 8 s of SIGTERM")
                child.process.kill()
                child.process.wait()
            child._join()
            for pipe in (child.process.stdin, child.process.stdout, child.process.stderr):
                try:
                    if pipe:
                        pipe.close()
                except OSError:
                    pass
            code = child.process.returncode
            if child.ours and code < 0 and -code not in (signal.SIGKILL, signal.SIGTERM,
                                                         signal.SIGPIPE):
                complaints.append(f"{child.label} was ended by {signal.Signals(-code).name}")
            if child.ours and any(SANITIZER_MARKS.search(line) for line in child.err):
                complaints.append(f"{child.label}: a sanitizer or an assertion complains")
        return complaints

    def logs(self, count=25):
        for child in self.children:
            yield (child.label, f"$ {' '.join(child.argv)}\nexit code: {child.process.poll()}\n"
                   f"--- stdout, {len(child.out)} lines\n{child.tail(child.out, count)}\n"
                   f"--- stderr, {len(child.err)} lines\n{child.tail(child.err, count)}")

    def save_logs(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        for number, child in enumerate(self.children):
            name = re.sub(r"[^\w.-]+", "-", child.label)
            (folder / f"{number}-{name}.out").write_text("\n".join(child.out) + "\n", "utf-8")
            (folder / f"{number}-{name}.err").write_text("\n".join(child.err) + "\n", "utf-8")
