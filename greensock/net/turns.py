"""Whose turn it is to write to a blocking socket, and how a thread waits for one.

All waiting is by polling, until the thread's deadline at most.
"""

import _socket
import errno
import os
import select
from math import ceil
from socket import MSG_DONTWAIT
from time import monotonic
from typing import TYPE_CHECKING, Any

from . import deadlines, native

if TYPE_CHECKING:
    _Bounded = Any
else:
    _Bounded = object

# Plain numbers: to reckon with enums takes as long as to send.
_DONTWAIT = int(MSG_DONTWAIT)

# What poll(2) takes at most, in milliseconds.
_LONGEST_POLL = 2**31 - 1

# What a lock waits at most, in seconds.
_LONGEST_WAIT = 1e6


def await_ready(sock, event, own_end):
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


def end_of(timeout):
    """When ``timeout`` seconds are over, by the monotonic clock; None for never."""
    return None if timeout is None else monotonic() + timeout


class TurnOfThreads:
    """Whose turn it is to write to a bounded socket: who holds ``line`` has it.

    ``owes``: whether a write under TLS was broken off, so that no other one can be made.
    """

    hub = None
    is_secure = False

    @property
    def owes(self):
        return False

    def __init__(self, sock):
        self.sock = sock
        self.line = sock.line
        self.fileno = sock.fileno
        self._send = _socket.socket.send.__get__(sock)

    def send(self, data):
        """Send some of ``data``; BlockingIOError rather than wait."""
        # With a timeout of its own it would wait for room, before it sends.
        if self.sock.gettimeout() is not None and not self._has_room():
            raise BlockingIOError
        return self._send(data, _DONTWAIT)

    def _has_room(self):
        poll = native.poll()
        poll.register(self.fileno(), select.POLLOUT)
        return bool(poll.poll(0))

    def wanted(self):
        """What to wait for when there was no room."""
        return select.POLLOUT

    def wait(self, moved, ends=None):
        """Wait for room; ``moved``: whether anything was sent since the last time."""
        meter = self.sock.meter
        if moved or not meter.stuck_since:
            meter.stuck_since = monotonic()
        await_ready(self.sock, self.wanted(), ends)


class TurnsMixIn(_Bounded):
    """Writes of several threads come one after another, and after what was posted before.

    ``line``: a lock that is held for a whole write.
    """

    __slots__ = ()

    @property
    def turn(self):
        """Whose turn it is to write."""
        return TurnOfThreads(self)

    def _in_turn(self, write, *args):
        if self.line._is_owned():
            return write(*args)  # a part of a longer one, or a signal handler
        self.take_turn()
        try:
            return write(*args)
        finally:
            self.end_turn()

    def take_turn(self):
        """Let nobody else write until ``end_turn()``, and send what was posted before."""
        if not self.line.acquire(False):
            self._await_line()
        if self.meter.outbox is not None:
            try:
                self._let_precede()
            except BaseException:
                self.end_turn()
                raise

    def end_turn(self):
        """Let others write."""
        self.line.release()
        if self.meter.outbox is not None:  # it may be new
            self.meter.outbox.go_on()

    def _await_line(self):
        timeout = self.gettimeout()
        if timeout == 0:
            self._raise_blocked()
        end = end_of(timeout)
        while True:
            limit = deadlines.nearest(None if end is None else max(0.0, end - monotonic()))
            if self.line.acquire(timeout=-1 if limit is None else min(limit, _LONGEST_WAIT)):
                return
            deadlines.check()
            if end is not None and monotonic() >= end:
                raise TimeoutError("timed out")

    def _let_precede(self):
        end = end_of(self.gettimeout())
        turn = self.turn

        def wait(moved):
            if self.gettimeout() == 0:
                self._raise_blocked()
            deadlines.check()
            turn.wait(moved, end)

        self.meter.outbox.give_way(turn.send, wait)

    def _raise_blocked(self):
        raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))
