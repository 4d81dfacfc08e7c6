"""chat_node history, search, export, backup, restore: beside a node, and without one.

Stores come from store_maker: event N says "event N ..." a second after the one before."""

import datetime
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import time

import pytest

from harness import (BUILD, CHAT_NODE, Failed, assert_memory, assert_same, eventually, scaled,
                     sized)

STORE_MAKER = str(BUILD / "store_maker")
FAILURE, USAGE = 1, 2
TEXT, ACTION, JOIN, PART, NICK, TOPIC = range(1, 7)
PLACE = re.compile(r"^[0-9a-f]{6}-\d+$")


class Result:
    """How a command ended, and what it said: out as lines, err as it came."""

    def __init__(self, done):
        self.code = done.returncode
        self.out = done.stdout.decode().splitlines()
        self.err = done.stderr.decode()

    def objects(self):
        return [json.loads(line) for line in self.out]

    def contents(self):
        return [item["content"] for item in self.objects()]


class Place:
    """A folder for everything, which is XDG_DATA_HOME too."""

    def __init__(self, folder):
        self.folder = folder
        self.env = dict(os.environ, XDG_DATA_HOME=str(folder / "share"), TZ="UTC", LC_ALL="C.UTF-8")
        self.running = []

    def of_port(self, port):
        return self.folder / "share/chat_node" / str(port)

    def make(self, name, *args, lines=None):
        directory = self.of_port(name) if isinstance(name, int) else self.folder / name
        argv = [STORE_MAKER, *map(str, args), *(["-i"] if lines else []), str(directory)]
        text = "".join(f"{kind} {at_ms} {room.encode().hex()} {sender.encode().hex()} "
                       f"{(body.encode() if isinstance(body, str) else body).hex()}\n"
                       for kind, at_ms, room, sender, body in lines or ())
        subprocess.run(argv, input=text.encode(), check=True, timeout=scaled(60))
        return directory

    def hold(self, directory):
        """As a node that runs."""
        holder = subprocess.Popen([STORE_MAKER, "-w", str(directory)], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE)
        self.running.append(holder)
        assert holder.stdout.readline() == b"ready\n"
        return holder

    def run(self, *args, **options):
        done = subprocess.run([CHAT_NODE, *map(str, args)], env=self.env, cwd=self.folder,
                              stdin=subprocess.DEVNULL, capture_output=True, check=False,
                              timeout=scaled(60), **options)
        result = Result(done)
        assert "ERROR: " not in result.err and "Assertion" not in result.err, result.err
        return result

    def good(self, *args):
        result = self.run(*args)
        if result.code != 0:
            raise Failed(f"{args}: exit code {result.code}: {result.err}")
        return result

    def refused(self, code, *args, **options):
        result = self.run(*args, **options)
        assert result.code == code, f"{args}: exit code {result.code}: {result.err}"
        assert result.err != ""
        return result.err

    def start(self, *args, **options):
        process = subprocess.Popen([CHAT_NODE, *map(str, args)], env=self.env, cwd=self.folder,
                                   stdin=subprocess.DEVNULL, **options)
        self.running.append(process)
        return process


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    for process in place.running:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def numbers(contents):
    return [int(content.split()[1]) for content in contents]


# ---------------------------------------------------------------------------------- the directory

def test_directory_is_that_of_the_port_or_the_only_one(place):
    place.make(50051, "-e", 3)
    assert len(place.good("history").out) == 3
    assert len(place.good("history", 50051).out) == 3
    place.make(50052, "-e", 5)
    assert len(place.good("history", 50052).out) == 5
    assert len(place.good("history", "--data", place.of_port(50052)).out) == 5
    err = place.refused(USAGE, "history")
    assert "(50051, 50052)" in err and "--data" in err
    assert str(place.of_port(50053)) in place.refused(FAILURE, "history", 50053)


