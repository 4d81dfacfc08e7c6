"""Row 7: what is wrong from outside gets a clear error, and the node lives."""

import json
import os
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
from harness import CHAT_NODE, Node, assert_memory, eventually, free_port, scaled, sized

USAGE, IN_USE = 2, 3


def run_to_end(cluster, args, folder, env=None, stdin=subprocess.DEVNULL):
    child = cluster.child([CHAT_NODE, *args], cwd=folder, stdin=stdin, env=env, label="chat_node")
    code = child.wait(15)
    return code, "\n".join(child.out), "\n".join(child.err)


# ------------------------------------------------------------------------------------ nodes.json

# name, the file, LINE:COLUMN where the fault is (a pattern), what the words must name
MALFORMED = [
    ("syntax_missing_comma", '[\n {"host": "a", "port": 1}\n {"host": "b", "port": 2}\n]', r"3:\d+",
     r"."),
    ("syntax_cut_off", '[\n {"host": "a", "port": 1},\n', r"[23]:\d+", r"."),
    ("syntax_trailing_comma", '[{"host": "a", "port": 1},]', r"1:\d+", r"."),
    ("syntax_single_quotes", "[{'host': 'a', 'port': 1}]", r"1:\d+", r"."),
    ("trailing_words", '[]\nhello', r"2:\d+", r"."),
    ("two_lists", '[]\n[]', r"2:\d+", r"."),
    ("empty_file", "", r"1:\d+", r"."),
    ("only_spaces", " \n \n", r"\d:\d+", r"."),
    ("an_object", '{"nodes": []}', r"1:1", r"list"),
    ("a_string", '"localhost:50051"', r"1:1", r"list"),
    ("null", "null", r"1:1", r"list"),
    ("entry_is_a_string", '[\n  "localhost:50051"\n]', r"2:3", r"."),
    ("entry_is_a_list", '[\n  ["localhost", 50051]\n]', r"2:3", r"."),
    ("entry_is_null", '[null]', r"1:2", r"."),
    ("host_missing", '[\n  {"port": 50051}\n]', r"2:3", r'"host"'),
    ("port_missing", '[\n  {"host": "a"}\n]', r"2:3", r'"port"'),
    ("entry_is_empty", '[\n  {}\n]', r"2:3", r'"host"|"port"'),
    ("host_is_a_number", '[\n  {"host": 1, "port": 2}\n]', r"2:12", r'"host"'),
    ("host_is_null", '[\n  {"host": null, "port": 2}\n]', r"2:12", r'"host"'),
    ("host_is_empty", '[\n  {"host": "", "port": 2}\n]', r"2:12", r'"host"'),
    ("host_is_too_long", '[\n  {"host": "%s", "port": 2}\n]' % ("a" * 256), r"2:12",
     r'"host".*255'),
    ("host_holds_a_space", '[\n  {"host": "a b", "port": 2}\n]', r"2:12", r'"host"'),
    ("host_holds_a_slash", '[\n  {"host": "http://a", "port": 2}\n]', r"2:12", r'"host"'),
    ("host_holds_a_port", '[\n  {"host": "a:50051", "port": 2}\n]', r"2:12", r'"host"'),
    ("host_holds_a_control", '[\n  {"host": "a\\u001b[31m", "port": 2}\n]', r"2:12", r'"host"'),
    ("host_holds_nul", '[\n  {"host": "a\\u0000b", "port": 2}\n]', r"2:\d+", r"."),
    ("port_is_zero", '[\n  {"host": "a", "port": 0}\n]', r"2:25", r'"port" must be 1\.\.65535.*0'),
    ("port_is_negative", '[\n  {"host": "a", "port": -1}\n]', r"2:25", r'"port" .*65535.*-1'),
    ("port_is_70000", '[\n  {"host": "a", "port": 70000}\n]', r"2:25",
     r'"port" must be 1\.\.65535, not 70000'),
    ("port_is_huge", '[\n  {"host": "a", "port": 99999999999999999999}\n]', r"2:\d+", r"."),
    ("port_wraps", '[\n  {"host": "a", "port": 4294967297}\n]', r"2:25", r'"port"'),
    ("port_is_a_string", '[\n  {"host": "a", "port": "50051"}\n]', r"2:25", r'"port"'),
    ("port_is_a_fraction", '[\n  {"host": "a", "port": 1.5}\n]', r"2:25", r'"port"'),
    ("port_is_true", '[\n  {"host": "a", "port": true}\n]', r"2:25", r'"port"'),
    ("port_twice", '[\n  {"host": "a", "port": 1, "port": 2}\n]', r"2:\d+", r"."),
    ("nul_bytes", b'[\n  {"host": "a\0b", "port": 1}\n]', r"2:\d+", r"."),
    ("invalid_utf8", b'[\n  {"host": "\xff\xfe", "port": 1}\n]', r"2:\d+", r"."),
    ("utf16", '[{"host": "a", "port": 1}]'.encode("utf-16"), r"1:\d+", r"."),
    ("too_many", json.dumps([{"host": "a", "port": n} for n in range(1, 259)]), r"\d+:\d+", r"256"),
    ("deep", "[" * 100000, r"1:\d+", r"."),
    ("binary", bytes(range(256)) * 16, r"\d+:\d+", r"."),
]


