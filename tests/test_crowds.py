"""So many connections from one address at a time."""

import socket

import pytest

import greensock
from greensock.interfaces import IConnectionRefused
from greensock.net.admission import Peers, host_of
from greensock.net.connections import Connection
from tests.admission import connect_from, is_trapped, leave, new_server
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Trap,
    concurrent_models,
    connect,
    connect_to,
    forks_beside_threads,
    recorded,
    rest,
    served,
)

pytestmark = forks_beside_threads


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
