"""Faults, made where they come from: in the listener's accept, in the system's fork, in a hook."""

import errno
import os
import sys
import threading
import time
from contextlib import contextmanager

import gevent
import pytest

import greensock
from greensock.net import native, workers
from tests import world
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    Shout,
    ask,
    children,
    connect,
    descriptors,
    rest,
    served,
)

every_model = pytest.mark.parametrize("model", MODELS)


class Injected(Exception):
    """What hooks raise here."""


def system_error(number):
    return OSError(number, "injected")


def errno_of(name):
    return system_error(getattr(errno, name))


class FaultyListener(native.Socket):
    """A listening or datagram socket that takes nothing as long as there are ``faults`` to raise.

    ``tried_at``: when it was asked, in monotonic seconds.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.faults = []
        self.tried_at = []

    def _accept(self):
        self._fail()
        return super()._accept()

    def recvfrom(self, *args):
        self._fail()
        return super().recvfrom(*args)

    def _fail(self):
        self.tried_at.append(time.monotonic())
        if self.faults:
            raise self.faults.pop(0)


class Faulty:
    """Mixed in before a server: its hook ``where`` raises ``faults`` before it does its work."""

    where = "get_request"

    def __init__(self, *args):
        self.faults = []
        self.tried_at = []
        super().__init__(*args)

    def _fail(self, where):
        if where == self.where:
            self.tried_at.append(time.monotonic())
            if self.faults:
                raise self.faults.pop(0)

    def get_request(self):
        self._fail("get_request")
        return super().get_request()

    def verify_request(self, request, client_address):
        self._fail("verify_request")
        return super().verify_request(request, client_address)

    def process_request(self, request, client_address):
        self._fail("process_request")
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._fail("shutdown_request")
        super().shutdown_request(request)


def new_server(model, *mixins, handler=Shout, transport="tcp", **attributes):
    """A server; its ``where`` makes the hook of that name one that fails."""
    if "where" in attributes:
        mixins = Faulty, *mixins
    bases = (*mixins, greensock.server_class(model, transport))
    return type("Server", bases, attributes)(LOCAL, handler)


def with_faulty_listener(server):
    """The server, and the FaultyListener it has got; before it is served."""
    old = server.socket
    listener = FaultyListener(old.family, old.type, old.proto, fileno=old.detach())
    server.socket = listener
    return server, listener


def refuse_workers(monkeypatch, model):
    """Have the system refuse new processes, threads or greenlets, and return the error."""
    if model == "fork":
        error = system_error(errno.EAGAIN)
        owner, name = native, "fork"
    elif model == "greenlet":
        error = MemoryError("injected")
        owner, name = workers, "_Worker"
    else:
        error = RuntimeError("can't start new thread")
        owner, name = native, "start_new_thread"
        if not world.PATCHED:
            owner, name = threading, "_start_new_thread"
            if sys.version_info >= (3, 13):
                name = "_start_joinable_thread"

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(owner, name, refuse)
    return error


def is_hung_up_on(server):
    """Whether the server ends a connection without a word."""
    with connect(server) as client:
        return rest(client) == b""


def holdings(server):
    """What there is that a fault might leave behind."""
    return {
        "connections": set(server.connections),
        "jobs": set(server._gs_crew or ()),
        "descriptors": set(range(descriptors())),
        "threads": set(range(len(os.listdir("/proc/self/task")))),
        "children": set(children()),
    }


@contextmanager
def going_on(server, data=b"hello\n", answer=b"HELLO\n"):
    """The server at work. In the end the next requests are answered, and nothing is left."""
    with served(server, "greenlet"):
        before = holdings(server)
        assert answer == ask(server, data)
        assert_nothing_new(server, before)
        yield server
        assert [answer] * 2 == [ask(server, data) for _ in range(2)]
        assert_nothing_new(server, before)


def assert_nothing_new(server, before):
    """It may take a while, and of what was there some may go, such as idle threads of gevent's."""

    def new():
        now = holdings(server)
        return {what: now[what] - before[what] for what in now if now[what] - before[what]}

    ends = time.monotonic() + PATIENCE
    pause = 0.001
    while new() and time.monotonic() < ends:
        gevent.sleep(pause)
        pause = min(1.2 * pause, 0.02)
    assert {} == new()
