"""init, join, id, invite, members, revoke, token: what can be done before a node of a private
network runs, and who may give it commands."""

import json
import os
import re
import stat
import subprocess
import time

import pytest

from bots import Bot
from harness import CHAT_NODE, free_port, scaled

FAILURE, USAGE, IN_USE = 1, 2, 3
LINE = re.compile(r"CHAT1-[A-Z2-7]+")
TOKEN = re.compile(r"cnt_[A-Za-z0-9_-]{43}")


class Place:
    """A home of its own, for some nodes by their ports."""

    def __init__(self, folder):
        self.folder = folder
        self.env = {**os.environ, "XDG_DATA_HOME": str(folder / "data"), "TZ": "UTC"}

    def of_port(self, port):
        return self.folder / "data" / "chat_node" / str(port)

    def run(self, *args, text=None):
        done = subprocess.run([CHAT_NODE, *map(str, args)], env=self.env, cwd=self.folder,
                              input=text, stdin=subprocess.DEVNULL if text is None else None,
                              capture_output=True, check=False, timeout=scaled(60),
                              encoding="utf-8")
        assert "ERROR: " not in done.stderr and "Assertion" not in done.stderr, done.stderr
        return done

    def good(self, *args, text=None):
        done = self.run(*args, text=text)
        assert done.returncode == 0, f"{args}: {done.returncode}: {done.stderr}"
        return done.stdout

    def refused(self, code, *args, text=None):
        done = self.run(*args, text=text)
        assert done.returncode == code, f"{args}: {done.returncode}: {done.stderr}"
        assert done.stdout == "" and done.stderr != ""
        return done.stderr

    def init(self, port=50051, name="garden"):
        line = self.good("init", name, port, "--no-start", "--name", "ann").strip()
        assert LINE.fullmatch(line)
        return line


@pytest.fixture(name="place")
def _place(tmp_path):
    return Place(tmp_path)


# --------------------------------------------------------------------------------- init and join

def test_init_makes_what_its_owner_alone_can_read(place):
    place.init()
    directory = place.of_port(50051)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    names = {path.name for path in directory.iterdir()}
    assert {"identity", "network", "invites", "nodes.json", "program.pem"} <= names
    for path in directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    assert not [name for name in names if name.endswith(".new")]
    assert json.loads((directory / "nodes.json").read_text()) == []


def test_init_takes_no_directory_that_is_somebodys(place):
    place.init()
    before = (place.of_port(50051) / "network").read_text()
    error = place.refused(FAILURE, "init", "other", "--no-start")
    assert "private network already" in error and "--data" in error
    assert (place.of_port(50051) / "network").read_text() == before
    assert "--data" in place.refused(FAILURE, "join", place.init(50052), 50051, "--no-start")


def test_init_takes_no_conversation_into_the_network(place):
    port = free_port()
    done = place.run("--name", "ann", port, text="hi\n")
    assert done.returncode in (0, FAILURE) and place.good("history", port) != ""
    error = place.refused(FAILURE, "init", "garden", port, "--no-start")
    assert "holds a conversation" in error and "--data" in error
    assert not (place.of_port(port) / "network").exists()


@pytest.mark.parametrize("args", [
    ["init"], ["init", "garden", "fifty"], ["init", "garden", "0"], ["join"],
    ["join", "x", "70000"], ["init", "garden", "1", "2", "3"],
    ["init", "garden", *["--address=a"] * 5], ["invite", "--hours", "0"],
    ["invite", "--hours", "721"], ["invite", "--address", "a:0"], ["invite", *["--address=a"] * 5],
    ["revoke"], ["revoke", "bob", "1", "2"], ["revoke", "bob", "--since", "later"], ["token"],
    ["token", "make", "x"], ["token", "add"], ["token", "list", "1", "2"], ["id", "1", "2"],
    ["token", "add", "x", "1", "2"],
])
def test_wrong_usage_is_told(place, args):
    place.refused(USAGE, *args)


@pytest.mark.parametrize("command", ["join", "members", "history"])
def test_command_behind_its_options_is_told_where_it_stands(place, command):
    error = place.refused(USAGE, "--data", "x", command)
    assert f"a command stands before its options: chat_node {command}" in error


def test_name_of_a_network_has_bounds(place):
    for name in ("", "x" * 65, "a\nb"):
        assert "name" in place.refused(FAILURE, "init", name, "--no-start")
        assert not (place.of_port(50051) / "network").exists()
    place.init(name="x" * 64)


def test_wrong_address_for_the_invitation_makes_nothing(place):
    error = place.refused(FAILURE, "init", "garden", "--no-start", "--address", "exa mple")
    assert "exa mple" in error
    assert not place.of_port(50051).exists()


def test_join_says_what_is_wrong_with_the_line(place):
    line = place.init()
    end = "A" if line[-1] != "A" else "B"
    for wrong in ("hello", line[:-5], line[:20] + end + line[21:], "CHAT1-"):
        if wrong != line:
            error = place.refused(FAILURE, "join", wrong, 50052, "--no-start")
            assert "the invitation: " in error
            assert "the invitation: " in place.refused(FAILURE, "join", "-", 50052, "--no-start",
                                                       text=wrong + "\n")
    assert "nothing was read" in place.refused(FAILURE, "join", "-", 50052, "--no-start", text="")
    assert not place.of_port(50052).exists()


def test_join_says_which_addresses_it_could_not_reach(place):
    place.init()
    ports = [free_port(), free_port()]
    line = place.good("invite", 50051, *(f"--address=127.0.0.1:{port}" for port in ports)).strip()
    broken = f"{line[:50]} \n  {line[50:90].lower()}-{line[90:]}\n"
    for text, argument in ((None, line), (broken, "-"), (None, broken)):
        error = place.refused(FAILURE, "join", argument, 50052, "--no-start", text=text)
        for port in ports:
            assert f"127.0.0.1:{port}: " in error
        assert line not in error
    assert not (place.of_port(50052) / "network").exists()


