"""Both ends of a proxy: its clients, and the server that it forwards to; ``native/relay.c``."""

import random
import select
import socket
import sys
import time

from .reactions import CHUNK, Peer

MEGABYTE = 10**6


def meet(load):
    """Tell the proxy where the server is, and be told where the proxy is."""
    load.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(load.listener.getsockname()[1], flush=True)
    load.server = load.server[0], int(sys.stdin.readline())
    # Prime, so that no power of two of bytes may go missing unnoticed.
    load.period = 4093
    load.stream = bytes(random.choices(range(256), k=load.period) * (CHUNK // load.period + 2))


def accepted(load):
    sock, _ = load.listener.accept()
    sock.setblocking(False)
    return sock


class Server:
    """Sends back what comes."""

    timed = False

    def __init__(self, load):
        self.sock = accepted(load)
        load.add(self)

    def react(self, events):
        self.sock.sendall(self.sock.recv(CHUNK))

    def ask(self):
        """It never does."""


class Client(Peer):
    def open(self):
        super().open()
        Server(self.load)


class Sender:
    """Sends without a pause; the other end of its connection receives."""

    timed = False

    def __init__(self, load, number):
        load.since = load.since or time.monotonic()
        client = load.connect()
        client.setblocking(False)
        ends = client, accepted(load)
        self.sock, other = reversed(ends) if number % 2 else ends
        self.stream = memoryview(load.stream)
        self.period = load.period
        self.moved = 0
        load.add(self, select.EPOLLOUT)
        load.add(Receiver(load, other))

    def react(self, events):
        at = self.moved % self.period
        self.moved += self.sock.send(self.stream[at:at + CHUNK])


class Receiver:
    timed = False

    def __init__(self, load, sock):
        self.load, self.sock = load, sock
        self.moved = 0

    def react(self, events):
        data = self.sock.recv(CHUNK)
        if not data:
            sys.exit("the proxy closed a connection")
        if not self.load.stream.startswith(data, self.moved % self.load.period):
            sys.exit("what comes out of the proxy did not go in")
        self.moved += len(data)
        self.load.bytes += len(data)
        self.load.requests = self.load.bytes // MEGABYTE


KINDS = {"trips": [Client], "bulk": [Sender]}
