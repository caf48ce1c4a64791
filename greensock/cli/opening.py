"""From an endpoint to a server that listens there, and what to say when that fails."""

import errno
import os
import socket
import socketserver
from collections.abc import Callable
from typing import Any

from gevent.monkey import get_original

from ..combos import server_class
from ..errors import CommandError
from ..net import native
from ..servers import TCPServer
from .endpoints import Endpoint

# gevent's prints what it raises; and before anything serves, nothing is kept from running.
_getaddrinfo = get_original("socket", "getaddrinfo")

_STREAM, _DATAGRAM = ("tcp", "unix"), ("udp", "unixgram")
_TRANSPORTS: dict[tuple[int, int], str] = {
    (socket.AF_INET, socket.SOCK_STREAM): "tcp",
    (socket.AF_INET6, socket.SOCK_STREAM): "tcp",
    (socket.AF_UNIX, socket.SOCK_STREAM): "unix",
    (socket.AF_INET, socket.SOCK_DGRAM): "udp",
    (socket.AF_INET6, socket.SOCK_DGRAM): "udp",
    (socket.AF_UNIX, socket.SOCK_DGRAM): "unixgram",
}

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
    endpoint: Endpoint,
    handler: Callable[..., object],
    model: str,
    drain_timeout: float | None,
) -> TCPServer:
    """A server of ``handler`` that listens at ``endpoint``; CommandError if there can be none."""
    transport, address = _located(endpoint)
    _check_kind(handler, transport, endpoint)
    server = server_class(model, transport)(address, handler, bind_and_activate=False)
    server.drain_timeout = drain_timeout
    # Connections that an earlier run has closed keep a port for a minute. For datagrams it would
    # mean something else: two servers that share a port and take from each other.
    server.allow_reuse_address = transport == "tcp"
    try:
        server.server_bind()
        server.server_activate()
    except OSError as error:
        server.server_close()
        raise CommandError(_explained(endpoint, transport, error)) from None
    return server


def place_of(server: TCPServer) -> str:
    """Where a server listens, written as an endpoint."""
    transport = _TRANSPORTS[server.address_family, server.socket_type]
    address: Any = server.server_address
    if server.address_family == socket.AF_UNIX:
        return f"{transport}:{os.fsdecode(address)}".replace(":\0", ":@")
    host, port, *_ = address
    return f"{transport}://[{host}]:{port}" if ":" in host else f"{transport}://{host}:{port}"


def _located(endpoint: Endpoint) -> tuple[str, Any]:
    """The transport and the address for a server's constructor."""
    if endpoint.transport == "fd":
        return _transport_of(endpoint), endpoint.address
    if endpoint.transport in ("tcp", "udp"):
        return endpoint.transport, _resolved(endpoint)
    return endpoint.transport, endpoint.address


def _resolved(endpoint: Endpoint) -> tuple[Any, ...]:
    host, port = endpoint.address
    kind = socket.SOCK_STREAM if endpoint.transport == "tcp" else socket.SOCK_DGRAM
    try:
        found = _getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CommandError(
            f"cannot listen at {endpoint}: host {host!r} is not known ({reason}); "
            "an address such as 127.0.0.1 needs no looking up"
        ) from None
    # Of a name such as localhost, clients expect the IPv4 address more often than the other.
    return min(found, key=lambda item: item[0] != socket.AF_INET)[4]


def _transport_of(endpoint: Endpoint) -> str:
    wanted = "pass a socket that listens or that receives datagrams"
    try:
        sock = native.Socket(fileno=endpoint.address)
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"cannot listen at {endpoint}: it is not an open socket ({error}); {wanted}"
        ) from None
    transport = _TRANSPORTS.get((sock.family, sock.type))
    connected = transport in _STREAM and _is_connected(sock)
    sock.detach()
    if transport is None:
        raise CommandError(f"cannot listen at {endpoint}: it is another kind of socket; {wanted}")
    if connected:
        raise CommandError(f"cannot listen at {endpoint}: it is a connection already; {wanted}")
    return transport


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _check_kind(handler: object, transport: str, endpoint: Endpoint) -> None:
    if not isinstance(handler, type):
        return
    if issubclass(handler, socketserver.StreamRequestHandler) and transport in _DATAGRAM:
        raise CommandError(
            f"{handler.__name__} handles connections, and {endpoint} brings datagrams: "
            "bind it to tcp:// or unix:, or make it a DatagramRequestHandler"
        )
    if issubclass(handler, socketserver.DatagramRequestHandler) and transport in _STREAM:
        raise CommandError(
            f"{handler.__name__} handles datagrams, and {endpoint} brings connections: "
            "bind it to udp:// or unixgram:, or make it a StreamRequestHandler"
        )


def _explained(endpoint: Endpoint, transport: str, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.EACCES, errno.EPERM):
        remedy = f"; {_NOT_ALLOWED[transport]}"
    else:
        remedy = _REMEDIES.get(error.errno or 0, "")
    return f"cannot listen at {endpoint}: {reason}{remedy}"
