"""Floods at the door of a private network, and from a program with a token, while its members chat.

Sizes: by themselves what fits into a minute; CHAT_TEST_LONG: 10,000 handshakes, ten seconds of a
thousand connections each."""

import concurrent.futures
import os
import resource
import socket
import struct
import threading
import time

import pytest

import h2
import harness
import private
from harness import LONG, assert_memory, eventually, scaled, sized

STRANGER = "127.0.0.2"  # the members are on 127.0.0.1
LINE_MS = 100
LATENCY_MAX_S = 5.0  # tests beside it take their share of the cores
GROWTH_MAX_KIB = 64 * 1024
WAITING_MAX = 512  # that have not passed yet (GATE_WAITING_MAX)


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Clocked(list):
    """A node's messages, and when each came."""

    def __init__(self, rows):
        super().__init__(rows)
        self.times = {}

    def append(self, row):
        self.times.setdefault(row["content"], time.monotonic())
        super().append(row)


class Chat:
    """Two members say a line each 100 ms, from __enter__ to __exit__; all must arrive in time.
    Meanwhile the first one's memory is looked at."""

    def __init__(self, *nodes):
        self.nodes = nodes
        self.said = [{}, {}]
        self.ending = threading.Event()
        self.before_kib, self.before_fds = nodes[0].rss_kib(), nodes[0].descriptors()
        self.peak_kib = self.before_kib
        for node in nodes:
            with node.changed:
                node.messages = Clocked(node.messages)
        self.thread = threading.Thread(target=self._talk, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def _talk(self):
        number = 0
        while not self.ending.wait(LINE_MS / 1000):
            for node, said in zip(self.nodes, self.said):
                line = f"{node.name} during {number}"
                said[line] = time.monotonic()
                node.say(line)
            number += 1
            with open(f"/proc/{self.nodes[0].pid}/statm", encoding="ascii") as file:
                resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
            self.peak_kib = max(self.peak_kib, resident)

    def __exit__(self, *failure):
        self.ending.set()
        self.thread.join(scaled(5))
        if any(failure):
            return
        self.delays = []
        for said, other in zip(self.said, reversed(self.nodes)):
            assert said
            other.wait_for(lambda: said.keys() <= other.messages.times.keys(),
                           lambda: f"all lines; of {len(said)} these are missing: "
                                   f"{sorted(said.keys() - other.messages.times.keys())[:5]}", 20)
            self.delays += [other.messages.times[line] - at for line, at in said.items()]
        self.delays.sort()

    def assert_well(self, show, what):
        """Nothing is left of it: descriptors, memory."""
        node = self.nodes[0]
        eventually(lambda: node.descriptors() <= self.before_fds + 4,
                   lambda: f"the connections to be gone: {node.descriptors()} descriptors, "
                           f"{self.before_fds} before", 30, 0.1)
        after = assert_memory(node.rss_kib, self.before_kib + GROWTH_MAX_KIB, "memory after")
        p99 = self.delays[int(len(self.delays) * 0.99)]
        show(f"{what}: {len(self.delays)} lines meanwhile, p99 {p99 * 1000:.0f} ms, longest "
             f"{self.delays[-1] * 1000:.0f} ms; {self.before_kib // 1024} MiB before, "
             f"{self.peak_kib // 1024} at most, {after // 1024} after")
        assert p99 < scaled(LATENCY_MAX_S), f"p99 {p99:.2f} s"
        if harness.SLOW == 1:
            assert self.peak_kib - self.before_kib < 2 * GROWTH_MAX_KIB, "memory during"


@pytest.fixture
def pair(cluster):
    net = private.Net(cluster)
    ann, bob = net.nodes("ann", "bob")
    bob.wait_in_step(ann)
    return net, ann, bob


def client_hello():
    """As OpenSSL says it."""
    into, out = h2.ssl.MemoryBIO(), h2.ssl.MemoryBIO()
    one = h2.tls_context("chat_node/1").wrap_bio(into, out)
    try:
        one.do_handshake()
    except h2.ssl.SSLWantReadError:
        pass
    return out.read()


def knock(port, source, words):
    """None: not even taken."""
    try:
        one = h2.connect(port, source=source, timeout=scaled(5))
        one.sendall(words)
        return one
    except OSError:
        return None


def assert_a_newcomer_gets_in(net):
    """When the crowd has gone: from the members' address, which was among those that flooded."""
    eventually(lambda: net.join_only("carl", net.invite("ann"), check=False).returncode == 0,
               "a newcomer to get in", 30, 0.5)
    carl = net.start("carl")
    carl.wait_notice("connected to ")


def sources(number):
    """A tenth from the members' own address, half from one stranger's, the others from forty."""
    if number % 10 == 0:
        return "127.0.0.1"
    return STRANGER if number % 2 else f"127.0.1.{1 + number // 2 % 40}"


@pytest.mark.limit(180)
def test_half_open_handshakes(pair, show):
    """Left open by the thousand."""
    net, ann, bob = pair
    half = client_hello()[:200]
    total, held_max = sized(10000 if LONG else 3000, 500), 2000
    held, taken = [], 0
    started = time.monotonic()
    with Chat(ann, bob) as chat:
        for number in range(total):
            one = knock(ann.port, sources(number), half)
            taken += one is not None
            held.append(one)
            if len(held) > held_max:
                gone = held.pop(0)
                if gone is not None:
                    gone.close()
        most = ann.descriptors() - chat.before_fds
        eventually(lambda: len(chat.said[0]) > 20, "some lines")
    for one in held:
        if one is not None:
            one.close()
    took = time.monotonic() - started
    assert taken > total / 2
    assert most <= WAITING_MAX + 8, f"{most} descriptors for those who have not passed"
    chat.assert_well(show, f"{total} half-open handshakes in {took:.1f} s, {most} held by the node")
    assert_a_newcomer_gets_in(net)


@pytest.mark.limit(180)
def test_a_thousand_connections_a_second(pair, show):
    """Each with a whole first message, as from a node; then it goes. Meanwhile somebody joins."""
    net, ann, bob = pair
    words = client_hello()
    seconds, rate, count = 10 if LONG else 3, sized(1000, 200), 0
    line = net.invite("ann")
    started = time.monotonic()
    with Chat(ann, bob) as chat, concurrent.futures.ThreadPoolExecutor(1) as other:
        joining = other.submit(net.join_only, "carl", line)
        while (now := time.monotonic() - started) < seconds:
            if count >= now * rate:
                time.sleep(0.001)
                continue
            one = knock(ann.port, STRANGER, words)
            if one is not None:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
            count += 1
        assert joining.done() and joining.result().returncode == 0
    chat.assert_well(show, f"{count / seconds:.0f} connections a second for {seconds} s")
    net.start("carl").wait_notice("connected to ")


# --------------------------------------------------------------------------- a program with a token

@pytest.fixture
def program(pair):
    net, ann, bob = pair
    return net, ann, bob, private.token(net, "ann", "ci")


def dial_program(net, source=STRANGER):
    """Within what an address may open at once."""
    return eventually(lambda: try_dial(net, source), "a connection of a program", 20, 0.1)


def try_dial(net, source=STRANGER):
    try:
        return h2.connect(net.ports["ann"], source=source, tls=h2.tls_context("h2"),
                          timeout=scaled(10))
    except OSError:
        return None


BEGIN = h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)


