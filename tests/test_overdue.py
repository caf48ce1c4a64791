"""Connections that take longer than the server's limits are cut, whatever handles them."""

import errno
import gc
import socket
import tempfile
import time
import weakref
from contextlib import ExitStack, suppress

import gevent
import pytest
from gevent.hub import GreenletExit

from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionClosed, IConnectionCut, IRequestFailed
from tests import tls
from tests.helpers import (
    MODELS,
    PATIENCE,
    Call,
    Trap,
    ask,
    connect,
    every_model,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)
from tests.overdue import AMPLE, LIMIT, EchoLines, closings, new_server

pytestmark = forks_beside_threads

# Bytes, more than the system takes for a peer that does not read, as the buffers do not grow.
MUCH = 2 << 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr("greensock.net.wardens.GRACE", 0.1)


class Flood(BaseRequestHandler):
    """Sends without end."""

    def handle(self):
        while True:
            self.request.sendall(bytes(1 << 20))


def server_with_small_buffers(handler, model, **attributes):
    server = new_server(handler, model, **attributes)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)  # for all it accepts
    return server


def send_file(handler):
    with tempfile.TemporaryFile() as file:
        file.truncate(MUCH)
        handler.request.sendfile(file)


def send_all_in_time(handler):
    handler.request.settimeout(PATIENCE)
    handler.request.sendall(bytes(MUCH))


# How handlers write.
WAYS = {
    "sendall": lambda handler: handler.request.sendall(bytes(MUCH)),
    "sendall, with a timeout": send_all_in_time,
    "send": lambda handler: handler.request.send(bytes(MUCH)),
    "wfile": lambda handler: handler.wfile.write(bytes(MUCH)),
    "sendfile": send_file,
    "sendmsg": lambda handler: handler.request.sendmsg([bytes(MUCH)]),
    "sendto": lambda handler: handler.request.sendto(bytes(MUCH), handler.client_address),
}

WAYS_OVER_TLS = ["sendall", "sendall, with a timeout", "send", "wfile", "sendfile"]


class WriteOnce(StreamRequestHandler):
    """Writes much, in the way its client says."""

    wbufsize = 1 << 16

    def handle(self):
        self.way = WAYS[self.rfile.readline().decode().strip()]
        self.way(self)


class WriteOn(WriteOnce):
    """Writes without end, in the way its client says."""

    def handle(self):
        super().handle()
        while True:
            self.way(self)


class Sleep(BaseRequestHandler):
    """Does not look at its connection."""

    def handle(self):
        self.toolbox.sleep(60)


@every_model
def test_who_is_silent_for_too_long_is_cut(model):
    with recorded(IConnectionCut, IConnectionClosed, IRequestFailed) as record:
        with served(new_server(EchoLines, model, idle_timeout=LIMIT)) as server:
            with connect(server) as client:
                client.sendall(b"one\n")
                began = time.monotonic()
                assert b"one\n" == rest(client)
                assert LIMIT <= time.monotonic() - began + 0.05
            wait_until(lambda: not server.connections)
    assert ["idle_timeout"] == closings(record)
    cuts = [event.reason for event in record if IConnectionCut.providedBy(event)]
    assert ["idle_timeout"] == cuts
    assert [] == [event.error for event in record if IRequestFailed.providedBy(event)]


@every_model
def test_a_silence_before_the_first_byte_counts(model):
    with served(new_server(EchoLines, model, idle_timeout=LIMIT)) as server:
        with connect(server) as client:
            assert b"" == rest(client)


@every_model
def test_who_says_something_in_time_stays(model):
    with recorded(IConnectionCut) as record:
        with served(new_server(EchoLines, model, idle_timeout=AMPLE)) as server:
            with connect(server) as client:
                ends = time.monotonic() + 2 * AMPLE
                while time.monotonic() < ends:
                    client.sendall(b"here\n")
                    assert b"here\n" == client.recv(100)
                    gevent.sleep(AMPLE / 10)
                client.shutdown(socket.SHUT_WR)
                assert b"" == rest(client)
    assert [] == record


@pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
def test_parked_connections_are_cut_too(model):
    class Parked(EchoLines):
        parked = True

        def handle(self):
            self.wfile.write(self.rfile.readline())

    with recorded(IConnectionClosed) as record:
        with served(new_server(Parked, model, idle_timeout=LIMIT)) as server:
            with connect(server) as client:
                client.sendall(b"one\n")
                assert b"one\n" == rest(client)
            wait_until(lambda: not server.connections)
    assert ["idle_timeout"] == closings(record)


@every_model
def test_who_does_not_read_is_cut(model):
    """Even one who is not idle for the other limit, because that is none."""
    with recorded(IConnectionClosed) as record:
        with served(new_server(Flood, model, send_timeout=LIMIT)) as server:
            with connect(server):
                wait_until(lambda: closings(record))
    assert ["send_timeout"] == closings(record)


@every_other(model=MODELS, is_secure=[False, True])
def test_who_does_not_read_is_cut_in_whatever_way_the_handler_writes(model, is_secure):
    server = server_with_small_buffers(WriteOn, model, send_timeout=LIMIT)
    if is_secure:
        server.ssl_context = tls.shared_server_context()
    ways = WAYS_OVER_TLS if is_secure else list(WAYS)
    reasons = {}
    with recorded(IConnectionClosed) as record, ExitStack() as stack:
        stack.enter_context(served(server))
        for count, way in enumerate(ways, 1):
            client = stack.enter_context(tls.connect(server) if is_secure else connect(server))
            reasons[client.getsockname()] = way
            client.sendall(way.encode() + b"\n")
            if model == "inline":
                wait_until(lambda n=count: len(record) == n)
        wait_until(lambda: len(record) == len(ways))
    ends = [(reasons[e.connection.client_address], e.connection.reason) for e in record]
    assert sorted((way, "send_timeout") for way in ways) == sorted(ends)


def read_steadily(client, way):
    """How many bytes come from a handler that writes once, in about twice the ample time."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
    client.sendall(way.encode() + b"\n")
    total, began = 0, time.monotonic()
    while data := client.recv(1 << 16):
        total += len(data)
        early = began + 2 * AMPLE * total / MUCH - time.monotonic()
        gevent.sleep(max(0.0, early))
    return total


@every_model
def test_who_reads_steadily_stays_during_one_long_write(model):
    limits = {"idle_timeout": AMPLE, "send_timeout": AMPLE}
    plain, secure = (server_with_small_buffers(WriteOnce, model, **limits) for _ in range(2))
    secure.ssl_context = tls.shared_server_context()
    with recorded(IConnectionCut) as record, served(plain), served(secure):
        with connect(plain) as one, tls.connect(secure) as other:
            calls = [Call("greenlet", read_steadily, one, "sendfile")]
            calls += [Call("greenlet", read_steadily, other, "send")]
            assert [MUCH, MUCH] == [call.end() for call in calls]
    assert [] == record


@every_other(model=["inline", "greenlet", "thread"], is_secure=[False, True])
def test_who_has_gone_while_a_write_waited_is_not_stuck(model, is_secure, mailbox):
    """The handler may have other work to do. A forked one would hold its client's socket, too."""

    class Write(BaseRequestHandler):
        def handle(self):
            with suppress(OSError):
                while True:
                    self.request.send(bytes(MUCH))
            mailbox.put(self.request.meter.stuck_since)

    server = server_with_small_buffers(Write, model)
    if is_secure:
        server.ssl_context = tls.shared_server_context()
    with served(server):
        with tls.connect(server) if is_secure else connect(server) as client:
            wait_until(lambda: any(each.stuck_since for each in server.connections))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert 0.0 == mailbox.get()


@every_model
def test_who_reads_slowly_is_not_stuck(model):
    class Sends(BaseRequestHandler):
        def handle(self):
            self.request.sendall(bytes(16 << 20))

    with recorded(IConnectionCut) as record:
        with served(new_server(Sends, model, send_timeout=2 * AMPLE)) as server:
            with connect(server) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
                total, pauses = 0, 12
                while data := client.recv(1 << 20):
                    total += len(data)
                    if pauses and total > (16 << 20) // pauses:
                        pauses -= 1
                        gevent.sleep(0.1)
    assert (16 << 20, []) == (total, record)


