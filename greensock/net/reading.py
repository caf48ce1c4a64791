"""Reading one connection from one hub.

Theory of operation. A read that fails before each wait costs more than the read that succeeds. So
a read waits first when the last one emptied the kernel's buffer, and tries first when it did not.
Waiting is always right, because readiness is a level: bytes that were there before the wait end it
at once. Now and then it waits even when it need not, so that a peer who sends without pause leaves
the other greenlets their turn.
"""

from socket import MSG_PEEK

from gevent.hub import getcurrent

from .meters import NOBODY, received
from .waits import Waits

# A connection that is always ready gives the other greenlets a turn after so many full reads:
# some 100 µs.
READS_IN_A_ROW = 8


class Reading(Waits):
    """Reads ``sock``; a ``timeout`` of 0.0 is never to wait. ``meter``: the Meter that counts."""

    __slots__ = ("meter", "_drained", "_full_reads")

    def __init__(self, hub, sock, timeout):
        super().__init__(hub, sock, timeout)
        self.meter = NOBODY
        self._drained = False
        self._full_reads = 0

    def recv(self, size, flags=0):
        """At most ``size`` bytes; b'' when the peer has sent its last."""
        if flags:
            data = self._read(self._sock.recv, size, flags)
            if not flags & MSG_PEEK:
                received(self.meter, len(data))
            return data
        if self._drained and size > 0 and self.timeout != 0.0:
            # What wait() does, without the call: a greenlet that waits keeps all of its frames.
            try:
                if self._watching and self._waiting is None and self.timeout is None:
                    self._ends = None
                    self._waiting = getcurrent()
                else:
                    self._begin_to_wait(getcurrent(), None)
                if self._ready and (other := self._next()) is not None:
                    answer = other._waiting.switch(other)
                else:
                    answer = self._switch()
                self._waiting = None
            except BaseException:
                self._give_up()
                raise
            if answer is not self:
                self._refuse(answer)
        try:
            data = self._sock.recv(size)
        except BlockingIOError:
            data = self._read_later(self._sock.recv, size)
        count = len(data)
        if count < size:
            self._drained = True
        else:
            self._count_full_read()
        self.meter.received += count  # what meters.received does, without the call
        return data

    def recv_into(self, buffer, nbytes=0, flags=0):
        """Read into ``buffer``; the number of bytes, 0 when the peer has sent its last."""
        if flags or nbytes:
            count = self._read(self._sock.recv_into, buffer, nbytes, flags)
            if not flags & MSG_PEEK:
                received(self.meter, count)
            return count
        size = len(buffer)
        if self._drained and size and self.timeout != 0.0:
            self.wait()
        try:
            count = self._sock.recv_into(buffer)
        except BlockingIOError:
            count = self._read_later(self._sock.recv_into, buffer)
        if count < size:
            self._drained = True
        else:
            self._count_full_read()
        self.meter.received += count
        return count

    def _read(self, function, *args):
        """Any other kind of read, which says nothing about what is left."""
        self._drained = False
        try:
            return function(*args)
        except BlockingIOError:
            return self._read_later(function, *args)

    def _read_later(self, function, *args):
        """Wait for something to read. Called when there was nothing, with the error at hand."""
        while True:
            if self.timeout == 0.0:
                raise
            self.wait()
            try:
                return function(*args)
            except BlockingIOError:
                pass  # another process was faster

    def _count_full_read(self):
        self._full_reads += 1
        self._drained = self._full_reads % READS_IN_A_ROW == 0
