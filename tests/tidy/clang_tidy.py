#!/usr/bin/python3
"""clang-tidy over every source in compile_commands.json, with .clang-tidy's checks.

It takes a second a file, so what was good is remembered (build/tidy-good) by a hash of all that the
answer depends on. CHAT_TIDY_DEEP=1: the analyzer follows calls as far as it can, for three times as
long.
"""

import concurrent.futures
import hashlib
import json
import os
import re
import subprocess

import tree

TIDY = "clang-tidy-14"
# What gcc was told and clang does not know.
GCC_ONLY = re.compile(r"^-(W(no-)?(logical-op|duplicated-cond|duplicated-branches|jump-misses-init|"
                      r"maybe-uninitialized|stringop-overflow|format-truncation|format-overflow)"
                      r"|fcf-protection(=full)?|fstack-clash-protection|ftrivial-auto-var-init=zero|Werror)$")


# A test may read the trace that it has written itself; and what the analyzer takes minutes to follow
# there, the sanitizers see when it runs.
NOT_IN_TESTS = "--checks=-cert-err34-c,-clang-analyzer-*"
DEEP = os.environ.get("CHAT_TIDY_DEEP") == "1"
SHALLOW = [f"--extra-arg={word}" for word in ("-Xclang", "-analyzer-config", "-Xclang",
                                              "mode=shallow")]


def run(path, arguments, root):
    """What clang-tidy says of one file: "" where that is nothing."""
    # Niced, so that it takes the time in which the tests beside it wait.
    command = ["nice", "-n", "19", TIDY, "--quiet", f"--config-file={root / '.clang-tidy'}"]
    if str(path).startswith(f"{root}/tests/"):
        command.append(NOT_IN_TESTS)
    elif not DEEP:
        command += SHALLOW
    result = subprocess.run(command + [str(path), "--"] + arguments, capture_output=True, text=True,
                            check=False)
    findings = split(result.stdout)
    if result.returncode != 0 and not findings:
        return result.stderr or f"{path}: {TIDY} failed"
    return "".join(text for text in findings if not inside_a_list_macro(text))


def split(output):
    """One text for each finding, with its notes."""
    head = r"\S+:\d+:\d+: (?:error|warning): .*\n"
    return re.findall(f"^{head}(?:(?!{head}).*\\n)*", output, re.MULTILINE)


def inside_a_list_macro(finding):
    """The analyzer does not know that uthash's lists are rings and its tables have buckets: what it
    finds at a place inside their macros is about a state that cannot be."""
    # The finding, the line of ours, its caret, then where in the macro it is.
    lines = finding.split("\n")
    return "[clang-analyzer-" in lines[0] and len(lines) > 3 and re.match(
        r"^/usr/include/ut(hash|list)\.h:\d+:\d+: note: expanded from macro", lines[3]) is not None


def work(root, build):
    """(file, arguments) for each source of ours."""
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    for command in commands:
        path = os.path.realpath(os.path.join(command["directory"], command["file"]))
        if not path.startswith((f"{root}/src/", f"{root}/tests/")):
            continue
        words = command["command"].split(" ")[1:]
        arguments, skip = [], False
        for word in words:
            if skip or word in ("-o", "-c"):
                skip = not skip and word == "-o"
                continue
            if word and not GCC_ONLY.match(word) and word != command["file"]:
                arguments.append(word.replace('\\"', '"'))
        yield path, arguments


def complaints(root, build):
    shared = hashlib.sha256()
    for path in tree.sources(root, "src/*/*.h", "tests/*/*.h", ".clang-tidy", "proto/*",
                             "tests/tidy/clang_tidy.py"):
        shared.update(path.read_bytes())
    good = build / "tidy-good"
    good.mkdir(exist_ok=True)

    def one(item):
        path, arguments = item
        key = shared.copy()
        key.update(repr(arguments).encode())
        key.update(path.encode() + (b" deep" if DEEP else b""))
        with open(path, "rb") as file:
            key.update(file.read())
        stamp = good / key.hexdigest()
        if stamp.exists():
            os.utime(stamp)
            return ""
        said = run(path, arguments, root)
        if not said:
            stamp.touch()
        return said

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [said for said in pool.map(one, list(work(root, build))) if said]


if __name__ == "__main__":
    tree.end(complaints(tree.ROOT, tree.BUILD), "clang-tidy")
