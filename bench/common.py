"""What the measurements share: starting nodes on loopback with data of their own, and ending them;
load programs and what they print; floors; options and tables.

A measurement is a module with `arguments(parser)`, `measure(options)`, which gives what `--json`
prints, and `show(result)`, which prints it for people; `growth` calls their `measure` too."""

import argparse
import contextlib
import functools
import json
import os
import pathlib
import random
import re
import resource
import select
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

PROJECT = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("CHAT_BUILD") or PROJECT / "build").resolve()
CHAT_NODE = os.environ.get("CHAT_NODE") or str(BUILD / "chat_node")
NATS = shutil.which("nats-server", path=os.defpath + ":/usr/sbin:/usr/local/bin") or "nats-server"
HURRY = -15  # niceness: what else the machine does shall not be measured
SENDER = "pub"  # of bench_fan
FILES = 32768  # descriptors: 10,000 subscribers and room
LISTEN_SECONDS = 20
LOAD_SECONDS = 110  # what a load program may take in all

# ---- Running a measurement -----------------------------------------------------------------------


def parser_of(module):
    parser = argparse.ArgumentParser(description=module.__doc__.split("\n", 1)[0])
    module.arguments(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser


def result_of(module, *argv):
    """What a measurement finds, with these of its arguments."""
    return module.measure(parser_of(module).parse_args([str(one) for one in argv]))


def run(name):
    """What a measurement's file does when it is called; gives what it printed."""
    module = sys.modules[name]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # scratch folders go, nodes are ended
    options = parser_of(module).parse_args()
    need_program()
    result = module.measure(options)
    if options.json:
        print(json.dumps(result))
    else:
        module.show(result)
    return result


def numbers(text):
    """The type of an argument: "1,10,100"."""
    return [int(one) for one in text.split(",") if one]


def say(text):
    """How far a long measurement is."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def show_table(columns, rows):
    """Texts and numbers; the first column to the left."""
    cells = [[one if isinstance(one, str) else f"{one:,}" for one in row] for row in rows]
    widths = [max(len(row[at]) for row in [columns, *cells]) for at in range(len(columns))]
    for row in [columns, *cells]:
        print("  ".join(text.ljust(width) if at == 0 else text.rjust(width)
                        for at, (text, width) in enumerate(zip(row, widths))).rstrip())


def rounded(value):
    """Three figures that count: more is noise."""
    return round(value) if abs(value) >= 100 or value == round(value) else float(f"{value:.3g}")


def medians(rows):
    """Of repeated runs: the median of each number that all of them have."""
    return {key: rounded(statistics.median(row[key] for row in rows)) for key in rows[0]
            if all(isinstance(row.get(key), (int, float)) for row in rows)}


def row_of(runs, rate=None):
    """Of repeated runs of one kind, the median of those that came to their end, the faults of all;
    or {"error": why}. "spread": how many times the lowest rate goes into the highest."""
    good = [run for run in runs if "error" not in run]
    failed = [run for run in runs if "error" in run]
    row = medians(good) if good else {}
    if good:
        row |= {"faults": int(sum(run.get("faults", 0) for run in good)), "runs": len(good)}
    if good and rate:
        rates = [run[rate] for run in good]
        row["spread"] = round(max(rates) / min(rates), 2) if min(rates) else None
    return row | ({"error": failed[0]["error"], "failed": len(failed)} if failed else {})


def add_ratios(rows, who, base, same, keys):
    """Gives each row a "times_BASE": its figures, divided by those of the row of base (a value of
    the column who) that is the same in the columns same."""
    bases = {tuple(row[name] for name in same): row for row in rows
             if row[who] == base and row.get("runs")}
    for row in rows:
        beside = bases.get(tuple(row[name] for name in same))
        if beside and row[who] != base and row.get("runs"):
            row[f"times_{base}"] = {key: round(row[key] / beside[key], 2) for key in keys
                                    if beside.get(key)}


def show_failed(rows, names):
    for row in rows:
        if "error" in row:
            print(f"{', '.join(str(row[name]) for name in names)}: {row['failed']} runs failed: "
                  f"{row['error']}")


# ---- Processes -----------------------------------------------------------------------------------


def spawn(argv, environment=None, **options):
    """Dies with this program. environment: what is added to this program's own."""
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith("GRPC_") and not key.lower().endswith("_proxy")}
    if os.geteuid() != 0:  # what /proc knows of a node is otherwise for root alone
        clean["CHAT_NODE_DEBUG"] = "1"
    clean |= environment or {}
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "--"] + argv, env=clean, bufsize=0,
                            **options)


def pin(child, core):
    """All its threads, also those it made already."""
    if core is not None:
        for task in os.listdir(f"/proc/{child.pid}/task"):
            os.sched_setaffinity(int(task), {core})


