"""Steps of a request: those that an application has made its own are called, whatever is saved."""

import socketserver

import pytest

import greensock
from greensock import GreenletMixIn
from greensock.interfaces import IRequestFailed
from greensock.steps import STEPS, own_steps
from tests.helpers import (
    LOCAL,
    Crash,
    Shout,
    ShoutDatagram,
    ask,
    connect,
    recorded,
    served,
    serving,
    wait_until,
)

BASES = {
    greensock.TCPServer: Shout,
    greensock.UDPServer: ShoutDatagram,
    socketserver.TCPServer: Shout,
    socketserver.UDPServer: ShoutDatagram,
}
IN_ORDER = [
    "verify_request",
    "process_request",
    "process_request_thread",
    "finish_request",
    "shutdown_request",
    "close_request",
]

every_base = pytest.mark.parametrize("base", BASES)


def with_own(cls, steps, called):
    """A subclass with ``steps`` of its own, which note in ``called`` that they were called."""

    def own(step):
        inherited = getattr(cls, step)

        def note(self, *args):
            called.append(step)
            return inherited(self, *args)

        return note

    return type("Server", (cls,), {step: own(step) for step in steps})


def make_own(server, step, called):
    """Do the same to one server."""
    inherited = getattr(server, step)

    def note(*args):
        called.append(step)
        return inherited(*args)

    setattr(server, step, note)


def green(base):
    return type("Server", (GreenletMixIn, base), {})


def answer(server):
    with served(server):
        assert b"HELLO\n" == ask(server)


@every_base
def test_all_of_them_are_called_in_order(base):
    """It is that of socketserver."""
    called = []
    answer(with_own(green(base), IN_ORDER, called)(LOCAL, BASES[base]))
    assert IN_ORDER == called


@pytest.mark.worldless
@every_base
@pytest.mark.parametrize("step", IN_ORDER)
class TestOneOfTheApplicationsOwn:
    """Each is called once for a request, wherever it was overridden."""

    def test_in_the_class_of_the_server_is_called(self, base, step):
        """The usual way."""
        called = []
        answer(with_own(green(base), [step], called)(LOCAL, BASES[base]))
        assert [step] == called

    def test_of_one_server_is_called(self, base, step):
        """Assigned before it serves."""
        called = []
        server = green(base)(LOCAL, BASES[base])
        make_own(server, step, called)
        answer(server)
        assert [step] == called

    def test_assigned_while_it_serves_is_called_from_then_on(self, base, step):
        """It may have asked already which are overridden."""
        called = []
        with served(green(base)(LOCAL, BASES[base])) as server:
            assert b"HELLO\n" == ask(server)
            wait_until(lambda: not len(server._gs_crew))
            make_own(server, step, called)
            assert b"HELLO\n" == ask(server)
        assert [step] == called

    def test_that_was_put_into_its_class_is_called_when_it_serves_again(
        self, base, step, monkeypatch
    ):
        """What it has found out is forgotten when it ends to serve."""
        called = []
        kind = green(base)
        own = vars(with_own(kind, [step], called))[step]
        with kind(LOCAL, BASES[base]) as server:
            for expected in [], [step]:
                with serving(server) as call:
                    assert b"HELLO\n" == ask(server)
                    wait_until(lambda: not len(server._gs_crew))
                    server.shutdown()
                    call.end()
                assert expected == called
                monkeypatch.setattr(kind, step, own)


@pytest.mark.worldless
@every_base
@pytest.mark.parametrize("step", [step for step in IN_ORDER if "process" not in step])
def test_those_in_a_class_behind_the_mixin_are_called(base, step):
    """All but what the mixin does itself."""
    called = []
    answer(green(with_own(base, [step], called))(LOCAL, BASES[base]))
    assert [step] == called


@pytest.mark.worldless
@every_base
def test_a_server_as_it_comes_has_none_of_its_own(base):
    """For which alone something is saved."""
    with green(base)(LOCAL, BASES[base]) as server:
        assert set() == own_steps(server)


@pytest.mark.worldless
@pytest.mark.parametrize("step", [step for step in IN_ORDER if "process" not in step])
@pytest.mark.parametrize(
    "changed",
    [greensock.BaseServer, greensock.UDPServer, socketserver.BaseServer, socketserver.UDPServer],
)
def test_those_put_into_a_class_as_it_comes_count(changed, step, monkeypatch):
    """As tests and tools do that look into programs."""
    monkeypatch.setattr(changed, step, lambda self, *args: None, raising=False)
    with green(greensock.UDPServer)(LOCAL, ShoutDatagram) as server:
        assert {step} == own_steps(server)


def test_those_of_a_model_of_the_standard_library_count():
    """They do something else than the servers."""
    with green(socketserver.ThreadingUDPServer)(LOCAL, Shout) as server:
        assert {"process_request", "process_request_thread"} == own_steps(server)


def test_each_has_a_place_in_the_order():
    """None is forgotten above."""
    assert STEPS == set(IN_ORDER)


@pytest.mark.parametrize("base", [greensock.UDPServer, socketserver.UDPServer])
def test_a_handle_error_that_raises_costs_one_datagram_its_answer(base):
    """It is told of, and the datagram is in the books no more."""

    class Server(GreenletMixIn, base):
        def handle_error(self, request, client_address):
            raise LookupError("of handle_error")

    with recorded(IRequestFailed) as record, served(Server(LOCAL, Crash)) as server:
        with connect(server) as client:
            for _ in range(2):
                client.send(b"hello\n")
        wait_until(lambda: len(record) == 2)
        wait_until(lambda: not len(server._gs_crew))
    assert [LookupError, LookupError] == [type(event.error) for event in record]
