"""Checks for servers, models, handlers and toolboxes that somebody else has written.

Each takes a candidate, drives it and raises AssertionError with the promise that was broken::

    def test_pool_is_a_model():
        check_model(PoolMixIn)

They need no test framework, open sockets on 127.0.0.1, and take a second or so.
"""

from .contracts import check_contracts
from .driving import serving
from .models import check_model
from .servers import check_server
from .toolboxes import check_toolbox

__all__ = ["check_contracts", "check_model", "check_server", "check_toolbox", "serving"]
