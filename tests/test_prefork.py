"""Workers that stay: what serves, with which models and servers, and what is left behind."""

import logging
import os
import signal
import socket
import socketserver
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

import pytest
from gevent._hub_local import get_hub_if_exists

import greensock
from greensock import PreforkMixIn
from greensock.interfaces import IWorkerEnded, IWorkerFailed, IWorkerStarted
from greensock.net import native
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
    served,
    serving,
    subscribed,
    wait_until,
)
from tests.teams import Server, at_work, new_server, of, pids_of, refused, was

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


def test_what_a_hook_raises_is_told(mailbox):
    class Wrong(Server):
        workers = 1

        def worker_started(self, index):
            raise ValueError("no such thing")

    def note(event):
        mailbox.put((event.index, str(event.error), event.server.worker_index))

    with subscribed(IWorkerFailed, note), served(Wrong(LOCAL, Pid)):
        assert (0, "no such thing", 0) == mailbox.get()


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
        hesitant.shutdown()
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
