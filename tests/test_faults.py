"""What the system refuses and what hooks raise costs one connection at most, never the server."""

import errno
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import suppress

import gevent
import pytest

import greensock
from greensock.interfaces import (
    IAcceptFailed,
    IAcceptPaused,
    IAcceptResumed,
    IRequestFailed,
    IServerEvent,
)
from greensock.net import native
from tests import world
from tests.helpers import (
    LOCAL,
    Call,
    Crash,
    Shout,
    ask,
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
from tests.programs import ROOT

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", greensock.MODELS)


class Faulty:
    """Mixed in before a server: its get_request raises ``faults`` before it does its work."""

    def __init__(self, *args):
        self.faults = []
        self.tried_at = []
        super().__init__(*args)

    def get_request(self):
        self.tried_at.append(time.monotonic())
        if self.faults:
            raise self.faults.pop(0)
        return super().get_request()


def new_server(model, *mixins, handler=Shout, **attributes):
    bases = (*mixins, greensock.server_class(model))
    return type("Server", bases, attributes)(LOCAL, handler)


def is_hung_up_on(server):
    """Whether the server ends a connection without a word."""
    with connect(server) as client:
        return rest(client) == b""


def system_error(number):
    return OSError(number, "injected")


# Accepting


@every_model
@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_what_is_exhausted_is_tried_for_again_after_pauses_that_double(model, name):
    error = system_error(getattr(errno, name))
    server = new_server(model, Faulty)
    server.faults += 3 * [error]
    kinds = IAcceptFailed, IAcceptPaused, IAcceptResumed
    with recorded(*kinds) as record, served(server, "greenlet"):
        assert b"HELLO\n" == ask(server)
        wait_until(lambda: len(record) > 1)
        paused, resumed = record
        assert IAcceptPaused.providedBy(paused) and error is paused.error
        assert IAcceptResumed.providedBy(resumed) and 0.06 < resumed.seconds
        times = server.tried_at
        pauses = [then - now for now, then in zip(times, times[1:])][:3]
        # The hub's clock ticks in milliseconds.
        assert [True] * 3 == [a > b - 0.002 for a, b in zip(pauses, [0.01, 0.02, 0.04])], pauses


@every_model
def test_each_episode_is_announced_once_and_so_is_its_end(model):
    server = new_server(model, Faulty)
    with recorded(IAcceptPaused, IAcceptResumed) as record, served(server, "greenlet"):
        for ended in 2, 4:
            server.faults += 2 * [system_error(errno.EMFILE)]
            assert b"HELLO\n" == ask(server)
            wait_until(lambda n=ended: len(record) == n)
    assert 2 * ["AcceptPaused", "AcceptResumed"] == [type(event).__name__ for event in record]


@every_model
@pytest.mark.parametrize("name", ["ECONNABORTED", "EPROTO", "EPERM"])
def test_what_one_client_spoiled_does_not_keep_the_next_waiting(model, name):
    server = new_server(model, Faulty)
    server.faults += 3 * [system_error(getattr(errno, name))]
    with recorded(IAcceptFailed, IAcceptPaused) as record, served(server, "greenlet"):
        assert b"HELLO\n" == ask(server)
    assert [] == server.faults
    assert [] == record


@every_model
@pytest.mark.parametrize("where", ["greenlet", "thread"])
def test_serving_ends_when_another_thread_has_closed_the_listener(model, where):
    class Closed:
        def get_request(self):
            Call("thread", self.socket.close).end()
            return super().get_request()

    server = new_server(model, Closed)
    with recorded(IAcceptFailed, IAcceptPaused) as record, serving(server, where) as call:
        with suppress(ConnectionResetError):  # the closing may come before it knows to be connected
            connect(server).close()
        call.end()
        server.server_close()
    assert [] == record


@every_model
def test_get_request_may_raise_anything(model):
    error = ValueError("injected")
    server = new_server(model, Faulty)
    server.faults.append(error)
    with recorded(IAcceptFailed, IAcceptPaused) as record, served(server, "greenlet"):
        assert b"HELLO\n" == ask(server)
    assert [error] == [event.error for event in record]
    assert IAcceptFailed.providedBy(record[0])


# Handing over


class VerifyOnce:
    """Raises when it is asked for the first time."""

    error = None

    def verify_request(self, request, client_address):
        if self.error is None:
            self.error = LookupError("injected")
            raise self.error
        return True


@every_model
def test_when_verify_request_raises_that_connection_is_closed_and_the_next_is_served(model):
    server = new_server(model, VerifyOnce)
    with recorded(IRequestFailed) as record, served(server, "greenlet"):
        assert is_hung_up_on(server)
        assert b"HELLO\n" == ask(server)
    assert [server.error] == [event.error for event in record]


def refuse_workers(monkeypatch, model):
    """Have the system refuse new processes or threads, and return the error."""
    if model == "fork":
        error = system_error(errno.EAGAIN)
        owner, name = native, "fork"
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


@pytest.mark.parametrize("model", ["thread", "fork"])
def test_a_worker_the_system_refuses_costs_one_connection(model, monkeypatch):
    server = new_server(model)
    with recorded(IRequestFailed) as record, served(server, "greenlet"):
        before = descriptors()
        with monkeypatch.context() as patch:
            error = refuse_workers(patch, model)
            assert is_hung_up_on(server)
        assert [error] == [event.error for event in record]
        assert not server._gs_crew
        wait_until(lambda: before == descriptors())
        assert b"HELLO\n" == ask(server)


@every_model
def test_a_subscriber_that_raises_hurts_nobody(model, caplog):
    def subscriber(event):
        raise RuntimeError("injected")

    def shout_or_crash(request, client_address, server):
        (Shout if request.recv(1) == b"h" else Crash)(request, client_address, server)

    with subscribed(IServerEvent, subscriber):
        server = new_server(model, Faulty, handler=shout_or_crash)
        # Not served(), which waits for an event that an earlier subscriber might have kept back.
        call = Call("greenlet", server.serve_forever)
        server.faults += [ValueError("injected"), system_error(errno.EMFILE)]
        assert b"ELLO\n" == ask(server)
        assert b"" == ask(server, b"x")
        assert b"ELLO\n" == ask(server)
        gevent.spawn(server.shutdown).join()
        server.server_close()
        call.end()
    told = [record for record in caplog.records if "raised when it was told" in record.msg]
    names = {record.args[1] for record in told}
    assert {"ServerStarted", "AcceptFailed", "AcceptPaused", "AcceptResumed"} <= names
    assert "ServerStopped" in names
    assert (model == "fork") is ("RequestFailed" not in names)  # which happened in the child


# Without descriptors, in a process of its own

PROGRAM = """
    from tests import world

    import errno, os, resource, time

    import gevent.select

    import greensock
    from greensock.interfaces import IAcceptPaused, IAcceptResumed, IRequestFailed
    from greensock.net import native
    from tests.helpers import LOCAL, Shout, ask, descriptors, recorded, served, wait_until

    class Server(greensock.server_class({model!r})):
        overload = {overload!r}

    def hoard(spare):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, hard))
        hoarded = []
        try:
            while True:
                hoarded.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for _ in range(spare):
            native.close(hoarded.pop())
        return hoarded

    def answer(client):
        assert gevent.select.select([client], [], [], 30)[0], "it hangs"
        return client.recv(100)

    def connect(clients):
        for client in clients:
            client.connect(server.server_address)

    server = Server(LOCAL, Shout)
    unserved = descriptors()
    with recorded(IAcceptPaused, IAcceptResumed, IRequestFailed) as record:
        with served(server, "greenlet"):
            idle = descriptors()
            assert b"HELLO\\n" == ask(server)
            wait_until(lambda: idle == descriptors())
            clients = [native.Socket() for _ in range(6)]
"""

TURNED_AWAY = """
            hoarded = hoard(0)
            for wave in clients[:3], clients[3:]:
                connect(wave)
                assert [b""] * 3 == [answer(client) for client in wave]
            for fd in hoarded:
                native.close(fd)
            assert b"HELLO\\n" == ask(server)
            for client in clients:
                client.close()
            wait_until(lambda: idle == descriptors())
        names = [type(event).__name__ for event in record]
        assert ["AcceptPaused", "AcceptResumed"] == names, names
"""

NO_SENTINEL = """
            hoarded = hoard(1)
            connect(clients[:1])
            assert b"" == answer(clients[0])
            [event] = record
            assert IRequestFailed.providedBy(event), event
            assert errno.EMFILE == event.error.errno
            for fd in hoarded:
                native.close(fd)
            assert b"HELLO\\n" == ask(server)
"""


def run(body, **parameters):
    """Run the program to its end without an error."""
    program = textwrap.dedent(PROGRAM.format(**parameters) + body)
    process = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert 0 == process.returncode, process.stderr


@every_model
def test_clients_are_turned_away_at_once_when_overload_is_close(model):
    run(TURNED_AWAY, model=model, overload="close")


def test_a_child_for_which_no_descriptor_is_left_costs_one_connection():
    run(NO_SENTINEL, model="fork", overload="backlog")
