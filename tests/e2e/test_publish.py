"""Row 8: programs that say much at a time: Publish, and rooms in what programs say."""

import collections
import signal
import threading
import time

import grpc
import pytest

from bots import Bot
from harness import Failed, assert_memory, eventually, exported, scaled, sized
from test_log import SmallDisk

BATCH = 50


def said(node):
    """The lines that its log holds, in the order of the log; not who comes and goes."""
    return [row for row in exported(node) if row["kind"] in ("text", "action")]


class Publisher:
    """One stream: what is put into it is sent, what comes back is looked at as it comes."""

    def __init__(self, bot, seconds=60.0):
        self.pb = bot.pb
        self.ready = threading.Condition()
        self.queue, self.closed = collections.deque(), False
        self.answered, self.refused, self.responses = 0, {}, 0
        self.status = None
        self.call = bot.chat.Publish(self._requests(), timeout=scaled(seconds))
        self.reader = threading.Thread(target=self._read, daemon=True)

    def read(self):
        self.reader.start()
        return self

    def put(self, *messages):
        with self.ready:
            self.queue.append(self.pb.PublishRequest(messages=messages))
            self.ready.notify_all()

    def say(self, *contents, sender="bot", **fields):
        self.put(*(self.pb.MessageRequest(sender=sender, content=one, **fields)
                   for one in contents))

    def close(self):
        with self.ready:
            self.closed = True
            self.ready.notify_all()

    def _requests(self):
        while True:
            with self.ready:
                while not self.queue and not self.closed:
                    self.ready.wait()
                if not self.queue:
                    return
                request = self.queue.popleft()
            yield request

    def _read(self):
        try:
            for response in self.call:
                with self.ready:
                    assert response.answered >= self.answered, "it goes back"
                    self.answered = response.answered
                    self.responses += 1
                    for row in response.refused:
                        assert row.number not in self.refused, f"{row.number} is refused twice"
                        self.refused[row.number] = (row.code, row.text)
                    self.ready.notify_all()
        except grpc.RpcError:
            pass
        with self.ready:
            self.status = self.call.code()
            self.ready.notify_all()

    def wait(self, predicate, what, seconds=20.0):
        with self.ready:
            if not self.ready.wait_for(predicate, scaled(seconds)):
                raise Failed(f"no {what}: {self.answered} are answered, {len(self.refused)} "
                             f"refused, {self.status}")

    def wait_answered(self, count, seconds=20.0):
        self.wait(lambda: self.answered >= count, f"{count} answers", seconds)

    def wait_status(self, seconds=20.0):
        self.wait(lambda: self.status is not None, "status", seconds)
        return self.status


def lines(name, first, end):
    return [f"{name} {i}" for i in range(first, end)]


# ------------------------------------------------------------------------------------- at speed

def test_four_streams_say_100000_lines_once_each_and_in_order(cluster):
    """The reader is a StreamMessages client; it is slower than the streams, so it looks on until
    it falls off, and the log tells the rest."""
    each = sized(25000, 2000)
    ann = cluster.node(name="ann", mode="headless")
    bots = [Bot(ann) for _ in range(4)]
    streams = [Publisher(bot).read() for bot in bots]
    for i, stream in enumerate(streams):
        for first in range(0, each, BATCH):
            stream.say(*lines(f"w{i}", first, min(each, first + BATCH)), sender=f"w{i}")
        stream.close()
    for stream in streams:
        assert stream.wait_status(40) == grpc.StatusCode.OK, stream.call.details()
        assert stream.answered == each and not stream.refused
        assert stream.responses <= each / 4, "an answer for each line, nearly"
    held = said(ann)
    assert len(held) == 4 * each
    for i in range(4):
        assert [row["body"] for row in held if row["sender"] == f"w{i}"] == \
            lines(f"w{i}", 0, each)
    for bot in bots:
        bot.close()


def test_a_streamed_line_is_shown_to_all_in_its_order(cluster):
    count = 500
    ann, bob = cluster.mesh(["ann", "bob"])
    with Bot(ann) as bot, Bot(bob) as other:
        shown = other.stream()
        shown.initial_metadata()
        stream = Publisher(bot).read()
        for first in range(0, count, BATCH):
            stream.say(*lines("bot", first, first + BATCH))
        wanted = lines("bot", 0, count)
        assert [next(shown).content for _ in range(count)] == wanted
        stream.close()
        assert stream.wait_status() == grpc.StatusCode.OK
        shown.cancel()
    for node in (ann, bob):
        node.wait_messages(count)
        assert node.contents("bot") == wanted