def test_where_nothing_is_kept_the_place_is_named(place):
    err = place.refused(FAILURE, "history")
    assert str(place.folder / "share/chat_node") in err and "--data" in err
    assert not (place.folder / "share").exists()
    assert "nothing there" in place.refused(FAILURE, "history", "--data", "nothing there")
    assert not (place.folder / "nothing there").exists()


def test_without_any_home_it_says_what_to_do(place):
    place.env.pop("XDG_DATA_HOME")
    place.env.pop("HOME", None)
    assert "--data" in place.refused(FAILURE, "export", 50051)


def test_unreadable_directory_is_said(place):
    place.make(50051, "-e", 1)
    options = {}
    place.folder.chmod(0)
    if os.geteuid() == 0:
        options["user"] = "nobody"
    try:
        done = subprocess.run([CHAT_NODE, "history", "50051"], env=place.env, check=False,
                              capture_output=True, timeout=scaled(20), **options)
    except PermissionError:
        pytest.skip("nobody may not run the program that was built")
    finally:
        place.folder.chmod(0o700)
    assert done.returncode == FAILURE
    assert b"Permission denied" in done.stderr


# ------------------------------------------------------------------------------------------ usage

@pytest.mark.parametrize("args", [
    ["history", "fifty"], ["history", "0"], ["history", "65536"], ["history", "1", "2"],
    ["history", "-n", "0"], ["history", "-n", "-5"], ["history", "-n", "1x"],
    ["history", "--since", "yesterday"], ["history", "--since", "2026-02-30"],
    ["history", "--room", ""], ["history", "--from", "ann"], ["history", "--data", ""],
    ["history", "--data", "x", "50051"], ["search"], ["search", "50051"],
    ["search", "--data", "x"], ["search", "-n", "201", "x"], ["search", "70000", "x"],
    ["search", "x" * 300], ["export", "-n", "3"], ["backup"], ["backup", "50051"],
    ["backup", "--data", "x", "-"], ["restore", "50051", "-"], ["restore", "1", "2", "3"],
    ["restore", "--data", "x", "50051", "file"],
])
def test_wrong_usage_is_told(place, args):
    place.refused(USAGE, *args)


def test_each_command_has_its_help(place):
    of_program = "\n".join(place.good("--help").out)
    for command in ("history", "search", "export", "backup", "restore"):
        assert re.search(rf"^  {command} ", of_program, re.MULTILINE)
        out = place.good(command, "--help").out
        assert f"Usage: chat_node {command} " in out[0]
        assert any("--data" in line for line in out)


# ---------------------------------------------------------------------------------------- history

def test_history_is_the_last_lines_of_a_room_oldest_first(place):
    place.make(50051, "-e", 300, "-r", 3)
    lobby = numbers(item["body"] for item in place.good("export", "--json").objects()
                    if item["room"] == "lobby")
    lobby.sort()
    assert len(lobby) > 50
    assert numbers(place.good("history", "--json").contents()) == lobby[-20:]
    assert numbers(place.good("history", "--json", "-n", 5).contents()) == lobby[-5:]
    assert numbers(place.good("history", "--json", "-n", 1000).contents()) == lobby
    room1 = place.good("history", "--json", "-n", 300, "--room", "room1").contents()
    assert set(numbers(room1)).isdisjoint(lobby) and len(room1) > 50
    shown = place.good("history", "-n", 1).out
    assert len(shown) == 1 and re.search(rf"(ann|bob|carl): event {lobby[-1]} ", shown[0])
    result = place.good("history", "--room", "no such room")
    assert result.out == [] and "no such room" in result.err


def test_history_of_many_pages_has_no_hole_and_no_double(place):
    """A page has 4,096 events or 1 MiB."""
    count = sized(20000, 9000)
    place.make(50051, "-u", "-e", count)
    for wanted in (4095, 4096, 4097, 8192, 8193, count - 1, count, count + 1):
        found = numbers(place.good("history", "--json", "-n", wanted).contents())
        first = max(1, count - wanted + 1)
        assert_same(found, list(range(first, count + 1)), f"-n {wanted}")


