"""What becomes of those for whom there is no room."""

import errno
import os
import socket
import textwrap
import time
from contextlib import ExitStack

import gevent
import pytest

import greensock
from greensock.interfaces import IAcceptPaused, IConnectionRefused
from greensock.net import native
from tests.admission import is_trapped, leave, new_server
from tests.helpers import (
    CONCURRENT,
    PATIENCE,
    concurrent_models,
    connect,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)
from tests.programs import run

pytestmark = forks_beside_threads


@concurrent_models
@pytest.mark.parametrize("overload", ["reject", "close"])
def test_who_finds_no_room_is_turned_away(model, overload):
    server = new_server(model, max_connections=1, overload=overload, overload_reply=b"busy\n")
    with recorded(IConnectionRefused) as record, served(server), connect(server) as first:
        assert is_trapped(first)
        for _ in range(3):
            with connect(server) as client:
                assert (b"busy\n" if overload == "reject" else b"") == rest(client)
                name = client.getsockname()
            wait_until(lambda n=name: n in [event.client_address for event in record])
        assert {(server, "max_connections")} == {(e.server, e.reason) for e in record}
        assert 3 == len(record)
        leave(first)
        server.wait_for_connections("==", 0, PATIENCE)
        with connect(server) as client:
            assert is_trapped(client)
            client.shutdown(socket.SHUT_WR)


@concurrent_models
def test_by_default_they_wait_for_room(model):
    server = new_server(model, max_connections=1)
    with recorded(IConnectionRefused) as record, served(server):
        first, second = connect(server), connect(server)
        assert is_trapped(first)
        leave(first)
        assert is_trapped(second)
        leave(second)
    assert [] == record


@concurrent_models
@pytest.mark.parametrize("size", [10, 300_000])
def test_the_reply_arrives_even_where_the_client_has_sent_something(model, size):
    server = new_server(model, max_connections=1, overload="reject", overload_reply=b"busy\n")
    with served(server), connect(server) as first:
        assert is_trapped(first)
        server.suspend()
        with connect(server) as client:
            client.sendall(b"x" * size)
            server.resume()
            assert b"busy\n" == rest(client)
        leave(first)


def test_who_waits_is_turned_away_as_soon_as_overload_says_so():
    server = new_server("greenlet", max_connections=1, overload_reply=b"busy\n")
    # Not in a thread: that might have seen what overload was before, and not accepted yet.
    with served(server, "greenlet"), connect(server) as first:
        assert is_trapped(first)
        with connect(server) as second:
            server.overload = "reject"
            assert b"busy\n" == rest(second)
        server.overload = "backlog"
        with connect(server) as third:
            leave(first)
            assert is_trapped(third)


def test_a_listener_with_a_timeout_does_not_keep_the_loop_while_it_turns_away():
    server = new_server("greenlet", max_connections=1, overload="close")
    server.socket.settimeout(PATIENCE)
    with served(server, "greenlet"), connect(server) as first:
        assert is_trapped(first)
        with connect(server) as second:
            before = time.monotonic()
            assert b"" == rest(second)
        leave(first)
        assert server.wait_for_connections("==", 0, PATIENCE)
        with connect(server) as third:
            assert is_trapped(third)
        assert time.monotonic() - before < PATIENCE / 2


def test_what_is_no_listener_turns_nobody_away(mailbox):
    """Who has no socket, but a queue of its own, has its clients wait."""

    class Pipe(greensock.GreenletMixIn, greensock.BaseServer):
        max_connections = 1
        overload = "reject"

        def fileno(self):
            return reader

        def get_request(self):
            return os.read(reader, 1), None

    def handler(request, client_address, server):
        mailbox.put(request)

    reader, writer = os.pipe()
    server = Pipe("pipe", handler)
    with served(server):
        os.write(writer, b"abc")
        assert [b"a", b"b", b"c"] == mailbox.take(3)
    native.close(reader)
    native.close(writer)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOBUFS])
def test_what_turning_away_lacks_is_tried_for_again_after_a_pause(number, monkeypatch):
    tries, turn_away = [], greensock.intake.turn_away

    def scarce(listener, reply):
        tries.append(time.monotonic())
        if len(tries) <= 6:
            raise OSError(number, "injected")
        return turn_away(listener, reply)

    monkeypatch.setattr(greensock.intake, "turn_away", scarce)
    server = new_server("greenlet", max_connections=1, overload="close")
    with recorded(IAcceptPaused) as record, served(server, "greenlet"), connect(server) as first:
        assert is_trapped(first)
        with connect(server) as second:
            assert b"" == rest(second)
        leave(first)
    assert [number] == [event.error.errno for event in record]
    assert 0.05 < tries[6] - tries[0]  # 10, 20 and 40 ms; two tries each, one with the reserve


def test_serving_ends_when_the_listener_is_gone_while_there_is_no_room():
    server = new_server("greenlet", max_connections=1, overload="close")
    with serving(server, "greenlet") as call:
        first, second = connect(server), gevent.socket.socket()
        assert is_trapped(first)
        server.socket.close()
        with native.Socket() as other:  # the descriptor may be another's now
            with ExitStack() as stack:
                stack.callback(second.close)
                stack.callback(server.server_close)
                stack.callback(leave, first)
                assert other.fileno() >= 0
        call.end()


PROGRAM = """
    from tests import world

    import os

    import gevent.socket

    import greensock
    from greensock.interfaces import IConnectionRefused
    from tests.tools import LOCAL, Shout, ask, no_descriptors_left, recorded, rest, served
    from tests.tools import wait_until

    def check(model, before):
        class Server(greensock.server_class(model)):
            overload = before
            overload_reply = b"busy\\n"

        server = Server(LOCAL, Shout)
        with recorded(IConnectionRefused) as record, served(server, "greenlet"):
            server.overload = "reject"
            threads = len(os.listdir("/proc/self/task"))
            assert b"HELLO\\n" == ask(server)
            wait_until(lambda: not server.connections)
            wait_until(lambda: threads >= len(os.listdir("/proc/self/task")))  # nor a hub of one
            clients = [gevent.socket.socket() for _ in range(6)]
            names = []
            with no_descriptors_left():
                for wave in clients[:3], clients[3:]:
                    for client in wave:
                        client.settimeout(30)
                        client.connect(server.server_address)
                        names.append(client.getsockname())
                    assert [b"busy\\n"] * 3 == [rest(client) for client in wave]
            assert b"HELLO\\n" == ask(server)
        assert names == [event.client_address for event in record], record
        assert {"descriptors"} == {event.reason for event in record}
        print(model)

    check("greenlet", "reject")
    check("thread", "backlog")
    check("fork", "reject")
"""


def test_without_descriptors_the_reply_goes_through_the_reserve():
    status, out, errors = run(textwrap.dedent(PROGRAM))
    assert 0 == status, out + errors
    assert CONCURRENT == out.split()
