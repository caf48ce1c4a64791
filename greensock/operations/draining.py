"""The end that drops nobody."""

import os
from time import monotonic
from typing import Any
from weakref import ref

import gevent

from .. import events
from ..net.newcomers import keep_newcomers_out
from ..net.signals import in_signal_handler
from ..net.wardens import GRACE, WATCHFUL
from ..settings import check_setting
from .admission import Admission
from .books import founding
from .oversight import Oversight


class _Hearer(ref):
    """A handler that wants to be told. One that is no more forgets itself without a line of Python.

    In such a line a Ctrl-C would be lost: see ``CooperativeSocket``.
    """

    __slots__ = ()
    __eq__ = object.__eq__
    __hash__ = object.__hash__


class Draining(Admission, Oversight):
    """Ends a server; see IDraining."""

    drain_timeout: float | None = 30.0

    _gs_bound_in: int | None = None
    _gs_was_drained = False
    _gs_late: list[Any] | None = None
    _gs_drain_began = 0.0
    _gs_drain_ends: float | None = None
    _gs_hearing: set[_Hearer] | None = None
    _gs_works_on_hub = True

    def drain(self, timeout: Any = ...) -> list[Any]:
        """End in order; see IDraining."""
        if timeout is ...:
            timeout = self.drain_timeout
        else:
            check_setting("drain_timeout", timeout)
        if not self._gs_is_draining:
            self._gs_drain_began = monotonic()
            self._gs_drain_ends = None if timeout is None else self._gs_drain_began + timeout
            self._gs_is_draining = True
            events.emit(events.DrainStarted, self, len(self._gs_connections()))
        if self._gs_suspended == "keep":
            self._gs_suspended = None  # for those who wait
        self._gs_tell_handlers()
        loop = self._gs_loop
        if self._gs_warden is not None:
            self._gs_warden.wake()
        if loop is not None:
            loop.drain()
            if self._gs_is_in_the_way(loop):
                return []
            loop.wait_for_end(self._gs_drain_left())
        return self._gs_end_of_drain()

    def _gs_keep_newcomers_out(self) -> bool:
        """Let nobody new into the queue; False if that cannot be done.

        It must not be done to a listener that others have, too.
        """
        return self._gs_bound_in == os.getpid() and keep_newcomers_out(self.socket)

    def _gs_end_of_drain(self):
        cut = self._gs_wait_or_cut(self._gs_drain_left())
        self._gs_drain_is_over(cut)
        self.server_close()
        return cut

    def _gs_drain_is_over(self, cut):
        if self._gs_is_draining and not self._gs_was_drained:
            self._gs_was_drained = True
            seconds = monotonic() - self._gs_drain_began
            events.emit(events.DrainEnded, self, seconds, tuple(cut))

    def _gs_wait_or_cut(self, timeout):
        """Wait for the workers, then cut them; return the jobs of those who had to be."""
        # The serving thread and whoever closes the server may both be here.
        if self._gs_late is None:
            self._gs_late = []
        late = self._gs_late
        if self._gs_await_patiently(timeout):
            return late
        for job in self._gs_others():
            if not job.was_cut:
                late.append(job)
                self._gs_cut_off(job, "drain_timeout")
        if not self._gs_await_crew(GRACE):
            for job in self._gs_others():
                self._gs_kill(job)
            self._gs_await_crew(GRACE)
        return late

    def _gs_await_patiently(self, timeout):
        """Wait for the workers; whether all ended in time. Idle connections are told meanwhile."""
        if not self._gs_is_draining or self._gs_warden is None:
            return self._gs_await_crew(timeout)
        ends = None if timeout is None else monotonic() + timeout
        left = timeout
        while not self._gs_await_crew(WATCHFUL if left is None else min(left, WATCHFUL)):
            left = None if ends is None else max(0.0, ends - monotonic())
            if left == 0.0:
                return False
            self._gs_warden.walk()
        return True

    def _gs_drain_left(self):
        """Seconds until those still at work are cut; None for no limit."""
        if self._gs_drain_ends is None:
            return None if self._gs_is_draining else self.drain_timeout
        return max(0.0, self._gs_drain_ends - monotonic())

    def _gs_hear(self, handler):
        """Note a handler that wants to be told when the server begins to drain."""
        hearing = self._gs_hearing
        if hearing is None:
            with founding:
                if self._gs_hearing is None:
                    self._gs_hearing = set()
                hearing = self._gs_hearing
        hearing.add(_Hearer(handler, hearing.discard))
        if self._gs_is_draining:
            self._gs_tell_handlers()

    def _gs_tell_handlers(self):
        if not self._gs_hearing:
            return
        loop = self._gs_loop
        hub = None if loop is None else loop.hub
        is_elsewhere = self._gs_works_on_hub and hub is not None and not loop.in_own_thread()
        if hub is not None and hub.loop and (is_elsewhere or in_signal_handler()):
            # What they wait on is to be touched there alone, and whoever a signal has interrupted
            # may hold a lock that they take.
            hub.loop.run_callback_threadsafe(gevent.spawn_raw, self._gs_tell_handlers)
            return
        # Every step is one that no other thread, nor a signal handler, can come into.
        hearing = self._gs_hearing
        for hearer in tuple(hearing):
            try:
                hearing.remove(hearer)  # who manages to tells it, once
            except KeyError:
                continue
            handler = hearer()
            if handler is None:
                continue
            try:
                handler.draining()
            except Exception as error:
                events.emit(events.RequestFailed, self, handler.client_address, error)
