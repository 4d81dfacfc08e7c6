"""What bench_fan says can be trusted: it finds each fault of a server that has it, and none where
there is none. The figures themselves are for people to read."""

import json
import os

import pytest

from harness import (BUILD, CHAT_NODE, HERE, PROJECT, PYTHON, eventually, free_port, is_listening,
                     scaled)

FAN, PUBLISH = BUILD / "bench_fan", BUILD / "bench_publish"
MESSAGES = 40
SUBSCRIBERS = 3


# They end without tidying up: to the address sanitizer that is a leak.
UNTIDY = {"ASAN_OPTIONS": ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"),
                                                 "detect_leaks=0"]))}


def start(cluster, port, protocol, *arguments):
    """No warm-up, and two seconds are waited for what is lost. One call at a time: those that
    are under way together may overtake each other."""
    calls = [] if protocol == "grpc-batch" else ["-R", 1]
    return cluster.child([FAN, "-p", protocol, "-P", port, "-n", SUBSCRIBERS, "-m", MESSAGES, "-W",
                          0, "-x", scaled(2), "-L", int(scaled(20)), *calls, *arguments],
                         label=f"bench_fan {protocol}", env=UNTIDY)


def result(child):
    """Its exit code and its figures."""
    code = child.wait(20)
    assert child.out, child.err
    fields = dict(word.split("=", 1) for word in child.out[-1].split() if word != "FAIL")
    return code, {key: value if key in ("label", "proto") else float(value)
                  for key, value in fields.items()}


@pytest.fixture
def faulty(cluster, stubs):
    """Starts servers with these faults; their ports."""
    def begin(*faults):
        server = cluster.child([PYTHON, "-u", HERE / "faulty_server.py", stubs, *faults])
        server.wait_for(lambda: len(server.out) == len(faults), "its ports")
        return {fault: int(port) for fault, port in map(str.split, server.out)}
    return begin


def clean(figures, slow=0):
    assert figures["msgs"] == MESSAGES
    assert figures["deliveries"] == MESSAGES * (SUBSCRIBERS - slow)
    assert 0 < figures["p50_us"] <= figures["p90_us"] <= figures["p99_us"]
    assert [figures[key] for key in ("lost", "dup", "late", "bad", "closed", "rpcerr")] == [0] * 6


def test_a_server_without_faults_has_none(cluster, faulty):
    port = faulty("none")["none"]
    for protocol in ("grpc", "grpc-batch", "grpc-batch-unary"):
        code, figures = result(start(cluster, port, protocol, "-r", 400))
        clean(figures)
        assert code == 0


def test_each_fault_is_found_and_counted(cluster, faulty):
    faults = {"lose": "lost", "repeat": "dup", "swap": "late", "position": "bad", "garble": "bad",
              "refuse": "rpcerr", "end": "rpcerr", "early": "bad"}
    ports = faulty(*faults)
    runs = {fault: start(cluster, port, "grpc-batch", "-r", 100) for fault, port in ports.items()}
    for fault, child in runs.items():
        code, figures = result(child)
        assert code == 1, fault
        assert figures[faults[fault]] > 0, f"{fault}: {child.out[-1]}"
        if fault == "lose":
            assert figures["lost"] == 1
        if fault in ("repeat", "swap"):
            assert figures[faults[fault]] == 1 and figures["lost"] == 0


def test_a_fault_is_found_in_the_classic_calls_too(cluster, faulty):
    ports = faulty("lose", "refuse")
    runs = {fault: start(cluster, port, "grpc", "-r", 100) for fault, port in ports.items()}
    for fault, child in runs.items():
        code, figures = result(child)
        assert code == 1 and figures["lost"] == (1 if fault == "lose" else SUBSCRIBERS)
        assert figures["rpcerr"] == (fault == "refuse")


def test_who_reads_nothing_is_not_counted(cluster, faulty):
    code, figures = result(start(cluster, faulty("none")["none"], "grpc-batch", "-z", 1, "-r", 0))
    clean(figures, slow=1)
    assert code == 0


def test_the_floor_tells_everybody(cluster):
    port = free_port()
    floor = cluster.child([BUILD / "bench_floor", port, 20])
    eventually(lambda: is_listening(port, floor.pid), "the floor to listen")
    code, figures = result(start(cluster, port, "tcp", "-s", 1000))
    clean(figures)
    assert code == 0
    floor.kill()


def test_a_node_delivers_what_it_is_told(cluster):
    node = cluster.node(name="ann", mode="headless")
    for protocol in ("grpc", "grpc-batch", "grpc-batch-unary"):
        code, figures = result(start(cluster, node.port, protocol, "-r", 1000, "-i", node.pid))
        clean(figures)
        assert code == 0 and figures["cpu_us"] >= 0 and figures["rss_idle"] > 0


def publish(cluster, port, protocol, *arguments):
    return result(cluster.child([PUBLISH, "-p", protocol, "-P", port, "-n", 2, "-w", 4, "-W", 0,
                                 "-t", 0.3, "-L", int(scaled(20)), *arguments],
                                env=UNTIDY))


@pytest.mark.parametrize("protocol", ["grpc", "grpc-batch"])
def test_what_is_acknowledged_and_refused_is_counted(cluster, faulty, protocol):
    ports = faulty("none", "refuse")
    code, figures = publish(cluster, ports["none"], protocol)
    assert code == 0 and figures["msgs"] > 10 and figures["refused"] == 0
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["max_us"]
    code, figures = publish(cluster, ports["refuse"], protocol)
    assert code == 1 and figures["msgs"] > 10 and figures["refused"] == 1


def test_a_node_keeps_what_it_acknowledges(cluster):
    node = cluster.node(name="ann", mode="headless")
    for protocol in ("grpc", "grpc-batch"):
        shown = len(node.out)
        code, figures = publish(cluster, node.port, protocol, "-i", node.pid)
        assert code == 0 and figures["msgs"] > 10 and figures["rss_end"] > 0
        node.wait_for(lambda: len(node.out) - shown >= figures["msgs"], "what it acknowledged")


def test_one_table_of_floor_and_node(cluster):
    child = cluster.child([PYTHON, PROJECT / "bench" / "rivals" / "rivals.py", "--json", "--sizes",
                           "2", "--reps", "1", "--seconds", "0.2", "--servers",
                           "floor,chat_node Publish"],
                          env={"CHAT_NODE": CHAT_NODE, "CHAT_BUILD": str(BUILD), **UNTIDY})
    assert child.wait(50) == 0, child.err
    found = json.loads(child.out[-1])
    assert found["rounds"] == "1" and not found["failed"]
    assert [(run["kind"], run["server"], run["size"]) for run in found["runs"]] == [
        ("moderate", "floor", 2), ("full", "floor", 2), ("log", "chat_node Publish", 1),
        ("log", "chat_node Publish", 16)]
