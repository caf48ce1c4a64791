"""Greensock passes its own public checks."""

import socketserver
from itertools import count

import pytest

import greensock
from greensock import (
    BaseRequestHandler,
    DatagramRequestHandler,
    ForkingMixIn,
    GreenletMixIn,
    StreamRequestHandler,
    TCPServer,
    ThreadingMixIn,
    UDPServer,
)
from greensock.testing import (
    check_handler,
    check_handler_factory,
    check_model,
    check_server,
    serving,
)
from greensock.testing.models import check_model_over
from tests.helpers import LOCAL, PATIENCE, every_other, forks_beside_threads

pytestmark = forks_beside_threads


def here(server_class):
    return lambda handler: server_class(LOCAL, handler)


@pytest.mark.parametrize("mixin", [GreenletMixIn, ThreadingMixIn])
def test_models_keep_their_promises(mixin):
    check_model(mixin)


@every_other(home=[greensock, socketserver], kind=["TCPServer", "UDPServer"])
def test_processes_keep_the_promises_of_models(home, kind):
    check_model_over(getattr(home, kind), ForkingMixIn)


@pytest.mark.parametrize(
    "server_class", [TCPServer, UDPServer, socketserver.TCPServer, socketserver.UDPServer]
)
def test_servers_keep_their_promises(server_class):
    check_server(here(server_class))


@pytest.mark.parametrize(
    "server_class",
    [
        greensock.UnixStreamServer,
        greensock.UnixDatagramServer,
        greensock.ThreadingUnixStreamServer,
        greensock.GreenletUnixDatagramServer,
    ],
)
def test_unix_servers_keep_their_promises(server_class, tmp_path):
    names = count()
    check_server(lambda handler: server_class(str(tmp_path / str(next(names))), handler))


class Echo(StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(line)


class Shout(DatagramRequestHandler):
    def handle(self):
        self.wfile.write(self.packet.upper())


def talk(client):
    client.sendall(b"hello\n")
    return client.recv(10)


def test_handlers_keep_their_promises():
    check_handler(BaseRequestHandler)
    check_handler(socketserver.StreamRequestHandler)
    check_handler(Echo, talk)
    check_handler(Shout, talk)


def test_functions_may_handle_requests():
    check_handler_factory(lambda request, client_address, server: request.sendall(b"hello"))
    check_handler_factory(lambda sock, address: sock.sendall(sock.recv(10)), talk)
    check_handler_factory(
        lambda request, address: request[1].sendto(request[0], address), talk, datagram=True
    )


def test_serving_serves_while_the_block_runs():
    with serving(TCPServer(LOCAL, Echo)) as run:
        assert run.goes_on(0)
    assert not run.goes_on(0)


def test_serving_tells_what_ended_the_server():
    class Broken(TCPServer):
        def service_actions(self):
            raise ZeroDivisionError

    server = Broken(LOCAL, Echo)
    with pytest.raises(ZeroDivisionError), serving(server) as run:
        assert not run.goes_on(PATIENCE)
    assert -1 == server.fileno()
