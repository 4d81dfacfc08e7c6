"""What a node keeps to itself: its secrets, its memory, its files; and that it needs nothing which
docs/chat_node.service takes from it."""

import base64
import os
import pathlib
import re
import resource
import shutil
import signal
import stat
import subprocess

import pytest

import harness
from bots import Bot
from harness import eventually, scaled, tool

SERVICE = harness.PROJECT / "docs" / "chat_node.service"
SANITIZED = harness.SLOW > 1  # their builds let debuggers in


def data_folder(data_home, node):
    return data_home / "chat_node" / str(node.port)


def forms(secret):
    """How bytes are written down, and parts of them."""
    texts = {secret, secret[:16], secret[16:], secret.hex().encode(), secret.hex().upper().encode(),
             secret[:8].hex().encode(), base64.b64encode(secret)[:40],
             base64.urlsafe_b64encode(secret)[:40], base64.b32encode(secret)[:48],
             base64.b64encode(secret[:9])}
    return [text for text in texts if len(text) >= 12]


def assert_nowhere(secret, data, what):
    for form in forms(secret):
        assert form not in data, f"{what} holds the identity's secret"


def use_it(cluster, *nodes):
    """A bit of everything."""
    nodes[0].wait_connected(len(nodes) - 1)
    with Bot(nodes[0]) as bot:
        bot.say("from a program")
        bot.refused("")
    nodes[0].say("from its person")
    for line in ("/list", "/who", "/rooms", "/join dev", "/history", "/search person", "/help",
                 "/nonsense", "/why 123456-1", "/retry"):
        nodes[0].command(line)
    for node in nodes:
        node.wait_content("from its person")
    nodes[0].list()


@pytest.mark.limit(120)
def test_secret_is_in_its_file_alone(cluster, data_home):
    nodes = cluster.mesh(["ann", "bob"], args=["--log-level", "debug"])
    use_it(cluster, *nodes)
    ann = nodes[0]
    folder = data_folder(data_home, ann)
    secret = (folder / "identity").read_bytes()
    assert len(secret) == 32 and len(set(secret)) > 8
    said = pathlib.Path(f"/proc/{ann.pid}/cmdline").read_bytes()
    said += pathlib.Path(f"/proc/{ann.pid}/environ").read_bytes()
    for command in (["history", "--json"], ["export"], ["export", "--json"], ["search", "person"],
                    ["backup"]):
        extra = [str(data_home / "copy.db")] if command == ["backup"] else []
        arguments = [*command[:1], *ann.data_args(), *command[1:], *extra] \
            if command[0] in ("search", "backup") else [*command, *ann.data_args()]
        _, out, err = tool(*arguments)
        said += out.encode() + err.encode()
    ann.stop()
    for node in nodes:
        said += "\n".join(node.out + node.err).encode("utf-8", "backslashreplace")
    assert any(" debug: " in row or " info: " in row for row in ann.err)
    assert_nowhere(secret, said, "what was said")
    for path in data_home.rglob("*"):
        if path.is_file() and path != folder / "identity":
            assert_nowhere(secret, path.read_bytes(), path)


@pytest.mark.skipif(SANITIZED, reason="sanitizers let debuggers in")
def test_crash_leaves_no_memory_on_the_disk(cluster):
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    if limits[1] == 0:
        pytest.skip("the tests may have no cores themselves")
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        node = cluster.node(name="ann", env={"CHAT_NODE_DEBUG": ""})
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    row = re.search(r"^Max core file size +(\d+) +(\d+)",
                    pathlib.Path(f"/proc/{node.pid}/limits").read_text(encoding="ascii"), re.M)
    assert row.groups() == ("0", "0")
    node.expected_dead = True
    node.signal(signal.SIGSEGV)
    node.process.wait(scaled(10))
    assert node.process.returncode == -signal.SIGSEGV
    cluster.children.remove(node)
    assert not [path for path in node.cwd.rglob("*") if "core" in path.name]


