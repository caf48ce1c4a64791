"""Servers whose listener was wrapped for TLS: their workers shake hands, never the accept loop."""

import socket
import socketserver
import ssl

import gevent
import pytest

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IAcceptFailed, IConnectionCut, IHandshakeFailed, IRequestFailed
from greensock.net import native
from tests import tls
from tests.helpers import (
    CONCURRENT,
    LOCAL,
    PATIENCE,
    PLACES,
    Shout,
    concurrent_models,
    connect,
    every_model,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    somewhere,
    wait_until,
)
from tests.proxies import reset

pytestmark = forks_beside_threads


def secure(model, handler, context=None, **options):
    """A server behind a wrapped listener."""
    server = greensock.server_class(model)(LOCAL, handler)
    context = context or tls.shared_server_context()
    server.socket = context.wrap_socket(server.socket, server_side=True, **options)
    return server


def shout(server):
    with tls.connect(server) as client:
        client.sendall(b"hello\n")
        return client.recv(100)


class Telling(BaseRequestHandler):
    """Tells what was agreed on in the handshake."""

    def handle(self):
        self.request.sendall(f"{self.request.version()} {self.request.cipher()[0]}".encode())


@somewhere
def test_handlers_have_the_connection_with_the_handshake_made(model, where):
    with served(secure(model, Telling), where) as server, tls.connect(server) as client:
        assert f"{client.version()} {client.cipher()[0]}".encode() == client.recv(100)


@somewhere
def test_stream_handlers_read_and_write_files_over_tls(model, where):
    with served(secure(model, Shout), where) as server:
        for _ in range(2):
            assert b"HELLO\n" == shout(server)


@every_other(model=CONCURRENT, where=PLACES)
def test_silent_clients_keep_nobody_waiting(model, where):
    """Nobody's handshake is waited for but by the worker it belongs to."""
    with served(secure(model, Shout), where) as server:
        silent = [connect(server) for _ in range(4)]
        assert b"HELLO\n" == shout(server)
        for client in silent:
            client.shutdown(socket.SHUT_RDWR)
            client.close()


@concurrent_models
def test_closing_cuts_who_is_in_mid_handshake(model):
    """Their workers end with them, who would otherwise wait for ever."""
    server = secure(model, Shout)
    server.drain_timeout = 0
    with recorded(IConnectionCut) as record, served(server):
        with connect(server) as client:
            client.sendall(b"\x16\x03\x01")
            wait_until(lambda: server._gs_crew)
            server.shutdown()
            server.server_close()
            assert 0 == len(server._gs_crew)
            assert [client.getsockname()] == [event.client_address for event in record]
            assert_hung_up_on(client)


def assert_hung_up_on(client):
    try:
        assert b"" == rest(client)
    except ConnectionResetError:
        pass  # what it had sent was not read


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_garbage_instead_of_a_handshake_is_an_event_and_costs_nothing_else(model):
    with recorded(IHandshakeFailed, IRequestFailed, IAcceptFailed) as record:
        with served(secure(model, Shout)) as server:
            with connect(server) as client:
                address = client.getsockname()
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                try:
                    rest(client)
                except ConnectionResetError:
                    pass  # it has not read all of the garbage
            wait_until(lambda: record)
            assert b"HELLO\n" == shout(server)
    (event,) = record
    assert IHandshakeFailed.providedBy(event)
    assert (server, address) == (event.server, event.client_address)
    assert isinstance(event.error, ssl.SSLError)


def test_garbage_costs_a_child_and_nothing_else():
    with served(secure("fork", Shout)) as server:
        with connect(server) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            try:
                rest(client)
            except ConnectionResetError:
                pass  # it has not read all of the garbage
        wait_until(lambda: not server.active_children)
        assert b"HELLO\n" == shout(server)


@concurrent_models
def test_the_server_is_told_the_name_the_client_wants(model, mailbox):
    context = tls.server_context()
    context.sni_callback = lambda sock, name, context: mailbox.put(name)
    with served(secure(model, Shout, context)) as server:
        assert b"HELLO\n" == shout(server)
        assert "localhost" == mailbox.get()


@every_model
def test_an_application_protocol_is_agreed_on(model):
    class Protocol(BaseRequestHandler):
        def handle(self):
            self.request.sendall(self.request.selected_alpn_protocol().encode())

    context = tls.server_context()
    context.set_alpn_protocols(["chat", "http/1.1"])
    asking = tls.client_context()
    asking.set_alpn_protocols(["http/1.1", "gopher"])
    with served(secure(model, Protocol, context)) as server:
        with tls.connect(server, asking) as client:
            assert b"http/1.1" == client.recv(100)
            assert "http/1.1" == client.selected_alpn_protocol()


