"""The books of a server: which connections there are, and who is at work on them."""

import operator
import socket
import socketserver
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gevent.hub import getcurrent

from .. import events
from ..net.admission import Peers
from ..net.connections import Connection
from ..net.crew import Crew, Job
from ..net.guards import make_guard
from ..net.hubs import in_hub
from ..net.signals import in_signal_handler

if TYPE_CHECKING:
    _Served = socketserver.TCPServer  # what it comes before in a server's bases
else:
    _Served = object

_COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

founding = make_guard()


class _Connections:
    """The attribute ``connections``, which an application may use for something of its own."""

    def __get__(self, server: Any, cls: type | None = None) -> Any:
        if server is None:
            return self
        return sorted(server._gs_connections(), key=lambda each: each.accepted_at)


class Books(_Served):
    """Keeps them."""

    model: str = "inline"
    connections: Any = _Connections()
    max_connections_per_peer: int | None = None

    _gs_loop: Any = None
    _gs_is_draining = False
    # Whether another process serves those in the queue when this one drains.
    _gs_leaves_queue = False
    _gs_crew: Crew | None = None
    _gs_peers: Peers | None = None

    def wait_for_connections(
        self, operator: str, count: int, timeout: float | None = None
    ) -> bool:
        """Wait until the number of connections fits; see IDraining."""
        compare = _COMPARISONS.get(operator) if isinstance(operator, str) else None
        if compare is None:
            raise ValueError(f"operator is {operator!r}; give one of {', '.join(_COMPARISONS)}")
        return self._gs_wait_until(lambda: compare(len(self._gs_connections()), count), timeout)

    def _gs_wait_until(self, fits: Callable[[], bool], timeout: float | None) -> bool:
        return self._gs_founded_crew().wait_until(fits, timeout)

    def _gs_connections(self) -> list[Any]:
        return [job for job in self._gs_crew or () if isinstance(job, Connection)]

    def _gs_takes_datagrams(self) -> bool:
        return getattr(self, "socket_type", None) == socket.SOCK_DGRAM

    def _gs_new_job(self, request: Any, client_address: Any) -> Job:
        """The entry in the books for a request."""
        if type(request) is tuple:
            return Job(request, client_address)
        return Connection(request, client_address, self.model, self)

    def _gs_join_crew(self, job):
        crew = self._gs_crew
        if crew is None:
            crew = self._gs_founded_crew()
        is_connection = type(job) is not Job
        if is_connection:
            limit = self.max_connections_per_peer
            if limit is not None and not self._gs_awaits_header(job.client_address):
                self._gs_founded_peers().count(job)
        crew.jobs.add(job)
        if crew.waiters:
            crew.tell_waiters()
        if is_connection:
            events.emit(events.ConnectionOpened, self, job)

    def _gs_awaits_header(self, client_address: Any) -> bool:
        """Whether a connection from there will yet tell whose it is."""
        return False

    def _gs_leave_crew(self, job):
        crew = self._gs_crew
        if crew is None:
            return  # a Ctrl-C kept the first of them from joining it
        is_connection = type(job) is not Job
        if is_connection:
            job.close("finished")
        crew.jobs.discard(job)
        if crew.waiters:
            crew.tell_waiters()
        if is_connection and job.counted_as is not None:
            self._gs_founded_peers().let_go(job)
        loop = self._gs_loop
        if loop is not None and loop.wants_room:
            loop.room_was_made()
        if is_connection:
            events.emit(events.ConnectionClosed, self, job)

    def _gs_founded_crew(self):
        with founding:
            if self._gs_crew is None:
                self._gs_crew = Crew()
            return self._gs_crew

    def _gs_founded_peers(self):
        if self._gs_peers is None:
            with founding:
                if self._gs_peers is None:
                    self._gs_peers = Peers()
        return self._gs_peers

    def _gs_others(self):
        me = self._gs_me()
        return [job for job in self._gs_crew or () if job.worker != me]

    def _gs_await_crew(self, timeout):
        """Wait until no worker but the caller is left; False if ``timeout`` came first."""
        return self._gs_crew is None or self._gs_crew.wait(timeout, besides=self._gs_me())

    def _gs_me(self):
        """What a worker of this model would be known by, were it the caller."""
        return getcurrent()

    def _gs_is_at_work(self):
        """Whether the caller is one of this server's handlers."""
        return self._gs_crew is not None and self._gs_crew.includes(self._gs_me())

    def _gs_is_in_the_way(self, loop: Any) -> bool:
        """Whether the caller keeps the loop from going on as long as it waits."""
        is_serving = getcurrent() is loop.greenlet
        return in_hub() or is_serving or self._gs_is_at_work() or in_signal_handler()
