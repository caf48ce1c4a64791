"""Whatever a hook raises, it costs one connection, is told, and leaves nothing behind."""

from socket import SHUT_WR

import gevent
import pytest

from greensock.interfaces import (
    IAcceptFailed,
    IAcceptPaused,
    IAcceptResumed,
    IConnectionClosed,
    IRequestFailed,
)
from greensock.net.backoff import TOLERATED_IN_A_ROW
from tests.faults.injecting import (
    Injected,
    every_model,
    going_on,
    is_hung_up_on,
    new_server,
)
from tests.helpers import Trap, ask, connect, forks_beside_threads, recorded, rest, wait_until

pytestmark = forks_beside_threads

KINDS = IAcceptFailed, IAcceptPaused, IAcceptResumed, IRequestFailed


@every_model
def test_get_request_may_raise_anything(model):
    error = ValueError("injected")
    server = new_server(model, where="get_request")
    with recorded(*KINDS) as record, going_on(server):
        server.faults.append(error)
        assert b"HELLO\n" == ask(server)
    assert [error] == [event.error for event in record]
    assert IAcceptFailed.providedBy(record[0])


@every_model
def test_get_request_that_raises_over_and_over_is_given_pauses(model):
    """So that it does not keep the processor busy."""
    server = new_server(model, where="get_request")
    with recorded(*KINDS) as record, going_on(server):
        del server.tried_at[:]
        server.faults += [Injected(number) for number in range(TOLERATED_IN_A_ROW + 3)]
        assert b"HELLO\n" == ask(server)
        pauses = server.tried_at[TOLERATED_IN_A_ROW:][:4]
        assert 0.07 - 0.006 < pauses[-1] - pauses[0]
    names = [type(event).__name__ for event in record]
    assert ["AcceptPaused", "AcceptResumed"] == [name for name in names if name != "AcceptFailed"]
    assert TOLERATED_IN_A_ROW + 3 == names.count("AcceptFailed")


@every_model
@pytest.mark.parametrize("where", ["get_request", "verify_request", "process_request"])
def test_a_timeout_that_a_hook_lets_out_does_not_end_the_server(model, where):
    """It is no Exception."""
    error = gevent.Timeout(1)
    server = new_server(model, where=where)
    with recorded(*KINDS) as record, going_on(server):
        server.faults.append(error)
        if where == "get_request":
            assert b"HELLO\n" == ask(server)
        else:
            assert is_hung_up_on(server)
    assert [error] == [event.error for event in record]


@every_model
@pytest.mark.parametrize("where", ["verify_request", "process_request"])
@pytest.mark.parametrize("times", [1, 5])
def test_a_hook_before_the_handler_that_raises_costs_one_connection(model, where, times):
    errors = [Injected(number) for number in range(times)]
    server = new_server(model, where=where)
    with recorded(*KINDS) as record, going_on(server):
        server.faults += errors
        assert [True] * times == [is_hung_up_on(server) for _ in errors]
    assert errors == [event.error for event in record]


@every_model
def test_shutdown_request_that_raises_costs_nobody_anything(model):
    """Its connection is closed all the same, and counted out."""
    error = Injected()
    server = new_server(model, where="shutdown_request")
    with recorded(*KINDS) as record, recorded(IConnectionClosed) as closed, going_on(server):
        server.faults.append(error)
        assert b"HELLO\n" == ask(server)
        if model == "fork":  # where the child has a copy of the fault
            server.faults.clear()
            wait_until(lambda: not server.connections)
    assert len(closed) == 4
    assert ([] if model == "fork" else [error]) == [event.error for event in record]


@every_model
def test_shutdown_request_may_raise_every_time(model):
    server = new_server(model, where="shutdown_request")
    with recorded(*KINDS) as record, going_on(server):
        errors = [Injected(number) for number in range(2)]
        server.verify_request = lambda request, client_address: False
        server.faults += errors
        assert [True] * 2 == [is_hung_up_on(server) for _ in errors]
        del server.verify_request
    assert errors == [event.error for event in record]


@every_model
def test_shutdown_request_that_raises_for_one_too_many_from_a_peer_ends_nothing(model):
    if model == "inline":
        pytest.skip("there is never more than one")
    server = new_server(model, where="shutdown_request", max_connections_per_peer=1)
    with recorded(*KINDS) as record, going_on(server):
        server.RequestHandlerClass, handler = Trap, server.RequestHandlerClass
        with connect(server) as trapped:
            assert b"trapped\n" == trapped.recv(100)
            error = Injected()
            server.faults.append(error)
            assert is_hung_up_on(server)
            trapped.shutdown(SHUT_WR)  # because a child has a copy of it
        server.RequestHandlerClass = handler
        server.max_connections_per_peer = None
        wait_until(lambda: not server.connections)
    assert [error] == [event.error for event in record]


@every_model
@pytest.mark.parametrize("where", ["verify_request", "process_request"])
def test_what_a_hook_raises_before_shutdown_request_raises_is_told_as_well(model, where):
    """They are two failures."""
    server = new_server(model, where=where)
    first, second = Injected("first"), Injected("second")

    def shutdown_request(request):
        del server.shutdown_request
        raise second

    with recorded(*KINDS) as record, going_on(server):
        server.faults.append(first)
        server.shutdown_request = shutdown_request
        with connect(server) as client:
            assert b"" == rest(client)
    assert [first, second] == [event.error for event in record]
