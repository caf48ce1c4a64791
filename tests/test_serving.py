"""serve_forever, handle_request, shutdown and server_close, from everywhere at any time."""

import os
import signal
import socket
import time

import gevent
import pytest

import greensock
from greensock.errors import AlreadyServing
from greensock.interfaces import IRequestFailed, IServerStarted, IServerStopped
from tests.helpers import (
    CONCURRENT,
    LOCAL,
    MODELS,
    PLACES,
    Call,
    Mailbox,
    Shout,
    Trap,
    ask,
    connect,
    descriptors,
    every_model,
    every_other,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    somewhere,
    wait_until,
)

pytestmark = forks_beside_threads

# Seconds. Who looks only so often whether to go on does not pass for instant.
SELDOM = 60
INSTANT = 5


def call_in_signal_handler(function, interrupted):
    """A signal comes whose handler calls ``function``; wait until that has returned."""
    returned = []

    def handler(number, frame):
        function()
        returned.append(True)

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        if interrupted == "hub":  # as while the main greenlet waits
            gevent.get_hub().loop.run_callback(os.kill, os.getpid(), signal.SIGUSR1)
        else:
            os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: returned)
    finally:
        signal.signal(signal.SIGUSR1, previous)


def new_server(model, handler=Shout, **attributes):
    return type("Server", (greensock.server_class(model),), attributes)(LOCAL, handler)


# Shutting down


@every_other(model=MODELS, where=PLACES, asker=[*PLACES, "test"])
def test_shutdown_is_instant_and_the_loop_has_ended_when_it_returns(model, where, asker):
    with new_server(model) as server, serving(server, where, SELDOM) as call:
        assert b"HELLO\n" == ask(server)
        before = time.monotonic()
        if asker == "test":
            server.shutdown()
        else:
            Call(asker, server.shutdown).end()
        assert time.monotonic() - before < INSTANT
        call.end()


