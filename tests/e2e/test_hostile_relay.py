"""A member that does not play by the rules (tests/hostile/relay.c) between two that do.

    ann <--> mallory <--> bob        nothing else links ann and bob,
     ^                     ^         until carl comes, who is honest
     +------> carl <-------+
"""

import json
import re
import time

import pytest

import harness
import private
from harness import eventually

UNSIGNED = "it sent events that their author did not sign"


@pytest.fixture
def net(cluster):
    return private.Net(cluster)


def prepare(net, name, *peers):
    """Its directory, let in by ann, with the nodes it is to dial."""
    net.join_only(name, net.invite("ann"))
    path = net.data(name) / "nodes.json"
    path.write_text(json.dumps([{"host": "127.0.0.1", "port": port} for port in peers]))
    path.chmod(0o600)


class Between:
    """ann and bob, and mallory, who carries all between them as it should be until go()."""

    def __init__(self, net, trick, up=True):
        self.net = net
        self.ann = net.found("ann")
        prepare(net, "mallory")
        prepare(net, "bob")
        self.bob = net.start("bob")
        self.start_relay(trick)
        if up:
            self.relay.wait_for(lambda: "up" in self.relay.out, "the relay to link both")
            self.ann.say("honest from ann")
            self.bob.wait_content("honest from ann")
            self.bob.say("honest from bob")
            self.ann.wait_content("honest from bob")

    def start_relay(self, trick, *more):
        ends = (f"127.0.0.1:{self.net.port(name)}" for name in ("ann", "bob"))
        self.relay = self.net.cluster.child(
            [harness.BUILD / "hostile_relay", trick, self.net.data("mallory"), *ends, *more],
            label=f"mallory: {trick}")

    def go(self):
        self.relay.write("go\n")
        self.relay.wait_for(lambda: "going" in self.relay.out, "the relay to begin")

    def wait_did(self, what, count=1):
        self.relay.wait_for(
            lambda: sum(row.startswith(f"did {what}") for row in self.relay.out) >= count,
            f"the relay to {what}")

    def carl(self):
        """Links both, and carries what mallory does not."""
        prepare(self.net, "carl", self.net.port("ann"), self.net.port("bob"))
        carl = self.net.start("carl")
        carl.wait_connected(2)
        return carl

    def assert_links_held(self):
        assert not [row for row in self.relay.out if row.startswith("down")], self.relay.out

    def assert_chats(self):
        """Both ways, by whatever links there are."""
        self.ann.say("ann again")
        self.bob.wait_content("ann again", seconds=30)
        self.bob.say("bob again")
        self.ann.wait_content("bob again", seconds=30)


def assert_nowhere(text, *nodes):
    for node in nodes:
        assert text not in "\n".join(node.out), f"{node.label} has shown it"
        raw = b"".join(path.read_bytes() for path in node.data_dir.glob("log.db*"))
        assert text.encode() not in raw, f"{node.label} has kept it"


def ended(node, why):
    """The notice that says so, by name."""
    return node.wait_notice(f"exchange with mallory has ended: {re.escape(why)}")


# ------------------------------------------------------------------------------- told, and dropped

def test_an_altered_line_is_not_taken(net):
    mesh = Between(net, "alter")
    mesh.go()
    mesh.ann.say("pay bob 100")
    ended(mesh.bob, UNSIGNED)
    carl = mesh.carl()
    mesh.bob.wait_content("pay bob 100", seconds=30)
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])
    assert_nowhere("pay bob 101", mesh.ann, mesh.bob, carl)  # what it made of it
    assert mesh.bob.contents().count("pay bob 100") == 1


def test_a_line_in_another_s_name_is_not_taken(net):
    mesh = Between(net, "forge")
    mesh.go()
    mesh.wait_did("forge")
    ended(mesh.bob, UNSIGNED)
    carl = mesh.carl()
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])
    assert_nowhere("I never said that", mesh.ann, mesh.bob, carl)


