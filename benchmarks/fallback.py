"""The load in Python: where there is no C compiler, and for TLS.

Same command line, same output as the one in C: ``native/main.c`` describes it.
"""

import json
import random
import select
import socket
import ssl
import sys
import time

from . import between
from .lifetime import end_with_parent
from .reactions import KINDS as ALONE

KINDS = {**ALONE, **between.KINDS}
OFFSETS = 1024
FIRST = 20


class Load:
    def __init__(self, mode, port, connections, size, warm, seconds, wait):
        self.mode, self.server = mode, ("127.0.0.1", int(port))
        self.connections, self.size = int(connections), int(size)
        self.warm, self.seconds = float(warm), float(seconds)
        self.wait = int(wait) / 1000
        self.pattern = bytes(random.choices(range(33, 127), k=self.size + OFFSETS))
        self.epoll = select.epoll()
        self.peers = {}
        self.lookers = []
        self.since = self.ends = None
        self.silent = self.connections
        self.count()

    def count(self):
        self.began, self.cpu = time.monotonic(), time.process_time()
        self.idle = 0.0
        self.requests = self.lost = self.bytes = 0
        self.times = []

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

    def ready(self):
        """What there is to react to."""
        since = time.monotonic()
        events = self.epoll.poll(self.wait)
        if not events:
            self.idle += time.monotonic() - since
        return events

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
            for fd, events in self.ready():
                self.peers[fd].react(events)
            for peer in self.lookers:
                peer.look(now)
        # An answer that has not come yet is late, too.
        late = [time.monotonic() - peer.asked for peer in self.peers.values() if peer.timed]
        seconds = time.monotonic() - self.began
        told = {
            "requests": self.requests,
            "seconds": seconds,
            "busy": time.process_time() - self.cpu if self.wait else seconds - self.idle,
            "worst": max(self.times + late, default=0.0),
            "p99": sorted(self.times)[(len(self.times) - 1) * 99 // 100] if self.times else 0.0,
            "lost": self.lost,
            "bytes": self.bytes,
        }
        print(json.dumps(told), flush=True)


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
    end_with_parent()
    load = Load(mode, *args)
    if mode == "hold":
        hold(load)
        return
    if mode in between.KINDS:
        between.meet(load)
    kinds = KINDS[mode]
    for number in range(load.connections):
        kinds[min(number, len(kinds) - 1)](load, number)
    load.run()
    # Connections that end would cost the server time before it is read off.
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
