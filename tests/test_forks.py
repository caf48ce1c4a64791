"""Requests in processes: a limited number, clean, reaped one by one, and ended in the end."""

import os
import signal
import socket
import subprocess
import sys

import gevent
import pytest

from greensock import BaseRequestHandler, ForkingTCPServer, StreamRequestHandler
from greensock.interfaces import IConnectionCut, IRequestFailed
from greensock.net import native
from tests import programs
from tests.helpers import (
    LOCAL,
    Call,
    Crash,
    Mailbox,
    Pid,
    Shout,
    Trap,
    ask,
    children,
    connect,
    descriptors,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)

pytestmark = forks_beside_threads

PLACES = ["thread", "greenlet"]


@pytest.fixture
def mailbox():
    with Mailbox() as mailbox:
        yield mailbox


@pytest.mark.parametrize("where", PLACES)
def test_at_the_limit_clients_wait_and_nobody_else_does(where):
    """The hub goes on, a client is taken as soon as a child ends, and shutdown is instant."""
    server = ForkingTCPServer(LOCAL, Trap)
    server.max_children = 2
    with served(server, where):
        first, second, third = clients = [connect(server) for _ in range(3)]
        for client in first, second:
            assert b"trapped\n" == client.recv(100)
        for _ in range(20):
            gevent.sleep(0)
        assert 2 == len(server.active_children)
        first.shutdown(socket.SHUT_WR)
        assert b"trapped\n" == third.recv(100)
        fourth = connect(server)
        server.shutdown()
        for client in second, third:
            client.shutdown(socket.SHUT_WR)
        for client in [*clients, fourth]:
            client.close()


@pytest.mark.parametrize("where", PLACES)
def test_children_of_others_keep_their_exit_status(where):
    program = subprocess.Popen([sys.executable, "-c", "input(); exit(7)"], stdin=subprocess.PIPE)
    forked = os.fork()
    if not forked:
        os._exit(5)
    with served(ForkingTCPServer(LOCAL, Pid), where) as server:
        pids = {ask(server, b"") for _ in range(100)}
        program.stdin.write(b"\n")
        program.stdin.close()
        while program.poll() is None:
            pids.add(ask(server, b""))
        pids |= {ask(server, b"") for _ in range(50)}
    assert len(pids) > 100
    assert 7 == program.wait()
    assert 5 == os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("handler", [Pid, Crash])
def test_children_leave_nothing(handler, where):
    """No zombie, no descriptor, nobody in active_children."""
    gevent.sleep(0)
    before = children()
    with served(ForkingTCPServer(LOCAL, handler), where) as server:
        ask(server, b"")
        wait_until(lambda: not server.active_children)
        open_descriptors = descriptors()
        for _ in range(30):
            ask(server, b"")
        wait_until(lambda: not server.active_children)
        assert set(before) >= set(children())
        assert open_descriptors == descriptors()


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="there are no pidfds")
@pytest.mark.parametrize("where", PLACES)
def test_a_child_that_somebody_reaps_at_once_is_a_child_like_others(where, monkeypatch):
    """As gevent's subprocess does, which waits for any child."""
    open_pidfd = os.pidfd_open

    def too_late(pid):
        native.waitpid(pid, 0)
        return open_pidfd(pid)

    monkeypatch.setattr(os, "pidfd_open", too_late)
    with recorded(IRequestFailed) as record:
        with served(ForkingTCPServer(LOCAL, Pid), where) as server:
            for _ in range(3):
                assert ask(server, b"").isdigit()
            wait_until(lambda: not server.active_children)
    assert [] == record


def test_closing_reaps_all_children():
    before = children()
    with served(ForkingTCPServer(LOCAL, Pid)) as server:
        pids = {int(ask(server, b"")) for _ in range(20)}
    assert set() == server.active_children
    assert 20 == len(pids)
    assert set(before) >= set(children())


def test_children_of_handle_request_are_collected():
    """Without waiting those that have ended, with waiting all of them."""
    with ForkingTCPServer(LOCAL, Trap) as server, connect(server) as client:
        server.handle_request()
        (pid,) = server.active_children
        assert b"trapped\n" == client.recv(100)
        server.collect_children()
        assert {pid} == server.active_children
        client.shutdown(socket.SHUT_WR)
        server.collect_children(blocking=True)
        assert set() == server.active_children
        assert pid not in children()


def test_active_children_are_those_at_work():
    with served(ForkingTCPServer(LOCAL, Pid)) as idle:
        assert idle.active_children is None
    with served(ForkingTCPServer(LOCAL, PidTrap)) as server, connect(server) as client:
        pid = int(client.recv(100))
        assert {pid} == server.active_children
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: not server.active_children)


class PidTrap(StreamRequestHandler):
    """Tells its pid and stays until the peer has ended."""

    def handle(self):
        self.wfile.write(b"%d" % os.getpid())
        self.rfile.read()