def test_two_histories_are_told_and_freeze_their_author(net):
    """Each of both sees a line of mallory's, and another one; as soon as they can compare, all
    know. Nobody else is touched, and what its author said can be taken away."""
    mesh = Between(net, "equivocate")
    mesh.go()
    mesh.ann.wait_content("it is white")
    mesh.bob.wait_content("it is black")
    carl = mesh.carl()
    told = r"mallory wrote has signed two different events for one place"
    for node in (mesh.ann, mesh.bob, carl):
        node.wait_notice(told, seconds=30)
    mesh.assert_chats()
    mesh.ann.command("/ban mallory")
    for node in (mesh.bob, carl):
        node.wait_notice("removed mallory")
    mesh.relay.wait_for(
        lambda: any(re.search("down .*(removed|no member)", row) for row in mesh.relay.out),
        "mallory to be turned away")
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])
    for node in (mesh.ann, mesh.bob, carl):
        assert not [line for line in harness.bodies(node) if line and line.startswith("it is ")]


@pytest.mark.parametrize("trick,why", [
    ("oversized", "too long"), ("garbage", "exchange with mallory has ended: .{8}")])
def test_frames_that_are_none_end_the_link_with_a_word(net, trick, why):
    mesh = Between(net, trick)
    mesh.go()
    mesh.wait_did("send")
    mesh.bob.wait_notice(f"mallory.*{why}|{why}")
    mesh.relay.wait_for(lambda: mesh.relay.out.count("up") >= 2, "the relay to link both again")
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob])


@pytest.mark.parametrize("trick,why", [
    ("hello-of-another", "another key than its connection's"),
    ("hello-for-another", "not signed for this connection"),
    ("hello-unsigned", "did not sign its hello")])
def test_a_hello_counts_on_its_own_connection_alone(net, trick, why):
    """So nobody stands between two members and is taken for one of them."""
    mesh = Between(net, trick, up=False)
    words = mesh.bob.wait_notice(why)["text"]
    assert "mallory" in words, words
    mesh.ann.say("not by mallory")
    mesh.ann.wait_content("not by mallory")
    assert not any(re.search("^(ann|mallory) has connected", one["text"])
                   for one in mesh.bob.notices)
    carl = mesh.carl()
    mesh.bob.wait_content("not by mallory")
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])


# ------------------------------------------------------------------------------------ of no effect

def test_a_stranger_s_stream_is_not_taken_from_a_member(net):
    mesh = Between(net, "stranger")
    mesh.go()
    mesh.wait_did("push")
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    assert_nowhere("let me in", mesh.ann, mesh.bob)
    mesh.assert_links_held()


@pytest.mark.parametrize("trick,sign", [
    ("revoke", "removed bob|bob.*removed"), ("false-member", "sybil")])
def test_who_is_not_the_founder_or_the_inviter_says_it_in_vain(net, trick, sign):
    """Both take the event, which its author may write and has signed; it changes nothing."""
    mesh = Between(net, trick)
    mesh.go()
    mesh.wait_did("say")
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    kinds = [row["kind"] for row in harness.exported(mesh.ann) if row["sender"] == "mallory"]
    assert kinds == ["revoke" if trick == "revoke" else "member"]
    for node in (mesh.ann, mesh.bob):
        assert not [one["text"] for one in node.notices if re.search(sign, one["text"])]
        since = len(node.notices)
        node.command("/members")
        node.wait_notice("bob", since=since)
        assert not re.search(sign, " ".join(one["text"] for one in node.notices[since:]))
    mesh.assert_links_held()


def test_what_is_said_twice_is_shown_once(net):
    mesh = Between(net, "replay")
    for number in range(20):
        mesh.ann.say(f"ann {number}")
    mesh.bob.wait_content("ann 19")
    mesh.go()
    mesh.wait_did("replay")
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    counts = {line: mesh.bob.contents().count(line) for line in mesh.bob.contents()}
    assert set(counts.values()) == {1}, counts
    mesh.assert_links_held()


