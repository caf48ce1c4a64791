"""The servers. Without a mixin, they handle one request at a time in the serving greenlet."""

import os
import socket
import socketserver
from functools import partial
from typing import Any

from zope.interface import implementedBy, implementer, implementer_only

from .interfaces import IBinding, IDatagramServer, IStreamServer
from .net import native
from .net.accepting import accept
from .net.binding import told_of
from .net.listeners import (
    BACKLOG,
    accepts_connections,
    adopt,
    family_of,
    is_open_socket,
    let_rebind,
    note_listening,
)
from .net.unixpaths import UnixPath
from .serving import Serving
from .strays import OURS


class BaseServer(Serving, socketserver.BaseServer):
    """A server without a socket; see IGreenServer.

    A subclass brings ``fileno`` and ``get_request``: something to wait for, and to take.
    """

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Handle one request: call RequestHandlerClass."""
        if type(request) in OURS and self._gs_is_astray(request):
            finish = partial(BaseServer.finish_request, self)
            self._gs_take_in(request, client_address, finish, ends=False)
            return
        self._gs_handle(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Report what a handler raised; called inside the active ``except``.

        Sends an IRequestFailed, which the ``greensock`` logger writes down. May be overridden.
        """
        self._gs_report_active(client_address)


@implementer(IStreamServer, IBinding)
class TCPServer(BaseServer, socketserver.TCPServer):
    """A server of TCP connections.

    ``server_address``: ``(host, port)``; port 0 lets the system choose. An IPv6 literal makes the
    server an IPv6 one. A descriptor (int) or a socket that somebody else opened is adopted: it is
    not bound again, and belongs to the server from then on.

    ``RequestHandlerClass``: a handler class, or a function; see IRequestHandlerFactory.

    ``bind_and_activate``: whether to bind and listen at once. Otherwise call ``server_bind()``
    and ``server_activate()``.
    """

    request_queue_size: int = BACKLOG
    allow_reuse_port: bool = False
    dual_stack: bool | None = None
    unix_mode: int | None = None
    unix_owner: str | int | None = None

    _gs_adopted = False
    _gs_unix_path: UnixPath | None = None

    def __init__(
        self, server_address: Any, RequestHandlerClass: Any, bind_and_activate: bool = True
    ) -> None:
        BaseServer.__init__(self, server_address, RequestHandlerClass)
        self._gs_check_settings()
        if is_open_socket(server_address):
            self.socket = adopt(server_address, self.socket_type)
            self.address_family = self.socket.family
            self._gs_adopted = True
        else:
            self.address_family = family_of(server_address, self.address_family)
            self.socket = native.Socket(self.address_family, self.socket_type)
        if bind_and_activate:
            try:
                self.server_bind()
                self.server_activate()
            except BaseException:
                self.server_close()
                raise

    def server_bind(self) -> None:
        """Bind the socket as IBinding's attributes say, and set ``server_address``."""
        self._gs_bound_in = None if self._gs_adopted else os.getpid()
        if not self._gs_adopted:
            self._gs_set_options()
            if self.address_family == getattr(socket, "AF_UNIX", None):
                with told_of(self.server_address, "a path, such as 'chat.sock'"):
                    self._gs_unix_path = UnixPath.bind(
                        self.socket, self.server_address, self.unix_mode, self.unix_owner
                    )
            else:
                with told_of(self.server_address, "(host, port), such as ('127.0.0.1', 9000)"):
                    self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def _gs_set_options(self) -> None:
        if self.allow_reuse_address:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Linux refuses it for other families since 6.12.9.
        if self.allow_reuse_port and self.address_family in (socket.AF_INET, socket.AF_INET6):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if self.dual_stack is not None and self.address_family == socket.AF_INET6:
            self.socket.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if self.dual_stack else 1
            )

    def server_activate(self) -> None:
        """Listen; a socket that was adopted and listens already keeps the queue it has."""
        if not (self._gs_adopted and accepts_connections(self.socket)):
            let_rebind(self.socket)
            self.socket.listen(self.request_queue_size)
        note_listening(self.socket)

    def server_close(self) -> None:
        """Stop serving, close the socket, and remove its path if it has one."""
        super().server_close()
        self._gs_remove_path()

    def _gs_release_listener(self) -> None:
        super()._gs_release_listener()
        self._gs_remove_path()

    def _gs_open_listener(self) -> None:
        # What was adopted is gone; the new one is bound by the server itself.
        adopted, self._gs_adopted = self._gs_adopted, False
        try:
            super()._gs_open_listener()
        except BaseException:
            self._gs_adopted = adopted
            raise

    def _gs_keep_newcomers_out(self) -> bool:
        return self._gs_remove_path() or super()._gs_keep_newcomers_out()

    def _gs_remove_path(self) -> bool:
        path, self._gs_unix_path = self._gs_unix_path, None
        if path is not None:
            path.remove()
        return path is not None

    def get_request(self) -> Any:
        """The next connection and its peer's address; see ISocketServer."""
        return accept(self.socket, self._gs_connection_kind)


@implementer_only(IDatagramServer, IBinding, implementedBy(BaseServer))  # it is no IStreamServer
class UDPServer(TCPServer, socketserver.UDPServer):
    """A server of UDP datagrams; ``server_address`` and the rest as for TCPServer."""

    # No UDP datagram is longer, so none is truncated.
    max_packet_size = 65535

    def get_request(self) -> Any:
        """The next datagram and its sender's address; see IDatagramServer."""
        return self._gs_receive_datagram()

    def server_activate(self) -> None:
        """Do nothing: datagrams need no listen()."""

    def shutdown_request(self, request: Any) -> None:
        """End the request; the socket stays open for the others."""
        self.close_request(request)

    def close_request(self, request: Any) -> None:
        """Do nothing: there is nothing to close."""


if hasattr(socket, "AF_UNIX"):

    class UnixStreamServer(TCPServer, socketserver.UnixStreamServer):
        """A server of Unix stream connections; ``server_address`` is a path, str or bytes.

        A socket at the path that nobody answers on any more is replaced. ``server_close``
        removes the path, if it is still the one this process has bound.
        """

        address_family = socket.AF_UNIX

    class UnixDatagramServer(UDPServer, socketserver.UnixDatagramServer):
        """A server of Unix datagrams; the path as for UnixStreamServer."""

        address_family = socket.AF_UNIX