def test_nothing_of_the_parent_runs_in_a_child(mailbox):
    """Neither greenlets, nor timers, nor signal handlers of Python and of gevent."""
    parent = os.getpid()

    def note(*args):
        if os.getpid() != parent:
            mailbox.put("it runs in the child")

    def tick():
        while True:
            note()
            gevent.sleep(0.001)

    class Wait(BaseRequestHandler):
        def handle(self):
            gevent.sleep(0.02)  # lets run what there is
            os.kill(os.getpid(), signal.SIGUSR1)
            gevent.sleep(0.01)
            mailbox.put("end")

    ticking = gevent.spawn(tick)
    timer = gevent.get_hub().loop.timer(0.005)
    timer.start(note)
    watcher = gevent.signal_handler(signal.SIGTERM, note)
    previous = signal.signal(signal.SIGHUP, note)
    usual = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        with served(ForkingTCPServer(LOCAL, Wait), "greenlet") as server:
            assert b"" == ask(server, b"")
            assert "end" == mailbox.get()
            assert mailbox.is_empty()
    finally:
        ticking.kill()
        timer.close()
        watcher.cancel()
        signal.signal(signal.SIGHUP, previous)
        signal.signal(signal.SIGUSR1, usual)


@pytest.mark.parametrize("where", PLACES)
def test_listeners_are_closed_in_a_child_and_gevent_works(where):
    class Look(BaseRequestHandler):
        def handle(self):
            told = gevent.spawn(lambda: self.server.socket.fileno()).get()
            self.request.sendall(b"%d" % told)

    with served(ForkingTCPServer(LOCAL, Look), where) as server:
        assert b"-1" == ask(server, b"")


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_by_the_usual_signals(number, where):
    with served(ForkingTCPServer(LOCAL, PidTrap), where) as server, connect(server) as client:
        os.kill(int(client.recv(100)), number)
        assert b"" == rest(client)
        wait_until(lambda: not server.active_children)
        assert 1 == len(ask(server, b"").split())


PROGRAM = """
from tests import world
import greensock

class Printing(greensock.BaseRequestHandler):
    def handle(self):
        print("in the child")

with greensock.ForkingTCPServer(("127.0.0.1", 0), Printing) as server:
    print("%s:%d" % server.server_address, flush=True)
    print("before")
    for _ in range(3):
        server.handle_request()
    server.collect_children(blocking=True)
print("after")
"""


def test_what_is_printed_into_a_pipe_is_neither_lost_nor_doubled():
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=programs.environment(), stdout=subprocess.PIPE
    ) as process:
        host, port = process.stdout.readline().decode().split(":")
        for _ in range(3):
            with programs.Client.connect((host, int(port))) as client:
                assert b"" == client.rest()
        assert b"before\n" + 3 * b"in the child\n" + b"after\n" == process.stdout.read()
    assert 0 == process.returncode


class Stubborn(StreamRequestHandler):
    """Ignores SIGTERM."""

    def handle(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.wfile.write(b"trapped\n")
        self.rfile.read()


@pytest.mark.parametrize("handler", [Trap, Stubborn])
@pytest.mark.parametrize("where", PLACES)
def test_closing_ends_children_that_do_not_end_by_themselves(where, handler):
    """At the end of drain_timeout, by SIGTERM, and if need be by SIGKILL."""
    server = ForkingTCPServer(LOCAL, handler)
    server.drain_timeout = 0.05
    with recorded(IConnectionCut) as record:
        with served(server, where):
            client = connect(server)
            assert b"trapped\n" == client.recv(100)
            name = client.getsockname()
        with client:
            assert b"" == rest(client)
    assert [name] == [event.client_address for event in record]
    assert set() == server.active_children


@pytest.mark.parametrize("place", ["main", "thread", "greenlet"])
def test_any_thread_or_greenlet_may_fork(place):
    with ForkingTCPServer(LOCAL, Shout) as server, connect(server) as client:
        client.sendall(b"hello\n")
        if place == "main":
            server.handle_request()
        else:
            Call(place, server.handle_request).end()
        assert b"HELLO\n" == rest(client)


class Exiting(BaseRequestHandler):
    """Ends as its client asks it to."""

    def handle(self):
        word = self.request.recv(100)
        if word == b"exit":
            raise SystemExit(3)
        if word == b"crash":
            raise RuntimeError("crash")


@pytest.mark.parametrize(("word", "status"), [(b"end", 0), (b"crash", 1), (b"exit", 1)])
def test_the_exit_status_tells_whether_the_handler_raised(word, status):
    with ForkingTCPServer(LOCAL, Exiting) as server, connect(server) as client:
        client.sendall(word)
        server.handle_request()
        (pid,) = server.active_children
        ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert (os.CLD_EXITED, status) == (ended.si_code, ended.si_status)
