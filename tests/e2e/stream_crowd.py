"""A crowd of real gRPC clients in one process, for test_clients.py.

    stream_crowd.py STUBS PORT PREFIX COUNT CHANNELS MESSAGES

Opens COUNT StreamMessages over CHANNELS connections, says "ready" when all are in, reads MESSAGES
on each, then prints one JSON object: how many there are of each different sequence, and when the
last message of each number came. Standard input's end makes it leave politely."""

import asyncio
import collections
import json
import os
import sys
import time

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

stubs, port, prefix, count, channels, messages = sys.argv[1:]
sys.path.insert(0, stubs)
import chat_pb2  # noqa: E402
import chat_pb2_grpc  # noqa: E402
import grpc  # noqa: E402

count, channels, messages = int(count), int(channels), int(messages)


async def main():
    links = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=(
        ("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)))
        for _ in range(channels)]
    stubs_of = [chat_pb2_grpc.ChatServiceStub(link) for link in links]
    sequences = collections.Counter()
    last_at = [0] * messages
    ended = collections.Counter()
    calls = []

    async def enter(number):
        call = stubs_of[number % channels].StreamMessages(
            chat_pb2.StreamRequest(client_id=f"{prefix}-{number}"), wait_for_ready=True)
        await call.initial_metadata()
        calls.append(call)

    async def follow(call):
        found = []
        try:
            while len(found) < messages:
                response = await call.read()
                if response is grpc.aio.EOF:
                    ended[(await call.code()).name] += 1
                    break
                last_at[len(found)] = time.monotonic_ns()
                found.append(response.content[:40])
        except grpc.RpcError as error:
            ended[error.code().name] += 1
        sequences[tuple(found)] += 1

    for start in range(0, count, 100):
        await asyncio.gather(*(enter(n) for n in range(start, min(count, start + 100))))
    print("ready", flush=True)
    await asyncio.gather(*(follow(call) for call in calls))
    print(json.dumps({"sequences": [[times, list(found)] for found, times in sequences.items()],
                      "last_at": last_at, "ended": ended}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for call in calls:
        call.cancel()
    for link in links:
        await link.close()


asyncio.run(main())
