"""What gevent itself brings."""

import gevent
from gevent import ssl
from gevent.queue import Queue
from gevent.server import DatagramServer, StreamServer
from gevent.socket import IPPROTO_TCP, SHUT_WR, TCP_NODELAY, create_connection

from . import BACKLOG, CHUNK, LOCAL, TIMEOUT, announce, tls_context


def echo(sock, address):
    while data := sock.recv(CHUNK):
        sock.sendall(data)


def with_timeout(sock, address):
    sock.settimeout(TIMEOUT)
    echo(sock, address)


def lines(sock, address):
    with sock.makefile("rb") as file:
        for line in file:
            sock.sendall(line)


class Member:
    """A queue, and a greenlet that writes what is in it."""

    everybody: set = set()

    def __init__(self, sock):
        self.sock = sock
        self.queue = Queue()
        self.writer = gevent.spawn(self.write)

    def write(self):
        for data in self.queue:
            self.sock.sendall(data)


def fan_out(sock, address):
    me = Member(sock)
    Member.everybody.add(me)
    sock.sendall(b"\n")
    try:
        while data := sock.recv(CHUNK):
            for member in list(Member.everybody):
                if member is not me:
                    member.queue.put(data)
    finally:
        Member.everybody.discard(me)
        me.writer.kill()


def pump(source, sink):
    while data := source.recv(CHUNK):
        sink.sendall(data)
    sink.shutdown(SHUT_WR)


class Relay:
    """Two greenlets, one for each direction."""

    def __init__(self, upstream):
        self.upstream = upstream

    def __call__(self, sock, address):
        with create_connection(self.upstream) as onward:
            onward.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            back = gevent.spawn(pump, onward, sock)
            pump(sock, onward)
            back.get()


class Datagrams(DatagramServer):
    def handle(self, data, address):
        self.socket.sendto(data, address)


SERVICES = {"timeout": with_timeout, "lines": lines, "guarded": lines, "fanout": fan_out}


def serve(service, upstream=None):
    if service == "udp":
        server = Datagrams(LOCAL)
    else:
        handler = Relay(upstream) if service == "relay" else SERVICES.get(service, echo)
        options = {"ssl_context": tls_context(ssl)} if service == "tls" else {}
        server = StreamServer(LOCAL, handler, backlog=BACKLOG, **options)
    server.start()
    announce(server.server_port)
    server.serve_forever()
