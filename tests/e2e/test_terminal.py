"""The terminal as people see it: the real program in tmux (a real screen) and under pexpect (the
very bytes), at 80x24 and 40x10.

    Screen  -- tmux, a server of its own -->  chat_node     rows, cursor, exit status
    Raw     -- pexpect, a pty           -->  chat_node     bytes, job control, Ctrl-S, hang-up
"""

import os
import re
import shutil
import signal
import subprocess
import time
import uuid

import pexpect
import pytest

import bots
import harness
from harness import eventually, scaled

SIZES = [(80, 24), (40, 10)]
PROMPT = "> "
PROMPT_ROW = re.compile(r"^(\((kept here only|\d+ of \d+)\) )?[^\[\] ]*>( |$)")
ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm-256color", "HOME": "/nonexistent",
               "INPUTRC": "/dev/null"}


def environment():
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(("GRPC_", "TMUX")) and not key.lower().endswith("_proxy")}
    clean.pop("NO_COLOR", None)
    clean.update(ENVIRONMENT)
    return clean


class Screen:
    """chat_node on a screen of its own. What a person sees, and the keys they press."""

    def __init__(self, cluster, port, size, peers=(), name="ann", args=()):
        self.socket = "chat-" + uuid.uuid4().hex[:12]
        self.port = port
        cluster.write_nodes(port, peers)
        program = [harness.CHAT_NODE, "--name", name, *args, str(port), "nodes.json"]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
                   "-c", str(cluster.folder_for(port)), "sleep 600")
        self._tmux("set-option", "-g", "remain-on-exit", "on")
        self._tmux("set-option", "-g", "status", "off")
        self._tmux("set-window-option", "-g", "window-size", "manual")
        self._tmux("resize-window", "-x", str(size[0]), "-y", str(size[1]))
        self._tmux("respawn-pane", "-k", "-c", str(cluster.folder_for(port)), *program)
        self.wait(lambda rows: any(row.startswith(">") for row in rows), "the prompt")

    def _tmux(self, *args, stdin=None):
        done = subprocess.run(["tmux", "-u", "-L", self.socket, *args], env=environment(),
                              input=stdin, capture_output=True, timeout=scaled(20), check=False)
        if done.returncode != 0:
            raise harness.Failed(f"tmux {args[0]}: {done.stderr.decode()}")
        return done.stdout.decode()

    def rows(self):
        """From the top, without the empty ones at the end."""
        return self._tmux("capture-pane", "-p").rstrip("\n").split("\n")

    def history(self):
        """All that was ever shown, what was wrapped joined, by the screen or by the node."""
        shown = self._tmux("capture-pane", "-p", "-J", "-S", "-").replace("\n    ", "")
        return [row.rstrip() for row in shown.rstrip("\n").split("\n")]

    def cursor(self):
        column, row = self._tmux("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(column), int(row)

    def type(self, text):
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys):
        self._tmux("send-keys", *keys)

    def paste(self, text):
        self._tmux("load-buffer", "-", stdin=text.encode())
        self._tmux("paste-buffer", "-p", "-r", "-d")

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait(self, check, what, seconds=10.0):
        return eventually(lambda: check(self.rows()),
                          lambda: f"{what}; the screen:\n" + "\n".join(self.rows()), seconds)

    def wait_line(self, text):
        """The line being typed, over all its rows."""
        def typed(rows):
            start = max((i for i, row in enumerate(rows) if PROMPT_ROW.match(row)), default=None)
            if start is None:
                return False
            return PROMPT_ROW.sub("", "".join(rows[start:])).rstrip() == text.rstrip()
        self.wait(typed, f"the line {text[:60]!r}")

    def wait_shown(self, pattern, seconds=10.0):
        found = re.compile(pattern)
        eventually(lambda: any(found.search(row) for row in self.history()),
                   lambda: f"{pattern!r}; shown:\n" + "\n".join(self.history()), seconds)

    def close(self):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], capture_output=True,
                       timeout=scaled(20), check=False)


