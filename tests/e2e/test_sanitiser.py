"""The tricks of tests/sanitiser/cases.json against real nodes: said by clients, by a hostile node
in its name and its refusals, and typed; looked for on pipes, in the log, in what the commands print,
and on a terminal (its bytes, and what tmux made of them)."""

import concurrent.futures
import json
import re
import time

import grpc
import pexpect
import pytest

import harness
from bots import Bot
from harness import Failed, eventually, scaled, tool
from test_terminal import raw, screen  # noqa: F401 (fixtures)

FILE = harness.PROJECT / "tests" / "sanitiser" / "cases.json"
# What acts on a terminal, or is not to be seen on it at all.
ACTS = re.compile("[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
                  "\ufeff\ufff9-\ufffb\U000e0000-\U000e00ff]")


def unescaped(text):
    out = b""
    for match in re.finditer(r"\\x([0-9a-f]{2})|\\(\\)|([^\\])", text, re.DOTALL):
        out += bytes([int(match[1], 16)]) if match[1] else (match[2] or match[3]).encode()
    return out


def joined(value):
    parts = [value] if isinstance(value, str) else value
    return b"".join(unescaped(part) if isinstance(part, str) else unescaped(part[0]) * part[1]
                    for part in parts)


class Case:
    def __init__(self, row):
        self.name = row["name"]
        self.raw, self.shown = joined(row["raw"]), joined(row["shown"]).decode()
        self.words = {key: row[key] for key in ("does", "source")}
        try:
            self.text = self.raw.decode()
        except UnicodeDecodeError:
            self.text = None  # not UTF-8: no string of protobuf's

    def can_be_said(self):
        return self.text is not None and "\0" not in self.text


CASES = [Case(row) for row in json.loads(FILE.read_text(encoding="utf-8"))]
SAID = [case for case in CASES if case.can_be_said()]
REFUSED = [case for case in CASES if not case.can_be_said()]


def assert_harmless(lines, what):
    for line in lines:
        found = ACTS.search(line)
        if found:
            raise Failed(f"{what}: U+{ord(found[0]):04X} in {ascii(line)[:300]}")


def varint(number):
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def say_bytes(bot, *, sender=b"mal", content=b"hi", timestamp=b""):
    """A request that no library would make. The answer, or (code, words)."""
    call = bot.channel.unary_unary("/chat.ChatService/SendMessage",
                                   request_serializer=lambda data: data,
                                   response_deserializer=lambda data: data)
    try:
        return call(field(1, sender) + field(2, content) + field(3, timestamp),
                    timeout=scaled(10), wait_for_ready=True)
    except grpc.RpcError as error:
        return error.code(), error.details()


def test_cases_say_what_they_do_and_where_they_are_from():
    assert len({case.name for case in CASES}) == len(CASES) >= 100
    for case in CASES:
        assert all(len(words) > 3 for words in case.words.values()), case.name
        assert_harmless([case.shown], case.name)


@pytest.mark.limit(120)
def test_what_is_said_acts_on_no_pipe_and_no_program(cluster):
    """In by SendMessage; out by lines, JSON, another node, a client's stream, the log."""
    ports = [harness.free_port(), harness.free_port()]
    ann = cluster.node(ports[0], ports, "ann", mode="pipe", args=["--log-level", "debug"])
    bob = cluster.node(ports[1], ports, "bob", args=["--log-level", "debug"])
    bob.wait_connected(1)
    with Bot(ann) as bot:
        stream = bot.stream("listener")
        for case in SAID:
            bot.say(case.text, "mal")
        got = [next(stream).content for _ in SAID]
        stream.cancel()
    bob.wait_messages(len(SAID), seconds=30)
    assert got == [case.text for case in SAID], "programs get what was said"
    assert bob.contents("mal") == [case.text for case in SAID]
    ann.wait_for(lambda: len(ann.shown()) >= len(SAID), "all lines", 30)
    assert ann.shown() == [f"mal: {case.shown}" for case in SAID]
    for node in (ann, bob):
        assert_harmless(node.out + node.err, node.label)
    for line in bob.out:
        assert line.isascii()


