"""What all tests have."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import gevent
import hypothesis
import pytest

from greensock import bus
from greensock.net import native
from greensock.net.signals import hear_signals
from tests import world
from tests.helpers import Mailbox, children
from tests.prepared import nurseries

# How long an example takes is for the machine to say. Every run, world and Python tries others.
hypothesis.settings.register_profile("patient", deadline=None, max_examples=50)
hypothesis.settings.load_profile("patient")

WORLD = "patched" if world.PATCHED else "plain"


def pytest_report_header() -> str:
    return f"world: {WORLD}"


def pytest_collection_finish() -> None:
    """What is there by now stays: to look through it again and again takes time.

    In a forked child it takes a copy of it, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)  # what a test makes goes with it; few cycles are left


@pytest.fixture
def patched() -> bool:
    """Whether the tests run in a monkey-patched process."""
    return world.PATCHED


@pytest.fixture
def mailbox():
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def without_redis_py(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where it is not installed, and nothing that takes it was imported."""
    for name in "places", "pool", "reader", "redis":
        monkeypatch.delitem(sys.modules, f"greensock.bus.{name}", raising=False)
    for name in "redis", "redis.connection", "redis.exceptions":
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delattr(bus, "redis", raising=False)


@pytest.fixture(scope="module", autouse=True)
def reaped() -> Iterator[None]:
    """Those whom a server that did not wait has left; the tests of the next file count children."""
    with nurseries():
        yield
    for pid in children():
        with suppress(ChildProcessError):
            native.waitpid(pid, os.WNOHANG)


@pytest.fixture(scope="session", autouse=True)
def main_hub() -> None:
    """Its descriptors are there before any test counts some."""
    hear_signals(gevent.get_hub())