@pytest.mark.parametrize("trick,what", [("reorder", "reorder"), ("gap", "leave out")])
def test_what_comes_out_of_order_is_shown_in_order(net, trick, what):
    """By that link alone: what was left out is asked for again."""
    mesh = Between(net, trick)
    mesh.go()
    count = 40
    for number in range(count):
        mesh.ann.say(f"ann {number}")
        if number % 8 == 7:
            mesh.ann.wait_content(f"ann {number}")
    mesh.wait_did(what)
    mesh.bob.wait_content(f"ann {count - 1}", seconds=30)
    harness.assert_in_order(mesh.bob.contents("ann")[1:], "ann", count)
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    mesh.assert_links_held()


def test_what_is_withheld_comes_another_way(net, show):
    mesh = Between(net, "withhold")
    carl = mesh.carl()
    mesh.go()
    for number in range(20):
        mesh.ann.say(f"ann {number}")
        mesh.bob.wait_content(f"ann {number}", seconds=30)
    harness.assert_in_order(mesh.bob.contents("ann")[1:], "ann", 20)
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])
    withheld = sum(row == "did withhold" for row in mesh.relay.out)
    show(f"20 lines came, {withheld} runs were withheld")


@pytest.mark.limit(120)
@pytest.mark.parametrize("trick", ["flood-haves", "flood-epochs"])
def test_streams_that_are_told_of_and_are_not_there_cost_little(net, show, trick):
    """Of authors that nobody has let in, and of one that counts; more than a node keeps. A stream
    that begins after them is taken."""
    mesh = Between(net, trick)
    before = mesh.bob.rss_kib()
    mesh.go()
    mesh.wait_did("flood")
    mesh.assert_chats()
    during = mesh.bob.rss_kib()
    mesh.ann.stop()
    mesh.ann = net.start("ann")
    mesh.relay.wait_for(lambda: mesh.relay.out.count("up") >= 2, "the relay to link both again", 30)
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    show(f"{trick}: {before} KiB before, {during} KiB with 120,000 rows")
    harness.assert_memory(lambda: mesh.bob.rss_kib() - before, 100 * 1024, "growth")


def test_who_asks_for_all_again_and_again_holds_up_nobody(net, show):
    """1,200,000 times, with a ping and room for a megabyte each thousand; bob has another link."""
    mesh = Between(net, "flood-wants")
    carl = mesh.carl()
    for number in range(50):
        mesh.ann.say(f"ann {number} " + "x" * 4000)
    mesh.bob.wait_for(lambda: len(mesh.bob.contents("ann")) >= 51, "what ann said")
    before = mesh.bob.rss_kib()
    mesh.go()
    mesh.wait_did("flood")
    started = time.monotonic()
    for number in range(10):
        carl.say(f"carl {number}")
        mesh.bob.wait_content(f"carl {number}", seconds=20)
    show(f"10 lines each after the other in {time.monotonic() - started:.2f} s")
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])
    harness.assert_memory(lambda: mesh.bob.rss_kib() - before, 40 * 1024, "growth")


@pytest.mark.limit(120)
def test_a_member_who_floods_with_connections_is_slowed_down(net, show):
    """340 KiB of HTTP/2's pings on each, one after the other. The others' links hold."""
    mesh = Between(net, "pings")
    carl = mesh.carl()
    since = len(carl.notices)
    mesh.go()
    if harness.SLOW == 1:
        harness.eventually(lambda: any("cut off: it pings" in row for row in mesh.bob.err),
                           "mallory to be cut off", 30)
    else:  # a slower relay does not come to the cap
        mesh.wait_did("ping", 2)
    longest = 0.0
    for number in range(20):
        started = time.monotonic()
        carl.say(f"carl {number}")
        mesh.bob.wait_content(f"carl {number}", seconds=20)
        longest = max(longest, time.monotonic() - started)
    floods = sum(row == "did ping" for row in mesh.relay.out)
    show(f"{floods} connections of pings; a line took at most {longest * 1000:.0f} ms after")
    assert not [one for one in carl.notices[since:] if "lost" in one["text"]]
    assert longest < harness.scaled(3)