@every_other(model=MODELS, where=PLACES, interrupted=["greenlet", "hub"])
def test_a_signal_handler_may_shut_down(model, where, interrupted):
    with new_server(model) as server, serving(server, where) as call:
        call_in_signal_handler(server.shutdown, interrupted)
        call.end()


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
@everywhere
def test_a_handler_may_shut_down_and_goes_on_itself(model, where):
    class Last(greensock.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.server.shutdown()
            self.wfile.write(b"goodbye\n")

    with new_server(model, Last) as server, serving(server, where) as call:
        assert b"goodbye\n" == ask(server)
        call.end()


@every_model
def test_shutdown_before_serving_is_remembered(model):
    with new_server(model) as server:
        server.shutdown()
        server.serve_forever()
        with serving(server) as call:
            assert b"HELLO\n" == ask(server)
            server.shutdown()
            call.end()


@every_model
def test_serving_returns_at_once_if_it_was_shut_down_and_closed_before(model):
    """As when the thread that is to serve begins late."""
    server = new_server(model)
    server.shutdown()
    server.server_close()
    server.serve_forever()
    with pytest.raises(ValueError, match="its socket is closed"):
        server.serve_forever()


@every_model
def test_shutdown_waits_for_the_end_of_what_is_only_starting(model):
    """Even if there is no loop yet."""
    asked, seen = [], []

    with recorded(IServerStarted, IServerStopped) as record, new_server(model) as server:
        open_loop = server._gs_open_loop

        def open_late(hub):
            asked.append(Call("thread", shut_down))
            wait_until(lambda: server._gs_stop_on_start)
            return open_loop(hub)

        def shut_down():
            server.shutdown()
            seen.extend(type(event).__name__ for event in record)

        server._gs_open_loop = open_late
        Call("thread", server.serve_forever).end()
        asked.pop().end()
    assert ["ServerStarted", "ServerStopped"] == seen


@every_model
def test_shutdown_twice_does_not_spoil_the_next_serve_forever(model):
    with new_server(model) as server:
        for _ in range(2):
            with serving(server) as call:
                assert b"HELLO\n" == ask(server)
                server.shutdown()
                server.shutdown()
                call.end()
            server.shutdown()


def test_many_may_shut_down_at_once():
    with new_server("greenlet") as server, serving(server) as call:
        for asker in [Call(where, server.shutdown) for where in ["thread", "greenlet"] * 5]:
            asker.end()
        call.end()


def test_shutdown_is_not_lost_on_a_server_that_is_only_starting():
    for _ in range(50):
        server = new_server("inline")
        call = Call("thread", server.serve_forever)
        server.shutdown()
        call.end()
        server.server_close()


@every_model
def test_serving_is_announced_from_beginning_to_end(model):
    with recorded(IServerStarted, IServerStopped) as record, new_server(model) as server:
        with served(server):
            assert b"HELLO\n" == ask(server)
    assert ["ServerStarted", "ServerStopped"] == [type(event).__name__ for event in record]
    assert {server} == {event.server for event in record}


@somewhere
def test_a_server_that_is_served_cannot_be_served_beside(model, where):
    with served(new_server(model), where) as server:
        with pytest.raises(AlreadyServing, match="is being served already"):
            server.serve_forever()
        assert b"HELLO\n" == ask(server)


# Closing


@every_other(model=MODELS, where=PLACES, closer=PLACES)
def test_closing_ends_the_loop(model, where, closer):
    server = new_server(model)
    with serving(server, where) as call:
        assert b"HELLO\n" == ask(server)
        Call(closer, server.server_close).end()
        call.end()
    assert -1 == server.fileno()


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
@everywhere
def test_a_handler_may_close_the_server(model, where):
    class Last(greensock.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.server.server_close()
            self.wfile.write(b"goodbye\n")

    server = new_server(model, Last)
    with serving(server, where) as call:
        assert b"goodbye\n" == ask(server)
        call.end()
    assert -1 == server.fileno()


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
@everywhere
def test_a_handler_may_close_the_socket_itself_to_end_the_loop(model, where):
    """The loop sees it when the next client comes, who is turned away."""

    class Last(greensock.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.server.socket.close()
            self.wfile.write(b"goodbye\n")

    with new_server(model, Last) as server, serving(server, where) as call:
        assert b"goodbye\n" == ask(server)
        try:
            ask(server)
        except OSError:
            pass
        call.end()


@every_other(model=MODELS, where=PLACES, interrupted=["greenlet", "hub"])
def test_a_signal_handler_may_close_the_server(model, where, interrupted):
    with new_server(model) as server, serving(server, where) as call:
        call_in_signal_handler(server.server_close, interrupted)
        call.end()
        assert -1 == server.fileno()


@every_other(model=CONCURRENT, where=PLACES)
def test_closing_in_a_signal_handler_waits_for_no_handler_where_nobody_can_wait(model, where):
    with new_server(model, Trap) as server, serving(server, where) as call:
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            call_in_signal_handler(server.server_close, "hub")
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(client)
        call.end()


@somewhere
def test_no_descriptor_is_left_of_a_served_server(model, where):
    def whole_life():
        with served(new_server(model), where) as server:
            assert b"HELLO\n" == ask(server)

    gevent.get_hub()
    before = descriptors()
    for _ in range(2):
        whole_life()
    wait_until(lambda: before >= descriptors())


@every_model
def test_threads_that_only_handle_one_request_leave_no_hub(model):
    gevent.get_hub()
    before = descriptors()
    with new_server(model) as server:
        for _ in range(2):
            call = Call("thread", server.handle_request)
            assert b"HELLO\n" == ask(server)
            call.end()
    wait_until(lambda: before >= descriptors())


# One request at a time


@somewhere
def test_handle_request_handles_one(model, where):
    with new_server(model) as server:
        call = Call(where, server.handle_request)
        assert b"HELLO\n" == ask(server)
        call.end()


@every_model
def test_handle_request_finds_a_client_that_is_waiting_already(model):
    """However short the time it is given."""
    with new_server(model, timeout=0) as server:
        for _ in range(2):
            with connect(server) as client:
                client.sendall(b"hello\n")
                server.handle_request()
                assert b"HELLO\n" == rest(client)


@every_other(
    model=MODELS, timeouts=[(0.05, None), (None, 0.05), (0.05, 60), (60, 0.05), (0, None)]
)
def test_handle_request_waits_as_long_as_the_shorter_timeout(model, timeouts):
    own, of_socket = timeouts
    expected = min(timeout for timeout in timeouts if timeout is not None)

    class Server(greensock.server_class(model)):
        timeout = own
        timeouts = 0

        def handle_timeout(self):
            self.timeouts += 1

    with Server(LOCAL, Shout) as server:
        server.socket.settimeout(of_socket)
        before = time.monotonic()
        server.handle_request()
        assert expected <= time.monotonic() - before < expected + 10
        assert 1 == server.timeouts
        assert of_socket == server.socket.gettimeout()


def test_serve_forever_ignores_the_timeout(mailbox):
    class Server(greensock.TCPServer):
        timeout = 0.001

        def handle_timeout(self):
            mailbox.put("timeout")

    with served(Server(LOCAL, Shout)) as server:
        assert b"HELLO\n" == ask(server)
        gevent.sleep(0.01)
        assert b"HELLO\n" == ask(server)
    assert mailbox.is_empty()


@every_model
def test_closing_ends_a_waiting_handle_request(model, mailbox):
    class Server(greensock.server_class(model)):
        timeout = None

        def get_request(self):
            mailbox.put("get_request")
            return super().get_request()

        def verify_request(self, request, client_address):
            return False

    server = Server(LOCAL, Shout)
    call = Call("thread", lambda: [server.handle_request() for _ in range(2)])
    with connect(server) as client:
        mailbox.get()
        assert b"" == rest(client)
    server.server_close()
    try:
        call.end()
    except ValueError as error:
        assert "its socket is closed" in str(error)  # it had not begun to wait


@every_model
def test_several_threads_may_handle_requests_side_by_side(model):
    """As some do who want a fixed number of threads."""
    with new_server(model, timeout=None) as server:
        calls = [Call("thread", server.handle_request) for _ in range(3)]
        for _ in calls:
            assert b"HELLO\n" == ask(server)
        for call in calls:
            call.end()


@every_model
def test_a_request_may_be_handled_beside_serve_forever(model):
    with served(new_server(model, timeout=0.05)) as server:
        for _ in range(2):
            call = Call("thread", server.handle_request)
            assert b"HELLO\n" == ask(server)
            call.end()
        assert b"HELLO\n" == ask(server)


# Turns of the loop


class Turning(greensock.TCPServer):
    mailbox: Mailbox
    told = 0

    def service_actions(self):
        if self.told < 5:  # a mailbox that is full would keep it waiting
            self.told += 1
            self.mailbox.put("turn")


@pytest.mark.parametrize("poll_interval", [0, 0.001])
def test_service_actions_are_called_on_every_turn_even_if_nobody_comes(mailbox, poll_interval):
    server = Turning(LOCAL, Shout)
    server.mailbox = mailbox
    with serving(server, poll_interval=poll_interval) as call:
        assert ["turn"] * 5 == mailbox.take(5)
        assert b"HELLO\n" == ask(server)
        server.shutdown()
        call.end()
    server.server_close()


def test_a_request_is_a_turn(mailbox):
    server = Turning(LOCAL, Shout)
    server.mailbox = mailbox
    with served(server, poll_interval=SELDOM):
        assert mailbox.is_empty()
        assert b"HELLO\n" == ask(server)
        assert "turn" == mailbox.get()


def test_service_actions_are_not_called_once_shutdown_was_seen(mailbox):
    server = Turning(LOCAL, Shout)
    server.mailbox = mailbox
    with served(server, poll_interval=SELDOM):
        pass
    assert mailbox.is_empty()


def test_service_actions_are_not_handle_requests(mailbox):
    server = Turning(LOCAL, Shout)
    server.mailbox = mailbox
    with server:
        call = Call("thread", server.handle_request)
        assert b"HELLO\n" == ask(server)
        call.end()
    assert mailbox.is_empty()


def test_service_actions_may_shut_down():
    class Brief(greensock.GreenletTCPServer):
        def service_actions(self):
            self.shutdown()

    with Brief(LOCAL, Shout) as server:
        server.serve_forever(poll_interval=0)


def test_what_service_actions_raise_ends_serve_forever():
    class Failing(greensock.ThreadingTCPServer):
        def service_actions(self):
            raise LookupError("no service")

    with Failing(LOCAL, Shout) as server:
        with pytest.raises(LookupError, match="no service"):
            server.serve_forever(poll_interval=0)
        server.service_actions = lambda: None
        with served(server):
            assert b"HELLO\n" == ask(server)


# The accept greenlet, interrupted


@every_model
def test_a_killed_serving_greenlet_leaves_a_server_that_can_be_served_again(model):
    with new_server(model) as server:
        greenlet = gevent.spawn(server.serve_forever)
        assert b"HELLO\n" == ask(server)
        greenlet.kill()
        assert isinstance(greenlet.get(), gevent.GreenletExit)
        with served(server):
            assert b"HELLO\n" == ask(server)


@every_model
def test_a_timeout_may_end_serve_forever(model):
    with new_server(model) as server:
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.05):
            server.serve_forever()
        with served(server):
            assert b"HELLO\n" == ask(server)


@every_model
def test_other_greenlets_run_while_the_server_waits(model):
    with served(new_server(model), "greenlet") as server:
        assert b"HELLO\n" == ask(server)  # the client's greenlet is one of them


def test_hooks_may_block():
    class Thorough(greensock.TCPServer):
        def verify_request(self, request, client_address):
            gevent.sleep(0.01)
            return True

    with served(Thorough(LOCAL, Shout), "greenlet") as server:
        assert b"HELLO\n" == ask(server)


@every_model
def test_errors_before_the_handler_cost_one_connection(model):
    class Picky(greensock.server_class(model)):
        verified = 0

        def verify_request(self, request, client_address):
            self.verified += 1
            if self.verified == 1:
                raise RuntimeError("not this one")
            return True

    with recorded(IRequestFailed) as record, served(Picky(LOCAL, Shout)) as server:
        with connect(server) as client:
            assert b"" == rest(client)
        assert b"HELLO\n" == ask(server)
    assert ["not this one"] == [str(event.error) for event in record]
