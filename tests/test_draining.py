"""A server that drains serves whom it has accepted, refuses the others, and waits for nobody who
has nothing to say."""

import os
import signal
import socket
import socketserver
import threading
import time

import gevent
import pytest

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import (
    IConnectionClosed,
    IConnectionCut,
    IDrainEnded,
    IDrainStarted,
    IServerEvent,
)
from greensock.net import native
from greensock.net.watch import Watch
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    Call,
    Shout,
    ShoutDatagram,
    ask,
    connect,
    connect_to,
    entered_by,
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
with_workers = pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A drain takes its time for networks that are slower than this machine's own."""
    monkeypatch.setattr("greensock.loop.SETTLING", 0.02)
    monkeypatch.setattr("greensock.net.wardens.FRESH", 0.1)
    monkeypatch.setattr("greensock.net.wardens.CALM", 0.1)


def new_server(handler, model, transport="tcp", address=LOCAL, **attributes):
    kind = greensock.server_class(model, transport)
    return type("Server", (kind,), attributes)(address, handler)


class Two(StreamRequestHandler):
    """Answers two lines, the second one only if it comes."""

    def handle(self):
        for _ in range(2):
            self.wfile.write(self.rfile.readline().upper())


class Lines(StreamRequestHandler):
    """Answers lines until there are no more."""

    def handle(self):
        for line in self.rfile:
            self.wfile.write(line.upper())


class ParkedLines(StreamRequestHandler):
    parked = True

    def handle(self):
        self.wfile.write(self.rfile.readline().upper())


def refused(address, family=socket.AF_INET):
    try:
        connect_to(address, family).close()
    except (ConnectionRefusedError, FileNotFoundError):
        return True
    return False


@every_model
@everywhere
def test_who_is_at_work_finishes_and_nobody_else_comes(model, where):
    server = new_server(Lines, model)
    with serving(server, where) as call, connect(server) as client:
        client.sendall(b"half a ")
        wait_until(lambda: server.connections and server.connections[0].received)
        with recorded(IDrainStarted) as record:
            drain = Call("thread", server.drain)
            wait_until(lambda: record)
            if model != "inline":  # whose loop is the handler's, too
                wait_until(lambda: -1 == server.fileno())
                assert refused(server.server_address)
            client.sendall(b"line\n")
            assert b"HALF A LINE\n" == rest(client)
            assert [] == drain.end()
        call.end()
    assert -1 == server.fileno()


@every_model
@everywhere
def test_whoever_waits_in_the_queue_is_served(model, where):
    """They were connected before it began; the kernel accepted them."""
    server = new_server(Shout, model)
    clients = [connect(server) for _ in range(8)]
    with serving(server, where) as call:
        drain = Call("thread", server.drain)
        for client in clients:  # all of them, lest the last be thought to have nothing to say
            client.sendall(b"hello\n")
        for client in clients:
            assert b"HELLO\n" == rest(client)
            client.close()
        assert [] == drain.end()
        call.end()


@with_workers
@pytest.mark.parametrize("handler", [Lines, ParkedLines])
def test_idle_connections_end(model, handler):
    """Those that have their answer, and those that never said anything."""
    server = new_server(handler, model)
    with serving(server) as call, connect(server) as talked, connect(server) as silent:
        talked.sendall(b"hello\n")
        assert b"HELLO\n" == talked.recv(100)
        wait_until(lambda: 2 == len(server.connections))
        assert [] == server.drain(30)
        assert b"" == rest(talked)
        assert b"" == rest(silent)
        call.end()


@with_workers
def test_a_parked_connection_ends_although_its_last_message_had_no_answer(model):
    class Hear(StreamRequestHandler):
        parked = True

        def handle(self):
            if self.rfile.readline() == b"first\n":
                self.wfile.write(b"heard\n")

    server = new_server(Hear, model)
    with recorded(IConnectionCut) as record, serving(server) as call, connect(server) as client:
        client.sendall(b"first\nsecond\n")
        assert b"heard\n" == client.recv(100)
        assert [] == server.drain()
        assert b"" == rest(client)
        call.end()
    assert [] == record


