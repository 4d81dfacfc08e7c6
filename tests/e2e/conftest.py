"""Fixtures, a time limit for each test, and what the processes said where one fails."""

import faulthandler
import os
import re
import signal

import pytest

import bots
import harness


def pytest_configure(config):
    config.addinivalue_line("markers", "limit(seconds): the test's time limit, before scaling")


@pytest.fixture(scope="session", autouse=True)
def stubs(tmp_path_factory):
    """The folder of the generated Python stubs, importable."""
    folder = harness.BUILD / "e2e-stubs" / str(os.getpid()) if harness.BUILD.is_dir() \
        else tmp_path_factory.mktemp("stubs")
    yield bots.make_stubs(folder)
    import shutil
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs fails by itself; where even that hangs, the whole run ends, and with it
    every process it started."""
    marker = request.node.get_closest_marker("limit")
    seconds = harness.scaled(marker.args[0] if marker else 60)

    def on_alarm(_number, _frame):
        raise harness.Failed(f"the test took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    faulthandler.dump_traceback_later(seconds + harness.scaled(60), exit=True)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    faulthandler.cancel_dump_traceback_later()
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def data_home(tmp_path, monkeypatch):
    """Each test has its own: a node started again in it keeps its data, as the default says."""
    path = tmp_path / "data"
    monkeypatch.setenv("XDG_DATA_HOME", str(path))
    return path


@pytest.fixture
def cluster(request, tmp_path, time_limit, data_home):
    cluster = harness.Cluster(tmp_path)
    request.node.cluster = cluster
    yield cluster
    complaints = cluster.stop_all()
    if complaints:
        pytest.fail("; ".join(complaints), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    cluster = getattr(item, "cluster", None)
    if cluster is None or not report.failed:
        return
    for label, text in cluster.logs():
        report.sections.append((label, text))
    if harness.BUILD.is_dir():
        folder = harness.BUILD / "e2e-logs" / re.sub(r"[^\w.-]+", "-", item.name)[:80]
        cluster.save_logs(folder)
        report.sections.append(("all their lines", str(folder)))


@pytest.fixture
def show(capsys):
    """Prints a measurement, also where pytest keeps the output of tests that pass."""
    def write(text):
        with capsys.disabled():
            print(f"\n    {text}", end="", flush=True)
    return write
