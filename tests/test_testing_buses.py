"""check_bus finds what is wrong with a bus."""

import pytest

from greensock.bus import LocalBus
from greensock.testing import check_bus
from tests.candidates import Faults, assert_finds

faults = Faults()


@faults.breaking("it has what its contracts ask for, and so have its products")
class Renamed(LocalBus):
    def publish(self, subject, data):
        super().publish(subject, data)


@faults.breaking("every subscription to a topic gets what is published there, in order, and no")
class Single(LocalBus):
    """Has room for one subscription to a topic."""

    def join(self, subscription, topics):
        topics = [topic for topic in topics if not self._fanout.wants(topic)]
        super().join(subscription, topics)


@faults.breaking("every subscription .*\n.*the numbers")
class Uncounted(LocalBus):
    def _deliver(self, topic, data, number=None):
        super()._deliver(topic, data, 1)


@faults.breaking("topics come and go while it is subscribed")
class Clinging(LocalBus):
    def leave(self, subscription, topics):
        if subscription.reason is not None:
            super().leave(subscription, topics)


@faults.breaking(r"get\(\) waits as long as it is told")
class Hasty(LocalBus):
    def subscribe(self, *topics, **options):
        subscription = super().subscribe(*topics, **options)
        get = subscription.get
        subscription.get = lambda timeout=None: get(0 if timeout is None else timeout)
        return subscription


@faults.breaking("a subscription without room drops as it was told to, and tells of all")
class Silent(LocalBus):
    def _deliver(self, topic, data, number=None):
        super()._deliver(topic, data, number)
        for subscription in self._subscriptions:
            subscription._missed_in_front.clear()

    def subscribe(self, *topics, **options):
        subscription = super().subscribe(*topics, **options)
        self._subscriptions = [*getattr(self, "_subscriptions", []), subscription]
        return subscription


@faults.breaking("a subscription without room is closed if that was asked for, and")
class Lenient(LocalBus):
    def subscribe(self, *topics, maxsize=10_000, overflow="drop_oldest"):
        overflow = "drop_oldest" if overflow == "close" else overflow
        return super().subscribe(*topics, maxsize=maxsize, overflow=overflow)


@faults.breaking(r"close\(\) of a subscription wakes whoever waits")
class Drowsy(LocalBus):
    """Its subscriptions are closed without a word."""

    def subscribe(self, *topics, **options):
        subscription = super().subscribe(*topics, **options)
        subscription._changed.notify_all = lambda: None
        return subscription


@faults.breaking("what is no topic, no data and no option is refused")
class Obliging(LocalBus):
    def publish(self, topic, data):
        super().publish(topic, data.encode() if isinstance(data, str) else data)


@faults.breaking(r"close\(\) wakes whoever waits, and nothing can be done any more")
class Immortal(LocalBus):
    def close(self):
        for topic in list(self._fanout._topics.values()):
            for subscription in list(topic.subscriptions):
                subscription.close()


@pytest.mark.parametrize(("bus_class", "promise"), faults)
def test_bus_with_a_fault_is_found(bus_class, promise):
    assert_finds(f"broke a promise: {promise}", check_bus, bus_class)
