"""The one connection of a process on which messages come from Redis.

Rule: nobody but the reader's own thread touches that connection. Who wants a topic leaves an order
and rings; who waits for it waits for an Event, which suits every caller.

Theory of operation. Subscribers may be greenlets of any hub, and threads without one, so the reader
belongs to none of them: it is an OS thread without a hub, which waits in the kernel. It subscribes
to a topic and asks on the same connection how many messages there have been. As Redis answers in
order, it knows exactly which of them were before, and which come after. After a reconnect it does
the same again, and so finds out at once what was missed.

It speaks RESP3, in which a connection that subscribes may also ask.
"""

import os
import random
import select
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import islice
from time import monotonic
from typing import Any

from .. import events
from ..errors import BusClosed, BusError
from ..net import native
from ..net.backoff import FIRST_PAUSE, LONGEST_PAUSE
from ..net.crossing import Event
from ..net.threads import start_thread
from .courses import Course
from .places import Place
from .resp import ERROR, PUSH, Parser
from .wire import Silence, Wire

# Seconds without a word after which it asks whether Redis is still there: a router in between may
# have forgotten the connection. If there is no answer in the same time, it is lost.
QUIET = 15.0

# Topics in one command: Redis does nothing else meanwhile.
_AT_ONCE = 500

# Bytes to read at once.
_CHUNK = 1 << 18

# How many messages there were of each topic: its epoch and its number.
COUNT = """
local counts = {}
for i, key in ipairs(KEYS) do
    local found = redis.call('HMGET', key, 'epoch', 'number')
    counts[2 * i - 1] = found[1] or ''
    counts[2 * i] = found[2] or '0'
end
return counts
"""


