"""HTTP/2 against the library's HTTP/2, through the gate: by strangers without a token, who get no
further than their trial, and by programs that have one."""

import struct
import threading
import time

import pytest

import h2
import harness
import private
from harness import eventually, scaled
from test_hostile_load import (BEGIN, Chat, descriptors, dial_program,  # noqa: F401 (fixtures)
                               header_flood, pair, program, say_headers)

DEADLINE = 10
MANY = 2000
RESET = struct.pack(">I", 8)


def resets(token, count, first=1):
    """Streams that are opened and reset at once, as many as one may name."""
    return b"".join(say_headers(stream, token) + h2.frame(h2.RST_STREAM, 0, stream, RESET)
                    for stream in range(first, first + 2 * count, 2))


STRANGERS = {
    "silence": b"",
    "a preface, then silence": BEGIN,
    "headers": BEGIN + b"".join(say_headers(stream, "cnt_" + "A" * 43, h2.END_HEADERS | 1)
                                for stream in range(1, 2 * MANY, 2)),
    "resets": BEGIN + resets(None, MANY),
    "settings": BEGIN + h2.frame(h2.SETTINGS, 0, 0) * 20000,
    "pings": BEGIN + h2.frame(h2.PING, 0, 0, b"12345678") * 20000,
    "long headers": header_flood(None),
}


def is_over(one):
    """Reads what there is; True: the other side has closed."""
    one.settimeout(0.001)
    try:
        while one.recv(1 << 16):
            pass
        return True
    except TimeoutError:
        return False
    except OSError:
        return True


def pour_slowly(one, data):
    """As much as is taken, until the end."""
    one.settimeout(scaled(2 * DEADLINE))
    try:
        one.sendall(data)
    except OSError:
        pass


@pytest.mark.limit(90)
def test_strangers_end_at_their_deadline_whatever_they_say(program, show):
    net, ann, bob, token = program
    with private.Program(net, "ann", token) as honest:
        honest.say("before", sender="ci")
        cpu = ann.cpu_seconds()
        with Chat(ann, bob) as chat:
            chat.before_fds = ann.descriptors()
            began = time.monotonic()
            crowd = [(name, dial_program(net), time.monotonic())
                     for name in STRANGERS for _ in range(4)]
            pouring = [threading.Thread(target=pour_slowly, args=(one, STRANGERS[name]))
                       for name, one, _ in crowd]
            for thread in pouring:
                thread.start()
            took = {}

            def all_over():
                for number, (name, one, since) in enumerate(crowd):
                    if number not in took and not pouring[number].is_alive() and is_over(one):
                        took[number] = time.monotonic() - since
                return len(took) == len(crowd)
            eventually(all_over, lambda: f"the end of {len(crowd) - len(took)} strangers",
                       2 * DEADLINE, 0.05)
            honest.say("still here", sender="ci")
            spent, seconds = ann.cpu_seconds() - cpu, time.monotonic() - began
        for _, one, _ in crowd:
            one.close()
    show(f"{len(crowd)} strangers, each over after {min(took.values()):.1f} to "
         f"{max(took.values()):.1f} s; the node's processor time {spent:.2f} s in {seconds:.1f} s")
    assert max(took.values()) < scaled(DEADLINE + 5)
    chat.assert_well(show, "strangers of seven kinds")


@pytest.mark.limit(120)
def test_strangers_who_come_again_and_again(program, show):
    """From eight addresses, as often as each gets in; all they say is resets, without a token."""
    net, ann, bob, _ = program
    over, counts = threading.Event(), [0] * 8

    def come(number):
        data = BEGIN + resets(None, 60)
        while not over.is_set():
            try:
                one = h2.connect(net.ports["ann"], source=f"127.0.0.{number + 2}", timeout=5,
                                 tls=h2.tls_context("h2"))
                one.sendall(data)
                one.recv(1)
                one.close()
                counts[number] += 1
            except OSError:
                time.sleep(0.01)

    with Chat(ann, bob) as chat:
        threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
        cpu, began = ann.cpu_seconds(), time.monotonic()
        for thread in threads:
            thread.start()
        time.sleep(8)
        spent, seconds = ann.cpu_seconds() - cpu, time.monotonic() - began
        over.set()
        for thread in threads:
            thread.join()
    show(f"{sum(counts) / seconds:.0f} connections a second in all, from 8 addresses: "
         f"{spent / seconds:.0%} of a processor")
    # Of each address: a burst of 100 handshakes, 5 for each that came in vain; 10 a second then.
    assert sum(counts) < 8 * (100 + 10 * (seconds + 3)), counts
    chat.assert_well(show, "strangers again and again")


