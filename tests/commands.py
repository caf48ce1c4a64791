"""The command line in a process of its own."""

import os
import signal
from contextlib import contextmanager
from pathlib import Path

from greensock.cli import main
from tests.prepared import start

ROOT = Path(__file__).resolve().parent.parent
WARNING = "-W", "error::RuntimeWarning"

# As a shell without job control does first for what it starts in the background.
IGNORE_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


def environment(measured):
    """Coverage doubles the time a command takes; it is for what nothing else runs."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path}
    if not measured:
        environ.pop("COVERAGE_PROCESS_CONFIG", None)
    return environ


def python(*args, cwd, measured=False, **kwargs):
    """What became of a python: its status, output and errors.

    ``kwargs`` are those of :func:`tests.prepared.start`.
    """
    process = start(*map(str, args), cwd=cwd, env=environment(measured), **kwargs)
    return Running(process).end()


def command(*args, cwd, **kwargs):
    """What became of a command: its status, output and errors; see ``python``."""
    return python("-m", "greensock", *args, cwd=cwd, **kwargs)


def complaint_of(capsys, *args):
    """The one line that a command line which fails in this process writes."""
    assert 2 == main([str(arg) for arg in args])
    out, errors = capsys.readouterr()
    assert "" == out
    assert errors.startswith("greensock: ") and errors.endswith("\n")
    return errors.removeprefix("greensock: ")[:-1]


class Running:
    """A command that serves."""

    def __init__(self, process):
        self.process = process
        self.pid = process.pid

    def line(self):
        """What it prints next."""
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return line.rstrip("\n")

    def complaint(self, text):
        """What it writes to standard error next that contains ``text``."""
        for line in self.process.stderr:
            if text in line:
                return line
        raise AssertionError(f"it ended, status {self.process.wait(60)}, and never said {text!r}")

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        """Its exit status, and what else it wrote to its output and to standard error."""
        out, errors = self.process.communicate(timeout=60)
        return self.process.returncode, out, errors


@contextmanager
def running(*args, cwd, measured=False, environ=(), **kwargs):
    """A command, killed in the end with all its children if it is still there.

    ``environ``: what else is in its environment. ``kwargs`` are those of
    :func:`tests.prepared.start`.
    """
    env = environment(measured) | dict(environ)
    process = start(*WARNING, "-m", "greensock", *map(str, args), cwd=cwd, env=env, **kwargs)
    try:
        yield Running(process)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()
