"""The pytest plugin that records outcomes, in the virtual environment of the sdists' tests."""

import faulthandler
import os
import sys
from typing import Any

import pytest

from tests.foreign import record, replace

_book = record.from_environment()
_stderr = os.dup(2)  # pytest captures the descriptor itself


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = [item for item in items if item.nodeid not in _book.before]


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
