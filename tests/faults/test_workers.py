"""A worker the system refuses costs one connection."""

import threading

import pytest

from greensock.interfaces import IConnectionClosed, IConnectionOpened, IRequestFailed
from greensock.net import workers
from tests.faults.injecting import going_on, is_hung_up_on, new_server, refuse_workers
from tests.helpers import Crash, ask, forks_beside_threads, recorded

pytestmark = forks_beside_threads


@pytest.fixture(autouse=True)
def keep_no_idle_greenlets(monkeypatch):
    """Nobody would need the system for those."""
    monkeypatch.setattr(workers, "MOST_IDLE", 0)


every_worker = pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])


@every_worker
@pytest.mark.parametrize("times", [1, 20])
def test_a_worker_the_system_refuses_costs_one_connection(model, times, monkeypatch):
    """And nothing is left of those that there were to be."""
    server = new_server(model)
    with recorded(IRequestFailed) as record, going_on(server):
        with monkeypatch.context() as patch:
            error = refuse_workers(patch, model)
            assert [True] * times == [is_hung_up_on(server) for _ in range(times)]
            assert [] == server.connections
    assert [error] * times == [event.error for event in record]


@every_worker
def test_connections_without_a_worker_are_closed_as_often_as_they_are_opened(model, monkeypatch):
    server = new_server(model)
    with recorded(IConnectionOpened) as opened, recorded(IConnectionClosed) as closed:
        with going_on(server):
            with monkeypatch.context() as patch:
                refuse_workers(patch, model)
                assert is_hung_up_on(server)
    assert {event.connection for event in opened} == {event.connection for event in closed}


@every_worker
def test_those_without_a_worker_do_not_use_up_the_limits(model, monkeypatch):
    server = new_server(model, max_connections=1, max_connections_per_peer=1)
    with going_on(server):
        with monkeypatch.context() as patch:
            refuse_workers(patch, model)
            assert [True] * 3 == [is_hung_up_on(server) for _ in range(3)]
        assert b"HELLO\n" == ask(server)
        server.max_connections = server.max_connections_per_peer = None


@every_worker
def test_handlers_that_raise_many_times_leave_nothing(model, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", print)
    server = new_server(model)
    with going_on(server):
        server.RequestHandlerClass, handler = Crash, server.RequestHandlerClass
        assert [True] * 10 == [is_hung_up_on(server) for _ in range(10)]
        server.RequestHandlerClass = handler
