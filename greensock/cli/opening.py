"""From a location to a server that listens there, and what to say when that fails."""

import errno
import os
import socket
import socketserver
import stat
from collections.abc import Callable, Mapping
from typing import Any

from ..combos import server_class
from ..errors import CommandError
from ..servers import TCPServer
from .endpoints import Endpoint
from .locating import DATAGRAM, STREAM, TRANSPORTS, Location
from .suiting import suitable

_REMEDIES = {
    errno.EADDRINUSE: "; end whatever listens there, or choose another place",
    errno.EADDRNOTAVAIL: "; this machine has none such; 0.0.0.0 and [::] stand for all it has",
    errno.EAFNOSUPPORT: "; this machine does not speak that protocol",
    errno.ENOENT: "; its directory does not exist",
}
_NOT_ALLOWED = {
    "tcp": "ports below 1024 need privileges; or pass a socket that is open already, with fd://N",
    "unix": "the directory must be writable",
}
_NOT_ALLOWED |= {"udp": _NOT_ALLOWED["tcp"], "unixgram": _NOT_ALLOWED["unix"]}


def open_server(
    location: Location,
    handler: Callable[..., object],
    model: str,
    settings: Mapping[str, Any],
    mixins: tuple[type, ...] = (),
) -> TCPServer:
    """A server of ``handler`` that listens at ``location``; CommandError if there can be none.

    ``settings``: by name; those are left out that a server there cannot have. ``mixins``: what
    comes before the class of servers of that ``model``.
    """
    endpoint, transport = location.endpoint, location.transport
    check_kind(handler, transport, endpoint)
    server_type = server_class(model, transport)
    if mixins:
        server_type = type(server_type.__name__, (*mixins, server_type), {})
    server = server_type(location.address, handler, bind_and_activate=False)
    # Connections that an earlier run has closed keep a port for a minute. For datagrams it would
    # mean something else: two servers that share a port and take from each other.
    server.allow_reuse_address = transport == "tcp"
    try:
        for name, value in suitable(settings, location).items():
            setattr(server, name, value)
        server.server_bind()
        server.server_activate()
    except OSError as error:
        server.server_close()
        raise CommandError(_explained(endpoint, transport, error)) from None
    except BaseException:
        server.server_close()
        raise
    return server


def check_kind(handler: object, transport: str, endpoint: Endpoint) -> None:
    """CommandError if ``handler`` is for connections, and datagrams come, or the other way."""
    if not isinstance(handler, type):
        return
    if issubclass(handler, socketserver.StreamRequestHandler) and transport in DATAGRAM:
        raise CommandError(
            f"{handler.__name__} handles connections, and {endpoint} brings datagrams: "
            "bind it to tcp:// or unix:, or make it a DatagramRequestHandler"
        )
    if issubclass(handler, socketserver.DatagramRequestHandler) and transport in STREAM:
        raise CommandError(
            f"{handler.__name__} handles datagrams, and {endpoint} brings connections: "
            "bind it to udp:// or unixgram:, or make it a StreamRequestHandler"
        )


def place_of(server: TCPServer) -> str:
    """Where a server listens, written as an endpoint."""
    transport = TRANSPORTS[server.address_family, server.socket_type]
    address: Any = server.server_address
    if server.address_family == socket.AF_UNIX:
        return f"{transport}:{os.fsdecode(address)}".replace(":\0", ":@")
    host, port, *_ = address
    return f"{transport}://[{host}]:{port}" if ":" in host else f"{transport}://{host}:{port}"


def _explained(endpoint: Endpoint, transport: str, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno and reason != os.strerror(error.errno):
        remedy = ""  # it is said
    elif error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"; {_NOT_ALLOWED[transport]}"
    elif error.errno == errno.EADDRINUSE and _is_no_socket(error.filename):
        remedy = "; what is there is no socket: remove it, or choose another place"
    else:
        remedy = _REMEDIES.get(error.errno or 0, "")
    return f"cannot listen at {endpoint}: {reason}{remedy}"


def _is_no_socket(place: Any) -> bool:
    """Whether it is a path, and something else than a socket is there."""
    if not isinstance(place, (str, bytes)):
        return False
    return os.path.exists(place) and not stat.S_ISSOCK(os.stat(place).st_mode)
