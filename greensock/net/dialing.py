"""Connecting to somebody else from an OS thread, within its deadline."""

import socket

from . import deadlines
from .bounded import BoundedSocket


def dial(host, port):
    """A blocking connection to the first of the host's addresses that answers; OSError if none."""
    failure = OSError(f"host {host!r} has no address")
    for family, kind, proto, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = BoundedSocket(family, kind, proto)
        try:
            _connect(sock, address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _connect(sock, address):
    left = deadlines.remaining()
    if left == 0:
        raise deadlines.passed()
    sock.settimeout(left)
    sock.connect(address)
    sock.settimeout(None)
