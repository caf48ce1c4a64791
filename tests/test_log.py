"""The ``greensock`` logger writes what went wrong, at the level it deserves."""

import logging

import pytest
from gevent.hub import GreenletExit

from greensock import StreamRequestHandler, TCPServer, events
from greensock.errors import BusError
from greensock.testing import serving
from tests.helpers import LOCAL, connect, rest, served, wait_until
from tests.programs import run

PEER = ("127.0.0.1", 9)


def raised(kind):
    """An error with a traceback."""
    try:
        raise kind("on purpose")
    except kind as error:
        return error


@pytest.mark.parametrize(
    ("level", "text", "kind", "fields"),
    [
        ("ERROR", "request from ('127.0.0.1', 9) failed", events.RequestFailed, (PEER, ValueError)),
        (
            "INFO",
            "request from ('127.0.0.1', 9) ended by SystemExit('on purpose')",
            events.RequestFailed,
            (PEER, SystemExit),
        ),
        (
            "INFO",
            "request from ('127.0.0.1', 9) ended by GreenletExit('on purpose')",
            events.RequestFailed,
            (PEER, GreenletExit),
        ),
        (
            "INFO",
            "request from ('127.0.0.1', 9) ended by KeyboardInterrupt('on purpose')",
            events.RequestFailed,
            (PEER, KeyboardInterrupt),
        ),
        ("ERROR", "get_request failed", events.AcceptFailed, (ValueError,)),
        ("WARNING", "accepting is paused: on purpose", events.AcceptPaused, (OSError,)),
        ("INFO", "accepting again after 1.500 s", events.AcceptResumed, (1.5,)),
        (
            "WARNING",
            "connection from ('127.0.0.1', 9) was cut: idle_timeout",
            events.ConnectionCut,
            (PEER, "idle_timeout"),
        ),
        (
            "INFO",
            "connection from ('127.0.0.1', 9) was refused: max_connections",
            events.ConnectionRefused,
            (PEER, "max_connections"),
        ),
        ("INFO", "new certificates are in use", events.TLSReloaded, ()),
        ("INFO", "draining 3 connections", events.DrainStarted, (3,)),
        ("INFO", "drained in 1.500 s, 0 connections were cut", events.DrainEnded, (1.5, ())),
        (
            "WARNING",
            "datagram from ('127.0.0.1', 9) was longer than the 65535 bytes of max_packet_size",
            events.DatagramTruncated,
            (PEER, 65535),
        ),
        (
            "INFO",
            "TLS handshake with ('127.0.0.1', 9) failed: on purpose",
            events.HandshakeFailed,
            (PEER, OSError),
        ),
        ("WARNING", "the bus was lost: on purpose", events.BusLost, (OSError,)),
        (
            "INFO",
            "the bus is back after 1.500 s; 0 messages or more were missed, in 0 topics",
            events.BusRestored,
            (1.5, {}),
        ),
        (
            "WARNING",
            "the bus is back after 1.500 s; 5 messages or more were missed, in 2 topics",
            events.BusRestored,
            (1.5, {"news": 2, "more": 3}),
        ),
        ("WARNING", "no room in a subscription", events.BusOverflowed, ("a subscription",)),
    ],
)
def test_event_is_logged(caplog, level, text, kind, fields):
    """With its traceback if it is an error."""
    fields = [raised(field) if isinstance(field, type) else field for field in fields]
    with caplog.at_level(logging.DEBUG, "greensock"):
        events.emit(kind, "server", *fields)
    [record] = caplog.records
    assert ("greensock", level, text) == (record.name, record.levelname, record.getMessage())
    expected = fields[-1] if level == "ERROR" else None
    assert expected == (record.exc_info and record.exc_info[1])


def test_a_bus_that_is_not_there_needs_no_traceback(caplog):
    error = BusError("Redis at redis://localhost/0 cannot be used: nobody listens")
    events.emit(events.WorkerFailed, None, 1, error)
    (record,) = caplog.records
    assert (f"worker 1 failed: {error}", None) == (record.getMessage(), record.exc_info)


def test_a_peer_adds_no_line_of_its_own(caplog):
    """Whose Unix socket may be at any path."""
    path = "x\n2026-01-01 ERROR"
    with caplog.at_level(logging.DEBUG, "greensock"):
        events.emit(events.ConnectionCut, "server", path, "kicked")
        events.emit(events.RequestFailed, "server", path, raised(ValueError))
        events.emit(events.RequestFailed, "server", path, raised(SystemExit))
    assert [] == [record for record in caplog.records if "\n" in record.getMessage()]
    assert 3 == len(caplog.records)


def test_who_has_forgotten_to_listen_is_told(caplog):
    with served(TCPServer(LOCAL, StreamRequestHandler, bind_and_activate=False)):
        wait_until(lambda: caplog.records)
    [record] = caplog.records
    assert record.getMessage().endswith(
        "] Invalid argument; the socket does not listen: call server_bind() and server_activate()"
    )


def test_serving_is_not_logged(caplog):
    with caplog.at_level(logging.DEBUG, "greensock"):
        with serving(TCPServer(LOCAL, StreamRequestHandler)):
            pass
    assert [] == [record for record in caplog.records if record.name == "greensock"]


def test_failed_handler_is_logged_once(caplog):
    class Crash(StreamRequestHandler):
        def handle(self):
            raise ZeroDivisionError("on purpose")

    server = TCPServer(LOCAL, Crash)
    with serving(server), connect(server) as client:
        assert b"" == rest(client)
    [record] = caplog.records
    assert ("greensock", logging.ERROR) == (record.name, record.levelno)
    assert ZeroDivisionError is record.exc_info[0]


@pytest.mark.worldless
def test_without_configuration_warnings_and_worse_are_printed():
    """As Python does for any logger."""
    script = """
from greensock import events
events.emit(events.ConnectionCut, "server", "somebody", "kicked")
events.emit(events.AcceptResumed, "server", 1.0)
"""
    assert (0, "", "connection from somebody was cut: kicked\n") == run(script)
