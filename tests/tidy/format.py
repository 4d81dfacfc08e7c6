#!/usr/bin/python3
"""The C sources are exactly what clang-format makes of them; all text ends its lines plainly.

    format.py          says what differs
    format.py --check  the same
    format.py --fix    mends it
"""

import difflib
import subprocess
import sys

import tree

PATTERNS = ("src/*.[ch]", "src/*/*.[ch]", "tests/*/*.[ch]", "tools/*.[ch]", "bench/*.[ch]",
            "bench/rivals/*.[ch]")
TEXTS = PATTERNS + ("*.txt", "*.json", "*.md", "dev", ".ci/run", "docs/*", "proto/*", "bench/*.py",
                    "bench/rivals/*", "tests/*.sh", "tests/*/*.py")
FORMAT = "clang-format-14"


def formatted(path, style):
    return subprocess.run([FORMAT, f"--style=file:{style}", str(path)], check=True,
                          capture_output=True, text=True).stdout


def differing(paths, style):
    """Those that it would change: one call for all of them, as each takes its while to start."""
    command = [FORMAT, f"--style=file:{style}", "--dry-run", "--Werror", "--ferror-limit=0"]
    said = subprocess.run(command + [str(path) for path in paths], check=False,
                          capture_output=True, text=True)
    named = {line.split(":")[0] for line in said.stderr.splitlines() if ": error: " in line}
    if said.returncode != 0 and not named:
        raise subprocess.SubprocessError(f"{FORMAT} failed: {said.stderr[:500]}")
    return [path for path in paths if str(path) in named]


def complaints(root, style):
    found = []
    for path in differing(tree.sources(root, *PATTERNS), style):
        now, then = path.read_text(encoding="utf-8"), formatted(path, style)
        if now != then:
            name = path.relative_to(root).as_posix()
            diff = difflib.unified_diff(now.splitlines(), then.splitlines(), name,
                                        "as clang-format has it", lineterm="", n=1)
            found.append("\n".join(diff))
    for path in tree.sources(root, *TEXTS):
        if not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        data = path.read_bytes()
        if b"\r" in data:
            found.append(f"{name}: has carriage returns")
        if data and not data.endswith(b"\n"):
            found.append(f"{name}: its last line has no end")
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.endswith((b" ", b"\t")):
                found.append(f"{name}:{number}: ends in space")
            if path.suffix in (".c", ".h") and len(line.decode("utf-8")) > 100:
                found.append(f"{name}:{number}: longer than 100 columns")
    return found


def fix(root):
    paths = [str(path) for path in tree.sources(root, *PATTERNS)]
    subprocess.run([FORMAT, "-i", "--style=file"] + paths, check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["--fix"]:
        fix(tree.ROOT)
    found = complaints(tree.ROOT, tree.ROOT / ".clang-format")
    if found and sys.argv[1:] != ["--fix"]:
        found.append("./dev fmt mends what clang-format can")
    tree.end(found, "format")
