"""Servers and loads: started on a core of their own, asked what they use, and ended in any case."""

import os
import selectors
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A measurement came to nothing; says why, in one line."""


def cores():
    """The core for the server and the one for the load: the same if there is but one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


def have_a_core_each():
    """Whether the server and the load have."""
    server, load = cores()
    return server != load


def all_cores():
    """Those that this process may use."""
    return os.sched_getaffinity(0)


@contextmanager
def running(command, core):
    """A process on a core, or on a set of them, killed in the end with all that it has forked."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryFile() as errors:
        allowed = os.sched_getaffinity(0)
        # It inherits the core, so there is no moment at which it runs elsewhere.
        os.sched_setaffinity(0, {core} if isinstance(core, int) else core)
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path},
                bufsize=0,
                # Ctrl-C is for the one who started it, and a group of its own can be killed.
                start_new_session=True,
            )
        finally:
            os.sched_setaffinity(0, allowed)
        with process:
            try:
                yield Child(process, errors)
            finally:
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


class Child:
    """A process that prints lines and is sent some."""

    def __init__(self, process, errors):
        self.pid = process.pid
        self._process, self._errors = process, errors
        self._read = b""

    def send_line(self, text=""):
        try:
            self._process.stdin.write(f"{text}\n".encode())
        except BrokenPipeError:
            raise Failed(self._complaint()) from None

    def line(self, patience):
        """The next line it prints. Failed if it ends or takes more than ``patience`` seconds."""
        ends = time.monotonic() + patience
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._read:
                left = ends - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise Failed(f"silent for {patience:g} s")
                data = os.read(self._process.stdout.fileno(), 65536)
                if not data:
                    raise Failed(self._complaint())
                self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def complaints(self):
        """The lines it has written to standard error."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return [line.strip() for line in lines if line.strip()]

    def _complaint(self):
        said = self.complaints()
        return said[-1] if said else "ended without a word"


def cpu_seconds(pid):
    """What a process and its children have used, those that have ended and been reaped included."""
    # The clock of a process, as clock_getcpuclockid(3) makes it; /proc counts in hundredths.
    used = time.clock_gettime(~pid << 3 | 2)
    reaped = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
    used += sum(map(int, reaped)) / os.sysconf("SC_CLK_TCK")
    for child in children(pid):
        try:
            used += cpu_seconds(child)
        except OSError:
            pass  # it has ended meanwhile, and its parent's clock will say so
    return used


def children(pid):
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            yield from map(int, listing.read_text().split())
        except OSError:
            pass  # that thread has ended


def resident(pid):
    """Bytes of memory that a process has in use."""
    # statm would do with less, but may be off by dozens of pages.
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise Failed("the system does not say how much memory it has in use")