def say_headers(stream, token, flags=h2.END_HEADERS, more=b""):
    return h2.frame(h2.HEADERS, flags, stream,
                    h2.request_headers("/chat.ChatService/StreamMessages", token=token) + more)


@pytest.mark.limit(120)
def test_slow_programs(program, show):
    """Sixty who say a request a byte at a time, and never end it; twenty who read nothing."""
    net, ann, bob, token = program
    slow = [dial_program(net, f"127.0.0.{number % 3 + 2}") for number in range(sized(60, 20))]
    deaf = [dial_program(net, "127.0.0.5") for _ in range(sized(20, 5))]
    with Chat(ann, bob) as chat:
        chat.before_fds = ann.descriptors() - 2 * (len(slow) + len(deaf))
        for one in slow:
            one.sendall(BEGIN)
        for one in deaf:
            one.sendall(BEGIN + say_headers(1, token)
                        + h2.frame(h2.DATA, h2.END_STREAM, 1, h2.grpc_message(b"")))
        words = say_headers(1, token)
        until = time.monotonic() + scaled(4)
        for at in range(len(words) - 1):
            for one in slow:
                try:
                    one.sendall(words[at:at + 1])
                except OSError:
                    pass
            time.sleep(0.02)
            if time.monotonic() > until:
                break
    for one in slow + deaf:
        one.close()
    chat.assert_well(show, f"{len(slow)} slow and {len(deaf)} deaf programs")


