"""The sockets at the ends of a relay, read and written without ever waiting."""

import _socket
import os
import select
import socket
import struct
from contextlib import ExitStack, nullcontext, suppress
from typing import Any

import gevent.socket

from . import handover, native
from .meters import NOBODY
from .sockets import CooperativeSocket

# Linger, for no seconds.
_RESET = struct.pack("ii", 1, 0)


class End:
    """A stream socket. ``recv(size)`` and ``send(data)`` raise BlockingIOError rather than wait.

    ``fileno()``: its descriptor, which bytes may be spliced from and to if ``is_plain``; -1 once it
    is closed. ``meter``: who counts what goes through it. ``was_reset``: the error that told so, if
    the system will not tell again.
    """

    is_plain = True

    def __init__(self, sock, raw):
        self.sock = sock
        self.fileno = raw.fileno
        self.was_reset = None
        self.meter = getattr(sock, "meter", NOBODY)
        self._raw = raw
        # What is posted comes before what is relayed, or after it. A socket that is lent to a hub
        # sees to that itself.
        self._takes_turns = hasattr(sock, "take_turn")
        # The C functions themselves: a subclass of socket may wait in its own.
        self.recv: Any = _socket.socket.recv.__get__(raw)
        self.send: Any = _socket.socket.send.__get__(raw)

    def __enter__(self):
        if self._takes_turns:
            self.sock.take_turn()
        self._timeout = self._raw.gettimeout()
        self._raw.settimeout(0.0)
        return self

    def __exit__(self, *error):
        if self._raw.fileno() >= 0:
            self._raw.settimeout(self._timeout)
        if self._takes_turns:
            self.sock.end_turn()

    def finish(self):
        """Tell the peer that nothing follows. BlockingIOError if there is no room to say so."""
        with suppress(OSError):
            _socket.socket.shutdown(self._raw, socket.SHUT_WR)  # not TLS's own, which reads

    def reset(self):
        """Have the peer know, when this is closed, that not all was said."""
        with suppress(OSError):
            self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if self.meter is not NOBODY:
            self.meter.is_to_be_reset = True

    @property
    def is_closed(self):
        """Whether nothing can be heard nor said: it was shut, here or by both."""
        if self._raw.fileno() < 0:
            return True
        poll = native.poll()
        poll.register(self._raw, 0)
        return any(events & select.POLLHUP for _, events in poll.poll(0))


class SecureEnd(End):
    """The same under TLS.

    TLS may want to write in order to read, and the other way round, if keys are changed. That is
    done when there is something to read again, or room to write.
    """

    is_plain = False

    def __init__(self, sock, raw):
        super().__init__(sock, raw)
        import ssl  # whoever has a TLS socket has it already

        from .blame import rightly

        self._tls = sock._sslobj
        self._rightly = rightly
        self._guard = getattr(sock, "_guard", None) or nullcontext()
        self._is_ragged = sock.suppress_ragged_eofs
        self._blocked = ssl.SSLWantReadError, ssl.SSLWantWriteError
        self._ends, self._cut = ssl.SSLZeroReturnError, ssl.SSLEOFError
        self._goodbye: Any = None
        self._send_raw = self.send
        self.recv, self.send = self._read, self._write

    def _read(self, size):
        try:
            with self._guard:
                return self._rightly(self._tls.read, size)
        except self._blocked:
            raise BlockingIOError from None
        except self._ends:
            return b""
        except self._cut:
            # Of a reset OpenSSL says no more than that. It leaves no side open.
            if self._is_ragged and (self._goodbye is not None or not self.is_closed):
                return b""
            raise

    def _write(self, data):
        try:
            with self._guard:
                return self._rightly(self._tls.write, data)
        except self._blocked:
            raise BlockingIOError from None

    def finish(self):
        if self._goodbye is None:
            with self._guard:
                self._goodbye = goodbye_of(self._tls, self.fileno())
        with suppress(ConnectionError):  # nobody can be told any more
            while self._goodbye:
                self._goodbye = self._goodbye[self._send_raw(self._goodbye):]
        super().finish()


def goodbye_of(tls, fd):
    """The record in which ``tls``, an SSLObject over ``fd``, says that nothing follows.

    Python has OpenSSL look for the peer's own goodbye at once, and lose whatever else is there to
    be read. So it does that on a socket where there never is anything. b'' if that cannot be had.
    """
    from .blame import rightly  # as above

    with ExitStack() as at_the_end:
        try:
            ours, theirs = _socket.socketpair()  # no gevent sockets, which it is done without
            for sock in ours, theirs:
                at_the_end.callback(sock.close)
                sock.setblocking(False)
            real = os.dup(fd)
            at_the_end.callback(native.close, real)
        except OSError:
            return b""
        os.dup2(theirs.fileno(), fd)
        try:
            rightly(tls.shutdown)
        except OSError:
            pass  # no goodbye has come
        finally:
            os.dup2(real, fd)
        try:
            return ours.recv(1 << 10)
        except BlockingIOError:
            return b""


def open_end(sock):
    """The end that ``sock`` is. TypeError if it is no stream socket, OSError if it is closed."""
    raw = handover.raw(sock)
    if raw is None or raw.type != socket.SOCK_STREAM:
        raise TypeError(f"a relay is between two stream sockets, and this is {sock!r}")
    raw.getpeername()  # which must be connected, and open
    return SecureEnd(sock, raw) if handover.is_tls(sock) and sock._sslobj else End(sock, raw)


def watchers_of(end, hub):
    """The watchers to read and to write it by, and a function that gives them back.

    A gevent socket has its own, so that closing it in another greenlet ends the wait.
    """
    sock = end.sock
    if isinstance(sock, gevent.socket.socket) and sock.hub is hub:
        if isinstance(sock, CooperativeSocket):
            return sock.lend()
        return sock._read_event, sock._write_event, lambda: None
    reader, writer = hub.loop.io(end.fileno(), 1), hub.loop.io(end.fileno(), 2)

    def close():
        reader.close()
        writer.close()

    return reader, writer, close