@pytest.mark.skipif(SANITIZED or os.geteuid() != 0, reason="takes root, to be two programs of nobody's")
def test_memory_is_not_for_other_programs_of_the_same_user(cluster, tmp_path):
    """As nobody: one node, and one who would read its memory."""
    for path in (tmp_path, *tmp_path.parents[:3]):
        os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) | 0o055)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    readable = {}
    for debug in ("", "1"):
        node = cluster.node(name="ann", prefix=nobody, args=["--data", str(home / f"data{debug}")],
                            env={"CHAT_NODE_DEBUG": debug})
        done = subprocess.run([*nobody, "head", "-c", "1", f"/proc/{node.pid}/maps"],
                              capture_output=True, check=False, timeout=scaled(20))
        readable[debug] = done.returncode == 0 and len(done.stdout) == 1
        node.stop()
    assert readable == {"": False, "1": True}


def copies_in_memory(pid, wanted):
    """Where wanted is in a process: [(mapping, count)]."""
    found = []
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for row in maps:
            span, access, *_, name = (row.rstrip("\n") + " ").split(" ", 5)
            if not access.startswith("rw"):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            try:
                mem.seek(start)
                count = mem.read(end - start).count(wanted)
            except OSError:
                continue
            if count:
                found.append((name.strip() or "anonymous", count))
    return found


@pytest.mark.skipif(SANITIZED or os.geteuid() != 0, reason="takes root, who reads all memory")
def test_memory_holds_the_secret_where_it_is_used_alone(cluster, data_home):
    """The store's copies (one opens sealed rooms for the search), and the key pair that signs: no
    buffer that it went through."""
    nodes = cluster.mesh(["ann", "bob"])
    use_it(cluster, *nodes)
    secret = (data_folder(data_home, nodes[0]) / "identity").read_bytes()
    found = copies_in_memory(nodes[0].pid, secret)
    assert sum(count for _, count in found) == 3, found
    nodes[0].stop()
    read = cluster.again(nodes[0])  # this time it was read, not made
    read.wait_connected(1)
    found = copies_in_memory(read.pid, secret)
    assert sum(count for _, count in found) == 3, found


def test_files_are_for_their_owner_alone(cluster, data_home):
    before = os.umask(0)
    try:
        node = cluster.node(peers=None, name="ann", nodes="made.json")
    finally:
        os.umask(before)
    node.say("hi")
    node.wait_content("hi")
    folder = data_folder(data_home, node)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    paths = [*folder.rglob("*"), node.cwd / "made.json"]
    assert len(paths) >= 4
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


# ------------------------------------------------------------------------------- what it asks for

