"""Without a terminal: pipes, files, --headless, --json."""

import json
import re
import signal
import subprocess
import time

import pytest

from bots import Bot
from harness import (CHAT_NODE, LINE, assert_in_order, assert_memory, eventually, free_port,
                     is_listening, scaled, sized)


# -------------------------------------------------------------------------------- end of input

def test_at_the_end_of_input_what_is_pending_is_delivered(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    pipe = cluster.node(peers=[ann.port, bob.port], name="pip", mode="pipe")
    count = sized(1000, 100)
    pipe.write("".join(f"pip {number}\n" for number in range(count)))
    pipe.close_stdin()
    assert pipe.wait(20) == 0
    for node in (ann, bob):
        node.wait_content(f"pip {count - 1}")
        assert_in_order(node.contents("pip"), "pip", count)


def test_a_one_shot_that_has_not_connected_yet_delivers(cluster):
    """echo hi | chat_node ...: the end of input comes before the first link is up."""
    ann = cluster.node(name="ann")
    port = free_port()
    cluster.write_nodes(port, [ann.port])
    one_shot = cluster.node(port, None, "pip", mode="pipe", wait=False)
    one_shot.write("hi\n")
    one_shot.close_stdin()
    assert one_shot.wait(15) == 0
    ann.wait_content("hi")


def test_the_last_line_needs_no_newline(cluster):
    ann = cluster.node(name="ann")
    pipe = cluster.node(peers=[ann.port], name="pip", mode="pipe", wait=False)
    pipe.write("first\nlast without newline")
    pipe.close_stdin()
    assert pipe.wait(15) == 0
    ann.wait_content("last without newline")
    assert ann.contents() == ["first", "last without newline"]


def test_empty_lines_are_not_sent(cluster):
    ann = cluster.node(name="ann")
    pipe = cluster.node(peers=[ann.port], name="pip", mode="pipe", wait=False)
    pipe.write("\n\none\n\r\n\ntwo\r\n")
    pipe.close_stdin()
    assert pipe.wait(15) == 0
    ann.wait_content("two")
    assert ann.contents() == ["one", "two"]


def test_what_one_other_node_has_is_delivered(cluster):
    """It passes the lines on: nobody has to wait for the one that is away."""
    gone = free_port()
    ann = cluster.node(name="ann")
    pipe = cluster.node(peers=[gone, ann.port], name="pip", mode="pipe")
    pipe.write("one\ntwo\nthree\n")
    pipe.close_stdin()
    assert pipe.wait(15) == 0
    assert not any("disk only" in line or "delivered" in line for line in pipe.err), pipe.err
    ann.wait_content("three")


def test_lines_that_no_other_node_has_are_said_end_with_1_and_go_out_later(cluster):
    gone = free_port()
    pipe = cluster.node(peers=[gone], name="pip", mode="pipe")
    pipe.write("one\ntwo\nthree\n")
    started = time.monotonic()
    pipe.close_stdin()
    assert pipe.wait(15) == 1
    assert time.monotonic() - started < scaled(8)
    assert any("3 lines are on this node's disk only" in line for line in pipe.err), pipe.err
    ann = cluster.node(gone, [pipe.port], "ann")
    cluster.again(pipe)
    ann.wait_content("three")
    assert ann.contents() == ["one", "two", "three"]


def test_what_a_classic_node_did_not_get_is_said_and_ends_with_1(cluster):
    ann = cluster.node(name="ann")
    carl = cluster.classic(name="carl")
    pipe = cluster.node(peers=[carl.port, ann.port], name="pip", mode="pipe")
    pipe.wait_for(lambda: any(f"connected to localhost:{carl.port}" in line for line in pipe.err),
                  "carl", 15)
    carl.kill()
    pipe.wait_for(lambda: any(f"lost localhost:{carl.port}" in line for line in pipe.err),
                  "it to be noticed", 15)
    pipe.write("one\ntwo\nthree\n")
    pipe.close_stdin()
    assert pipe.wait(15) == 1
    said = "\n".join(pipe.err)
    assert re.search(rf"3 lines were not delivered to localhost:{carl.port}", said), said
    ann.wait_content("three")


def test_with_nobody_to_send_to_the_end_of_input_ends_with_0(cluster):
    pipe = cluster.node(name="pip", mode="pipe", wait=False)
    pipe.write("alone\n")
    pipe.close_stdin()
    assert pipe.wait() == 0
    assert [line.split("] ", 1)[1] for line in pipe.out] == ["pip: alone"]


def test_a_file_as_input(cluster, tmp_path):
    ann = cluster.node(name="ann")
    count = sized(3000, 300)
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"pip {number}\n" for number in range(count)), "utf-8")
    with open(path, "rb") as file:
        pipe = cluster.node(peers=[ann.port], name="pip", mode="pipe", wait=False, stdin=file)
        assert pipe.wait(60) == 0
    ann.wait_content(f"pip {count - 1}")
    assert_in_order(ann.contents("pip"), "pip", count)