def test_a_lone_line_is_answered_at_once(cluster):
    ann = cluster.node(name="ann", mode="headless")
    with Bot(ann) as bot:
        stream = Publisher(bot).read()
        for i in range(1, 21):
            stream.say(f"line {i}")
            stream.wait_answered(i)
        assert stream.responses == 20
        stream.close()
        assert stream.wait_status() == grpc.StatusCode.OK


# --------------------------------------------------------------------------------- what is refused

BAD = [  # fields, the refusal's words
    ({"sender": ""}, "sender is empty"),
    ({"content": ""}, "content is empty"),
    ({"content": "x" * 8193}, "longer than 8192"),
    ({"sender": "y" * 65}, "longer than 64"),
    ({"room": "@ann"}, "room is a person"),
    ({"room": "two words"}, "holds no space"),
    ({"room": "r" * 66}, "1 to 64 bytes"),
    ({"id": b"i" * 33}, "id is longer"),
]


def test_refused_lines_are_named_by_their_numbers(cluster):
    ann = cluster.node(name="ann", mode="headless")
    with Bot(ann) as bot:
        stream = Publisher(bot).read()
        rows = []
        for fields, _ in BAD:
            row = bot.pb.MessageRequest(sender="bot", content="bad")
            for name, value in fields.items():
                setattr(row, name, value)
            rows += [bot.pb.MessageRequest(sender="bot", content=f"good {len(rows)}"), row]
        stream.put(*rows)
        stream.close()
        assert stream.wait_status() == grpc.StatusCode.OK
        assert stream.answered == len(rows)
        assert sorted(stream.refused) == list(range(2, len(rows) + 1, 2))
        for number, (_, words) in zip(sorted(stream.refused), BAD):
            code, text = stream.refused[number]
            assert code == grpc.StatusCode.INVALID_ARGUMENT.value[0] and words in text, text
    assert len(said(ann)) == len(BAD)


def raw_publish(bot, requests):
    """(responses, code, details) of a stream of bytes."""
    call = bot.channel.stream_stream(
        "/chat.ChatService/Publish", request_serializer=bytes,
        response_deserializer=bot.pb.PublishResponse.FromString)(iter(requests),
                                                                 timeout=scaled(20))
    responses = []
    try:
        for response in call:
            responses.append(response)
    except grpc.RpcError:
        pass
    return responses, call.code(), call.details()


def test_what_is_not_of_the_protocol_is_refused_alone_where_it_can_be(cluster):
    ann = cluster.node(name="ann", mode="headless")
    with Bot(ann) as bot:
        good = bot.pb.PublishRequest(messages=[bot.pb.MessageRequest(
            sender="bot", content="good")]).SerializeToString()
        not_utf8 = b"\x0a\x0a\x0a\x03bot\x12\x03\xff\xfe\xfd"
        no_message = b"\x0a\x02\x0a\x7f"  # a sender of 127 bytes in a message of 2
        responses, code, _ = raw_publish(bot, [good, not_utf8, no_message, good])
        rows = {row.number: row.text for one in responses for row in one.refused}
        assert code == grpc.StatusCode.OK and responses[-1].answered == 4
        assert "UTF-8" in rows[2] and "chat.proto" in rows[3] and len(rows) == 2, rows
        # What follows a broken request has no numbers any more.
        responses, code, words = raw_publish(bot, [good, good + b"\x0a\x7f", good])
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "chat.proto" in words
        assert responses[-1].answered == 2
        responses, code, _ = raw_publish(bot, [])
        assert code == grpc.StatusCode.OK and not responses
        responses, code, _ = raw_publish(bot, [b""])
        assert code == grpc.StatusCode.OK and not responses
        responses, code, _ = raw_publish(bot, [good, b"\x0a" * 300000])
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len([row for row in said(ann) if row["body"] == "good"]) >= 4


def test_a_repeat_on_a_stream_is_answered_and_said_once(cluster):
    ann = cluster.node(name="ann", mode="headless")
    with Bot(ann) as bot:
        stream = Publisher(bot).read()
        for _ in range(3):
            stream.put(*(bot.pb.MessageRequest(sender="bot", content=f"line {i}",
                                               id=i.to_bytes(16, "big")) for i in range(500)))
        stream.close()
        assert stream.wait_status() == grpc.StatusCode.OK
        assert stream.answered == 1500 and not stream.refused
    assert len(said(ann)) == 500


