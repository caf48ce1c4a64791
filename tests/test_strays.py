"""Servers that have their requests handled elsewhere, as many an application's own do."""

import socketserver
import threading

import gevent
import pytest

import greensock
from greensock.interfaces import IConnectionClosed, IRequestFailed
from tests import tls
from tests.helpers import (
    LOCAL,
    Crash,
    Shout,
    Trap,
    ask,
    connect,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)

pytestmark = forks_beside_threads


class Threads:
    """Finishes each request in a thread of its own; under monkey patching, that is a greenlet."""

    def process_request(self, request, client_address):
        threading.Thread(target=self.work, args=(request, client_address)).start()

    def work(self, request, client_address):
        try:
            self.finish_request(request, client_address)
        except Exception:
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)


class ModelsThreads(Threads):
    """Has a model finish it there."""

    def work(self, request, client_address):
        self.process_request_thread(request, client_address)


class Greenlets(ModelsThreads):
    def process_request(self, request, client_address):
        gevent.spawn(self.work, request, client_address)


class StandardThreads(socketserver.ThreadingMixIn):
    """The standard library's, which a module has imported before it was replaced."""


WAYS = {
    "threads": (Threads, greensock.TCPServer),
    "threads of the standard library": (StandardThreads, greensock.TCPServer),
    "threads of a model's": (ModelsThreads, greensock.ThreadingMixIn, greensock.TCPServer),
    "over the standard library": (ModelsThreads, greensock.ThreadingMixIn, socketserver.TCPServer),
    "threads beside greenlets": (ModelsThreads, greensock.GreenletMixIn, greensock.TCPServer),
    "greenlets": (Greenlets, greensock.GreenletMixIn, greensock.TCPServer),
}

every_way = pytest.mark.parametrize("way", WAYS)


def new_server(way, handler, **attributes):
    server = type("Server", WAYS[way], {})(LOCAL, handler)
    for name, value in attributes.items():
        setattr(server, name, value)
    return server


@every_way
@everywhere
def test_they_are_served_at_once_and_in_the_books(way, where):
    with served(new_server(way, Trap), where) as server:
        clients = [connect(server) for _ in range(3)]
        assert [b"trapped\n"] * 3 == [client.recv(100) for client in clients]
        assert {client.getsockname() for client in clients} == {
            connection.client_address for connection in server.connections
        }
        for client in clients:
            client.close()
        wait_until(lambda: not server.connections)


@every_way
@everywhere
def test_they_speak_tls_and_nothing_else(way, where):
    server = new_server(way, Shout, ssl_context=tls.server_context())
    with served(server, where), tls.connect(server) as client:
        client.sendall(b"hello\n")
        assert b"HELLO\n" == rest(client)
        with connect(server) as plain:
            plain.sendall(b"hello\n")
            try:
                assert b"HELLO" not in rest(plain)
            except ConnectionResetError:
                pass


@every_way
def test_their_limits_hold(way):
    with recorded(IConnectionClosed) as record:
        with served(new_server(way, Trap, idle_timeout=0.1)) as server, connect(server) as client:
            assert b"trapped\n" == rest(client)
            wait_until(lambda: not server.connections)
    assert "idle_timeout" == record[-1].connection.reason


@every_way
def test_what_their_handlers_raise_costs_nothing_else(way):
    with recorded(IConnectionClosed, IRequestFailed) as record:
        with served(new_server(way, Crash)) as server:

            def told(interface):  # threads of another test's server may tell of their last
                return [e for e in record if interface.providedBy(e) and e.server is server]

            assert [b""] * 2 == [ask(server, b"") for _ in range(2)]
            wait_until(lambda: 2 == len(told(IConnectionClosed)) == len(told(IRequestFailed)))
    assert ["crash", "crash"] == [str(event.error) for event in told(IRequestFailed)]
    assert ["failed", "failed"] == [event.connection.reason for event in told(IConnectionClosed)]


@every_way
def test_parked_handlers_wait_in_place(way):
    class Member(Shout):
        parked = True

    with served(new_server(way, Member)) as server:
        with connect(server) as client:
            for _ in range(3):
                client.sendall(b"hello\n")
                assert b"HELLO\n" == client.recv(100)
        wait_until(lambda: not server.connections)


@everywhere
def test_a_hook_before_the_handler_need_not_be_in_the_right_place(where):
    """It is not known whether it will come by where connections are taken in."""

    class Server(Threads, greensock.TCPServer):
        def finish_request(self, request, client_address):
            super().finish_request(request, client_address)

    with served(Server(LOCAL, Trap), where) as server:
        clients = [connect(server) for _ in range(3)]
        assert [b"trapped\n"] * 3 == [client.recv(100) for client in clients]
        for client in clients:
            client.close()
