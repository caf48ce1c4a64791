"""Requests in greenlets: many at once, contained, and waited for in the end."""


import gevent
import pytest
from gevent.hub import GreenletExit

from greensock import (
    BaseRequestHandler,
    DatagramRequestHandler,
    GreenletTCPServer,
    GreenletUDPServer,
)
from greensock.interfaces import IConnectionCut, IRequestFailed
from greensock.net import native
from greensock.net.connections import Connection
from greensock.net.workers import Workers
from tests import programs
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    Echo,
    Shout,
    Trap,
    ask,
    connect,
    everywhere,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)


# A thousand descriptors are more than select() could watch; where they are served is no matter.
@pytest.mark.parametrize("where, count", [("thread", 1000), ("greenlet", 100)])
def test_slow_clients_are_served_at_once_in_one_thread(where, count):
    """Each has said half a line when the last one is taken."""
    inside = []

    class Line(Shout):
        def handle(self):
            inside.append(native.get_ident())
            super().handle()

    with served(GreenletTCPServer(LOCAL, Line), where) as server:
        clients = [connect(server) for _ in range(count)]
        for client in clients:
            client.sendall(b"hel")
        wait_until(lambda: len(inside) == count)
        for client in clients:
            client.sendall(b"lo\n")
        assert {b"HELLO\n"} == {rest(client) for client in clients}
        for client in clients:
            client.close()
    assert 1 == len(set(inside))


class Raising(BaseRequestHandler):
    def handle(self):
        name = self.request.recv(100).decode()
        raise {kind.__name__: kind for kind in RAISED}[name]()


RAISED = [SystemExit, GreenletExit, MemoryError, RuntimeError]


@everywhere
@pytest.mark.parametrize("kind", RAISED)
def test_what_a_handler_raises_ends_its_request_alone(kind, where):
    with recorded(IRequestFailed) as record:
        with served(GreenletTCPServer(LOCAL, Raising), where) as server:
            for _ in range(20):
                assert b"" == ask(server, kind.__name__.encode())
    assert [kind] * 20 == [type(event.error) for event in record]


def test_ctrl_c_in_a_handler_of_a_thread_ends_its_request_alone():
    class Interrupted(Shout):
        def handle(self):
            if self.rfile.readline() == b"stop\n":
                raise KeyboardInterrupt
            self.wfile.write(b"served\n")

    with recorded(IRequestFailed) as record:
        with served(GreenletTCPServer(LOCAL, Interrupted), "thread") as server:
            assert b"" == ask(server, b"stop\n")
            assert b"served\n" == ask(server)
    assert [KeyboardInterrupt] == [type(event.error) for event in record]


