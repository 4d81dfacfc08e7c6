#!/usr/bin/python3
"""The shell scripts stop at the first error, and shellcheck finds nothing in them."""

import subprocess

import tree

SCRIPTS = ("dev", ".ci/run", "tests/*.sh")


def complaints(root):
    found = []
    for path in tree.sources(root, *SCRIPTS):
        name = path.relative_to(root).as_posix()
        if "\nset -euo pipefail\n" not in path.read_text(encoding="utf-8"):
            found.append(f"{name}: has no `set -euo pipefail`")
        result = subprocess.run(["shellcheck", "--format=gcc", "--shell=bash", name], cwd=root,
                                capture_output=True, text=True, check=False)
        found += result.stdout.splitlines()
        if result.returncode != 0 and not result.stdout:
            found.append(f"{name}: {result.stderr}")
    return found


if __name__ == "__main__":
    tree.end(complaints(tree.ROOT), "shell scripts")
