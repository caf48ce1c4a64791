"""Tiny named handlers, and servers that are served for the time of a test.

Tests wait on gevent's hub, in both worlds, so that a server may run in a greenlet beside them as
well as in another thread. What handlers have to tell goes through a Mailbox, which leads out of
threads and child processes, too.
"""

import _socket
import os
import pickle
import resource
import socket
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent
import gevent.select
import gevent.socket

import greensock
from greensock import BaseRequestHandler, DatagramRequestHandler, StreamRequestHandler, events
from greensock.interfaces import IServerEvent
from greensock.net import native, workers

# Seconds after which a wait has failed. Nothing that works takes nearly as long.
PATIENCE = 30

LOCAL = "127.0.0.1", 0

# Those whose handlers, events and connections are seen in the process that serves. Worker processes
# have tests of their own.
MODELS = tuple(model for model in greensock.MODELS if model != "prefork")


class Echo(BaseRequestHandler):
    """Sends back what comes until the peer ends."""

    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Shout(StreamRequestHandler):
    """Answers one line in upper case."""

    def handle(self):
        self.wfile.write(self.rfile.readline().upper())


class Slow(StreamRequestHandler):
    """Answers one line in upper case, thinking in between."""

    def handle(self):
        line = self.rfile.readline()
        self.toolbox.sleep(0.01)
        self.wfile.write(line.upper())


class Crash(BaseRequestHandler):
    """Raises."""

    def handle(self):
        raise RuntimeError("crash")


class Trap(StreamRequestHandler):
    """Says that it is there and stays until the peer has ended."""

    def handle(self):
        self.wfile.write(b"trapped\n")
        self.rfile.read()


class Pid(BaseRequestHandler):
    """Tells the process it runs in."""

    def handle(self):
        self.request.sendall(b"%d" % os.getpid())


class ShoutDatagram(DatagramRequestHandler):
    """Answers a datagram in upper case."""

    def handle(self):
        self.wfile.write(self.packet.upper())


class Mailbox:
    """Messages from any thread, greenlet or forked process to the test, in order."""

    def __init__(self):
        self._here, self._there = _socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self._here.close()
        self._there.close()

    def put(self, message):
        self._there.send(pickle.dumps(message))

    def get(self, timeout=PATIENCE):
        readable, _, _ = gevent.select.select([self._here.fileno()], [], [], timeout)
        assert readable, f"no message within {timeout} s"
        return pickle.loads(self._here.recv(65536))

    def take(self, count):
        return [self.get() for _ in range(count)]

    def is_empty(self):
        return not gevent.select.select([self._here.fileno()], [], [], 0)[0]


class Call:
    """A function call under way in a thread or a greenlet."""

    def __init__(self, where, function, *args):
        self.result = self.error = None
        self._ended = Mailbox()
        if where == "greenlet":
            self.greenlet = gevent.spawn(self._run, function, args)
        else:
            assert where == "thread"
            native.start_new_thread(self._run, (function, args))

    def _run(self, function, args):
        try:
            self.result = function(*args)
        except BaseException as error:
            self.error = error
        finally:
            self._ended.put("ended")

    def end(self):
        """Wait for its end; return what it returned, raise what it raised."""
        with self._ended as mailbox:
            mailbox.get()
        try:
            if self.error is not None:
                raise self.error
            return self.result
        finally:
            self.error = None


@contextmanager
def serving(server, where="thread", poll_interval=0.5):
    """``serve_forever`` under way; the test ends it, and asks the yielded Call for its end.

    If the block raises, it is ended here, so that other tests find nothing left of it.
    """
    with Mailbox() as mailbox:

        def started(event):
            if event.server is server and isinstance(event, events.ServerStarted):
                mailbox.put("started")

        with subscribed(IServerEvent, started):
            call = Call(where, server.serve_forever, poll_interval)
            mailbox.get()
            try:
                yield call
            except BaseException:  # which a test's time being over is, to pytest
                _abandon(server, call)
                raise


def _abandon(server, call):
    """End it and its workers, at once; the test has failed already, and is to say why."""
    for step in lambda: server.drain(0), server.server_close, call.end:
        with suppress(BaseException):
            step()


@contextmanager
def served(server, where="thread", poll_interval=0.5):
    """The server at work; in the end it is shut down, seen to return without error, and closed."""
    with serving(server, where, poll_interval) as call:
        try:
            yield server
        finally:
            server.shutdown()
            server.server_close()
            call.end()


@contextmanager
def subscribed(interface, subscriber):
    events.subscribe(interface, subscriber)
    try:
        yield
    finally:
        events.unsubscribe(interface, subscriber)


@contextmanager
def recorded(*interfaces):
    """The events that happen in this process meanwhile, of these interfaces."""
    record = []

    def note(event):
        if any(interface.providedBy(event) for interface in interfaces):
            record.append(event)

    with subscribed(IServerEvent, note):
        yield record


def connect(server):
    """A client's socket; a cooperative one, for the server may be served in this thread."""
    return connect_to(server.server_address, server.address_family, server.socket_type)


def connect_to(address, family=socket.AF_INET, kind=socket.SOCK_STREAM):
    client = gevent.socket.socket(family, kind)
    client.settimeout(PATIENCE)
    try:
        if (family, kind) == (socket.AF_UNIX, socket.SOCK_DGRAM):
            client.bind("")  # to an abstract address, to be answered at
        client.connect(address)
    except BaseException:
        client.close()
        raise
    return client


def rest(client):
    """All that comes until the peer ends."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def ask(server, data=b"hello\n"):
    """Say ``data`` and the end; what is answered until the peer ends. Or, one datagram for one."""
    with connect(server) as client:
        client.sendall(data)
        if server.socket_type == socket.SOCK_DGRAM:
            return client.recv(65536)
        client.shutdown(socket.SHUT_WR)
        return rest(client)


def wait_until(predicate):
    """Let others run until ``predicate()`` is true; for what nobody announces."""
    ends = time.monotonic() + PATIENCE
    pause = 0.001
    while not predicate():
        assert time.monotonic() < ends, "it did not come true"
        gevent.sleep(pause)
        pause = min(1.2 * pause, 0.02)


def entered_by(function):
    """The names of the functions of Python that are entered while ``function()``, one in C, runs.

    Such as destructors, if that drops what nobody else holds. In each of them Python would first
    call the handlers of signals, and only report what they raise.
    """
    names = []

    def note(frame, event, arg):
        if event == "call":
            names.append(frame.f_code.co_name)

    former = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(former)
    return names


def descriptors():
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def open_files():
    """What this process has open, by the names the system gives to sockets and pipes."""
    names = set()
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing
            names.add(os.readlink(f"/proc/self/fd/{fd}"))
    return names


@contextmanager
def no_descriptors_left(spare=0):
    """Meanwhile this process can open no file but ``spare`` ones. For a process of its own."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, limits[1]))
    hoarded = []
    try:
        with suppress(OSError):
            while True:
                hoarded.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(spare):
            native.close(hoarded.pop())
        yield
    finally:
        for fd in hoarded:
            native.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def children():
    """The child processes of this one, zombies too."""
    found: list[int] = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError):  # that thread has ended meanwhile
            found += map(int, listing.read_text().split())
    return found


def count_workers(monkeypatch):
    """A list that grows by one with each greenlet that is made to handle many requests."""
    born: list = []

    class Counted(workers._Worker):
        def __init__(self, *args):
            super().__init__(*args)
            born.append(None)

    monkeypatch.setattr(workers, "_Worker", Counted)
    return born
