"""What bench_fan says can be trusted: it finds each fault of a server that has it, and none where
there is none. The figures themselves are for people to read."""

import pytest

from harness import BUILD, HERE, PYTHON, eventually, free_port, is_listening

FAN = BUILD / "bench_fan"
MESSAGES = 40
SUBSCRIBERS = 3


def start(cluster, port, protocol, *arguments):
    """Not measured for long, and not waited for: at most a second for what is lost."""
    return cluster.child([FAN, "-p", protocol, "-P", port, "-n", SUBSCRIBERS, "-m", MESSAGES, "-W",
                          0, "-x", 1, "-L", 20, *arguments], label=f"bench_fan {protocol}")


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
    runs = [start(cluster, port, "grpc", "-r", 100) for port in ports.values()]
    for child in runs:
        code, figures = result(child)
        assert code == 1 and figures["lost"] > 0


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
    for protocol in ("grpc", "grpc-batch-unary"):
        code, figures = result(start(cluster, node.port, protocol, "-r", 1000, "-i", node.pid))
        clean(figures)
        assert code == 0 and figures["cpu_us"] >= 0 and figures["rss_idle"] > 0
