"""A connection crosses from the accept loop to the worker that serves it.

A gevent socket belongs to one hub and an SSL socket to the descriptor it was made for, so what
crosses is the descriptor in a plain socket; the worker makes of it what suits the place it runs
in. Only sockets that nobody wrapped yet are touched: what an application's own ``get_request``
made of a connection is left as it is, but for the hub that it waits on.
"""

import _socket
import socket
from functools import lru_cache
from traceback import clear_frames
from typing import Any

import gevent.socket
from gevent import get_hub

from . import native
from .bounded import BoundedSocket
from .datagrams import DatagramSocket
from .guards import make_guard
from .hubs import is_parents
from .sockets import CooperativeSocket

# Reads of 64 KiB, of a peer that may send on and on. By default Linux keeps 6 MiB at most for one.
MOST_UNREAD = 100

# Plain numbers: making them the enums that sockets show costs a connection more than its accept.
family_of = _socket.socket.family.__get__
type_of = _socket.socket.type.__get__

# Freeing one would touch a loop that is gone.
_watchers_of_parents: list[Any] = []

_loading = make_guard()
_tls_kinds: Any = None


def cooperative(sock):
    """The connection as a gevent socket on this thread's hub; ``sock`` is used up."""
    if type(sock) is native.Socket:
        return _rebuilt(CooperativeSocket, sock)
    if is_tls(sock) and isinstance(sock, gevent.socket.socket):
        bring_home(sock)
    return sock


def blocking(sock):
    """The connection as a blocking socket for an OS thread; ``sock`` is used up."""
    if type(sock) not in (native.Socket, BoundedSocket):
        return sock
    bounded = sock if type(sock) is BoundedSocket else _rebuilt(BoundedSocket, sock)
    bounded.settimeout(bounded.gettimeout())  # the descriptor may still be in non-blocking mode
    return bounded


def portable(sock):
    """The connection as a plain socket that another thread or process may take over."""
    if type(sock) not in (gevent.socket.socket, CooperativeSocket):
        return sock
    return _rebuilt(native.Socket, sock)


def _rebuilt(kind, sock):
    timeout = sock.gettimeout()
    inner = raw(sock)
    family, type_, proto = family_of(inner), type_of(inner), inner.proto
    rebuilt = kind(family, type_, proto, fileno=sock.detach())
    if timeout is not None:
        rebuilt.settimeout(timeout)
    return rebuilt


def bring_home(sock):
    """Have ``sock``, a gevent socket which nobody waits on, wait on this thread's hub.

    For TLS, which cannot be taken to another socket, and for who closes what a parent's hub has.
    """
    hub = get_hub()
    if sock.hub is hub:
        return
    abroad, sock.hub = sock.hub, hub
    left = sock._read_event, sock._write_event
    sock._read_event, sock._write_event = (hub.loop.io(sock.fileno(), side) for side in (1, 2))
    if is_parents(abroad):
        _watchers_of_parents.extend(left)
    else:
        for watcher in left:
            abroad.loop.run_callback_threadsafe(watcher.close)


class View:
    """A second socket object for a server's datagram socket, for its handlers to send with.

    ``socket`` shares the descriptor and must not outlive ``of``: call ``drop`` before that one
    is closed.
    """

    def __init__(self, of, sock):
        self._of = of
        self.socket = sock

    def suits(self, sock):
        """Whether it is a view of ``sock`` that this thread can use."""
        hub = getattr(self.socket, "hub", None)
        return self._of is sock and hub in (None, get_hub())

    def drop(self):
        self.socket.detach()

    def __del__(self):
        self.drop()  # of a server that nobody closed; two objects would close one descriptor


def cooperative_view(sock):
    """A View whose sends let the other greenlets of this thread's hub run."""
    return View(sock, _second(DatagramSocket, sock))


def blocking_view(sock):
    """A View for OS threads."""
    view = View(sock, _second(native.Socket, sock))
    view.socket.setblocking(True)
    return view


