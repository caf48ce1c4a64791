"""The fast half of a cooperative socket: reading and writing one connection from one hub.

Theory of operation. A watcher that is started and stopped for every wait, and a read that fails
before each of them, cost more than the read that succeeds. So here

* a read waits first when the last one emptied the kernel's buffer, and tries first when it did
  not. Waiting is always right, because readiness is a level: bytes that were there before the wait
  end it at once. Now and then it waits even when it need not, so that a peer who sends without
  pause leaves the other greenlets their turn;
* the watcher stays started, and notes the channel with those that are ``Ready``. Who waits
  switches to the next of them that somebody waits for. Bytes that arrive while the greenlet does
  something else wake nobody; they stop the watcher until the next wait;
* a timeout is a note of when it ends. One timer looks at it now and then, instead of one being
  made for every call;
* writers take turns without asking whether they must: while one of them waits, or while something
  that was posted does, the function to send with is one that says that there is no room.

The two halves are apart because gevent's socket has a ``__getattr__``, which makes every attribute
of it several times as slow as one here.
"""

import errno
import os
from select import POLLIN
from socket import MSG_PEEK
from time import monotonic
from typing import Any

import gevent
from gevent.exceptions import ConcurrentObjectUseError, InvalidSwitchError
from gevent.socket import wait
from greenlet import greenlet  # type: ignore[import-untyped]
from gevent.hub import getcurrent

from . import native
from .meters import NOBODY, received
from .ready import ready_on

# A connection that is always ready gives the other greenlets a turn after so many full reads, or
# so many bytes written: some 100 µs.
READS_IN_A_ROW = 8
BYTES_IN_A_ROW = 1 << 20


# Without gevent's wrapper, which looks for a method switch_out on every greenlet that waits, and
# makes its stack deeper: a waiting greenlet costs as much memory as its stack is deep.
_switch_to = greenlet.switch.__get__