@pytest.mark.parametrize(
    "owner, step",
    [
        (Workers, "_come"),
        (Workers, "_live"),
        (GreenletTCPServer, "_gs_founded_crew"),
        (GreenletTCPServer, "_gs_run"),
        (GreenletTCPServer, "_gs_leave_crew"),
        (Connection, "close"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_ctrl_c_at_the_edge_of_a_request_is_not_in_the_way_of_closing(owner, step, monkeypatch):
    original = getattr(owner, step)
    interruptions = iter([KeyboardInterrupt])

    def interrupted(*args):
        for interruption in interruptions:
            raise interruption
        return original(*args)

    monkeypatch.setattr(owner, step, interrupted)
    with recorded(IConnectionCut) as cut, recorded(IRequestFailed) as failed:
        with GreenletTCPServer(LOCAL, BaseRequestHandler) as server, connect(server) as client:
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
            server.server_close()
            assert b"" == rest(client)
    assert not cut and not failed and not server.connections


PROGRAM = """
from tests import world
import greensock

class Interrupted(greensock.BaseRequestHandler):
    def handle(self):
        self.request.recv(100)
        raise KeyboardInterrupt

server = greensock.GreenletTCPServer(("127.0.0.1", 0), Interrupted)
print("%s:%d" % server.server_address, flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    print("interrupted")
server.server_close()
"""


def test_ctrl_c_in_a_handler_of_the_main_thread_ends_serve_forever():
    with programs.begin(PROGRAM) as process:
        host, port = process.stdout.readline().split(":")
        with programs.Client.connect((host, int(port))) as client:
            client.send(b"stop\n")
            assert b"" == client.rest()
        assert ("interrupted\n", "") == process.communicate(timeout=PATIENCE)
    assert 0 == process.returncode


@everywhere
def test_closing_waits_for_handlers(where):
    server = GreenletTCPServer(LOCAL, Echo)
    with recorded(IConnectionCut) as record, serving(server, where) as call:
        client = connect(server)
        client.sendall(b"before")
        assert b"before" == client.recv(100)
        server.shutdown()
        closing = Call("greenlet", server.server_close)
        gevent.idle()
        assert not closing.greenlet.ready()
        client.sendall(b"after")
        assert b"after" == client.recv(100)
        client.close()
        closing.end()
        call.end()
    assert [] == record


@everywhere
def test_handlers_that_do_not_end_are_cut_after_the_time_for_draining(where):
    server = GreenletTCPServer(LOCAL, Trap)
    server.drain_timeout = 0.05
    with recorded(IConnectionCut) as record:
        with served(server, where):
            clients = [connect(server) for _ in range(5)]
            for client in clients:
                assert b"trapped\n" == client.recv(100)
        for client in clients:
            assert b"" == rest(client)
    names = sorted(client.getsockname() for client in clients)
    assert names == sorted(event.client_address for event in record)
    for client in clients:
        client.close()


@everywhere
def test_a_handler_that_sleeps_when_it_is_cut_gets_greenlet_exit(where, mailbox):
    class Sleep(BaseRequestHandler):
        def handle(self):
            mailbox.put("asleep")
            try:
                self.toolbox.sleep(PATIENCE)
            except GreenletExit:
                mailbox.put("exit")
                raise

    server = GreenletTCPServer(LOCAL, Sleep)
    server.drain_timeout = 0.05
    with recorded(IConnectionCut, IRequestFailed) as record:
        with served(server, where), connect(server) as client:
            assert "asleep" == mailbox.get()
            name = client.getsockname()
            server.shutdown()
            server.server_close()
            assert "exit" == mailbox.get()
            assert b"" == rest(client)
    assert [name] == [event.client_address for event in record]


def test_serve_forever_in_a_thread_waits_for_its_handlers(mailbox):
    server = GreenletTCPServer(LOCAL, Echo)
    with serving(server, "thread") as call, connect(server) as client:
        client.sendall(b"before")
        assert b"before" == client.recv(100)
        server.shutdown()
        assert call._ended.is_empty()
        client.sendall(b"after")
        assert b"after" == client.recv(100)
        client.close()
        call.end()
    server.server_close()


@everywhere
@pytest.mark.parametrize("how", ["shutdown", "server_close"])
def test_a_handler_may_end_its_server_and_goes_on(how, where):
    class End(Shout):
        def handle(self):
            getattr(self.server, how)()
            super().handle()

    server = GreenletTCPServer(LOCAL, End)
    with serving(server, where) as call:
        assert b"HELLO\n" == ask(server)
        call.end()
    server.server_close()


@everywhere
def test_datagram_handlers_may_answer_while_the_server_is_closed(where, mailbox):
    go_on = []

    class Late(DatagramRequestHandler):
        def handle(self):
            mailbox.put("taken")
            while not go_on:
                self.toolbox.sleep(0.001)
            self.wfile.write(self.packet.upper())

    server = GreenletUDPServer(LOCAL, Late)
    with serving(server, where) as call, connect(server) as client:
        client.send(b"hello")
        assert "taken" == mailbox.get()
        closing = Call("greenlet", server.server_close)
        gevent.idle()
        assert not closing.greenlet.ready()
        go_on.append(True)
        assert b"HELLO" == client.recv(100)
        closing.end()
        call.end()


def test_other_greenlets_have_their_turn_in_a_flood():
    """Not more requests are taken in one turn than a turn has."""
    counted = []

    class Count(DatagramRequestHandler):
        def handle(self):
            counted.append(turns)

    turns = 0
    with served(GreenletUDPServer(LOCAL, Count), "greenlet") as server, connect(server) as client:
        for _ in range(150):
            client._sock.send(b"x")
        while len(counted) < 150:
            turns += 1
            gevent.sleep(0)
    assert len(set(counted)) > 1
