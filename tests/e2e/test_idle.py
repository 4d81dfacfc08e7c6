"""Row 9: a node that does nothing costs nothing."""

import os
import time

import pytest

import harness
from harness import eventually

SECONDS = float(os.environ.get("CHAT_TEST_IDLE_SECONDS") or 20)


@pytest.mark.limit(60 + 2 * SECONDS)
def test_idle_nodes_sleep(cluster, show):
    """One beside a peer, one alone."""
    ann, bob = cluster.mesh(["ann", "bob"])
    cyd = cluster.node(name="cyd")
    ann.say("hello")
    bob.wait_content("hello")
    cyd.list()
    eventually(lambda: ann.link(bob.port)["waiting_lines"] == 0, "all to be said")
    watched = {"beside one peer": ann, "alone": cyd}
    before = {name: (node.cpu_seconds(), node.context_switches())
              for name, node in watched.items()}
    started = time.monotonic()
    time.sleep(SECONDS)  # what is measured is that nothing happens
    took = time.monotonic() - started
    used = {name: (node.cpu_seconds() - before[name][0],
                   node.context_switches() - before[name][1]) for name, node in watched.items()}
    for name, (cpu, switches) in used.items():
        show(f"idle for {took:.0f} s {name}: {cpu / took * 60:.2f} s of CPU a minute, "
             f"{switches / took:.1f} context switches a second")
    for cpu, switches in used.values():
        assert cpu / took < 0.005 * harness.SLOW, "more than half a percent of a core"
        assert switches / took < 60 * harness.SLOW
    assert ann.list()["connected"] == 1


def test_a_node_is_small_and_quick_to_start(cluster, show):
    started = time.monotonic()
    ann = cluster.node(name="ann")
    ann.list()
    took = time.monotonic() - started
    show(f"started in {took * 1000:.0f} ms, {ann.rss_kib()} KiB")
    assert took < harness.scaled(2)
    harness.assert_memory(ann.rss_kib, 40 * 1024, "at its start")
