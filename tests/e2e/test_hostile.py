"""Those who knock without being members, who have an invitation that is none, and who have a
member's disk."""

import collections
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess

import pytest

import capture
import h2
import harness
import private
from harness import eventually, scaled

NAMES = ("annabelle", "bobolink", "carlotta")
NETWORK, ROOM, LINE = "willowbrook", "gardening-club", "the tulips are coming up"


@pytest.fixture
def net(cluster):
    return private.Net(cluster, NETWORK)


# --------------------------------------------------------------------------------------- strangers

Heard = collections.namedtuple("Heard", "plain words wire")  # decrypted bytes, the end, raw bytes


def own_certificate(folder):
    """A key that nobody has let in, and its certificate, as PEM: paths."""
    key, certificate = folder / "stranger.key", folder / "stranger.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "30",
                    "-subj", "/CN=chat_node", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key


def talk_tls(port, context, words=b""):
    """Shakes hands, says words, and hears until the other closes."""
    plain = b""
    try:
        with h2.connect(port, timeout=scaled(15), tls=context) as one:
            if words:
                one.sendall(words)
            while data := one.recv(1 << 16):
                plain += data
        return Heard(plain, "it was closed", b"")
    except ssl.SSLError as error:
        return Heard(plain, error.reason or str(error), b"")
    except ConnectionResetError:
        return Heard(plain, "it was reset", b"")


def talk_plain(port, words):
    wire = b""
    try:
        with h2.connect(port, timeout=scaled(15)) as one:
            one.sendall(words)
            while data := one.recv(1 << 16):
                wire += data
    except ConnectionResetError:
        pass
    return Heard(b"", "it was closed", wire)


def gate_message(**fields):
    import chat_pb2
    data = chat_pb2.GateMessage(version=1, **fields).SerializeToString()
    return len(data).to_bytes(4, "big") + data


def with_own_certificate(folder, *alpn):
    context = h2.tls_context(*alpn)
    context.load_cert_chain(*own_certificate(folder))
    return context


def no_certificate(port, _):
    return talk_tls(port, h2.tls_context("chat_node/1"), gate_message(tag=os.urandom(32)))


def does_not_know_the_network(port, folder):
    return talk_tls(port, with_own_certificate(folder, "chat_node/1"),
                    gate_message(tag=os.urandom(32)))


def guesses_an_invitation(port, folder):
    import chat_pb2
    join = chat_pb2.GateJoin(secret=os.urandom(16), name="eve", port=1)
    return talk_tls(port, with_own_certificate(folder, "chat_node/1"), gate_message(join=join))


def talks_nonsense(port, folder):
    return talk_tls(port, with_own_certificate(folder, "chat_node/1"), b"\0\0\0\x10" + b"\xff" * 16)


def promises_a_gigabyte(port, folder):
    return talk_tls(port, with_own_certificate(folder, "chat_node/1"), b"\x40\0\0\0" + b"x" * 1000)


def another_kind_of_key(port, folder):
    key, certificate = folder / "p256.key", folder / "p256.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=chat_node", "-keyout", key,
                    "-out", certificate], check=True, capture_output=True)
    context = h2.tls_context("chat_node/1")
    context.load_cert_chain(certificate, key)
    return talk_tls(port, context, gate_message(tag=os.urandom(32)))


def an_older_tls(port, folder):
    context = with_own_certificate(folder, "chat_node/1")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return talk_tls(port, context)


def no_alpn(port, folder):
    return talk_tls(port, with_own_certificate(folder))


def another_alpn(port, folder):
    return talk_tls(port, with_own_certificate(folder, "http/1.1", "chat_node/2"))


def a_program_where_there_is_no_token(port, _):
    return talk_tls(port, h2.tls_context("h2"), h2.hello_bytes("eve"))


def plaintext_http2(port, _):
    return talk_plain(port, h2.hello_bytes("eve"))


