"""How a connection ended, as its last event tells."""

import threading

import gevent
import pytest

import greensock
from greensock import BaseRequestHandler
from greensock.interfaces import IConnectionClosed, IConnectionOpened
from tests.books import ParkedEcho, closing_record, ends_of, new_server
from tests.helpers import (
    CONCURRENT,
    LOCAL,
    Crash,
    Shout,
    concurrent_models,
    connect,
    every_model,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    somewhere,
    wait_until,
)

pytestmark = forks_beside_threads


def is_hung_up_on(server):
    """Whether the server ends a connection without a word."""
    with connect(server) as client:
        return rest(client) == b""


@somewhere
def test_one_whose_handler_raised_has_failed(model, where):
    with closing_record() as record, served(new_server(model, Crash), where) as server:
        assert is_hung_up_on(server)
        wait_until(lambda: record)
    assert ["failed"] == ends_of(record)


@every_model
def test_one_whose_parked_handler_raised_has_failed(model):
    class Fail(ParkedEcho):
        def handle(self):
            if self.request.recv(10) == b"bad":
                raise RuntimeError("bad")
            self.request.sendall(b"good")

    with closing_record() as record, served(new_server(model, Fail)) as server:
        with connect(server) as client:
            client.sendall(b"hello")
            assert b"good" == client.recv(10)
            client.sendall(b"bad")
            assert b"" == rest(client)
        wait_until(lambda: record)
    assert ["failed"] == ends_of(record)


@every_other(
    model=CONCURRENT, error=[SystemExit(3), BaseException("odd"), gevent.GreenletExit()]
)
def test_what_is_no_exception_is_a_failure_too(model, error, monkeypatch):
    class Odd(BaseRequestHandler):
        def handle(self):
            raise error

    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    with closing_record() as record, served(new_server(model, Odd)) as server:
        assert is_hung_up_on(server)
        wait_until(lambda: record)
    assert ["failed"] == ends_of(record)


def test_an_exception_that_ends_an_inline_server_is_a_failure():
    class Odd(BaseRequestHandler):
        def handle(self):
            raise SystemExit(3)

    server = new_server("inline", Odd)
    with server, closing_record() as record, serving(server) as call:
        assert is_hung_up_on(server)
        with pytest.raises(SystemExit):
            call.end()
    assert ["failed"] == ends_of(record)


@every_model
def test_one_whose_handler_could_not_be_made_has_failed(model):
    def factory(request, client_address, server):
        raise LookupError("no such handler")

    with closing_record() as record, served(new_server(model, factory)) as server:
        assert is_hung_up_on(server)
        wait_until(lambda: record)
    assert ["failed"] == ends_of(record)


def test_one_for_which_there_was_no_thread_has_failed(monkeypatch):
    def start_thread(*args, **kwargs):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("greensock.mixins.threads.start_thread", start_thread)
    kinds = IConnectionOpened, IConnectionClosed
    with recorded(*kinds) as record, served(new_server("thread", Shout)) as server:
        with connect(server) as client:
            assert b"" == rest(client)
        wait_until(lambda: len(record) == 2)
    assert ["failed"] == ends_of(record)


@concurrent_models
def test_one_with_a_request_of_an_applications_own_kind_fails_as_well(model):
    class Wrapped:
        """Knows nothing of being counted."""

        __slots__ = ("sock",)

        def __init__(self, sock):
            self.sock = sock

        def close(self):
            self.sock.close()

        def shutdown(self, how):
            self.sock.shutdown(how)

        def fileno(self):
            return self.sock.fileno()

    class Own:
        def get_request(self):
            request, client_address = super().get_request()
            return Wrapped(request), client_address

    server = type("Server", (Own, greensock.server_class(model)), {})(LOCAL, Crash)
    with closing_record() as record, served(server):
        assert is_hung_up_on(server)
        wait_until(lambda: record)
    assert ["failed"] == ends_of(record)
