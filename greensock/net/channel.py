"""The fast half of a cooperative socket: reading and writing one connection from one hub.

Writers take turns without asking whether they must: while one of them waits, or while something
that was posted does, the function to send with is one that says that there is no room.

The two halves are apart because gevent's socket has a ``__getattr__``, which makes every attribute
of it several times as slow as one here.
"""

import errno
import os
from time import monotonic

import gevent
from gevent.exceptions import ConcurrentObjectUseError
from gevent.hub import getcurrent
from gevent.socket import wait

from .reading import Reading

# A connection that always takes what is written gives the other greenlets a turn after so many
# bytes: some 100 µs.
BYTES_IN_A_ROW = 1 << 20


class _Closed:
    """What is read in place of a socket that is closed."""

    def recv(self, *args):
        _raise_closed()

    recv_into = recv

    def fileno(self):
        return -1


_CLOSED = _Closed()


class Channel(Reading):
    """Reads and writes ``sock`` (a C socket in non-blocking mode), blocking only the greenlet.

    ``timeout``: seconds one operation may take; None for no limit, 0.0 to never wait. ``send_now``:
    sends if nobody has the turn, or raises BlockingIOError; ``send`` does in any case.
    ``is_taken``: whether a greenlet has the turn. ``owner``: what keeps the channel until it is
    closed, such as a weak reference to its socket that calls ``close``.
    """

    is_secure = False

    __slots__ = ("send", "send_now", "is_taken", "owner", "_turn_ends", "_writer")

    def __init__(self, hub, sock, timeout):
        super().__init__(hub, sock, timeout)
        self.send = self.send_now = sock.send
        self.is_taken = False
        self.owner = None
        self._turn_ends = BYTES_IN_A_ROW
        self._writer = None

    def count_with(self, meter):
        """Have ``meter`` count what goes through from now on."""
        self.meter = meter
        self._turn_ends = meter.sent + BYTES_IN_A_ROW

    def sendall(self, data, flags=0):
        """Send all of ``data``. After an exception nobody can tell how much of it was sent."""
        try:
            sent = self.send_now(data, flags) if flags else self.send_now(data)
        except BlockingIOError:
            sent = 0
        if type(data) is not bytes or sent != len(data):
            with memoryview(data) as view, view.cast("B") as octets:
                sent = self._send_rest(octets, sent, flags)
        meter = self.meter
        meter.heard = meter.received
        meter.sent = total = meter.sent + sent
        if total > self._turn_ends:
            self._turn_ends = total + BYTES_IN_A_ROW
            gevent.sleep(0)

    def _send_rest(self, octets, sent, flags):
        """Send what is left; return how many bytes of ``octets`` nobody has counted yet."""
        if sent == len(octets):
            return sent
        ends = self._end_of_timeout()
        meter = self.meter
        new = sent
        self.take()
        try:
            if not sent:
                self._let_precede(ends)
            while sent < len(octets):
                meter.sent += new
                self._await_room(ends, new)
                new = 0
                try:
                    new = self.send(octets[sent:], flags)
                    sent += new
                except BlockingIOError:
                    pass  # another process was faster
        finally:
            self.end()
        return new

    def write(self, function, *args, waits=True):
        """Have ``function(*args)`` send something in one go, after what was posted before."""
        try:
            if self.send_now is not _raise_blocked:
                return function(*args)
        except BlockingIOError:
            pass
        ends = self._end_of_timeout()
        if not waits:
            ends = 0.0
        self.take()
        try:
            self._let_precede(ends)
            while True:
                try:
                    return function(*args)
                except BlockingIOError:
                    self._await_room(ends, 0)
        finally:
            self.end()

    def _let_precede(self, ends):
        outbox = self.meter.outbox
        if outbox is not None:
            outbox.give_way(self.send, lambda moved: self._await_room(ends, moved))

    def _end_of_timeout(self):
        return None if self.timeout is None else monotonic() + self.timeout

    def _await_room(self, ends, moved):
        if self.timeout == 0.0 or ends == 0.0:
            _raise_blocked()
        self.wait_for_room(None if ends is None else max(0.0, ends - monotonic()), moved)

    def take(self):
        """Let nobody else write until ``end()``."""
        if self.is_taken:
            raise ConcurrentObjectUseError("This socket is already used by another greenlet")
        self.is_taken = True
        self._call_nobody()
        self.stop_sending()

    def end(self):
        """Let others write, those first who have posted."""
        self.is_taken = False
        outbox = self.meter.outbox
        if outbox is not None and outbox.queue:
            self._call_nobody()
            outbox.go_on()
        else:
            self.need_no_room()

    def wait_for_room(self, seconds, moved):
        """Wait, with the turn, until something can be written; TimeoutError if that takes too long.

        ``moved``: whether something was since the last time.
        """
        self._note_stuck(moved)
        wait(self.writer, seconds, TimeoutError("timed out"))

    def call_for_room(self, function, moved):
        """Have ``function()`` called whenever something can be written, until it is not needed."""
        self._note_stuck(moved)
        self.stop_sending()
        if not self.writer.active:
            self.writer.start(function)

    def need_no_room(self):
        """Nobody waits to write, for now."""
        self._call_nobody()
        self.meter.stuck_since = 0.0
        if self.send_now is _raise_blocked:
            self.send_now = self.send

    def stop_sending(self):
        """Let nobody write who has not the turn. Any thread may, if it has it ended soon."""
        if self.send_now is not _raise_closed:
            self.send_now = _raise_blocked

    def _call_nobody(self):
        if self._writer is not None and self._writer.active:
            self._writer.stop()

    def _note_stuck(self, moved):
        meter = self.meter
        if moved or not meter.stuck_since:
            meter.stuck_since = monotonic()

    @property
    def writer(self):
        """The watcher for writing, made when somebody first waits to write."""
        if self._writer is None:
            self._writer = self.hub.loop.io(self._sock.fileno(), 2)
        return self._writer

    @property
    def watchers(self):
        """Those watchers there are."""
        return self.watcher, self._writer

    @property
    def is_quiet(self):
        """Whether no greenlet waits, nor ever has to write."""
        return self._waiting is None and self._writer is None

    def lend(self):
        """See ``CooperativeSocket.lend``."""
        self._check_free()
        self.take()
        try:
            self._let_precede(None)
        except BaseException:
            self.end()
            raise
        self._waiting = getcurrent()
        self._stop_watching()
        return self._watcher, self.writer, self._take_back

    def _take_back(self):
        self._waiting = None
        self._drained = False
        self.end()

    def close(self, _=None):
        """Leave the loop, unless a greenlet waits: whoever cancels that wait does the rest.

        From here on every operation meets the closed socket, without waiting for it.
        """
        if self.send_now is _raise_closed:
            return
        self.owner = None
        self._drained = False
        self._sock = _CLOSED
        self.send_now = _raise_closed
        if self.hub.loop:  # else it went with its thread, and took the watchers along
            self._leave()


def _raise_blocked(*args):
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))


def _raise_closed(*args):
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
