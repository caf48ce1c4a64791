"""The world the tests run in: a plain process, or one that gevent has monkey-patched.

``python -m tests`` has pytest import this module as its first plugin (``-p tests.world``), before
conftest.py, the other plugins and anything else that would be patched too late. Processes that
share the tests of a world take file by file: each runs what no other one has taken yet.
"""

import os
from pathlib import Path

PATCHED = os.environ.get("GREENSOCK_TESTS_PATCHED") == "1"

if PATCHED:
    from gevent import monkey

    from tests import patching  # noqa: F401  # it makes this faster

    monkey.patch_all()

# First those that take longest, so that none of them is left when all others are done, and those
# that fork most, because with every test the process grows of which a fork copies the tables.
FIRST = [
    "test_testing",
    "test_handshake_timeout",
    "test_overdue",
    "test_prefork",
    "test_prefork_replacing",
    "test_prefork_orders",
    "test_prefork_signals",
    "test_prefork_contract",
    "test_forks",
    "test_prefork_numbers",
    "test_cli_serve",
    "test_testing_operations",
    "test_prefork_upheaval",
    "test_benchmarks",
    "test_draining",
    "test_endurance",
    "test_packaging",
    "test_proxy_protocol",
    "test_prefork_balance",
    "test_accepting",
    "test_hooks",
    "test_suspending",
    "test_admission",
    "test_stdlib_servers",
    "test_stdlib_examples",
]


def pytest_addoption(parser):
    parser.addoption(
        "--share", metavar="DIRECTORY", help="where it is noted which test files have been taken"
    )


def pytest_configure(config):
    if config.getoption("share"):
        config.args = []  # Whatever is to be run is collected when it is taken.


def pytest_runtestloop(session):
    directory = session.config.getoption("share")
    if not directory:
        return None
    count = 0
    for path in _files():
        if _is_of_this_world(path) and _take(path, Path(directory)):
            session.config.args = [str(path)]
            session.config.hook.pytest_collection(session=session)
            count += session.testscollected
            for item, following in zip(session.items, [*session.items[1:], None]):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    session.testscollected = count
    return True


def _files():
    files = sorted(Path(__file__).parent.rglob("test_*.py"))
    rank = {name: number for number, name in enumerate(FIRST)}
    return sorted(files, key=lambda path: rank.get(path.stem, len(rank)))


def _take(path, directory):
    """Whether no other process has taken it."""
    name = str(path.relative_to(Path(__file__).parent)).replace(os.sep, ".")
    try:
        Path(directory, name).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _is_of_this_world(path):
    return not PATCHED or "\npytestmark = pytest.mark.worldless\n" not in path.read_text()


def pytest_ignore_collect(collection_path, config):
    """Leave out a file of which nothing would run, because to collect a test takes time as well."""
    if collection_path.suffix != ".py":
        return None
    if config.getoption("share"):
        return str(collection_path) not in config.args or None
    return not _is_of_this_world(collection_path) or None
