"""The control socket: whoever may open it asks how the workers are, and gives them orders.

The supervisor binds it, so that it is there before the workers and stays when a desk dies. The desk
answers.
"""

import errno
import json
import os
import socket
from contextlib import suppress

from gevent import Timeout

from ..net import native
from ..net.unixpaths import UnixPath
from . import commands

# Whoever controls the workers is their owner.
MODE = 0o600

# Seconds for a request to come, and for whoever asked to take the answer.
PATIENCE = 30.0

# How many may ask at a time. The others wait, until those who say nothing have used up their time.
CLIENTS = 64

BACKLOG = 16

# What is added to the path while another program is there.
_NEXT = ".next"

# Bytes of a path: what sockaddr_un has room for on all systems.
_LONGEST = 103

_NOTHING_KNOWN = {"seconds": None, "connections": None, "rss": None}


class ControlSocket:
    """It listens at ``path``, for its owner alone. OSError or ValueError if it cannot.

    ``later``: not before ``take_place()``, because somebody else is there, who shall be replaced.
    """

    def __init__(self, path, later=False):
        self.sock = native.Socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._place = os.path.abspath(path)
        # Not made absolute: there is room for 100 bytes or so.
        self._waits_at = f"{path}{_NEXT}" if later else None
        self._path = None
        try:
            _check_room(path)
            self._path = UnixPath.bind(self.sock, self._waits_at or path, MODE)
            self.sock.listen(BACKLOG)
        except BaseException:
            self.close()
            raise

    def take_place(self):
        """Take the path from whoever is there; OSError if that cannot be done."""
        if self._waits_at is not None:
            os.rename(f"{self._place}{_NEXT}", self._place)
            self._waits_at, self._path = None, UnixPath(self._place)

    def close(self):
        """Close it; the path goes with who bound it."""
        self.sock.close()
        if self._path is not None:
            self._path.remove()


def _check_room(path):
    most = _LONGEST - len(_NEXT)
    if len(os.fsencode(path)) > most:
        raise OSError(errno.ENAMETOOLONG, f"the path of a control socket has {most} bytes at most")


class Control:
    """What the desk does with it."""

    def __init__(self, desk):
        self._desk = desk
        self._listener = desk.server._gs_control.sock

    def __enter__(self):
        from gevent.server import StreamServer  # it takes ssl along, which nobody else may need
        from gevent.socket import socket as Socket

        listener = Socket(fileno=self._listener.detach())
        self._server = StreamServer(listener, self._converse, spawn=CLIENTS)
        self._server.start()
        return self

    def __exit__(self, *error):
        self._server.stop(timeout=0)

    def _converse(self, sock, address):
        """Answer one client until it ends, or is too slow."""
        reader = commands.Reader()
        try:
            while lines := self._hear(sock, reader):
                for line in lines:
                    _send(sock, self._answer(line))
        except commands.RequestError as error:
            with suppress(OSError):
                _send(sock, {"error": str(error)})
        except OSError:
            pass  # it is gone, or said nothing

    def _hear(self, sock, reader):
        """The next requests; none if the client has ended."""
        with Timeout(PATIENCE, TimeoutError):
            while data := sock.recv(commands.LONGEST):
                if lines := reader.feed(data):
                    return lines
        return []

    def _answer(self, line):
        try:
            command, argument = commands.parse(line)
        except commands.RequestError as error:
            return {"error": str(error)}
        if command == "status":
            return self._status()
        if command == "kick":
            answers, _ = self._desk.ask_all("kick", argument)
            counts = [count for _, count in answers]
            return {"kicked": sum(counts)}
        words = [command] if argument is None else [command, argument]
        return {} if self._desk.tell(*words) else {"error": "the supervisor does not listen"}

    def _status(self):
        answers = dict(self._desk.ask_all("status")[0])
        return {
            "workers": [
                {"index": worker.index, "pid": worker.pid}
                | (answers.get(worker) or _unanswered(worker))
                for worker in self._desk.in_order
            ],
            "supervisor": os.getppid(),
            "wanted": self._desk.wanted,
            "draining": self._desk.is_draining,
        }


def _unanswered(worker):
    return {"state": "silent" if worker.card.beaten_at else "starting", **_NOTHING_KNOWN}


def _send(sock, answer):
    sock.settimeout(PATIENCE)
    sock.sendall(json.dumps(answer).encode() + b"\n")
