"""A chat server as one writes it first in Python: a queue for each client, a thread for each call.

    python_server.py STUBS PORT [THREADS]      on loopback; STUBS: the folder of chat_pb2.py"""

import os
import queue
import sys
from concurrent import futures

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

sys.path.insert(0, sys.argv[1])
import chat_pb2  # noqa: E402
import chat_pb2_grpc  # noqa: E402
import grpc  # noqa: E402


class ChatService(chat_pb2_grpc.ChatServiceServicer):
    def __init__(self):
        self.clients = {}

    def SendMessage(self, request, context):
        message = chat_pb2.MessageResponse(sender=request.sender, content=request.content,
                                           timestamp=request.timestamp, success=True)
        for client in list(self.clients.values()):
            client.put(message)
        return message

    def StreamMessages(self, request, context):
        mine = self.clients[request.client_id] = queue.Queue()
        try:
            while context.is_active():
                try:
                    yield mine.get(timeout=1)
                except queue.Empty:
                    continue
        finally:
            self.clients.pop(request.client_id, None)


def main():
    threads = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    server = grpc.server(futures.ThreadPoolExecutor(threads))
    chat_pb2_grpc.add_ChatServiceServicer_to_server(ChatService(), server)
    server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
    server.start()
    server.wait_for_termination(300)


main()
