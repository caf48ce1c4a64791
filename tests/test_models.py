"""What all concurrency models have in common: errors end a request, closing waits and then cuts."""

import socket
import sys

import gevent
import pytest

import greensock
from greensock import StreamRequestHandler
from greensock.interfaces import IConnectionCut, IRequestFailed
from tests.helpers import (
    CONCURRENT,
    LOCAL,
    PLACES,
    Call,
    Shout,
    Trap,
    ask,
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


def new_server(model, handler, **attributes):
    return type("Server", (greensock.server_class(model),), attributes)(LOCAL, handler)


def raising(*errors):
    class Raising(StreamRequestHandler):
        def handle(self):
            line = self.rfile.readline()
            if line.startswith(b"raise"):
                raise errors[int(line[5:].strip() or 0)]
            self.wfile.write(line.upper())

    return Raising


# Errors


@somewhere
def test_an_exception_ends_its_request_alone(model, where):
    check_that_it_ends_its_request_alone(
        model, where, RuntimeError("it fails"), MemoryError(), TimeoutError()
    )


def check_that_it_ends_its_request_alone(model, where, *errors):
    with recorded(IRequestFailed) as record:
        with served(new_server(model, raising(*errors)), where) as server:
            for number in range(len(errors)):
                assert b"" == ask(server, b"raise %d\n" % number)
                assert b"HELLO\n" == ask(server)
    expected = [] if model == "fork" else list(errors)  # children tell it in their own process
    # A client may have been told goodbye, and the next one served, before a thread tells of it.
    assert expected == sorted((event.error for event in record), key=errors.index)


@every_other(model=CONCURRENT, where=PLACES)
def test_what_is_no_exception_ends_its_request_alone(model, where, monkeypatch):
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    check_that_it_ends_its_request_alone(
        model, where, SystemExit(3), gevent.GreenletExit(), BaseException("odd")
    )


@concurrent_models
def test_ctrl_c_beside_the_main_thread_ends_its_request_alone(model, monkeypatch):
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    with served(new_server(model, raising(KeyboardInterrupt())), "thread") as server:
        assert b"" == ask(server, b"raise\n")
        assert b"HELLO\n" == ask(server)


@every_other(where=PLACES, error=[SystemExit(3), KeyboardInterrupt()])
def test_without_a_model_what_is_no_exception_ends_serve_forever(where, error):
    """As socketserver has it."""

    with new_server("inline", raising(error)) as server:

        def serve():
            with pytest.raises(type(error)) as caught:
                server.serve_forever()
            return caught.value

        call = Call(where, serve)
        assert b"" == ask(server, b"raise\n")
        assert error is call.end()
        with served(server):
            assert b"HELLO\n" == ask(server)


@every_model
def test_handle_error_sees_the_exception_and_its_request(model, mailbox):
    def handle_error(self, request, client_address):
        mailbox.put((type(sys.exc_info()[1]), request.getpeername(), client_address))

    server = new_server(model, raising(LookupError()), handle_error=handle_error)
    with served(server), connect(server) as client:
        client.sendall(b"raise\n")
        assert b"" == rest(client)
        here = client.getsockname()
        assert (LookupError, here, here) == mailbox.get()


def raise_again(self, request, client_address):
    raise


@concurrent_models
def test_handle_error_may_raise_again_and_the_server_goes_on(model, monkeypatch):
    monkeypatch.setattr("threading.excepthook", lambda args: None)
    server = new_server(model, raising(LookupError("lost")), handle_error=raise_again)
    with served(server):
        assert b"" == ask(server, b"raise\n")
        assert b"HELLO\n" == ask(server)


def test_without_a_model_handle_error_may_raise_again_and_end_serve_forever():
    """Which is what werkzeug and idlelib want."""
    with new_server("inline", raising(LookupError("lost")), handle_error=raise_again) as server:
        with serving(server) as call:
            assert b"" == ask(server, b"raise\n")
            with pytest.raises(LookupError, match="lost"):
                call.end()
        with served(server):
            assert b"HELLO\n" == ask(server)


# Children would inherit the client, and keep its connection as it is.
@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_a_client_that_resets_its_connection_costs_nothing_else(model):
    with served(new_server(model, Shout)) as server:
        for _ in range(3):
            client = connect(server)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            assert b"HELLO\n" == ask(server)


# Closing


@every_other(model=CONCURRENT, where=PLACES)
def test_closing_cuts_an_idle_client_after_the_time_for_draining(model, where):
    server = new_server(model, Trap, drain_timeout=0.05)
    with serving(server, where) as call, connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        with recorded(IConnectionCut) as record:
            server.server_close()
        assert b"" == rest(client)
        assert [(server, client.getsockname())] == [
            (event.server, event.client_address) for event in record
        ]
        call.end()


@every_other(model=CONCURRENT, where=PLACES)
def test_a_server_that_was_shut_down_is_drained_when_it_closes(model, where):
    server = new_server(model, Trap, drain_timeout=None)
    with serving(server, where) as call, connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        server.shutdown()
        client.shutdown(socket.SHUT_WR)
        with recorded(IConnectionCut) as record:
            server.server_close()
        assert b"" == rest(client)
        assert [] == record
        call.end()


@every_other(
    model=["greenlet", "thread"], option=[{"block_on_close": False}, {"daemon_threads": True}]
)
def test_closing_need_not_wait(model, option):
    server = new_server(model, Trap, **option)
    with serving(server, "greenlet") as call, connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        server.server_close()
        call.end()
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(client)


@concurrent_models
def test_handlers_end_while_the_server_is_no_longer_served(model):
    """They are not tied to serve_forever, in a thread that lives on."""
    with new_server(model, Shout) as server, serving(server, "greenlet") as call:
        client = connect(server)
        other = connect(server)
        other.sendall(b"hello\n")
        assert b"HELLO\n" == rest(other)
        other.close()
        server.shutdown()
        call.end()
        client.sendall(b"hello\n")
        assert b"HELLO\n" == rest(client)
        client.close()


@concurrent_models
def test_many_clients_at_once_have_a_handler_each(model, mailbox):
    """Nobody is served in turn: each waits for all."""

    class Together(StreamRequestHandler):
        def handle(self):
            mailbox.put("here")
            self.wfile.write(self.rfile.readline().upper())

    with served(new_server(model, Together)) as server:
        clients = [connect(server) for _ in range(5)]
        mailbox.take(5)
        for client in clients:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)
            client.close()


def test_without_a_model_clients_are_served_one_after_the_other():
    with served(new_server("inline", Shout)) as server:
        first, second = connect(server), connect(server)
        with first, second:
            second.sendall(b"second\n")
            second.settimeout(0.05)
            with pytest.raises(TimeoutError):
                second.recv(100)
            first.sendall(b"first\n")
            assert b"FIRST\n" == rest(first)
            second.settimeout(30)
            assert b"SECOND\n" == rest(second)


def test_threads_in_greenlets_in_threads_leave_nothing_at_work():
    """Servers of different models may serve each other's handlers in one process."""

    def forward(to):
        class Forward(StreamRequestHandler):
            def handle(self):
                self.wfile.write(ask(to, self.rfile.readline()))

        return Forward

    with served(new_server("thread", Shout)) as last:
        with served(new_server("greenlet", forward(last))) as middle:
            with served(new_server("thread", forward(middle)), "greenlet") as first:
                for _ in range(3):
                    assert b"HELLO\n" == ask(first)
            wait_until(lambda: not first._threads)