def test_history_of_long_lines_has_no_hole(place):
    body = "x" * 8000
    lines = [(TEXT, 1700000000000 + number, "lobby", "ann", f"event {number} {body}")
             for number in range(1, 401)]
    place.make(50051, lines=lines)
    for wanted in (130, 131, 399, 400):
        found = numbers(place.good("history", "--json", "-n", wanted).contents())
        assert found == list(range(401 - wanted, 401))


def test_history_since(place):
    now = int(time.time() * 1000)
    hour = 3600 * 1000
    lines = [(TEXT, now - ago, "lobby", "ann", f"event {number}")
             for number, ago in enumerate((50 * hour, 25 * hour, 90 * 60000, 30 * 60000, 60000))]
    place.make(50051, lines=lines)

    def since(text, *args):
        return numbers(place.good("history", "--json", "--since", text, *args).contents())

    assert since("2h") == [2, 3, 4]
    assert since("45m") == [3, 4]
    assert since("2d") == [1, 2, 3, 4]
    assert since("3d") == [0, 1, 2, 3, 4]
    assert since("3d", "-n", 2) == [3, 4]
    assert since("0s") == []
    stamp = datetime.datetime.fromtimestamp((now - 26 * hour) / 1000, datetime.timezone.utc)
    assert since(stamp.strftime("%Y-%m-%d %H:%M")) == [1, 2, 3, 4]
    place.env["TZ"] = "<+05>-5"
    assert since((stamp + datetime.timedelta(hours=5)).strftime("%Y-%m-%d %H:%M")) == [1, 2, 3, 4]
    assert since(stamp.strftime("%Y-%m-%dT%H:%M:%SZ")) == [1, 2, 3, 4]


def test_what_is_dated_in_the_future_is_not_shown(place):
    now = int(time.time() * 1000)
    place.make(50051, lines=[(TEXT, now, "lobby", "ann", "event 1"),
                             (TEXT, now + 3600 * 1000, "lobby", "ann", "event 2")])
    assert numbers(place.good("history", "--json").contents()) == [1]
    assert numbers(place.good("search", "--json", "event").contents()) == [1]


def test_kinds_that_are_not_shown_do_not_count(place):
    lines = [(TEXT, 1700000000000, "lobby", "ann", "event 1")]
    lines += [(kind, 1700000000001 + number, "lobby", "ann", "event 9")
              for number, kind in enumerate((NICK, TOPIC, 77) * 10)]
    lines += [(ACTION, 1700000001000, "lobby", "ann", "event 2")]
    place.make(50051, lines=lines)
    assert numbers(place.good("history", "--json", "-n", 2).contents()) == [1, 2]
    assert len(place.good("export").out) == len(lines)


def test_control_characters_are_shown_not_executed(place):
    evil = "event 1 \x1b[2J\x1b]0;t\x07\u009b1m\u202e\x7f\r\n\x00end"
    place.make(50051, lines=[(TEXT, 1700000000000, "lobby", "ann", evil),
                             (TEXT, 1700000000001, "lobby", "ann", b"event 2 \xff\xfe")])
    for args in (["history"], ["history", "--json"], ["search", "event"], ["export"],
                 ["search", "--json", "event"], ["export", "--json"]):
        result = place.good(*args)
        assert len(result.out) == (1 if "search" in args else 2), args  # UTF-8 alone has words
        for line in result.out:
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", line), args
    assert "\u241b[2J" in place.good("export").out[0]


# ----------------------------------------------------------------------------------------- search

def test_search_finds_newest_first_and_says_how_many_more(place):
    place.make(50051, "-e", 150, "-r", 2)
    result = place.good("search", "--json", "event")
    assert numbers(result.contents()) == list(range(150, 130, -1))
    assert "130 more: -n 150" in result.err
    result = place.good("search", "--json", "-n", 200, "event")
    assert numbers(result.contents()) == list(range(150, 0, -1)) and result.err == ""
    assert numbers(place.good("search", 50051, "--json", "event", "77").contents()) == [77]
    result = place.good("search", "nowhere")
    assert result.out == [] and "nothing found" in result.err


