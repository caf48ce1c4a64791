"""Datagrams: many handlers send through one socket, and the system says how many were lost."""

import socket
import struct
from time import monotonic

import gevent.socket

# Linux, <asm-generic/socket.h> and <linux/sock_diag.h>: nine counters, of which this is the last.
_SO_MEMINFO = 55
_DROPS = struct.Struct("=32xI")

# Seconds between two looks at what was dropped.
INTERVAL = 1.0

# Seconds between two tries to send what the receiver's queue has no room for. The system tells
# nobody when it has.
FIRST_PAUSE = 0.001
LONGEST_PAUSE = 0.05


class DatagramSocket(gevent.socket.socket):
    """A gevent socket through which any number of greenlets may send at once."""

    def sendto(self, *args):
        """Send a datagram; see ``socket.sendto``."""
        try:
            return self._sock.sendto(*args)
        except BlockingIOError:
            if self.timeout == 0.0:
                raise
        return self._sendto_later(args)

    def _sendto_later(self, args):
        ends = None if self.timeout is None else monotonic() + self.timeout
        pause = FIRST_PAUSE
        while True:
            if ends is not None and monotonic() > ends:
                raise TimeoutError("timed out")
            # A watcher of its own, because another greenlet may be waiting, too.
            with self.hub.loop.io(self.fileno(), 2) as watcher:
                self.hub.wait(watcher)
            try:
                return self._sock.sendto(*args)
            except BlockingIOError:
                gevent.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)


class Drops:
    """How many datagrams the system had no room for since this was made, as far as it tells."""

    def __init__(self, sock):
        self._sock = sock
        self._before = self._seen = _count_drops(sock)
        self._next_look = 0.0

    def go_on_with(self, sock):
        """Count on, from now those of ``sock``."""
        total = self._seen - self._before
        self._sock = sock
        self._seen = _count_drops(sock)
        self._before = self._seen - total

    def look(self, *, now=False):
        """``(new, all)``, where ``new`` are those since the last look; 0 if that was just before.

        With ``now`` it looks in any case.
        """
        time = monotonic()
        if now or time >= self._next_look:
            self._next_look = time + INTERVAL
            count, seen = _count_drops(self._sock), self._seen
            self._seen = max(count, seen)
            return self._seen - seen, self._seen - self._before
        return 0, 0


def _count_drops(sock):
    try:
        counters = sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _DROPS.size)
        return _DROPS.unpack(counters)[0]
    except (OSError, struct.error):
        return 0  # this system does not tell, or the socket is closed
