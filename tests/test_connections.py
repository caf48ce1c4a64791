"""The connections of a server: who is there, since when and in what state."""

import socket
import time

import gevent
import pytest
from zope.interface.verify import verifyObject

import greensock
from greensock.interfaces import (
    IConnection,
    IConnectionClosed,
    IConnectionOpened,
    IConnectionRefused,
)
from tests.books import ParkedEcho, is_trapped, leave, new_server
from tests.helpers import (
    CONCURRENT,
    LOCAL,
    PATIENCE,
    PLACES,
    Call,
    Shout,
    ShoutDatagram,
    ask,
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
