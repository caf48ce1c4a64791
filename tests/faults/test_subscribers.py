"""A subscriber or a log handler that raises hurts nobody, whatever it was told."""

import logging
import threading
from contextlib import ExitStack, suppress

import gevent
import pytest

from greensock import events
from greensock.interfaces import IAcceptPaused, IServerEvent
from tests import tls
from tests.faults.injecting import (
    Injected,
    errno_of,
    every_model,
    going_on,
    is_hung_up_on,
    new_server,
    with_faulty_listener,
)
from tests.helpers import (
    MODELS,
    Call,
    Crash,
    Shout,
    ShoutDatagram,
    Trap,
    ask,
    connect,
    forks_beside_threads,
    recorded,
    rest,
    served,
    subscribed,
    wait_until,
)

pytestmark = forks_beside_threads


def begin_and_end(server):
    """That it is served, is enough."""


def fail_a_handler(server):
    server.RequestHandlerClass = Crash
    assert is_hung_up_on(server)
    server.RequestHandlerClass = Shout


def fail_to_get(server):
    server.faults.append(Injected())


def run_short(server):
    server.faults.append(errno_of("EMFILE"))


def refuse(server):
    server.verify_request = lambda request, client_address: False
    assert is_hung_up_on(server)
    del server.verify_request


def cut(server):
    server.RequestHandlerClass = Trap
    with connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        (connection,) = server.connections
        server.RequestHandlerClass = Shout
        assert server.kick(connection)
        assert b"" == rest(client)


def fail_a_handshake(server):
    server.ssl_context, server.implicit_tls = tls.shared_server_context(), True
    with connect(server) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionResetError):
            rest(client)
    wait_until(lambda: not server.connections)
    server.ssl_context = None


def reload(server):
    server.ssl_context, server.implicit_tls = tls.server_context, False
    server.reload_tls()


# What brings about each kind of event.
CAUSES = {
    events.ServerStarted: begin_and_end,
    events.ServerStopped: begin_and_end,
    events.ConnectionOpened: begin_and_end,
    events.ConnectionClosed: begin_and_end,
    events.RequestFailed: fail_a_handler,
    events.HandshakeFailed: fail_a_handshake,
    events.AcceptFailed: fail_to_get,
    events.AcceptPaused: run_short,
    events.AcceptResumed: run_short,
    events.ConnectionRefused: refuse,
    events.ConnectionCut: cut,
    events.TLSReloaded: reload,
}
# These have tests of their own.
OTHERS = {
    events.DatagramTruncated, events.DatagramsDropped, events.DrainStarted, events.DrainEnded
}
# A supervisor's, of which the same holds.
OTHERS |= {events.WorkerStarted, events.WorkerEnded, events.WorkerFailed}
OTHERS |= {events.UpgradeEnded, events.UpgradeFailed}
# Of whoever posts, in its thread; and of a peer, as of one that fails the handshake.
OTHERS |= {events.SlowConsumer, events.ProxyHeaderRefused}
# Happen in the child.
ELSEWHERE = events.RequestFailed, events.HandshakeFailed


class Timeout(gevent.Timeout):
    """One that nobody has waited for."""

    def __init__(self, reason):
        super().__init__(1)


class Raising:
    """A subscriber that raises; ``told``: the events it got."""

    def __init__(self, kind, error=Injected):
        self.kind = kind
        self.error = error
        self.told = []

    def __call__(self, event):
        if isinstance(event, self.kind):
            self.told.append(event)
            raise self.error(self.kind.__name__)


def complaints(caplog, kind):
    return [
        record
        for record in caplog.records
        if "raised when it was told" in record.msg and record.args[1] == kind.__name__
    ]


def test_every_kind_of_event_is_tried():
    kinds = {
        kind
        for kind in vars(events).values()
        if isinstance(kind, type) and IServerEvent.implementedBy(kind)
    }
    assert kinds == OTHERS | CAUSES.keys()


