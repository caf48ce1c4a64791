"""What gevent itself brings."""

from gevent import ssl
from gevent.server import DatagramServer, StreamServer

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


class Datagrams(DatagramServer):
    def handle(self, data, address):
        self.socket.sendto(data, address)


def serve(service):
    if service == "udp":
        server = Datagrams(LOCAL)
    else:
        handler = {"timeout": with_timeout, "lines": lines, "guarded": lines}.get(service, echo)
        options = {"ssl_context": tls_context(ssl)} if service == "tls" else {}
        server = StreamServer(LOCAL, handler, backlog=BACKLOG, **options)
    server.start()
    announce(server.server_port)
    server.serve_forever()
