"""What goes over the wire: the loopback interface, by dumpcap, read by tshark."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

import harness

RECORD_MAX = 16384 + 256  # RFC 8446 section 5.2
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION = range(20, 24)


class Capture:
    """Of all that goes to and from some TCP ports, from __enter__ to __exit__.

    A mark, a datagram of its own, says when it has begun, and when all has been written that came
    before the end. Where this machine does not let the test look, the test is skipped."""

    def __init__(self, ports):
        for tool in ("dumpcap", "tshark"):
            if not shutil.which(tool):
                pytest.skip(f"{tool} is not there: apt-get install tshark")
        self.mark_port = harness.free_port()
        self.filter = " or ".join([f"udp port {self.mark_port}",
                                   *(f"tcp port {port}" for port in ports)])

    def __enter__(self):
        # Not in the test's folder: dumpcap gives up root's rights, and writes as itself.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="chat-capture-"))
        os.chmod(self.folder, 0o777)
        self.path = self.folder / "wire.pcapng"
        self.process = subprocess.Popen(
            ["dumpcap", "-q", "-i", "lo", "-B", "64", "-f", self.filter, "-w", str(self.path)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self._mark(b"the capture begins")
        return self

    def __exit__(self, *failure):
        try:
            if not any(failure):
                self._mark(b"the capture ends")
        finally:
            self.process.terminate()
            self.process.communicate()
            if any(failure):
                self.discard()

    def _mark(self, text):
        text += os.urandom(16)

        def seen():
            if self.process.poll() is not None:
                words = self.process.stderr.read().decode(errors="replace").strip().splitlines()
                pytest.skip(f"this machine does not let the test capture: {words[-1:]}")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(text, ("127.0.0.1", self.mark_port))
            return self.path.exists() and text in self.path.read_bytes()
        harness.eventually(seen, "the capture to take a mark", 20, 0.1)

    def discard(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def raw(self):
        """The file: each packet with its headers, as it came."""
        return self.path.read_bytes()

    def flows(self):
        """(connection, sender's port) -> all bytes that went that way."""
        done = subprocess.run(
            ["tshark", "-n", "-r", str(self.path), "-Y",
             "tcp.payload && !tcp.analysis.retransmission", "-T", "fields", "-e", "tcp.stream",
             "-e", "tcp.srcport", "-e", "tcp.payload"],
            capture_output=True, text=True, check=True, timeout=harness.scaled(60))
        flows = {}
        for row in done.stdout.splitlines():
            stream, port, payload = row.split("\t")
            flows.setdefault((int(stream), int(port)), bytearray()).extend(bytes.fromhex(payload))
        return {key: bytes(data) for key, data in flows.items()}


def tls_records(data):
    """[(type, length)]: what the bytes are as records of TLS; the last may be cut off. ValueError:
    they are none."""
    records, at = [], 0
    while at + 5 <= len(data):
        kind, length = data[at], int.from_bytes(data[at + 3:at + 5], "big")
        if kind not in (CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION) or data[at + 1] != 3 \
                or data[at + 2] not in (1, 3) or length > RECORD_MAX:
            raise ValueError(f"at {at}: {data[at:at + 16].hex()}")
        records.append((kind, length))
        at += 5 + length
    return records


def found_in(secrets, *hays):
    return sorted(name for name, text in secrets.items() if any(text in hay for hay in hays))
