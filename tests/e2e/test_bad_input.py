"""Row 7: what is wrong from outside gets a clear error, and the node lives."""

import random
import re
import socket
import struct
import subprocess
import time

import grpc
import pytest

import h2
import harness
from bots import Bot
from harness import Node, assert_memory, eventually, free_port, scaled, sized

# -------------------------------------------------------------------------------- bad messages

INVALID = [
    ("empty_content", dict(content=""), "content"),
    ("content_too_long", dict(content="x" * 8193), "8192"),
    ("content_too_long_utf8", dict(content="é" * 4097), "8192"),
    ("sender_empty", dict(sender=""), "sender"),
    ("sender_too_long", dict(sender="x" * 65), "sender.*64"),
    ("sender_with_newline", dict(sender="a\nb"), "sender"),
    ("sender_with_escape", dict(sender="a\x1b[31m"), "sender"),
    ("sender_with_nul", dict(sender="a\0b"), "sender"),
    ("sender_with_c1", dict(sender="a\x9b31m"), "sender"),
    ("sender_with_del", dict(sender="a\x7f"), "sender"),
    ("sender_with_override", dict(sender="a\u202eb"), "sender"),
    ("timestamp_too_long", dict(timestamp="1" * 65), "timestamp"),
    ("timestamp_with_escape", dict(timestamp="\x1b[2J"), "timestamp"),
    ("id_too_long", dict(id=b"x" * 33), "id"),
    ("time_negative", dict(time_ms=-1), "time"),
    ("time_absurd", dict(time_ms=1 << 62), "time"),
    ("sender_blank", dict(sender="  "), "sender"),
    ("content_with_nul", dict(content="a\0b"), "content"),
]


@pytest.mark.parametrize("fields,words", [row[1:] for row in INVALID],
                         ids=[row[0] for row in INVALID])
def test_an_invalid_message_is_refused_with_words(cluster, fields, words):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        code, details = bot.refused(**fields)
        assert code == grpc.StatusCode.INVALID_ARGUMENT, details
        assert re.search(words, details), details
        assert len(details) > 10
        bot.say("good")
    node.wait_content("good")
    assert node.contents() == ["good"]


@pytest.mark.parametrize("fields", [
    dict(content="x" * 8192), dict(sender="x" * 64), dict(content="\x1b[31mred\x07"),
    dict(content="two\nlines"), dict(content="\u202eevil"), dict(id=b"x" * 32),
    dict(timestamp="2026-11-22T16:00:00.123456789+05:30"), dict(sender="日本"),
], ids=["longest_content", "longest_sender", "escapes", "newline", "override", "longest_id",
        "iso_timestamp", "wide_sender"])
def test_a_valid_message_is_taken_and_shown_safely(cluster, fields):
    node = cluster.node(name="ann", mode="pipe")
    with Bot(node) as bot:
        bot.say(**{"content": "hi", **fields})
        bot.say("end")
    node.wait_shown("bot: end")
    assert len(node.shown()) == 2
    for line in node.out:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", line)


def raw_call(channel, method, payload):
    call = channel.unary_unary(method, request_serializer=lambda b: b,
                               response_deserializer=lambda b: b)
    try:
        return grpc.StatusCode.OK, call(payload, timeout=scaled(10), wait_for_ready=True)
    except grpc.RpcError as error:
        return error.code(), error.details()


