"""Servers of the proxy application, and both of their sides by hand."""

import socket
import struct
from contextlib import contextmanager, suppress

import gevent.socket

import greensock
from examples.proxy.outcomes import Outcomes
from examples.proxy.rules import Rules, parse_rule
from tests.helpers import LOCAL, PATIENCE, connect, served

LOOPBACK = Rules([parse_rule("127.0.0.0/8", True), parse_rule("::1", True)])


@contextmanager
def proxying(kind, model="greenlet", settings=None, **facts):
    """A server of handlers of that ``kind``, which may reach this machine."""
    handler = type(kind.__name__, (kind,), {"rules": LOOPBACK, **facts})
    server = type("Server", (greensock.server_class(model),), settings or {})(LOCAL, handler)
    handler.outcomes = Outcomes(server.toolbox.Lock())
    with served(server, "greenlet"):  # what is made here for its handlers is of this thread
        yield server


@contextmanager
def listening(host="127.0.0.1", port=0):
    """Whom a proxy shall connect to: a listening socket, which the test accepts from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with gevent.socket.socket(family) as listener:
        listener.settimeout(PATIENCE)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
        yield listener


@contextmanager
def accepted(listener):
    sock, _ = listener.accept()
    sock.settimeout(PATIENCE)
    with sock:
        yield sock


@contextmanager
def asking(server, data=b""):
    with connect(server) as client:
        client.sendall(data)
        yield client
        with suppress(OSError):  # a child may have a copy of it, which stays open
            client.shutdown(socket.SHUT_RDWR)


def exactly(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, f"only {len(data)} bytes came: {data[:1000]}"
        data += more
    return data


def until(sock, end):
    """What comes up to ``end``, and not a byte more."""
    data = b""
    while not data.endswith(end):
        more = sock.recv(1)
        assert more, f"only {len(data)} bytes came: {data[:1000]}"
        data += more
    return data


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def counted(server):
    """What has become of connections, and how often."""
    counts = server.RequestHandlerClass.outcomes.counts()
    return {outcome: number for (_, outcome), number in counts}
