"""What the tests of who gets in have in common."""

import socket
from contextlib import contextmanager

import gevent

import greensock
from greensock.interfaces import IConnectionOpened
from tests.helpers import LOCAL, PATIENCE, Trap, subscribed

# One in a thousand seconds: none, for as long as a test takes.
HARDLY_EVER = 0.001


def new_server(model, handler=Trap, kind="tcp", address=LOCAL, **attributes):
    return type("Server", (greensock.server_class(model, kind),), attributes)(address, handler)


def connect_from(server, host):
    client = gevent.socket.socket(server.address_family, server.socket_type)
    client.settimeout(PATIENCE)
    client.bind((host, 0))
    client.connect(server.server_address)
    return client


def is_trapped(client):
    return client.recv(100) == b"trapped\n"


def leave(client):
    """End it for all who have a copy, such as forked children."""
    client.shutdown(socket.SHUT_RDWR)
    client.close()


@contextmanager
def never_more_than_allowed(server):
    """Those who come in meanwhile; at none of them there is one too many."""
    counts = []

    def note(event):
        if event.server is server:
            counts.append((len(server.connections), server.max_connections))

    with subscribed(IConnectionOpened, note):
        yield counts
    assert [] == [(count, most) for count, most in counts if most is not None and count > most]
