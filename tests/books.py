"""Servers whose connections are looked at, clients of those, and what is told of them."""

import socket

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionClosed
from tests.helpers import LOCAL, Trap, recorded


def new_server(model, handler=Trap, kind="tcp", address=LOCAL, **attributes):
    return type("Server", (greensock.server_class(model, kind),), attributes)(address, handler)


def is_trapped(client):
    return client.recv(100) == b"trapped\n"


def leave(client):
    client.shutdown(socket.SHUT_RDWR)
    client.close()


def ends_of(record):
    """The reasons of those that have ended."""
    return [event.connection.reason for event in record if IConnectionClosed.providedBy(event)]


def closing_record():
    return recorded(IConnectionClosed)


class ParkedEcho(BaseRequestHandler):
    parked = True

    def handle(self):
        self.request.sendall(self.request.recv(10))


class ParkedLines(StreamRequestHandler):
    parked = True

    def handle(self):
        self.wfile.write(self.rfile.readline().upper())
