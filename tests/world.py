"""The world the tests run in: a plain process, or one that gevent has monkey-patched.

``python -m tests`` has pytest import this module as its first plugin (``-p tests.world``), before
conftest.py, the other plugins and anything else that would be patched too late.
"""

import functools
import os
from pathlib import Path

PATCHED = os.environ.get("GREENSOCK_TESTS_PATCHED") == "1"

if PATCHED:
    from gevent import monkey

    monkey.patch_all()


def pytest_addoption(parser):
    parser.addoption(
        "--part", metavar="N/M", default="1/1", help="only the N-th of M parts of the test files"
    )


@functools.cache
def _places():
    """Neighbours in the alphabet, which are often alike, come to different parts."""
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    return {path: place for place, path in enumerate(files)}


def _is_in_part(path, config):
    number, parts = map(int, config.getoption("part").split("/"))
    return _places().get(path, 0) % parts == number - 1


def pytest_ignore_collect(collection_path, config):
    """Leave out a file of which nothing would run, because to collect a test takes time as well."""
    if collection_path.suffix != ".py":
        return None
    if not _is_in_part(collection_path, config):
        return True
    text = collection_path.read_text()
    if config.getoption("markexpr") == "worldless":
        return True if "worldless" not in text else None
    if config.getoption("markexpr") == "not worldless":
        return True if "\npytestmark = pytest.mark.worldless\n" in text else None
    return None


def pytest_collection_modifyitems(config, items):
    """Leave out what is of another part: the files that were named are all collected."""
    left_out = [item for item in items if not _is_in_part(item.path, config)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
