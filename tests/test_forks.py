"""A process for every request: clean children, each reaped, and nobody else's."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import gevent
import pytest

import greensock
from greensock import BaseRequestHandler, ForkingMixIn, StreamRequestHandler
from greensock.interfaces import IConnectionCut, IRequestFailed
from greensock.net import children as children_module
from greensock.net import native
from tests import world
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    Crash,
    Pid,
    Shout,
    Slow,
    Trap,
    ask,
    children,
    connect,
    descriptors,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    serving,
    wait_until,
)
from tests.programs import begin

pytestmark = forks_beside_threads


# Seconds that nobody waits for what is said to be instant.
INSTANT = 5


def new_server(handler, **attributes):
    return type("Server", (greensock.ForkingTCPServer,), attributes)(LOCAL, handler)


def hear(server):
    with connect(server) as client:
        return rest(client)


@pytest.fixture(params=["pidfd", "pipe"])
def sentinel(request, monkeypatch):
    """How the end of a child is noticed: by what Linux has for it, or as elsewhere."""
    if request.param == "pipe":
        monkeypatch.setattr(children_module, "_HAS_PIDFD", False)
    elif not children_module._HAS_PIDFD:
        pytest.skip("there are no pidfds here")


either_way = pytest.mark.parametrize(
    "where, sentinel", [("thread", "pidfd"), ("greenlet", "pipe")], indirect=["sentinel"]
)

# Children come


@either_way
def test_every_request_has_a_process_of_its_own(where, sentinel):
    with served(new_server(Pid), where) as server:
        pids = {int(hear(server)) for _ in range(3)}
    assert 3 == len(pids - {os.getpid()})


def test_what_a_child_does_to_the_server_stays_in_the_child():
    class Count(BaseRequestHandler):
        def handle(self):
            self.server.count = getattr(self.server, "count", 0) + 1
            self.request.sendall(b"%d" % self.server.count)

    with served(new_server(Count)) as server:
        assert [b"1", b"1"] == [hear(server), hear(server)]


def test_active_children_are_the_living(sentinel):
    with served(new_server(Trap)) as server:
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            wait_until(lambda: server.active_children)  # the child may be faster than its parent
            assert set(children()) >= server.active_children
            assert 1 == len(server.active_children)
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(client)
        wait_until(lambda: not server.active_children)


def test_who_is_kicked_before_there_is_a_child_is_cut_as_soon_as_there_is(monkeypatch):
    """A connection is in the books before anybody can answer it."""

    def fork():
        assert server.kick(*server.connections)
        return original()

    original = native.fork
    with recorded(IConnectionCut) as cut, served(new_server(Trap)) as server:
        with monkeypatch.context() as patch:
            patch.setattr(native, "fork", fork)
            with connect(server) as client, suppress(ConnectionResetError):
                assert rest(client) in (b"", b"trapped\n")
        wait_until(lambda: not server.active_children)
    assert ["kicked"] == [event.reason for event in cut]


@pytest.fixture
def strangers(monkeypatch):
    """How many threads are none of Python's: each time one more is counted, the last for ever."""

    def count():
        asked.append(counts[0])
        return counts.pop(0) if len(counts) > 1 else counts[0]

    counts, asked = [0], []
    monkeypatch.setattr(children_module, "_count_strangers", count)
    monkeypatch.setattr(children_module, "_strangers", 0)
    return counts, asked


def test_no_child_is_forked_while_a_thread_is_at_its_end(strangers, monkeypatch):
    """It might inherit a lock that nobody opens."""
    monkeypatch.setattr(children_module, "_PATIENCE", PATIENCE)
    counts, asked = strangers
    counts[:] = [1, 1, 0]
    with served(new_server(Shout)) as server:
        assert [b"HELLO\n"] * 2 == [ask(server), ask(server)]
    assert [1, 1, 0, 0] == asked


def test_threads_that_stay_are_waited_for_but_once(strangers):
    counts, asked = strangers
    counts[:] = [1]
    with served(new_server(Shout)) as server:
        assert b"HELLO\n" == ask(server)
        before = len(asked)
        assert b"HELLO\n" == ask(server)
    assert 1 < before == len(asked) - 1


@either_way
def test_at_max_children_clients_wait_until_one_has_ended(where, sentinel):
    with served(new_server(Trap, max_children=2), where, 60) as server:
        first, second, third = (connect(server) for _ in range(3))
        with first, second, third:
            assert [b"trapped\n"] * 2 == [first.recv(100), second.recv(100)]
            third.settimeout(0.05)
            with pytest.raises(TimeoutError):
                third.recv(100)
            third.settimeout(30)
            assert 2 == len(server.active_children)
            first.shutdown(socket.SHUT_WR)
            assert b"trapped\n" == third.recv(100)
            for client in second, third:
                client.shutdown(socket.SHUT_WR)


