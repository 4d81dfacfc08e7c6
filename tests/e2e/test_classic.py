"""Row 4: our nodes and nodes of the older, Python kind in one mesh."""

import collections
import concurrent.futures
import random

import pytest

from bots import Bot
from harness import assert_in_order, eventually, free_port, sized


def shown_by(node):
    """"sender: content" of every line it has shown, whichever kind it is."""
    if hasattr(node, "messages"):
        return [f"{one['sender']}: {one['content']}" for one in node.messages]
    return node.shown()


def from_sender(node, name):
    head = f"{name}: "
    return [line[len(head):] for line in shown_by(node) if line.startswith(head)]


def wait_line(node, line, count=1, seconds=20):
    node.wait_for(lambda: shown_by(node).count(line) >= count, f"the line {line!r}", seconds)


def mixed_mesh(cluster, ours=("ann", "bob"), theirs=("carl", "dora")):
    ports = [free_port() for _ in ours + theirs]
    nodes = [cluster.node(port, ports, name, wait=False)
             for port, name in zip(ports, ours)]
    nodes += [cluster.classic(port, ports, name, wait=False)
              for port, name in zip(ports[len(ours):], theirs)]
    for node in nodes:
        node.wait_listening()
    for node in nodes:
        node.wait_connected(len(nodes) - 1)
    return nodes


def test_two_of_ours_and_two_classic_see_everything_once(cluster):
    nodes = mixed_mesh(cluster)
    ann, bob, carl, dora = nodes
    count = sized(60, 15)
    for node in nodes:  # one after the other: any order of arrival must come out right
        node.say(*(f"{node.name} {number}" for number in range(count)))
        for other in nodes:
            if other is not node:
                wait_line(other, f"{node.name}: {node.name} {count - 1}")
    for node in nodes:
        node.say(f"end of {node.name}")
    for node in nodes:
        for other in nodes:
            if node is not other:
                wait_line(node, f"{other.name}: end of {other.name}")
                assert_in_order(from_sender(node, other.name)[:-1], other.name, count)


def test_everybody_types_at_once(cluster):
    nodes = mixed_mesh(cluster)
    count = sized(60, 15)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda node: node.say(*(f"{node.name} {n}" for n in range(count))), nodes))
    for node in nodes:
        for other in nodes:
            if node is other:
                continue
            node.wait_for(lambda: len(from_sender(node, other.name)) >= count,
                          f"{count} lines of {other.name}", 40)
    for node in nodes:
        node.say(f"end of {node.name}")
    for node in nodes:
        for other in nodes:
            if node is not other:
                wait_line(node, f"{other.name}: end of {other.name}")
                assert_in_order(from_sender(node, other.name)[:-1], other.name, count)


def test_the_same_text_twice_in_one_second_is_shown_twice(cluster):
    nodes = mixed_mesh(cluster)
    ann, bob, carl, dora = nodes
    carl.say("yes", "yes", "yes")
    carl.say("end")
    for node in (ann, bob, dora):
        wait_line(node, "carl: end")
        assert from_sender(node, "carl") == ["yes", "yes", "yes", "end"]
    ann.say("no", "no", "end")
    for node in (bob, carl, dora):
        wait_line(node, "ann: end")
        assert from_sender(node, "ann") == ["no", "no", "end"]


def test_two_people_saying_the_same_are_two_lines(cluster):
    nodes = mixed_mesh(cluster)
    for node in nodes:
        node.say("hello")
    for node in nodes:
        node.say(f"end of {node.name}")
    for node in nodes:
        for other in nodes:
            if node is not other:
                wait_line(node, f"{other.name}: end of {other.name}")
                assert from_sender(node, other.name).count("hello") == 1


def test_a_classic_node_is_recognised(cluster):
    ann, bob, carl, dora = mixed_mesh(cluster)
    kinds = {entry["port"]: entry["kind"] for entry in ann.list()["nodes"]}
    assert kinds == {bob.port: "node", carl.port: "classic", dora.port: "classic"}


@pytest.mark.limit(90)
def test_a_classic_node_that_dies_and_returns_gets_what_it_missed(cluster):
    nodes = mixed_mesh(cluster)
    ann, bob, carl, dora = nodes
    ann.say("before")
    wait_line(dora, "ann: before")
    eventually(lambda: ann.link(dora.port)["waiting_lines"] == 0, "the line to be taken")
    dora.kill()
    for node in (ann, bob):
        eventually(lambda: node.link(dora.port)["state"] != "up", f"{node.name} to notice", 15)
        node.say(*(f"{node.name} {number}" for number in range(50)))
    for node in (ann, bob):
        node.wait_content("bob 49")
        node.wait_content("ann 49")
    dora = cluster.classic(dora.port, None, "dora")
    for name in ("ann", "bob"):
        wait_line(dora, f"{name}: {name} 49", seconds=40)
        assert_in_order(from_sender(dora, name), name, 50)
    dora.wait_connected(3)
    dora.say("back")
    for node in (ann, bob, carl):
        wait_line(node, "dora: back")
        assert from_sender(node, "dora") == ["back"]


