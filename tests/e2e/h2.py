"""Just enough HTTP/2 (RFC 9113) and gRPC framing, by hand, to be a cheap client by the thousand,
or a rude one: it reads when it likes, opens windows or does not, and can break every rule."""

import select
import selectors
import socket
import ssl
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def _literal(name, value):
    """RFC 7541 section 6.2.2: without indexing, new name, no Huffman."""
    out = b"\x00"
    for text in (name.encode(), value.encode()):
        assert len(text) < 127
        out += bytes([len(text)]) + text
    return out


def request_headers(path, authority="localhost", token=None):
    """token: of a program, for a private network."""
    pairs = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", authority),
             ("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", "h2-by-hand")]
    if token is not None:
        pairs.append(("authorization", f"Bearer {token}"))
    return b"".join(_literal(*pair) for pair in pairs)


def grpc_message(payload):
    return struct.pack(">BI", 0, len(payload)) + payload


def text_field(number, text):
    data = text.encode()
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def open_stream_bytes(client_id="", stream=1):
    body = grpc_message(text_field(1, client_id) if client_id else b"")
    return (frame(HEADERS, END_HEADERS, stream, request_headers("/chat.ChatService/StreamMessages"))
            + frame(DATA, END_STREAM, stream, body))


def hello_bytes(client_id="", window=None):
    """Everything a client says to open one StreamMessages."""
    settings = struct.pack(">HI", 4, window) if window is not None else b""
    return PREFACE + frame(SETTINGS, 0, 0, settings) + open_stream_bytes(client_id)


def tls_context(*alpn, least=ssl.TLSVersion.TLSv1_3):
    """Of somebody who takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = least
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def connect(port, host="127.0.0.1", receive_buffer=None, timeout=10, source=None, tls=None):
    """source: one of this machine's addresses. tls: a context."""
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(timeout)
    if source is not None:
        one.bind((source, 0))
    one.connect((host, port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one if tls is None else tls.wrap_socket(one)


class Client:
    """One connection with one StreamMessages. Feed it bytes; it counts whole chat messages."""

    def __init__(self, port, client_id="", receive_buffer=None, step=1 << 20):
        """step: bytes in one write."""
        self.socket = connect(port, receive_buffer=receive_buffer)
        words = hello_bytes(client_id)
        for at in range(0, len(words), step):
            self.socket.sendall(words[at:at + step])
        self.socket.setblocking(False)
        self.rest = b""
        self.body = b""
        self.messages = 0
        self.digest = 0          # of all message bytes, in order: equal digests, equal streams
        self.opened = False      # the response headers came: it is in
        self.ended = False
        self.unseen = 0          # bytes for which no window was given back

    def on_readable(self):
        """False once the connection is gone."""
        try:
            data = self.socket.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self.ended = True
            return False
        self.rest += data
        at, have = 0, len(self.rest)
        out = b""
        while have - at >= 9:
            head, flags, stream = struct.unpack_from(">IBI", self.rest, at)
            length, kind = head >> 8, head & 255
            if have - at < 9 + length:
                break
            payload = self.rest[at + 9:at + 9 + length]
            at += 9 + length
            if kind == DATA:
                self.unseen += length
                self._take(payload)
            elif kind == HEADERS:
                self.opened = True
                if flags & END_STREAM:
                    self.ended = True
            elif kind == SETTINGS and not flags & ACK:
                out += frame(SETTINGS, ACK, 0)
            elif kind == PING and not flags & ACK:
                out += frame(PING, ACK, 0, payload)
            elif kind in (RST_STREAM, GOAWAY):
                self.ended = True
        self.rest = self.rest[at:]
        if self.unseen > 16384:
            more = struct.pack(">I", self.unseen)
            out += frame(WINDOW, 0, 0, more) + frame(WINDOW, 0, 1, more)
            self.unseen = 0
        if out:
            try:
                self.socket.sendall(out)
            except OSError:
                self.ended = True
                return False
        return True

    def _take(self, payload):
        self.body += payload
        while len(self.body) >= 5:
            (length,) = struct.unpack_from(">I", self.body, 1)
            if len(self.body) < 5 + length:
                return
            self.digest = hash((self.digest, self.body[5:5 + length]))
            self.messages += 1
            self.body = self.body[5 + length:]

    def until(self, check, what, seconds):
        """Reads until check()."""
        deadline = time.monotonic() + seconds
        while not check():
            left = deadline - time.monotonic()
            if left <= 0 or self.ended:
                raise AssertionError(f"the client waited {seconds:g} s for {what}")
            if select.select([self.socket], [], [], left)[0]:
                self.on_readable()

    def close(self, reset=False):
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Crowd:
    """Many clients on one thread."""

    def __init__(self):
        self.selector = selectors.DefaultSelector()
        self.clients = []

    def join(self, port, count, prefix="crowd"):
        for number in range(count):
            client = Client(port, f"{prefix}-{number}")
            self.clients.append(client)
            self.selector.register(client.socket, selectors.EVENT_READ, client)
            if number % 50 == 49:
                self.poll(0)
        return self

    def poll(self, timeout):
        for key, _ in self.selector.select(timeout):
            if not key.data.on_readable():
                self.selector.unregister(key.fileobj)

    def until(self, check, what, seconds):
        deadline = time.monotonic() + seconds
        while not check():
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"the crowd waited {seconds:g} s for {what}")
            self.poll(min(left, 0.2))

    def until_all_opened(self, seconds):
        self.until(lambda: all(one.opened for one in self.clients),
                   "everybody to be in", seconds)

    def until_all_have(self, messages, seconds):
        self.until(lambda: all(one.messages >= messages for one in self.clients),
                   f"{messages} messages each", seconds)

    def leave(self, reset=False):
        for client in self.clients:
            try:
                self.selector.unregister(client.socket)
            except (KeyError, ValueError):
                pass
            client.close(reset)
        self.clients = []

    def close(self):
        self.leave()
        self.selector.close()
