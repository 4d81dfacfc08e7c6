"""Row 2: nodes of our kind in one mesh, and what their people can ask of them."""

import concurrent.futures
import json

import pytest

from bots import Bot
from harness import assert_in_order, assert_same, eventually, free_port, sized
from proxy import Fate, Proxy

NAMES = ["ann", "bob", "cyd"]


def say_all_at_once(nodes, count):
    """Each types count numbered lines, all at the same time."""
    with concurrent.futures.ThreadPoolExecutor(len(nodes)) as pool:
        for future in [pool.submit(node.say, *(f"{node.name} {number}" for number in range(count)))
                       for node in nodes]:
            future.result()


def assert_everyone_has(nodes, count, seconds=60):
    for node in nodes:
        node.wait_messages(len(nodes) * count, seconds)
    for node in nodes:
        for other in nodes:
            assert_in_order(node.contents(other.name), other.name, count)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]], ids=lambda o: "".join(
    map(str, o)))
def test_each_line_is_shown_once_everywhere_in_order(cluster, order):
    nodes = cluster.mesh(NAMES, order)
    count = sized(1000, 100)
    say_all_at_once(nodes, count)
    assert_everyone_has(nodes, count)
    for node in nodes:
        node.wait_in_step(*(other for other in nodes if other is not node))
    for node in nodes:
        node.list()
        assert len(node.messages) == len(nodes) * count  # nothing came twice, later


def test_lines_typed_while_the_mesh_is_coming_up_are_not_lost(cluster):
    ports = [free_port() for _ in NAMES]
    count = sized(300, 50)
    nodes = []
    for port, name in zip(ports, NAMES):
        node = cluster.node(port, ports, name)
        nodes.append(node)
        node.say(*(f"{name} {number}" for number in range(count)))
        node.wait_messages(count)
    for node in nodes:
        for other in nodes:
            node.wait_content(f"{other.name} {count - 1}", seconds=20)
            assert_in_order(node.contents(other.name), other.name, count)


def test_nodes_started_at_once_while_typing(cluster):
    nodes = cluster.mesh(NAMES, connected=False)
    count = sized(500, 50)
    say_all_at_once(nodes, count)
    assert_everyone_has(nodes, count)


def test_three_pipes_chat(cluster):
    nodes = cluster.mesh(NAMES, mode="pipe", connected=False)
    count = sized(300, 50)
    say_lines = {node.name: "".join(f"{node.name} {n}\n" for n in range(count)) for node in nodes}
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda node: node.write(say_lines[node.name]), nodes))
    for node in nodes:
        node.wait_for(lambda node=node: len(node.shown()) >= 3 * count, "all lines", 30)
        for other in nodes:
            head = f"{other.name}: "
            found = [line[len(head):] for line in node.shown() if line.startswith(head)]
            assert_in_order(found, other.name, count)


