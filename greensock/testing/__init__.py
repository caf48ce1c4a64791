"""Checks for servers, models, handlers, toolboxes and buses that somebody else has written.

Each takes a candidate, drives it and raises AssertionError with the promise that was broken::

    def test_pool_is_a_model():
        check_model(PoolMixIn)

They need no test framework, and open sockets on 127.0.0.1 alone, but for those of a bus. Each takes
a few seconds at most, unless a promise is broken: then it may wait ``patience`` seconds for what
does not come.
"""

from .buses import check_bus
from .contracts import check_contracts
from .driving import serving
from .handlers import check_handler, check_handler_factory
from .models import check_model
from .servers import check_server
from .toolboxes import check_toolbox

__all__ = [
    "check_bus",
    "check_contracts",
    "check_handler",
    "check_handler_factory",
    "check_model",
    "check_server",
    "check_toolbox",
    "serving",
]