def test_a_last_request_of_an_idle_connection_is_served():
    """It was sent before its end could be told."""

    class Wait(StreamRequestHandler):
        parked = True

        def handle(self):
            line = self.rfile.readline()
            if line == b"first\n":
                self.wfile.write(line)
                held.wait(30)  # meanwhile it is idle, for all that can be seen from outside
            else:
                self.wfile.write(line.upper())

    held = gevent.event.Event()
    server = new_server(Wait, "greenlet")
    with serving(server, "greenlet") as call, connect(server) as client:
        client.sendall(b"first\n")
        assert b"first\n" == client.recv(100)
        client.sendall(b"second\n")
        drain = Call("greenlet", server.drain)
        wait_until(lambda: server.connections[0].was_told)
        held.set()
        assert b"SECOND\n" == rest(client)
        assert [] == drain.end()
        call.end()


@with_workers
def test_those_still_at_work_are_cut_and_returned(model):
    class Stay(BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"here")
            while self.request.recv(100):
                pass

    server = new_server(Stay, model)
    with recorded(IDrainStarted, IDrainEnded, IConnectionCut, IConnectionClosed) as record:
        with serving(server) as call, connect(server) as client:
            assert b"here" == client.recv(4, socket.MSG_WAITALL)
            client.sendall(b"busy")
            wait_until(lambda: 4 == server.connections[0].received)
            [cut] = server.drain(0.05)
            assert client.getsockname() == cut.client_address
            assert b"" == rest(client)
            call.end()
    started = record[0]
    [ended] = [event for event in record if IDrainEnded.providedBy(event)]
    assert IDrainStarted.providedBy(started) and 1 == started.connections
    assert (cut,) == ended.cut and ended.seconds >= 0.05
    assert ("closed", "drain_timeout") == (cut.state, cut.reason)


def tell_from_a_thread():
    Call("thread", os.kill, os.getpid(), signal.SIGUSR1).end()


def tell_itself():
    os.kill(os.getpid(), signal.SIGUSR1)


@pytest.mark.parametrize("tell", [tell_from_a_thread, tell_itself])
def test_a_signal_handler_may_ask_for_it(tell):
    """It cannot wait, whichever greenlet it has interrupted; whoever closes the server does."""
    server = new_server(Lines, "greenlet")
    previous = signal.signal(signal.SIGUSR1, lambda *args: server.drain())
    try:
        with recorded(IDrainEnded) as record:
            with serving(server, "greenlet") as call, connect(server) as client:
                client.sendall(b"half a ")
                wait_until(lambda: server.connections and server.connections[0].received)
                tell()
                call.end()
                assert refused(server.server_address)
                closing = Call("greenlet", server.server_close)
                client.sendall(b"line\n")
                assert b"HALF A LINE\n" == rest(client)
                closing.end()
        assert [()] == [event.cut for event in record]
    finally:
        signal.signal(signal.SIGUSR1, previous)


def test_a_signal_does_not_have_a_handler_wait_for_what_it_holds_itself():
    """Handlers are told by the hub, and not by whoever the signal has interrupted."""

    class Locking(StreamRequestHandler):
        def setup(self):
            super().setup()
            self.lock = self.toolbox.Lock()

        def handle(self):
            with self.lock:
                tell_itself()
            self.rfile.read()

        def draining(self):
            with self.lock:
                self.post(b"told")

    server = new_server(Locking, "greenlet")
    previous = signal.signal(signal.SIGUSR1, lambda *args: server.drain())
    try:
        with serving(server, "greenlet") as call, connect(server) as client:
            assert b"told" == client.recv(4, socket.MSG_WAITALL)
            call.end()
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(client)
            server.server_close()
    finally:
        signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("model", ["inline", "greenlet", "thread"])
