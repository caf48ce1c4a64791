"""A worker that dies, hangs, is old or has to go is replaced, and nobody is lost."""

import mmap
import os
import re
import signal
import socket
from contextlib import ExitStack, suppress

import pytest

import greensock
from greensock.interfaces import IWorkerEnded, IWorkerFailed, IWorkerStarted
from greensock.supervision.memory import resident
from tests.helpers import (
    LOCAL,
    Pid,
    Trap,
    ask,
    connect,
    forks_beside_threads,
    recorded,
    served,
    subscribed,
    wait_until,
)
from tests.teams import Server, at_work, new_server, of, pids_of, state_of, was

pytestmark = forks_beside_threads


def test_whoever_dies_is_replaced():
    with at_work(server := new_server(Pid)) as record:
        (victim, *_) = pids_of(server, 2)
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(of(record, IWorkerStarted)) == 3)
        pids = pids_of(server, 2)
        assert victim not in pids
        (end,) = of(record, IWorkerEnded)
        assert ("died", True, 0.0) == (end.reason, was(end, signal.SIGKILL), end.pause)
        assert end.index == of(record, IWorkerStarted)[2].index


@pytest.mark.parametrize("share", ["reuseport", "listener"])
def test_who_waits_in_the_queue_of_one_that_dies_is_served_by_the_next(share):
    def handle(request, client_address, server):
        if request.recv(1) == b"!":
            os.kill(os.getpid(), signal.SIGSTOP)
        request.sendall(b"%d" % os.getpid())

    with at_work(server := new_server(handle, workers=1, share=share)) as record:
        (worker,) = of(record, IWorkerStarted)
        with connect(server) as first:
            first.sendall(b"!")
            wait_until(lambda: state_of(worker.pid) == "T")
            with connect(server) as second:
                second.sendall(b"?")
                os.kill(worker.pid, signal.SIGKILL)
                assert int(second.recv(100)) != worker.pid


def test_one_that_keeps_dying_waits_longer_and_longer():
    class Doomed(Server):
        workers = 1

        def worker_started(self, index):
            os._exit(3)

    server = Doomed(LOCAL, Pid)
    with recorded(IWorkerEnded) as record, served(server):
        wait_until(lambda: len(record) == 4)
    assert [0.0, 0.1, 0.2, 0.4] == [event.pause for event in record[:4]]
    assert all(was(event, 3 << 8) for event in record[:4])


def test_one_whose_hub_stands_still_is_killed():
    def handle(request, client_address, server):
        if request.recv(1) == b"!":
            os.kill(os.getpid(), signal.SIGSTOP)
        request.sendall(b"%d" % os.getpid())

    with at_work(server := new_server(handle, workers=1, worker_timeout=0.5)) as record:
        with connect(server) as client:
            client.sendall(b"!")
            with suppress(ConnectionResetError):
                assert b"" == client.recv(1)
        wait_until(lambda: of(record, IWorkerEnded))
        assert "hung" == of(record, IWorkerEnded)[0].reason
        assert ask(server, b"?")


def test_enough_requests():
    with at_work(server := new_server(Pid, workers=1, max_requests=3)) as record:
        assert pids_of(server, 3)
        wait_until(lambda: len(of(record, IWorkerEnded)) > 1)
    assert "max_requests" == of(record, IWorkerEnded)[0].reason


def test_enough_memory():
    def handle(request, client_address, server):
        if request.recv(1):
            hoard.append(b"x" * (64 << 20))

    hoard = []
    limits = {"max_rss": resident() + (32 << 20), "worker_timeout": 1.0}
    with at_work(server := new_server(handle, workers=1, **limits)) as record:
        ask(server, b"x")
        wait_until(lambda: of(record, IWorkerEnded))
        assert b"" == ask(server, b"")
    assert "max_rss" == of(record, IWorkerEnded)[0].reason


def test_less_memory_than_it_uses_at_its_best_is_told_and_not_heeded(mailbox):
    def tell(event):
        mailbox.put(str(event.error))

    server = new_server(Pid, workers=1, max_rss=1, worker_timeout=0.2)
    with subscribed(IWorkerFailed, tell), at_work(server) as record:
        pattern = "max_rss is 1 bytes, and it uses [0-9]+ before any request: give more"
        assert re.fullmatch(pattern, mailbox.get())
        card = server._gs_team.slots[0].worker.card
        began = card.beaten_at
        wait_until(lambda: card.beaten_at > began + 0.1)
        assert ask(server, b"")
        assert [] == of(record, IWorkerEnded)


