"""The way of a request from ``get_request`` to ``process_request``, and what it is made on it.

What is here is for the serving greenlet itself; a mixin has what its model does otherwise.
"""

import sys
from time import monotonic
from typing import Any

from gevent import Timeout
from gevent.hub import GreenletExit, getcurrent

from . import events
from .net import handover
from .net.accepting import acceptor, receiver
from .net.admission import host_of
from .net.connections import Connection
from .net.meters import NOBODY
from .net.sockets import CooperativeSocket
from .operations import Operations
from .operations.certificates import checked_context


class Requests(Operations):
    """Receives requests, admits them, and makes them what their handlers need."""

    _gs_view: handover.View | None = None
    _gs_requests_per_turn = 1
    _gs_connection_kind: Any = CooperativeSocket

    def _gs_intake(self, overridden: bool) -> Any:
        """What the loop calls to get a request, which may be overridden, and to dispatch it."""
        if overridden or not hasattr(self, "socket"):
            return self.get_request, self._gs_dispatch
        if self._gs_shares_socket_with_handlers():
            _, view = self._gs_settled((b"", self.socket))
            return self._gs_datagrams_for(view), self._gs_way_for_datagrams()
        if self._gs_takes_datagrams():
            return self.get_request, self._gs_dispatch
        return acceptor(self.socket, self._gs_connection_kind), self._gs_dispatch

    def _gs_release_listener(self):
        self._gs_drop_view()  # its descriptor may be somebody else's soon
        super()._gs_release_listener()

    def _gs_dispatch(self, request, client_address):
        """See one request from ``get_request`` into the hands of ``process_request``."""
        limit = self.max_connections_per_peer
        if limit is not None and self._gs_is_one_too_many(request, client_address, limit):
            self._gs_refuse(request, client_address, "max_connections_per_peer")
        else:
            self._gs_admit(self._gs_receive(request), client_address)

    def _gs_is_one_too_many(self, request, client_address, limit):
        if isinstance(request, tuple) or self._gs_awaits_header(client_address):
            return False  # a datagram, or it is not known yet whose it is
        host = host_of(client_address)
        return not self._gs_founded_peers().has_room_for(host, limit, self._gs_connections)

    def _gs_admit(self, request, client_address):
        try:
            if self.verify_request(request, client_address):
                self._gs_process(request, client_address)
            else:
                events.emit(events.ConnectionRefused, self, client_address, "verify_request")
                self._gs_end(request, client_address)
        except Exception:
            self._gs_fail(request, client_address)
        except Timeout as error:  # which a hook has set itself, and is no Exception
            self._gs_report(client_address, error)
            self._gs_end(request, client_address)
        except BaseException:
            self.shutdown_request(request)
            raise

    def _gs_way_for_datagrams(self):
        """What the loop calls to dispatch one of them."""
        return self._gs_admit

    def _gs_fail(self, request, client_address):
        try:
            self.handle_error(request, client_address)
        finally:
            self._gs_end(request, client_address)

    def _gs_process(self, request, client_address):
        """Have the request handled, which is not to end the server."""
        job = self._gs_new_job(request, client_address)
        job.worker = getcurrent()
        try:
            self._gs_join_crew(job)
            if self._gs_enter(job):
                request = job.request
                self.process_request(request, job.client_address)
                if job.request is not request:
                    self._gs_finish_switched(job)
        except Exception:
            self._gs_note_failure(job)
            self._gs_fail(job.request, job.client_address)
        except GreenletExit:
            self._gs_note_failure(job)
            self._gs_end(job.request, job.client_address)
            if not job.was_cut:
                raise
        except BaseException:
            self._gs_note_failure(job)
            self.shutdown_request(job.request)
            raise
        finally:
            self._gs_leave_crew(job)

    def _gs_enter(self, job):
        """Make the request what its worker needs; False if its peer did not let it come to that.

        A PROXY header comes off, and the TLS handshake is made.
        """
        try:
            job.hold(self._gs_settled(job.request))
            if self.proxy_protocol is not None and not self._gs_take_header(job):
                return False
            if not self._gs_begin_tls(job):
                return False
            job.begin()
            return True
        except BaseException:
            self.close_request(job.request)
            raise

    def _gs_begin_tls(self, job):
        """Make the handshake, if this connection begins with one; False if it fails."""
        listener: Any = getattr(self, "socket", None)
        is_wrapped = handover.is_tls(listener)
        if not is_wrapped and (self.ssl_context is None or not self.implicit_tls):
            return True
        if handover.is_tls(job.request) or isinstance(job.request, tuple):
            return True  # an application's own get_request was faster
        context = listener.context if is_wrapped else self._gs_loaded_context()
        try:
            if is_wrapped:
                ragged, at_once = listener.suppress_ragged_eofs, listener.do_handshake_on_connect
                self._gs_shake_hands(job, context, ragged, at_once, is_first=True)
            else:
                self._gs_shake_hands(job, context, is_first=True)
        except OSError:
            return False
        return True

    def _gs_shake_hands(
        self, job, context, suppress_ragged_eofs=True, at_once=True, *, is_first=False
    ):
        """Go on under TLS; OSError if the handshake fails, and then the connection is closed.

        ``is_first``: whether its handler is yet to begin.
        """
        job.handshake_since = monotonic()
        try:
            # Whoever cuts it may have to do so in mid-handshake.
            job.hold(handover.under_tls(job.request, context, suppress_ragged_eofs, at_once))
            if at_once:
                handover.shake_hands(job.request)
        except OSError as error:
            raise self._gs_handshake_failed(job, error)
        finally:
            if not job.was_cut:  # or else whoever looks on shall see in the midst of what it was
                if is_first:
                    job.working_since = monotonic()  # before anybody takes it for at work
                job.handshake_since = 0.0

    def _gs_handshake_failed(self, job, error):
        """Tell of it; return the error that says why."""
        if job.reason is None:
            job.reason = "handshake"
        elif job.reason == "handshake_timeout":
            error = TimeoutError(f"no handshake within {self.handshake_timeout} s")
        events.emit(events.HandshakeFailed, self, job.client_address, error)
        return error

    def _gs_switch_to_tls(self, request, client_address, context):
        """What a handler goes on with that has asked for TLS."""
        if context is None:
            context = self._gs_loaded_context()
        else:
            checked_context(context, "context is")
        if context is None:
            raise RuntimeError("there is no context for TLS: pass one, or set ssl_context")
        if isinstance(request, tuple):
            raise RuntimeError("a datagram cannot switch to TLS, which is for connections")
        if handover.is_tls(request):
            raise RuntimeError(f"the connection from {client_address} speaks TLS already")
        if not self._gs_was_switched:
            self._gs_was_switched = True
            if self._gs_warden is not None:
                self._gs_warden.wake()
        job = getattr(request, "meter", None)
        if not isinstance(job, Connection):
            # An application's own.
            job = Connection(request, client_address, self.model, self)
        job.pause()
        self._gs_shake_hands(job, context)
        job.begin()
        return job.request

    def _gs_finish_switched(self, job):
        """Shut down what a handler has gone on with, under TLS, instead of its request."""
        request = job.request
        if request is not None:  # the server was closed meanwhile, and has struck it off
            self._gs_end(request, job.client_address)

    def _gs_job_of(self, request):
        """The entry in the books for a request; None if there is none any more."""
        meter = getattr(request, "meter", None)
        if isinstance(meter, Connection):
            return meter
        return next((job for job in self._gs_connections() if job.request is request), None)

    def shutdown_request(self, request: Any) -> None:
        """End a request: say goodbye to the peer, unless it is to be reset, and close it.

        Who was told goodbye would take what it has got for all there is.
        """
        if getattr(request, "meter", NOBODY).is_to_be_reset:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def _gs_note_failure(self, job):
        if isinstance(job, Connection) and job.reason is None:
            job.reason = "failed"

    def _gs_receive(self, request):
        """The request as it comes from the accept loop."""
        return self._gs_settled(request)

    def _gs_settled(self, request):
        """The request as greenlets of this thread want it."""
        if type(request) is CooperativeSocket:
            return request
        if isinstance(request, tuple):
            return self._gs_with_view(request, handover.cooperative_view)
        if request is getattr(self, "socket", None):
            return request
        return handover.cooperative(request)

    # Datagrams

    def _gs_receive_datagram(self) -> Any:
        """``get_request`` of a datagram server."""
        return self._gs_datagrams_for(self.socket)()

    def _gs_datagrams_for(self, shared):
        limit: int = self.max_packet_size  # type: ignore[attr-defined]  # of a datagram server

        def truncated(client_address):
            events.emit(events.DatagramTruncated, self, client_address, limit)

        return receiver(self.socket, shared, limit, truncated)

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

    def _gs_shares_socket_with_handlers(self):
        """Whether handlers get a cooperative view of the server's own socket."""
        return self._gs_takes_datagrams()

    def _gs_report_drops(self, loop, *, now=False):
        """Tell of datagrams the system has dropped, if any; called after each turn of the loop."""
        if loop.drops is not None:
            new, total = loop.drops.look(now=now)
            if new:
                events.emit(events.DatagramsDropped, self, new, total)

    # Failures

    def _gs_report_active(self, client_address):
        self._gs_report(client_address, sys.exc_info()[1])

    def _gs_report(self, client_address, error):
        events.emit(events.RequestFailed, self, client_address, error)
