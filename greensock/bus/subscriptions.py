"""A subscription: a queue that never makes whoever publishes wait.

Rule: every message that goes past a subscription is counted. What was dropped from the front is
told with the next message of its topic in the queue, what never came in with the next that does.
"""

from collections import deque
from queue import Empty
from typing import Any, NamedTuple

from zope.interface import implementer, implementer_only

from ..errors import BusClosed, BusOverflow
from ..interfaces import IMessage, ISubscription
from ..net.waking import Condition

OVERFLOW = ("drop_oldest", "drop_newest", "close")

# A megabyte of messages of a hundred bytes: some seconds of a busy topic.
MAXSIZE = 10_000


@implementer_only(IMessage)  # it is no sequence to anybody but Python
class Message(NamedTuple):
    """See IMessage."""

    topic: str
    data: bytes
    number: int
    missed: int


@implementer(ISubscription)
class Subscription:
    """See ISubscription. ``bus`` takes it in and out of topics, by ``join`` and ``leave``."""

    def __init__(self, bus: Any, maxsize: int, overflow: str) -> None:
        if not isinstance(maxsize, int) or isinstance(maxsize, bool) or maxsize < 1:
            raise ValueError(f"maxsize is {maxsize!r}; give a whole number, 1 or more")
        if overflow not in OVERFLOW:
            raise ValueError(
                f"overflow is {overflow!r}; give one of {', '.join(map(repr, OVERFLOW))}"
            )
        self.topics: tuple[str, ...] = ()
        self.dropped = 0
        self.reason: str | None = None
        self._bus = bus
        self._maxsize = maxsize
        self._overflow = overflow
        self._changed = Condition()
        self._held: deque[Message] = deque()
        # By topic: how many were missed, to be told with the next that is got, or that comes in.
        self._missed_in_front: dict[str, int] = {}
        self._missed_behind: dict[str, int] = {}
        self._is_full = False

    def add(self, *topics: str) -> None:
        """Subscribe to further topics; see ISubscription."""
        self._bus.join(self, topics)

    def remove(self, *topics: str) -> None:
        """Get no more of these topics; see ISubscription."""
        self._bus.leave(self, topics)

    def get(self, timeout: float | None = None) -> Message:
        """The next message; see ISubscription."""
        if timeout is not None and timeout < 0:
            raise ValueError(f"{timeout!r} is no timeout: it must not be negative")
        with self._changed:
            if not self._held and self.reason is None:
                self._changed.wait_for(self._has_something_to_say, timeout)
            if self._held:
                return self._take()
            if self.reason == "overflow":
                raise BusOverflow(f"{self!r} had no room: whoever reads it was too slow")
            if self.reason is not None:
                raise BusClosed(f"{self!r} was closed")
        raise Empty

    def close(self) -> None:
        """End it; see ISubscription."""
        self.end("closed")
        self._bus.leave(self, self.topics)

    def __iter__(self) -> "Subscription":
        return self

    def __next__(self) -> Message:
        try:
            return self.get()
        except BusOverflow:
            raise
        except BusClosed:
            raise StopIteration from None

    def __enter__(self) -> "Subscription":
        return self

    def __exit__(self, *args: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<subscription to {', '.join(map(repr, self.topics)) or 'nothing'}>"

    # For the bus

    def put(self, topic: str, data: bytes, number: int) -> bool:
        """Take a message in. True if that is the first one there is no room for."""
        with self._changed:
            if self.reason is not None:
                return False
            missed = self._missed_behind.pop(topic, 0) if self._missed_behind else 0
            if len(self._held) < self._maxsize:
                self._held.append(Message(topic, data, number, missed))
                self._changed.notify()
                return False
            self.dropped += 1
            began, self._is_full = not self._is_full, True
            if self._overflow == "close":
                self.end("overflow")
            elif self._overflow == "drop_newest":
                self._missed_behind[topic] = missed + 1
            else:
                oldest = self._held.popleft()
                in_front = self._missed_in_front
                in_front[oldest.topic] = in_front.get(oldest.topic, 0) + oldest.missed + 1
                self._held.append(Message(topic, data, number, missed))
            return began

    def note_missed(self, topic: str, count: int) -> None:
        """So many will never come."""
        with self._changed:
            self._missed_behind[topic] = self._missed_behind.get(topic, 0) + count

    def abandon(self) -> None:
        """End it in a forked child: whoever holds its locks, and shall get what it holds, is not.
        """
        self._changed = Condition()
        self._held.clear()
        self.topics = ()
        self.end("closed")

    def end(self, reason: str) -> None:
        """Let nothing more in, and wake whoever waits."""
        with self._changed:
            if self.reason is None:
                self.reason = reason
                self._changed.notify_all()

    def _has_something_to_say(self) -> bool:
        return bool(self._held) or self.reason is not None

    def _take(self) -> Message:
        message = self._held.popleft()
        self._is_full = False
        if self._missed_in_front:
            missed = self._missed_in_front.pop(message.topic, 0)
            if missed:
                return message._replace(missed=message.missed + missed)
        return message
