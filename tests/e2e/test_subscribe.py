"""The batched subscription: nothing is missed and nothing comes twice, whatever dies or sleeps."""

import random
import threading
import time

import grpc
import pytest

from bots import Bot
from harness import assert_memory, eventually, sized

GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN)


class Subscriber:
    """A program that remembers how far it has come. Reads in a thread, until it is stopped."""

    def __init__(self, node, rooms=(), life=0, position=0, from_start=False, slow=None):
        import chat_pb2
        import chat_pb2_grpc
        self.pb = chat_pb2
        self.port = node.port
        self.rooms, self.slow = list(rooms), slow
        self.life, self.position = life, position
        self.messages, self.batches, self.error = [], [], None
        self.open(chat_pb2_grpc, from_start)

    def open(self, chat_pb2_grpc, from_start=False):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self.port}",
                                             options=[("grpc.use_local_subchannel_pool", 1)])
        stub = chat_pb2_grpc.ChatServiceStub(self.channel)
        self.call = stub.Subscribe(self.pb.SubscribeRequest(
            rooms=self.rooms, life=self.life, position=self.position, from_start=from_start))
        self.begun = threading.Event()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        assert self.begun.wait(20), "no first answer"

    def read(self):
        try:
            for response in self.call:
                if response.life:
                    self.life, self.position = response.life, response.position
                    assert not response.messages
                    self.begun.set()
                if self.slow:
                    self.slow.wait(60)
                for message in response.messages:
                    assert message.position > self.position, "positions rise"
                    self.position = message.position
                    self.messages.append(message)
                if response.messages:
                    self.batches.append(len(response.messages))
        except grpc.RpcError as error:
            self.error = error
        finally:
            self.begun.set()

    def again(self):
        """As after a lost connection: the cursor goes on."""
        import chat_pb2_grpc
        self.stop()
        self.error = None
        self.open(chat_pb2_grpc)
        assert self.error is None, self.error

    def stop(self):
        self.call.cancel()
        self.thread.join(10)
        self.channel.close()

    def contents(self):
        return [one.content for one in self.messages]

    def wait(self, count, seconds=20):
        eventually(lambda: len(self.messages) >= count, f"{count} messages", seconds)


@pytest.fixture
def subscribe(cluster):
    made = []

    def make(*args, **options):
        made.append(Subscriber(*args, **options))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def refused(node, **fields):
    import chat_pb2
    import chat_pb2_grpc
    with grpc.insecure_channel(f"127.0.0.1:{node.port}") as channel:
        call = chat_pb2_grpc.ChatServiceStub(channel).Subscribe(
            chat_pb2.SubscribeRequest(**fields), timeout=10)
        with pytest.raises(grpc.RpcError) as error:
            for _ in call:
                pass
        return error.value.code(), error.value.details()


# ------------------------------------------------------------------------------------------- live

def test_what_is_said_comes_once_with_rising_positions(cluster, subscribe):
    ann, bob = cluster.mesh(["ann", "bob"])
    one, other = subscribe(ann), subscribe(bob)
    with Bot(ann) as bot:
        for number in range(50):
            ann.say(f"ann {number}")
            bob.say(f"bob {number}")
            bot.say(f"bot {number}", "bot")
    for who in (one, other):
        who.wait(150)
        for name in ("ann", "bob", "bot"):
            assert [text for text in who.contents() if text.startswith(name)] == \
                [f"{name} {number}" for number in range(50)]
        assert len(who.messages) == 150
    sample = next(message for message in one.messages if message.sender == "ann")
    assert sample.room == "" and abs(sample.time_ms / 1000 - time.time()) < 60


def test_rooms_are_followed_also_where_the_person_is_in_none(cluster, subscribe):
    ann, bob = cluster.mesh(["ann", "bob"])
    dev = subscribe(ann, rooms=["#Dev"])
    both = subscribe(ann, rooms=["dev", "lobby", "dev"])
    lobby = subscribe(ann)
    bob.command("/to dev for developers")
    bob.say("for all")
    bob.command("/msg ann for ann alone")
    bob.command("/to other for others")
    bob.say("the end")
    both.wait(3)
    lobby.wait(2)
    dev.wait(1)
    assert both.contents() == ["for developers", "for all", "the end"]
    assert [message.room for message in both.messages] == ["dev", "", ""]
    assert lobby.contents() == ["for all", "the end"]
    assert dev.contents() == ["for developers"]


def test_what_gathers_comes_in_few_pieces(cluster, subscribe):
    node = cluster.node(name="ann")
    gate = threading.Event()
    slow = subscribe(node, slow=gate)
    count = sized(20000)
    node.say(*(f"{number} {'x' * 300}" for number in range(count)))
    quick = subscribe(node)
    node.wait_messages(count, 60)
    gate.set()
    slow.wait(count, 60)
    assert slow.contents() == [f"{number} {'x' * 300}" for number in range(count)]
    assert len(slow.batches) < count / 20
    node.say("one more")
    quick.wait(1)
    eventually(lambda: quick.contents()[-1] == "one more", "the last one")


