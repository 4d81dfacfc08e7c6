"""Row 10 and the soak: the measurements themselves run. Their numbers are for people to read."""

import json
import shutil

import pytest

from harness import CHAT_NODE, PROJECT, PYTHON, sized

BENCH = PROJECT / "bench"


def run(cluster, *argv):
    child = cluster.child([PYTHON, *argv],
                          env={"CHAT_NODE": CHAT_NODE, "PYTHONDONTWRITEBYTECODE": "1"})
    assert child.wait(50) == 0, child.err
    return child.out


def least(cluster, part, *more):
    """A measurement in its smallest size: what each call of it found."""
    out = run(cluster, BENCH / "growth.py", "--least", "--only", part, "--json", *more)
    return json.loads(out[-1])[part]


def rows_that_ran(rows):
    assert rows and all(row.get("runs") == 1 and not row["faults"] for row in rows), rows
    return rows


def test_latency_is_measured_beside_its_floors(cluster, show):
    out = run(cluster, BENCH / "latency.py", "--json", "--count", sized(200, 50))
    result = json.loads(out[-1])
    rows = [result[name] for name in ("pipe_echo_cat", "tcp_echo", "node_to_node")]
    for row in rows:
        assert 0 < row["min"] <= row["p50"] <= row["p90"] <= row["p99"] <= row["max"]
    show("from Enter to the other's screen, in us: " + ", ".join(
        f"{name} {value}" for name, value in rows[2].items()))


def test_fan_out_is_measured(cluster, show):
    result, = least(cluster, "fanout")
    for row in rows_that_ran(result["rows"]):
        assert row["deliveries_per_s"] > 0 < row["cpu_us"]
    show("deliveries a second to two, for a moment: " + ", ".join(
        f"{row['server']} {row['deliveries_per_s']:,}" for row in result["rows"]))


def test_publishing_is_measured(cluster, show):
    result, = least(cluster, "publish")
    for row in rows_that_ran(result["rows"]):
        assert row["messages_per_s"] > 0 < row["p50_us"]
    show("durable messages a second of one who waits: " + ", ".join(
        f"{row['interface']} {row['messages_per_s']:,}" for row in result["rows"]))


def test_start_and_search_are_measured(cluster):
    result, = least(cluster, "start")
    assert result["after a clean end"]["ms"] > 0
    assert all(took >= 0 for took in result["search_ms"].values())


def test_catching_up_is_measured(cluster):
    result, = least(cluster, "catch_up")
    assert result["said_per_s"] > 0 < result["events_per_s"]


def test_memory_is_measured(cluster):
    result, = least(cluster, "memory")
    assert all(row["runs"] == 1 for row in result["subscribers"])
    assert [row["links"] for row in result["links"]] == [0, 1]
    assert all(row["kib"] > 1000 for row in result["links"] + result["events"])
    assert result["idle"]["headless_kib"] > 1000 < result["idle"]["prompt_kib"]


def test_what_a_private_network_costs_is_measured(cluster, show):
    out = run(cluster, BENCH / "security.py", "--json", "--sizes", 2, "--seconds", 0.2, "--reps", 1,
              "--count", 20)
    result = json.loads(out[-1])
    assert len(result["rows"]) == 4
    for row in result["rows"]:
        assert "error" not in row and not row["private"]["faults"], row
    assert result["node_to_node"]["private"]["p50_us"] > 0
    assert result["linked"]["private"]["node_kib"] > 0
    show(f"a line between nodes, TLS beside plaintext: {result['node_to_node']['ratio']}")


def test_one_file_collects_the_parts_and_curves_are_drawn_of_it(cluster, tmp_path):
    file = tmp_path / "growth.json"
    for part in ("latency", "start"):
        least(cluster, part, "--out", file)
    assert {"latency", "start"} <= json.loads(file.read_text()).keys()
    assert any("1.5 times (one commit" in line and "not measured" not in line
               for line in run(cluster, BENCH / "goals.py", file))
    if shutil.which("gnuplot") is None:
        pytest.skip("no gnuplot: ./dev setup bench")
    run(cluster, BENCH / "plot.py", file, "--out", tmp_path / "curves")
    names = {path.name for path in (tmp_path / "curves").iterdir()}
    assert names == {"nodes.svg", "log-length.svg"}


def test_what_a_line_costs_is_measured(cluster, show):
    out = run(cluster, BENCH / "say.py", "--json", "--count", sized(5000, 500), "--rounds", "1")
    row = json.loads(out[-1])["here"]
    assert row["lines_per_s"] > 0 and row["cpu_us_per_line"] > 0
    show(f"said at once: {row['lines_per_s']} a second, {row['cpu_us_per_line']} us of CPU each")


def test_a_short_soak(cluster):
    out = run(cluster, BENCH / "soak.py", "--minutes", "0.05", "--rate", "100")
    assert "every one shown 3 times in order" in out[-1]