@everywhere
def test_at_max_children_shutdown_is_instant(where):
    with new_server(Trap, max_children=1) as server, serving(server, where) as call:
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            before = time.monotonic()
            server.shutdown()
            assert time.monotonic() - before < INSTANT
            call.end()
            client.shutdown(socket.SHUT_WR)


def test_max_children_may_be_set_late():
    """As werkzeug does."""
    with served(new_server(Trap, max_children=1)) as server:
        server.max_children = 2
        first, second = connect(server), connect(server)
        with first, second:
            assert [b"trapped\n"] * 2 == [first.recv(100), second.recv(100)]
            for client in first, second:
                client.shutdown(socket.SHUT_WR)


# Children are clean


def test_nothing_that_runs_in_the_parent_runs_in_a_child(mailbox):
    """Neither its greenlets nor its timers nor its watchers."""
    parent = os.getpid()

    def tick():
        while True:
            if os.getpid() != parent:
                mailbox.put("a greenlet of the parent's")
            gevent.sleep(0.001)

    def note(what):
        if os.getpid() != parent:
            mailbox.put(what)

    reader, writer = os.pipe()
    os.write(writer, b"x")
    hub = gevent.get_hub()
    watcher = hub.loop.io(reader, 1)
    watcher.start(note, "a watcher of the parent's")
    ticking = gevent.spawn(tick)
    waiting = gevent.spawn_later(0.01, note, "a timer of the parent's")

    class Green(StreamRequestHandler):
        def handle(self):
            gevent.sleep(0.02)
            self.wfile.write(gevent.spawn(lambda: b"green").get())

    try:
        with served(new_server(Green), "greenlet") as server:
            for _ in range(5):
                gevent.spawn_later(0.01, note, "a timer of the parent's")
                assert b"green" == hear(server)
    finally:
        ticking.kill()
        waiting.kill()
        watcher.stop()
        watcher.close()
        os.close(reader)
        os.close(writer)
    assert mailbox.is_empty()


@everywhere
def test_signals_have_their_default_effect_in_a_child(where):
    class Dispositions(BaseRequestHandler):
        def handle(self):
            named = signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1, signal.SIGINT
            found = [signal.getsignal(number) for number in named]
            expected = [signal.SIG_DFL] * 4 + [signal.default_int_handler]
            blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
            self.request.sendall(b"%d %d" % (found == expected, len(blocked)))

    previous = signal.signal(signal.SIGUSR1, lambda *args: None)
    green = gevent.signal_handler(signal.SIGHUP, lambda: None)
    try:
        with served(new_server(Dispositions), where) as server:
            assert b"1 0" == hear(server)
    finally:
        green.cancel()
        signal.signal(signal.SIGUSR1, previous)


def test_a_signal_for_a_child_is_no_business_of_its_parent(mailbox):
    previous = signal.signal(signal.SIGTERM, lambda *args: mailbox.put(os.getpid()))
    try:
        with served(new_server(Trap), "greenlet") as server, connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            (pid,) = server.active_children
            os.kill(pid, signal.SIGTERM)
            assert b"" == rest(client)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert mailbox.is_empty()


@everywhere
def test_a_child_holds_no_listener(where):
    """Neither its server's nor another's."""

    class Listeners(BaseRequestHandler):
        def handle(self):
            found = 0
            for name in os.listdir("/proc/self/fd"):
                try:
                    duplicate = native.Socket(fileno=os.dup(int(name)))
                except OSError:
                    continue
                with duplicate:
                    listens = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                    found += bool(listens) and duplicate.family == socket.AF_INET
            self.request.sendall(b"%d" % found)

    with greensock.TCPServer(LOCAL, Shout), served(greensock.GreenletTCPServer(LOCAL, Shout)):
        with served(new_server(Listeners), where) as server:
            assert b"0" == hear(server)


def test_an_address_is_free_when_its_server_has_closed_though_a_child_lives():
    server = new_server(Trap, block_on_close=False)
    with serving(server) as call:
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            server.server_close()
            call.end()
            with pytest.raises(ConnectionRefusedError):
                connect(server)
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(client)
    server.collect_children(blocking=True)


@everywhere
def test_gevent_works_in_a_child(where):
    class Green(StreamRequestHandler):
        def handle(self):
            with gevent.Timeout(20):
                jobs = [gevent.spawn(gevent.sleep, 0.001) for _ in range(10)]
                gevent.joinall(jobs)
                name = gevent.get_hub().threadpool.apply(lambda: "pool")
                self.wfile.write(b"%d %s" % (sum(job.successful() for job in jobs), name.encode()))

    with served(new_server(Green), where) as server:
        assert b"10 pool" == hear(server)


