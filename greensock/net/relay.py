"""Two connections made one: bytes go both ways until there is nothing left to move.

Theory of operation. Each direction is a Flow, which never waits. In a thread that has a hub they
run in its callbacks, and the greenlet that asked for it sleeps until the end; in one without, they
run in a loop of ``poll``.
"""

import select
from math import ceil, inf, isfinite
from time import monotonic
from typing import Any

import gevent.socket
from gevent import get_hub
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter
from zope.interface import directlyProvides, implementer

from ..interfaces import IRelay, IRelayed
from ..records import Value
from . import deadlines, native
from .ends import open_end, watchers_of
from .flows import Flow
from .hubs import in_main_thread
from .waking import LOOK_FOR_SIGNALS

# Times to look in an idle_timeout.
LOOKS = 4


@implementer(IRelayed)
class Relayed(Value):
    """What a relay came to; see IRelayed."""

    forth: int
    back: int
    reason: str
    error: OSError | None = None


def relay(a: Any, b: Any, idle_timeout: float | None = None) -> "Relayed":
    """Move bytes between two sockets until both are done; see IRelay."""
    _check_idle_timeout(idle_timeout)
    with open_end(a) as end_a, open_end(b) as end_b:
        greens = isinstance(a, gevent.socket.socket) or isinstance(b, gevent.socket.socket)
        kind = _OnHub if greens or get_hub_if_exists() is not None else _InThread
        return kind(end_a, end_b, idle_timeout).run()


directlyProvides(relay, IRelay)


def _check_idle_timeout(value):
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and isfinite(value) and value > 0):
        raise ValueError(
            f"idle_timeout is {value!r}; give a number of seconds above 0, or None for no limit"
        )


class _Relay:
    """Both flows, and how they end."""

    def __init__(self, a, b, idle_timeout):
        self._ends = a, b
        self._idle_timeout = idle_timeout
        self._reason: Any = None
        self._error: Any = None
        self._flows: Any = ()
        self._moved = 0
        self._moved_at = monotonic()

    def _begin(self, watchers_of_a, watchers_of_b, soon):
        a, b = self._ends
        hooks = soon, self._note_end, self._fail
        self._flows = (
            Flow(a, b, watchers_of_a[0], watchers_of_b[1], *hooks),
            Flow(b, a, watchers_of_b[0], watchers_of_a[1], *hooks),
        )
        for flow in self._flows:
            flow.begin()

    def _stop(self):
        for flow in self._flows:
            flow.stop()

    def _note_end(self, flow):
        if all(flow.is_over for flow in self._flows):
            is_lost = any(flow.lost for flow in self._flows)
            self._end("closed" if is_lost else "finished")
        elif flow.lost is None and flow.source.is_closed:
            self._end("closed")  # the other flow's sink

    def _fail(self, error):
        for end in self._ends:
            end.reset()
        self._error = error() if isinstance(error, type) else error  # as gevent throws it
        self._end("reset")

    def _look(self):
        """See whether anything moves."""
        moved = sum(flow.moved for flow in self._flows)
        if moved != self._moved:
            self._moved, self._moved_at = moved, monotonic()
        elif monotonic() - self._moved_at >= self._idle_timeout:
            self._end("idle")

    def _end(self, reason):
        self._reason = self._reason or reason
        self._stop()

    def _result(self):
        if self._error is not None and not isinstance(self._error, OSError):
            raise self._error
        forth, back = (flow.moved for flow in self._flows)
        return Relayed(forth, back, self._reason, self._error)


class _OnHub(_Relay):
    """In the callbacks of this thread's hub."""

    def run(self):
        hub = get_hub()
        self._waiter = Waiter(hub)
        timer = None
        if self._idle_timeout is not None:
            pause = self._idle_timeout / LOOKS
            timer = hub.loop.timer(pause, pause)
            timer.start(self._look)
        lent: list[Any] = []
        try:
            for end in self._ends:
                lent.append(watchers_of(end, hub))
            self._begin(lent[0], lent[1], hub.loop.run_callback)
            self._waiter.get()
        finally:
            self._stop()
            for *_, give_back in lent:
                give_back()
            if timer is not None:
                timer.close()
        return self._result()

    def _end(self, reason):
        super()._end(reason)
        self._waiter.switch(None)


class _InThread(_Relay):
    """In a loop of its own, which blocks the thread."""

    def run(self):
        self._watches = [
            _Watch(end.fileno(), event)
            for end in self._ends
            for event in (select.POLLIN, select.POLLOUT)
        ]
        self._soon: list[Any] = []
        try:
            self._begin(self._watches[:2], self._watches[2:], self._soon.append)
            while self._reason is None:
                self._turn()
        finally:
            self._stop()
        return self._result()

    def _turn(self):
        calls, self._soon[:] = list(self._soon), []
        for function in calls:
            function()
        wanted: dict[int, int] = {}
        for watch in self._watches:
            if watch.function is not None:
                wanted[watch.fd] = wanted.get(watch.fd, 0) | watch.event
        poll = native.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        ready = dict(poll.poll(self._milliseconds()))
        deadlines.check()
        for watch in self._watches:
            # A socket that is shut or has failed shows it to whoever reads or writes.
            events = ready.get(watch.fd, 0) & (watch.event | select.POLLHUP | select.POLLERR)
            if events and watch.function is not None:
                watch.function()
        if self._idle_timeout is not None and self._reason is None:
            self._look()

    def _milliseconds(self):
        if self._soon or self._reason:
            return 0
        pause = None if self._idle_timeout is None else self._idle_timeout / LOOKS
        limit = deadlines.nearest(pause)
        limit = inf if limit is None else limit
        if in_main_thread():  # a signal may come just as it goes to wait
            limit = min(limit, LOOK_FOR_SIGNALS)
        return None if limit == inf else ceil(limit * 1000)


class _Watch:
    """Whether something is waited for, and what to do then."""

    def __init__(self, fd, event):
        self.fd = fd
        self.event = event
        self.function = None

    def start(self, function):
        self.function = function

    def stop(self):
        self.function = None
