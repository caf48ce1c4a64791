"""What all models have in common: hand a request to a worker, and know who is at work."""

import socket
import socketserver
from typing import Any

from gevent.hub import getcurrent

from .. import events
from ..net import native
from ..net.accepting import accept
from ..net.crew import Crew
from ..net.hubs import in_hub
from ..net.listeners import BACKLOG
from ..serving import Serving

# Seconds that handlers get to end by themselves once their connection has been shut.
GRACE = 1.0


class ModelMixIn(Serving):
    """The base of the mixins: put one before a server class, greensock's or the stdlib's."""

    block_on_close = True
    daemon_threads = False

    _gs_crew: Crew | None = None
    _gs_finishes_elsewhere = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # As in a ThreadingHTTPServer. Asked here, because asking costs a request too much.
        place = cls.__mro__.index(ModelMixIn)
        cls._gs_finishes_elsewhere = any(
            "process_request_thread" in vars(base) for base in cls.__mro__[place + 1:]
        )

    def server_close(self):
        """Close the server, then wait for running handlers; see IGreenServer.

        With ``block_on_close`` false or ``daemon_threads`` true it does not wait.
        """
        # Handlers of datagrams answer through the server's own socket.
        if getattr(self, "socket_type", None) == socket.SOCK_DGRAM:
            self._gs_let_go()
            self._gs_finish_crew()
            super().server_close()
        else:
            super().server_close()
            self._gs_finish_crew()

    def _gs_finish_crew(self):
        # A signal handler cannot wait; whoever called serve_forever may close once more.
        if self.block_on_close and not self.daemon_threads and not in_hub():
            self._gs_wait_or_cut()

    def _gs_wait_or_cut(self):
        for job in self._gs_crew or ():
            if job.is_at_rest:
                job.shut()
        if self._gs_await_crew(self.drain_timeout):
            return
        for job in self._gs_others():
            if not job.was_cut:
                job.was_cut = True
                events.emit(events.ConnectionCut, self, job.client_address)
                self._gs_cut(job)
        if not self._gs_await_crew(GRACE):
            for job in self._gs_others():
                self._gs_kill(job)
            self._gs_await_crew(GRACE)

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
        """End a worker that did not notice."""

    def _gs_enter(self, job):
        """Make the request what its worker needs; False if its peer failed the TLS handshake."""
        try:
            job.hold(self._gs_settled(job.request))
        except BaseException:
            self.close_request(job.request)
            raise
        try:
            self._gs_under_tls(job.request, job)
        except OSError as error:
            events.emit(events.HandshakeFailed, self, job.client_address, error)
            return False
        return True

    def _gs_join_crew(self, job):
        crew = self._gs_crew
        if crew is None:
            crew = self._gs_first_crew()
        crew.add(job)

    def _gs_first_crew(self):
        with _founding:
            if self._gs_crew is None:
                self._gs_crew = Crew()
            return self._gs_crew

    def _gs_leave_crew(self, job):
        crew = self._gs_crew
        assert crew is not None
        crew.remove(job)
        loop = self._gs_loop
        if loop is not None and loop.starved:
            loop.room_was_made()

    def _gs_me(self):
        """What a worker of this model would be known by, were it the caller."""
        return getcurrent()

    def _gs_is_at_work(self):
        return self._gs_crew is not None and self._gs_crew.includes(self._gs_me())

    # Over a server of the standard library, what it has not overridden is replaced by what
    # greensock's servers do.

    def server_activate(self):
        """Listen; with a longer queue than the standard library's, unless somebody chose one."""
        owner = next((cls for cls in type(self).__mro__ if "request_queue_size" in vars(cls)), None)
        if owner is socketserver.TCPServer and "request_queue_size" not in vars(self):
            self.request_queue_size = max(BACKLOG, self.request_queue_size)
        super().server_activate()

    def get_request(self):
        """Get the request and the client's address, without waiting for them."""
        inherited: Any = super().get_request
        if inherited.__func__ is socketserver.TCPServer.get_request:
            return accept(self.socket, self._gs_connection_kind)
        if inherited.__func__ is socketserver.UDPServer.get_request:
            return self._gs_receive_datagram()
        return inherited()

    def handle_error(self, request, client_address):
        """Report what a handler raised; called inside the active ``except``."""
        inherited: Any = super().handle_error
        if inherited.__func__ is socketserver.BaseServer.handle_error:
            self._gs_report_active(client_address)
        else:
            inherited(request, client_address)

    def process_request_thread(self, request, client_address):
        """Finish one request in its worker, whatever its handler raises."""
        if self._gs_finishes_elsewhere:
            super().process_request_thread(request, client_address)  # type: ignore[misc]
            return
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            if not self._gs_rests(request):
                self.shutdown_request(request)

    def _gs_rests(self, request):
        """Whether its handler waits for the next message, and will be back."""
        return False


_founding = native.make_rlock()
