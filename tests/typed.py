"""A program with types, as users write them; for mypy to check, not to be run."""

import socket
import ssl
from http.server import HTTPServer, SimpleHTTPRequestHandler
from typing import Any
from xmlrpc.server import SimpleXMLRPCServer

import greensock
from greensock import (
    BaseRequestHandler,
    DatagramRequestHandler,
    ForkingMixIn,
    ForkingUDPServer,
    GreenletMixIn,
    GreenletTCPServer,
    PreforkMixIn,
    ProxyHeader,
    Relayed,
    Room,
    StreamRequestHandler,
    TCPServer,
    ThreadingMixIn,
    UDPServer,
    proxy_header_of,
    relay,
    server_class,
)
from greensock.bus import open_bus
from greensock.events import subscribe, unsubscribe
from greensock.interfaces import IConnectionClosed, IServer
from greensock.metrics import expose
from greensock.status import serve_status
from greensock.testing import check_handler, check_model, check_server

LOBBY = Room()


class Talk(StreamRequestHandler):
    parked = True
    timeout = 5.0
    rbufsize = 512

    def setup(self) -> None:
        super().setup()
        LOBBY.join(self)

    def handle(self) -> None:
        line: bytes = self.rfile.readline()
        self.wfile.write(line)
        heard: int = LOBBY.broadcast(line, skip=self)
        posted: bool = self.post(b"%d" % heard)
        header: ProxyHeader | None = proxy_header_of(self.request)
        if not posted or header is None:
            self.hang_up()
        self.toolbox.sleep(0.1)
        self.toolbox.spawn(print, line).join()
        self.switch_to_tls(ssl.create_default_context())
        self.server.shutdown()

    def draining(self) -> None:
        self.hang_up()


class Forward(BaseRequestHandler):
    def handle(self) -> None:
        with self.toolbox.connect(("127.0.0.1", 80), timeout=5) as upstream:
            relayed: Relayed = relay(self.request, upstream, idle_timeout=60.0)
        print(relayed)


class Answer(DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


class Server(GreenletMixIn, TCPServer):
    max_connections = 10
    idle_timeout = 5.0
    allow_reuse_address = True

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return True

    def process_request(self, request: Any, client_address: Any) -> None:
        super().process_request(request, client_address)

    def server_close(self) -> None:
        super().server_close()


class Datagrams(ForkingMixIn, UDPServer):
    max_children = 5


class Site(GreenletMixIn, HTTPServer):
    pass


class Calls(ThreadingMixIn, SimpleXMLRPCServer):
    daemon_threads = True


class Workers(PreforkMixIn, TCPServer):
    workers = 4

    def worker_started(self, index: int) -> None:
        print(index)


def function(request: socket.socket, client_address: Any, server: TCPServer) -> None:
    request.sendall(b"hello\n")


def of_gevent(connection: socket.socket, address: Any) -> None:
    connection.sendall(b"hello\n")


def note(event: Any) -> None:
    print(event.connection.reason)


def main() -> None:
    subscribe(IConnectionClosed, note)
    stop = expose()
    with Server(("127.0.0.1", 0), Talk) as server:
        host, port = server.server_address[:2]
        status = serve_status("127.0.0.1:0", [server])
        server.serve_forever(poll_interval=0.1)
        server.suspend()
        server.resume()
        for connection in server.connections:
            server.kick(connection)
        server.drain(3.0)
        server.shutdown()
        status.shutdown()
    Site(("", 0), SimpleHTTPRequestHandler).serve_forever()
    Calls(("", 0)).handle_request()
    Workers(("", 0), Forward).reload()
    Datagrams(("", 0), Answer).serve_forever()
    ForkingUDPServer(("", 0), function).server_close()
    GreenletTCPServer(("", 0), of_gevent).serve_forever()
    server_class("thread", "tcp")(("", 0), Talk).serve_forever()
    assert IServer.providedBy(server) and "greenlet" in greensock.MODELS
    open_bus("local:").publish("room", b"hello")
    check_model(GreenletMixIn)
    check_server(lambda handler: Server(("127.0.0.1", 0), handler))
    check_handler(Talk)
    unsubscribe(IConnectionClosed, note)
    stop()
