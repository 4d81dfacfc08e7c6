#!/usr/bin/python3
"""The law of the layers: an #include points only to the left.

    base <- core <- io <- face <- chat_node.c

And: the core is pure, so no header of the system that reaches outside; gRPC's headers stay in
src/io/rpc*, the generated ones where bytes become values, readline's in src/face.
"""

import pathlib
import re

import tree

LAYERS = ["base", "core", "io", "face"]
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')

# All that the core may have from outside the project: language, memory, text, hashes.
CORE_SYSTEM_HEADERS = {
    "assert.h", "ctype.h", "errno.h", "inttypes.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdio.h", "stdlib.h", "string.h", "sodium.h", "uthash.h", "utlist.h",
    "chat.pb-c.h", "protobuf-c/protobuf-c.h",
}

# A header of which only some files may know: (header, who may, why).
KEPT_HEADERS = [
    (re.compile(r"^grpc/"), re.compile(r"^src/io/rpc[^/]*$"), "gRPC stays in src/io/rpc*"),
    (re.compile(r"\.pb-c\.h$"),
     re.compile(r"^src/(io/wire[^/]*|core/(event|frame|invite|(members|sealed)[^/]*)\.c)$"),
     "generated messages stay in src/io/wire* and src/core/{event,frame,invite,members*,sealed*}.c"),
    (re.compile(r"^openssl/"), re.compile(r"^src/io/gate[^/]*$"), "OpenSSL stays in src/io/gate*"),
    (re.compile(r"^unicode/"), re.compile(r"^tools/"), "ICU stays in tools/make_lookalike.c"),
    (re.compile(r"^readline/"), re.compile(r"^src/face/"), "readline stays in src/face"),
]


def layer_of(path):
    """A file's or an include's place in the order; chat_node.c sees everything."""
    folder = path.split("/")[0]
    return LAYERS.index(folder) if folder in LAYERS else len(LAYERS)


def complaints(root):
    found = []
    for path in tree.sources(root, "src/*.[ch]", "src/*/*.[ch]"):
        name = path.relative_to(root).as_posix()
        inside = path.relative_to(root / "src").as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            own, system = match.groups()
            at = f"{name}:{number}: "
            if own is not None:
                if not (root / "src" / own).is_file():
                    found.append(f'{at}"{own}" is not a path from src/, as in "base/mem.h"')
                elif layer_of(own) > layer_of(inside):
                    found.append(f"{at}{inside.split('/')[0]} must not know of \"{own}\"; an "
                                 f"include points only left: {' <- '.join(LAYERS)}")
            elif inside.startswith("core/") and system not in CORE_SYSTEM_HEADERS:
                found.append(f"{at}<{system}> is not for the core, which is pure")
            for header, allowed, why in KEPT_HEADERS:
                if header.search(own or system) and not allowed.search(name):
                    found.append(f"{at}<{own or system}>: {why}")
    for folder in (root / "src").iterdir():
        if folder.is_dir() and folder.name not in LAYERS:
            found.append(f"src/{folder.name}: no such layer; there are {', '.join(LAYERS)}")
    return found


if __name__ == "__main__":
    tree.end(complaints(pathlib.Path(tree.ROOT)), "includes")
