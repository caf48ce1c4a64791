"""What a supervisor and its children say to each other: words, and descriptors with them."""

import _socket
import socket
from collections import deque

from ..net import native

LONGEST = 4096


class Line:
    """One end of a socket pair. When the other end is closed, or its process gone, it ends."""

    def __init__(self, sock):
        sock.setblocking(False)
        self._sock = sock
        self._rest = b""
        self.passed: deque[int] = deque()
        self.is_open = True

    @classmethod
    def pair(cls):
        """Both ends of a new one."""
        one, other = native.Socket.__new__(native.Socket), native.Socket.__new__(native.Socket)
        first, second = _socket.socketpair()  # gevent's would need a hub
        one.__init__(fileno=first.detach())
        other.__init__(fileno=second.detach())
        return cls(one), cls(other)

    def fileno(self):
        """Readable when there is something to hear; -1 once closed."""
        return self._sock.fileno()

    def say(self, *words, fd=None):
        """Say ``words``, and pass a descriptor along; whether the other end can hear it."""
        data = " ".join(map(str, words)).encode() + b"\n"
        try:
            if fd is None:
                return self._sock.send(data) == len(data)
            return socket.send_fds(self._sock, [data], [fd]) == len(data)
        except OSError:
            return False

    def hear(self):
        """What has been said since: each time the words of one line.

        Descriptors that came along are in ``passed``, in the same order, for whoever pops them.
        """
        if not self.is_open:
            return []
        try:
            data, passed, _, _ = socket.recv_fds(self._sock, LONGEST, 1)
        except BlockingIOError:
            return []
        except OSError:
            data, passed = b"", []
        self.passed += passed
        if not data:
            self.is_open = False
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode().split() for line in lines]

    def detach(self):
        """The descriptor, for somebody else to go on with."""
        self.is_open = False
        return self._sock.detach()

    def close(self):
        """Close this end, and what was passed and nobody took."""
        self.is_open = False
        self._sock.close()
        while self.passed:
            native.close(self.passed.popleft())