def test_people_who_are_not_there_are_not_told_of(net):
    """Who is where is not signed; but who is no member is nobody here."""
    mesh = Between(net, "flood-presences")
    before = mesh.bob.rss_kib()
    mesh.go()
    mesh.wait_did("flood")
    mesh.assert_chats()
    assert not [one for one in mesh.bob.notices if "ghost" in one["text"]]
    assert not [one for one in mesh.ann.notices if "ghost" in one["text"]]
    harness.assert_memory(lambda: mesh.bob.rss_kib() - before, 30 * 1024, "growth")


def test_a_member_cannot_carry_on_for_one_who_was_revoked(net, tmp_path):
    """mallory has the identity of dora, whom ann has removed: what it signs with it is good, and
    past the cut."""
    mesh = Between(net, "honest")
    mesh.relay.kill()
    prepare(net, "dora", net.port("ann"))
    dora = net.start("dora")
    dora.wait_connected(1)
    mesh.start_relay("smuggle", str(net.data("dora") / "identity"))
    mesh.relay.wait_for(lambda: "up" in mesh.relay.out, "the relay to link both")
    dora.say("before the cut")
    mesh.bob.wait_content("before the cut")
    dora.wait_in_step(mesh.ann)
    dora.stop()
    mesh.ann.command("/revoke dora")
    mesh.bob.wait_notice("removed dora")
    mesh.go()
    mesh.wait_did("smuggle")
    mesh.assert_chats()
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    for node in (mesh.ann, mesh.bob):
        assert node.contents().count("before the cut") == 1
    assert_nowhere("after the cut", mesh.ann, mesh.bob)
    mesh.assert_links_held()


def test_a_revocation_that_is_kept_back_counts_when_it_comes(net):
    """bob, who hears of ann by mallory alone, goes on with dora; as soon as carl tells him, what
    dora has said since is as little there as with those who knew."""
    mesh = Between(net, "withhold")
    prepare(net, "dora", net.port("bob"))
    dora = net.start("dora")
    dora.wait_connected(1)
    dora.say("before the cut")
    mesh.ann.wait_content("before the cut")
    mesh.go()
    mesh.ann.command("/revoke dora")
    mesh.wait_did("withhold")
    mesh.ann.wait_notice("removed dora")
    dora.say("past the cut")
    mesh.bob.wait_content("past the cut")
    assert not [one for one in mesh.bob.notices if "removed" in one["text"]]
    carl = mesh.carl()
    mesh.bob.wait_notice("removed dora", seconds=30)
    dora.wait_notice("removed|no member")
    harness.wait_equal_logs([mesh.ann, mesh.bob, carl])
    for node in (mesh.ann, mesh.bob, carl):
        said = harness.bodies(node)
        assert "before the cut" in said and "past the cut" not in said, node.label
    assert "past the cut" not in mesh.ann.contents()
    # Whichever of the two has linked with him first has told him what it knew.
    told = next(i for i, row in enumerate(carl.out) if "removed dora" in row)
    assert not [row for row in carl.out[told:] if "past the cut" in row]


def test_the_relay_itself_is_honest_until_told(net):
    """So that what the other tests see is the trick's."""
    mesh = Between(net, "honest")
    mesh.go()
    for number in range(30):
        mesh.ann.say(f"ann {number}")
        mesh.bob.say(f"bob {number}")
    for node in (mesh.ann, mesh.bob):
        eventually(lambda node=node: len(node.contents()) >= 62, "all lines")
    harness.wait_equal_logs([mesh.ann, mesh.bob])
    mesh.assert_links_held()
