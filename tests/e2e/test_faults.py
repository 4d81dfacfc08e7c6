"""Row 3: nodes that die, stand still or were never there; answers that are lost; full queues."""

import os
import random
import signal
import time

import pytest

import harness
from harness import (assert_in_order, assert_same, bodies, eventually, free_port, scaled, sized,
                     wait_equal_logs)
from proxy import Fate, Proxy

NAMES = ["ann", "bob", "cyd"]


# ------------------------------------------------------------------------------- killed, stopped

def test_a_killed_node_gets_what_was_said_when_it_is_back(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    ann.say("before")
    cyd.wait_content("before")
    ann.wait_in_step(cyd)
    cyd.kill()
    for node in (ann, bob):
        node.say(*(f"{node.name} {number}" for number in range(50)))
    for node in (ann, bob):
        node.wait_messages(101)
    cyd = cluster.again(cyd)
    cyd.wait_messages(100, 20)
    for node in (ann, bob):
        node.wait_connected(2)
    ann.say("after")
    cyd.wait_content("after")
    assert_in_order([line for line in cyd.contents("ann") if line != "after"], "ann", 50)
    assert_in_order(cyd.contents("bob"), "bob", 50)
    assert len(cyd.messages) == 101
    for node in (ann, bob):
        node.wait_messages(102)
        node.wait_in_step(cyd)
        assert len(node.messages) == 102


def test_a_node_killed_while_lines_flow_misses_none(cluster):
    """Its first life shows a beginning, its second the rest; those that it had shown and that were
    not on its disk yet may be in both."""
    ann, bob = cluster.mesh(NAMES[:2])
    count = sized(900, 100)
    for number in range(count):
        ann.say(f"ann {number}")
        if number == count // 3:
            bob.wait_content("ann 10")
            bob.kill()
    first = bob.contents()
    assert_in_order(first, "ann", len(first))
    second = cluster.again(bob)
    second.wait_content(f"ann {count - 1}", seconds=30)
    found = second.contents()
    start = int(found[0].split()[1])
    assert start <= len(first), f"{len(first)} shown, then from {start} on"
    assert_in_order(found, "ann", count - start, start)


def test_killed_again_and_again(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    shown, number = [], 0
    for life in range(5):
        batch = [f"ann {number + n}" for n in range(20)]
        number += 20
        ann.say(*batch)
        bob.wait_content(batch[-1], seconds=20)
        shown += bob.contents()
        ann.wait_in_step(bob)
        bob.kill()
        bob = cluster.again(bob)
    assert_in_order(shown, "ann", number)


def test_a_node_that_leaves_cleanly_gets_what_was_said_when_it_is_back(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    assert bob.stop() == 0
    ann.say(*(f"ann {number}" for number in range(50)))
    ann.wait_messages(50)
    bob = cluster.again(bob)
    bob.wait_messages(50, 20)
    assert_in_order(bob.contents(), "ann", 50)


@pytest.mark.limit(120)
def test_a_node_stopped_for_20_s_is_noticed_and_catches_up(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    ann.say("before")
    cyd.wait_content("before")
    ann.wait_in_step(cyd)
    stopped_at = time.monotonic()
    cyd.signal(signal.SIGSTOP)
    cyd.say("cyd 0", "cyd 1")  # typed at a node that stands still
    for node in (ann, bob):
        node.say(*(f"{node.name} {number}" for number in range(50)))
    noticed = {}
    for node in (ann, bob):
        eventually(lambda node=node: node.link(cyd.port)["state"] != "up",
                   f"{node.name} to notice", 5)
        noticed[node.name] = time.monotonic() - stopped_at
        assert node.link(cyd.port)["reason"]
        assert node.list()["connected"] == 1
    assert max(noticed.values()) <= scaled(5), noticed
    # 20 s are longer than every keepalive, connect timeout and first back-off.
    while time.monotonic() - stopped_at < 20:
        ann.list()
        time.sleep(0.5)
    assert ann.link(cyd.port)["waiting_lines"] == 0  # they are in the log
    cyd.signal(signal.SIGCONT)
    cyd.wait_messages(103, 30)
    for node in (ann, bob):
        node.wait_connected(2, 30)
        node.wait_content("cyd 1", seconds=20)
    cyd.wait_connected(2, 30)
    for node in (ann, bob):
        node.say(f"{node.name} 50")
    for node in (ann, bob, cyd):
        node.wait_content("bob 50")
        node.wait_content("ann 50")
        for name in ("ann", "bob"):
            assert_in_order([line for line in node.contents(name) if line != "before"], name, 51)
        assert_in_order(node.contents("cyd"), "cyd", 2)


@pytest.mark.limit(90)
def test_many_short_stops_lose_and_double_nothing(cluster):
    """Stopped for about as long as it takes to be noticed, in the middle of a call."""
    ann, bob = cluster.mesh(NAMES[:2])
    seed = int(os.environ.get("CHAT_SEED") or random.randrange(1 << 32))
    print(f"CHAT_SEED={seed}")
    draw = random.Random(seed)
    number = 0
    for _ in range(5):
        ann.say(*(f"ann {number + n}" for n in range(100)))
        number += 100
        bob.signal(signal.SIGSTOP)
        until = time.monotonic() + draw.uniform(0.1, 3.0)
        while time.monotonic() < until:
            ann.list()
            time.sleep(0.1)
        bob.signal(signal.SIGCONT)
        bob.wait_content(f"ann {number - 1}", seconds=20)
    assert_in_order(bob.contents(), "ann", number)


@pytest.mark.limit(120)
def test_random_kills_and_stops_under_load_lose_nothing_that_a_living_node_said(cluster, show):
    """ann talks and lives; bob and cyd are killed, restarted, stopped and woken at random. What
    each shows over all its lives is ann's lines, in order; only what was not on the disk yet when a
    life was ended may be in two of them, and in none what was, and waited for another line to be
    shown first. In the end all hold the same."""
    seed = int(os.environ.get("CHAT_SEED") or random.randrange(1 << 32))
    show(f"CHAT_SEED={seed}")
    draw = random.Random(seed)
    nodes = cluster.mesh(NAMES)
    ann, others = nodes[0], nodes[1:]
    lives = {node.name: [node] for node in others}
    said = 0
    for _ in range(sized(12, 5)):
        at = draw.randrange(2)
        victim = others[at]
        how = draw.choice(["kill", "kill", "leave", "stop"])
        if how == "kill":
            victim.kill()
        elif how == "leave":
            victim.stop()
        else:
            victim.signal(signal.SIGSTOP)
        for _ in range(draw.randrange(1, 8)):
            ann.say(*(f"ann {number}" for number in range(said, said + 10)))
            said += 10
            others[1 - at].say(f"{NAMES[2 - at]} also speaks")
        ann.wait_content(f"ann {said - 1}")
        if how == "stop":
            victim.signal(signal.SIGCONT)
        else:
            others[at] = cluster.again(victim)
            lives[victim.name].append(others[at])
        if draw.random() < 0.5:  # else the next thing happens while it is catching up
            others[at].wait_content(f"ann {said - 1}", seconds=30)
    for node in others:
        node.wait_content(f"ann {said - 1}", seconds=30)
    for name, story in lives.items():
        for number, life in enumerate(story):
            found = [int(line.split()[1]) for line in life.contents("ann")]
            assert found == sorted(set(found)), f"{name}, life {number}: {found}"
    wait_equal_logs([ann, *others])
    assert_in_order(bodies(ann, "ann"), "ann", said)
    show(f"{said} lines past {sum(len(story) for story in lives.values()) - 2} restarts")


# --------------------------------------------------------------------------------- never there

def test_wrong_addresses_stay_in_the_list_with_a_reason_and_cost_nothing(cluster, show):
    closed = free_port()
    ann = cluster.node(peers=[{"host": "localhost", "port": closed},
                              {"host": "127.0.0.9", "port": closed},
                              {"host": "no-such-host.invalid", "port": 50052}], name="ann")
    eventually(lambda: all(entry["reason"] for entry in ann.list()["nodes"]),
               lambda: f"reasons; it lists {ann.list()['nodes']}", 30, 0.2)
    # Past the first quick attempts the back-off is long.
    eventually(lambda: (ann.link(closed)["retry_in_ms"] or 0) > 3000, "a long wait", 40, 0.3)
    before, started = ann.cpu_seconds(), time.monotonic()
    time.sleep(5)  # what is measured is that nothing happens
    used = (ann.cpu_seconds() - before) / (time.monotonic() - started)
    show(f"three wrong addresses: {used:.3%} CPU")
    assert used < 0.01 * harness.SLOW
    state = ann.list()
    assert (state["connected"], state["total"]) == (0, 3)
    for entry in state["nodes"]:
        assert entry["state"] in ("waiting", "connecting")
        assert entry["reason"] and len(entry["reason"]) <= 200


def test_a_peer_that_speaks_something_else_is_named_in_the_list(cluster):
    """A port where something listens that is no node: it says nothing, or nonsense."""
    import socket
    import threading
    listener = socket.create_server(("127.0.0.1", 0))

    def answer():
        while True:
            try:
                one, _ = listener.accept()
                one.sendall(b"220 mail.example ESMTP\r\n")
            except OSError:
                return

    threading.Thread(target=answer, daemon=True).start()
    try:
        port = listener.getsockname()[1]
        ann = cluster.node(peers=[{"host": "127.0.0.1", "port": port}], name="ann")
        eventually(lambda: ann.link(port)["reason"], "a reason", 20, 0.1)
        assert ann.list()["connected"] == 0
    finally:
        listener.close()


# ------------------------------------------------------------------------------------ full queues

def test_an_absent_peer_that_was_never_met_gets_all_when_it_turns_out_to_be_ours(cluster):
    """Until it has answered it may be a classic one: a thousand lines wait for that."""
    port = free_port()
    ann = cluster.node(peers=[port], name="ann")
    eventually(lambda: ann.link(port)["state"] == "waiting", "the peer to be away")
    ann.say(*(f"ann {number}" for number in range(1100)))
    ann.wait_content("ann 1099", seconds=20)
    entry = ann.link(port)
    assert (entry["waiting_lines"], entry["refused_lines"]) == (1000, 100)
    said = ann.wait_notice(f"1000 lines wait for localhost:{port}.*older kind")
    assert said["level"] == "warning"
    full = [one for one in ann.notices if one["level"] != "info" and str(port) in one["text"]]
    assert len(full) < 10, "said for each line"
    bob = cluster.node(port, [], "bob")
    bob.wait_content("ann 1099", seconds=30)
    ann.wait_connected(1)
    ann.say("after")
    bob.wait_content("after")
    assert_in_order(bob.contents()[:-1], "ann", 1100)
    ann.wait_in_step(bob)
    entry = ann.link(port)
    assert (entry["waiting_lines"], entry["refused_lines"]) == (0, 0)


def from_ann(classic):
    return [line.removeprefix("ann: ") for line in classic.shown()]


def test_a_thousand_lines_wait_for_an_absent_classic_peer_and_more_is_said(cluster):
    ann = cluster.node(name="ann")
    carl = cluster.classic(peers=[ann.port], name="carl")
    cluster.write_nodes(ann.port, [carl.port])
    ann.stop()
    ann = cluster.again(ann)
    eventually(lambda: ann.link(carl.port)["kind"] == "classic", "it to be known")
    carl.kill()
    eventually(lambda: ann.link(carl.port)["state"] == "waiting", "the peer to be away")
    ann.say(*(f"ann {number}" for number in range(1100)))
    ann.wait_content("ann 1099", seconds=20)
    entry = ann.link(carl.port)
    assert (entry["waiting_lines"], entry["refused_lines"]) == (1000, 100)
    assert ann.wait_notice(f"1000 lines wait for localhost:{carl.port}")["level"] == "error"
    carl = cluster.classic(carl.port, None, "carl")
    carl.wait_shown("ann: ann 999", seconds=30)
    ann.wait_connected(1)
    ann.say("after")
    carl.wait_shown("ann: after")
    assert_in_order(from_ann(carl)[:-1], "ann", 1000)


def test_a_mebibyte_of_lines_waits_for_an_absent_classic_peer(cluster):
    port = free_port()
    ann = cluster.node(peers=[port], name="ann")
    eventually(lambda: ann.link(port)["state"] == "waiting", "the peer to be away")
    lines = [f"{number:03} " + "x" * 8000 for number in range(200)]
    ann.say(*lines)
    ann.wait_messages(200, 20)
    entry = ann.link(port)
    assert entry["waiting_lines"] + entry["refused_lines"] == 200
    assert 120 <= entry["waiting_lines"] <= 131  # 1 MiB of 8,004 bytes each, with or without names
    carl = cluster.classic(port, [], "carl")
    ann.wait_connected(1, 20)
    carl.wait_for(lambda: len(carl.shown()) >= entry["waiting_lines"], "what waited", 30)
    ann.say("after")
    carl.wait_shown("ann: after")
    assert_same(from_ann(carl), lines[:entry["waiting_lines"]] + ["after"], "ann")


def test_a_full_queue_for_one_peer_delays_no_other(cluster):
    gone, port = free_port(), free_port()
    ann = cluster.node(peers=[gone, port], name="ann")
    bob = cluster.node(port, [], "bob")
    ann.wait_connected(1)
    ann.say(*(f"ann {number}" for number in range(1500)))
    bob.wait_content("ann 1499", seconds=30)
    assert_in_order(bob.contents(), "ann", 1500)


# ---------------------------------------------------------------------------------- lost answers

def chat_through_a_bad_link(cluster, fate, count, done=lambda proxy: True, seconds=60):
    """ann's link to bob goes through a proxy; what bob shows must be exactly what she said. She
    talks on until it has been bad enough."""
    bob = cluster.node(name="bob", peers=[])
    with Proxy(bob.port, fate) as proxy:
        ann = cluster.node(peers=[{"host": "127.0.0.1", "port": proxy.port}], name="ann")
        ann.wait_connected(1)
        said = 0
        while said < count or not done(proxy):
            ann.say(*(f"ann {number}" for number in range(said, said + 25)))
            said += 25
            bob.wait_content(f"ann {said - 1}", seconds=seconds)
        ann.wait_in_step(proxy, seconds=30)
        assert_in_order(bob.contents(), "ann", said)
        assert ann.link(proxy.port)["refused_lines"] == 0
        return proxy


@pytest.mark.limit(120)
def test_links_cut_at_random_points_lose_double_and_reorder_nothing(cluster, show):
    seed = int(os.environ.get("CHAT_SEED") or random.randrange(1 << 32))
    show(f"CHAT_SEED={seed}")
    draw = random.Random(seed)

    def fate(number):
        if number >= 12:
            return Fate()
        # A line is about 200 bytes up; Hello and settings come first.
        if draw.random() < 0.5:
            return Fate(cut_after_up=draw.randrange(400, 8000), reset=draw.random() < 0.5)
        return Fate(cut_after_down=draw.randrange(200, 4000), reset=draw.random() < 0.5)

    proxy = chat_through_a_bad_link(cluster, fate, sized(800, 300), lambda proxy: proxy.cuts >= 6)
    show(f"{proxy.cuts} cuts, {proxy.connections} connections")


@pytest.mark.limit(150)
def test_lines_whose_answers_are_lost_are_not_shown_twice(cluster, show):
    """The peer takes the line and nothing of it comes back: the keepalive ends the link, and the
    two compare what they have."""
    seed = int(os.environ.get("CHAT_SEED") or random.randrange(1 << 32))
    show(f"CHAT_SEED={seed}")
    draw = random.Random(seed)

    def fate(number):
        return Fate(swallow_answers_after=draw.randrange(300, 3000)) if number < 3 else Fate()

    chat_through_a_bad_link(cluster, fate, 300, lambda proxy: proxy.connections >= 3, 90)


def test_every_first_answer_lost(cluster):
    """Each connection is cut soon after what settings and the hellos take."""
    def fate(number):
        return Fate(cut_after_down=330 + 7 * number) if number < 20 else Fate()

    chat_through_a_bad_link(cluster, fate, 200)


def test_two_ways_to_a_peer_that_are_cut_in_turn(cluster, show):
    """Each is the other's twin; whichever carries a line, it is shown once and in its place."""
    seed = int(os.environ.get("CHAT_SEED") or random.randrange(1 << 32))
    show(f"CHAT_SEED={seed}")
    draw = random.Random(seed)
    bob = cluster.node(name="bob", peers=[])

    def fate(number):
        return Fate(cut_after_down=draw.randrange(500, 4000)) if number < 6 else Fate()

    with Proxy(bob.port, fate) as first, Proxy(bob.port, fate) as second:
        ann = cluster.node(peers=[{"host": "127.0.0.1", "port": first.port},
                                  {"host": "127.0.0.1", "port": second.port}], name="ann")
        eventually(lambda: ann.list()["connected"] == 1, "a link")
        count = sized(600, 200)
        for start in range(0, count, 20):
            ann.say(*(f"ann {number}" for number in range(start, start + 20)))
        bob.wait_content(f"ann {count - 1}", seconds=40)
        ann.say("end")
        bob.wait_content("end", seconds=20)
        assert_in_order(bob.contents()[:-1], "ann", count)
