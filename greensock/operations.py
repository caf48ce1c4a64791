"""What a running server is told and asked by those who look after it.

The settings, the books of its connections, and the orders: suspend, resume, drain, kick and reload.
See ``greensock.interfaces`` for what they promise. The state they keep has defaults on the class,
as all that Serving keeps.
"""

import inspect
import operator
import socket
import socketserver
import ssl
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

from gevent.hub import GreenletExit, getcurrent

from . import events
from .net import handover, native
from .net.admission import Bucket, Peers
from .net.connections import Connection
from .net.crew import Crew, Job
from .net.hubs import in_hub
from .net.listeners import let_rebind
from .net.unixpaths import UnixPath
from .net.wardens import GRACE, WATCHFUL, Warden
from .settings import check_setting, check_settings, is_setting

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

_founding = native.make_rlock()

# Held while a listener is released or opened again.
_turning = native.make_rlock()


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


class _Connections:
    """The attribute ``connections``, which an application may use for something of its own."""

    def __get__(self, server: Any, cls: type | None = None) -> Any:
        if server is None:
            return self
        return sorted(server._gs_connections(), key=lambda each: each.accepted_at)


class Operations(_Served):
    """The settings of a server, and the orders it takes."""

    model: str = "inline"

    max_connections: int | None = None
    max_connections_per_peer: int | None = None
    accept_rate: float | None = None
    accept_burst: int | None = None
    overload: str = "backlog"
    overload_reply: bytes = b""

    idle_timeout: float | None = None
    request_timeout: float | None = None
    handshake_timeout: float | None = 10.0
    send_timeout: float | None = None
    drain_timeout: float | None = 30.0

    ssl_context: Any = None
    implicit_tls: bool = True

    connections: Any = _Connections()

    _gs_loop: Any = None
    _gs_crew: Crew | None = None
    _gs_peers: Peers | None = None
    _gs_bucket: Bucket | None = None
    _gs_warden: Warden | None = None
    _gs_context: ssl.SSLContext | None = None
    _gs_context_from: Any = None
    _gs_was_switched = False
    _gs_suspended: str | None = None
    _gs_is_draining = False
    _gs_was_drained = False
    _gs_drain_began = 0.0
    _gs_drain_ends: float | None = None
    _gs_hearing: WeakSet | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if not is_setting(self, name):
            super().__setattr__(name, value)
            return
        check_setting(name, value)
        if name == "ssl_context":
            self._gs_context = self._gs_made_context(value)
            self._gs_context_from = value
        super().__setattr__(name, value)
        if name == "max_connections_per_peer" and self._gs_peers is not None:
            self._gs_peers.forget_to_count()
        loop = self._gs_loop
        if loop is not None:
            loop.room_was_made()
        if self._gs_warden is not None:
            self._gs_warden.wake()

    def _gs_check_settings(self) -> None:
        """ValueError for one that is wrong, before anything is opened."""
        check_settings(self)
        self._gs_loaded_context()

    # Connections

    def kick(self, connection: Any) -> bool:
        """Cut one of ``connections``; whether it was still open."""
        crew = self._gs_crew
        if crew is None or connection not in crew or connection.was_cut:
            return False
        self._gs_cut_off(connection, "kicked")
        if self._gs_warden is not None:
            self._gs_warden.note_cut()
        return True

    def wait_for_connections(
        self, operator: str, count: int, timeout: float | None = None
    ) -> bool:
        """Wait until the number of connections fits; see IDraining."""
        compare = _COMPARISONS.get(operator) if isinstance(operator, str) else None
        if compare is None:
            raise ValueError(f"operator is {operator!r}; give one of {', '.join(_COMPARISONS)}")
        crew = self._gs_founded_crew()
        return crew.wait_until(lambda: compare(len(self._gs_connections()), count), timeout)

    def _gs_connections(self) -> list[Any]:
        return [job for job in self._gs_crew or () if isinstance(job, Connection)]

    def _gs_new_job(self, request: Any, client_address: Any) -> Job:
        """The entry in the books for a request."""
        if type(request) is tuple:
            return Job(request, client_address)
        return Connection(request, client_address, self.model)

    def _gs_join_crew(self, job):
        crew = self._gs_crew
        if crew is None:
            crew = self._gs_founded_crew()
        if type(job) is Job:
            crew.add(job)
            return
        if self.max_connections_per_peer is not None:
            self._gs_founded_peers().count(job)
        crew.add(job)
        events.emit(events.ConnectionOpened, self, job)

    def _gs_leave_crew(self, job):
        crew = self._gs_crew
        assert crew is not None
        if type(job) is not Job:
            job.close("finished")
        crew.remove(job)
        is_connection = type(job) is not Job
        if is_connection and job.counted_as is not None:
            self._gs_founded_peers().let_go(job)
        loop = self._gs_loop
        if loop is not None and loop.wants_room:
            loop.room_was_made()
        if is_connection:
            events.emit(events.ConnectionClosed, self, job)

    def _gs_founded_crew(self):
        with _founding:
            if self._gs_crew is None:
                self._gs_crew = Crew()
            return self._gs_crew

    def _gs_founded_peers(self):
        if self._gs_peers is None:
            with _founding:
                if self._gs_peers is None:
                    self._gs_peers = Peers()
        return self._gs_peers

    # Deadlines

    def _gs_post_warden(self, hub: Any) -> None:
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
        job.was_cut = True
        if isinstance(job, Connection):
            job.cut_at = monotonic()
            if job.reason is None:
                job.reason = reason
        # Before it is cut, because its worker may end at once, which is told of afterwards.
        events.emit(events.ConnectionCut, self, job.client_address, reason)
        self._gs_cut(job)

    def _gs_tell(self, job):
        """Tell a connection that is idle that nothing will follow."""
        if not job.was_told:
            job.was_told = True
            job.shut(socket.SHUT_RD)

    # Admission

    def suspend(self, release: bool = False) -> None:
        """Take no more, until ``resume``; see IAdmission."""
        if release and not hasattr(self, "socket"):
            raise TypeError(f"{self!r} has no socket to release; call suspend() without it")
        with _turning:
            self._gs_suspended = "release" if release else self._gs_suspended or "keep"
        loop = self._gs_loop
        if loop is not None:
            loop.suspend(wait=not self._gs_is_in_the_way(loop))
        else:
            self._gs_release_if_asked()

    def resume(self) -> None:
        """Go on taking; see IAdmission."""
        with _turning:
            if self._gs_suspended == "release" and self.fileno() < 0 and not self._gs_is_draining:
                self._gs_open_listener()
            self._gs_suspended = None
        loop = self._gs_loop
        if loop is not None:
            loop.ring()

    def _gs_forget_suspension(self) -> None:
        """The server ends; ``resume`` must not open it again."""
        with _turning:
            self._gs_suspended = None

    def _gs_is_in_the_way(self, loop: Any) -> bool:
        """Whether the caller keeps the loop from going on as long as it waits."""
        return in_hub() or getcurrent() is loop.greenlet or self._gs_is_at_work()

    def _gs_release_if_asked(self) -> None:
        """Close the listener, unless ``resume`` was faster."""
        with _turning:
            if self._gs_suspended == "release":
                self._gs_release_listener()

    def _gs_release_listener(self) -> None:
        """Close the listener, and nothing else."""
        self.socket.close()

    def _gs_open_listener(self) -> None:
        """Listen again where the listener was that is closed."""
        old, address = self.socket, self.server_address
        self.socket = native.Socket(self.address_family, self.socket_type)
        try:
            let_rebind(self.socket)
            self._gs_clear_path()
            self.server_bind()
            self.server_activate()
            self.socket.settimeout(old.gettimeout())
            if handover.is_tls(old):
                self.socket = handover.listening_alike(self.socket, old)
        except BaseException:
            self.socket.close()
            self.socket, self.server_address = old, address
            raise

    def _gs_clear_path(self) -> None:
        """Remove what the standard library has left of the listener that was released."""
        if self.address_family == getattr(socket, "AF_UNIX", None):
            with native.Socket(self.address_family, self.socket_type) as scratch:
                if path := UnixPath.bind(scratch, self.server_address):
                    path.remove()

    def _gs_takes_datagrams(self) -> bool:
        return getattr(self, "socket_type", None) == socket.SOCK_DGRAM

    def _gs_is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        most = self.max_connections
        if most is None or self._gs_takes_datagrams():
            return False
        return most is not None and self._gs_crew is not None and len(self._gs_crew) >= most

    def _gs_has_room(self) -> bool:
        """Whether one more request may be taken; whoever makes room rings the loop."""
        return not self._gs_is_full()

    def _gs_refuse(self, request: Any, client_address: Any, reason: str) -> None:
        """Turn away a connection that was accepted."""
        if reply := self._gs_refusal():
            handover.send_once(request, reply)
        events.emit(events.ConnectionRefused, self, client_address, reason)
        self.shutdown_request(request)

    def _gs_refusal(self) -> bytes:
        """What those hear who are turned away."""
        if self.overload != "reject" or self._gs_speaks_tls():
            return b""
        return bytes(self.overload_reply)

    # TLS

    def _gs_speaks_tls(self) -> bool:
        """Whether connections begin with a handshake."""
        if handover.is_tls(getattr(self, "socket", None)):
            return True
        return self._gs_context is not None and self.implicit_tls

    def _gs_may_shake_hands(self) -> bool:
        """Whether there are handshakes that may take too long."""
        return self._gs_context is not None or self._gs_was_switched or self._gs_speaks_tls()

    def reload_tls(self) -> None:
        """Have ``ssl_context`` called again; see ITLS."""
        make = self.ssl_context
        if make is None or native.is_ssl_context(make):
            raise TypeError(
                f"ssl_context is {make!r}, and there is nothing to load it from again; "
                "set a function that returns an ssl.SSLContext"
            )
        self._gs_context = self._gs_made_context(make)
        self._gs_context_from = make
        events.emit(events.TLSReloaded, self)

    def _gs_made_context(self, value: Any) -> ssl.SSLContext | None:
        if value is not None and getattr(self, "socket_type", None) == socket.SOCK_DGRAM:
            raise ValueError("ssl_context is set, but a server of datagrams speaks no TLS")
        if value is None:
            return None
        if native.is_ssl_context(value):
            return checked_context(value, "ssl_context is")
        return checked_context(_without_arguments(value)(), "ssl_context returned")

    def _gs_loaded_context(self) -> ssl.SSLContext | None:
        """The context that ``ssl_context`` stands for, made once."""
        if self._gs_context_from != self.ssl_context:
            self._gs_context = self._gs_made_context(self.ssl_context)
            self._gs_context_from = self.ssl_context
        return self._gs_context

    # The end

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
        """Let nobody new into the queue, where that can be done; whether some may be on the way."""
        return False

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
        """Wait for the workers, then cut them; return the jobs of those it had to."""
        if self._gs_await_patiently(timeout):
            return []
        late = self._gs_others()
        for job in late:
            if not job.was_cut:
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

    def _gs_others(self):
        me = self._gs_me()
        return [job for job in self._gs_crew or () if job.worker != me]

    def _gs_await_crew(self, timeout):
        """Wait until no worker but the caller is left; False if ``timeout`` came first."""
        return self._gs_crew is None or self._gs_crew.wait(timeout, besides=self._gs_me())

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

    def _gs_me(self):
        """What a worker of this model would be known by, were it the caller."""
        return getcurrent()

    def _gs_is_at_work(self):
        """Whether the caller is one of this server's handlers."""
        return self._gs_crew is not None and self._gs_crew.includes(self._gs_me())

    def _gs_drain_left(self):
        """Seconds until those still at work are cut; None for no limit."""
        if self._gs_drain_ends is None:
            return None if self._gs_is_draining else self.drain_timeout
        return max(0.0, self._gs_drain_ends - monotonic())

    def _gs_hear(self, handler):
        """Note a handler that wants to be told when the server begins to drain."""
        if self._gs_hearing is None:
            self._gs_hearing = WeakSet()
        self._gs_hearing.add(handler)
        if self._gs_is_draining:
            self._gs_tell_handlers()

    def _gs_tell_handlers(self):
        hearing, self._gs_hearing = self._gs_hearing, None
        for handler in list(hearing or ()):
            try:
                handler.draining()
            except Exception as error:
                events.emit(events.RequestFailed, self, handler.client_address, error)


def checked_context(context: Any, what: str) -> ssl.SSLContext:
    """The context; TypeError or ValueError, beginning with ``what``, if no server can use it."""
    if not native.is_ssl_context(context):
        raise TypeError(f"{what} {context!r}; give an ssl.SSLContext")
    if context.protocol == ssl.PROTOCOL_TLS_CLIENT:
        raise ValueError(
            f"{what} a context for clients; make it with ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)"
        )
    return context


def _without_arguments(function: Any) -> Any:
    # A function that stands in a class has become a method, and may not know of any ``self``.
    plain = getattr(function, "__func__", function)
    try:
        first = next(iter(inspect.signature(plain).parameters.values()), None)
    except ValueError:
        return function  # a builtin, which cannot be asked
    return plain if first is None or first.default is not first.empty else function
