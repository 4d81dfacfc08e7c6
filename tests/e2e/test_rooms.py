"""Row 7: rooms, what is said to one person, who is there, and what was said before."""

import re

import pytest

from bots import Bot
from harness import eventually, free_port, wait_equal_logs

NAMES = ["ann", "bob", "cyd"]


def said(node, room=None):
    """"sender: content" of what it has shown, of one room or of all; not who comes and goes."""
    return [f"{one['sender']}: {one['content']}" for one in node.messages
            if one["kind"] in ("text", "action") and room in (None, one["room"])]


def answer(node, command, pattern):
    since = len(node.notices)
    node.command(command)
    return node.wait_notice(pattern, since=since)["text"]


def here(text):
    """Who is in the room, in no order."""
    return sorted(text.split("here: ")[1].split(", "))


def ask_history(node, command, count):
    since = len(node.history)
    node.command(command)
    node.wait_for(lambda: len(node.history) - since >= count, f"{count} lines of {command}")
    return node.history[since:]


def wait_line(node, room, line):
    node.wait_for(lambda: line in said(node, room), f"{line!r} in {room}; it has {said(node)}")


def join(nodes, room):
    for node in nodes:
        node.command(f"/join {room}")
        node.wait_notice(f"what you type goes to #{room}")
    for node in nodes:
        for other in nodes:
            node.wait_for(lambda: any(one["kind"] == "join" and one["sender"] == other.name
                                      and one["room"] == room for one in node.messages)
                          or nodes.index(other) < nodes.index(node), f"{other.name} in {room}")


# ---------------------------------------------------------------------------------------- rooms

def test_a_room_is_seen_by_those_in_it(cluster):
    ann, bob, cyd = nodes = cluster.mesh(NAMES)
    join([ann, bob], "dev")
    ann.say("in the room")
    ann.send({"type": "message", "content": "for all", "room": "lobby"})
    for node in nodes:
        wait_line(node, "lobby", "ann: for all")
    wait_line(bob, "dev", "ann: in the room")
    assert said(cyd) == ["ann: for all"]
    assert not any(one["room"] == "dev" for one in cyd.messages)
    cyd.command("/to dev from outside")
    for node in (ann, bob):
        wait_line(node, "dev", "cyd: from outside")
    bob.command("/part")
    bob.wait_notice("goes to the lobby again")
    ann.wait_for(lambda: any(one["kind"] == "part" and one["sender"] == "bob"
                             for one in ann.messages), "bob to leave the room")
    ann.say("without bob")
    ann.command("/to lobby end")
    wait_line(bob, "lobby", "ann: end")
    assert "ann: without bob" not in said(bob)
    wait_equal_logs(nodes)  # all of it is on all disks nevertheless


