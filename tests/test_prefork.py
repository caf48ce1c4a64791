"""Workers that stay: what serves, whoever they are, and who comes when one is gone."""

import logging
import mmap
import os
import re
import signal
import socket
import socketserver
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest
from gevent._hub_local import get_hub_if_exists

import greensock
from greensock import PreforkMixIn
from greensock.interfaces import IWorkerEnded, IWorkerFailed, IWorkerStarted
from greensock.net import native
from greensock.supervision.memory import resident
from greensock.supervision.orders import SIGNALS
from tests.helpers import (
    LOCAL,
    Call,
    Echo,
    Pid,
    Shout,
    ShoutDatagram,
    Trap,
    ask,
    children,
    connect,
    descriptors,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    subscribed,
    wait_until,
)
from tests.teams import Server, at_work, new_server, of, pids_of, refused, state_of, was

pytestmark = forks_beside_threads


@pytest.mark.parametrize("share", ["reuseport", "listener"])
def test_all_workers_serve(share):
    with at_work(server := new_server(Pid, workers=3, share=share)) as record:
        pids = pids_of(server, 3)
        assert pids == {event.pid for event in record} == set(children())
        assert [0, 1, 2] == sorted(event.index for event in record)
    ends = of(record, IWorkerEnded)
    assert [("stopped", True)] * 3 == [(event.reason, was(event, 0)) for event in ends]


@pytest.mark.parametrize(
    ("base", "worker_model"),
    [
        (greensock.TCPServer, "greenlet"),
        (greensock.TCPServer, "thread"),
        (socketserver.TCPServer, "greenlet"),
        (HTTPServer, "thread"),
    ],
)
def test_connections(base, worker_model):
    with at_work(server := new_server(Echo, base, worker_model=worker_model)):
        with connect(server) as one, connect(server) as other:
            other.sendall(b"hello")
            assert b"hello" == other.recv(100)
            one.sendall(b"hello")
            assert b"hello" == one.recv(100)


@pytest.mark.parametrize(
    "base, share",
    [
        (greensock.UDPServer, "reuseport"),
        (greensock.UDPServer, "listener"),
        (socketserver.UDPServer, "reuseport"),
    ],
)
def test_datagrams(base, share):
    with at_work(server := new_server(ShoutDatagram, base, share=share)):
        assert [b"HELLO"] * 9 == [ask(server, b"hello") for _ in range(9)]


@pytest.mark.parametrize(
    "base, handler",
    [(greensock.UnixStreamServer, Shout), (greensock.UnixDatagramServer, ShoutDatagram)],
)
def test_unix_paths(base, handler, tmp_path):
    path = str(tmp_path / "path")
    with at_work(server := new_server(handler, base, path)):
        assert [b"HELLO\n"] * 3 == [ask(server, b"hello\n") for _ in range(3)]
    assert not os.path.exists(path)


class Site(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"%d" % os.getpid())

    def log_message(self, *args):
        pass


@pytest.mark.parametrize("base", [HTTPServer, ThreadingHTTPServer])
def test_servers_of_the_standard_library(base):
    with at_work(server := new_server(Site, base)) as record:
        answer = ask(server, b"GET / HTTP/1.0\r\n\r\n")
        assert int(answer.rpartition(b"\n")[2]) in [event.pid for event in record]


class Model(greensock.BaseRequestHandler):
    """Tells what it runs in."""

    def handle(self):
        mixins = [cls.__name__ for cls in type(self.server).__mro__ if "MixIn" in cls.__name__]
        self.request.sendall(f"{self.server.model} {mixins[1]}".encode())


def test_a_class_with_a_model_of_its_own_keeps_it():
    class Both(PreforkMixIn, greensock.ThreadingMixIn, greensock.TCPServer):
        workers = 1

    with at_work(server := Both(LOCAL, Model)):
        assert b"thread ThreadingMixIn" == ask(server, b"")


@pytest.mark.parametrize(
    "model, mixin", [("greenlet", "GreenletMixIn"), ("thread", "ThreadingMixIn")]
)
def test_in_a_worker_the_server_is_one_of_the_model(model, mixin):
    with at_work(server := new_server(Model, worker_model=model)):
        assert f"{model} {mixin}".encode() == ask(server, b"")
        assert "prefork" == server.model


def test_hooks(mailbox):
    class Hooked(Server):
        def worker_started(self, index):
            mailbox.put(("started", index, self.worker_index))

        def worker_stopping(self):
            mailbox.put(("stopping", self.worker_index))

    server = Hooked(LOCAL, Pid)
    with at_work(server):
        assert [("started", 0, 0), ("started", 1, 1)] == sorted(mailbox.take(2))
    assert [("stopping", 0), ("stopping", 1)] == sorted(mailbox.take(2))
    assert server.worker_index is None


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


def test_what_a_hook_raises_is_told(mailbox):
    class Wrong(Server):
        workers = 1

        def worker_started(self, index):
            raise ValueError("no such thing")

    def note(event):
        mailbox.put((event.index, str(event.error), event.server.worker_index))

    with subscribed(IWorkerFailed, note), served(Wrong(LOCAL, Pid)):
        assert (0, "no such thing", 0) == mailbox.get()


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
            server.reload()
            wait_until(lambda: len(of(record, IWorkerStarted)) == 2)
            assert not of(record, IWorkerEnded)
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


