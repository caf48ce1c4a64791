"""CPython's own tests, run by unittest in a process whose ``socketserver`` is replaced already."""

import faulthandler
import sys
import unittest
from collections.abc import Iterator
from test import support
from typing import Any

from tests.foreign import adapt, record, replace
from tests.foreign.cpython import EXEMPT_WHEN_PATCHED, SUITES


class _Result(unittest.TestResult):
    """Records each test as it ends, and ends the process, telling where it was, when one hangs.

    A test that leaves threads or children behind fails, as with regrtest's --fail-env-changed.
    """

    def __init__(self, book: record.Record) -> None:
        super().__init__()
        self._book = book
        self._now = record.Outcome("")
        self._warnings: list[str] = []
        support.print_warning = self._warnings.append

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self._now = record.Outcome("passed")
        support.environment_altered = False
        self._warnings.clear()
        self._book.write(test.id(), "started")
        faulthandler.dump_traceback_later(record.PATIENCE, exit=True, file=sys.__stderr__)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        if support.environment_altered:
            self._note(test, "failed", "\n".join(["environment altered", *self._warnings]))
        self._book.write(test.id(), *self._now)
        self._now = record.Outcome("")
        super().stopTest(test)

    def _note(self, test: Any, kind: str, detail: str) -> None:
        if not self._now.kind:  # a class or a module, outside any test
            self._book.write(test.id(), kind, detail)
        elif self._now.kind != "failed":
            self._now = record.Outcome(kind, detail)

    def addError(self, test: Any, err: Any) -> None:
        text = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]
        self._note(test, "failed", text)

    addFailure = addError

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self.addError(subtest, err)

    def addSkip(self, test: Any, reason: str) -> None:
        self._note(test, "skipped", reason)

    def addUnexpectedSuccess(self, test: Any) -> None:
        self._note(test, "failed", "unexpected success")


def _each(suite: Any) -> Iterator[unittest.TestCase]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _each(test)
        else:
            yield test


def main(name: str, match: str) -> None:
    """Run the tests of the suite that have no outcome yet and whose names contain `match`."""
    module, world = replace.wanted()
    book = record.from_environment()
    # None: every resource is allowed, "network" too, so that nothing is skipped for want of one.
    support.use_resources = None
    support.verbose = False
    chosen = unittest.TestSuite()
    for test in _each(adapt.load(SUITES[name])):
        if match not in test.id() or test.id() in book.before:
            continue
        if world == "patched" and test.id() in EXEMPT_WHEN_PATCHED:
            book.write(test.id(), "exempt", EXEMPT_WHEN_PATCHED[test.id()])
        else:
            chosen.addTest(test)
    chosen.run(_Result(book))
    if sys.modules["socketserver"].__name__ != module:
        raise RuntimeError(f"somebody replaced {module} again")
    book.finish()
