"""Ending connections that shall not go on: those that take too long, and those that are kicked."""

import socket
from time import monotonic
from typing import Any, NamedTuple

from gevent.hub import GreenletExit

from .. import events
from ..net.connections import Connection
from ..net.wardens import Warden
from .certificates import Certificates


class Limits(NamedTuple):
    """What a warden goes by; see IDeadlines."""

    idle_timeout: float | None
    request_timeout: float | None
    handshake_timeout: float | None
    send_timeout: float | None
    is_draining: bool

    @property
    def deadlines(self) -> tuple[float | None, ...]:
        """The limits, without the rest."""
        return self[:4]


class Oversight(Certificates):
    """Sees to the limits of IDeadlines and IBroadcasting."""

    idle_timeout: float | None = None
    request_timeout: float | None = None
    handshake_timeout: float | None = 10.0
    send_timeout: float | None = None
    send_buffer: int | None = 1 << 20
    slow_consumer: str = "close"

    _gs_warden: Warden | None = None

    def kick(self, connection: Any) -> bool:
        """Cut one of ``connections``; whether it was still open."""
        crew = self._gs_crew
        if crew is None or connection not in crew or connection.was_cut:
            return False
        self._gs_cut_off(connection, "kicked")
        if self._gs_warden is not None:
            self._gs_warden.note_cut()
        return True

    def _gs_be_too_slow(self, connection: Any, waiting: int, dropped: int | None) -> None:
        """Cut a connection for which too much waits, or tell of what was ``dropped``."""
        if dropped is not None:
            events.emit(events.SlowConsumer, self, connection, waiting, dropped)
        elif not connection.was_cut:
            self._gs_cut_off(connection, "slow_consumer")
            if self._gs_warden is not None:
                self._gs_warden.note_cut()

    def _gs_post_warden(self, hub: Any) -> None:
        if self._gs_warden is not None and self._gs_warden.goes_on(hub):
            return  # since the request before
        self._gs_warden = Warden(
            hub,
            self._gs_limits,
            self._gs_connections,
            self._gs_cut_off,
            self._gs_kill,
            self._gs_tell,
        )
        self._gs_warden.wake()

    def _gs_limits(self):
        return Limits(
            self.idle_timeout,
            self.request_timeout,
            self.handshake_timeout if self._gs_may_shake_hands() else None,
            self.send_timeout,
            self._gs_is_draining,
        )

    def _gs_cut_off(self, job, reason):
        """Take its connection away from a worker, who then ends in order."""
        if isinstance(job, Connection):
            # First, because a worker that sees that it was cut may fail of that at once.
            if job.reason is None:
                job.reason = reason
            job.cut_at = monotonic()
        job.was_cut = True
        # Before it is cut, because its worker may end at once, which is told of afterwards.
        events.emit(events.ConnectionCut, self, job.client_address, reason)
        self._gs_cut(job)

    def _gs_cut(self, job):
        """Take its connection away from a worker, who then ends in order."""
        job.shut()

    def _gs_kill(self, job):
        """End a worker that did not notice; where that can be done."""
        loop = self._gs_loop
        if job.worker is None or self.model not in ("inline", "greenlet"):
            return
        # A thread's main greenlet has no hub for a parent, but then the loop runs in it.
        hub = job.worker.parent or (loop and loop.hub)
        if hub is not None:
            # The greenlet's own hub has to do it, which may be another thread's.
            hub.loop.run_callback_threadsafe(self._gs_throw, job)

    def _gs_throw(self, job):
        if job in (self._gs_crew or ()):  # its greenlet may have another one by now
            job.worker.throw(GreenletExit)

    def _gs_tell(self, job):
        """Tell a connection that is idle that nothing will follow."""
        if not job.was_told:
            job.was_told = True
            job.shut(socket.SHUT_RD)