def test_search_says_when_there_is_more_than_one_search_finds(place):
    place.make(50051, "-e", 400)
    assert "at least 199 more" in place.good("search", "-n", 2, "event").err


def test_search_in_a_room_by_a_name(place):
    place.make(50051, lines=[(TEXT, 1700000000000, "lobby", "ann", "event 1 apple"),
                             (TEXT, 1700000000001, "lobby", "bob", "event 2 apple pie"),
                             (TEXT, 1700000000002, "den", "ann", "event 3 Äpple apple")])

    def search(*args):
        return numbers(place.good("search", "--json", *args).contents())

    assert search("apple") == [3, 2, 1]
    assert search("apple", "--from", "ann") == [3, 1]
    assert search("APPLE", "--room", "lobby") == [2, 1]
    assert search("--room", "lobby", "--from", "ann", "apple") == [1]
    assert search('"apple pie"') == [2]
    assert search("app*") == [3, 2, 1]
    assert search("apple", "pie") == [2]
    assert search('"') == []


def test_digits_may_be_searched_for(place):
    directory = place.make(50051, "-e", 60)
    assert numbers(place.good("search", "--json", 50051, "42").contents()) == [42]
    assert numbers(place.good("search", "--json", "--data", directory, "42").contents()) == [42]
    assert numbers(place.good("search", "--json", "event", "42").contents()) == [42]


def test_what_is_not_searched_yet_is_told(place):
    place.make(50051, "-u", "-e", 10000)
    err = place.good("search", "event").err
    assert re.search(r"\d+ lines are not searched yet", err)


# ----------------------------------------------------------------------------------------- export

def test_export_is_all_of_the_log_in_the_order_of_streams(place):
    place.make(50051, "-e", 500, "-r", 3, "-a", 3)
    objects = place.good("export", "--json").objects()
    assert sorted(numbers(item["body"] for item in objects)) == list(range(1, 501))
    order = [(item["origin"], item["epoch"], item["seq"]) for item in objects]
    assert order == sorted(order) and len({origin for origin, _, _ in order}) == 3
    first = objects[0]
    assert first["type"] == "event" and PLACE.match(first["place"])
    assert re.fullmatch("[0-9a-f]{64}", first["origin"])
    assert re.fullmatch("[0-9a-f]{64}", first["hash"])
    assert (first["epoch"], first["seq"], first["kind"]) == ("1", 1, "text")
    assert first["signed"] is True and first["after"] == [] and first["id"] == ""
    number = int(first["body"].split()[1])
    assert int(first["hlc"]) >> 16 == 1700000000000 + number * 1000
    at = datetime.datetime.fromisoformat(first["time"].replace("Z", "+00:00"))
    assert at.timestamp() == 1700000000 + number
    lines = place.good("export").out
    assert len(lines) == 500
    assert lines[0] == (f"{first['place']}  {first['time']}  {first['room']}  text  "
                        f"{first['sender']}: {first['body']}")


def test_export_has_every_kind_and_every_body(place):
    bodies = [b"\xff\x00binary", "topic \u20ac \x7f\x00".encode(), b"", b"later"]
    place.make(50051, lines=[(kind, 1700000000000 + number, "lobby", "ann", body)
                             for number, (kind, body) in
                             enumerate(zip((TEXT, TOPIC, JOIN, 99), bodies))])
    objects = place.good("export", "--json").objects()
    assert [item["kind"] for item in objects] == ["text", "topic", "join", "99"]
    assert objects[0]["body_base64"] == "/wBiaW5hcnk=" and "body" not in objects[0]
    assert [item["body"].encode() for item in objects[1:]] == bodies[1:]
    assert "<FF>" in place.good("export").out[0]


