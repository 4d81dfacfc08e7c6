#!/usr/bin/python3
"""Each check of the tree must be able to fail: it is given broken samples, and good ones."""

import pathlib
import subprocess
import sys
import tempfile

import binary
import clang_tidy
import core_symbols
import format as format_check
import includes
import man_page
import shell
import tree

passed, failed = 0, 0


def expect(what, complaints, *parts):
    """Each of parts is in some complaint; where there are none, there is no complaint."""
    global passed, failed
    text = "\n".join(complaints)
    missing = [part for part in parts if part not in text]
    if missing or (not parts and complaints):
        failed += 1
        print(f"FAILED: {what}\n  wanted: {missing or 'nothing'}\n  got: {text or 'nothing'}")
    else:
        passed += 1


def write(root, name, text):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_includes(root):
    for name in ("base/mem.h", "core/core.h", "io/loop.h", "io/wire.h", "face/face.h"):
        write(root, f"src/{name}", "#pragma once\n")

    def of(name, text):
        path = write(root, f"src/{name}", text)
        found = includes.complaints(root)
        path.unlink()
        return found

    expect("good includes", includes.complaints(root))
    expect("left", of("io/x.c", '#include "base/mem.h"\n#include "core/core.h"\n#include <uv.h>\n'))
    expect("wiring", of("chat_node.c", '#include "face/face.h"\n#include "base/mem.h"\n'))
    expect("base to core", of("base/x.c", '#include "core/core.h"\n'), "src/base/x.c:1: base must")
    expect("core to io", of("core/x.c", '\n#include "io/loop.h"\n'), "src/core/x.c:2: core must")
    expect("io to face", of("io/x.h", '# include "face/face.h"\n'), "src/io/x.h:1: io must")
    expect("relative", of("io/x.c", '#include "loop.h"\n'), "is not a path from src/")
    for header in ("time.h", "sys/socket.h", "pthread.h", "unistd.h", "uv.h", "grpc/grpc.h"):
        expect(f"core and {header}", of("core/x.c", f"#include <{header}>\n"),
               "is not for the core")
    expect("gRPC in its room", of("io/rpc_x.c", "#include <grpc/grpc.h>\n"))
    expect("gRPC elsewhere", of("io/x.c", "#include <grpc/grpc.h>\n"), "gRPC stays in")
    expect("messages in their room", of("io/wire_x.c", "#include <chat.pb-c.h>\n"))
    expect("messages elsewhere", of("face/x.c", '#include <chat.pb-c.h>\n'), "messages stay in")
    expect("readline elsewhere", of("io/x.c", "#include <readline/readline.h>\n"), "readline stays")
    expect("a new folder", of("web/x.c", "\n"), "src/web: no such layer")


def test_core_symbols(root):
    def archive(name, text):
        source = write(root, f"{name}.c", text)
        made = str(root / f"{name}.c.o")
        subprocess.run(["cc", "-O0", "-c", str(source), "-o", made], check=True)
        path = root / f"lib{name}.a"
        path.unlink(missing_ok=True)
        subprocess.run(["ar", "rc", str(path), made], check=True)
        return path

    base = archive("base", "void log_write(void) {} void random_bytes(void) {} void mem_x(void) {}")

    def of(body):
        return core_symbols.complaints(
            archive("core", f"#define _GNU_SOURCE\n#include <pthread.h>\n#include <stdio.h>\n"
                            f"#include <stdlib.h>\n#include <string.h>\n#include <sys/socket.h>\n"
                            f"#include <time.h>\n#include <unistd.h>\nvoid mem_x(void);"
                            f"void log_write(void); void random_bytes(void); void g(void);"
                            f"void g(void) {{ mem_x(); }}"
                            f"void f(const char *t);"
                            f"void f(const char *t) {{ (void)t; g(); {body}; }}"), base)

    expect("pure", of("char b[9]; snprintf(b, strlen(t), \"%s\", t); free(malloc(1))"))
    for what, body in {
            "clock_gettime": "struct timespec s; clock_gettime(CLOCK_REALTIME, &s)",
            "time": "time(NULL)", "localtime": "time_t s = 0; localtime(&s)",
            "socket": "socket(0, 0, 0)", "fopen": "fopen(t, t)", "printf": "printf(\"%s1\", t)",
            "write": "if (write(1, t, 1)) { }", "getenv": "getenv(t)", "rand": "rand()",
            "pthread_create": "pthread_create(NULL, NULL, NULL, NULL)", "sleep": "sleep(1)",
            "log_write": "log_write()", "random_bytes": "random_bytes()"}.items():
        expect(f"core and {what}", of(body), f"core/core.c: {what}: ")


