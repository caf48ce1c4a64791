"""Subscribing to many kinds of event at once, on behalf of those who write them down or count."""

from collections.abc import Callable, Mapping
from typing import Any

from .events import subscribe, unsubscribe


def observe(subscribers: Mapping[Any, Callable[[Any], object]]) -> Callable[[], None]:
    """Subscribe them all, each to its interface; return a function that undoes it.

    Servers whose attribute ``is_observer`` is true only look at others, as that of a status page.
    Nobody is told of them, or looking would change what is seen.
    """
    pairs = [(interface, _but_observers(each)) for interface, each in subscribers.items()]
    for interface, subscriber in pairs:
        subscribe(interface, subscriber)

    def undo() -> None:
        while pairs:
            unsubscribe(*pairs.pop())

    return undo


def _but_observers(subscriber: Callable[[Any], object]) -> Callable[[Any], object]:
    def pass_on(event: Any) -> None:
        if not getattr(event.server, "is_observer", False):
            subscriber(event)

    return pass_on
