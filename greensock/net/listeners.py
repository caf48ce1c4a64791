"""Making the socket a server waits on: opened, or adopted from whoever opened it."""

import socket
import struct
from typing import Any
from weakref import WeakSet

import gevent.socket

from . import native
from .handover import bring_home, portable, raw

# Linux caps it at net.core.somaxconn. A short queue makes clients of a burst wait a second.
BACKLOG = max(128, socket.SOMAXCONN)

_SOCKET = (
    "SO_BINDTODEVICE SO_BROADCAST SO_BUSY_POLL SO_DONTROUTE SO_KEEPALIVE SO_LINGER SO_MARK "
    "SO_OOBINLINE SO_PRIORITY SO_RCVBUF SO_RCVLOWAT SO_SNDBUF"
)
_IP = "IP_FREEBIND IP_RECVTOS IP_TOS IP_TRANSPARENT IP_TTL"
_IPV6 = "IPV6_RECVTCLASS IPV6_TCLASS IPV6_UNICAST_HOPS IPV6_V6ONLY"
_TCP = (
    "TCP_CONGESTION TCP_DEFER_ACCEPT TCP_FASTOPEN TCP_KEEPCNT TCP_KEEPIDLE TCP_KEEPINTVL "
    "TCP_MAXSEG TCP_NODELAY TCP_NOTSENT_LOWAT TCP_USER_TIMEOUT"
)
_OPTIONS = [
    (getattr(socket, level), getattr(socket, name))
    for level, names in (
        ("SOL_SOCKET", _SOCKET),
        ("IPPROTO_IP", _IP),
        ("IPPROTO_IPV6", _IPV6),
        ("IPPROTO_TCP", _TCP),
    )
    for name in names.split()
    if hasattr(socket, name)
]

# Linux keeps room for its own records, and tells of twice of what it was asked for.
_DOUBLED = (socket.SO_RCVBUF, socket.SO_SNDBUF)

# Bytes of an option's value, at most.
_LONGEST = 64

# Every listening socket known here: one that stayed open in a forked child would keep its
# address in use, and clients waiting in its backlog.
_listening: WeakSet = WeakSet()
_others: WeakSet = WeakSet()


def note_listening(sock: Any) -> None:
    """Have ``sock`` closed in children forked later."""
    _listening.add(sock)


def note_for_child(descriptor: Any) -> None:
    """Have ``descriptor.close()`` called in children forked later."""
    _others.add(descriptor)


def close_all_in_child(*but: Any) -> None:
    """Close everything that was noted, listeners past any hub they may belong to.

    ``but``: sockets that stay open.
    """
    kept = [raw(listener) for listener in but]
    for listener in _listening:
        if raw(listener) not in kept:
            close_in_child(listener)
    for descriptor in _others:
        descriptor.close()


def close_in_child(listener: Any) -> None:
    """Close a listener of the parent's past the hub it may belong to."""
    inner = raw(listener)
    if inner is None:
        return
    if isinstance(listener, gevent.socket.socket) and inner.fileno() >= 0:
        bring_home(listener)  # or else whoever closes it once more would fail
    inner.close()


def family_of(address, family):
    """``family``, or AF_INET6 if it is AF_INET and ``address`` is an IPv6 literal."""
    if family == socket.AF_INET and isinstance(address, tuple) and address:
        if isinstance(address[0], str) and ":" in address[0]:
            return socket.AF_INET6
    return family


def is_open_socket(address: object) -> bool:
    """Whether ``address`` is not a place to bind to but a descriptor or a socket to adopt."""
    return isinstance(address, int) or hasattr(address, "getsockname")


def adopt(source, socket_type):
    """A socket somebody else opened (a descriptor, or a socket object) for a server to wait on.

    It belongs to the server from here on. ValueError if it is not a socket of ``socket_type``;
    then it still belongs to the caller.
    """
    wanted = socket.SocketKind(socket_type).name
    opened = source
    if isinstance(source, int):
        try:
            opened = native.Socket(fileno=source)
        except OSError as error:
            raise ValueError(
                f"descriptor {source} is not an open socket ({error}); "
                f"pass the descriptor of a {wanted} socket, or an address such as "
                "('127.0.0.1', 9000)"
            ) from None
    if opened.type != socket_type:
        kind = socket.SocketKind(opened.type).name
        if isinstance(source, int):
            opened.detach()
        raise ValueError(
            f"{source!r} is a {kind} socket; this server waits on a {wanted} socket"
        )
    return portable(opened)


def let_rebind(sock: Any) -> None:
    """Let the address be bound again while connections to it live, once nobody listens there.

    To be called before it listens, because connections inherit it.
    """
    if sock.type == socket.SOCK_STREAM and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def set_alike(sock: Any, model: Any) -> None:
    """Set the options of ``sock`` that connections and datagrams notice as they are on ``model``.

    To be called before it is bound. What cannot be is left alone, such as membership in groups.
    """
    for level, option in _OPTIONS:
        try:
            value = model.getsockopt(level, option, _LONGEST)
            if value == sock.getsockopt(level, option, _LONGEST):
                continue
            if level == socket.SOL_SOCKET and option in _DOUBLED:
                value = struct.pack("@i", struct.unpack("@i", value)[0] // 2)
            sock.setsockopt(level, option, value)
        except (OSError, struct.error):
            pass  # not for this kind of socket, or not for this user


def accepts_connections(sock: Any) -> bool:
    """Whether ``listen`` was called on it: then accept is what to do when it is readable."""
    try:
        return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except (OSError, AttributeError):
        return False
