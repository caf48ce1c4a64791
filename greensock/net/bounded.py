"""Blocking sockets that keep their thread's deadline.

Each wait is made here, by polling: ``settimeout`` would do it too, but it acts on the descriptor,
which another thread may be using at that moment without a deadline.
"""

import errno
import os
import select
import socket
import ssl
import sys
from math import ceil
from operator import itemgetter
from time import monotonic

from . import deadlines, native
from .meters import NOBODY, PIECE, received, sent, waiting_to_send
from .secure import PiecesMixIn, say_goodbye

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
    if deadlines.remaining() is None:
        return False
    own = sock.gettimeout()
    if own == 0:
        return False
    _await(sock, event, _end_of(own))
    return True


def _reading(name, flags_at, count):
    """The method ``name``, whose argument at ``flags_at`` is flags; ``count(result)``: bytes."""
    inherited = getattr(native.Socket, name)

    def method(self, *args, **kwargs):
        _await_deadline(self, select.POLLIN)
        result = inherited(self, *args, **kwargs)
        flags = args[flags_at] if len(args) > flags_at else kwargs.get("flags", 0)
        if not flags & socket.MSG_PEEK:
            received(self.meter, count(result))
        return result

    method.__name__ = name
    method.__doc__ = inherited.__doc__
    return method


class BoundedSocket(native.Socket):
    """A ``socket.socket`` whose reads and writes end with TimeoutError at the deadline.

    ``meter``: the Meter that counts what goes through it.
    """

    __slots__ = ("meter",)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.meter = NOBODY

    recv = _reading("recv", 1, len)
    recv_into = _reading("recv_into", 2, int)
    recvfrom = _reading("recvfrom", 1, lambda result: len(result[0]))
    recvfrom_into = _reading("recvfrom_into", 2, itemgetter(0))
    recvmsg = _reading("recvmsg", 2, lambda result: len(result[0]))
    recvmsg_into = _reading("recvmsg_into", 2, itemgetter(0))

    def send(self, data, flags=0):
        return self._write(super().send, _end_of(self.gettimeout()), flags, data)

    def sendto(self, data, *flags_and_address):
        *flags, address = flags_and_address
        send = super().sendto
        return self._write(
            lambda data, flags: send(data, flags, address),
            _end_of(self.gettimeout()),
            flags[0] if flags else 0,
            data,
        )

    def sendmsg(self, buffers, ancdata=(), flags=0, address=None):
        ancdata = list(ancdata)  # it may take more than one try
        send = super().sendmsg
        return self._write(
            lambda buffers, flags: send(buffers, ancdata, flags, address),
            _end_of(self.gettimeout()),
            flags,
            list(buffers),
        )

    def sendall(self, data, flags=0):
        if self.gettimeout() == 0:
            super().sendall(data, flags)
            sent(self.meter, memoryview(data).nbytes)
            return None
        end = _end_of(self.gettimeout())
        with memoryview(data) as view, view.cast("B") as octets:
            done = 0
            while True:
                done += self._write(super().send, end, flags, octets[done:])
                if done >= len(octets):
                    return None

    def _sendfile_use_sendfile(self, file, offset=0, count=None):
        """What ``sendfile`` tries first; here in pieces that are counted."""
        self._check_sendfile_params(file, offset, count)
        if self.gettimeout() == 0:
            raise ValueError("non-blocking sockets are not supported")
        total = 0
        try:
            source = file.fileno()
            limit = os.fstat(source).st_size and (count or sys.maxsize)
            done = 1
            while done and total < limit:
                done = self._send_part(source, offset + total, min(PIECE, limit - total))
                total += done
            return total
        except TimeoutError:
            raise
        except (AttributeError, OSError) as error:
            if total:
                raise
            # It is no regular file.
            raise socket._GiveupOnSendfile(error)  # type: ignore[attr-defined]
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)

    def _send_part(self, source, at, size):
        if deadlines.remaining() is not None:
            # os.sendfile waits in the system, past any deadline.
            return self.send(os.pread(source, size, at))
        end = _end_of(self.gettimeout())
        with waiting_to_send(self.meter):
            while True:
                try:
                    count = os.sendfile(self.fileno(), source, at, size)
                    break
                except BlockingIOError:
                    _await(self, select.POLLOUT, end)
        sent(self.meter, count)
        return count

    def _write(self, send, end, flags, data):
        """Send some, waiting here and not in the system, which would not tell for how long."""
        count = self._write_patiently(send, end, flags, data)
        sent(self.meter, count)
        return count

    def _write_patiently(self, send, end, flags, data):
        if self.gettimeout() == 0:
            return send(data, flags)
        deadlines.check()
        # With a timeout of its own it would wait there all the same, before it sends.
        is_to_wait = self.gettimeout() is not None
        while True:
            if is_to_wait:
                with waiting_to_send(self.meter):
                    _await(self, select.POLLOUT, end)
            try:
                return send(data, flags | socket.MSG_DONTWAIT)
            except BlockingIOError:
                if flags & socket.MSG_DONTWAIT:
                    raise
            is_to_wait = True


class BoundedSSLSocket(PiecesMixIn, native.SSLSocket):
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

    def _sslsock(self):
        """Itself, for a ``gevent.ssl.SSLContext``, which asks for it to call back with."""
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
                data = self._patiently(tls.read, len)
                count = data.__len__()
            else:
                data = count = self._patiently(tls.read, len, buffer)
        except ssl.SSLEOFError:
            if not self.suppress_ragged_eofs:
                raise
            return b"" if buffer is None else 0
        received(self.meter, count)
        return data

    def write(self, data):
        tls = self._sslobj
        if tls is None:
            return super().write(data)
        if self._taken or memoryview(data).nbytes > PIECE:
            return self._patiently(self._write_pieces, tls.write, data)
        count = self._patiently(tls.write, data)
        sent(self.meter, count)
        return count

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
        if how != socket.SHUT_RD and self._sslobj is not None:
            with self._guard:
                say_goodbye(self._sslobj)
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
            if reads:
                _await(self, select.POLLIN, end)
            else:
                with waiting_to_send(self.meter):
                    _await(self, select.POLLOUT, end)
