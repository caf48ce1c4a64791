"""Who wants which topic, and how a message comes to all of them in the same order."""

from collections.abc import Iterable

from ..errors import BusClosed
from ..net import native
from .subscriptions import Subscription


class _Topic:
    """Its subscriptions, as the keys of a dict, which has them in order, and its last number."""

    __slots__ = ("mutex", "subscriptions", "number")

    def __init__(self) -> None:
        self.mutex = native.make_rlock()
        self.subscriptions: dict[Subscription, None] = {}
        self.number = 0


class Fanout:
    """The subscriptions of one process, by topic. Any thread may call it; nothing waits."""

    def __init__(self) -> None:
        self._mutex = native.make_rlock()
        self._topics: dict[str, _Topic] = {}
        self.is_closed = False

    def add(self, subscription: Subscription, topics: Iterable[str]) -> list[str]:
        """Subscribe it; which of the topics it had not before. BusClosed after ``close``."""
        added = []
        with self._mutex:
            if self.is_closed:
                raise BusClosed("the bus was closed")
            if subscription.reason is not None:
                raise BusClosed(f"{subscription!r} was closed")
            for name in topics:
                topic = self._topics.get(name)
                if topic is None:
                    topic = self._topics[name] = _Topic()
                if subscription not in topic.subscriptions:
                    with topic.mutex:
                        topic.subscriptions[subscription] = None
                    subscription.topics += (name,)
                    added.append(name)
        return added

    def remove(self, subscription: Subscription, topics: Iterable[str]) -> list[str]:
        """Unsubscribe it; which of the topics nobody wants any more."""
        orphans = []
        with self._mutex:
            for name in topics:
                topic = self._topics.get(name)
                if topic is None or subscription not in topic.subscriptions:
                    continue
                with topic.mutex:
                    del topic.subscriptions[subscription]
                subscription.topics = tuple(each for each in subscription.topics if each != name)
                if not topic.subscriptions:
                    del self._topics[name]
                    orphans.append(name)
        return orphans

    def wants(self, name: str) -> bool:
        """Whether anybody has subscribed to it."""
        return name in self._topics

    def deliver(self, name: str, data: bytes, number: int | None = None) -> list[Subscription]:
        """Give it to all who want it. Those are returned that have no room from now on.

        ``number``: None for one more than the last.
        """
        topic = self._topics.get(name)
        full: list[Subscription] = []
        if topic is None:
            return full
        with topic.mutex:
            topic.number = number = topic.number + 1 if number is None else number
            # A copy, because a signal handler may subscribe meanwhile.
            for subscription in tuple(topic.subscriptions):
                if subscription.put(name, data, number):
                    full.append(subscription)
        return full

    def note_missed(self, name: str, count: int) -> None:
        """So many of a topic will never be delivered."""
        topic = self._topics.get(name)
        if topic is not None:
            with topic.mutex:
                for subscription in tuple(topic.subscriptions):
                    subscription.note_missed(name, count)

    def close(self) -> None:
        """End all subscriptions."""
        with self._mutex:
            self.is_closed = True
            subscriptions = self._all()
            self._topics.clear()
        for subscription in subscriptions:
            subscription.end("closed")
            subscription.topics = ()

    def abandon(self) -> None:
        """End them in a forked child; no lock is taken, for it may be held for ever."""
        for subscription in self._all():
            subscription.abandon()

    def _all(self) -> set[Subscription]:
        return {each for topic in self._topics.values() for each in topic.subscriptions}
