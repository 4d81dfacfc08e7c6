"""Row 5: nodes that come and go keep equal logs, and nothing that was acknowledged is lost: a line
of nodes, a ring, all killed at once, a long absence, a network that is cut."""

import os
import random
import shutil
import subprocess
import time

import pytest

from bots import Bot, Talker
from harness import (LONG, SLOW, assert_in_order, eventually, free_port, is_listening, log_hash,
                     scaled, sized, wait_equal_logs)

NAMES = ["ann", "bob", "cyd"]


def chain(cluster, names, **options):
    """Each knows those beside it only."""
    ports = [free_port() for _ in names]
    nodes = []
    for number, name in enumerate(names):
        beside = ports[max(0, number - 1):number] + ports[number + 1:number + 2]
        nodes.append(cluster.node(ports[number], beside, name, wait=False, **options))
    for node in nodes:
        node.wait_listening()
    return nodes


def seeded(show):
    seed = int(os.environ.get("CHAT_SEED") or random.randrange(1 << 32))
    show(f"CHAT_SEED={seed}")
    return random.Random(seed)


# ------------------------------------------------------------------------------ a line of nodes

def test_a_line_travels_over_a_node_in_the_middle_once(cluster):
    nodes = chain(cluster, NAMES)
    ann, bob, cyd = nodes
    count = sized(300, 50)
    ann.say(*(f"ann {number}" for number in range(count)))
    cyd.say(*(f"cyd {number}" for number in range(count)))
    for node in nodes:
        node.wait_messages(2 * count, 20)
        for name in ("ann", "cyd"):
            assert_in_order(node.contents(name), name, count)
    ann.say("end")
    for node in nodes:
        node.wait_content("end")
        assert len(node.messages) == 2 * count + 1
    wait_equal_logs(nodes)


