"""From an endpoint to the transport and the address a server is made with."""

import logging
import socket
from collections.abc import Sequence
from typing import Any

from gevent.monkey import get_original

from ..errors import CommandError
from ..net import native
from ..net.systemd import Passed, listen_fds
from ..records import Value
from .endpoints import Endpoint

# gevent's prints what it raises; and before anything serves, nothing is kept from running.
_getaddrinfo = get_original("socket", "getaddrinfo")

logger = logging.getLogger("greensock")

STREAM, DATAGRAM = ("tcp", "unix"), ("udp", "unixgram")
TRANSPORTS: dict[tuple[int, int], str] = {
    (socket.AF_INET, socket.SOCK_STREAM): "tcp",
    (socket.AF_INET6, socket.SOCK_STREAM): "tcp",
    (socket.AF_UNIX, socket.SOCK_STREAM): "unix",
    (socket.AF_INET, socket.SOCK_DGRAM): "udp",
    (socket.AF_INET6, socket.SOCK_DGRAM): "udp",
    (socket.AF_UNIX, socket.SOCK_DGRAM): "unixgram",
}


class Location(Value):
    """Where an endpoint is: 'tcp', 'udp', 'unix' or 'unixgram', and an address or a descriptor."""

    endpoint: Endpoint
    transport: str
    address: Any

    @property
    def is_adopted(self) -> bool:
        """Whether somebody else has opened the socket."""
        return isinstance(self.address, int)


def locate(endpoints: Sequence[Endpoint]) -> list[Location]:
    """Where the endpoints are, in their order; CommandError if one is nowhere."""
    passed: list[Passed] = []
    if any(endpoint.transport == "systemd" for endpoint in endpoints):
        try:
            passed = listen_fds()
        except ValueError as error:
            raise CommandError(f"what systemd has passed is not understood: {error}") from None
    found = [_located(endpoint, passed) for endpoint in endpoints]
    for name, fd in passed:
        logger.warning(
            "systemd has passed %r (descriptor %d), which has no server now: add --bind systemd:%s",
            name,
            fd,
            name,
        )
        native.close(fd)
    return found


def _located(endpoint: Endpoint, passed: list[Passed]) -> Location:
    if endpoint.transport in ("tcp", "udp"):
        return Location(endpoint, endpoint.transport, _resolved(endpoint))
    if endpoint.transport in ("unix", "unixgram"):
        return Location(endpoint, endpoint.transport, endpoint.address)
    fd = endpoint.address
    if endpoint.transport == "systemd":
        fd = _taken_from(passed, endpoint)
    return Location(endpoint, _transport_of(endpoint, fd), fd)


def _taken_from(passed: list[Passed], endpoint: Endpoint) -> int:
    for each in passed:
        if endpoint.address in ("", each.name):
            passed.remove(each)
            return each.fd
    if passed:
        names = ", ".join(repr(each.name) for each in passed)
        why = f"systemd has passed {names}; FileDescriptorName= in a .socket unit is the name"
    else:
        why = (
            "systemd has passed no socket, or no more, to this process: start the .socket unit, "
            "or try it with systemd-socket-activate"
        )
    raise CommandError(f"cannot listen at {endpoint}: {why}")


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


def _transport_of(endpoint: Endpoint, fd: int) -> str:
    wanted = "pass a socket that listens or that receives datagrams"
    try:
        sock = native.Socket(fileno=fd)
    except (OSError, OverflowError) as error:
        raise CommandError(
            f"cannot listen at {endpoint}: it is not an open socket ({error}); {wanted}"
        ) from None
    transport = TRANSPORTS.get((sock.family, sock.type))
    connected = transport in STREAM and _is_connected(sock)
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
