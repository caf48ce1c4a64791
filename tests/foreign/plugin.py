"""The pytest plugin that records outcomes, in the virtual environment of the sdists' tests."""

import faulthandler
import os
import sys
from typing import Any

import pytest

from tests.foreign import record, replace

_book = record.from_environment()
_stderr = os.dup(2)  # pytest captures the descriptor itself


# Greensock's listeners are plain sockets in a patched process, too, because a server may be built
# in one thread and served in another.
_EXEMPT_WHEN_PATCHED = {
    "test_fail_to_bind": "makes bind of the patched socket class fail; a listener is not one",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if item.nodeid not in _book.before]
    if replace.wanted() == ("greensock", "patched"):
        for item in [item for item in items if item.name in _EXEMPT_WHEN_PATCHED]:
            _book.write(item.nodeid, "exempt", _EXEMPT_WHEN_PATCHED[item.name])
            items.remove(item)


def pytest_runtest_logstart(nodeid: str) -> None:
    _book.write(nodeid, "started")
    faulthandler.dump_traceback_later(record.PATIENCE, exit=True, file=_stderr)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.failed:
        _book.write(report.nodeid, "failed", f"{report.when}:\n{report.longreprtext}")
    elif report.skipped:
        reason: Any = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        _book.write(report.nodeid, "skipped", str(reason))
    elif report.when == "call":
        _book.write(report.nodeid, "passed")


def pytest_runtest_logfinish() -> None:
    faulthandler.cancel_dump_traceback_later()


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _book.write(report.nodeid, "failed", report.longreprtext)


def pytest_sessionfinish() -> None:
    module, _ = replace.wanted()
    if sys.modules["socketserver"].__name__ != module:
        raise RuntimeError(f"socketserver is not {module}")
    _book.finish()