def test_a_handler_may_ask_for_it(model):
    class Last(StreamRequestHandler):
        def handle(self):
            assert [] == self.server.drain()
            self.wfile.write(b"the last")

    server = new_server(Last, model)
    with serving(server) as call, connect(server) as client:
        assert b"the last" == rest(client)
        call.end()
        server.server_close()


@with_workers
def test_handlers_are_told_once(model, mailbox):
    class Told(StreamRequestHandler):
        enough = False

        def handle(self):
            self.wfile.write(b"ready\n")
            while not self.enough:
                self.toolbox.sleep(0.01)
            self.wfile.write(b"bye\n")

        def draining(self):
            mailbox.put("told")
            self.enough = True

    server = new_server(Told, model)
    with serving(server) as call, connect(server) as client:
        client.sendall(b"hello\n")
        assert b"ready\n" == client.recv(6, socket.MSG_WAITALL)
        assert [] == server.drain()
        assert b"bye\n" == rest(client)
        call.end()
    assert "told" == mailbox.get() and mailbox.is_empty()


@pytest.mark.parametrize("model", ["inline", "greenlet"])
@everywhere
def test_handlers_are_told_in_the_thread_that_serves(model, where):
    """Where alone they may touch what they have from their toolbox."""

    class Wait(StreamRequestHandler):
        def setup(self):
            super().setup()
            self.news = self.toolbox.Queue()

        def handle(self):
            self.wfile.write(b"ready\n")
            told_in = self.news.get(timeout=PATIENCE)
            self.wfile.write(b"%d" % (told_in == native.get_ident()))

        def draining(self):
            self.news.put(native.get_ident())

    server = new_server(Wait, model)
    with serving(server, where) as call, connect(server) as client:
        assert b"ready\n" == client.recv(6, socket.MSG_WAITALL)
        assert [] == Call("thread", server.drain).end()
        assert b"1" == rest(client)
        call.end()


@with_workers
def test_handlers_are_told_after_their_setup(model, mailbox):
    class Slow(StreamRequestHandler):
        is_ready = False

        def setup(self):
            super().setup()
            self.wfile.write(b"setup\n")
            self.rfile.readline()
            while not self.server._gs_is_draining:  # a child hears of it by a signal
                self.toolbox.sleep(0.002)
            self.is_ready = True

        def draining(self):
            mailbox.put(f"told {self.is_ready}")

    server = new_server(Slow, model)
    with recorded(IDrainStarted) as record:
        with serving(server) as call, connect(server) as client:
            assert b"setup\n" == client.recv(6, socket.MSG_WAITALL)
            drain = Call("thread", server.drain)
            wait_until(lambda: record)
            client.sendall(b"go on\n")
            assert b"" == rest(client)
            assert [] == drain.end()
            call.end()
    assert "told True" == mailbox.get() and mailbox.is_empty()


class Alike:
    """A handler that is equal to others of its kind, and has no hash."""

    def __init__(self, told):
        self.draining = told.release

    def __eq__(self, other):
        return True


def test_handlers_are_told_apart():
    told = threading.Semaphore(0)
    handlers = [Alike(told), Alike(told)]
    with new_server(Shout, "greenlet") as server:
        for handler in handlers:
            server._gs_hear(handler)
        assert [] == server.drain()
        assert told.acquire(blocking=False) and told.acquire(blocking=False)
        assert not told.acquire(blocking=False)


def test_a_handler_that_has_ended_is_forgotten_without_a_line_of_python():
    """In which a Ctrl-C would be lost; a server in the main thread would go on."""
    with new_server(Shout, "greenlet") as server:
        kept = [Alike(threading.Semaphore(0))]
        server._gs_hear(kept[0])
        assert [] == entered_by(kept.clear)
        assert not server._gs_hearing


