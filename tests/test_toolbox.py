"""The toolbox in real handlers, the same under every model."""

import contextlib
import socket
import sys
import threading
import traceback

import gevent
import gevent.socket
import gevent.ssl
import pytest

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.net import native
from greensock.testing import check_toolbox
from greensock.toolbox import GREEN, between_threads
from tests import tls
from tests.helpers import (
    LOCAL,
    PATIENCE,
    Call,
    connect,
    every_other,
    forks_beside_threads,
    open_files,
    rest,
    served,
)

SERVERS = {
    "inline": greensock.TCPServer,
    "greenlet": greensock.GreenletTCPServer,
    "thread": greensock.ThreadingTCPServer,
    "fork": greensock.ForkingTCPServer,
}
SHORT = 0.01
FLOOD = bytes(1 << 20)

pytestmark = forks_beside_threads


@pytest.fixture(params=SERVERS)
def model(request):
    return request.param


@contextlib.contextmanager
def serving(model, handler, context=None):
    server = SERVERS[model](LOCAL, handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with served(server):
        yield server


def hear(server):
    """All that the server tells somebody who says nothing."""
    with connect(server) as client:
        return rest(client)


class Telling(BaseRequestHandler):
    """Does its ``task`` and sends what that returns, or why it failed."""

    def handle(self):
        try:
            answer = self.task()
        except BaseException:
            answer = traceback.format_exc()
        self.request.sendall(str(answer).encode())


def test_toolbox_keeps_its_promises_in_a_handler(model):
    class Check(Telling):
        def task(self):
            return check_toolbox(self.toolbox, patience=PATIENCE)

    with serving(model, Check) as server:
        assert b"None" == hear(server)


def test_toolbox_of_the_handler_is_that_of_the_server(model):
    class Compare(Telling):
        def task(self):
            return self.toolbox is self.server.toolbox

    with serving(model, Compare) as server:
        assert b"True" == hear(server)


def test_toolbox_is_named_after_what_spawn_starts(model, patched):
    class Tell(Telling):
        def task(self):
            return repr(self.toolbox)

    expected = {
        "inline": "greenlet",
        "greenlet": "greenlet",
        "thread": "greenlet between threads" if patched else "thread",
        "fork": "greenlet between threads" if patched else "thread",
    }
    with serving(model, Tell) as server:
        assert f"<toolbox {expected[model]}>".encode() == hear(server)


def test_handler_under_a_server_of_the_standard_library_has_a_toolbox():
    """That server knows nothing of toolboxes, and may run its handlers in threads."""

    class Bare(StreamRequestHandler):
        def __init__(self):
            self.server = object()

    assert between_threads() is Bare().toolbox


@every_other(model=SERVERS, kind=[SystemExit, SystemError, ZeroDivisionError, KeyboardInterrupt])
def test_what_a_task_raises_ends_neither_handler_nor_server(
    model, kind, monkeypatch, capfd, patched
):
    """In a thread that is not the main one, a KeyboardInterrupt is no Ctrl-C."""
    if (model, kind, patched) == ("fork", KeyboardInterrupt, True):
        pytest.skip("tasks are greenlets of the child's main thread")
    monkeypatch.setattr(threading, "excepthook", print_exception)

    class Spawn(Telling):
        def task(self):
            return self.toolbox.spawn(fail, kind).join(PATIENCE)

    with serving(model, Spawn) as server:
        assert [b"True"] * 2 == [hear(server), hear(server)]
    assert (kind is not SystemExit) == (f"{kind.__name__}: on purpose" in capfd.readouterr().err)


def fail(kind):
    raise kind("on purpose")


def print_exception(args):
    if args.exc_type is not SystemExit:
        print(f"{args.exc_type.__name__}: {args.exc_value}", file=sys.stderr)


def test_ctrl_c_in_a_greenlet_of_the_main_thread_reaches_its_main_greenlet():
    """It landed in the task by accident."""
    with pytest.raises(KeyboardInterrupt):
        GREEN.spawn(fail, KeyboardInterrupt).join(PATIENCE)


def test_killed_task_has_ended():
    task = GREEN.spawn(GREEN.sleep, PATIENCE)
    assert not task.join(SHORT)
    task.kill()
    assert task.join(PATIENCE)


class Hurried(Telling):
    """Waits for its client in vain, then without haste."""

    def task(self):
        told = []
        for wait in self.request.recv, lambda size: self.request.recv_into(bytearray(size)):
            try:
                with self.toolbox.deadline(SHORT):
                    wait(10)
            except TimeoutError as error:
                told.append(str(error))
        self.request.sendall(b"still here\n")
        return told, self.request.recv(10)


EXPECTED = b"still here\n(['the deadline has passed', 'the deadline has passed'], b'late')"


def test_read_ends_at_the_deadline_and_the_connection_lives_on(model):
    with serving(model, Hurried) as server, connect(server) as client:
        assert b"still here\n" == client.recv(11)
        client.sendall(b"late")
        assert EXPECTED == b"still here\n" + rest(client)


def test_tls_read_ends_at_the_deadline_and_the_connection_lives_on(model):
    with serving(model, Hurried, tls.shared_server_context()) as server, secure(server) as client:
        assert b"still here\n" == client.recv(11)
        client.sendall(b"late")
        assert EXPECTED == b"still here\n" + rest(client)


def secure(server):
    """A client over TLS."""
    client = connect(server)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # it is full sooner
    return gevent.ssl.SSLSocket(
        client, _context=tls.shared_client_context(), server_hostname="localhost"
    )


@every_other(model=SERVERS, write=["send", "sendall"])
def test_write_ends_at_the_deadline_and_the_connection_lives_on(model, write):
    class Flood(Telling):
        def task(self):
            try:
                with self.toolbox.deadline(SHORT):
                    while True:
                        getattr(self.request, write)(FLOOD)
            except TimeoutError as error:
                self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return error

    with serving(model, Flood) as server, connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # it is full sooner
        # The deadline may have passed before anything was sent.
        assert b"the deadline has passed" == rest(client).lstrip(b"\0")


def test_tls_write_ends_at_the_deadline(model):
    """What was begun of a TLS record cannot be taken back: only reading goes on."""

    class Flood(Telling):
        def task(self):
            try:
                with self.toolbox.deadline(SHORT):
                    while True:
                        self.request.sendall(FLOOD)
            except TimeoutError:
                self.server.told = self.request.recv(10)
                raise SystemExit from None

    told = []

    class Server(SERVERS[model]):
        def __setattr__(self, name, value):
            if name == "told":
                told.append(value)
            super().__setattr__(name, value)

    if model == "fork":
        pytest.skip("what a child was told stays in the child")
    server = Server(LOCAL, Flood)
    server.socket = tls.shared_server_context().wrap_socket(server.socket, server_side=True)
    with served(server), secure(server) as client:
        client.sendall(b"read")
        with contextlib.suppress(OSError):
            rest(client)
    assert [b"read"] == told


def test_other_task_has_no_deadline(model):
    """It reads from the same connection, and its time is its own."""

    class Share(Telling):
        def task(self):
            got = []
            reading = self.toolbox.spawn(lambda: got.append(self.request.recv(10)))
            try:
                with self.toolbox.deadline(SHORT):
                    reading.join(PATIENCE)
            except TimeoutError:
                self.request.sendall(b"go\n")
            return reading.join(PATIENCE), got

    for context in None, tls.shared_server_context():
        with serving(model, Share, context) as server:
            with secure(server) if context else connect(server) as client:
                assert b"go\n" == client.recv(3)
                client.sendall(b"late")
                assert b"(True, [b'late'])" == rest(client)


def test_file_that_timed_out_reads_no_more_but_its_socket_does(model):
    """As after ``settimeout``: some of a line may have been read, and nobody knows which part."""

    class Files(StreamRequestHandler):
        def handle(self):
            for _ in range(2):
                try:
                    with self.toolbox.deadline(SHORT):
                        self.rfile.readline()
                except TimeoutError:
                    self.wfile.write(b"timeout\n")
                except OSError as error:
                    self.wfile.write(f"{error}\n".encode())
            self.wfile.write(self.request.recv(10))

    with serving(model, Files) as server, connect(server) as client:
        expected = b"timeout\ncannot read from timed out object\n"
        assert expected == b"".join(client.recv(1) for _ in expected)
        client.sendall(b"late")
        assert b"late" == rest(client)


def test_server_may_be_made_in_one_thread_and_served_in_another(model):
    """With locks, events and queues of its toolbox, made and used together with it."""

    class Shared(Telling):
        def task(self):
            server, tools = self.server, self.toolbox
            with server.lock:
                tasks = [tools.spawn(server.event.wait, PATIENCE)]
                tasks.append(tools.spawn(server.queue.put, "third", timeout=PATIENCE))
            got = [server.queue.get(timeout=PATIENCE) for _ in range(3)]
            server.event.set()
            return got, [task.join(PATIENCE) for task in tasks]

    with serving(model, Shared) as server:
        server.lock, server.event = server.toolbox.Lock(), server.toolbox.Event()
        server.queue = server.toolbox.Queue(maxsize=2)
        server.queue.put("first")
        server.queue.put("second")
        expected = "(['first', 'second', 'third'], [True, True])"
        assert expected == hear(server).decode()


def test_sleeping_thread_with_a_hub_leaves_its_greenlets_running(patched):
    """As in a hook, which runs on the serving thread under any model."""
    tools = between_threads()
    ran = []
    gevent.spawn(ran.append, "ran")
    tools.sleep(SHORT)
    assert ["ran"] == ran


def test_sleep_of_a_thread_ends_at_the_deadline_even_if_its_timer_is_early(monkeypatch):
    """However close to the deadline it wakes, it does not return as if it had slept enough."""
    tools = between_threads()
    for sleeper in (native, "sleep"), (gevent, "sleep"):
        monkeypatch.setattr(*sleeper, lambda seconds: None)

    def hurry():
        with tools.deadline(PATIENCE):
            tools.sleep(2 * PATIENCE)

    if isinstance(tools, type(between_threads())) and not native.is_patched():
        with pytest.raises(TimeoutError):
            Call("thread", hurry).end()


class Greeting(Telling):
    """Connects to what listens at ``address`` and sends what that greets it with."""

    def task(self):
        with self.toolbox.connect(self.address, PATIENCE) as onward:
            return onward.recv(100)


@every_other(
    model=SERVERS,
    place=[
        (socket.AF_INET, "127.0.0.1", "127.0.0.1"),
        (socket.AF_INET6, "::1", "::1"),
        (socket.AF_INET, "127.0.0.1", "localhost"),
    ],
)
def test_handlers_connect_to_addresses_and_names(model, place):
    family, host, name = place
    with gevent.socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        Greeting.address = name, listener.getsockname()[1]
        with serving(model, Greeting) as server, connect(server) as client:
            with listener.accept()[0] as greeting:
                greeting.sendall(b"welcome")
            assert b"b'welcome'" == rest(client)


@pytest.mark.parametrize("toolbox", [GREEN, between_threads()], ids=str)
def test_a_wrong_call_is_told_with_the_right_one(toolbox):
    with pytest.raises(TypeError, match=r"None cannot be called: write spawn\(function, "):
        toolbox.spawn(print(end=""))
    for wrong in "localhost:80", "localhost", 80, ("localhost",):
        with pytest.raises(TypeError, match=r"is no address: give \(host, port\), as in connect"):
            toolbox.connect(wrong)
    with pytest.raises(TypeError, match="'10' is no deadline: give seconds"):
        with toolbox.deadline("10"):
            pass


@every_other(model=SERVERS, limit=["timeout", "deadline"])
def test_connecting_to_who_never_answers_is_given_up(model, limit):
    """A full backlog does not answer. Nothing of the try is left open."""

    class Trying(Telling):
        def task(self):
            before = open_files()
            outer, timeout = (SHORT, PATIENCE) if limit == "deadline" else (PATIENCE, SHORT)
            with self.toolbox.deadline(outer):
                try:
                    self.toolbox.connect(full.getsockname(), timeout)
                except TimeoutError:
                    return len(open_files() - before)

    with native.Socket() as full, contextlib.ExitStack() as clients:
        full.bind(LOCAL)
        full.listen(0)
        for _ in range(3):
            client = clients.enter_context(native.Socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        with serving(model, Trying) as server:
            assert b"0" == hear(server)
