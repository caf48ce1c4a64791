"""What every greensock server and every model shares: serving, and being asked to stop.

``Serving`` is inherited by the servers *and* by the mixins, so that a mixin brings the accept loop
along to a server of the standard library. Everything it needs to keep has a default on the class,
because a server's constructor may be anybody's and may fail half-way. What is private to it begins
with ``_gs_``: it shares its namespace with every server ever written, and theirs are full of
``_run``, ``_loop`` and, in ``xmlrpc.server``, ``_dispatch``.
"""

import socket
import socketserver
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from gevent.hub import getcurrent
from zope.interface import implementer

from . import events
from .errors import AlreadyServing
from .factories import as_factory, check_callable, is_plain_class
from .interfaces import IGreenServer
from .loop import Loop
from .net import handover, native
from .net.accepting import receiver
from .net.hubs import borrowed_hub, in_hub, in_main_thread, is_bottom
from .net.sockets import CooperativeSocket
from .toolbox import GREEN

if TYPE_CHECKING:
    _Served = socketserver.TCPServer  # what it comes before in a server's bases
else:
    _Served = object

_starting = native.make_rlock()


@implementer(IGreenServer)
class Serving(_Served):
    """``serve_forever``, ``handle_request`` and ``shutdown`` on the hub of the calling thread."""

    model: str = "inline"
    drain_timeout: float | None = 30.0
    overload: str = "backlog"

    _gs_loop: Loop | None = None
    _gs_was_served = False
    _gs_stop_on_start = False
    _gs_is_plain_class = False
    _gs_view: handover.View | None = None
    _gs_requests_per_turn = 1
    _gs_connection_kind: type = CooperativeSocket

    @property
    def toolbox(self) -> Any:
        """Concurrency tools that are right where this server's handlers run; see IToolbox."""
        return GREEN

    @property
    def RequestHandlerClass(self) -> Any:
        """The factory that handles each request; adapted when it is assigned."""
        return self._gs_factory

    @RequestHandlerClass.setter
    def RequestHandlerClass(self, handler: Any) -> None:
        self._gs_factory = as_factory(handler)
        self._gs_is_plain_class = is_plain_class(self._gs_factory)

    def serve_forever(self, poll_interval=0.5):
        """Handle requests until ``shutdown()``; see IGreenServer.

        ``poll_interval``: seconds within which an overridden ``service_actions`` is called
        again. Nothing else waits for it.
        """
        self._gs_check_handler()
        with ExitStack() as at_the_end, borrowed_hub() as hub:
            loop = self._gs_open_loop(hub)
            at_the_end.callback(loop.announce_end)
            try:
                loop.run(poll_interval if self._gs_is_overridden("service_actions") else None)
            finally:
                self._gs_close_loop(loop)
                self._gs_leave_thread(loop)

    def handle_request(self):
        """Wait for one request and process it.

        Waits at most ``timeout`` seconds, or the socket's own timeout if that is shorter, and
        then calls ``handle_timeout``.
        """
        self._gs_check_handler()
        own = self.socket.gettimeout() if hasattr(self, "socket") else None
        limits = [limit for limit in (own, self.timeout) if limit is not None]
        with ExitStack() as at_the_end, borrowed_hub() as hub:
            loop = Loop(self, hub, serving=False)
            at_the_end.callback(loop.announce_end)
            alone = self._gs_loop is None
            if alone:
                self._gs_loop = loop
            try:
                if alone:
                    self._gs_loop_opened(loop)
                taken = loop.run_once(min(limits, default=None))
            finally:
                if alone:
                    self._gs_loop = None
                    self._gs_loop_closing(loop)
                loop.close()
                self._gs_leave_thread(loop)
        if not taken:
            return self.handle_timeout()

    def shutdown(self):
        """Make ``serve_forever`` return and wait until it has; see IGreenServer for where from."""
        was_served = self._gs_was_served  # the loop after this, lest it begin in between
        loop = self._gs_loop
        if loop is None and not was_served:
            # serve_forever may be starting in another thread at this very moment. No lock: a
            # signal handler may have interrupted whoever holds it.
            self._gs_stop_on_start = True
            loop = self._gs_loop
            if loop is not None:
                self._gs_stop_on_start = False
        if loop is None or not loop.serving:
            return
        loop.stop()
        if in_hub() or getcurrent() is loop.greenlet or self._gs_is_at_work():
            return
        loop.wait_for_end()

    def server_close(self):
        """End the loop, then close what the server holds."""
        self._gs_let_go()
        self._gs_drop_view()
        super().server_close()
        loop = self._gs_loop
        if loop is not None:
            loop.stop()  # it may have begun in between

    def _gs_let_go(self):
        """End the loop, and see that its hub does not hold the socket any more."""
        loop = self._gs_loop
        if loop is not None:
            loop.let_go()

    def _gs_check_handler(self):
        if not self._gs_is_overridden("finish_request"):
            check_callable(self.RequestHandlerClass)

    def _gs_open_loop(self, hub):
        with _starting:
            if self._gs_loop is not None:
                raise AlreadyServing(
                    f"{self!r} is being served already; call shutdown() and let that end first, "
                    "or make a second server"
                )
            loop = self._gs_loop = Loop(self, hub, serving=True)
        self._gs_was_served = True
        if self._gs_stop_on_start:
            self._gs_stop_on_start = False
            loop.stop()
        self._gs_loop_opened(loop)
        events.emit(events.ServerStarted, self)
        return loop

    def _gs_close_loop(self, loop):
        self._gs_loop = None
        self._gs_loop_closing(loop)
        self._gs_report_drops(loop, now=True)
        loop.close()
        events.emit(events.ServerStopped, self)

    def _gs_leave_thread(self, loop):
        # What runs on this thread's hub stops with the thread, unless that is the main one or
        # its main greenlet is still elsewhere.
        if is_bottom(getcurrent()) and not in_main_thread():
            self._gs_linger(loop)
            if self._gs_shares_socket_with_handlers():
                self._gs_drop_view()

    def _gs_dispatch(self, request, client_address):
        """See one request from ``get_request`` into the hands of ``process_request``."""
        try:
            request = self._gs_receive(request)
        except OSError as error:
            events.emit(events.HandshakeFailed, self, client_address, error)
            return
        self._gs_admit(request, client_address)

    def _gs_admit(self, request, client_address):
        try:
            if self.verify_request(request, client_address):
                self.process_request(request, client_address)
            else:
                self.shutdown_request(request)
        except Exception:
            try:
                self.handle_error(request, client_address)
            finally:
                self.shutdown_request(request)
        except BaseException:
            self.shutdown_request(request)
            raise

    def _gs_intake(self, overridden: bool) -> Any:
        """What the loop calls to get a request, which may be overridden, and to dispatch it."""
        if self._gs_shares_socket_with_handlers() and not overridden:
            _, view = self._gs_settled((b"", self.socket))
            return self._gs_datagrams_for(view), self._gs_admit
        return self.get_request, self._gs_dispatch

    def _gs_report_drops(self, loop, *, now=False):
        """Tell of datagrams the system has dropped, if any; called after each turn of the loop."""
        if loop.drops is not None:
            new, total = loop.drops.look(now=now)
            if new:
                events.emit(events.DatagramsDropped, self, new, total)

    def _gs_receive_datagram(self) -> Any:
        """``get_request`` of a datagram server."""
        return self._gs_datagrams_for(self.socket)()

    def _gs_datagrams_for(self, shared):
        limit: int = self.max_packet_size  # type: ignore[attr-defined]  # of a datagram server

        def truncated(client_address):
            events.emit(events.DatagramTruncated, self, client_address, limit)

        return receiver(self.socket, shared, limit, truncated)

    def _gs_report_active(self, client_address):
        self._gs_report(client_address, sys.exc_info()[1])

    def _gs_report(self, client_address, error):
        events.emit(events.RequestFailed, self, client_address, error)

    def _gs_is_overridden(self, name):
        """Whether the hook is not only what the standard library and greensock make of it."""
        homes = {cls.__module__ for cls in type(self).__mro__ if name in vars(cls)}
        ours = {home for home in homes if home.partition(".")[0] in ("greensock", "socketserver")}
        return name in vars(self) or homes != ours

    # What a model does in its own way. A request arrives in the accept loop (_receive) and is
    # entered by its worker (_enter); inline, the two are one place.

    def _gs_receive(self, request):
        return self._gs_under_tls(self._gs_settled(request))

    def _gs_settled(self, request):
        """The request as greenlets of this thread want it."""
        if isinstance(request, tuple):
            return self._gs_with_view(request, handover.cooperative_view)
        if request is getattr(self, "socket", None):
            return request
        return handover.cooperative(request)

    def _gs_with_view(self, request, make_view):
        """A datagram with a socket its handler can use, instead of the listener."""
        own = getattr(self, "socket", None)
        if own is None or len(request) != 2 or request[1] is not own or own.fileno() < 0:
            return request
        if self._gs_view is None or not self._gs_view.suits(own):
            self._gs_drop_view()
            self._gs_view = make_view(own)
        return request[0], self._gs_view.socket

    def _gs_drop_view(self):
        view, self._gs_view = self._gs_view, None
        if view is not None:
            view.drop()

    def _gs_under_tls(self, request, job=None):
        listener = getattr(self, "socket", None)
        if handover.is_tls(listener) and not handover.is_tls(request):
            request = handover.under_tls(request, listener)
            if job is not None:
                job.hold(request)  # whoever cuts it may have to do so in mid-handshake
            handover.shake_hands(request)
        return request

    def _gs_shares_socket_with_handlers(self):
        """Whether handlers get a cooperative view of the server's own socket."""
        return getattr(self, "socket_type", None) == socket.SOCK_DGRAM

    def _gs_has_room(self):
        """Whether one more request may be taken; whoever makes room rings the loop."""
        return True

    def _gs_is_at_work(self):
        """Whether the caller is one of this server's handlers."""
        return False

    def _gs_loop_opened(self, loop):
        """The accept loop is about to run on the hub of this thread."""

    def _gs_loop_closing(self, loop):
        """The accept loop has ended; its hub is still this thread's."""

    def _gs_linger(self, loop):
        """Let workers finish that would stop with this thread; ``loop`` has ended."""