def test_reload():
    with at_work(server := new_server(Pid)) as record:
        before = pids_of(server, 2)
        server.reload()
        wait_until(lambda: len(of(record, IWorkerEnded)) == 2)
        assert not before & pids_of(server, 2)
    kinds = [type(event).__name__ for event in record]
    one_by_one = ["WorkerStarted"] * 2 + ["WorkerStarted", "WorkerEnded"] * 2
    assert one_by_one == kinds[:6] or kinds[2:6].count("WorkerStarted") == 2
    assert {"replaced"} == {event.reason for event in of(record, IWorkerEnded)[:2]}


def test_reload_lets_those_at_work_finish():
    with at_work(server := new_server(Trap, workers=1)) as record:
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            client.sendall(b"half")  # or else it would be taken for idle
            server.reload()
            wait_until(lambda: len(of(record, IWorkerStarted)) == 2)
            assert not of(record, IWorkerEnded)
            client.shutdown(socket.SHUT_WR)  # the next worker has a copy of the client
        wait_until(lambda: of(record, IWorkerEnded))


def test_if_a_new_one_does_not_get_ready_the_old_one_stays(mailbox, tmp_path):
    """And replacing ends, until somebody asks for it again."""
    is_wrong = tmp_path / "wrong"

    class Changing(Server):
        def worker_started(self, index):
            mailbox.put(index)
            if is_wrong.exists():
                os._exit(3)

    with at_work(server := Changing(LOCAL, Pid)) as record:
        before = pids_of(server, 2)
        is_wrong.touch()
        server.reload()
        wait_until(lambda: of(record, IWorkerEnded))
        assert before == pids_of(server, 2)
        is_wrong.unlink()
        server.reload()
        wait_until(lambda: len(of(record, IWorkerEnded)) == 3)
        assert not before & pids_of(server, 2)
        ends = [(event.reason, event.pause) for event in of(record, IWorkerEnded)]
        assert [("died", 0.0), ("replaced", 0.0), ("replaced", 0.0)] == ends
    assert 5 == len(mailbox.take(5)) and mailbox.is_empty()


def test_one_that_has_to_go_is_replaced_although_the_next_does_not_get_ready(mailbox, tmp_path):
    class Tired(Server):
        workers = 1
        max_requests = 1

        def worker_started(self, index):
            mailbox.put(os.getpid())
            if not (tmp_path / "first").exists():
                (tmp_path / "first").touch()
            elif not (tmp_path / "second").exists():
                (tmp_path / "second").touch()
                os._exit(3)

    with at_work(server := Tired(LOCAL, Pid)) as record:
        first = int(ask(server, b""))
        wait_until(lambda: len(of(record, IWorkerEnded)) == 2)
        pids = mailbox.take(3)
        assert [pids[1], first] == [event.pid for event in of(record, IWorkerEnded)]
        assert pids[2] == int(ask(server, b""))


def test_more_and_fewer():
    with at_work(server := new_server(Pid, workers=1)) as record:
        server.add_worker()
        assert 2 == len(pids_of(server, 2))
        server.remove_worker()
        wait_until(lambda: of(record, IWorkerEnded))
        server.remove_worker()  # of the last one nothing
        assert 1 == len(pids_of(server, 1))
        assert ["removed"] == [event.reason for event in of(record, IWorkerEnded)]


def test_if_one_that_is_removed_dies_the_next_empties_the_queue_and_is_removed():
    with at_work(server := new_server(Trap, workers=1, share="reuseport")) as record:
        server.add_worker()
        wait_until(lambda: len(of(record, IWorkerStarted)) == 2)
        victim = of(record, IWorkerStarted)[1]
        os.kill(victim.pid, signal.SIGSTOP)  # not to end before it is killed
        server.remove_worker()
        wait_until(lambda: 1 == server._gs_team.wanted)
        os.kill(victim.pid, signal.SIGKILL)
        wait_until(lambda: len(of(record, IWorkerEnded)) == 2)
        ends = of(record, IWorkerEnded)
        assert [("removed", 1)] * 2 == [(event.reason, event.index) for event in ends]
        assert was(ends[0], signal.SIGKILL) and was(ends[1], 0)


@pytest.mark.parametrize("share", ["reuseport", "listener", "balance"])
def test_whoever_connects_while_one_that_was_removed_finishes_comes_to_another(share):
    gate = mmap.mmap(-1, 1)

    class Busy(greensock.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"%d" % os.getpid())
            while not gate[0]:
                self.toolbox.sleep(0.01)

    server = new_server(Busy, share=share)
    with at_work(server) as record, ExitStack() as stack:
        last = next(event.pid for event in of(record, IWorkerStarted) if event.index == 1)

        def is_with_the_last():
            return int(stack.enter_context(connect(server)).recv(100)) == last

        wait_until(is_with_the_last)
        server.remove_worker()
        wait_until(lambda: not any(is_with_the_last() for _ in range(10)))
        assert not of(record, IWorkerEnded)
        gate[0] = 1