def test_a_handler_that_fails_when_it_is_told_does_not_stop_the_others(mailbox):
    class Fails(Lines):
        def draining(self):
            mailbox.put("told")
            raise ValueError("on purpose")

    server = new_server(Fails, "greenlet")
    with serving(server) as call, connect(server) as one, connect(server) as other:
        for client in one, other:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == client.recv(100)
        assert [] == server.drain()
        call.end()
    assert ["told", "told"] == mailbox.take(2)


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_datagrams_that_have_come_are_answered(model):
    server = new_server(ShoutDatagram, model, "udp")
    clients = [connect(server) for _ in range(10)]
    for client in clients:
        client.sendall(b"hello")
    with serving(server) as call:
        assert [] == server.drain()
        call.end()
    for client in clients:
        assert b"HELLO" == client.recv(100)
        client.close()


@every_model
def test_whoever_answers_a_datagram_meanwhile_is_not_disturbed(model):
    class Stay(greensock.DatagramRequestHandler):
        was_told = False

        def handle(self):
            self.socket.sendto(b"here", self.client_address)
            while not self.was_told:
                self.toolbox.sleep(0.01)
            self.wfile.write(b"done")

        def draining(self):
            self.was_told = True

    server = new_server(Stay, model, "udp")
    with serving(server) as call, connect(server) as client:
        client.sendall(b"hello")
        assert b"here" == client.recv(100)
        assert [] == server.drain()
        call.end()
        assert b"done" == client.recv(100)


def test_a_path_is_gone_before_the_queue_is_served(tmp_path):
    path = str(tmp_path / "socket")
    server = new_server(Shout, "greenlet", "unix", path)
    client = connect(server)
    with serving(server) as call:
        drain = Call("thread", server.drain)
        wait_until(lambda: refused(path, socket.AF_UNIX))
        client.sendall(b"hello\n")
        assert b"HELLO\n" == rest(client)
        assert [] == drain.end()
        call.end()
    client.close()


def test_an_adopted_listener_is_left_to_the_others():
    """Another process may listen with it, and goes on."""
    with socket.create_server(LOCAL) as listener:
        server = new_server(Shout, "greenlet", address=listener.dup())
        with serving(server) as call:
            assert b"HELLO\n" == ask(server)
            server.drain()
            call.end()
        other = new_server(Shout, "greenlet", address=listener.dup())
        with served(other) as server:
            assert b"HELLO\n" == ask(server)


def over_the_standard_library(model):
    mixin = {"greenlet": greensock.GreenletMixIn, "thread": greensock.ThreadingMixIn}[model]
    return type("Server", (mixin, socketserver.TCPServer), {})(LOCAL, Shout)


@pytest.mark.parametrize("model", ["greenlet", "thread"])
@pytest.mark.parametrize("listener", ["adopted", "unfiltered", "of the standard library"])
def test_newcomers_do_not_keep_it_from_its_end(listener, model, monkeypatch):
    """Somebody takes the place of everybody who is served. Some are refused, and nobody is cut."""
    if listener == "of the standard library":
        server = over_the_standard_library(model)
    else:
        address = socket.create_server(LOCAL).detach() if listener == "adopted" else LOCAL
        server = new_server(Shout, model, address=address)
        if listener == "unfiltered":
            monkeypatch.setattr("greensock.operations.draining.keep_newcomers_out", lambda _: False)
    answers = []

    def client():
        while True:
            try:
                with connect(server) as sock:
                    sock.sendall(b"hello\n")
                    answers.append(rest(sock))
            except ConnectionRefusedError:
                return
            except OSError:
                pass  # it came too late, into a queue that went with its listener

    with serving(server) as call:
        clients = [gevent.spawn(client) for _ in range(20)]
        wait_until(lambda: len(answers) > 40)
        assert [] == server.drain()
        gevent.joinall(clients, timeout=30, raise_error=True)
        call.end()
    assert {b"HELLO\n"} == set(answers) - {b""}