def test_binary(root):
    source = write(root, "program.c", """#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) {
    char text[64]; snprintf(text, sizeof text, "%s", argv[0]);
    memcpy(text, argv[0], strlen(argv[0]) + (size_t)argc); return text[argc]; }
""")
    good = ("-O2 -fPIE -pie -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection "
            "-fcf-protection=full -fno-strict-overflow -ftrivial-auto-var-init=zero "
            "-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code")

    def of(flags):
        path, archive = root / "program", root / "libprogram.a"
        subprocess.run(["gcc", *flags.split(), str(source), "-o", str(path)], check=True)
        subprocess.run(["gcc", *flags.split(), "-c", str(source), "-o", str(root / "program.o")],
                       check=True)
        archive.unlink(missing_ok=True)
        subprocess.run(["ar", "rc", str(archive), str(root / "program.o")], check=True)
        return binary.complaints(path, [archive], [f"gcc {flags} -c x.c"])

    expect("hardened", of(good))
    for flag, part in (("-pie", "not position-independent"), ("-Wl,-z,now", "binds late"),
                       ("-Wl,-z,relro", "no read-only relocations"),
                       ("-Wl,-z,noexecstack", "a stack that runs"),
                       ("-Wl,-z,separate-code", "among what runs"),
                       ("-fstack-protector-strong", "no stack protectors"),
                       ("-D_FORTIFY_SOURCE=3", "no checked copies")):
        without = good.replace(flag, {"-pie": "-no-pie", "-Wl,-z,now": "-Wl,-z,lazy",
                                      "-Wl,-z,relro": "-Wl,-z,norelro",
                                      "-Wl,-z,noexecstack": "-Wl,-z,execstack",
                                      "-Wl,-z,separate-code": "-Wl,-z,noseparate-code",
                                      "-fstack-protector-strong": "-fno-stack-protector",
                                      "-D_FORTIFY_SOURCE=3": "-U_FORTIFY_SOURCE"}[flag])
        expect(f"without {flag}", of(without), part)
    if "X86-64" in binary.readelf(root / "program", "-h"):
        expect("no landing pads", of(good.replace("=full", "=none")), "no landing pads")
    expect("one flag is missing", of(good.replace("-fno-strict-overflow", "")),
           "1 of 1 files are compiled without -fno-strict-overflow")
    expect("variables", of(good.replace("-ftrivial-auto-var-init=zero", "")), "begin as anything")
    expect("no assertions", of(good + " -DNDEBUG"), "without its assertions")
    expect("its own libraries", of(good + " -Wl,-rpath,/tmp"), "folders of its own")


def test_format(root):
    style = tree.ROOT / ".clang-format"
    good = "int main(void)\n{\n    return 0;\n}\n"
    path = write(root, "src/base/x.c", good)
    expect("formatted", format_check.complaints(root, style))
    for what, text, part in (
            ("tabs", good.replace("    ", "\t"), "as clang-format has it"),
            ("brace", good.replace(")\n{", ") {"), "as clang-format has it"),
            ("space at the end", "/* x \n */\n" + good, ":1: ends in space"),
            ("no last line end", good[:-1], "its last line has no end"),
            ("carriage return", good.replace("\n", "\r\n"), "has carriage returns"),
            ("long line", "/* " + "x" * 100 + " */\n" + good, "longer than 100")):
        path.write_text(text, encoding="utf-8", newline="")
        expect(what, format_check.complaints(root, style), part)