def test_no_input_at_all(cluster):
    """< /dev/null: it ends at once, as any filter would."""
    pipe = cluster.node(name="pip", mode="pipe", wait=False, stdin=subprocess.DEVNULL)
    assert pipe.wait() == 0


def test_more_than_a_queue_full_from_a_pipe_reaches_a_peer_that_is_there(cluster):
    """The reader waits for the peer instead of refusing lines."""
    ann = cluster.node(name="ann")
    pipe = cluster.node(peers=[ann.port], name="pip", mode="pipe", wait=False)
    count = sized(5000, 2500)
    pipe.write("".join(f"pip {number}\n" for number in range(count)))
    pipe.close_stdin()
    assert pipe.wait(60) == 0
    ann.wait_content(f"pip {count - 1}")
    assert_in_order(ann.contents("pip"), "pip", count)


# ----------------------------------------------------------------------------------- the output

def test_messages_on_stdout_all_else_on_stderr(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.write("hello\n/me waves\n/list\n/nonsense\n//literal\n/help\n")
    for node in (ann, bob):
        node.wait_shown("ann: /literal")
    ann.wait_for(lambda: any("/nonsense" in line for line in ann.err), "an error")
    ann.wait_for(lambda: any(f"localhost:{bob.port}" in line for line in ann.err), "its list")
    for node in (ann, bob):
        assert node.shown() == ["ann: hello", "* ann waves", "ann: /literal"]
        assert len(node.out) == 3 and all(LINE.match(line) for line in node.out)
        assert all(line.startswith("-- ") for line in node.err), node.err
        assert not re.search("\x1b", "".join(node.out + node.err))


def test_quit_from_a_pipe(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.wait_for(lambda: any("connected to" in line for line in ann.err), "its peer", 15)
    ann.write("bye\n/quit\nnot sent\n")
    assert ann.wait() == 0
    bob.wait_shown("ann: bye")
    bob.write("end\n")
    bob.wait_shown("bob: end")
    assert bob.shown() == ["ann: bye", "bob: end"]


def test_an_over_long_line_is_refused_and_the_next_is_sent(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.write("x" * 8193 + "\nnext\n")
    bob.wait_shown("ann: next")
    assert bob.shown() == ["ann: next"]
    ann.wait_for(lambda: any("8192" in line for line in ann.err), "an error")


def test_a_line_without_end_does_not_grow_memory(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.write("start\n")
    bob.wait_shown("ann: start")
    before = ann.rss_kib()
    for _ in range(64):
        ann.write("y" * (1 << 20))
    ann.write("\nnext\n")
    bob.wait_shown("ann: next", seconds=20)
    assert_memory(lambda: ann.rss_kib() - before, 16 * 1024, "growth")
    assert bob.shown() == ["ann: start", "ann: next"]
    ann.wait_for(lambda: any("8192" in line for line in ann.err), "an error")
    assert len([line for line in ann.err if "8192" in line]) == 1, ann.err


def test_input_that_is_not_utf8_is_refused_and_the_next_is_sent(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.write(b"\xff\xfe\xc3\nnext\n")
    bob.wait_shown("ann: next")
    assert bob.shown() == ["ann: next"]
    ann.wait_for(lambda: any("UTF-8" in line for line in ann.err), "an error")


def test_nul_bytes_in_the_input(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.write(b"a\0b\nnext\n")
    bob.wait_shown("ann: next")
    assert not any("\0" in line for line in bob.out + ann.out)


def test_a_reader_that_pauses_delays_nobody_and_may_go_on(cluster, show):
    """bob's standard output stands still; ann and bob's other clients do not notice."""
    ann = cluster.node(name="ann")
    bob = cluster.node(peers=[ann.port], name="bob", mode="headless", read_stdout=False)
    cluster.write_nodes(ann.port, [bob.port])
    cyd = cluster.node(peers=[bob.port], name="cyd")
    cyd.wait_connected(1)
    before = bob.rss_kib()
    with Bot(bob) as bot:
        stream = bot.stream("watcher")
        stream.initial_metadata()
        count = 2000
        for start in range(0, count, 500):
            cyd.say(*(f"cyd {number}" for number in range(start, start + 500)))
            for number in range(start, start + 500):
                assert next(stream).content == f"cyd {number}"
        padding = "x" * 8000
        for number in range(1500):  # 12 MB more than any pipe holds
            bot.say(f"{number} {padding}")
            next(stream)
        stream.cancel()
    grown = bob.rss_kib() - before
    show(f"12 MB past a standing standard output: {grown} KiB more")
    assert_memory(lambda: grown, 48 * 1024, "growth")
    bob.start_reading_stdout()
    cyd.say("read on")
    bob.wait_shown("cyd: read on", seconds=20)
    assert_in_order([line[5:] for line in bob.shown() if line.startswith("cyd: cyd ")][:100], "cyd",
                    100)


def test_lines_a_standing_reader_missed_are_counted(cluster):
    node = cluster.node(name="ann", read_stdout=False)
    with Bot(node) as bot:
        for number in range(1500):
            bot.say(f"{number:04} " + "x" * 8000)
    node.start_reading_stdout()
    node.command("/list")
    node.wait_for(lambda: node.lists, "to read on", 20)
    shown = len(node.messages)
    assert node.lost > 0 and shown + node.lost == 1500, (shown, node.lost)
    numbers = [int(line[:4]) for line in node.contents()]
    assert numbers == sorted(set(numbers)), "what it shows is in order, without doubles"


def test_a_standard_output_that_is_closed_ends_the_program(cluster):
    """| head -1: a filter whose reader left has nothing to do any more."""
    ann = cluster.node(name="ann")
    pipe = cluster.node(peers=[ann.port], name="pip", mode="pipe", read_stdout=False)
    pipe.wait_for(lambda: any("connected to" in line for line in pipe.err), "its peer", 15)
    pipe.write("one\n")
    pipe.process.stdout.read(1)
    pipe.process.stdout.close()
    pipe.expected_dead = True
    pipe.write("two\n")
    ann.wait_content("one")
    code = pipe.wait(15)
    assert code in (0, 1), code
    if code:
        assert any("output" in line or "pipe" in line.lower() for line in pipe.err), pipe.err


def test_a_standard_error_that_is_closed_harms_nothing(cluster):
    ann, bob = cluster.mesh(["ann", "bob"], mode="pipe", connected=False)
    ann.process.stderr.close()
    ann.write("/nonsense\n/list\nstill here\n")
    bob.wait_shown("ann: still here")
    ann.err_ended = False


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("mode", ["--headless", "--json"])
def test_started_with_closed_descriptors_it_writes_into_no_socket(cluster, closed, mode):
    """As some supervisors do: descriptors 0, 1, 2 must not become the listener or a peer."""
    port = free_port()
    cluster.write_nodes(port, [])
    command = f'exec "$0" {mode} --name ann {port} nodes.json {closed}'
    node = cluster.child(["sh", "-c", command, CHAT_NODE], cwd=cluster.folder_for(port))
    if "--json" in mode and "<&-" in closed:
        assert node.wait(15) in (0, 1)  # its input has ended
        return
    if "--json" in mode and ">&-" in closed and "2>&-" not in closed:
        node.close_stdin()
        assert node.wait(15) in (0, 1)  # nobody can read what it says
        return
    eventually(lambda: is_listening(port), "it to listen")
    with Bot(port) as bot:
        stream = bot.stream("reader")
        stream.initial_metadata()
        for number in range(5):
            bot.say(f"line {number}")
            assert next(stream).content == f"line {number}"
        stream.cancel()
    node.signal(signal.SIGTERM)
    assert node.wait(8) == 0


# -------------------------------------------------------------------------------------- headless

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("mode", ["headless", "pipe", "json"])
def test_signals_leave_cleanly(cluster, mode, number):
    ann = cluster.node(name="ann")
    node = cluster.node(peers=[ann.port], name="sam", mode=mode)
    cluster.write_nodes(ann.port, [node.port])
    with Bot(node) as bot:
        bot.say("hello")
        ann.wait_content("hello")
    node.signal(number)
    assert node.wait(8) == 0


def test_two_signals_at_once(cluster):
    node = cluster.node(name="ann", mode="headless")
    node.signal(signal.SIGTERM)
    node.signal(signal.SIGINT)
    node.signal(signal.SIGTERM)
    assert node.wait(8) == 0


def test_a_signal_at_any_moment_of_the_start(cluster):
    """Before anything is set up the signal's own effect is fine; a hang or a crash is not."""
    for delay_ms in (0, 2, 5, 10, 20, 40):
        node = cluster.node(free_port(), [free_port()], "ann", mode="headless", wait=False)
        time.sleep(delay_ms / 1000)
        node.signal(signal.SIGTERM)
        assert node.wait(8) in (0, -signal.SIGTERM)


def test_headless_does_not_read_its_input(cluster):
    ann = cluster.node(name="ann")
    bob = cluster.node(peers=[ann.port], name="bob", mode="headless")
    cluster.write_nodes(ann.port, [bob.port])
    bob.write("not for anybody\n")
    bob.close_stdin()
    with Bot(bob) as bot:
        bot.say("end")
    bob.wait_shown("bot: end")
    ann.wait_content("end")
    assert bob.shown() == ["bot: end"]
    assert bob.running()


def test_a_hangup_leaves(cluster):
    node = cluster.node(name="ann", mode="headless")
    node.signal(signal.SIGHUP)
    node.expected_dead = True
    assert node.wait(8) in (0, -signal.SIGHUP)


def test_leaving_is_bounded_beside_a_peer_that_stands_still(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    bob.signal(signal.SIGSTOP)
    ann.say(*(f"ann {number}" for number in range(100)))
    ann.wait_messages(100)
    started = time.monotonic()
    ann.stop()
    assert time.monotonic() - started < scaled(4)
    bob.signal(signal.SIGCONT)


# ------------------------------------------------------------------------------------------ json

def test_json_output_is_one_object_a_line(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    ann.say('quotes " and \\ and \u2028 and 😀')
    ann.command("/me waves")
    ann.command("/list")
    bob.wait_messages(2)
    ann.wait_for(lambda: ann.lists, "a list")
    ann.wait_for(lambda: any(one["by"] == 1 for one in ann.kept), "bob to keep them")
    assert set(ann.kept[-1]) == {"type", "id", "by", "known"} and ann.kept[-1]["known"] == 1
    for node in (ann, bob):
        assert node.others == []
        for line in node.out:
            assert isinstance(json.loads(line), dict)
    message = bob.messages[0]
    assert set(message) == {"type", "time", "clock", "sender", "content", "kind", "room",
                            "id", "own", "late", "missed", "fingerprint"}
    assert message["room"] == "lobby" and message["late"] is False
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", message["time"])
    assert re.fullmatch(r"\d\d:\d\d:\d\d", message["clock"])
    assert message["kind"] == "text" and bob.messages[1]["kind"] == "action"
    for notice in ann.notices + bob.notices:
        assert set(notice) == {"type", "level", "text"}
        assert notice["level"] in ("info", "warning", "error")
    entry = ann.lists[-1]["nodes"][0]
    assert set(entry) == {"number", "host", "port", "state", "kind", "name", "rtt_us", "reason",
                          "retry_in_ms", "waiting_lines", "refused_lines", "link", "peer_lacks",
                          "here_lacks", "events_per_s", "incoming", "fingerprint"}


WRONG_JSON = [
    ("no_json", b"hello", "."),
    ("cut_off", b'{"type":"message","content":', "."),
    ("a_list", b"[1,2]", "."),
    ("a_string", b'"hi"', "."),
    ("no_type", b'{"content":"hi"}', "type"),
    ("unknown_type", b'{"type":"massage","content":"hi"}', "massage|type"),
    ("type_is_a_number", b'{"type":1}', "type"),
    ("no_content", b'{"type":"message"}', "content"),
    ("content_is_a_number", b'{"type":"message","content":5}', "content"),
    ("content_is_null", b'{"type":"message","content":null}', "content"),
    ("no_line", b'{"type":"command"}', "line"),
    ("line_is_a_list", b'{"type":"command","line":[]}', "line"),
    ("two_objects", b'{"type":"message","content":"a"}{"type":"message","content":"b"}', "."),
    ("not_utf8", b'{"type":"message","content":"\xff"}', "."),
    ("nul_escape", b'{"type":"message","content":"a\\u0000b"}', "."),
    ("lone_surrogate", b'{"type":"message","content":"\\ud800"}', "."),
    ("deep", b"[" * 60000, "."),
    ("too_long", b'{"type":"message","content":"' + b"x" * 200000 + b'"}', "."),
]


@pytest.mark.parametrize("line,words", [row[1:] for row in WRONG_JSON],
                         ids=[row[0] for row in WRONG_JSON])
def test_wrong_json_input_is_answered_with_an_error(cluster, line, words):
    node = cluster.node(name="ann")
    node.write(b'{"type":"message","content":"first"}\n' + line
               + b'\n{"type":"message","content":"next"}\n')
    node.wait_content("next")
    assert node.contents() == ["first", "next"]
    error = node.wait_for(lambda: node.errors, "an error")[0]
    assert error["line"] == 2
    assert re.search(words, error["text"]), error
    assert len(node.errors) == 1 and len(error["text"]) < 500
    assert node.running()


def test_a_json_message_is_never_a_command(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    ann.say("/quit", "//two", "end")
    bob.wait_content("end")
    assert bob.contents() == ["/quit", "//two", "end"]


def test_a_json_command_that_is_a_line_is_an_error(cluster):
    node = cluster.node(name="ann")
    node.command("hello")
    node.say("end")
    node.wait_content("end")
    assert node.contents() == ["end"]
    assert node.errors or any(one["level"] == "error" for one in node.notices)


def test_an_empty_json_message_is_refused(cluster):
    node = cluster.node(name="ann")
    node.say("", "end")
    node.wait_content("end")
    assert node.contents() == ["end"]
    assert node.errors or any(one["level"] == "error" for one in node.notices)


def test_json_end_of_input_says_what_no_other_node_has(cluster):
    gone = free_port()
    node = cluster.node(peers=[gone], name="jay")
    node.say("one", "two")
    node.close_stdin()
    assert node.wait(15) == 1
    assert node.others == []
    assert any("2 lines are on this node's disk only" in one["text"] for one in node.notices), \
        node.notices


def test_json_of_two_lines_in_one_message_stays_one_message(cluster):
    ann, bob = cluster.mesh(["ann", "bob"])
    ann.say("two\nlines", "end")
    bob.wait_content("end")
    assert len(bob.messages) == 2
    pipe_lines = [one["content"] for one in bob.messages]
    assert pipe_lines[1] == "end" and pipe_lines[0].startswith("two")


# -------------------------------------------------------------------------------------- the log

def test_the_log_level_is_obeyed(cluster):
    quiet = cluster.node(peers=[free_port()], name="ann", mode="headless",
                         args=["--log-level", "error"])
    loud = cluster.node(peers=[free_port()], name="bob", mode="headless",
                        args=["--log-level", "debug"])
    for node in (quiet, loud):
        with Bot(node) as bot:
            bot.say("hi")
        node.wait_shown("bot: hi")
        assert node.stop() == 0
    assert len(loud.err) > len(quiet.err)
