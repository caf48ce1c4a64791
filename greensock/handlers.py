"""Request handlers: the standard library's, with the toolbox of the model they run under."""

import io
import socket
import socketserver
from typing import Any

from zope.interface import implementer

from .interfaces import IDatagramRequestHandler, IGreenRequestHandler, IStreamRequestHandler
from .net.files import SocketWriter
from .net.sockets import CooperativeSocket
from .toolbox import between_threads


@implementer(IGreenRequestHandler)
class BaseRequestHandler(socketserver.BaseRequestHandler):
    """Handle one request: override ``handle``, and ``setup`` and ``finish`` where needed.

    See IGreenRequestHandler for the attributes and the order of calls.
    """

    parked: bool = False

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        # Not the standard library's, because each waiting connection would hold one more frame.
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        if self.parked and not isinstance(request, tuple):  # a datagram is all there will be
            self._gs_go_on()
            return
        try:
            self.handle()
        finally:
            self.finish()

    def _gs_go_on(self, error: BaseException | None = None) -> None:
        """Handle what there is; then rest, or finish."""
        rests = False
        try:
            if error is not None:
                raise error
            while not rests and self._gs_await_input():
                self.handle()
                park = getattr(self.server, "_gs_park", None)
                rests = park is not None and not self._gs_has_input() and park(self)
        finally:
            if not rests:
                self.finish()

    def _gs_await_input(self) -> bool:
        """Wait until there is something to read; False if it is the end."""
        return bool(self.request.recv(1, socket.MSG_PEEK))

    def _gs_has_input(self) -> bool:
        """Whether something was read that is not handled yet."""
        return False

    @property
    def toolbox(self) -> Any:
        """Concurrency tools that are right where this handler runs; see IToolbox."""
        toolbox = getattr(self.server, "toolbox", None)
        return between_threads() if toolbox is None else toolbox


@implementer(IStreamRequestHandler)
class StreamRequestHandler(BaseRequestHandler, socketserver.StreamRequestHandler):
    """Handle one connection through the files ``rfile`` and ``wfile``.

    See IStreamRequestHandler.
    """

    def setup(self) -> None:
        """Open ``rfile`` and ``wfile``."""
        super().setup()
        if self.wbufsize == 0 and isinstance(self.connection, CooperativeSocket):
            self.wfile = SocketWriter(self.connection)

    def _gs_await_input(self) -> bool:
        rfile = self._gs_buffered()
        return super()._gs_await_input() if rfile is None else bool(rfile.peek(1))

    def _gs_has_input(self) -> bool:
        rfile = self._gs_buffered()
        if rfile is None:
            return False
        limit = self.connection.gettimeout()
        self.connection.settimeout(0.0)
        try:
            return bool(rfile.peek(1))
        finally:
            self.connection.settimeout(limit)

    def _gs_buffered(self) -> io.BufferedReader | None:
        return self.rfile if isinstance(self.rfile, io.BufferedReader) else None


@implementer(IDatagramRequestHandler)
class DatagramRequestHandler(BaseRequestHandler, socketserver.DatagramRequestHandler):
    """Handle one datagram; what is written to ``wfile`` is the answer.

    See IDatagramRequestHandler.
    """
