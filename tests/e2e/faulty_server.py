"""A ChatService that loses messages, repeats them and more, for test_bench_fan.py.

    faulty_server.py STUBS FAULT...

One server for each FAULT, each on a port of its own; says "FAULT PORT" when it listens. It keeps
nothing and knows one room. What each fault does is FAULTS; a fault hits message VICTIM at the first
subscriber, "none" never."""

import concurrent.futures
import os
import queue
import sys
import threading

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

sys.path.insert(0, sys.argv[1])
import chat_pb2  # noqa: E402
import chat_pb2_grpc  # noqa: E402
import grpc  # noqa: E402

VICTIM = ("M00000005", "writer 0, line 5 ")  # bench_fan's, and bench_publish's


def lose(before, message):
    return []


def repeat(before, message):
    again = chat_pb2.MessageResponse()
    again.CopyFrom(message)
    again.position += 1
    return [message, again]


def swap(before, message):
    """It comes one later: held back until the next one is there."""
    before.append(message)
    return []


def stand_still(before, message):
    message.position -= 1
    return [message]


def garble(before, message):
    message.content = message.content[:-1] + "y"
    return [message]


FAULTS = {"none": None, "lose": lose, "repeat": repeat, "swap": swap, "position": stand_still,
          "garble": garble, "refuse": None, "end": None, "early": None}


class ChatService(chat_pb2_grpc.ChatServiceServicer):
    def __init__(self, fault):
        self.fault = fault
        self.lock = threading.Lock()
        self.queues = []
        self.position = 0
        self.held = []

    def say(self, request):
        """false: it was refused."""
        with self.lock:
            self.position += 10
            refused = self.fault == "refuse" and request.content.startswith(VICTIM)
            for number, one in enumerate(self.queues):
                message = chat_pb2.MessageResponse(
                    sender=request.sender, content=request.content, timestamp=request.timestamp,
                    success=True, position=self.position)
                change = FAULTS[self.fault]
                if refused:
                    continue
                if number == 0 and self.held:
                    held = self.held.pop()
                    held.position = self.position + 1
                    messages = [message, held]
                elif number == 0 and change and request.content.startswith(VICTIM):
                    message.position -= 10 * (self.fault == "position")
                    messages = change(self.held, message)
                else:
                    messages = [message]
                one.put(messages)
            return not refused

    def listen(self):
        one = queue.Queue()
        with self.lock:
            self.queues.append(one)
        return one

    def SendMessage(self, request, context):
        if not self.say(request):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "as the test wants it")
        return chat_pb2.MessageResponse(content=request.content, success=True)

    def Publish(self, requests, context):
        count = 0
        for request in requests:
            answer = chat_pb2.PublishResponse()
            for message in request.messages:
                count += 1
                if not self.say(message):
                    answer.refused.add(number=count, code=8, text="as the test wants it")
            answer.answered = count
            yield answer

    def Subscribe(self, request, context):
        mine = self.listen()
        first = chat_pb2.SubscribeResponse(life=7, position=self.position)
        if self.fault == "early":
            first.messages.add(content="M00000000" + "x" * 91, position=1)
        yield first
        while context.is_active():
            answer = chat_pb2.SubscribeResponse(messages=mine.get())
            while not mine.empty():
                answer.messages.extend(mine.get())
            yield answer
            if self.fault == "end" and any(one.content.startswith(VICTIM)
                                           for one in answer.messages):
                return

    def StreamMessages(self, request, context):
        mine = self.listen()
        while context.is_active():
            yield from mine.get()


def main():
    servers = []
    for fault in sys.argv[2:]:
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(16))
        chat_pb2_grpc.add_ChatServiceServicer_to_server(ChatService(fault), server)
        print(fault, server.add_insecure_port("127.0.0.1:0"), flush=True)
        server.start()
        servers.append(server)
    sys.stdin.read()
    os._exit(0)  # its threads wait for messages that never come


main()
