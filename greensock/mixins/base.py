"""What all models have in common: hand a request to a worker, and know who is at work."""

import os
import socket
import socketserver
from functools import partial
from typing import Any

from ..net.accepting import accept
from ..net.hubs import in_hub
from ..net.listeners import BACKLOG, let_rebind
from ..serving import Serving
from ..strays import OURS


class ModelMixIn(Serving):
    """The base of the mixins: put one before a server class, greensock's or the stdlib's."""

    block_on_close = True
    daemon_threads = False

    _gs_has_workers = True
    _gs_finishes_elsewhere = False
    # The handlers that wait for the next message and will be back, by their connections.
    _gs_resting: dict | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # As in a ThreadingHTTPServer. Asked here, because asking costs a request too much.
        place = cls.__mro__.index(ModelMixIn)
        cls._gs_finishes_elsewhere = any(
            "process_request_thread" in vars(base) for base in cls.__mro__[place + 1:]
        )

    def server_close(self) -> None:
        """Close the server, then wait for running handlers; see IGreenServer.

        With ``block_on_close`` false or ``daemon_threads`` true it does not wait.
        """
        # Handlers of datagrams answer through the server's own socket.
        if self._gs_takes_datagrams():
            self._gs_let_go()
            self._gs_finish_crew()
            super().server_close()
        else:
            super().server_close()
            self._gs_finish_crew()
        self._gs_close_bus()

    def _gs_finish_crew(self):
        # A signal handler cannot wait; whoever called serve_forever may close once more.
        if in_hub():
            return
        if self._gs_is_draining or self.block_on_close and not self.daemon_threads:
            for job in self._gs_crew or ():
                if job.is_at_rest:
                    # What was posted goes out before it ends, if that is what it waits for.
                    job.shut(socket.SHUT_RD if job.has_mail else socket.SHUT_RDWR)
            self._gs_drain_is_over(self._gs_wait_or_cut(self._gs_drain_left()))

    def _gs_process(self, request, client_address):
        self.process_request(request, client_address)

    # Over a server of the standard library, what it has not overridden is replaced by what
    # greensock's servers do.

    def server_bind(self) -> None:
        """Bind the socket, unless a setting of the server is wrong: ValueError."""
        self._gs_check_settings()
        self._gs_bound_in = os.getpid()
        super().server_bind()

    def server_activate(self) -> None:
        """Listen; with a longer queue than the standard library's, unless somebody chose one."""
        owner = next((cls for cls in type(self).__mro__ if "request_queue_size" in vars(cls)), None)
        if owner is socketserver.TCPServer and "request_queue_size" not in vars(self):
            self.request_queue_size = max(BACKLOG, self.request_queue_size)
        if hasattr(self, "socket"):
            let_rebind(self.socket)
        super().server_activate()

    def get_request(self) -> Any:
        """Get the request and the client's address, without waiting for them."""
        inherited: Any = super().get_request
        if inherited.__func__ is socketserver.TCPServer.get_request:
            return accept(self.socket, self._gs_connection_kind)
        if inherited.__func__ is socketserver.UDPServer.get_request:
            return self._gs_receive_datagram()
        return inherited()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what a handler raised; called inside the active ``except``."""
        inherited: Any = super().handle_error
        if inherited.__func__ is socketserver.BaseServer.handle_error:
            self._gs_report_active(client_address)
        else:
            inherited(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Finish one request in its worker, whatever its handler raises."""
        if type(request) in OURS and self._gs_is_astray(request):
            finish = partial(ModelMixIn.process_request_thread, self)
            self._gs_take_in(request, client_address, finish, ends=True)
            return
        if self._gs_finishes_elsewhere:
            super().process_request_thread(request, client_address)  # type: ignore[misc]
            return
        self._gs_finish(request, client_address)

    def _gs_finish(self, request, client_address):
        """What process_request_thread does with a request that is in the books."""
        try:
            if "finish_request" in self._gs_own_steps:
                self.finish_request(request, client_address)
            else:
                self._gs_handle(request, client_address)
        except Exception:
            self._gs_note_failure(self._gs_job_of(request))
            self.handle_error(request, client_address)
        finally:
            if not self._gs_resting or request not in self._gs_resting:
                self._gs_end(request, client_address)