@pytest.mark.limit(120)
def test_what_is_no_text_is_refused_in_plain_words(cluster):
    node = cluster.node(name="ann", args=["--log-level", "debug"])
    with Bot(node) as bot:
        for case in REFUSED:
            code, words = say_bytes(bot, content=case.raw)
            assert code == grpc.StatusCode.INVALID_ARGUMENT, case.name
            assert_harmless([words], case.name)
        for case in CASES:
            for where in ("sender", "timestamp"):
                answer = say_bytes(bot, **{where: case.raw})
                if isinstance(answer, tuple):
                    assert answer[0] == grpc.StatusCode.INVALID_ARGUMENT, case.name
                    assert_harmless([answer[1]], case.name)
        bot.say("end")
    node.wait_content("end")
    assert_harmless(node.out + node.err, node.label)


@pytest.mark.limit(180)
def test_what_was_said_acts_in_no_history(cluster):
    node = cluster.node(name="ann", mode="pipe")
    with Bot(node) as bot:
        for case in SAID:
            bot.say("word " + case.text, "mal")
    node.wait_for(lambda: len(node.shown()) >= len(SAID), "all lines", 30)
    node.write("/history 50\n/search word\n")
    node.wait_for(lambda: sum(SAID[-1].shown in row for row in node.err) >= 2, "both answers", 30)
    assert_harmless(node.out + node.err, node.label)
    node.stop()
    args = node.data_args()
    for command in (["history", "-n", 1000], ["history", "--json", "-n", 1000],
                    ["search", *args[:1], "word"] if args[0] != "--data" else
                    ["search", *args, "word"], ["export"], ["export", "--json"]):
        arguments = command if command[0] == "search" else [*command, *args]
        _, out, err = tool(*arguments)
        assert out.count("\n") >= 20, command
        assert_harmless(out.rstrip("\n").split("\n") + err.rstrip("\n").split("\n"), str(command))
    shown = tool("history", "-n", 1000, *args)[1].split("\n")
    for case in SAID:
        assert any(row.endswith(f"mal: word {case.shown}") or f"mal: word {case.shown}" in row
                   for row in shown), case.name


class HostileNode:
    """Answers Hello with its name, and everything else with its words."""

    def __init__(self, hello_name=None, words=None):
        import chat_pb2
        self.hello_name, self.words, self.calls = hello_name, words, 0
        handlers = {}
        for service, method, streams in (("ChatService", "SendMessage", False),
                                         ("ChatService", "StreamMessages", True),
                                         ("MeshService", "Hello", False),
                                         ("MeshService", "Link", True)):
            make = (grpc.stream_stream_rpc_method_handler if method == "Link" else
                    grpc.unary_stream_rpc_method_handler if streams else
                    grpc.unary_unary_rpc_method_handler)
            answer = self.hello if method == "Hello" and hello_name is not None else self.refuse
            handlers.setdefault(service, {})[method] = make(
                answer, request_deserializer=lambda data: data,
                response_serializer=lambda message: message)
        self.hello_bytes = field(1, b"0123456789abcdef")
        if hello_name is not None:
            self.hello_bytes = chat_pb2.HelloResponse(
                node_id=b"0123456789abcdef", name="").SerializeToString() + field(2, hello_name)
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        for service, methods in handlers.items():
            self.server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(f"chat.{service}", methods),))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def hello(self, _request, _context):
        self.calls += 1
        return self.hello_bytes

    def refuse(self, _request, context):
        self.calls += 1
        context.abort(grpc.StatusCode.UNAVAILABLE, self.words or "no")


CHOSEN = ("clipboard_write", "title_report", "decrqss", "c1_csi_utf8", "screen_clear",
          "carriage_return_overwrite", "line_feed", "crlf", "bidi_override", "tag_characters",
          "combining_tower", "line_separator", "overlong_escape", "fake_notice")