def test_clang_tidy(root):
    def of(text):
        path = write(root, "src/base/x.c", text)
        said = clang_tidy.run(path, ["-std=gnu2x", f"-I{root}/src"], tree.ROOT)
        return [said] if said else []

    good = ("typedef enum Mood { MOOD_GOOD } Mood;\ntypedef struct SomeType {\n    Mood mood;\n"
            "} SomeType;\n#define SIZE 3\nstatic const int TABLE[SIZE] = {1, 2, 3};\n"
            "int take_it(const SomeType *some);\nint take_it(const SomeType *some)\n{\n"
            "    int local_one = TABLE[some->mood];\n    return local_one;\n}\n")
    expect("good names", of(good))
    for what, old, new in (
            ("struct", "SomeType", "some_type"), ("enum constant", "MOOD_GOOD", "MoodGood"),
            ("function", "take_it", "takeIt"), ("local variable", "local_one", "localOne"),
            ("parameter", "*some", "*Some"), ("member", "mood", "theMood"),
            ("macro", "SIZE", "size_max"), ("table", "TABLE", "table")):
        text = good.replace(old, new)
        if old == "*some":
            text = text.replace("some->", "Some->")
        expect(f"name of a {what}", of(text), "readability-identifier-naming")
    null = "int f(void);\nint f(void)\n{\n    int *p = 0;\n    return *p;\n}\n"
    expect("null dereference", of(null), "clang-analyzer-core.NullDereference")
    ring = ("#include <stddef.h>\n#include <utlist.h>\ntypedef struct Item {\n"
            "    struct Item *left, *right;\n} Item;\nvoid drop(Item **items, Item *item);\n"
            "void drop(Item **items, Item *item)\n{\n    if (item->right == NULL) {\n"
            "        BODY\n    }\n}\n")
    delete = "DL_DELETE2(*items, item, left, right);"
    expect("inside utlist's macro", of(ring.replace("BODY", delete)))
    expect("beside it", of(ring.replace("BODY", "item->right->left = *items;")),
           "clang-analyzer-core.NullDereference")


def test_shell(root):
    write(root, ".ci/run", "#!/bin/bash\nset -euo pipefail\n")
    write(root, "dev", "#!/bin/bash\nset -euo pipefail\nprintf '%s\\n' \"$1\"\n")
    expect("good scripts", shell.complaints(root))
    write(root, "dev", "#!/bin/bash\nset -euo pipefail\nrm -rf $1/*\n")
    expect("unquoted", shell.complaints(root), "dev:3:")
    write(root, "dev", "#!/bin/bash\necho\n")
    expect("not strict", shell.complaints(root), "dev: has no `set -euo pipefail`")


def test_man_page(root):
    good = ('.Dd November 22, 2026\n.Dt X 1\n.Os\n.Sh NAME\n.Nm x\n.Nd y\n.Sh DESCRIPTION\n'
            'Has\n.Fl -name\nand\n.Ic /list .\n')
    page = write(root, "x.1", good)
    expect("good page", man_page.complaints(page, "  --name=NAME", ["/list"]))
    expect("missing option", man_page.complaints(page, "  --name  --other-one", []),
           "--other-one is not in it")
    expect("missing command", man_page.complaints(page, "", ["/quit"]), "/quit is not in it")
    page.write_text(good + ".Xyz\n", encoding="utf-8")
    expect("unknown macro", man_page.complaints(page, "", []), "unknown macro")


def main():
    for test in (test_includes, test_core_symbols, test_binary, test_format, test_clang_tidy,
                 test_shell, test_man_page):
        with tempfile.TemporaryDirectory() as folder:
            test(pathlib.Path(folder))
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