@pytest.mark.limit(120)
@pytest.mark.parametrize("connections", [1, 40])
def test_a_program_that_resets_is_cut_off(program, show, connections):
    """One that sends a hundred thousand over one connection, or nine hundred over each of many."""
    net, ann, bob, token = program
    count = 100000 if connections == 1 else 900
    with private.Program(net, "ann", token) as honest:
        stream = honest.stream("reader")
        stream.initial_metadata()
        hello = BEGIN + say_headers(1, token) + h2.frame(
            h2.DATA, h2.END_STREAM, 1, h2.grpc_message(b""))
        crowd = []
        for _ in range(connections):
            crowd.append(dial_program(net))
            crowd[-1].sendall(hello)
        eventually(lambda: not any(is_over(one) for one in crowd), "all to be in", 5)
        time.sleep(0.5)
        data = resets(token, count, 3)
        cpu = ann.cpu_seconds()
        with Chat(ann, bob) as chat:
            chat.before_fds = ann.descriptors() - 2 * connections
            began = time.monotonic()
            threads = [threading.Thread(target=pour_slowly, args=(one, data)) for one in crowd]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Who has sent little when the others are cut off is left in peace.
            ended = set()

            def enough_ended():
                ended.update(one for one in crowd if one not in ended and is_over(one))
                return len(ended) >= max(1, connections // 4)
            eventually(enough_ended, lambda: f"more than {len(ended)} to be cut off", 10)
            took, spent = time.monotonic() - began, ann.cpu_seconds() - cpu
            honest.say("I go on", sender="ci")
            while next(stream).content != "I go on":
                pass
            stream.cancel()
            time.sleep(1)  # it may all be over before a line was said
        for one in crowd:
            one.close()
    show(f"{len(ended)} of {connections} cut off after {took:.2f} s; {spent:.2f} s of the node's time")
    eventually(lambda: "127.0.0.2:" in "\n".join(ann.err)
               and "it resets streams" in "\n".join(ann.err), "it to be logged")
    with pytest.raises(OSError):
        h2.connect(net.ports["ann"], source="127.0.0.2", tls=h2.tls_context("h2"), timeout=5)
    chat.assert_well(show, f"{connections} with {count} resets")
    harness.eventually(lambda: dial_program(net), "it to get in again", 20).close()


def count_answers(one, wanted, found):
    """Reads until so many calls have ended; found: how many have."""
    rest = b""
    one.settimeout(scaled(20))
    while len(found) < wanted:
        data = one.recv(1 << 16)
        assert data, f"the connection ended after {len(found)} answers"
        rest += data
        at = 0
        while len(rest) - at >= 9:
            head, flags, stream = struct.unpack_from(">IBI", rest, at)
            if len(rest) - at < 9 + (head >> 8):
                break
            at += 9 + (head >> 8)
            if head & 255 == h2.HEADERS and flags & h2.END_STREAM:
                found.append(stream)
            assert head & 255 not in (h2.RST_STREAM, h2.GOAWAY), "refused, not answered"
        rest = rest[at:]


@pytest.mark.limit(120)
@pytest.mark.parametrize("connections, calls", [(1, 20000), (8, 5000)])
def test_a_program_that_calls_without_end_is_answered_at_its_rate(program, show, connections,
                                                                   calls):
    """Lines of nobody, as fast as they go out: each is refused, and lines get through meanwhile."""
    net, ann, bob, token = program
    data = b"".join(
        h2.frame(h2.HEADERS, h2.END_HEADERS, stream,
                 h2.request_headers("/chat.ChatService/SendMessage", token=token))
        + h2.frame(h2.DATA, h2.END_STREAM, stream, h2.grpc_message(b""))
        for stream in range(1, 2 * calls, 2))
    crowd = [dial_program(net) for _ in range(connections)]
    for one in crowd:
        one.sendall(BEGIN)
    answered = [[] for _ in crowd]
    with Chat(ann, bob) as chat, private.Program(net, "ann", token) as honest:
        chat.before_fds = ann.descriptors()
        began = time.monotonic()
        threads = [threading.Thread(target=pour_slowly, args=(one, data)) for one in crowd]
        threads += [threading.Thread(target=count_answers, args=(one, calls, found))
                    for one, found in zip(crowd, answered)]
        for thread in threads:
            thread.start()
        times = []
        while any(thread.is_alive() for thread in threads):
            since = time.monotonic()
            honest.say("meanwhile", sender="ci")
            times.append(time.monotonic() - since)
            time.sleep(0.05)
        took = time.monotonic() - began
    for one in crowd:
        one.close()
    assert [len(found) for found in answered] == [calls] * connections
    show(f"{connections} x {calls} calls in {took:.1f} s, {connections * calls / took:.0f} a "
         f"second; a call of another program took {max(times) * 1000:.0f} ms at most")
    rate, burst = (5000, 1000) if connections == 1 else (10000, 2000)
    assert took > (connections * calls - burst) / rate * 0.95
    assert max(times) < scaled(2)
    chat.assert_well(show, "calls without end")
