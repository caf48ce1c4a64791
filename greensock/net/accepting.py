"""Taking what waits at a listener, without ever waiting for it."""

import socket

from . import native
from .handover import family_of, raw, send_once, type_of


def accept(listener, kind=native.Socket):
    """The next connection, as a socket of ``kind``, and its peer's address.

    Of a TLS listener too the connection comes plain: its handshake would keep all others
    waiting. BlockingIOError if there is none and the descriptor is in non-blocking mode.
    """
    return acceptor(listener, kind)()


def acceptor(listener, kind=native.Socket):
    """A function that does what ``accept`` does, again and again in fewer steps."""
    inner = raw(listener)
    accept_descriptor = inner._accept
    family, type_, proto = family_of(inner), type_of(inner), inner.proto

    def accept_next():
        fd, address = accept_descriptor()
        return kind(family, type_, proto, fd), address

    return accept_next


def receiver(sock, shared, limit, truncated):
    """A function that does what ``get_request`` of a datagram server does, in fewer steps.

    Handlers get ``shared`` instead of ``sock``; ``truncated(address)`` is called before a datagram
    that was longer than ``limit`` bytes.
    """
    recvfrom, size, flags = raw(sock).recvfrom, limit + 1, int(socket.MSG_DONTWAIT)

    def receive():
        data, address = recvfrom(size, flags)
        if len(data) > limit:
            truncated(address)
            data = data[:limit]
        return (data, shared), address

    return receive


def turn_away(listener, reply=b""):
    """Accept one connection only to close it, after ``reply``; its peer's address.

    OSError as ``accept``, BlockingIOError if there is none.
    """
    inner = raw(listener)
    fd, address = inner._accept()
    with native.Socket(family_of(inner), type_of(inner), inner.proto, fileno=fd) as sock:
        if reply:
            send_once(sock, reply)
    return address
