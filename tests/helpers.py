"""The tools, and the marks that many tests have."""

import os
import socket

import pytest

from tests import redis_server
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
everywhere = pytest.mark.parametrize("where", ["thread", "greenlet"])
