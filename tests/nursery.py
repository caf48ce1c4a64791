"""Forks programs that serve in worker processes from a process that has imported what they need.

That takes a tenth of the time in which an interpreter begins anew, as a new version still does.
"""

from tests import world  # noqa: F401  # first, because it may monkey-patch

import logging  # noqa: F401  # for the programs, as what follows
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import gevent.select

import greensock  # noqa: F401
from greensock.net import native

# In the environment of a program: where it is.
VARIABLE = "GREENSOCK_TESTS_PROGRAM"


class Process:
    """A program that a nursery has begun: a session of its own, with what Popen has."""

    def __init__(self, pid, reports):
        self.pid = pid
        self._reports = reports
        self._status = None

    def wait(self, timeout):
        """Its exit status; AssertionError if it does not end within ``timeout`` seconds."""
        if self._status is None:
            assert gevent.select.select([self._reports], [], [], timeout)[0], "it goes on"
            self._status = os.waitstatus_to_exitcode(_number(self._reports))
        return self._status


@contextmanager
def nursery(environment):
    """Open until the end of the block; a function that begins ``program.py`` in a folder.

    It runs in that folder, and what it writes goes to the files ``output`` and ``errors`` there.
    One has to be waited for before the next is begun.
    """
    ours, theirs = os.pipe()
    # Whoever replaces a program, which is elsewhere by then, has to find this file again.
    process = subprocess.Popen(
        [sys.executable, os.path.basename(__file__)],
        cwd=os.path.dirname(__file__),
        env=environment,
        stdin=subprocess.PIPE,
        stdout=theirs,
    )
    os.close(theirs)

    def begin(folder):
        os.write(process.stdin.fileno(), os.fsencode(folder))
        return Process(_number(ours), ours)

    try:
        yield begin
    finally:
        process.stdin.close()
        os.close(ours)
        process.wait()


def _number(reports):
    data = os.read(reports, 8)
    assert data, "the nursery has ended"
    return int.from_bytes(data, sys.byteorder)


def _breed():
    """Fork whenever a folder comes; return it in the child."""
    while folder := os.read(0, 4096):
        pid = native.fork()
        if pid == 0:
            return os.fsdecode(folder)
        os.write(1, pid.to_bytes(8, sys.byteorder))
        os.write(1, native.waitpid(pid, 0)[1].to_bytes(8, sys.byteorder))
    sys.exit()


def _leave(folder):
    """In a child: be what is started in that folder."""
    os.setsid()
    os.chdir(folder)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, name in enumerate(["/dev/null", "output", "errors"]):
        fd = os.open(name, flags if number else os.O_RDONLY, 0o666)
        os.dup2(fd, number)
        os.close(fd)
    # A shell may have had the tests ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ[VARIABLE] = folder


def main():
    folder = os.environ.get(VARIABLE)
    if folder is None:
        folder = _breed()
        _leave(folder)
    os.chdir(folder)
    with open("program.py") as program:
        code = compile(program.read(), "program.py", "exec")
    exec(code, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
