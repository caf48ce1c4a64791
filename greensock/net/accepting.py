"""Taking what waits at a listener, without ever waiting for it."""

import _socket
import socket

from . import native
from .handover import raw

# Plain numbers: making them the enums that sockets show costs a connection more than its accept.
_family = _socket.socket.family.__get__
_type = _socket.socket.type.__get__


def accept(listener, kind=native.Socket):
    """The next connection, as a socket of ``kind``, and its peer's address.

    Of a TLS listener too the connection comes plain: its handshake would keep all others
    waiting. BlockingIOError if there is none and the descriptor is in non-blocking mode.
    """
    inner = raw(listener)
    fd, address = inner._accept()
    return kind(_family(inner), _type(inner), inner.proto, fileno=fd), address


def receiver(sock, shared, limit, truncated):
    """A function that does what ``get_request`` of a datagram server does, in fewer steps.

    Handlers get ``shared`` instead of ``sock``; ``truncated(address)`` is called before a datagram
    that was longer than ``limit`` bytes.
    """
    recvfrom = raw(sock).recvfrom

    def receive():
        data, address = recvfrom(limit + 1, socket.MSG_DONTWAIT)
        if len(data) > limit:
            truncated(address)
            data = data[:limit]
        return (data, shared), address

    return receive


def turn_away(listener):
    """Accept one connection only to close it; whether there was one."""
    try:
        fd, _ = raw(listener)._accept()
    except OSError:
        return False
    socket.close(fd)
    return True
