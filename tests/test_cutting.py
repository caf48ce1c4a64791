"""Which limit holds at which moment, and how a connection ends that has passed it."""

import copy
import signal
import socket
import time

import gevent
import pytest

from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionClosed, IConnectionCut
from greensock.net.shared_connections import SharedConnection
from tests import tls
from tests.helpers import (
    LOCAL,
    connect,
    every_model,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)
from tests.overdue import AMPLE, LIMIT, EchoLines, closings, new_server

pytestmark = forks_beside_threads


@every_model
def test_a_handshake_without_a_limit_of_its_own_has_the_others(model):
    limits = {"handshake_timeout": None, "idle_timeout": LIMIT}
    server = new_server(EchoLines, model, ssl_context=tls.server_context(), **limits)
    with recorded(IConnectionClosed) as record, served(server), connect(server) as client:
        assert b"" == rest(client)
        wait_until(lambda: record)
    assert ["idle_timeout"] == closings(record)


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_handle_request_keeps_to_the_limits(model):
    server = new_server(EchoLines, model, idle_timeout=LIMIT, timeout=0.05)
    with recorded(IConnectionClosed) as record, server, connect(server) as client:

        def has_ended():
            server.handle_request()
            return record

        wait_until(has_ended)
        assert b"" == rest(client)
    assert ["idle_timeout"] == closings(record)


class Parked(StreamRequestHandler):
    """Answers one line at a time."""

    parked = True

    def handle(self):
        self.wfile.write(self.rfile.readline())


@every_model
def test_a_parked_handler_has_its_time_for_each_message(model):
    server = new_server(Parked, model, request_timeout=AMPLE)
    with recorded(IConnectionCut) as record, served(server), connect(server) as client:
        ends = time.monotonic() + 2 * AMPLE
        while time.monotonic() < ends:
            client.sendall(b"line\n")
            assert b"line\n" == client.recv(100)
            gevent.sleep(AMPLE / 10)
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(client)
    assert [] == record


class Farewell(BaseRequestHandler):
    """Tells when it has been woken, and when it was finished."""

    def handle(self):
        try:
            self.request.recv(100)
        finally:
            self.server.mailbox.put("woken")

    def finish(self):
        self.server.mailbox.put("finished")


@every_model
def test_whoever_is_cut_ends_in_order(model, mailbox):
    with served(new_server(Farewell, model, idle_timeout=LIMIT, mailbox=mailbox)) as server:
        with connect(server) as client:
            assert b"" == rest(client)
    assert ["woken", "finished"] == mailbox.take(2)


class Deplores(StreamRequestHandler):
    """Says that it is there, and raises when its peer has ended."""

    def handle(self):
        self.wfile.write(b"here\n")
        self.rfile.read()
        raise RuntimeError("the peer has ended")


def test_a_child_that_fails_because_it_was_cut_was_cut(monkeypatch):
    """However soon: one that is sent another signal meanwhile may see it at once."""

    def cut(connection, was_cut):
        shared.__set__(connection, was_cut)
        if was_cut:
            connection.worker.signal(signal.SIGURG)
            wait_until(lambda: connection.closed_at is not None)

    shared = SharedConnection.was_cut
    monkeypatch.setattr(SharedConnection, "was_cut", property(shared.__get__, cut))
    with recorded(IConnectionClosed) as record, served(new_server(Deplores, "fork")) as server:
        with connect(server) as client:
            assert b"here\n" == client.recv(100)
            assert server.kick(*server.connections)
    assert ["kicked"] == closings(record)


def test_a_child_that_fails_at_the_moment_it_is_cut_was_cut():
    parents = SharedConnection(None, LOCAL, "fork")
    childs = copy.copy(parents)
    childs.start_afresh()
    assert childs.reason is None
    parents.reason = "drain_timeout"
    childs.reason = "failed"  # as it has seen no other
    assert "drain_timeout" == parents.reason == childs.reason
