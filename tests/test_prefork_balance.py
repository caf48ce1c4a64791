"""One who accepts for all, and deals out evenly."""

import errno
import os
import signal
from contextlib import ExitStack

import pytest

import greensock
from greensock.interfaces import IAcceptPaused, IWorkerEnded, IWorkerStarted
from tests.helpers import (
    Call,
    Echo,
    Pid,
    Shout,
    Trap,
    ask,
    connect,
    forks_beside_threads,
    no_descriptors_left,
    recorded,
    rest,
    serving,
    subscribed,
    wait_until,
)
from tests.teams import at_work, new_server, of, pids_of, refused, state_of

pytestmark = forks_beside_threads


class Stays(greensock.StreamRequestHandler):
    """Tells its process and stays."""

    def handle(self):
        self.wfile.write(b"%d\n" % os.getpid())
        self.rfile.read()


def numbers(clients):
    """How many of the clients each process has."""
    found = {}
    for client in clients:
        pid = int(client.recv(100))
        found[pid] = found.get(pid, 0) + 1
    return sorted(found.values())


@pytest.mark.parametrize("worker_model", ["greenlet", "thread"])
def test_each_gets_as_many(worker_model):
    server = new_server(Stays, workers=3, share="balance", worker_model=worker_model)
    with at_work(server), ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(30)]
        assert [10, 10, 10] == numbers(clients)


def test_who_has_lost_some_gets_the_next():
    with at_work(server := new_server(Stays, share="balance")) as record, ExitStack() as stack:
        by_pid = {}
        for _ in range(10):
            client = stack.enter_context(connect(server))
            by_pid.setdefault(int(client.recv(100)), []).append(client)
        poor, rich = by_pid
        for client in by_pid[poor]:
            client.shutdown(1)
            assert not rest(client)
        # It notes that one has gone after it has said goodbye.
        cards = {worker.child.pid: worker.card for _, worker in server._gs_team.workers}
        wait_until(lambda: not cards[poor].live)
        clients = [stack.enter_context(connect(server)) for _ in range(5)]
        assert {poor} == {int(client.recv(100)) for client in clients}
        assert record


@pytest.mark.parametrize("base", [greensock.UnixStreamServer])
def test_unix_paths(base, tmp_path):
    path = str(tmp_path / "path")
    with at_work(server := new_server(Shout, base, path, share="balance")):
        assert [b"HELLO\n"] * 3 == [ask(server, b"hello\n") for _ in range(3)]
    assert not os.path.exists(path)


def test_who_waits_for_one_that_dies_is_served_by_the_next():
    def handle(request, client_address, server):
        if request.recv(1) == b"!":
            os.kill(os.getpid(), signal.SIGSTOP)
        request.sendall(b"%d" % os.getpid())

    with at_work(server := new_server(handle, workers=1, share="balance")) as record:
        (worker,) = of(record, IWorkerStarted)
        with connect(server) as first, connect(server) as second:
            first.sendall(b"!")
            second.sendall(b"?")
            wait_until(lambda: state_of(worker.pid) == "T")
            os.kill(worker.pid, signal.SIGKILL)
            with connect(server) as third:
                third.sendall(b"?")
                assert int(third.recv(100)) != worker.pid


def test_another_desk_goes_on_where_the_last_has_died():
    with at_work(server := new_server(Stays, share="balance")) as record, ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(5)]
        assert [2, 3] == numbers(clients)
        os.kill(server._gs_team.desk.worker.child.pid, signal.SIGKILL)
        more = [stack.enter_context(connect(server)) for _ in range(5)]
        both = [*clients, *more]
        assert numbers(more) in ([2, 3],)
        assert len(both) == 10
        assert [None] == [event.index for event in of(record, IWorkerEnded)]


def test_reload():
    with at_work(server := new_server(Pid, share="balance")) as record:
        before = pids_of(server, 2)
        server.reload()
        wait_until(lambda: len(of(record, IWorkerEnded)) == 2)
        assert not before & pids_of(server, 2)


def test_more_and_fewer():
    with at_work(server := new_server(Pid, workers=1, share="balance")) as record:
        server.add_worker()
        assert 2 == len(pids_of(server, 2))
        server.remove_worker()
        wait_until(lambda: of(record, IWorkerEnded))
        assert 1 == len(pids_of(server, 1))
        assert ["removed"] == [event.reason for event in of(record, IWorkerEnded)]


def test_drain():
    server = new_server(Trap, share="balance")
    with recorded(IWorkerStarted, IWorkerEnded) as record, serving(server) as call:
        wait_until(lambda: len(record) == 2)
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            draining = Call("thread", server.drain)
            wait_until(lambda: refused(server))
            client.shutdown(1)
            assert b"" == rest(client)
            assert [] == draining.end()
        call.end()
    assert {"drained"} <= {event.reason for event in of(record, IWorkerEnded)}


def test_another_desk_deals_out_what_waits_when_one_dies_in_the_end():
    with recorded(IWorkerStarted, IWorkerEnded) as record:
        server = new_server(Pid, share="balance")
        with serving(server) as call, ExitStack() as stack:
            wait_until(lambda: len(of(record, IWorkerStarted)) == 2)
            desk = server._gs_team.desk.worker.child.pid
            os.kill(desk, signal.SIGSTOP)
            wait_until(lambda: "T" == state_of(desk))
            clients = [stack.enter_context(connect(server)) for _ in range(10)]
            for client in clients:
                client.sendall(b"x")
            drain = Call("thread", server.drain)
            wait_until(lambda: "draining" == server._gs_team.board.state)
            os.kill(desk, signal.SIGKILL)
            for client in clients:
                assert client.recv(100)
            drain.end()
            call.end()
        server.server_close()


def test_it_can_be_served_again():
    server = new_server(Pid, share="balance")
    for _ in range(2):
        with serving(server) as call:
            assert int(ask(server, b""))
            server.shutdown()
            call.end()
    server.server_close()


def test_a_burst_is_dealt_out_whole():
    with at_work(server := new_server(Echo, share="balance")), ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(200)]
        for client in clients:
            client.sendall(b"hello")
        assert {b"hello"} == {client.recv(100) for client in clients}


def test_who_comes_while_a_worker_is_out_of_descriptors_is_served_afterwards(mailbox):
    class Hoards(greensock.BaseRequestHandler):
        def handle(self):
            if self.request.recv(1) == b"!":
                with no_descriptors_left():
                    self.request.sendall(b"there are none")
                    self.request.recv(1)
            self.request.sendall(b"done")

    with subscribed(IAcceptPaused, lambda event: mailbox.put(event.error.errno)):
        with at_work(server := new_server(Hoards, workers=1, share="balance")):
            with connect(server) as one, connect(server) as other:
                one.sendall(b"!")
                assert b"there are none" == one.recv(100)
                with connect(server) as late:
                    assert errno.EMFILE == mailbox.get()
                    one.sendall(b"?")
                    late.sendall(b"?")
                    assert b"done" == rest(late)
                other.sendall(b"?")
                assert b"done" == rest(other)
