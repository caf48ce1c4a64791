"""The tools, and the marks that many tests have."""

import os
import socket
from itertools import product
from zlib import crc32

import pytest

from tests import redis_server, world
from tests.tools import *  # noqa: F401, F403
from tests.tools import MODELS

# Python tells whoever forks beside threads that it is risky.
forks_beside_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

# What measures refers to every greenlet and to many a frame.
unmeasured = pytest.mark.skipif("COVERAGE_PROCESS_CONFIG" in os.environ, reason="it is measured")


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")

needs_redis = pytest.mark.skipif(
    redis_server.PROGRAM is None,
    reason="there is no redis-server here: apt-get install redis-server",
)

CONCURRENT = ["greenlet", "thread", "fork"]

every_model = pytest.mark.parametrize("model", MODELS)
concurrent_models = pytest.mark.parametrize("model", CONCURRENT)
# Where a server is served.
PLACES = ["thread", "greenlet"]

everywhere = pytest.mark.parametrize("where", PLACES)


def every_other(**factors):
    """Parametrize by every other combination of these values; the other world has the rest.

    For factors that make no difference all together, if any two of them do. In which world a
    combination is had depends on the name of the test, so that over all tests both have each.
    """

    def mark(test):
        turn = crc32(test.__name__.encode()) + world.PATCHED
        chosen = [
            [value for _, value in combination]
            for combination in product(*map(enumerate, factors.values()))
            if (turn + sum(index for index, _ in combination)) % 2 == 0
        ]
        return pytest.mark.parametrize(list(factors), chosen)(test)

    return mark


somewhere = every_other(model=MODELS, where=PLACES)
