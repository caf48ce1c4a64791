"""Events reach those who listen, and nobody else is troubled."""

import logging
import socket
import ssl

import pytest
import zope.event
from zope.interface import Interface, classImplements

from greensock import StreamRequestHandler, TCPServer, ThreadingMixIn, events, server_class
from greensock.interfaces import (
    IAcceptFailed,
    IHandshakeFailed,
    IRequestFailed,
    IServerEvent,
    IServerStarted,
    IServerStopped,
)
from greensock.testing import serving
from tests import tls
from tests.helpers import (
    LOCAL,
    MODELS,
    connect,
    forks_beside_threads,
    recorded,
    rest,
    served,
    subscribed,
    wait_until,
)

KINDS = [
    cls
    for name, cls in vars(events).items()
    if isinstance(cls, type) and not name.startswith("_") and IServerEvent.implementedBy(cls)
]


class Crash(StreamRequestHandler):
    def handle(self):
        raise ZeroDivisionError("on purpose")


class Greet(StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"hello")


def hear(server):
    with connect(server) as client:
        return rest(client)


def names(record):
    return [type(event).__name__ for event in record]


def test_serving_is_told_of():
    server = TCPServer(LOCAL, Greet)
    with recorded(IServerStarted, IServerStopped) as record, serving(server):
        assert b"hello" == hear(server)
        assert ["ServerStarted"] == names(record)
    assert ["ServerStarted", "ServerStopped"] == names(record)
    assert {server} == {event.server for event in record}


def test_failed_request_is_told_of_with_its_error():
    """And with the traceback that leads to where it was raised."""
    server = TCPServer(LOCAL, Crash)
    with recorded(IRequestFailed) as record, serving(server):
        with connect(server) as client:
            assert b"" == rest(client)
            [event] = record
            assert (server, client.getsockname()) == (event.server, event.client_address)
    assert "on purpose" == str(event.error)
    frames = event.error.__traceback__
    while frames.tb_next is not None:
        frames = frames.tb_next
    assert "handle" == frames.tb_frame.f_code.co_name


def test_failed_get_request_is_told_of():
    class Moody(TCPServer):
        failures = [ZeroDivisionError("on purpose")]

        def get_request(self):
            if self.failures:
                raise self.failures.pop()
            return super().get_request()

    server = Moody(LOCAL, Greet)
    with recorded(IAcceptFailed) as record, serving(server):
        assert b"hello" == hear(server)
    assert ["on purpose"] == [str(event.error) for event in record]


@pytest.mark.parametrize("base", [TCPServer, type("Threads", (ThreadingMixIn, TCPServer), {})])
def test_failed_handshake_is_told_of_and_no_failed_request(base):
    server = base(LOCAL, Greet)
    server.socket = tls.server_context().wrap_socket(server.socket, server_side=True)
    with recorded(IHandshakeFailed, IRequestFailed) as record, serving(server):
        with connect(server) as client:
            client.sendall(b"this is no TLS, and long enough to be sure of that")
            try:
                rest(client)
            except ConnectionResetError:
                pass  # it had more to say than was listened to
        wait_until(lambda: record)
    assert ["HandshakeFailed"] == names(record)
    assert isinstance(record[0].error, ssl.SSLError)


@pytest.mark.parametrize("kind", KINDS)
def test_event_is_frozen_and_equal_to_itself_alone(kind):
    fields = range(len(kind.__match_args__))
    event = kind(*fields)
    assert event != kind(*fields)
    assert event.server == 0
    with pytest.raises(AttributeError):
        event.server = None


@pytest.fixture
def silence(monkeypatch):
    """Nobody listens."""
    monkeypatch.setattr(events, "_subscriptions", [])
    monkeypatch.setattr(zope.event, "subscribers", [events._dispatch])


@pytest.mark.usefixtures("silence")
def test_event_nobody_listens_for_is_not_built():
    events.emit(lambda *fields: pytest.fail("it was built"), "server")
    with subscribed(IServerStopped, lambda event: pytest.fail("it was told")):
        events.emit(events.ServerStarted, "server")


class Echo(StreamRequestHandler):
    def handle(self):
        while data := self.request.recv(100):
            self.request.sendall(data)


