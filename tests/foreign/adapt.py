"""What has to change in CPython's tests before they can judge another module, with the reasons."""

import _thread
import http.server
import importlib
import os
import sys
import time
import unittest
from typing import Any
from test import support
from test.support import threading_helper
from unittest import mock

import gevent

from tests.foreign import replace


def load(names: list[str]) -> unittest.TestSuite:
    """Load the tests, those that skip for root too.

    Those are CGI's: its scripts run as nobody then, who may not reach the interpreter. Here they
    stay root.
    """
    if os.geteuid() == 0 and hasattr(http.server, "nobody_uid"):
        http.server.nobody_uid = os.geteuid
    with mock.patch("os.geteuid", lambda: 1):
        suite = unittest.defaultTestLoader.loadTestsFromNames(_there(names))
    module, world = replace.wanted()
    if world == "patched":
        # gevent's resolver keeps a thread; no test is to be blamed for the first.
        gevent.get_hub().threadpool.apply(int)
        if sys.version_info < (3, 11):
            threading_helper.threading_cleanup = _cleanup_as_in_311
    tests = sys.modules.get("test.test_socketserver")
    if tests and module != "socketserver":
        tests.MiscTestCase.test_all = _check_all  # type: ignore[attr-defined]
    return suite


def _there(names: list[str]) -> list[str]:
    """Those that this Python has; LookupError if it has none."""
    there = [name for name in names if not name.endswith("?")]
    for name in sorted(set(names) - set(there)):
        module, _, attribute = name[:-1].rpartition(".")
        if hasattr(importlib.import_module(module), attribute):
            there.append(name[:-1])
    if not there:
        raise LookupError(f"this Python has none of {', '.join(names)}")
    return there


def _cleanup_as_in_311(count: int, *_: Any) -> None:
    """Wait for threads to end, as threading_cleanup does from 3.11 on.

    In 3.10 it wants the same ones as before, and gevent's own come and go.
    """
    deadline = time.monotonic() + 1
    while _thread._count() > count:
        if time.monotonic() > deadline:
            support.environment_altered = True
            support.print_warning(f"threads: {count} before, {_thread._count()} after")
            return
        time.sleep(0.01)


def _check_all(self: unittest.TestCase) -> None:
    """MiscTestCase.test_all, for a package: __all__ is what it defines, and no less than before."""
    module = sys.modules["socketserver"]
    homes = {name: getattr(getattr(module, name), "__module__", None) for name in dir(module)}
    defined = {
        name
        for name, home in homes.items()
        if not name.startswith("_") and home and home.partition(".")[0] == module.__name__
    }
    # What is no class or function does not tell where it is from.
    constants = {name for name in module.__all__ if homes[name] is None}
    self.assertCountEqual(module.__all__, defined | constants)
    self.assertLessEqual(set(replace.original.__all__), set(module.__all__))
