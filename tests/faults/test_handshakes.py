"""A TLS handshake that fails is told once, costs one connection, and leaves nothing."""

import ssl
from contextlib import suppress
from socket import SHUT_WR, SO_LINGER, SOL_SOCKET

import pytest

from greensock.interfaces import IAcceptPaused, IConnectionClosed, IHandshakeFailed, IRequestFailed
from greensock.net import handover
from tests import tls
from tests.faults.injecting import assert_nothing_new, every_model, holdings, new_server
from tests.helpers import connect, forks_beside_threads, recorded, rest, served, wait_until

pytestmark = forks_beside_threads


def end(client):
    """Say no more, and wait for the server to end it."""
    # Closing would not do: a child has a copy of it, and would wait for its own end.
    with suppress(OSError):  # the server may have reset it by now
        client.shutdown(SHUT_WR)
    with suppress(ConnectionResetError):
        rest(client)


def plain_text(server):
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        end(client)


def half_a_hello(server):
    with connect(server) as client:
        client.sendall(b"\x16\x03\x01\x02")
        end(client)


def nothing(server):
    with connect(server) as client:
        end(client)


def gone(server):
    """Reset the connection before the server has seen it."""
    server.suspend()
    with connect(server) as client:
        client.setsockopt(SOL_SOCKET, SO_LINGER, b"\1\0\0\0\0\0\0\0")
    with recorded(IConnectionClosed) as closed:
        server.resume()
        wait_until(lambda: closed)


def distrust(server):
    with pytest.raises(ssl.SSLError):
        tls.connect(server, tls.client_context(tls.OTHER))


def shout(server):
    with tls.connect(server) as client:
        client.sendall(b"hello\n")
        return client.recv(100)


@every_model
@pytest.mark.parametrize("fail", [plain_text, half_a_hello, nothing, gone, distrust])
def test_a_handshake_that_fails_costs_one_connection(model, fail):
    server = new_server(model, ssl_context=tls.shared_server_context())
    kinds = IHandshakeFailed, IRequestFailed, IAcceptPaused
    with recorded(*kinds) as record, recorded(IConnectionClosed) as closed:
        with served(server, "greenlet"):
            before = holdings(server)
            assert b"HELLO\n" == shout(server)
            assert_nothing_new(server, before)
            for _ in range(2):
                fail(server)
                assert_nothing_new(server, before)
            assert b"HELLO\n" == shout(server)
            assert_nothing_new(server, before)
    # A child tells of it itself, in its own process.
    told = [type(event).__name__ for event in record]
    assert told == ([] if model == "fork" else 2 * ["HandshakeFailed"])
    reasons = [event.connection.reason for event in closed]
    assert ["finished", *2 * ["handshake"], "finished"] == reasons


@every_model
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_who_goes_as_tls_begins_leaves_nothing_either(model, monkeypatch):
    """Nor does whoever keeps the error keep a descriptor, which Python warns of."""
    monkeypatch.setattr(handover, "_check_peer", lambda sock: None)
    test_a_handshake_that_fails_costs_one_connection(model, gone)
