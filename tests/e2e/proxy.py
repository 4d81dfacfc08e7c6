"""A TCP proxy that misbehaves on demand: for answers that are lost and links that are cut.

    node A --> Proxy.port --> [ up: A's bytes, down: B's answers ] --> node B

Each connection gets a Fate from a function of its number: how many bytes pass before something
happens to it. It runs on two threads a connection and ends with close()."""

import dataclasses
import socket
import struct
import threading


@dataclasses.dataclass
class Fate:
    """None: never."""
    swallow_answers_after: int = None  # bytes of B's that A gets; the rest is lost
    cut_after_up: int = None           # bytes of A's that B gets; then both ends are cut
    cut_after_down: int = None
    reset: bool = False                # cut with RST, not with FIN


class Proxy:
    def __init__(self, target, fate=lambda number: Fate()):
        self.target, self.fate = target, fate
        self.connections = 0
        self.cuts = 0
        self.lock = threading.Lock()
        self.open = set()
        self.flowing = threading.Event()
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.cut_all()

    def cut_all(self):
        with self.lock:
            pairs = list(self.open)
        for pair in pairs:
            pair.cut()
        self.flowing.set()

    def hold(self):
        """From now on nothing passes, on any connection."""
        self.flowing.clear()

    def release(self):
        self.flowing.set()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            with self.lock:
                fate = self.fate(self.connections)
                self.connections += 1
            pair = _Pair(self, near, far, fate)
            with self.lock:
                self.open.add(pair)
            pair.start()


class _Pair:
    def __init__(self, proxy, near, far, fate):
        self.proxy, self.near, self.far, self.fate = proxy, near, far, fate
        self.lock = threading.Lock()
        self.done = False
        self.ends = 0
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self):
        threading.Thread(target=self._pump, args=(self.near, self.far, self.fate.cut_after_up,
                                                  None), daemon=True).start()
        threading.Thread(target=self._pump, args=(self.far, self.near, self.fate.cut_after_down,
                                                  self.fate.swallow_answers_after),
                         daemon=True).start()

    def _pump(self, source, sink, cut_after, swallow_after):
        passed = 0
        try:
            while True:
                data = source.recv(1 << 16)
                self.proxy.flowing.wait()
                if not data or self.done:
                    break
                if cut_after is not None and passed + len(data) >= cut_after:
                    sink.sendall(data[:cut_after - passed])
                    self.proxy.cuts += 1
                    self.cut()
                    return
                if swallow_after is None:
                    sink.sendall(data)
                elif passed < swallow_after:
                    sink.sendall(data[:swallow_after - passed])
                passed += len(data)
        except OSError:
            pass
        self.cut()

    def cut(self):
        with self.lock:
            self.ends += 1
            if self.done:
                return
            self.done = True
            with self.proxy.lock:
                self.proxy.open.discard(self)
            for one in (self.near, self.far):
                try:
                    if self.fate.reset:
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                       struct.pack("ii", 1, 0))
                        one.shutdown(socket.SHUT_RD)
                    else:
                        one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                one.close()
