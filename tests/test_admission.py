"""Who gets in: so many at a time; and whom nobody lets in."""

import gevent

from greensock import BaseRequestHandler
from greensock.interfaces import IConnectionOpened, IConnectionRefused
from tests.admission import connect_from, is_trapped, leave, never_more_than_allowed, new_server
from tests.helpers import (
    PATIENCE,
    Call,
    Shout,
    ShoutDatagram,
    ask,
    concurrent_models,
    connect,
    every_model,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)

pytestmark = forks_beside_threads


@concurrent_models
@everywhere
def test_never_one_connection_more_and_all_get_in_one_after_another(model, where):
    server = new_server(model, max_connections=3)
    with never_more_than_allowed(server) as counts, served(server, where):
        clients = [connect(server) for _ in range(6)]
        for number, client in enumerate(clients):
            assert is_trapped(client)
            if number >= 2:
                leave(clients[number - 2])
        leave(clients[-2])
        leave(clients[-1])
    assert 6 == len(counts)


@concurrent_models
def test_many_short_connections_keep_within_the_limit(model):
    server = new_server(model, Shout, max_connections=2)
    with never_more_than_allowed(server) as counts, served(server):
        calls = [Call("greenlet", ask, server) for _ in range(8)]
        assert {b"HELLO\n"} == {call.end() for call in calls}
    assert 8 == len(counts)


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