@pytest.mark.limit(120)
def test_hostile_nodes_names_and_refusals_act_nowhere(cluster):
    """What a node says of itself, and why it refuses, is told on one line, as text."""
    chosen = [case for case in CASES if case.name in CHOSEN]
    assert len(chosen) == len(CHOSEN)
    hostile = [HostileNode(words=case.text) for case in chosen if case.text]
    named = [HostileNode(hello_name=case.raw, words=case.text) for case in chosen]
    try:
        ports = [each.port for each in hostile + named]
        ann = cluster.node(None, ports, "ann", mode="pipe", args=["--log-level", "debug"])
        eventually(lambda: all(each.calls > 1 for each in hostile), "all to be asked", 20)
        eventually(lambda: all(each.calls > 0 for each in named), "all to be asked", 20)
        ann.write("/list\n")
        ann.wait_for(lambda: any(re.match(r"-- connected \d+/\d+$", row) for row in ann.err),
                     "the list", 20)
        time.sleep(0.2)
        ann.write("/quit\n")
        ann.wait()
    finally:
        for each in hostile + named:
            each.server.stop(None)
    assert_harmless(ann.out + ann.err, ann.label)
    notices = [row for row in ann.err if not re.match(r"\d{4}-\d\d-\d\d \S+ \w+: ", row)]
    for each in chosen:
        if each.text and len(each.raw) < 300:  # a reason has its cap
            assert any(each.shown in row for row in notices), f"{each.name} is not told"
    for row in notices:
        assert row.startswith("-- "), f"a line that the node does not say itself: {ascii(row)}"
        assert not re.match(r"-- (bob has left|connected to localhost:1$)|\[16:00:00\]", row), \
            f"a refusal's words make a line: {ascii(row)}"


# What the terminal face says to a terminal itself (VT100; bracketed paste); all else is a leak.
OWN = re.compile(r"\x1b\[(\d*[AC]|J|0m|1m|3[13]m|38;5;\d+m|\?2004[hl])|\r|\n")


@pytest.mark.limit(120)
def test_terminal_gets_no_byte_that_acts(raw):  # noqa: F811
    child = raw("--log-level", "debug", size=(24, 200))
    child.expect_exact("> ")
    with Bot(child.port) as bot:
        for case in SAID:
            bot.say(case.text, "mal")
        bot.say("the end of it")
    child.expect_exact("the end of it")
    seen = child.before.decode("utf-8")
    child.send("/quit\r")
    child.expect(pexpect.EOF)
    seen += child.before.decode("utf-8")
    for case in SAID:
        assert case.shown[:150] in OWN.sub("", seen).replace("    ", "") or len(case.shown) > 150 or \
            "    " in case.shown, case.name
    assert_harmless([OWN.sub("", seen)], "the terminal")


@pytest.mark.limit(120)
def test_terminal_stays_as_it_was(screen):  # noqa: F811
    """What was said and pasted is on the screen as text; title, clipboard and modes are as before."""
    view = screen((120, 40))

    def state():
        return view._tmux("display-message", "-p", "#{pane_title}|#{alternate_on}|#{mouse_any_flag}|"
                          "#{scroll_region_upper}-#{scroll_region_lower}|#{insert_flag}|#{wrap_flag}|"
                          "#{keypad_flag}|#{origin_flag}").strip()
    before = state()
    with Bot(view.port) as bot:
        for case in SAID:
            bot.say(case.text, "mal")
        bot.say("the end of it")
    view.wait_shown("the end of it")
    assert state() == before
    assert view._tmux("list-buffers") == "", "the clipboard was written"
    for name in ("screen_clear", "line_erase", "clipboard_write", "line_feed"):
        case = next(one for one in CASES if one.name == name)
        view.wait_shown(re.escape(f"mal: {case.shown}") + "$")
    for name in ("clipboard_write", "bidi_override", "c1_csi_utf8", "backspace_overstrike"):
        case = next(one for one in CASES if one.name == name)
        view.paste("p " + case.text)
        view.wait(lambda rows, shown=case.shown: any(f"> p {shown}" in row for row in rows),
                  f"{name} in the line being typed")
        view.press("Enter")
        view.wait_shown(re.escape(f"ann: p {case.shown}") + "$")
    assert state() == before
    assert view._tmux("list-buffers") == "", "the clipboard was written"