class Reader:
    """Has the topics of a process come from ``place``, and gives them to ``bus``.

    ``bus``: has ``channel_of(topic)``, ``wants(topic)``, ``deliver(topic, data, number)``,
    ``note_missed(topic, count)`` and ``close()``.
    """

    def __init__(self, bus: Any, place: Place) -> None:
        self._bus = bus
        self._place = place
        self._mutex = native.make_rlock()
        self._courses: dict[str, Course] = {}
        self._orders: deque[str] = deque()
        self._is_over = False
        self._ended = Event()
        self._error: Exception | None = None
        self._ear, self._bell = os.pipe()
        os.set_blocking(self._ear, False)
        os.set_blocking(self._bell, False)
        self._connection: Any = None
        self._by_channel: dict[bytes, Course] = {}
        # What to do with each answer, in the order of the questions.
        self._expected: deque[Callable[[Any], None]] = deque()
        self._lost_at: float | None = None
        self._missed: dict[str, int] = {}
        self._pause = FIRST_PAUSE

    def start(self) -> None:
        """Begin to read; RuntimeError if the system refuses a thread."""
        start_thread(self._run, shown_as=Reader.start, daemon=True)

    def follow(self, topics: Iterable[str]) -> None:
        """Wait until these topics come here. BusError if they do not in time."""
        with self._mutex:
            courses = []
            for topic in topics:
                course = self._courses.get(topic)
                if course is None:
                    course = self._courses[topic] = Course(topic)
                    self._orders.append(topic)
                courses.append(course)
        self._ring()
        ends = monotonic() + self._place.patience
        for course in courses:
            if not course.settled.wait(max(0.0, ends - monotonic())) and not self._is_over:
                why = self._error or f"Redis at {self._place.shown} does not answer"
                raise BusError(f"cannot subscribe to {course.topic!r}: {why}") from self._error
        if self._is_over:
            raise BusClosed("the bus was closed")

    def forget(self, topics: Iterable[str]) -> None:
        """Nobody wants them any more, as far as is known."""
        self._orders.extend(topics)
        self._ring()

    def close(self, timeout: float) -> None:
        """End, and wait for it at most so many seconds."""
        self._is_over = True
        self._ring()
        self._ended.wait(timeout)

    def abandon(self) -> None:
        """Close its descriptors in a forked child, where its thread does not exist."""
        if not self._ended.is_set():
            native.close(self._ear)
            native.close(self._bell)
        connection = self._connection
        if connection is not None and connection._sock is not None:
            wire, connection._sock = connection._sock, None
            wire.abandon()

    def _ring(self) -> None:
        with self._mutex:
            if not self._ended.is_set():
                with suppress(BlockingIOError):  # it is full of rings that were not heard yet
                    os.write(self._bell, b".")

    # In its own thread

    def _run(self) -> None:
        try:
            while not self._is_over:
                try:
                    with self._place.clear_errors():
                        self._connect()
                        self._read()
                except Exception as error:
                    if self._is_over:
                        break  # type: ignore[unreachable]  # somebody else said so
                    self._note_lost(error)
                # At random, lest all who lost the same Redis come back at the same moment.
                self._wait_for_bell(self._pause * random.uniform(0.5, 1.0))
                self._pause = min(2 * self._pause, LONGEST_PAUSE)
        finally:
            self._end()
            self._bus.close()  # lest anybody waits for ever if something else has ended it

    def _end(self) -> None:
        self._is_over = True
        self._disconnect()
        with self._mutex:
            self._ended.set()
            native.close(self._ear)
            native.close(self._bell)
            courses = list(self._courses.values())
        for course in courses:
            course.settled.set()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _note_lost(self, error: Exception) -> None:
        self._disconnect()
        self._error = error
        self._by_channel.clear()
        self._expected.clear()
        with self._mutex:
            for course in self._courses.values():
                course.doubt()
        if self._lost_at is None:
            self._lost_at = monotonic()
            events.emit(events.BusLost, self._bus, error)

    def _connect(self) -> None:
        self._connection = self._place.connection()
        self._connection.connect()
        with self._mutex:
            self._orders.clear()
            self._forget_unwanted(list(self._courses))
            courses = list(self._courses.values())
        self._subscribe(courses)
        self._ask(self._note_restored, "PING")  # answered when all the others are

    def _note_restored(self, pong: Any) -> None:
        self._error = None
        self._pause = FIRST_PAUSE
        if self._lost_at is not None:
            seconds = monotonic() - self._lost_at
            missed, self._missed, self._lost_at = self._missed, {}, None
            events.emit(events.BusRestored, self._bus, seconds, missed)

    def _read(self) -> None:
        wire: Wire = self._connection._sock
        wire.settimeout(self._place.patience)
        parser = Parser()
        poll = native.poll()
        poll.register(wire.fileno(), select.POLLIN)
        poll.register(self._ear, select.POLLIN)
        was_asked = False
        while not self._is_over:
            ready = {fd for fd, _ in poll.poll(QUIET * 1000)}
            if not ready:
                if was_asked:
                    raise Silence(f"Redis has not answered for {QUIET:g} s")
                was_asked = True
                self._ask(_ignore, "PING")
            if wire.fileno() in ready:
                was_asked = False
                self._hear(wire, parser)
            if self._ear in ready:
                self._hear_bell()
                self._obey()

    def _hear(self, wire: Wire, parser: Parser) -> None:
        while (data := wire.recv_now(_CHUNK)) is not None:
            if not data:
                raise ConnectionError("Redis has closed the connection")
            for kind, value in parser.feed(data):
                if kind == PUSH:
                    if value[0] == b"message":
                        self._receive(value[1], value[2])
                elif kind == ERROR:
                    raise BusError(f"Redis at {self._place.shown} refuses: {value}")
                else:
                    self._expected.popleft()(value)

    def _receive(self, channel: bytes, payload: bytes) -> None:
        course = self._by_channel.get(channel)
        if course is None or not course.is_known:
            return  # it came before its subscriber did
        try:
            epoch, number, data = payload.split(b":", 2)
            missed = course.advance(epoch, int(number))
        except ValueError:
            return  # of somebody who is no bus
        if missed:
            self._note_missed(course.topic, missed)
        self._bus.deliver(course.topic, data, course.number)

    def _note_missed(self, topic: str, count: int) -> None:
        if self._lost_at is not None:
            self._missed[topic] = self._missed.get(topic, 0) + count
        self._bus.note_missed(topic, count)

    def _obey(self) -> None:
        topics = []
        with suppress(IndexError):
            while True:
                topics.append(self._orders.popleft())
        with self._mutex:
            channels = self._forget_unwanted(topics)
            wanted = dict.fromkeys(topic for topic in topics if topic in self._courses)
            courses = [self._courses[topic] for topic in wanted]
        self._say("UNSUBSCRIBE", channels)
        self._subscribe([course for course in courses if not course.is_known])

    def _forget_unwanted(self, topics: Iterable[str]) -> list[bytes]:
        """The channels of those that nobody wants, and that came until now."""
        channels = []
        for topic in topics:
            if topic in self._courses and not self._bus.wants(topic):
                del self._courses[topic]
                channel = self._bus.channel_of(topic)
                if self._by_channel.pop(channel, None) is not None:
                    channels.append(channel)
        return channels

    def _subscribe(self, courses: list[Course]) -> None:
        for some in _in_parts(courses):
            channels = [self._bus.channel_of(course.topic) for course in some]
            self._by_channel.update(zip(channels, some))
            self._say("SUBSCRIBE", channels)
            self._ask(partial(self._settle, some), "EVAL", COUNT, len(channels), *channels)

    def _settle(self, courses: list[Course], counts: list[bytes]) -> None:
        for course, epoch, number in zip(courses, counts[::2], counts[1::2]):
            missed = course.look(epoch, int(number))
            if missed:
                self._note_missed(course.topic, missed)
            course.settled.set()

    def _say(self, command: str, channels: list[bytes]) -> None:
        for some in _in_parts(channels):
            self._send(command, *some)

    def _ask(self, then: Callable[[Any], None], *command: Any) -> None:
        self._expected.append(then)
        self._send(*command)

    def _send(self, *command: Any) -> None:
        for part in self._connection.pack_command(*command):
            self._connection._sock.sendall(part)

    def _wait_for_bell(self, seconds: float) -> None:
        """Until somebody rings who wants it to end, or so many seconds have passed."""
        ends = monotonic() + seconds
        poll = native.poll()
        poll.register(self._ear, select.POLLIN)
        while not self._is_over and (left := ends - monotonic()) > 0:
            if poll.poll(left * 1000):
                self._hear_bell()

    def _hear_bell(self) -> None:
        with suppress(BlockingIOError):
            while len(os.read(self._ear, 4096)) == 4096:
                pass


def _in_parts(items: list[Any]) -> Iterable[list[Any]]:
    left = iter(items)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _ignore(answer: Any) -> None:
    pass
