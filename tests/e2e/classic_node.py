#!/usr/bin/python3
"""A classic node: the older kind, in Python, as section 1 of the design describes it.

    classic_node.py [--name NAME] PORT [NODES.JSON]

It knows two calls and four fields, and nothing that came later. It shows a line when its
SendMessage is called, with a clock of its own, and echoes it to whoever holds its StreamMessages
open; what its person types it sends by calling SendMessage on every node it is connected to. The
stream it holds at each of them only tells it when they are gone. Ten threads serve all its
callers: the eleventh stream waits for ever, and nobody's SendMessage is answered meanwhile; that
is how the original is, and why a mesh with one of these stays small.

Self-contained: the messages are described below, no generated code is needed.
"""

import argparse
import concurrent.futures
import json
import os
import queue
import sys
import threading
import time

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: E402

RETRIES = 5
RETRY_WAIT_S = 1.0
SERVER_THREADS = 10
CALL_TIMEOUT_S = 5.0


def _messages():
    """The three messages of package chat, fields 1 to 4."""
    text, flag = (descriptor_pb2.FieldDescriptorProto.TYPE_STRING,
                  descriptor_pb2.FieldDescriptorProto.TYPE_BOOL)
    fields = {
        "MessageRequest": [("sender", text), ("content", text), ("timestamp", text)],
        "MessageResponse": [("sender", text), ("content", text), ("timestamp", text),
                            ("success", flag)],
        "StreamRequest": [("client_id", text)],
    }
    file = descriptor_pb2.FileDescriptorProto(name="classic_chat.proto", package="chat",
                                              syntax="proto3")
    for name, rows in fields.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(rows, 1):
            message.field.add(name=field, number=number, type=kind,
                              label=descriptor_pb2.FieldDescriptorProto.LABEL_OPTIONAL)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    factory = message_factory.MessageFactory(pool)
    return [factory.GetPrototype(pool.FindMessageTypeByName(f"chat.{name}")) for name in fields]


MessageRequest, MessageResponse, StreamRequest = _messages()
_print_lock = threading.Lock()


def show(text):
    with _print_lock:
        print(text, flush=True)


class ChatServicer:
    """The service: a queue for each client whose StreamMessages is open."""

    def __init__(self):
        self.clients = {}
        self.lock = threading.Lock()

    def SendMessage(self, request, _context):
        timestamp = time.strftime("%H:%M:%S")
        show(f"[{timestamp}] {request.sender}: {request.content}")
        response = MessageResponse(sender=request.sender, content=request.content,
                                   timestamp=timestamp, success=True)
        with self.lock:
            for client in self.clients.values():
                client.put(response)
        return response

    def StreamMessages(self, request, context):
        client = queue.Queue()
        with self.lock:
            self.clients[request.client_id] = client
        try:
            while context.is_active():
                try:
                    yield client.get(timeout=1.0)
                except queue.Empty:
                    continue
        finally:
            with self.lock:
                if self.clients.get(request.client_id) is client:
                    del self.clients[request.client_id]

    def handler(self):
        return grpc.method_handlers_generic_handler("chat.ChatService", {
            "SendMessage": grpc.unary_unary_rpc_method_handler(
                self.SendMessage, MessageRequest.FromString, MessageResponse.SerializeToString),
            "StreamMessages": grpc.unary_stream_rpc_method_handler(
                self.StreamMessages, StreamRequest.FromString, MessageResponse.SerializeToString),
        })