@every_model
def test_a_request_may_take_so_long(model):
    """However much it says meanwhile."""
    with recorded(IConnectionClosed) as record:
        with served(new_server(EchoLines, model, request_timeout=LIMIT)) as server:
            with connect(server) as client:
                try:
                    while client.sendall(b"still here\n") or client.recv(100):
                        gevent.sleep(0.01)
                except OSError as error:
                    assert error.errno in (errno.EPIPE, errno.ECONNRESET)
            wait_until(lambda: closings(record))
    assert ["request_timeout"] == closings(record)


@pytest.mark.parametrize("model", ["inline", "greenlet", "fork"])
def test_who_does_not_notice_is_ended_by_force(model):
    """The connection has been shut before, and a thread could not be ended."""
    with recorded(IConnectionClosed, IRequestFailed) as record:
        with served(new_server(Sleep, model, request_timeout=LIMIT)) as server:
            for _ in range(2):
                with connect(server) as client:
                    assert b"" == rest(client)
            wait_until(lambda: 2 == len(closings(record)))
    assert ["request_timeout"] * 2 == closings(record)
    assert [] == [event.error for event in record if IRequestFailed.providedBy(event)]


def test_each_message_of_a_parked_handler_is_a_request():
    class Parked(BaseRequestHandler):
        parked = True

        def handle(self):
            word = self.request.recv(100)
            if word == b"stay":
                self.toolbox.sleep(60)
            self.request.sendall(word)

    with recorded(IConnectionClosed) as record:
        with served(new_server(Parked, "greenlet", request_timeout=AMPLE)) as server:
            with connect(server) as client:
                ends = time.monotonic() + 2 * AMPLE
                while time.monotonic() < ends:
                    client.sendall(b"short")
                    assert b"short" == client.recv(100)
                    gevent.sleep(0.05)
                client.sendall(b"stay")
                assert b"" == rest(client)
            wait_until(lambda: closings(record))
    assert ["request_timeout"] == closings(record)


@every_model
def test_limits_may_be_set_while_it_serves(model):
    with served(new_server(EchoLines, model)) as server:
        with connect(server) as client:
            client.sendall(b"one\n")
            assert b"one\n" == client.recv(100)
            server.idle_timeout = LIMIT
            assert b"" == rest(client)


def test_a_greenlet_that_is_ended_by_force_gets_greenlet_exit(mailbox):
    class Tell(BaseRequestHandler):
        def handle(self):
            try:
                gevent.sleep(60)
            except GreenletExit as error:
                mailbox.put(type(error).__name__)
                raise

    with served(new_server(Tell, "greenlet", idle_timeout=LIMIT)) as server:
        with connect(server):
            assert "GreenletExit" == mailbox.get()


def test_many_silent_clients_are_cut_while_one_is_served():
    count = 100
    with recorded(IConnectionClosed) as record:
        with served(new_server(EchoLines, "greenlet", idle_timeout=AMPLE), "greenlet") as server:
            silent = [connect(server) for _ in range(count)]
            with connect(server) as client:

                def all_are_cut():
                    client.sendall(b"here\n")
                    assert b"here\n" == client.recv(100)
                    return len(record) == count

                wait_until(all_are_cut)
            for one in silent:
                assert b"" == rest(one)
                one.close()
    assert {"idle_timeout"} == set(closings(record)[:count])


@every_model
def test_nothing_is_limited_by_default(model):
    with served(new_server(Trap, model)) as server:
        limits = server.idle_timeout, server.request_timeout, server.send_timeout
        assert (None, None, None) == limits and 10 == server.handshake_timeout


@every_model
def test_a_server_with_limits_is_forgotten_with_the_thread_that_served_it(model):
    server = new_server(EchoLines, model, idle_timeout=PATIENCE)
    with served(server):
        assert b"hello\n" == ask(server)
    kept = weakref.ref(server)
    del server
    wait_until(lambda: gc.collect() >= 0 and kept() is None)