@everywhere
def test_programs_that_a_child_runs_keep_their_exit_status(where):
    """Though gevent is used beside them."""

    class Run(StreamRequestHandler):
        def handle(self):
            gevent.sleep(0)
            program = subprocess.Popen(["sh", "-c", "exit 7"])
            pid = os.fork()
            if pid == 0:
                os._exit(5)
            if not world.PATCHED:
                # Lets the hub see that they have ended before anybody asks.
                os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
                gevent.sleep(0.01)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self.wfile.write(b"%d %d" % (program.wait(), status))

    # From the first program on, the parent hears of ended children by a signal when patched.
    subprocess.run(["true"], check=True)
    with served(new_server(Run), where) as server:
        assert b"7 5" == hear(server)


@everywhere
def test_a_child_may_serve(where):
    class Inner(StreamRequestHandler):
        def handle(self):
            with served(greensock.GreenletTCPServer(LOCAL, Shout), "greenlet") as inner:
                self.wfile.write(ask(inner))

    with served(new_server(Inner), where) as server:
        assert b"HELLO\n" == hear(server)


PROGRAM = """
from tests import world
import atexit, sys
import greensock

atexit.register(print, "exit")
sys.stdout.write("before ")

class Say(greensock.StreamRequestHandler):
    def handle(self):
        sys.stdout.write("child ")
        self.wfile.write(b"said")

with greensock.ForkingTCPServer(("127.0.0.1", 0), Say) as server:
    print(server.server_address[1], file=sys.stderr, flush=True)
    server.handle_request()
sys.stdout.write("after ")
"""


def test_what_a_child_prints_is_neither_lost_nor_doubled():
    process = begin(PROGRAM)
    port = int(process.stderr.readline())
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        assert b"said" == rest(client)
    out, errors = process.communicate(timeout=30)
    assert ("before child after exit\n", "") == (out, errors)


# Children go


@everywhere
def test_no_child_is_left_nor_any_descriptor_of_one(where, sentinel):
    gevent.get_hub()
    before = descriptors(), children()
    with served(new_server(Slow), where) as server:
        for _ in range(3):
            assert b"HELLO\n" == ask(server)
        wait_until(lambda: not server.active_children and before[1] == children())
    assert before == (descriptors(), children())


def test_children_are_reaped_though_nobody_else_comes(sentinel):
    with served(new_server(Pid)) as server:
        pid = int(hear(server))
        wait_until(lambda: pid not in children())


@everywhere
def test_foreign_children_keep_their_exit_status(where):
    program = ["sh", "-c", "exit 7"]
    with served(new_server(Pid), where) as server:
        foreign = subprocess.Popen(program)
        pid = os.fork()
        if pid == 0:
            os._exit(5)
        for _ in range(2):
            assert int(hear(server)) not in (foreign.pid, pid)
        assert 7 == foreign.wait(30)
        assert 5 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        foreign = subprocess.Popen(program)
    assert 7 == foreign.wait(30)


def test_children_that_somebody_else_reaped_do_no_harm(sentinel):
    with served(new_server(Pid, max_children=1)) as server:
        for _ in range(3):
            pid = int(hear(server))
            try:
                native.waitpid(pid, 0)
            except ChildProcessError:
                pass  # the server was faster
    assert not server.active_children


@everywhere
def test_closing_waits_for_children(where, mailbox):
    class Late(BaseRequestHandler):
        def handle(self):
            mailbox.put("begun")
            self.server.toolbox.sleep(0.05)
            mailbox.put("ended")

    server = new_server(Late)
    with serving(server, where) as call, connect(server):
        assert "begun" == mailbox.get()
        with recorded(IConnectionCut) as record:
            server.server_close()
        assert not mailbox.is_empty()
        assert [] == record
        call.end()
    assert not server.active_children


def stubborn(mailbox):
    class Stubborn(Trap):
        def handle(self):
            super().handle()
            mailbox.put("its connection has ended")
            self.toolbox.sleep(1000)

    return Stubborn


@everywhere
@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_child_that_does_not_end_is_ended_after_the_time_for_draining(
    where, is_stubborn, mailbox
):
    server = new_server(stubborn(mailbox) if is_stubborn else Trap, drain_timeout=0.05)
    with serving(server, where) as call, connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        with recorded(IConnectionCut) as record:
            server.server_close()
        assert [client.getsockname()] == [event.client_address for event in record]
        assert b"" == rest(client)
        call.end()
    assert is_stubborn is not mailbox.is_empty()
    assert not server.active_children


def test_closing_does_not_wait_for_a_hook_for_longer_than_it_may():
    entered, leave = gevent.event.Event(), gevent.event.Event()

    class Server(greensock.ForkingTCPServer):
        drain_timeout = 0.05

        def verify_request(self, request, client_address):
            entered.set()
            leave.wait(30)
            return True

    server = Server(LOCAL, Pid)
    with serving(server, "greenlet") as call, connect(server) as client:
        entered.wait(30)
        server.server_close()
        assert not leave.is_set()
        leave.set()
        pid = int(rest(client).split()[0])
        call.end()
    # Under monkey patching libev may reap it first.
    wait_until(lambda: pid not in children() and not server.active_children)


