"""A socket that waits as whoever uses it does.

A connection to Redis is used by one caller after another: a greenlet of this hub, one of that, a
thread that has none. So the descriptor never blocks, and each wait is the caller's own: on its hub
if its thread has one, in the kernel if not. Only one may use it at a time.
"""

import select
import socket
import ssl
from math import ceil
from time import monotonic
from typing import Any

from gevent._hub_local import get_hub_if_exists
from gevent.socket import wait

from ..net import deadlines, native
from ..net.blame import rightly
from ..net.dialing import dial, dial_natively

READ, WRITE = 1, 2  # as libev has them

# Bytes of TLS to read at once: a record has 16 KiB at most.
_CHUNK = 1 << 16

_EVENTS = {READ: select.POLLIN, WRITE: select.POLLOUT}


class Silence(TimeoutError):
    """The other side took too long; a plain TimeoutError is the caller's own deadline."""


class Wire:
    """What redis-py takes for a socket. ``sock``: a connected one, which is used up."""

    def __init__(self, sock: Any, timeout: float | None) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._timeout = timeout

    def fileno(self) -> int:
        """Its descriptor, -1 once it is closed."""
        return self._sock.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """Wait at most so long in each operation; None for no limit, 0 for not at all."""
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """What was set."""
        return self._timeout

    def getpeername(self) -> Any:
        """The address of the other side."""
        return self._sock.getpeername()

    def recv(self, size: int) -> bytes:
        """Some bytes; none if the other side has ended."""
        return self._do(READ, self._sock.recv, size)

    def recv_into(self, buffer: Any) -> int:
        """Read some bytes into ``buffer``; how many."""
        data = self.recv(len(buffer))
        buffer[:len(data)] = data
        return len(data)

    def recv_now(self, size: int) -> bytes | None:
        """The bytes that are there, none at the end; None if it would have to wait."""
        try:
            return self._sock.recv(size)
        except BlockingIOError:
            return None

    def sendall(self, data: Any) -> None:
        """Send all of it."""
        left = memoryview(data)
        while left:
            sent = self._do(WRITE, self._sock.send, left)
            left = left[sent:]

    def is_quiet(self) -> bool:
        """Whether it is open, and nobody has said anything that was not asked for."""
        try:
            return self.recv_now(1) is None
        except OSError:
            return False

    def shutdown(self, how: int) -> None:
        """End the connection, for the other side as well."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close it."""
        self._sock.close()

    def abandon(self) -> None:
        """Close the descriptor, and leave the connection to the parent that has it, too."""
        fd = self._sock.detach()
        if fd >= 0:
            native.close(fd)

    def _do(self, event: int, operation: Any, *args: Any) -> Any:
        ends = None if self._timeout is None else monotonic() + self._timeout
        while True:
            try:
                return operation(*args)
            except BlockingIOError:
                if self._timeout == 0:
                    raise
            _wait(self._sock.fileno(), event, ends)


class SecureWire(Wire):
    """The same under TLS, which works on memory alone: it suits every kind of socket and thread."""

    def __init__(self, sock: Any, timeout: float | None, context: Any, host: str) -> None:
        super().__init__(sock, timeout)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def handshake(self) -> None:
        """Begin to speak TLS; an OSError if the other side cannot be trusted."""
        try:
            self._work(self._tls.do_handshake)
        except ssl.SSLError:
            self._flush()  # so that it learns why
            raise

    def recv(self, size: int) -> bytes:
        """Some bytes; none if the other side has ended."""
        try:
            return self._work(self._tls.read, size)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def recv_now(self, size: int) -> bytes | None:
        """The bytes that are there, none at the end; None if it would have to wait."""
        while True:
            try:
                return rightly(self._tls.read, size)
            except ssl.SSLWantReadError:
                data = super().recv_now(_CHUNK)
                if data is None:
                    return None
                self._take(data)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def sendall(self, data: Any) -> None:
        """Send all of it."""
        left = memoryview(data)
        while left:
            sent = self._work(self._tls.write, left)
            left = left[sent:]

    def _work(self, operation: Any, *args: Any) -> Any:
        while True:
            try:
                result = rightly(operation, *args)
            except ssl.SSLWantReadError:
                self._flush()
                self._take(super().recv(_CHUNK))
            else:
                self._flush()
                return result

    def _take(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            super().sendall(data)


def _wait(fd: int, event: int, ends: float | None) -> None:
    left = None if ends is None else max(0.0, ends - monotonic())
    limit = deadlines.nearest(left)
    silence = Silence("timed out")
    hub = get_hub_if_exists()
    if hub is not None:
        watcher = hub.loop.io(fd, event)
        try:
            wait(watcher, limit, silence)
        except Silence:
            deadlines.check()
            raise
        finally:
            watcher.close()
        return
    poll = native.poll()
    poll.register(fd, _EVENTS[event])
    if not poll.poll(None if limit is None else ceil(limit * 1000)):
        deadlines.check()
        raise silence


def dialed(address: tuple[str, int], seconds: float | None) -> Any:
    """A socket connected to ``address`` within so many seconds; an OSError if it cannot be."""
    began = monotonic()
    try:
        if get_hub_if_exists() is None:
            with deadlines.deadline(seconds):
                made = dial_natively(address)
        else:
            with deadlines.GreenDeadline(seconds):
                made = dial(address)
    except TimeoutError:
        if seconds is not None and monotonic() - began >= seconds:
            raise Silence("timed out") from None
        raise
    sock = native.Socket(fileno=made.detach())
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return sock
