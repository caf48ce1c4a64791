"""What every greensock server and every model shares: serving, and being asked to stop.

``Serving`` is inherited by the servers *and* by the mixins, so that a mixin brings the accept loop
along to a server of the standard library. Everything it needs to keep has a default on the class,
because a server's constructor may be anybody's and may fail half-way. What is private to it begins
with ``_gs_``: it shares its namespace with every server ever written, and theirs are full of
``_run``, ``_loop`` and, in ``xmlrpc.server``, ``_dispatch``.
"""

import socket
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from typing import Any

from gevent.hub import getcurrent
from zope.interface import implementer

from . import events
from .callables import is_plain_class
from .errors import AlreadyServing
from .factories import as_factory, check_callable, check_kind
from .interfaces import IGreenServer
from .loop import Loop
from .net import native
from .net.crossing import Event
from .net.guards import make_guard
from .net.hubs import borrowed_hub, in_main_thread, is_bottom
from .steps import STEPS, own_steps
from .strays import Strays
from .toolbox import GREEN

_starting = make_guard()


class _Beginning:
    """``serve_forever`` before it has a loop: ``thread`` is in it, and ``ended`` tells its end."""

    def __init__(self):
        self.thread = native.get_ident()
        self.ended = Event()


@implementer(IGreenServer)
class Serving(Strays):
    """``serve_forever``, ``handle_request`` and ``shutdown`` on the hub of the calling thread."""

    _gs_beginning: _Beginning | None = None
    _gs_was_served = False
    _gs_stop_on_start = False
    _gs_is_plain_class = False
    _gs_has_workers = False

    @property
    def toolbox(self) -> Any:
        """Concurrency tools that are right where this server's handlers run; see IToolbox."""
        return GREEN

    def _gs_adapt(self, handler: Any) -> None:
        self._gs_factory = as_factory(handler)
        self._gs_is_plain_class = is_plain_class(self._gs_factory)

    RequestHandlerClass = property(
        attrgetter("_gs_factory"),  # in C, because every request asks for it
        _gs_adapt,
        doc="The factory that handles each request; adapted when it is assigned.",
    )

    def _gs_handle(self, request: Any, client_address: Any) -> None:
        """Handle one request: call RequestHandlerClass."""
        factory = self.RequestHandlerClass
        if self._gs_is_plain_class:
            # What calling the class does, without the stack that it takes a greenlet up to 3.12.
            factory.__new__(factory).__init__(request, client_address, self)
        else:
            factory(request, client_address, self)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Handle requests until ``shutdown()``; see IGreenServer.

        ``poll_interval``: seconds within which an overridden ``service_actions`` is called
        again. Nothing else waits for it.
        """
        with self._gs_begin(), ExitStack() as at_the_end, borrowed_hub() as hub:
            loop = self._gs_open_loop(hub)
            if loop is None:
                return
            at_the_end.callback(loop.announce_end)
            try:
                loop.run(poll_interval if self._gs_is_overridden("service_actions") else None)
            finally:
                self._gs_close_loop(loop)
                self._gs_leave_thread(loop)

    def handle_request(self) -> None:
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

    def shutdown(self) -> None:
        """Make ``serve_forever`` return and wait until it has; see IGreenServer for where from."""
        was_served = self._gs_was_served  # the loop after this, lest it begin in between
        loop = self._gs_loop
        if loop is None and not was_served:
            # serve_forever may be starting in another thread at this very moment. No lock: a
            # signal handler may have interrupted whoever holds it.
            self._gs_stop_on_start = True
            beginning, loop = self._gs_beginning, self._gs_loop
            if loop is not None:
                self._gs_stop_on_start = False
            elif beginning is not None and beginning.thread != native.get_ident():
                beginning.ended.wait()
        if loop is None or not loop.serving:
            return
        loop.stop()
        if not self._gs_is_in_the_way(loop):
            loop.wait_for_end()

    def server_close(self) -> None:
        """End the loop, then close what the server holds."""
        self._gs_let_go()
        self._gs_drop_view()
        self._gs_forget_suspension()
        super().server_close()
        loop = self._gs_loop
        if loop is not None:
            loop.stop()  # it may have begun in between
        if not self._gs_has_workers:
            self._gs_close_bus()

    def _gs_let_go(self):
        """End the loop, and see that its hub does not hold the socket any more."""
        loop = self._gs_loop
        if loop is not None:
            loop.let_go()

    def _gs_check_handler(self):
        if not self._gs_is_overridden("finish_request"):
            check_callable(self.RequestHandlerClass)
            if not self._gs_is_overridden("get_request") and hasattr(self, "socket"):
                check_kind(self.RequestHandlerClass, self.socket_type == socket.SOCK_DGRAM)

    @contextmanager
    def _gs_begin(self):
        """Check everything, and have who shuts down before there is a loop wait for the end."""
        beginning = self._gs_beginning = _Beginning()
        try:
            self._gs_check_handler()
            self._gs_check_settings()
            yield
        finally:
            if self._gs_beginning is beginning:
                self._gs_beginning = None
            beginning.ended.set()

    def _gs_open_loop(self, hub):
        """The loop to run, or None for a server that was shut down and closed before it began."""
        if self._gs_stop_on_start and self.fileno() < 0:
            self._gs_stop_on_start = False
            return None
        with _starting:
            if self._gs_loop is not None:
                raise AlreadyServing(
                    f"{self!r} is being served already; call shutdown() and let that end first, "
                    "or make a second server"
                )
            loop = self._gs_loop = self._gs_new_loop(hub)
        self._gs_was_served = True
        try:
            if self._gs_stop_on_start:
                self._gs_stop_on_start = False
                loop.stop()
            self._gs_loop_opened(loop)
            events.emit(events.ServerStarted, self)
        except BaseException:
            self._gs_close_loop(loop)
            raise
        return loop

    def _gs_new_loop(self, hub: Any) -> Any:
        """What ``serve_forever`` runs."""
        return Loop(self, hub, serving=True)

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

    def _gs_is_overridden(self, name):
        """Whether the hook is not only what the standard library and greensock make of it."""
        homes = {cls.__module__ for cls in type(self).__mro__ if name in vars(cls)}
        ours = {home for home in homes if home.partition(".")[0] in ("greensock", "socketserver")}
        return name in vars(self) or homes != ours

    def _gs_loop_opened(self, loop):
        """The accept loop is about to run on the hub of this thread."""
        if loop.serving:
            self._gs_own_steps = own_steps(self)
            self._gs_open_bus()
        self._gs_post_warden(loop.hub)

    def _gs_loop_closing(self, loop):
        """The accept loop has ended; its hub is still this thread's."""
        if loop.serving:
            self._gs_own_steps = STEPS
            if self._gs_warden is not None:
                self._gs_warden.close()

    def _gs_linger(self, loop):
        """Let workers finish that would stop with this thread; ``loop`` has ended."""