def cores():
    """One for what is measured, one for what loads it; two, where there are two."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


@functools.lru_cache
def may_hurry():
    asked = subprocess.run(["nice", "-n", str(HURRY), "nice"], capture_output=True, text=True,
                           check=False)
    return asked.stdout.strip() == str(HURRY)


def on_core(core):
    """What stands before a command that is to run there from its first moment on."""
    hurry = ["nice", "-n", str(HURRY)] if may_hurry() else []
    return [*hurry, "taskset", "-c", str(core)]


@contextlib.contextmanager
def here_on_core(core):
    """The same for this process, for a while; core: None for not."""
    if core is None:
        yield
        return
    cores_before, nice_before = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    os.sched_setaffinity(0, {core})
    if may_hurry():
        os.setpriority(os.PRIO_PROCESS, 0, HURRY)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores_before)
        if may_hurry():
            os.setpriority(os.PRIO_PROCESS, 0, nice_before)


def allow_files():
    """Many subscribers are many descriptors; what is started inherits this."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        if most != resource.RLIM_INFINITY and most < FILES:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
            return
    wanted = FILES if most == resource.RLIM_INFINITY else min(most, FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def wait_listening(port, child):
    deadline = time.monotonic() + LISTEN_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if child.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("bench: a server did not start; run it by hand to see why")
        time.sleep(0.02)


def free_ports(count):
    """Below the range the kernel takes outgoing connections' ports from."""
    found = []
    while len(found) < count:
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


@contextlib.contextmanager
def scratch(prefix="chat-bench-"):
    """A folder that goes away; beside the build, since /tmp may be memory and have no disk to wait
    for."""
    where = BUILD if os.access(BUILD, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix=prefix, dir=where) as folder:
        yield pathlib.Path(folder)


def write_nodes(folder, ports):
    path = folder / "nodes.json"
    path.write_text(json.dumps([{"host": "127.0.0.1", "port": port} for port in ports]))
    return path


def start_node(folder, name, port, nodes, *arguments, program=CHAT_NODE, keeps=True, core=None,
               **streams):
    """Its data is in the folder, under its name. keeps: false for a version that kept none."""
    data = ["--data", str(folder / name)] if keeps else []
    where = on_core(core) if core is not None else []
    named = [str(nodes)] if nodes else []  # none: the one in its data directory
    return spawn([*where, str(program), "--name", name, *data, *arguments, str(port), *named],
                 cwd=folder, **streams)


def silent():
    """Of a node or server that nobody reads."""
    return {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL}


@contextlib.contextmanager
def profiled(child, file):
    """perf looks at the process meanwhile, with what it calls; file: None for not."""
    if file is None:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    perf = spawn([need_program("perf"), "record", "--quiet", "-F", "997", "-g", "-p",
                  str(child.pid), "-o", str(file)], **silent())
    try:
        yield
    finally:
        perf.send_signal(signal.SIGINT)
        perf.wait(30)
        say(f"perf report --no-children -i {file}")


def make_network(folder, name, port, *more):
    """A data directory, of that name in the folder, with a private network of its own."""
    subprocess.run([CHAT_NODE, "init", "bench", str(port), "--no-start", "--name", name, "--data",
                    str(folder / name), *more], check=True, **silent())


def make_token(folder, name):
    """Of a program that goes by the name that bench_fan goes by."""
    made = subprocess.run([CHAT_NODE, "token", "add", SENDER, "--data", str(folder / name)],
                          check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    return re.search(rb"cnt_[\w-]+", made.stdout).group().decode()


def join_network(folder, name, port, other):
    """The node of that name joins the network of the other one, which runs."""
    made = subprocess.run([CHAT_NODE, "invite", "--data", str(folder / other)], check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    line = re.search(rb"CHAT1-[A-Z2-7]+", made.stdout).group()
    subprocess.run([CHAT_NODE, "join", "-", str(port), "--no-start", "--name", name, "--data",
                    str(folder / name)], input=line, check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def private_server(core=None):
    """As server: a node of a private network, alone, that bench_fan is let in to by a token in its
    environment."""
    (port,) = free_ports(1)
    with scratch() as folder:
        make_network(folder, "node", port)
        os.environ["CHAT_TOKEN"] = make_token(folder, "node")
        child = start_node(folder, "node", port, None, "--headless", "--listen", "127.0.0.1",
                           "--max-clients", str(FILES), core=core, **silent())
        try:
            wait_listening(port, child)
            time.sleep(0.2)
            yield child, port
        finally:
            end_nodes([child])


@contextlib.contextmanager
def server(kind, core=None):
    """A fresh "node" (alone, headless), "floor" (the bare epoll server) or "nats" (with files, for
    JetStream); gives it and its port."""
    (port,) = free_ports(1)
    where = on_core(core) if core is not None else []
    with scratch() as folder:
        if kind == "floor":
            child = spawn([*where, str(need_program(BUILD / "bench_floor")), str(port)],
                          **silent())
        elif kind == "nats":
            child = spawn([*where, need_program(NATS), "-a", "127.0.0.1", "-p", str(port), "-js",
                           "-sd", str(folder)], **silent())
        else:
            nodes = folder / "nodes.json"
            nodes.write_text("[]")
            child = start_node(folder, "node", port, nodes, "--headless", "--max-clients",
                               str(FILES), core=core, **silent())
        try:
            wait_listening(port, child)
            time.sleep(0.2)  # the probe's connection is gone, its start is over
            yield child, port
        finally:
            end_nodes([child])


def load(program, core, *arguments):
    """Runs a load program, which prints key=value pairs on one line; gives them, or {"error": why}.
    Where it found something wrong it says so in its pairs, and by its exit status too."""
    # They end without tidying up: to the address sanitizer that is a leak.
    options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "detect_leaks=0"]))
    child = spawn([*on_core(core), str(need_program(BUILD / program)), *map(str, arguments)],
                  {"ASAN_OPTIONS": options}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                  stderr=subprocess.PIPE)
    try:
        out, err = child.communicate(timeout=LOAD_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return {"error": f"{program} took more than {LOAD_SECONDS} s"}
    pairs = dict(word.split("=", 1) for word in out.decode().split() if "=" in word)
    if b"FAIL" in out:
        return {"error": out.decode().strip()}
    if not pairs:
        said = err.decode(errors="replace").strip().splitlines()
        return {"error": said[-1] if said else f"{program} ended with {child.returncode}"}
    return {key: as_number(value) for key, value in pairs.items()}


def as_number(text):
    try:
        return float(text)
    except ValueError:
        return text


def has_nats():
    return shutil.which(NATS) is not None


def make_log(folder, count, rooms=20):
    """A data directory with so many events, without a node."""
    maker = need_program(BUILD / "store_maker")
    subprocess.run([maker, "-e", str(count), "-r", str(rooms), str(folder)], check=True,
                   stdin=subprocess.DEVNULL)


def end_nodes(nodes):
    for node in nodes:
        node.send_signal(signal.SIGTERM)
    for node in nodes:
        try:
            node.wait(20)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


def read_until(stream, end, seconds, data=b""):
    """What came, once it ends with end."""
    deadline = time.monotonic() + seconds
    while not data.endswith(end):
        if not select.select([stream], [], [], max(0, deadline - time.monotonic()))[0]:
            raise SystemExit(f"bench: {end!r} did not come within {seconds} s")
        piece = os.read(stream.fileno(), 65536)
        if not piece:
            raise SystemExit("bench: a node ended; run it by hand to see why")
        data += piece
    return data


def read_lines(stream, count):
    """Takes so many lines; the moment at which the first of them came."""
    first = None
    seen = 0
    while seen < count:
        piece = stream.read(1 << 20)
        first = first or time.monotonic()
        seen += piece.count(b"\n")
        if not piece:
            raise SystemExit("bench: a node ended; run it by hand to see why")
    return first


def exact_memory_kib(node):
    """Resident now; what /proc/PID/status says may be some pages behind."""
    text = pathlib.Path(f"/proc/{node.pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Rss:"))


def memory_kib(node):
    """Resident now, and at most."""
    status = pathlib.Path(f"/proc/{node.pid}/status").read_text()
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(rows["VmRSS"].split()[0]), int(rows["VmHWM"].split()[0])


def cpu_seconds(node):
    fields = pathlib.Path(f"/proc/{node.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def need_program(program=CHAT_NODE):
    if not shutil.which(str(program)):
        raise SystemExit(f"bench: no program at {program}: build it with ./dev build")
    return program


# ---- Floors --------------------------------------------------------------------------------------


def summary(nanoseconds):
    """In microseconds."""
    ordered = sorted(nanoseconds)

    def at(share):
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1000, 1)

    return {"min": at(0), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1)}


def commits(count, rows=1, warm_up=20, core=None):
    """Nanoseconds of each durable commit of so many rows, by SQLite alone, on the same disk; with a
    core, as a server would run there."""
    with scratch() as folder, here_on_core(core):
        found = []
        table = sqlite3.connect(folder / "floor.db", isolation_level=None)
        table.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t(b);")
        for number in range(-warm_up, count):
            started = time.perf_counter_ns()
            if rows == 1:
                table.execute("INSERT INTO t VALUES(?)", (b"x" * 300,))
            else:
                table.execute("BEGIN")
                table.executemany("INSERT INTO t VALUES(?)", [(b"x" * 300,)] * rows)
                table.execute("COMMIT")
            if number >= 0:
                found.append(time.perf_counter_ns() - started)
        table.close()
    return found