def _second(kind, sock):
    second = kind.__new__(kind)
    try:
        second.__init__(sock.family, sock.type, sock.proto, fileno=sock.fileno())
    except OSError:  # somebody was about to close it
        inner = getattr(second, "_sock", None)
        if inner is not None:
            inner.detach()  # the descriptor may be somebody else's by now
        raise
    return second


def is_tls(sock: Any) -> bool:
    """Whether ``sock`` speaks TLS, in the standard library's manner or in gevent's."""
    return _is_tls_kind(type(sock))  # type: ignore[arg-type]  # classes are hashable


@lru_cache
def _is_tls_kind(cls):
    # By name, because to ask for the classes would import them.
    names = {(base.__module__, base.__name__) for base in cls.__mro__}
    return not names.isdisjoint({("ssl", "SSLSocket"), ("gevent.ssl", "SSLSocket")})


def load_tls():
    """Import what TLS takes, unless that was done; the classes of its sockets.

    They are the one for gevent sockets and the one for all others. To be called as soon as it is
    known that there will be TLS; who knows of none is spared 4 MB and 10 ms.
    """
    global _tls_kinds
    if _tls_kinds is None:
        # Under monkey patching two threads that import the same at once may wait for ever.
        with _loading:
            from .bounded_tls import BoundedSSLSocket
            from .secure import CooperativeSSLSocket

            _tls_kinds = CooperativeSSLSocket, BoundedSSLSocket
    return _tls_kinds


def under_tls(sock, context, suppress_ragged_eofs=True, do_handshake_on_connect=True):
    """``sock`` with the server's side of TLS; the handshake is still to make.

    ``sock`` is used up; if its peer has gone it is closed and the OSError goes on.
    """
    options = {
        "server_side": True,
        "do_handshake_on_connect": False,
        "suppress_ragged_eofs": suppress_ragged_eofs,
    }
    try:
        for_greenlets, for_threads = load_tls()
        _check_peer(sock)
        if isinstance(sock, gevent.socket.socket):
            secure = for_greenlets(sock, _context=context, **options)
        else:
            secure = for_threads._create(sock, context=context, **options)
    except BaseException as error:
        sock.close()
        # If the peer has gone since it was looked at, the descriptor is a half-made socket's, which
        # only the error's traceback has: whoever keeps the error would keep it open.
        clear_frames(error.__traceback__)
        raise
    secure.do_handshake_on_connect = do_handshake_on_connect
    return secure


def _check_peer(sock):
    """OSError, which says why, if it has gone. gevent would leave the descriptor open then."""
    inner = raw(sock)
    if inner is None:
        return  # an application's own
    try:
        inner.getpeername()
    except OSError:
        inner.recv(1, socket.MSG_DONTWAIT)  # raises what the system knows of it
        raise


def listening_alike(sock, listener):
    """The listening ``sock`` under TLS as ``listener`` is; ``sock`` is used up."""
    options = {
        "server_side": True,
        "do_handshake_on_connect": listener.do_handshake_on_connect,
        "suppress_ragged_eofs": listener.suppress_ragged_eofs,
    }
    load_tls()  # and gevent.ssl with it
    if isinstance(listener, gevent.ssl.SSLSocket):
        return gevent.ssl.SSLSocket(sock, _context=listener.context, **options)
    return native.ssl_socket()._create(sock, context=listener.context, **options)


def shake_hands(sock):
    """Make the handshake. If it fails, ``sock`` is closed and the OSError goes on."""
    try:
        sock.do_handshake()
    except BaseException:
        sock.close()
        raise


def send_once(sock, data):
    """Send ``data``, as far as that needs no waiting, as the last that the peer will hear."""
    inner = raw(sock)
    if inner is None:
        return
    try:
        inner.send(data, socket.MSG_DONTWAIT)
        inner.shutdown(socket.SHUT_WR)
        # What is left unread would have the system call the words back.
        for _ in range(MOST_UNREAD):
            if not inner.recv(1 << 16, socket.MSG_DONTWAIT):
                break
    except OSError:
        pass  # the peer has gone, or has not sent anything


def raw(sock):
    """The C socket inside, whose methods know no hub and no TLS; None if it is no socket."""
    sock = getattr(sock, "_sock", sock)
    return sock if isinstance(sock, _socket.socket) else None
