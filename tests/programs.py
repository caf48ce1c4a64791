"""Programs that serve, run as their users run them: in a process of their own, until Ctrl-C."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import greensock
from tests import world
from tests.prepared import start

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples"
PATCHING = ["-m", "tests.patching"] if world.PATCHED else []

# Which models to run an example under. In a patched process that of echo shows the others.
MODELS = ("greenlet", "thread") if world.PATCHED else greensock.MODELS


def environment():
    # gevent.monkey does not look beside the script it runs, as python does.
    paths = [str(ROOT), str(EXAMPLES), os.environ.get("PYTHONPATH")]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    # Nothing is measured: Ctrl-C would land in what measures, or in a child that saves its lines.
    variables.pop("COVERAGE_PROCESS_CONFIG", None)
    return variables


def run(code, *args, cwd=ROOT):
    """What became of a program: its status, output and errors."""
    process = begin(code, *args, cwd=cwd)
    out, errors = process.communicate(timeout=100)
    return process.returncode, out, errors


def begin(code, *args, cwd=ROOT, **kwargs):
    """A program; if it first imports the world of the tests, in that one."""
    patched = world.PATCHED and code.lstrip().startswith("from tests import world\n")
    return start("-c", code, *args, cwd=cwd, env=environment(), patched=patched, **kwargs)


@contextmanager
def running(*args, log="", cwd=ROOT, places=1, fresh=False):
    """A python that serves: yield the address its first line names, then press Ctrl-C.

    ``fresh``: whether an interpreter of its own begins.
    ``places``: in how many lines it names one; of more than one, all are yielded.
    It must end with status 0, having written nothing more, and to standard error nothing but
    lines that match ``log``.
    """
    process = start(*args, cwd=cwd, env=environment(), fresh=fresh)
    try:
        lines = "".join(process.stdout.readline() for _ in range(places))
        found = [(host, int(port)) for host, port in re.findall(r"([\d.]+):(\d+)", lines)]
        assert places == len(found), lines + process.stderr.read()
        yield found if places > 1 else found[0]
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the children, too
        out, errors = process.communicate(timeout=30)
        unexpected = [line for line in errors.splitlines() if not re.fullmatch(log, line)]
        assert (0, "", []) == (process.returncode, out, unexpected), out + errors
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate()


def example(name, model, *options, **kwargs):
    """An example, run as a script; one of them wholly as its users do."""
    args = f"examples/{name}.py", "--model", model, "--port", "0", *options
    fresh = (name, model) == ("echo", "greenlet") and not world.PATCHED
    return running(*PATCHING, *args, fresh=fresh, **kwargs)


def served(handler, transport="tcp", **kwargs):
    """A handler behind the command line."""
    bind = f"{transport}://127.0.0.1:0"
    return running("-m", "greensock", "serve", handler, "--bind", bind, **kwargs)


_LOADING = """
import json, os, sys
codes, names = json.loads(sys.argv[1])
# What gevent imports is not for greensock to say, and depends on what is installed.
import gevent.hub
began_with = set(sys.modules)
import greensock
for code in codes:
    if os.fork() == 0:
        exec(code, globals())
        print("", *set(names) & set(sys.modules) - began_with, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, code
"""


def loaded_after(names, *codes):
    """Of each code, those of ``names`` that a fresh process imports for greensock and for it."""
    done = subprocess.run(
        [sys.executable, "-c", _LOADING, json.dumps([codes, list(names)])],
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stderr
    # What the code itself prints does not begin with a space.
    return [set(line.split()) for line in done.stdout.splitlines() if line[:1] in ("", " ")]


class Client:
    """A connection, with a file to read its lines from. No wait takes longer than 30 s."""

    def __init__(self, sock):
        sock.settimeout(30)
        self.sock = sock
        self.file = sock.makefile("rb")

    @classmethod
    def connect(cls, address):
        return cls(socket.create_connection(address, timeout=30))

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.file.close()
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)

    def end(self):
        """Say that no more will be sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self):
        """Vanish without a goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.__exit__()

    def line(self):
        return self.file.readline()

    def rest(self):
        return self.file.read()