# ---------------------------------------------------------------------------------------- cursors

def test_a_cursor_goes_on_where_it_was(cluster, subscribe):
    node = cluster.node(name="ann")
    one = subscribe(node)
    for round in range(5):
        node.say(*(f"{round} {number}" for number in range(100)))
        one.wait(100 * round + 1)
        one.again()  # wherever it is
    one.wait(500)
    whole = subscribe(node, from_start=True)
    whole.wait(500)
    expected = [f"{round} {number}" for round in range(5) for number in range(100)]
    assert one.contents() == expected and whole.contents() == expected
    assert [message.position for message in whole.messages] == \
        [message.position for message in one.messages]


@pytest.mark.limit(120)
def test_kills_miss_and_repeat_nothing(cluster, subscribe):
    """The node is killed again and again while its own people and another node's speak."""
    ann, bob = cluster.mesh(["ann", "bob"])
    one = subscribe(ann)
    said = {"ann": 0, "bob": 0}
    for _ in range(sized(8, 3)):
        until = time.monotonic() + 0.6
        while time.monotonic() < until:
            for name, node in (("ann", ann), ("bob", bob)):
                node.say(*(f"{name} {said[name] + number}" for number in range(20)))
                said[name] += 20
            time.sleep(random.uniform(0, 0.02))
        one.stop()
        ann.kill()
        ann = cluster.again(ann)
        ann.wait_listening()
        one.port = ann.port
        one.again()
    ann.wait_connected(1)
    bob.say("the end")
    eventually(lambda: "the end" in one.contents(), "the end", 30)
    found = [text for text in one.contents() if text.startswith("bob")]
    assert found == [f"bob {number}" for number in range(said["bob"])]
    own = [int(text.split()[1]) for text in one.contents() if text.startswith("ann")]
    assert own == sorted(set(own)), "in order, once"
    # What a killed node had not yet written is nobody's; all that is in its log came.
    fresh = subscribe(ann, from_start=True)
    fresh.wait(len(one.messages))
    assert fresh.contents() == one.contents()


def test_a_cursor_of_another_journal_is_refused(cluster, subscribe):
    ann, bob = cluster.mesh(["ann", "bob"])
    ann.say("hello")
    one = subscribe(ann, from_start=True)
    one.wait(1)
    code, words = refused(bob, life=one.life, position=one.position)
    assert code == grpc.StatusCode.OUT_OF_RANGE and "journal" in words
    code, _ = refused(ann, life=one.life, position=one.position + 1000)
    assert code == grpc.StatusCode.OUT_OF_RANGE


# ---------------------------------------------------------------------------------------- refusals

@pytest.mark.parametrize("rooms", [["a b"], ["@ann"], [""], ["x" * 65], ["dev"] * 65, ["a\x1b"]])
def test_what_is_no_room_is_refused(cluster, rooms):
    node = cluster.node(name="ann")
    code, words = refused(node, rooms=rooms)
    assert code == grpc.StatusCode.INVALID_ARGUMENT and "room" in words, words


def test_subscribers_count_among_the_clients(cluster, subscribe):
    node = cluster.node(name="ann", args=["--max-clients", "2"])
    subscribe(node)
    subscribe(node)
    code, words = refused(node)
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED and "2 clients" in words


def test_a_leaving_node_tells_its_subscribers(cluster, subscribe):
    node = cluster.node(name="ann")
    one = subscribe(node)
    node.stop()
    eventually(lambda: one.error is not None, "the end")
    assert one.error.code() == grpc.StatusCode.UNAVAILABLE
    assert "leaving" in one.error.details()


# ------------------------------------------------------------------------------------ who is slow

@pytest.mark.limit(120)
def test_who_does_not_read_costs_others_nothing_and_gets_all_later(cluster, subscribe, show):
    node = cluster.node(name="ann")
    gate = threading.Event()
    asleep = subscribe(node, slow=gate)
    quick = subscribe(node)
    count = 400 * sized(20)
    text = "x" * 7000
    halfway = None
    for start in range(0, count, 200):
        node.say(*(f"{number} {text}" for number in range(start, start + 200)))
        quick.wait(start + 200, 60)
        if start + 200 == count // 2:
            halfway = node.rss_kib()
    # 56 MB went past, and all windows were full with the first half.
    more = assert_memory(lambda: node.rss_kib() - halfway, 14 * 1024, "growth")
    show(f"28 MB more past a subscriber that does not read: {more} KiB more")
    gate.set()
    asleep.wait(count, 60)
    assert [one.content.split()[0] for one in asleep.messages] == \
        [str(number) for number in range(count)]
