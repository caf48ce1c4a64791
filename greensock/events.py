"""What happened in a server, told through ``zope.event``.

Nothing here decides who wants to know. Whoever wants a log, a metric or an alarm subscribes::

    greensock.events.subscribe(IRequestFailed, lambda event: print(event.error))

or appends a function to ``zope.event.subscribers``, which then gets every event. One subscriber is
there from the start: ``greensock.log`` writes what went wrong to the ``greensock`` logger.
"""

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import zope.event
from gevent import GreenletExit
from zope.interface import implementer

from . import interfaces, records

_subscriptions: list[tuple[Any, Callable[[Any], object]]] = []

# Those for a kind of event; found out once, because some events are frequent.
_listeners: dict[type, tuple[Callable[[Any], object], ...]] = {}


def subscribe(interface: Any, subscriber: Callable[[Any], object]) -> None:
    """Have ``subscriber(event)`` called for every event that provides ``interface``.

    It is called where the event happened, by whichever thread or greenlet that is, and should
    be quick. What it raises is logged and stops neither the server nor other subscribers.
    TypeError if either is something else.
    """
    if not hasattr(interface, "implementedBy"):
        raise TypeError(
            f"{interface!r} is no kind of event: use subscribe(IServerStarted, function), or "
            "another interface of greensock.interfaces"
        )
    if not callable(subscriber) or hasattr(subscriber, "implementedBy"):
        raise TypeError(
            f"{subscriber!r} is no function of an event: use "
            f"subscribe({interface.__name__}, function), where function takes the event"
        )
    _subscriptions.append((interface, subscriber))
    _forget_listeners()


def unsubscribe(interface: Any, subscriber: Callable[[Any], object]) -> None:
    """Undo one ``subscribe`` with the same arguments; ValueError if there was none."""
    _subscriptions.remove((interface, subscriber))
    _forget_listeners()


def emit(kind: type, *fields: Any) -> None:
    """Build ``kind(*fields)`` and tell those who listen. If nobody does, do nothing."""
    listeners: Sequence[Callable[[Any], object]] | None
    if zope.event.subscribers == _ONLY_OURS:
        listeners = _listeners.get(kind)
        if listeners is None:
            listeners = _note_listeners(kind)
    else:
        listeners = list(zope.event.subscribers)
    if not listeners:
        return
    event = kind(*fields)
    for listener in listeners:
        _tell(listener, event)


def _note_listeners(kind: type) -> tuple[Callable[[Any], object], ...]:
    known = _listeners  # before it looks: what is found out from here on may be out of date at once
    pairs = list(_subscriptions)
    known[kind] = found = tuple(each for kinds, each in pairs if kinds.implementedBy(kind))
    return found


def _forget_listeners() -> None:
    # Not cleared: another thread may be about to note what it has found out before.
    global _listeners
    _listeners = {}


def _dispatch(event: object) -> None:
    # Other libraries' events pass here as well: zope.event is one list for the whole process.
    for interface, subscriber in list(_subscriptions):
        if interface.providedBy(event):
            _tell(subscriber, event)


def _tell(subscriber: Callable[[Any], object], event: object) -> None:
    try:
        subscriber(event)
    except (KeyboardInterrupt, GreenletExit):
        raise  # meant for whoever runs it
    except BaseException:  # such as a gevent.Timeout
        import logging

        try:
            logging.getLogger("greensock").exception(
                "%r raised when it was told of %s", subscriber, type(event).__name__
            )
        except Exception:
            # What raised may well have been a handler of that logger. Nobody is left to tell but
            # whoever reads standard error, if there is one.
            with suppress(Exception):
                traceback.print_exc()


zope.event.subscribers.append(_dispatch)
_ONLY_OURS = [_dispatch]


class _ServerEvent(records.Record):
    server: Any


@implementer(interfaces.IServerStarted)
class ServerStarted(_ServerEvent):
    """See IServerStarted."""


