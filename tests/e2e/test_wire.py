"""What a wire shows of a private network: TLS, and nothing else."""

import base64

import pytest

import capture
import h2
import harness
import private

# Long enough that chance does not put them among encrypted bytes.
NAMES = ("annabelle", "bobolink", "carlotta")
NETWORK, ROOM, SEALED = "willowbrook", "gardening-club", "treehouse"
LINES = {
    "lobby": "good morning everybody here", "room": "the tulips are coming up",
    "sealed": "the ladder is behind the shed", "direct": "a word for you alone, friend",
    "back": "what a fine day it is",
}


@pytest.fixture
def net(cluster):
    return private.Net(cluster, NETWORK)


def use_everything(ann, bob, carl):
    """The lobby, a room, a sealed room, a word to one person; and somebody is sent away."""
    for node in (bob, carl):
        node.wait_notice(r"connected to ")
    ann.say(LINES["lobby"])
    for node in (bob, carl):
        node.wait_content(LINES["lobby"])
    bob.say(LINES["back"])
    ann.wait_content(LINES["back"])
    for node in (ann, bob):
        node.command(f"/join {ROOM}")
        node.wait_notice(f"what you type goes to #{ROOM}")
    ann.say(LINES["room"])
    bob.wait_content(LINES["room"])
    ann.command(f"/seal {SEALED}")
    ann.wait_notice(f"!{SEALED}")
    ann.command(f"/admit {bob.name}")
    bob.wait_notice(f"let you into !{SEALED}")
    bob.command(f"/join !{SEALED}")
    bob.wait_notice(f"what you type goes to !{SEALED}")
    ann.say(LINES["sealed"])
    bob.wait_content(LINES["sealed"])
    ann.command(f"/msg {bob.name} {LINES['direct']}")
    bob.wait_content(LINES["direct"])
    ann.command(f"/revoke {carl.name}")
    bob.wait_notice(f"removed {carl.name}")


def secrets_of(net, lines):
    """Every form of what a listener must not learn, by what it is."""
    secrets = {f"line: {name}": text.encode() for name, text in LINES.items()}
    secrets |= {f"name: {name}": name.encode() for name in NAMES}
    secrets |= {"network": NETWORK.encode(), "room": ROOM.encode(), "sealed room": SEALED.encode(),
                "HTTP/2": h2.PREFACE[:14]}
    for line in lines:
        secret = private.invitation(line).secret
        assert len(secret) == 16
        secrets |= {f"invitation {line[-8:]}": secret,
                    f"invitation {line[-8:]}, hex": secret.hex().encode(),
                    f"invitation {line[-8:]}, line": line[6:40].encode(),
                    f"invitation {line[-8:]}, base32": base64.b32encode(secret)[:24]}
    for name in NAMES:
        key, print_ = net.id(name)
        secrets |= {f"key of {name}": bytes.fromhex(key), f"key of {name}, hex": key.encode(),
                    f"fingerprint of {name}": print_.encode()}
    return secrets


@pytest.mark.limit(120)
def test_the_wire_of_a_private_network_tells_nothing(net, show):
    with capture.Capture([net.port(name) for name in NAMES]) as wire:
        ann = net.found(NAMES[0])
        lines = [net.invite(NAMES[0]) for _ in NAMES[1:]]
        nodes = [ann]
        for name, line in zip(NAMES[1:], lines):
            net.join_only(name, line)
            nodes.append(net.start(name))
        use_everything(*nodes)
    flows, raw = wire.flows(), wire.raw()
    wire.discard()
    assert capture.found_in(secrets_of(net, lines), raw, *flows.values()) == []
    total = 0
    for (number, _), data in flows.items():
        records = capture.tls_records(data)
        total += len(data)
        assert records[0][0] == capture.HANDSHAKE, number
        # After the first words of each side all is encrypted, also who it is (RFC 8446, 4.4.2).
        assert all(kind != capture.HANDSHAKE for kind, _ in records[1:]), number
    assert len(flows) >= 6 and total > 5000
    show(f"{len({number for number, _ in flows})} connections, {total} bytes: TLS alone")


def test_the_wire_of_open_mode_tells_all(cluster):
    """So the test above looks where it must."""
    ports = [harness.free_port() for _ in range(2)]
    with capture.Capture(ports) as wire:
        ann, bob = (cluster.node(port, ports, name) for port, name in zip(ports, NAMES))
        ann.wait_connected(1)
        ann.say(LINES["lobby"])
        bob.wait_content(LINES["lobby"])
        for node in (ann, bob):
            node.command(f"/join {ROOM}")
            node.wait_notice(f"what you type goes to #{ROOM}")
        ann.say(LINES["room"])
        bob.wait_content(LINES["room"])
    secrets = {"HTTP/2": h2.PREFACE[:14], "name": NAMES[0].encode(), "room": ROOM.encode(),
               "line": LINES["lobby"].encode(), "line there": LINES["room"].encode()}
    flows, raw = wire.flows(), wire.raw()
    wire.discard()
    for what in ([raw], flows.values()):
        assert capture.found_in(secrets, *what) == sorted(secrets)
    with pytest.raises(ValueError):
        for data in flows.values():
            capture.tls_records(data)