def test_a_line_that_reached_only_one_of_ours_is_passed_on_to_the_others(cluster):
    """carl knows ann only; bob and cyd must see his lines all the same, once."""
    ports = [free_port() for _ in range(4)]
    ours = [cluster.node(port, ports[:3], name)
            for port, name in zip(ports, ("ann", "bob", "cyd"))]
    carl = cluster.classic(ports[3], [ports[0]], "carl")
    for node in ours:
        node.wait_connected(2)
    carl.wait_connected(1)
    count = sized(100, 20)
    carl.say(*(f"carl {number}" for number in range(count)))
    for node in ours:
        node.wait_content(f"carl {count - 1}", seconds=30)
        assert_in_order(node.contents("carl"), "carl", count)


def test_a_classic_nodes_line_is_not_handed_back_to_classic_nodes(cluster):
    ann, bob, carl, dora = mixed_mesh(cluster)
    carl.say("once")
    for node in (ann, bob, dora):
        wait_line(node, "carl: once")
    ann.say("end")
    for node in (carl, dora):
        wait_line(node, "ann: end")
    assert from_sender(dora, "carl") == ["once"]
    assert from_sender(carl, "carl") == []


def test_a_bots_line_with_an_id_reaches_classic_nodes_too(cluster):
    ann, bob, carl, dora = mixed_mesh(cluster)
    with Bot(ann) as bot:
        bot.say("to all", id=b"0123456789abcdef")
        bot.say("to all", id=b"0123456789abcdef")
    for node in (ann, bob, carl, dora):
        wait_line(node, "bot: to all")
    ann.say("end")
    for node in (bob, carl, dora):
        wait_line(node, "ann: end")
    for node in (ann, bob, carl, dora):
        assert from_sender(node, "bot") == ["to all"]


def test_a_line_stamped_anew_for_each_peer_is_shown_once(cluster):
    """A classic node that takes the time for each call: it is a second later at the last peer."""
    nodes = cluster.mesh(["ann", "bob", "cyd"])
    ann, bob, cyd = nodes
    with Bot(ann) as one, Bot(bob) as two, Bot(cyd) as three:
        for stamps in (("11:59:59", "12:00:00", "12:00:00"), ("12:00:01", "12:00:01", "12:00:02"),
                       ("23:59:59", "00:00:00", "00:00:00")):
            for bot, stamp in zip((one, two, three), stamps):
                bot.say(f"said about {stamps[0]}", "carl", timestamp=stamp)
        ann.say("end of ann")
        for node in nodes:
            node.wait_content("end of ann")
        bob.say("end")
    for node in nodes:
        node.wait_content("end")
        assert node.contents("carl") == [f"said about {stamp}" for stamp in (
            "11:59:59", "12:00:01", "23:59:59")]


@pytest.mark.parametrize("seed", range(3))
def test_equal_lines_of_a_classic_node_in_any_pattern_are_counted_right(cluster, seed):
    """Played by programs that call as a classic node does: three texts again and again, at full
    speed. ann hears all of those, the others some (two equal lines of which each reached another
    node could not be told from one); lines of their own text may go anywhere."""
    draw = random.Random(seed)
    nodes = cluster.mesh(["ann", "bob", "cyd"])
    bots = [Bot(node) for node in nodes]
    wanted = collections.Counter()
    clock = 12 * 3600 - 2
    for number in range(sized(60, 20)):
        clock += draw.random() < 0.2
        stamp = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}"
        if draw.random() < 0.7:
            text = draw.choice(["yes", "no", "perhaps"])
            told = bots[:1] + [bot for bot in bots[1:] if draw.random() < 0.7]
        else:
            text = f"line {number}"
            told = draw.sample(bots, draw.randrange(1, 4))
        for bot in told:
            bot.say(text, "carl", timestamp=stamp)
        wanted[text] += 1
    for node in nodes:
        node.say(f"end of {node.name}")
    for node in nodes:
        for other in nodes:
            node.wait_content(f"end of {other.name}")
        assert collections.Counter(node.contents("carl")) == wanted, node.name
    for bot in bots:
        bot.close()


def test_an_action_reads_well_at_a_classic_node(cluster):
    ann, bob, carl, dora = mixed_mesh(cluster)
    ann.command("/me waves")
    wait_line(carl, "ann: /me waves")
    bob.wait_content("waves")


def test_our_node_alone_among_classic_ones(cluster):
    nodes = mixed_mesh(cluster, ("ann",), ("carl", "dora", "emil"))
    for node in nodes:
        node.say(*(f"{node.name} {number}" for number in range(10)))
    for node in nodes:
        for other in nodes:
            if node is not other:
                wait_line(node, f"{other.name}: {other.name} 9")
                assert_in_order(from_sender(node, other.name), other.name, 10)


def test_a_stopped_classic_node_is_noticed(cluster):
    """It has no keepalive of its own; ours asks."""
    import signal
    ann, bob, carl, dora = mixed_mesh(cluster)
    carl.signal(signal.SIGSTOP)
    ann.say("while it sleeps")
    for node in (ann, bob):
        eventually(lambda: node.link(carl.port)["state"] != "up", f"{node.name} to notice", 20)
        assert node.link(carl.port)["reason"]
    wait_line(dora, "ann: while it sleeps")
    carl.signal(signal.SIGCONT)
    wait_line(carl, "ann: while it sleeps", seconds=30)
    found = collections.Counter(shown_by(carl))
    # A classic node cannot know a repeat: a line whose answer was late may come again.
    assert 1 <= found["ann: while it sleeps"] <= 3
