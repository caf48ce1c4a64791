"""The world the tests run in: a plain process, or one that gevent has monkey-patched.

``python -m tests`` has pytest import this module as its first plugin (``-p tests.world``), before
conftest.py, the other plugins and anything else that would be patched too late.
"""

import os
import zlib

PATCHED = os.environ.get("GREENSOCK_TESTS_PATCHED") == "1"

if PATCHED:
    from gevent import monkey

    monkey.patch_all()


def pytest_addoption(parser):
    parser.addoption(
        "--part", metavar="N/M", default="1/1", help="only the N-th of M parts of the test files"
    )


def pytest_collection_modifyitems(config, items):
    number, parts = map(int, config.getoption("part").split("/"))
    ours = [item for item in items if zlib.crc32(item.path.name.encode()) % parts == number - 1]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(ours)])
    items[:] = ours
