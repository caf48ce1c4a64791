"""Servers of one IRC network, over sockets and a bus that they share."""

from contextlib import ExitStack, contextmanager

import pytest

from examples.irc import links
from examples.irc.network import Settings
from examples.irc.server import Client, hall_class
from greensock.bus import LocalBus, open_bus
from tests import redis_server
from tests.helpers import LOCAL, needs_redis, served, wait_until
from tests.test_irc_server import Chatter


@contextmanager
def halls(model, buses):
    """Served halls, one for each bus: east.example and west.example."""
    with ExitStack() as stack:
        yield [stack.enter_context(served(hall(model, *about))) for about in zip(NAMES, buses)]


NAMES = "east.example", "west.example"


def hall(model, name, bus):
    names = {"name": name, "settings": Settings(rate=0), "bus": bus, "shares_bus": True}
    return type("Hall", (hall_class(model),), names)(LOCAL, Client)


@pytest.fixture(params=["local", pytest.param("redis", marks=needs_redis)])
def buses(request, tmp_path):
    """Two ways to the same bus."""
    if request.param == "local":
        with LocalBus() as bus:
            yield bus, bus
        return
    with redis_server.running(tmp_path) as redis:
        with open_bus(redis.url) as one, open_bus(redis.url) as other:
            yield one, other


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_what_is_said_at_one_server_is_heard_at_the_other(model, buses):
    """All of it, once and in order, until the other one ends."""
    count = 500
    with halls(model, buses) as (east, west), ExitStack() as stack:
        ann = stack.enter_context(Chatter.connect(east.server_address))
        bob = stack.enter_context(Chatter.connect(west.server_address))
        ann.enter("Ann", "JOIN #x").hear(" 366 ")
        bob.enter("Bob", "JOIN #x").hear(" 366 ")
        ann.hear(":Bob!Bob@127.0.0.1 JOIN #x")
        ann.say(*[f"PRIVMSG #x :{number}" for number in range(count)])
        said = [bob.hear("PRIVMSG #x").rpartition(":")[2] for _ in range(count)]
        assert [str(number) for number in range(count)] == said
        assert [] == west.drain()
        bob.hear("ERROR :Closing Link: 127.0.0.1 (Server is shutting down)")
        ann.hear(":Bob!Bob@127.0.0.1 QUIT :")


@needs_redis
def test_an_outage_of_redis_is_seen_as_a_split(tmp_path, monkeypatch):
    """And the halves meet again when it is over."""
    monkeypatch.setattr(links, "SILENCE", 2.5)
    monkeypatch.setattr(links, "BEAT", 0.5)
    with redis_server.running(tmp_path) as redis, ExitStack() as stack:
        ways = [stack.enter_context(open_bus(redis.url)) for _ in range(2)]
        east, west = stack.enter_context(halls("greenlet", ways))
        ann = stack.enter_context(Chatter.connect(east.server_address))
        bob = stack.enter_context(Chatter.connect(west.server_address))
        ann.enter("Ann", "JOIN #x").hear(" 366 ")
        bob.enter("Bob", "JOIN #x").hear(" 366 ")
        ann.hear(":Bob!Bob@127.0.0.1 JOIN #x")
        wait_until(lambda: all(2 == len(hall.network.users) for hall in (east, west)))
        redis.kill()
        ann.hear(":Bob!Bob@127.0.0.1 QUIT :east.example west.example")
        bob.hear(":Ann!Ann@127.0.0.1 QUIT :west.example east.example")
        redis.start()
        ann.hear(":Bob!Bob@127.0.0.1 JOIN #x")
        bob.hear(":Ann!Ann@127.0.0.1 JOIN #x")
        wait_until(lambda: all(2 == len(hall.network.users) for hall in (east, west)))
        ann.say("PRIVMSG #x :there you are")
        bob.hear(":Ann!Ann@127.0.0.1 PRIVMSG #x :there you are")