def test_signals_that_are_for_the_supervisor_do_not_end_a_worker():
    with at_work(server := new_server(Pid, workers=1)) as record:
        (worker,) = of(record, IWorkerStarted)
        others = set(SIGNALS) - {signal.SIGTERM, signal.SIGQUIT}
        for number in others:
            os.kill(worker.pid, number)
        assert worker.pid == int(ask(server, b""))
        assert not of(record, IWorkerEnded)


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


@pytest.mark.parametrize("share", ["reuseport", "balance"])
def test_a_supervisor_has_no_hub(share):
    """Nobody turns it: who waits for a lock of gevent's that was taken there would not be told."""
    hubs = []
    server = new_server(Pid, share=share)
    with subscribed(IWorkerStarted, lambda event: hubs.append(get_hub_if_exists())):
        with at_work(server):
            pass
    assert {None} == set(hubs)


def test_what_fails_while_a_server_is_at_work_leaves_nothing_of_it():
    server = new_server(Trap)
    with pytest.raises(ZeroDivisionError), serving(server):
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            raise ZeroDivisionError
    assert not children()
    assert server.fileno() < 0


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


def test_it_can_be_served_again():
    server = new_server(Pid)
    for _ in range(2):
        with serving(server) as call:
            assert int(ask(server, b"")) in children()
            server.shutdown()
            call.end()
    server.server_close()
    assert not children()


def test_nothing_is_left_behind():
    before = descriptors()
    for _ in range(2):
        with at_work(server := new_server(Pid)) as record:
            os.kill(of(record, IWorkerStarted)[0].pid, signal.SIGKILL)
            server.reload()
            wait_until(lambda: len(of(record, IWorkerEnded)) >= 2)
    assert before >= descriptors()


@pytest.mark.parametrize(
    "name, value",
    [
        ("workers", 0),
        ("workers", "many"),
        ("worker_model", "fork"),
        ("share", "evenly"),
        ("worker_timeout", 0),
        ("max_requests", -1),
        ("max_requests_jitter", -1),
        ("max_rss", 0.5),
        ("control_path", ""),
        ("status_address", "nowhere"),
    ],
)
def test_what_cannot_be_is_said_before_bind(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        new_server(Pid, **{name: value})


def test_a_second_start_is_refused():
    with at_work(server := new_server(Pid)):
        with pytest.raises(OSError):
            new_server(Pid, address=server.server_address)


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


def test_options_of_the_listener_are_those_of_all_of_them():
    options = [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.SOL_SOCKET, socket.SO_RCVBUF),
    ]

    class Tuned(Server):
        workers = 3

        def server_bind(self):
            for level, option in options:
                self.socket.setsockopt(level, option, 30_000)
            super().server_bind()

    with at_work(server := Tuned(LOCAL, Pid)):
        listeners = [slot.listener for slot in server._gs_team.slots]
        assert len(set(listeners)) == 3
        for level, option in options:
            assert 1 == len({each.getsockopt(level, option) for each in listeners})


def test_what_other_servers_of_the_program_hold_is_not_held_by_its_workers():
    with at_work(one := new_server(Pid)):
        other, third = new_server(Pid), greensock.GreenletTCPServer(LOCAL, Pid)
        with served(other), served(third):
            pids_of(other, 2)
            for pid in pids_of(one, 2):
                os.kill(pid, signal.SIGKILL)  # the next ones come when all the others are there
                wait_until(lambda pid=pid: pid not in children())
            assert 2 == len(pids_of(one, 2))
        assert refused(other) and refused(third)


def test_a_worker_may_be_forked_while_another_server_is_about_to_serve(mailbox):
    gate = native.allocate_lock()

    class Hesitant(greensock.GreenletTCPServer):
        def fileno(self):
            mailbox.put("asked")
            with gate:
                return super().fileno()

    hesitant = Hesitant(LOCAL, Pid)
    with at_work(server := new_server(Pid, workers=1)) as record:
        with gate:
            serving = Call("thread", hesitant.serve_forever)
            mailbox.get()
            server.add_worker()
            wait_until(lambda: len(of(record, IWorkerStarted)) == 2)
            hesitant.shutdown()  # as soon as it begins
        serving.end()
        hesitant.server_close()


@pytest.mark.parametrize("mode", ["a", "w"])
def test_log_files_are_begun_anew_whatever_they_were_opened_for(tmp_path, mode):
    server = new_server(Pid)
    handler = logging.FileHandler(tmp_path / "log", mode=mode)
    try:
        for name in "one", "two":
            handler.handle(logging.makeLogRecord({"msg": name}))
            (tmp_path / "log").rename(tmp_path / name)
            server.reopen_logs()
        assert ["one\n", "two\n"] == [(tmp_path / name).read_text() for name in ("one", "two")]
    finally:
        handler.close()
        server.server_close()


def test_logs_that_cannot_be_begun_anew_end_nothing():
    class Wrong(Server):
        def reopen_logs(self):
            raise ValueError("no such thing")

    with at_work(server := Wrong(LOCAL, Pid)) as record:
        server._gs_loop.ask("reopen")
        wait_until(lambda: of(record, IWorkerFailed))
        assert 2 == len(pids_of(server, 2))


def test_a_wait_may_be_longer_than_the_system_can_count():
    with at_work(server := new_server(Pid, worker_timeout=1e12)):
        assert 2 == len(pids_of(server, 2))
