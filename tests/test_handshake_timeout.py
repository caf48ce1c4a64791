"""Peers that do not get on with their TLS handshake, or make none."""

import socket
import ssl
from contextlib import ExitStack

import gevent
import gevent.ssl
import pytest

import greensock
from greensock.interfaces import IConnectionClosed, IConnectionCut, IHandshakeFailed
from greensock.interfaces import IRequestFailed
from tests import tls
from tests.helpers import (
    LOCAL,
    MODELS,
    PLACES,
    Echo,
    Shout,
    children,
    connect,
    descriptors,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)

pytestmark = forks_beside_threads

# Seconds; a good client's handshake takes a fiftieth of it.
LIMIT = 0.15
LONG = 60

every_model = pytest.mark.parametrize("model", MODELS)


def new_server(model, handler=Shout, **attributes):
    context = tls.shared_server_context()
    attributes = {"ssl_context": context, "handshake_timeout": LIMIT, **attributes}
    return type("Server", (greensock.server_class(model),), attributes)(LOCAL, handler)


def new_wrapped_server(model, handler=Shout, **attributes):
    server = new_server(model, handler, ssl_context=None, **attributes)
    server.socket = tls.shared_server_context().wrap_socket(server.socket, server_side=True)
    return server


def shout(server):
    with tls.connect(server) as client:
        client.sendall(b"hello\n")
        return client.recv(100)


def client_hello():
    """The first that a client says."""
    said = ssl.MemoryBIO()
    context = tls.shared_client_context()
    client = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return said.read()


def say_nothing(client):
    pass


def say_hello_and_no_more(client):
    client.sendall(client_hello())


def say_hello_slowly(client):
    for byte in client_hello():
        try:
            client.sendall(bytes([byte]))
        except OSError:
            return
        gevent.sleep(0.01)
    pytest.fail("it was listened to until the end")


def say_garbage(client):
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")


def say_the_end(client):
    client.sendall(client_hello()[:10])
    client.shutdown(socket.SHUT_WR)


def assert_hung_up_on(client):
    try:
        rest(client)
    except ConnectionResetError:
        pass  # what it had sent was not read


@every_other(
    model=MODELS,
    case=[
        ("thread", new_server, say_hello_and_no_more),
        ("greenlet", new_server, say_hello_slowly),
        ("thread", new_wrapped_server, say_nothing),
    ],
)
def test_who_takes_too_long_is_cut(model, case):
    where, make, say = case
    interfaces = IHandshakeFailed, IConnectionCut, IConnectionClosed, IRequestFailed
    with served(make(model), where) as server, recorded(*interfaces) as record:
        before = descriptors()
        assert b"HELLO\n" == shout(server)
        wait_until(lambda: not server.connections)
        record.clear()
        with connect(server) as client:
            address = client.getsockname()
            say(client)
            assert_hung_up_on(client)
        wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
        assert [] == server.connections
        assert model != "fork" or not children()
        wait_until(lambda: before >= descriptors())
        cut, failed, closed = record
        assert (address, "handshake_timeout") == (cut.client_address, cut.reason)
        assert address == failed.client_address
        assert "TimeoutError('no handshake within 0.15 s')" == repr(failed.error)
        assert "handshake_timeout" == closed.connection.reason
        assert b"HELLO\n" == shout(server)


@every_other(model=MODELS, where=PLACES, say=[say_garbage, say_the_end])
def test_who_makes_none_is_told_of_and_leaves_nothing_behind(model, where, say):
    interfaces = IHandshakeFailed, IConnectionClosed, IConnectionCut, IRequestFailed
    with served(new_server(model, handshake_timeout=LONG), where) as server:
        before = descriptors()
        assert b"HELLO\n" == shout(server)
        wait_until(lambda: not server.connections)
        with recorded(*interfaces) as record, connect(server) as client:
            address = client.getsockname()
            say(client)
            assert_hung_up_on(client)
            wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
        wait_until(lambda: before >= descriptors())
        assert [] == server.connections
        assert model != "fork" or not children()
        assert "handshake" == record.pop().connection.reason
        if model != "fork":  # where a child has told of it, and not its parent
            (event,) = record
            assert IHandshakeFailed.providedBy(event)
            assert address == event.client_address
            assert isinstance(event.error, OSError)
        assert b"HELLO\n" == shout(server)


# A process for each takes much longer, and tells no more.
@pytest.mark.parametrize("model, count", [("greenlet", 60), ("thread", 60), ("fork", 8)])
def test_who_is_silent_keeps_nobody_waiting(model, count):
    server = new_server(model, handshake_timeout=LONG, max_children=count + 1)
    with served(server), ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(connect(server))
            clients.callback(client.shutdown, socket.SHUT_RDWR)  # forked children have a copy
        wait_until(lambda: count == len(in_handshake(server)))
        assert b"HELLO\n" == shout(server)
        assert count == len(in_handshake(server))


def in_handshake(server):
    return [each for each in server.connections if each.state == "handshake"]


@every_model
def test_the_limit_may_be_changed_while_they_wait(model):
    with served(new_server(model, handshake_timeout=None)) as server, connect(server) as client:
        wait_until(lambda: in_handshake(server))
        server.handshake_timeout = LIMIT
        assert_hung_up_on(client)


@every_model
def test_who_has_shaken_hands_is_not_limited(model):
    with recorded(IConnectionCut) as record, served(new_server(model, Echo)) as server:
        with tls.connect(server) as client:
            client.sendall(b"hello")
            assert b"hello" == client.recv(100)
            # By then somebody else's handshake has taken too long.
            with connect(server) as silent:
                if model != "inline":
                    assert_hung_up_on(silent)
            client.sendall(b"hello")
            assert b"hello" == client.recv(100)
            client.unwrap()
            address = client.getsockname()
    assert address not in [event.client_address for event in record]


@every_model
def test_a_handshake_may_be_cut_otherwise(model):
    server = new_server(model, handshake_timeout=LONG)
    with recorded(IHandshakeFailed, IConnectionClosed) as record, served(server):
        with connect(server) as client:
            wait_until(lambda: in_handshake(server))
            (connection,) = server.connections
            assert server.kick(connection)
            assert_hung_up_on(client)
            wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
    failed, closed = record
    assert not isinstance(failed.error, TimeoutError)
    assert "kicked" == closed.connection.reason


@every_model
def test_the_handler_has_all_its_time_after_the_handshake(model):
    """A slow handshake, which has a limit of its own, is not the handler's fault."""
    limit = 3 * LIMIT  # in which a child that is measured is done, too
    server = new_server(model, handshake_timeout=LONG, request_timeout=limit)
    with recorded(IConnectionClosed) as record, served(server):
        with connect(server) as plain:
            wait_until(lambda: in_handshake(server))
            (connection,) = server.connections
            wait_until(lambda: connection.seconds > 2 * limit)
            assert "handshake" == connection.state
            context = tls.client_context()
            with gevent.ssl.SSLSocket(
                plain, _context=context, server_hostname="localhost"
            ) as client:
                client.sendall(b"hello\n")
                assert b"HELLO\n" == client.recv(100)
        wait_until(lambda: record)
    assert ["finished"] == [event.connection.reason for event in record]
