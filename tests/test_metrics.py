"""What servers do, as numbers for Prometheus."""

import os
import re

import gevent
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import greensock
from greensock import events
from greensock.interfaces import IConnectionClosed
from greensock.metrics import Metrics, expose
from greensock.net import native
from greensock.tally import BOUNDS, Tally
from tests import tls
from tests.commands import python
from tests.helpers import (
    LOCAL,
    MODELS,
    Crash,
    Echo,
    Shout,
    ask,
    connect,
    rest,
    served,
    subscribed,
    wait_until,
)


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    undo = expose(registry)
    yield registry
    undo()


def telling_ends(mailbox):
    """Have it get the reason of each connection that ends, after all were told who listen now."""
    return subscribed(IConnectionClosed, lambda event: mailbox.put(event.connection.reason))


@pytest.fixture
def ended(registry, mailbox):
    """A mailbox that gets the reason of each connection that ends, when it has been counted."""
    with telling_ends(mailbox):
        yield mailbox


def value(registry, name, **labels):
    return registry.get_sample_value(f"greensock_{name}", labels)


@pytest.mark.parametrize("model", MODELS)
def test_connections_are_counted(registry, ended, model):
    """When they begin and when they have ended, why, how long they took and what went over them."""
    server = greensock.server_class(model)(LOCAL, Shout)
    with served(server):
        assert b"HELLO\n" == ask(server)
        assert "finished" == ended.get()
    assert 1 == value(registry, "connections_total", model=model)
    assert 1 == value(registry, "connections_closed_total", model=model, reason="finished")
    assert 0 == value(registry, "connections_active", model=model)
    assert 6 == value(registry, "received_bytes_total", model=model)
    assert 6 == value(registry, "sent_bytes_total", model=model)
    assert 1 == value(registry, "connection_duration_seconds_count", model=model)
    assert 1 == value(registry, "connection_duration_seconds_bucket", model=model, le="+Inf")
    assert 0 < value(registry, "connection_duration_seconds_sum", model=model)


@pytest.mark.parametrize("model", MODELS)
def test_failures_are_counted_once(registry, ended, model):
    """Those in a child process as well, which its parent knows by its exit status."""
    server = greensock.server_class(model)(LOCAL, Crash)
    with served(server):
        ask(server, b"")
        assert "failed" == ended.get()
    assert 1 == value(registry, "requests_failed_total", model=model)
    assert 1 == value(registry, "connections_closed_total", model=model, reason="failed")


def test_failures_are_counted_although_somebody_else_has_reaped_the_child(
    registry, ended, monkeypatch
):
    """As gevent's subprocess may, which waits for any child there is."""

    def lost(pid, options):
        os.waitpid(pid, options)
        raise ChildProcessError

    monkeypatch.setattr(native, "waitpid", lost)
    server = greensock.ForkingTCPServer(LOCAL, Crash)
    with served(server):
        ask(server, b"")
        assert "failed" == ended.get()
    assert 1 == value(registry, "requests_failed_total", model="fork")


@pytest.mark.parametrize("model", MODELS)
def test_failed_handshakes_are_counted_once(registry, ended, model):
    server = greensock.server_class(model)(LOCAL, Shout, bind_and_activate=False)
    server.ssl_context = tls.server_context()
    server.server_bind()
    server.server_activate()
    with served(server):
        with connect(server) as client:
            client.sendall(b"x" * 5)  # no more than is read, or the answer would be a reset
            client.shutdown(1)
            rest(client)
        assert "handshake" == ended.get()
    assert 1 == value(registry, "handshakes_failed_total", model=model)
    assert 0 == value(registry, "requests_failed_total", model=model)
    assert 1 == value(registry, "connections_closed_total", model=model, reason="handshake")


@pytest.mark.parametrize("model", MODELS)
def test_open_connections_and_their_bytes_are_counted(registry, ended, model):
    """The bytes as they go, and not once more when the connection ends."""
    server = greensock.server_class(model)(LOCAL, Echo)
    with served(server), connect(server) as client:
        client.sendall(b"hello")
        assert b"hello" == client.recv(5)
        assert 1 == value(registry, "connections_active", model=model)
        # The handler counts what it has sent after that has come here.
        wait_until(lambda: value(registry, "sent_bytes_total", model=model) == 5)
        assert 5 == value(registry, "received_bytes_total", model=model)
        client.shutdown(1)
        assert b"" == rest(client)
        ended.get()
        assert 0 == value(registry, "connections_active", model=model)
        assert 5 == value(registry, "received_bytes_total", model=model)


def test_connections_that_were_open_before_count_when_they_end(mailbox):
    """Nothing is counted below zero."""
    server = greensock.GreenletTCPServer(LOCAL, Shout)
    with served(server), connect(server) as client:
        wait_until(lambda: server.connections)
        registry = CollectorRegistry()
        undo = expose(registry)
        with telling_ends(mailbox):
            client.sendall(b"hello\n")
            rest(client)
            mailbox.get()
        found = value(registry, "connections_closed_total", model="greenlet", reason="finished")
        assert (1, 6) == (found, value(registry, "sent_bytes_total", model="greenlet"))
        assert not value(registry, "connections_active", model="greenlet")
        undo()