# ------------------------------------------------------------------------------------------- rooms

def test_programs_speak_in_rooms(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    bob.command("/join dev")
    bob.wait_notice("what you type goes to #dev")
    with Bot(ann) as bot:
        answer = bot.say("first", room="#Dev", id=b"1")
        assert (answer.success, answer.room) == (True, "dev")
        assert bot.say("again", room="#Dev", id=b"1").success
        assert bot.say("in the lobby").room == ""
        code, words = bot.refused("psst", room="@bob")
        assert code == grpc.StatusCode.INVALID_ARGUMENT and "room is a person" in words
        shown = bot.stream()
        shown.initial_metadata()
        stream = Publisher(bot).read()
        stream.say("second", room="dev")
        stream.say("all", room="lobby")
        stream.wait_answered(2)
        assert next(shown).content == "all"
        shown.cancel()
    bob.wait_content("all")  # the last one
    ann.wait_content("all")
    rooms = {one["content"]: one["room"] for one in bob.messages if one["kind"] == "text"}
    assert rooms == {"first": "dev", "second": "dev", "in the lobby": "lobby", "all": "lobby"}
    assert ann.contents("bot") == ["in the lobby", "all"], "not in dev, and shown what is said there"
    assert [row["room"] for row in said(ann) if row["sender"] == "bot"] == \
        ["dev", "lobby", "dev", "lobby"]


# ------------------------------------------------------------------------------- callers that are slow

def rss_kib(node):
    with open(f"/proc/{node.pid}/status", encoding="ascii") as file:
        return next(int(row.split()[1]) for row in file if row.startswith("VmRSS"))


def test_a_caller_that_reads_no_answers_is_not_read_either(cluster):
    """All are refused, with words: the answers would take any amount of memory."""
    ann = cluster.node(name="ann", mode="headless")
    with Bot(ann) as bot:
        before = rss_kib(ann)
        row = bot.pb.PublishRequest(
            messages=[bot.pb.MessageRequest(sender="bot", content="")] * 2000).SerializeToString()
        sent = 0

        def requests():
            nonlocal sent
            while not over.is_set():
                sent += 1
                yield row

        over = threading.Event()
        call = bot.channel.stream_stream("/chat.ChatService/Publish", request_serializer=bytes,
                                         response_deserializer=bytes)(requests())

        def stands():
            last = sent
            time.sleep(0.3)
            return sent == last and sent > 0
        eventually(stands, "the node to stop reading")
        assert_memory(lambda: rss_kib(ann), before + 24 * 1024, "the node, unread")
        assert bot.say("others are served").success
        over.set()
        call.cancel()
    assert len(said(ann)) == 1


def test_more_streams_than_may_be_are_refused(cluster):
    ann = cluster.node(name="ann", mode="headless")
    with Bot(ann) as bot:
        streams = [Publisher(bot).read() for _ in range(256)]
        for stream in streams:
            stream.say("here")
        for stream in streams:
            stream.wait_answered(1)
        refused = Publisher(bot).read()
        assert refused.wait_status() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "256 streams publish here" in refused.call.details()
        streams[0].close()
        assert streams[0].wait_status() == grpc.StatusCode.OK
        one_more = Publisher(bot).read()
        one_more.say("here")
        one_more.wait_answered(1)
        for stream in streams[1:] + [one_more]:
            stream.call.cancel()


class Flood(threading.Thread):
    """A stream that always has as much before the node as it may: the lines of so many requests."""

    AHEAD, LINES = 4, 64
    all_lines = 0  # that were answered, of all streams

    def __init__(self, bot, row, ending):
        super().__init__(daemon=True)
        self.row, self.ending = row, ending
        self.may_send = threading.Semaphore(self.AHEAD)
        self.answered = 0
        self.longest = 0  # lines of all streams, from one answer to the next
        self.call = bot.channel.stream_stream("/chat.ChatService/Publish", request_serializer=bytes,
                                              response_deserializer=bot.pb.PublishResponse.FromString)(
            self.requests())
        self.start()

    def requests(self):
        while not self.ending.is_set():
            self.may_send.acquire()
            yield self.row

    def run(self):
        done, last = 0, None
        for response in self.call:
            assert not response.refused
            Flood.all_lines += response.answered - self.answered
            self.answered = response.answered
            if last is not None:
                self.longest = max(self.longest, Flood.all_lines - last)
            last = Flood.all_lines
            while done < self.answered // self.LINES:
                done += 1
                self.may_send.release()


def test_streams_that_say_all_they_can_have_their_turns(cluster):
    """Together they have five times as much to say as may wait for the disk: who waits for room goes
    before those who come when there is some again. So between two answers to one, others get as many
    as they had sent before, and not whatever they have sent since."""
    ann = cluster.node(name="ann", mode="headless")
    bots = [Bot(ann) for _ in range(4)]
    row = bots[0].pb.PublishRequest(messages=[
        bots[0].pb.MessageRequest(sender="bot", content="so much to say") for _ in range(Flood.LINES)
    ]).SerializeToString()
    ending = threading.Event()
    floods = [Flood(bots[i % len(bots)], row, ending) for i in range(40)]
    before_them = len(floods) * Flood.AHEAD * Flood.LINES
    eventually(lambda: Flood.all_lines >= sized(20, 5) * before_them, "much to be answered", 60)
    longest = max(flood.longest for flood in floods)
    ending.set()
    for flood in floods:
        flood.join(scaled(20))
        assert flood.call.code() == grpc.StatusCode.OK
    print(f"between two answers to one stream: up to {longest} lines; {before_them} wait")
    assert longest <= 2 * before_them
    for bot in bots:
        bot.close()


# ------------------------------------------------------------------------------- nodes that go

def keep_publishing(stream, ending):
    first = 0
    while not ending.is_set():
        if len(stream.queue) < 20:
            stream.say(*lines("bot", first, first + BATCH))
            first += BATCH
        else:
            time.sleep(0.001)
    stream.close()


def in_the_middle(stream, then):
    ending = threading.Event()
    thread = threading.Thread(target=keep_publishing, args=(stream, ending), daemon=True)
    thread.start()
    stream.wait_answered(sized(5000, 500))
    then()
    status = stream.wait_status()
    ending.set()
    thread.join()
    return status


@pytest.mark.parametrize("how", ["killed", "leaves"])
def test_what_was_answered_is_in_the_log_of_a_node_that_is_gone(cluster, how):
    ann = cluster.node(name="ann", mode="headless")

    def leave():
        if how == "leaves":
            ann.signal(signal.SIGTERM)
        else:
            ann.kill()
    with Bot(ann) as bot:
        stream = Publisher(bot).read()
        status = in_the_middle(stream, leave)
        assert status == grpc.StatusCode.UNAVAILABLE
        if how == "leaves":
            assert all(code == grpc.StatusCode.UNAVAILABLE.value[0] and "leaving" in text
                       for code, text in stream.refused.values())
    ann.wait()
    ann = cluster.again(ann)
    held = [row["body"] for row in said(ann)]
    good = [number for number in range(1, stream.answered + 1) if number not in stream.refused]
    assert held == lines("bot", 0, len(held)), "in order, none left out"
    assert len(held) >= len(good)


def test_a_full_disk_refuses_with_words_and_goes_on_later(cluster, tmp_path):
    disk = SmallDisk(tmp_path / "disk", 8)
    try:
        ann = cluster.node(name="ann", args=["--data", str(disk.path / "ann")])
        with Bot(ann) as bot:
            stream = Publisher(bot).read()
            stream.say(*lines("before", 0, 100))
            stream.wait_answered(100)
            disk.fill()
            told = 100
            while not stream.refused:
                stream.say("x" * 4000)
                told += 1
                stream.wait_answered(told)
            for code, text in stream.refused.values():
                assert code == grpc.StatusCode.UNAVAILABLE.value[0]
                assert str(disk.path) in text, text
            disk.free()
            ann.wait_notice("takes writes again", seconds=20)
            many = len(stream.refused)
            stream.say(*lines("after", 0, 100))
            stream.close()
            assert stream.wait_status() == grpc.StatusCode.OK
            assert stream.answered == told + 100 and len(stream.refused) == many
        held = [row["body"] for row in said(ann)]
        for name in ("before", "after"):
            assert [body for body in held if body.startswith(name)] == lines(name, 0, 100)
    finally:
        disk.close()