# --------------------------------------------------------------------------------------------- id

def test_id_tells_key_fingerprint_and_network(place):
    place.init()
    out = place.good("id")
    assert re.search(r"^id +[0-9a-f]{64}$", out, re.MULTILINE)
    assert re.search(r"^fingerprint +([0-9a-f]{4}-){3}[0-9a-f]{4}$", out, re.MULTILINE)
    assert re.search(r"^network +garden$", out, re.MULTILINE)
    certificate = place.good("id", "--certificate", 50051)
    assert certificate.startswith("-----BEGIN CERTIFICATE-----\n")
    assert "PRIVATE" not in certificate
    assert place.good("id", "--certificate") == certificate
    assert "no node has kept anything" in place.refused(FAILURE, "id", 50052)


def test_secrets_that_others_can_read_are_refused(place):
    place.init()
    for name in ("network", "identity", "program.pem", "invites"):
        path = place.of_port(50051) / name
        path.chmod(0o640)
        command = {"program.pem": ["id", "--certificate"], "invites": ["invite"]}.get(name, ["id"])
        assert f"chmod 600 {path}" in place.refused(FAILURE, *command)
        path.chmod(0o600)
    place.good("id")


# ------------------------------------------------------------------- invite, members and revoke

def test_invite_beside_a_stopped_node_is_kept_for_it(place):
    lines = {place.init()}
    for _ in range(3):
        done = place.run("invite", "--hours", "2", "--address", "example.org")
        assert done.returncode == 0 and "start it (chat_node 50051)" in done.stderr
        assert "2 hours" in done.stderr
        lines.add(done.stdout.strip())
    assert len(lines) == 4
    kept = json.loads((place.of_port(50051) / "invites").read_text())["invites"]
    hours = [(row["expires_ms"] / 1000 - time.time()) / 3600 for row in kept]
    assert len(kept) == 4 and 23 < hours[0] <= 24 and all(1 < left <= 2 for left in hours[1:])


def test_invitations_that_are_open_have_a_bound(place):
    place.init()
    for _ in range(99):
        place.good("invite")
    assert "100 invitations are open" in place.refused(FAILURE, "invite")


def test_members_of_a_stopped_node_come_from_its_log(place):
    place.init()
    fingerprint = re.search(r"fingerprint +(\S+)", place.good("id")).group(1)
    assert place.good("members") == f"{fingerprint}  founder\n"


def test_revoke_wants_a_node_that_runs(place):
    place.init()
    assert "start it first" in place.refused(FAILURE, "revoke", "bob")


def test_in_open_mode_there_is_nobody_to_invite(place):
    port = free_port()
    place.run("--name", "ann", port, text="hi\n")
    for command in (["invite"], ["members"], ["revoke", "bob"]):
        assert "no private network" in place.refused(FAILURE, *command, port)
    assert re.search(r"^network +none", place.good("id"), re.MULTILINE)


# ------------------------------------------------------------------------------------------ token

def test_tokens_are_shown_once_listed_and_revoked(place):
    place.init()
    bot = place.good("token", "add", "bot").strip()
    eye = place.good("token", "add", "eye", "--read", 50051).strip()
    assert TOKEN.fullmatch(bot) and TOKEN.fullmatch(eye) and bot != eye
    listed = place.good("token", "list").splitlines()
    assert [(row.split()[0], row.split()[2]) for row in listed] == [("write", "bot"),
                                                                    ("read", "eye")]
    path = place.of_port(50051) / "tokens"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert bot not in path.read_text() and eye not in path.read_text()
    assert "already" in place.refused(FAILURE, "token", "add", "bot")
    place.good("token", "revoke", "bot")
    assert "no token is named" in place.refused(FAILURE, "token", "revoke", "bot")
    assert "eye" in place.good("token", "list") and "bot" not in place.good("token", "list")


def test_tokens_made_at_once_are_all_there(place):
    place.init()
    processes = [subprocess.Popen([CHAT_NODE, "token", "add", f"bot {number}"], env=place.env,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                 for number in range(20)]
    assert [process.wait(scaled(60)) for process in processes] == [0] * 20
    assert len(place.good("token", "list").splitlines()) == 20


# ---------------------------------------------------------------- the owner's socket of a node

def run_command(bot, line):
    import chat_pb2_grpc
    return chat_pb2_grpc.NodeServiceStub(bot.channel).Run(bot.pb.RunRequest(line=line),
                                                          timeout=scaled(10), wait_for_ready=True)


def test_commands_are_for_the_owner_on_the_unix_socket(cluster):
    import grpc
    node = cluster.node()
    data = node.data_args()
    path = f"{data[1]}/socket" if data[0] == "--data" else os.path.join(
        os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "chat_node",
        data[0], "socket")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with Bot(node) as bot:
        with pytest.raises(grpc.RpcError) as refused:
            run_command(bot, "/members")
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert "Unix socket" in refused.value.details()
    channel = grpc.insecure_channel(f"unix:{path}")
    try:
        with Bot(node) as owner:
            owner.channel.close()
            owner.channel = channel
            run_command(owner, "/members")
            with pytest.raises(grpc.RpcError) as refused:
                run_command(owner, "x" * 8193)
            assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            import chat_pb2_grpc
            owner.chat = chat_pb2_grpc.ChatServiceStub(channel)
            assert owner.say("by the socket", sender="ann").success
            node.wait_content("by the socket")
    finally:
        channel.close()
