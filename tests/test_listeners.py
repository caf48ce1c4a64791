"""The socket a server waits on: opened for an address, or adopted from whoever opened it."""

import errno
import gc
import os
import socket

import gevent.socket
import pytest

import greensock
from tests.helpers import (
    LOCAL,
    MODELS,
    Echo,
    Shout,
    ShoutDatagram,
    ask,
    connect_to,
    descriptors,
    forks_beside_threads,
    has_ipv6,
    rest,
    served,
    with_ipv6,
)

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)


@with_ipv6
@pytest.mark.parametrize("transport, handler", [("tcp", Shout), ("udp", ShoutDatagram)])
def test_an_ipv6_literal_makes_an_ipv6_server(transport, handler):
    with served(greensock.server_class("greenlet", transport)(("::1", 0), handler)) as server:
        assert socket.AF_INET6 == server.address_family == server.socket.family
        assert "::1" == server.server_address[0]
        assert b"HELLO\n" == ask(server)


@with_ipv6
@pytest.mark.parametrize("dual_stack", [True, False])
def test_an_ipv6_server_takes_ipv4_clients_if_told_to(dual_stack):
    server_class = type("Server", (greensock.GreenletTCPServer,), {"dual_stack": dual_stack})
    with served(server_class(("::", 0), Shout)) as server:
        address = "127.0.0.1", server.server_address[1]
        if dual_stack:
            with connect_to(address) as client:
                client.sendall(b"hello\n")
                assert b"HELLO\n" == rest(client)
        else:
            with pytest.raises(ConnectionRefusedError):
                connect_to(address)


@with_ipv6
def test_the_address_family_may_be_a_class_attribute():
    class Server(greensock.TCPServer):
        address_family = socket.AF_INET6

    with Server(("", 0), Echo) as server:
        assert socket.AF_INET6 == server.socket.family


def test_the_family_of_one_server_is_not_that_of_its_class():
    with greensock.TCPServer(("::1", 0), Echo) if has_ipv6() else greensock.TCPServer(LOCAL, Echo):
        assert socket.AF_INET == greensock.TCPServer.address_family


@every_model
@pytest.mark.parametrize("listening", [True, False])
def test_a_descriptor_is_adopted(model, listening):
    """Listening already, as systemd passes it, or only bound."""
    opened = socket.socket()
    opened.bind(LOCAL)
    if listening:
        opened.listen(1)
    address = opened.getsockname()
    with served(greensock.server_class(model)(opened.detach(), Shout)) as server:
        assert address == server.server_address
        assert b"HELLO\n" == ask(server)
    assert -1 == server.fileno()


@pytest.mark.parametrize("kind", [socket.socket, gevent.socket.socket])
@every_model
def test_a_socket_is_adopted(model, kind):
    opened = kind()
    opened.bind(LOCAL)
    with served(greensock.server_class(model)(opened, Shout)) as server:
        assert b"HELLO\n" == ask(server)
    assert -1 == opened.fileno()


def test_a_descriptor_of_another_family_is_adopted(tmp_path):
    opened = socket.socket(socket.AF_UNIX)
    opened.bind(str(tmp_path / "socket"))
    with served(greensock.GreenletTCPServer(opened.detach(), Shout)) as server:
        assert socket.AF_UNIX == server.address_family
        assert b"HELLO\n" == ask(server)
    assert (tmp_path / "socket").exists(), "it was not this server that bound it"


def test_a_datagram_socket_is_adopted():
    opened = socket.socket(type=socket.SOCK_DGRAM)
    opened.bind(LOCAL)
    with served(greensock.GreenletUDPServer(opened.detach(), ShoutDatagram)) as server:
        assert b"hello".upper() == ask(server, b"hello")


@pytest.mark.parametrize("kind", [socket.socket, gevent.socket.socket])
def test_a_socket_of_the_wrong_kind_is_refused_and_stays_its_owners(kind):
    with kind(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        with pytest.raises(ValueError, match="is a SOCK_DGRAM socket; .* on a SOCK_STREAM socket"):
            greensock.TCPServer(opened, Echo)
        gc.collect()
        assert opened.fileno() >= 0
        opened.bind(LOCAL)
        with pytest.raises(ValueError, match="SOCK_DGRAM"):
            greensock.TCPServer(opened.fileno(), Echo)
        gc.collect()
        assert opened.getsockname()[1] > 0


def test_a_descriptor_that_is_no_socket_is_refused_and_stays_its_owners():
    reader, writer = os.pipe()
    with pytest.raises(ValueError, match=f"descriptor {reader} is not an open socket"):
        greensock.TCPServer(reader, Echo)
    gc.collect()
    os.close(reader)
    os.close(writer)


def test_a_descriptor_that_is_not_open_is_refused():
    before = descriptors()
    with pytest.raises(ValueError, match="is not an open socket"):
        greensock.TCPServer(9999, Echo)
    assert before >= descriptors()


def test_sharing_a_port_is_not_asked_for_where_there_is_none(tmp_path):
    """Linux refuses it there."""

    class Server(greensock.UnixStreamServer):
        allow_reuse_port = True

    with served(Server(str(tmp_path / "socket"), Shout)) as server:
        assert 0 == server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert b"HELLO\n" == ask(server)


@every_model
@pytest.mark.parametrize("timeout", [None, 60])
def test_the_listener_keeps_its_owners_timeout_and_blocking_mode(model, timeout):
    server = greensock.server_class(model)(LOCAL, Shout)
    server.socket.settimeout(timeout)
    blocking = os.get_blocking(server.fileno())
    with server, served(server):
        assert b"HELLO\n" == ask(server)
        assert timeout == server.socket.gettimeout()
        server.shutdown()
        assert timeout == server.socket.gettimeout()
        assert blocking == os.get_blocking(server.fileno())


def test_a_listener_that_is_adopted_keeps_the_queue_it_has():
    """It has room for two connections."""
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"\0greensock-test-queue-{os.getpid()}")
        opened.listen(1)
        address = opened.getsockname()
        with greensock.UnixStreamServer(opened.detach(), Shout):
            clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
            try:
                for client in clients:
                    client.setblocking(False)
                assert [0, 0, errno.EAGAIN] == [client.connect_ex(address) for client in clients]
            finally:
                for client in clients:
                    client.close()
