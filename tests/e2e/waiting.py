"""Deadlines and sizes that suit a slow build, too, and waiting for what comes. The tests have these
from the harness."""

import os
import time

SLOW = max(1.0, float(os.environ.get("CHAT_TEST_SLOW") or 1))


def scaled(seconds):
    """A deadline: never shorter on a slower build."""
    return seconds * SLOW


def sized(count, least=1):
    """An amount of work: smaller on a slower build."""
    return max(least, int(count / SLOW))


def assert_memory(measure, most, what, seconds=5.0):
    """measure() comes down to most KiB, soon: what was freed goes back to the system a bit later.
    Sanitizers keep freed memory back and add their own: there it proves nothing."""
    if SLOW > 1:
        return measure()
    deadline = time.monotonic() + seconds
    while (kib := measure()) > most:
        if time.monotonic() > deadline:
            raise Failed(f"{what}: {kib} KiB, and {most:.0f} is the most")
        time.sleep(0.05)
    return kib


class Failed(AssertionError):
    """An expectation that did not come true in time."""


def eventually(check, what, seconds=10.0, interval=0.02):
    """For state that tells nobody when it changes (/proc, sockets): asks until check() is true.
    what: a text, or a function that makes it when it is needed."""
    deadline = time.monotonic() + scaled(seconds)
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failed(f"waited {scaled(seconds):g} s for {what() if callable(what) else what}")
        time.sleep(interval)
