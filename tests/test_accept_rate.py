"""So many connections, or datagrams, a second."""

import time

import pytest

from greensock.interfaces import IConnectionOpened, IConnectionRefused
from greensock.net.admission import Bucket
from tests.admission import HARDLY_EVER, new_server
from tests.helpers import (
    PATIENCE,
    Shout,
    ShoutDatagram,
    ask,
    connect,
    every_model,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
)

pytestmark = forks_beside_threads


@every_model
@everywhere
def test_so_many_at_once_and_the_rest_later(model, where):
    server = new_server(model, Shout, accept_rate=HARDLY_EVER, accept_burst=3)
    with recorded(IConnectionOpened) as record, served(server, where):
        assert [b"HELLO\n"] * 3 == [ask(server) for _ in range(3)]
        with connect(server) as client:
            client.sendall(b"late\n")
            server.suspend()
            server.resume()
            server.suspend()
            server.resume()
            assert 3 == len(record)
            server.accept_rate = None
            assert b"LATE\n" == rest(client)


@every_model
def test_they_come_at_the_rate(model):
    server = new_server(model, Shout, accept_rate=20, accept_burst=1)
    with served(server):
        before = time.monotonic()
        assert [b"HELLO\n"] * 4 == [ask(server) for _ in range(4)]
        assert 0.14 < time.monotonic() - before


@every_model
def test_the_rate_may_be_raised_while_they_wait(model):
    server = new_server(model, Shout, accept_rate=HARDLY_EVER)
    with served(server):
        assert b"HELLO\n" == ask(server)
        with connect(server) as client:
            client.sendall(b"hello\n")
            server.accept_rate = 1000
            assert b"HELLO\n" == rest(client)


@every_model
def test_datagrams_have_a_rate_too(model):
    limits = {"accept_rate": HARDLY_EVER, "accept_burst": 2}
    server = new_server(model, ShoutDatagram, "udp", **limits)
    with served(server), connect(server) as client:
        for _ in range(3):
            client.send(b"hello\n")
        assert [b"HELLO\n"] * 2 == [client.recv(100) for _ in range(2)]
        client.setblocking(False)
        server.suspend()
        server.resume()
        with pytest.raises(BlockingIOError):
            client.recv(100)
        client.settimeout(PATIENCE)
        server.accept_rate = None
        assert b"HELLO\n" == client.recv(100)


def test_those_who_come_too_fast_wait_whatever_overload_says():
    limits = {"accept_rate": HARDLY_EVER, "overload": "close", "max_connections": 1}
    server = new_server("greenlet", Shout, **limits)
    with recorded(IConnectionRefused) as record, served(server):
        assert b"HELLO\n" == ask(server)
        with connect(server) as client:
            client.sendall(b"hello\n")
            server.accept_rate = None
            assert b"HELLO\n" == rest(client)
    assert [] == record


def test_those_who_came_while_there_was_no_rate_use_none_of_it_up():
    server = new_server("greenlet", Shout, accept_rate=HARDLY_EVER, accept_burst=2)
    with served(server):
        assert b"HELLO\n" == ask(server)
        server.accept_rate = None
        assert [b"HELLO\n"] * 5 == [ask(server) for _ in range(5)]
        server.accept_rate = HARDLY_EVER
        assert b"HELLO\n" == ask(server)


def test_handle_request_keeps_to_the_rate(mailbox):
    server = new_server("inline", Shout, accept_rate=HARDLY_EVER, timeout=0.05)
    server.handle_timeout = lambda: mailbox.put("timeout")
    with server, connect(server) as first, connect(server) as second:
        for client in first, second:
            client.sendall(b"hello\n")
        server.handle_request()
        server.handle_request()
        assert b"HELLO\n" == rest(first)
        assert ["timeout"] == mailbox.take(1)
        server.accept_rate = None
        server.handle_request()
        assert b"HELLO\n" == rest(second)
        assert mailbox.is_empty()


def test_a_bucket_fills_at_its_rate_and_not_over_its_rim():
    bucket = Bucket()
    assert 0.0 == bucket.wait(10, 2, 100.0)
    bucket.take()
    assert 0.0 == bucket.wait(10, 2, 100.0)
    bucket.take()
    assert 0.1 == pytest.approx(bucket.wait(10, 2, 100.0))
    assert 0.05 == pytest.approx(bucket.wait(10, 2, 100.05))
    assert 0.0 == bucket.wait(10, 2, 1000.0)
    for _ in range(2):
        bucket.take()
    assert 0.1 == pytest.approx(bucket.wait(10, 2, 1000.0))


@pytest.mark.parametrize(("rate", "burst"), [(HARDLY_EVER, 1), (1, 1), (2.5, 2), (100, 100)])
def test_without_a_burst_it_holds_what_comes_in_a_second(rate, burst):
    bucket = Bucket()
    taken = 0
    while not bucket.wait(rate, None, 100.0):
        bucket.take()
        taken += 1
    assert burst == taken
