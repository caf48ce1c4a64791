"""Handlers that rest between messages."""

import gc
import socket

import gevent
import pytest
from greenlet import greenlet

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionCut, IRequestFailed
from tests.helpers import (
    LOCAL,
    MODELS,
    connect,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)


def new_server(handler, model="greenlet", **attributes):
    return type("Server", (greensock.server_class(model, "tcp"),), attributes)(LOCAL, handler)


class Count(BaseRequestHandler):
    """Answers each message with its number."""

    parked = True
    number = 0

    def handle(self):
        self.number += 1
        self.request.sendall(b"%d %s" % (self.number, self.request.recv(100)))


class CountLines(StreamRequestHandler):
    """Answers each line with its number."""

    parked = True
    number = 0

    def handle(self):
        self.number += 1
        self.wfile.write(b"%d %s" % (self.number, self.rfile.readline()))


def is_at_rest(server):
    return server._gs_crew and all(job.is_at_rest for job in server._gs_crew)


@every_model
@everywhere
@pytest.mark.parametrize("handler", [Count, CountLines])
def test_one_handler_gets_one_message_after_another(model, where, handler):
    with served(new_server(handler, model), where) as server, connect(server) as client:
        for number in range(1, 4):
            client.sendall(b"hello\n")
            assert b"%d hello\n" % number == client.recv(100)
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(client)


@every_model
def test_lines_that_arrive_together_are_all_handled(model):
    with served(new_server(CountLines, model)) as server, connect(server) as client:
        client.sendall(b"a\nb\nc\n")
        assert b"1 a\n2 b\n3 c\n" == b"".join(iter(lambda: client.recv(4), b"3 c\n")) + b"3 c\n"
        client.sendall(b"half")
        client.sendall(b" and half\nlast")
        client.shutdown(socket.SHUT_WR)
        assert b"4 half and half\n5 last" == rest(client)


@every_model
def test_setup_and_finish_run_once(model, mailbox):
    class Note(Count):
        def setup(self):
            mailbox.put("setup")

        def handle(self):
            super().handle()
            mailbox.put("handle")

        def finish(self):
            mailbox.put("finish")

    with served(new_server(Note, model)) as server:
        with connect(server) as client:
            for _ in range(2):
                client.sendall(b"x")
                client.recv(100)
            client.shutdown(socket.SHUT_WR)  # a forked child has a copy
        assert ["setup", "handle", "handle", "finish"] == mailbox.take(4)


@everywhere
@pytest.mark.parametrize("handler", [Count, CountLines])
def test_a_connection_at_rest_holds_no_greenlet(where, handler):
    with served(new_server(handler), where) as server:
        clients = [connect(server) for _ in range(20)]
        for client in clients:
            client.sendall(b"hello\n")
            client.recv(100)
        wait_until(lambda: is_at_rest(server))
        assert 20 == len(server._gs_crew)
        gc.collect()
        frames = [g.gr_frame for g in gc.get_objects() if isinstance(g, greenlet) and g.gr_frame]
        assert not any("handlers.py" in frame.f_code.co_filename for frame in frames)
        for client in clients:
            client.sendall(b"hello\n")
            assert b"2 hello\n" == client.recv(100)
            client.close()


@everywhere
@pytest.mark.parametrize("handler", [Count, CountLines])
def test_closing_the_server_closes_them_at_once(where, handler, mailbox):
    class Note(handler):
        def finish(self):
            super().finish()
            mailbox.put("finish")

    server = new_server(Note, drain_timeout=1000)
    with recorded(IConnectionCut, IRequestFailed) as record, serving(server, where) as call:
        with connect(server) as client:
            client.sendall(b"hello\n")
            client.recv(100)
            wait_until(lambda: is_at_rest(server))
            server.shutdown()
            server.server_close()
            assert b"" == rest(client)
            call.end()
    assert "finish" == mailbox.get()
    assert [] == record


@pytest.mark.parametrize("handler", [Count, CountLines])
def test_a_timeout_goes_on(handler, mailbox):
    class Timeout(handler):
        def setup(self):
            self.request.settimeout(0.05)
            super().setup()

        def finish(self):
            super().finish()
            mailbox.put("finish")

    with recorded(IRequestFailed) as record, served(new_server(Timeout)) as server:
        with connect(server) as client:
            client.sendall(b"hello\n")
            assert b"1 hello\n" == client.recv(100)
            assert b"" == rest(client)
        assert "finish" == mailbox.get()
        wait_until(lambda: record)
    assert isinstance(record[0].error, TimeoutError)


@every_model
@pytest.mark.parametrize("handler", [Count, CountLines])
def test_an_error_ends_the_connection(model, handler, mailbox):
    class Fail(handler):
        def handle(self):
            super().handle()
            if self.number == 2:
                raise RuntimeError("two")

        def finish(self):
            super().finish()
            mailbox.put("finish")

    with served(new_server(Fail, model)) as server, connect(server) as client:
        client.sendall(b"hello\n")
        assert b"1 hello\n" == client.recv(100)
        client.sendall(b"hello\n")
        assert b"2 hello\n" == rest(client)
        assert "finish" == mailbox.get()


def test_a_reset_at_rest_ends_it(mailbox):
    class Note(Count):
        def finish(self):
            mailbox.put("finish")

    with served(new_server(Note)) as server:
        client = connect(server)
        client.sendall(b"x")
        client.recv(100)
        wait_until(lambda: is_at_rest(server))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        assert "finish" == mailbox.get()


def test_another_greenlet_may_send_to_a_connection_at_rest_and_close_it(mailbox):
    handlers = []

    class Note(Count):
        def setup(self):
            handlers.append(self)

        def finish(self):
            mailbox.put("finish")

    with served(new_server(Note), "greenlet") as server, connect(server) as client:
        client.sendall(b"x")
        client.recv(100)
        wait_until(lambda: is_at_rest(server))
        handlers[0].request.sendall(b"news")
        assert b"news" == client.recv(100)
        handlers[0].request.close()
        assert "finish" == mailbox.get()
        assert b"" == rest(client)


def test_a_handler_that_waits_by_itself_is_a_greenlet_as_ever():
    class Wait(Count):
        def handle(self):
            gevent.sleep(0.01)
            super().handle()

    with served(new_server(Wait)) as server, connect(server) as client:
        client.sendall(b"x")
        assert b"1 x" == client.recv(100)