def test_the_ends_of_a_line_meet_again_when_its_middle_was_killed(cluster):
    ann, bob, cyd = chain(cluster, NAMES)
    count = sized(200, 50)
    said = []
    for life in range(3):
        lines = [f"{name} {number}" for name in ("ann", "cyd")
                 for number in range(life * count, (life + 1) * count)]
        ann.say(*lines[:count // 2])
        cyd.say(*lines[count:count + count // 2])
        if life > 0:
            bob.wait_content(lines[10], seconds=20)
        bob.kill()
        ann.say(*lines[count // 2:count])
        cyd.say(*lines[count + count // 2:])
        said += lines
        bob = cluster.again(bob)
    ann.wait_content(said[-1], seconds=30)
    cyd.wait_content(said[-1 - count], seconds=30)
    for node in (ann, cyd):
        for name in ("ann", "cyd"):
            node.wait_content(f"{name} {3 * count - 1}", seconds=30)
            assert_in_order(node.contents(name), name, 3 * count)
    wait_equal_logs([ann, bob, cyd], said)


def test_two_nodes_that_were_down_in_turn_lose_nothing(cluster):
    """Each says something while the other is away, and is gone when that one is back."""
    ann, bob = cluster.mesh(NAMES[:2])
    bob.stop()
    ann.say(*(f"ann {number}" for number in range(50)))
    ann.wait_content("ann 49")
    ann.stop()
    bob = cluster.again(bob)
    bob.say(*(f"bob {number}" for number in range(50)))
    bob.wait_content("bob 49")
    bob.kill()
    ann, bob = cluster.again(ann), cluster.again(bob)
    ann.wait_content("bob 49", seconds=20)
    bob.wait_content("ann 49", seconds=20)
    assert_in_order(ann.contents("bob"), "bob", 50)
    assert_in_order(bob.contents("ann"), "ann", 50)
    wait_equal_logs([ann, bob])


# ---------------------------------------------------------------------------------- killed often

@pytest.mark.limit(200 if LONG else 90)
def test_a_ring_whose_nodes_are_killed_all_the_time_keeps_what_was_acknowledged(cluster, show):
    """Five nodes, each knows two; every second one of them is killed and started again."""
    draw = seeded(show)
    names = [f"n{number}" for number in range(5)]
    ports = [free_port() for _ in names]
    nodes = [cluster.node(ports[at], [ports[at - 1], ports[(at + 1) % 5]], name, mode="headless")
             for at, name in enumerate(names)]
    kills = 60 if LONG else 15
    with Talker(ports, pause=0.005) as talker:
        for _ in range(kills):
            until = time.monotonic() + 1
            at = draw.randrange(5)
            nodes[at].kill()
            nodes[at] = cluster.again(nodes[at])
            time.sleep(max(0.0, until - time.monotonic()))
        talker.end()
    assert len(talker.acknowledged) > kills * 20
    _, events = wait_equal_logs(nodes, talker.acknowledged, 60)
    show(f"{kills} kills: {len(talker.acknowledged)} lines acknowledged, {events} events, "
         f"{talker.refused} calls failed")


def test_all_killed_in_the_middle_of_writing_and_started_again(cluster, show):
    nodes = cluster.mesh(NAMES, mode="headless", connected=False)
    with Talker([node.port for node in nodes]) as talker:
        for life in range(3):
            wanted = len(talker.acknowledged) + sized(500, 50)
            eventually(lambda: len(talker.acknowledged) >= wanted, "some lines", 30)
            for node in nodes:
                node.expected_dead = True
                node.process.kill()
            for node in nodes:
                node.kill()
            nodes = [cluster.again(node) for node in nodes]
        talker.end()
    _, events = wait_equal_logs(nodes, talker.acknowledged)
    show(f"{len(talker.acknowledged)} lines acknowledged, {events} events")


def test_two_that_name_each_other_keep_one_link_and_find_it_again(cluster):
    nodes = cluster.mesh(NAMES[:2])
    for life in range(4):
        ann, bob = nodes
        for node, other in ((ann, bob), (bob, ann)):
            node.wait_in_step(other, seconds=20)
            entries = eventually(lambda: (lambda rows: len(rows) == 1 and rows)(
                node.list()["nodes"]), lambda: f"one link; it lists {node.lists[-1:]}")
            assert (entries[0]["port"], entries[0]["incoming"]) == (other.port, False)
            assert not any("exchange" in one["text"] for one in node.notices), node.notices
        ann.say(f"ann {life}")
        bob.wait_content(f"ann {life}")
        at = life % 2
        nodes[at].kill()
        nodes[at] = cluster.again(nodes[at])
    wait_equal_logs(nodes, [f"ann {life}" for life in range(4)])


# ------------------------------------------------------------------------------- a long absence

@pytest.mark.limit(400 if LONG else 120)
def test_a_node_that_was_away_for_long_catches_up_fast_and_in_little_memory(cluster, show):
    count = sized(100_000 if LONG else 20_000, 500)
    ports = [free_port() for _ in NAMES]
    ann = cluster.node(ports[0], ports, "ann")
    bob, cyd = (cluster.node(port, ports, name, mode="headless")
                for port, name in zip(ports[1:], NAMES[1:]))
    ann.wait_connected(2)
    ann.say("before")
    for node in (bob, cyd):
        node.wait_shown("ann: before")
    assert cyd.stop() == 0
    started = time.monotonic()
    for start in range(0, count, 1000):
        ann.say(*(f"ann {number}" for number in range(start, min(count, start + 1000))))
    bob.wait_shown(f"ann: ann {count - 1}", seconds=240)
    said_s = time.monotonic() - started
    started = time.monotonic()
    cyd = cluster.again(cyd)
    cyd.wait_for(lambda: len(cyd.out) >= count, f"{count} lines", 240)
    took_s = time.monotonic() - started
    assert_in_order([line.removeprefix("ann: ") for line in cyd.shown()], "ann", count)
    _, events = wait_equal_logs([ann, bob, cyd], seconds=60)
    assert events == count + 1
    peaks = {node.name: node.peak_rss_kib() // 1024 for node in (ann, bob, cyd)}
    show(f"{count} lines: said {count / said_s:.0f}/s, caught up {count / took_s:.0f}/s with the "
         f"start, peak RSS in MiB {peaks}")
    if SLOW == 1:
        assert max(peaks.values()) < 160
        assert count / took_s > 1000


# ---------------------------------------------------------------------- a network that is cut

class Namespaces:
    """Network namespaces, each linked by a veth to a bridge in one of their own."""

    def __init__(self, count):
        self.mark = f"chat{os.getpid() % 10000}"
        self.names = [f"{self.mark}-{number}" for number in range(count)]
        self.hub = f"{self.mark}-hub"
        try:
            self._ip("netns", "add", self.hub)
            self._ip("-n", self.hub, "link", "add", "br0", "type", "bridge")
            self._ip("-n", self.hub, "link", "set", "br0", "up")
            for number, name in enumerate(self.names):
                self._ip("netns", "add", name)
                self._ip("-n", name, "link", "add", "eth0", "type", "veth", "peer", "name",
                         f"v{number}", "netns", self.hub)
                self._ip("-n", self.hub, "link", "set", f"v{number}", "master", "br0", "up")
                self._ip("-n", name, "address", "add", f"{self.address(number)}/24", "dev", "eth0")
                self._ip("-n", name, "link", "set", "lo", "up")
                self._ip("-n", name, "link", "set", "eth0", "up")
        except BaseException:
            self.close()
            raise

    @staticmethod
    def _ip(*args):
        done = subprocess.run(["ip", *args], capture_output=True, timeout=20, check=False)
        if done.returncode != 0:
            raise OSError(f"ip {' '.join(args)}: {done.stderr.decode().strip()}")

    @staticmethod
    def address(number):
        return f"10.77.0.{number + 1}"

    def prefix(self, number):
        return ["ip", "netns", "exec", self.names[number]]

    def set_link(self, number, state):
        self._ip("-n", self.hub, "link", "set", f"v{number}", state)

    def close(self):
        for name in [*self.names, self.hub]:
            try:
                self._ip("netns", "delete", name)
            except OSError:
                pass


@pytest.fixture
def namespaces():
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed: apt-get install iproute2")
    try:
        made = Namespaces(3)
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error}")
    yield made
    made.close()


@pytest.mark.limit(120)
def test_a_network_that_was_cut_and_healed_has_equal_logs(cluster, namespaces):
    """cyd is cut off; both sides write; then the cable is back."""
    port = free_port()
    entries = [{"host": namespaces.address(number), "port": port} for number in range(3)]
    nodes = []
    for number, name in enumerate(NAMES):
        folder = cluster.folder / name
        folder.mkdir()
        nodes.append(cluster.node(
            port, entries[:number] + entries[number + 1:], name, prefix=namespaces.prefix(number),
            args=["--listen", namespaces.address(number), "--insecure", "--data", folder]))
    ann, bob, cyd = nodes
    for node in nodes:
        node.wait_connected(2)
    ann.say("before")
    for node in nodes:
        node.wait_content("before")
    said = ["before"]
    for cut in range(2):
        namespaces.set_link(2, "down")
        for node in nodes:
            lines = [f"{node.name} {cut} {number}" for number in range(50)]
            node.say(*lines)
            said += lines
        bob.wait_content(f"ann {cut} 49")
        ann.wait_content(f"bob {cut} 49")
        cyd.wait_connected(0, 20)
        ann.wait_connected(1, 20)
        assert not any(line.startswith(f"cyd {cut}") for line in ann.contents() + bob.contents())
        namespaces.set_link(2, "up")
        for node in nodes:
            for name in NAMES:
                node.wait_content(f"{name} {cut} 49", seconds=40)
    for node in nodes:
        node.wait_connected(2, 40)
        assert sorted(node.contents()) == sorted(said)
    wait_equal_logs(nodes, said)