def test_unicode_arrives_as_it_was_typed(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    lines = ["häßlich", "日本語のテスト", "👩‍👩‍👧‍👦 family", "e\u0301 combining", "שלום",
             "100 % of {braces}", "\"quoted\" \\back\\slash", "  spaces  kept  "]
    ann.say(*lines)
    bob.wait_messages(len(lines))
    assert_same(bob.contents("ann"), lines, "ann")


def test_a_line_of_the_greatest_length_arrives(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    line = "x" * 8192
    ann.say(line, "short after")
    bob.wait_messages(2)
    assert_same(bob.contents("ann"), [line, "short after"], "ann")


def test_a_line_that_is_too_long_is_refused_with_words(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say("x" * 8193, "next")
    bob.wait_content("next")
    assert_same(bob.contents("ann"), ["next"], "ann")
    ann.wait_for(lambda: any("8192" in one["text"] for one in ann.errors), "an error")


def test_the_same_line_typed_twice_is_shown_twice(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say("again", "again", "again", "end")
    bob.wait_content("end")
    assert_same(bob.contents("ann"), ["again"] * 3 + ["end"], "ann")


def test_an_entry_with_an_ipv6_address_is_a_peer(cluster):
    port, other = free_port(), free_port()
    ann = cluster.node(port, [{"host": "::1", "port": other}], "ann")
    bob = cluster.node(other, [{"host": "127.0.0.1", "port": port}], "bob")
    ann.wait_connected(1)
    bob.wait_connected(1)
    assert ann.list()["nodes"][0]["host"] == "::1"
    ann.say("over IPv6")
    bob.say("over IPv4")
    bob.wait_content("over IPv6")
    ann.wait_content("over IPv4")


def test_nodes_chat_beside_a_proxy_in_the_environment(cluster):
    """A peer is an address, not a web page: http_proxy and its like are not asked."""
    env = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "grpc_proxy",
                                                   "HTTP_PROXY", "HTTPS_PROXY")}
    ann, bob = cluster.mesh(NAMES[:2], env=env)
    ann.say("past the proxy")
    bob.wait_content("past the proxy")


# ------------------------------------------------------------------------------------ commands

def test_list_tells_state_name_kind_and_round_trip(cluster):
    ann, bob, cyd = cluster.mesh(NAMES)
    ann.say("one")
    for node in (bob, cyd):
        node.wait_content("one")
    ann.wait_in_step(bob, cyd)
    state = ann.list()
    assert (state["connected"], state["total"]) == (2, 2)
    assert [entry["number"] for entry in state["nodes"]] == [1, 2]
    for entry, node in zip(state["nodes"], (bob, cyd)):
        assert (entry["host"], entry["port"]) == ("localhost", node.port)
        assert (entry["state"], entry["kind"], entry["name"]) == ("up", "node", node.name)
        assert entry["rtt_us"] is not None and 0 < entry["rtt_us"] < 5_000_000
        assert (entry["reason"], entry["retry_in_ms"]) == (None, None)
        assert (entry["waiting_lines"], entry["refused_lines"]) == (0, 0)
        assert (entry["link"], entry["peer_lacks"], entry["here_lacks"]) == ("in step", 0, 0)


def test_list_says_why_a_peer_is_away_and_when_it_is_tried_again(cluster):
    gone = free_port()
    ann = cluster.node(peers=[gone], name="ann")
    entry = eventually(lambda: (lambda e: e["state"] == "waiting" and e["reason"] and e)(
        ann.link(gone)), "a reason")
    assert entry["reason"]
    assert 0 <= entry["retry_in_ms"] <= 10_000
    assert (entry["name"], entry["rtt_us"], entry["kind"]) == (None, None, "unknown")
    state = ann.list()
    assert (state["connected"], state["total"]) == (0, 1)


def test_lines_that_wait_are_counted(cluster):
    gone = free_port()
    ann = cluster.node(peers=[gone], name="ann")
    ann.say("1", "2", "3")
    ann.wait_content("3")
    assert ann.link(gone)["waiting_lines"] == 3


def test_the_first_line_without_a_peer_says_what_happens_to_it(cluster):
    gone = free_port()
    ann = cluster.node(peers=[gone], name="ann")
    ann.say("hello?", "anyone?")
    ann.wait_content("anyone?")
    found = ann.wait_notice("nobody is connected.*kept.*sent when")
    assert found
    assert len(ann.contents()) == 2


def test_own_entries_are_skipped(cluster):
    port = free_port()
    ann = cluster.node(port, [{"host": host, "port": port}
                              for host in ("localhost", "127.0.0.1", "::1")], "ann")
    state = ann.list()
    assert (state["nodes"], state["connected"], state["total"]) == ([], 0, 0)
    ann.say("alone")
    ann.wait_content("alone")
    assert ann.contents() == ["alone"]


def test_an_address_that_turns_out_to_be_this_node_is_self(cluster):
    """Only Hello can tell: it leads there by a detour."""
    port = free_port()
    with Proxy(port) as proxy:
        ann = cluster.node(port, [{"host": "127.0.0.1", "port": proxy.port}], "ann")
        entry = eventually(lambda: (lambda e: e["state"] == "self" and e)(ann.link(proxy.port)),
                           "self")
        assert entry["number"] == 1
        state = ann.list()
        assert (state["connected"], state["total"]) == (0, 0)
        ann.say("once", "end")
        ann.wait_content("end")
        assert ann.contents() == ["once", "end"]


def states_of(node):
    return [entry["state"] for entry in node.list()["nodes"]]


def two_ways(cluster, first, second):
    """ann, who knows bob by two addresses: proxies in front of him."""
    ann = cluster.node(peers=[{"host": "127.0.0.1", "port": first},
                              {"host": "127.0.0.1", "port": second}], name="ann")
    eventually(lambda: sorted(states_of(ann)) == ["twin", "up"],
               lambda: f"a twin; it lists {ann.lists[-1]}")
    return ann


def test_a_second_address_of_a_peer_is_its_twin(cluster):
    bob = cluster.node(name="bob")
    with Proxy(bob.port) as proxy:
        ann = two_ways(cluster, bob.port, proxy.port)
        state = ann.list()
        assert (state["connected"], state["total"]) == (1, 1)
        twin = next(entry for entry in state["nodes"] if entry["state"] == "twin")
        assert str(next(entry for entry in state["nodes"] if entry["state"] == "up")["port"]) in \
            twin["reason"]
        ann.say("once", "end")
        bob.wait_content("end")
        assert_same(bob.contents(), ["once", "end"], "ann")


def test_a_twin_loses_and_doubles_nothing_when_the_peer_restarts(cluster):
    bob = cluster.node(name="bob")
    with Proxy(bob.port) as proxy:
        ann = two_ways(cluster, bob.port, proxy.port)
        ann.say("before")
        bob.wait_content("before")
        eventually(lambda: "in step" in [entry["link"] for entry in ann.list()["nodes"]],
                   "the line to be on bob's disk")
        bob.kill()
        ann.say("while away 1", "while away 2")
        bob = cluster.again(bob)
        bob.wait_content("while away 2", seconds=20)
        eventually(lambda: sorted(states_of(ann)) == ["twin", "up"], "a twin again", 20)
        ann.say("after")
        bob.wait_content("after")
        assert_same(bob.contents(), ["while away 1", "while away 2", "after"], "ann")


def test_lines_on_their_way_move_to_the_twin_that_takes_over(cluster):
    """The link in use stands still with lines on it and is then cut for good; the other address
    still works. Whatever bob has not seen goes there."""
    bob = cluster.node(name="bob")
    with Proxy(bob.port) as first, Proxy(bob.port) as second:
        ann = two_ways(cluster, first.port, second.port)
        ann.say("before")
        bob.wait_content("before")
        used = next(entry["port"] for entry in ann.list()["nodes"] if entry["state"] == "up")
        used = first if used == first.port else second
        used.hold()  # what is said now waits on this link
        ann.say(*(f"ann {number}" for number in range(50)))
        ann.wait_content("ann 49")
        used.fate = lambda number: Fate(cut_after_up=0)
        used.cut_all()
        bob.wait_content("ann 49", seconds=20)
        ann.say("after")
        bob.wait_content("after")
        assert_same(bob.contents(), ["before"] + [f"ann {n}" for n in range(50)] + ["after"],
                    "ann")


def test_nick_changes_the_sender_of_what_follows(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say("as ann")
    bob.wait_content("as ann")
    ann.command("/nick Zoë")
    ann.say("as zoe")
    for node in (ann, bob):
        node.wait_content("as zoe")
        assert [(one["sender"], one["kind"], one["content"]) for one in node.messages] == [
            ("ann", "text", "as ann"), ("ann", "action", "is now known as Zoë"),
            ("Zoë", "text", "as zoe")]
    eventually(lambda: bob.link(ann.port)["name"] == "Zoë", "the name to be known")


@pytest.mark.parametrize("name", ["", "a" * 65, "a\tb", "a\x1b[31m"], ids=["none", "long", "tab",
                                                                           "escape"])
def test_a_bad_nick_is_refused(cluster, name):
    ann = cluster.node(name="ann")
    ann.command(f"/nick {name}")
    ann.say("still")
    ann.wait_content("still")
    assert ann.messages[-1]["sender"] == "ann"
    assert any(one["level"] in ("error", "warning") for one in ann.notices) or ann.errors


def test_me_is_an_action(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    with Bot(bob) as bot:
        stream = bot.stream("watcher")
        stream.initial_metadata()
        ann.command("/me waves")
        ann.say("end")
        for node in (ann, bob):
            node.wait_content("end")
            assert [(one["sender"], one["kind"], one["content"]) for one in node.messages] == [
                ("ann", "action", "waves"), ("ann", "text", "end")]
        first = next(stream)
        assert (first.content, first.kind) == ("/me waves", bot.pb.ACTION)
        stream.cancel()


def test_retry_reports_each_peer_that_was_away(cluster):
    gone, here = free_port(), free_port()
    ann = cluster.node(peers=[gone, here], name="ann")
    bob = cluster.node(here, [ann.port], "bob")
    ann.wait_connected(1)
    eventually(lambda: ann.link(gone)["state"] == "waiting", "the other to wait")
    since = len(ann.notices)
    ann.command("/retry")
    ann.wait_notice(f"{gone}", since=since)
    assert not any(f":{here}" in one["text"] for one in ann.notices[since:])
    assert ann.link(bob.port)["state"] == "up"


def test_retry_connects_at_once(cluster):
    port = free_port()
    ann = cluster.node(peers=[port], name="ann")
    # Let the back-off grow, so that only /retry explains a quick return.
    eventually(lambda: (ann.link(port)["retry_in_ms"] or 0) > 3000, "a long wait", 30, 0.2)
    bob = cluster.node(port, [], "bob")
    since = len(ann.notices)
    ann.command("/retry")
    ann.wait_notice(f"{port}", since=since, seconds=2)
    ann.wait_connected(1, seconds=2)
    ann.say("here")
    bob.wait_content("here")


def test_retry_with_nobody_away_says_so(cluster):
    ann, _ = cluster.mesh(NAMES[:2])
    since = len(ann.notices)
    ann.command("/retry")
    assert ann.wait_notice(".", since=since)


def test_an_unknown_command_is_an_error_and_is_not_sent(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.command("/lits")
    ann.wait_notice("/lits")
    ann.say("end")
    bob.wait_content("end")
    assert bob.contents() == ["end"]


def test_help_names_every_command(cluster):
    ann = cluster.node(name="ann")
    ann.command("/help")
    for command in ("/list", "/retry", "/quit", "/help", "/me", "/nick"):
        ann.wait_notice(command)


def test_quit_leaves(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say("last words")
    ann.command("/quit")
    assert ann.wait() == 0
    bob.wait_content("last words")
    bob.wait_connected(0)


# ----------------------------------------------------------------------------------- its start

def test_a_missing_nodes_json_is_made_with_three_nodes(cluster):
    ann = cluster.node(peers=None, name="ann", nodes=None)
    made = json.loads((ann.cwd / "nodes.json").read_text("utf-8"))
    assert [(entry["host"], entry["port"]) for entry in made] == [
        ("localhost", 50051), ("localhost", 50052), ("localhost", 50053)]
    assert [entry["port"] for entry in ann.list()["nodes"]] == [50051, 50052, 50053]
    ann.wait_notice("nodes.json")


def test_nodes_json_may_have_another_name(cluster):
    port, other = free_port(), free_port()
    folder = cluster.folder_for(port)
    (folder / "friends.json").write_text(json.dumps([{"host": "localhost", "port": other}]))
    ann = cluster.node(port, None, "ann", nodes="friends.json")
    assert [entry["port"] for entry in ann.list()["nodes"]] == [other]
    assert not (folder / "nodes.json").exists()


def test_without_a_name_the_user_gives_it(cluster):
    ann = cluster.node(env={"USER": "karla"})
    ann.say("who am I")
    ann.wait_content("who am I")
    assert ann.messages[0]["sender"] == "karla"


def test_a_message_tells_its_time(cluster):
    ann, bob = cluster.mesh(NAMES[:2], env={"TZ": "Asia/Kolkata"})
    ann.say("when")
    for node in (ann, bob):
        node.wait_content("when")
    mine, theirs = ann.messages[0], bob.messages[0]
    assert mine["time"] == theirs["time"] and mine["clock"] == theirs["clock"]
    hours, minutes, seconds = map(int, mine["time"][11:19].split(":"))
    local = (hours * 3600 + minutes * 60 + seconds + 19800) % 86400
    assert mine["clock"] == f"{local // 3600:02}:{local // 60 % 60:02}:{local % 60:02}"


def test_a_peer_that_left_is_reported_and_welcomed_back(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    since = len(ann.notices)
    bob.stop()
    ann.wait_notice(str(bob.port), since=since)
    since = len(ann.notices)
    cluster.again(bob)
    ann.wait_notice(str(bob.port), since=since, seconds=15)
    ann.wait_connected(1)


def test_twelve_nodes_chat(cluster):
    names = [f"n{number}" for number in range(12)]
    nodes = cluster.mesh(names, connected=False)
    for node in nodes:
        node.wait_connected(11, seconds=30)
    count = sized(50, 10)
    say_all_at_once(nodes, count)
    assert_everyone_has(nodes, count)