RAW = [
    ("not_a_message", b"\xff" * 50),
    ("cut_off", b"\x0a\x10abc"),
    ("wrong_types", b"\x08\x01\x10\x02"),
    ("sender_not_utf8", b"\x0a\x02\xff\xfe\x12\x02hi"),
    ("content_not_utf8", b"\x0a\x01a\x12\x02\xc0\x80"),
    ("surrogate", b"\x0a\x01a\x12\x03\xed\xa0\x80"),
    ("nothing", b""),
    ("length_overflow", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    ("deep_groups", b"\x0b" * 20000),
]


@pytest.mark.parametrize("payload", [row[1] for row in RAW], ids=[row[0] for row in RAW])
def test_bytes_that_are_no_message_are_refused(cluster, payload):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        code, details = raw_call(bot.channel, "/chat.ChatService/SendMessage", payload)
        assert code == grpc.StatusCode.INVALID_ARGUMENT, details
        assert details
        bot.say("good")
    node.wait_content("good")
    assert node.contents() == ["good"]


def test_a_message_past_every_bound_is_refused(cluster):
    node = cluster.node(name="ann")
    before = node.rss_kib()
    with Bot(node) as bot:
        for size in (1 << 17, 1 << 20, 1 << 24):
            code, details = bot.refused("x" * size)
            assert code in (grpc.StatusCode.INVALID_ARGUMENT,
                            grpc.StatusCode.RESOURCE_EXHAUSTED), (size, code, details)
        bot.say("good")
    node.wait_content("good")
    assert_memory(lambda: node.rss_kib() - before, 40 * 1024, "growth")


@pytest.mark.parametrize("fields,words", [
    (dict(client_id="x" * 65), "client_id"), (dict(client_id="a\x1b"), "client_id"),
    (dict(node_id=b"short"), "node_id"),
], ids=["long_id", "control_in_id", "short_node_id"])
def test_an_invalid_stream_request_is_refused_with_words(cluster, fields, words):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        with pytest.raises(grpc.RpcError) as ended:
            next(bot.stream(**fields))
        assert ended.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert re.search(words, ended.value.details())


@pytest.mark.parametrize("node_id", [b"", b"short", b"x" * 17])
def test_an_invalid_hello_is_refused(cluster, node_id):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        with pytest.raises(grpc.RpcError) as ended:
            bot.mesh.Hello(bot.pb.HelloRequest(node_id=node_id, name="x"), timeout=scaled(10))
        assert ended.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        answer = bot.mesh.Hello(bot.pb.HelloRequest(node_id=b"x" * 16, name="x"),
                                timeout=scaled(10))
        assert len(answer.node_id) == 16 and answer.name == "ann"


@pytest.mark.parametrize("method", ["/chat.ChatService/Nothing", "/other.Service/SendMessage",
                                    "/grpc.reflection.v1alpha.ServerReflection/X", "/", "/x" * 500])
def test_an_unknown_method_is_unimplemented(cluster, method):
    node = cluster.node(name="ann")
    with Bot(node) as bot:
        code, _ = raw_call(bot.channel, method, b"\x0a\x01a\x12\x01b")
        assert code == grpc.StatusCode.UNIMPLEMENTED
        bot.say("good")
    node.wait_content("good")


def test_hostile_lines_are_escaped_in_the_json(cluster):
    """Programs get what was said; a screen that shows the bytes gets nothing that acts."""
    node = cluster.node(name="ann")
    hostile = "a\x1b]0;title\x07b\u202ec\x9bd\r\ne\u2028f\x7fg"
    with Bot(node) as bot:
        bot.say(hostile)
        bot.say("end")
    node.wait_content("end")
    assert node.contents() == [hostile, "end"]
    for line in node.out:
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", line), ascii(line)


# ------------------------------------------------------------------------------------- raw bytes

def oversized_frame():
    return h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + struct.pack(">IBI", 0xffffff << 8 | h2.DATA,
                                                                0, 1) + b"x" * 200000


def header_bomb():
    block = h2.request_headers("/chat.ChatService/SendMessage") + b"".join(
        b"\x40\x7e" + b"n" * 100 + b"%026d" % n + b"\x7e" + b"v" * 126 for n in range(100))
    parts = [block[at:at + 16000] for at in range(0, len(block), 16000)]
    out = h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + h2.frame(h2.HEADERS, 0, 1, parts[0])
    for _ in range(50):
        out += h2.frame(h2.CONTINUATION, 0, 1, block[:16000])
    return out


def rapid_reset():
    out = h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
    for stream in range(1, 2001, 2):
        out += h2.frame(h2.HEADERS, h2.END_HEADERS, stream,
                        h2.request_headers("/chat.ChatService/StreamMessages"))
        out += h2.frame(h2.RST_STREAM, 0, stream, struct.pack(">I", 8))
    return out


def lying_length():
    """A gRPC message that promises 4 GiB."""
    return (h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
            + h2.frame(h2.HEADERS, h2.END_HEADERS, 1,
                       h2.request_headers("/chat.ChatService/SendMessage"))
            + h2.frame(h2.DATA, 0, 1, b"\0\xff\xff\xff\xff" + b"x" * 100))


def ping_flood():
    return h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) + h2.frame(h2.PING, 0, 0, b"12345678") * 20000


