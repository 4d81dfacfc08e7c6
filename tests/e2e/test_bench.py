"""Row 10 and the soak: the measurements themselves run. Their numbers are for people to read."""

import json

from harness import CHAT_NODE, PROJECT, PYTHON, sized

BENCH = PROJECT / "bench"


def run(cluster, *argv):
    child = cluster.child([PYTHON, *argv], env={"CHAT_NODE": CHAT_NODE})
    assert child.wait(50) == 0, child.err
    return child.out


def test_latency_is_measured_beside_its_floors(cluster, show):
    out = run(cluster, BENCH / "latency.py", "--json", "--count", sized(300, 50))
    result = json.loads(out[-1])
    rows = [result[name] for name in ("pipe_echo_cat", "tcp_echo", "node_to_node")]
    for row in rows:
        assert 0 < row["min"] <= row["p50"] <= row["p90"] <= row["p99"] <= row["max"]
    show("from Enter to the other's screen, in us: " + ", ".join(
        f"{name} {value}" for name, value in rows[2].items()))


def test_what_a_line_costs_is_measured(cluster, show):
    out = run(cluster, BENCH / "say.py", "--json", "--count", sized(5000, 500), "--rounds", "1")
    row = json.loads(out[-1])["here"]
    assert row["lines_per_s"] > 0 and row["cpu_us_per_line"] > 0
    show(f"said at once: {row['lines_per_s']} a second, {row['cpu_us_per_line']} us of CPU each")


def test_a_short_soak(cluster):
    out = run(cluster, BENCH / "soak.py", "--minutes", "0.05", "--rate", "100")
    assert "every one shown 3 times in order" in out[-1]