@pytest.mark.parametrize("text,place,words", [row[1:] for row in MALFORMED],
                         ids=[row[0] for row in MALFORMED])
def test_a_malformed_nodes_json_is_refused(cluster, text, place, words):
    port = free_port()
    folder = cluster.folder_for(port)
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "nodes.json").write_bytes(data)
    code, out, err = run_to_end(cluster, [str(port)], folder)
    assert code == USAGE, err
    assert out == ""
    first = re.search(r"(?m)^(?:chat_node: )?nodes\.json:(\d+:\d+): (.+)$", err)
    assert first, err
    assert re.fullmatch(place, first.group(1)), err
    assert re.search(words, first.group(2)), err
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", err), "control characters reach the screen"
    assert len(err) < 2000, "an endless complaint"
    assert (folder / "nodes.json").read_bytes() == data, "the file was changed"


def test_a_huge_nodes_json_is_refused_quickly(cluster):
    port = free_port()
    folder = cluster.folder_for(port)
    with open(folder / "nodes.json", "wb") as file:
        file.write(b"[")
        file.truncate(8 << 30)  # sparse
    started = time.monotonic()
    code, _, err = run_to_end(cluster, [str(port)], folder)
    assert code == USAGE
    assert "nodes.json" in err
    assert time.monotonic() - started < scaled(5)


def test_a_nodes_json_that_is_a_folder_is_refused(cluster):
    port = free_port()
    folder = cluster.folder_for(port)
    (folder / "nodes.json").mkdir()
    code, _, err = run_to_end(cluster, [str(port)], folder)
    assert code == USAGE
    assert "nodes.json" in err and re.search("(?i)directory|folder|regular", err)


def test_a_nodes_json_that_never_ends_is_refused(cluster):
    port = free_port()
    code, _, err = run_to_end(cluster, [str(port), "/dev/zero"], cluster.folder_for(port))
    assert code == USAGE
    assert "/dev/zero" in err


def test_a_nodes_json_may_be_a_pipe(cluster):
    """chat_node 50051 <(make_list)"""
    port = free_port()
    folder = cluster.folder_for(port)
    os.mkfifo(folder / "list")
    ann = cluster.node(port, None, "ann", nodes="list", wait=False)
    (folder / "list").write_text('[{"host": "localhost", "port": 1}]')
    ann.wait_listening()
    assert ann.list()["total"] == 1