@pytest.fixture
def screen(cluster):
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: apt-get install tmux")
    opened = []

    def open_screen(size=(80, 24), port=None, **options):
        opened.append(Screen(cluster, port or harness.free_port(), size, **options))
        return opened[-1]
    yield open_screen
    for each in opened:
        each.close()


@pytest.fixture
def raw(cluster):
    opened = []

    def open_raw(*args, size=(24, 80), port=None, command=None, env=None):
        port = port or harness.free_port()
        cluster.write_nodes(port, [])
        argv = command or [harness.CHAT_NODE, "--name", "ann", *args, str(port), "nodes.json"]
        child = pexpect.spawn(argv[0], argv[1:], cwd=str(cluster.folder_for(port)),
                              env={**environment(), **(env or {})}, dimensions=size,
                              timeout=scaled(10))
        child.delaybeforesend = None
        child.port = port
        opened.append(child)
        return child
    yield open_raw
    for child in opened:
        if child.isalive():
            child.kill(signal.SIGKILL)
        if not child.closed:
            child.close(force=True)


def pair(cluster, screen, size):
    """bob, whose lines are read from a pipe, and a person's screen, linked both ways."""
    ports = [harness.free_port(), harness.free_port()]
    bob = cluster.node(ports[0], [ports[1]], "bob")
    view = screen(size, port=ports[1], peers=[ports[0]])
    bob.wait_connected(1)
    view.wait_shown(r"^-- .*connected")
    return bob, view


# ---------------------------------------------------------------------------------------- typing