@pytest.mark.parametrize(
    ("kind", "fields", "name", "labels", "expected"),
    [
        (events.ConnectionRefused, ("x", "max_connections"), "connections_refused_total",
         {"reason": "max_connections"}, 1),
        (events.HandshakeFailed, ("x", OSError()), "handshakes_failed_total", {}, 1),
        (events.AcceptFailed, (OSError(),), "accepts_failed_total", {}, 1),
        (events.AcceptPaused, (OSError(),), "accept_pauses_total", {}, 1),
        (events.DrainStarted, (3,), "drains_total", {}, 1),
        (events.DatagramTruncated, ("x", 9), "datagrams_truncated_total", {}, 1),
        (events.DatagramsDropped, (7, 9), "datagrams_dropped_total", {}, 7),
    ],
)
def test_events_are_counted(registry, kind, fields, name, labels, expected):
    server = greensock.ThreadingTCPServer(LOCAL, Shout)
    server.server_close()
    events.emit(kind, server, *fields)
    assert expected == value(registry, name, model="thread", **labels)


def test_a_pause_is_seen_while_it_lasts(registry):
    """Until accepting goes on, or ends altogether."""
    server = greensock.TCPServer(LOCAL, Shout)
    server.server_close()
    seen = []
    for kind, *fields in (
        (events.AcceptPaused, OSError()),
        (events.AcceptResumed, 1.0),
        (events.AcceptPaused, OSError()),
        (events.ServerStopped,),
    ):
        events.emit(kind, server, *fields)
        seen.append(value(registry, "accept_paused"))
    assert [1, 0, 1, 0] == seen


def test_what_has_not_happened_is_zero_once_a_server_serves(registry):
    """Prometheus sees no increase in a number that begins with 1."""
    with served(greensock.TCPServer(LOCAL, Shout)):
        names = "connections_total", "sent_bytes_total", "requests_failed_total", "drains_total"
        assert [0, 0, 0, 0] == [value(registry, name, model="inline") for name in names]


def test_durations_fall_into_buckets(registry):
    """Each holds all that took as long as its bound, or less."""

    class Ended:
        received = sent = 0
        reason = "finished"

        def __init__(self, seconds):
            self.seconds = seconds

    server = greensock.TCPServer(LOCAL, Shout)
    server.server_close()
    for seconds in 0.001, BOUNDS[0], 0.3, 4000.0:
        events.emit(events.ConnectionClosed, server, Ended(seconds))
    found = [
        value(registry, "connection_duration_seconds_bucket", model="inline", le=bound)
        for bound in ("0.005", "0.1", "0.5", "3600.0", "+Inf")
    ]
    assert [2, 2, 3, 3, 4] == found


def test_servers_that_only_look_at_others_are_left_out(registry):
    class Observer(greensock.TCPServer):
        is_observer = True

    with served(Observer(LOCAL, Shout)) as server:
        ask(server)
    assert value(registry, "connections_total", model="inline") is None


def test_it_is_undone_and_may_be_done_again():
    registry = CollectorRegistry()
    undo = expose(registry)
    with pytest.raises(ValueError, match="greensock_connections"):
        expose(registry)
    undo()
    undo()
    assert b"" == generate_latest(registry)
    expose(registry)()


def test_names_are_as_prometheus_expects(registry):
    """Counters end in _total, every metric is explained, and units are base units."""
    with served(greensock.TCPServer(LOCAL, Shout)) as server:
        ask(server)
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    assert 15 == len(families)
    for family in families:
        assert re.fullmatch(r"greensock(_[a-z]+)+", family.name)
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert {f"{family.name}_total"} >= {sample.name for sample in family.samples}


def test_a_child_does_not_count_unless_it_serves(monkeypatch):
    """It has copies of its parent's numbers; with a server of its own it begins anew."""
    tally = Tally()
    server = greensock.TCPServer(LOCAL, Shout)
    server.server_close()
    try:
        events.emit(events.RequestFailed, server, "x", ValueError())
        pid = os.getpid()
        with monkeypatch.context() as child:
            child.setattr(os, "getpid", lambda: pid + 1)
            events.emit(events.RequestFailed, server, "x", ValueError())
            events.emit(events.ConnectionClosed, server, None)
            assert 1 == tally.counts().total("failed")
            events.emit(events.ServerStarted, server)
            assert 0 == tally.counts().total("failed")
            events.emit(events.RequestFailed, server, "x", ValueError())
            assert 1 == tally.counts().total("failed")
    finally:
        tally.close()


def test_counts_never_go_down_while_connections_end(ended):
    """Whoever reads in the midst of it."""
    server = greensock.ThreadingTCPServer(LOCAL, Shout)
    tally, seen = Tally(), []

    def look():
        while True:
            seen.append(tally.counts().total("received"))
            gevent.sleep(0)

    looking = gevent.spawn(look)
    with served(server):
        for _ in range(20):
            ask(server)
        reasons = ended.take(20)
    looking.kill()
    tally.close()
    assert ["finished"] * 20 == reasons
    assert sorted(seen) == seen
    assert 120 == tally.counts().total("received")


def test_a_collector_may_be_had_without_a_registry():
    tally = Tally()
    names = {family.name for family in Metrics(tally).collect()}
    tally.close()
    assert {"greensock_connections", "greensock_connections_active"} <= names


@pytest.mark.worldless
def test_without_the_package_it_says_what_to_install(tmp_path):
    """Neither greensock itself nor its command needs it."""
    code = "import sys; sys.modules['prometheus_client'] = None; import greensock.cli"
    code += "; print('imported'); import greensock.metrics"
    status, out, errors = python("-c", code, cwd=tmp_path, fresh=True)
    assert (1, "imported\n") == (status, out)
    expected = "ImportError: greensock.metrics needs the package prometheus_client: "
    assert expected + "pip install greensock[metrics]" == errors.splitlines()[-1]