def test_equal_logs_have_the_same_hash(place):
    place.make(1, "-e", 400, "-r", 2)
    place.make(2, "-e", 400, "-r", 2)
    place.make(3, "-e", 401, "-r", 2)
    one, two, three = (place.good("export", "--hash", port).out for port in (1, 2, 3))
    assert one == two != three
    assert re.fullmatch(r"[0-9a-f]{64}  400", one[0])
    as_json = place.good("export", "--hash", "--json", 1).objects()
    assert as_json == [{"type": "hash", "hash": one[0][:64], "events": 400}]


def test_reader_that_goes_away_ends_it(place):
    place.make(50051, "-u", "-e", sized(50000, 5000))
    for args in (["export"], ["export", "--json"], ["history", "-n", "1000000"]):
        reader, writer = os.pipe()
        process = place.start(*args, stdout=writer, stderr=subprocess.PIPE)
        os.close(writer)
        with open(reader, encoding="utf-8") as file:
            assert file.readline() != ""
        assert process.wait(timeout=scaled(10)) == 0
        assert process.stderr.read() == b""


def test_full_disk_under_the_output_is_a_failure(place):
    place.make(50051, "-e", 10)
    with open("/dev/full", "wb") as full:
        process = place.start("export", stdout=full, stderr=subprocess.PIPE)
        assert process.wait(timeout=scaled(10)) == FAILURE
    assert b"No space left" in process.stderr.read()