@forks_beside_threads
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("messages", [1, 50])
def test_messages_cost_no_event(model, messages, monkeypatch):
    """However many there are, not even the question is asked whether anybody listens."""
    kinds = []
    emit = events.emit

    def note(kind, *fields):
        kinds.append(kind)
        emit(kind, *fields)

    deadlines = dict.fromkeys(["idle_timeout", "send_timeout", "request_timeout"], 60)
    server = type("Server", (server_class(model),), deadlines)(LOCAL, Echo)
    with served(server):
        monkeypatch.setattr(events, "emit", note)
        with connect(server) as client:
            for _ in range(messages):
                client.sendall(b"hello")
                assert b"hello" == client.recv(5, socket.MSG_WAITALL)
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(client)
        wait_until(lambda: len(kinds) > 1)
        monkeypatch.undo()
    assert [events.ConnectionOpened, events.ConnectionClosed] == kinds


@pytest.mark.usefixtures("silence")
def test_subscriber_is_told_of_its_own_kind_alone():
    told = []
    with subscribed(IServerStarted, told.append):
        events.emit(events.ServerStarted, "server")
        events.emit(events.ServerStopped, "server")
    events.emit(events.ServerStarted, "server")
    assert ["ServerStarted"] == names(told)


@pytest.mark.usefixtures("silence")
def test_subscriber_of_the_general_kind_is_told_of_all():
    told = []
    with subscribed(IServerEvent, told.append):
        for kind in KINDS:
            events.emit(kind, *range(len(kind.__match_args__)))
    assert [kind.__name__ for kind in KINDS] == names(told)


@pytest.mark.usefixtures("silence")
def test_subscriber_of_zope_event_is_told_of_everything():
    told = []
    zope.event.subscribers.append(told.append)
    events.emit(events.ServerStarted, "server")
    zope.event.notify("somebody else's event")
    assert [events.ServerStarted, str] == [type(event) for event in told]


@pytest.mark.usefixtures("silence")
def test_subscriptions_of_the_same_function_count():
    told = []
    with subscribed(IServerStarted, told.append), subscribed(IServerStarted, told.append):
        events.emit(events.ServerStarted, "server")
        events.unsubscribe(IServerStarted, told.append)
        events.emit(events.ServerStarted, "server")
        events.subscribe(IServerStarted, told.append)
    assert 3 == len(told)


@pytest.mark.usefixtures("silence")
def test_subscriber_may_unsubscribe_when_it_is_told():
    told = []

    def once(event):
        told.append(event)
        events.unsubscribe(IServerStarted, once)

    events.subscribe(IServerStarted, once)
    with subscribed(IServerStarted, told.append):
        events.emit(events.ServerStarted, "server")
        events.emit(events.ServerStarted, "server")
    assert 3 == len(told)


@pytest.mark.usefixtures("silence")
@pytest.mark.parametrize("way", ["greensock", "zope"])
def test_what_a_subscriber_raises_is_logged_and_others_are_told(caplog, way):
    told = []

    def fail(event):
        raise ZeroDivisionError("on purpose")

    if way == "zope":
        zope.event.subscribers.insert(0, fail)
    else:
        events.subscribe(IServerStarted, fail)
    with subscribed(IServerStarted, told.append):
        events.emit(events.ServerStarted, "server")
    assert ["ServerStarted"] == names(told)
    [record] = caplog.records
    assert ("greensock", logging.ERROR) == (record.name, record.levelno)
    assert "fail" in record.getMessage()
    assert "ServerStarted" in record.getMessage()
    assert ZeroDivisionError is record.exc_info[0]


def test_subscriber_has_to_be_callable():
    with pytest.raises(TypeError, match=r"use subscribe\(IServerStarted, function\)"):
        events.subscribe(IServerStarted, "print")


@pytest.mark.parametrize("wrong", [(print, IServerStarted), ("IServerStarted", print)])
def test_subscribing_the_other_way_round_is_told(wrong):
    with pytest.raises(TypeError, match=r"is no kind of event: use subscribe\(IServerStarted, "):
        events.subscribe(*wrong)
    with pytest.raises(TypeError, match="is no function of an event"):
        events.subscribe(IServerStarted, IServerStarted)


def test_what_was_not_subscribed_cannot_be_unsubscribed():
    with pytest.raises(ValueError):
        events.unsubscribe(IServerStarted, print)


@pytest.mark.usefixtures("silence")
def test_any_interface_of_an_event_may_be_subscribed_to():
    """A contract of one's own that an event class was declared to honour, say."""

    class IMine(Interface):
        pass

    class Mine(events.ServerStarted):
        pass

    classImplements(Mine, IMine)
    told = []
    with subscribed(IMine, told.append):
        events.emit(Mine, "server")
        events.emit(events.ServerStarted, "server")
    assert ["Mine"] == names(told)
