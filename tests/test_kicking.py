"""Whoever is kicked is cut, by force if need be, and nobody else."""

import socket

import gevent
import pytest

from greensock import StreamRequestHandler
from greensock.interfaces import IConnectionClosed, IConnectionCut, IRequestFailed
from tests.books import (
    ParkedEcho,
    ParkedLines,
    closing_record,
    ends_of,
    is_trapped,
    leave,
    new_server,
)
from tests.helpers import (
    PATIENCE,
    PLACES,
    connect,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    somewhere,
    wait_until,
)

pytestmark = forks_beside_threads


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
