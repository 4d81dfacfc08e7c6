"""Row 7: what a node is started with: a nodes.json or an argument that is wrong gets a clear error,
one that is right is taken."""

import json
import os
import re
import socket
import subprocess
import time

import pytest

from harness import CHAT_NODE, eventually, free_port, scaled

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
