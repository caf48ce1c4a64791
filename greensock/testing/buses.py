"""What a bus promises, tried out with two of them at the same place, or one."""

import queue
from collections.abc import Callable
from typing import Any

from ..errors import BusClosed, BusOverflow
from ..events import subscribe, unsubscribe
from ..interfaces import IBus, IBusOverflowed, IMessage, ISubscription
from ..net.crossing import Event
from .contracts import check_contracts
from .trial import PATIENCE, Trial, same

_promises: list[tuple[str, Callable[["_Pair"], None]]] = []


class _Pair:
    """The buses in a trial: the one to subscribe at, and the one to publish at."""

    def __init__(self, trial: Trial, near: Any, far: Any) -> None:
        self.trial = trial
        self.near = near
        self.far = far
        self._count = 0

    def new_topic(self) -> str:
        """A topic that nobody else has."""
        self._count += 1
        return f"greensock.testing/{id(self):x}/{self._count}/\N{SNOWMAN}"

    def get(self, subscription: Any) -> Any:
        """Its next message, which must be there soon."""
        try:
            return subscription.get(self.trial.patience)
        except queue.Empty:
            raise AssertionError(f"no message within {self.trial.patience} s") from None

    def data(self, subscription: Any, count: int) -> list[bytes]:
        """What its next messages carry."""
        return [self.get(subscription).data for _ in range(count)]


def check_bus(make_bus: Callable[[], Any], *, patience: float = PATIENCE) -> None:
    """Check that a bus keeps what IBus promises, and its subscriptions what theirs do.

    ``make_bus()``: a new bus that nobody has used. If ``url`` says that it reaches others, and is
    not 'local', another one that it returns is at the same place, and what is published at one
    comes to the other. Those that it returned are closed in the end.

    ``patience``: seconds until something that should happen soon is taken not to happen.

    AssertionError says which promise was broken.
    """
    near = make_bus()
    trial = Trial(near, patience)
    with near:
        far = near if near.url == "local" else make_bus()
        with far:
            pair = _Pair(trial, near, far)
            for text, keep in _promises:
                with trial.promise(text):
                    keep(pair)
            with trial.promise("close() wakes whoever waits, and nothing can be done any more"):
                _closing(pair)


def _promise(text: str) -> Callable[[Any], Any]:
    def note(keep: Any) -> Any:
        _promises.append((text, keep))
        return keep

    return note


def _raises(kind: type[BaseException], function: Callable[..., Any], *args: Any, **kw: Any) -> None:
    try:
        outcome = function(*args, **kw)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__} was raised, but {outcome!r} returned")


@_promise("it has what its contracts ask for, and so have its products")
def _contracts(pair: _Pair) -> None:
    topic = pair.new_topic()
    pair.near.open()
    with pair.near.subscribe(topic) as subscription:
        pair.far.publish(topic, b"hello")
        message = pair.get(subscription)
        for contract, product in (
            (IBus, pair.near), (ISubscription, subscription), (IMessage, message)
        ):
            if not contract.providedBy(product):
                raise AssertionError(f"{product!r} does not provide {contract.__name__}")
            check_contracts(product)
        same((topic,), subscription.topics, "topics")
        same((topic, b"hello", 0), (message.topic, message.data, message.missed), "the message")


@_promise("every subscription to a topic gets what is published there, in order, and no other")
def _carrying(pair: _Pair) -> None:
    one, other, third = (pair.new_topic() for _ in range(3))
    sent = [b"%d" % number for number in range(50)]
    with pair.near.subscribe(one) as narrow, pair.near.subscribe(one, other) as wide:
        for data in sent:
            pair.far.publish(one, data)
        pair.far.publish(third, b"nothing for them")
        pair.far.publish(other, b"last")
        first, *rest = [pair.get(narrow) for _ in sent]
        same(sent, [message.data for message in (first, *rest)], "what came")
        numbers = [message.number for message in (first, *rest)]
        same(list(range(first.number, first.number + 50)), numbers, "the numbers")
        same({0}, {message.missed for message in rest}, "what was missed")
        same([*sent, b"last"], pair.data(wide, 51), "what came to the other one")


@_promise("topics come and go while it is subscribed")
def _changing(pair: _Pair) -> None:
    one, other = pair.new_topic(), pair.new_topic()
    with pair.near.subscribe() as subscription:
        same((), subscription.topics, "topics of a subscription to nothing")
        subscription.add(one, other)
        subscription.add(one)
        same({one, other}, set(subscription.topics), "topics after add()")
        pair.far.publish(one, b"1")
        same([b"1"], pair.data(subscription, 1), "what came")
        subscription.remove(one, "never had")
        same((other,), subscription.topics, "topics after remove()")
        pair.far.publish(one, b"2")
        pair.far.publish(other, b"3")
        same([b"3"], pair.data(subscription, 1), "what came after remove()")


