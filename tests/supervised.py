"""A program that serves in worker processes, in a process of its own."""

import os
import re
import signal
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

from greensock.net import native
from tests import world
from tests.commands import environment
from tests.prepared import PROGRAM, start
from tests.tools import PATIENCE, wait_until

TEXT = """
import logging
import os
import sys
import greensock
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")

class Server(greensock.PreforkMixIn, greensock.{base}):
    workers = {workers}
    share = {share!r}
    upgrade_timeout = 20.0

    def worker_started(self, index):
        self.version = open({version!r}, "rb").read().partition(b"#")[0]

    def verify_request(self, request, client_address):
        if self.address_family == 2:
            os.write(taken, f"{{os.getpid()}} {{client_address[0]}}\\n".encode())
        return True

taken = os.open("taken", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def handle(request, client_address, server):
    if isinstance(request, tuple):
        request[1].sendto(b"%s\\n" % server.version, client_address)
        return
    while data := request.recv(100):
        if data == b"half":
            continue
        request.sendall(b"%d %s\\n" % (os.getpid(), server.version))
        if data == b".":
            break

exec(open({version!r}).read().partition("#")[2])
server = Server({address!r}, handle)
port = server.server_address[1] if server.address_family == 2 else 0
print(os.getpid(), port, "serves", flush=True)
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
        self.address = address

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
        if isinstance(self.address, tuple):
            self.address = "127.0.0.1", int(port)

    def becomes(self, version, code=""):
        (self._folder / "version").write_text(f"{version}#{code}")

    def signal(self, number):
        os.kill(self.pid, number)

    def connect(self):
        family = socket.AF_INET if isinstance(self.address, tuple) else socket.AF_UNIX
        sock = native.Socket(family)
        sock.settimeout(30)
        sock.connect(self.address)
        return sock

    def ask(self, sock=None):
        """The process that answers, and its version."""
        if sock is None:
            with self.connect() as sock:
                return self.ask(sock)
        sock.sendall(b"?")
        pid, version = sock.recv(100).split(b" ")
        return int(pid), version.strip().decode()

    def half_asked(self, index):
        """A connection on which a worker waits for more."""
        pid = int(self.said(rf"worker {index} is ready, process (\d+)"))
        while True:
            sock = self.connect()
            if self.ask(sock)[0] == pid:
                sock.sendall(b"half")
                return sock
            sock.close()

    def workers(self):
        """The processes of workers that were ready, and have not ended."""
        ready = {int(pid) for pid in re.findall(r"is ready, process (\d+)", self.errors)}
        return [pid for pid, state in self._children() if state != "Z" and pid in ready]

    def zombies(self):
        """Those that have ended, and were not waited for."""
        return [pid for pid, state in self._children() if state == "Z"]

    def _children(self):
        """The children of the supervisor, and their states."""
        listing = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        for pid in map(int, listing.split()):
            with suppress(FileNotFoundError):  # it was waited for meanwhile
                yield pid, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    def taken_by(self):
        """Which process has taken the last connection from which host."""
        lines = (self._folder / "taken").read_text().splitlines()
        return {host: int(pid) for pid, host in map(str.split, lines)}

    def wait_for_version(self, version):
        """Until the old one takes no more."""
        wait_until(lambda: {version} == {self.ask()[1] for _ in range(10)})


@contextmanager
def supervised(
    folder,
    share="reuseport",
    base="TCPServer",
    address=("127.0.0.1", 0),
    workers=2,
    code="",
):
    """A program that runs for the time of the block."""
    (folder / "version").write_text(f"one#{code}")
    options = {
        "share": share,
        "base": base,
        "version": str(folder / "version"),
        "address": address,
        "workers": workers,
    }
    file = folder / "program.py"
    file.write_text(TEXT.format(**options))
    variables = {**environment(False), PROGRAM: str(file)}
    with open(folder / "output", "w") as out, open(folder / "errors", "w") as errors:
        to = out.fileno(), errors.fileno()
        process = start("program.py", cwd=folder, env=variables, patched=world.PATCHED, to=to)
    try:
        program = Program(process, folder, address)
        program.listen()
        program.said("is ready", workers)
        yield program
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
