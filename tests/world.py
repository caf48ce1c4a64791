"""The world the tests run in: a plain process, or one that gevent has monkey-patched.

``python -m tests`` has pytest import this module as its first plugin (``-p tests.world``), before
conftest.py, the other plugins and anything else that would be patched too late.
"""

import os

PATCHED = os.environ.get("GREENSOCK_TESTS_PATCHED") == "1"

if PATCHED:
    from gevent import monkey

    monkey.patch_all()
