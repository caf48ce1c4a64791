"""Serving, shutting down and closing in any order, by many at once: nothing hangs, nothing
leaks."""

import random
import socket

import gevent
import pytest

import greensock
from greensock.errors import AlreadyServing
from greensock.net.hubs import borrowed_hub
from tests.helpers import (
    LOCAL,
    MODELS,
    Call,
    Shout,
    ShoutDatagram,
    ask,
    descriptors,
    forks_beside_threads,
    wait_until,
)

pytestmark = forks_beside_threads

CALLS = ["serve_forever", "serve_forever", "shutdown", "shutdown", "server_close", "client"]


def one_life(server_class, handler, choose):
    """A server in the hands of callers who know nothing of each other, until all have ended."""
    server = server_class(LOCAL, handler)
    server.timeout = 0.01
    server.drain_timeout = 1

    def client():
        try:
            ask(server)
        except OSError:
            pass  # it was not served, or no more

    def call(name):
        try:
            client() if name == "client" else getattr(server, name)()
        except AlreadyServing:
            pass
        except ValueError as error:
            assert "its socket is closed" in str(error)

    under_way = []
    for _ in range(choose.randrange(2, 8)):
        name = choose.choice(CALLS)
        # Another thread's client would leave a hub behind.
        where = "greenlet" if name == "client" else choose.choice(["thread", "greenlet"])
        under_way.append(Call(where, call, name))
        if choose.random() < 0.5:
            gevent.sleep(choose.choice([0, 0.0005, 0.002]))
    server.server_close()
    for started in under_way:
        started.end()
    assert -1 == server.fileno()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("transport, handler", [("tcp", Shout), ("udp", ShoutDatagram)])
def test_whoever_calls_what_when_all_calls_return(model, transport, handler, monkeypatch):
    # A datagram that nobody takes is never answered.
    monkeypatch.setattr("tests.tools.PATIENCE", 2 if transport == "tcp" else 0.05)
    server_class = greensock.server_class(model, transport)
    with borrowed_hub():
        before = descriptors()
    for seed in range(15 if model == "fork" else 40):
        one_life(server_class, handler, random.Random(seed))
    wait_until(lambda: before >= descriptors())
    assert socket.AF_INET == server_class.address_family