def plaintext_http1(port, _):
    return talk_plain(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


def plaintext_garbage(port, _):
    return talk_plain(port, bytes(range(255, -1, -1)) * 40)


def stolen_certificate(port, folder):
    done = subprocess.run([harness.BUILD / "hostile_thief", str(port), folder / "stolen.pem"],
                          capture_output=True, text=True, check=False, timeout=scaled(20))
    assert done.returncode == 1, done
    return Heard(b"", done.stdout, b"")


def certificate_of(port, alpn="chat_node/1"):
    with h2.connect(port, timeout=scaled(10), tls=h2.tls_context(alpn)) as one:
        return one.getpeercert(True)


def try_certificate(port, alpn):
    try:
        return certificate_of(port, alpn)
    except OSError:
        return None


# who, what the stranger hears, what the node's log says
STRANGERS = [
    (no_certificate, "certificate required", "shows no certificate"),
    (does_not_know_the_network, "closed", "does not belong to this network"),
    (guesses_an_invitation, "closed", "invitation"),
    (talks_nonsense, "closed", "makes no sense"),
    (promises_a_gigabyte, "closed|reset", "makes no sense"),
    (another_kind_of_key, "alert", "certificate|TLS"),
    (an_older_tls, "protocol version", "TLS is older than 1.3"),
    (no_alpn, "no application protocol", "does not say what it speaks"),
    (another_alpn, "no application protocol", "speaks what this node does not"),
    (a_program_where_there_is_no_token, "access denied", "there is no token for any"),
    (plaintext_http2, "closed", "does not speak TLS|without TLS"),
    (plaintext_http1, "closed", "does not speak TLS|without TLS"),
    (plaintext_garbage, "closed", "does not speak TLS|TLS"),
    (stolen_certificate, "decrypt error", "has not the key of the certificate"),
]


def private_words(net, name):
    """What nobody may learn who is no member."""
    key, _ = net.id(name)
    network = json.loads((net.data(name) / "network").read_text())
    assert network
    words = [NETWORK, ROOM, LINE, *NAMES, key]
    return {text: text.encode() for text in words}


def refusals(node):
    return [row for row in node.err if "turned away" in row]


def steal_certificate(net, node, path):
    """The node as it was, started again: its log told of one who is turned away, and tells of the
    next after ten seconds."""
    path.write_text(ssl.DER_cert_to_PEM_cert(certificate_of(node.port)))
    node.stop()
    return net.start(node.name, args=("--log-level", "info"))


@pytest.mark.parametrize("stranger,hears,told", STRANGERS,
                         ids=[row[0].__name__ for row in STRANGERS])
def test_a_stranger_is_turned_away_and_learns_nothing(net, tmp_path, stranger, hears, told):
    ann = net.found(NAMES[0], args=("--log-level", "info"))
    ann.command(f"/join {ROOM}")
    ann.say(LINE)
    ann.wait_content(LINE)
    if stranger is stolen_certificate:
        ann = steal_certificate(net, ann, tmp_path / "stolen.pem")
    heard = stranger(net.port(NAMES[0]), tmp_path)
    assert re.search(hears, heard.words.replace("_", " "), re.I), heard
    row = ann.wait_for(lambda: next(iter(refusals(ann)), None), "a line in its log")
    assert re.search(told, row), row
    assert "127.0.0.1:" in row
    secrets = private_words(net, NAMES[0])
    assert capture.found_in(secrets, heard.plain, heard.wire) == []
    if heard.wire:
        assert {kind for kind, _ in capture.tls_records(heard.wire)} == {capture.ALERT}
    assert len(heard.plain) < 400, heard.plain
    net.join(NAMES[1], NAMES[0]).wait_notice(r"connected to ")


def test_certificates_name_nobody(net):
    """The node's, which anybody sees who dials it, and that for programs."""
    net.found(NAMES[0])
    private.token(net, NAMES[0], "monitor")
    secrets = private_words(net, NAMES[0])
    for alpn in ("chat_node/1", "h2"):
        der = eventually(lambda alpn=alpn: try_certificate(net.port(NAMES[0]), alpn),
                         "a handshake; that there is a token, the node sees a bit later")
        assert capture.found_in(secrets, der) == []
        text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-text"], input=der,
                              capture_output=True, check=True).stdout.decode()
        names = set(re.findall(r"(?:CN ?= ?|DNS:|email:|IP Address:|URI:)([^,\s]+)", text))
        assert names == {"chat_node"}, text
    key, _ = net.id(NAMES[0])
    assert bytes.fromhex(key) in certificate_of(net.port(NAMES[0]))


# ------------------------------------------------------------------------------------- invitations

def nothing_was_joined(net, name):
    return not (net.data(name) / "network").exists()


def test_an_invitation_that_has_expired_lets_nobody_in(net):
    """The clock is not moved: its end is. What the line itself says of it does not count."""
    ann = net.found(NAMES[0], args=("--log-level", "info"))
    fields = private.invitation(net.invite(NAMES[0]))
    fields.expires_ms += 365 * 24 * 3600 * 1000
    line = private.invitation_line(fields)
    path = net.data(NAMES[0]) / "invites"
    kept = json.loads(path.read_text())
    assert kept["invites"]
    for row in kept["invites"]:
        row["expires_ms"] = 1_700_000_000_000
    path.write_text(json.dumps(kept))
    refused = net.join_only(NAMES[1], line, check=False)
    assert refused.returncode == 1 and "expired" in refused.stderr, refused
    assert nothing_was_joined(net, NAMES[1])
    ann.wait_for(lambda: any("expired" in row for row in refusals(ann)), "a line in its log")


def test_a_secret_is_shown_to_the_inviter_alone(net):
    """The line names another key than the node there has: it is not asked, and the invitation is
    good as before."""
    net.found(NAMES[0])
    line = net.invite(NAMES[0])
    fields = private.invitation(line)
    assert private.invitation_line(private.invitation(line)) == line
    fields.inviter = os.urandom(32)
    refused = net.join_only(NAMES[1], private.invitation_line(fields), check=False)
    assert refused.returncode == 1 and re.search("key is another|another key", refused.stderr), \
        refused
    assert nothing_was_joined(net, NAMES[1])
    assert net.join_only(NAMES[2], line).returncode == 0


