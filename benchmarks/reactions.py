"""What each connection of the load in Python does when it may: the modes of ``fallback``."""

import errno
import random
import select
import socket
import ssl
import sys
import time

CHUNK = 1 << 18
PATIENCE = 0.2  # seconds after which a datagram is sent again
INTERVAL = 5  # seconds from one byte of a slow connection to its next
MEMORY = 16  # children that answer do so in any order, but not that much too late


class Peer:
    """Sends a message, waits for all of its echo, and sends the next."""

    timed = False

    def __init__(self, load, number):
        self.load, self.offset = load, number * 7
        self.open()

    def open(self):
        self.sock = self.load.connect()
        self.sock.setblocking(False)
        self.load.add(self)
        self.ask()

    def ask(self):
        self.unsent = self.expected = self.load.message(self.offset)
        self.got, self.asked = b"", time.monotonic()
        self.push()

    def push(self):
        try:
            sent = self.sock.send(self.unsent)
            self.unsent = self.unsent[sent:]
        except (BlockingIOError, ssl.SSLWantWriteError):
            pass
        self.load.epoll.modify(self.sock, select.EPOLLIN | (select.EPOLLOUT if self.unsent else 0))

    def react(self, events):
        if events & select.EPOLLOUT:
            self.push()
        if events & ~select.EPOLLOUT:
            try:
                data = self.sock.recv(CHUNK)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            self.received(data)

    def received(self, data):
        if not data:
            sys.exit("the server closed a connection")
        self.got += data
        if not self.expected.startswith(self.got):
            sys.exit("the answer is no echo")
        if len(self.got) == len(self.expected):
            self.answered()

    def answered(self):
        self.load.requests += 1
        self.offset += 1
        if self.load.since is not None:
            self.ask()
            return
        # Those who are in wait for those who are not: a busy server may never accept them.
        self.load.silent -= 1
        if not self.load.silent:
            self.load.since = time.monotonic()
            for peer in self.load.peers.values():
                peer.ask()


class Visit(Peer):
    """Connect, echo, close."""

    turn = 0

    def open(self):
        Visit.turn += 1
        self.sock = socket.socket()
        self.sock.setblocking(False)
        # Closed connections keep their port for a minute; one address would soon run out of them.
        self.sock.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        self.sock.bind((f"127.0.0.{2 + Visit.turn % 200}", 0))
        self.unsent = self.expected = self.load.message(self.offset)
        self.got = b""
        if self.sock.connect_ex(self.load.server) not in (0, errno.EINPROGRESS):
            sys.exit("connect failed")
        self.load.add(self, select.EPOLLOUT)

    def received(self, data):
        if data or len(self.got) < len(self.expected):
            super().received(data)
            return
        self.load.requests += 1
        self.load.since = self.load.since or time.monotonic()
        self.sock.close()
        self.offset += 1
        self.open()

    def answered(self):
        self.sock.shutdown(socket.SHUT_WR)


class Pinger(Peer):
    timed = True

    def answered(self):
        self.load.times.append(time.monotonic() - self.asked)
        super().answered()


class Slow(Peer):
    """Sends a line that never ends, a byte at a time. The first of them sends for all."""

    slow = []
    trickled = 0

    def ask(self):
        if self.load.since is not None:
            return
        self.load.silent -= 1
        if not self.slow:
            self.load.lookers.append(self)
        self.slow.append(self.sock)

    def look(self, now):
        if self.load.since is None:
            return
        due = (now - self.load.since) / INTERVAL * len(self.slow)
        while self.trickled < due:
            self.slow[self.trickled % len(self.slow)].send(b"x")
            self.trickled += 1


class Speaker(Peer):
    """Says something when all others have heard what it said before; the first of a fan-out."""

    timed = True
    listeners: list = []
    left = 0

    def open(self):
        self.sock = self.load.connect()
        self.sock.recv(1)
        self.sock.setblocking(False)
        self.load.add(self)
        self.load.lookers.append(self)
        self.asked = time.monotonic()

    def look(self, now):
        if not self.left and len(self.listeners) == self.load.connections - 1:
            self.load.since = self.load.since or now
            self.left = len(self.listeners)
            for each in self.listeners:
                each.expected, each.got = self.load.message(self.offset), b""
            self.ask()
            self.offset += 1


class Listener(Speaker):
    timed = False

    def open(self):
        super().open()
        self.load.lookers.remove(self)
        self.listeners.append(self)
        self.speaker = next(iter(self.load.peers.values()))

    def answered(self):
        self.load.requests += 1
        self.load.times.append(time.monotonic() - self.speaker.asked)
        self.speaker.left -= 1


class Frozen(Speaker):
    """The same beside one more that never reads."""

    def open(self):
        super().open()
        self.idle = self.load.connect()


class Saturator(Peer):
    """Sends without a pause, and reads its echo."""

    def ask(self):
        self.load.since = time.monotonic()
        # Prime, so that no power of two of bytes may go missing unnoticed.
        self.period = random.choices(range(256), k=4093)
        # From any place in the first period on, as much as may come at a time.
        self.unsent = self.stream = bytes(self.period * (CHUNK // 4093 + 2))
        self.got = 0
        self.push()

    def push(self):
        super().push()
        self.unsent = self.unsent or self.stream
        self.load.epoll.modify(self.sock, select.EPOLLIN | select.EPOLLOUT)

    def received(self, data):
        if not data or not self.stream.startswith(data, self.got % len(self.period)):
            sys.exit("the answer is no echo")
        self.got += len(data)
        self.load.bytes += len(data)


class Datagrams(Peer):
    def open(self):
        self.sock = self.load.connect(socket.SOCK_DGRAM)
        # There is nobody to be let in.
        self.load.since = self.load.since or time.monotonic()
        self.load.add(self)
        self.load.lookers.append(self)
        self.ask()

    def received(self, data):
        if data == self.expected or not self.is_late(data):
            super().received(data)

    def is_late(self, data):
        """Whether this is one more echo of a datagram that was sent again, and answered since."""
        return data in map(self.load.message, range(self.offset - MEMORY, self.offset))

    def look(self, now):
        if now - self.asked > PATIENCE:
            self.load.lost += 1
            self.ask()


KINDS = {
    "echo": [Peer],
    "tls": [Peer],
    "connect": [Visit],
    "udp": [Datagrams],
    "fair": [Pinger, Saturator],
    "slow": [Pinger, Slow],
    "fanout": [Speaker, Listener],
    "frozen": [Frozen, Listener],
}