class Channel:
    """Reads and writes ``sock`` (a C socket in non-blocking mode), blocking only the greenlet.

    ``timeout``: seconds one operation may take; None for no limit, 0.0 to never wait. ``send_now``:
    sends if nobody has the turn, or raises BlockingIOError; ``send`` does in any case.
    ``is_taken``: whether a greenlet has the turn.
    """

    is_secure = False

    __slots__ = (
        "timeout",
        "meter",
        "hub",
        "send",
        "send_now",
        "is_taken",
        "_sock",
        "_c_recv",
        "_watcher",
        "_ready",
        "_switch",
        "_waiting",
        "_watching",
        "_drained",
        "_full_reads",
        "_turn_ends",
        "_ends",
        "_error",
        "_timer",
        "_rings",
        "_writer",
    )

    def __init__(self, hub, sock, timeout):
        self.timeout = timeout
        self.meter = NOBODY
        self._turn_ends = BYTES_IN_A_ROW
        self._watcher = hub.loop.io(sock.fileno(), 1)
        self._ready = ready_on(hub)
        self.hub = hub
        self._sock = sock
        self._c_recv = sock.recv
        self.send = self.send_now = sock.send
        self.is_taken = False
        self._switch = _switch_to(hub)
        self._waiting = None
        self._watching = False
        self._drained = False
        self._full_reads = 0
        self._ends = None
        self._timer: Any = None
        self._writer = None

    def count_with(self, meter):
        """Have ``meter`` count what goes through from now on."""
        self.meter = meter
        self._turn_ends = meter.sent + BYTES_IN_A_ROW

    def recv(self, size, flags=0):
        """At most ``size`` bytes; b'' when the peer has sent its last."""
        if flags:
            data = self._read(self._c_recv, size, flags)
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
            data = self._c_recv(size)
        except BlockingIOError:
            data = self._read_later(self._c_recv, size)
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
        if self._drained and self.timeout != 0.0 and len(buffer):
            self.wait()
        try:
            count = self._sock.recv_into(buffer)
        except BlockingIOError:
            count = self._read_later(self._sock.recv_into, buffer)
        if count < len(buffer):
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

    # Turns

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
    def watcher(self):
        """The watcher for reading, as gevent wants it, which throws at whose callback it is."""
        if self._watching:
            self._watcher.callback = self.open
        return self._watcher

    @property
    def watchers(self):
        """Those watchers there are."""
        return self.watcher, self._writer

    @property
    def is_waited_for(self):
        """Whether a greenlet waits to read."""
        return self._waiting is not None

    @property
    def is_quiet(self):
        """Whether no greenlet waits, nor ever has to write."""
        return self._waiting is None and self._writer is None

    def wait(self, error=None):
        """Return when there is something to read; raise ``error`` (TimeoutError) if it is late."""
        try:
            self._begin_to_wait(getcurrent(), error)
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

    def rest(self, who):
        """Have ``who.switch()`` called when there is something to read.

        If it is late, or the wait is cancelled, ``who.throw(error)`` is called instead.
        """
        self._begin_to_wait(who, None)
        # Another reader could not switch to it by itself, as it does to greenlets.
        self._ready.drop(self)
        self._watcher.callback = self.open

    def _begin_to_wait(self, who, error):
        if self._waiting is not None:
            raise ConcurrentObjectUseError(
                f"This socket is already used by another greenlet: {self._waiting!r}"
            )
        if not self._watching:
            self._watching = True
            self._watcher.start(self._ready.note, self)
        if self.timeout is None:
            self._ends = None
        else:
            self._limit(self.timeout, error)
        self._waiting = who

    def _next(self):
        """The channel whose greenlet is to go on next; None if that is left to the hub."""
        while self._ready:
            channel = self._ready.popleft()
            if channel._waiting is not None:
                return channel
            channel.open()
        return None

    def open(self, _=None):
        """There is something to read: let the greenlet go on. Called on the hub."""
        waiting = self._waiting
        if waiting is None:
            self._watching = False
            self._watcher.stop()
        else:
            self._waiting = None
            waiting.switch(self)

    def _give_up(self):
        if self._waiting is getcurrent():  # a Ctrl-C may come just before the wait
            self._waiting = None

    def _refuse(self, answer):
        raise InvalidSwitchError(f"Invalid switch into {getcurrent()!r}: got {answer!r}")

    def lend(self):
        """See ``CooperativeSocket.lend``."""
        if self._waiting is not None:
            raise ConcurrentObjectUseError(
                f"This socket is already used by another greenlet: {self._waiting!r}"
            )
        self.take()
        try:
            self._let_precede(None)
        except BaseException:
            self.end()
            raise
        self._waiting = getcurrent()
        self._watching = False
        self._watcher.stop()
        self._ready.drop(self)
        return self._watcher, self.writer, self._take_back

    def _take_back(self):
        self._waiting = None
        self._drained = False
        self.end()

    def throw(self, error):
        """Raise ``error`` where the greenlet waits; gevent calls this to cancel a wait."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.throw(error)

    def close(self):
        """Leave the loop, unless a greenlet waits: whoever cancels that wait does the rest.

        From here on every operation meets the closed socket, without waiting for it.
        """
        if self._c_recv is _raise_closed:
            return
        self._drained = False
        self._c_recv = self.send_now = _raise_closed
        if not self.hub.loop:
            return  # it went with its thread, and took the watchers along
        if self._timer is not None:
            self._stop_timer()
        if self._waiting is None:
            self._watching = False
            self._watcher.close()
            self._ready.drop(self)

    def _limit(self, timeout, error):
        self._error = error
        self._ends = ends = monotonic() + timeout
        if self._timer is None:
            self._start_timer(timeout)
        elif ends < self._rings:
            self._stop_timer()
            self._start_timer(timeout)

    def _start_timer(self, seconds):
        self._rings = monotonic() + seconds
        self._timer = self.hub.loop.timer(seconds)
        self._timer.start(self._look, update=True)

    def _stop_timer(self):
        timer, self._timer = self._timer, None
        timer.stop()
        timer.close()

    def _is_readable(self):
        poll = native.poll()
        poll.register(self._sock, POLLIN)
        return bool(poll.poll(0))

    def _look(self):
        """The timer rang, perhaps for a wait that is long over."""
        self._stop_timer()
        if self._waiting is None or self._ends is None:
            return
        left = self._ends - monotonic()
        if left > 0:
            self._start_timer(left)
        elif self._is_readable():
            self.open()  # a process that had to wait for a processor may see both at once
        else:
            self.throw(TimeoutError("timed out") if self._error is None else self._error)


def _raise_blocked(*args):
    raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))


def _raise_closed(*args):
    raise OSError(errno.EBADF, os.strerror(errno.EBADF))