CALL = re.compile(r"^([a-z0-9_]+)\((.*)$")
OPENS_TO_WRITE = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
CHANGES = {"mkdir", "mkdirat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link",
           "linkat", "symlink", "symlinkat", "truncate", "chmod", "fchmodat", "mknod", "mknodat",
           "rmdir", "creat", "chown", "lchown", "fchownat", "utimensat", "setxattr"}


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """A node's whole life, each call of the system on a line, and where its data is."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    if SANITIZED:
        pytest.skip("sanitizers do much of their own")
    folder = tmp_path_factory.mktemp("traced")
    cluster = harness.Cluster(folder)
    trace, data = folder / "trace", folder / "data"
    try:
        node = cluster.node(name="ann", args=["--data", str(data)], wait=False, peers=[1],
                            prefix=["strace", "-ff", "-qq", "-s", "300", "-o", str(trace)])
        eventually(lambda: harness.is_listening(node.port), "the node to listen", 30)
        with Bot(node) as bot:
            bot.say("from a program")
        node.say("from its person")
        for line in ("/history", "/search person", "/join dev", "/list"):
            node.command(line)
        node.wait_content("from its person")
        node.wait_for(lambda: len(node.lists) > 0, "the list")
        node.command("/quit")
        assert node.wait(30) == 0
    finally:
        complaints = cluster.stop_all()
    assert not complaints
    rows = []
    for part in folder.glob("trace.*"):  # one for each thread
        for line in part.read_text(encoding="utf-8", errors="replace").splitlines():
            match = CALL.match(line)
            if match:
                rows.append(match.groups())
    assert len(rows) > 500
    return rows, node.cwd, data


def test_nothing_is_written_outside_the_data_directory(traced):
    rows, cwd, data = traced
    touched = []
    for name, rest in rows:
        if re.search(r"= -1 E", rest):
            continue
        if name in CHANGES or name in ("open", "openat") and OPENS_TO_WRITE.search(rest):
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', rest):
                touched.append(os.path.normpath(cwd / text))
    assert str(data / "log.db") in touched and str(data / "identity") in touched
    outside = [path for path in touched
               if path != str(data) and not path.startswith(str(data) + "/") and
               path not in ("/dev/null", "/dev/tty", "/proc/self/fd/1")]  # its standard output
    assert not outside, f"written outside {data}: {sorted(set(outside))}"


def test_no_memory_is_written_and_run(traced):
    rows, _, _ = traced
    both = [rest for name, rest in rows if name in ("mmap", "mprotect", "pkey_mprotect")
            and "PROT_WRITE" in rest and "PROT_EXEC" in rest]
    assert not both, both[:3]


def test_only_sockets_of_the_internet_and_of_this_machine(traced):
    rows, _, _ = traced
    families = {match[1] for name, rest in rows if name in ("socket", "socketpair")
                for match in [re.match(r"(\w+)", rest)] if " = -1" not in rest}
    assert "AF_INET" in families
    allowed = re.search(r"^RestrictAddressFamilies=(.*)$", SERVICE.read_text(encoding="utf-8"), re.M)
    assert families <= set(allowed[1].split()), families
    assert "AF_NETLINK" in allowed[1], "an invitation names this machine's addresses: getifaddrs(3)"


def calls_of(sets, name, seen=None):
    """The calls of a set of systemd's, those of sets within it too."""
    seen = seen if seen is not None else set()
    if name in seen:
        return set()
    seen.add(name)
    found = set()
    for one in sets.get(name, ()):
        found |= calls_of(sets, one, seen) if one.startswith("@") else {one}
    return found


def test_service_allows_every_call_that_is_made(traced):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    rows, _, _ = traced
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager"], check=True,
                            capture_output=True, text=True, timeout=scaled(20)).stdout
    sets, current = {}, None
    for line in listed.splitlines():
        line = re.sub(r"\x1b\[[0-9;]*m", "", line)
        if line.startswith("@"):
            current = sets.setdefault(line.strip(), [])
        elif current is not None and line.startswith("    ") and not line.strip().startswith("#"):
            current.append(line.strip())
    service = SERVICE.read_text(encoding="utf-8")
    good = set()
    for plus in re.findall(r"^SystemCallFilter=(@.*)$", service, re.M):
        for name in plus.split():
            good |= calls_of(sets, name)
    for minus in re.findall(r"^SystemCallFilter=~(.*)$", service, re.M):
        for name in minus.split():
            good -= calls_of(sets, name)
    made = {name for name, _ in rows}
    assert len(good) > 100 and {"read", "write", "openat"} <= good
    if os.geteuid() == 0:
        made -= {"fchown"}  # SQLite's, of root alone
    assert made <= good, sorted(made - good)


def test_service_file_is_sound(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    copy = tmp_path / "chat_node.service"
    copy.write_text(SERVICE.read_text(encoding="utf-8").replace("/usr/local/bin/chat_node",
                                                                "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(copy)],
                          capture_output=True, text=True, timeout=scaled(30), check=False)
    assert done.returncode == 0 and "chat_node.service" not in done.stderr, done.stderr