class NodeConnection:
    """One link to a peer of nodes.json."""

    def __init__(self, host, port, client_id):
        self.host, self.port, self.client_id = host, port, client_id
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.connected = False
        self.channel = None
        self.closing = False
        self.lock = threading.Lock()

    def connect(self):
        """One attempt. The stream stays open in a thread of its own."""
        with self.lock:
            if self.connected or self.closing:
                return self.connected
            self.drop()
            channel = grpc.insecure_channel(self.address, options=(
                ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)))
            try:
                grpc.channel_ready_future(channel).result(timeout=2.0)
            except grpc.FutureTimeoutError:
                channel.close()
                return False
            self.channel = channel
            self.send_message = channel.unary_unary(
                "/chat.ChatService/SendMessage",
                request_serializer=MessageRequest.SerializeToString,
                response_deserializer=MessageResponse.FromString)
            stream = channel.unary_stream(
                "/chat.ChatService/StreamMessages",
                request_serializer=StreamRequest.SerializeToString,
                response_deserializer=MessageResponse.FromString)
            self.connected = True
            threading.Thread(target=self.watch, args=(stream, channel), daemon=True).start()
        show(f"-- connected to {self.address}")
        return True

    def watch(self, stream, channel):
        """Reads the stream for nothing but its end: then the peer is gone."""
        try:
            for _ in stream(StreamRequest(client_id=self.client_id)):
                pass
        except grpc.RpcError:
            pass
        with self.lock:
            if self.channel is not channel or not self.connected:
                return
            self.connected = False
        if not self.closing:
            show(f"-- lost {self.address}")
            self.keep_trying()

    def keep_trying(self):
        threading.Thread(target=self._keep_trying, daemon=True).start()

    def _keep_trying(self):
        for _ in range(RETRIES):
            if self.closing or self.connect():
                return
            time.sleep(RETRY_WAIT_S)

    def send(self, sender, content, timestamp):
        if not self.connected:
            return False
        try:
            answer = self.send_message(
                MessageRequest(sender=sender, content=content, timestamp=timestamp),
                timeout=CALL_TIMEOUT_S)
            return answer.success
        except grpc.RpcError as error:
            show(f"-- {self.address} did not take the line: {error.code().name}")
            return False

    def drop(self):
        if self.channel is not None:
            self.channel.close()
            self.channel = None

    def close(self):
        self.closing = True
        self.drop()


def is_self(entry, port):
    return entry["port"] == port and entry["host"] in ("localhost", "127.0.0.1", "::1")


def load_nodes(path, port):
    if not os.path.exists(path):
        with open(path, "w", encoding="utf-8") as file:
            json.dump([{"host": "localhost", "port": 50051 + n} for n in range(3)], file, indent=2)
    with open(path, encoding="utf-8") as file:
        return [entry for entry in json.load(file) if not is_self(entry, port)]


def command(line, connections):
    """False for /quit."""
    if line == "/quit":
        return False
    if line == "/list":
        for number, one in enumerate(connections, 1):
            show(f"-- {number}. {one.address} {'connected' if one.connected else 'not connected'}")
        show(f"Connected: {sum(one.connected for one in connections)}/{len(connections)}")
    elif line == "/retry":
        for one in connections:
            if not one.connected:
                show(f"-- {one.address} {'connected' if one.connect() else 'still away'}")
    else:
        show(f"-- unknown command {line}")
    return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", default=None)
    parser.add_argument("port", type=int)
    parser.add_argument("nodes", nargs="?", default="nodes.json")
    options = parser.parse_args()
    name = options.name or f"classic-{options.port}"

    servicer = ChatServicer()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=SERVER_THREADS),
                         options=(("grpc.so_reuseport", 0),))
    server.add_generic_rpc_handlers((servicer.handler(),))
    bound = 0
    for address in (f"127.0.0.1:{options.port}", f"[::1]:{options.port}"):
        try:
            bound += bool(server.add_insecure_port(address))
        except RuntimeError:
            pass
    if not bound:
        sys.exit(f"port {options.port} is in use")
    server.start()

    connections = [NodeConnection(entry["host"], entry["port"], f"{name}-{options.port}")
                   for entry in load_nodes(options.nodes, options.port)]
    for one in connections:
        one.keep_trying()
    show(f"-- {name} listens on {options.port}")

    try:
        for line in sys.stdin:
            line = line.rstrip("\n")
            if line.startswith("/"):
                if not command(line, connections):
                    break
            elif line:
                timestamp = time.strftime("%H:%M:%S")
                for one in connections:
                    one.send(name, line, timestamp)
    except KeyboardInterrupt:
        pass
    for one in connections:
        one.close()
    server.stop(0.5).wait()
    os._exit(0)  # threads of the pool may still hold a stream


if __name__ == "__main__":
    main()