@pytest.mark.parametrize("limit", [{"max_connections": 1}, {"accept_rate": 0.1}])
def test_waiting_for_room_costs_nothing(limit):
    """Somebody waits in the queue who cannot be taken yet."""
    server = new_server(Lines, "greenlet", drain_timeout=0.3, **limit)
    with serving(server) as call, connect(server) as first, connect(server) as second:
        first.sendall(b"hello\n")
        assert b"HELLO\n" == first.recv(100)
        second.sendall(b"hello\n")
        used = time.process_time()
        server.drain()
        assert time.process_time() - used < 0.15
        call.end()


def test_whoever_waits_while_it_is_suspended_is_served():
    server = new_server(Shout, "greenlet")
    with serving(server) as call:
        server.suspend()
        with connect(server) as client:
            drain = Call("thread", server.drain)
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)
            assert [] == drain.end()
        call.end()


def test_one_that_was_never_served_is_closed():
    server = new_server(Shout, "greenlet")
    assert [] == server.drain()
    assert -1 == server.fileno()
    assert [] == server.drain()


def test_two_may_ask_at_once():
    server = new_server(Shout, "greenlet")
    with recorded(IDrainStarted, IDrainEnded) as record:
        with serving(server) as call, connect(server) as client:
            wait_until(lambda: server.connections)
            drains = [Call("thread", server.drain) for _ in range(3)]
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)
            assert [[]] * 3 == [drain.end() for drain in drains]
            call.end()
    assert 2 == len(record)


def test_a_wrong_timeout_is_told():
    with new_server(Shout, "greenlet") as server:
        with pytest.raises(ValueError, match="drain_timeout is -1; give a number of seconds"):
            server.drain(-1)


CLIENTS = 200


@with_workers
def test_under_load_nobody_who_was_accepted_is_lost(model, monkeypatch):
    """Clients connect again and again; each gets its answer, until nobody listens."""
    # On a busy machine it may take so many clients long to say something.
    monkeypatch.setattr("greensock.net.wardens.FRESH", PATIENCE)
    count = 8 if model == "fork" else CLIENTS
    server = new_server(Shout, model)
    answers, errors = [], []

    def client():
        while True:
            try:
                sock = connect(server)
            except ConnectionRefusedError:
                return
            try:
                with sock:
                    sock.sendall(b"hello\n")
                    answers.append(rest(sock))
            except OSError as error:
                errors.append(error)

    with serving(server) as call:
        clients = [gevent.spawn(client) for _ in range(count)]
        wait_until(lambda: len(answers) > count)
        assert [] == server.drain()
        gevent.joinall(clients, timeout=30, raise_error=True)
        call.end()
    assert ([], {b"HELLO\n"}) == (errors, set(answers))
    assert all(each.dead for each in clients)


def test_serving_threads_are_not_needed_for_its_end():
    """serve_forever in a thread of the standard library, drain in the main one."""
    server = new_server(Lines, "thread")
    ready = native.Queue()

    def note(event):
        ready.put(event)

    greensock.events.subscribe(IServerEvent, note)
    try:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        ready.get(timeout=30)
        with connect(server) as client:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == client.recv(100)
            assert [] == server.drain()
        thread.join(30)
        assert not thread.is_alive()
    finally:
        greensock.events.unsubscribe(IServerEvent, note)


def test_it_ends_though_another_process_takes_who_was_about_to_be_taken(monkeypatch):
    """As where several wait on one listener."""
    late = [True, True]
    monkeypatch.setattr(Watch, "is_readable", lambda watch: bool(late) and late.pop())
    server = greensock.GreenletTCPServer(LOCAL, Shout)
    server.drain_timeout = None
    with serving(server) as call:
        assert b"HELLO\n" == ask(server)
        Call("thread", server.drain).end()
        call.end()
    assert not late
    server.server_close()