def test_a_child_of_a_hook_that_has_closed_its_server_is_reaped():
    class Server(greensock.ForkingTCPServer):
        def verify_request(self, request, client_address):
            self.server_close()
            return True

    server = Server(LOCAL, Pid)
    with serving(server, "greenlet") as call, connect(server) as client:
        pid = int(rest(client).split()[0])
        call.end()
    # Under monkey patching libev may reap it first.
    wait_until(lambda: pid not in children() and not server.active_children)


def test_without_block_on_close_children_are_left_alone():
    server = new_server(Trap, block_on_close=False)
    with serving(server) as call, connect(server) as client:
        assert b"trapped\n" == client.recv(100)
        server.server_close()
        call.end()
        client.shutdown(socket.SHUT_WR)
        assert b"" == rest(client)
    server.collect_children(blocking=True)
    assert not server.active_children


def test_handle_timeout_reaps(sentinel):
    with new_server(Trap, timeout=0) as server:
        with connect(server) as client:
            server.handle_request()
            (pid,) = server.active_children
            assert pid in children()
            client.shutdown(socket.SHUT_WR)
            assert b"trapped\n" == rest(client)

        def is_reaped():
            server.handle_request()
            return pid not in children()

        wait_until(is_reaped)
        assert not server.active_children


@pytest.mark.parametrize("step", ["close", "waitpid"])
def test_ctrl_c_while_a_child_is_reaped_is_not_in_the_way_of_closing(step, monkeypatch):
    original = getattr(native, step)
    interruptions = iter([KeyboardInterrupt])

    def interrupted(*args):
        try:
            return original(*args)
        finally:  # whoever has reaped it
            if sys._getframe(1).f_code.co_name == "reap":
                for interruption in interruptions:
                    raise interruption

    monkeypatch.setattr(native, step, interrupted)
    with recorded(IConnectionCut) as cut:
        with new_server(Shout) as server:
            client = Call("thread", ask, server, b"line\n")
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
            assert b"LINE\n" == client.end()
    assert not cut and not server.connections
    assert not server.active_children


def test_ctrl_c_as_soon_as_a_child_is_there_is_not_in_the_way_of_closing(monkeypatch):
    note_forked = ForkingMixIn._gs_note_forked
    interruptions = iter([KeyboardInterrupt])

    def interrupted(*args):
        for interruption in interruptions:
            raise interruption
        note_forked(*args)

    monkeypatch.setattr(ForkingMixIn, "_gs_note_forked", interrupted)
    with new_server(Shout) as server, connect(server) as client:
        client.sendall(b"line\n")
        with pytest.raises(KeyboardInterrupt):
            server.serve_forever()
    assert not children() and not server.connections


# Errors


class Raising(StreamRequestHandler):
    errors = {
        b"Exception\n": Exception("exception"),
        b"SystemExit\n": SystemExit(0),
        b"KeyboardInterrupt\n": KeyboardInterrupt(),
        b"GreenletExit\n": gevent.GreenletExit(),
        b"MemoryError\n": MemoryError(),
    }

    def handle(self):
        line = self.rfile.readline()
        if line in self.errors:
            raise self.errors[line]
        self.wfile.write(line.upper())


@everywhere
def test_what_a_handler_raises_ends_its_child_alone(where):
    with served(new_server(Raising), where) as server:
        for line in Raising.errors:
            assert b"" == ask(server, line)
        assert b"HELLO\n" == ask(server)


def test_an_error_is_handled_in_the_child(mailbox):
    def handle_error(self, request, client_address):
        mailbox.put((os.getpid(), type(sys.exc_info()[1])))

    with served(new_server(Crash, handle_error=handle_error)) as server:
        assert b"" == hear(server)
        pid, error = mailbox.get()
    assert RuntimeError is error
    assert os.getpid() != pid


def test_a_descriptor_that_another_thread_took_costs_the_connection_and_its_child(monkeypatch):
    """It was free before the fork, and is not after it."""

    def refuse(pid):
        raise OSError(24, "Too many open files")

    before = children()
    with served(new_server(Trap)) as server, recorded(IRequestFailed) as record:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pidfd_open", refuse, raising=False)
            patch.setattr(children_module, "_HAS_PIDFD", True)
            assert b"" == hear(server).removeprefix(b"trapped\n")
        assert before == children()
        with connect(server) as client:
            assert b"trapped\n" == client.recv(100)
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(client)
    assert ["Too many open files"] == [event.error.strerror for event in record]
