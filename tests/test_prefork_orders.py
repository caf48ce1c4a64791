"""What a supervisor, or a handler in a worker, orders is done by all workers."""

import os
import signal

import pytest

from greensock.interfaces import IWorkerEnded, IWorkerStarted
from greensock.supervision.orders import SIGNALS
from tests.helpers import (
    Call,
    Pid,
    Shout,
    ask,
    children,
    connect,
    forks_beside_threads,
    recorded,
    rest,
    serving,
    wait_until,
)
from tests.teams import at_work, new_server, of, refused

pytestmark = forks_beside_threads


def test_signals_that_are_for_the_supervisor_do_not_end_a_worker():
    with at_work(server := new_server(Pid, workers=1)) as record:
        (worker,) = of(record, IWorkerStarted)
        others = set(SIGNALS) - {signal.SIGTERM, signal.SIGQUIT}
        for number in others:
            os.kill(worker.pid, number)
        assert worker.pid == int(ask(server, b""))
        assert not of(record, IWorkerEnded)


def test_a_setting_that_is_changed_is_that_of_workers_which_begin_later():
    def handle(request, client_address, server):
        request.sendall(b"%d" % server.max_connections)

    with at_work(server := new_server(handle, workers=1, max_connections=7)) as record:
        server.max_connections = 8
        assert b"7" == ask(server, b"")
        server.reload()
        wait_until(lambda: of(record, IWorkerEnded))
        assert b"8" == ask(server, b"")


def test_drain():
    server = new_server(Shout)
    with recorded(IWorkerStarted, IWorkerEnded) as record, serving(server) as call:
        wait_until(lambda: len(record) == 2)
        with connect(server) as client:
            client.sendall(b"half")
            draining = Call("thread", server.drain)
            wait_until(lambda: refused(server))
            client.sendall(b" a line\n")
            assert b"HALF A LINE\n" == rest(client)
            assert [] == draining.end()
        call.end()
    assert {"drained"} == {event.reason for event in of(record, IWorkerEnded)}


def test_shutdown_in_a_handler_ends_all():
    def handle(request, client_address, server):
        request.makefile("rb").read()  # all that the client says, or else its end may come too late
        server.shutdown()
        request.sendall(b"asked")

    server = new_server(handle)
    with serving(server) as call:
        assert b"asked" == ask(server)
        call.end()
        server.server_close()
    assert not children()


def test_drain_in_a_handler_drains_all():
    def handle(request, client_address, server):
        assert [] == server.drain(None)
        request.sendall(b"asked")
        request.recv(1)
        request.sendall(b", and served")

    server = new_server(handle)
    with recorded(IWorkerEnded) as record, serving(server) as call:
        with connect(server) as client:
            assert b"asked" == client.recv(100)
            wait_until(lambda: refused(server))
            client.sendall(b".")
            assert b", and served" == rest(client)
        call.end()
        server.server_close()
    assert ["drained", "drained"] == [event.reason for event in record]


@pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])
def test_suspend_and_resume_in_a_handler_are_for_all(share):
    def handle(request, client_address, server):
        for line in request.makefile():
            getattr(server, line.strip())()

    with at_work(server := new_server(handle, share=share)), connect(server) as client:
        client.sendall(b"suspend\n")
        wait_until(lambda: "suspended" == server._gs_team.board.state)
        assert "keep" == server._gs_suspended
        client.sendall(b"resume\n")
        wait_until(lambda: "serving" == server._gs_team.board.state)
        assert b"" == ask(server, b"")


@pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])
def test_suspend_and_resume(share):
    with at_work(server := new_server(Pid, share=share)) as record:
        server.suspend()
        for _ in of(record, IWorkerStarted):
            server.add_worker()  # who comes meanwhile takes nobody either
        wait_until(lambda: len(of(record, IWorkerStarted)) == 4)
        with connect(server) as client:
            server.resume()
            assert client.recv(100)
        server.suspend(release=True)
        wait_until(lambda: refused(server))
        server.resume()
        assert ask(server, b"")
        wait_until(lambda: of(record, IWorkerEnded))
        assert {"replaced"} == {event.reason for event in of(record, IWorkerEnded)}


def test_a_handler_may_give_orders():
    def handle(request, client_address, server):
        getattr(server, request.recv(100).decode())()
        request.sendall(b"asked")

    with at_work(server := new_server(handle, workers=1)) as record:
        assert b"asked" == ask(server, b"add_worker")
        wait_until(lambda: len(of(record, IWorkerStarted)) == 2)
        assert b"asked" == ask(server, b"remove_worker")
        wait_until(lambda: [event.reason for event in of(record, IWorkerEnded)] == ["removed"])
        assert b"asked" == ask(server, b"reload")
        wait_until(lambda: len(of(record, IWorkerEnded)) == 2)
