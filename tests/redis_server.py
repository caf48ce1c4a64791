"""A real Redis for the time of a test, on a Unix socket in a directory of its own."""

import os
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager, suppress

from greensock.bus import open_bus
from greensock.net import native
from greensock.net.children import Child
from tests.tools import PATIENCE, wait_until

PROGRAM = shutil.which("redis-server")


class Redis:
    """Keeps nothing but in its memory. ``path`` is its socket, ``url`` a bus there."""

    def __init__(self, folder, *options):
        self.path = str(folder / "redis")
        self.url = f"unix://{self.path}"
        self._options = options
        self._folder = folder
        self._process = None

    def start(self):
        command = [PROGRAM, "--port", "0", "--unixsocket", self.path, "--save", ""]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [*command, "--dir", str(self._folder), *self._options], stdout=log, stderr=log
            )
        wait_until(self._answers)

    def kill(self):
        self._process.kill()
        self._process.wait()
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def restart(self):
        self.kill()
        self.start()

    @contextmanager
    def stopped(self):
        """Meanwhile it does not answer."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def tell(self, *lines):
        """What it answers to commands, one a line, up to the last of them."""
        with native.Socket(1) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.path)
            sock.sendall("".join(f"{line}\r\n" for line in (*lines, "ECHO -the-end-")).encode())
            answers = b""
            while not re.search(b"-the-end-|NOAUTH", answers):
                answers += sock.recv(65536)
            return answers.decode()

    def _answers(self):
        with suppress(OSError):
            return bool(self.tell())
        return False


@contextmanager
def running(folder, *options):
    redis = Redis(folder, *options)
    redis.start()
    try:
        yield redis
    finally:
        redis.kill()


@contextmanager
def publishers(url, topic, processes, count):
    """So many processes, each of which publishes so many messages; they have ended in the end."""

    def live():
        with open_bus(url) as bus:
            for number in range(count):
                bus.publish(topic, b"%d %d" % (os.getpid(), number))
        return 0

    children = [Child() for _ in range(processes)]
    for child in children:
        child.fork(live)
    yield
    for child in children:
        assert child.wait(PATIENCE)
        assert child.reap() in (0, None)