@every_model
def test_the_handshake_may_be_left_to_the_handler(model):
    class Shaking(BaseRequestHandler):
        def handle(self):
            before = self.request.version()
            self.request.do_handshake()
            self.request.sendall(f"{before} {self.request.version()}".encode())

    server = secure(model, Shaking, do_handshake_on_connect=False)
    with served(server), tls.connect(server) as client:
        assert f"None {client.version()}".encode() == client.recv(100)


@somewhere
def test_much_is_carried_both_ways(model, where):
    """More than all buffers hold, while the client reads and writes at once."""
    sent = bytes(range(256)) * 8192
    received = bytearray()

    class EchoAll(BaseRequestHandler):
        def handle(self):
            left = len(sent)
            while left:
                data = self.request.recv(65536)
                left -= len(data)
                self.request.sendall(data)

    with served(secure(model, EchoAll), where) as server, tls.connect(server) as client:
        writer = gevent.spawn(client.sendall, sent)
        while len(received) < len(sent):
            received += client.recv(65536)
        writer.join(PATIENCE)
    assert sent == received


@every_model
def test_a_server_may_wrap_its_listener_when_it_is_activated(model):
    """As http.server's HTTPSServer does, since Python 3.14."""

    class Secure(greensock.server_class(model)):
        def server_activate(self):
            super().server_activate()
            self.socket = tls.shared_server_context().wrap_socket(self.socket, server_side=True)

    with served(Secure(LOCAL, Shout)) as server:
        assert b"HELLO\n" == shout(server)


@pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])
def test_workers_share_a_wrapped_listener_of_the_standard_library(share):
    class Secure(greensock.PreforkMixIn, socketserver.TCPServer):
        workers = 2

        def server_activate(self):
            super().server_activate()
            self.socket = tls.shared_server_context().wrap_socket(self.socket, server_side=True)

    Secure.share = share
    with served(Secure(LOCAL, Shout)) as server:
        assert [b"HELLO\n"] * 4 == [shout(server) for _ in range(4)]


@tls.needs_openssl
@concurrent_models
def test_openssl_is_a_client(model):
    with served(secure(model, Shout)) as server:
        assert b"HELLO\n" == tls.s_client(server, "-quiet")[1]


class Floods(StreamRequestHandler):
    """Answers each line in upper case, one of them with a flood until the connection breaks."""

    def handle(self):
        for line in self.rfile:
            if line == b"flood\n":
                return self.flood()
            self.wfile.write(line.upper())

    def flood(self):
        try:
            while True:
                self.request.sendall(bytes(100_000))
        except OSError:
            self.server.mailbox.put("broken")


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_a_connection_that_breaks_breaks_no_other_one(model, mailbox):
    """OpenSSL has one queue of errors for all those of a thread."""
    server = secure(model, Floods)
    server.mailbox = mailbox
    with served(server), tls.connect(server) as calm:
        for _ in range(3):
            wild = tls.connect(server)
            wild.sendall(b"flood\n")
            assert wild.recv(1)
            reset(wild)
            assert "broken" == mailbox.get()
            for _ in range(2):
                calm.sendall(b"hello\n")
                assert b"HELLO\n" == calm.recv(100)


class Listens(BaseRequestHandler):
    """Tells what comes, and that it ends for good."""

    def handle(self):
        while data := self.request.recv(100):
            self.server.mailbox.put(data)
        self.server.mailbox.put((self.request.recv(100), self.request.recv_into(bytearray(1))))


@concurrent_models
def test_an_end_without_a_goodbye_is_an_end(model, mailbox, tmp_path):
    """Also where the peer cannot be told any more that its goodbye was missing."""
    path = str(tmp_path / "server")
    server = greensock.server_class(model, "unix")(path, Listens)
    server.ssl_context = tls.server_context()
    server.mailbox = mailbox
    with served(server), socket.socket(socket.AF_UNIX) as plain:
        plain.connect(path)
        with tls.client_context().wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"hello")
            assert b"hello" == mailbox.get()
            native.Socket.shutdown(getattr(client, "_sock", client), socket.SHUT_RDWR)
            assert (b"", 0) == mailbox.get()
