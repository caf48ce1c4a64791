"""The books of a server: who is there, since when, how much went over it, and how it ended."""

import io
import os
import socket
import tempfile
import threading
import time
from contextlib import suppress

import gevent
import pytest
from zope.interface.verify import verifyObject

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import (
    IConnection,
    IConnectionClosed,
    IConnectionCut,
    IConnectionOpened,
    IConnectionRefused,
    IRequestFailed,
)
from tests import tls
from tests.helpers import (
    CONCURRENT,
    LOCAL,
    MODELS,
    PATIENCE,
    PLACES,
    Call,
    Crash,
    Echo,
    Shout,
    ShoutDatagram,
    Trap,
    ask,
    concurrent_models,
    connect,
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

# Bytes, more than the system takes for a peer that does not read, if the server has small buffers.
MUCH = os.urandom(4 << 20)


def new_server(model, handler=Trap, kind="tcp", address=LOCAL, **attributes):
    return type("Server", (greensock.server_class(model, kind),), attributes)(address, handler)


def is_trapped(client):
    return client.recv(100) == b"trapped\n"


def leave(client):
    client.shutdown(socket.SHUT_RDWR)
    client.close()


def is_hung_up_on(server):
    """Whether the server ends a connection without a word."""
    with connect(server) as client:
        return rest(client) == b""


def ends_of(record):
    """The reasons of those that have ended."""
    return [event.connection.reason for event in record if IConnectionClosed.providedBy(event)]


# The list


@somewhere
def test_those_who_are_there_are_listed_with_the_oldest_first(model, where):
    server = new_server(model)
    assert [] == server.connections
    count = 1 if model == "inline" else 3
    with served(server, where):
        began = time.time()
        clients = [connect(server) for _ in range(count)]
        assert all(map(is_trapped, clients))
        there = server.connections
        assert [client.getsockname() for client in clients] == [c.client_address for c in there]
        assert sorted(there, key=lambda each: each.since) == there
        for connection in there:
            assert verifyObject(IConnection, connection)
            assert ("open", None, model) == (connection.state, connection.reason, connection.model)
            assert began - 1 < connection.since < time.time() + 1
            assert 0 < connection.seconds < PATIENCE
        assert there == server.connections and there is not server.connections
        for number, client in enumerate(clients, 1):
            leave(client)
            assert server.wait_for_connections("==", count - number, PATIENCE)
        assert [] == server.connections
        for connection in there:
            assert ("closed", "finished") == (connection.state, connection.reason)
            assert connection.seconds == connection.seconds  # which stands still from then on


@every_model
def test_datagrams_are_not_listed(model, mailbox):
    class Look(ShoutDatagram):
        def handle(self):
            mailbox.put(len(self.server.connections))

    kinds = IConnectionOpened, IConnectionClosed
    with recorded(*kinds) as record, served(new_server(model, Look, "udp")) as server:
        with connect(server) as client:
            client.send(b"hello")
            assert 0 == mailbox.get()
    assert [] == record


@every_model
def test_an_attribute_of_an_application_may_have_the_same_name(model):
    class Own(greensock.server_class(model)):
        def __init__(self, *args):
            super().__init__(*args)
            self.connections = {}

        def verify_request(self, request, client_address):
            self.connections[client_address] = request
            return True

    with served(Own(LOCAL, Shout)) as server:
        assert b"HELLO\n" == ask(server)
        assert server.wait_for_connections("==", 0, PATIENCE)
        assert 1 == len(server.connections)


def test_a_class_of_an_application_may_have_its_own_as_well():
    server = new_server("greenlet", Shout, connections=0, max_connections=1)
    with served(server):
        assert [b"HELLO\n"] * 2 == [ask(server) for _ in range(2)]
        server.connections += 1
        assert 1 == server.connections


# What went over it


def closing_record():
    return recorded(IConnectionClosed)


def one_connection(server, data, where="thread"):
    """What a client hears that sends ``data`` and ends, and its connection once it is closed."""
    with closing_record() as record, served(server, where):
        with connect(server) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            answer = rest(client)
        wait_until(lambda: record)
    [event] = record
    assert event.server is server
    return answer, event.connection


class Files(StreamRequestHandler):
    """Reads lines, and writes them through wfile."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class BufferedFiles(Files):
    rbufsize = 0
    wbufsize = 100


class Lowest(BaseRequestHandler):
    """Reads and writes by all the methods there are."""

    def handle(self):
        request = self.request
        request.recv(1, socket.MSG_PEEK)
        data = read_exactly(request, 4)
        buffer = bytearray(4)
        count = request.recv_into(buffer, 3)
        data += buffer[:count]
        count = request.recv_into(memoryview(buffer)[:2])
        data += buffer[:count]
        data += request.recvfrom(2)[0]
        count = request.recvfrom_into(buffer, 1)[0]
        data += buffer[:count]
        data += request.recvmsg(1)[0]
        count = request.recvmsg_into([buffer])[0]
        data += buffer[:count]
        while more := request.recv(100):
            data += more
        request.sendall(data)
        request.sendall(memoryview(b"0123").cast("I"))
        assert 2 == request.send(b"45")
        assert 4 == request.sendmsg([b"67", b"89"])
        assert 1 == request.sendto(b"a", self.client_address)
        with request.makefile("wb") as file:
            file.write(b"bcd")
        with request.makefile("w") as file:
            file.write("e")
        assert 3 == request.sendfile(NoFile(b"fgh"))


class NoFile(io.BytesIO):
    """Has no descriptor, so that the socket has to send it by its own methods."""


def read_exactly(request, count):
    data = b""
    while len(data) < count:
        data += request.recv(count - len(data))
    return data


class Big(BaseRequestHandler):
    """Answers with more than the system takes at once."""

    def handle(self):
        self.request.recv(100)
        self.request.sendall(b"x" * 3_000_000)


class TimedEcho(Echo):
    def setup(self):
        self.request.settimeout(PATIENCE)


class ParkedEcho(BaseRequestHandler):
    parked = True

    def handle(self):
        self.request.sendall(self.request.recv(10))


class ParkedLines(StreamRequestHandler):
    parked = True

    def handle(self):
        self.wfile.write(self.rfile.readline().upper())


@every_other(
    model=MODELS,
    handler=[Echo, Files, BufferedFiles, Lowest, Big, TimedEcho, ParkedEcho, ParkedLines],
)
def test_every_byte_is_counted(model, handler):
    data = b"one\ntwo\nthree, which is longer\n"
    answer, connection = one_connection(new_server(model, handler), data)
    assert (len(data), len(answer)) == (connection.received, connection.sent)
    assert "finished" == connection.reason
    assert len(answer) >= len(data)


@every_model
def test_the_counters_move_while_the_handler_is_at_work(model):
    with served(new_server(model, Echo)) as server, connect(server) as client:
        for number in range(1, 4):
            client.sendall(b"x" * 1000)
            assert b"x" * 1000 == client.recv(1000, socket.MSG_WAITALL)
            [connection] = server.connections
            assert 1000 * number == connection.received
            # The client may have the bytes before the handler knows that they were sent.
            wait_until(lambda n=number, c=connection: 1000 * n == c.sent)
        client.shutdown(socket.SHUT_WR)


@every_other(model=MODELS, seconds=[None, PATIENCE])
def test_a_file_is_counted_and_sent_from_where_it_was_asked(model, seconds):
    content = os.urandom(200_000)

    class SendFile(BaseRequestHandler):
        def handle(self):
            with tempfile.TemporaryFile() as file, self.toolbox.deadline(seconds):
                file.write(content)
                file.flush()
                counts = [
                    self.request.sendfile(file, 1000, 150_000),
                    self.request.sendfile(file, offset=100),
                ]
                self.request.sendall(repr((*counts, file.tell())).encode())

    answer, connection = one_connection(new_server(model, SendFile), b"")
    expected = content[1000:151_000] + content[100:] + b"(150000, 199900, 200000)"
    assert expected == answer
    assert len(expected) == connection.sent


def server_with_small_buffers(model, handler):
    server = new_server(model, handler, ssl_context=tls.shared_server_context())
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # for all it accepts
    return server


@every_model
def test_the_counters_move_during_one_long_write_over_tls(model):
    """A client that reads on is seen to do so."""

    class Write(BaseRequestHandler):
        def handle(self):
            self.request.sendall(MUCH)

    server = server_with_small_buffers(model, Write)
    with served(server), tls.connect(server) as client:
        [connection] = server.connections
        wait_until(lambda: connection.sent)
        before = connection.sent
        while connection.sent == before:
            client.recv(1 << 16)
        assert before < connection.sent < len(MUCH)
        while client.recv(1 << 16):
            pass


@every_model
def test_a_write_over_tls_that_timed_out_can_be_tried_again(model, mailbox):
    """As the standard library's can, with the same bytes."""

    class TryAgain(BaseRequestHandler):
        def handle(self):
            self.request.settimeout(0.01)
            with pytest.raises(TimeoutError):
                self.request.send(MUCH)
            mailbox.put("timed out")
            self.request.settimeout(PATIENCE)
            mailbox.put(self.request.send(MUCH))

    server = server_with_small_buffers(model, TryAgain)
    with closing_record() as record, served(server), tls.connect(server) as client:
        assert "timed out" == mailbox.get()
        answer = bytearray()
        while data := client.recv(1 << 16):
            answer += data
        assert len(MUCH) == mailbox.get()
        wait_until(lambda: record)
    assert MUCH == answer
    assert ("finished", len(MUCH)) == (record[0].connection.reason, record[0].connection.sent)


@every_model
def test_what_was_sent_before_the_peer_broke_off_counts(model):
    class Pour(BaseRequestHandler):
        def handle(self):
            self.request.recv(1)
            with suppress(OSError):
                while True:
                    self.request.sendall(b"x" * 100_000)

    with closing_record() as record, served(new_server(model, Pour)) as server:
        with connect(server) as client:
            client.sendall(b"x")
            client.recv(1)
            wait_until(lambda: server.connections[0].sent >= 100_000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: record)
    assert record[0].connection.sent >= 100_000


# States


@everywhere
def test_a_parked_connection_is_seen_to_rest(where):
    with served(new_server("greenlet", ParkedEcho), where) as server, connect(server) as client:
        wait_until(lambda: server.connections)
        [connection] = server.connections
        client.sendall(b"x")
        assert b"x" == client.recv(10)
        wait_until(lambda: connection.state == "parked")
        assert connection.reason is None
        client.sendall(b"y")
        assert b"y" == client.recv(10)
        wait_until(lambda: connection.state == "parked")
        assert (2, 2) == (connection.received, connection.sent)
    assert ("closed", "finished") == (connection.state, connection.reason)


def test_its_repr_tells_state_and_peer():
    with served(new_server("greenlet")) as server, connect(server) as client:
        assert is_trapped(client)
        [connection] = server.connections
        assert f"<open connection from {client.getsockname()!r}>" == repr(connection)
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(client)
        wait_until(lambda: not server.connections)
        assert repr(connection).startswith("<closed connection from ")


# How it ends


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


@every_model
def test_one_that_is_refused_is_never_listed(model):
    kinds = IConnectionOpened, IConnectionClosed, IConnectionRefused
    server = new_server(model, Shout, verify_request=lambda self, *args: False)
    with recorded(*kinds) as record, served(server):
        with connect(server) as client:
            assert b"" == rest(client)
        assert [] == server.connections
    assert ["ConnectionRefused"] == [type(event).__name__ for event in record]


@somewhere
def test_each_is_told_of_once_when_it_comes_and_once_when_it_goes(model, where):
    kinds = IConnectionOpened, IConnectionClosed
    with recorded(*kinds) as record, served(new_server(model, Shout), where) as server:
        for number in range(1, 3):
            assert b"HELLO\n" == ask(server)
            wait_until(lambda n=number: len(record) == 2 * n)
    assert ["ConnectionOpened", "ConnectionClosed"] * 2 == [type(e).__name__ for e in record]
    assert {server} == {event.server for event in record}
    connections = [event.connection for event in record]
    assert connections[::2] == connections[1::2]
    assert 2 == len(set(connections))
    assert {("closed", "finished", 6, 6)} == {
        (each.state, each.reason, each.received, each.sent) for each in connections
    }


# kick


@somewhere
def test_who_is_kicked_is_cut_and_nobody_else(model, where):
    kinds = IConnectionCut, IConnectionClosed, IRequestFailed
    with recorded(*kinds) as record, served(new_server(model), where) as server:
        clients = [connect(server) for _ in range(1 if model == "inline" else 2)]
        assert all(map(is_trapped, clients))
        connection = server.connections[0]
        assert True is server.kick(connection)
        assert b"" == rest(clients[0])
        wait_until(lambda: connection.state == "closed")
        assert False is server.kick(connection)
        wait_until(lambda: len(record) == 2)
        cut, closed = record
        assert (server, connection.client_address, "kicked") == (
            cut.server,
            cut.client_address,
            cut.reason,
        )
        assert connection is closed.connection and "kicked" == connection.reason
        assert len(clients) - 1 == len(server.connections)
        clients[0].close()
        for client in clients[1:]:
            leave(client)


@every_other(where=PLACES, handler=[ParkedEcho, ParkedLines])
def test_one_at_rest_can_be_kicked(where, handler):
    server = new_server("greenlet", handler)
    with closing_record() as record, served(server, where), connect(server) as client:
        client.sendall(b"x\n")
        client.recv(10)
        wait_until(lambda: server.connections[0].state == "parked")
        assert server.kick(server.connections[0])
        assert b"" == rest(client)
        wait_until(lambda: record)
    assert ["kicked"] == ends_of(record)


class Stubborn(StreamRequestHandler):
    """Waits for what is not its connection."""

    def handle(self):
        self.wfile.write(b"trapped\n")
        gevent.sleep(PATIENCE)


@pytest.mark.parametrize(
    ("model", "where"), [("inline", "thread"), ("greenlet", "greenlet"), ("fork", "thread")]
)
def test_one_that_does_not_notice_is_ended_by_force(model, where):
    server = new_server(model, Stubborn)
    with closing_record() as record, served(server, where), connect(server) as client:
        assert is_trapped(client)
        [connection] = server.connections
        assert server.kick(connection)
        assert model == "fork" or "cut" == connection.state
        assert not server.kick(connection)
        wait_until(lambda: record)
        assert connection.seconds < PATIENCE / 2
    assert ["kicked"] == ends_of(record)


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_a_handler_may_kick_another_and_itself(model):
    class Kick(StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"trapped\n")
            if self.rfile.readline() == b"kick\n":
                for connection in self.server.connections:
                    self.server.kick(connection)

    with closing_record() as record, served(new_server(model, Kick)) as server:
        clients = [connect(server) for _ in range(2)]
        assert all(map(is_trapped, clients))
        clients[1].sendall(b"kick\n")
        assert [b"", b""] == [rest(client) for client in clients]
        wait_until(lambda: len(record) == 2)
        for client in clients:
            client.close()
    assert ["kicked"] * 2 == ends_of(record)


def test_nobody_is_kicked_by_another_server():
    with served(new_server("greenlet")) as server, new_server("greenlet") as other:
        with connect(server) as client:
            assert is_trapped(client)
            [connection] = server.connections
            assert not other.kick(connection)
            assert "open" == connection.state
            client.shutdown(socket.SHUT_WR)


# wait_for_connections


@every_other(model=CONCURRENT, where=PLACES)
def test_waiting_for_a_number_of_connections(model, where):
    with served(new_server(model), where) as server:
        for fits in ("==", 0), ("<=", 0), (">=", 0), ("<", 1), ("!=", 1):
            assert True is server.wait_for_connections(*fits, timeout=0)
        for fits in ("==", 1), (">", 0), ("!=", 0), ("<", 0), (">=", 1):
            assert False is server.wait_for_connections(*fits, timeout=0)
        waits = [Call("thread", server.wait_for_connections, ">=", 2) for _ in range(3)]
        clients = [connect(server) for _ in range(2)]
        assert [True] * 3 == [call.end() for call in waits]
        assert all(map(is_trapped, clients))
        assert server.wait_for_connections("==", 2)
        waits = [Call(how, server.wait_for_connections, "==", 0) for how in ("thread", "greenlet")]
        for client in clients:
            leave(client)
        assert [True] * 2 == [call.end() for call in waits]


@every_model
def test_the_wait_may_be_limited(model):
    with served(new_server(model)) as server, connect(server) as client:
        assert is_trapped(client)
        before = time.monotonic()
        assert False is server.wait_for_connections("==", 0, timeout=0.05)
        assert 0.04 < time.monotonic() - before < PATIENCE
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(client)


def test_what_is_no_comparison_is_refused():
    with new_server("greenlet") as server:
        for operator in "=", "", "is", None, 1, []:
            with pytest.raises(ValueError) as caught:
                server.wait_for_connections(operator, 0)
            expected = f"operator is {operator!r}; give one of ==, !=, <, <=, >, >="
            assert expected == str(caught.value)


@pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
def test_the_last_may_go_after_serving_has_ended(model):
    with new_server(model) as server, connect(server) as client:
        with serving(server, "greenlet") as call:
            assert is_trapped(client)
            gevent.spawn(server.shutdown).join()
            call.end()
        assert 1 == len(server.connections)
        leave(client)
        assert server.wait_for_connections("==", 0, PATIENCE)
