"""Whatever accept says, the next clients are served, and it is not asked without a pause."""

from contextlib import suppress

import pytest

import greensock
from greensock.interfaces import (
    IAcceptFailed,
    IAcceptPaused,
    IAcceptResumed,
    IConnectionRefused,
    IRequestFailed,
)
from greensock.net.backoff import TOLERATED_IN_A_ROW
from tests import tls
from tests.faults.injecting import (
    errno_of,
    every_model,
    going_on,
    is_hung_up_on,
    new_server,
    with_faulty_listener,
)
from tests.helpers import (
    Call,
    ShoutDatagram,
    ask,
    connect,
    forks_beside_threads,
    recorded,
    serving,
    wait_until,
)

pytestmark = forks_beside_threads

PAUSES = 0.01, 0.02, 0.04
KINDS = IAcceptFailed, IAcceptPaused, IAcceptResumed, IRequestFailed
EPISODE = ["AcceptPaused", "AcceptResumed"]

every_shortage = pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
# What Linux passes on to accept although one client is meant, or the firewall's word on it.
SPOILED = "ECONNABORTED", "EPROTO", "EPERM"


def names(record):
    return [type(event).__name__ for event in record]


def assert_paused(times):
    """It was tried again after pauses that double, and no more often."""
    pauses = [then - now for now, then in zip(times, times[1:])]
    # The hub's clock ticks in milliseconds.
    assert [True] * 3 == [a > b - 0.002 for a, b in zip(pauses, PAUSES)], pauses


@every_model
@every_shortage
def test_what_is_exhausted_is_tried_for_again_after_pauses_that_double(model, name):
    error = errno_of(name)
    server, listener = with_faulty_listener(new_server(model))
    with recorded(*KINDS) as record, going_on(server):
        del listener.tried_at[:]
        listener.faults += 3 * [error]
        assert b"HELLO\n" == ask(server)
        wait_until(lambda: len(record) > 1)
        paused, resumed = record
        assert IAcceptPaused.providedBy(paused) and error is paused.error
        assert IAcceptResumed.providedBy(resumed) and 0.06 < resumed.seconds
        assert_paused(listener.tried_at[:4])
    assert EPISODE == names(record)


@every_model
def test_what_was_exhausted_once_is_an_episode_too(model):
    server, listener = with_faulty_listener(new_server(model))
    with recorded(*KINDS) as record, going_on(server):
        listener.faults.append(errno_of("ENFILE"))
        assert b"HELLO\n" == ask(server)
    assert EPISODE == names(record)


@every_model
def test_each_episode_is_announced_once_and_so_is_its_end(model):
    server, listener = with_faulty_listener(new_server(model))
    with recorded(*KINDS) as record, going_on(server):
        for ended in 2, 4:
            listener.faults += 2 * [errno_of("EMFILE")]
            assert b"HELLO\n" == ask(server)
            wait_until(lambda n=ended: len(record) == n)
    assert 2 * EPISODE == names(record)


@every_model
@pytest.mark.parametrize("overload", ["close", "reject"])
def test_clients_are_turned_away_when_no_descriptor_is_left(model, overload):
    """With the one in reserve; who comes after the episode is served."""
    server, listener = with_faulty_listener(new_server(model, overload=overload))
    with recorded(*KINDS, IConnectionRefused) as record, going_on(server):
        for _ in range(2):
            listener.faults.append(errno_of("EMFILE"))
            assert is_hung_up_on(server)
    assert ["AcceptPaused", "ConnectionRefused", "ConnectionRefused", "AcceptResumed"] == (
        names(record)
    )


@every_model
def test_what_one_client_spoiled_does_not_keep_the_next_waiting(model):
    server, listener = with_faulty_listener(new_server(model))
    with recorded(*KINDS) as record, going_on(server):
        for name in SPOILED:
            for times in 1, TOLERATED_IN_A_ROW:
                listener.faults += times * [errno_of(name)]
                assert b"HELLO\n" == ask(server)
                assert ([], []) == (listener.faults, record), (name, times)
    assert [] == record


@every_model
@pytest.mark.parametrize("name", SPOILED)
def test_what_fails_over_and_over_is_no_client_and_gets_pauses(model, name):
    server, listener = with_faulty_listener(new_server(model))
    with recorded(*KINDS) as record, going_on(server):
        del listener.tried_at[:]
        listener.faults += (TOLERATED_IN_A_ROW + 3) * [errno_of(name)]
        assert b"HELLO\n" == ask(server)
        assert_paused(listener.tried_at[TOLERATED_IN_A_ROW:][:4])
    assert EPISODE == names(record)


@every_model
def test_a_tls_listener_goes_on_as_well(model):
    server = new_server(model, ssl_context=tls.shared_server_context())
    server, listener = with_faulty_listener(server)
    with recorded(*KINDS) as record, serving(server, "greenlet") as call:
        listener.faults += [errno_of("EMFILE"), errno_of("ECONNABORTED")]
        with tls.connect(server) as client:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == client.recv(100)
        wait_until(lambda: not server.connections)
        server.shutdown()
        server.server_close()
        call.end()
    assert EPISODE == names(record)


@every_model
def test_datagrams_are_taken_again_after_a_shortage(model):
    made = new_server(model, transport="udp", handler=ShoutDatagram)
    server, listener = with_faulty_listener(made)
    with recorded(*KINDS) as record, going_on(server):
        for count, name in enumerate(["ENOBUFS", "ENOMEM"], 1):
            listener.faults += 2 * [errno_of(name)]
            assert b"HELLO\n" == ask(server)
            wait_until(lambda n=count: len(record) >= 2 * n)
    assert 2 * EPISODE == names(record)


@every_model
@pytest.mark.parametrize("where", ["greenlet", "thread"])
def test_serving_ends_when_another_thread_has_closed_the_listener(model, where):
    class Closed:
        def get_request(self):
            Call("thread", self.socket.close).end()
            return super().get_request()

    server = type("Server", (Closed, greensock.server_class(model)), {})(("127.0.0.1", 0), print)
    with recorded(IAcceptFailed, IAcceptPaused) as record, serving(server, where) as call:
        with suppress(ConnectionResetError):  # the closing may come before it knows to be connected
            connect(server).close()
        call.end()
        server.server_close()
    assert [] == record
