"""Blocking sockets that keep their thread's deadline.

Each wait is made here, by polling: ``settimeout`` would do it too, but it acts on the descriptor,
which another thread may be using at that moment without a deadline.
"""

import errno
import os
import select
import socket
import ssl
from math import ceil
from time import monotonic

from . import deadlines, native

# What poll(2) takes at most, in milliseconds.
_LONGEST_POLL = 2**31 - 1


def _await(sock, event, own_end):
    """Wait until ``sock`` is ready; TimeoutError at the deadline, or at ``own_end`` if sooner."""
    fd = sock.fileno()
    if fd < 0:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    poll = native.poll()
    poll.register(fd, event)
    while True:
        limit = deadlines.nearest(None if own_end is None else max(0.0, own_end - monotonic()))
        if poll.poll(None if limit is None else min(ceil(limit * 1000), _LONGEST_POLL)):
            return
        deadlines.check()
        if own_end is not None and monotonic() >= own_end:
            raise TimeoutError("timed out")


def _end_of(timeout):
    return None if timeout is None else monotonic() + timeout


def _await_deadline(sock, event):
    """Wait until ``sock`` is ready if a deadline limits its waits; whether one does."""
    own = sock.gettimeout()
    if own == 0 or deadlines.remaining() is None:
        return False
    _await(sock, event, _end_of(own))
    return True


def _reading(name):
    inherited = getattr(native.Socket, name)

    def method(self, *args, **kwargs):
        _await_deadline(self, select.POLLIN)
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
        while _await_deadline(self, select.POLLOUT):
            try:
                return super().send(data, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass  # another thread was faster
        return super().send(data, flags)

    def sendall(self, data, flags=0):
        if deadlines.remaining() is None:
            return super().sendall(data, flags)
        with memoryview(data) as view, view.cast("B") as octets:
            sent = 0
            while sent < len(octets):
                sent += self.send(octets[sent:], flags)


class BoundedSSLSocket(native.SSLSocket):
    """The same for TLS, and safe for one thread that reads and another one that writes.

    OpenSSL works on the descriptor in non-blocking mode, under a lock because its connection is
    not made for two threads, and all waiting is done outside. ``gettimeout`` still tells what
    the owner has set.
    """

    _own_timeout = None

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls, *args, **kwargs)
        self._guard = native.allocate_lock()
        return self

    def gettimeout(self):
        return self._own_timeout

    def settimeout(self, value):
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self._own_timeout = value
        super().settimeout(value if self._sslobj is None else 0)

    def setblocking(self, flag):
        self.settimeout(None if flag else 0.0)

    def getblocking(self):
        return self.gettimeout() != 0

    def read(self, len=1024, buffer=None):
        tls = self._sslobj
        if tls is None:
            return super().read(len, buffer)
        try:
            if buffer is None:
                return self._patiently(tls.read, len)
            return self._patiently(tls.read, len, buffer)
        except ssl.SSLEOFError:
            if not self.suppress_ragged_eofs:
                raise
            return b"" if buffer is None else 0

    def write(self, data):
        tls = self._sslobj
        return super().write(data) if tls is None else self._patiently(tls.write, data)

    def send(self, data, flags=0):
        return self.write(data) if self._sslobj and not flags else super().send(data, flags)

    def do_handshake(self, block=False):
        self._check_connected()
        self._patiently(self._sslobj.do_handshake)

    def unwrap(self):
        plain = self._patiently(super().unwrap)
        self.settimeout(self._own_timeout)
        return plain

    def shutdown(self, how):
        super().shutdown(how)
        self.settimeout(self._own_timeout)

    def _patiently(self, method, *args):
        if super().gettimeout() != 0:
            super().settimeout(0)
        end = _end_of(self._own_timeout)
        while True:
            try:
                with self._guard:
                    return method(*args)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
                if self._own_timeout == 0:
                    raise
                reads = isinstance(wants, ssl.SSLWantReadError)
            _await(self, select.POLLIN if reads else select.POLLOUT, end)