@pytest.mark.limit(120)
def test_a_hundred_thousand_events_leave_at_once_and_wait_without_memory(place, show):
    count = sized(100000, 10000)
    place.make(50051, "-u", "-e", count, "-r", 5)
    for args in (["export"], ["export", "--json"], ["export", "--hash"]):
        began = time.monotonic()
        result = place.good(*args)
        show(f"{' '.join(args)}: {count} events in {time.monotonic() - began:.2f} s")
        assert len(result.out) == (1 if "--hash" in args else count)
    slow = place.start("export", "--json", stdout=subprocess.PIPE)
    assert slow.stdout.readline() != b""
    time.sleep(0.3)  # it would read on meanwhile

    def rss_kib():
        status = pathlib.Path(f"/proc/{slow.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))

    show(f"waiting for its reader: {assert_memory(rss_kib, 40 * 1024, 'export')} KiB")
    rest = slow.stdout.read().count(b"\n")
    assert rest == count - 1 and slow.wait(timeout=scaled(10)) == 0


def test_signal_ends_an_export_that_waits(place):
    place.make(50051, "-u", "-e", 5000)
    for number in (signal.SIGTERM, signal.SIGINT):
        process = place.start("export", stdout=subprocess.PIPE)
        assert process.stdout.readline() != b""
        process.send_signal(number)
        assert process.wait(timeout=scaled(10)) == FAILURE


# ------------------------------------------------------------------------------ beside a writer

def test_all_but_restore_work_beside_a_node(place):
    directory = place.make(50051, "-e", 50)
    holder = place.hold(directory)
    assert len(place.good("history").out) == 20
    assert len(place.good("search", "event").out) == 20
    before = place.good("export", "--hash").out
    assert "backup.db" in place.good("backup", "backup.db").out[0]
    err = place.refused(FAILURE, "restore", "backup.db")
    assert f"process {holder.pid}" in err
    holder.stdin.close()
    assert holder.wait(timeout=scaled(10)) == 0
    assert place.good("export", "--hash").out == before


# ------------------------------------------------------------------------------ backup, restore

def test_backup_and_restore(place):
    directory = place.make(50051, "-e", 200, "-r", 2)
    wanted = place.good("export", "--hash").out
    assert "identity" in place.good("backup", 50051, "kept.db").out[0]
    assert (place.folder / "kept.db").stat().st_mode & 0o777 == 0o600
    assert "kept.db exists" in place.refused(FAILURE, "backup", "kept.db")

    place.good("restore", 50052, "kept.db")  # where nothing was
    assert place.good("export", "--hash", 50052).out == wanted

    said = place.good("restore", 50051, "kept.db").out[0]
    replaced = re.search(r"kept as (\S+)", said).group(1)
    assert pathlib.Path(replaced).parent == directory and pathlib.Path(replaced).is_file()
    assert place.good("export", "--hash", 50051).out == wanted
    assert (directory / "identity").is_file()


def test_restore_over_another_log_keeps_that(place):
    place.make(50051, "-e", 20)
    other = place.make(50052, "-e", 30)
    old = place.good("export", "--hash", 50052).out
    place.good("backup", 50051, "kept.db")
    place.good("restore", 50052, "kept.db")
    assert place.good("export", "--hash", 50052).out == place.good("export", "--hash", 50051).out
    replaced, = other.glob("log.db.replaced-*")
    place.good("restore", 50052, replaced)
    assert place.good("export", "--hash", 50052).out == old
    assert list(other.glob("log.db.??????")) == []


def test_restore_refuses_what_is_no_backup(place):
    directory = place.make(50051, "-e", 300)
    wanted = place.good("export", "--hash").out
    place.good("backup", "kept.db")
    damaged = place.folder / "damaged.db"
    data = bytearray((place.folder / "kept.db").read_bytes())
    at = data.rindex(b"apple")
    data[at:at + 5] = b"melon"
    damaged.write_bytes(data)
    (place.folder / "text").write_text("this is no log\n" * 100)
    make_foreign(place.folder / "foreign.db")
    os.mkfifo(place.folder / "fifo")
    for name, part in (("damaged.db", "damaged"), ("text", "damaged"), ("missing", "No such file"),
                       ("foreign.db", "another program"), ("fifo", "not a file"),
                       (".", "not a file")):
        assert part in place.refused(FAILURE, "restore", name), name
    assert place.good("export", "--hash").out == wanted
    assert list(directory.glob("log.db.*")) == []


def test_backup_where_nothing_can_be_written_is_a_failure(place):
    place.make(50051, "-e", 3)
    assert "no/such/folder" in place.refused(FAILURE, "backup", "no/such/folder/file")
    assert "/proc/file" in place.refused(FAILURE, "backup", "/proc/file")


def test_backup_that_is_cut_short_leaves_nothing_behind(place):
    place.make(50051, "-u", "-e", sized(60000, 5000))
    folder = place.folder / "backups"
    folder.mkdir()
    process = place.start("backup", folder / "kept.db", stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    eventually(lambda: list(folder.iterdir()) or process.poll() is not None, "the draft", 10, 0)
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    code = process.wait(timeout=scaled(20))
    left = sorted(path.name for path in folder.iterdir())
    assert (code, left) in ((FAILURE, []), (FAILURE, ["kept.db"]), (0, ["kept.db"]))


# ---------------------------------------------------------------------------------- what is wrong

def make_foreign(path):
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE things(id)")
    other.close()


def test_foreign_and_newer_files_are_refused(place):
    foreign = place.of_port(1)
    foreign.mkdir(parents=True)
    make_foreign(foreign / "log.db")
    newer = place.make(2, "-e", 3)
    with sqlite3.connect(newer / "log.db") as log:
        log.execute("PRAGMA user_version = 9")
    log.close()
    for command in (["history"], ["search", "x"], ["export"], ["export", "--hash"],
                    ["backup", "f"]):
        name, rest = command[0], command[1:]
        assert "another program" in place.refused(FAILURE, name, 1, *rest)
        assert "newer" in place.refused(FAILURE, name, 2, *rest)


def test_damaged_log_is_told_and_left_as_it_is(place):
    directory = place.make(50051, "-e", 2000)
    file = directory / "log.db"
    data = bytearray(file.read_bytes())
    at = data.index(b"event 1000 ")
    data[at:at + 5] = b"xxxxx"
    file.write_bytes(data)
    err = place.refused(FAILURE, "export")
    assert "damaged" in err and str(directory) in err
    assert place.run("export", "--hash").out == []
    assert file.read_bytes() == data and not (directory / "damaged").exists()
    file.write_bytes(b"nothing that was ever a log" * 1000)
    for command in (["history"], ["search", "x"], ["export"], ["backup", "f"]):
        assert "damaged" in place.refused(FAILURE, *command)
