"""Connecting to somebody else: to whichever of a host's addresses answers first.

Theory of operation. RFC 8305: the addresses are tried in the system's order, but families take
turns, and the next one is tried when the last has failed or has been silent for a quarter of a
second. So a host whose IPv6 leads nowhere costs that quarter, and not a minute. The first that
answers is taken, and the others are given up.
"""

import errno
import os
import select
import socket
from collections import defaultdict
from itertools import zip_longest
from math import ceil, inf
from time import monotonic
from typing import Any

import gevent.select
import gevent.socket
from gevent.monkey import get_original

from . import deadlines, handover, native

# Seconds until the next address is tried: the Connection Attempt Delay, which RFC 8305 recommends.
DELAY = 0.25

_getaddrinfo = get_original("socket", "getaddrinfo")


def dial(address, allow=None):
    """A cooperative connection to ``address``, ``(host, port)``; OSError if nobody answers.

    ``allow``: tells whether one of the host's addresses may be tried; None if all may.
    """
    resolve, poll = gevent.socket.getaddrinfo, gevent.select.poll
    return handover.cooperative(_dial(address, allow, resolve, poll))


def dial_natively(address, allow=None):
    """The same as a blocking connection, made within the thread's deadline."""
    return handover.blocking(_dial(address, allow, _getaddrinfo, native.poll))


def _dial(address, allow, resolve, make_poll):
    attempts = _Attempts(make_poll())
    try:
        for family, proto, place in _places(address, resolve):
            if allow is not None and not allow(place):
                continue
            attempts.begin(family, proto, place)
            if (winner := attempts.wait(monotonic() + DELAY)) is not None:
                return winner
        if (winner := attempts.wait(inf)) is not None:
            return winner
        raise attempts.failure or _not_allowed(address)
    finally:
        attempts.close()


def _not_allowed(address):
    reason = f"no address of {address[0]} may be connected to"
    return PermissionError(errno.EACCES, reason)


def _places(address, resolve):
    """Family, protocol and address of each place to try, in order."""
    try:
        host, port = address
    except (TypeError, ValueError):
        raise TypeError(
            f"{address!r} is no address: give (host, port), as in connect(('localhost', 80))"
        ) from None
    by_family = defaultdict(list)
    try:
        found = resolve(host, port, 0, socket.SOCK_STREAM)
    except UnicodeError as error:  # of the codec for names, which has a limit for their parts
        raise socket.gaierror(socket.EAI_NONAME, f"{host!r} is no name: {error}") from None
    for family, _, proto, _, place in found:
        by_family[family].append((family, proto, place))
    in_turn = zip_longest(*by_family.values())
    return [place for places in in_turn for place in places if place is not None]


class _Attempts:
    """Connections that are being made. ``failure``: of the first that could not be, or None."""

    def __init__(self, poll):
        self.failure: Any = None
        self._poll = poll
        self._pending = {}
        self._made = None

    def begin(self, family, proto, place):
        """Try one more place."""
        try:
            sock = native.Socket(family, socket.SOCK_STREAM, proto)
        except OSError as error:  # such as a family that this system has not
            self.failure = self.failure or error
            return
        sock.setblocking(False)
        code = sock.connect_ex(place)
        if code == errno.EINPROGRESS:
            self._pending[sock.fileno()] = sock
            self._poll.register(sock.fileno(), select.POLLOUT)
        else:
            self._note(sock, code)

    def wait(self, until):
        """The first that was made; None if there is none until then, or one has failed."""
        while self._made is None and self._pending:
            left = until - monotonic()
            limit = deadlines.nearest(None if left == inf else max(0.0, left))
            ready = self._poll.poll(None if limit is None else ceil(limit * 1000))
            deadlines.check()
            for fd, _ in ready:
                self._poll.unregister(fd)
                sock = self._pending.pop(fd)
                self._note(sock, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            if until != inf and (ready or monotonic() >= until):
                break
        made, self._made = self._made, None
        if made is not None:
            made.settimeout(None)
        return made

    def _note(self, sock, code):
        if not code and self._made is None:
            self._made = sock
            return
        sock.close()
        if code and self.failure is None:
            self.failure = OSError(code, os.strerror(code))

    def close(self):
        """Give up those that nobody wants any more."""
        for sock in self._pending.values():
            sock.close()
        if self._made is not None:
            self._made.close()
