"""Connections go from one process to another: accepted here, served there.

A hatch has two ends. What was pushed through and not taken yet stays in it, whoever dies.
"""

import _socket
import errno
import marshal
import os
import socket
from typing import Any

from ..net import native
from ..net.handover import family_of, raw, type_of

# Bytes of an address, at most: a path of 108 bytes, and what marshal needs beside it.
_LONGEST = 512


class Taking(native.Socket):
    """The end where connections come out. To servers it is a listener like any other.

    ``card``: where its process notes how many it has taken.
    """

    card: Any = None
    _name: Any = None

    @classmethod
    def of(cls, listener, fd):
        """One that passes for ``listener``."""
        inner = raw(listener)
        taking = cls(family_of(inner), type_of(inner), inner.proto, fileno=fd)
        taking._name = listener.getsockname()
        return taking

    def _accept(self):
        # The system closes what there is no descriptor for. Whoever cannot have one leaves who
        # waits where he is.
        native.close(os.dup(self.fileno()))
        data, passed, _, _ = socket.recv_fds(self, _LONGEST, 1, socket.MSG_DONTWAIT)
        if not data:
            self.close()  # nobody pushes any more
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.card is not None:
            self.card.note_taken()
        if not passed:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))  # the system has closed it
        return passed[0], marshal.loads(data)

    def getsockname(self):
        return self._name

    def getsockopt(self, level, option, *size):
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return 1
        return super().getsockopt(level, option, *size)


class Pushing:
    """The end where connections go in. It never waits."""

    def __init__(self, fd):
        self._sock = native.Socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd)
        self._sock.setblocking(False)

    def fileno(self):
        return self._sock.fileno()

    def push(self, fd, address):
        """Pass a connection on, a descriptor, which stays open here; False if there is no room."""
        try:
            socket.send_fds(self._sock, [marshal.dumps(address)], [fd])
        except OSError:
            return False
        return True

    def close(self):
        self._sock.close()


def hatch(listener):
    """Both ends of a new one for connections of ``listener``: (taking, pushing)."""
    # Not gevent's, which would need a hub.
    one, other = _socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Taking.of(listener, one.detach()), Pushing(other.detach())