def test_names_and_rooms_tell_who_is_where(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    join([ann, bob], "dev")
    ann.say("hello")
    wait_line(bob, "dev", "ann: hello")
    assert here(answer(ann, "/names", "^#dev: here: ")) == ["ann", "bob"]
    assert sorted(answer(cyd, "/names lobby", "^here: ")[len("here: "):].split(", ")) == NAMES
    cyd.send({"type": "message", "content": "hi", "room": "lobby"})
    wait_line(ann, "lobby", "cyd: hi")
    row = answer(cyd, "/rooms", "^#dev ")
    assert "2 in it" in row and "you too" not in row, row
    assert "you too" in answer(ann, "/rooms", "^#dev ")
    bob.stop()
    eventually(lambda: "away: bob" in answer(ann, "/names dev", "^#dev: here: "),
               "bob to be away", 10)


def test_membership_survives_a_restart(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    join([bob, ann], "dev")  # so that bob is there when ann comes
    ann.kill()
    bob.say("while ann is away")
    wait_line(bob, "dev", "bob: while ann is away")
    ann = cluster.again(ann)
    wait_line(ann, "dev", "bob: while ann is away")
    ann.wait_connected(2)
    assert here(answer(ann, "/names dev", "^#dev: here: ")) == ["ann", "bob"]
    ann.command("/join dev")
    ann.wait_notice("what you type goes to #dev")
    ann.say("here again")
    wait_line(bob, "dev", "ann: here again")
    joins = [one for one in bob.messages if one["kind"] == "join" and one["sender"] == "ann"]
    assert len(joins) == 1, "entering a room one is in is no news"


@pytest.mark.parametrize("command", ["/join a b", "/join " + "x" * 200, "/part", "/part nowhere",
                                     "/to dev", "/msg", "/join a\x1bb"])
def test_what_cannot_be_done_is_said(cluster, command):
    ann = cluster.node(name="ann")
    ann.command(command)
    ann.say("end")
    ann.wait_content("end")
    assert any(one["level"] == "error" for one in ann.notices) or ann.errors, ann.notices
    assert said(ann) == ["ann: end"] and ann.messages[-1]["room"] == "lobby"


def test_clients_and_classic_nodes_see_the_lobby_alone(cluster):
    ann, bob, _ = cluster.mesh(NAMES)
    carl = cluster.classic(peers=[ann.port], name="carl")
    ann.stop()
    cluster.write_nodes(ann.port, [bob.port, carl.port])
    ann = cluster.again(ann)
    ann.wait_connected(2)
    join([ann, bob], "dev")
    with Bot(ann) as bot:
        stream = bot.stream("reader")
        stream.initial_metadata()
        ann.say("for the room")
        ann.command("/msg bob psst")
        wait_line(bob, "dev", "ann: for the room")
        ann.command("/to lobby for all")
        assert next(stream).content == "for all"
        stream.cancel()
    carl.wait_shown("ann: for all")
    assert carl.shown() == ["ann: for all"]


# ------------------------------------------------------------------------------ to one person

def test_what_is_said_to_one_person_is_seen_by_two(cluster):
    ann, bob, cyd = nodes = cluster.mesh(NAMES)
    ann.command("/msg bob psst")
    ann.wait_for(lambda: "ann: psst" in said(ann), "it at ann")
    wait_line(bob, "@bob", "ann: psst")
    bob.send({"type": "message", "content": "what?", "room": "@ann"})
    wait_line(ann, "@ann", "bob: what?")
    ann.say("end")
    for node in nodes:
        wait_line(node, "lobby", "ann: end")
    assert said(cyd) == ["ann: end"]
    wait_equal_logs(nodes)
    since = len(cyd.notices)
    cyd.command("/search psst")
    cyd.wait_notice("nothing found", since=since)
    assert cyd.history == []
    rooms = answer(cyd, "/rooms", "^#lobby")
    assert "@" not in rooms and not any("@bob" in one["text"] for one in cyd.notices)


def test_what_is_said_to_somebody_who_is_away_arrives_later(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    bob.stop()
    eventually(lambda: "bob" not in answer(ann, "/names", "^here: "), "bob to be away")
    ann.command("/msg bob for later")
    ann.wait_notice("nobody called bob is here now")
    ann.wait_for(lambda: "ann: for later" in said(ann), "it at ann")
    ann.wait_in_step(cyd)
    ann.stop()
    bob = cluster.again(bob)  # ann is away: cyd has it for him
    wait_line(bob, "@bob", "ann: for later")
    assert said(cyd) == []


def test_lines_go_to_one_person_until_part(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    ann.command("/msg bob")
    ann.wait_notice("goes to bob alone")
    ann.say("to you")
    wait_line(bob, "@bob", "ann: to you")
    ann.command("/part")
    ann.say("to all")
    wait_line(cyd, "lobby", "ann: to all")
    assert said(cyd) == ["ann: to all"]


# --------------------------------------------------------------------------------- what there was

def test_history_and_search_find_what_was_said_before(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say(*(f"ann {number}" for number in range(30)))
    bob.wait_content("ann 29")
    bob.say("Grüße aus Köln", "two words side by side", "side two by words")
    ann.wait_content("side two by words")
    bob.wait_in_step(ann)  # it is on her disk
    found = ask_history(ann, "/history 5", 5)
    assert [row["content"] for row in found] == [
        "ann 28", "ann 29", "Grüße aus Köln", "two words side by side", "side two by words"]
    assert [row["own"] for row in found] == [True, True, False, False, False]
    ann.wait_in_step(bob)
    assert [(row["kept_by"], row["known"]) for row in ask_history(ann, "/history 5", 5)] == [
        (1, 1), (1, 1), (None, None), (None, None), (None, None)]
    assert len(ask_history(ann, "/history since 1h", 33)) == 33

    def search(words, count):
        found = eventually(lambda: (lambda rows: len(rows) == count and rows)(
            ask_history(ann, f"/search {words}", count)), f"{count} for {words}")
        return sorted(row["content"] for row in found)
    assert search("KÖLN", 1) == ["Grüße aus Köln"]
    assert search("two words", 2) == ["side two by words", "two words side by side"]
    assert search('"two words"', 1) == ["two words side by side"]
    assert search("sid*", 2) == ["side two by words", "two words side by side"]
    answer(ann, "/search nowhere", "nothing found for: nowhere")
    bob.stop()
    ann.stop()
    ann = cluster.again(ann)
    assert [row["content"] for row in ask_history(ann, "/history 2", 2)] == [
        "two words side by side", "side two by words"]
    assert search("koln", 1) == ["Grüße aus Köln"]


def test_why_tells_where_a_line_came_from_and_who_has_it(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    ann.say("why this")
    for node in (bob, cyd):
        node.wait_content("why this")
    ann.wait_in_step(bob, cyd)
    place = bob.messages[0]["id"]
    assert re.fullmatch(r"[0-9a-f]{6}-\d+", place) and place == ann.messages[0]["id"]
    text = answer(bob, f"/why {place}", "said by ann in #lobby")
    assert text.startswith(place)
    bob.wait_notice("way: it came by the node of ann")
    eventually(lambda: re.search("on the disks of: .*this node.*",
                                 answer(bob, f"/why {place}", "on the disks of"))
               and not re.search("not told yet", bob.notices[-1]["text"]), "all to have it", 10)
    held = bob.notices[-1]["text"]
    assert all(name in held for name in ("ann", "cyd", "this node")), held
    assert answer(ann, "/why", "way: it was said at this node")
    assert answer(ann, "/why 000000-1", "no message here has the id")
    bob.kill()
    bob = cluster.again(bob)
    assert answer(bob, f"/why {place}", "way: it was on the disk when this node started")


# ------------------------------------------------------------------------------------ who is there

def test_those_beyond_a_neighbour_are_told_of_when_they_come_and_go(cluster):
    """ann knows bob, bob knows both; of cyd she hears by bob."""
    ports = [free_port() for _ in NAMES]
    ann = cluster.node(ports[0], ports[1:2], "ann")
    bob = cluster.node(ports[1], [ports[0], ports[2]], "bob")
    ann.wait_connected(1)
    cyd = cluster.node(ports[2], ports[1:2], "cyd")
    assert ann.wait_notice("^cyd is here$", seconds=20)["level"] == "info"
    assert sorted(answer(ann, "/names", "^here: ")[len("here: "):].split(", ")) == NAMES
    cyd.command("/nick carla")
    ann.wait_content("is now known as carla")
    eventually(lambda: "carla" in answer(ann, "/names", "^here: "), "the new name")
    cyd.command("/quit")
    assert cyd.wait() == 0
    ann.wait_notice("^carla has left$", seconds=10)
    assert sorted(answer(ann, "/names", "^here: ")[len("here: "):].split(", ")) == NAMES[:2]
    assert len([one for one in ann.notices if one["text"] == "cyd is here"]) == 1
