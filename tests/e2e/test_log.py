"""Row 6: the log on the disk: backups and clones, full and read-only disks, damaged and foreign
files."""

import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

from bots import Bot
from harness import (assert_in_order, bodies, eventually, exported, free_port, log_hash, sized,
                     tool, wait_equal_logs)

NAMES = ["ann", "bob", "cyd"]


def directory_of(node):
    if "--data" in node.args:
        return pathlib.Path(node.args[node.args.index("--data") + 1])
    return pathlib.Path(os.environ["XDG_DATA_HOME"]) / "chat_node" / str(node.port)


def lines(name, first, count):
    return [f"{name} {number}" for number in range(first, first + count)]


# ---------------------------------------------------------------------------- what a log is for

def test_an_export_holds_what_was_said_and_equal_logs_have_equal_hashes(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say(*lines("ann", 0, 30))
    bob.wait_content("ann 29")
    bob.say(*lines("bob", 0, 30))
    ann.wait_content("bob 29")
    digest, events = wait_equal_logs([ann, bob], lines("ann", 0, 30) + lines("bob", 0, 30))
    assert events == 60 and len(digest) == 64
    assert_in_order(bodies(ann, "ann"), "ann", 30)
    for row in exported(ann):
        assert row["room"] == "lobby" and row["kind"] == "text"
    ann.say("more")
    bob.wait_content("more")
    assert wait_equal_logs([ann, bob])[0] != digest


def test_a_node_alone_shows_its_own_history_after_a_restart(cluster):
    ann = cluster.node(name="ann")
    ann.say(*lines("ann", 0, 30))
    ann.wait_content("ann 29")
    ann.kill()
    ann = cluster.again(ann)
    ann.command("/history 10")
    ann.wait_for(lambda: len(ann.history) == 10, "its history")
    assert [row["content"] for row in ann.history] == lines("ann", 20, 10)
    assert ann.messages == []  # what was shown is not shown again


# -------------------------------------------------------------------- backups, clones, twice one

def test_a_node_restored_from_yesterdays_backup_writes_on(cluster, tmp_path):
    """It has forgotten what it said since; the others have not, and give it back."""
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say(*lines("ann", 0, 50))
    bob.wait_content("ann 49")
    file = tmp_path / "backup.db"
    said = tool("backup", ann.port, file)[1]
    assert "copied the log" in said and file.stat().st_size > 0
    ann.say(*lines("ann", 50, 50))
    bob.wait_content("ann 99")
    ann.wait_in_step(bob)
    assert ann.stop() == 0
    tool("restore", ann.port, file)
    assert log_hash(ann)[1] == 50
    ann = cluster.again(ann)
    ann.say(*lines("ann", 100, 50))
    bob.wait_content("ann 149", seconds=20)
    assert_in_order(bob.contents("ann"), "ann", 150)
    wait_equal_logs([ann, bob], lines("ann", 0, 150))
    assert not any("two different events" in one["text"] for one in ann.notices + bob.notices)


def test_a_restore_beside_a_running_node_is_refused(cluster, tmp_path):
    ann = cluster.node(name="ann")
    ann.say("one")
    ann.wait_content("one")
    tool("backup", ann.port, tmp_path / "backup.db")
    ann.say("two")
    ann.wait_content("two")
    code, _, error = tool("restore", ann.port, tmp_path / "backup.db", check=False)
    assert code != 0 and "in use" in error, error
    assert bodies(ann) == ["one", "two"]


def test_a_cloned_data_directory_runs_as_a_second_node(cluster, tmp_path):
    """Same key, another port: the two write streams of their own, and all know all."""
    ports = [free_port() for _ in range(3)]
    ann = cluster.node(ports[0], ports, "ann")
    bob = cluster.node(ports[1], ports, "bob")
    ann.say(*lines("ann", 0, 20))
    bob.wait_content("ann 19")
    ann.stop()
    shutil.copytree(directory_of(ann), tmp_path / "clone")
    ann = cluster.again(ann)
    clone = cluster.node(ports[2], ports, "eve", args=["--data", str(tmp_path / "clone")])
    nodes = [ann, bob, clone]
    ann.say(*lines("ann", 20, 50))
    clone.say(*lines("eve", 0, 50))
    bob.say(*lines("bob", 0, 50))
    for node in nodes:
        for last in ("ann 69", "eve 49", "bob 49"):
            node.wait_content(last, seconds=20)
        node.wait_connected(2)
        assert_in_order(node.contents("eve"), "eve", 50)
    keys = {(row["sender"], row["origin"]) for row in exported(bob)}
    assert len({origin for _, origin in keys}) == 2 and len(keys) == 3
    wait_equal_logs(nodes, lines("ann", 0, 70) + lines("eve", 0, 50) + lines("bob", 0, 50))
    assert not any("two different events" in one["text"] for node in nodes for one in node.notices)


# ---------------------------------------------------------------------------------- full, read-only

class SmallDisk:
    """A tmpfs of its own."""

    def __init__(self, path, mebibytes):
        self.path = path
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "none", path],
                              capture_output=True, timeout=20, check=False)
        if done.returncode != 0:
            pytest.skip(f"no tmpfs may be mounted here: {done.stderr.decode().strip()}")

    def fill(self):
        with open(self.path / "filler", "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 10, 1):
                try:
                    while file.write(b"x" * size) == size:
                        pass
                except OSError:
                    pass

    def free(self):
        (self.path / "filler").unlink()

    def set_read_only(self, read_only):
        subprocess.run(["mount", "-o", f"remount,{'ro' if read_only else 'rw'}", self.path],
                       check=True, capture_output=True, timeout=20)

    def close(self):
        subprocess.run(["umount", "-l", self.path], capture_output=True, timeout=20, check=False)


@pytest.fixture
def disk(tmp_path, time_limit):
    made = SmallDisk(tmp_path / "disk", 8)
    yield made
    made.close()


def test_a_full_disk_refuses_own_lines_shows_those_of_others_and_recovers(cluster, disk):
    ports = [free_port(), free_port()]
    ann = cluster.node(ports[0], ports, "ann", args=["--data", str(disk.path / "ann")])
    bob = cluster.node(ports[1], ports, "bob")
    ann.wait_connected(1)
    ann.say(*lines("ann", 0, 20))
    bob.wait_content("ann 19")
    disk.fill()
    count = 300  # less than a credit: so much is kept in memory
    bob.say(*(f"{line} {'x' * 1000}" for line in lines("bob", 0, count)))
    ann.wait_for(lambda: len(ann.contents("bob")) == count, "bob's lines", 30)
    since = len(ann.notices)
    said = ann.wait_notice("refused until there is room")
    assert said["level"] == "error" and str(disk.path) in said["text"], said
    ann.say("not now")
    refusal = ann.wait_notice("^not sent: ", since=since)
    assert refusal["level"] == "error"
    with Bot(ann) as bot:
        code, words = bot.refused("nor this")
        assert code.name == "UNAVAILABLE" and words, (code, words)
    assert "not now" not in ann.contents()
    told = [one for one in ann.notices if "disk" in one["text"] and one is not refusal]
    assert told == [said], told
    disk.free()
    ann.wait_notice("takes writes again", seconds=20)
    ann.say("room again")
    bob.wait_content("room again")
    ann.wait_content("room again")
    wait_equal_logs([ann, bob])
    held = bodies(ann)
    assert "not now" not in held and len(held) == 20 + count + 1
    assert ann.running()
    ann.kill()
    ann = cluster.again(ann)
    ann.wait_connected(1)
    wait_equal_logs([ann, bob], ["room again"])


def test_a_disk_that_is_full_from_the_start_is_said(cluster, disk):
    port = free_port()
    cluster.write_nodes(port, [])
    disk.fill()
    ann = cluster.node(port, None, "ann", args=["--data", str(disk.path / "ann")], wait=False)
    assert ann.wait(15) == 1
    assert "No space left" in "".join(ann.err) or "full" in "".join(ann.err), ann.err


def test_a_read_only_data_directory_is_said_at_the_start(cluster, disk):
    ann = cluster.node(name="ann", args=["--data", str(disk.path / "ann")])
    ann.say("one")
    ann.wait_content("one")
    ann.stop()
    disk.set_read_only(True)
    again = cluster.again(ann, wait=False)
    assert again.wait(15) == 1
    said = "".join(again.err)
    assert str(disk.path / "ann") in said and "Read-only" in said, again.err
    disk.set_read_only(False)
    assert bodies(cluster.again(ann)) == ["one"]


def test_a_data_directory_in_use_is_named_with_its_holder(cluster):
    ann = cluster.node(name="ann")
    port = free_port()
    other = cluster.node(port, [], "bob", args=["--data", str(directory_of(ann))], wait=False)
    assert other.wait(15) == 3
    said = "".join(other.err)
    assert str(directory_of(ann)) in said and "in use" in said and str(ann.pid) in said, said
    ann.say("undisturbed")
    ann.wait_content("undisturbed")


# ------------------------------------------------------------------------------ damaged, foreign

def test_a_damaged_log_is_set_aside_and_fetched_again(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    count = sized(500, 100)
    ann.say(*lines("ann", 0, count))
    bob.say(*lines("bob", 0, count))
    for node in (ann, bob):
        node.wait_messages(2 * count, 20)
    bob.wait_in_step(ann)
    bob.stop()
    ann.stop()
    log = directory_of(bob) / "log.db"
    with open(log, "r+b") as file:
        for page in range(1, log.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(512))
    damaged = log.read_bytes()
    ann, bob = cluster.again(ann), cluster.again(bob)
    said = bob.wait_notice("was damaged.*kept as", seconds=20)
    assert said["level"] in ("warning", "error") and str(log) in said["text"], said
    bob.wait_connected(1)
    bob.say("bob again")
    ann.wait_content("bob again", seconds=20)
    wait_equal_logs([ann, bob], lines("ann", 0, count) + lines("bob", 0, count))
    aside = [path for path in log.parent.iterdir() if "corrupt" in path.name]
    assert any(path.read_bytes() == damaged for path in aside), aside


def test_a_log_that_was_cut_short_is_fetched_again(cluster):
    ann, bob = cluster.mesh(NAMES[:2])
    ann.say(*lines("ann", 0, 300))
    bob.wait_content("ann 299")
    ann.wait_in_step(bob)
    bob.stop()
    log = directory_of(bob) / "log.db"
    os.truncate(log, 3000)
    bob = cluster.again(bob)
    bob.wait_notice("was damaged.*kept as", seconds=20)
    wait_equal_logs([ann, bob], lines("ann", 0, 300))


@pytest.mark.parametrize("kind", ["other program", "no database", "newer version"])
def test_a_log_of_another_program_is_left_alone(cluster, kind):
    """no database: bytes that SQLite knows nothing of are damage, and set aside."""
    ann = cluster.node(name="ann")
    ann.say("one")
    ann.wait_content("one")
    ann.stop()
    log = directory_of(ann) / "log.db"
    if kind == "no database":
        log.write_bytes(b"to do: buy milk\n" * 1000)
    elif kind == "newer version":
        with sqlite3.connect(log) as database:
            database.execute("PRAGMA user_version = 9999")
        database.close()
    else:
        log.unlink()
        with sqlite3.connect(log) as database:
            database.execute("CREATE TABLE addresses(name TEXT, street TEXT)")
            database.execute("PRAGMA application_id = 77")
        database.close()
    before = log.read_bytes()
    again = cluster.again(ann, wait=False)
    if kind == "no database":
        again.wait_notice("was damaged.*kept as", seconds=15)
        aside = [path for path in log.parent.iterdir() if "corrupt" in path.name]
        assert [path.read_bytes() for path in aside] == [before]
        return
    assert again.wait(15) == 1
    said = "".join(again.err)
    assert str(log) in said, said
    assert log.read_bytes() == before