@pytest.mark.parametrize(
    "model, error", [*((model, Injected) for model in MODELS), ("greenlet", Timeout)]
)
def test_subscribers_that_raise_hurt_nobody(error, model, caplog):
    """Each is told of each event of its kind, and every time it raises that is logged."""
    kinds = set(CAUSES)
    if model == "inline":
        kinds.remove(events.ConnectionCut)  # nobody else is at work to cut it
    raising = [Raising(kind, error) for kind in kinds]
    server = new_server(model, where="get_request")
    with ExitStack() as subscriptions:
        for subscriber in raising:
            subscriptions.enter_context(subscribed(IServerEvent, subscriber))
        with going_on(server):
            for cause in dict.fromkeys(CAUSES[kind] for kind in CAUSES if kind in kinds):
                cause(server)
                assert b"HELLO\n" == ask(server)
                wait_until(lambda: not server.connections)
    told = {subscriber.kind: len(subscriber.told) for subscriber in raising}
    assert told == {kind: len(complaints(caplog, kind)) for kind in kinds}
    untold = {kind for kind, times in told.items() if not times}
    assert untold == (set(ELSEWHERE) if model == "fork" else set())


@every_model
def test_a_subscriber_that_raises_does_not_keep_a_server_from_draining(model, caplog):
    kinds = events.DrainStarted, events.DrainEnded
    raising = [Raising(kind) for kind in kinds]
    server = new_server(model)
    with subscribed(IServerEvent, raising[0]), subscribed(IServerEvent, raising[1]):
        call = Call("greenlet", server.serve_forever)
        assert b"HELLO\n" == ask(server)
        assert [] == server.drain()
        call.end()
    assert [1, 1] == [len(complaints(caplog, kind)) for kind in kinds]


@every_model
def test_a_subscriber_that_raises_does_not_keep_datagrams_from_their_handlers(model, caplog):
    """Neither one that was too long, nor those after some were lost."""
    kinds = events.DatagramTruncated, events.DatagramsDropped
    raising = [Raising(kind) for kind in kinds]
    server = new_server(model, transport="udp", handler=ShoutDatagram, max_packet_size=5)
    with subscribed(IServerEvent, raising[0]), subscribed(IServerEvent, raising[1]):
        with served(server, "greenlet"):
            looks = [(3, 3)]
            look = server._gs_loop.drops.look
            server._gs_loop.drops.look = lambda **how: looks.pop() if looks else look(**how)
            assert [b"HELLO"] * 2 == [ask(server) for _ in range(2)]
    assert [2, 1] == [len(complaints(caplog, kind)) for kind in kinds]


class Broken(logging.Handler):
    """A log handler that raises whatever it is to write."""

    count = 0

    def emit(self, record):
        self.count += 1
        raise Injected("the disk is full")


@pytest.fixture
def broken_log(monkeypatch):
    logger = logging.getLogger("greensock")
    handler = Broken()
    monkeypatch.setattr(threading, "excepthook", print)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


@every_model
def test_a_log_handler_that_raises_hurts_nobody(model, broken_log, capfd):
    """Standard error is what is left to tell of it."""
    causes = [fail_a_handler, fail_to_get, run_short, cut]
    if model == "inline":
        causes.remove(cut)  # nobody else is at work to cut it
    server = new_server(model, where="get_request")
    with going_on(server):
        for cause in causes:
            before = broken_log.count
            cause(server)
            assert b"HELLO\n" == ask(server)
            wait_until(lambda: not server.connections)
            assert "the disk is full" in capfd.readouterr().err
            if not (model == "fork" and cause is fail_a_handler):
                assert before < broken_log.count


@every_model
def test_an_episode_that_cannot_be_logged_is_told_to_others_once(model, broken_log):
    server, listener = with_faulty_listener(new_server(model))
    with recorded(IAcceptPaused) as record, going_on(server):
        listener.faults += 3 * [errno_of("EMFILE")]
        assert b"HELLO\n" == ask(server)
    assert 1 == len(record)
