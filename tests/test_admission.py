"""Who gets in: so many at a time, so many from one address, so many a second; and whom nobody."""

import errno
import os
import signal
import socket
import socketserver
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack, contextmanager

import gevent
import pytest

import greensock
from greensock import BaseRequestHandler
from greensock.interfaces import (
    IAcceptPaused,
    IConnectionOpened,
    IConnectionRefused,
    IRequestFailed,
)
from greensock.net import native
from greensock.net.admission import Bucket, Peers, host_of
from greensock.net.connections import Connection
from tests import tls
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    Echo,
    Shout,
    ShoutDatagram,
    Trap,
    ask,
    concurrent_models,
    connect,
    connect_to,
    descriptors,
    every_model,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    subscribed,
    wait_until,
)
from tests.programs import ROOT

pytestmark = forks_beside_threads

# One in a thousand seconds: none, for as long as a test takes.
HARDLY_EVER = 0.001


def new_server(model, handler=Trap, kind="tcp", address=LOCAL, **attributes):
    return type("Server", (greensock.server_class(model, kind),), attributes)(address, handler)


def connect_from(server, host):
    client = gevent.socket.socket(server.address_family, server.socket_type)
    client.settimeout(PATIENCE)
    client.bind((host, 0))
    client.connect(server.server_address)
    return client


def is_trapped(client):
    return client.recv(100) == b"trapped\n"


def leave(client):
    """End it for all who have a copy, such as forked children."""
    client.shutdown(socket.SHUT_RDWR)
    client.close()


@contextmanager
def never_more_than_allowed(server):
    """Those who come in meanwhile; at none of them there is one too many."""
    counts = []

    def note(event):
        if event.server is server:
            counts.append((len(server.connections), server.max_connections))

    with subscribed(IConnectionOpened, note):
        yield counts
    assert [] == [(count, most) for count, most in counts if most is not None and count > most]


# max_connections


@concurrent_models
@everywhere
def test_never_one_connection_more_and_all_get_in_one_after_another(model, where):
    server = new_server(model, max_connections=3)
    with never_more_than_allowed(server) as counts, served(server, where):
        clients = [connect(server) for _ in range(10)]
        for number, client in enumerate(clients):
            assert is_trapped(client)
            if number >= 2:
                leave(clients[number - 2])
        leave(clients[-2])
        leave(clients[-1])
    assert 10 == len(counts)


@concurrent_models
def test_many_short_connections_keep_within_the_limit(model):
    server = new_server(model, Shout, max_connections=2)
    with never_more_than_allowed(server) as counts, served(server):
        calls = [Call("greenlet", ask, server) for _ in range(30)]
        assert {b"HELLO\n"} == {call.end() for call in calls}
    assert 30 == len(counts)


@concurrent_models
@everywhere
def test_the_limit_may_be_raised_and_lowered_while_serving(model, where):
    server = new_server(model, max_connections=1)
    with never_more_than_allowed(server) as counts, served(server, where):
        clients = [connect(server) for _ in range(5)]
        assert is_trapped(clients[0])
        server.max_connections = 3
        assert is_trapped(clients[1]) and is_trapped(clients[2])
        wait_until(lambda: len(counts) == 3)  # a child may be faster than its parent
        server.max_connections = 1
        leave(clients[0])
        leave(clients[1])
        assert server.wait_for_connections("<=", 1, PATIENCE)
        server.suspend()  # returns when the loop has looked whether there is room
        server.resume()
        assert 3 == len(counts)
        leave(clients[2])
        assert is_trapped(clients[3])
        server.max_connections = None
        assert is_trapped(clients[4])
        leave(clients[3])
        leave(clients[4])
    assert 5 == len(counts)


def test_without_a_model_there_is_one_at_a_time():
    server = new_server("inline", Shout, max_connections=1)
    with never_more_than_allowed(server), served(server):
        assert [b"HELLO\n"] * 3 == [ask(server) for _ in range(3)]


@every_model
def test_datagrams_are_no_connections(model):
    limits = {"max_connections": 1, "max_connections_per_peer": 1, "overload": "close"}
    server = new_server(model, ShoutDatagram, "udp", **limits)
    with served(server):
        clients = [connect(server) for _ in range(5)]
        for client in clients:
            client.send(b"hello\n")
        assert {b"HELLO\n"} == {client.recv(100) for client in clients}
        for client in clients:
            client.close()