def test_an_unreadable_nodes_json_is_refused(cluster):
    """As root every file is readable: /proc/self/mem fails when it is read, root or not."""
    port = free_port()
    folder = cluster.folder_for(port)
    path = folder / "nodes.json"
    if os.geteuid() == 0:
        path.symlink_to("/proc/self/mem")
    else:
        path.write_text("[]")
        path.chmod(0)
    code, _, err = run_to_end(cluster, [str(port)], folder)
    assert code == USAGE
    assert "nodes.json" in err


def test_a_nodes_json_that_cannot_be_made_is_said_and_the_usual_three_are_used(cluster):
    ann = cluster.node(peers=None, name="ann", nodes="no-such-folder/nodes.json")
    assert [entry["port"] for entry in ann.list()["nodes"]] == [50051, 50052, 50053]
    said = "\n".join([one["text"] for one in ann.notices] + ann.err)
    assert "no-such-folder/nodes.json" in said


def start_with(cluster, data):
    port = free_port()
    folder = cluster.folder_for(port)
    (folder / "nodes.json").write_bytes(data if isinstance(data, bytes) else data.encode())
    return cluster.node(port, None, "ann")


def test_an_empty_list_is_fine(cluster):
    node = start_with(cluster, "[]")
    assert node.list()["total"] == 0
    node.say("alone")
    node.wait_content("alone")


def test_an_unknown_key_is_warned_about(cluster):
    node = start_with(cluster, '[\n {"host": "localhost", "port": 1, "prot": 2, "comment": ""}]')
    state = node.list()
    assert [entry["port"] for entry in state["nodes"]] == [1]
    said = "\n".join([one["text"] for one in node.notices] + node.err)
    assert re.search(r'nodes\.json:2:\d+: .*"prot"', said), said
    assert '"comment"' in said


def test_duplicates_are_joined(cluster):
    node = start_with(cluster, json.dumps([{"host": "localhost", "port": 1}] * 3
                                          + [{"host": "LOCALHOST", "port": 1}]
                                          + [{"host": "localhost", "port": 2}]))
    assert [entry["port"] for entry in node.list()["nodes"]] == [1, 2]


@pytest.mark.parametrize("data", [
    b'\xef\xbb\xbf[{"host": "localhost", "port": 1}]',
    b'[\r\n{"host": "localhost", "port": 1}\r\n]\r\n',
    b'\n\n[{"host":"localhost","port":1}]\n\n',
    b'[{"port": 1, "host": "loc\\u0061lhost"}]',
], ids=["byte_order_mark", "crlf", "blank_lines", "escapes"])
def test_what_editors_make_of_a_file_is_read(cluster, data):
    node = start_with(cluster, data)
    assert [(entry["host"], entry["port"]) for entry in node.list()["nodes"]] == [("localhost", 1)]


def test_the_greatest_number_of_nodes_is_accepted(cluster):
    node = start_with(cluster, json.dumps([{"host": f"127.0.{n // 100}.{n % 100 + 1}", "port": 1}
                                           for n in range(256)]))
    assert node.list()["total"] == 256
    node.say("still here")
    node.wait_content("still here")
    eventually(lambda: all(entry["reason"] for entry in node.list()["nodes"]), "all to fail", 20,
               0.2)


# ------------------------------------------------------------------------------------- arguments

WRONG_ARGUMENTS = [
    ("none", []),
    ("port_zero", ["0"]),
    ("port_70000", ["70000"]),
    ("port_negative", ["--", "-1"]),
    ("port_word", ["http"]),
    ("port_trailing", ["50051x"]),
    ("port_empty", [""]),
    ("port_space", [" 50051"]),
    ("port_fraction", ["50051.5"]),
    ("port_hex", ["0xC383"]),
    ("port_plus", ["+50051"]),
    ("port_huge", ["99999999999999999999999"]),
    ("three_arguments", ["PORT", "nodes.json", "more"]),
    ("unknown_option", ["--frobnicate", "PORT"]),
    ("name_empty", ["--name", "", "PORT"]),
    ("name_too_long", ["--name", "a" * 65, "PORT"]),
    ("name_with_newline", ["--name", "a\nb", "PORT"]),
    ("name_with_escape", ["--name", "a\x1b[31m", "PORT"]),
    ("name_not_utf8", ["--name", b"\xff\xfe", "PORT"]),
    ("name_missing", ["PORT", "--name"]),
    ("listen_nonsense", ["--listen", "not an address", "PORT"]),
    ("listen_empty", ["--listen", "", "PORT"]),
    ("log_level_unknown", ["--log-level", "loud", "PORT"]),
    ("max_clients_word", ["--max-clients", "many", "PORT"]),
    ("max_clients_negative", ["--max-clients", "-1", "PORT"]),
    ("json_and_headless_input", ["--max-clients", "", "PORT"]),
]


