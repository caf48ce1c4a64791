"""Request handlers: the standard library's, with the toolbox of the model they run under."""

import io
import socket
import socketserver
import sys
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from .interfaces import IDatagramRequestHandler, IGreenRequestHandler, IStreamRequestHandler
from .net.files import SocketWriter, read_ahead
from .net.proxy_header import proxy_header_of
from .net.sockets import CooperativeSocket
from .toolbox import between_threads

if TYPE_CHECKING:
    import ssl


class _ProxyHeader:
    """The attribute ``proxy_header``, which a handler may use for something of its own."""

    def __get__(self, handler: Any, cls: type | None = None) -> Any:
        return self if handler is None else proxy_header_of(handler.request)


@implementer(IGreenRequestHandler)
class BaseRequestHandler(socketserver.BaseRequestHandler):
    """Handle one request: override ``handle``, and ``setup`` and ``finish`` where needed.

    See IGreenRequestHandler for the attributes and the order of calls.
    """

    parked: bool = False
    proxy_header: Any = _ProxyHeader()

    if TYPE_CHECKING:  # some checkers let no method stand in for an attribute

        def draining(self) -> None:
            """The server drains; see IGreenRequestHandler."""
    else:
        draining = None

    def __init__(self, request: Any, client_address: Any, server: Any) -> None:
        # Not the standard library's, because each waiting connection would hold one more frame.
        self.request = request
        self.client_address = client_address
        self.server = server
        self.setup()
        if self.draining is not None:
            self._gs_hear_drain()
        if self.parked and not isinstance(request, tuple):  # a datagram is all there will be
            self._gs_go_on()
            return
        try:
            self.handle()
        finally:
            self.finish()

    def _gs_hear_drain(self) -> None:
        hear = getattr(self.server, "_gs_hear", None)
        if hear is not None:
            hear(self)

    def _gs_go_on(self, error: BaseException | None = None) -> None:
        """Handle what there is; then rest, or finish."""
        rests = False
        try:
            if error is not None:
                raise error
            while not rests and self._gs_await_message():
                self.handle()
                park = getattr(self.server, "_gs_park", None)
                rests = park is not None and not self._gs_has_input() and park(self)
        finally:
            if not rests:
                self.finish()

    def _gs_await_message(self) -> bool:
        """Wait for the next message, which is not to be at work; False if it is the end."""
        books: Any = getattr(self.request, "meter", None)
        if not hasattr(books, "working_since"):
            return self._gs_await_input()
        books.working_since = inf
        try:
            return self._gs_await_input()
        finally:
            books.working_since = monotonic()

    def _gs_await_input(self) -> bool:
        """Wait until there is something to read; False if it is the end."""
        return bool(self.request.recv(1, socket.MSG_PEEK))

    def _gs_has_input(self) -> bool:
        """Whether something was read that is not handled yet."""
        return False

    def post(self, data: Any) -> bool:
        """Send ``data``, without ever waiting; see IGreenRequestHandler."""
        return bool(self._gs_of_connection("post")(data))

    def hang_up(self) -> bool:
        """End the connection in order, without ever waiting; see IGreenRequestHandler."""
        return bool(self._gs_of_connection("hang_up")())

    def _gs_of_connection(self, name: str) -> Any:
        method = getattr(getattr(self.request, "meter", None), name, None)
        if method is None:
            raise RuntimeError(f"{self.request!r} is no connection of a greensock server")
        return method

    def switch_to_tls(self, context: "ssl.SSLContext | None" = None) -> None:
        """Shake hands, and go on under TLS; see IGreenRequestHandler."""
        switch = getattr(self.server, "_gs_switch_to_tls", None)
        if switch is None:
            raise RuntimeError(f"{self.server!r} is no greensock server, and cannot switch to TLS")
        self._gs_check_nothing_came()
        self.request = switch(self.request, self.client_address, context)

    def _gs_check_nothing_came(self) -> None:
        """ConnectionError if something was read that is not handled yet."""

    @property
    def toolbox(self) -> Any:
        """Concurrency tools that are right where this handler runs; see IToolbox."""
        toolbox = getattr(self.server, "toolbox", None)
        return between_threads() if toolbox is None else toolbox


def _wants_more() -> Any:
    """What a non-blocking socket under TLS raises when there is nothing to read; () without TLS."""
    return getattr(sys.modules.get("ssl"), "SSLWantReadError", ())


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

    def switch_to_tls(self, context: "ssl.SSLContext | None" = None) -> None:
        """Shake hands, and go on under TLS; see IGreenRequestHandler."""
        super().switch_to_tls(context)
        self.wfile.close()
        self.rfile.close()
        StreamRequestHandler.setup(self)  # and no other: what a subclass prepares stays

    def _gs_check_nothing_came(self) -> None:
        self.wfile.flush()
        rfile = self._gs_buffered()
        if rfile is not None and read_ahead(rfile):
            raise ConnectionError(
                f"{self.client_address} sent more before the TLS handshake than was handled"
            )

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
        except _wants_more():
            return False
        finally:
            self.connection.settimeout(limit)

    def _gs_buffered(self) -> io.BufferedReader | None:
        return self.rfile if isinstance(self.rfile, io.BufferedReader) else None


@implementer(IDatagramRequestHandler)
class DatagramRequestHandler(BaseRequestHandler, socketserver.DatagramRequestHandler):
    """Handle one datagram; what is written to ``wfile`` is the answer.

    See IDatagramRequestHandler.
    """
