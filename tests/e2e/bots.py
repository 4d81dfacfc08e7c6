"""Programs that talk to nodes by gRPC, in Python: their stubs, one of them, and a crowd that talks
while nodes die."""

import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

from harness import PROJECT, Failed, scaled


def make_stubs(folder):
    """chat_pb2 and chat_pb2_grpc from proto/chat.proto, importable after; nothing is committed."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plugin = shutil.which("grpc_python_plugin")
    if not plugin:
        raise RuntimeError("grpc_python_plugin is missing: apt-get install protobuf-compiler-grpc")
    subprocess.run(["protoc", f"--proto_path={PROJECT / 'proto'}", f"--python_out={folder}",
                    f"--grpc_out={folder}", f"--plugin=protoc-gen-grpc={plugin}", "chat.proto"],
                   check=True, timeout=scaled(60))
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder


CHANNEL_OPTIONS = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


class Bot:
    """A program that talks to one node by gRPC."""

    def __init__(self, node_or_port, host="127.0.0.1"):
        import grpc
        import chat_pb2
        import chat_pb2_grpc
        port = getattr(node_or_port, "port", node_or_port)
        self.pb = chat_pb2
        self.channel = grpc.insecure_channel(f"{host}:{port}", options=CHANNEL_OPTIONS)
        self.chat = chat_pb2_grpc.ChatServiceStub(self.channel)
        self.mesh = chat_pb2_grpc.MeshServiceStub(self.channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.channel.close()

    def say(self, content, sender="bot", seconds=10.0, **fields):
        return self.chat.SendMessage(
            self.pb.MessageRequest(sender=sender, content=content, **fields),
            timeout=scaled(seconds), wait_for_ready=True)

    def refused(self, content="hi", sender="bot", **fields):
        """The status code and words of a SendMessage that must fail."""
        import grpc
        try:
            self.say(content, sender, **fields)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise Failed("the message was taken")

    def stream(self, client_id="", seconds=60.0, **fields):
        """Open once its initial metadata came: what is said from now on must arrive on it."""
        call = self.chat.StreamMessages(
            self.pb.StreamRequest(client_id=client_id, **fields), timeout=scaled(seconds),
            wait_for_ready=True)
        return call


class Talker:
    """Clients that talk to some nodes, one thread for each, as clients should: each line has an id,
    and what is not answered is said again with the same one until it is. The nodes may die
    meanwhile."""

    def __init__(self, ports, pause=0.0):
        self.ports, self.pause = ports, pause
        self.acknowledged, self.refused = [], 0
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._talk, args=(port,), daemon=True)
                        for port in ports]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Each gets its last line through: by now all nodes must be there."""
        self.ending.set()
        for thread in self.threads:
            thread.join(scaled(30))
        if any(thread.is_alive() for thread in self.threads):
            raise Failed("a client's line was not taken for 30 s")

    def _talk(self, port):
        import grpc
        number = 0
        with Bot(port) as bot:
            while not self.ending.is_set():
                line, line_id = f"{port} line {number}", os.urandom(16)
                while True:
                    try:
                        bot.say(line, f"bot{port}", seconds=2.0, id=line_id)
                        break
                    except grpc.RpcError:
                        self.refused += 1
                        time.sleep(0.05)
                self.acknowledged.append(line)
                number += 1
                time.sleep(self.pause)