@implementer(interfaces.IServerStopped)
class ServerStopped(_ServerEvent):
    """See IServerStopped."""


@implementer(interfaces.IWorkerStarted)
class WorkerStarted(_ServerEvent):
    """See IWorkerStarted."""

    index: int
    pid: int


@implementer(interfaces.IWorkerEnded)
class WorkerEnded(_ServerEvent):
    """See IWorkerEnded."""

    index: int
    pid: int
    reason: str
    status: int | None
    pause: float


@implementer(interfaces.IWorkerFailed)
class WorkerFailed(_ServerEvent):
    """See IWorkerFailed."""

    index: int
    error: BaseException


@implementer(interfaces.IUpgradeEnded)
class UpgradeEnded(_ServerEvent):
    """See IUpgradeEnded."""

    pid: int


@implementer(interfaces.IUpgradeFailed)
class UpgradeFailed(_ServerEvent):
    """See IUpgradeFailed."""

    pid: int
    reason: str


@implementer(interfaces.IRequestFailed)
class RequestFailed(_ServerEvent):
    """See IRequestFailed."""

    client_address: Any
    error: BaseException


@implementer(interfaces.IHandshakeFailed)
class HandshakeFailed(_ServerEvent):
    """See IHandshakeFailed."""

    client_address: Any
    error: Exception


@implementer(interfaces.IProxyHeaderRefused)
class ProxyHeaderRefused(_ServerEvent):
    """See IProxyHeaderRefused."""

    client_address: Any
    reason: str
    error: Exception


@implementer(interfaces.IAcceptFailed)
class AcceptFailed(_ServerEvent):
    """See IAcceptFailed."""

    error: Exception


@implementer(interfaces.IAcceptPaused)
class AcceptPaused(_ServerEvent):
    """See IAcceptPaused."""

    error: Exception


@implementer(interfaces.IAcceptResumed)
class AcceptResumed(_ServerEvent):
    """See IAcceptResumed."""

    seconds: float


@implementer(interfaces.IDatagramTruncated)
class DatagramTruncated(_ServerEvent):
    """See IDatagramTruncated."""

    client_address: Any
    kept: int


@implementer(interfaces.IDatagramsDropped)
class DatagramsDropped(_ServerEvent):
    """See IDatagramsDropped."""

    count: int
    total: int


@implementer(interfaces.IConnectionCut)
class ConnectionCut(_ServerEvent):
    """See IConnectionCut."""

    client_address: Any
    reason: str


@implementer(interfaces.ISlowConsumer)
class SlowConsumer(_ServerEvent):
    """See ISlowConsumer."""

    connection: Any
    waiting: int
    dropped: int


@implementer(interfaces.IConnectionOpened)
class ConnectionOpened(_ServerEvent):
    """See IConnectionOpened."""

    connection: Any


@implementer(interfaces.IConnectionClosed)
class ConnectionClosed(_ServerEvent):
    """See IConnectionClosed."""

    connection: Any


@implementer(interfaces.IConnectionRefused)
class ConnectionRefused(_ServerEvent):
    """See IConnectionRefused."""

    client_address: Any
    reason: str


@implementer(interfaces.ITLSReloaded)
class TLSReloaded(_ServerEvent):
    """See ITLSReloaded."""


@implementer(interfaces.IDrainStarted)
class DrainStarted(_ServerEvent):
    """See IDrainStarted."""

    connections: int


@implementer(interfaces.IDrainEnded)
class DrainEnded(_ServerEvent):
    """See IDrainEnded."""

    seconds: float
    cut: tuple


class _BusEvent(records.Record):
    bus: Any


@implementer(interfaces.IBusLost)
class BusLost(_BusEvent):
    """See IBusLost."""

    error: Exception


@implementer(interfaces.IBusRestored)
class BusRestored(_BusEvent):
    """See IBusRestored."""

    seconds: float
    missed: dict


@implementer(interfaces.IBusOverflowed)
class BusOverflowed(_BusEvent):
    """See IBusOverflowed."""

    subscription: Any
