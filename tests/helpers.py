"""The tools, and the marks that many tests have."""

import socket

import pytest

import greensock
from tests.tools import *  # noqa: F401, F403

# Python tells whoever forks beside threads that it is risky.
forks_beside_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


with_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")

CONCURRENT = ["greenlet", "thread", "fork"]

# Those whose handlers, events and connections are seen in the process that serves. Worker processes
# have tests of their own.
MODELS = tuple(model for model in greensock.MODELS if model != "prefork")

every_model = pytest.mark.parametrize("model", MODELS)
concurrent_models = pytest.mark.parametrize("model", CONCURRENT)
everywhere = pytest.mark.parametrize("where", ["thread", "greenlet"])