@pytest.mark.parametrize("size", SIZES)
def test_line_being_typed_stays_intact_while_lines_arrive(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    view.type("half of ")
    view.wait_line("half of ")
    for i in range(60):
        bob.say(f"line {i}")
    view.type("a line")
    view.wait_shown(r"bob: line 59$")
    view.wait_line("half of a line")
    rows = view.rows()
    assert rows[-1] == "> half of a line", rows
    assert view.cursor() == (len("> half of a line"), len(rows) - 1)
    shown = [row for row in view.history() if re.match(r"\[\d\d:\d\d:\d\d\] bob: line ", row)]
    assert [row.split("] ", 1)[1] for row in shown] == [f"bob: line {i}" for i in range(60)]
    view.press("Enter")
    bob.wait_content("half of a line")
    view.wait_shown(r"^\[\d\d:\d\d:\d\d\] ann: half of a line$")
    view.wait_line("")
    assert not any(row.startswith("> half") for row in view.history())


@pytest.mark.parametrize("size", SIZES)
def test_cursor_in_the_middle_stays_there(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    view.type("hllo")
    view.press("Home", "Right")
    bob.say("interrupting")
    view.wait_shown(r"bob: interrupting$")
    view.type("e")
    view.wait_line("hello")
    eventually(lambda: view.cursor()[0] == 4, "the cursor behind the e")
    view.press("Enter")
    bob.wait_content("hello")


@pytest.mark.parametrize("size", SIZES)
def test_wide_characters_and_emoji_are_edited_whole(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    view.type("日本語😀é")
    view.wait_line("日本語😀é")
    eventually(lambda: view.cursor()[0] == 2 + 2 * 4 + 1, "the cursor behind wide characters")
    view.press("Left", "Left", "BSpace")
    view.wait_line("日本😀é")
    bob.say("wide 你好 👍 from bob")
    view.wait_shown(r"bob: wide 你好 👍 from bob$")
    view.wait_line("日本😀é")
    eventually(lambda: view.cursor()[0] == 6, "the cursor before the emoji")
    view.press("Enter")
    bob.wait_content("日本😀é")
    view.wait_shown(r"ann: 日本😀é$")


@pytest.mark.parametrize("size", SIZES)
def test_wide_characters_wrap_at_the_edge(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    text = "x" + "日本" * size[0]
    view.type(text)
    bob.say("above")
    view.wait_shown(r"bob: above$")
    view.press("End", "Enter")
    bob.wait_content(text)
    view.wait_line("")


@pytest.mark.parametrize("size", SIZES)
def test_line_of_2000_characters(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    text = "".join(f"{i:04d}," for i in range(400))
    view.type(text)
    view.wait(lambda rows: "0399," in "".join(rows), "the end of the long line")
    bob.say("while it is typed")
    bob.say(text)
    view.wait_shown(re.escape(f"bob: {text}") + "$")
    view.wait(lambda rows: "0399," in "".join(rows[-2:]), "the end of the long line again")
    view.press("Home")
    view.wait(lambda rows: any(row.startswith("> 0000,") for row in rows), "its beginning")
    view.type("A")
    view.press("Enter")
    bob.wait_content("A" + text)
    view.wait_shown(re.escape(f"ann: A{text}") + "$")
    view.wait_line("")


def test_line_past_the_limit_can_be_cut_and_sent(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    for _ in range(41):
        view.type("x" * 200)
    view.press("Enter")
    view.wait_shown(r"^-- .*8192")
    view.press(*["BSpace"] * 10)
    view.press("Enter")
    bob.wait_content("x" * 8190)
    view.wait_line("")


@pytest.mark.parametrize("size", SIZES)
def test_resizing_keeps_the_line(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    text = "the quick brown fox jumps over the lazy dog"
    view.type(text)
    view.wait_line(text)
    for columns, rows in ((60, 20), (50, 8), (120, 30), (30, 12), (80, 24)):
        view.resize(columns, rows)
        # tmux wraps at once, tells the program later; what that has drawn is not wrapped by tmux.
        eventually(lambda: ("> " + text)[:columns].rstrip() in view.history(), "the line redrawn")
        view.wait_line(text)
        bob.say(f"at {columns}")
        view.wait_shown(f"bob: at {columns}$")
        view.wait_line(text)
    view.press("Enter")
    bob.wait_content(text)
    view.wait_line("")
    left = [row for row in view.history() if row.startswith("> the quick")]
    assert not left, view.history()


@pytest.mark.parametrize("locale", ["C", "POSIX", "en_US.ISO-8859-1", "xx_XX.UTF-8"])
def test_text_is_utf8_whatever_the_locale(raw, locale):
    child = raw(env={"LC_ALL": locale})
    child.expect(PROMPT.encode())
    child.send("日本😀é".encode() + b"\x7f\x7f!\r")
    child.expect("ann\033\\[0m: 日本!\r\n".encode())
    child.send("Grüße\r".encode())
    child.expect("ann\033\\[0m: Grüße\r\n".encode())


def test_history_brings_lines_back(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    view.type("first")
    view.press("Enter")
    view.type("second")
    view.press("Enter")
    view.wait_shown("ann: second$")
    view.press("Up", "Up")
    view.wait_line("first")
    view.type("!")
    view.press("Enter")
    bob.wait_content("first!")


def test_log_lines_do_not_destroy_the_prompt(cluster, screen):
    port = harness.free_port()
    view = screen(port=port, args=["--log-level", "debug"])
    view.type("half a line")
    with bots.Bot(port) as bot:
        for i in range(20):
            bot.say(f"line {i}")
    cluster.node(peers=[port], name="bob").wait_connected(1)
    view.wait_shown("bot: line 19$")
    view.wait_line("half a line")


# -------------------------------------------------------------------------------------- commands

@pytest.mark.parametrize("size", SIZES)
def test_list_reads_well(cluster, screen, size):
    ports = [harness.free_port() for _ in range(3)]
    cluster.node(ports[0], [ports[1]], "bob")
    view = screen(size, port=ports[1], peers=[ports[0], ports[2]])
    view.wait_shown(r"^-- .*connected")
    view.type("/list")
    view.press("Enter")
    view.wait_shown(r"^-- connected 1/2$")
    view.wait_shown(rf"^-- 1  localhost:{ports[0]}  up  bob  \d+(\.\d)? (us|ms)$")
    view.wait_shown(rf"^-- 2  localhost:{ports[2]}  (waiting|connecting)$")


def test_unknown_command_is_not_sent_and_two_slashes_are_one(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    view.type("/lost")
    view.press("Enter")
    view.wait_shown(r"^-- .*/lost")
    view.type("//etc/passwd")
    view.press("Enter")
    bob.wait_content("/etc/passwd")
    view.wait_shown("ann: /etc/passwd$")
    assert "/lost" not in bob.contents("ann")


def test_commands_and_names_are_completed(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    bob.say("hi")
    view.wait_shown("bob: hi$")
    view.type("/li")
    view.press("Tab")
    view.wait(lambda rows: view.cursor()[0] == len("> /list "), "the command's end")
    view.press("C-u")
    view.type("bo")
    view.press("Tab")
    view.type("how are you, b")
    view.press("Tab")
    view.wait_line("bob: how are you, bob")
    view.press("C-u")
    view.type("/")
    view.press("Tab")
    view.wait_shown(r"^-- /list  /retry  /me")
    view.wait_line("/")


# ---------------------------------------------------------------------------------------- pastes

@pytest.mark.parametrize("size", SIZES)
def test_several_pasted_lines_are_sent_after_yes(cluster, screen, size):
    bob, view = pair(cluster, screen, size)
    view.paste("one\ntwo\n\nthree 日本\r\nfour\nfive\n")
    view.wait(lambda rows: rows[-1] == "send these 5 lines? y/n", "the question")
    bob.say("meanwhile")
    view.wait_shown("bob: meanwhile$")
    view.wait(lambda rows: rows[-1] == "send these 5 lines? y/n", "the question again")
    assert bob.contents("ann") == []
    view.type("y")
    bob.wait_content("five")
    assert bob.contents("ann") == ["one", "two", "three 日本", "four", "five"]
    view.wait_line("")


def test_several_pasted_lines_are_dropped_after_no(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    view.type("typed")
    view.paste("one\ntwo")
    view.wait(lambda rows: rows[-1] == "send these 2 lines? y/n", "the question")
    view.type("xn")
    view.wait_line("typed")
    view.press("Enter")
    bob.wait_content("typed")
    assert bob.contents("ann") == ["typed"]


def test_thousands_of_pasted_lines_arrive_in_order(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    count = harness.sized(3000)
    view.paste("\n".join(f"line {i}" for i in range(count)))
    view.wait(lambda rows: rows[-1] == f"send these {count} lines? y/n", "the question")
    view.type("y")
    view.type("typed after")
    view.press("Enter")
    bob.wait_content("typed after", seconds=30)
    assert bob.contents("ann") == [f"line {i}" for i in range(count)] + ["typed after"]


def test_one_pasted_line_is_not_sent_and_cannot_act(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    view.type("see: ")
    view.paste("a\033]0;title\007b\u202ec\u009b31m\n")
    view.wait_line("see: a␛]0;title␇b<U+202E>c<U+009B>31m")
    assert bob.contents("ann") == []
    view.press("Enter")
    bob.wait_content("see: a␛]0;title␇b<U+202E>c<U+009B>31m")


# --------------------------------------------------------------------------------------- hostile

# What our own drawing may send: colours, up, right, erase below, bracketed paste on and off.
OWN_SEQUENCES = re.compile(rb"\033\[(0m|3[13]m|38;5;\d+m|\d*A|\d*C|J|\?2004[hl])")

HOSTILE = [
    "\033[2J\033[1;1Howned",
    "\033]0;title\007\033]52;c;aGVsbG8=\007",
    "\033P$q\"p\033\\\033_payload\033\\\033^x\033\\",
    "\u009b2J \u009d0;t\u009c \u0090q\u009c \u0085",
    "\033c\016\017\005\010\010\010\r\n[00:00:00] bob: forged",
    "\u202egnissim\u2066 \u200f\u2028x\u2029",
    "\033[6n\033[c\033[?1049h\033[>c",
]


def test_hostile_lines_are_shown_and_do_nothing(raw):
    child = raw()
    child.expect(b"\\d lists|lists commands")
    with bots.Bot(child.port) as bot:
        for text in HOSTILE:
            bot.say(text, sender="mallory")
        bot.say("the end", sender="mallory")
    child.expect(b"mallory\033\\[0m: the end\r\n")
    shown = child.before
    left = OWN_SEQUENCES.sub(b"", shown)
    assert b"\033" not in left, left
    text = left.decode("utf-8")
    assert not re.search("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e"
                         "\u2066-\u2069\u200e\u200f]", text), text
    assert "␛[2J␛[1;1Howned" in text
    assert not re.search(r"^\[00:00:00\] bob", text, re.M)
    assert child.isalive()


# -------------------------------------------------------------------------------------- leaving

RESTORED = ("trap : INT; before=$(stty -g); \"$0\" --name ann \"$1\" nodes.json; code=$?; "
            "test \"$before\" = \"$(stty -g)\" && echo restored $code")


@pytest.mark.parametrize("keys", [b"\x03", b"\x04", b"/quit\r", b"half a line\x03",
                                  b"\x1b[200~a\nb\x1b[201~\x03"])
def test_leaving_gives_the_terminal_back(raw, keys):
    port = harness.free_port()
    child = raw(port=port, command=["/bin/sh", "-c", RESTORED, harness.CHAT_NODE, str(port)])
    child.expect(b"lists commands")
    child.expect(PROMPT.encode())
    child.send(keys)
    child.expect(b"\033\\[\\?2004l")
    child.expect(b"restored 0")
    child.expect(pexpect.EOF)


def test_ctrl_d_on_a_line_deletes_and_stays(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    view.type("abc")
    view.press("Home", "C-d")
    view.wait_line("bc")
    view.press("Enter")
    bob.wait_content("bc")


def test_hang_up_ends_the_program(raw):
    child = raw()
    child.expect(PROMPT.encode())
    pid = child.pid
    os.close(child.fileno())
    child.closed = True
    eventually(lambda: not is_running(pid), "the end after a hang-up")


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ----------------------------------------------------------------------------------- job control

def test_ctrl_z_and_fg(raw):
    port = harness.free_port()
    child = raw(port=port, command=["/bin/bash", "--norc", "--noprofile", "-i"])
    command = f"'{harness.CHAT_NODE}' --name ann {port} nodes.json"
    child.send(f"PS1='shell$ '; set +o emacs; {command}\r".encode())
    child.expect(b"lists commands")
    child.send(b"typed bef")
    child.expect(b"typed bef")
    child.send(b"\x1a")
    child.expect(b"Stopped")
    child.expect(b"shell\\$ ")
    child.send(b"stty -a | grep -o -- '-*icanon'; echo still $((40+2))\r")
    child.expect(b"\r\nicanon\r\n")
    child.expect(b"still 42")
    child.send(b"fg\r")
    child.expect(b"> typed bef")
    child.send(b"ore\r")
    child.expect(b": typed before\r\n")
    child.send(b"\x1a")
    child.expect(b"Stopped")
    child.send(b"bg\r")
    child.expect(b"shell\\$ ")
    with bots.Bot(port) as bot:
        bot.say("while in the background")
    child.send(b"echo shell $((1+1)) reads\r")
    child.expect(b"shell 2 reads")
    child.send(b"fg\r")
    child.expect(b"bot\033\\[0m: while in the background")
    child.send(b"\x04")
    child.expect(b"shell\\$ ")
    child.send(b"echo code $?\r")
    child.expect(b"code 0")
    child.send(b"exit\r")
    child.expect(pexpect.EOF)


def test_stopped_terminal_holds_up_nobody(raw):
    child = raw()
    child.expect(PROMPT.encode())
    child.send(b"\x13")
    time.sleep(0.2)  # the line discipline tells nobody that it has stopped
    count = 5000
    with bots.Bot(child.port) as bot:
        for i in range(count):
            bot.say(f"line {i}", seconds=5)
    rss = rss_kib(child.pid)
    child.send(b"\x11")
    child.expect(b"-- \\d+ lines were not shown: the terminal was too slow")
    child.expect(f"line {count - 1}\r\n".encode())
    child.send(b"still here\r")
    child.expect(b": still here\r\n")
    assert rss < 200 * 1024 * harness.SLOW


def rss_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


# ----------------------------------------------------------------------------------- the log

def prompt_of(rows):
    return rows[-1].rstrip() if rows else ""


def test_prompt_names_the_room_and_how_far_the_last_line_is(cluster, screen):
    gone = harness.free_port()
    bob = cluster.node(peers=[], name="bob")
    view = screen(peers=[bob.port, gone])
    view.wait_shown(r"^-- connected to .*bob")
    view.type("/join dev")
    view.press("Enter")
    view.wait(lambda rows: prompt_of(rows).endswith("dev>"), "the room in the prompt")
    bob.signal(signal.SIGSTOP)
    view.type("who has it?")
    view.press("Enter")
    view.wait_shown(r"#dev ann: who has it\?$")
    view.wait(lambda rows: prompt_of(rows) == "(kept here only) dev>", "that nobody has it")
    bob.signal(signal.SIGCONT)
    view.wait(lambda rows: prompt_of(rows) == "dev>", "that all have it", 20)
    view.type("/part")
    view.press("Enter")
    view.wait(lambda rows: prompt_of(rows).endswith(">") and "dev" not in prompt_of(rows),
              "the lobby in the prompt")
    view.type("/msg bob")
    view.press("Enter")
    view.wait(lambda rows: prompt_of(rows).endswith("@bob>"), "the person in the prompt")


def test_history_is_shown_above_the_line_being_typed(cluster, screen):
    bob, view = pair(cluster, screen, (80, 24))
    bob.say(*(f"line {number}" for number in range(30)))
    view.wait_shown(r"bob: line 29$")
    bob.command("/list")
    bob.wait_in_step(view)
    view.type("/history 3")
    view.press("Enter")
    place = r"^[0-9a-f]{6}-\d+ +\[\d\d:\d\d:\d\d\] bob: line "
    view.wait_shown(place + "29$")
    rows = [row for row in view.history() if re.match(place, row)]
    assert [row.rsplit(" ", 1)[1] for row in rows] == ["27", "28", "29"]
    view.type("/search line 7")
    view.press("Enter")
    view.wait_shown(place + "7$")
    view.wait_line("")


@pytest.mark.limit(90)
def test_what_was_missed_is_summed_up(cluster, screen):
    """Said longer ago than 10 s when it comes: the last lines, and how many there were."""
    ports = [harness.free_port(), harness.free_port()]
    bob = cluster.node(ports[0], [ports[1]], "bob")
    view = screen(port=ports[1], peers=[ports[0]])
    bob.wait_connected(1)
    bob.say("before")
    view.wait_shown(r"bob: before$")
    bob.wait_in_step(view)
    view.press("C-c")
    bob.wait_connected(0)
    bob.say(*(f"line {number}" for number in range(50)))
    bob.wait_content("line 49")
    time.sleep(11)  # what is old is told by the clock
    again = screen(port=ports[1], peers=[ports[0]])
    again.wait_shown(r"^-- 50 new lines .*from while you were away; the last 20:$", 20)
    again.wait_shown(r"bob: line 49$")
    shown = [row for row in again.history() if "bob: line " in row]
    assert [row.rsplit(" ", 1)[1] for row in shown] == [str(number) for number in range(30, 50)]
    assert any("said here before" in row for row in again.history())
    assert any(row.endswith("bob: before") for row in again.history())
    bob.say("now")
    again.wait_shown(r"^\[\d\d:\d\d:\d\d\] bob: now$")
