"""Blocking sockets that keep their thread's deadline.

They are plain sockets as long as no deadline is set. Under one, each call first waits for
readiness itself: ``settimeout`` would do it too, but it acts on the descriptor, which another
thread may be using at that moment without a deadline.
"""

import select
import socket
from math import ceil

from . import deadlines, native


def _await(sock, event):
    """Wait until ``sock`` is ready, if there is a deadline; TimeoutError if it comes first."""
    if deadlines.remaining() is None:
        return False
    timeout = deadlines.nearest(sock.gettimeout())
    ready = native.poll()
    ready.register(sock.fileno(), event)
    if not ready.poll(ceil(timeout * 1000)):
        raise TimeoutError("timed out")
    return True


def _reading(name):
    inherited = getattr(native.Socket, name)

    def method(self, *args, **kwargs):
        _await(self, select.POLLIN)
        return inherited(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = inherited.__doc__
    return method


class BoundedSocket(native.Socket):
    """A ``socket.socket`` whose reads and writes end with TimeoutError at the deadline."""

    __slots__ = ()

    recv = _reading("recv")
    recv_into = _reading("recv_into")
    recvfrom = _reading("recvfrom")
    recvfrom_into = _reading("recvfrom_into")
    recvmsg = _reading("recvmsg")
    recvmsg_into = _reading("recvmsg_into")

    def send(self, data, flags=0):
        if _await(self, select.POLLOUT):
            flags |= socket.MSG_DONTWAIT
        return super().send(data, flags)

    def sendall(self, data, flags=0):
        if deadlines.remaining() is None:
            return super().sendall(data, flags)
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.send(octets[sent:], flags)


class BoundedSSLSocket(native.SSLSocket):
    """The same for TLS, where only ``settimeout`` reaches the reads inside a read."""

    def _bounded(self, method, *args):
        if deadlines.remaining() is None:
            return method(*args)
        own = self.gettimeout()
        deadlines.check()
        self.settimeout(deadlines.nearest(own))
        try:
            return method(*args)
        finally:
            self.settimeout(own)

    def read(self, len=1024, buffer=None):
        return self._bounded(super().read, len, buffer)

    def send(self, data, flags=0):
        return self._bounded(super().send, data, flags)

    def do_handshake(self, block=False):
        return self._bounded(super().do_handshake, block)
