"""Rows 5 and 6: programs at a node, by the thousand, the quick and the dead."""

import concurrent.futures
import json
import os
import queue
import signal
import threading
import time

import grpc
import pytest

import h2
from bots import Bot
from harness import HERE, PYTHON, assert_in_order, assert_memory, eventually, scaled, sized


def crowd(cluster, stubs, node, prefix, count, channels, messages):
    return cluster.child([PYTHON, "-u", HERE / "stream_crowd.py", stubs, node.port, prefix, count,
                          channels, messages], label=f"crowd {prefix}")


def report_of(child, seconds):
    return json.loads(child.wait_for(
        lambda: next((line for line in child.out if line.startswith("{")), None),
        "its report", seconds))


def join_crowds(crowds, seconds=60):
    for one in crowds:
        one.wait_for(lambda: "ready" in one.out, "all its clients to be in", seconds)


def milliseconds(nanoseconds):
    return f"{nanoseconds / 1e6:.1f} ms"


# ------------------------------------------------------------------------------------- thousands

@pytest.mark.limit(120)
@pytest.mark.parametrize("channels", [1000, 1], ids=["own_connections", "one_shared_connection"])
def test_a_thousand_clients_get_every_message_in_one_order(cluster, stubs, show, channels):
    count, messages = sized(1000, 100), 100
    node = cluster.node(name="ann")
    before = node.rss_kib()
    if channels == 1:
        crowds = [crowd(cluster, stubs, node, "all", count, 1, messages)]
    else:
        crowds = [crowd(cluster, stubs, node, name, count // 2, count // 2, messages)
                  for name in ("left", "right")]
    join_crowds(crowds)
    idle = node.rss_kib()
    show(f"{count} clients over {min(channels, count)} connection(s): {before} KiB before, "
         f"{(idle - before) / count:.1f} KiB each idle client")
    # From several at once: the node's person, and three programs.
    with concurrent.futures.ThreadPoolExecutor(3) as pool, Bot(node) as one, Bot(node) as two, \
            Bot(node) as three:
        started = time.monotonic_ns()
        node.say(*(f"ann {number}" for number in range(messages - 75)))
        list(pool.map(lambda pair: [pair[1].say(f"{pair[0]} {number}", pair[0])
                                    for number in range(25)],
                      (("one", one), ("two", two), ("three", three))))
    reports = [report_of(child, 90) for child in crowds]
    took = max(report["last_at"][-1] for report in reports) - started
    show(f"{messages} messages to all of them in {milliseconds(took)}, "
         f"{took / 1000 / messages / count:.1f} us a delivery; {node.rss_kib()} KiB after")
    sequences = [(times, tuple(found)) for report in reports
                 for times, found in report["sequences"]]
    assert len({found for _, found in sequences}) == 1, "they differ"
    assert sum(times for times, _ in sequences) == len(crowds) * (count // len(crowds))
    found = sequences[0][1]
    for name, least in (("ann", messages - 75), ("one", 25), ("two", 25), ("three", 25)):
        assert_in_order([line for line in found if line.startswith(name + " ")], name, least)
    assert list(found) == [one["content"] for one in node.messages]  # and so does its person


def settled_kib(node):
    """The least it holds within two seconds: what is freed goes back a moment later."""
    until = time.monotonic() + 2
    least = node.rss_kib()
    while time.monotonic() < until:
        time.sleep(0.05)
        least = min(least, node.rss_kib())
    return least


@pytest.mark.limit(120)
def test_memory_comes_back_when_a_thousand_clients_leave_ten_times(cluster, show):
    count = sized(1000, 100)
    node = cluster.node(name="ann")
    before = node.rss_kib()
    idle, after = [], []
    descriptors = node.descriptors()
    for round_number in range(10):
        people = h2.Crowd()
        try:
            people.join(node.port, count, f"r{round_number}")
            people.until_all_opened(scaled(30))
            idle.append(node.rss_kib())
            node.say(*(f"{round_number} {number}" for number in range(3)))
            people.until_all_have(3, scaled(30))
            assert len({one.digest for one in people.clients}) == 1
        finally:
            people.leave(reset=round_number % 2 == 1)
            people.close()
        eventually(lambda: node.descriptors() <= descriptors + 2, "all to be gone", 20)
        if round_number == 0:
            settled = settled_kib(node)
        after.append(node.rss_kib())
    last = assert_memory(node.rss_kib, settled * 1.10, "after the tenth time")
    show(f"{count} clients: {before} KiB before, {(idle[0] - before) / count:.1f} KiB each idle "
         f"one; {settled} KiB after they left, {last} KiB after the tenth time (at once: {after})")


# ------------------------------------------------------------------------------------ slow ones

@pytest.mark.limit(120)
def test_a_client_that_never_reads_delays_nobody(cluster, stubs, show):
    count, messages = sized(998, 100), 100
    node = cluster.node(name="ann")
    before = node.rss_kib()
    crowds = [crowd(cluster, stubs, node, name, count // 2, count // 2, messages)
              for name in ("left", "right")]
    join_crowds(crowds)
    rude = h2.Client(node.port, "rude", receive_buffer=4096)  # and is never asked to read
    lazy_bot = Bot(node)
    lazy = lazy_bot.stream("lazy")  # a real client that asks for no message
    lazy.initial_metadata()
    idle = node.rss_kib()
    # 2 KiB each: after 32 of them the lazy ones' windows are full.
    started, said = time.monotonic_ns(), []
    padding = "x" * 2000
    for number in range(messages):
        said.append(time.monotonic_ns())
        node.say(f"{number:03} {padding}")
        node.wait_messages(number + 1)
    reports = [report_of(child, 60) for child in crowds]
    took = max(report["last_at"][-1] for report in reports) - started
    waits = sorted(max(report["last_at"][number] for report in reports) - said[number]
                   for number in range(messages))
    peak = node.rss_kib()
    show(f"{count} readers beside two that never read: {messages} messages of 2 KiB in "
         f"{milliseconds(took)}; {before} KiB before, {idle} KiB idle, {peak} KiB after; "
         f"slowest reader p50 {milliseconds(waits[messages // 2])}, max {milliseconds(waits[-1])}")
    for report in reports:
        assert [len(found) for _, found in report["sequences"]] == [messages]
    assert waits[-1] < scaled(15) * 1e9
    assert_memory(lambda: peak - idle, 48 * 1024, "growth")
    rude.close()
    lazy.cancel()
    lazy_bot.close()


def test_a_client_that_falls_behind_ends_with_resource_exhausted(cluster, show):
    node = cluster.node(name="ann")
    with Bot(node) as bot, Bot(node) as other:
        lazy = bot.stream("lazy")
        lazy.initial_metadata()
        reader = other.stream("reader")
        reader.initial_metadata()
        got = queue.Queue()

        def follow():
            try:
                for one in reader:
                    got.put(one.content)
            except grpc.RpcError:
                pass  # it is cancelled at the end

        threading.Thread(target=follow, daemon=True).start()
        before = node.rss_kib()
        # 8 MiB or 4,096 lines are kept; 3,000 of 8,000 bytes are 24 MB.
        count, padding = 3000, "x" * 7990
        for start in range(0, count, 100):
            node.say(*(f"{number:05} {padding}" for number in range(start, start + 100)))
            for _ in range(100):
                got.get(timeout=scaled(20))
        grown = node.rss_kib() - before
        show(f"24 MB past a client that never reads: {grown} KiB more")
        assert_memory(lambda: grown, 40 * 1024, "growth")
        seen = []
        with pytest.raises(grpc.RpcError) as ended:
            for one in lazy:
                seen.append(int(one.content[:5]))
        assert ended.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, ended.value
        assert ended.value.details()
        assert seen == list(range(len(seen))) and len(seen) < count
        reader.cancel()
    assert node.running()


def test_many_that_never_read_hold_bounded_memory(cluster, show):
    """Each costs what its own buffers cost, not a copy of what it missed."""
    node = cluster.node(name="ann")
    rude = [h2.Client(node.port, f"rude-{number}", receive_buffer=4096) for number in range(100)]
    with Bot(node) as bot:
        reader = bot.stream("reader")
        reader.initial_metadata()
        before = node.rss_kib()
        padding = "x" * 8000
        count = sized(2500, 1500)  # 20 MB each, 2 GB together were they kept
        got = 0
        for start in range(0, count, 100):
            node.say(*(f"{number:05} {padding}" for number in range(start, start + 100)))
            for _ in range(100):
                next(reader)
                got += 1
        grown = node.rss_kib() - before
        show(f"100 clients that never read, 20 MB said: {grown} KiB more")
        assert_memory(lambda: grown, 100 * 1024, "growth")
        reader.cancel()
    for one in rude:
        one.close()
    node.say("end")
    node.wait_content("end")


def test_a_client_that_pauses_loses_nothing(cluster):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        stream = bot.stream("pauses")
        stream.initial_metadata()
        count = 2000
        node.say(*(f"ann {number}" for number in range(count)))
        node.wait_messages(count, 30)
        assert_in_order([next(stream).content for _ in range(count)], "ann", count)
        stream.cancel()


# ---------------------------------------------------------------------------- coming and leaving

def test_a_second_stream_with_the_same_id_replaces_the_first(cluster):
    node = cluster.node(name="ann")
    with Bot(node) as one, Bot(node) as two:
        first = one.stream("me")
        first.initial_metadata()
        second = two.stream("me")
        second.initial_metadata()
        with pytest.raises(grpc.RpcError) as ended:
            next(first)
        assert ended.value.code() == grpc.StatusCode.ABORTED
        assert ended.value.details()
        node.say("to the second")
        assert next(second).content == "to the second"
        third = two.stream("me")  # on the same connection too
        third.initial_metadata()
        with pytest.raises(grpc.RpcError) as ended:
            next(second)
        assert ended.value.code() == grpc.StatusCode.ABORTED
        node.say("to the third")
        assert next(third).content == "to the third"
        third.cancel()


def test_streams_without_an_id_are_never_replaced(cluster):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        streams = [bot.stream("") for _ in range(5)]
        for one in streams:
            one.initial_metadata()
        node.say("to all")
        assert [next(one).content for one in streams] == ["to all"] * 5
        for one in streams:
            one.cancel()


def test_a_client_gets_nothing_from_before_it_came(cluster):
    node = cluster.node(name="ann")
    node.say("before")
    node.wait_content("before")
    with Bot(node) as bot:
        stream = bot.stream("late")
        stream.initial_metadata()
        node.say("after")
        assert next(stream).content == "after"
        stream.cancel()


def test_a_client_gets_its_own_lines_back_in_its_place(cluster):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        stream = bot.stream("me")
        stream.initial_metadata()
        answer = bot.say("echo", "karl", timestamp="12:34:56")
        assert (answer.sender, answer.content, answer.timestamp, answer.success) == (
            "karl", "echo", "12:34:56", True)
        shown = next(stream)
        assert (shown.sender, shown.content, shown.timestamp, shown.success) == (
            "karl", "echo", "12:34:56", True)
        assert bot.say("no time given").timestamp.count(":") == 2
        stream.cancel()


def test_streams_of_nodes_get_no_lines(cluster):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        silent = bot.stream("", seconds=30, node_id=os.urandom(16))
        silent.initial_metadata()
        got = queue.Queue()

        def follow():
            try:
                for one in silent:
                    got.put(one.content)
            except grpc.RpcError as error:
                got.put(error.code())

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        other = bot.stream("listens")
        other.initial_metadata()
        node.say("a line")
        assert next(other).content == "a line"
        node.stop()
        assert got.get(timeout=scaled(5)) == grpc.StatusCode.UNAVAILABLE  # no line before it


def test_a_leaving_node_ends_streams_with_unavailable(cluster):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        streams = [bot.stream(f"c{number}") for number in range(3)]
        for one in streams:
            one.initial_metadata()
        node.say("last words")
        for one in streams:
            assert next(one).content == "last words"
        assert node.stop() == 0
        for one in streams:
            with pytest.raises(grpc.RpcError) as ended:
                next(one)
            assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "leaving" in ended.value.details() or "leav" in ended.value.details(), \
                ended.value.details()


def test_a_node_leaves_in_bounded_time_beside_clients_that_never_read(cluster):
    node = cluster.node(name="ann")
    rude = [h2.Client(node.port, f"rude-{number}", receive_buffer=4096) for number in range(20)]
    padding = "x" * 8000
    node.say(*(padding for _ in range(200)))
    node.wait_messages(200)
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < scaled(5)
    for one in rude:
        one.close()


def test_the_cap_of_clients_is_kept_and_said(cluster):
    node = cluster.node(name="ann", args=["--max-clients", "3"])
    with Bot(node) as bot:
        streams = [bot.stream(f"c{number}") for number in range(3)]
        for one in streams:
            one.initial_metadata()
        with pytest.raises(grpc.RpcError) as ended:
            next(bot.stream("one too many"))
        assert ended.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "3" in ended.value.details()
        replaced = bot.stream("c0")  # takes its own place: that is not one more
        replaced.initial_metadata()
        bot.say("still works")
        assert next(streams[1]).content == "still works"
        streams[2].cancel()
        assert_free_place(bot)
        for one in streams + [replaced]:
            one.cancel()


def assert_free_place(bot, count=1, seconds=10):
    """count places are free at the same time."""
    taken = []

    def attempt():
        stream = bot.stream(f"free-{len(taken)}")
        try:
            stream.initial_metadata()
            if stream.is_active():
                taken.append(stream)
        except grpc.RpcError:
            pass
        # A refusal may come with metadata: the code tells.
        if taken and not taken[-1].is_active():
            taken.pop()
        return len(taken) >= count

    eventually(attempt, f"{count} places to be free", seconds)
    for one in taken:
        one.cancel()


@pytest.mark.parametrize("how", ["killed", "cancelled", "reset"])
def test_a_client_that_vanishes_frees_its_place(cluster, stubs, how):
    node = cluster.node(name="ann", args=["--max-clients", "20"])
    with Bot(node) as bot:
        if how == "reset":
            people = h2.Crowd().join(node.port, 20)
            people.until_all_opened(scaled(10))
            people.leave(reset=True)
            people.close()
        else:
            child = crowd(cluster, stubs, node, "many", 20, 4, 5)
            join_crowds([child])
            if how == "killed":
                child.kill()
            else:
                node.say(*"12345")
                report_of(child, 10)
                child.close_stdin()
        assert_free_place(bot, 20)
        node.say("end")
        node.wait_content("end")


@pytest.mark.limit(90)
def test_a_client_that_stands_still_is_noticed(cluster, stubs):
    """Its kernel still answers TCP; only a ping finds out. Nobody talks meanwhile."""
    node = cluster.node(name="ann", args=["--max-clients", "8"])
    child = crowd(cluster, stubs, node, "still", 8, 8, 5)
    join_crowds([child])
    child.signal(signal.SIGSTOP)
    with Bot(node) as bot:
        assert_free_place(bot, 8, seconds=45)


def test_of_many_streams_with_one_id_the_last_remains(cluster):
    node = cluster.node(name="ann")
    bots = [Bot(node) for _ in range(10)]
    streams = []
    for number in range(100):
        streams.append(bots[number % 10].stream("me"))
    codes = []
    for one in streams:
        try:
            one.initial_metadata()
        except grpc.RpcError:
            pass
    node.say("to the one")
    alive = []
    for one in streams:
        try:
            assert next(one).content == "to the one"
            alive.append(one)
        except grpc.RpcError as error:
            codes.append(error.code())
    assert len(alive) == 1
    assert codes == [grpc.StatusCode.ABORTED] * 99
    alive[0].cancel()
    for bot in bots:
        bot.close()


def test_calls_that_are_given_up_leave_nothing_behind(cluster):
    """Deadlines that have passed, cancellations at every moment."""
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        bot.say("first")
        pending = []
        for number in range(sized(3000, 500)):
            call = bot.chat.SendMessage.future(
                bot.pb.MessageRequest(sender="bot", content=f"given up {number}"),
                timeout=0.0005 * (number % 5) if number % 2 else None)
            if number % 2 == 0:
                call.cancel()
            pending.append(call)
        streams = [bot.stream(f"s{number}") for number in range(300)]
        for one in streams:
            one.cancel()
        bot.say("last")
    node.wait_content("last", seconds=20)
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < scaled(3)


def test_calls_whose_request_never_ends_stop_nobody(cluster):
    """More of them than the node keeps places for requests."""
    node = cluster.node(name="ann")
    held = []
    for number in range(5):
        one = h2.connect(node.port)
        one.sendall(h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0))
        path = ("/chat.ChatService/SendMessage", "/chat.ChatService/StreamMessages")[number % 2]
        for stream in range(1, 401, 2):
            one.sendall(h2.frame(h2.HEADERS, h2.END_HEADERS, stream, h2.request_headers(path)))
            if stream % 4 == 1:
                one.sendall(h2.frame(h2.DATA, 0, stream, b"\0\0\0\0\x10abc"))
        held.append(one)
    with Bot(node) as bot:
        stream = bot.stream("still served")
        stream.initial_metadata()
        bot.say("past them")
        assert next(stream).content == "past them"
        stream.cancel()
    started = time.monotonic()
    assert node.stop() == 0
    assert time.monotonic() - started < scaled(5)
    for one in held:
        one.close()


def test_a_node_restarts_under_its_clients(cluster):
    """They are told, and come back by themselves, as gRPC does."""
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        for life in range(3):
            stream = bot.stream("faithful")
            stream.initial_metadata()
            node.say(f"life {life}")
            assert next(stream).content == f"life {life}"
            node.kill() if life == 1 else node.stop()
            with pytest.raises(grpc.RpcError) as ended:
                next(stream)
            assert ended.value.code() == grpc.StatusCode.UNAVAILABLE
            node = cluster.again(node)


# -------------------------------------------------------------------------------- bots and meshes

def test_a_bots_line_shows_at_every_node_once(cluster):
    ann, bob, cyd = cluster.mesh(["ann", "bob", "cyd"])
    count = sized(200, 50)
    with Bot(ann) as bot:
        for number in range(count):
            bot.say(f"bot {number}")
    for node in (ann, bob, cyd):
        node.wait_content(f"bot {count - 1}", seconds=20)
        assert_in_order(node.contents("bot"), "bot", count)


def test_bots_at_every_node_at_once(cluster):
    nodes = cluster.mesh(["ann", "bob", "cyd"])
    count = sized(200, 50)

    def talk(pair):
        name, node = pair
        with Bot(node) as bot:
            for number in range(count):
                bot.say(f"{name} {number}", name)

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        list(pool.map(talk, zip(("b1", "b2", "b3"), nodes)))
    for node in nodes:
        node.wait_messages(3 * count, 30)
        for name in ("b1", "b2", "b3"):
            assert_in_order(node.contents(name), name, count)


def test_a_repeat_with_the_same_id_is_shown_once(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    identity = os.urandom(16)
    with Bot(ann) as bot, Bot(bob) as other:
        for _ in range(3):
            assert bot.say("once", id=identity).success
        bob.wait_content("once")
        assert other.say("once", id=identity).success  # tried again at another node
        other.say("end")
        for node in (ann, bob):
            node.wait_content("end")
            assert node.contents("bot") == ["once", "end"]


def test_the_same_line_without_an_id_is_two_lines(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    with Bot(ann) as bot:
        bot.say("hi")
        bot.say("hi")
        bot.say("end")
    for node in (ann, bob):
        node.wait_content("end")
        assert node.contents("bot") == ["hi", "hi", "end"]


def test_a_client_sees_lines_of_other_nodes(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    with Bot(ann) as bot:
        stream = bot.stream("watcher")
        stream.initial_metadata()
        bob.say("from bob")
        shown = next(stream)
        assert (shown.sender, shown.content) == ("bob", "from bob")
        assert shown.time_ms > 0 and shown.id
        stream.cancel()


def test_clients_come_and_go_while_lines_flow(cluster, stubs):
    """None of those who stay misses a line."""
    node = cluster.node(name="ann")
    count = sized(1500, 200)
    with Bot(node) as bot:
        stream = bot.stream("stays")
        stream.initial_metadata()
        stop = threading.Event()
        comings = [0]

        def flit():
            while not stop.is_set():
                people = h2.Crowd().join(node.port, 5, "flit")
                people.poll(0.01)
                people.leave(reset=comings[0] % 2 == 0)
                people.close()
                comings[0] += 1

        thread = threading.Thread(target=flit, daemon=True)
        thread.start()
        try:
            for start in range(0, count, 50):
                node.say(*(f"ann {number}" for number in range(start, start + 50)))
                node.wait_messages(start + 50, 20)
            assert_in_order([next(stream).content for _ in range(count)], "ann", count)
        finally:
            stop.set()
            thread.join()
        assert comings[0] > 3
        stream.cancel()
