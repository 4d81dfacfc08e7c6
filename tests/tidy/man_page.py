#!/usr/bin/python3
"""The man page is clean, and names every option that the program knows and every command."""

import re
import subprocess

import tree


def lint(page):
    result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)],
                            capture_output=True, text=True, check=False)
    return [line for line in result.stdout.splitlines() + result.stderr.splitlines() if line]


def options(help_text):
    """The long options in what --help prints."""
    return set(re.findall(r"--[a-z][a-z-]+", help_text))


def complaints(page, help_text, commands):
    found = lint(page)
    # In roff, a hyphen that is one is written \- or, in mdoc, as a flag's name.
    text = subprocess.run(["mandoc", "-T", "utf8", str(page)], capture_output=True, text=True,
                          check=False).stdout
    text = re.sub(".\b", "", text).replace("\u2010", "-").replace("\u2212", "-")
    for option in sorted(options(help_text)):
        if option not in text:
            found.append(f"{page.name}: {option} is not in it")
    for command in commands:
        if command not in text:
            found.append(f"{page.name}: {command} is not in it")
    return found


def help_of(*command):
    return subprocess.run([str(tree.BUILD / "chat_node"), *command, "--help"],
                          capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    program = help_of()
    tools = re.findall(r"^  ([a-z]+) +[a-z]", program.partition("Commands, which")[2], re.MULTILINE)
    helps = "".join([program, *(help_of(tool) for tool in tools)])
    table = (tree.ROOT / "src/core/command.c").read_text(encoding="utf-8")
    names = re.findall(r'"(/[a-z]+)"', table)
    tree.end(complaints(tree.ROOT / "docs/chat_node.1", helps, names + tools), "man page")
