"""What was posted to a connection, and waits to be sent.

Theory of operation. Two kinds write to a connection: its handler, who may wait, and those who post,
who may not. So that nobody comes into the midst of what another one writes, they take turns. Who
posts writes at once if nobody has the turn and nothing waits; what the system has no room for waits
here, in order. It goes out whenever there is room, by a Way: on the connection's hub, or by a
thread that does nothing else. A handler that comes to write while something waits takes the turn,
writes that first, by waiting, and then its own; what is posted meanwhile comes after it.
"""

from collections import deque
from socket import SHUT_RD, SHUT_WR
from typing import Any

from . import native


def as_octets(data):
    """``data``, if it is bytes-like, in a form whose length is its bytes and that may be kept."""
    if type(data) is bytes:
        return data
    if isinstance(data, memoryview):
        return data.cast("B")
    try:
        view = memoryview(data)
    except TypeError:
        raise TypeError(
            f"{type(data).__name__} cannot be sent: give a bytes-like object, such as b'hello' or "
            "'hello'.encode()"
        ) from None
    return bytes(view)  # which might be changed


def finish_outbox(meter, how):
    """Before a connection is shut as ``how`` says: send what waits, unless it is shut both ways."""
    outbox = meter.outbox
    if outbox is not None and how != SHUT_RD:
        if how == SHUT_WR:
            outbox.finish()
        outbox.discard()


class Outbox:
    """Keeps what was posted to one connection, in ``queue``. Any thread may use it.

    ``too_slow(waiting, dropped)`` is called when there would be more than ``limits`` allow, an
    object with ``send_buffer`` and ``slow_consumer``: ``dropped`` is None if the connection is to
    be cut, and else how many messages were left out so far.

    ``way``: how it is sent, None before the connection is ready. ``waiting``: bytes.
    """

    __slots__ = (
        "meter", "queue", "waiting", "way", "is_closed",
        "_limits", "_too_slow", "_dropped", "_is_slow", "_gone", "_guard",
    )  # fmt: skip

    def __init__(self, meter, limits, too_slow):
        self.meter = meter
        self.queue: Any = deque()
        self.waiting = 0
        self.way: Any = None
        self.is_closed = False
        self._limits = limits
        self._too_slow = too_slow
        self._dropped = 0
        self._is_slow = False
        self._gone = 0  # how many were sent whole
        self.start_afresh()

    def start_afresh(self):
        """In a forked child: whoever has the lock is not there."""
        self._guard = native.make_rlock()  # for a signal handler may cut the connection

    def open(self, way):
        """Go on by ``way``."""
        with self._guard:
            self.way = way
        way.wake()

    def close_way(self):
        """The way there was, which nobody shall take from now on; None if there was none."""
        with self._guard:
            way, self.way = self.way, None
        return way

    def post(self, data):
        """Keep ``data`` and see that it is sent; whether it was taken."""
        taken = self.keep(as_octets(data), is_tried=False)
        way = self.way
        if taken and way is not None:
            way.wake()
        return taken

    def keep(self, data, sent=0, is_begun=False, is_tried=True):
        """Keep ``data``, of which the first bytes were ``sent``; whether it was taken.

        ``is_begun``: whether nothing else may be sent before, as under TLS once it was tried.
        ``is_tried``: whether there is no room. If nobody knows, it is not the peer who is slow.
        """
        is_begun = is_begun or sent > 0
        with self._guard:
            if self.is_closed:
                return False
            waiting = self.waiting + len(data) - sent
            most = self._limits.send_buffer
            closes = self._limits.slow_consumer == "close"
            if not (is_tried or self.way is None or self.meter.stuck_since):
                most = None
            if most is None or waiting <= most or is_begun and not closes:
                self.waiting = waiting
                if is_begun:
                    self.queue.appendleft(memoryview(data)[sent:] if sent else data)
                else:
                    self.queue.append(data)
                return True
            if closes:
                self._discard()
            else:
                self._dropped += 1
                if self._is_slow:
                    return False
                self._is_slow = True
                waiting = self.waiting
            dropped = self._dropped
        self._too_slow(waiting, None if closes else dropped)
        return False

    def finish(self):
        """Take nothing more, and wait until what waits is sent."""
        with self._guard:
            self.is_closed = True
        way = self.way
        if way is not None and self.queue:
            way.finish()

    def give_way(self, send, wait):
        """For a handler that has the turn: ``precede`` with all that waits at this moment."""
        if self.queue and self.way is not None:
            self.precede(send, wait, len(self.queue))

    def go_on(self):
        """A handler's turn is over."""
        way = self.way
        if way is not None and self.queue:
            way.wake()

    def look(self):
        """There is no room: see whether too much waits already."""
        with self._guard:
            most, waiting = self._limits.send_buffer, self.waiting
            if most is None or waiting <= most or self._limits.slow_consumer != "close":
                return
            self._discard()
        self._too_slow(waiting, None)

    def discard(self):
        """Send nothing more, and take nothing."""
        with self._guard:
            self._discard()

    def _discard(self):
        self.is_closed = True
        self.queue.clear()
        self.waiting = 0

    def pour(self, send):
        """Have ``send`` take what it takes at once; whether that is all.

        ``send(data)``: how many bytes it has taken; BlockingIOError if there is no room. For
        whoever has the turn.
        """
        queue = self.queue
        while queue:
            try:
                data = queue[0]
                count = send(data)
            except IndexError:
                break  # they were discarded
            except BlockingIOError:
                return False
            self._note_sent(data, count)
        return True

    def precede(self, send, wait, most=None):
        """The same for what waits at this moment, or for all, however long that takes.

        ``wait(moved)`` waits for room; ``moved``: whether something was sent since the last time.
        """
        ends = None if most is None else self._gone + most
        moved = False
        queue = self.queue
        while queue and (ends is None or self._gone < ends):
            try:
                data = queue[0]
                count = send(data)
            except IndexError:
                break
            except BlockingIOError:
                wait(moved)
                moved = False
            else:
                self._note_sent(data, count)
                moved = True

    def _note_sent(self, data, count):
        meter = self.meter
        meter.sent += count
        meter.heard = meter.received
        with self._guard:
            queue = self.queue
            if not queue or queue[0] is not data:
                return
            self.waiting -= count
            if count < len(data):
                queue[0] = memoryview(data)[count:]
                return
            queue.popleft()
            self._gone += 1
            if not queue:
                self.waiting = 0
                self._is_slow = False
