"""A process of a test: what it says, its end, and what /proc knows of it."""

import os
import signal
import subprocess
import threading
import time

from waiting import Failed, scaled


class Child:
    """A process whose output is read as it comes, by a thread for each pipe.

    out, err: its lines so far. It dies with the test run, whatever happens (PR_SET_PDEATHSIG), and
    must be started on the main thread for that."""

    ours = False  # a chat_node: its end and its standard error are looked at

    def __init__(self, argv, cwd=None, label=None, env=None, read_stdout=True,
                 stdin=subprocess.PIPE, stdout=subprocess.PIPE):
        self.argv = [str(part) for part in argv]
        self.label = label or os.path.basename(self.argv[0])
        self.changed = threading.Condition()
        self.out, self.err = [], []
        self.out_ended = stdout != subprocess.PIPE
        self.err_ended = False
        self.expected_dead = False
        clean = {key: value for key, value in os.environ.items()
                 if not key.startswith("GRPC_") and not key.lower().endswith("_proxy")}
        clean.update({"LC_ALL": "C.UTF-8", "TZ": "UTC"})
        if os.geteuid() != 0:  # what /proc knows of a node is otherwise for root alone
            clean["CHAT_NODE_DEBUG"] = "1"
        clean.update(env or {})
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--"] + self.argv, cwd=cwd, env=clean, stdin=stdin,
            stdout=stdout, stderr=subprocess.PIPE, bufsize=0)
        self.pid = self.process.pid
        self._threads = []
        if stdin == subprocess.PIPE:
            _widen(self.process.stdin)
        if stdout == subprocess.PIPE and read_stdout:
            self.start_reading_stdout()
        self._start(self._read_err)

    def _start(self, target):
        thread = threading.Thread(target=target, daemon=True, name=self.label)
        thread.start()
        self._threads.append(thread)

    def start_reading_stdout(self):
        self._start(self._read_out)

    def _lines(self, pipe, take):
        rest = b""
        fd = pipe.fileno()
        while True:
            try:
                data = os.read(fd, 1 << 16)
            except OSError:
                data = b""
            if not data:
                break
            rest += data
            *lines, rest = rest.split(b"\n")
            if lines:
                texts = [line.decode("utf-8", "backslashreplace") for line in lines]
                with self.changed:
                    for text in texts:
                        take(text)
                    self.changed.notify_all()
        with self.changed:
            if rest:
                take(rest.decode("utf-8", "backslashreplace"))

    def _read_out(self):
        self._lines(self.process.stdout, self.take_out)
        with self.changed:
            self.out_ended = True
            self.changed.notify_all()

    def _read_err(self):
        self._lines(self.process.stderr, self.err.append)
        with self.changed:
            self.err_ended = True
            self.changed.notify_all()

    def take_out(self, line):
        self.out.append(line)

    def wait_for(self, predicate, what, seconds=10.0):
        """Waits until predicate() gives something true, and returns it. It is asked after each
        batch of lines, under the lock; a process that ended without it fails at once."""
        deadline = time.monotonic() + scaled(seconds)
        with self.changed:
            while True:
                value = predicate()
                if value:
                    return value
                if self.out_ended and self.err_ended:
                    raise Failed(f"{self.label} ended without "
                                 f"{what() if callable(what) else what}; its last words: "
                                 f"{self.tail(self.err, 5)}")
                left = deadline - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    value = predicate()
                    if value:
                        return value
                    raise Failed(f"{self.label}: waited {scaled(seconds):g} s for "
                                 f"{what() if callable(what) else what}")

    @staticmethod
    def tail(lines, count):
        return "\n".join(lines[-count:])

    def write(self, data):
        """Blocks where the child does not read: the test's own time limit ends that."""
        if isinstance(data, str):
            data = data.encode()
        fd, view = self.process.stdin.fileno(), memoryview(data)
        while view:
            view = view[os.write(fd, view):]

    def close_stdin(self):
        self.process.stdin.close()

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """kill -9, and waits until it is gone."""
        self.expected_dead = True
        self.process.kill()
        self.process.wait()
        self._join()

    def running(self):
        return self.process.poll() is None

    def wait(self, seconds=10.0):
        """The exit code, with all its output read."""
        try:
            code = self.process.wait(scaled(seconds))
        except subprocess.TimeoutExpired:
            raise Failed(f"{self.label} (pid {self.pid}) still runs after {scaled(seconds):g} s") \
                from None
        self.expected_dead = True
        self._join()
        return code

    def _join(self):
        for thread in self._threads:
            thread.join(scaled(5))

    def stop(self, seconds=10.0):
        """Leaves cleanly (SIGTERM) and gives the exit code."""
        self.expected_dead = True
        if self.running():
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        return self.wait(seconds)

    # What /proc knows.

    def rss_kib(self):
        with open(f"/proc/{self.pid}/smaps_rollup", encoding="ascii") as file:
            for row in file:
                if row.startswith("Rss:"):
                    return int(row.split()[1])
        raise Failed("no Rss in smaps_rollup")

    def peak_rss_kib(self):
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            for row in file:
                if row.startswith("VmHWM:"):
                    return int(row.split()[1])
        raise Failed("no VmHWM in status")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def context_switches(self):
        """voluntary and not, of all its threads."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{task}/status", encoding="ascii",
                          errors="replace") as file:
                    total += sum(int(row.split()[1]) for row in file if "ctxt_switches" in row)
            except (FileNotFoundError, ProcessLookupError):
                pass
        return total

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def _widen(pipe):
    """A megabyte of pipe, so that a burst of lines never blocks the test."""
    try:
        import fcntl
        fcntl.fcntl(pipe.fileno(), 1031, 1 << 20)  # F_SETPIPE_SZ
    except OSError:
        pass
