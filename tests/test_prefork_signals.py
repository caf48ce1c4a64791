"""What operators say to a supervisor: by signals, and by starting the program anew."""

import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest

from greensock.net import native
from tests import world
from tests.commands import environment
from tests.helpers import wait_until

PROGRAM = """
import logging
import os
import sys
if {patched}:
    from gevent import monkey
    monkey.patch_all()
import greensock
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")

class Server(greensock.PreforkMixIn, greensock.{base}):
    workers = 2
    share = {share!r}
    upgrade_timeout = 20.0

    def worker_started(self, index):
        self.version = open({version!r}, "rb").read()

def handle(request, client_address, server):
    if isinstance(request, tuple):
        request[1].sendto(b"%s\\n" % server.version, client_address)
        return
    while data := request.recv(100):
        request.sendall(b"%d %s\\n" % (os.getpid(), server.version))

exec(open({version!r}).read().partition("#")[2])
server = Server({address!r}, handle)
print(os.getpid(), server.server_address[1] if isinstance(server.server_address, tuple) else 0, "serves", flush=True)
server.serve_forever()
server.server_close()
print("over", os.getpid(), flush=True)
"""


class Program:
    """A program that serves, whichever process does so by now."""

    def __init__(self, process, folder, address):
        self.process = process
        self.pid = 0
        self._folder = folder
        self._address = address

    @property
    def errors(self):
        return (self._folder / "errors").read_text()

    def said(self, pattern, times=1):
        """What it has written, as soon as that is there so often: the last match."""
        wait_until(lambda: len(re.findall(pattern, self._text())) >= times)
        return re.findall(pattern, self._text())[-1]

    def _text(self):
        return "".join((self._folder / name).read_text() for name in ("output", "errors"))

    def listen(self, times=1):
        """It says that it has begun, or begun again."""
        pid, port = self.said(r"(\d+) (\d+) serves", times)
        self.pid = int(pid)
        if isinstance(self._address, tuple):
            self._address = "127.0.0.1", int(port)

    def becomes(self, version, code=""):
        (self._folder / "version").write_text(f"{version}#{code}")

    def signal(self, number):
        os.kill(self.pid, number)

    def connect(self):
        family = socket.AF_INET if isinstance(self._address, tuple) else socket.AF_UNIX
        sock = native.Socket(family)
        sock.settimeout(30)
        sock.connect(self._address)
        return sock

    def ask(self, sock=None):
        """The process that answers, and its version."""
        if sock is None:
            with self.connect() as sock:
                return self.ask(sock)
        sock.sendall(b"?")
        pid, version = sock.recv(100).split(b" ")
        return int(pid), version.partition(b"#")[0].strip().decode()

    def wait_for_version(self, version):
        """Until the old one takes no more."""
        wait_until(lambda: {version} == {self.ask()[1] for _ in range(10)})


@contextmanager
def running(folder, share="reuseport", base="TCPServer", address=("127.0.0.1", 0)):
    (folder / "version").write_text("one#")
    options = {
        "patched": world.PATCHED,
        "share": share,
        "base": base,
        "version": str(folder / "version"),
        "address": address,
    }
    (folder / "program.py").write_text(PROGRAM.format(**options))
    with open(folder / "output", "wb") as output, open(folder / "errors", "wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "program.py"],
            cwd=folder,
            env=environment(False),
            stdout=output,
            stderr=errors,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        program = Program(process, folder, address)
        program.listen()
        program.said("is ready", 2)
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


every_share = pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_term_and_int_drain(tmp_path, number):
    with running(tmp_path) as program:
        with program.connect() as sock:
            program.ask(sock)
            program.signal(number)
            program.said("draining")
            program.ask(sock)
        program.said(f"over {program.pid}")
        assert 0 == program.process.wait(30)


def test_quit_cuts(tmp_path):
    with running(tmp_path) as program, program.connect() as sock:
        program.ask(sock)
        program.signal(signal.SIGQUIT)
        assert b"" == sock.recv(100)
        program.said(f"over {program.pid}")
        assert 0 == program.process.wait(30)


def test_hup_replaces_ttin_adds_ttou_removes_usr1_reopens(tmp_path):
    with running(tmp_path) as program:
        program.becomes("two")
        program.signal(signal.SIGHUP)
        program.said("replaced", 2)
        assert "two" == program.ask()[1]
        program.signal(signal.SIGTTIN)
        program.said("worker 2 is ready")
        program.signal(signal.SIGTTOU)
        program.said("worker 2 has ended.*removed")


@every_share
def test_a_new_version_takes_over(tmp_path, share):
    with running(tmp_path, share) as program:
        old = program.pid
        with program.connect() as sock:
            assert "one" == program.ask(sock)[1]
            program.becomes("two")
            program.signal(signal.SIGUSR2)
            program.said("has taken over")
            program.listen(2)
            assert program.pid != old
            program.wait_for_version("two")
            assert "one" == program.ask(sock)[1]
        program.said(f"over {old}")
        assert 0 == program.process.wait(30)
        assert {"two"} == {program.ask()[1] for _ in range(10)}
        program.signal(signal.SIGTERM)
        program.said(f"over {program.pid}")


def test_a_new_version_takes_a_path_over(tmp_path):
    path = str(tmp_path / "path")
    with running(tmp_path, base="UnixStreamServer", address=path) as program:
        program.becomes("two")
        program.signal(signal.SIGUSR2)
        old = program.pid
        program.said("has taken over")
        program.listen(2)
        program.said(f"over {old}")
        assert "two" == program.ask()[1]
        program.signal(signal.SIGTERM)
        program.said(f"over {program.pid}")
        assert not os.path.exists(path)


def test_a_new_version_that_fails_leaves_the_old_one_serving(tmp_path):
    with running(tmp_path) as program:
        program.becomes("two", "sys.exit(7)")
        program.signal(signal.SIGUSR2)
        program.said("did not get ready: its exit status was 7")
        # Its workers are what they were; whoever replaces one is of the new version.
        assert "one" == program.ask()[1]
        program.becomes("three")
        program.signal(signal.SIGUSR2)
        program.said("has taken over")
        program.listen(2)
        program.wait_for_version("three")


def test_the_workers_of_a_supervisor_that_is_killed_drain(tmp_path):
    with running(tmp_path) as program, program.connect() as sock:
        pid, _ = program.ask(sock)
        program.signal(signal.SIGKILL)
        program.said("draining")
        assert (pid, "one") == program.ask(sock)