@_promise("get() waits as long as it is told")
def _waiting(pair: _Pair) -> None:
    with pair.near.subscribe(topic := pair.new_topic()) as subscription:
        _raises(queue.Empty, subscription.get, 0)
        _raises(queue.Empty, subscription.get, 0.01)
        _raises(ValueError, subscription.get, -1)
        call = pair.trial.start(subscription.get, "get()")
        same(True, call.goes_on(), "whether get() waits")
        pair.far.publish(topic, b"hello")
        same(b"hello", call.result().data, "what it waited for")


@_promise("a subscription without room drops as it was told to, and tells of all it dropped")
def _overflowing(pair: _Pair) -> None:
    for overflow, expected in (
        ("drop_oldest", [(b"3", 3), (b"4", 0), (b"5", 0)]),
        ("drop_newest", [(b"0", 0), (b"1", 0), (b"5", 3)]),
    ):
        topic = pair.new_topic()
        with pair.near.subscribe(topic, maxsize=2, overflow=overflow) as small:
            with pair.near.subscribe(topic) as large:
                for number in range(5):
                    pair.far.publish(topic, b"%d" % number)
                same(5, len(pair.data(large, 5)), "what came where there was room")
                got = [pair.get(small), pair.get(small)]
                pair.far.publish(topic, b"5")
                got.append(pair.get(small))
                found = [(message.data, message.missed) for message in got]
                same(expected, found, f"what came with {overflow!r}, and what was missed")
                same((3, None), (small.dropped, small.reason), "dropped, and reason")


@_promise("a subscription without room is closed if that was asked for, and IBusOverflowed is sent")
def _closing_at_overflow(pair: _Pair) -> None:
    topic, sent, told = pair.new_topic(), Event(), []

    def note(event: Any) -> None:
        told.append((event.subscription, event.subscription.reason))
        sent.set()

    subscribe(IBusOverflowed, note)
    try:
        with pair.near.subscribe(topic, maxsize=2, overflow="close") as subscription:
            for _ in range(4):
                pair.far.publish(topic, b"hello")
            same(True, sent.wait(pair.trial.patience), "whether the event was sent")
            same([b"hello"] * 2, pair.data(subscription, 2), "what it holds")
            _raises(BusOverflow, subscription.get, pair.trial.patience)
            _raises(BusOverflow, pair.trial.call, lambda: next(subscription), "iteration")
    finally:
        unsubscribe(IBusOverflowed, note)
    same([(subscription, "overflow")], told, "the events")


@_promise("close() of a subscription wakes whoever waits, and leaves what it holds")
def _ending(pair: _Pair) -> None:
    topic = pair.new_topic()
    subscription = pair.near.subscribe(topic)
    call = pair.trial.start(lambda: list(subscription), "iteration")
    same(True, call.goes_on(), "whether it waits")
    subscription.close()
    same([], call.result(), "what was iterated")
    same(("closed", ()), (subscription.reason, subscription.topics), "reason, and topics")
    _raises(BusClosed, subscription.get, pair.trial.patience)
    _raises(BusClosed, subscription.add, topic)
    with pair.near.subscribe(topic) as subscription, pair.near.subscribe(topic) as other:
        pair.far.publish(topic, b"hello")
        pair.get(other)
        subscription.close()
        subscription.close()
        held = pair.trial.call(lambda: list(subscription), "iteration")
        same([b"hello"], [message.data for message in held], "what it held")


@_promise("what is no topic, no data and no option is refused")
def _refusing(pair: _Pair) -> None:
    topic = pair.new_topic()
    wrong: Any
    for wrong in (None, b"news", 1):
        _raises(TypeError, pair.near.publish, wrong, b"")
        _raises(TypeError, pair.near.subscribe, wrong)
    _raises(ValueError, pair.near.publish, "", b"")
    _raises(ValueError, pair.near.subscribe, "")
    for wrong in (None, "text", 1):
        _raises(TypeError, pair.near.publish, topic, wrong)
    for maxsize in (0, -1, 1.5, None, "1"):
        _raises(ValueError, pair.near.subscribe, topic, maxsize=maxsize)
    _raises(ValueError, pair.near.subscribe, topic, overflow="wait")
    with pair.near.subscribe(topic) as subscription:
        for data in (b"", bytearray(b"\0\r\n"), memoryview(b"view"), bytes(70_000)):
            pair.far.publish(topic, data)
            message = pair.get(subscription)
            same((bytes, bytes(data)), (type(message.data), message.data), "what came")


def _closing(pair: _Pair) -> None:
    bus, topic = pair.near, pair.new_topic()
    subscription = bus.subscribe(topic)
    call = pair.trial.start(lambda: list(subscription), "iteration")
    same(True, call.goes_on(), "whether it waits")
    bus.close()
    bus.close()
    same([], call.result(), "what was iterated")
    same("closed", subscription.reason, "reason")
    _raises(BusClosed, subscription.get, pair.trial.patience)
    _raises(BusClosed, bus.publish, topic, b"")
    _raises(BusClosed, bus.subscribe, topic)
    _raises(BusClosed, bus.open)
