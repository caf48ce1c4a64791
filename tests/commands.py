"""The command line in a process of its own."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from greensock.cli import main
from tests.prepared import start

ROOT = Path(__file__).resolve().parent.parent
WARNING = "-W", "error::RuntimeWarning"


def environment(measured):
    """Coverage doubles the time a command takes; it is for what nothing else runs."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path}
    if not measured:
        environ.pop("COVERAGE_PROCESS_CONFIG", None)
    return environ


def python(*args, cwd, measured=False):
    """What became of a python: its status, output and errors."""
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env=environment(measured),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def command(*args, cwd, measured=False, fresh=False):
    """What became of a command: its status, output and errors.

    Unless ``fresh`` it is forked, if nothing is measured.
    """
    environ = environment(measured)
    return Running(start("-m", "greensock", *args, cwd=cwd, env=environ, fresh=fresh)).end()


def complaint_of(capsys, *args):
    """The one line that a command line which fails in this process writes."""
    assert 2 == main([str(arg) for arg in args])
    out, errors = capsys.readouterr()
    assert "" == out
    assert errors.startswith("greensock: ") and errors.endswith("\n")
    return errors.removeprefix("greensock: ")[:-1]


def ignore_ctrl_c():
    """As a shell without job control does for what it starts in the background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
def running(*args, cwd, measured=False, **kwargs):
    """A command, killed in the end with all its children if it is still there.

    ``kwargs`` are those of :func:`tests.prepared.start`.
    """
    process = start(
        *WARNING, "-m", "greensock", *map(str, args), cwd=cwd, env=environment(measured), **kwargs
    )
    try:
        yield Running(process)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()