def test_one_line_lets_in_one_of_many_who_come_at_once(net):
    net.found(NAMES[0])
    line = net.invite(NAMES[0])
    rivals = [subprocess.Popen(
        [harness.CHAT_NODE, "join", "-", str(harness.free_port()), "--no-start", "--name", "eve",
         "--data", net.cluster.folder / f"rival-{number}"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for number in range(5)]
    for rival in rivals:
        rival.stdin.write(line + "\n")
        rival.stdin.flush()
    ends = [(rival.communicate(timeout=scaled(30))[1], rival.returncode) for rival in rivals]
    assert sorted(code for _, code in ends) == [0, 1, 1, 1, 1], ends
    assert all("used" in words for words, code in ends if code == 1), ends


# ------------------------------------------------------------------------------------ a stolen disk

def write_peers(folder, *ports):
    path = pathlib.Path(folder) / "nodes.json"
    path.write_text(json.dumps([{"host": "127.0.0.1", "port": port} for port in ports]))
    path.chmod(0o600)


def start_thief(net, cluster, folder, name, *peers):
    """A node on the stolen directory, with other nodes to dial."""
    port = harness.free_port()
    write_peers(folder, *peers)
    return cluster.node(port, None, name, nodes=None,
                        args=(*private.LOCAL, "--data", str(folder)))


@pytest.mark.limit(120)
def test_a_stolen_disk_is_of_no_use_after_the_revocation(net, cluster, tmp_path):
    ann, bob, carl = net.nodes(*NAMES)
    bob.say("said by its owner")
    for node in (ann, carl):
        node.wait_content("said by its owner")
    by_bob = net.invite(NAMES[1])
    bob.wait_in_step(ann)
    bob.stop()
    stolen = tmp_path / "stolen"
    shutil.copytree(net.data(NAMES[1]), stolen,
                    ignore=lambda _, names: [one for one in names if one == "socket"])
    before = harness.wait_equal_logs([ann, carl])
    ann.command(f"/revoke {NAMES[1]}")
    for node in (ann, carl):
        node.wait_notice(f"removed {NAMES[1]}")

    thief = start_thief(net, cluster, stolen, NAMES[1], ann.port, carl.port)
    thief.say("said by a thief")
    thief.wait_notice(r"removed|no member")
    for port in (ann.port, carl.port):
        assert thief.link(port)["state"] != "up"
    # Whom it lets in comes no further.
    eve = net.join_only("eve", moved(by_bob, thief.port), check=False)
    if eve.returncode == 0:
        write_peers(net.data("eve"), ann.port, carl.port)
        guest = net.start("eve")
        guest.say("said by a guest of the thief")
        guest.wait_notice(r"member|removed")

    ann.say("only us")
    carl.wait_content("only us")
    carl.say("as ever")
    ann.wait_content("as ever")
    after = harness.wait_equal_logs([ann, carl])
    assert after[1] > before[1]
    for node in (ann, carl):
        said = harness.bodies(node)
        assert "said by its owner" in said
        assert not [line for line in said if line and "thief" in line]
    assert "only us" not in thief.contents()


def moved(line, port):
    """The same invitation, as if the node were on another port."""
    fields = private.invitation(line)
    del fields.addresses[:]
    fields.addresses.append(f"127.0.0.1:{port}")
    return private.invitation_line(fields)


def test_a_stolen_disk_is_refused_at_the_gate(net, cluster, tmp_path):
    """By a program of the thief's own, which does not know that it is none any more."""
    ann, bob = net.nodes(*NAMES[:2])
    bob.stop()
    stolen = tmp_path / "stolen"
    shutil.copytree(net.data(NAMES[1]), stolen, ignore=shutil.ignore_patterns("socket"))
    relay = [harness.BUILD / "hostile_relay", "honest", stolen, f"127.0.0.1:{ann.port}"]
    good = cluster.child(relay, label="a copy")
    good.wait_for(lambda: "up" in good.out, "the copy to be let in, as long as it is a member")
    ann.command(f"/revoke {NAMES[1]}")
    good.wait_for(lambda: any(row.startswith("down 0") for row in good.out), "its link to be cut")
    good.wait_for(lambda: any(re.search("down 0: .*(removed|no member)", row) for row in good.out),
                  "the words at the gate")
    good.kill()
    ann.say("without it")
    ann.wait_content("without it")


def test_a_stranger_who_is_silent_is_not_waited_for(net):
    """Ten seconds; and what he holds meanwhile is one place of those of his address."""
    ann = net.found(NAMES[0], args=("--log-level", "info"))
    with socket.create_connection(("127.0.0.1", net.port(NAMES[0])), scaled(5)) as silent:
        silent.settimeout(scaled(30))
        net.join(NAMES[1], NAMES[0]).wait_notice(r"connected to ")
        try:
            assert silent.recv(100) == b""
        except ConnectionResetError:
            pass
    ann.wait_for(lambda: any("too long" in row for row in refusals(ann)), "a line in its log")
