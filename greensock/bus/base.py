"""What all buses have in common: subscribing, closing, and beginning anew in a forked child."""

import os
from collections.abc import Iterable
from typing import Any, TypeVar
from weakref import WeakSet

from zope.interface import implementer

from .. import events
from ..interfaces import IBus
from .fanout import Fanout
from .subscriptions import MAXSIZE, Subscription

_buses: "WeakSet[BaseBus]" = WeakSet()
_Self = TypeVar("_Self", bound="BaseBus")


@implementer(IBus)
class BaseBus:
    """See IBus. What carries the messages to the process is a subclass's."""

    url = ""

    def __init__(self) -> None:
        self._fanout = Fanout()
        _buses.add(self)

    def open(self) -> None:
        """See that it works; see IBus."""

    def publish(self, topic: str, data: Any) -> None:
        """Give ``data`` to all who have subscribed to ``topic``; see IBus."""
        raise NotImplementedError

    def subscribe(
        self, *topics: str, maxsize: int = MAXSIZE, overflow: str = "drop_oldest"
    ) -> Subscription:
        """A subscription to these topics; see IBus."""
        subscription = Subscription(self, maxsize, overflow)
        self.join(subscription, topics)
        return subscription

    def close(self) -> None:
        """End it, and all its subscriptions."""
        self._fanout.close()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *args: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<bus {self.url}>"

    # For subscriptions

    def join(self, subscription: Subscription, topics: Iterable[str]) -> None:
        """Have a subscription get what is published under these topics."""
        names = [checked_topic(topic) for topic in topics]
        added = self._fanout.add(subscription, names)
        try:
            self._follow(names)
        except BaseException:
            self.leave(subscription, added)
            raise

    def leave(self, subscription: Subscription, topics: Iterable[str]) -> None:
        """Have it get no more."""
        orphans = self._fanout.remove(subscription, topics)
        if orphans:
            self._forget(orphans)

    # For subclasses

    def _follow(self, topics: list[str]) -> None:
        """See that what is published under these topics comes here from now on."""

    def _forget(self, topics: list[str]) -> None:
        """Nobody here wants these topics any more."""

    def _deliver(self, topic: str, data: bytes, number: int | None = None) -> None:
        for subscription in self._fanout.deliver(topic, data, number):
            events.emit(events.BusOverflowed, self, subscription)
            if subscription.reason is not None:
                self.leave(subscription, subscription.topics)

    def _begin_anew(self) -> None:
        """This is a forked child: nothing here is its own."""
        old, self._fanout = self._fanout, Fanout()
        self._fanout.is_closed = old.is_closed
        old.abandon()


def checked_topic(topic: str) -> str:
    """The topic; TypeError or ValueError if it is none."""
    if not isinstance(topic, str):
        raise TypeError(f"{topic!r} is no topic; give a str, as in publish('news', b'hello')")
    if not topic:
        raise ValueError("'' is no topic; give it a name, as in publish('news', b'hello')")
    topic.encode()  # a UnicodeEncodeError, which is a ValueError, for half a surrogate pair
    return topic


def checked_data(data: Any) -> bytes:
    """The data as bytes; TypeError if it is nothing of the kind."""
    if isinstance(data, bytes):
        return data
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise TypeError(
            f"{data!r} cannot be published; give bytes, as in publish('news', b'hello')"
        ) from None


def _begin_anew() -> None:
    for bus in list(_buses):
        bus._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