def settings_flood():
    return h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0) * 20000


GARBAGE = {
    "random_bytes": lambda: random.Random(1).randbytes(100000),
    "zeros": lambda: b"\0" * 100000,
    "http_1_1": lambda: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "http_1_1_post": lambda: b"POST /chat.ChatService/SendMessage HTTP/1.1\r\nHost: a\r\n"
                             b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000,
    "tls_hello": lambda: bytes.fromhex("16030100a5010000a10303") + b"\x11" * 160,
    "half_a_preface": lambda: h2.PREFACE[:11],
    "preface_only": lambda: h2.PREFACE,
    "frames_without_settings": lambda: h2.PREFACE + h2.open_stream_bytes("x"),
    "oversized_frame": oversized_frame,
    "data_on_no_stream": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                                 + h2.frame(h2.DATA, 0, 0, b"x") + h2.frame(h2.DATA, 1, 99, b"x"),
    "broken_headers": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                              + h2.frame(h2.HEADERS, 4, 1, b"\xff" * 100),
    "header_bomb": header_bomb,
    "continuation_for_ever": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                             + h2.frame(h2.HEADERS, 0, 1, b"") + h2.frame(9, 0, 1, b"") * 20000,
    "rapid_reset": rapid_reset,
    "lying_length": lying_length,
    "window_overflow": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                               + h2.frame(h2.WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 3,
    "ping_flood": ping_flood,
    "settings_flood": settings_flood,
    "push_promise": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                            + h2.frame(h2.PUSH, 4, 1, b"\0\0\0\2"),
    "unknown_frames": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                              + b"".join(h2.frame(kind, 255, 0, b"x" * 100)
                                         for kind in range(10, 256)),
    "compressed_nonsense": lambda: h2.PREFACE + h2.frame(h2.SETTINGS, 0, 0)
                                   + h2.frame(h2.HEADERS, 4, 1, h2.request_headers(
                                       "/chat.ChatService/SendMessage")
                                       + h2._literal("grpc-encoding", "gzip"))
                                   + h2.frame(h2.DATA, 1, 1, b"\1\0\0\0\5xxxxx"),
}


def pour(port, data, wait_for_end=True):
    """Sends as much as is taken, then reads what comes, for a moment."""
    one = h2.connect(port)
    try:
        one.sendall(data)
    except OSError:
        pass
    try:
        one.shutdown(socket.SHUT_WR)
        one.settimeout(scaled(2))
        while wait_for_end and one.recv(1 << 16):
            pass
    except OSError:
        pass
    one.close()


@pytest.fixture(scope="module")
def garbage_cluster(tmp_path_factory):
    """One mesh of two for the whole table: what one row breaks the next rows see."""
    cluster = harness.Cluster(tmp_path_factory.mktemp("garbage"))
    ann, bob = cluster.mesh(["ann", "bob"])
    yield cluster, ann, bob
    complaints = cluster.stop_all()
    assert not complaints, complaints


def assert_chats(ann, bob, text):
    ann.say(f"{text} there")
    bob.wait_content(f"{text} there")
    bob.say(f"{text} and back")
    ann.wait_content(f"{text} and back")
    with Bot(ann) as bot:
        stream = bot.stream("check")
        stream.initial_metadata()
        bot.say(f"{text} by bot")
        assert next(stream).content == f"{text} by bot"
        stream.cancel()


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_on_the_port_is_survived(garbage_cluster, request, name):
    cluster, ann, bob = garbage_cluster
    request.node.cluster = cluster
    before = ann.rss_kib()
    data = GARBAGE[name]()
    for _ in range(3):
        pour(ann.port, data)
    assert_chats(ann, bob, name)
    # A flood in one write is worked through in one go before it is judged: 5 MB of pings cost most.
    assert_memory(lambda: ann.rss_kib() - before, 80 * 1024, "growth")


def test_valid_bytes_one_at_a_time_are_understood(garbage_cluster, request):
    cluster, ann, bob = garbage_cluster
    request.node.cluster = cluster
    slow = h2.Client(ann.port, "slow-typist", step=1)
    slow.until(lambda: slow.opened, "its stream to open", scaled(10))
    ann.say("to the slow typist")
    slow.until(lambda: slow.messages == 1, "its line", scaled(10))
    slow.close()
    assert_chats(ann, bob, "one at a time")


@pytest.mark.limit(120)
def test_ten_thousand_connections_opened_and_abandoned(garbage_cluster, request, show):
    """Some closed, some reset, some left open in batches; some said nothing, some half a word,
    some opened a stream."""
    cluster, ann, bob = garbage_cluster
    request.node.cluster = cluster
    before_kib, before_fds = ann.rss_kib(), ann.descriptors()
    words = [b"", b"P", h2.PREFACE[:10], h2.PREFACE, h2.hello_bytes("abandoned"),
             b"GET / HTTP/1.1\r\n\r\n"]
    total, batch = sized(10000, 2000), 250
    started = time.monotonic()
    for start in range(0, total, batch):
        left_open = []
        for number in range(start, start + batch):
            one = h2.connect(ann.port)
            try:
                one.sendall(words[number % len(words)])
            except OSError:
                pass
            if number % 4 == 0:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.close()
            elif number % 4 == 1:
                one.close()
            else:
                left_open.append(one)
        if start % 2000 == 0:
            ann.say(f"during {start}")
            bob.wait_content(f"during {start}")
        for one in left_open:
            one.close()
    took = time.monotonic() - started
    eventually(lambda: ann.descriptors() <= before_fds + 5,
               lambda: f"the connections to be gone: {ann.descriptors()} descriptors, "
                       f"{before_fds} before", 30, 0.1)
    show(f"{total} connections abandoned in {took:.1f} s; {before_kib} KiB before, "
         f"{ann.rss_kib()} KiB after")
    assert_memory(lambda: ann.rss_kib() - before_kib, 64 * 1024, "growth")
    assert_chats(ann, bob, "after the crowd")


def test_many_connections_left_open_do_not_stop_the_chat(garbage_cluster, request):
    cluster, ann, bob = garbage_cluster
    request.node.cluster = cluster
    held = [h2.connect(ann.port) for _ in range(sized(1000, 300))]
    assert_chats(ann, bob, "beside silent ones")
    for one in held:
        one.close()


def test_a_node_out_of_descriptors_lives(cluster):
    """It answers again when there are some."""
    port = free_port()
    folder = cluster.folder_for(port)
    (folder / "nodes.json").write_text("[]")
    ann = Node(port, folder, name="ann")
    cluster.add(ann)
    ann.wait_listening()
    subprocess.run(["prlimit", f"--pid={ann.pid}", "--nofile=64:64"], check=True)
    before = ann.cpu_seconds()
    held = []
    for _ in range(100):
        try:
            held.append(h2.connect(port, timeout=1))
        except OSError:
            break
    ann.say("beside a crowd at the door")
    ann.wait_content("beside a crowd at the door")
    for one in held:
        one.close()
    with Bot(ann) as bot:
        bot.say("and after", seconds=20)
    ann.wait_content("and after")
    assert ann.cpu_seconds() - before < 5 * scaled(1)
