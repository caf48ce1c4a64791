"""The load in Python: where there is no C compiler, and for TLS.

Same command line, same output as the one in C: ``native/main.c`` describes it.
"""

import ctypes
import errno
import json
import random
import select
import signal
import socket
import ssl
import sys
import time

OFFSETS = 1024
CHUNK = 1 << 18
PATIENCE = 0.2  # seconds after which a datagram is sent again
MEMORY = 16  # children that answer do so in any order, but not that much too late
FIRST = 20
PR_SET_PDEATHSIG = 1


class Load:
    def __init__(self, mode, port, connections, size, warm, seconds):
        self.mode, self.server = mode, ("127.0.0.1", int(port))
        self.connections, self.size = int(connections), int(size)
        self.warm, self.seconds = float(warm), float(seconds)
        self.pattern = bytes(random.choices(range(33, 127), k=self.size + OFFSETS))
        self.epoll = select.epoll()
        self.peers = {}
        self.since = self.ends = None
        self.silent = self.connections
        self.count()

    def count(self):
        self.began, self.cpu = time.monotonic(), time.process_time()
        self.requests = self.lost = self.bytes = 0
        self.worst = 0.0

    def message(self, offset):
        begin = offset % OFFSETS
        end = begin + self.size - 1
        return self.pattern[begin:end] + b"\n"

    def connect(self, kind=socket.SOCK_STREAM):
        sock = socket.socket(socket.AF_INET, kind)
        sock.connect(self.server)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.mode == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock)
        return sock

    def add(self, peer, events=select.EPOLLIN):
        self.peers[peer.sock.fileno()] = peer
        self.epoll.register(peer.sock, events)

    def run(self):
        """Let the peers react until the window has closed, and tell what happened in it."""
        while True:
            now = time.monotonic()
            if self.ends is None and self.since is not None and now >= self.since + self.warm:
                print("warm", flush=True)
                self.count()
                self.ends = self.began + self.seconds
            if self.ends is not None and now >= self.ends:
                break
            for fd, events in self.epoll.poll(0.01):
                self.peers[fd].react(events)
            for peer in self.peers.values() if self.mode == "udp" else ():
                peer.look(now)
        for peer in self.peers.values():
            # An answer that has not come yet is late, too.
            if peer.timed:
                self.worst = max(self.worst, time.monotonic() - peer.asked)
        told = {
            "requests": self.requests,
            "seconds": time.monotonic() - self.began,
            "load_cpu": time.process_time() - self.cpu,
            "worst": self.worst,
            "lost": self.lost,
            "bytes": self.bytes,
        }
        print(json.dumps(told), flush=True)


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
        self.load.worst = max(self.load.worst, time.monotonic() - self.asked)
        super().answered()


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


def hold(load):
    def visit(number):
        sock = load.connect()
        sock.sendall(load.message(number))
        with sock.makefile("rb") as file:
            if file.read(load.size) != load.message(number):
                sys.exit("the answer is no echo")
        return sock

    for number in range(FIRST):
        visit(number).close()
    print("warm", flush=True)
    if sys.stdin.readline():
        load.held = [visit(number) for number in range(load.connections)]
        print("held", flush=True)
        sys.stdin.readline()


def main(mode, *args):
    # Whoever started this may be killed, and then nobody ends it.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    load = Load(mode, *args)
    if mode == "hold":
        hold(load)
        return
    kinds = {"connect": [Visit], "udp": [Datagrams], "fair": [Pinger, Saturator]}.get(mode, [Peer])
    for number in range(load.connections):
        kinds[number % len(kinds)](load, number)
    load.run()
    # Connections that end would cost the server time before it is read off.
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
