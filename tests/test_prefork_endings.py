"""How servers with worker processes end, whatever they are at."""

import os
import signal
import sys

import gevent

from greensock.interfaces import IWorkerEnded, IWorkerFailed, IWorkerStarted
from tests.helpers import (
    LOCAL,
    Call,
    Pid,
    Shout,
    connect,
    forks_beside_threads,
    recorded,
    rest,
    serving,
    subscribed,
    wait_until,
)
from tests.teams import Server, at_work, new_server, of, refused, was

pytestmark = forks_beside_threads


def test_shutdown_while_it_drains_cuts_nobody(mailbox):
    class Telling(Server):
        def reopen_logs(self):
            if self.worker_index is None:
                mailbox.put("heard")

    with serving(server := Telling(LOCAL, Shout)) as call, connect(server) as client:
        client.sendall(b"half")
        draining = Call("thread", server.drain)
        wait_until(lambda: refused(server))
        server._gs_loop.stop()
        for _ in range(3):  # it does one after the other, and goes on
            server._gs_loop.ask("reopen")
            assert "heard" == mailbox.get()
        client.sendall(b" a line\n")
        assert b"HALF A LINE\n" == rest(client)
        assert [] == draining.end()
        call.end()


def test_who_shall_drain_before_it_serves_serves_those_in_the_queue():
    class Late(Server):
        def worker_started(self, index):
            while not self._gs_attendance._is_leaving:
                gevent.sleep(0.001)
            gevent.sleep(0.001)

    with recorded(IWorkerEnded) as record, serving(server := Late(LOCAL, Pid)) as call:
        with connect(server) as client:
            draining = Call("thread", server.drain)
            assert int(rest(client))
            draining.end()
            call.end()
    assert [True] * 2 == [was(event, 0) for event in record]


def test_one_whose_hub_stands_still_is_killed_although_there_is_all_the_time_to_drain():
    def handle(request, client_address, server):
        os.kill(os.getpid(), signal.SIGSTOP)

    server = new_server(handle, worker_timeout=1.0, drain_timeout=None)
    with recorded(IWorkerStarted, IWorkerEnded) as record, serving(server) as call:
        wait_until(lambda: len(record) == 2)
        with connect(server):
            server.drain()
            call.end()
    assert {"drained", "hung"} == {event.reason for event in of(record, IWorkerEnded)}


def test_a_hook_that_would_end_its_process_ends_no_draining(mailbox):
    class Wrong(Server):
        workers = 1

        def worker_stopping(self):
            sys.exit("no such thing")

    def note(event):
        mailbox.put((event.index, str(event.error)))

    with subscribed(IWorkerFailed, note), at_work(Wrong(LOCAL, Pid)) as record:
        pass
    assert (0, "no such thing") == mailbox.get()
    assert [True] == [was(event, 0) for event in of(record, IWorkerEnded)]
