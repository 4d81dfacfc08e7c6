#!/usr/bin/python3
"""The program that people run is built so that a mistake in it is hard to use: position-independent,
its tables read-only once it has started, no stack that runs, no segment that is written and run,
stack protectors, checked copies, and landing pads for indirect jumps where the processor knows them.
"""

import json
import re
import subprocess

import tree

# They copy without a bound.
UNCHECKED = {"sprintf", "vsprintf", "strcpy", "strcat", "gets", "stpcpy", "strncat"}


def readelf(path, *options):
    return subprocess.run(["readelf", "-W", *options, str(path)], check=True, capture_output=True,
                          text=True).stdout


def segments(headers):
    """[(type, flags)] of the program headers."""
    found = re.findall(r"^  ([A-Z_]+) +0x[0-9a-f]+ 0x[0-9a-f]+ 0x[0-9a-f]+ 0x[0-9a-f]+ 0x[0-9a-f]+ "
                       r"([R ][W ][E ])", headers, re.MULTILINE)
    return [(kind, flags.replace(" ", "")) for kind, flags in found]


def layout_complaints(header, headers, dynamic):
    found = []
    if not re.search(r"Type: +DYN ", header) or "PIE" not in dynamic:
        found.append("is not position-independent: -fPIE -pie")
    parts = segments(headers)
    kinds = dict(parts)
    if "GNU_RELRO" not in kinds:
        found.append("has no read-only relocations: -z relro")
    if "BIND_NOW" not in dynamic and not re.search(r"FLAGS_1.*\bNOW\b", dynamic):
        found.append("binds late, its table of functions stays writable: -z now")
    if "E" in kinds.get("GNU_STACK", "RWE"):
        found.append("has a stack that runs: -z noexecstack")
    if ("LOAD", "RWE") in parts:
        found.append("has a segment that is written and run")
    if sum(1 for kind, flags in parts if kind == "LOAD" and "E" in flags) != 1 or \
            next((flags for kind, flags in parts if kind == "LOAD"), "E") != "R":
        found.append("has its headers and constants among what runs: -z separate-code")
    if re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        found.append("looks for libraries in folders of its own: no rpath")
    if "(TEXTREL)" in dynamic:
        found.append("has relocations in what runs")
    return found


def code_complaints(symbols):
    wanted = set(re.findall(r" UND (\w+)", symbols))
    found = []
    if "__stack_chk_fail" not in wanted:
        found.append("has no stack protectors: -fstack-protector-strong")
    if not any(re.match(r"__\w+_chk$", name) for name in wanted):
        found.append("has no checked copies: -D_FORTIFY_SOURCE=3 needs -O1 or more")
    for name in sorted(wanted & UNCHECKED):
        found.append(f"calls {name}, which knows no end")
    return found


def object_complaints(notes, machine):
    """Of the objects, since Debian's start-up code has no landing pads, and what is linked with it
    cannot say that it has."""
    if "X86-64" not in machine:
        return []
    return [f"{member}: has no landing pads or no shadow stack: -fcf-protection=full"
            for member, text in re.findall(r"^File: (\S+)\n(.*?)(?=^File: |\Z)", notes,
                                           re.MULTILINE | re.DOTALL)
            if not re.search(r"x86 feature:.*\bIBT\b.*\bSHSTK\b", text)]


def flag_complaints(commands):
    """What leaves no trace in the program: each of our sources is compiled with it."""
    found = []
    for flag in ("-D_FORTIFY_SOURCE=3", "-fstack-protector-strong", "-fstack-clash-protection",
                 "-fno-strict-overflow"):
        without = [row for row in commands if f" {flag} " not in f" {row} "]
        if without or not commands:
            found.append(f"{len(without)} of {len(commands)} files are compiled without {flag}")
    without = [row for row in commands
               if "clang" not in row.split()[0] and "-ftrivial-auto-var-init=zero" not in row]
    if without:
        found.append(f"{len(without)} files are compiled with variables that begin as anything")
    if any("-DNDEBUG" in row for row in commands):
        found.append("is compiled without its assertions")
    return found


def complaints(path, archives, commands):
    header = readelf(path, "-h")
    found = layout_complaints(header, readelf(path, "-l"), readelf(path, "-d"))
    found += code_complaints(readelf(path, "--dyn-syms")) + flag_complaints(commands)
    found = [f"{path.name} {text}" for text in found]
    for archive in archives:
        found += object_complaints(readelf(archive, "-n"), header)
    return found


def compile_commands(build):
    rows = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    return [row["command"] for row in rows if row["file"].startswith(str(tree.ROOT / "src"))]


if __name__ == "__main__":
    libraries = sorted(tree.BUILD.glob("libchat_*.a"))
    tree.end(complaints(tree.BUILD / "chat_node", libraries, compile_commands(tree.BUILD)),
             "binary")