def test_a_handler_that_waits_for_another_datagram_does_not_keep_it_out(mailbox):
    class Wait(BaseRequestHandler):
        def handle(self):
            mailbox.put("came")
            self.server.both.wait()

    server = new_server("greenlet", Wait, "udp", max_connections=1)
    server.both = gevent.event.Event()
    with served(server, "greenlet"), connect(server) as client:
        client.send(b"1")
        client.send(b"2")
        assert ["came", "came"] == mailbox.take(2)
        server.both.set()


# overload


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
    with served(server), connect(server) as first:
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

    class Server(greensock.server_class({model!r})):
        overload_reply = b"busy\\n"

    Server.overload = {before!r}
    server = Server(LOCAL, Shout)
    with recorded(IConnectionRefused) as record, served(server, "greenlet"):
        server.overload = "reject"
        threads = len(os.listdir("/proc/self/task"))
        assert b"HELLO\\n" == ask(server)
        wait_until(lambda: not server.connections)
        wait_until(lambda: threads == len(os.listdir("/proc/self/task")))  # nor a hub of one
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
    assert {{"descriptors"}} == {{event.reason for event in record}}
"""


@pytest.mark.parametrize(
    ("model", "before"), [("greenlet", "reject"), ("thread", "backlog"), ("fork", "reject")]
)
def test_without_descriptors_the_reply_goes_through_the_reserve(model, before):
    program = textwrap.dedent(PROGRAM.format(model=model, before=before))
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert 0 == process.returncode, process.stderr


# max_connections_per_peer


@concurrent_models
def test_so_many_from_one_address_and_others_from_others(model):
    attributes = {"overload": "reject", "overload_reply": b"enough\n"}
    server = new_server(model, max_connections_per_peer=2, **attributes)
    with recorded(IConnectionRefused) as record, served(server):
        clients = [connect_from(server, "127.0.0.1") for _ in range(2)]
        assert all(map(is_trapped, clients))
        with connect_from(server, "127.0.0.1") as client:
            assert b"enough\n" == rest(client)
        others = [connect_from(server, "127.0.0.2") for _ in range(2)]
        assert all(map(is_trapped, others))
        with connect_from(server, "127.0.0.2") as client:
            assert b"enough\n" == rest(client)
        leave(clients.pop())
        assert server.wait_for_connections("==", 3, PATIENCE)
        clients.append(connect_from(server, "127.0.0.1"))
        assert is_trapped(clients[-1])
        for client in clients + others:
            leave(client)
    assert ["max_connections_per_peer"] * 2 == [event.reason for event in record]
    assert ["127.0.0.1", "127.0.0.2"] == [event.client_address[0] for event in record]


@concurrent_models
def test_without_a_reply_they_are_only_closed(model):
    server = new_server(model, max_connections_per_peer=1, overload_reply=b"enough\n")
    with served(server), connect(server) as first:
        assert is_trapped(first)
        with connect(server) as client:
            assert b"" == rest(client)
        leave(first)


@concurrent_models
def test_those_who_came_while_there_was_no_limit_count_once_there_is_one(model):
    server = new_server(model, max_connections_per_peer=1)
    with served(server):
        clients = [connect(server)]
        assert is_trapped(clients[0])
        server.max_connections_per_peer = None
        clients += [connect(server) for _ in range(2)]
        assert all(map(is_trapped, clients[1:]))
        server.max_connections_per_peer = 3
        with connect(server) as client:
            assert b"" == rest(client)
        for number in 2, 1:
            leave(clients.pop())
            assert server.wait_for_connections("==", number, PATIENCE)
        clients += [connect(server) for _ in range(2)]
        assert all(map(is_trapped, clients[1:]))
        with connect(server) as client:
            assert b"" == rest(client)
        for client in clients:
            leave(client)
    assert not server._gs_peers._counts


@concurrent_models
def test_ipv4_counts_the_same_through_an_ipv6_listener(model):
    limits = {"max_connections_per_peer": 1, "dual_stack": True}
    server = new_server(model, address=("::", 0), **limits)
    port = server.server_address[1]
    with served(server):
        first = connect_to(("127.0.0.1", port))
        assert is_trapped(first)
        with connect_to(("127.0.0.1", port)) as client:
            assert b"" == rest(client)
        other = connect_to(("::1", port), socket.AF_INET6)
        assert is_trapped(other)
        leave(first)
        leave(other)


@concurrent_models
def test_peers_on_unix_sockets_are_not_limited(model, tmp_path):
    path = str(tmp_path / "socket")
    server = new_server(model, kind="unix", address=path, max_connections_per_peer=1)
    with served(server):
        clients = [connect(server) for _ in range(3)]
        assert all(map(is_trapped, clients))
        for client in clients:
            leave(client)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("127.0.0.1", 80), "127.0.0.1"),
        (("::1", 80, 0, 0), "::1"),
        (("::ffff:127.0.0.1", 80, 0, 0), "127.0.0.1"),
        (("::ffff:7f00:1", 80, 0, 0), "127.0.0.1"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::1%eth0"),
        (("::ffff:nonsense", 80, 0, 0), "::ffff:nonsense"),
        ("", None),
        (b"\0name", None),
        ("/run/client", None),
        (None, None),
        ((), None),
    ],
)
def test_what_counts_as_one_address(address, host):
    assert host == host_of(address)


def test_who_goes_while_all_are_counted_is_not_counted_for_ever():
    peers = Peers()
    gone, there = (Connection(None, ("127.0.0.1", port), "thread") for port in (1, 2))
    gone.close("finished")
    assert not peers.has_room_for("127.0.0.1", 1, lambda: [gone, there])
    assert peers.has_room_for("127.0.0.1", 2, lambda: [])
    peers.let_go(there)
    peers.let_go(gone)
    assert peers.has_room_for("127.0.0.1", 1, lambda: [])
    assert not peers._counts


@concurrent_models
def test_an_application_may_get_its_requests_itself(model):
    class Own:
        def get_request(self):
            return self.socket.accept()

    server = type("Server", (Own, greensock.server_class(model)), {"max_connections_per_peer": 1})(
        LOCAL, Trap
    )
    with served(server), connect(server) as first:
        assert is_trapped(first)
        with connect(server) as client:
            assert b"" == rest(client)
        leave(first)


# accept_rate


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


# verify_request


@every_model
def test_those_whom_verify_request_refuses_are_told_of(model):
    def verify_request(self, request, client_address):
        return client_address[0] != "127.0.0.2"

    server = new_server(model, Shout, verify_request=verify_request)
    kinds = IConnectionOpened, IConnectionRefused
    with recorded(*kinds) as record, served(server):
        with connect_from(server, "127.0.0.2") as client:
            assert b"" == rest(client)
            name = client.getsockname()
        assert b"HELLO\n" == ask(server)
    refused, opened = record
    assert (server, name, "verify_request") == (
        refused.server,
        refused.client_address,
        refused.reason,
    )
    assert IConnectionOpened.providedBy(opened)


@every_model
def test_datagrams_that_are_refused_are_told_of(model):
    def verify_request(self, request, client_address):
        return request[0] != b"bad"

    server = new_server(model, ShoutDatagram, "udp", verify_request=verify_request)
    with recorded(IConnectionRefused) as record, served(server), connect(server) as client:
        client.send(b"bad")
        client.send(b"good")
        assert b"GOOD" == client.recv(100)
        assert [client.getsockname()] == [event.client_address for event in record]


# suspend and resume


def call_in_signal_handler(function):
    returned = []

    def handler(number, frame):
        function()
        returned.append(True)

    previous = signal.signal(signal.SIGUSR1, handler)
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        wait_until(lambda: returned)
    finally:
        signal.signal(signal.SIGUSR1, previous)


def is_refused(server):
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it was in the queue of the listener when that was closed
    return False


@every_model
@everywhere
@pytest.mark.parametrize("asker", ["thread", "greenlet", "test"])
def test_suspended_it_takes_nobody_until_it_is_resumed(model, where, asker):
    def call(function):
        if asker == "test":
            function()
        else:
            Call(asker, function).end()

    server = new_server(model, Shout)
    with recorded(IConnectionOpened) as record, served(server, where):
        assert b"HELLO\n" == ask(server)
        for number in 1, 2:
            call(server.suspend)
            with connect(server) as client:
                client.sendall(b"hello\n")
                call(server.suspend)  # returns when the loop has looked again
                assert number == len(record)
                call(server.resume)
                assert b"HELLO\n" == rest(client)


@every_model
@everywhere
def test_released_it_refuses_and_opens_the_same_address_again(model, where):
    server = new_server(model, Shout)
    address = server.server_address
    with served(server, where):
        before = descriptors()
        for _ in range(3):
            assert b"HELLO\n" == ask(server)
            server.suspend(release=True)
            assert is_refused(server)
            server.suspend()  # does not take that back
            assert is_refused(server)
            server.resume()
            assert address == server.server_address
            assert b"HELLO\n" == ask(server)
        wait_until(lambda: before == descriptors())


@every_model
@pytest.mark.parametrize("release", [False, True])
def test_it_may_be_suspended_before_it_serves(model, release):
    server = new_server(model, Shout)
    server.suspend(release)
    with served(server):
        assert release is is_refused(server)
        server.resume()
        assert b"HELLO\n" == ask(server)


@every_model
def test_one_that_was_released_and_resumed_before_it_serves_serves(model):
    server = new_server(model, Shout)
    server.suspend(release=True)
    server.resume()
    server.resume()
    with served(server):
        assert b"HELLO\n" == ask(server)


def test_resume_may_come_just_as_a_released_one_begins_to_serve():
    for _ in range(50):
        server = new_server("greenlet", Shout)
        server.suspend(release=True)
        with served(server):
            server.resume()
            assert b"HELLO\n" == ask(server)


@concurrent_models
@pytest.mark.parametrize("release", [False, True])
def test_connections_that_are_open_go_on(model, release):
    server = new_server(model, Echo)
    with served(server), connect(server) as client:
        client.sendall(b"before")
        assert b"before" == client.recv(100)
        server.suspend(release)
        client.sendall(b"meanwhile")
        assert b"meanwhile" == client.recv(100)
        server.resume()
        client.sendall(b"after")
        assert b"after" == client.recv(100)
        assert b"hello\n" == ask(server)
        client.shutdown(socket.SHUT_WR)


@concurrent_models
@pytest.mark.parametrize("reuse", [False, True])
def test_connections_of_the_past_do_not_keep_the_address_from_being_opened_again(model, reuse):
    """The system remembers for a minute those that the server has ended first."""

    def handler(request, client_address, server):
        pass

    server = new_server(model, handler, allow_reuse_address=reuse)
    with served(server), connect(server) as client:
        assert b"" == rest(client)
        server.suspend(release=True)
        assert is_refused(server)
        server.resume()
        assert b"" == ask_nothing(server)


def ask_nothing(server):
    with connect(server) as client:
        return rest(client)


@every_model
@pytest.mark.parametrize("base", [socketserver.TCPServer, socketserver.UnixStreamServer])
def test_servers_of_the_standard_library_can_be_released_too(model, base, tmp_path):
    mixins = {
        "inline": (),
        "greenlet": (greensock.GreenletMixIn,),
        "thread": (greensock.ThreadingMixIn,),
        "fork": (greensock.ForkingMixIn,),
    }
    if model == "inline":
        base = getattr(greensock, base.__name__)
    address = LOCAL if "TCP" in base.__name__ else str(tmp_path / "socket")
    server = type("Server", (*mixins[model], base), {})(address, Shout)
    with served(server):
        assert b"HELLO\n" == ask(server)
        server.suspend(release=True)
        with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
            connect(server)
        server.resume()
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
@everywhere
@pytest.mark.parametrize("release", [False, True])
def test_a_handler_may_suspend_and_goes_on_itself(model, where, release):
    class Last(Shout):
        def handle(self):
            self.server.suspend(release)
            super().handle()

    server = new_server(model, Last)
    with served(server, where):
        assert b"HELLO\n" == ask(server)
        if release:
            wait_until(lambda: is_refused(server))
        # Whoever was not refused was handled, and has suspended it once more.
        assert server.wait_for_connections("==", 0, PATIENCE)
        server.resume()
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_a_handler_may_change_its_mind(model):
    class Undecided(Shout):
        def handle(self):
            self.server.suspend(release=True)
            self.server.resume()
            super().handle()

    with served(new_server(model, Undecided)) as server:
        assert [b"HELLO\n"] * 3 == [ask(server) for _ in range(3)]


@every_model
@everywhere
def test_a_signal_handler_may_suspend_and_resume(model, where):
    server = new_server(model, Shout)
    with served(server, where):
        assert b"HELLO\n" == ask(server)
        call_in_signal_handler(lambda: server.suspend(release=True))
        wait_until(lambda: is_refused(server))
        call_in_signal_handler(server.resume)
        assert b"HELLO\n" == ask(server)


@every_model
def test_when_somebody_else_has_the_address_it_stays_suspended(model):
    server = new_server(model, Shout)
    with served(server):
        server.suspend(release=True)
        with native.Socket() as other:
            other.bind(server.server_address)
            other.listen()
            before = descriptors()
            for _ in range(2):
                with pytest.raises(OSError) as caught:
                    server.resume()
                assert errno.EADDRINUSE == caught.value.errno
            assert before == descriptors()
        assert is_refused(server)
        server.resume()
        assert b"HELLO\n" == ask(server)


@every_model
def test_a_path_is_removed_and_made_again(model, tmp_path):
    path = tmp_path / "socket"
    server = new_server(model, Shout, "unix", str(path))
    with served(server):
        server.suspend(release=True)
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(OSError) as caught:
                server.resume()
            assert errno.EADDRINUSE == caught.value.errno
            assert path.is_socket()
        server.resume()  # what is there now answers nobody
        assert b"HELLO\n" == ask(server)
    assert not path.exists()


@every_model
def test_a_listener_that_was_adopted_is_opened_again_by_the_server(model):
    listener = native.Socket()
    listener.bind(LOCAL)
    listener.listen()
    address = listener.getsockname()
    with served(new_server(model, Shout, address=listener.detach())) as server:
        assert b"HELLO\n" == ask(server)
        server.suspend(release=True)
        assert is_refused(server)
        server.resume()
        assert address == server.server_address
        assert b"HELLO\n" == ask(server)


@concurrent_models
def test_a_tls_listener_speaks_tls_again(model):
    server = new_server(model, Shout)
    server.socket = tls.server_context().wrap_socket(server.socket, server_side=True)
    with served(server):
        for _ in range(2):
            with tls.connect(server) as client:
                client.sendall(b"hello\n")
                assert b"HELLO\n" == rest(client)
            server.suspend(release=True)
            server.resume()


@every_model
@pytest.mark.parametrize("release", [False, True])
def test_a_suspended_server_of_datagrams(model, release):
    server = new_server(model, ShoutDatagram, "udp")
    address = server.server_address
    with served(server):
        assert b"HELLO\n" == ask(server)
        wait_until(lambda: not server._gs_crew)  # a child has the socket, too
        server.suspend(release)
        with connect(server) as client:
            client.send(b"hello\n")
            if release:
                with pytest.raises(ConnectionRefusedError):
                    client.recv(100)
            else:
                server.suspend()
                client.setblocking(False)
                with pytest.raises(BlockingIOError):
                    client.recv(100)
                client.settimeout(PATIENCE)
                server.resume()
                assert b"HELLO\n" == client.recv(100)
        server.resume()
        assert address == server.server_address
        assert b"HELLO\n" == ask(server)


def test_handlers_of_datagrams_do_not_answer_through_what_has_their_descriptor_now(mailbox):
    class Late(greensock.DatagramRequestHandler):
        def handle(self):
            mailbox.put("came")
            self.server.released.wait()
            self.wfile.write(b"late")

    server = new_server("greenlet", Late, "udp")
    server.released = gevent.event.Event()
    with recorded(IRequestFailed) as record, served(server, "greenlet"), connect(server) as client:
        client.send(b"hello")
        mailbox.get()
        number = server.fileno()
        server.suspend(release=True)
        heir, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with heir, other:
            assert number in (heir.fileno(), other.fileno())
            server.released.set()
            wait_until(lambda: record)
        assert errno.EBADF == record[0].error.errno


def test_suspending_and_resuming_at_once_keeps_nobody_waiting():
    with served(new_server("greenlet", Shout)) as server:

        def suspend():
            for number in range(100):
                server.suspend(release=number % 2)

        def resume():
            for _ in range(100):
                server.resume()

        for call in [Call("thread", function) for function in (suspend, resume) * 3]:
            call.end()
        server.resume()
        assert b"HELLO\n" == ask(server)


@every_model
@pytest.mark.parametrize("release", [False, True])
def test_a_suspended_server_can_be_closed_and_stays_so(model, release):
    before = descriptors()
    with served(new_server(model, Shout)) as server:
        server.suspend(release)
    server.resume()
    assert -1 == server.fileno()
    wait_until(lambda: before == descriptors())


@every_model
def test_suspend_after_the_end_of_serving_holds_for_the_next_time(model):
    with new_server(model, Shout) as server:
        with serving(server) as call:
            server.shutdown()
            call.end()
        server.suspend()
        with serving(server) as call, connect(server) as client:
            client.sendall(b"hello\n")
            server.resume()
            assert b"HELLO\n" == rest(client)
            server.shutdown()
            call.end()


def test_handle_request_takes_nobody_while_it_is_suspended(mailbox):
    with new_server("inline", Shout, timeout=0.05) as server, connect(server) as client:
        server.handle_timeout = lambda: mailbox.put("timeout")
        client.sendall(b"hello\n")
        server.suspend()
        server.handle_request()
        assert ["timeout"] == mailbox.take(1)
        server.resume()
        server.handle_request()
        assert b"HELLO\n" == rest(client)


def test_what_has_no_socket_cannot_be_released():
    server = greensock.BaseServer("nowhere", Shout)
    with pytest.raises(TypeError, match="has no socket to release"):
        server.suspend(release=True)
    server.suspend()
    server.resume()
