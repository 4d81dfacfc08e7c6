"""What the checks of the tree share: where it is, and how they end.

Each check is a module with complaints(...) -> list of texts, which self_test.py feeds with broken
samples, and is a program that runs it on the tree: exit code 0 where there is nothing to say.
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or ROOT / "build").resolve()


def sources(root, *patterns):
    """The files of the tree that match, sorted."""
    return sorted(path for pattern in patterns for path in root.glob(pattern))


def end(complaints, checked):
    """Prints what there is to say and leaves."""
    for text in complaints:
        print(text)
    print(f"{checked}: {len(complaints)} complaints" if complaints else f"{checked}: good")
    sys.exit(1 if complaints else 0)
