"""Many clients ask, one connection for each question, until nobody is there any more."""

import os
import signal
import socket
from contextlib import suppress
from itertools import count

import gevent
import gevent.socket

from tests.prepared import start
from tests.programs import PATCHING, ROOT, environment
from tests.tools import PATIENCE, wait_until
from tests.upheaval import IP_BIND_ADDRESS_NO_PORT

SERVED = {
    "greenlet": ["--model", "greenlet"],
    "thread": ["--model", "thread"],
    "fork": ["--model", "fork"],
    "prefork": ["--workers", "2"],
}


# It takes its time, so that there is always somebody who is at work.
HANDLER = "tests.tools:Slow"


class Crowd:
    """Clients who come back and back.

    ``answers``: how many were right. ``refused``: how many clients found nobody there once the end
    was announced, and left. ``failed``: why anybody was not served who should have been.
    """

    def __init__(self, port, size):
        self._port = port
        self._is_announced = False
        self._numbers = count(1)
        self.answers = self.refused = 0
        self.failed = []
        self._clients = [gevent.spawn(self._come_back) for _ in range(size)]

    def announce_end(self):
        self._is_announced = True

    def leave(self):
        """Wait until all have left."""
        gevent.joinall(self._clients, timeout=PATIENCE, raise_error=True)
        assert all(client.ready() for client in self._clients), "somebody waits in vain"

    def _come_back(self):
        while True:
            try:
                self._ask()
            except ConnectionRefusedError as error:
                if self._is_announced:
                    self.refused += 1
                else:
                    self.failed.append(repr(error))
                return
            except (OSError, AssertionError) as error:
                self.failed.append(repr(error))

    def _ask(self):
        question = b"question %d\n" % next(self._numbers)
        with gevent.socket.socket() as sock:
            sock.settimeout(PATIENCE)
            # Nobody else shall be hindered afterwards at the ports that were used here.
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind(("127.0.0.3", 0))
            sock.connect(("127.0.0.1", self._port))
            sock.sendall(question)
            answer = b""
            while data := sock.recv(100):
                answer += data
        assert question.upper() == answer, f"{answer!r} for {question!r}"
        self.answers += 1


def farewells(size, _):
    """Under SIGTERM nobody is lost whom the system has connected, of SIZE clients at a time."""
    for name, options in SERVED.items():
        patching = [*PATCHING, "--module", "greensock"] if PATCHING else ["-m", "greensock"]
        args = [*patching, "serve", HANDLER, *options, "--bind", "tcp://127.0.0.1:0"]
        process = start(*args, cwd=ROOT, env=environment())
        try:
            line = process.stdout.readline()
            crowd = Crowd(int(line.partition("127.0.0.1:")[2].split(",")[0]), size)
            wait_until(lambda crowd=crowd: crowd.answers > 2 * size)
            crowd.announce_end()
            process.send_signal(signal.SIGTERM)
            crowd.leave()
            said = "".join(process.communicate(PATIENCE))
            status = process.returncode
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        told = f"{crowd.answers:,} answers, {crowd.refused} refused in the end"
        failed = crowd.failed
        yield f"{name}: {told}, {len(failed)} failed {failed[:3] or ''}", not failed
        good = (size, 0, "") == (crowd.refused, status, said)
        yield f"{name}: it ended with status {status}, saying {said[-500:]!r}", good