def rapid_reset(token):
    out = BEGIN
    for stream in range(1, 4001, 2):
        out += say_headers(stream, token) + h2.frame(h2.RST_STREAM, 0, stream, struct.pack(">I", 8))
    return out


def header_flood(token):
    more = b"".join(b"\x40\x7e" + b"n" * 100 + b"%026d" % n + b"\x7e" + b"v" * 126
                    for n in range(60))
    part = more[:16000]
    return (BEGIN + say_headers(1, token, flags=0, more=part[:8000])
            + h2.frame(h2.CONTINUATION, 0, 1, part) * 60)


def empty_continuations(token):
    return BEGIN + say_headers(1, token, flags=0) + h2.frame(h2.CONTINUATION, 0, 1) * 20000


def hpack_bomb(token):
    """One long field goes into the table, and is named again and again by its number."""
    value = b"\x7f" + bytes([0x80 | (3900 - 127) & 0x7f, (3900 - 127) >> 7])
    enter = b"\x40\x01n" + value + b"v" * 3900
    named = b"\xbe" * 15000
    out = BEGIN
    for stream in range(1, 41, 2):
        out += say_headers(stream, token, more=(enter if stream == 1 else b"") + named[:11000])
    return out


def oversized(token):
    return BEGIN + say_headers(1, token) + struct.pack(
        ">IBI", 0xffffff << 8 | h2.DATA, 0, 1) + b"x" * 200000


def windows(token):
    return BEGIN + say_headers(1, token) + h2.frame(h2.WINDOW, 0, 1, b"\0\0\0\1") * 20000


FLOODS = {
    "rapid reset": rapid_reset,
    "header flood": header_flood,
    "empty continuations": empty_continuations,
    "HPACK bomb": hpack_bomb,
    "pings": lambda _: BEGIN + h2.frame(h2.PING, 0, 0, b"12345678") * 20000,
    "settings": lambda _: BEGIN + h2.frame(h2.SETTINGS, 0, 0) * 20000,
    "window updates": windows,
    "oversized frame": oversized,
}


def pour(net, data):
    """As much as is taken; nothing is read."""
    one = dial_program(net)
    one.settimeout(scaled(1))
    try:
        for at in range(0, len(data), 1 << 16):
            one.sendall(data[at:at + (1 << 16)])
    except OSError:
        pass
    one.close()


@pytest.mark.limit(120)
@pytest.mark.parametrize("name", FLOODS)
def test_floods_of_a_program(program, show, name):
    net, ann, bob, token = program
    data = FLOODS[name](token)
    with Chat(ann, bob) as chat:
        until, count = time.monotonic() + (10 if LONG else 1.5), 0
        while time.monotonic() < until:
            pour(net, data)
            count += 1
    chat.assert_well(show, f"{name}: {count} times {len(data) // 1024} KiB")
