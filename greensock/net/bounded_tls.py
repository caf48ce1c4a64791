"""Bounded sockets under TLS. To be imported through ``handover.load_tls`` alone."""

import select
import socket
import ssl
from typing import Any

from . import native
from .blame import rightly
from .meters import PIECE, received, sent, waiting_to_send
from .outbox import finish_outbox
from .secure import PiecesMixIn, Told, heed_end, say_goodbye, send_now
from .turns import TurnOfThreads, TurnsMixIn, await_ready, end_of

_SSLSocket: Any = native.ssl_socket()


class SecureTurnOfThreads(TurnOfThreads):
    """The same under TLS."""

    is_secure = True

    def __init__(self, sock):
        super().__init__(sock)
        self._wants_read = False

    @property
    def owes(self):
        return self.sock.owes

    def send(self, data):
        sock = self.sock
        sock.block_never()
        try:
            with sock.guard:
                return send_now(sock._sslobj, data)
        except BlockingIOError as error:
            self._wants_read = isinstance(error.__cause__, ssl.SSLWantReadError)
            raise

    def wanted(self):
        return select.POLLIN if self._wants_read else select.POLLOUT


class BoundedSSLSocket(TurnsMixIn, PiecesMixIn, _SSLSocket):
    """A BoundedSocket under TLS, safe for one thread that reads and another one that writes.

    OpenSSL works on the descriptor in non-blocking mode, under a lock because its connection is
    not made for two threads, and all waiting is done outside. ``gettimeout`` still tells what
    the owner has set.
    """

    _own_timeout = None

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls, *args, **kwargs)
        self._guard = self.guard = native.allocate_lock()
        self.line = native.make_rlock()
        self.owes = False
        return self

    @property
    def turn(self):
        """Whose turn it is to write."""
        return SecureTurnOfThreads(self)

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
                data = self._patiently(self._read, len)
                count = data.__len__()
            else:
                data = count = self._patiently(self._read, len, buffer)
        except Told:
            return b"" if buffer is None else 0
        except ssl.SSLEOFError:
            if not self.suppress_ragged_eofs:
                raise
            return b"" if buffer is None else 0
        received(self.meter, count)
        return data

    def _read(self, *args):
        heed_end(self, self._sslobj)
        return self._sslobj.read(*args)

    def write(self, data):
        return self._in_turn(self._write, data) if self._sslobj else super().write(data)

    def send(self, data, flags=0):
        return self.write(data) if self._sslobj and not flags else super().send(data, flags)

    def sendall(self, data, flags=0):
        return self._in_turn(super().sendall, data, flags)

    def _write(self, data):
        tls = self._sslobj
        self.owes = True
        if self._taken or memoryview(data).nbytes > PIECE:
            count = self._patiently(self._write_pieces, tls.write, data)
        else:
            count = self._patiently(tls.write, data)
            sent(self.meter, count)
        self.owes = False
        return count

    def _let_precede(self):
        if not self.owes:
            super()._let_precede()

    def _raise_blocked(self):
        raise ssl.SSLWantWriteError("another write is not done yet")

    def do_handshake(self, block=False):
        self._check_connected()
        self._patiently(self._sslobj.do_handshake)

    def unwrap(self):
        plain = self._patiently(super().unwrap)
        self.settimeout(self._own_timeout)
        return plain

    def shutdown(self, how):
        finish_outbox(self.meter, how)
        if how != socket.SHUT_RD and self._sslobj is not None:
            with self._guard:
                say_goodbye(self._sslobj)
        super().shutdown(how)
        self.settimeout(self._own_timeout)

    def block_never(self):
        """Have OpenSSL work without waiting."""
        if super().gettimeout() != 0:
            super().settimeout(0)

    def _patiently(self, method, *args):
        self.block_never()
        end = end_of(self._own_timeout)
        while True:
            try:
                with self._guard:
                    return rightly(method, *args)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as wants:
                if self._own_timeout == 0:
                    raise
                reads = isinstance(wants, ssl.SSLWantReadError)
            if reads:
                await_ready(self, select.POLLIN, end)
            else:
                with waiting_to_send(self.meter):
                    await_ready(self, select.POLLOUT, end)