@pytest.mark.parametrize("args", [row[1] for row in WRONG_ARGUMENTS],
                         ids=[row[0] for row in WRONG_ARGUMENTS])
def test_wrong_arguments_end_with_2(cluster, args):
    port = free_port()
    folder = cluster.folder_for(port)
    (folder / "nodes.json").write_text("[]")
    argv = [CHAT_NODE] + [os.fsdecode(str(port) if part == "PORT" else part) for part in args]
    done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=scaled(15))
    err = done.stderr.decode("utf-8", "backslashreplace")
    assert done.returncode == USAGE, (done.returncode, err)
    assert err.strip() and done.stdout == b""
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", err)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.2"])
def test_listening_beyond_loopback_needs_insecure(cluster, address):
    port = free_port()
    folder = cluster.folder_for(port)
    (folder / "nodes.json").write_text("[]")
    code, _, err = run_to_end(cluster, ["--listen", address, str(port)], folder)
    assert code == USAGE
    assert "--insecure" in err


@pytest.mark.parametrize("address,others", [("127.0.0.2", ["127.0.0.1", "::1"]),
                                            ("127.0.0.1", ["::1"]), ("::1", ["127.0.0.1"])])
def test_it_listens_where_it_is_told_and_nowhere_else(cluster, address, others):
    node = cluster.node(name="ann", args=["--listen", address])
    with socket.create_connection((address, node.port), 5):
        pass
    for other in others:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((other, node.port), 5)
    peer = cluster.node(peers=[{"host": address, "port": node.port}], name="bob")
    peer.wait_connected(1)


def test_insecure_listens_everywhere(cluster):
    node = cluster.node(name="ann", args=["--listen", "0.0.0.0", "--insecure"])
    peer = cluster.node(peers=[node.port], name="bob")
    peer.wait_connected(1)
    peer.say("hello")
    node.wait_content("hello")


def test_help_and_version_say_so_and_end_with_0(cluster):
    folder = cluster.folder_for(1)
    code, out, _ = run_to_end(cluster, ["--help"], folder)
    assert code == 0
    for option in ("PORT", "--name", "--listen", "--insecure", "--headless", "--json",
                   "--no-color", "--log-level", "--max-clients", "--version"):
        assert option in out
    code, out, _ = run_to_end(cluster, ["--version"], folder)
    assert code == 0 and re.search(r"chat_node \d+\.\d+", out)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("holder", ["node", "ipv4", "ipv6"])
def test_an_address_in_use_ends_with_3(cluster, holder):
    if holder == "node":
        port = cluster.node(name="ann").port
    else:
        port = free_port()
        family, address = (socket.AF_INET, "127.0.0.1") if holder == "ipv4" else (
            socket.AF_INET6, "::1")
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            held.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        held.bind((address, port))
        held.listen()
    folder = cluster.folder_for(port)
    (folder / "nodes.json").write_text("[]")
    code, _, err = run_to_end(cluster, [str(port)], folder)
    assert code == IN_USE, err
    assert str(port) in err
    if holder == "node":
        node = cluster.children[0]
        node.say("mine")
        node.wait_content("mine")
    else:
        held.close()


def test_a_node_listens_again_at_once_after_it_was_killed(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    ann.kill()
    again = cluster.again(ann)
    again.wait_connected(1)


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
